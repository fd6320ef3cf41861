//! Rows by a condition on their columns: exactly those that a look at every row finds.

use crate::fixture::{Place, Push, options, points, sorted};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema, TimeUnit};
use geo::{Distance, Geodesic};
use geo_types::{Geometry, LineString, Point, Polygon, Rect};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use ukimet_catalog::{Catalog, CatalogOptions, Snapshot};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Batch, Comparison, ErrorKind, Filter, Folding, Result, RowQuery, SpatialRelation, SystemClock, Term, Version,
};

/// A row; every value may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) whole: Option<i64>,
    pub(crate) fraction: Option<f64>,
    pub(crate) hundredths: Option<i64>,
    pub(crate) text: Option<&'static str>,
    pub(crate) flag: Option<bool>,
    pub(crate) day: Option<i32>,
    /// Seconds since 1970.
    pub(crate) time: Option<i64>,
    pub(crate) place: Option<(f64, f64)>,
}

/// Bounds of pages keep only the first of long texts, which these share.
const TEXTS: [&str; 6] = [
    "",
    "Абай көшесі",
    "абай көшесі",
    "100% жол_2",
    "ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ 1",
    "ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ ұзақ 2",
];
const PATTERNS: [&str; 6] = ["%", "абай%", "А_ай %", "%\\%%", "ұзақ%2", "%\\_2"];
const COLUMNS: [&str; 6] = ["whole", "fraction", "hundredths", "text", "day", "time"];

pub(crate) fn row() -> impl Strategy<Value = Row> {
    let some = 0.85;
    (
        proptest::option::weighted(some, -9..9_i64),
        proptest::option::weighted(some, -9.0..9.0_f64),
        proptest::option::weighted(some, -900..900_i64),
        proptest::option::weighted(some, proptest::sample::select(&TEXTS[..])),
        proptest::option::weighted(some, any::<bool>()),
        proptest::option::weighted(some, -9..9_i32),
        proptest::option::weighted(some, -900_000..900_000_i64),
        proptest::option::weighted(some, (76.0..77.0_f64, 43.0..44.0_f64)),
    )
        .prop_map(|(whole, fraction, hundredths, text, flag, day, time, place)| Row {
            whole,
            fraction,
            hundredths,
            text,
            flag,
            day,
            time,
            place,
        })
}

pub(crate) fn layer(rows: &[Row]) -> Batch {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        attribute_field("n", "n", DataType::Int64),
        attribute_field("whole", "whole", DataType::Int64),
        attribute_field("fraction", "fraction", DataType::Float64),
        attribute_field("hundredths", "hundredths", DataType::Decimal128(10, 2)),
        attribute_field("text", "text", DataType::Utf8),
        attribute_field("flag", "flag", DataType::Boolean),
        attribute_field("day", "day", DataType::Date32),
        attribute_field("time", "time", utc),
        Arc::new(geometry_field()),
    ]);
    let hundredths = rows.iter().map(|row| row.hundredths.map(i128::from)).collect::<Decimal128Array>();
    let times = rows.iter().map(|row| row.time.map(|time| time * 1_000_000)).collect::<TimestampMicrosecondArray>();
    let wkb = |row: &Row| row.place.and_then(|(x, y)| Place::Point(x, y).to_wkb());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)),
        Arc::new(rows.iter().map(|row| row.whole).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.fraction).collect::<Float64Array>()),
        Arc::new(hundredths.with_precision_and_scale(10, 2).expect("fits")),
        Arc::new(rows.iter().map(|row| row.text).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.day).collect::<Date32Array>()),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows.iter().map(wkb).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn column(name: &str) -> Term {
    Term::Column(name.to_owned(), Folding::default())
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    proptest::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn instant(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).expect("near 1970")
}

fn date(day: i32) -> jiff::civil::Date {
    jiff::civil::Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(day)).expect("near 1970")
}

fn sides() -> impl Strategy<Value = (Term, Term)> {
    let number =
        prop_oneof![(-9..9_i64).prop_map(|n| n as f64), -9.5..9.5_f64, (-900..900_i64).prop_map(|n| n as f64 / 100.0)];
    let numbers = (proptest::sample::select(&COLUMNS[..3]), number);
    prop_oneof![
        3 => numbers.prop_map(|(name, number)| (column(name), Term::Number(number))),
        1 => proptest::sample::select(&TEXTS[..]).prop_map(|text| (column("text"), Term::Text(text.to_owned()))),
        1 => any::<bool>().prop_map(|flag| (column("flag"), Term::Flag(flag))),
        1 => (-9..9_i32).prop_map(|day| (column("day"), Term::Day(date(day)))),
        1 => (-900_000..900_000_i64).prop_map(|time| (column("time"), Term::Instant(instant(time)))),
        1 => Just((column("whole"), column("n"))),
    ]
}

