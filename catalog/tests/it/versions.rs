//! Versions named by tag and time, snapshots of the past, notes, rollback.

use crate::fixture::{Push, deep, files, numbers, open, points};
use jiff::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex};
use ukimet_catalog::{Catalog, CatalogOptions, OperationIntent, Snapshot, verify};
use ukimet_model::{
    Action, Clock, DatasetQuery, ErrorKind, OperationOutcome, OperationStatus, Result, RowQuery, SnapshotId,
    VersionNumber,
};

/// A clock that a test sets.
pub(crate) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub(crate) fn at(time: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(time.parse().expect("a time"))))
    }

    pub(crate) fn set(&self, time: &str) {
        *self.0.lock().expect("no panic") = time.parse().expect("a time");
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic")
    }
}

pub(crate) fn open_at(dir: &Path, clock: &Arc<SetClock>) -> Catalog {
    let options = CatalogOptions { disk_reserve_bytes: 0, tags_max: 3, notes_max: 2, ..CatalogOptions::default() };
    Catalog::open(dir, options, Arc::clone(clock) as Arc<dyn Clock>).expect("opens")
}

/// Does something to `almaty/schools`.
pub(crate) fn operate(catalog: &Catalog, id: &str, action: Action) -> Result<OperationOutcome> {
    operate_on(catalog, "almaty/schools", id, action)
}

/// Does something to a dataset.
pub(crate) fn operate_on(catalog: &Catalog, dataset: &str, id: &str, action: Action) -> Result<OperationOutcome> {
    let intent = OperationIntent {
        id: id.parse()?,
        principal: "tester".to_owned(),
        why: format!("because of {id}"),
        dataset: dataset.parse()?,
        action,
    };
    catalog.operate(intent).map(|(outcome, _, _)| outcome)
}

pub(crate) fn set_tag(tag: &str, version: Option<&str>, is_move: bool) -> Action {
    let version = version.map(|version| version.parse().expect("a choice"));
    Action::SetTag { tag: tag.parse().expect("a tag"), version, is_move }
}

pub(crate) fn roll_back(to: &str, expected_version: Option<u64>) -> Action {
    Action::RollBack { to: to.parse().expect("a choice"), expected_version, new_major: false }
}

/// Pushes `almaty/schools` with `rows` points.
pub(crate) fn publish(catalog: &Catalog, rows: i64) {
    Push::new(&format!("p{rows}"), "almaty/schools", &points(rows * 100..rows * 101)).send(catalog).expect("taken");
}

pub(crate) fn rows(snapshot: &Snapshot, selector: &str) -> Result<usize> {
    numbers(snapshot, selector, &RowQuery::default()).map(|numbers| numbers.len())
}

#[test]
fn a_version_is_found_by_the_time_it_was_the_newest() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-01-01T00:00Z");
    let catalog = open_at(dir.path(), &clock);
    for month in 1..=9 {
        clock.set(&format!("2026-{month:02}-01T00:00Z"));
        publish(&catalog, month);
    }
    let snapshot = catalog.snapshot();
    for (time, expected) in [
        ("2026-01-01", 1),
        ("2026-01-31T23:59Z", 1),
        ("2026-05-01", 5),
        ("2026-05-01T04:59+05:00", 4),
        ("2030-01-01", 9),
    ] {
        assert_eq!(rows(&snapshot, &format!("almaty/schools@{time}")).expect(time), expected, "{time}");
    }
    let error = rows(&snapshot, "almaty/schools@2025-12-31").expect_err("there was none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("no version yet at 2025-12-31T00:00:00Z"), "{error}");
}

#[test]
fn a_clock_that_goes_back_does_not_take_commits_along() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-05-01T00:00Z");
    let catalog = open_at(dir.path(), &clock);
    publish(&catalog, 1);
    drop(catalog);
    clock.set("2026-04-01T00:00Z");
    let catalog = open_at(dir.path(), &clock);
    publish(&catalog, 2);
    let versions = catalog.snapshot().versions(&"almaty/schools".parse().expect("valid"), None, 9).expect("versions");
    assert_eq!(versions[0].committed, versions[1].committed);
}

