//! What someone needs to write a Ukimet Hub adapter in Rust: implement [`Adapter`], then [`serve`](Server::run) it.

#![forbid(unsafe_code)]

pub mod adapter;
pub mod confine;
pub mod memory;
pub mod serve;

pub use adapter::{
    Adapter, AdapterDescription, AssetFile, DerivedFile, Format, Inspection, LayerInfo, ReadEnd, ReadOptions, RowSink,
};
pub use confine::{Confined, Confinement, Layer, ResourceLimits, Strictness};
pub use memory::MemoryAdapter;
pub use serve::{BoundListen, Listen, ServeConfig, ServeLimits, Server};
