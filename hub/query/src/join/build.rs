//! The side of a join that is held in memory: its rows, what is asked of each, and where to look for them.

use super::grid::Grid;
use super::zone::{Position, Zone};
use crate::refusal::passed_on;
use crate::spatial::{place_of_point, read};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use geo_index::rtree::sort::HilbertSort;
use geo_index::rtree::{RTree, RTreeBuilder, RTreeIndex};
use geo_types::Coord;
use ukimet_catalog::PlaceTest;
use ukimet_model::{BoundingBox, SpatialRelation};

/// Bytes that are counted for the tests and boxes of a row, beside what its geometry has.
const ROW_BYTES: usize = 256;
/// How much more a geometry takes as an object than as WKB, with what is prepared of it.
const OBJECT_FACTOR: usize = 4;

/// The rows that are held.
#[derive(Debug)]
pub(super) struct BuildSide {
    pub(super) rows: RecordBatch,
    relation: SpatialRelation,
    /// What is asked of each row; `None` without a geometry.
    tests: Vec<Option<Box<TestOf>>>,
    /// Boxes of the rows, one or two each.
    tree: RTree<f64>,
    row_of_box: Vec<u32>,
    /// Rows that are faces, and the grid over them, where points are asked for.
    zones: Vec<Option<Zone>>,
    grid: Option<Grid>,
    /// Whether every row that can be found is a face.
    has_only_zones: bool,
    _memory: MemoryReservation,
}

/// A test that shows nothing of itself.
struct TestOf(PlaceTest);

impl std::fmt::Debug for TestOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a test")
    }
}

impl BuildSide {
    /// Takes rows and their geometries; `relation` is that of the other side's geometry to theirs.
    ///
    /// # Errors
    ///
    /// Resources are exhausted if the memory of the query does not hold it.
    pub(super) fn new(
        rows: RecordBatch,
        geometries: &ArrayRef,
        relation: SpatialRelation,
        memory: MemoryReservation,
    ) -> Result<Self> {
        memory.try_grow(rows.num_rows() * ROW_BYTES + geometries.get_array_memory_size() * OBJECT_FACTOR)?;
        let geometries = geometries.as_binary::<i32>();
        let test = |wkb: Option<&[u8]>| {
            let test = wkb.map(|wkb| PlaceTest::trusting(relation, wkb).map(|test| Box::new(TestOf(test))));
            test.transpose().map_err(passed_on)
        };
        let tests = geometries.iter().map(test).collect::<Result<Vec<_>>>()?;
        let zones = if asks_zones(relation) { zones_of(geometries.iter())? } else { Vec::new() };
        let grid = Grid::of(&zones);
        let size =
            zones.iter().flatten().map(Zone::size_bytes).sum::<usize>() + grid.as_ref().map_or(0, Grid::size_bytes);
        memory.try_grow(size)?;
        let (tree, row_of_box) = tree_of(&tests);
        let has_only_zones = row_of_box.iter().all(|row| matches!(zones.get(*row as usize), Some(Some(_))));
        Ok(Self { rows, relation, tests, tree, row_of_box, zones, grid, has_only_zones, _memory: memory })
    }

    /// Adds the rows that a geometry of the other side relates to; those of which that is not known yet go to `open`.
    pub(super) fn find(&self, wkb: &[u8], found: &mut Vec<u32>, open: &mut Vec<u32>) -> Result<()> {
        let place = place_of_point(wkb);
        let in_zones = self.grid.as_ref().zip(place);
        if let Some((grid, (x, y))) = in_zones {
            self.find_zones(grid, Coord { x, y }, found);
            if self.has_only_zones {
                return Ok(());
            }
        }
        let bounds = match place {
            Some((x, y)) => Some([x, y, x, y]),
            None => read_bounds(wkb)?,
        };
        let Some([west, south, east, north]) = bounds else { return Ok(()) };
        let before = open.len();
        let found = self.tree.search(west, south, east, north).into_iter().map(|at| self.row_of_box[at as usize]);
        open.extend(found.filter(|row| in_zones.is_none() || self.zones[*row as usize].is_none()));
        // A row that has two boxes is found once.
        open[before..].sort_unstable();
        open.dedup();
        Ok(())
    }

    fn find_zones(&self, grid: &Grid, place: Coord, found: &mut Vec<u32>) {
        let wants = |position| match self.relation {
            SpatialRelation::Within => position == Position::Inside,
            SpatialRelation::Touches => position == Position::Border,
            _ => position != Position::Outside,
        };
        let position =
            |zone: u32| self.zones[zone as usize].as_ref().map_or(Position::Outside, |zone| zone.position(place));
        let found_here = grid
            .candidates(place)
            .filter(|(zone, is_sure)| wants(if *is_sure { Position::Inside } else { position(*zone) }));
        found.extend(found_here.map(|(zone, _)| zone));
    }

    /// For each of some geometries of the other side whether it relates to one of the rows.
    pub(super) fn test<'a>(&'a self, row: u32, others: impl Iterator<Item = &'a [u8]>) -> Vec<bool> {
        let Some(test) = &self.tests[row as usize] else { return others.map(|_| false).collect() };
        test.0.of_each(others.map(Some)).map(|relates| relates == Some(true)).collect()
    }
}

/// Whether points are found in faces by the place alone.
fn asks_zones(relation: SpatialRelation) -> bool {
    use SpatialRelation as R;
    matches!(relation, R::Intersects | R::Within | R::CoveredBy | R::Touches)
}

fn zones_of<'a>(geometries: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<Option<Zone>>> {
    let zone = |wkb: Option<&[u8]>| {
        let Some(wkb) = wkb.filter(|wkb| is_face(wkb)) else { return Ok(None) };
        read(wkb).map(|geometry| Zone::of(&geometry)).map_err(passed_on)
    };
    geometries.map(zone).collect()
}

fn is_face(wkb: &[u8]) -> bool {
    use ukimet_model::wkb::GeometryType as T;
    ukimet_model::wkb::inspect(wkb)
        .is_ok_and(|shape| matches!(shape.kind, T::Polygon | T::MultiPolygon) && shape.vertices > 0)
}

fn read_bounds(wkb: &[u8]) -> Result<Option<[f64; 4]>> {
    ukimet_model::wkb::inspect(wkb).map(|shape| shape.bounds).map_err(|error| {
        passed_on(ukimet_model::Error::invalid_request("a join was given bytes that are no WKB").caused_by(error))
    })
}

/// Boxes outside of which nothing relates to a row, two where one goes around the world.
fn tree_of(tests: &[Option<Box<TestOf>>]) -> (RTree<f64>, Vec<u32>) {
    let mut boxes = Vec::with_capacity(tests.len());
    for (row, test) in tests.iter().enumerate() {
        let Some(window) = test.as_ref().and_then(|test| test.0.window()) else { continue };
        let BoundingBox { west, south, east, north } = window;
        if west <= east {
            boxes.push((row as u32, [west, south, east, north]));
        } else {
            boxes.push((row as u32, [west, south, 180.0, north]));
            boxes.push((row as u32, [-180.0, south, east, north]));
        }
    }
    let mut builder = RTreeBuilder::<f64>::new(boxes.len() as u32);
    for (_, [west, south, east, north]) in &boxes {
        builder.add(*west, *south, *east, *north);
    }
    (builder.finish::<HilbertSort>(), boxes.into_iter().map(|(row, _)| row).collect())
}
