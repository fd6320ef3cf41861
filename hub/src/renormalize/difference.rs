//! How the rows of a version differ from a new reading: by the hash of each row, then value by value.

use super::columns_of;
use crate::files::wkt;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::SchemaRef;
use std::collections::{BTreeMap, HashMap};
use ukimet_catalog::{Snapshot, row_hashes};
use ukimet_model::batch::is_geometry;
use ukimet_model::{Dataset, Error, Result, Version};
use ukimet_proto::v1;

/// Rows of each side that are looked at value by value; what comes above counts as removed and added.
const ROWS_SHOWN_MAX: usize = 20_000;
/// Characters of a shown value.
const VALUE_CHARACTERS_MAX: usize = 200;

/// The values of a row as text, `None` for null.
type Values = Vec<Option<String>>;

/// A comparison under way. Memory: 24 bytes for each row of the version, and the rows that are shown.
pub(super) struct Comparison {
    snapshot: Snapshot,
    dataset: Dataset,
    version: Version,
    schema: SchemaRef,
    /// Columns that both sides have with the same type.
    common: Vec<String>,
    /// How often each row stands in the version and has not been met again.
    left: HashMap<u128, u64>,
    added: Vec<Values>,
    rows_after: u64,
    rows_added: u64,
}

impl Comparison {
    /// Reads the version; `schema` is that of the new reading.
    pub(super) fn begin(snapshot: Snapshot, dataset: Dataset, version: Version, schema: SchemaRef) -> Result<Self> {
        let before = snapshot.schema(&version)?;
        let is_common = |name: &str| {
            let fields = (before.field_with_name(name), schema.field_with_name(name));
            matches!(fields, (Ok(before), Ok(now)) if before.data_type() == now.data_type())
        };
        let common: Vec<String> =
            before.fields().iter().map(|f| f.name().clone()).filter(|name| is_common(name)).collect();
        let mut left = HashMap::with_capacity(usize::try_from(version.rows).unwrap_or_default());
        for rows in columns_of(&snapshot, &dataset, &version, &common)? {
            for hash in row_hashes(&rows?)? {
                *left.entry(hash).or_insert(0) += 1;
            }
        }
        Ok(Self { snapshot, dataset, version, schema, common, left, added: Vec::new(), rows_after: 0, rows_added: 0 })
    }

    /// The schema of the new reading.
    pub(super) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Takes rows of the new reading.
    pub(super) fn observe(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = self.common.iter().map(|name| self.schema.index_of(name)).collect::<Result<Vec<_>, _>>();
        let rows = columns.and_then(|columns| rows.project(&columns));
        let rows = rows.map_err(|error| Error::internal("the adapter's rows lack a column").caused_by(error))?;
        let mut added = Vec::new();
        for (i, hash) in row_hashes(&rows)?.into_iter().enumerate() {
            match self.left.get_mut(&hash).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => added.push(i),
            }
        }
        self.rows_after += rows.num_rows() as u64;
        self.rows_added += added.len() as u64;
        let room = ROWS_SHOWN_MAX - self.added.len();
        self.added.extend(values_of(&rows, added.into_iter().take(room))?);
        Ok(())
    }

    /// What differs, with at most `examples_max` values a column.
    pub(super) fn finish(mut self, examples_max: usize) -> Result<v1::Difference> {
        let rows_removed: u64 = self.left.values().sum();
        let removed = self.removed()?;
        let is_cut = rows_removed > removed.len() as u64 || self.rows_added > self.added.len() as u64;
        let changed = paired(&removed, &self.added);
        let rows_changed = changed.len() as u64;
        let (columns_added, columns_removed) = self.columns()?;
        Ok(v1::Difference {
            rows_before: self.version.rows,
            rows_after: self.rows_after,
            rows_same: self.rows_after - self.rows_added,
            rows_changed,
            rows_removed: rows_removed - rows_changed,
            rows_added: self.rows_added - rows_changed,
            columns_added,
            columns_removed,
            columns_changed: by_column(&self.common, changed, examples_max),
            is_cut,
        })
    }

    /// The rows of the version that were not met again, as many as are shown.
    fn removed(&mut self) -> Result<Vec<Values>> {
        let mut removed = Vec::new();
        if self.left.values().all(|count| *count == 0) {
            return Ok(removed);
        }
        for rows in columns_of(&self.snapshot, &self.dataset, &self.version, &self.common)? {
            let rows = rows?;
            let mut gone = Vec::new();
            for (i, hash) in row_hashes(&rows)?.into_iter().enumerate() {
                if let Some(count) = self.left.get_mut(&hash).filter(|count| **count > 0) {
                    *count -= 1;
                    gone.push(i);
                }
            }
            let room = ROWS_SHOWN_MAX - removed.len();
            removed.extend(values_of(&rows, gone.into_iter().take(room))?);
            if removed.len() == ROWS_SHOWN_MAX {
                break;
            }
        }
        Ok(removed)
    }

    /// Columns of one side alone, as `name: type`.
    fn columns(&self) -> Result<(Vec<String>, Vec<String>)> {
        let other = |schema: &SchemaRef| {
            let alone = schema.fields().iter().filter(|field| !self.common.contains(field.name()));
            alone.map(|field| format!("{}: {}", field.name(), field.data_type())).collect()
        };
        Ok((other(&self.schema), other(&self.snapshot.schema(&self.version)?)))
    }
}

