//! Lines of `shapes.txt`: the points of each shape in the order of their sequence.

use super::fields::{integer, number};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{Error, Result};
use ukimet_normalize::GEOMETRY_KEY;

/// The columns that make a line.
pub(super) const FIELDS: [&str; 4] = ["shape_id", "shape_pt_lat", "shape_pt_lon", "shape_pt_sequence"];

/// A point of a shape: sequence, longitude, latitude in degrees.
type ShapePoint = (i32, f64, f64);

/// Shapes in the order in which they first appear.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    positions: HashMap<String, usize>,
    lines: Vec<(String, Vec<ShapePoint>)>,
    points: u64,
}

impl Shapes {
    /// Adds rows of the table, whose columns are those of [`FIELDS`] at these places; whether all of them are points.
    ///
    /// # Errors
    ///
    /// `LimitReached` if there are too many.
    pub(super) fn add(&mut self, rows: &RecordBatch, places: [usize; 4], points_max: u64) -> Result<bool> {
        let [ids, lats, lons, numbers] = places.map(|place| rows.column(place).as_string::<i32>());
        self.points += rows.num_rows() as u64;
        if self.points > points_max {
            return Err(Error::limit_reached(format!("a layer has at most {points_max} positions, found more")));
        }
        for row in 0..rows.num_rows() {
            let cell =
                |column: &StringArray| if column.is_null(row) { "" } else { column.value(row) }.trim().to_owned();
            let id = cell(ids);
            let point = (integer(&cell(numbers)), number(&cell(lons)), number(&cell(lats)));
            let (Some(sequence), Some(lon), Some(lat)) = point else {
                return Ok(false);
            };
            let position = *self.positions.entry(id.clone()).or_insert_with(|| {
                self.lines.push((id, Vec::new()));
                self.lines.len() - 1
            });
            self.lines[position].1.push((sequence, lon, lat));
        }
        Ok(true)
    }

    /// Orders the points; gives the names of shapes with one point only, which have no line.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.positions = HashMap::new();
        self.lines.iter_mut().for_each(|(_, points)| points.sort_by_key(|point| point.0));
        self.lines.iter().filter(|(_, points)| points.len() < 2).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn schema() -> SchemaRef {
        let metadata = [(GEOMETRY_KEY.to_owned(), "1".to_owned())].into();
        let geometry = Field::new("geometry", DataType::Binary, true).with_metadata(metadata);
        Schema::new(vec![Field::new("shape_id", DataType::Utf8, true), geometry]).into()
    }

    /// Lines from `first`, at most so many.
    pub(super) fn rows(&self, first: usize, rows_max: usize) -> Result<RecordBatch> {
        let shapes = &self.lines[first..self.lines.len().min(first + rows_max)];
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(shapes.iter().map(|(id, _)| id)));
        let lines: ArrayRef = Arc::new(shapes.iter().map(|(_, points)| line(points)).collect::<BinaryArray>());
        RecordBatch::try_new(Self::schema(), vec![ids, lines])
            .map_err(|error| Error::internal("lines do not fit their schema").caused_by(error))
    }
}

/// WKB of a line of at least two points.
fn line(points: &[ShapePoint]) -> Option<Vec<u8>> {
    if points.len() < 2 {
        return None;
    }
    let mut wkb = vec![1, 2, 0, 0, 0];
    wkb.extend((points.len() as u32).to_le_bytes());
    for (_, lon, lat) in points {
        wkb.extend(lon.to_le_bytes());
        wkb.extend(lat.to_le_bytes());
    }
    Some(wkb)
}