fn wkb(geometry: &Geometry) -> Vec<u8> {
    let mut bytes = Vec::new();
    wkb::writer::write_geometry(&mut bytes, geometry, &wkb::writer::WriteOptions::default()).expect("writes");
    bytes
}

fn spatial() -> impl Strategy<Value = Filter> {
    let place = (75.9..77.1_f64, 42.9..44.1_f64);
    let boxes = (place.clone(), 0.01..0.5_f64).prop_map(|((x, y), size)| {
        (SpatialRelation::Intersects, Geometry::from(Rect::new((x, y), (x + size, y + size)).to_polygon()))
    });
    let near = (place, 0.0..90_000.0_f64)
        .prop_map(|(place, metres)| (SpatialRelation::WithinDistance(metres), Geometry::from(Point::from(place))));
    prop_oneof![boxes, near].prop_map(|(relation, geometry)| Filter::Spatial {
        column: "geometry".to_owned(),
        relation,
        geometry: wkb(&geometry),
    })
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        4 => (sides(), comparison(), any::<bool>()).prop_map(|((left, right), comparison, is_turned)| {
            let (left, right) = if is_turned { (right, left) } else { (left, right) };
            Filter::Compare { left, comparison, right }
        }),
        1 => proptest::sample::select(&PATTERNS[..]).prop_map(|pattern| Filter::Like { term: column("text"), pattern: pattern.to_owned() }),
        1 => (proptest::sample::subsequence(&TEXTS[..], 0..4), any::<bool>()).prop_map(|(texts, folded)| {
            let folding = Folding { case: folded, accents: false };
            let is = |text: &&str| Filter::Compare {
                left: Term::Column("text".to_owned(), folding),
                comparison: Comparison::Equal,
                right: Term::Text(folding.of(text).into_owned()),
            };
            Filter::Any(texts.iter().map(is).collect())
        }),
        1 => proptest::sample::select(&COLUMNS[..]).prop_map(|name| Filter::IsNull(name.to_owned())),
        1 => any::<bool>().prop_map(Filter::Constant),
        2 => spatial(),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// What a row is asked, answered by looking at it; `None` is unknown.
fn holds(filter: &Filter, row: &Row, n: i64) -> Option<bool> {
    match filter {
        Filter::All(parts) => {
            let answers: Vec<Option<bool>> = parts.iter().map(|part| holds(part, row, n)).collect();
            let is_known = answers.iter().all(Option::is_some);
            if answers.contains(&Some(false)) { Some(false) } else { is_known.then_some(true) }
        }
        Filter::Any(parts) => {
            holds(&Filter::All(parts.iter().map(|part| Filter::Not(Box::new(part.clone()))).collect()), row, n)
                .map(|none| !none)
        }
        Filter::Not(part) => holds(part, row, n).map(|is_so| !is_so),
        Filter::Constant(is_so) => Some(*is_so),
        Filter::IsNull(name) => Some(ordering(&column(name), &column(name), row, n).is_none()),
        Filter::Compare { left, comparison, right } => Some(comparison.holds(ordering(left, right, row, n)?)),
        Filter::Like { pattern, .. } => Some(is_like(row.text?, pattern)),
        Filter::Spatial { relation, geometry, .. } => {
            let place = Point::from(row.place?);
            let geometry = wkb::reader::read_wkb(geometry).expect("reads");
            let geometry = geo_traits::to_geo::ToGeoGeometry::to_geometry(&geometry);
            Some(match (relation, geometry) {
                (SpatialRelation::Intersects, Geometry::Polygon(polygon)) => {
                    let bounds = geo::BoundingRect::bounding_rect(&polygon).expect("a box");
                    geo::Intersects::intersects(&bounds, &place)
                }
                (SpatialRelation::WithinDistance(metres), Geometry::Point(other)) => {
                    Geodesic.distance(place, other) <= *metres
                }
                other => unreachable!("{other:?} is not asked"),
            })
        }
    }
}

/// How two sides stand to each other in a row, where both are there.
fn ordering(left: &Term, right: &Term, row: &Row, n: i64) -> Option<Ordering> {
    if !matches!(left, Term::Column(..)) {
        return ordering(right, left, row, n).map(Ordering::reverse);
    }
    let Term::Column(name, folding) = left else { unreachable!() };
    let same_column = left == right;
    let number = |value: f64| match right {
        Term::Number(right) => value.partial_cmp(right),
        _ => Some(Ordering::Equal),
    };
    match name.as_str() {
        "whole" => match right {
            Term::Column(..) if !same_column => Some(row.whole?.cmp(&n)),
            _ => number(row.whole? as f64),
        },
        "fraction" => number(row.fraction?),
        "hundredths" => number(row.hundredths? as f64 / 100.0),
        "text" => Some(match right {
            Term::Text(text) => folding.of(row.text?).as_ref().cmp(text.as_str()),
            _ => row.text.map(|_| Ordering::Equal)?,
        }),
        "flag" => match right {
            Term::Flag(flag) => Some(row.flag?.cmp(flag)),
            other => unreachable!("{other:?} is not asked of a flag"),
        },
        "day" => Some(match right {
            Term::Day(day) => date(row.day?).cmp(day),
            _ => row.day.map(|_| Ordering::Equal)?,
        }),
        "time" => Some(match right {
            Term::Instant(right) => instant(row.time?).cmp(right),
            _ => row.time.map(|_| Ordering::Equal)?,
        }),
        "n" => Some(n.cmp(&row.whole?)),
        other => unreachable!("there is no column {other}"),
    }
}

/// Patterns as their definition says, letter by letter.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => text.is_empty(),
        Some('%') => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| is_like(&text[at..], letters.as_str()))
        }
        Some(letter) => {
            let letter = if letter == '\\' { letters.next() } else { Some(letter).filter(|_| letter != '_') };
            let mut rest = text.chars();
            rest.next().is_some_and(|found| {
                letter.is_none_or(|letter| letter == found) && is_like(rest.as_str(), letters.as_str())
            })
        }
    }
}

