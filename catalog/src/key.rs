//! Which columns make a row the same row in another version: declared by the publisher, or found in the first version.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema};
use std::collections::HashSet;
use ukimet_model::batch::{role, source_name};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Key, Result};
use xxhash_rust::xxh3::xxh3_64;

/// Columns that are looked at as possible keys at most; each costs 8 bytes a row.
const CANDIDATES_MAX: usize = 3;
/// Names under which registers number their rows, in Latin letters as published names are.
const NUMBER_NAMES: [&str; 12] =
    ["id", "fid", "gid", "oid", "objectid", "ogc_fid", "globalid", "uuid", "guid", "code", "kod", "key"];
/// Roles whose values name one thing each.
const NAMING_ROLES: [&str; 4] = ["rka", "cadastral_number", "cadastral", "bin"];

/// The key that a publisher declares, by published or source names.
///
/// # Errors
///
/// `InvalidRequest` naming the columns if one is not there, or has a type by whose values rows are not told apart.
pub(crate) fn declared_key(names: &[String], schema: &Schema) -> Result<Key> {
    if names.is_empty() {
        return Err(Error::invalid_request("a key has at least one column, found none"));
    }
    let columns = names.iter().map(|name| declared_column(name, schema)).collect::<Result<Vec<_>>>()?;
    if columns.iter().collect::<HashSet<_>>().len() < columns.len() {
        return Err(Error::invalid_request(format!("the key names a column twice: {}", names.join(", "))));
    }
    Ok(Key { columns, is_declared: true })
}

fn declared_column(name: &str, schema: &Schema) -> Result<String> {
    let fields = schema.fields();
    let field = fields.iter().find(|field| field.name() == name);
    let Some(field) = field.or_else(|| fields.iter().find(|field| source_name(field) == name)) else {
        let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
        return Err(Error::invalid_request(format!(
            "the key names column {}, the columns are {}",
            quoted(name),
            names.join(", ")
        )));
    };
    if !names_rows(field.data_type()) {
        return Err(Error::invalid_request(format!(
            "a key is made of text, whole numbers, dates or times, column {} has type {}",
            quoted(name),
            field.data_type()
        )));
    }
    Ok(field.name().clone())
}

/// Whether rows are told apart by values of this type.
pub(crate) fn names_rows(data_type: &DataType) -> bool {
    use DataType as T;
    data_type.is_integer()
        || matches!(data_type, T::Utf8 | T::Boolean | T::Date32 | T::Time64(_) | T::Timestamp(..) | T::Decimal128(..))
}

/// Positions of a key's columns.
///
/// # Errors
///
/// `Internal` if one is not there.
pub(crate) fn key_positions(key: Option<&Key>, schema: &Schema) -> Result<Vec<usize>> {
    let position = |name: &String| {
        schema.index_of(name).map_err(|e| Error::internal("a key names a column that is not there").caused_by(e))
    };
    key.map_or_else(|| Ok(Vec::new()), |key| key.columns.iter().map(position).collect())
}

/// The first row without a value in one of these columns, and that column.
pub(crate) fn first_null(rows: &RecordBatch, key: &[usize]) -> Option<(usize, usize)> {
    key.iter()
        .filter_map(|column| {
            let nulls = rows.column(*column).logical_nulls()?;
            (0..rows.num_rows()).find(|row| nulls.is_null(*row)).map(|row| (row, *column))
        })
        .min()
}

/// The values of a row's key, as people read them.
pub(crate) fn key_text(rows: &RecordBatch, key: &[usize], row: usize) -> Result<String> {
    let failed = |e| Error::internal("showing a key failed").caused_by(e);
    let mut text = Vec::with_capacity(key.len());
    for column in key {
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(rows.column(*column), &options).map_err(failed)?;
        text.push(quoted(&formatter.value(row).try_to_string().map_err(failed)?));
    }
    Ok(text.join(", "))
}

/// Looks for a column of the first version that numbers its rows.
pub(crate) struct KeyFinder {
    candidates: Vec<Candidate>,
}

struct Candidate {
    column: usize,
    /// Hashes of its values.
    values: Vec<u64>,
}

impl KeyFinder {
    /// Candidates are columns of text or whole numbers that are named as registers name such a column, or whose role is
    /// to name one thing.
    pub(crate) fn new(schema: &Schema) -> Self {
        let mut ranked: Vec<(usize, usize)> = Vec::new();
        for (column, field) in schema.fields().iter().enumerate() {
            let rank = NUMBER_NAMES.iter().position(|name| field.name() == name);
            let has_role = role(field).is_some_and(|role| NAMING_ROLES.contains(&role));
            let rank = rank.or(has_role.then_some(NUMBER_NAMES.len()));
            if let Some(rank) = rank.filter(|_| field.data_type().is_integer() || field.data_type() == &DataType::Utf8)
            {
                ranked.push((rank, column));
            }
        }
        ranked.sort_unstable();
        let candidate = |(_, column): (usize, usize)| Candidate { column, values: Vec::new() };
        Self { candidates: ranked.into_iter().take(CANDIDATES_MAX).map(candidate).collect() }
    }

    pub(crate) fn look_at(&mut self, rows: &RecordBatch) {
        self.candidates.retain_mut(|candidate| {
            let column = rows.column(candidate.column);
            if column.null_count() > 0 {
                return false;
            }
            if let Some(texts) = column.as_string_opt::<i32>() {
                candidate.values.extend(texts.iter().flatten().map(|text| xxh3_64(text.as_bytes())));
            } else {
                let numbers = arrow_cast::cast(column, &DataType::Int64).unwrap_or_else(|_| column.slice(0, 0));
                let numbers = numbers.as_primitive_opt::<arrow_array::types::Int64Type>();
                let Some(numbers) = numbers.filter(|numbers| numbers.len() == rows.num_rows()) else { return false };
                candidate.values.extend(numbers.iter().flatten().map(|number| xxh3_64(&number.to_le_bytes())));
            }
            true
        });
    }

    /// The first candidate whose values are all there and all different, in a layer of at least two rows.
    pub(crate) fn found(self, schema: &Schema) -> Option<Key> {
        let mut candidates = self.candidates.into_iter();
        let found = candidates.find_map(|mut candidate| {
            let rows = candidate.values.len();
            candidate.values.sort_unstable();
            candidate.values.dedup();
            (rows > 1 && candidate.values.len() == rows).then_some(candidate.column)
        });
        found.map(|column| Key { columns: vec![schema.field(column).name().clone()], is_declared: false })
    }
}
