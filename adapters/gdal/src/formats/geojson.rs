//! GeoJSON: a collection, one feature, or one bare geometry. Members that are no GeoJSON are named, not kept.

use super::Format;
use crate::features::{OgrFile, OgrFormat};
use crate::json::outline;
use crate::source::{Context, Source, Staged, finding};
use crate::transcode::ensure_utf8;
use ukimet_model::{Diagnostic, Error, Result, Severity};

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

/// Members that GDAL keeps or that mean nothing more than the rows do.
const MEMBERS: &[&str] =
    &["type", "features", "geometry", "properties", "id", "bbox", "crs", "name", "coordinates", "geometries"];

pub(super) const FORMAT: Format = Format {
    name: "GeoJSON",
    driver: Some("GeoJSON"),
    media_types: &["application/geo+json", "application/vnd.geo+json"],
    extensions: &["geojson", "json"],
    sidecars: &[],
    recognize: |clues| clues.has_json_type(TYPES),
    open: |staged, context| open_json(FORMAT.name, "GeoJSON", staged, context),
};

/// Opens a kind of JSON: made UTF-8 if it is not, whole, without date guessing.
pub(super) fn open_json(
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
    if driver == "GeoJSON" {
        let foreign: Vec<String> =
            outline.keys.iter().filter(|key| !MEMBERS.contains(&key.as_str())).cloned().collect();
        format.findings.extend(foreign_members(&foreign));
    } else {
        format.values = Some(outline.values);
    }
    OgrFile::open(format, staged, context)
}

fn foreign_members(foreign: &[String]) -> Option<Diagnostic> {
    (!foreign.is_empty()).then(|| {
        finding(
            "geojson.foreign_members",
            Severity::Note,
            "members of the file that are no GeoJSON were left out".to_owned(),
            foreign.len() as u64,
            foreign,
        )
    })
}
