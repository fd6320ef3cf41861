//! What a reader hands over, before any rule.

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::{Crs, Mapping};

/// Field metadata key of a text column whose bytes are not decoded yet (`Binary`); its value is `1`.
pub const TEXT_KEY: &str = "ukimet:text";

/// Field metadata key of a geometry column (`Binary`, WKB of any flavor); its value is `1`.
pub const GEOMETRY_KEY: &str = "ukimet:geometry";

/// A layer as a reader hands it over.
///
/// A text column is `Utf8`, or `Binary` with [`TEXT_KEY`] and bytes in the source's encoding. A geometry column is
/// `Binary` with [`GEOMETRY_KEY`], x (east) before y (north) whatever the CRS says; the first one is taken, others
/// become binary attributes. Other columns have any Arrow type.
#[derive(Clone, Debug)]
pub struct SourceLayer {
    /// The layer's name in the source.
    pub name: String,
    /// The format's name, e.g. `ESRI Shapefile`.
    pub format: String,
    /// The raw columns, in the order of the source.
    pub schema: SchemaRef,
    /// The column names as undecoded bytes, one a column, if the names in `schema` are not to be trusted.
    pub raw_names: Option<Vec<Vec<u8>>>,
    /// What the source says about its CRS; `None` if it says nothing.
    pub crs: Option<Crs>,
    /// What the source says about its text.
    pub encoding: SourceEncoding,
    /// Whether text columns may hold numbers and dates, as in CSV, spreadsheets, KML and GML without a schema.
    pub untyped: bool,
}

/// What is known about the encoding of a layer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEncoding {
    /// UTF-8 by the format's own rule, or made so by the reader.
    Utf8 {
        /// The encoding that the reader decoded from, IANA name.
        transcoded_from: Option<String>,
    },
    /// The source names its encoding.
    Declared {
        /// The label as written, e.g. `1251`.
        label: String,
        /// Where it was written, e.g. `.cpg`.
        by: String,
    },
    /// Nobody says.
    Unknown,
}

/// What the publisher said with the push. It overrides the source, with a note.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// `EPSG:n`, `OGC:CRS84`, URN, WKT, PROJJSON or PROJ string.
    pub crs: Option<String>,
    /// A label such as `windows-1251`.
    pub encoding: Option<String>,
    /// What the columns are to become; its own declarations are among the ones above already.
    pub mapping: Option<Arc<Mapping>>,
    /// What a mapping looks up, by the dataset's id: rows of text columns of keys and values.
    pub references: BTreeMap<String, RecordBatch>,
}

/// What an operator may limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Positions in one geometry; a row above it ends the layer with `LimitReached`.
    pub vertices_max: u64,
    /// Positions in one geometry that is repaired; a row above it keeps its invalid geometry, with a diagnostic.
    pub repair_vertices_max: u64,
    /// Largest share of its area that a geometry may lose or gain by repair, 0 to 1; a row above it keeps its
    /// invalid geometry, with a diagnostic. At 1 every repair is taken.
    pub repair_area_change_max: f64,
    /// Verdicts that are listed for one layer; what comes above is counted.
    pub verdicts_max: u64,
    /// Rows at the beginning of a layer whose text is evidence for repairs; later rows are repaired by the same
    /// decisions.
    pub text_survey_rows_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vertices_max: 10_000_000,
            repair_vertices_max: 1_000_000,
            repair_area_change_max: 1.0,
            verdicts_max: 1_000_000,
            text_survey_rows_max: 65_536,
        }
    }
}

/// What a raw column is to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The geometry column that is taken.
    Geometry,
    /// Text whose bytes are not decoded yet.
    RawText,
    /// Text.
    Text,
    /// Anything else.
    Value,
}

/// The role of every raw column.
pub(crate) fn roles(layer: &SourceLayer) -> Vec<Role> {
    let geometry = layer.schema.fields().iter().position(|field| is_marked(field, GEOMETRY_KEY));
    let role = |(i, field): (usize, &std::sync::Arc<Field>)| match field.data_type() {
        _ if Some(i) == geometry => Role::Geometry,
        DataType::Binary if is_marked(field, TEXT_KEY) => Role::RawText,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Role::Text,
        DataType::Dictionary(_, value) if value.is_string() => Role::Text,
        _ => Role::Value,
    };
    layer.schema.fields().iter().enumerate().map(role).collect()
}

/// Whether a reader set this key.
pub(crate) fn is_marked(field: &Field, key: &str) -> bool {
    field.metadata().get(key).is_some_and(|value| value == "1")
}
