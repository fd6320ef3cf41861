//! A difference in numbers: how many rows, and column by column which values changed, with a few of each.

use crate::diff::{Operation, count_rows};
use crate::files::wkt;
use crate::ingest::ComparedVersions;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use std::collections::{BTreeMap, HashMap};
use ukimet_model::batch::is_geometry;
use ukimet_model::{ChangeCounts, Error, Result};
use ukimet_proto::v1;

/// Rows of each side that are looked at for pairs where no key tells which row is which.
const ROWS_PAIRED_MAX: usize = 20_000;
/// Characters of a shown value.
const VALUE_CHARACTERS_MAX: usize = 200;

/// The values of a row as text, `None` for null.
type Values = Vec<Option<String>>;

/// Numbers of a difference whose rows pass by. Memory: the rows that are looked at for pairs.
pub(super) struct Tally {
    versions: ComparedVersions,
    counts: ChangeCounts,
    examples_max: usize,
    changed: BTreeMap<String, v1::ColumnDifference>,
    /// Columns that both sides have with the same type.
    common: Vec<String>,
    removed: Vec<Values>,
    added: Vec<Values>,
}

impl Tally {
    /// With at most `examples_max` values a column.
    pub(super) fn new(versions: ComparedVersions, examples_max: usize) -> Self {
        let (changed, common) = (BTreeMap::new(), common_columns(&versions));
        let (counts, removed, added) = (ChangeCounts::default(), Vec::new(), Vec::new());
        Self { versions, counts, examples_max, changed, common, removed, added }
    }

    /// Takes rows of the difference.
    ///
    /// # Errors
    ///
    /// `InvalidData` if they are none of a difference.
    pub(super) fn observe(&mut self, rows: &RecordBatch) -> Result<()> {
        count_rows(&mut self.counts, rows)?;
        let column = |name: &str| rows.column_by_name(name).ok_or_else(foreign);
        let operations = column("operation")?.as_string_opt::<i32>().ok_or_else(foreign)?;
        let changed = column("changed")?.as_list_opt::<i32>().ok_or_else(foreign)?;
        let side = |name: &str| column(name)?.as_struct_opt().ok_or_else(foreign);
        let (before, after) = (side("before")?, side("after")?);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for (row, operation) in operations.iter().enumerate() {
            match operation.unwrap_or_default().parse()? {
                Operation::Removed => gone.push(row),
                Operation::Added => come.push(row),
                Operation::Changed => {
                    let names = changed.value(row);
                    for name in names.as_string_opt::<i32>().ok_or_else(foreign)?.iter().flatten() {
                        self.count(name, || Ok((value(before, name, row)?, value(after, name, row)?)))?;
                    }
                }
            }
        }
        if self.versions.heading.key.is_empty() {
            take_values(&mut self.removed, &self.common, before, gone)?;
            take_values(&mut self.added, &self.common, after, come)?;
        }
        Ok(())
    }

    /// Counts a row in which a column differs, and keeps its values if there is room.
    fn count(&mut self, column: &str, values: impl FnOnce() -> Result<(Option<String>, Option<String>)>) -> Result<()> {
        if !self.changed.contains_key(column) {
            let difference = v1::ColumnDifference { column: column.to_owned(), ..v1::ColumnDifference::default() };
            self.changed.insert(column.to_owned(), difference);
        }
        let difference = self.changed.get_mut(column).ok_or_else(foreign)?;
        difference.rows += 1;
        if difference.examples.len() < self.examples_max {
            let (before, after) = values()?;
            let shown = |text: Option<String>| text.as_deref().map(shortened);
            difference.examples.push(v1::ChangedValue { before: shown(before), after: shown(after) });
        }
        Ok(())
    }

