//! Erased rows are gone from every version and every file, and everything else is as it was.

use crate::erasing::{DATASET, Person, Push, codes, codes_of, erase, holders, key_hash, of_codes, people, person};
use crate::fixture::{deep, files, open, window};
use std::path::Path;
use ukimet_catalog::{Catalog, Erasure, VerifyReport, backup, restore, verify};
use ukimet_model::{
    Action, DatasetId, ErrorKind, PushId, PushStatus, RetentionRule, RowQuery, VersionNumber, VersionSelector,
};

/// Random enough to be found wherever it is.
const MARKER: &str = "q7XvW2-ztR9";

/// The person who is to be forgotten.
pub(crate) fn forgotten() -> Person {
    (format!("code-{MARKER}"), format!("name-{MARKER}"), 5)
}

pub(crate) fn code() -> String {
    forgotten().0
}

pub(crate) fn id() -> DatasetId {
    DATASET.parse().expect("valid")
}

pub(crate) fn checked(dir: &Path) -> VerifyReport {
    let report = verify(dir, &deep(), &mut |_| ()).expect("a store");
    assert_eq!((&report.findings, report.unreferenced), (&vec![], 0));
    report
}

fn all(catalog: &Catalog, version: u64) -> Vec<String> {
    codes(&catalog.snapshot(), version, &RowQuery::default()).expect("read")
}

fn with_forgotten(rows: std::ops::Range<i64>) -> Vec<Person> {
    people(rows).into_iter().chain([forgotten()]).collect()
}

/// Six versions, in all of which but the fifth the person is or was: a first state, an update beside, a full state again
/// that changes others, one that changes the person, one without, a rollback.
pub(crate) fn fill(catalog: &Catalog) {
    Push::replace("p1", with_forgotten(0..50)).send(catalog).expect("taken");
    Push::upsert("p2", people(50..60)).send(catalog).expect("taken");
    let mut changed = with_forgotten(0..60);
    "another name".clone_into(&mut changed[3].1);
    Push::replace("p3", changed.clone()).send(catalog).expect("taken");
    changed[60].1 = format!("second {MARKER}");
    changed[60].2 = 900;
    Push::replace("p4", changed.clone()).send(catalog).expect("taken");
    changed.truncate(60);
    Push::replace("p5", changed).send(catalog).expect("taken");
    let action = Action::RollBack { to: "v2".parse().expect("a choice"), expected_version: None, new_major: false };
    crate::versions::operate_on(catalog, DATASET, "r", action).expect("rolled back");
    // The same again, which changes nothing, but its bytes hold everybody.
    let again = Push { salt: "again".to_owned(), ..Push::replace("p6", with_forgotten(0..60)) };
    assert_eq!(again.send(catalog).expect("taken").status, PushStatus::Unchanged);
}

pub(crate) fn check_gone(dir: &Path) {
    assert_eq!(holders(dir, MARKER.as_bytes()), Vec::<String>::new());
    assert_eq!(holders(dir, &key_hash(&code())), Vec::<String>::new());
}

#[test]
fn an_erased_row_is_in_no_version_and_no_file_holds_a_byte_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    assert!(holders(dir.path(), MARKER.as_bytes()).len() > 5, "the search finds what is there");
    for sought in [MARKER.as_bytes(), &key_hash(&code())] {
        assert!(holders(dir.path(), sought).iter().any(|name| name.ends_with(".changes")), "what was there before");
    }
    let before: Vec<_> = (1..=6).map(|version| all(&catalog, version)).collect();
    let erasure = erase(&catalog, "e1", &[&code()]);
    let lost: Vec<_> = erasure.versions.iter().map(|(version, rows)| (version.0, *rows)).collect();
    assert_eq!(lost, [(6, 1), (4, 1), (3, 1), (2, 1), (1, 1)]);
    assert_eq!((erasure.keys, erasure.keys_found, erasure.rows), (1, 1, 2), "the person had two rows");
    for (version, before) in (1..).zip(before) {
        let expected: Vec<_> = before.into_iter().filter(|found| *found != code()).collect();
        assert_eq!(all(&catalog, version), expected, "v{version}");
    }
    check_gone(dir.path());
    assert_eq!(checked(dir.path()).erased_rows, 2);
    drop(catalog);
    check_gone(dir.path());
    std::fs::remove_dir_all(dir.path().join("projection")).expect("there");
    let catalog = open(dir.path());
    assert_eq!(all(&catalog, 1), codes_of(0..50));
    assert_eq!(catalog.garbage().expect("asked").objects, 0, "nothing was left to do");
    check_gone(dir.path());
}

