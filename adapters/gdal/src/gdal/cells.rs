//! Cells of a `GeoPackage` that contradict the type of their column.
//!
//! `SQLite` keeps any value in any column. GDAL casts what does not fit without a word: 70000 in a column of small
//! numbers, `abc` in one of numbers, the 30th of February. So the cells are counted in the database first; a column with
//! any that do not fit is read again as text, and one whose every time is UTC becomes one of instants.

mod glance;

use super::{OgrSource, watched};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, Field, FieldRef, Schema, TimeUnit};
use gdal::vector::sql::{Dialect, ResultSet};
use gdal::vector::{Feature, LayerAccess};
use rusqlite::Connection;
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::{GEOMETRY_KEY, TEXT_KEY};

use crate::source::Tallies;

/// What the cells of one layer are.
#[derive(Clone, Debug, Default)]
pub(crate) struct CellColumns {
    /// Columns that are read again as text.
    texts: Vec<usize>,
    /// Columns whose every time is UTC.
    instants: Vec<usize>,
    /// Where they are read from, name quoted.
    table: String,
    /// The column that orders the rows, quoted; empty if they have no order.
    key: String,
    /// Whether the key is another in every row.
    is_key_unique: bool,
    names: Vec<String>,
    /// Cells of the geometry that are null.
    geometry_nulls: Option<u64>,
    pub(crate) findings: Vec<Diagnostic>,
}

/// How far the cells of a layer were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CellPlace {
    rows: u64,
    /// The key of the last row, if rows have one of their own.
    last_key: Option<i64>,
}

/// Results of one query; `SQLite` itself gives no more than 2,000.
const RESULTS_MAX: usize = 999;

/// Whole numbers up to here are floats without loss.
const LARGEST_IN_FLOAT: u64 = 1 << 53;

/// What one column's cells are.
#[derive(Clone, Debug, Default)]
struct Counts {
    misfits: u64,
    /// Times in UTC, or geometries that are null.
    zoned: u64,
    unzoned: u64,
}

impl OgrSource {
    /// Looks into the database of a file that is one; `None` for any other file.
    fn look_into<T>(&self, look: impl FnOnce(&Connection) -> T) -> Option<T> {
        // SAFETY: the dataset is open. For a database of SQLite the answer is its handle, which stays GDAL's own: the
        // connection does not close it, and is gone before the dataset is.
        let database = unsafe {
            let handle = gdal_sys::GDALGetInternalHandle(self.dataset.c_dataset(), c"SQLITE_HANDLE".as_ptr());
            if handle.is_null() { None } else { Connection::from_handle(handle.cast()).ok() }
        };
        database.as_ref().map(look)
    }

    /// Rows of a query, every cell as text.
    ///
    /// # Errors
    ///
    /// `InvalidData` with GDAL's text if the database does not answer.
    pub(crate) fn select(&self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        let (rows, raised) = watched(|| {
            let Some(result) = self.dataset.execute_sql(query, None, Dialect::DEFAULT)? else {
                return Ok(Vec::new());
            };
            let width = result.defn().fields().count();
            let rows = std::iter::from_fn(|| next_row(&result));
            let rows = rows.map(|row| (0..width).map(|i| row.field_as_string(i)).collect());
            rows.collect::<gdal::errors::Result<Vec<Vec<Option<String>>>>>()
        });
        match (rows, raised.failures.first()) {
            (Ok(rows), None) => Ok(rows),
            (_, failure) => Err(Error::invalid_data(format!(
                "the database could not be searched: {}",
                quoted(failure.map_or("no answer", String::as_str))
            ))),
        }
    }
}

/// The next row of an answer. The crate's own iterator asks how many there are first, which answers the query once more.
fn next_row<'a>(result: &'a ResultSet<'_>) -> Option<Feature<'a>> {
    // SAFETY: the layer lives as long as the answer. A row that GDAL hands out is its reader's, who frees it once.
    unsafe {
        let row = gdal_sys::OGR_L_GetNextFeature(result.c_layer());
        (!row.is_null()).then(|| Feature::from_c_feature(result.defn(), row))
    }
}

impl CellColumns {
    /// Whether the files of a driver have cells to look at.
    pub(crate) fn are_of(driver: &str) -> bool {
        driver == "GPKG"
    }