pub(crate) fn small() -> CatalogOptions {
    CatalogOptions { segment_rows_max: 50, row_group_rows: 20, page_rows: 7, ..options() }
}

pub(crate) fn ask(snapshot: &Snapshot, version: &Version, query: RowQuery) -> Result<Vec<i64>> {
    let (dataset, _) = snapshot.dataset(&"a/rows".parse()?)?;
    let query = RowQuery { columns: Some(vec!["n".to_owned()]), ..query };
    let mut numbers = Vec::new();
    for batch in snapshot.scan(&dataset, version, &query, 0..version.segments.len())? {
        numbers.extend(batch?.column(0).as_primitive::<Int64Type>().values().iter());
    }
    Ok(numbers)
}

fn asked(filter: &Filter) -> RowQuery {
    RowQuery { filter: Some(filter.clone()), ..RowQuery::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_takes_the_rows_that_a_look_at_every_row_takes(
        mut rows in proptest::collection::vec(row(), 1..150),
        is_sorted in any::<bool>(),
        kept in 1..150_usize,
        filters in proptest::collection::vec(filter(), 40),
    ) {
        if is_sorted {
            // As in a table that grows: most pages cannot have a wanted row then.
            rows.sort_by_key(|row| (row.whole, row.text, row.day));
        }
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = Catalog::open(dir.path(), small(), Arc::new(SystemClock)).expect("a new store");
        Push::of_batches("p1", "a/rows", vec![layer(&rows)]).send(&catalog).expect("taken");
        // The second version has deleted rows in the files of the first.
        let rows = &rows[..kept.min(rows.len())];
        let (_, snapshot) = Push::of_batches("p2", "a/rows", vec![layer(rows)]).send(&catalog).expect("taken");
        let (_, version) = snapshot.dataset(&"a/rows".parse().expect("an id")).expect("is there");
        for filter in filters {
            let expected: Vec<i64> = (0..).zip(rows).filter(|(n, row)| holds(&filter, row, *n) == Some(true)).map(|(n, _)| n).collect();
            let found = ask(&snapshot, &version, asked(&filter)).expect("is answered");
            prop_assert_eq!(sorted(found.clone()), expected.clone(), "{:?}", filter);
            let few = ask(&snapshot, &version, RowQuery { limit: Some(3), ..asked(&filter) }).expect("is answered");
            prop_assert_eq!(&few[..], &found[..found.len().min(3)], "{:?}", filter);
        }
    }
}

#[test]
fn a_scan_ends_once_nobody_waits_for_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), small(), Arc::new(SystemClock)).expect("a new store");
    let (_, snapshot) = Push::new("p1", "a/rows", &points(0..500)).send(&catalog).expect("taken");
    let (dataset, version) = snapshot.dataset(&"a/rows".parse().expect("an id")).expect("is there");
    let all = Filter::Compare { left: column("n"), comparison: Comparison::GreaterOrEqual, right: Term::Number(0.0) };
    let read = |patience: u32| {
        let left = AtomicU32::new(patience);
        let scan = snapshot.scan(&dataset, &version, &asked(&all), 0..version.segments.len()).expect("begins");
        let scan = scan.while_wanted(move || left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok());
        scan.map(|batch| batch.expect("read").num_rows()).sum::<usize>()
    };
    assert_eq!((read(0), read(u32::MAX)), (0, 500));
    assert!((1..500).contains(&read(4)), "it ended on the way");
}