#[test]
fn versions_tell_how_many_rows_they_lost_and_keep_the_hash_they_were_published_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let version = |number: u64| {
        let selector = VersionSelector { dataset: id(), version: Some(VersionNumber(number).into()) };
        catalog.snapshot().version(&selector).expect("there").1
    };
    let (before, unaffected) = (version(4), version(5));
    let erasure = erase(&catalog, "e1", &[&code()]);
    let after = version(4);
    let erased = after.erased.expect("told");
    assert_eq!((erased.rows, erased.snapshot, erased.erased), (1, erasure.snapshot, erasure.erased));
    assert_eq!(erased.published_root_hash, before.root_hash);
    assert_eq!((after.rows, before.rows), (60, 61));
    assert_ne!(after.root_hash, before.root_hash, "what is left is compared with what is left");
    let east = |bbox: Option<ukimet_model::BoundingBox>| bbox.expect("places").east;
    assert!(east(before.bbox) > 78.9 && east(after.bbox) < 71.0, "the person lived far out");
    assert_eq!(after.geometry_types["Point"], 60);
    let untouched = version(5);
    assert_eq!((untouched.erased, untouched.root_hash, untouched.rows), (None, unaffected.root_hash, 60));
    let snapshot = catalog.snapshot();
    let receipt = snapshot.receipt(&after_of(&catalog, 4)).expect("there");
    assert!(receipt.steps.iter().any(|step| step.step == "erasure" && step.count == 1), "the receipt is marked");
    assert_eq!(snapshot.erasures(&id()).expect("told"), [erasure]);
}

pub(crate) fn after_of(catalog: &Catalog, number: u64) -> ukimet_model::Version {
    let selector = VersionSelector { dataset: id(), version: Some(VersionNumber(number).into()) };
    catalog.snapshot().version(&selector).expect("there").1
}

#[test]
fn windows_differences_and_earlier_snapshots_show_what_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let held = catalog.snapshot();
    erase(&catalog, "e1", &[&code()]);
    let here = window([70.045, 42.9, 70.055, 43.1]);
    assert_eq!(codes(&catalog.snapshot(), 1, &here).expect("read"), codes_of([5]), "another lives at the same place");
    assert_eq!(codes(&held, 1, &here).expect("read"), codes_of([5]), "who held a snapshot reads what is left");
    let first = catalog.snapshot().as_of(ukimet_model::SnapshotId(1)).expect("there");
    assert_eq!(codes(&first, 1, &RowQuery::default()).expect("read"), codes_of(0..50));
    let changes = |from: u64, to: u64| {
        let snapshot = catalog.snapshot();
        let (dataset, _) = snapshot.dataset(&id()).expect("there");
        let (from, to) = (after_of(&catalog, from), after_of(&catalog, to));
        let diff = snapshot.diff(&dataset, &from, &to, &RowQuery::default()).expect("compared");
        let operations: Vec<_> = diff.map(|batch| format!("{:?}", batch.expect("rows").column(0))).collect();
        let text = operations.concat();
        (text.matches("added").count(), text.matches("changed").count(), text.matches("removed").count())
    };
    assert_eq!(changes(1, 2), (10, 0, 0));
    assert_eq!(changes(2, 3), (0, 1, 0));
    assert_eq!(changes(3, 4), (0, 0, 0), "only the person changed");
    assert_eq!(changes(4, 5), (0, 0, 0), "only the person went");
    assert_eq!(changes(1, 5), (10, 1, 0));
    assert_eq!(changes(5, 1), (0, 1, 10));
}

