//! Files become versions, and versions come back.

use crate::hub::{Hub, points, root, ukimet};
use serde_json::{Value, json};
use std::fs;

/// What `demo/demo.json` lists.
fn demo() -> Vec<Value> {
    let text = fs::read_to_string(root().join("demo/demo.json")).expect("the list is there");
    serde_json::from_str(&text).expect("a list")
}

#[test]
fn every_demo_file_is_published_once_and_unchanged_the_second_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(dir.path(), &[]);
    for entry in demo() {
        let file = root().join("demo").join(entry["file"].as_str().expect("a file"));
        let dataset = entry["dataset"].as_str().expect("a dataset");
        let mut flags = Vec::new();
        for name in ["layer", "crs", "encoding"] {
            if let Some(value) = entry[name].as_str() {
                flags.push(format!("--{name}"));
                flags.push(value.to_owned());
            }
        }
        if entry["all_layers"] == true {
            flags.push("--all-layers".to_owned());
        }
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let first = hub.publish(&file, dataset, &flags);
        let (code, second) = hub.push(&file, dataset, &flags);
        assert_eq!((code, &second["status"]), (0, &Value::from("unchanged")), "{file:?} {second:#}");
        for (first, second) in
            first["layers"].as_array().into_iter().flatten().zip(second["layers"].as_array().into_iter().flatten())
        {
            assert_eq!(first["version"], second["version"]);
            assert!(first["rows_taken"].as_u64() > Some(0), "{first:#}");
            let exported = dir.path().join("out.parquet");
            let dataset = first["dataset"].as_str().expect("a dataset");
            let (_, export) = hub.ask(&["export", dataset, "-o", exported.to_str().expect("text")]);
            assert_eq!(export["rows"], first["rows_taken"], "{dataset}");
        }
    }
}

#[test]
fn a_window_of_some_columns_comes_back_in_every_format() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(2000)).expect("written");
    hub.publish(&file, "almaty/points", &[]);
    for ending in ["parquet", "arrow", "geojson", "ndjson", "csv"] {
        let out = dir.path().join(format!("out.{ending}"));
        let out = out.to_str().expect("text");
        let window = [
            "export",
            "almaty/points@v1",
            "--bbox",
            "76.1,43,76.1995,43.0005",
            "--columns",
            "geometry,name",
            "-o",
            out,
        ];
        let (code, export) = hub.ask(&window);
        assert_eq!((code, &export["rows"]), (0, &Value::from(100)), "{ending}: {export}");
    }
    let (_, document) =
        (0, serde_json::from_slice::<Value>(&fs::read(dir.path().join("out.geojson")).expect("read")).expect("JSON"));
    let features = document["features"].as_array().expect("features");
    assert_eq!(features.len(), 100);
    assert!(features.iter().all(|f| f["properties"]["name"].is_string() && f["properties"].get("lon").is_none()));
}

#[test]
fn a_shapefile_is_pushed_with_its_companions() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let archive = fs::File::open(root().join("demo/rayony_s42_cp1251.zip")).expect("the demo file is there");
    let mut archive = zip::ZipArchive::new(archive).expect("an archive");
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).expect("a member");
        if member.is_file() {
            let ending = member.name().expect("a name").rsplit('.').next().expect("an ending").to_owned();
            let mut file = fs::File::create(dir.path().join(format!("районы.{ending}"))).expect("made");
            std::io::copy(&mut member, &mut file).expect("unpacked");
        }
    }
    let outcome = hub.publish(&dir.path().join("районы.shp"), "kz/districts", &[]);
    let layer = &outcome["layers"][0];
    assert_eq!((&layer["rows_taken"], &layer["layer"]), (&Value::from(195), &Value::from("районы")));
    assert_eq!(layer["format"], "ESRI Shapefile");
}

#[test]
fn a_declared_region_goes_with_the_push_and_judges_its_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--misplaced-share-max", "0.4"]);
    let file = dir.path().join("points.csv");
    fs::write(&file, "lat,lon\n43.2,76.9\n43.3,76.9\n51.1,71.4\n").expect("written");
    let outcome = hub.publish(&file, "a/b", &["--region", "KZ-75"]);
    assert_eq!((&outcome["layers"][0]["rows_taken"], &outcome["layers"][0]["rows_refused"]), (&2.into(), &1.into()));
    let (code, message) = hub.refused(&file, "a/b", &["--region", "71"]);
    assert_eq!(code, "INVALID_ARGUMENT");
    assert!(message.contains("outside the declared region 71, Astana"), "{message}");
    let (_, message) = hub.refused(&file, "a/b", &["--region", "Almaty"]);
    assert!(message.contains("a region is a KATO code"), "{message}");
}

#[test]
fn a_push_id_repeats_its_answer_and_means_one_content() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    let first = hub.publish(&file, "a/b", &["--push-id", "p1"]);
    let again = hub.publish(&file, "a/b", &["--push-id", "p1"]);
    assert_eq!((&again["replayed"], &again["layers"]), (&Value::from(true), &first["layers"]));
    fs::write(&file, points(11)).expect("written");
    let (code, message) = hub.refused(&file, "a/b", &["--push-id", "p1"]);
    assert_eq!(code, "ALREADY_EXISTS");
    assert!(message.contains("p1 was used for a/b v1"), "{message}");
    let second = hub.publish(&file, "a/b", &["--push-id", "p2", "--expected-version", "1"]);
    assert_eq!(second["layers"][0]["rows_added"], 1);
    fs::write(&file, points(12)).expect("written");
    let (code, message) = hub.refused(&file, "a/b", &["--expected-version", "1"]);
    assert_eq!(code, "ABORTED");
    assert!(message.contains("expected v1, current v2"), "{message}");
}

