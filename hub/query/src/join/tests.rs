//! A join by geometries finds what a look at every pair finds.

use super::build::BuildSide;
use super::grid::Grid;
use super::pairs::Pairs;
use super::zone::{Position, Zone};
use crate::pool::{QueryPool, SharedMemory};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use geo::{CoordinatePosition, Relate};
use geo_types::{Coord, Geometry, LineString, Point, Polygon, coord};
use proptest::prelude::*;
use std::sync::Arc;
use ukimet_catalog::PlaceTest;
use ukimet_model::SpatialRelation;

fn wkb(geometry: &Geometry) -> Vec<u8> {
    let mut bytes = Vec::new();
    wkb::writer::write_geometry(&mut bytes, geometry, &wkb::writer::WriteOptions::default()).expect("written");
    bytes
}

fn column(geometries: &[Option<Geometry>]) -> ArrayRef {
    Arc::new(geometries.iter().map(|geometry| geometry.as_ref().map(wkb)).collect::<BinaryArray>())
}

fn memory(bytes: usize) -> MemoryReservation {
    let pool: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(bytes, Arc::new(SharedMemory::new(bytes))));
    MemoryConsumer::new("test").register(&pool)
}

fn held(geometries: &ArrayRef, relation: SpatialRelation) -> BuildSide {
    let rows = RecordBatch::try_from_iter([("geometry", Arc::clone(geometries))]).expect("one column");
    BuildSide::new(rows, geometries, relation, memory(1 << 24)).expect("fits")
}

/// A ring around a place whose corners lie on a lattice, so that borders are met often; simple, as a star is.
fn star() -> impl Strategy<Value = Polygon> {
    let radii = proptest::collection::vec(1_u8..=6, 4..9);
    ((-4_i32..12, -4_i32..12), radii).prop_filter_map("the corners give no face", |((x, y), radii)| {
        let corner = |(at, radius): (usize, &u8)| {
            let angle = at as f64 * std::f64::consts::TAU / radii.len() as f64;
            let (sine, cosine) = angle.sin_cos();
            let on_lattice = |middle: i32, way: f64| f64::from(middle) + (way * f64::from(*radius)).round();
            coord! { x: on_lattice(x, cosine), y: on_lattice(y, sine) }
        };
        let ring: LineString = radii.iter().enumerate().map(corner).collect::<Vec<Coord>>().into();
        let face = Polygon::new(ring, Vec::new());
        geo::Validation::is_valid(&face).then_some(face)
    })
}

fn place() -> impl Strategy<Value = Point> {
    ((-20_i32..36), (-20_i32..36)).prop_map(|(x, y)| Point::new(f64::from(x) / 2.0, f64::from(y) / 2.0))
}

fn geometry() -> impl Strategy<Value = Option<Geometry>> {
    prop_oneof![
        1 => Just(None),
        4 => place().prop_map(|place| Some(place.into())),
        3 => star().prop_map(|face| Some(face.into())),
        2 => (place(), place()).prop_filter_map("a line has two ends", |(from, to)| {
            (from != to).then(|| Some(LineString::from(vec![from, to]).into()))
        }),
    ]
}

const RELATIONS: [SpatialRelation; 10] = [
    SpatialRelation::Intersects,
    SpatialRelation::Within,
    SpatialRelation::Contains,
    SpatialRelation::Covers,
    SpatialRelation::CoveredBy,
    SpatialRelation::Touches,
    SpatialRelation::Crosses,
    SpatialRelation::Overlaps,
    SpatialRelation::Equals,
    SpatialRelation::WithinDistance(120_000.0),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_join_finds_the_very_pairs_that_a_look_at_each_finds(
        one in proptest::collection::vec(geometry(), 0..12),
        other in proptest::collection::vec(geometry(), 0..25),
        relation in proptest::sample::select(&RELATIONS[..]),
        pairs_max in 1_usize..40,
    ) {
        let (build, probe) = (column(&one), column(&other));
        let side = held(&build, relation);
        let (mut found, mut from) = (Vec::new(), 0);
        while from < other.len() {
            let (pairs, next) = Pairs::of(&side, &probe, from, pairs_max).expect("reads");
            found.extend(pairs.probe.iter().copied().zip(pairs.build.iter().copied()));
            from = next;
        }
        let mut expected = Vec::new();
        for (row, geometry) in one.iter().enumerate() {
            let Some(geometry) = geometry else { continue };
            let test = PlaceTest::trusting(relation, &wkb(geometry)).expect("a geometry");
            let relates = test.of(&probe);
            expected.extend((0..other.len()).filter(|at| relates.iter().nth(*at).flatten() == Some(true)).map(|at| (at as u32, row as u32)));
        }
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_place_lies_in_a_zone_as_the_library_says(face in star(), hole in star(), places in proptest::collection::vec(place(), 60)) {
        let with_hole = Polygon::new(face.exterior().clone(), vec![hole.exterior().clone()]);
        let is_valid = geo::Validation::is_valid(&with_hole);
        let polygon = if is_valid { with_hole } else { face };
        let zone = Zone::of(&polygon.clone().into()).expect("a face");
        let grid = Grid::of(&[Some(Zone::of(&polygon.clone().into()).expect("a face"))]).expect("a zone");
        for place in places {
            let expected = match polygon.coordinate_position(&place.0) {
                geo::coordinate_position::CoordPos::Inside => Position::Inside,
                geo::coordinate_position::CoordPos::OnBoundary => Position::Border,
                geo::coordinate_position::CoordPos::Outside => Position::Outside,
            };
            prop_assert_eq!(zone.position(place.0), expected, "{:?} in {:?}", place, polygon);
            match grid.candidates(place.0).next() {
                Some((_, true)) => prop_assert_eq!(expected, Position::Inside),
                None => prop_assert_eq!(expected, Position::Outside),
                Some((_, false)) => (),
            }
            prop_assert_eq!(polygon.relate(&place).is_intersects(), expected != Position::Outside);
        }
    }
}

#[test]
fn a_side_that_does_not_fit_is_refused() {
    let places: Vec<_> = (0..1000).map(|at| Some(Point::new(f64::from(at) / 100.0, 43.0).into())).collect();
    let geometries = column(&places);
    let rows = RecordBatch::try_from_iter([("geometry", Arc::clone(&geometries))]).expect("one column");
    let refused = BuildSide::new(rows, &geometries, SpatialRelation::Intersects, memory(100_000));
    assert!(refused.expect_err("256 bytes for each of 1000 rows").to_string().contains("exhausted"));
}
