//! The log as a whole: which files it has, and how it catches up.

use crate::action::lines;
use crate::checkpoint::checkpoint;
use crate::entry::{Marker, REWRITTEN, TableVersion};
use crate::files::DatasetFiles;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use ukimet_model::{Result, VersionNumber};

/// The folder of the log.
const LOG: &str = "_delta_log";

/// How rows are told that a file has and a version has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletedRows {
    /// By deletion vectors: nothing is copied. Readers must know the table feature `deletionVectors`.
    Vectors,
    /// By a copy of the file without them: every reader counts right, and every version with a few deleted rows costs
    /// its files once more.
    Rewritten,
}

impl DeletedRows {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vectors => "vectors",
            Self::Rewritten => "rewritten",
        }
    }
}

/// What a log is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// How deleted rows are told.
    pub deleted_rows: DeletedRows,
    /// Versions between two checkpoints; at least 1.
    pub checkpoint_every: u64,
}

/// What catching up did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Files of the log that were written.
    pub written: u64,
    /// Files that were removed, of versions that are not kept or of another log.
    pub removed: u64,
}

/// A file of a log. In the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogFile {
    number: u64,
    is_checkpoint: bool,
}

impl LogFile {
    fn path(self) -> String {
        format!("{LOG}/{:020}.{}", self.number, if self.is_checkpoint { "checkpoint.parquet" } else { "json" })
    }
}

/// Which versions there are.
struct Kept<'a> {
    newest: u64,
    removed: &'a BTreeSet<VersionNumber>,
}

impl Kept<'_> {
    fn has(&self, number: u64) -> bool {
        (1..=self.newest).contains(&number) && !self.removed.contains(&VersionNumber(number))
    }

    fn numbers(&self) -> impl DoubleEndedIterator<Item = u64> {
        (1..=self.newest).filter(|number| self.has(*number))
    }

    /// Every file of the log. Before a gap readers cannot begin, so that behind each there is a checkpoint.
    fn files(&self, checkpoint_every: u64) -> BTreeSet<LogFile> {
        let mut files = BTreeSet::new();
        for number in self.numbers() {
            files.insert(LogFile { number, is_checkpoint: false });
            let is_behind_gap = number > 1 && !self.has(number - 1);
            if is_behind_gap || number.is_multiple_of(checkpoint_every.max(1)) {
                files.insert(LogFile { number, is_checkpoint: true });
            }
        }
        if self.has(1) {
            files.insert(LogFile { number: 0, is_checkpoint: false });
        }
        files
    }
}

/// Brings a log to the newest version, whatever is there: writes what is missing, removes what is of versions that are
/// not kept, and builds a log anew that is not one of these versions.
///
/// `newest` is the newest version, `removed` are those below it that are kept no more.
///
/// # Errors
///
/// Whatever `files` says. What was written until then stays and is right.
pub fn catch_up(
    files: &dyn DatasetFiles,
    newest: VersionNumber,
    removed: &BTreeSet<VersionNumber>,
    options: LogOptions,
) -> Result<CaughtUp> {
    let log = Log { files, kept: Kept { newest: newest.0, removed }, options };
    let mut done = CaughtUp::default();
    let mut present = present(files.names(LOG)?);
    let is_ours = log.is_ours(&present)?;
    if !is_ours {
        // The newest first: what is left is always a log.
        for name in std::mem::take(&mut present).into_values().flatten().rev() {
            files.remove(&format!("{LOG}/{name}"))?;
            done.removed += 1;
        }
    }
    let wanted = log.kept.files(options.checkpoint_every);
    for file in wanted.iter().filter(|file| !present.contains_key(&Some(**file))) {
        files.put(&file.path(), &log.bytes(*file)?)?;
        done.written += 1;
    }
    for (_, names) in present.iter().filter(|(file, _)| file.is_none_or(|file| !wanted.contains(&file))) {
        for name in names {
            files.remove(&format!("{LOG}/{name}"))?;
            done.removed += 1;
        }
    }
    // A log that is built anew may have left copies behind, and copies of rows that were erased must go.
    if done.removed > 0 || !is_ours {
        done.removed += log.remove_unneeded_copies()?;
    }
    Ok(done)
}

/// Removes a log, the newest entry first, so that what is left is always a log. The next [`catch_up`] builds it anew.
///
/// # Errors
///
/// Whatever `files` says.
pub fn remove_log(files: &dyn DatasetFiles) -> Result<()> {
    let names = present(files.names(LOG)?).into_values().flatten().rev();
    names.map(|name| format!("{LOG}/{name}")).try_for_each(|path| files.remove(&path))
}

/// The files in the folder that belong to some version; under `None` those that are none of ours, such as the hint of a
/// checkpoint or a checksum that another program wrote.
fn present(names: Vec<String>) -> BTreeMap<Option<LogFile>, Vec<String>> {
    let mut present: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for name in names {
        let (digits, rest) = name.split_once('.').unwrap_or((&name, ""));
        let number = digits.parse().ok().filter(|_| digits.len() == 20);
        let file = number.and_then(|number| match rest {
            "json" => Some(LogFile { number, is_checkpoint: false }),
            "checkpoint.parquet" => Some(LogFile { number, is_checkpoint: true }),
            _ => None,
        });
        if number.is_some() || name == "_last_checkpoint" {
            present.entry(file).or_default().push(name);
        }
    }
    present
}

struct Log<'a> {
    files: &'a dyn DatasetFiles,
    kept: Kept<'a>,
    options: LogOptions,
}

impl Log<'_> {
    /// Whether the files are those of a log of these versions, as far as it goes: the newest entry tells.
    fn is_ours(&self, present: &BTreeMap<Option<LogFile>, Vec<String>>) -> Result<bool> {
        let entries = present.keys().flatten().filter(|file| !file.is_checkpoint);
        let newest = entries.rev().find(|file| self.kept.has(file.number));
        let Some(newest) = newest else { return Ok(false) };
        let version = self.files.version(VersionNumber(newest.number))?;
        let entry = self.files.read(&newest.path())?;
        Ok(Marker::is_of(&entry, &version, self.options.deleted_rows, self.files.last_erasure()?))
    }

    fn bytes(&self, file: LogFile) -> Result<Vec<u8>> {
        let version = self.files.version(VersionNumber(file.number.max(1)))?;
        let table = TableVersion::of(self.files, &version, self.options.deleted_rows)?;
        if file.is_checkpoint {
            return checkpoint(&table.state()?);
        }
        if file.number == 0 {
            return lines(&table.creation()?);
        }
        let before = file.number.checked_sub(1).filter(|before| self.kept.has(*before));
        let before = before.map(|before| self.files.version(VersionNumber(before))).transpose()?;
        let before = before.as_ref().map(|before| TableVersion::of(self.files, before, self.options.deleted_rows));
        lines(&table.entry_after(before.transpose()?.as_ref())?)
    }

    /// Removes copies without deleted rows that no version has; how many.
    fn remove_unneeded_copies(&self) -> Result<u64> {
        let copies = self.files.names(REWRITTEN)?;
        if copies.is_empty() {
            return Ok(0);
        }
        let mut needed = HashSet::new();
        for number in self.kept.numbers() {
            let version = self.files.version(VersionNumber(number))?;
            needed.extend(TableVersion::of(self.files, &version, self.options.deleted_rows)?.rewritten());
        }
        let unneeded = copies.iter().map(|name| format!("{REWRITTEN}/{name}")).filter(|path| !needed.contains(path));
        let mut removed = 0;
        for path in unneeded {
            self.files.remove(&path)?;
            removed += 1;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests;
