//! Tests of the geometry rule.

use super::*;
use crate::crs::CrsSurvey;
use geos::{Geom, Geometry};

fn wkb_of(wkt: &str) -> Vec<u8> {
    canonical(&Geometry::new_from_wkt(wkt).expect(wkt)).expect("canonical")
}

/// A polygon of one ring from numbers, closed or not.
fn ring(numbers: &[(f64, f64)]) -> Vec<u8> {
    let mut bytes = vec![1, 3, 0, 0, 0, 1, 0, 0, 0];
    bytes.extend((numbers.len() as u32).to_le_bytes());
    bytes.extend(numbers.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()].concat()));
    bytes
}

struct Run {
    column: BinaryArray,
    refused: Vec<bool>,
    report: LayerReport,
}

fn run(rows: &[Option<Vec<u8>>], limits: Limits, crs: &str) -> Result<Run> {
    let column: BinaryArray = rows.iter().map(Option::as_deref).collect();
    let mut survey = CrsSurvey::begin(Some(crs), None)?;
    column.iter().flatten().for_each(|bytes| survey.observe_wkb(bytes));
    let mut transform = Transform::new(survey.decide(true)?);
    let (mut rule, mut findings) = (GeometryRule::new(limits), Findings::default());
    let done = rule.apply(&column, Vec::new(), &mut transform, 100, &mut findings)?;
    let mut report = LayerReport::default();
    transform.finish(true)?;
    rule.finish(&mut report, &mut findings);
    report.diagnostics = findings.into_diagnostics();
    Ok(Run { column: done.column, refused: done.refused, report })
}

fn run_84(rows: &[Option<Vec<u8>>]) -> Run {
    run(rows, Limits::default(), "EPSG:4326").expect("normalizes")
}

#[test]
fn valid_geometries_keep_every_bit_and_are_counted() {
    let rows = [
        Some(wkb_of("POINT (76.9 43.2)")),
        None,
        Some(wkb_of("POLYGON ((76 43, 77 43, 77 44, 76 43))")),
        Some(wkb_of("POINT EMPTY")),
        Some(wkb_of("LINESTRING (70 50, 71 51)")),
    ];
    let run = run_84(&rows);
    assert!(run.column.iter().zip(&rows).all(|(after, before)| after == before.as_deref()));
    assert_eq!((run.report.geometry_types["Point"], run.report.geometry_nulls), (2, 1));
    assert_eq!((run.report.rows_repaired, run.refused.contains(&true)), (0, false));
    assert_eq!(run.report.bbox, Some([70.0, 43.0, 77.0, 51.0].into()));
    let rules: Vec<&str> = run.report.diagnostics.iter().map(|d| d.rule.as_str()).collect();
    assert_eq!(rules, ["geometry.empty"]);
}

#[test]
fn canonical_geometries_on_wgs_84_are_not_copied() {
    let column: BinaryArray = [wkb_of("POINT (76.9 43.2)")].iter().map(|bytes| Some(bytes.as_slice())).collect();
    let mut transform =
        Transform::new(CrsSurvey::begin(Some("OGC:CRS84"), None).expect("known").decide(true).expect("decided"));
    let mut rule = GeometryRule::new(Limits::default());
    let done = rule.apply(&column, Vec::new(), &mut transform, 0, &mut Findings::default()).expect("valid");
    assert_eq!(done.column.value_data().as_ptr(), column.value_data().as_ptr());
}

