//! Keys that no version has, and bytes and tables that are the same as those of another push.

use crate::erasing::{DATASET, Push, codes, codes_of, erase, holders, of_codes, people};
use crate::erasure::{checked, code, forgotten, id};
use crate::fixture::{files, open};
use std::path::Path;
use ukimet_catalog::{Catalog, ErasureIntent};
use ukimet_model::{Action, Error, ErrorKind, PushId, PushMode, RetentionRule, RowQuery};

fn names(pushes: &[PushId]) -> Vec<&str> {
    pushes.iter().map(PushId::as_str).collect()
}

fn newest(catalog: &Catalog) -> Vec<String> {
    let number = catalog.snapshot().dataset(&id()).expect("there").1.number;
    codes(&catalog.snapshot(), number.0, &RowQuery::default()).expect("read")
}

fn stored(dir: &Path) -> Vec<(String, u64)> {
    files(dir).into_iter().filter(|(name, _)| !name.starts_with("projection/")).collect()
}

/// A first version with the person, and one without a row or a file of it that is the only one left.
fn with_first_removed(dir: &Path, keep_raw: bool) -> Catalog {
    let catalog = open(dir);
    let all: Vec<_> = people(100..150).into_iter().chain([forgotten()]).collect();
    Push::replace("p1", all).send(&catalog).expect("taken");
    Push::replace("p2", people(0..50)).send(&catalog).expect("taken");
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw };
    crate::versions::operate_on(&catalog, DATASET, "k", Action::SetRetention { rule: Some(rule) }).expect("done");
    catalog.apply_retention("tester").expect("removed");
    catalog.collect_garbage().expect("a whole disk");
    catalog
}

fn refused(catalog: &Catalog, intent: &ErasureIntent) -> Error {
    let error = catalog.erase(intent).map(drop).expect_err("refused");
    assert_eq!(catalog.would_erase(intent).expect_err("refused").to_string(), error.to_string());
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    error
}

#[test]
fn a_key_that_no_version_has_takes_no_bytes_of_removed_versions_unless_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = with_first_removed(dir.path(), true);
    let before = stored(dir.path());
    let sent = catalog.snapshot().push("almaty", &"p1".parse().expect("valid")).expect("read").expect("there").asset;
    let message = refused(&catalog, &of_codes("e1", &["code-1", &code()])).message().to_owned();
    for part in [
        "has 1 of 2 keys: nothing was erased; ".to_owned(),
        format!("not found: code=\"{}\"\n", code()),
        format!("1 pushes, {} bytes as sent", sent.size_bytes),
        format!("p1 ({} bytes)", sent.size_bytes),
        "bytes_in_doubt".to_owned(),
    ] {
        assert!(message.contains(&part), "{part}: {message}");
    }
    assert_eq!(stored(dir.path()), before, "nothing was written or taken away");
    assert!(newest(&catalog).contains(&"code-1".to_owned()), "nor was the key erased that is there");

    let mut intent = of_codes("e1", &["code-1", &code()]);
    intent.bytes_in_doubt = true;
    let would = catalog.would_erase(&intent).expect("told");
    let (erasure, ..) = catalog.erase(&intent).expect("erased");
    assert_eq!((would.pushes, would.keys_found), (erasure.pushes.clone(), 1));
    assert_eq!((erasure.keys, erasure.keys_found, names(&erasure.pushes)), (2, 1, vec!["p1", "p2"]));
    assert_eq!(newest(&catalog), codes_of((0..50).filter(|n| *n != 1)));
    assert_eq!(holders(dir.path(), code().as_bytes()), Vec::<String>::new());
    checked(dir.path());
}

#[test]
fn a_push_in_doubt_of_which_tables_alone_are_left_counts_no_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = Push { refused: vec!["code-77".to_owned()], ..Push::replace("p1", vec![forgotten()]) };
    push.send(&catalog).expect("taken");
    let other = Push { id: "p2".to_owned(), dataset: "almaty/clients".to_owned(), ..push };
    other.send(&catalog).expect("taken");
    assert_eq!(names(&erase(&catalog, "e1", &[&code()]).bytes_gone_elsewhere.expect("told")), ["p2"]);
    // A verdict has the value, of another column.
    let mut intent = of_codes("e2", &["code-77"]);
    (intent.dataset, intent.columns) = ("almaty/clients".parse().expect("valid"), vec!["name".to_owned()]);
    let message = refused(&catalog, &intent).message().to_owned();
    assert!(message.contains("what is kept of 1 pushes, 0 bytes as sent, may hold them"), "{message}");
    assert!(message.ends_with(": p2 (tables only)"), "{message}");
}

#[test]
fn keys_that_all_are_there_take_what_may_hold_them_without_a_question() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = with_first_removed(dir.path(), true);
    assert_eq!(names(&erase(&catalog, "e1", &["code-1", "code-2"]).pushes), ["p1", "p2"]);
    checked(dir.path());
}

#[test]
fn a_key_that_no_version_has_is_no_question_where_nothing_is_left_that_may_hold_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = with_first_removed(dir.path(), false);
    let before = stored(dir.path()).len();
    let nothing = erase(&catalog, "e1", &[&code()]);
    assert_eq!((nothing.rows, nothing.keys_found, nothing.pushes), (0, 0, vec![]));
    assert!(stored(dir.path()).len() >= before, "files were only added");
    let some = erase(&catalog, "e2", &[&code(), "code-7"]);
    assert_eq!((some.rows, some.keys_found, names(&some.pushes)), (1, 1, vec!["p1", "p2"]));
    checked(dir.path());
}

