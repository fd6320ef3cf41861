//! The row of a raster: what it is, its bands with their statistics, the file that is kept, the outline.

use super::Raster;
use super::check::type_name;
use super::cog::MadeRaster;
use super::statistics::BandStatistics;
use crate::gdal::BandHead;
use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::{Error, Result};
use ukimet_normalize::GEOMETRY_KEY;

/// The columns of every raster's row.
pub(super) fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let (text, number, whole) = (DataType::Utf8, DataType::Float64, DataType::Int64);
    let bands = DataType::List(Arc::new(Field::new("item", DataType::Struct(band_fields()), true)));
    Arc::new(Schema::new(vec![
        field("name", text.clone()),
        field("width", whole.clone()),
        field("height", whole.clone()),
        field("band_count", whole.clone()),
        field("data_type", text.clone()),
        field("nodata", text.clone()),
        field("crs", text.clone()),
        field("pixel_size_x", number.clone()),
        field("pixel_size_y", number),
        field("pixel_unit", text.clone()),
        field("bands", bands),
        field("overviews", whole.clone()),
        field("asset_sha256", text),
        field("asset_size_bytes", whole),
        field("geometry", DataType::Binary).with_metadata([(GEOMETRY_KEY.to_owned(), "1".to_owned())].into()),
    ]))
}

fn band_fields() -> Fields {
    let text = ["name", "data_type", "nodata", "unit", "color"].map(|name| Field::new(name, DataType::Utf8, true));
    let numbers = ["scale", "offset", "min", "max", "mean", "stddev", "valid_share"];
    let numbers = numbers.map(|name| Field::new(name, DataType::Float64, true));
    text.into_iter().chain(numbers).collect()
}

/// The row; what is known only of the kept file is null without one.
pub(super) fn row(raster: &Raster, made: Option<&MadeRaster>, outline: &[u8]) -> Result<RecordBatch> {
    let head = &raster.head;
    let first = &head.bands[0];
    let whole = |value: usize| Arc::new(Int64Array::from(vec![value as i64])) as ArrayRef;
    let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let size = |a: usize, b: usize| {
        let size = head.transform.map(|t| t[a].hypot(t[b]));
        Arc::new(Float64Array::from(vec![size])) as ArrayRef
    };
    let is_shared = head.bands.iter().all(|band| band.nodata == first.nodata);
    let columns: Vec<ArrayRef> = vec![
        text(Some(raster.name.clone())),
        whole(head.width),
        whole(head.height),
        whole(head.bands.len()),
        text(Some(type_name(first))),
        text(first.nodata.clone().filter(|_| is_shared)),
        text(head.crs.as_ref().map(ToString::to_string)),
        size(1, 4),
        size(2, 5),
        text(raster.crs.as_ref().map(|crs| crs.unit.clone())),
        bands(&head.bands, made.map(|made| made.statistics.as_slice()))?,
        Arc::new(Int64Array::from(vec![made.map(|made| made.overviews as i64)])),
        text(made.map(|made| made.sha256.to_string())),
        Arc::new(Int64Array::from(vec![made.map(|made| made.size_bytes as i64)])),
        Arc::new(BinaryArray::from(vec![outline])),
    ];
    RecordBatch::try_new(schema(), columns).map_err(unfit)
}

fn unfit(error: arrow_schema::ArrowError) -> Error {
    Error::internal("the row of a raster does not fit its schema").caused_by(error)
}

fn bands(heads: &[BandHead], statistics: Option<&[BandStatistics]>) -> Result<ArrayRef> {
    let text =
        |part: fn(&BandHead) -> Option<String>| Arc::new(heads.iter().map(part).collect::<StringArray>()) as ArrayRef;
    let number =
        |part: fn(&BandHead) -> Option<f64>| Arc::new(heads.iter().map(part).collect::<Float64Array>()) as ArrayRef;
    let counted = |part: fn(&BandStatistics) -> Option<f64>| {
        let of = |i: usize| statistics.and_then(|statistics| statistics.get(i)).and_then(part);
        Arc::new((0..heads.len()).map(of).collect::<Float64Array>()) as ArrayRef
    };
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let names = heads.iter().map(|band| given(&band.name).or_else(|| name_of_place(band))).collect::<StringArray>();
    let columns = vec![
        Arc::new(names) as ArrayRef,
        text(|band| Some(type_name(band))),
        text(|band| band.nodata.clone()),
        text(|band| Some(band.unit.clone()).filter(|unit| !unit.is_empty())),
        text(|band| Some(band.color.clone()).filter(|color| !color.is_empty())),
        number(|band| band.scale),
        number(|band| band.offset),
        counted(|band| (band.valid > 0).then_some(band.min)),
        counted(|band| (band.valid > 0).then_some(band.max)),
        counted(|band| (band.valid > 0).then_some(band.mean)),
        counted(|band| (band.valid > 0).then(|| band.deviation())),
        counted(|band| (band.pixels > 0).then(|| band.valid as f64 / band.pixels as f64)),
    ];
    let structs = StructArray::try_new(band_fields(), columns, None).map_err(unfit)?;
    let item = Arc::new(Field::new("item", DataType::Struct(band_fields()), true));
    let offsets = OffsetBuffer::from_lengths([heads.len()]);
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(structs), None).map_err(unfit)?))
}

/// What a netCDF band says of its place in the other dimensions: `time=17897`.
fn name_of_place(band: &BandHead) -> Option<String> {
    let places = band.metadata.iter().filter_map(|(key, value)| Some((key.strip_prefix("NETCDF_DIM_")?, value)));
    let places: Vec<String> = places.map(|(dimension, value)| format!("{dimension}={value}")).collect();
    (!places.is_empty()).then(|| places.join(", "))
}
