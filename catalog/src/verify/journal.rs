//! What a check has found so far, in a file, so that an interrupted check goes on where it was.
//!
//! One JSON document a line: the catalog's identity first, then an outcome a line. A line that a crash cut off is left
//! out. What was found damaged is checked again: it may have been mended.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use ukimet_model::{Error, Result, Sha256};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The catalog that the outcomes are about.
    Catalog(Sha256),
    /// Something was checked, with this outcome; `null` for whole.
    Checked { what: String, size_bytes: u64, reason: Option<String> },
    /// The check came to its end.
    Complete,
}

/// See the module. Without a file it forgets everything.
pub(super) struct Journal {
    file: Option<File>,
    /// What was found whole, with its size in bytes.
    whole: HashMap<String, u64>,
}

impl Journal {
    pub(super) fn open(path: Option<&Path>, identity: Option<Sha256>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, whole: HashMap::new() }) };
        let catalog = identity.unwrap_or(Sha256([0; 32]));
        let whole = read(path, &catalog)?;
        let mut options = File::options();
        let is_new = whole.is_none();
        let file = options.create(true).append(!is_new).write(true).truncate(is_new).open(path);
        let mut journal = Self { file: Some(file.map_err(|e| unwritable(path, e))?), whole: whole.unwrap_or_default() };
        // Ends a line that a crash cut off.
        let begun = if is_new { journal.write(&Line::Catalog(catalog)) } else { journal.write_bytes(b"\n") };
        begun.map(|()| journal)
    }

    /// Whether an earlier run found this whole, with this size.
    pub(super) fn is_whole(&self, what: &str, size_bytes: u64) -> bool {
        self.whole.get(what) == Some(&size_bytes)
    }

    pub(super) fn note(&mut self, what: &str, size_bytes: u64, outcome: Result<(), String>) -> Result<()> {
        self.write(&Line::Checked { what: what.to_owned(), size_bytes, reason: outcome.err() })
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.write(&Line::Complete)
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let json = serde_json::to_vec(line).map_err(|e| Error::internal("writing a journal line").caused_by(e))?;
        self.write_bytes(&[json.as_slice(), b"\n"].concat())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|e| Error::unavailable("writing the journal of the check failed").caused_by(e))
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid_request(format!("the journal {} cannot be opened", path.display())).caused_by(error)
}

/// What is whole by an unfinished journal; `None` if there is none to go on from.
fn read(path: &Path, catalog: &Sha256) -> Result<Option<HashMap<String, u64>>> {
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unwritable(path, e)),
    };
    let lines = file.split(b'\n').map_while(Result::ok);
    let mut lines = lines.filter_map(|line| serde_json::from_slice::<Line>(&line).ok());
    match lines.next() {
        Some(Line::Catalog(found)) if found == *catalog => (),
        None if path.metadata().is_ok_and(|metadata| metadata.len() == 0) => return Ok(None),
        _ => {
            return Err(Error::invalid_request(format!(
                "{} is not the journal of a check of this catalog: name another file",
                path.display()
            )));
        }
    }
    let mut whole = HashMap::new();
    for line in lines {
        match line {
            Line::Checked { what, size_bytes, reason: None } => {
                whole.insert(what, size_bytes);
            }
            Line::Complete => return Ok(None),
            Line::Checked { .. } | Line::Catalog(_) => (),
        }
    }
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_goes_on_where_it_was_cut_and_begins_anew_when_complete() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, ours) = (dir.path().join("journal"), Some(Sha256([1; 32])));
        let mut journal = Journal::open(Some(&path), ours).expect("new");
        journal.note("a", 3, Ok(())).expect("room");
        journal.note("b", 4, Err("damaged".to_owned())).expect("room");
        let mut file = File::options().append(true).open(&path).expect("there");
        file.write_all(br#"{"checked":{"what":"c","si"#).expect("room");
        let mut journal = Journal::open(Some(&path), ours).expect("resumed");
        let whole = [("a", 3), ("a", 4), ("b", 4), ("c", 1)].map(|(what, size)| journal.is_whole(what, size));
        assert_eq!(whole, [true, false, false, false]);
        journal.note("d", 5, Ok(())).expect("room");
        assert!(Journal::open(Some(&path), ours).expect("resumed").is_whole("d", 5));
        assert!(Journal::open(Some(&path), Some(Sha256([2; 32]))).is_err(), "another catalog");
        journal.finish().expect("room");
        assert!(!Journal::open(Some(&path), ours).expect("anew").is_whole("a", 3));
    }
}
