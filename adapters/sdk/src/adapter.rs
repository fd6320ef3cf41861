//! The contract of an adapter: foreign bytes in, normalized rows out, and a report on what happened between.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::collections::BTreeMap;
use std::path::PathBuf;
use ukimet_model::error::quoted;
use ukimet_model::{Batch, BoundingBox, Error, LayerReport, LayerSelection, Mapping, QuarantinedRow, Result, Verdict};

/// Reads assets of some formats as normalized rows.
///
/// Every method blocks: it is called on a thread of its own and may take as long as the limits of the server allow.
///
/// - The answer depends on the bytes, the options and [`AdapterDescription`] alone: same in, same out.
/// - Nothing beside the asset is read: no network, no neighbouring file, whatever the bytes say.
/// - A value, a row or a layer is never dropped without a diagnostic or an error.
/// - An error is one of: `InvalidData` (the bytes are not what they should be), `InvalidRequest` (the options
///   contradict themselves), `Undeclared` (the publisher must declare something), `NotFound` (no layer of that name),
///   `DataLoss` (the asset is cut), `LimitReached`, `TimedOut`, `Internal`.
/// - A panic fails the call and nothing else.
pub trait Adapter: Send + Sync + 'static {
    /// Who this is and what it reads. Never changes while the process lives.
    fn describe(&self) -> AdapterDescription;

    /// The layers of an asset, without reading its rows. Selection of layers is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Adapter::read`], as far as the head of the asset shows it.
    fn inspect(&self, asset: &AssetFile, options: &ReadOptions) -> Result<Inspection>;

    /// Gives the rows of the selected layers to the sink, layer after layer, in the order of the source.
    ///
    /// For each layer: [`RowSink::begin_layer`], any number of batches, [`RowSink::end_layer`]. An error of the sink
    /// means that nobody listens any more: return it at once. Rows that were given before an error count for nothing.
    ///
    /// # Errors
    ///
    /// As the trait says.
    fn read(&self, asset: &AssetFile, options: &ReadOptions, sink: &mut dyn RowSink) -> Result<ReadEnd>;
}

/// Takes the rows of one read, in order; an adapter may give them from a thread of its own.
pub trait RowSink: Send {
    /// Begins a layer. The schema passes `ukimet_model::batch::check_schema`. `source_columns` names what the values of
    /// quarantined rows are; it may be empty if there will be none.
    fn begin_layer(&mut self, name: &str, schema: &SchemaRef, source_columns: &[String]) -> Result<()>;

    /// Takes rows of the layer that has begun; their schema is that layer's. Waits while the reader is slower.
    fn batch(&mut self, batch: Batch) -> Result<()>;

    /// Takes what rules said about places of the layer that has begun, in any order.
    fn verdicts(&mut self, verdicts: Vec<Verdict>) -> Result<()>;

    /// Takes rows of the layer that has begun which were refused, in the order of the source, each with one value a
    /// source column.
    fn quarantine(&mut self, rows: Vec<QuarantinedRow>) -> Result<()>;

    /// Takes a file made of a row that was given, before the layer's end; if a window was asked for, without any layer.
    /// Its bytes are read from `file` before this returns.
    fn derived_asset(&mut self, asset: DerivedFile) -> Result<()>;

    /// Ends the layer. `rows_taken` is the number of rows that were given.
    fn end_layer(&mut self, report: LayerReport) -> Result<()>;
}

/// A file made of a row, e.g. a raster as a Cloud Optimized `GeoTIFF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedFile {
    /// A name for people.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Number of the row in its layer, from 0.
    pub row: u64,
    /// Where its bytes are.
    pub path: PathBuf,
}

/// Who an adapter is and what it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Its name, e.g. `gdal`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The libraries that decide about results, with their versions.
    pub libraries: BTreeMap<String, String>,
    /// What it reads.
    pub formats: Vec<Format>,
    /// Version of the normalization rules it applies.
    pub rules_version: String,
}

/// A format that an adapter reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name, e.g. `GeoPackage`.
    pub name: String,
    /// Its media types, the best known first.
    pub media_types: Vec<String>,
    /// File name endings without the dot, lower case.
    pub extensions: Vec<String>,
}

/// The bytes of an asset, on this machine, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetFile {
    /// Where the bytes are. The name of this file means nothing; nothing may be written beside it.
    pub path: PathBuf,
    /// The file's name at the sender. Foreign text: never a path.
    pub file_name: String,
    /// The media type that was declared; `None` if nobody did.
    pub media_type: Option<String>,
    /// How many bytes.
    pub size_bytes: u64,
}