#[test]
fn words_of_three_languages_find_a_dataset() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    let titles =
        ["--title", "kk=Алматы мектептері", "--title", "ru=Школы города Алматы", "--title", "en=Schools of Almaty"];
    hub.publish(&file, "almaty/schools", &titles);
    for words in ["мектептері", "школа", "школами алматы", "schools", "lat"] {
        let (_, found) = hub.ask(&["search", words]);
        assert_eq!(found["total"], 1, "{words}");
    }
    for (bbox, total) in [("76,43,77,44", 1), ("0,0,1,1", 0)] {
        let (_, found) = hub.ask(&["search", "школы", "--bbox", bbox]);
        assert_eq!(found["total"], total, "{bbox}");
    }
}

#[test]
fn regions_formats_and_geometries_count_and_choose_datasets() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    hub.publish(&file, "almaty/schools", &["--title", "kk=Мектептер", "--region", "191000000"]);
    hub.publish(&file, "astana/schools", &["--title", "ru=Школы"]);
    let (_, found) = hub.ask(&["search", "--facets"]);
    assert_eq!(found["facets"]["region"], json!([{"value": null, "datasets": 1}, {"value": "19", "datasets": 1}]));
    assert_eq!(found["facets"]["format"], json!([{"value": "CSV", "datasets": 2}]));
    assert_eq!(found["facets"]["geometry"], json!([{"value": "Point", "datasets": 2}]));
    for (asked, total) in [
        (["--region", "19"], 1),
        (["--region", "KZ-19"], 1),
        (["--region", "191031100"], 1),
        (["--region", "1918"], 0),
        (["--only", "region="], 1),
        (["--only", "agency=almaty"], 1),
        (["--only", "format=GPKG"], 0),
        (["--updated-from", "2020-01-01T00:00:00Z"], 2),
        (["--updated-before", "2020-01-01T00:00:00Z"], 0),
    ] {
        assert_eq!(hub.ask(&["search", asked[0], asked[1]]).1["total"], total, "{asked:?}");
    }
    let (_, both) =
        hub.ask(&["search", "mektep", "--only", "agency=almaty", "--only", "agency=astana", "--region", "19"]);
    assert_eq!(both["total"], 1);
}

#[test]
fn the_demo_ends_well() {
    let output = ukimet().args(["demo", "--exit", "--files"]).arg(root().join("demo")).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("helsinki/school-districts") && text.contains("read back from GeoParquet"), "{text}");
}

#[test]
fn times_without_a_zone_become_instants_by_a_declared_zone_and_not_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("times.csv");
    fs::write(&file, "id,seen\n1,2024-02-29 22:30:00\n2,2024-02-29 23:30:00\n3,2024-03-01 12:00:00\n")
        .expect("written");
    let type_of = |dataset: &str| {
        let (_, described) = hub.ask(&["describe", dataset]);
        let columns = described["dataset"]["version"]["fields"].as_array().expect("columns").clone();
        let seen = columns.iter().find(|column| column["name"] == "seen").expect("the column");
        (seen["data_type"].as_str().expect("a type").to_owned(), described)
    };
    hub.publish(&file, "a/plain", &[]);
    assert_eq!(type_of("a/plain").0, "Timestamp(µs)");
    hub.publish(&file, "a/zoned", &["--time-zone", "KZ-75"]);
    let (seen, described) = type_of("a/zoned");
    assert_eq!(seen, "Timestamp(µs, \"UTC\")");
    let steps = described["receipt"]["steps"].as_array().expect("steps");
    let types = steps.iter().find(|step| step["step"] == "types").expect("a step");
    assert_eq!(types["parameters"]["time_zone"], "Asia/Almaty");
    let out = dir.path().join("out.csv");
    hub.ask(&["export", "a/zoned", "-o", out.to_str().expect("text")]);
    let text = fs::read_to_string(&out).expect("a file");
    // Almaty was six hours ahead of UTC until its clocks went back, and five after.
    for (id, instant) in [(1, "2024-02-29T16:30:00"), (2, "2024-02-29T17:30:00"), (3, "2024-03-01T07:00:00")] {
        assert!(text.contains(&format!("{id},{instant}")), "{text}");
    }
    assert!(described["receipt"]["diagnostics"].to_string().contains("time.ambiguous"), "{described:#}");
    let (code, again) = hub.ask(&["renormalize", "a/zoned", "--dry-run"]);
    assert_eq!((code, &again["result"]["rows_same"]), (0, &3.into()), "what was declared holds: {again:#}");
    let (code, message) = hub.refused(&file, "a/wrong", &["--time-zone", "Asia/Alma-Ata"]);
    assert_eq!(code, "INVALID_ARGUMENT");
    assert!(message.contains("a time zone is an IANA name such as Asia/Almaty"), "{message}");
}