#[test]
fn a_key_that_is_named_twice_is_found_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = with_first_removed(dir.path(), true);
    let erasure = erase(&catalog, "e1", &["code-1", "code-1"]);
    assert_eq!((erasure.keys, erasure.keys_found, erasure.rows), (2, 2, 1));
}

#[test]
fn refused_rows_that_have_the_key_are_found_though_no_version_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push { refused: vec![code()], ..Push::replace("p1", people(0..4)) }.send(&catalog).expect("taken");
    Push { refused: vec!["code-9".to_owned()], ..Push::upsert("p2", people(4..6)) }.send(&catalog).expect("taken");
    let erasure = erase(&catalog, "e1", &[&code()]);
    assert_eq!((erasure.keys_found, names(&erasure.pushes)), (0, vec!["p1"]));
    assert_eq!(holders(dir.path(), code().as_bytes()), Vec::<String>::new());
    checked(dir.path());
}

/// Whether the bytes as sent and each table of a push can be read.
fn readable(catalog: &Catalog, agency: &str, push: &str) -> (bool, Vec<bool>) {
    let snapshot = catalog.snapshot();
    let record = snapshot.push(agency, &push.parse().expect("valid")).expect("read").expect("there");
    let layer = &record.outcome.layers[0];
    let tables = [layer.verdicts, layer.quarantine].into_iter().flatten();
    let tables = tables.map(|table| snapshot.table(&record, &table).is_ok()).collect();
    (snapshot.copy_raw(&record.asset, &mut Vec::new()).is_ok(), tables)
}

#[test]
fn pushes_into_other_datasets_that_lose_the_same_bytes_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = Push { refused: vec!["code-77".to_owned()], ..Push::replace("p1", vec![forgotten()]) };
    push.send(&catalog).expect("taken");
    let other = |id: &str, salt: &str| Push {
        id: id.to_owned(),
        dataset: "almaty/clients".to_owned(),
        salt: salt.to_owned(),
        ..push.clone()
    };
    other("p2", "").send(&catalog).expect("taken");
    other("p3", "other bytes").send(&catalog).expect("taken");
    // The same bytes, of which nothing was taken: they hold the row, whatever its version says.
    let same = Push { mode: PushMode::Upsert, id: "p4".to_owned(), ..push.clone() };
    same.send(&catalog).expect("taken");
    let erasure = erase(&catalog, "e1", &[&code()]);
    assert_eq!(names(&erasure.pushes), ["p1", "p4"]);
    assert_eq!(names(&erasure.bytes_gone_elsewhere.expect("told")), ["p2"]);
    let check = |catalog: &Catalog| {
        assert_eq!(readable(catalog, "almaty", "p2"), (false, vec![true, true]));
        assert_eq!(readable(catalog, "almaty", "p3"), (true, vec![true, true]));
    };
    check(&catalog);
    checked(dir.path());
    drop(catalog);
    std::fs::remove_dir_all(dir.path().join("projection")).expect("there");
    check(&open(dir.path()));
    checked(dir.path());
}

#[test]
fn equal_tables_of_pushes_that_held_no_such_row_stay_and_are_no_equal_bytes() {
    for other in [DATASET, "almaty/clients", "astana/people"] {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = open(dir.path());
        let refusing = |push: Push| Push { refused: vec!["code-77".to_owned()], ..push };
        refusing(Push::replace("q1", vec![forgotten()])).send(&catalog).expect("taken");
        let there = Push { dataset: other.to_owned(), ..Push::replace("q2", people(0..3)) };
        refusing(there).send(&catalog).expect("taken");
        let agency = other.split('/').next().expect("an agency");
        let tables = |agency: &str, push: &str| {
            let record = catalog.snapshot().push(agency, &push.parse().expect("valid")).expect("read").expect("there");
            let layer = &record.outcome.layers[0];
            [layer.verdicts, layer.quarantine].map(|table| table.expect("a refused row").sha256)
        };
        assert_eq!(tables(agency, "q2"), tables("almaty", "q1"), "the tables are equal");
        let erasure = erase(&catalog, "e1", &[&code()]);
        assert_eq!(names(&erasure.pushes), ["q1"]);
        assert_eq!(erasure.same_bytes_elsewhere, Vec::<String>::new());
        assert_eq!(erasure.bytes_gone_elsewhere, Some(vec![]));
        assert_eq!(readable(&catalog, agency, "q2"), (true, vec![true, true]), "{other}");
        assert_eq!(readable(&catalog, "almaty", "q1"), (false, vec![false, false]), "{other}");
        let record = |agency: &str, push: &str| {
            catalog.snapshot().push(agency, &push.parse().expect("valid")).expect("read").expect("there")
        };
        let has_examples = |agency: &str, push| record(agency, push).outcome.layers[0].report.has_examples();
        assert!(has_examples(agency, "q2") && !has_examples("almaty", "q1"), "{other}");
        let erasure_of = |agency: &str, push| catalog.snapshot().erasure_of_push(&record(agency, push)).expect("read");
        assert_eq!(erasure_of("almaty", "q1").map(|erasure| erasure.operation), Some(erasure.operation));
        assert_eq!(erasure_of(agency, "q2"), None, "{other}");
        checked(dir.path());
        assert_eq!(holders(dir.path(), code().as_bytes()), Vec::<String>::new());
    }
}
