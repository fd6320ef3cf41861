//! What is remembered of readers, within its limits, and as a file.

use super::{Client, Export, UsageLimits, since};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use ukimet_model::{DatasetId, Error, Result, SchemaBreak};

/// Readers by dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    datasets: BTreeMap<DatasetId, Vec<Reader>>,
}

/// One reader of one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Reader {
    client: Client,
    /// The columns it named; `None` if it read all of them at least once.
    columns: Option<BTreeSet<String>>,
    /// How many exports there were.
    exports: u64,
    /// When the last one was.
    pub(super) last: Timestamp,
}

impl Record {
    /// The record of a file; an empty one if there is no file.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the file cannot be read, or is none.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let unread = || Error::unavailable(format!("reading {}", path.display()));
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| unread().caused_by(e)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unread().caused_by(error)),
        }
    }

    /// Forgets who has not read for long; what is left, as a file has it.
    pub(super) fn remembered(&mut self, now: Timestamp, limits: &UsageLimits) -> Vec<u8> {
        for readers in self.datasets.values_mut() {
            readers.retain(|reader| reader.is_remembered(now, limits));
        }
        self.datasets.retain(|_, readers| !readers.is_empty());
        serde_json::to_vec(self).expect("a record is plain data")
    }

    /// Adds an export; of too many readers the one that read the longest ago is forgotten.
    pub(super) fn take(&mut self, export: Export, now: Timestamp, limits: &UsageLimits) {
        let readers = self.datasets.entry(export.dataset).or_default();
        let at = readers.iter().position(|reader| reader.client == export.client).unwrap_or_else(|| {
            if readers.len() >= limits.usage_readers_max {
                let oldest = readers.iter().enumerate().min_by_key(|(_, reader)| reader.last).map(|(at, _)| at);
                oldest.map(|at| readers.swap_remove(at));
            }
            readers.push(Reader { client: export.client, columns: Some(BTreeSet::new()), exports: 0, last: now });
            readers.len() - 1
        });
        let reader = &mut readers[at];
        reader.exports += 1;
        reader.last = now;
        reader.columns = reader.columns.take().zip(export.columns).map(|(mut columns, more)| {
            columns.extend(more);
            columns
        });
        reader.columns = reader.columns.take().filter(|columns| columns.len() <= limits.usage_columns_max);
    }

    pub(super) fn readers(&self, dataset: &DatasetId) -> impl Iterator<Item = &Reader> {
        self.datasets.get(dataset).into_iter().flatten()
    }
}

impl Reader {
    pub(super) fn is_remembered(&self, now: Timestamp, limits: &UsageLimits) -> bool {
        self.last >= since(now, limits)
    }

    /// Whether it read a column that breaks; what is about no single column concerns everyone.
    pub(super) fn is_concerned(&self, breaks: &[SchemaBreak]) -> bool {
        let Some(columns) = &self.columns else { return true };
        breaks.iter().any(|found| found.column.as_ref().is_none_or(|column| columns.contains(column)))
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.client)?;
        match &self.columns {
            None => f.write_str("all columns")?,
            Some(columns) => f.write_str(&columns.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?,
        }
        let times = if self.exports == 1 { "once".to_owned() } else { format!("{} times", self.exports) };
        write!(f, ", {times}, last on {}", self.last.strftime("%Y-%m-%d %H:%M UTC"))
    }
}