#[test]
fn invalid_geometries_are_repaired_in_their_kind_and_measured() {
    for (bytes, reason, expected) in [
        (wkb_of("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"), "Self-intersection", "MultiPolygon"),
        (wkb_of("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0, 0.5 -1, 0 0))"), "Self-intersection", "Polygon"),
        (wkb_of("MULTIPOLYGON (((0 0, 2 2, 2 0, 0 2, 0 0)))"), "Self-intersection", "MultiPolygon"),
        (
            wkb_of("POLYGON ((0 0, 2 0, 2 2, 0 2, 0 0), (3 3, 4 3, 4 4, 3 3))"),
            "Hole lies outside shell",
            "MultiPolygon",
        ),
        (ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]), "Ring is not closed", "Polygon"),
        (wkb_of("POLYGON Z ((0 0 5, 2 2 5, 2 0 5, 0 2 5, 0 0 5))"), "Self-intersection", "MultiPolygon"),
    ] {
        let every = Limits { repair_area_change_max: 1.0, ..Limits::default() };
        let run = run(&[Some(bytes)], every, "EPSG:4326").expect("normalizes");
        let shape = wkb::inspect(run.column.value(0)).expect("WKB");
        assert!(Geometry::new_from_wkb(run.column.value(0)).and_then(|g| g.is_valid()).expect("readable"), "{reason}");
        assert_eq!((shape.kind.name(), run.report.rows_repaired), (expected, 1), "{reason}");
        let found = &run.report.diagnostics[0];
        assert_eq!((found.rule.as_str(), found.count, found.examples[0].row), ("geometry.invalid", 1, Some(100)));
        assert!(found.examples[0].found.starts_with(reason), "{}", found.examples[0].found);
        assert!(run.report.steps[0].parameters["reasons"].starts_with(reason));
    }
}

#[test]
fn what_no_repair_keeps_is_refused_by_row() {
    let flat = ring(&[(1.0, 1.0), (2.0, 2.0), (1.0, 1.0)]);
    let path = wkb_of("LINESTRING (1 1, 1 1)");
    let run = run_84(&[Some(flat), Some(path), Some(wkb_of("POINT (1 1)"))]);
    assert_eq!(run.refused, [true, true, false]);
    let rules: Vec<&str> = run.report.diagnostics.iter().map(|d| d.rule.as_str()).collect();
    assert_eq!((rules, run.report.rows_repaired), (vec!["geometry.unrepairable"], 0));
    assert!(run.report.diagnostics.iter().all(|found| found.severity == Severity::Error));
}

#[test]
fn a_path_of_one_position_is_refused_by_row() {
    let mut path = vec![1, 2, 0, 0, 0, 1, 0, 0, 0];
    path.extend(70.0_f64.to_le_bytes());
    path.extend(50.0_f64.to_le_bytes());
    let run = run_84(&[Some(wkb_of("POINT (1 1)")), Some(path)]);
    assert_eq!(run.refused, [false, true]);
    assert_eq!(run.report.diagnostics[0].rule, "geometry.broken");
}

#[test]
fn a_repair_above_its_limit_is_not_taken() {
    let bow = wkb_of("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))");
    let change = Limits { repair_area_change_max: 0.1, ..Limits::default() };
    let size = Limits { repair_vertices_max: 4, ..Limits::default() };
    let rules = [(change, "geometry.repair_too_large"), (size, "geometry.too_large_to_repair")];
    for (limits, rule) in rules {
        let run = run(&[Some(bow.clone())], limits, "EPSG:4326").expect("normalizes");
        assert_eq!((run.refused[0], run.report.rows_repaired), (true, 0));
        let found = &run.report.diagnostics[0];
        assert_eq!((found.rule.as_str(), found.severity), (rule, Severity::Error));
        assert!(found.examples[0].found.contains("Self-intersection[1 1]"), "{}", found.examples[0].found);
    }
}

#[test]
fn unsupported_rows_are_refused_one_by_one_and_damaged_ones_with_everything() {
    let curve = vec![1, 8, 0, 0, 0, 0, 0, 0, 0];
    let taken = run_84(&[Some(curve), Some(wkb_of("POINT (1 1)"))]);
    assert_eq!(taken.refused, [true, false]);
    assert_eq!((taken.report.geometry_nulls, taken.report.geometry_types["Point"]), (0, 1));
    let rules: Vec<(&str, u64)> = taken.report.diagnostics.iter().map(|d| (d.rule.as_str(), d.count)).collect();
    assert_eq!(rules, [("geometry.unsupported", 1)]);
    let cut = wkb_of("LINESTRING (1 1, 2 2)")[..20].to_vec();
    let error = run(&[Some(wkb_of("POINT (1 1)")), Some(cut)], Limits::default(), "EPSG:4326").err().expect("refused");
    assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidData);
    assert!(error.message().contains("row 102 ") && error.message().contains("exceeds buffer"), "{error}");
}

