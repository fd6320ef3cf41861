//! Rows by the time in which they were so in the world: exactly those that a look at every row finds.

use crate::fixture::{Place, Push, options, points, sorted, window};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Schema, TimeUnit};
use proptest::prelude::*;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions, Snapshot};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Batch, Declarations, ErrorKind, Result, RowQuery, SystemClock, ValidQuery, ValidTime, VersionNumber,
};

/// From when, until when, in days since 1970.
type Life = (Option<i32>, Option<i32>);

/// What is asked, and the numbers of the rows that are so then.
type Asked<'a> = &'a [(&'a str, &'a [i64])];

fn layer(lives: &[Life]) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("n", "n", DataType::Int64),
        // The end stands before the begin, as no filter may care.
        attribute_field("until", "Дейін", DataType::Date32),
        attribute_field("since", "Бастап", DataType::Date32),
        Arc::new(geometry_field()),
    ]);
    let places = points(0..lives.len() as i64);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..lives.len() as i64)),
        Arc::new(lives.iter().map(|(_, until)| *until).collect::<Date32Array>()),
        Arc::new(lives.iter().map(|(since, _)| *since).collect::<Date32Array>()),
        Arc::new(places.iter().map(|(_, place): &(i64, Place)| place.to_wkb()).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn push(id: &str, lives: &[Life], declared: bool) -> Push {
    let name = |name: &str| declared.then(|| name.to_owned());
    let declared =
        Declarations { valid_from: name("Бастап"), valid_to: name("until"), ..Declarations::default() };
    let batches = if lives.is_empty() { vec![layer(lives)] } else { lives.chunks(17).map(layer).collect() };
    Push { declared, ..Push::of_batches(id, "a/lives", batches) }
}

/// A push of rows that are numbered through.
fn numbered(id: &str, lives: &[Life]) -> Push {
    Push { batches: vec![layer(lives)], ..push(id, lives, true) }
}

fn found(snapshot: &Snapshot, query: &RowQuery) -> Result<Vec<i64>> {
    let (dataset, version) = snapshot.dataset(&"a/lives".parse()?)?;
    let mut numbers = Vec::new();
    let query = RowQuery { columns: Some(vec!["n".to_owned()]), ..query.clone() };
    for batch in snapshot.scan(&dataset, &version, &query, 0..version.segments.len())? {
        numbers.extend(batch?.column(0).as_primitive::<Int64Type>().values().iter());
    }
    Ok(numbers)
}

fn day(day: i32) -> String {
    let date = jiff::civil::Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(day));
    date.expect("near 1970").to_string()
}

/// Whether something was so at a moment of `[from, to)`, by its definition, day by day.
fn was_so((since, until): Life, days: std::ops::Range<i32>) -> bool {
    days.into_iter().any(|day| since.is_none_or(|since| since <= day) && until.is_none_or(|until| day < until))
}

