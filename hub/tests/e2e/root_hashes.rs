//! The same bytes and rules give the same hash on any machine: a fixed set of files against a committed list.

use crate::hub::{Hub, root};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The list, written anew by `make root-hashes`.
const LIST: &str = "adapters/gdal/samples/root-hashes.txt";
const WRITE: &str = "UKIMET_WRITE_ROOT_HASHES";

const HEAD: &str =
    "# Root hashes of what the rules make of files of this repository: hash, rows, layer, file and flags.
# `make test` compares them on every machine; `make root-hashes` writes them anew when rules change on purpose.
";

/// Files and flags: CRS of every kind, arcs, repairs, encodings, codes, mappings, several layers.
const CASES: [(&str, &[&str]); 23] = [
    ("adapters/gdal/samples/arcs.csv", &["--crs", "EPSG:28413"]),
    ("adapters/gdal/samples/districts.geojson", &[]),
    ("adapters/gdal/samples/repaired.geojson", &[]),
    ("adapters/gdal/samples/schools_cp1251.csv", &[]),
    ("adapters/gdal/samples/schools_cp1251.csv", &["--mapping", "adapters/gdal/samples/schools.toml"]),
    ("adapters/gdal/tests/it/files/population.xls", &["--all-layers"]),
    ("adapters/gdal/tests/it/fixtures/packed.arrow", &[]),
    ("adapters/gdal/tests/it/fixtures/places.geojson", &[]),
    ("demo/almaty_districts_osm.geojson", &[]),
    ("demo/astana_malls.kml", &[]),
    ("demo/datetime.xlsx", &[]),
    ("demo/geoparquet_example.parquet", &[]),
    ("demo/goroda.zip", &[]),
    ("demo/kato_cp1251_semicolon.csv", &[]),
    ("demo/kindergarten.gpkg", &[]),
    ("demo/kz_3_layers.gpkg", &["--all-layers"]),
    ("demo/oblasts.gml", &[]),
    ("demo/power_plants.csv", &[]),
    ("demo/rayony_s42_cp1251.zip", &[]),
    ("demo/rayony_s42_cp1251.zip", &["--crs", "EPSG:28412"]),
    ("demo/school_districts_sv.gml", &[]),
    ("demo/settlements_decimal_comma_cp1251.csv", &[]),
    ("demo/settlements_east.fgb", &[]),
];

/// What came of all cases: a line for each layer, and how often a step said something.
fn hashes(hub: &Hub, cases: &[(&str, &[&str])]) -> (String, BTreeMap<&'static str, u64>) {
    let (mut text, mut seen) = (HEAD.to_owned(), BTreeMap::new());
    for (number, (file, flags)) in cases.iter().enumerate() {
        let paths = flags.iter().map(|flag| match flag.strip_suffix(".toml") {
            Some(_) => root().join(flag).display().to_string(),
            None => (*flag).to_owned(),
        });
        let paths: Vec<String> = paths.collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let outcome = hub.publish(&root().join(file), &format!("kz/file-{number}"), &paths);
        for layer in outcome["layers"].as_array().expect("a list") {
            let dataset = layer["dataset"].as_str().expect("an id");
            let (_, described) = hub.ask(&["describe", dataset]);
            let version = &described["dataset"]["version"];
            let hash = version["root_hash"].as_str().expect("a hash");
            let name = layer["layer"].as_str().expect("a name");
            let line = format!("{hash} {} {name:?} {file} {}", version["rows"], flags.join(" "));
            writeln!(text, "{}", line.trim_end()).expect("text");
            *seen.entry("repaired").or_default() += layer["rows_repaired"].as_u64().unwrap_or_default();
            let steps = layer["steps"].as_array().expect("a list");
            let has = |step: &str, parameter: &str| {
                let is_it = |found: &&Value| found["step"] == step && found["parameters"][parameter].is_string();
                u64::from(steps.iter().any(|found| is_it(&found)))
            };
            *seen.entry("reprojected").or_default() += has("crs", "pipeline");
            *seen.entry("mapped").or_default() += has("mapping", "columns");
        }
    }
    (text, seen)
}

#[test]
fn the_same_bytes_and_rules_give_the_same_hash_on_any_machine() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let (found, seen) = hashes(&hub, &CASES);
    assert!(seen["repaired"] >= 2 && seen["reprojected"] >= 5 && seen["mapped"] == 1, "{seen:?}");
    let list = root().join(LIST);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&list, &found).expect("written");
    }
    let listed = fs::read_to_string(&list).expect("the list of the repository");
    assert_eq!(found, listed, "if rules changed on purpose: make root-hashes");
}

/// The adapter with all that this machine's processor can do, as the C library likes it best.
#[test]
fn coordinates_are_the_same_to_the_last_bit_on_another_processor() {
    let dir = tempfile::tempdir().expect("a folder");
    let program = dir.path().join("adapter");
    let bundled = Path::new(env!("CARGO_BIN_EXE_ukimet")).with_file_name("ukimet-adapter-gdal");
    let script = format!("#!/bin/sh\nunset GLIBC_TUNABLES\nexec {} \"$@\"\n", bundled.display());
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("made a program");
    let program = program.to_str().expect("a path");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter-program", program]);
    let reprojected =
        |(file, _): &&(&str, &[&str])| file.contains("rayony") || file.contains("goroda") || file.contains("gpkg");
    let cases: Vec<_> = CASES.iter().filter(reprojected).copied().collect();
    let (found, seen) = hashes(&hub, &cases);
    assert!(seen["reprojected"] >= 4, "{seen:?}");
    let listed = fs::read_to_string(root().join(LIST)).expect("the list of the repository");
    let missing: Vec<_> = found.lines().filter(|line| !listed.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
