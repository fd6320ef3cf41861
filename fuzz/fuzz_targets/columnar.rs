//! Arrow IPC files and streams, and GeoParquet, through the readers of the adapter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::read_as;

fuzz_target!(init: ukimet_fuzz::let_libraries_give_up(), |bytes: &[u8]| {
    let format = match bytes {
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => "Arrow IPC file",
        [b'P', b'A', b'R', b'1', ..] => "GeoParquet",
        _ => "Arrow IPC stream",
    };
    drop(read_as(format, "rows", bytes));
});
