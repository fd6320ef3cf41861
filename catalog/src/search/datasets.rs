//! Which datasets match: by the text index, or without it by walking all of them.

use crate::index::text::{Matches, TextSnapshot, clauses};
use crate::snapshot::SearchResult;
use crate::state::StateSlot;
use ukimet_model::{DatasetQuery, Error, FacetCounts, Result};

/// Whether a query asks for what only the text index answers.
///
/// # Errors
///
/// `InvalidRequest` naming the limit that the query's text passes.
pub(crate) fn needs_index(query: &DatasetQuery) -> Result<bool> {
    Ok(query.has_properties() || !clauses(&query.text)?.is_empty())
}

/// Answers a dataset query as of a commit, knowing what is gone up to another.
pub(crate) fn search_datasets(
    query: &DatasetQuery,
    text: Option<&TextSnapshot>,
    state: &StateSlot,
    (sequence, known): (u64, u64),
) -> Result<SearchResult> {
    let clauses = clauses(&query.text)?;
    let Matches { total, ids, facets } = match text {
        Some(text) => text.search(&clauses, query)?,
        None if !needs_index(query)? => walk(query, state, sequence)?,
        None => {
            return Err(Error::unavailable("the text index could not be built, so words cannot be searched for now"));
        }
    };
    let datasets = state.read_knowing(sequence, known, |view| {
        let mut datasets = Vec::with_capacity(ids.len());
        for id in &ids {
            datasets.extend(view.dataset(id)?.zip(view.newest_version(id)?));
        }
        Ok(datasets)
    })?;
    Ok(SearchResult { total, datasets, facets })
}

/// Looks at every dataset. Costs time for each, but needs no index.
fn walk(query: &DatasetQuery, state: &StateSlot, sequence: u64) -> Result<Matches> {
    let ids = state.read(sequence, |view| {
        let mut ids = Vec::new();
        view.each_dataset(&mut |dataset| ids.push(dataset.id))?;
        let mut matching = Vec::new();
        for id in ids {
            let bbox = view.newest_version(&id)?.and_then(|version| version.bbox);
            if query.bbox.is_none_or(|window| bbox.is_some_and(|bbox| window.intersects(&bbox))) {
                matching.push(id);
            }
        }
        Ok(matching)
    })?;
    let total = ids.len() as u64;
    let ids = ids.into_iter().skip(query.offset).take(query.limit).collect();
    Ok(Matches { total, ids, facets: FacetCounts::new() })
}
