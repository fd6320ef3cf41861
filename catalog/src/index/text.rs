//! Words and boxes to datasets: the only files that name tantivy.
//!
//! One document a dataset, as of its newest version: `document.rs` says what is in it, `analysis.rs` what words are, `request.rs`
//! what may be typed, `query.rs` what is asked, and `hits.rs` in which order hits come. Every commit to the index carries the catalog's commit that it
//! shows, and a seal beside the index holds the hashes of all its files, so that whatever happened to them shows when
//! the index is opened; it is then built anew from the state.

mod analysis;
mod document;
mod folding;
#[cfg(test)]
mod gold;
mod hits;
mod kazakh;
mod past;
mod query;
mod request;
mod romanized;
mod rounded;
#[cfg(test)]
mod scale;
mod seal;
mod statistics;
#[cfg(test)]
mod tests;

pub(crate) use past::PastIndexes;
pub(crate) use request::{Clause, clauses};

use crate::state::{StateSlot, Watermark};
use document::{Described, Schema};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{LogMergePolicy, MergePolicy, NoMergePolicy};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, TantivyError};
use ukimet_model::{DatasetId, DatasetQuery, Error, FacetCounts, Result, Sha256};

/// Why the index cannot be used as it is.
pub(crate) type Unusable = String;

/// The index and its writer.
pub(crate) struct TextIndex {
    dir: PathBuf,
    writer_bytes: usize,
    parts: Option<Parts>,
}

struct Parts {
    index: Index,
    writer: IndexWriter<TantivyDocument>,
    reader: IndexReader,
    schema: Schema,
    seal: seal::Seal,
}

/// The index as of one commit.
#[derive(Clone)]
pub(crate) struct TextSnapshot {
    searcher: Searcher,
    schema: Schema,
}

/// What matches a query.
#[derive(Debug)]
pub(crate) struct Matches {
    /// How many datasets, on all pages.
    pub(crate) total: u64,
    /// The page's.
    pub(crate) ids: Vec<DatasetId>,
    /// The datasets on all pages by facet; empty unless that was asked.
    pub(crate) facets: FacetCounts,
}

impl TextSnapshot {
    /// What matches a query whose text was read to these clauses.
    pub(crate) fn search(&self, clauses: &[Clause], query: &DatasetQuery) -> Result<Matches> {
        query.region.as_deref().map_or(Ok(()), query::check_region)?;
        let question = query::Question { searcher: &self.searcher, schema: &self.schema };
        let found = question
            .search(clauses, query)
            .map_err(|e| Error::internal("searching the text index failed").caused_by(e))?;
        let id = |hit: hits::Hit| {
            hit.id.parse().map_err(|e| Error::internal("a document of the text index has no dataset id").caused_by(e))
        };
        let ids = found.first.into_iter().map(id).collect::<Result<_>>()?;
        Ok(Matches { total: found.total, ids, facets: found.facets })
    }
}

/// The commit that an index shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) sequence: u64,
    pub(crate) hash: Sha256,
}

impl Reached {
    fn to_payload(self) -> String {
        format!("{} {}", self.sequence, self.hash)
    }

    fn from_payload(payload: &str) -> Option<Self> {
        let (sequence, hash) = payload.split_once(' ')?;
        Some(Self { sequence: sequence.parse().ok()?, hash: hash.parse().ok()? })
    }

    fn of(watermark: &Watermark) -> Self {
        Self { sequence: watermark.sequence, hash: watermark.hash }
    }
}

impl TextIndex {
    /// An index in a directory, not opened yet.
    pub(crate) fn new(dir: &Path, writer_bytes: usize) -> Self {
        // tantivy refuses less.
        Self { dir: dir.to_owned(), writer_bytes: writer_bytes.max(15_000_000), parts: None }
    }

    /// Opens the index as it lies there and tells the commit it shows.
    pub(crate) fn open(&mut self) -> Result<Reached, Unusable> {
        self.parts = None;
        let opened = catch_unwind(AssertUnwindSafe(|| Parts::open(&self.dir, self.writer_bytes)));
        let (parts, reached) = opened.map_err(|_| "tantivy panicked".to_owned())??;
        self.parts = Some(parts);
        Ok(reached)
    }

    /// Builds the index anew.
    pub(crate) fn rebuild(&mut self, state: &StateSlot, watermark: &Watermark) -> Result<TextSnapshot, Unusable> {
        self.parts = None;
        let mut ids = BTreeSet::new();
        let all = state.read(watermark.sequence, |view| {
            let mut ids = BTreeSet::new();
            view.each_dataset(&mut |dataset| {
                ids.insert(dataset.id);
            })?;
            Ok(ids)
        });
        ids.extend(all.map_err(|e| e.to_string())?);
        self.parts = Some(Parts::create(&self.dir, self.writer_bytes)?);
        self.update(state, watermark, &ids)
    }

