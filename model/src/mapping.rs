//! Mappings: what a publisher wants the columns of a dataset to be, as a TOML file.
//!
//! ```toml
//! profile = "school"
//! drop = ["Служебное"]
//!
//! [[column]]
//! name = "capacity"
//! from = "Вместимость"
//! cast = "integer"
//!
//! [[column]]
//! name = "city"
//! constant = "Алматы"
//! ```
//!
//! A mapping is applied after text is decoded and before rows are published. Without one, columns are what the rules
//! find.

mod file;
mod suggest;

use crate::error::{Error, Result, quoted};
use crate::id::DatasetId;
use serde::Deserialize;

pub use suggest::suggest;

/// How columns are made, in the order in which they are published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The shared profile that the columns must fit, if any.
    pub profile: Option<String>,
    /// The CRS of the coordinates, as a push would declare it.
    pub crs: Option<String>,
    /// The encoding of the text, as a push would declare it.
    pub encoding: Option<String>,
    /// Where the data lies, as a push would declare it.
    pub region: Option<String>,
    /// The time zone of local times, IANA name.
    pub time_zone: Option<String>,
    /// The day that the data describes: codes are compared with registers as of it.
    pub valid_on: Option<jiff::civil::Date>,
    /// What becomes of source columns that no rule names.
    pub unmapped: Unmapped,
    /// Source columns that are left out.
    pub drop: Vec<String>,
    /// The columns that are made.
    pub columns: Vec<MappedColumn>,
}

/// What becomes of source columns that no rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmapped {
    /// They follow the mapped ones, as the rules find them.
    #[default]
    Keep,
    /// They are left out, with a note.
    Drop,
    /// The push is refused, so that a new column is not overlooked.
    Refuse,
}

/// One published column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedColumn {
    /// Its published name: ASCII, snake case.
    pub name: String,
    /// What it is made of.
    pub source: ColumnSource,
    /// The type its texts are read as; `None` keeps the type that the rules find, or text if it is made.
    pub cast: Option<Cast>,
    /// What becomes of a row whose text does not fit the type, or whose key is not in the looked-up dataset.
    pub misfit: Misfit,
}

/// What a column is made of. Columns are named as in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnSource {
    /// One column.
    Column(String),
    /// The same text in every row.
    Constant(String),
    /// The part of a column's text between separators.
    Split {
        /// The column.
        from: String,
        /// What stands between parts.
        separator: String,
        /// Which part, from 1.
        part: usize,
    },
    /// The texts of several columns, empty ones left out.
    Concat {
        /// The columns in order.
        from: Vec<String>,
        /// What is put between.
        separator: String,
    },
    /// The value that another dataset has for a column's text.
    Lookup {
        /// The column whose texts are keys.
        from: String,
        /// The dataset, as of its newest version.
        dataset: DatasetId,
        /// Its column of keys.
        key: String,
        /// Its column of values.
        value: String,
    },
}

impl ColumnSource {
    /// The source columns it is made of.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Concat { from, .. } => from.iter().map(String::as_str).collect(),
            Self::Column(from) | Self::Split { from, .. } | Self::Lookup { from, .. } => vec![from],
        }
    }

    /// How the published field names its source.
    pub fn describe(&self) -> String {
        match self {
            Self::Column(from) | Self::Split { from, .. } => from.clone(),
            Self::Constant(text) => format!("= {text}"),
            Self::Concat { from, .. } => from.join(" + "),
            Self::Lookup { from, dataset, value, .. } => format!("{from} → {dataset}.{value}"),
        }
    }
}

/// A type that texts are read as, and how they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Text as it is.
    Text,
    /// Whole numbers of 64 bits, perhaps with spaces between groups of three.
    Integer,
    /// 64-bit floats.
    Decimal {
        /// Whether a comma parts the decimals, not a point.
        comma: bool,
    },
    /// Truth values.
    Boolean {
        /// Texts that mean true.
        yes: Vec<String>,
        /// Texts that mean false.
        no: Vec<String>,
    },
    /// Days of the Gregorian calendar.
    Date(DateOrder),
    /// Date and time with microseconds.
    Timestamp {
        /// Whether each text has `Z` or an offset, so that it is an instant in UTC.
        zoned: bool,
    },
}

/// How a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// `YYYY-MM-DD`.
    Iso,
    /// `DD.MM.YYYY`.
    Dotted,
    /// `DD/MM/YYYY`.
    Slashed,
}

/// What becomes of a row whose value cannot be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Misfit {
    /// It is refused, with a verdict.
    #[default]
    Refuse,
    /// The value is null, with a verdict.
    Null,
}

impl Mapping {
    /// Bytes that a mapping file may have.
    pub const BYTES_MAX: usize = 64 << 10;
    /// Columns that a mapping may make.
    pub const COLUMNS_MAX: usize = 2_000;

    /// Reads a mapping file.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming line and column where the text is no TOML or has an unknown key, or the column whose
    /// rule contradicts itself; `LimitReached` if it is too large.
    pub fn parse(text: &str) -> Result<Self> {
        file::parse(text)
    }

    /// The datasets that it looks values up in, with the columns of keys and values, each once.
    pub fn lookups(&self) -> Vec<(&DatasetId, &str, &str)> {
        let mut lookups = Vec::new();
        for column in &self.columns {
            if let ColumnSource::Lookup { dataset, key, value, .. } = &column.source
                && !lookups.contains(&(dataset, key.as_str(), value.as_str()))
            {
                lookups.push((dataset, key.as_str(), value.as_str()));
            }
        }
        lookups
    }
}

/// Checks a published name.
fn check_name(name: &str) -> Result<()> {
    let is_snake = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !is_snake || !starts_well || name == crate::GEOMETRY_COLUMN || name == "bbox" {
        return Err(Error::invalid_request(format!(
            "a published name is ASCII snake case, begins with a letter and is neither geometry nor bbox, found {}",
            quoted(name)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