fn values_of(rows: &RecordBatch, which: impl Iterator<Item = usize>) -> Result<Vec<Values>> {
    let options = FormatOptions::new();
    let formats = rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let formats = formats.collect::<Result<Vec<_>, _>>();
    let formats = formats.map_err(|error| Error::internal("a value cannot be shown").caused_by(error))?;
    let value = |at: usize, i: usize| {
        let column = rows.column(at);
        let is_place = is_geometry(rows.schema_ref().field(at));
        let place = column.as_binary_opt::<i32>().filter(|_| is_place);
        column.is_valid(i).then(|| match place.map(|place| wkt(place.value(i))) {
            Some(Ok(text)) => text,
            // Measures without heights have no WKT that reads back; they are shown as bytes.
            Some(Err(_)) | None => formats[at].value(i).to_string(),
        })
    };
    Ok(which.map(|i| (0..formats.len()).map(|at| value(at, i)).collect()).collect())
}

/// Rows of both sides that differ in one column: the column, before, after. Each row is used once.
fn paired<'a>(removed: &'a [Values], added: &'a [Values]) -> Vec<(usize, &'a Option<String>, &'a Option<String>)> {
    let columns = removed.first().map_or(0, Vec::len);
    let mut is_paired = vec![false; added.len()];
    let mut left: Vec<usize> = (0..removed.len()).collect();
    let mut pairs = Vec::new();
    for column in 0..columns {
        let without = |row: &'a Values| (&row[..column], &row[column + 1..]);
        let mut by_rest: HashMap<_, Vec<usize>> = HashMap::new();
        for i in (0..added.len()).rev().filter(|i| !is_paired[*i]) {
            by_rest.entry(without(&added[i])).or_default().push(i);
        }
        left.retain(|&before| {
            let Some(after) = by_rest.get_mut(&without(&removed[before])).and_then(Vec::pop) else { return true };
            is_paired[after] = true;
            pairs.push((column, &removed[before][column], &added[after][column]));
            false
        });
    }
    pairs
}

fn by_column(
    columns: &[String],
    pairs: Vec<(usize, &Option<String>, &Option<String>)>,
    examples_max: usize,
) -> Vec<v1::ColumnDifference> {
    let mut found: BTreeMap<usize, v1::ColumnDifference> = BTreeMap::new();
    for (column, before, after) in pairs {
        let difference = found.entry(column).or_insert_with(|| v1::ColumnDifference {
            column: columns[column].clone(),
            ..v1::ColumnDifference::default()
        });
        difference.rows += 1;
        if difference.examples.len() < examples_max {
            let shown = |text: &Option<String>| text.as_deref().map(shortened);
            difference.examples.push(v1::ChangedValue { before: shown(before), after: shown(after) });
        }
    }
    found.into_values().collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Values {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    #[test]
    fn rows_that_differ_in_one_column_are_pairs_and_each_is_used_once() {
        let removed = [row(&["1", "a"]), row(&["2", "b"]), row(&["2", "b"]), row(&["3", "c"])];
        let added = [row(&["2", "B"]), row(&["1", "A"]), row(&["9", "z"])];
        let pairs = paired(&removed, &added);
        assert_eq!(pairs.len(), 2);
        let found = by_column(&["id".to_owned(), "name".to_owned()], pairs, 1);
        assert_eq!((found.len(), found[0].column.as_str(), found[0].rows), (1, "name", 2));
        let example = &found[0].examples[0];
        assert_eq!((example.before.as_deref(), example.after.as_deref()), (Some("a"), Some("A")));
    }
}
