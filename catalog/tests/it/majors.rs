//! What readers rely on is kept, or a new major begins beside the old one.

use crate::fixture::{Push, batch, deep, options, points};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use std::sync::Arc;
use ukimet_catalog::{Catalog, OperationIntent, verify};
use ukimet_model::batch::{attribute_field, described_field};
use ukimet_model::{
    Action, Batch, Declarations, ErrorKind, MajorNumber, RetentionRule, SystemClock, VersionNumber, VersionSelector,
};

fn table(name: &str, numbers: &[i64], unit: Option<&str>) -> Batch {
    let number = attribute_field(name, name, DataType::Int64);
    let schema = Schema::new(vec![attribute_field("id", "id", DataType::Utf8), described_field(&number, None, unit)]);
    let ids: StringArray = numbers.iter().map(|n| Some(format!("r{n}"))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(Int64Array::from(numbers.to_vec()))];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn push(id: &str, batch: Batch, new_major: bool) -> Push {
    let declared = Declarations { new_major, ..Declarations::default() };
    Push { declared, ..Push::of_batches(id, "a/b", vec![batch]) }
}

fn open(dir: &tempfile::TempDir) -> Catalog {
    Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store")
}

fn named(catalog: &Catalog, selector: &str) -> ukimet_model::Result<u64> {
    let selector: VersionSelector = selector.parse()?;
    catalog.snapshot().version(&selector).map(|(_, version)| version.number.0)
}

fn operate(catalog: &Catalog, id: &str, action: Action) -> ukimet_model::Result<Option<VersionNumber>> {
    let intent = OperationIntent {
        id: id.parse()?,
        principal: "tester".to_owned(),
        why: String::new(),
        dataset: "a/b".parse()?,
        action,
    };
    catalog.operate(intent).map(|(outcome, _, _)| outcome.version)
}

#[test]
fn a_breaking_push_is_refused_and_a_new_major_is_served_beside_the_old_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(&dir);
    push("p1", table("height", &[1, 2], None), false).send(&catalog).expect("taken");
    push("p2", table("height", &[1, 2, 3], None), false).send(&catalog).expect("taken");
    let error = push("p3", table("levels", &[1, 2], None), false).send(&catalog).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    assert!(error.message().contains("column height: expected type Int64, found no such column"), "{error}");
    assert_eq!(catalog.snapshot().id().0, 2, "nothing was published");
    let (outcome, _) = push("p3", table("levels", &[1, 2], None), true).send(&catalog).expect("taken");
    assert_eq!((outcome.layers[0].major, outcome.layers[0].version), (MajorNumber(2), VersionNumber(3)));
    push("p4", table("levels", &[5], None), false).send(&catalog).expect("taken");
    for (selector, expected) in [("a/b", 4), ("a/b@2.x", 4), ("a/b@1.x", 2), ("a/b@v1", 1)] {
        assert_eq!(named(&catalog, selector).expect(selector), expected, "{selector}");
    }
    let error = named(&catalog, "a/b@3.x").expect_err("not there");
    assert!(error.message().contains("no major 3, the newest is 2"), "{error}");
    drop(catalog);
    assert!(verify(dir.path(), &deep(), &mut |_| ()).expect("a store").is_clean(), "a chain with majors verifies");
}

#[test]
fn a_unit_that_changes_breaks_and_one_that_is_not_said_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(&dir);
    push("p1", table("area", &[1, 2], Some("га")), false).send(&catalog).expect("taken");
    push("p2", table("area", &[1, 2, 3], None), false).send(&catalog).expect("taken");
    let (_, version) = catalog.snapshot().dataset(&"a/b".parse().expect("valid")).expect("there");
    assert_eq!(version.fields[1].unit.as_deref(), Some("га"));
    let error = push("p3", table("area", &[1, 2, 3], Some("м²")), false).send(&catalog).expect_err("the same numbers");
    assert!(error.message().contains("column area: expected unit га, found unit м²"), "{error}");
    let (outcome, snapshot) = push("p3", table("area", &[1, 2, 3], Some("м²")), true).send(&catalog).expect("taken");
    assert_eq!(outcome.layers[0].major, MajorNumber(2));
    let (_, version) = snapshot.dataset(&"a/b".parse().expect("valid")).expect("there");
    assert_eq!(version.fields[1].unit.as_deref(), Some("м²"));
}

#[test]
fn a_rollback_into_an_old_major_begins_a_new_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(&dir);
    push("p1", table("height", &[1, 2], None), false).send(&catalog).expect("taken");
    push("p2", table("levels", &[1, 2], None), true).send(&catalog).expect("taken");
    let back = |new_major| Action::RollBack { to: "v1".parse().expect("valid"), expected_version: None, new_major };
    let error = operate(&catalog, "r1", back(false)).expect_err("refused");
    assert!(error.message().contains("column levels"), "{error}");
    assert_eq!(operate(&catalog, "r2", back(true)).expect("done"), Some(VersionNumber(3)));
    assert_eq!(named(&catalog, "a/b@3.x").expect("there"), 3);
    assert_eq!(named(&catalog, "a/b@2.x").expect("there"), 2);
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: false, keep_raw: false };
    push("p3", table("height", &[9], None), false).send(&catalog).expect("taken");
    operate(&catalog, "k1", Action::SetRetention { rule: Some(rule) }).expect("done");
    catalog.apply_retention("tester").expect("applied");
    let left: Vec<u64> = catalog
        .snapshot()
        .versions(&"a/b".parse().expect("valid"), None, 9)
        .expect("there")
        .iter()
        .map(|version| version.number.0)
        .collect();
    assert_eq!(left, [4, 2, 1], "the newest of every major stays");
    assert_eq!(named(&catalog, "a/b@3.x").expect("there"), 4);
}

#[test]
fn geometries_of_another_dimension_need_a_new_major_unless_the_major_had_them_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(&dir);
    let triangle = || crate::fixture::Place::Triangle([(70.0, 43.0), (71.0, 43.0), (70.0, 44.0)]);
    let both = [points(0..2), vec![(5, triangle())]].concat();
    let send =
        |id: &str, rows: &[_], new_major| push(id, batch(rows), new_major).send(&catalog).map(|(outcome, _)| outcome);
    send("p1", &points(0..3), false).expect("taken");
    let error = send("p2", &both, false).expect_err("refused");
    assert!(error.message().contains("column geometry: expected points, found polygons too"), "{error}");
    assert_eq!(send("p2", &both, true).expect("taken").layers[0].major, MajorNumber(2));
    assert_eq!(send("p3", &points(0..2), false).expect("fewer kinds").layers[0].major, MajorNumber(2));
    assert_eq!(send("p4", &both, false).expect("as it was before").layers[0].major, MajorNumber(2));
}