#[test]
fn a_tag_moves_only_when_told_and_its_past_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    (1..=3).for_each(|rows| publish(&catalog, rows));
    let done = operate(&catalog, "t1", set_tag("final", Some("v2"), false)).expect("set");
    assert_eq!((done.status, done.version, done.before), (OperationStatus::Done, Some(VersionNumber(2)), None));
    let first = catalog.snapshot();
    let same = operate(&catalog, "t2", set_tag("final", Some("v2"), false)).expect("set already");
    assert_eq!(same.status, OperationStatus::Unchanged);
    let error = operate(&catalog, "t3", set_tag("final", None, false)).expect_err("it is on v2");
    assert_eq!(error.kind(), ErrorKind::AlreadyUsed);
    let moved = operate(&catalog, "t4", set_tag("final", None, true)).expect("moved");
    assert_eq!((moved.version, moved.before), (Some(VersionNumber(3)), Some(VersionNumber(2))));
    let newest = catalog.snapshot();
    assert_eq!(rows(&newest, "almaty/schools@final").expect("tagged"), 3);
    assert_eq!(rows(&first, "almaty/schools@final").expect("tagged"), 2, "a held snapshot");
    let past = newest.as_of(first.id()).expect("there");
    assert_eq!(rows(&past, "almaty/schools@final").expect("tagged"), 2, "a snapshot of the past");
    operate(&catalog, "t5", Action::DeleteTag { tag: "final".parse().expect("a tag") }).expect("deleted");
    let error = rows(&catalog.snapshot(), "almaty/schools@final").expect_err("deleted");
    assert!(error.message().contains("has no tag final; it has none"), "{error}");
    let history = catalog.snapshot().tag_history(&"almaty/schools".parse().expect("valid")).expect("read");
    let versions: Vec<_> = history.iter().map(|tag| tag.version.map(|version| version.0)).collect();
    assert_eq!(versions, [Some(2), Some(3), None]);
    assert_eq!((history[1].principal.as_str(), history[1].why.as_str()), ("tester", "because of t4"));
}

#[test]
fn a_repeated_operation_changes_nothing_and_answers_as_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    // The newest is meant: after a repetition still the one that was the newest then.
    let first = operate(&catalog, "t1", set_tag("final", None, false)).expect("set");
    publish(&catalog, 2);
    let before = catalog.snapshot().id();
    assert_eq!(operate(&catalog, "t1", set_tag("final", None, false)).expect("answered"), first);
    assert_eq!(catalog.snapshot().id(), before);
    let error = operate(&catalog, "t1", set_tag("other", None, false)).expect_err("another operation");
    assert_eq!(error.kind(), ErrorKind::AlreadyUsed);
    drop(catalog);
    let catalog = open(dir.path());
    assert_eq!(operate(&catalog, "t1", set_tag("final", None, false)).expect("answered"), first, "opened again");
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools@final").expect("tagged"), 1);
}

#[test]
fn tags_and_notes_have_limits() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    let note = |text: &str| Action::AddNote { version: None, text: text.to_owned() };
    for n in 1..=3 {
        operate(&catalog, &format!("t{n}"), set_tag(&format!("tag{n}"), None, false)).expect("set");
    }
    for n in 1..=2 {
        operate(&catalog, &format!("n{n}"), note("checked by hand\nand found right")).expect("written");
    }
    let limit = |id: &str, action| operate(&catalog, id, action).expect_err(id).kind();
    assert_eq!(limit("t4", set_tag("tag4", None, false)), ErrorKind::LimitReached);
    assert_eq!(limit("n3", note("x")), ErrorKind::LimitReached);
    publish(&catalog, 2);
    assert_eq!(limit("n4", note(&"x".repeat(10_001))), ErrorKind::LimitReached);
    assert_eq!(limit("n5", note(" ")), ErrorKind::InvalidRequest);
    assert_eq!(limit("n6", note("\u{1b}[31m")), ErrorKind::InvalidRequest);
    let id = "almaty/schools".parse().expect("valid");
    let notes = catalog.snapshot().notes(&id, VersionNumber(1)).expect("read");
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0].text, "checked by hand\nand found right");
    assert!(catalog.snapshot().notes(&id, VersionNumber(2)).expect("read").is_empty());
}

