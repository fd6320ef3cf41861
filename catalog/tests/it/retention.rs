//! Versions that are not kept are removed, and with them the files that nobody needs; whoever reads reads on.

use crate::fixture::{Push, deep, files, points, sorted};
use crate::versions::{SetClock, open_at, operate, publish, roll_back, rows, set_tag};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ukimet_catalog::{Catalog, Collected, Snapshot, verify};
use ukimet_model::{Action, ErrorKind, LayerReport, RetentionRule, RowQuery, VersionNumber, VersionSelector};

fn keep(keep_newest: u64) -> RetentionRule {
    RetentionRule { keep_newest: Some(keep_newest), keep_months: None, keep_tagged: true, keep_raw: false }
}

fn set_rule(catalog: &Catalog, id: &str, rule: RetentionRule) {
    operate(catalog, id, Action::SetRetention { rule: Some(rule) }).expect("set");
}

/// Removes what is not kept: the numbers of the versions, and what was collected.
fn clean(catalog: &Catalog) -> (Vec<u64>, Collected) {
    let removed = catalog.apply_retention("tester").expect("removed");
    let numbers = removed.into_iter().flat_map(|(_, versions)| versions).map(|version| version.0).collect();
    (numbers, catalog.collect_garbage().expect("collected"))
}

fn versions(snapshot: &Snapshot) -> Vec<u64> {
    let versions = snapshot.versions(&"almaty/schools".parse().expect("valid"), None, 99).expect("versions");
    versions.into_iter().map(|version| version.number.0).collect()
}

fn check_clean(dir: &Path) {
    let report = verify(dir, &deep(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}

fn raw_files(dir: &Path) -> usize {
    files(&dir.join("raw")).len()
}

#[test]
fn what_a_rule_does_not_keep_is_removed_with_its_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-03-01T10:00Z");
    let catalog = open_at(dir.path(), &clock);
    (1..=6).for_each(|rows| publish(&catalog, rows));
    operate(&catalog, "t", set_tag("final", Some("v2"), false)).expect("set");
    assert_eq!(clean(&catalog), (vec![], Collected::default()), "without a rule everything is kept");
    set_rule(&catalog, "k", keep(2));
    let before = files(dir.path()).len();
    let due = catalog.due_for_removal().expect("asked");
    assert_eq!(due[0].1, [VersionNumber(4), VersionNumber(3), VersionNumber(1)]);
    assert_eq!((files(dir.path()).len(), versions(&catalog.snapshot()).len()), (before, 6), "asking changes nothing");
    let then = catalog.snapshot().id();
    let (removed, collected) = clean(&catalog);
    assert_eq!(removed, [4, 3, 1]);
    // Three files of rows, a receipt that equals none other, and the bytes as sent, for each.
    assert!(collected.objects >= 3 * 4 && collected.bytes > 0, "{collected:?}");
    check_clean(dir.path());
    let snapshot = catalog.snapshot();
    assert_eq!(versions(&snapshot), [6, 5, 2]);
    assert_eq!(rows(&snapshot, "almaty/schools@final").expect("kept"), 2);
    for asked in [snapshot.clone(), snapshot.as_of(then).expect("there")] {
        let error = rows(&asked, "almaty/schools@v3").expect_err("removed");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let expected =
            "almaty/schools@v3 was removed by retention on 2026-03-01T10:00:00Z (keep the 2 newest, those with a tag)";
        assert_eq!(error.message(), expected);
    }
    assert_eq!(clean(&catalog), (vec![], Collected::default()), "nothing is left to remove");
    drop((catalog, snapshot));
    let catalog = open_at(dir.path(), &clock);
    let collected = catalog.collect_garbage().expect("collected");
    assert_eq!((collected, versions(&catalog.snapshot())), (Collected::default(), vec![6, 5, 2]));
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools@v5").expect("kept"), 5);
}

#[test]
fn the_newest_is_never_removed_and_the_last_months_are_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-01-01T00:00Z");
    let catalog = open_at(dir.path(), &clock);
    for month in 1..=6 {
        clock.set(&format!("2026-{month:02}-01T00:00Z"));
        publish(&catalog, month);
    }
    set_rule(&catalog, "k", RetentionRule { keep_newest: None, keep_months: Some(2), ..keep(1) });
    clock.set("2026-06-15T00:00Z");
    assert_eq!(clean(&catalog).0, [3, 2, 1]);
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools@2026-04-15").expect("kept"), 4, "any time of the two months");
    clock.set("2036-06-15T00:00Z");
    assert_eq!(clean(&catalog).0, [5, 4]);
    assert_eq!(versions(&catalog.snapshot()), [6]);
    check_clean(dir.path());
}

