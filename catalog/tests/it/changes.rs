//! Versions that follow each other: what they cost, what they hold, and how they differ, compared with a model.

use crate::fixture::{Place, deep, files, open, sha256, window};
use crate::versions::set_tag;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Schema};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CompactionScope, OperationIntent, PushIntent, verify};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Action, Asset, Batch, DatasetMetadata, Declarations, Error, ErrorKind, LayerOutcome, LayerReport, MappingChange,
    PushMode, PushStatus, Result, RetentionRule, RowQuery, VersionNumber, VersionSelector,
};

pub(crate) const DATASET: &str = "almaty/parcels";

/// Rows by number: a value, and a place along the 43rd parallel in hundredths of a degree.
pub(crate) type Rows = BTreeMap<i64, (i64, i64)>;

fn batch(rows: &[(i64, (i64, i64))]) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("number", "№", DataType::Int64),
        attribute_field("value", "Мәні", DataType::Int64),
        Arc::new(geometry_field()),
    ]);
    let place = |(_, (_, x)): &(i64, (i64, i64))| Place::Point(70.0 + *x as f64 / 100.0, 43.0).to_wkb();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(n, _)| Some(*n)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, (value, _))| Some(*value)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(place).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn list(rows: &Rows) -> Vec<(i64, (i64, i64))> {
    rows.iter().map(|(n, row)| (*n, *row)).collect()
}

/// Numbered rows, all with this value.
pub(crate) fn numbered(numbers: std::ops::Range<i64>, value: i64) -> Rows {
    numbers.map(|n| (n, (value, n))).collect()
}

/// A push that declares what its rows are to those that are there.
pub(crate) struct Push<'a> {
    pub(crate) id: String,
    mode: PushMode,
    key: Option<&'a str>,
    rows: Vec<(i64, (i64, i64))>,
    deletes: Vec<i64>,
}

impl Push<'_> {
    pub(crate) fn send(&self, catalog: &Catalog) -> Result<LayerOutcome> {
        self.send_between(catalog, || ())
    }

    /// Sends, and does something when all rows are there and compared, before the commit.
    pub(crate) fn send_between(&self, catalog: &Catalog, between: impl FnOnce()) -> Result<LayerOutcome> {
        let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
        raw.write_all(self.id.as_bytes()).expect("room");
        let mut transaction = catalog.begin(self.intent(raw.path()))?;
        let rows = batch(&self.rows);
        let mut layer = transaction.begin_layer(DATASET.parse()?, rows.rows().schema())?;
        for start in (0..rows.rows().num_rows()).step_by(7) {
            let part = rows.rows().slice(start, 7.min(rows.rows().num_rows() - start));
            layer.append(Batch::try_new(part)?)?;
        }
        if !self.deletes.is_empty() {
            layer.delete(batch(&self.deletes.iter().map(|n| (*n, (0, 0))).collect::<Vec<_>>()))?;
        }
        let count = layer.rows();
        let geometry_types = BTreeMap::from([("Point".to_owned(), self.rows.len() as u64)]);
        let report = LayerReport { rows_read: count, rows_taken: count, geometry_types, ..LayerReport::default() };
        transaction.end_layer(layer, report)?;
        between();
        Ok(transaction.commit()?.0.layers.remove(0))
    }

    pub(crate) fn intent(&self, raw: &Path) -> PushIntent {
        let key = self.key.map(|name| vec![name.to_owned()]);
        PushIntent {
            push_id: self.id.parse().expect("valid"),
            agency: "almaty".to_owned(),
            principal: "tester".to_owned(),
            digest: sha256(self.id.as_bytes()),
            asset: Asset {
                sha256: sha256(self.id.as_bytes()),
                size_bytes: self.id.len() as u64,
                file_name: "layer.csv".to_owned(),
                media_type: "text/csv".to_owned(),
            },
            raw: raw.to_owned(),
            metadata: DatasetMetadata::default(),
            expected_version: None,
            declared: Declarations { mode: self.mode, key, ..Declarations::default() },
            mapping: MappingChange::Keep,
        }
    }
}

