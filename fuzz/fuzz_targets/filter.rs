//! CQL2 filters as text and as JSON: an error, or a condition whose negations lie where they are asked of rows.
//!
//! The reader is taken out of the hub file by file.
#![no_main]

#[path = "../hub/filter.rs"]
#[allow(dead_code)]
mod filter;

use filter::{FilterLimits, WrittenFilter};
use libfuzzer_sys::fuzz_target;
use ukimet_model::Filter;

const LIMITS: FilterLimits = FilterLimits { bytes_max: 64 << 10, depth_max: 32, terms_max: 1000, positions_max: 2000 };

/// Whether a negation stands before something that has another way to say it.
fn has_plain_negation(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(has_plain_negation),
        Filter::Not(inner) => !matches!(**inner, Filter::IsNull(_) | Filter::Like { .. } | Filter::Spatial { .. }),
        _ => false,
    }
}

fuzz_target!(|text: &str| {
    let Ok(written) = text.parse::<WrittenFilter>() else { return };
    let again: WrittenFilter = written.to_string().parse().expect("what was written reads back");
    assert_eq!(again, written);
    let Ok(filter) = written.read(LIMITS) else { return };
    let pushed = filter.pushed_down();
    assert!(!has_plain_negation(&pushed), "{pushed:?}");
    assert_eq!(pushed.clone().pushed_down(), pushed);
});
