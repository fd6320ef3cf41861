//! Whether verdicts and refused rows that are kept with a push have the values of keys.

use super::ErasureIntent;
use super::doubt::Held;
use super::find::Found;
use crate::catalog::Shared;
use crate::paths;
use crate::push::PushRecord;
use crate::state::View;
use crate::tables::Table;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::collections::BTreeSet;
use ukimet_model::{LayerOutcome, Result, TableRef};

/// Values as they are compared with texts of the source.
pub(super) struct Values {
    names: Vec<BTreeSet<String>>,
    keys: Vec<Vec<String>>,
    /// Numbers of the keys that some row has.
    met: BTreeSet<usize>,
}

impl Values {
    pub(super) fn of(intent: &ErasureIntent, found: &Found) -> Self {
        let keys = intent.keys.iter().map(|key| key.iter().map(|value| plain(value)).collect()).collect();
        Self { names: found.names.clone(), keys, met: found.met.clone() }
    }

    /// Whether a verdict or a refused row of a layer has one of the keys.
    pub(super) fn are_in_tables_of(&self, shared: &Shared, record: &PushRecord, layer: &LayerOutcome) -> Result<Held> {
        let held_by = |table, held: &dyn Fn(&RecordBatch) -> Held| held_by(shared, record, table, held);
        let refused = held_by(layer.quarantine, &|rows| self.are_in_refused(rows))?;
        if refused == Held::Yes {
            return Ok(refused);
        }
        Ok(refused.max(held_by(layer.verdicts, &|verdicts| self.are_in_verdicts(verdicts))?))
    }

    /// Whether a refused row has one of the keys. A table that has not all of the columns may.
    fn are_in_refused(&self, rows: &RecordBatch) -> Held {
        let columns_of = |names: &BTreeSet<String>| -> Vec<&arrow_array::StringArray> {
            let fields = rows.schema_ref().fields().iter().enumerate().skip(1);
            let named = fields.filter(|(_, field)| names.contains(field.name()));
            named.filter_map(|(i, _)| rows.column(i).as_string_opt::<i32>()).collect()
        };
        let columns: Vec<Vec<_>> = self.names.iter().map(columns_of).collect();
        if columns.iter().any(Vec::is_empty) {
            return if rows.num_rows() > 0 { Held::Perhaps } else { Held::No };
        }
        Held::certain((0..rows.num_rows()).any(|row| {
            let cell = |column: &arrow_array::StringArray| column.is_valid(row).then(|| plain(column.value(row)));
            self.keys.iter().any(|key| {
                let fits = |(value, columns): (&String, &Vec<&arrow_array::StringArray>)| {
                    columns.iter().filter_map(|column| cell(column)).any(|cell| cell == *value)
                };
                key.iter().zip(&columns).all(fits)
            })
        }))
    }

    /// Whether a verdict names one of the values, as found or as taken. It may be of another column, so a value of keys that
    /// no version has says little.
    fn are_in_verdicts(&self, verdicts: &RecordBatch) -> Held {
        let texts = ["found", "taken"].map(|name| verdicts.column_by_name(name).and_then(|c| c.as_string_opt::<i32>()));
        let named: BTreeSet<String> =
            texts.into_iter().flatten().flat_map(|texts| texts.iter().flatten().map(plain)).collect();
        let is_named = |key: &&Vec<String>| key.iter().any(|value| named.contains(value));
        let numbers = self.keys.iter().enumerate().filter(|(_, key)| is_named(key)).map(|(number, _)| number);
        let held = numbers.map(|number| if self.met.contains(&number) { Held::Yes } else { Held::Perhaps });
        held.max().unwrap_or(Held::No)
    }
}

/// What the batches of a table tell together.
fn held_by(
    shared: &Shared,
    record: &PushRecord,
    table: Option<TableRef>,
    held: &dyn Fn(&RecordBatch) -> Held,
) -> Result<Held> {
    let Some(table) = table else { return Ok(Held::No) };
    let key = paths::receipt(&table.sha256);
    let erasures = shared.state.read_pairs(|pairs| View::new(pairs, u64::MAX).erasures_since(record))?;
    if erasures.iter().any(|erasure| erasure.took(record, &key)) || !shared.objects.exists(&key)? {
        // An earlier erasure took it.
        return Ok(Held::No);
    }
    let mut all = Held::No;
    for batch in Table::open(&shared.segments.open(&key, &table.sha256)?)? {
        all = all.max(held(&batch?));
        if all == Held::Yes {
            break;
        }
    }
    Ok(all)
}

/// A value as it is compared where nobody knows how it was read: without case, spaces and the zeros that numbers begin
/// with.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let rest = text.trim_start_matches('0');
    if rest.is_empty() && !text.is_empty() {
        return "0".to_owned();
    }
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, StringArray, UInt64Array};
    use std::sync::Arc;

    fn values() -> Values {
        let names = ["code", "city"].map(|name| BTreeSet::from([name.to_owned()]));
        let keys = [["7", "almaty"], ["8", "astana"], ["0", "aral"]].map(|key| key.map(str::to_owned).to_vec());
        Values { names: names.to_vec(), keys: keys.to_vec(), met: BTreeSet::from([1]) }
    }

    fn rows(columns: &[(&str, &str)]) -> RecordBatch {
        let number: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        let texts = columns.iter().map(|(name, text)| (*name, Arc::new(StringArray::from(vec![*text])) as ArrayRef));
        RecordBatch::try_from_iter([("row", number)].into_iter().chain(texts)).expect("a row")
    }

    #[test]
    fn a_refused_row_tells_if_it_has_all_columns_of_a_key() {
        let values = values();
        assert_eq!(values.are_in_refused(&rows(&[("code", " 007 "), ("city", "ALMATY")])), Held::Yes);
        assert_eq!(values.are_in_refused(&rows(&[("code", "00"), ("city", "Aral")])), Held::Yes);
        assert_eq!(values.are_in_refused(&rows(&[("code", ""), ("city", "Aral")])), Held::No);
        assert_eq!(values.are_in_refused(&rows(&[("code", "7"), ("city", "astana")])), Held::No);
        assert_eq!(values.are_in_refused(&rows(&[("code", "7")])), Held::Perhaps);
    }

    #[test]
    fn a_verdict_with_a_value_tells_of_a_key_that_is_there_and_little_of_another() {
        let values = values();
        assert_eq!(values.are_in_verdicts(&rows(&[("found", "astana"), ("taken", "")])), Held::Yes);
        assert_eq!(values.are_in_verdicts(&rows(&[("found", "x"), ("taken", "Almaty")])), Held::Perhaps);
        assert_eq!(values.are_in_verdicts(&rows(&[("found", "x"), ("taken", "y")])), Held::No);
    }
}
