//! Verdicts and refused rows are kept with the push, unchanged pushes included, and rows are added to a version.

use crate::fixture::{Place, Push, batch, files, numbers, open, options, points, sorted, window};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions, SOURCE_COLUMNS_KEY, TableLimits, Transaction, VerifyOptions, verify};
use ukimet_model::{
    ErrorKind, Example, LayerOutcome, LayerReport, PushStatus, QuarantinedRow, Result, RowQuery, Severity, SystemClock,
    Verdict, VersionNumber,
};

/// A push with verdicts on rows, each of which was refused; all but the commit.
fn prepare(catalog: &Catalog, push: &Push, raw: &Path, refused: u64, onto: Option<u64>) -> Result<Transaction> {
    let mut transaction = catalog.begin(push.intent(raw))?;
    let dataset = push.dataset.parse()?;
    let mut layer = match onto {
        Some(base) => transaction.begin_addition(dataset, VersionNumber(base))?,
        None => transaction.begin_layer(dataset, push.batches[0].rows().schema())?,
    };
    for batch in &push.batches {
        layer.append(batch.clone())?;
    }
    for row in 0..refused {
        let example = Example { row: Some(row), field: Some("N".to_owned()), found: format!("n{row}"), taken: None };
        layer.add_verdict(&Verdict::new("test.rule", Severity::Error, "a test", example))?;
        let values = vec![Some(format!("0{row}")), None];
        layer.add_quarantined(&["N".to_owned(), "N".to_owned()], &QuarantinedRow { row, values })?;
    }
    let rows_taken = layer.rows();
    let report = LayerReport {
        rows_read: rows_taken + refused,
        rows_taken,
        rows_refused: refused,
        geometry_types: BTreeMap::from([("Point".to_owned(), rows_taken)]),
        ..LayerReport::default()
    };
    transaction.end_layer(layer, report)?;
    Ok(transaction)
}

fn send(catalog: &Catalog, push: &Push, refused: u64, onto: Option<u64>) -> Result<LayerOutcome> {
    let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
    raw.write_all(&push.bytes).expect("room");
    let transaction = prepare(catalog, push, raw.path(), refused, onto)?;
    Ok(transaction.commit()?.0.layers.remove(0))
}

fn is_whole(dir: &Path) -> bool {
    let report = verify(dir, &VerifyOptions { is_deep: true, journal: None }, &mut |_| ()).expect("a store");
    report.is_clean() && report.unreferenced == 0
}

#[test]
fn an_unchanged_push_keeps_its_own_tables_and_they_survive() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    send(&catalog, &Push::new("p1", "almaty/schools", &points(0..3)), 1, None).expect("published");
    let mut again = Push::new("p2", "almaty/schools", &points(0..3));
    again.bytes = b"the same rows from other bytes".to_vec();
    let outcome = send(&catalog, &again, 10_000, None).expect("taken");
    assert_eq!(outcome.status, PushStatus::Unchanged);
    drop(catalog);
    assert!(is_whole(dir.path()));
    let catalog = open(dir.path());
    let snapshot = catalog.snapshot();
    let record = snapshot.push("almaty", &"p2".parse().expect("valid")).expect("whole").expect("committed");
    let layer = &record.outcome.layers[0];
    assert_eq!(*layer, outcome);
    let table = snapshot.table(&record, &layer.quarantine.expect("refused rows")).expect("whole");
    assert_eq!(table.schema().metadata()[SOURCE_COLUMNS_KEY], r#"["N","N"]"#);
    let batches: Vec<_> = table.collect::<Result<_>>().expect("whole");
    let rows: Vec<u64> =
        batches.iter().flat_map(|b| b.column(0).as_primitive::<UInt64Type>().values().to_vec()).collect();
    assert_eq!(rows, (0..10_000).collect::<Vec<_>>());
    let last = batches.last().expect("some");
    let text = last.column_by_name("N").expect("first").as_string::<i32>();
    assert_eq!(text.value(text.len() - 1), "09999");
    assert!(last.column_by_name("N_2").expect("second").is_null(0));
    let verdicts: usize = snapshot
        .table(&record, &layer.verdicts.expect("verdicts"))
        .expect("whole")
        .map(|batch| batch.expect("whole").num_rows())
        .sum();
    assert_eq!(verdicts, 10_000);
}

#[test]
fn the_same_rows_give_the_same_tables() {
    let (a, b) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let push = Push::new("p1", "almaty/schools", &points(0..3));
    let [a, b] = [a, b].map(|dir| send(&open(dir.path()), &push, 5000, None).expect("published"));
    assert_eq!((a.verdicts, a.quarantine), (b.verdicts, b.quarantine));
}

#[test]
fn a_damaged_table_is_found_and_not_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let outcome = send(&catalog, &Push::new("p1", "almaty/schools", &points(0..3)), 2, None).expect("published");
    let table = outcome.verdicts.expect("verdicts");
    let path = dir.path().join(format!("receipts/{}.arrow", table.sha256));
    let mut bytes = std::fs::read(&path).expect("an object");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("room");
    let snapshot = catalog.snapshot();
    let record = snapshot.push("almaty", &"p1".parse().expect("valid")).expect("read").expect("committed");
    let error = snapshot.table(&record, &table).err().expect("damaged");
    assert!(error.message().contains(&table.sha256.to_string()), "{error}");
    let report = verify(dir.path(), &VerifyOptions::default(), &mut |_| ()).expect("a store");
    assert!(report.findings.iter().any(|f| f.object.contains(&table.sha256.to_string())), "{report:?}");
}