#[test]
fn values_before_of_a_version_that_is_gone_go_with_any_erasure() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", people(0..50)).send(&catalog).expect("taken");
    Push::upsert("p2", vec![forgotten()]).send(&catalog).expect("taken");
    Push::replace("p3", people(0..50)).send(&catalog).expect("taken");
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    crate::versions::operate_on(&catalog, DATASET, "k", Action::SetRetention { rule: Some(rule) }).expect("done");
    catalog.apply_retention("tester").expect("removed");
    catalog.collect_garbage().expect("a whole disk");
    let left = holders(dir.path(), MARKER.as_bytes());
    let is_in = |ending: &str| left.iter().any(|name| name.ends_with(ending));
    assert!(is_in(".changes") && !is_in(".parquet"), "{left:?}");
    erase(&catalog, "e1", &["code-7"]);
    assert_eq!(holders(dir.path(), MARKER.as_bytes()), Vec::<String>::new());
    checked(dir.path());
}

#[test]
fn who_reads_rows_while_they_are_erased_is_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.version(&format!("{DATASET}@v2").parse().expect("valid")).expect("there");
    let mut scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("begun");
    scan.next().expect("rows").expect("read");
    let unread = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("begun");
    erase(&catalog, "e1", &[&code()]);
    for error in [scan.next(), unread.into_iter().next()].map(|next| next.expect("an end").expect_err("ended")) {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("were erased"), "{error}");
    }
    // A version as it was known before names files that are gone.
    let mut late = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("begun");
    let error = late.next().expect("an end").expect_err("gone");
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("2 rows of dataset"), "{error}");
    check_gone(dir.path());
}

#[test]
fn bytes_and_tables_of_pushes_say_that_they_went_with_the_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    // Refused in a push that never brought the row; another push has nothing to do with it.
    let refused = Push { refused: vec![format!(" {} ", code().to_uppercase())], ..Push::replace("q1", people(0..4)) };
    refused.send(&catalog).expect("taken");
    let other = Push { refused: vec!["code-77".to_owned()], ..Push::upsert("q2", people(4..6)) };
    other.send(&catalog).expect("taken");
    Push::upsert("q3", vec![forgotten()]).send(&catalog).expect("taken");
    let erasure = erase(&catalog, "e1", &[&code()]);
    let pushes: Vec<_> = erasure.pushes.iter().map(PushId::as_str).collect();
    assert_eq!(pushes, ["q1", "q3"]);
    let snapshot = catalog.snapshot();
    for (push, is_kept) in [("q1", false), ("q2", true), ("q3", false)] {
        let record = snapshot.push("almaty", &push.parse().expect("valid")).expect("read").expect("there");
        let copied = snapshot.copy_raw(&record.asset, &mut Vec::new());
        assert_eq!(copied.is_ok(), is_kept, "{push}");
        let table = record.outcome.layers[0].quarantine.map(|table| snapshot.table(&record, &table).map(drop));
        for error in [copied.err(), table.and_then(Result::err)].into_iter().flatten() {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(
                error.message().contains("rows that were erased on") && error.message().contains("forgotten"),
                "{error}"
            );
        }
    }
    assert!(holders(dir.path(), MARKER.to_uppercase().as_bytes()).is_empty());
    check_gone(dir.path());
    checked(dir.path());
}

#[test]
fn what_a_push_held_beside_rows_that_all_came_new_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", with_forgotten(0..3)).send(&catalog).expect("taken");
    Push::upsert("p2", people(3..6)).send(&catalog).expect("taken");
    // Says the same of the person as is known: only the bytes hold it.
    let same = Push { salt: "s".to_owned(), ..Push::upsert("p3", vec![forgotten(), person(7)]) };
    same.send(&catalog).expect("taken");
    let erasure = erase(&catalog, "e1", &[&code()]);
    let pushes: Vec<_> = erasure.pushes.iter().map(PushId::as_str).collect();
    assert_eq!(pushes, ["p1", "p3"]);
    check_gone(dir.path());
    checked(dir.path());
}

