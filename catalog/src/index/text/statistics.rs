//! How frequent words are among the documents that are there.
//!
//! Documents that were replaced and not yet merged away do not count, so that scores do not depend on the index's past. A word
//! is as frequent as the most frequent of its forms, wherever that stands: a rare form is no rare word.

use std::collections::HashMap;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, Searcher, TERMINATED, Term};

/// Words and stems that a field of usual length has. A constant, since the true mean changes with every push.
const USUAL_TOKENS: u64 = 24;

/// Statistics of the live documents of a searcher.
pub(super) struct Frequencies<'a> {
    searcher: &'a Searcher,
    /// Documents by word, as far as they were counted.
    known: HashMap<String, u64>,
}

impl<'a> Frequencies<'a> {
    pub(super) fn new(searcher: &'a Searcher) -> Self {
        Self { searcher, known: HashMap::new() }
    }

    /// Takes forms of one word to be as frequent as the most frequent of them in any of the fields, and says how frequent
    /// that is.
    pub(super) fn count(&mut self, forms: &[String], fields: &[Field]) -> tantivy::Result<u64> {
        let mut most = 0;
        for form in forms {
            for field in fields {
                most = most.max(self.live(&Term::from_field_text(*field, form))?);
            }
        }
        for form in forms {
            let known = self.known.entry(form.clone()).or_default();
            *known = most.max(*known);
        }
        Ok(most)
    }

    /// How many live documents have a term.
    fn live(&self, term: &Term) -> tantivy::Result<u64> {
        let mut count = 0;
        for reader in self.searcher.segment_readers() {
            let index = reader.inverted_index(term.field())?;
            let Some(alive) = reader.alive_bitset() else {
                count += u64::from(index.doc_freq(term)?);
                continue;
            };
            let Some(mut postings) = index.read_postings(term, IndexRecordOption::Basic)? else { continue };
            while postings.doc() != TERMINATED {
                count += u64::from(alive.is_alive(postings.doc()));
                postings.advance();
            }
        }
        Ok(count)
    }
}

impl Bm25StatisticsProvider for Frequencies<'_> {
    fn total_num_tokens(&self, _field: Field) -> tantivy::Result<u64> {
        Ok(self.searcher.num_docs() * USUAL_TOKENS)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.searcher.num_docs())
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let known = term.value().as_str().and_then(|text| self.known.get(text).copied());
        known.map_or_else(|| self.live(term), Ok)
    }
}
