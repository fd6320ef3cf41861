//! What a function was called with, row by row, and how its answer is made.

use crate::refusal::passed_on;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BinaryArray};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use geo_traits::to_geo::ToGeoGeometry;
use geo_types::Geometry;
use std::sync::Arc;
use ukimet_model::Error;

/// Arguments, each a column or one value for all rows.
pub(super) struct Arguments {
    columns: Vec<(ArrayRef, bool)>,
    /// How many rows are asked for.
    pub(super) rows: usize,
}

impl Arguments {
    /// Where a row's value of an argument stands; `None` if it is missing.
    fn place(&self, argument: usize, row: usize) -> Option<(&ArrayRef, usize)> {
        let (column, is_constant) = self.columns.get(argument)?;
        let row = if *is_constant { 0 } else { row };
        column.is_valid(row).then_some((column, row))
    }

    /// The one value of an argument that is the same for all rows.
    pub(super) fn is_constant(&self, argument: usize) -> bool {
        self.columns.get(argument).is_some_and(|(_, is_constant)| *is_constant)
    }

    /// Bytes of a row.
    pub(super) fn bytes(&self, argument: usize, row: usize) -> Option<&[u8]> {
        self.place(argument, row).map(|(column, row)| column.as_binary::<i32>().value(row))
    }

    /// Text of a row.
    pub(super) fn text(&self, argument: usize, row: usize) -> Option<&str> {
        self.place(argument, row).map(|(column, row)| column.as_string::<i32>().value(row))
    }

    /// Number of a row.
    pub(super) fn number(&self, argument: usize, row: usize) -> Option<f64> {
        self.place(argument, row).map(|(column, row)| column.as_primitive::<Float64Type>().value(row))
    }

    /// What a function gives for each row from its first argument, a geometry.
    pub(super) fn each<T, C: FromIterator<Option<T>>>(
        &self,
        does: impl Fn(&[u8]) -> ukimet_model::Result<Option<T>>,
    ) -> ukimet_model::Result<C> {
        (0..self.rows).map(|row| self.bytes(0, row).map_or(Ok(None), &does)).collect()
    }

    /// Geometries that a function makes of its first argument.
    pub(super) fn shapes(
        &self,
        does: impl Fn(Geometry) -> ukimet_model::Result<Option<Geometry>>,
    ) -> ukimet_model::Result<ArrayRef> {
        let made: BinaryArray = self.each(|wkb| does(read(wkb)?)?.map(|shape| write(&shape)).transpose())?;
        Ok(Arc::new(made))
    }
}

/// Calls a function; of constants alone it gives a constant.
pub(super) fn answer(
    args: ScalarFunctionArgs,
    does: impl Fn(&Arguments) -> ukimet_model::Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let is_constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
    let is_one = args.args.iter().all(is_constant);
    let column = |value: ColumnarValue| match value {
        ColumnarValue::Array(column) => Ok((column, false)),
        ColumnarValue::Scalar(value) => value.to_array().map(|column| (column, true)),
    };
    let columns = args.args.into_iter().map(column).collect::<Result<_>>()?;
    let rows = if is_one { 1 } else { args.number_rows };
    let answer = does(&Arguments { columns, rows }).map_err(passed_on)?;
    if is_one {
        return ScalarValue::try_from_array(&answer, 0).map(ColumnarValue::Scalar);
    }
    Ok(ColumnarValue::Array(answer))
}

/// A geometry from its WKB.
///
/// # Errors
///
/// `InvalidRequest` if it is none.
pub(crate) fn read(wkb: &[u8]) -> ukimet_model::Result<Geometry> {
    let none = || Error::invalid_request("a function on geometries was given bytes that are no WKB");
    ukimet_model::wkb::inspect(wkb).map_err(|error| none().caused_by(error))?;
    let geometry = wkb::reader::read_wkb(wkb).map_err(|error| none().caused_by(error))?;
    geometry.try_to_geometry().ok_or_else(|| Error::invalid_request("an empty point has no place to calculate with"))
}

/// A geometry as WKB.
pub(super) fn write(geometry: &Geometry) -> ukimet_model::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    wkb::writer::write_geometry(&mut bytes, geometry, &wkb::writer::WriteOptions::default())
        .map_err(|error| Error::internal("writing a geometry").caused_by(error))?;
    Ok(bytes)
}

/// The WKB of a point.
pub(super) fn point(x: f64, y: f64) -> Vec<u8> {
    let mut bytes = vec![1, 1, 0, 0, 0];
    bytes.extend(x.to_le_bytes());
    bytes.extend(y.to_le_bytes());
    bytes
}

/// The place of a point without making a geometry of it: two-dimensional little-endian WKB, as it is published; `None` for
/// anything else.
pub(crate) fn place_of_point(wkb: &[u8]) -> Option<(f64, f64)> {
    let rest = wkb.strip_prefix(&[1, 1, 0, 0, 0]).filter(|rest| rest.len() == 16)?;
    let number = |from: usize| Some(f64::from_le_bytes(rest.get(from..from + 8)?.try_into().ok()?));
    number(0).zip(number(8)).filter(|(x, y)| !x.is_nan() && !y.is_nan())
}
