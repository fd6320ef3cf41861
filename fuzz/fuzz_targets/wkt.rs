//! Cells that are geometries as WKT, EWKT or WKB in hex digits: what is taken is canonical WKB.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_model::wkb;
use ukimet_normalize::fuzzing::read_place;

fuzz_target!(|text: &str| {
    let Some((bytes, srid)) = read_place(text) else { return };
    assert_ne!(srid, Some(0));
    let shape = wkb::inspect(&bytes).expect("what is taken is WKB");
    assert!(shape.is_canonical);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(read_place(&hex).expect("hex digits of what was taken").0, bytes);
});
