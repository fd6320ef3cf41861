//! `TopoJSON`: shared arcs, resolved by GDAL.

use super::Format;
use super::geojson::open_with_gdal;

pub(super) const FORMAT: Format = Format {
    name: "TopoJSON",
    driver: Some("TopoJSON"),
    media_types: &["application/topo+json"],
    extensions: &["topojson", "json"],
    sidecars: &[],
    recognize: |clues| clues.has_json_type(&["Topology"]),
    open: |staged, context| open_with_gdal(FORMAT.name, "TopoJSON", staged, context),
};