    /// Looks through the cells of a layer whose columns have these types.
    ///
    /// # Errors
    ///
    /// As [`OgrSource::select`].
    pub(crate) fn of(source: &OgrSource, layer: usize, schema: &Schema) -> Result<Self> {
        let (table, key) = source.table(layer)?;
        let from = format!("FROM {}", identifier(&table));
        let kind = format!("SELECT type FROM sqlite_master WHERE name = '{}'", table.replace('\'', "''"));
        // Only the key of a table is one of its rows: a view may repeat it.
        let is_table = source.select(&kind)?.into_iter().flatten().flatten().any(|kind| kind == "table");
        let mut cells = Self { table: identifier(&table), ..Self::default() };
        if !key.is_empty() {
            cells.key = identifier(&key);
            cells.is_key_unique = is_table;
        }
        cells.names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let counts = counts(source, &from, schema)?;
        let mut tallies = Tallies::default();
        for (i, (field, counts)) in schema.fields().iter().zip(&counts).enumerate() {
            if field.metadata().contains_key(GEOMETRY_KEY) {
                cells.geometry_nulls = Some(counts.zoned);
                continue;
            }
            cells.decide(i, field, counts, source, &from, &mut tallies)?;
        }
        cells.findings = tallies.diagnostics();
        Ok(cells)
    }

    fn decide(
        &mut self,
        i: usize,
        field: &Field,
        counts: &Counts,
        source: &OgrSource,
        from: &str,
        tallies: &mut Tallies,
    ) -> Result<()> {
        if counts.misfits > 0 {
            let column = identifier(field.name());
            let misfit = misfit(field).unwrap_or_default();
            let example = source.select(&format!(
                "SELECT typeof({column}) || ' ' || substr(quote({column}), 1, 80) {from} WHERE {misfit} LIMIT 1"
            ))?;
            let found = example.into_iter().flatten().flatten().next().unwrap_or_default();
            let found = format!("{} cells, the first {found}", counts.misfits);
            let message = "columns with cells that contradict their type are kept as text";
            tallies.add(
                "gpkg.contradicting_cells",
                Severity::Warning,
                message,
                None,
                Some(field.name()),
                &found,
                Some("text"),
            );
            self.texts.push(i);
        } else if counts.zoned > 0 && counts.unzoned > 0 {
            let message = "columns of times of which only some say UTC are kept as text";
            let found = format!("{} of {} say UTC", counts.zoned, counts.zoned + counts.unzoned);
            tallies.add("gpkg.mixed_offsets", Severity::Note, message, None, Some(field.name()), &found, Some("text"));
            self.texts.push(i);
        } else if counts.zoned > 0 {
            self.instants.push(i);
        }
        Ok(())
    }

    /// The field as it comes out of [`CellColumns::corrected`].
    pub(crate) fn field(&self, position: usize, field: &FieldRef) -> FieldRef {
        let data_type = if self.texts.contains(&position) {
            DataType::Utf8
        } else if self.instants.contains(&position) {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        } else {
            return Arc::clone(field);
        };
        Arc::new(Field::new(field.name(), data_type, true))
    }

    /// Columns with the cells that are read again, from `place` on, which moves behind them.
    ///
    /// # Errors
    ///
    /// `DataLoss` if there are fewer rows than before.
    pub(crate) fn corrected(&self, source: &OgrSource, columns: &mut [ArrayRef], place: &mut CellPlace) -> Result<()> {
        let count = columns.first().map_or(0, Array::len);
        let rows = self.rows_from(place, count);
        for i in &self.texts {
            let column = identifier(&self.names[*i]);
            let key = if self.is_key_unique { &self.key } else { "NULL" };
            let query = format!(
                "SELECT CASE typeof({column}) WHEN 'null' THEN NULL WHEN 'real' THEN 'r' || printf('%!.17g', {column}) \
                 WHEN 'integer' THEN 'i' || CAST({column} AS TEXT) \
                 ELSE substr(typeof({column}), 1, 1) || hex(CAST({column} AS BLOB)) END AS cell, \
                 CAST({key} AS TEXT) AS key_text {rows}"
            );
            let cells = source.select(&query)?;
            if cells.len() != count {
                return Err(Error::data_loss(format!("{count} cells were expected, found {}", cells.len())));
            }
            let last_key = |row: &Vec<Option<String>>| row.get(1)?.as_deref()?.parse().ok();
            place.last_key = cells.last().and_then(last_key);
            let texts = cells.into_iter().map(|row| row.into_iter().next().flatten().map(|cell| retold(&cell)));
            columns[*i] = Arc::new(texts.collect::<StringArray>());
        }
        place.rows += count as u64;
        Ok(())
    }

    /// The end of a query for the next `count` rows: behind the last key, so that none is passed over again and again;
    /// by their number where there is no such key.
    fn rows_from(&self, place: &CellPlace, count: usize) -> String {
        let Self { table, key, .. } = self;
        let order = if key.is_empty() { String::new() } else { format!(" ORDER BY {key}") };
        match place.last_key {
            Some(last) => format!("FROM {table} WHERE {key} > {last}{order} LIMIT {count}"),
            None => format!("FROM {table}{order} LIMIT {count} OFFSET {}", place.rows),
        }
    }

