//! Pushes become versions once, whoever else pushes.

use crate::fixture::{Push, batch, files, numbers, open, points, sorted};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use std::sync::Arc;
use ukimet_catalog::{VerifyOptions, verify};
use ukimet_model::batch::{described_field, role, unit};
use ukimet_model::{Batch, ErrorKind, PushStatus, RowQuery, VersionNumber};

#[test]
fn a_push_becomes_a_version_that_is_there_after_opening_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let (outcome, snapshot) = Push::new("p1", "almaty/schools", &points(0..100)).send(&catalog).expect("taken");
    assert_eq!((outcome.status, snapshot.id().0), (PushStatus::Published, 1));
    assert_eq!((outcome.layers[0].rows_added, outcome.layers[0].rows_removed), (100, 0));
    drop((catalog, snapshot));
    let catalog = open(dir.path());
    let snapshot = catalog.snapshot();
    let found = numbers(&snapshot, "almaty/schools", &RowQuery::default()).expect("rows");
    assert_eq!(sorted(found), (0..100).collect::<Vec<_>>());
    let (_, version) = snapshot.dataset(&"almaty/schools".parse().expect("valid")).expect("there");
    assert_eq!((version.number, version.rows, version.segments.len()), (VersionNumber(1), 100, 1));
    assert_eq!(version.bbox.expect("places"), [70.0, 43.0, 70.99, 43.0].into());
    assert_eq!(snapshot.receipt(&version).expect("a receipt").rows_taken, 100);
}

#[test]
fn equal_rows_in_another_order_are_no_new_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..50)).send(&catalog).expect("taken");
    let before = files(&dir.path().join("data"));
    let mut rows = points(0..50);
    rows.reverse();
    let (outcome, snapshot) = Push::new("p2", "almaty/schools", &rows).send(&catalog).expect("taken");
    assert_eq!((outcome.status, outcome.layers[0].version), (PushStatus::Unchanged, VersionNumber(1)));
    assert_eq!(files(&dir.path().join("data")), before, "no segment is written");
    assert_eq!(
        snapshot.push("almaty", &"p2".parse().expect("valid")).expect("read").expect("recorded").outcome,
        outcome
    );
}

#[test]
fn roles_and_units_stay_with_their_columns_and_alone_make_no_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let described = |id: &str, role: &str, rows: i64| {
        let rows = batch(&points(0..rows)).into_rows();
        let mut fields = rows.schema().fields().to_vec();
        fields[0] = described_field(&fields[0], Some(role), Some("га"));
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), rows.columns().to_vec()).expect("fits");
        Push::of_batches(id, "almaty/schools", vec![Batch::try_new(rows).expect("normalized")]).send(&catalog)
    };
    described("p1", "iin", 3).expect("taken");
    let (outcome, _) = described("p2", "bin", 3).expect("taken");
    assert_eq!((outcome.status, outcome.layers[0].version), (PushStatus::Unchanged, VersionNumber(1)));
    let read = |snapshot: &ukimet_catalog::Snapshot| {
        let (dataset, version) = snapshot.dataset(&"almaty/schools".parse().expect("valid")).expect("there");
        let field = &version.fields[0];
        let scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..9).expect("opens");
        let given = Arc::clone(&scan.schema().fields()[0]);
        assert_eq!((field.role.as_deref(), field.unit.as_deref()), (role(&given), unit(&given)));
        (field.role.clone().expect("a role"), field.unit.clone().expect("a unit"))
    };
    assert_eq!(read(&catalog.snapshot()), ("iin".to_owned(), "га".to_owned()), "a version never changes");
    described("p3", "bin", 4).expect("taken");
    drop(catalog);
    let catalog = open(dir.path());
    assert_eq!(read(&catalog.snapshot()), ("bin".to_owned(), "га".to_owned()));
}

#[test]
fn a_changed_row_is_counted_as_one_added_and_one_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..50)).send(&catalog).expect("taken");
    let mut rows = points(0..50);
    rows[7].0 = 700;
    rows.push(points(50..51).remove(0));
    let (outcome, _) = Push::new("p2", "almaty/schools", &rows).send(&catalog).expect("taken");
    assert_eq!((outcome.layers[0].rows_added, outcome.layers[0].rows_removed), (2, 1));
}

#[test]
fn a_repeated_push_is_answered_as_before_and_its_id_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = Push::new("p1", "almaty/schools", &points(0..5));
    let (first, _) = push.send(&catalog).expect("taken");
    let (again, snapshot) = push.send(&catalog).expect("answered");
    assert_eq!((first, snapshot.id().0), (again, 1));
    let error = Push::new("p1", "almaty/schools", &points(0..6)).send(&catalog).expect_err("other bytes");
    assert_eq!(error.kind(), ErrorKind::AlreadyUsed);
    assert!(error.message().contains("p1") && error.message().contains("snapshot 1"), "{error}");
    Push::new("p1", "astana/malls", &points(0..6)).send(&catalog).expect("ids are per agency");
}

