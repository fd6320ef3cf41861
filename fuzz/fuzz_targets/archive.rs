//! Assets of any kind as they come in: recognition, and zip, tar and gzip archives listed and unpacked.
//!
//! The first byte chooses the name that the sender gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::stage_asset;

const NAMES: &[&str] =
    &["a.zip", "a.tar", "a.tar.gz", "a.csv.gz", "a.kmz", "a.tgz", "a", "a.json", "a.gml", "../a.shp"];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    drop(stage_asset(NAMES[usize::from(*choice) % NAMES.len()], bytes));
});