#[test]
fn whoever_holds_a_snapshot_or_a_scan_reads_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    (1..=3).for_each(|rows| publish(&catalog, rows));
    set_rule(&catalog, "k", keep(1));
    let held = catalog.snapshot();
    let (dataset, version) = held.version(&"almaty/schools@v1".parse().expect("valid")).expect("there");
    let scan = held.scan(&dataset, &version, &RowQuery::default(), 0..9).expect("opens");
    assert_eq!(clean(&catalog), (vec![2, 1], Collected::default()), "removed, but still read");
    assert_eq!(rows(&held, "almaty/schools@v2").expect("held"), 2);
    assert_eq!(versions(&held), [3, 2, 1]);
    drop(held);
    assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default(), "the scan has not begun to read");
    assert_eq!(scan.map(|batch| batch.expect("held").num_rows()).sum::<usize>(), 1);
    assert!(catalog.collect_garbage().expect("collected").objects > 0);
    check_clean(dir.path());
}

#[test]
fn bytes_as_sent_stay_with_the_versions_that_came_of_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 3);
    // Rows that come beside those of version 1: version 2 has the files of version 1 and its own.
    let more = Push::new("more", "almaty/schools", &points(7..9));
    let raw = dir.path().join("received");
    std::fs::write(&raw, &more.bytes).expect("room");
    let mut transaction = catalog.begin(more.intent(&raw)).expect("begun");
    let mut layer =
        transaction.begin_addition("almaty/schools".parse().expect("valid"), VersionNumber(1)).expect("begun");
    layer.append(more.batches[0].clone()).expect("taken");
    let report = LayerReport { rows_read: 2, rows_taken: 2, ..LayerReport::default() };
    transaction.end_layer(layer, report).expect("written");
    transaction.commit().expect("taken");
    set_rule(&catalog, "k", keep(1));
    assert_eq!(clean(&catalog).0, [1]);
    assert_eq!((raw_files(dir.path()), rows(&catalog.snapshot(), "almaty/schools").expect("rows")), (2, 5));
    publish(&catalog, 4);
    assert_eq!(clean(&catalog).0, [2]);
    assert_eq!(raw_files(dir.path()), 1, "no row of them is left");
    set_rule(&catalog, "k2", RetentionRule { keep_raw: true, ..keep(1) });
    publish(&catalog, 5);
    assert_eq!(clean(&catalog).0, [3]);
    assert_eq!(raw_files(dir.path()), 2, "they are kept on request");
    check_clean(dir.path());
}

#[test]
fn rows_that_come_again_do_not_bring_back_the_bytes_of_a_removed_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    set_up_two(&catalog);
    assert_eq!(clean(&catalog).0, [1]);
    // The rows of version 1 in other bytes: the same files of rows, but nothing of the first push.
    let again = Push { bytes: b"other bytes".to_vec(), ..Push::new("again", "almaty/schools", &points(100..101)) };
    again.send(&catalog).expect("taken");
    check_clean(dir.path());
    assert_eq!(clean(&catalog).0, [2]);
    assert_eq!(raw_files(dir.path()), 1);
    check_clean(dir.path());
}

fn set_up_two(catalog: &Catalog) {
    (1..=2).for_each(|rows| publish(catalog, rows));
    set_rule(catalog, "k", keep(1));
}

