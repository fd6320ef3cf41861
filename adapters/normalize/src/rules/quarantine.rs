//! Refused rows with their values as the source has them, so that they can be corrected and pushed again.

use crate::layer::{GEOMETRY_KEY, SourceLayer, is_marked};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use geozero::wkb::Wkb;
use geozero::{CoordDimensions, ToWkt};
use ukimet_model::{Error, QuarantinedRow, Result, wkb};

/// The refused rows of a batch; `decoded` are the source's columns with their text decoded and nothing repaired.
pub(super) fn rows(
    decoded: &[ArrayRef],
    layer: &SourceLayer,
    refused: &[bool],
    row_first: u64,
) -> Result<Vec<QuarantinedRow>> {
    if !refused.contains(&true) {
        return Ok(Vec::new());
    }
    let options = FormatOptions::new();
    let formats = decoded.iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let formats = formats.collect::<Result<Vec<_>, _>>();
    let formats = formats.map_err(|error| Error::internal("a refused row cannot be shown").caused_by(error))?;
    let is_geometry = |at: usize| is_marked(layer.schema.field(at), GEOMETRY_KEY);
    let value = |at: usize, i: usize| match &decoded[at] {
        column if column.is_null(i) => None,
        column if is_geometry(at) => column.as_binary_opt::<i32>().map(|column| geometry_text(column.value(i))),
        _ => Some(formats[at].value(i).to_string()),
    };
    let row = |i: usize| QuarantinedRow {
        row: row_first + i as u64,
        values: (0..decoded.len()).map(|at| value(at, i)).collect(),
    };
    Ok(refused.iter().enumerate().filter(|(_, refused)| **refused).map(|(i, _)| row(i)).collect())
}

/// A geometry as WKT; measures without heights and bytes that are no WKB in hexadecimal digits.
fn geometry_text(bytes: &[u8]) -> String {
    let text = wkb::inspect(bytes).ok().and_then(|shape| {
        // As WKT is read, a third number is a height.
        let is_readable = shape.has_z || !shape.has_m;
        let canonical = wkb::to_canonical(bytes, false).ok().filter(|_| is_readable)?;
        let dimensions = CoordDimensions { z: shape.has_z, m: shape.has_m, ..CoordDimensions::xy() };
        Wkb(canonical).to_wkt_ndim(dimensions).ok()
    });
    text.unwrap_or_else(|| bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(hex_digit).collect())
}

fn hex_digit(value: u8) -> Option<char> {
    char::from_digit(value.into(), 16).map(|digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::geometry_text;

    #[test]
    fn a_geometry_is_shown_as_wkt_and_damaged_bytes_as_digits() {
        let point = [&[1, 1, 0, 0, 0][..], &1.5_f64.to_le_bytes(), &(-2.0_f64).to_le_bytes()].concat();
        assert_eq!(geometry_text(&point), "POINT(1.5 -2)");
        assert_eq!(geometry_text(&point[..3]), "010100");
    }
}
