//! Feeds of public transport. The input is the text of `stops.txt`, `shapes.txt`, `trips.txt` and `stop_times.txt`, parted
//! by zero bytes: inside a zip with checksums no change would reach a reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write};
use ukimet_adapter_gdal::fuzzing::read_as;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(|bytes: &[u8]| {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, text) in ["stops.txt", "shapes.txt", "trips.txt", "stop_times.txt"].iter().zip(bytes.split(|b| *b == 0))
    {
        zip.start_file(*name, options).expect("a member");
        zip.write_all(text).expect("bytes in memory");
    }
    let feed = zip.finish().expect("an archive").into_inner();
    drop(read_as("GTFS", "feed.zip", &feed));
});