#[test]
fn a_filter_that_does_not_fit_the_columns_is_refused_with_what_would() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = Catalog::open(dir.path(), small(), Arc::new(SystemClock)).expect("a new store");
    let (_, snapshot) = Push::new("p1", "a/rows", &points(0..3)).send(&catalog).expect("taken");
    let (_, version) = snapshot.dataset(&"a/rows".parse().expect("an id")).expect("is there");
    let compare = |left: Term, right: Term| Filter::Compare { left, comparison: Comparison::Less, right };
    let folded = Term::Column("n".to_owned(), Folding { case: true, accents: false });
    let relates = |column: &str, relation: SpatialRelation, geometry: &[u8]| Filter::Spatial {
        column: column.to_owned(),
        relation,
        geometry: geometry.to_vec(),
    };
    let place = |column: &str, geometry: &[u8]| relates(column, SpatialRelation::WithinDistance(2e6), geometry);
    // Two hundred times round the world.
    let ways = (0..200).map(|i| if i % 2 == 0 { (-180.0, -89.0) } else { (180.0, 89.0) });
    let long = wkb(&ways.collect::<LineString>().into());
    let crossed =
        wkb(&Polygon::new(LineString::from(vec![(76.0, 43.0), (77.0, 44.0), (77.0, 43.0), (76.0, 44.0)]), vec![])
            .into());
    let several = wkb(&Geometry::GeometryCollection([Geometry::from(Point::new(76.0, 43.0))].into_iter().collect()));
    let point = wkb(&Point::new(76.0, 43.0).into());
    for (filter, part) in [
        (compare(column("floors"), Term::Number(1.0)), "names column \"floors\", the columns are n, name, geometry"),
        (compare(column("n"), Term::Text("5".to_owned())), "type Int64, with the text \"5\""),
        (compare(column("name"), Term::Number(5.0)), "type Utf8, with the number 5"),
        (compare(column("n"), column("name")), "only equal ones compare"),
        (compare(folded.clone(), Term::Text("a".to_owned())), "only text is folded"),
        (compare(column("n"), Term::Number(1e15)), "at most 15 digits"),
        (compare(folded.clone(), column("n")), "only text is folded"),
        (Filter::Like { term: column("name"), pattern: "%_".repeat(51) }, "at most 100 of % and _, found 102"),
        (Filter::Like { term: column("n"), pattern: "%".to_owned() }, "only text has a pattern"),
        (place("name", &point), "holds no geometries"),
        (place("geometry", &[1, 2, 3]), "none that a row could have"),
        (place("geometry", &point), "0 to 1000000 metres, found 2000000"),
        (relates("geometry", SpatialRelation::WithinDistance(1.0), &long), "at most 100000 pieces of 0.5 degrees"),
        (relates("geometry", SpatialRelation::Intersects, &crossed), "is not valid"),
        (relates("geometry", SpatialRelation::Within, &several), "a collection of geometries only goes with"),
        (place("geometry", &wkb(&Point::new(43.0, 176.0).into())), "90 of latitude"),
    ] {
        let error = ask(&snapshot, &version, asked(&filter)).expect_err(part);
        assert!(error.kind() == ErrorKind::InvalidRequest && error.message().contains(part), "{part}: {error}");
    }
}