pub(crate) fn replace<'a>(id: &str, key: Option<&'a str>, rows: &Rows) -> Push<'a> {
    Push { id: id.to_owned(), mode: PushMode::Replace, key, rows: list(rows), deletes: Vec::new() }
}

pub(crate) fn beside(id: &str, mode: PushMode, rows: &Rows, deletes: &[i64]) -> Push<'static> {
    Push { id: id.to_owned(), mode, key: None, rows: list(rows), deletes: deletes.to_vec() }
}

fn column(rows: &dyn Array, name: &str) -> Vec<i64> {
    let structure: Option<&StructArray> = rows.as_struct_opt();
    structure.and_then(|s| s.column_by_name(name)).expect(name).as_primitive::<Int64Type>().values().to_vec()
}

/// Numbers and values of a version's rows, sorted.
pub(crate) fn rows_of(catalog: &Catalog, version: u64, query: &RowQuery) -> Vec<(i64, i64)> {
    let snapshot = catalog.snapshot();
    let selector: VersionSelector = format!("{DATASET}@v{version}").parse().expect("valid");
    let (dataset, version) = snapshot.version(&selector).expect("there");
    let mut rows = Vec::new();
    for batch in snapshot.scan(&dataset, &version, query, 0..usize::MAX).expect("opens") {
        let batch = StructArray::from(batch.expect("whole"));
        rows.extend(column(&batch, "number").into_iter().zip(column(&batch, "value")));
    }
    rows.sort_unstable();
    rows
}

/// Operation, number, value before and after, of each row that differs, sorted by number.
pub(crate) type Difference = Vec<(String, i64, Option<i64>, Option<i64>)>;

pub(crate) fn diff_of(catalog: &Catalog, from: u64, to: u64, query: &RowQuery) -> Difference {
    let snapshot = catalog.snapshot();
    let version = |number: u64| {
        let selector: VersionSelector = format!("{DATASET}@v{number}").parse().expect("valid");
        snapshot.version(&selector).expect("there")
    };
    let ((dataset, from), (_, to)) = (version(from), version(to));
    let mut rows = Vec::new();
    for batch in snapshot.diff(&dataset, &from, &to, query).expect("opens") {
        let batch = batch.expect("whole");
        let [before, after] = ["before", "after"].map(|name| batch.column_by_name(name).expect(name).as_struct());
        let operations = batch.column_by_name("operation").expect("operations").as_string::<i32>();
        for i in 0..batch.num_rows() {
            let value = |side: &StructArray, name| side.is_valid(i).then(|| column(side, name)[i]);
            let number = value(after, "number").or(value(before, "number")).expect("one side");
            rows.push((operations.value(i).to_owned(), number, value(before, "value"), value(after, "value")));
        }
    }
    rows.sort_unstable();
    rows
}

pub(crate) fn expected_diff(before: &Rows, after: &Rows) -> Difference {
    let numbers: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut rows: Difference = numbers
        .into_iter()
        .filter(|n| before.get(n) != after.get(n))
        .map(|n| {
            let (old, new) = (before.get(n).map(|row| row.0), after.get(n).map(|row| row.0));
            let operation = match (old, new) {
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "removed",
                _ => "added",
            };
            (operation.to_owned(), *n, old, new)
        })
        .collect();
    rows.sort_unstable();
    rows
}

pub(crate) fn values(rows: &Rows) -> Vec<(i64, i64)> {
    rows.iter().map(|(n, (value, _))| (*n, *value)).collect()
}

#[test]
fn a_dump_of_which_a_hundredth_changed_costs_about_a_hundredth() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = numbered(0..20_000, 1);
    replace("p1", Some("number"), &rows).send(&catalog).expect("taken");
    let size = || files(&dir.path().join("data")).iter().map(|(_, size)| size).sum::<u64>();
    let before = size();
    for n in (0..20_000).step_by(100) {
        rows.insert(n, (2, n));
    }
    let outcome = replace("p2", None, &rows).send(&catalog).expect("taken");
    assert_eq!((outcome.rows_added, outcome.rows_removed, outcome.rows_changed), (0, 0, 200));
    let added = size() - before;
    assert!(added * 100 < before * 5, "{added} bytes beside {before}");
    assert_eq!(rows_of(&catalog, 2, &RowQuery::default()), values(&rows));
    assert_eq!(rows_of(&catalog, 1, &RowQuery::default()), values(&numbered(0..20_000, 1)));
}

