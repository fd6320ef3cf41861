//! Files made of rows: durable with their version, checked, shared by versions, gone with a push that failed.

use crate::fixture::{Push, files, open, options, points, sha256};
use std::io::Write;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions, Snapshot, VerifyOptions, verify};
use ukimet_model::{ErrorKind, LayerReport, PushOutcome, PushStatus, Result, Sha256, SystemClock};

/// A push with a file that is declared with this hash.
fn send_declared(catalog: &Catalog, push: &Push, file: &[u8], declared: Sha256) -> Result<(PushOutcome, Snapshot)> {
    let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
    raw.write_all(&push.bytes).expect("room");
    let mut transaction = catalog.begin(push.intent(raw.path()))?;
    let mut layer = transaction.begin_layer(push.dataset.parse()?, push.batches[0].rows().schema())?;
    for batch in &push.batches {
        layer.append(batch.clone())?;
    }
    layer.begin_asset("relief".to_owned(), "image/tiff".to_owned(), 0)?;
    for part in file.chunks(7) {
        layer.append_asset(part)?;
    }
    layer.end_asset(declared, file.len() as u64)?;
    let rows = layer.rows();
    transaction.end_layer(layer, LayerReport { rows_read: rows, rows_taken: rows, ..LayerReport::default() })?;
    transaction.commit()
}

fn send(catalog: &Catalog, push: &Push, file: &[u8]) -> Result<(PushOutcome, Snapshot)> {
    send_declared(catalog, push, file, sha256(file))
}

#[test]
fn a_file_lives_and_is_checked_with_its_version() {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = open(dir.path());
    let file = b"the pixels of a raster".repeat(100);
    send(&catalog, &Push::new("one", "a/relief", &points(0..3)), &file).expect("published");
    let (outcome, _) = send(&catalog, &Push::new("two", "a/relief", &points(0..3)), &file).expect("the same");
    assert_eq!(outcome.status, PushStatus::Unchanged);
    send(&catalog, &Push::new("three", "a/relief", &points(0..4)), b"others").expect("published");
    drop(catalog);
    let catalog = open(dir.path());
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.version(&"a/relief@v1".parse().expect("valid")).expect("the first");
    let asset = &version.assets[0];
    assert_eq!((asset.sha256, asset.size_bytes, asset.name.as_str()), (sha256(&file), 2200, "relief"));
    let bytes = snapshot.asset(&dataset, asset).expect("whole");
    assert_eq!((bytes.size_bytes(), bytes.read(4, 6).expect("inside").as_ref()), (2200, b"pixels".as_slice()));
    snapshot.link_asset(&dataset, asset, "scratch/link.tif").expect("a second name");
    assert_eq!(std::fs::read(dir.path().join("scratch/link.tif")).expect("read"), file);
    drop((snapshot, catalog));
    assert!(
        verify(dir.path(), &VerifyOptions { is_deep: true, journal: None }, &mut |_| ()).expect("a store").is_clean()
    );

    let name = format!("{}.tif", asset.sha256);
    let path = files(dir.path()).into_iter().map(|(path, _)| path).find(|path| path.ends_with(&name)).expect("stored");
    std::fs::write(dir.path().join(&path), &file[1..]).expect("written");
    let report = verify(dir.path(), &VerifyOptions::default(), &mut |_| ()).expect("a store");
    assert_eq!(report.findings.iter().map(|found| found.object.as_str()).collect::<Vec<_>>(), [path.as_str()]);
    let error = open(dir.path()).snapshot().asset(&dataset, asset).map(|_| ()).expect_err("damaged");
    assert!(error.kind() == ErrorKind::Internal && error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_file_that_came_wrong_or_too_large_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let limited = CatalogOptions { asset_bytes_max: 10, ..options() };
    let catalog = Catalog::open(dir.path(), limited, Arc::new(SystemClock)).expect("opens");
    let push = Push::new("one", "a/relief", &points(0..3));
    let error = send_declared(&catalog, &push, b"pixels", sha256(b"other")).map(|_| ()).expect_err("another hash");
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
    let error = send(&catalog, &push, b"more than ten").map(|_| ()).expect_err("too large");
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("at most 10 bytes"), "{error}");
    assert!(!files(dir.path()).iter().any(|(path, _)| path.contains(".tif") || path.starts_with("scratch/")));
    send(&catalog, &push, b"ten bytes!").expect("at the limit");
}