    /// All of it, in numbers.
    pub(super) fn finish(mut self) -> Result<v1::Difference> {
        let ChangeCounts { added, removed, changed } = self.counts;
        let seen = [self.removed.len() as u64, self.added.len() as u64];
        let is_cut = self.versions.heading.key.is_empty() && (removed > seen[0] || added > seen[1]);
        let (gone, come) = (std::mem::take(&mut self.removed), std::mem::take(&mut self.added));
        let pairs = paired(&gone, &come, self.common.len());
        let rows_paired = pairs.len() as u64;
        for (column, before, after) in pairs {
            let name = self.common[column].clone();
            self.count(&name, || Ok((before.clone(), after.clone())))?;
        }
        let (rows_before, rows_after) = (self.versions.rows_before, self.versions.rows_after);
        let columns = &self.versions.heading.columns;
        let named = |name: &str, data_type: &Option<String>| Some(format!("{name}: {}", data_type.as_ref()?));
        Ok(v1::Difference {
            rows_before,
            rows_after,
            rows_same: rows_after.saturating_sub(added + changed),
            rows_changed: changed,
            rows_removed: removed,
            rows_added: added,
            columns_added: columns.iter().filter_map(|column| named(&column.name, &column.after)).collect(),
            columns_removed: columns.iter().filter_map(|column| named(&column.name, &column.before)).collect(),
            columns_changed: self.changed.into_values().collect(),
            is_cut,
            rows_paired,
            refusal: None,
        })
    }
}

fn foreign() -> Error {
    Error::invalid_data("a batch of a difference was expected")
}

fn common_columns(versions: &ComparedVersions) -> Vec<String> {
    let fields = |side: &str| match versions.schema.field_with_name(side).map(arrow_schema::Field::data_type) {
        Ok(arrow_schema::DataType::Struct(fields)) => fields.clone(),
        _ => arrow_schema::Fields::empty(),
    };
    let (before, after) = (fields("before"), fields("after"));
    let is_common = |field: &&arrow_schema::FieldRef| {
        after.iter().any(|other| (other.name(), other.data_type()) == (field.name(), field.data_type()))
    };
    before.iter().filter(is_common).map(|field| field.name().clone()).collect()
}

/// A value as text; `None` for null, and where the side has no such column.
fn value(side: &StructArray, name: &str, row: usize) -> Result<Option<String>> {
    let Some(at) = side.fields().iter().position(|field| field.name() == name) else { return Ok(None) };
    let column = side.column(at);
    if side.is_null(row) || column.is_null(row) {
        return Ok(None);
    }
    let place = column.as_binary_opt::<i32>().filter(|_| is_geometry(&side.fields()[at]));
    // Measures without heights have no WKT that reads back; they are shown as bytes.
    if let Some(Ok(text)) = place.map(|place| wkt(place.value(row))) {
        return Ok(Some(text));
    }
    let options = FormatOptions::new();
    let format = ArrayFormatter::try_new(column.as_ref(), &options);
    let format = format.map_err(|error| Error::internal("a value cannot be shown").caused_by(error))?;
    Ok(Some(format.value(row).to_string()))
}

/// The values of some rows, as many as there is room for.
fn take_values(to: &mut Vec<Values>, columns: &[String], side: &StructArray, rows: Vec<usize>) -> Result<()> {
    let room = ROWS_PAIRED_MAX.saturating_sub(to.len());
    for row in rows.into_iter().take(room) {
        to.push(columns.iter().map(|name| value(side, name, row)).collect::<Result<_>>()?);
    }
    Ok(())
}

/// Rows of both sides that differ in one of so many columns: the column, before, after. Each row is used once.
fn paired<'a>(
    removed: &'a [Values],
    added: &'a [Values],
    columns: usize,
) -> Vec<(usize, &'a Option<String>, &'a Option<String>)> {
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
            let found = by_rest.get_mut(&without(&removed[before]));
            // Rows that differ in nothing here differ in a column that came or went.
            let found = found.filter(|after| after.last().is_some_and(|after| removed[before] != added[*after]));
            let Some(after) = found.and_then(Vec::pop) else { return true };
            is_paired[after] = true;
            pairs.push((column, &removed[before][column], &added[after][column]));
            false
        });
    }
    pairs
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
        let pairs = paired(&removed, &added, 2);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let found: Vec<_> =
            pairs.into_iter().map(|(column, before, after)| (column, text(before), text(after))).collect();
        let expected = [(1, "a", "A"), (1, "b", "B")];
        assert_eq!(found, expected.map(|(column, before, after)| (column, before.to_owned(), after.to_owned())));
    }

    #[test]
    fn rows_that_differ_in_a_column_that_came_are_no_pair_of_another_column() {
        let same = [row(&["1", "a"])];
        assert!(paired(&same, &same, 2).is_empty());
    }
}