#[test]
fn a_key_that_only_looked_like_one_is_given_up_and_no_row_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let renamed = |push: Push<'_>, rows: Vec<(i64, (i64, i64))>| -> Result<LayerOutcome> {
        let rows = batch(&rows).into_rows();
        let mut fields = rows.schema().fields().to_vec();
        fields[0] = Arc::new(attribute_field("id", "ID", DataType::Int64).as_ref().clone());
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), rows.columns().to_vec()).expect("fits");
        let raw = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(raw.path(), &push.id).expect("room");
        let mut transaction = catalog.begin(push.intent(raw.path()))?;
        let mut layer = transaction.begin_layer(DATASET.parse()?, rows.schema())?;
        layer.append(Batch::try_new(rows)?)?;
        let count = layer.rows();
        let report = LayerReport { rows_read: count, rows_taken: count, ..LayerReport::default() };
        transaction.end_layer(layer, report)?;
        Ok(transaction.commit()?.0.layers.remove(0))
    };
    let first = renamed(replace("p1", None, &Rows::new()), list(&numbered(0..10, 1))).expect("taken");
    let key = first.key.expect("a column named id numbers its rows");
    assert_eq!((key.columns, key.is_declared), (vec!["id".to_owned()], false));
    let mut rows = list(&numbered(0..10, 1));
    rows[3].1.0 = 2;
    let second = renamed(replace("p2", None, &Rows::new()), rows.clone()).expect("taken");
    assert_eq!((second.rows_changed, second.rows_added), (1, 0));
    rows.push((5, (7, 5)));
    rows.push((5, (1, 5)));
    let third = renamed(replace("p3", None, &Rows::new()), rows.clone()).expect("taken");
    assert_eq!(third.key, None);
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.dataset(&DATASET.parse().expect("valid")).expect("there");
    let scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..9).expect("opens");
    let found: usize = scan.map(|batch| batch.expect("whole").num_rows()).sum();
    assert_eq!((found, version.rows), (12, 12));
    assert_eq!(verify(dir.path(), &deep(), &mut |_| ()).expect("a store").findings, vec![]);
}

#[test]
fn keys_that_name_no_row_or_two_are_refused_and_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let refused = |push: Push<'_>| -> Error { push.send(&catalog).expect_err("refused") };
    let mut twice = replace("p0", Some("number"), &numbered(0..3, 1));
    twice.rows.push((2, (9, 9)));
    let error = refused(twice);
    assert!(error.message().contains("key number names one row each") && error.message().contains("\"2\""), "{error}");
    let error = refused(replace("p0", Some("номер"), &numbered(0..3, 1)));
    assert!(error.message().contains("number, value, geometry"), "{error}");
    replace("p1", Some("№"), &numbered(0..3, 1)).send(&catalog).expect("a source name names the column too");
    let mut twice = replace("p2", None, &numbered(0..3, 1));
    twice.rows.push((2, (9, 9)));
    assert!(refused(twice).message().contains("two with key \"2\""));
    let error = refused(beside("p3", PushMode::Append, &numbered(2..4, 5), &[]));
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = refused(Push { key: Some("value"), ..beside("p4", PushMode::Upsert, &numbered(2..4, 5), &[]) });
    assert!(error.message().contains("declares key value, the dataset has number"), "{error}");
    let mut both = beside("p5", PushMode::Upsert, &numbered(2..4, 5), &[3]);
    assert_eq!(refused(both).kind(), ErrorKind::InvalidData);
    both = beside("p6", PushMode::Append, &Rows::new(), &[3]);
    assert_eq!(refused(both).kind(), ErrorKind::InvalidRequest);
    assert_eq!(catalog.snapshot().id().0, 1, "nothing of these is left");
    assert_eq!(verify(dir.path(), &deep(), &mut |_| ()).expect("a store").unreferenced, 0);
}

