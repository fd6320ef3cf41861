//! What a reader hands over, before any rule.

use crate::crs::Grids;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::{Crs, Error, Mapping, Result};

/// Field metadata key of a text column whose bytes are not decoded yet (`Binary`); its value is `1`.
pub const TEXT_KEY: &str = "ukimet:text";

/// Field metadata key of a geometry column (`Binary`, WKB of any flavor); its value is `1`.
pub const GEOMETRY_KEY: &str = "ukimet:geometry";

/// Field metadata key of a text column whose cells the source keeps as numbers, as spreadsheets do; its value is `1`.
///
/// The reader hands the exact integer as text. What such a cell lost before (zeros at its beginning, digits after the
/// fifteenth) cannot be known any more.
pub const NUMERIC_CELLS_KEY: &str = "ukimet:numeric_cells";

/// Field metadata key of a numeric column whose cells the source shows as dates; its value is the year that the
/// spreadsheet counts from, `1900` or `1904`.
pub const DATE_CELLS_KEY: &str = "ukimet:date_cells";

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
    /// The zone of times that have none: an IANA name such as `Asia/Almaty`, or a region such as `KZ-43`.
    pub time_zone: Option<String>,
    /// The day that the data describes: codes are compared with the registers as of it.
    pub valid_on: Option<jiff::civil::Date>,
    /// Tables of other datasets, as text: what the mapping looks values up in, by the dataset's id, and registers that
    /// codes are compared with, by what they list.
    ///
    /// `kato`: `code` (or `kato`, `te`), `valid_from` (first day) and `valid_to` (first day no longer) as `Date32` or
    /// ISO text, as far as they are there; other columns are not read.
    pub references: BTreeMap<String, RecordBatch>,
    /// Where the data lies: a KATO code or its first digits (`75`), an ISO code (`KZ-75`, `KZ`), or
    /// `west,south,east,north` in degrees of OGC:CRS84. Rows outside are refused; an undeclared CRS may be inferred.
    pub region: Option<String>,
}

/// What an operator sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Positions in one geometry; a row above it ends the layer with `LimitReached`.
    pub vertices_max: u64,
    /// Positions in one geometry that is repaired; an invalid row above it is refused.
    pub repair_vertices_max: u64,
    /// Largest share of its area that a geometry may lose or gain by repair, 0 to 1; a row above it is refused. At 1
    /// every repair is taken.
    pub repair_area_change_max: f64,
    /// Verdicts that are listed for one layer; what comes above is counted.
    pub verdicts_max: u64,
    /// Verdicts that one rule family lists in one batch; what comes above is counted. Bounds the memory of a batch.
    pub verdicts_waiting_max: usize,
    /// Rows at the beginning of a layer whose text is evidence for repairs; later rows are repaired by the same
    /// decisions.
    pub text_survey_rows_max: u64,
    /// Share of values that must pass as a code before a column is one, 0 to 1.
    pub code_share_min: f64,
    /// The same where the column's name says so, 0 to 1.
    pub code_named_share_min: f64,
    /// Different values that must pass before a column is one without a name that says so.
    pub code_values_min: u64,
    /// Rows of a table whose parents are followed; a longer one is left unchecked, with a diagnostic.
    pub chain_rows_max: u64,
    /// Share of a layer's rows with a place, 0 to 1, whose place may be impossible. Up to it those rows are refused one
    /// by one, above it the layer is.
    pub misplaced_share_max: f64,
    /// Grids for datum shifts.
    pub grids: Grids,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            vertices_max: 10_000_000,
            repair_vertices_max: 1_000_000,
            verdicts_max: 1_000_000,
            verdicts_waiting_max: 100_000,
            text_survey_rows_max: 65_536,
            code_share_min: 0.95,
            code_named_share_min: 0.5,
            code_values_min: 20,
            chain_rows_max: 1_000_000,
            repair_area_change_max: 0.01,
            misplaced_share_max: 0.5,
            grids: Grids::default(),
        }
    }
}

impl Limits {
    /// Checks that shares are shares.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the setting and its value.
    pub fn check(&self) -> Result<()> {
        let shares = [
            ("repair_area_change_max", self.repair_area_change_max),
            ("misplaced_share_max", self.misplaced_share_max),
        ];
        match shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((name, share)) => Err(Error::invalid_request(format!("{name} is a share from 0 to 1, found {share}"))),
            None => Ok(()),
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
