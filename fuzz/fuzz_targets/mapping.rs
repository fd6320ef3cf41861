//! Mapping files: an error or a mapping whose columns are unique and named as published columns are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_model::Mapping;

fuzz_target!(|text: &str| {
    let Ok(mapping) = Mapping::parse(text) else { return };
    let mut names: Vec<&str> = mapping.columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')));
    mapping.lookups();
});