#[test]
fn bytes_that_another_agency_brought_too_stay_for_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", with_forgotten(0..3)).send(&catalog).expect("taken");
    let elsewhere = Push { dataset: "astana/people".to_owned(), ..Push::replace("p1", with_forgotten(0..3)) };
    elsewhere.send(&catalog).expect("taken");
    let erasure = erase(&catalog, "e1", &[&code()]);
    assert_eq!(erasure.same_bytes_elsewhere, ["astana/p1"]);
    let snapshot = catalog.snapshot();
    let record = snapshot.push("astana", &"p1".parse().expect("valid")).expect("read").expect("there");
    snapshot.copy_raw(&record.asset, &mut Vec::new()).expect("theirs");
    let mut there = of_codes("e2", &[&code()]);
    there.dataset = "astana/people".parse().expect("valid");
    catalog.erase(&there).expect("erased there as well");
    check_gone(dir.path());
    checked(dir.path());
}

#[test]
fn a_later_push_brings_the_row_again_and_old_versions_stay_without_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", people(0..5)).send(&catalog).expect("taken");
    Push::upsert("p2", vec![forgotten()]).send(&catalog).expect("taken");
    erase(&catalog, "e1", &[&code()]);
    // The same bytes, and so the same file of one row.
    let again = Push::upsert("p3", vec![forgotten()]);
    let outcome = again.send(&catalog).expect("taken");
    assert_eq!((outcome.status, outcome.layers[0].rows_added), (PushStatus::Published, 1));
    let notes = |outcome: &ukimet_model::PushOutcome| {
        let diagnostics = outcome.layers[0].report.diagnostics.clone();
        diagnostics.into_iter().filter(|d| d.rule == "erased.again").map(|d| d.count).collect::<Vec<_>>()
    };
    assert_eq!(notes(&outcome), [1], "it is told that the key was erased");
    assert!(notes(&Push::upsert("p4", people(20..40)).send(&catalog).expect("taken")).is_empty());
    assert_eq!(all(&catalog, 2), codes_of(0..5));
    assert!(all(&catalog, 3).contains(&code()));
    checked(dir.path());
    catalog.collect_garbage().expect("collected");
    drop(catalog);
    let catalog = open(dir.path());
    assert!(all(&catalog, 3).contains(&code()));
    let erasure = erase(&catalog, "e2", &[&code()]);
    let lost: Vec<_> = erasure.versions.iter().map(|(version, rows)| (version.0, *rows)).collect();
    assert_eq!(lost, [(4, 1), (3, 1)]);
    assert_eq!((all(&catalog, 2), all(&catalog, 3)), (codes_of(0..5), codes_of(0..5)));
    check_gone(dir.path());
    checked(dir.path());
}

#[test]
fn rows_are_erased_twice_from_one_file_and_versions_can_lose_all_of_theirs() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", people(0..3)).send(&catalog).expect("taken");
    Push::upsert("p2", people(3..5)).send(&catalog).expect("taken");
    erase(&catalog, "e1", &["code-1"]);
    assert_eq!((all(&catalog, 1), all(&catalog, 2)), (codes_of([0, 2]), codes_of([0, 2, 3, 4])));
    checked(dir.path());
    erase(&catalog, "e2", &["code-0", "code-2", "code-4"]);
    assert_eq!((all(&catalog, 1), all(&catalog, 2)), (vec![], codes_of([3])));
    assert_eq!(after_of(&catalog, 1).erased.expect("told").rows, 3);
    assert_eq!(after_of(&catalog, 1).bbox, None);
    assert_eq!(checked(dir.path()).erased_rows, 4);
    let next = Push::replace("p3", people(2..4)).send(&catalog).expect("taken");
    assert_eq!((next.layers[0].rows_added, next.layers[0].rows_removed), (1, 0));
    assert_eq!(all(&catalog, 3), codes_of(2..4));
    checked(dir.path());
}

