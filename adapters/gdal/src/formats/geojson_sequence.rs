//! Newline-delimited GeoJSON and GeoJSON text sequences (RFC 8142, with record separators).

use super::Format;
use super::geojson::{TYPES, open};

pub(super) const FORMAT: Format = Format {
    name: "GeoJSONSeq",
    driver: None,
    media_types: &[
        "application/geo+json-seq",
        "application/x-ndjson",
        "application/geojsonl",
        "application/geojson+ld",
    ],
    extensions: &["geojsonl", "geojsons", "ndjson", "ndgeojson", "jsonl", "json", "geojson"],
    sidecars: &[],
    recognize: |clues| {
        clues.has_json_type(TYPES)
            && (clues.json.as_ref().is_some_and(|json| json.values > 1)
                || clues.head.starts_with(b"\x1e")
                || ["geojsonl", "geojsons", "ndjson", "ndgeojson", "jsonl"].contains(&clues.head.extension.as_str()))
    },
    open: |staged, context| open(FORMAT.name, staged, context),
};