#[test]
fn impossible_coordinates_fail_with_their_row() {
    let nan = ring(&[(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (0.0, 0.0)]);
    let huge = ring(&[(0.0, 0.0), (1e300, 0.0), (1.0, 1.0), (0.0, 0.0)]);
    for (bytes, words) in [(nan, "not a finite number"), (huge, "±180"), (wkb_of("POINT (200 43)"), "(200, 43)")] {
        let error = run(&[None, Some(bytes)], Limits::default(), "EPSG:4326").map(|_| ()).expect_err(words);
        assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidData);
        assert!(error.message().contains("row 102 ") && error.message().contains(words), "{error}");
    }
    let limits = Limits { vertices_max: 3, ..Limits::default() };
    let error =
        run(&[Some(wkb_of("LINESTRING (1 1, 2 2, 3 3, 4 4)"))], limits, "EPSG:4326").map(|_| ()).expect_err("limit");
    assert_eq!(error.kind(), ukimet_model::ErrorKind::LimitReached);
}

#[test]
fn heights_and_measures_pass_through_the_operation() {
    let before = wkb_of("LINESTRING Z (13644000 4791000 812.5, 13644010 4791010 813)");
    let run = run(&[Some(before.clone())], Limits::default(), "EPSG:28413").expect("normalizes");
    let after = run.column.value(0);
    assert_eq!(after[25..33], before[25..33], "the first height");
    let mut points = Vec::new();
    wkb::read_xy(after, &mut points).expect("WKB");
    assert!((points[0].0 - 76.772_304_98).abs() < 1e-7 && (points[0].1 - 43.240_348_38).abs() < 1e-7);
    assert!(run.report.bbox.is_some_and(|bbox| (bbox.west - points[0].0).abs() < 1e-12));
}

#[test]
fn areas_are_square_metres_on_the_ellipsoid() {
    // One degree by one degree at the equator and at 60 north, by numeric integration over the WGS 84 ellipsoid.
    for (wkt, expected) in [
        ("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))", 12_308_463_893.976),
        ("POLYGON ((0 60, 1 60, 1 61, 0 61, 0 60))", 6_123_140_878.746),
        ("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0), (0 0, 1 0, 1 1, 0 1, 0 0))", 0.0),
    ] {
        let area = rings::area_m2(&wkb_of(wkt));
        assert!((area - expected).abs() <= 0.1, "{wkt}: {area}");
    }
}

/// Any polygon, path or point in a square of ten degrees, valid or not, on a grid coarse enough for touching rings.
fn any_geometry() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let place = || (0..20_u8, 0..20_u8).prop_map(|(x, y)| (70.0 + f64::from(x) / 2.0, 45.0 + f64::from(y) / 2.0));
    let path = proptest::collection::vec(place(), 1..12);
    let line = path.clone().prop_map(|path| {
        let mut bytes = vec![1, 2, 0, 0, 0];
        bytes.extend((path.len() as u32).to_le_bytes());
        bytes.extend(path.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()].concat()));
        bytes
    });
    let closed = path.clone().prop_map(|mut path| {
        path.push(path[0]);
        ring(&path)
    });
    prop_oneof![4 => closed, 1 => path.prop_map(|path| ring(&path)), 1 => line]
}

/// The rows that were kept, and the report.
fn kept(rows: &[Option<Vec<u8>>], crs: &str) -> (Vec<Option<Vec<u8>>>, LayerReport) {
    let every = Limits { repair_area_change_max: 1.0, misplaced_share_max: 1.0, ..Limits::default() };
    let run = run(rows, every, crs).expect("normalizes");
    let rows = run.column.iter().zip(&run.refused).filter(|(_, refused)| !**refused);
    (rows.map(|(bytes, _)| bytes.map(<[u8]>::to_vec)).collect(), run.report)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_normalized_is_valid_and_stays_as_it_is(rows in proptest::collection::vec(any_geometry(), 1..6)) {
        let rows: Vec<_> = rows.into_iter().map(Some).collect();
        let (once, _) = kept(&rows, "EPSG:4284");
        for bytes in once.iter().flatten() {
            let geometry = Geometry::new_from_wkb(bytes).expect("readable");
            proptest::prop_assert!(geometry.is_valid().expect("tested"));
        }
        if !once.is_empty() {
            let (twice, report) = kept(&once, "OGC:CRS84");
            proptest::prop_assert_eq!(&once, &twice);
            proptest::prop_assert_eq!((report.rows_repaired, report.rows_refused), (0, 0));
        }
    }
}