fn life() -> impl Strategy<Value = Life> {
    (proptest::option::weighted(0.9, -40..40_i32), proptest::option::weighted(0.7, 0..30_i32)).prop_map(
        |(since, length)| match since {
            None => (None, length),
            Some(since) => (Some(since), length.map(|length| since + length)),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn a_moment_and_an_interval_give_the_rows_that_a_look_at_every_row_gives(
        mut lives in proptest::collection::vec(life(), 1..150),
        is_sorted in any::<bool>(),
        kept in 1..150_usize,
        asked in proptest::collection::vec((-45..80_i32, 1..40_i32), 6),
    ) {
        if is_sorted {
            // As in a table that grows: most pages cannot have a wanted row then.
            lives.sort_unstable();
        }
        let dir = tempfile::tempdir().expect("a directory");
        let small = CatalogOptions { segment_rows_max: 50, row_group_rows: 20, page_rows: 7, ..options() };
        let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
        numbered("p1", &lives).send(&catalog).expect("taken");
        // The second version has deleted rows in the files of the first.
        let lives = &lives[..kept.min(lives.len())];
        numbered("p2", lives).send(&catalog).expect("taken");
        let snapshot = catalog.snapshot();
        for (from, length) in asked {
            let to = from + length;
            let at: ValidQuery = day(from).parse().expect("a day");
            let during: ValidQuery = format!("{}/{}", day(from), day(to)).parse().expect("an interval");
            for (valid, days) in [(at, from..from + 1), (during, from..to)] {
                let expected: Vec<i64> = (0..).zip(lives).filter(|(_, life)| was_so(**life, days.clone())).map(|(n, _)| n).collect();
                let query = RowQuery { valid: Some(valid), ..RowQuery::default() };
                prop_assert_eq!(sorted(found(&snapshot, &query).expect("rows")), expected.clone(), "{}", valid);
                let near = RowQuery { valid: Some(valid), ..window([70.0, 42.0, 70.25, 44.0]) };
                let inside: Vec<i64> = expected.iter().copied().filter(|n| *n <= 25).collect();
                prop_assert_eq!(sorted(found(&snapshot, &near).expect("rows")), inside, "{} in a box", valid);
                let first = RowQuery { limit: Some(3), ..query.clone() };
                let all = found(&snapshot, &query).expect("rows");
                prop_assert_eq!(found(&snapshot, &first).expect("rows"), &all[..all.len().min(3)]);
            }
        }
    }
}

#[test]
fn valid_time_is_declared_once_kept_and_said_where_it_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store");
    let lives = [(Some(1), Some(3)), (Some(2), None)];
    push("p1", &lives, false).send(&catalog).expect("taken");
    let asked = RowQuery { valid: Some("1970-01-02".parse().expect("a day")), ..RowQuery::default() };
    let error = found(&catalog.snapshot(), &asked).expect_err("no valid time");
    assert!(error.message().contains("a/lives@v1 has no valid time"), "{error}");
    let (outcome, snapshot) = push("p2", &lives, true).send(&catalog).expect("taken");
    assert_eq!(outcome.layers[0].version, VersionNumber(2), "the declaration is news, though no row is");
    assert_eq!(found(&snapshot, &asked).expect("rows"), [0]);
    let (_, snapshot) = push("p3", &[(Some(1), None)], false).send(&catalog).expect("taken");
    let (_, version) = snapshot.dataset(&"a/lives".parse().expect("valid")).expect("there");
    let kept = ValidTime { from: "since".to_owned(), to: Some("until".to_owned()) };
    assert_eq!(version.valid_time, Some(kept), "the dataset keeps it");
    let (again, _) = push("p4", &[(Some(1), None)], true).send(&catalog).expect("taken");
    assert_eq!(again.layers[0].version, VersionNumber(3), "the same once more changes nothing");
    let only = Declarations { valid_from: Some("since".to_owned()), ..Declarations::default() };
    let error = Push { declared: only, ..push("p5", &lives, false) }.send(&catalog).expect_err("another one");
    assert!(error.message().contains("valid time: expected since to until, found from since"), "{error}");
}

#[test]
fn rows_that_end_before_they_begin_are_named_and_refuse_the_push() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store");
    let mut lives = vec![(Some(5), Some(5)), (None, None), (Some(9), Some(3))];
    lives.extend([(Some(2), Some(1)); 6]);
    let error = numbered("p1", &lives).send(&catalog).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let expected = "found row 3 from 1970-01-10 to 1970-01-04, row 4 from";
    assert!(error.message().contains(expected) && error.message().ends_with("and 2 more"), "{error}");
    assert_eq!(catalog.snapshot().id().0, 0);
    for (from, to, word) in
        [("n", None, "has type Int64"), ("since", Some("n"), "has type Int64"), ("x", None, "\"x\"")]
    {
        let to = to.map(str::to_owned);
        let declared = Declarations { valid_from: Some(from.to_owned()), valid_to: to, ..Declarations::default() };
        let error = Push { declared, ..push("p2", &[(Some(1), None)], false) }.send(&catalog).expect_err("refused");
        assert!(error.message().contains(word), "{error}");
    }
    let declared = Declarations { valid_to: Some("until".to_owned()), ..Declarations::default() };
    let error = Push { declared, ..push("p3", &[(Some(1), None)], false) }.send(&catalog).expect_err("refused");
    assert!(error.message().contains("declare valid_from too"), "{error}");
}