#[test]
fn pushes_that_overtake_each_other_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    replace("p0", Some("number"), &numbered(0..100, 0)).send(&catalog).expect("taken");
    std::thread::scope(|scope| {
        for writer in 0..4_i64 {
            let catalog = &catalog;
            scope.spawn(move || {
                for round in 0..5_i64 {
                    let from = writer * 20 + round * 4;
                    let push = beside(
                        &format!("w{writer}-{round}"),
                        PushMode::Upsert,
                        &numbered(from..from + 4, writer + 1),
                        &[],
                    );
                    push.send(catalog).expect("taken");
                }
            });
        }
    });
    let expected: Vec<_> = (0..100).map(|n| (n, if n < 80 { n / 20 + 1 } else { 0 })).collect();
    let (_, newest) = catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there");
    assert_eq!(newest.number.0, 21);
    assert_eq!(rows_of(&catalog, 21, &RowQuery::default()), expected);
    assert_eq!(diff_of(&catalog, 1, 21, &RowQuery::default()).len(), 80);
}

#[test]
fn rows_that_another_push_brought_meanwhile_are_there_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = numbered(0..20, 0);
    replace("p0", Some("number"), &rows).send(&catalog).expect("taken");
    for (round, mode) in [PushMode::Upsert, PushMode::Append].into_iter().enumerate() {
        let from = 100 + round as i64 * 10;
        // The other push brings two of the three rows, and one of its own.
        let slow = beside(&format!("slow-{round}"), mode, &numbered(from..from + 3, 7), &[]);
        let other = beside(&format!("other-{round}"), mode, &numbered(from + 1..from + 4, 7), &[]);
        let overtake = || assert_eq!(other.send(&catalog).expect("taken").rows_added, 3);
        let outcome = slow.send_between(&catalog, overtake).expect("taken");
        assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (1, 0, 0), "{mode:?}");
        rows.extend(numbered(from..from + 4, 7));
        let newest = outcome.version.0;
        assert_eq!(rows_of(&catalog, newest, &RowQuery::default()), values(&rows), "{mode:?}");
        assert_eq!(diff_of(&catalog, newest - 1, newest, &RowQuery::default()).len(), 1, "{mode:?}");
        let (_, version) = catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there");
        let east = rows.keys().map(|n| 70.0 + *n as f64 / 100.0).fold(f64::MIN, f64::max);
        assert_eq!(version.bbox, Some([70.0, 43.0, east, 43.0].into()), "{mode:?}");
        assert_eq!(version.geometry_types["Point"], rows.len() as u64, "{mode:?}");
    }
    assert_eq!(verify(dir.path(), &deep(), &mut |_| ()).expect("a store").findings, vec![]);
}

#[test]
fn a_difference_over_a_removed_version_misses_none_of_its_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = numbered(0..20, 0);
    replace("p1", Some("number"), &rows).send(&catalog).expect("taken");
    rows.remove(&19);
    replace("p2", None, &rows).send(&catalog).expect("taken");
    let kept = rows.clone();
    for (version, number) in [(3, 3), (4, 7)] {
        rows.insert(number, (version, number));
        replace(&format!("p{version}"), None, &rows).send(&catalog).expect("taken");
    }
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    for (id, action) in [("t", set_tag("kept", Some("v2"), false)), ("k", Action::SetRetention { rule: Some(rule) })] {
        let intent = OperationIntent {
            id: id.parse().expect("valid"),
            principal: "tester".to_owned(),
            why: String::new(),
            dataset: DATASET.parse().expect("valid"),
            action,
        };
        catalog.operate(intent).expect("done");
    }
    assert_eq!(catalog.apply_retention("tester").expect("removed")[0].1, [VersionNumber(3), VersionNumber(1)]);
    assert_eq!(diff_of(&catalog, 2, 4, &RowQuery::default()), expected_diff(&kept, &rows));
    assert_eq!(diff_of(&catalog, 4, 2, &RowQuery::default()), expected_diff(&rows, &kept));
}