#[test]
fn a_push_that_builds_on_an_old_version_is_a_conflict() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = |id: &str, rows, expected| Push {
        expected_version: Some(expected),
        ..Push::new(id, "almaty/schools", &points(0..rows))
    };
    push("p1", 1, 0).send(&catalog).expect("the first");
    push("p2", 2, 1).send(&catalog).expect("the second");
    let error = push("p3", 3, 1).send(&catalog).expect_err("v2 is the newest");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, "expected v1, current v2"));
    assert_eq!(catalog.snapshot().id().0, 2);
}

#[test]
fn metadata_that_is_not_given_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..1)).titled("ru", "Школы").send(&catalog).expect("taken");
    Push::new("p2", "almaty/schools", &points(0..2)).send(&catalog).expect("taken");
    let id = "almaty/schools".parse().expect("valid");
    assert_eq!(catalog.snapshot().dataset(&id).expect("there").0.metadata.title["ru"], "Школы");
    let renamed = Push::new("p3", "almaty/schools", &points(0..2)).titled("ru", "Школы города");
    assert_eq!(renamed.send(&catalog).expect("taken").0.status, PushStatus::Unchanged);
    assert_eq!(catalog.snapshot().dataset(&id).expect("there").0.metadata.title["ru"], "Школы города");
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..3)).send(&catalog).expect("taken");
    let before: Vec<_> = files(dir.path()).into_iter().filter(|(path, _)| !path.starts_with("projection")).collect();
    let push = Push::new("p2", "almaty/schools", &points(0..4));
    let mut transaction = catalog.begin(push.intent(dir.path())).expect("begun");
    let mut layer = transaction
        .begin_layer("almaty/schools".parse().expect("valid"), push.batches[0].rows().schema())
        .expect("begun");
    layer.append(push.batches[0].clone()).expect("taken");
    let report = ukimet_model::LayerReport { rows_taken: 4, ..Default::default() };
    transaction.end_layer(layer, report).expect("written");
    assert!(files(dir.path()).len() > before.len());
    drop(transaction);
    let after: Vec<_> = files(dir.path()).into_iter().filter(|(path, _)| !path.starts_with("projection")).collect();
    assert_eq!(after, before);
}

#[test]
fn received_bytes_that_are_not_the_declared_ones_are_not_committed() {
    for is_beside in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = open(dir.path());
        let push = Push::new("p1", "almaty/schools", &points(0..4));
        let raw = dir.path().join("received");
        std::fs::write(&raw, b"other bytes").expect("room");
        let mut transaction = catalog.begin(push.intent(&raw)).expect("begun");
        let mut layer = transaction
            .begin_layer("almaty/schools".parse().expect("valid"), push.batches[0].rows().schema())
            .expect("begun");
        layer.append(push.batches[0].clone()).expect("taken");
        if is_beside {
            transaction.store_raw_beside();
        }
        let report = ukimet_model::LayerReport { rows_taken: 4, ..Default::default() };
        transaction.end_layer(layer, report).expect("written");
        let error = transaction.commit().map(|(outcome, _)| outcome).expect_err("other bytes");
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert_eq!((catalog.snapshot().id().0, files(&dir.path().join("data"))), (0, vec![]));
    }
}

#[test]
fn bytes_that_are_stored_beside_are_those_of_the_push_and_go_with_it_if_it_is_not_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let raw = || files(&dir.path().join("raw")).len();
    let push = Push::new("p1", "almaty/schools", &points(0..4));
    let (_file, mut transaction) = push.prepared(&catalog).expect("written");
    transaction.store_raw_beside();
    drop(transaction);
    assert_eq!((raw(), files(&dir.path().join("data"))), (0, vec![]));
    let (file, mut transaction) = push.prepared(&catalog).expect("written");
    // A second layer asks again.
    transaction.store_raw_beside();
    transaction.store_raw_beside();
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while raw() == 0 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(raw(), 1, "they do not wait for the commit");
    // What was stored is not read again.
    std::fs::write(file.path(), b"other bytes").expect("room");
    let (_, snapshot) = transaction.commit().expect("committed");
    let (_, version) = snapshot.dataset(&"almaty/schools".parse().expect("valid")).expect("there");
    let mut stored = Vec::new();
    snapshot.copy_raw(&version.asset, &mut stored).expect("whole");
    assert_eq!(stored, push.bytes);
}

#[test]
fn bytes_as_sent_are_the_same_when_they_are_read_back_whatever_their_size() {
    const FRAME_BYTES: usize = 4 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    for (size, id) in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES].into_iter().zip(1..) {
        let mut push = Push::new(&format!("p{id}"), "almaty/schools", &points(0..id));
        push.bytes = (0..size).map(|i| (i * i / 1000 % 251) as u8).collect();
        let (_, snapshot) = push.send(&catalog).expect("committed");
        let (_, version) = snapshot.dataset(&"almaty/schools".parse().expect("valid")).expect("there");
        let mut stored = Vec::new();
        snapshot.copy_raw(&version.asset, &mut stored).expect("whole");
        assert!(stored == push.bytes, "{size} bytes");
    }
}