/// What is declared about an asset and wanted of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// The CRS that the publisher declares; overrides the asset's.
    pub crs: Option<String>,
    /// The encoding that the publisher declares; overrides the asset's.
    pub encoding: Option<String>,
    /// The region that the publisher declares: a KATO or ISO code, or `west,south,east,north` in OGC:CRS84 degrees.
    pub region: Option<String>,
    /// The time zone that the publisher declares for times without one: an IANA name or a region such as `KZ-43`. An
    /// adapter that does not heed it refuses it.
    pub time_zone: Option<String>,
    /// Which layers to read.
    pub layers: LayerSelection,
    /// How many rows a batch has at most; `None` for the adapter's own choice.
    pub batch_rows_max: Option<usize>,
    /// What the columns are to become.
    pub mapping: Option<Mapping>,
    /// The tables that the mapping looks values up in, by their dataset's id, and registers, by what they list (`kato`).
    pub references: BTreeMap<String, RecordBatch>,
    /// The schema of rows that are there already: columns are found by their source names, every value has to fit its
    /// type, and a row with one that does not is refused with a verdict. One without columns: every column as text,
    /// no geometry. `None`: types are told from the values.
    pub expected_schema: Option<SchemaRef>,
    /// A part of a raster, OGC:CRS84, that is wanted instead of rows: [`Adapter::read`] gives one file and no layer.
    pub window: Option<BoundingBox>,
}

/// What an asset declares about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The format that was recognised.
    pub format: String,
    /// Its media type.
    pub media_type: String,
    /// Its layers in the order of the source.
    pub layers: Vec<LayerInfo>,
}

/// What a layer declares about itself. Nothing here was checked against the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name in the source.
    pub name: String,
    /// How many rows it says it has; `None` if it does not say.
    pub rows_declared: Option<u64>,
    /// The CRS it names; `None` if it names none or has no geometry.
    pub crs: Option<String>,
    /// Whether it has a geometry.
    pub has_geometry: bool,
    /// Names of its attributes in the source.
    pub fields: Vec<String>,
}

/// What is known once everything was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEnd {
    /// The media type that was recognised.
    pub media_type: String,
}

/// The positions of the selected layers among those that an asset has.
///
/// # Errors
///
/// - `InvalidData` if there is no layer at all,
/// - `Undeclared` if there are several and the only one was asked for; the message lists them,
/// - `NotFound` if none has the name; the message lists them.
pub fn select_layers(names: &[String], selection: &LayerSelection) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Err(Error::invalid_data("a file has at least one layer, found none"));
    }
    match selection {
        LayerSelection::All => Ok((0..names.len()).collect()),
        LayerSelection::Only if names.len() == 1 => Ok(vec![0]),
        LayerSelection::Only => Err(Error::undeclared(format!(
            "the file has {} layers ({}): say which with --layer NAME, or take every one with --all-layers",
            names.len(),
            listed(names)
        ))),
        LayerSelection::Named(name) => match names.iter().position(|n| n == name) {
            Some(position) => Ok(vec![position]),
            None => Err(Error::not_found(format!("the file has no layer {}, only {}", quoted(name), listed(names)))),
        },
    }
}

fn listed(names: &[String]) -> String {
    const NAMES_MAX: usize = 30;
    let mut list = names.iter().take(NAMES_MAX).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_MAX {
        list.push_str(", …");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    #[test]
    fn layers_are_selected_by_name_all_or_the_only_one() {
        let one = ["roads".to_owned()];
        let two = ["roads".to_owned(), "школы".to_owned()];
        assert_eq!(select_layers(&one, &LayerSelection::Only).expect("one"), [0]);
        assert_eq!(select_layers(&two, &LayerSelection::All).expect("all"), [0, 1]);
        assert_eq!(select_layers(&two, &LayerSelection::Named("школы".to_owned())).expect("named"), [1]);
        let error = select_layers(&two, &LayerSelection::Only).expect_err("two");
        assert_eq!(error.kind(), ErrorKind::Undeclared);
        assert!(error.to_string().contains("\"школы\"") && error.to_string().contains("--all-layers"), "{error}");
        let error = select_layers(&two, &LayerSelection::Named("rivers".to_owned())).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("\"roads\""), "{error}");
        assert_eq!(select_layers(&[], &LayerSelection::All).expect_err("none").kind(), ErrorKind::InvalidData);
    }
}
