//! Rows come back as they were pushed, and a window gives exactly the rows in it.

use crate::fixture::{Place, Push, batch, numbers, open, options, points, sorted, window};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
use arrow_select::concat::concat_batches;
use geo::{Intersects, Polygon, Rect};
use proptest::prelude::*;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{Batch, BoundingBox, Comparison, ErrorKind, Filter, Folding, RowQuery, SystemClock, Term};

fn place() -> impl Strategy<Value = Place> {
    let near = || (-179.0..179.0_f64, -85.0..85.0_f64, -6.0..6.0_f64, -6.0..6.0_f64, -6.0..6.0_f64, -6.0..6.0_f64);
    prop_oneof![
        6 => (-180.0..180.0_f64, -90.0..90.0_f64).prop_map(|(x, y)| Place::Point(x, y)),
        6 => near().prop_map(|(x, y, a, b, c, d)| Place::Triangle([(x, y), (x + a, y + b), (x + c, y + d)])),
        1 => Just(Place::Empty),
        1 => Just(Place::Null),
    ]
}

/// Whether a place shares a point with a window: without any index.
fn meets(place: &Place, window: &BoundingBox) -> bool {
    let parts = window.parts();
    let mut rectangles = parts.iter().map(|part| Rect::new((part.west, part.south), (part.east, part.north)));
    match place {
        Place::Point(x, y) => parts.iter().any(|p| p.west <= *x && *x <= p.east && p.south <= *y && *y <= p.north),
        Place::Triangle([a, b, c]) => {
            let triangle = Polygon::new(vec![*a, *b, *c, *a].into(), vec![]);
            rectangles.any(|rectangle| rectangle.intersects(&triangle))
        }
        Place::Empty | Place::Null => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_window_gives_the_rows_that_a_test_of_every_row_gives(
        places in proptest::collection::vec(place(), 1..120),
        windows in proptest::collection::vec((-180.0..180.0_f64, -90.0..90.0_f64, -180.0..180.0_f64, 0.0..90.0_f64), 8),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        // Small pieces, so that a window crosses segments, row groups and pages, and sorting spills.
        let small = CatalogOptions {
            segment_rows_max: 50, row_group_rows: 20, page_rows: 7, sort_run_bytes: 2000,
            // Nothing stays in memory between two windows.
            rtree_cache_bytes: 100, ..options()
        };
        let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
        let rows: Vec<_> = (0..).zip(places).collect();
        let batches = rows.chunks(17).map(batch).collect();
        Push::of_batches("p1", "almaty/places", batches).send(&catalog).expect("taken");
        let snapshot = catalog.snapshot();
        let all = numbers(&snapshot, "almaty/places", &RowQuery::default()).expect("rows");
        prop_assert_eq!(sorted(all.clone()), (0..rows.len() as i64).collect::<Vec<_>>());
        for (west, south, east, height) in windows {
            let query = window([west, south, east, (south + height).min(90.0)]);
            let found = numbers(&snapshot, "almaty/places", &query).expect("rows");
            let expected: Vec<_> = all
                .iter()
                .copied()
                .filter(|n| meets(&rows[*n as usize].1, &query.bbox.expect("a window")))
                .collect();
            prop_assert_eq!(&found, &expected, "in stored order");
            let first = RowQuery { limit: Some(3), ..query };
            let limited = numbers(&snapshot, "almaty/places", &first).expect("rows");
            prop_assert_eq!(limited, &expected[..expected.len().min(3)]);
        }
    }
}

#[test]
fn a_triangle_beside_the_window_is_left_out_although_its_box_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let triangle = Place::Triangle([(70.0, 40.0), (80.0, 40.0), (70.0, 50.0)]);
    Push::new("p1", "almaty/places", &[(1, triangle)]).send(&catalog).expect("taken");
    let found = |bbox| numbers(&catalog.snapshot(), "almaty/places", &window(bbox)).expect("rows");
    assert_eq!(found([78.0, 48.0, 79.0, 49.0]), Vec::<i64>::new());
    assert_eq!(found([71.0, 41.0, 72.0, 42.0]), [1]);
    assert_eq!(found([80.0, 40.0, 81.0, 41.0]), [1], "borders count");
}

#[test]
fn columns_come_in_the_order_that_was_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let (_, snapshot) = Push::new("p1", "almaty/places", &points(0..10)).send(&catalog).expect("taken");
    let (dataset, version) = snapshot.dataset(&"almaty/places".parse().expect("valid")).expect("there");
    let scan = |columns: &[&str]| {
        let columns = Some(columns.iter().map(|name| (*name).to_owned()).collect());
        snapshot.scan(&dataset, &version, &RowQuery { columns, ..RowQuery::default() }, 0..1)
    };
    let rows = scan(&["geometry", "n"]).expect("columns").next().expect("a batch").expect("rows");
    let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["geometry", "n"]);
    let none = scan(&[]).expect("no columns").next().expect("a batch").expect("rows");
    assert_eq!((none.num_columns(), none.num_rows()), (0, 10));
    let error = scan(&["height"]).err().expect("no such column");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("\"height\"") && error.message().contains("n, name, geometry"), "{error}");
}