#[test]
fn a_deleted_key_that_another_push_changed_meanwhile_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = numbered(0..20, 0);
    replace("p0", Some("number"), &rows).send(&catalog).expect("taken");
    let slow = beside("slow", PushMode::Upsert, &numbered(5..6, 3), &[7, 8]);
    let overtake = || drop(beside("other", PushMode::Upsert, &numbered(7..10, 9), &[6]).send(&catalog).expect("taken"));
    slow.send_between(&catalog, overtake).expect("taken");
    rows.extend(numbered(5..6, 3));
    rows.extend(numbered(9..10, 9));
    rows.retain(|number, _| !(6..9).contains(number));
    assert_eq!(rows_of(&catalog, 3, &RowQuery::default()), values(&rows));
    assert_eq!(diff_of(&catalog, 1, 3, &RowQuery::default()), expected_diff(&numbered(0..20, 0), &rows));
    assert_eq!(verify(dir.path(), &deep(), &mut |_| ()).expect("a store").findings, vec![]);
}

#[test]
fn a_difference_names_columns_distances_and_areas_and_obeys_filters() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = numbered(0..10, 1);
    replace("p1", Some("number"), &rows).send(&catalog).expect("taken");
    rows.insert(2, (1, 50));
    rows.insert(3, (8, 3));
    rows.remove(&9);
    replace("p2", None, &rows).send(&catalog).expect("taken");
    let snapshot = catalog.snapshot();
    let version = |n: u64| snapshot.version(&format!("{DATASET}@v{n}").parse().expect("valid")).expect("there");
    let ((dataset, one), (_, two)) = (version(1), version(2));
    let diff = snapshot.diff(&dataset, &one, &two, &RowQuery::default()).expect("opens");
    let names: Vec<_> = diff.schema().fields().iter().map(|field| field.name().clone()).collect();
    let expected = ["operation", "key", "changed", "distance_m", "area_change_m2", "before", "after", "geometry"];
    assert_eq!((names, diff.rows_max()), (expected.map(str::to_owned).to_vec(), 3));
    let batch = diff.map(|batch| batch.expect("whole")).next().expect("one batch");
    let numbers = column(batch.column_by_name("key").expect("keys"), "number");
    let changed = batch.column_by_name("changed").expect("names").as_list::<i32>();
    let changed_of = |number: i64| -> Vec<String> {
        let row = numbers.iter().position(|n| *n == number).expect("there");
        changed.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    };
    assert_eq!((changed_of(2), changed_of(3)), (vec!["geometry".to_owned()], vec!["value".to_owned()]));
    let distances =
        batch.column_by_name("distance_m").expect("distances").as_primitive::<arrow_array::types::Float64Type>();
    let moved: Vec<f64> = distances.iter().flatten().collect();
    // PROJ's geod says 39 139.6 m for 0.48 degrees along the 43rd parallel.
    assert!(moved.len() == 1 && (moved[0] - 39_139.6).abs() < 0.1, "{moved:?}");
    let only = |query: &RowQuery| diff_of(&catalog, 1, 2, query).into_iter().map(|row| row.1).collect::<Vec<_>>();
    let columns = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(only(&window([70.49, 42.0, 70.51, 44.0])), [2], "after");
    assert_eq!(only(&window([70.015, 42.0, 70.025, 44.0])), [2], "before");
    let query = RowQuery { columns: columns(&["number", "value"]), ..RowQuery::default() };
    assert_eq!(only(&query), [3, 9]);
    let unknown = RowQuery { columns: columns(&["x"]), ..RowQuery::default() };
    assert!(snapshot.diff(&dataset, &one, &two, &unknown).is_err());
}

/// The source's name of the column that a push says to have made its rows new alone, and of how many rows.
fn renewed_by(outcome: &LayerOutcome) -> Option<(String, u64)> {
    let found = outcome.report.diagnostics.iter().find(|found| found.rule == "rows.renewed_by_column")?;
    Some((found.examples[0].field.clone().expect("a column"), found.count))
}

