//! GeoJSON by our own reader: a collection, one feature, one bare geometry, or a sequence of them.
//!
//! Two looks: the first finds the columns and the types that keep every value, the second makes the rows. What is no
//! GeoJSON is named, not dropped.

mod cells;
mod crs;
mod cursor;
mod feature;
mod geometry;
mod kinds;
mod moments;
mod rows;
mod stream;
mod survey;

use super::Format;
use crate::features::{OgrFile, OgrFormat};
use crate::json::outline;
use crate::source::{Context, Source, Staged};
use crate::transcode::ensure_utf8;
use rows::GeoJsonFile;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Error, Result};

/// The types of RFC 7946.
pub(super) const TYPES: &[&str] = &[
    "FeatureCollection",
    "Feature",
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
];

pub(super) const FORMAT: Format = Format {
    name: "GeoJSON",
    driver: None,
    media_types: &["application/geo+json", "application/vnd.geo+json"],
    extensions: &["geojson", "json"],
    sidecars: &[],
    recognize: |clues| clues.has_json_type(TYPES),
    open: |staged, context| open(FORMAT.name, staged, context),
};

/// Looks through a file and opens it.
pub(super) fn open(name: &'static str, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
    let survey = survey::survey(&staged.main, name, context.limits.fields_max)?;
    let crs = match crs::crs(survey.crs.as_deref()) {
        Err(_) if context.options.crs.is_some() => None,
        found => found?,
    };
    let fields = survey.id.iter().chain(&survey.columns.named).map(|(name, _)| name.clone()).collect();
    let layer = LayerInfo {
        name: survey.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| staged.stem().to_owned()),
        rows_declared: Some(survey.rows),
        crs: crs.as_ref().map(ToString::to_string),
        has_geometry: true,
        fields,
    };
    let (path, limits) = (staged.main.clone(), *context.limits);
    Ok(Box::new(GeoJsonFile { format: name, path, survey, crs, layers: vec![layer], transcoded, limits }))
}

/// Opens another kind of JSON with GDAL: made UTF-8 if it is not, and whole.
pub(super) fn open_with_gdal(
    name: &'static str,
    driver: &'static str,
    staged: &Staged,
    context: Context<'_>,
) -> Result<Box<dyn Source>> {
    let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
    let outline = outline(&staged.main)?;
    if !outline.is_whole {
        return Err(Error::data_loss(format!("the {name} is cut: its brackets and quotes do not close")));
    }
    let mut format = OgrFormat::plain(name, driver);
    format.transcoded(transcoded);
    OgrFile::open(format, staged, context)
}
