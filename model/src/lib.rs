//! Domain types of Ukimet Hub, shared by every other crate.
//!
//! Plain values: no I/O, no async, no wire format, no native library. A type stands here when two
//! crates must mean the same thing by it.

#![forbid(unsafe_code)]

pub mod batch;
pub mod clock;
pub mod columns;
pub mod crs;
pub mod dataset;
pub mod diagnostic;
pub mod digest;
pub mod erasure;
pub mod error;
pub mod extent;
pub mod facet;
pub mod filter;
pub mod id;
pub mod lineage;
pub mod mapping;
pub mod operation;
pub mod profile;
pub mod push;
pub mod query;
pub mod retention;
pub mod schema_rules;
pub mod selector;
pub mod tag;
pub mod valid;
pub mod verdict;
pub mod wkb;

pub use batch::{Batch, GEOMETRY_COLUMN};
pub use clock::{Clock, SystemClock};
pub use columns::{COLUMNS_KEY, ColumnDecision, GROUPED_BY_POINTS, NAMED_COLUMNS_KEY, SOURCE_NAMES_KEY};
pub use crs::{AuthorityCode, Crs};
pub use dataset::{
    Asset, ChangeCounts, ChangesRef, Dataset, DatasetMetadata, DeletesRef, DerivedAsset, Field, Key, SegmentRef,
    Version,
};
pub use diagnostic::{Diagnostic, Example, Severity};
pub use digest::Sha256;
pub use erasure::ErasedRows;
pub use error::{Error, ErrorKind, Result};
pub use extent::BoundingBox;
pub use facet::{Facet, FacetCounts};
pub use filter::{Comparison, Filter, Folding, SpatialRelation, Term};
pub use id::{DatasetId, DatasetUuid, MajorNumber, PushId, SnapshotId, VersionNumber};
pub use lineage::ProcessStep;
pub use mapping::Mapping;
pub use operation::{Action, OperationId, OperationOutcome, OperationStatus};
pub use profile::Profile;
pub use push::{
    Declarations, LayerOutcome, LayerReport, LayerSelection, MappingChange, PushMode, PushOutcome, PushStatus, TableRef,
};
pub use query::{DatasetQuery, OrderColumn, RowQuery};
pub use retention::{Removal, RetentionRule};
pub use schema_rules::{BreakKind, Promise, SchemaBreak};
pub use selector::{VersionChoice, VersionSelector};
pub use tag::{Note, Tag, TagName};
pub use valid::{ValidMoment, ValidQuery, ValidTime};
pub use verdict::{QuarantinedRow, Verdict};