#[test]
fn a_column_that_alone_makes_the_rows_new_is_named() {
    // Each row has a place of its own; the first one goes, and the others are numbered anew.
    let first = numbered(0..300, 1);
    let renumbered: Rows = (0..299).map(|n| (n, first[&(n + 1)])).collect();
    let dearer = numbered(0..300, 2);
    let all_other: Rows = (0..300).map(|n| (n, (n, 1000 + n))).collect();
    let cases = [
        (Some("number"), &renumbered, Some(("№", 299))),
        (None, &renumbered, Some(("№", 299))),
        (Some("number"), &dearer, Some(("Мәні", 300))),
        (Some("number"), &all_other, None),
    ];
    for (key, second, expected) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = open(dir.path());
        assert_eq!(renewed_by(&replace("p1", key, &first).send(&catalog).expect("taken")), None);
        let outcome = replace("p2", None, second).send(&catalog).expect("taken");
        assert_eq!(renewed_by(&outcome), expected.map(|(name, count)| (name.to_owned(), count)), "{key:?}");
        let mut again = second.clone();
        again.insert(7, (77, 7));
        assert_eq!(renewed_by(&replace("p3", None, &again).send(&catalog).expect("taken")), None, "one row changed");
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Replace(Rows),
    Upsert(Rows, BTreeSet<i64>),
    Append(Rows),
    Compact,
    Reopen,
}

fn rows_strategy(max: usize) -> impl Strategy<Value = Rows> {
    proptest::collection::btree_map(0..12_i64, (0..3_i64, 0..4_i64), 0..max)
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        3 => rows_strategy(12).prop_map(Operation::Replace),
        3 => (rows_strategy(5), proptest::collection::btree_set(0..12_i64, 0..4)).prop_map(|(rows, deletes)| Operation::Upsert(rows, deletes)),
        2 => rows_strategy(4).prop_map(Operation::Append),
        2 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
    ];
    proptest::collection::vec(operation, 1..9)
}

/// What a push makes of the newest version; `None` if it is refused.
fn apply(operation: &Operation, before: &Rows) -> Option<Rows> {
    let mut after = before.clone();
    match operation {
        Operation::Replace(rows) => after = rows.clone(),
        Operation::Upsert(rows, deletes) => {
            if deletes.iter().any(|n| rows.contains_key(n)) {
                return None;
            }
            after.retain(|n, _| !deletes.contains(n));
            after.extend(rows);
        }
        Operation::Append(rows) => {
            if rows.iter().any(|(n, row)| before.get(n).is_some_and(|old| old != row)) {
                return None;
            }
            after.extend(rows);
        }
        Operation::Compact | Operation::Reopen => (),
    }
    Some(after)
}

fn push_of(operation: &Operation, number: usize) -> Option<Push<'static>> {
    let id = format!("p{number}");
    Some(match operation {
        Operation::Replace(rows) => replace(&id, None, rows),
        Operation::Upsert(rows, deletes) => {
            beside(&id, PushMode::Upsert, rows, &deletes.iter().copied().collect::<Vec<_>>())
        }
        Operation::Append(rows) => beside(&id, PushMode::Append, rows, &[]),
        Operation::Compact | Operation::Reopen => return None,
    })
}