#[test]
fn a_push_that_was_compared_with_erased_rows_begins_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", with_forgotten(0..5)).send(&catalog).expect("taken");
    for push in [Push::replace("p2", with_forgotten(0..6)), Push::upsert("p3", people(5..6))] {
        let mut raw = tempfile::NamedTempFile::new().expect("a file");
        let transaction = push.prepare(&catalog, &mut raw).expect("prepared");
        erase(&catalog, &format!("before-{}", push.id), &[&code()]);
        let error = transaction.commit().expect_err("compared with what is gone");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("push again"), "{error}");
        check_gone(dir.path());
        push.send(&catalog).expect("taken");
        erase(&catalog, &format!("after-{}", push.id), &[&code()]);
    }
    checked(dir.path());
}

#[test]
fn asking_what_would_be_erased_changes_nothing_and_tells_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let before = files(dir.path());
    let would = catalog.would_erase(&of_codes("e1", &[&code(), "code-none"])).expect("asked");
    let is_projection = |(name, _): &(String, u64)| name.starts_with("projection/");
    let stored = |all: Vec<(String, u64)>| all.into_iter().filter(|file| !is_projection(file)).collect::<Vec<_>>();
    assert_eq!(stored(files(dir.path())), stored(before));
    let told = |erasure: &Erasure| {
        (erasure.keys, erasure.keys_found, erasure.rows, erasure.versions.clone(), erasure.pushes.clone())
    };
    assert_eq!((would.keys_found, would.snapshot.0), (1, 0));
    assert_eq!(told(&would), told(&erase(&catalog, "e1", &[&code(), "code-none"])));
}

#[test]
fn repeating_an_erasure_repeats_its_answer_and_its_id_means_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let first = erase(&catalog, "e1", &[&code()]);
    let (again, is_replay, snapshot) = catalog.erase(&of_codes("e1", &[&code()])).expect("answered");
    assert_eq!((&again, is_replay, snapshot.id()), (&first, true, first.snapshot));
    for other in [of_codes("e1", &["code-1"]), of_codes("e1", &[&code(), "code-1"])] {
        assert_eq!(catalog.erase(&other).expect_err("other rows").kind(), ErrorKind::AlreadyUsed);
    }
    let nothing = erase(&catalog, "e2", &["code-none"]);
    assert_eq!((nothing.rows, nothing.keys_found, nothing.pushes.len()), (0, 0, 0));
    assert_eq!(all(&catalog, 1), codes_of(0..50));
    checked(dir.path());
}

#[test]
fn keys_that_mean_nothing_are_refused_with_what_is_expected() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let refused = |change: &dyn Fn(&mut ukimet_catalog::ErasureIntent)| {
        let mut intent = of_codes("e1", &[&code()]);
        change(&mut intent);
        let error = catalog.erase(&intent).map(drop).expect_err("refused");
        assert_eq!(catalog.would_erase(&intent).expect_err("refused").to_string(), error.to_string());
        error.message().to_owned()
    };
    let unknown = refused(&|intent| intent.columns = vec!["iin".to_owned()]);
    assert!(unknown.contains("iin; the newest has code, name, geometry"), "{unknown}");
    assert!(refused(&|intent| intent.columns = vec!["geometry".to_owned()]).contains("has type Binary"));
    assert!(refused(&|intent| intent.keys.clear()).contains("at least one column and one key"));
    assert!(refused(&|intent| intent.keys.push(vec![])).contains("key 2 has 0 values, expected 1"));
    assert!(refused(&|intent| intent.columns = vec!["code".to_owned(); 2]).contains("each column once"));
    assert!(refused(&|intent| intent.keys = vec![vec!["x".to_owned()]; 10_001]).contains("at most 10000 keys"));
    assert!(refused(&|intent| intent.dataset = "almaty/none".parse().expect("valid")).contains("is not in snapshot"));
    // A source name means its column, and several columns are all to fit.
    let mut both = of_codes("e2", &[]);
    both.columns = vec!["Аты".to_owned(), "code".to_owned()];
    both.keys = vec![vec!["name 1".to_owned(), "code-1".to_owned()], vec!["name 1".to_owned(), "code-2".to_owned()]];
    let (erasure, ..) = catalog.erase(&both).expect("erased");
    assert_eq!((erasure.keys, erasure.keys_found, erasure.rows), (2, 1, 1));
    assert!(!all(&catalog, 1).contains(&"code-1".to_owned()) && all(&catalog, 1).contains(&"code-2".to_owned()));
}