/// Rows `n`, `kind` of three words, `code` of as many as rows, and a place.
fn kinds(rows: std::ops::Range<i64>) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("n", "n", DataType::Int64),
        attribute_field("kind", "kind", DataType::Utf8),
        attribute_field("code", "code", DataType::Utf8),
        Arc::new(geometry_field()),
    ]);
    let kinds = ["жилой", "нежилой", ""];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.clone())),
        Arc::new(rows.clone().map(|n| (n % 5 != 0).then(|| kinds[n as usize % 3])).collect::<StringArray>()),
        Arc::new(rows.clone().map(|n| Some(format!("{n:>40}"))).collect::<StringArray>()),
        Arc::new(points(rows).iter().map(|(_, place)| place.to_wkb()).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

#[test]
fn pieces_of_a_segment_put_together_are_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = CatalogOptions { row_group_rows: 200, page_rows: 30, ..options() };
    let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
    Push::of_batches("p1", "a/kinds", vec![kinds(0..1000)]).send(&catalog).expect("taken");
    // Some rows of the segment are gone, and there is another one.
    let rest = [kinds(0..90), kinds(100..610), kinds(800..1100)];
    Push::of_batches("p2", "a/kinds", rest.to_vec()).send(&catalog).expect("taken");
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.dataset(&"a/kinds".parse().expect("valid")).expect("there");
    assert!(version.segments.len() == 2 && version.segments[0].deletes.is_some(), "{:?}", version.segments);
    let filter = Filter::Compare {
        left: Term::Column("n".to_owned(), Folding::default()),
        comparison: Comparison::Greater,
        right: Term::Number(250.0),
    };
    let filtered = RowQuery { filter: Some(filter), ..RowQuery::default() };
    for query in [RowQuery::default(), window([70.5, 42.0, 78.0, 44.0]), filtered] {
        let rows = |places: Option<std::ops::Range<u32>>| {
            let scan = snapshot.scan(&dataset, &version, &query, 0..1).expect("a scan");
            let scan = places.into_iter().fold(scan, ukimet_catalog::Scan::at_places);
            scan.map(|batch| batch.expect("rows")).collect::<Vec<_>>()
        };
        let joined =
            |parts: &[RecordBatch]| concat_batches(&snapshot.schema(&version).expect("columns"), parts).expect("rows");
        let whole = joined(&rows(None));
        assert!((100..1000).contains(&whole.num_rows()), "{}", whole.num_rows());
        for piece in [1000, 333, 200, 7] {
            let parts: Vec<_> = (0..1000).step_by(piece).flat_map(|at| rows(Some(at..at + piece as u32))).collect();
            assert_eq!(joined(&parts), whole, "in pieces of {piece}");
        }
        assert_eq!(rows(Some(1000..2000)).len() + rows(Some(5..5)).len(), 0, "behind the last, and none");
    }
}

#[test]
fn text_of_few_values_comes_as_a_dictionary_of_the_same_values_where_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = CatalogOptions { row_group_rows: 1000, page_rows: 30, ..options() };
    let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
    Push::of_batches("p1", "a/kinds", vec![kinds(0..3000)]).send(&catalog).expect("taken");
    Push::of_batches("p2", "a/kinds", vec![kinds(10..3100)]).send(&catalog).expect("taken");
    let snapshot = catalog.snapshot();
    let (dataset, version) = snapshot.dataset(&"a/kinds".parse().expect("valid")).expect("there");
    assert_eq!(version.segments.len(), 2);
    let names = snapshot.dictionary_columns(&dataset, &version).expect("footers");
    assert_eq!(names, ["kind"], "a dictionary of codes would hold every value");
    for query in [RowQuery::default(), window([75.0, 42.0, 90.0, 44.0])] {
        let rows = |names: &[String]| {
            let scan = snapshot.scan(&dataset, &version, &query, 0..2).expect("a scan");
            let scan = scan.with_dictionaries(names.to_vec());
            let schema = scan.schema();
            let batches: Vec<_> = scan.map(|batch| batch.expect("rows")).collect();
            assert!(batches.iter().all(|batch| batch.schema() == schema));
            concat_batches(&schema, &batches).expect("rows")
        };
        let (plain, packed) = (rows(&[]), rows(&names));
        let kind = packed.column_by_name("kind").expect("a column");
        assert!(matches!(kind.data_type(), DataType::Dictionary(_, _)), "{:?}", kind.data_type());
        assert_eq!(&cast(kind, &DataType::Utf8).expect("text"), plain.column_by_name("kind").expect("a column"));
        assert_eq!(packed.column_by_name("code"), plain.column_by_name("code"));
        let field = |rows: &RecordBatch| rows.schema().field_with_name("kind").expect("a field").metadata().clone();
        assert_eq!(field(&packed), field(&plain));
    }
}

