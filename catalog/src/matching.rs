//! Which rows of a push a version already has: those are not written again.

use crate::key::{first_null, key_text};
use crate::rowhash::key_hashes;
use crate::rows::{LiveRows, Place};
use arrow_array::{BooleanArray, RecordBatch};
use ukimet_model::{Error, PushMode, Result};

/// The rows of a version, and what a push said of each.
pub(crate) struct Matching {
    mode: PushMode,
    /// Positions of the key's columns; none if a row's key is the whole row.
    key: Vec<usize>,
    /// Whether a row that the key does not name is refused; else the key is given up.
    is_strict: bool,
    live: LiveRows,
    fates: Vec<Fate>,
    lost_key: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unseen,
    /// The push has the very row.
    Same,
    /// The push has another row with its key.
    Replaced,
}

/// What a push said of a version's rows.
#[derive(Default)]
pub(crate) struct Matched {
    /// Where the rows lie that the version had and the push has not.
    pub(crate) gone: Vec<Place>,
    /// Keys and row hashes of the rows that both have.
    pub(crate) same: Vec<(u128, u128)>,
    /// Whether a key that was only found does not hold any more.
    pub(crate) lost_key: bool,
}

impl Matching {
    pub(crate) fn new(mode: PushMode, key: Vec<usize>, is_strict: bool, live: LiveRows) -> Self {
        let fates = vec![Fate::Unseen; live.rows().len()];
        Self { mode, key, is_strict, live, fates, lost_key: false }
    }

    /// Which of the rows the version has not.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the row or the key if a declared key names no row, or two; `Conflict` if a row is appended
    /// whose key the version has with other values.
    pub(crate) fn take(&mut self, rows: &RecordBatch, hashes: &[u128], first_row: u64) -> Result<BooleanArray> {
        self.check_nulls(rows, first_row)?;
        let keys = key_hashes(rows, &self.key, hashes)?;
        let mut are_new = Vec::with_capacity(hashes.len());
        for (i, (key, row)) in keys.iter().zip(hashes).enumerate() {
            let is_new = if self.key.is_empty() { self.take_row(*row) } else { self.take_keyed(*key, *row, rows, i)? };
            are_new.push(is_new);
        }
        Ok(are_new.into())
    }

    /// Whether the version has a row with this key.
    pub(crate) fn has(&self, key: u128) -> bool {
        !self.live.find(key).is_empty()
    }

    fn check_nulls(&mut self, rows: &RecordBatch, first_row: u64) -> Result<()> {
        match first_null(rows, &self.key) {
            Some((row, column)) if self.is_strict => Err(null_key(rows, row, column, first_row)),
            Some(_) => {
                self.lost_key = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_row(&mut self, row: u128) -> bool {
        let unseen = self.live.find(row).find(|i| self.fates[*i] == Fate::Unseen);
        if let Some(i) = unseen {
            self.fates[i] = Fate::Same;
        }
        unseen.is_none()
    }

    fn take_keyed(&mut self, key: u128, row: u128, rows: &RecordBatch, number: usize) -> Result<bool> {
        let Some(i) = self.live.find(key).next() else { return Ok(true) };
        match self.fates[i] {
            Fate::Unseen if self.live.rows()[i].row == row => {
                self.fates[i] = Fate::Same;
                return Ok(false);
            }
            Fate::Unseen if self.mode == PushMode::Append => {
                return Err(Error::conflict(format!(
                    "a row with key {} is there with other values: append takes rows with new keys, upsert changes rows",
                    key_text(rows, &self.key, number)?
                )));
            }
            Fate::Unseen => self.fates[i] = Fate::Replaced,
            Fate::Same | Fate::Replaced if self.is_strict => {
                let key = key_text(rows, &self.key, number)?;
                return Err(Error::invalid_data(format!("a key names one row, found two with key {key}")));
            }
            Fate::Same | Fate::Replaced => self.lost_key = true,
        }
        Ok(true)
    }

    pub(crate) fn finish(self) -> Matched {
        let (live, fates) = (self.live.rows(), &self.fates);
        let of = |wanted: fn(Fate) -> bool| live.iter().zip(fates).filter(move |(_, fate)| wanted(**fate));
        Matched {
            gone: of(|fate| fate != Fate::Same).map(|(row, _)| row.place).collect(),
            same: of(|fate| fate == Fate::Same).map(|(row, _)| (row.key, row.row)).collect(),
            lost_key: self.lost_key,
        }
    }
}

/// The error for a row whose key has no value; `first_row` is the number of the first of the rows, from 0.
pub(crate) fn null_key(rows: &RecordBatch, row: usize, column: usize, first_row: u64) -> Error {
    let (number, schema) = (first_row + row as u64 + 1, rows.schema());
    Error::invalid_data(format!("row {number}: key column {} has no value", schema.field(column).name()))
}