    /// How many geometries are null although their cells are not; `nulls` came out.
    pub(crate) fn geometries_lost(&self, nulls: u64) -> u64 {
        self.geometry_nulls.map_or(0, |null_cells| nulls.saturating_sub(null_cells))
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A cell as text: numbers as they are, bytes as an SQL literal.
fn retold(cell: &str) -> String {
    let (kind, rest) = cell.split_at_checked(1).unwrap_or_default();
    match kind {
        "r" => rest.parse::<f64>().map_or_else(|_| rest.to_owned(), |number| number.to_string()),
        "t" => {
            let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let bytes: Option<Vec<u8>> = rest.as_bytes().chunks(2).map(digit).collect();
            bytes.map_or_else(|| rest.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
        "b" => format!("x'{rest}'"),
        _ => rest.to_owned(),
    }
}

/// What the cells of every column are: seen at a glance, or by a query over those columns of which that is not sure.
fn counts(source: &OgrSource, from: &str, schema: &Schema) -> Result<Vec<Counts>> {
    let mut counts = glance::counts(source, from, schema);
    let unsure: Vec<usize> = (0..counts.len()).filter(|i| counts[*i].is_none()).collect();
    // Columns of one name would become one.
    let sums = unsure.iter().flat_map(|i| sums(schema.field(*i))).enumerate();
    let sums: Vec<String> = sums.map(|(i, sum)| format!("{sum} AS c{i}")).collect();
    let mut row = Vec::with_capacity(sums.len());
    for sums in sums.chunks(RESULTS_MAX) {
        row.extend(source.select(&format!("SELECT {} {from}", sums.join(", ")))?.pop().unwrap_or_default());
    }
    let number = |i: usize| row.get(i).and_then(Option::as_deref).and_then(|text| text.parse::<f64>().ok());
    for (at, i) in unsure.into_iter().enumerate() {
        let count = |part: usize| number(3 * at + part).unwrap_or_default() as u64;
        counts[i] = Some(Counts { misfits: count(0), zoned: count(1), unzoned: count(2) });
    }
    Ok(counts.into_iter().map(Option::unwrap_or_default).collect())
}

/// Three sums over a column: cells that do not fit; times in UTC, or null geometries; times without a zone.
fn sums(field: &Field) -> [String; 3] {
    let column = identifier(field.name());
    let none = || "0".to_owned();
    if field.metadata().contains_key(GEOMETRY_KEY) {
        return [none(), format!("sum({column} IS NULL)"), none()];
    }
    let misfits = misfit(field).map_or_else(none, |misfit| format!("sum({misfit})"));
    match field.data_type() {
        DataType::Timestamp(..) => {
            [misfits, format!("sum(substr({column}, -1) = 'Z')"), format!("sum(substr({column}, -1) <> 'Z')")]
        }
        _ => [misfits, none(), none()],
    }
}

/// When a cell does not fit its column.
fn misfit(field: &Field) -> Option<String> {
    let q = identifier(field.name());
    let within = |low: i64, high: i64| format!("(typeof({q}) <> 'integer' OR {q} NOT BETWEEN {low} AND {high})");
    let unfit = match field.data_type() {
        DataType::Boolean => within(0, 1),
        DataType::Int16 => within(i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => within(i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => format!("typeof({q}) <> 'integer'"),
        DataType::Float32 | DataType::Float64 => {
            format!(
                "typeof({q}) <> 'real' AND (typeof({q}) <> 'integer' \
                 OR {q} NOT BETWEEN -{LARGEST_IN_FLOAT} AND {LARGEST_IN_FLOAT})"
            )
        }
        DataType::Date32 => format!("(typeof({q}) <> 'text' OR date({q}, '+0 days') IS NOT {q})"),
        DataType::Timestamp(..) => format!(
            "(typeof({q}) <> 'text' OR length({q}) NOT IN (19, 20, 23, 24) OR substr({q}, 11, 1) NOT IN ('T', ' ') \
             OR (length({q}) IN (20, 24)) <> (substr({q}, -1) = 'Z') \
             OR datetime({q}, '+0 days') IS NOT replace(substr({q}, 1, 19), 'T', ' '))"
        ),
        _ if field.metadata().contains_key(TEXT_KEY) => {
            format!("(typeof({q}) NOT IN ('text', 'integer') OR instr(CAST({q} AS BLOB), x'00') > 0)")
        }
        DataType::Binary | DataType::LargeBinary => format!("typeof({q}) <> 'blob'"),
        _ => return None,
    };
    Some(format!("({q} IS NOT NULL AND {unfit})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_retold_without_loss() {
        for (cell, expected) in
            [("i7", "7"), ("r0.10000000000000001", "0.1"), ("t610062", "a\0b"), ("b00FF", "x'00FF'"), ("t", "")]
        {
            assert_eq!(retold(cell), expected);
        }
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