#[test]
fn odd_but_valid_geometries_are_kept_and_named() {
    let repeated = wkb_of("LINESTRING (1 1, 2 2, 2 2, 2 2, 3 3)");
    let around = wkb_of("LINESTRING (179 60, -179 61)");
    let run = run_84(&[Some(repeated.clone()), Some(around.clone())]);
    assert_eq!((run.column.value(0), run.column.value(1)), (repeated.as_slice(), around.as_slice()));
    let found: Vec<_> =
        run.report.diagnostics.iter().map(|d| (d.rule.as_str(), d.examples[0].found.as_str())).collect();
    assert_eq!(
        found,
        [("geometry.repeated_positions", "2 repeated positions"), ("geometry.antimeridian", "1 such steps")]
    );
}

#[test]
fn collections_nested_too_deep_cost_their_row() {
    let mut nested = wkb_of("POINT (1 1)");
    for _ in 0..wkb::DEPTH_MAX {
        nested = [&[1, 7, 0, 0, 0, 1, 0, 0, 0][..], &nested].concat();
    }
    let run = run_84(&[Some(wkb_of("POINT (1 1)")), Some(nested)]);
    assert_eq!(run.refused, [false, true]);
    assert_eq!(run.report.diagnostics[0].rule, "geometry.too_deep");
}

#[test]
fn a_row_with_an_impossible_coordinate_goes_alone() {
    let nan = ring(&[(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (0.0, 0.0)]);
    let good = wkb_of("POLYGON ((76 43, 77 43, 77 44, 76 43))");
    for crs in ["EPSG:4326", "EPSG:4284"] {
        let run = run(&[Some(good.clone()), Some(nan.clone()), None, Some(good.clone())], Limits::default(), crs);
        let run = run.expect("one of three");
        assert_eq!(run.refused, [false, true, false, false]);
        assert_eq!((run.report.geometry_types["Polygon"], run.report.geometry_nulls), (2, 1));
        assert_eq!(run.report.diagnostics[0].rule, "place.not_finite");
    }
}

#[test]
fn heights_live_through_a_repair_and_measures_are_named_as_lost() {
    let every = || Limits { repair_area_change_max: 1.0, ..Limits::default() };
    let with_z = wkb_of("POLYGON Z ((0 0 5, 2 2 5, 2 0 5, 0 2 5, 0 0 5))");
    let repaired = run(&[Some(with_z)], every(), "EPSG:4326").expect("repaired");
    assert!(wkb::inspect(repaired.column.value(0)).expect("WKB").has_z);
    assert!(repaired.report.diagnostics.iter().all(|found| found.rule != "geometry.flattened"));
    for (code, measure, is_high) in [(2003_u32, vec![7.0_f64], false), (3003, vec![5.0, 7.0], true)] {
        let mut with_m = ring(&[]);
        with_m.truncate(9);
        with_m[1..5].copy_from_slice(&code.to_le_bytes());
        with_m.extend(5_u32.to_le_bytes());
        for (x, y) in [(0.0_f64, 0.0_f64), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0), (0.0, 0.0)] {
            with_m.extend([x, y].iter().chain(&measure).flat_map(|value| value.to_le_bytes()));
        }
        let repaired = run(&[Some(with_m)], every(), "EPSG:4326").expect("repaired");
        let shape = wkb::inspect(repaired.column.value(0)).expect("WKB");
        assert_eq!((shape.has_z, shape.has_m), (is_high, false));
        let rules: Vec<_> = repaired.report.diagnostics.iter().map(|found| found.rule.as_str()).collect();
        assert!(rules.contains(&"geometry.unmeasured") && !rules.contains(&"geometry.flattened"), "{rules:?}");
    }
}
