//! Values as text: geometries as WKT and `GeoJSON`, lists and structures as JSON.

use super::failed;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use geozero::geojson::GeoJsonWriter;
use geozero::{CoordDimensions, GeozeroGeometry, ToWkt};
use ukimet_model::{Error, Result};

/// Which numbers a position has beside x and y.
fn dimensions(wkb: &[u8]) -> Result<CoordDimensions> {
    let shape = ukimet_model::wkb::inspect(wkb).map_err(failed)?;
    Ok(CoordDimensions { z: shape.has_z, m: shape.has_m, ..CoordDimensions::default() })
}

/// A geometry as `GeoJSON`, with its heights.
///
/// # Errors
///
/// `InvalidRequest` for a geometry with measures, for which `GeoJSON` has no place.
pub(super) fn geojson(wkb: &[u8]) -> Result<String> {
    let dimensions = dimensions(wkb)?;
    if dimensions.m {
        return Err(Error::invalid_request(
            "GeoJSON has no place for measures (M); export as .parquet, .arrow or .csv",
        ));
    }
    let mut text = Vec::new();
    let mut writer = GeoJsonWriter::with_dims(&mut text, dimensions);
    geozero::wkb::Wkb(wkb).process_geom(&mut writer).map_err(failed)?;
    String::from_utf8(text).map_err(failed)
}

/// A geometry as text, with its heights and measures as third and fourth number.
///
/// # Errors
///
/// `InvalidRequest` for measures without heights: a third number would be read as a height.
pub(crate) fn wkt(wkb: &[u8]) -> Result<String> {
    let dimensions = dimensions(wkb)?;
    if dimensions.m && !dimensions.z {
        return Err(Error::invalid_request(
            "a measure (M) without height would be read as one; export as .parquet or .arrow",
        ));
    }
    geozero::wkb::Wkb(wkb).to_wkt_ndim(dimensions).map_err(failed)
}

/// Rows as JSON objects, a line each, with explicit nulls; nothing for rows without columns.
pub(super) fn property_lines(attributes: &RecordBatch) -> Result<Vec<u8>> {
    if attributes.num_columns() == 0 {
        return Ok(Vec::new());
    }
    let builder = arrow_json::writer::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    writer.write(attributes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(writer.into_inner())
}

/// A column of lists or structures as JSON texts.
pub(super) fn json_column(column: &ArrayRef) -> Result<StringArray> {
    let rows = RecordBatch::try_from_iter_with_nullable([("v", ArrayRef::clone(column), true)]).map_err(failed)?;
    let lines = property_lines(&rows)?;
    let texts = lines.split(|b| *b == b'\n').take(column.len()).map(|line| {
        let mut value: serde_json::Value = serde_json::from_slice(line).map_err(failed)?;
        let value = value["v"].take();
        Ok((!value.is_null()).then(|| value.to_string()))
    });
    texts.collect()
}