#[test]
fn a_backup_loses_the_rows_with_its_next_run_and_gives_back_what_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    let [data, to, restored] = ["data", "backup", "restored"].map(|name| dir.path().join(name));
    let catalog = open(&data);
    fill(&catalog);
    let clock = ukimet_model::SystemClock;
    let back_up = || backup(&data, &to, false, &clock, &mut |_| ()).expect("copied");
    assert_eq!(back_up().objects_erased, 0);
    erase(&catalog, "e1", &[&code()]);
    assert!(!holders(&to, MARKER.as_bytes()).is_empty(), "until then the backup holds what it held");
    assert!(back_up().objects_erased > 5);
    assert_eq!(back_up().objects_erased, 0);
    check_gone(&to);
    let error = restore(&to, &restored, Some(3), &clock, &mut |_| ()).expect_err("it would need the rows");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    std::fs::remove_dir_all(&restored).expect("removed");
    let (_, report) = restore(&to, &restored, None, &clock, &mut |_| ()).expect("restored");
    assert_eq!((report.findings, report.erased_rows), (vec![], 2));
    let copy = open(&restored);
    assert_eq!(all(&copy, 2), all(&catalog, 2));
    check_gone(&restored);
    checked(&restored);
}

#[test]
fn who_writes_beside_the_segments_is_told_that_its_files_went_after_the_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p1", with_forgotten(0..3)).send(&catalog).expect("taken");
    assert!(catalog.take_cleaned_beside().is_empty());
    erase(&catalog, "e1", &[&code()]);
    assert_eq!(catalog.take_cleaned_beside().into_iter().collect::<Vec<_>>(), [id()]);
    assert!(catalog.take_cleaned_beside().is_empty());
}

#[test]
fn files_made_of_rows_go_with_every_version_that_lost_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let picture = Push { file: Some(format!("picture of {MARKER}")), ..Push::replace("p1", with_forgotten(0..3)) };
    picture.send(&catalog).expect("taken");
    let other = Push { file: Some("another picture".to_owned()), ..Push::replace("p2", people(0..3)) };
    other.send(&catalog).expect("taken");
    assert_eq!(after_of(&catalog, 1).assets.len(), 1);
    erase(&catalog, "e1", &[&code()]);
    assert_eq!((after_of(&catalog, 1).assets.len(), after_of(&catalog, 2).assets.len()), (0, 1));
    check_gone(dir.path());
    checked(dir.path());
}

#[test]
fn erasures_and_pushes_at_the_same_time_lose_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p0", people(0..40)).send(&catalog).expect("taken");
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            let catalog = &catalog;
            scope.spawn(move || {
                for round in 0..4 {
                    let number = thread * 4 + round;
                    let erasure = erase(catalog, &format!("e{number}"), &[&person(number).0]);
                    assert_eq!(erasure.keys_found, 1, "code-{number}");
                }
            });
        }
        scope.spawn(|| {
            for number in 0..6 {
                let push = Push::upsert(&format!("p{}", number + 1), people(40 + number..41 + number));
                while let Err(error) = push.send(&catalog) {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                }
            }
        });
    });
    let newest = catalog.snapshot().dataset(&id()).expect("there").1;
    assert_eq!(newest.number, VersionNumber(7));
    assert_eq!(all(&catalog, 7), codes_of(16..46));
    assert_eq!(all(&catalog, 1), codes_of(16..40));
    assert_eq!(checked(dir.path()).erased_rows, 16);
}
