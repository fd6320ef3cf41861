//! What every reader gives: layers, and for each of them rows as raw batches.

use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::path::PathBuf;
use ukimet_adapter_sdk::{DerivedFile, LayerInfo, ReadOptions};
use ukimet_model::{Diagnostic, Example, Result, Severity};
use ukimet_normalize::SourceLayer;

use crate::limits::ReadLimits;

/// The files of one dataset, in a folder of their own, under names that we made.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    /// The file that is opened, `asset.<ending>`; a folder for a File Geodatabase.
    pub(crate) main: PathBuf,
    /// Names of all files in the folder.
    pub(crate) names: Vec<String>,
    /// The source's own name of the file, without folders.
    pub(crate) source_name: String,
    /// Its folder inside the archive; empty if it lies in none.
    pub(crate) source_folder: String,
}

impl Staged {
    /// The path of the file with this ending (lower case, without dot), if there is one.
    pub(crate) fn sibling(&self, ending: &str) -> Option<PathBuf> {
        let name = self.names.iter().find(|name| name.rsplit_once('.').is_some_and(|(_, e)| e == ending))?;
        Some(self.main.with_file_name(name))
    }

    /// The source's name without its ending: the name of a layer that has no other.
    pub(crate) fn stem(&self) -> &str {
        self.source_name.rsplit_once('.').map_or(self.source_name.as_str(), |(stem, _)| stem)
    }

    /// A name for a layer that another dataset of the archive has as well: folder, file and layer, where they differ.
    pub(crate) fn qualified(&self, layer: &str) -> String {
        let file = if self.stem() == layer { "" } else { self.stem() };
        let parts = [self.source_folder.as_str(), file, layer];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }
}

/// What a reader is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) options: &'a ReadOptions,
    pub(crate) limits: &'a ReadLimits,
}

/// An open dataset. May be read any number of times.
pub(crate) trait Source {
    /// Its layers, in order.
    fn layers(&self) -> &[LayerInfo];

    /// Begins to read a layer, batches of at most `rows_max`.
    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>>;

    /// Whether a layer is another form of one before it: it is listed, and read only where it is asked for by name.
    fn is_derived(&self, _layer: usize) -> bool {
        false
    }

    /// The file that was made of the only row of a layer, if that is what the source does; known once its rows were read.
    fn asset(&self, layer: usize) -> Option<DerivedFile> {
        let _ = layer;
        None
    }

    /// What was found when it was opened, for every layer.
    fn findings(&self) -> Vec<Diagnostic>;

    /// Software and options that read it, for the receipt.
    fn reader(&self) -> Reader;
}

/// The software that read a layer, and what it was told.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) version: String,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// Bytes of what a reader of our own puts in one batch, about.
pub(crate) const BATCH_BYTES: usize = 32 << 20;

/// The rows of one layer, once.
pub(crate) trait Rows {
    /// What the normalizer needs to know of the layer.
    fn layer(&self) -> SourceLayer;

    /// The next rows, at least one; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;

    /// What was found among the rows so far, given away.
    fn findings(&mut self) -> Vec<Diagnostic>;

    /// What the receipt says of this layer, besides what it says of the file.
    fn parameters(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Rows of the source that were not handed over because they were refused, each told in a finding.
    fn rows_refused(&self) -> u64 {
        0
    }
}

/// Places that a reader's finding keeps of one layer: each becomes a verdict, the first few stay with the diagnostic.
pub(crate) const EXAMPLES_MAX: usize = 10_000;

/// A finding about a whole file.
pub(crate) fn finding(rule: &str, severity: Severity, message: String, count: u64, found: &[String]) -> Diagnostic {
    let examples = found
        .iter()
        .take(EXAMPLES_MAX)
        .map(|text| Example { row: None, field: None, found: short(text), taken: None })
        .collect();
    Diagnostic { rule: rule.to_owned(), severity, message, count, examples }
}

fn short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    text.chars().take(CHARACTERS_MAX).collect()
}

/// Findings while they are counted, by rule, in the order of first sight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies(Vec<Diagnostic>);

impl Tallies {
    /// Counts one case: where (a row, a column, or the whole layer), what was found, and what was taken instead.
    #[allow(clippy::too_many_arguments, reason = "an example has as many parts")]
    pub(crate) fn add(
        &mut self,
        rule: &str,
        severity: Severity,
        message: &str,
        row: Option<u64>,
        field: Option<&str>,
        found: &str,
        taken: Option<&str>,
    ) {
        let at = self.0.iter().position(|known| known.rule == rule).unwrap_or_else(|| {
            let (rule, message) = (rule.to_owned(), message.to_owned());
            self.0.push(Diagnostic { rule, severity, message, count: 0, examples: Vec::new() });
            self.0.len() - 1
        });
        let known = &mut self.0[at];
        known.count += 1;
        known.severity = known.severity.max(severity);
        if known.examples.len() < EXAMPLES_MAX {
            let (field, taken) = (field.map(str::to_owned), taken.map(short));
            known.examples.push(Example { row, field, found: short(found), taken });
        }
    }

    /// The findings so far.
    pub(crate) fn diagnostics(&self) -> Vec<Diagnostic> {
        self.0.clone()
    }
}