#[test]
fn a_push_that_is_not_committed_leaves_no_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    send(&catalog, &Push::new("p1", "almaty/schools", &points(0..3)), 2, None).expect("published");
    let before = files(&dir.path().join("receipts"));
    let push = Push::new("p2", "almaty/schools", &points(0..4));
    let transaction = prepare(&catalog, &push, Path::new("nowhere"), 3, None).expect("prepared");
    assert!(files(&dir.path().join("receipts")).len() > before.len(), "tables are durable before the commit");
    drop(transaction);
    assert_eq!(files(&dir.path().join("receipts")), before);
    assert_eq!(files(&dir.path().join("scratch")), []);
}

#[test]
fn more_rows_or_bytes_than_a_table_may_have_are_refused() {
    let few = TableLimits { rows_max: 3, bytes_max: 1 << 20 };
    let short = TableLimits { rows_max: 100, bytes_max: 40 };
    let roomy = TableLimits { rows_max: 100, bytes_max: 1 << 20 };
    for (verdict_limits, quarantine_limits, words) in [
        (few, roomy, "a layer has at most 3 verdicts"),
        (roomy, few, "a layer has at most 3 refused rows"),
        (short, roomy, "the verdicts of a layer have at most 40 bytes"),
        (roomy, TableLimits { bytes_max: 6, ..roomy }, "the refused rows of a layer have at most 6 bytes"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let limited = CatalogOptions { verdict_limits, quarantine_limits, ..options() };
        let catalog = Catalog::open(dir.path(), limited, Arc::new(SystemClock)).expect("a new store");
        let push = Push::new("p1", "almaty/schools", &points(0..3));
        let error = send(&catalog, &push, 4, None).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn rows_are_added_to_a_version_without_writing_its_rows_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = CatalogOptions { segment_rows_max: 4, ..options() };
    let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
    send(&catalog, &Push::new("p1", "almaty/schools", &points(0..10)), 3, None).expect("published");
    let outcome = send(&catalog, &Push::new("p2", "almaty/schools", &points(20..23)), 0, Some(1)).expect("added");
    assert_eq!((outcome.version.0, outcome.rows_added, outcome.rows_removed), (2, 3, 0));
    let snapshot = catalog.snapshot();
    let versions = snapshot.versions(&"almaty/schools".parse().expect("valid"), None, 9).expect("versions");
    assert_eq!(versions[0].segments[..3], versions[1].segments[..]);
    assert_eq!((versions[0].segments.len(), versions[0].rows, versions[0].geometry_types["Point"]), (4, 13, 13));
    let all = sorted(numbers(&snapshot, "almaty/schools", &RowQuery::default()).expect("rows"));
    assert_eq!(all, (0..10).chain(20..23).collect::<Vec<_>>());
    let found = numbers(&snapshot, "almaty/schools", &window([70.085, 42.0, 70.215, 44.0])).expect("rows");
    assert_eq!(sorted(found), [9, 20, 21]);
    assert_eq!(numbers(&snapshot, "almaty/schools@v1", &RowQuery::default()).expect("rows").len(), 10);
    assert!(is_whole(dir.path()));
    // The same rows pushed at once have the same root hash: a version is its rows, however they came.
    let rows: Vec<(i64, Place)> = points(0..10).into_iter().chain(points(20..23)).collect();
    let whole = Push::of_batches("p3", "almaty/schools", vec![batch(&rows)]);
    assert_eq!(send(&catalog, &whole, 0, None).expect("taken").status, PushStatus::Unchanged);
}

#[test]
fn rows_are_added_only_to_the_newest_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    send(&catalog, &Push::new("p1", "almaty/schools", &points(0..3)), 1, None).expect("published");
    send(&catalog, &Push::new("p2", "almaty/schools", &points(0..4)), 1, None).expect("published");
    let error = send(&catalog, &Push::new("p3", "almaty/schools", &points(9..10)), 0, Some(1)).expect_err("moved on");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("added to v1, but the newest version is v2"), "{error}");
    let none = Push::of_batches("p4", "almaty/schools", vec![batch(&[])]);
    assert_eq!(send(&catalog, &none, 0, Some(2)).expect("nothing to add").status, PushStatus::Unchanged);
}

#[test]
fn of_two_additions_at_once_one_is_told_of_the_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    send(&catalog, &Push::new("p1", "almaty/schools", &points(0..3)), 1, None).expect("published");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let add = |n: i64| {
            let push = Push::new(&format!("add-{n}"), "almaty/schools", &points(n..n + 1));
            let catalog = &catalog;
            scope.spawn(move || send(catalog, &push, 0, Some(1)))
        };
        let running: Vec<_> = (10..18).map(add).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|error| error.expect_err("lost").kind() == ErrorKind::Conflict));
    assert_eq!(numbers(&catalog.snapshot(), "almaty/schools", &RowQuery::default()).expect("rows").len(), 4);
    assert!(is_whole(dir.path()));
}