#[test]
fn times_are_asked_as_their_column_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store");
    let hour = 3_600_000_000_i64;
    let times: [(&str, Option<&str>, Asked<'_>); 2] = [
        (
            "a/instants",
            Some("UTC"),
            &[("1970-01-01T05:00+05:00", &[0]), ("1970-01-01", &[0]), ("1970-01-01T01:00Z", &[0, 1])],
        ),
        ("a/plain", None, &[("1970-01-01T00:59", &[0]), ("1970-01-01T01:00", &[0, 1]), ("1970-01-01", &[0])]),
    ];
    for (dataset, zone, asked) in times {
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let schema = Schema::new(vec![
            attribute_field("n", "n", DataType::Int64),
            attribute_field("since", "since", data_type.clone()),
        ]);
        let since = TimestampMicrosecondArray::from(vec![0, hour]).with_timezone_opt(zone);
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![0, 1])), Arc::new(since)];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit");
        let declared = Declarations { valid_from: Some("since".to_owned()), ..Declarations::default() };
        let batches = vec![Batch::try_new(rows).expect("normalized")];
        let push = Push { declared, ..Push::of_batches(dataset, dataset, batches) };
        let (_, snapshot) = push.send(&catalog).expect("taken");
        let (dataset, version) = snapshot.dataset(&dataset.parse().expect("valid")).expect("there");
        for (text, expected) in asked {
            let query = RowQuery { valid: Some(text.parse().expect(text)), ..RowQuery::default() };
            let scan = snapshot.scan(&dataset, &version, &query, 0..1).expect(text);
            let numbers: Vec<i64> = scan
                .flat_map(|batch| batch.expect("rows").column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            assert_eq!(numbers, *expected, "{text} of {data_type}");
        }
        let other = if zone.is_some() { "1970-01-01T00:00" } else { "1970-01-01T00:00Z" };
        let query = RowQuery { valid: Some(other.parse().expect("a time")), ..RowQuery::default() };
        let error = snapshot.scan(&dataset, &version, &query, 0..1).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    }
}

#[test]
fn a_difference_keeps_rows_that_were_so_before_or_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store");
    let keyed = |push: Push| {
        let key = Some(vec!["n".to_owned()]);
        Push { declared: Declarations { key, ..push.declared.clone() }, ..push }
    };
    keyed(numbered("p1", &[(Some(1), None), (Some(1), Some(2)), (Some(50), None)])).send(&catalog).expect("taken");
    let after = [(Some(1), Some(9)), (Some(1), Some(3)), (Some(51), None), (Some(20), None)];
    keyed(numbered("p2", &after)).send(&catalog).expect("taken");
    let snapshot = catalog.snapshot();
    let versions = snapshot.versions(&"a/lives".parse().expect("valid"), None, 2).expect("two");
    let (dataset, _) = snapshot.dataset(&"a/lives".parse().expect("valid")).expect("there");
    for (asked, expected) in [("1970-01-03", vec![0, 1]), ("1970-01-11", vec![0]), ("1970-01-25", vec![0, 3])] {
        let query = RowQuery { valid: Some(asked.parse().expect("a day")), ..RowQuery::default() };
        let diff = snapshot.diff(&dataset, &versions[1], &versions[0], &query).expect("compared");
        let mut keys = Vec::new();
        for batch in diff {
            let batch = batch.expect("rows");
            let key = batch.column_by_name("key").expect("keyed").as_struct().column(0).clone();
            keys.extend(key.as_primitive::<Int64Type>().values().to_vec());
        }
        assert_eq!(sorted(keys), expected, "{asked}");
    }
}
