//! Rows in an order of their values: those that a stable sort of the stored ones gives.

use crate::filters::{Row, ask, filter, layer, row, small};
use crate::fixture::{Place, Push, options, points};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;
use std::cmp::Ordering;
use std::sync::Arc;
use ukimet_catalog::{Catalog, RowOrder, Snapshot};
use ukimet_model::{ErrorKind, OrderColumn, Result, RowQuery, SystemClock};

const COLUMNS: [&str; 8] = ["n", "whole", "fraction", "hundredths", "text", "flag", "day", "time"];
/// Enough for every order in here.
const BYTES_MAX: u64 = 1 << 30;

fn by(written: &str) -> Vec<OrderColumn> {
    written.split(',').map(|column| column.parse().expect("a column")).collect()
}

fn read(snapshot: &Snapshot, query: &RowQuery, columns: &[OrderColumn], bytes_max: u64) -> Result<Vec<RecordBatch>> {
    let (dataset, version) = snapshot.dataset(&"a/rows".parse()?)?;
    let order = RowOrder { columns, bytes_max };
    snapshot.scan_in_order((&dataset, &version), query, 0..version.segments.len(), order)?.collect()
}

fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    let of = |batch: &RecordBatch| batch.column_by_name("n").expect("n").as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(of).collect()
}

/// How two values stand to each other; a missing one comes last in either direction.
fn compare<T>(a: Option<T>, b: Option<T>, descending: bool, order: impl FnOnce(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => order(&b, &a),
        (Some(a), Some(b)) => order(&a, &b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

fn compare_rows(
    (n, a): (i64, &Row),
    (m, b): (i64, &Row),
    OrderColumn { column, descending }: &OrderColumn,
) -> Ordering {
    let down = *descending;
    match column.as_str() {
        "n" => compare(Some(n), Some(m), down, i64::cmp),
        "whole" => compare(a.whole, b.whole, down, i64::cmp),
        "fraction" => compare(a.fraction, b.fraction, down, f64::total_cmp),
        "hundredths" => compare(a.hundredths, b.hundredths, down, i64::cmp),
        "text" => compare(a.text, b.text, down, |a, b| a.chars().cmp(b.chars())),
        "flag" => compare(a.flag, b.flag, down, bool::cmp),
        "day" => compare(a.day, b.day, down, i32::cmp),
        "time" => compare(a.time, b.time, down, i64::cmp),
        other => unreachable!("there is no column {other}"),
    }
}

fn order() -> impl Strategy<Value = Vec<OrderColumn>> {
    let columns = proptest::sample::subsequence(&COLUMNS[..], 1..4).prop_shuffle();
    (columns, proptest::collection::vec(any::<bool>(), 4)).prop_map(|(columns, down)| {
        let named = columns.into_iter().zip(down);
        named.map(|(column, descending)| OrderColumn { column: column.to_owned(), descending }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_the_stable_one_of_the_stored_rows(
        rows in proptest::collection::vec(row(), 1..150),
        kept in 1..150_usize,
        orders in proptest::collection::vec((order(), proptest::option::of(filter()), proptest::option::of(0..40_u64)), 30),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path(), small(), Arc::new(SystemClock)).expect("a new store");
        Push::of_batches("p1", "a/rows", vec![layer(&rows)]).send(&catalog).expect("taken");
        // The second version has deleted rows in the files of the first.
        let kept = &rows[..kept.min(rows.len())];
        let (_, snapshot) = Push::of_batches("p2", "a/rows", vec![layer(kept)]).send(&catalog).expect("taken");
        let (_, version) = snapshot.dataset(&"a/rows".parse().expect("an id")).expect("is there");
        for (columns, filter, limit) in orders {
            let query = RowQuery { columns: Some(vec!["text".to_owned(), "n".to_owned()]), filter, ..RowQuery::default() };
            let mut expected = ask(&snapshot, &version, query.clone()).expect("is answered");
            let row = |n: i64| (n, &rows[n as usize]);
            expected.sort_by(|a, b| {
                columns.iter().map(|column| compare_rows(row(*a), row(*b), column)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            });
            expected.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
            let found = read(&snapshot, &RowQuery { limit, ..query }, &columns, BYTES_MAX).expect("is answered");
            for batch in &found {
                let texts = batch.column(0).as_string::<i32>().iter();
                let of_rows = batch.column(1).as_primitive::<Int64Type>().values().iter().map(|n| rows[*n as usize].text);
                prop_assert!(texts.eq(of_rows), "the columns of a row stay together");
            }
            prop_assert_eq!(numbers(&found), expected, "{:?}", columns);
        }
    }
}

fn published(rows: &[(i64, Place)]) -> (tempfile::TempDir, Snapshot) {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).expect("a new store");
    let (_, snapshot) = Push::new("p1", "a/rows", rows).send(&catalog).expect("taken");
    (dir, snapshot)
}

#[test]
fn much_memory_and_little_give_the_same_batches() {
    let (_dir, snapshot) = published(&points(0..70_000));
    let query = RowQuery::default();
    let much = read(&snapshot, &query, &by("-name"), BYTES_MAX).expect("much memory");
    // The numbers of 70,000 rows take less; each batch is read by itself.
    let little = read(&snapshot, &query, &by("-name"), 5 << 20).expect("little memory");
    assert!(much.len() >= 3 && much == little, "{} and {} batches", much.len(), little.len());
    let rows: usize = much.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 70_000);
}

#[test]
fn above_its_memory_an_order_is_refused_and_the_first_rows_of_it_are_not() {
    let (_dir, snapshot) = published(&points(0..2000));
    let columns = by("-n");
    let refused = read(&snapshot, &RowQuery::default(), &columns, 20_000).expect_err("too many");
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
    for part in ["order-bytes-max (20000 bytes)", "values of n", "limit", "SQL"] {
        assert!(refused.message().contains(part), "{refused}");
    }
    let few = RowQuery { limit: Some(3), ..RowQuery::default() };
    assert_eq!(numbers(&read(&snapshot, &few, &columns, 20_000).expect("few")), [1999, 1998, 1997]);
}

#[test]
fn columns_without_an_order_unknown_and_repeated_ones_are_named() {
    let (_dir, snapshot) = published(&points(0..3));
    for (columns, said) in [
        ("geometry", "column \"geometry\" holds Binary"),
        ("name,height", "there is no column \"height\", the columns are n, name, geometry"),
        ("name,-name", "names column \"name\" twice"),
    ] {
        let refused = read(&snapshot, &RowQuery::default(), &by(columns), BYTES_MAX).expect_err(columns);
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
        assert!(refused.message().contains(said), "{refused}");
    }
}

#[test]
fn an_order_ends_once_nobody_waits_for_its_rows() {
    let (_dir, snapshot) = published(&points(0..3));
    let (dataset, version) = snapshot.dataset(&"a/rows".parse().expect("an id")).expect("is there");
    let (columns, query) = (by("n"), RowQuery::default());
    let order = RowOrder { columns: &columns, bytes_max: BYTES_MAX };
    let scan = snapshot.scan_in_order((&dataset, &version), &query, 0..1, order).expect("opens");
    assert_eq!(scan.while_wanted(|| false).count(), 0);
}