#[test]
fn the_schema_is_the_published_one_in_every_way_of_asking() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let push = Push::new("p1", "almaty/places", &points(0..10));
    let (_, snapshot) = push.send(&catalog).expect("taken");
    let (dataset, version) = snapshot.dataset(&"almaty/places".parse().expect("valid")).expect("there");
    let schema = snapshot.schema(&version).expect("a schema");
    assert_eq!(schema, push.batches[0].rows().schema());
    let mut scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..1).expect("a scan");
    assert_eq!((scan.schema(), scan.next().expect("a batch").expect("rows").schema()), (schema.clone(), schema));
}

#[test]
fn batches_of_wide_rows_are_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let schema = Arc::new(Schema::new(vec![attribute_field("text", "text", DataType::Utf8)]));
    let column: ArrayRef =
        Arc::new((0..400).map(|i| Some(format!("{i}{}", "x".repeat(100_000)))).collect::<StringArray>());
    let rows = RecordBatch::try_new(schema, vec![column]).expect("rows");
    let push = Push::of_batches("p1", "almaty/texts", vec![Batch::try_new(rows).expect("normalized")]);
    let (_, snapshot) = push.send(&catalog).expect("taken");
    let (dataset, version) = snapshot.dataset(&"almaty/texts".parse().expect("valid")).expect("there");
    let scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..1).expect("a scan");
    let lengths: Vec<usize> = scan.map(|batch| batch.expect("rows").num_rows()).collect();
    assert_eq!(lengths, [167, 167, 66], "16 MiB of rows of 100 kB");
}

#[test]
fn a_table_without_geometry_keeps_the_order_of_its_source() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = CatalogOptions { sort_run_bytes: 1000, segment_rows_max: 300, ..options() };
    let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
    let schema = Arc::new(Schema::new(vec![attribute_field("n", "n", DataType::Int64)]));
    let values: Vec<i64> = (0..1000).map(|i| (i * 7919) % 1000).collect();
    let part = |values: &[i64]| {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        Batch::try_new(RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("rows")).expect("normalized")
    };
    let push = Push::of_batches("p1", "almaty/table", values.chunks(99).map(part).collect());
    push.send(&catalog).expect("taken");
    let snapshot = catalog.snapshot();
    assert_eq!(numbers(&snapshot, "almaty/table", &RowQuery::default()).expect("rows"), values);
    assert_eq!(
        numbers(&snapshot, "almaty/table", &window([-180.0, -90.0, 180.0, 90.0])).expect("rows"),
        Vec::<i64>::new()
    );
}

#[test]
fn an_empty_layer_is_a_version_with_a_schema_and_no_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let (_, snapshot) = Push::new("p1", "almaty/places", &[]).send(&catalog).expect("taken");
    let (_, version) = snapshot.dataset(&"almaty/places".parse().expect("valid")).expect("there");
    assert_eq!((version.rows, version.bbox, version.segments.len()), (0, None, 1));
    assert_eq!(numbers(&snapshot, "almaty/places", &RowQuery::default()).expect("rows"), Vec::<i64>::new());
    assert_eq!(numbers(&snapshot, "almaty/places", &window([0.0, 0.0, 1.0, 1.0])).expect("rows"), Vec::<i64>::new());
    assert_eq!(snapshot.schema(&version).expect("a schema").fields().len(), 3);
}

#[test]
fn the_same_rows_in_any_order_and_cut_give_the_same_bytes() {
    let segments = |batches: Vec<Batch>| {
        let dir = tempfile::tempdir().expect("a directory");
        let small = CatalogOptions { sort_run_bytes: 5000, segment_rows_max: 64, ..options() };
        let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
        let (_, snapshot) = Push::of_batches("p1", "almaty/places", batches).send(&catalog).expect("taken");
        let (_, version) = snapshot.dataset(&"almaty/places".parse().expect("valid")).expect("there");
        (version.segments, version.root_hash)
    };
    let rows = points(0..200);
    let mut reversed = rows.clone();
    reversed.reverse();
    let (one, many) = (vec![batch(&rows)], reversed.chunks(13).map(batch).collect());
    assert_eq!(segments(one), segments(many));
}

#[test]
fn a_batch_with_other_columns_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let schema = Schema::new(vec![attribute_field("n", "n", DataType::Utf8)]);
    let column: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let other =
        Batch::try_new(RecordBatch::try_new(Arc::new(schema), vec![column]).expect("rows")).expect("normalized");
    let push = Push::of_batches("p1", "almaty/places", vec![batch(&points(0..2)), other]);
    let error = push.send(&catalog).map(|(outcome, _)| outcome).expect_err("another type");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("\"n\" of type Int64, found \"n\" of type Utf8"), "{error}");
}