#[test]
fn pushes_from_many_threads_make_dense_versions() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let barrier = Arc::new(std::sync::Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|thread: i64| {
            let (catalog, barrier) = (catalog.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                for i in 0..3 {
                    let own = format!("agency-{thread}/own");
                    Push::new(&format!("own-{thread}-{i}"), &own, &points(0..i + 1)).send(&catalog).expect("taken");
                    let rows = points(thread * 10 + i..thread * 10 + i + 2);
                    let shared = Push::new(&format!("shared-{thread}-{i}"), "all/shared", &rows);
                    shared.send(&catalog).expect("taken");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let snapshot = catalog.snapshot();
    let newest = |id: &str| snapshot.dataset(&id.parse().expect("valid")).expect("there").1.number.0;
    assert!((0..16).all(|thread| newest(&format!("agency-{thread}/own")) == 3));
    assert_eq!(newest("all/shared"), 48);
    assert!(snapshot.id().0 < 96, "commits are made in groups: {}", snapshot.id());
    assert_eq!(snapshot.dataset_count().expect("counted"), 17);
    let mut outcomes: Vec<u64> = (0..16)
        .flat_map(|thread| (0..3).map(move |i| format!("shared-{thread}-{i}")))
        .map(|id| snapshot.push("all", &id.parse().expect("valid")).expect("read").expect("recorded").outcome)
        .map(|outcome| outcome.layers[0].version.0)
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, (1..=48).collect::<Vec<_>>(), "every push has a version of its own");
    assert_eq!(
        verify(dir.path(), &VerifyOptions { is_deep: true, journal: None }, &mut |_| ()).expect("a store").findings,
        vec![]
    );
}

#[test]
fn the_same_push_from_many_threads_is_committed_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = Push::new("p1", "almaty/schools", &points(0..20));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (catalog, push) = (catalog.clone(), push.clone());
            std::thread::spawn(move || push.send(&catalog).expect("answered").0)
        })
        .collect();
    let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
    assert_eq!(catalog.snapshot().id().0, 1);
    let report = verify(dir.path(), &VerifyOptions { is_deep: true, journal: None }, &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}

#[test]
fn a_snapshot_answers_the_same_after_later_commits() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..5)).titled("en", "old schools").send(&catalog).expect("taken");
    let old = catalog.snapshot();
    let query = ukimet_model::DatasetQuery { text: "old".to_owned(), limit: 10, ..Default::default() };
    let ask = || {
        (
            old.id(),
            old.dataset_count().expect("counted"),
            old.search(&query).expect("an answer"),
            old.versions(&"almaty/schools".parse().expect("valid"), None, 10).expect("versions"),
            numbers(&old, "almaty/schools", &RowQuery::default()).expect("rows"),
            old.dataset(&"astana/malls".parse().expect("valid")).map_err(|e| e.kind()),
            old.push("almaty", &"p2".parse().expect("valid")).expect("read"),
        )
    };
    let before = ask();
    for i in 0..12 {
        let push = Push::new(&format!("q{i}"), "almaty/schools", &points(i..i + 3)).titled("en", "new schools");
        push.send(&catalog).expect("taken");
    }
    Push::new("p2", "almaty/malls", &points(0..5)).send(&catalog).expect("taken");
    assert_eq!(ask(), before);
    assert_eq!(before.2.total, 1);
    assert_eq!(catalog.snapshot().search(&query).expect("an answer").total, 0);
}

#[test]
fn versions_are_listed_from_the_newest_down() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    for i in 1..=5 {
        Push::new(&format!("p{i}"), "almaty/schools", &points(0..i)).send(&catalog).expect("taken");
    }
    let snapshot = catalog.snapshot();
    let id = "almaty/schools".parse().expect("valid");
    let list = |before, limit| -> Vec<u64> {
        let versions = snapshot.versions(&id, before, limit).expect("versions");
        versions.into_iter().map(|version| version.number.0).collect()
    };
    assert_eq!(list(None, 2), [5, 4]);
    assert_eq!(list(Some(VersionNumber(4)), 2), [3, 2]);
    assert_eq!(list(Some(VersionNumber(2)), 9), [1]);
    let error = snapshot.version(&"almaty/schools@v9".parse().expect("valid")).expect_err("no v9");
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::NotFound, "dataset almaty/schools has no version v9, the newest is v5")
    );
    assert_eq!(sorted(numbers(&snapshot, "almaty/schools@v2", &RowQuery::default()).expect("rows")), [0, 1]);
}