fn check_versions(catalog: &Catalog, versions: &[Rows]) {
    let here = window([69.995, 42.0, 70.015, 44.0]);
    for (i, rows) in versions.iter().enumerate() {
        let number = i as u64 + 1;
        assert_eq!(rows_of(catalog, number, &RowQuery::default()), values(rows), "v{number}");
        let inside: Rows = rows.iter().filter(|(_, (_, x))| *x < 2).map(|(n, row)| (*n, *row)).collect();
        assert_eq!(rows_of(catalog, number, &here), values(&inside), "window of v{number}");
        let (_, version) =
            catalog.snapshot().version(&format!("{DATASET}@v{number}").parse().expect("valid")).expect("there");
        let xs = || rows.values().map(|(_, x)| 70.0 + *x as f64 / 100.0);
        let bounds = (!rows.is_empty())
            .then(|| [xs().fold(f64::MAX, f64::min), 43.0, xs().fold(f64::MIN, f64::max), 43.0].into());
        assert_eq!((version.rows, version.bbox), (rows.len() as u64, bounds), "v{number}");
        assert_eq!(version.geometry_types.values().sum::<u64>(), rows.len() as u64, "v{number}");
        for (j, other) in versions.iter().enumerate() {
            assert_eq!(
                diff_of(catalog, number, j as u64 + 1, &RowQuery::default()),
                expected_diff(rows, other),
                "v{number} to v{}",
                j + 1
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sequence_of_pushes_gives_the_versions_and_differences_of_the_model(first in rows_strategy(12), operations in operations()) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut catalog = open(dir.path());
        replace("p", Some("number"), &first).send(&catalog).expect("taken");
        let mut versions = vec![first];
        for (number, operation) in operations.iter().enumerate() {
            let newest = versions[versions.len() - 1].clone();
            if matches!(operation, Operation::Compact) {
                let dataset = DATASET.parse().expect("valid");
                catalog.compact(&dataset, CompactionScope::All, "tester").expect("compacted");
                continue;
            }
            let Some(push) = push_of(operation, number) else {
                drop(catalog);
                catalog = open(dir.path());
                continue;
            };
            match (apply(operation, &newest), push.send(&catalog)) {
                (None, outcome) => prop_assert!(outcome.is_err(), "{operation:?} onto {newest:?}"),
                (Some(after), outcome) => {
                    let outcome = outcome.expect("taken");
                    prop_assert_eq!(outcome.status == PushStatus::Unchanged, after == newest);
                    let expected = expected_diff(&newest, &after);
                    let count = |name: &str| expected.iter().filter(|row| row.0 == name).count() as u64;
                    prop_assert_eq!((outcome.rows_added, outcome.rows_removed, outcome.rows_changed), (count("added"), count("removed"), count("changed")));
                    if after != newest {
                        versions.push(after);
                    }
                }
            }
        }
        check_versions(&catalog, &versions);
        drop(catalog);
        let report = verify(dir.path(), &deep(), &mut |_| ()).expect("a store");
        prop_assert_eq!((report.findings, report.unreferenced), (vec![], 0));
    }
}

#[test]
fn equal_rows_without_a_key_that_come_again_lie_in_files_of_their_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = |number: u64, mode: PushMode, count: usize| {
        let rows = vec![(1, (7, 0)); count];
        let push = Push { id: format!("p{number}"), mode, key: None, rows, deletes: Vec::new() };
        assert_eq!(push.send(&catalog).expect("taken").version.0, number);
    };
    let files_of = |number: u64| {
        let selector: VersionSelector = format!("{DATASET}@v{number}").parse().expect("valid");
        let (_, version) = catalog.snapshot().version(&selector).expect("there");
        let files: BTreeSet<_> = version.segments.iter().map(|segment| segment.parquet.to_string()).collect();
        assert_eq!(files.len(), version.segments.len(), "v{number} has no file twice");
        files.len()
    };
    push(1, PushMode::Replace, 3);
    push(2, PushMode::Append, 3);
    push(3, PushMode::Append, 3);
    push(4, PushMode::Replace, 12);
    assert_eq!([1, 2, 3, 4].map(files_of), [1, 2, 3, 4]);
    let compacted = catalog.compact(&DATASET.parse().expect("valid"), CompactionScope::All, "tester");
    assert!(compacted.expect("compacted").snapshot.is_some());
    assert_eq!(files_of(4), 1);
    push(5, PushMode::Append, 12);
    for (version, count) in (1..).zip([3, 6, 9, 12, 24]) {
        assert_eq!(rows_of(&catalog, version, &RowQuery::default()), vec![(1, 7); count], "v{version}");
        assert_eq!(diff_of(&catalog, 1, version, &RowQuery::default()).len(), count - 3, "v{version}");
    }
    catalog.collect_garbage().expect("collected");
    let report = verify(dir.path(), &deep(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}
