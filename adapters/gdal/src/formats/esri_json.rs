//! Esri JSON, as feature services of `ArcGIS` answer.

use super::Format;
use super::geojson::open_with_gdal;

pub(super) const FORMAT: Format = Format {
    name: "Esri JSON",
    driver: Some("ESRIJSON"),
    media_types: &["application/vnd.esri.featureset+json"],
    extensions: &["json", "esrijson"],
    sidecars: &[],
    recognize: |clues| {
        clues.json.as_ref().is_some_and(|json| {
            json.has("features")
                && (json.has("geometryType") || json.has("spatialReference") || json.has("fieldAliases"))
        })
    },
    open: |staged, context| open_with_gdal(FORMAT.name, "ESRIJSON", staged, context),
};