#[test]
fn a_rolled_back_version_keeps_what_the_removed_one_had() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    (1..=2).for_each(|rows| publish(&catalog, rows));
    operate(&catalog, "r", roll_back("v1", None)).expect("rolled back");
    set_rule(&catalog, "k", keep(1));
    assert_eq!(clean(&catalog).0, [2, 1]);
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools").expect("rows"), 1);
    assert_eq!(raw_files(dir.path()), 1);
    let error = operate(&catalog, "r2", roll_back("v2", None)).expect_err("removed");
    assert!(error.message().contains("was removed by retention"), "{error}");
    check_clean(dir.path());
}

#[test]
fn a_slow_push_keeps_the_files_that_it_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    set_rule(&catalog, "k", keep(1));
    // Its rows are those of version 1, whose files it uses; then version 1 is removed.
    let slow = Push::new("slow", "almaty/schools", &points(100..101));
    let (outcome, _) = slow
        .send_between(&catalog, || {
            publish(&catalog, 2);
            assert_eq!(clean(&catalog).0, [1]);
        })
        .expect("taken");
    assert_eq!(outcome.layers[0].version, VersionNumber(3));
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools").expect("rows"), 1);
    assert_eq!(clean(&catalog).0, [2]);
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools").expect("rows"), 1);
    check_clean(dir.path());
}

#[test]
fn an_abandoned_push_beside_a_collection_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    let push = Push::new("given up", "almaty/schools", &points(0..9));
    let failed = Push { id: "given-up".to_owned(), expected_version: Some(1), ..push };
    let error = failed.send_between(&catalog, || {
        assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default(), "it is still claimed");
        publish(&catalog, 2);
    });
    assert_eq!(error.map(|(outcome, _)| outcome).expect_err("v2 came first").kind(), ErrorKind::Conflict);
    check_clean(dir.path());
}

/// Rounds of pushes of the stress test.
const ROUNDS: i64 = 25;

#[test]
fn readers_and_slow_pushes_never_notice_retention_and_collections() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    set_rule(&catalog, "k", keep(2));
    let (is_over, collected, read) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (catalog, is_over, collected, read) = (&catalog, &is_over, &collected, &read);
        let pushers = [2, 3].map(|step| {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // The same few contents come again and again, so that files are found, removed and written anew.
                    let push = Push::new(&format!("p{step}-{round}"), "almaty/schools", &points(0..1 + round % step));
                    let wait = || std::thread::sleep(std::time::Duration::from_millis(round.unsigned_abs() % 5));
                    push.send_between(catalog, wait).expect("taken");
                }
            })
        });
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                let found = clean(catalog).1;
                collected.fetch_add(found.objects, Ordering::SeqCst);
            }
        });
        for _ in 0..2 {
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    read.fetch_add(read_all(&catalog.snapshot()), Ordering::SeqCst);
                }
            });
        }
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(collected.load(Ordering::SeqCst) > 3 && read.load(Ordering::SeqCst) > 20, "{collected:?} {read:?}");
    clean(&catalog);
    check_clean(dir.path());
}

/// Reads every version of a snapshot, twice, with time between; how many.
fn read_all(snapshot: &Snapshot) -> u64 {
    let numbers = versions(snapshot);
    let read = |number: u64| {
        let selector: VersionSelector = format!("almaty/schools@v{number}").parse().expect("valid");
        let found = crate::fixture::numbers(snapshot, &selector.to_string(), &RowQuery::default());
        let (_, version) = snapshot.version(&selector).expect("shown");
        snapshot.receipt(&version).expect("kept");
        sorted(found.expect("whole"))
    };
    let first: Vec<_> = numbers.iter().map(|number| read(*number)).collect();
    std::thread::sleep(std::time::Duration::from_millis(3));
    assert_eq!(numbers.iter().map(|number| read(*number)).collect::<Vec<_>>(), first);
    numbers.len() as u64
}
