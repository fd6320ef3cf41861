//! GeoJSON read to the end, and its rows against the features that `serde_json` finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::Value;
use ukimet_adapter_gdal::fuzzing::read_as;

/// A collection whose members stand once, which is an error otherwise.
#[derive(Deserialize)]
struct Collection {
    #[serde(rename = "type")]
    name: String,
    features: Vec<Value>,
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(layers) = read_as("GeoJSON", "map.geojson", bytes) else { return };
    assert_eq!(layers.len(), 1);
    let Ok(Collection { name, features }) = serde_json::from_slice(bytes) else { return };
    // Names of members are not unescaped by our reader.
    if name == "FeatureCollection" && !bytes.contains(&b'\\') {
        let objects = features.iter().filter(|feature| feature.is_object()).count();
        assert!(layers[0].rows <= features.len() as u64, "{} rows of {}", layers[0].rows, features.len());
        assert!(layers[0].rows >= objects as u64, "{} rows of {objects} features", layers[0].rows);
    }
});
