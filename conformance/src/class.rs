//! The conformance classes, one a file, one requirement a function.

pub mod adapter_refusal;
pub mod corpus;
pub mod describe;
pub mod ending;
pub mod idempotence;
pub mod inspect;
pub mod query_refusal;
pub mod read;
pub mod refusal;
pub mod resume;
pub mod sample;
pub mod search;
pub mod served;
pub mod snapshot;
pub mod stress;
pub mod verdict;
pub mod visibility;

use crate::adapter::Adapter;
use crate::corpus::Corpus;
use crate::hub::Hub;
use crate::requirement::Class;
use crate::samples::Sampled;

/// The classes for a hub.
pub fn hub() -> Vec<Class<Hub>> {
    vec![
        served::class(),
        idempotence::class(),
        ending::class(),
        resume::class(),
        visibility::class(),
        snapshot::class(),
        refusal::class(),
        search::class(),
        query_refusal::class(),
    ]
}

/// The classes for an adapter.
pub fn adapter() -> Vec<Class<Adapter>> {
    vec![describe::class(), inspect::class(), read::class(), adapter_refusal::class()]
}

/// The classes for an adapter with samples of what it reads.
pub fn sampled() -> Vec<Class<Sampled>> {
    vec![sample::class(), stress::class(), verdict::class()]
}

/// The classes for an adapter and a hostile corpus.
pub fn hostile() -> Vec<Class<Corpus>> {
    vec![corpus::class()]
}