#[test]
fn a_rollback_is_a_new_version_of_the_same_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    (1..=3).for_each(|rows| publish(&catalog, rows));
    let before = files(&dir.path().join("data"));
    let done = operate(&catalog, "r1", roll_back("v1", Some(3))).expect("rolled back");
    assert_eq!((done.version, done.before), (Some(VersionNumber(4)), Some(VersionNumber(3))));
    assert_eq!(files(&dir.path().join("data")), before, "no byte is copied");
    let snapshot = catalog.snapshot();
    let of = |selector: &str| snapshot.version(&selector.parse().expect("valid")).expect("there").1;
    let (old, new) = (of("almaty/schools@v1"), of("almaty/schools"));
    assert_eq!((new.root_hash, &new.segments, &new.push_id), (old.root_hash, &old.segments, &old.push_id));
    assert_eq!((new.rolled_back_to, old.rolled_back_to), (Some(VersionNumber(1)), None));
    assert_eq!(rows(&snapshot, "almaty/schools").expect("rows"), 1);
    let again = operate(&catalog, "r2", roll_back("v1", None)).expect("equal already");
    assert_eq!((again.status, again.version), (OperationStatus::Unchanged, Some(VersionNumber(4))));
    let error = operate(&catalog, "r3", roll_back("v2", Some(3))).expect_err("v4 is the newest");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, "expected v3, current v4"));
    let push = Push { expected_version: Some(3), ..Push::new("p9", "almaty/schools", &points(0..9)) };
    let error = push.send(&catalog).map(|(outcome, _)| outcome).expect_err("v4 is the newest");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, "expected v3, current v4"));
    let report = verify(dir.path(), &deep(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}

#[test]
fn a_push_that_a_rollback_overtakes_is_compared_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    (1..=2).for_each(|rows| publish(&catalog, rows));
    // Its rows are those of version 2, the newest when they are compared.
    let slow = Push::new("slow", "almaty/schools", &points(200..202));
    let (outcome, _) = slow
        .send_between(&catalog, || {
            operate(&catalog, "r1", roll_back("v1", None)).expect("rolled back");
        })
        .expect("taken");
    assert_eq!(outcome.layers[0].version, VersionNumber(4));
    assert_eq!((outcome.layers[0].rows_added, outcome.layers[0].rows_removed), (2, 1));
    assert_eq!(rows(&catalog.snapshot(), "almaty/schools").expect("rows"), 2);
}

#[test]
fn the_past_is_found_by_the_words_and_places_of_then() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = |id: &str, dataset: &str, rows, title: &str| {
        Push::new(id, dataset, &points(rows)).titled("ru", title).send(&catalog).expect("taken");
    };
    push("p1", "almaty/schools", 0..5, "Школы города");
    push("p2", "almaty/malls", 500..501, "Торговые центры");
    let then = catalog.snapshot();
    push("p3", "almaty/schools", 900..905, "Лицеи");
    push("p4", "astana/schools", 0..5, "Школы столицы");
    let past = catalog.snapshot().as_of(then.id()).expect("there");
    let west = Some([69.0, 42.0, 71.0, 44.0].into());
    for (text, bbox) in [("школа", None), ("лицей", None), ("", None), ("", west), ("школа", west), ("города", west)]
    {
        let query = DatasetQuery { text: text.to_owned(), bbox, limit: 10, ..DatasetQuery::default() };
        let (expected, found) = (then.search(&query).expect("an answer"), past.search(&query).expect("an answer"));
        assert_eq!(found, expected, "{query:?}");
        assert_ne!(found, catalog.snapshot().search(&query).expect("an answer"), "{query:?}");
    }
    assert_eq!((past.id(), past.dataset_count().expect("counted")), (SnapshotId(2), 2));
    let empty = past.as_of(SnapshotId(0)).expect("there");
    assert_eq!((empty.dataset_count().expect("counted"), rows(&empty, "almaty/schools").is_err()), (0, true));
    let error = past.as_of(SnapshotId(3)).expect_err("later than the past one");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn operations_of_many_threads_and_pushes_are_committed_each_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_at(dir.path(), &SetClock::at("2026-01-01T00:00Z"));
    publish(&catalog, 1);
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let catalog = &catalog;
            scope.spawn(move || {
                for n in 0..4 {
                    // Two threads each ask for the same.
                    let id = format!("t{}-{n}", thread / 2);
                    operate(catalog, &id, set_tag("final", None, true)).expect("set or answered");
                }
                Push::new(&format!("q{thread}"), "almaty/schools", &points(0..thread.into())).send(catalog)
            });
        }
    });
    let report = verify(dir.path(), &deep(), &mut |_| ()).expect("a store");
    assert_eq!(report.findings, vec![]);
    let recorded = |id: String| catalog.snapshot().operation("almaty", &id.parse().expect("valid")).expect("read");
    assert!((0..4).all(|thread| (0..4).all(|n| recorded(format!("t{thread}-{n}")).is_some())));
    let history = catalog.snapshot().tag_history(&"almaty/schools".parse().expect("valid")).expect("read");
    assert!(history.windows(2).all(|pair| pair[0].version != pair[1].version), "a tag that stays is not set again");
}
