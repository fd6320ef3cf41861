//! The demo's files are clean: no rule takes a column or a cell for what it is not.

use crate::adapter::{Adapter, Ask, read};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is true of the demo's columns: dataset file, column, role.
const CODES: [(&str, &str, &str); 1] = [("kato_cp1251_semicolon.csv", "kato", "kato")];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo");
    let entries = std::fs::read_dir(folder).expect("the demo").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| !matches!(path.file_name().and_then(|n| n.to_str()), Some("README.md" | "demo.json")))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_files_give_no_false_code_mark_or_repair() {
    let adapter = Adapter::start(&[]).await;
    let (mut columns, mut rows, mut found) = (0, 0, BTreeMap::new());
    let mut codes = Vec::new();
    for path in files() {
        let file = path.file_name().expect("a file").to_string_lossy().into_owned();
        // The layers of the geodatabase name no CRS.
        let crs = file.ends_with(".gdb.zip").then_some("EPSG:4326");
        // Of its surfaces nothing is left, which would refuse the others with them.
        let layer = file.ends_with(".gdb.zip").then(|| "point".to_owned());
        let ask = Ask { crs: crs.map(str::to_owned), all_layers: layer.is_none(), layer, ..Ask::named(&file) };
        let layers = read(&adapter, &ask, &std::fs::read(&path).expect("bytes")).await.expect(&file);
        for layer in &layers {
            rows += layer.rows();
            columns += layer.schema.fields().len();
            for field in layer.schema.fields() {
                let role = field.metadata().get("ukimet:role").cloned();
                codes.extend(role.map(|role| (file.clone(), field.name().clone(), role)));
            }
            let of_rule = |rule: &str| rule.starts_with("codes.") || rule.starts_with("numbers.");
            for finding in layer.report.diagnostics.iter().filter(|d| of_rule(&d.rule) && d.rule != "codes.detected") {
                *found.entry(format!("{file} {}", finding.rule)).or_insert(0) += finding.count;
            }
        }
    }
    let codes: Vec<_> =
        codes.iter().map(|(file, column, role)| (file.as_str(), column.as_str(), role.as_str())).collect();
    assert_eq!(codes, CODES);
    assert_eq!(found, BTreeMap::new());
    assert!(columns > 150 && rows > 20_000, "{columns} columns, {rows} rows");
}
