//! The index as of an earlier commit: built in memory from the state as it was, so that words find what they found then.

use super::{Described, Schema, TextSnapshot, Unusable, text};
use crate::state::StateSlot;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tantivy::{Index, IndexWriter, ReloadPolicy, TantivyDocument};
use ukimet_model::{Error, Result};

/// What tantivy takes at least.
const WRITER_BYTES: usize = 15_000_000;

/// The indexes of earlier commits that were asked for last.
pub(crate) struct PastIndexes {
    count_max: usize,
    /// By commit, the one asked for last at the end.
    held: Mutex<VecDeque<(u64, TextSnapshot)>>,
}

impl PastIndexes {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { count_max: count_max.max(1), held: Mutex::default() }
    }

    /// The index as of a commit. Building one reads every dataset; one is built at a time.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it cannot be built.
    pub(crate) fn get(&self, state: &StateSlot, sequence: u64) -> Result<TextSnapshot> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.iter().position(|(commit, _)| *commit == sequence).and_then(|at| held.remove(at));
        let index = match known {
            Some((_, index)) => index,
            None => build(state, sequence).map_err(|reason| {
                Error::unavailable(format!("the text index of snapshot {sequence} could not be built: {reason}"))
            })?,
        };
        held.push_back((sequence, index.clone()));
        while held.len() > self.count_max {
            held.pop_front();
        }
        Ok(index)
    }
}

fn build(state: &StateSlot, sequence: u64) -> Result<TextSnapshot, Unusable> {
    let (schema, fields) = Schema::build();
    let index = Index::create_in_ram(fields);
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, WRITER_BYTES).map_err(text)?;
    let described = state.read(sequence, |view| {
        let (mut ids, mut described) = (Vec::new(), Vec::new());
        view.each_dataset(&mut |dataset| ids.push(dataset.id))?;
        for id in &ids {
            described.extend(Described::read(view, id)?.map(|described| schema.document(&described)));
        }
        Ok(described)
    });
    for document in described.map_err(|e| e.to_string())? {
        writer.add_document(document).map_err(text)?;
    }
    writer.commit().map_err(text)?;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
    let reader: tantivy::IndexReader = reader.map_err(text)?;
    Ok(TextSnapshot { searcher: reader.searcher(), schema })
}