    /// Takes in the datasets that changed up to a commit.
    pub(crate) fn update(
        &mut self,
        state: &StateSlot,
        watermark: &Watermark,
        datasets: &BTreeSet<DatasetId>,
    ) -> Result<TextSnapshot, Unusable> {
        let parts = self.parts.as_mut().ok_or("it is not open")?;
        let updated = catch_unwind(AssertUnwindSafe(|| parts.update(&self.dir, state, watermark, datasets)));
        let updated = updated.unwrap_or_else(|_| Err("tantivy panicked".to_owned()));
        if updated.is_err() {
            self.parts = None;
        }
        updated
    }

    /// The index as it is, without a change.
    pub(crate) fn snapshot(&self) -> Option<TextSnapshot> {
        self.parts.as_ref().map(Parts::snapshot)
    }

    /// Takes in a commit, whatever it takes: opened again after an error, built anew after a second one.
    ///
    /// `None` if even that fails, as on a full disk; the next commit tries again.
    pub(crate) fn advance(
        &mut self,
        state: &StateSlot,
        watermark: &Watermark,
        datasets: &BTreeSet<DatasetId>,
    ) -> Option<TextSnapshot> {
        let first = match self.update(state, watermark, datasets) {
            Ok(snapshot) => return Some(snapshot),
            Err(reason) => reason,
        };
        tracing::warn!(reason = %first, "the text index did not take a commit and is opened again");
        let reopened = self.open().and_then(|reached| {
            let is_next = reached.sequence + 1 == watermark.sequence || reached == Reached::of(watermark);
            if is_next {
                self.update(state, watermark, datasets)
            } else {
                Err("it is not at the last commit".to_owned())
            }
        });
        let second = match reopened {
            Ok(snapshot) => return Some(snapshot),
            Err(reason) => reason,
        };
        tracing::warn!(reason = %second, "the text index is built anew");
        self.rebuild(state, watermark)
            .inspect_err(|reason| tracing::error!(%reason, "the text index could not be built, words are not searched"))
            .ok()
    }
}

/// Takes the error as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn text(error: TantivyError) -> Unusable {
    error.to_string()
}

impl Parts {
    fn open(dir: &Path, writer_bytes: usize) -> Result<(Self, Reached), Unusable> {
        let seal = seal::Seal::read_and_check(dir)?;
        let index = Index::open_in_dir(dir).map_err(text)?;
        if index.schema() != Schema::build().1 {
            return Err("it has another schema".to_owned());
        }
        let payload = index.load_metas().map_err(text)?.payload.unwrap_or_default();
        let reached = Reached::from_payload(&payload).ok_or("it does not tell which commit it shows")?;
        Ok((Self::new(index, writer_bytes, seal)?, reached))
    }

    fn create(dir: &Path, writer_bytes: usize) -> Result<Self, Unusable> {
        seal::remove(dir);
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.to_string()),
            _ => std::fs::create_dir_all(dir).map_err(|e| e.to_string())?,
        }
        let directory = MmapDirectory::open(dir).map_err(|e| e.to_string())?;
        let index = Index::open_or_create(directory, Schema::build().1).map_err(text)?;
        Self::new(index, writer_bytes, seal::Seal::default())
    }

    fn new(index: Index, writer_bytes: usize, seal: seal::Seal) -> Result<Self, Unusable> {
        let writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, writer_bytes).map_err(text)?;
        // Merges happen when a commit asks for them, so that the files only change when the seal does.
        writer.set_merge_policy(Box::new(NoMergePolicy));
        // After a kill, files of the unfinished commit lie there whose names the next commit would use.
        writer.garbage_collect_files().wait().map_err(text)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(text)?;
        let schema = Schema::build().0;
        Ok(Self { index, writer, reader, schema, seal })
    }

    fn snapshot(&self) -> TextSnapshot {
        TextSnapshot { searcher: self.reader.searcher(), schema: self.schema }
    }

    fn update(
        &mut self,
        dir: &Path,
        state: &StateSlot,
        watermark: &Watermark,
        datasets: &BTreeSet<DatasetId>,
    ) -> Result<TextSnapshot, Unusable> {
        for id in datasets {
            let described = state.read(watermark.sequence, |view| Described::read(view, id));
            self.writer.delete_term(self.schema.id_term(id));
            if let Some(described) = described.map_err(|e| e.to_string())? {
                self.writer.add_document(self.schema.document(&described)).map_err(text)?;
            }
        }
        let mut commit = self.writer.prepare_commit().map_err(text)?;
        commit.set_payload(&Reached::of(watermark).to_payload());
        commit.commit().map_err(text)?;
        self.merge()?;
        self.reader.reload().map_err(text)?;
        self.seal.renew(dir, &self.index)?;
        Ok(self.snapshot())
    }

    /// Merges small segments, so that their number grows with the logarithm of the commits.
    fn merge(&mut self) -> Result<(), Unusable> {
        let segments = self.index.searchable_segment_metas().map_err(text)?;
        for candidate in LogMergePolicy::default().compute_merge_candidates(&segments) {
            self.writer.merge(&candidate.0).wait().map_err(text)?;
        }
        Ok(())
    }
}
