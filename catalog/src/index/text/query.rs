//! Queries built from what was read of a text, from boxes, regions, times and facets; never parsed from text.

use super::analysis::{Analyzer, Word};
use super::document::{EAST, NORTH, SOUTH, Schema, UNKNOWN, WEST, enclosing, region_code};
use super::hits::{Found, Hits};
use super::request::{Clause, Scope};
use super::rounded::Rounded;
use super::statistics::Frequencies;
use std::ops::Bound;
use tantivy::query::doc_predicate_query::{DocPredicateQuery, FunctionPredicate};
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, EnableScoring,
    FuzzyTermQuery, PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, Searcher, SegmentReader, TERMINATED, TantivyError, Term};
use ukimet_model::{BoundingBox, DatasetQuery, Error, Facet};

/// What a stem counts for beside the word itself.
const STEM_WEIGHT: f32 = 0.75;
/// What a word counts for that only begins as asked, or is one typing error away; it has no frequency of its own. Less than
/// the word itself, unless that is in most datasets.
const NEAR_SCORE: f32 = 0.25;
/// Sounds of a beginning that finds longer words, at least.
const PREFIX_MIN: usize = 2;
/// Sounds of a word that may have a typing error, at least.
const TYPO_MIN: usize = 5;
/// Sounds of a word that may have a typing error, at most: no word that people write is longer.
const TYPO_MAX: usize = 40;
/// Forms and stems of one word that are compared with every word of the index, at most.
const TYPOS_MAX: usize = 8;
/// Ways to read a phrase at most.
const PHRASES_MAX: usize = 8;

/// What a word counts for where it is found; the best place counts.
fn weight(scope: Scope) -> f32 {
    match scope {
        Scope::Title => 4.0,
        Scope::Keywords => 2.5,
        Scope::Agency | Scope::Source => 2.0,
        Scope::Description | Scope::Columns => 1.0,
    }
}

/// What is looked for among the documents of a searcher.
pub(super) struct Question<'a> {
    pub(super) searcher: &'a Searcher,
    pub(super) schema: &'a Schema,
}

impl Question<'_> {
    /// Finds the page that a query asks for.
    pub(super) fn search(&self, clauses: &[Clause], query: &DatasetQuery) -> Result<Found, TantivyError> {
        let mut frequencies = Frequencies::new(self.searcher);
        let all = self.query(clauses, query, &mut frequencies)?;
        let live = usize::try_from(self.searcher.num_docs()).unwrap_or(usize::MAX);
        let wanted = if query.limit == 0 { 0 } else { query.offset.saturating_add(query.limit).min(live) };
        let hits = Hits { is_ranked: !clauses.is_empty(), wanted, with_facets: query.with_facets };
        let mut found = self.searcher.search_with_statistics_provider(&all, &hits, &frequencies)?;
        found.first.drain(..query.offset.min(found.first.len()));
        Ok(found)
    }

    fn query(
        &self,
        clauses: &[Clause],
        query: &DatasetQuery,
        frequencies: &mut Frequencies<'_>,
    ) -> Result<BooleanQuery, TantivyError> {
        let mut analyzer = Analyzer::new();
        let mut all: Vec<Box<dyn Query>> = Vec::new();
        for clause in clauses {
            all.push(Box::new(Rounded(self.clause(clause, &mut analyzer, frequencies)?)));
        }
        all.extend(query.bbox.map(bbox));
        all.extend(query.region.as_deref().and_then(region_code).map(|code| self.region(&code)));
        if query.updated_from.is_some() || query.updated_before.is_some() {
            let bound = |time: jiff::Timestamp| Term::from_field_i64(self.schema.updated, time.as_second());
            let from = query.updated_from.map_or(Bound::Unbounded, |time| Bound::Included(bound(time)));
            let before = query.updated_before.map_or(Bound::Unbounded, |time| Bound::Excluded(bound(time)));
            all.push(unscored(RangeQuery::new(from, before)));
        }
        all.extend(Facet::ALL.into_iter().filter_map(|facet| self.facet(facet, query)));
        if all.is_empty() {
            all.push(unscored(AllQuery));
        }
        Ok(BooleanQuery::intersection(all))
    }

    /// A word or a phrase: as it is, or if nobody has it, with a typing error.
    fn clause(
        &self,
        clause: &Clause,
        analyzer: &mut Analyzer,
        frequencies: &mut Frequencies<'_>,
    ) -> Result<Box<dyn Query>, TantivyError> {
        let words: Vec<Word> = clause.words.iter().map(|word| analyzer.word(word, "und")).collect();
        let scopes = clause.scope.map_or(Scope::ALL.to_vec(), |scope| vec![scope]);
        let fields: Vec<_> = scopes.into_iter().map(|scope| (self.schema.scope(scope), weight(scope))).collect();
        let each = |ways: &dyn Fn(Field) -> Vec<Box<dyn Query>>| -> Box<dyn Query> {
            let boosted = |(field, weight): &(Field, f32)| {
                ways(*field).into_iter().map(|way| boxed(BoostQuery::new(way, *weight))).collect::<Vec<_>>()
            };
            let all: Vec<_> = fields.iter().flat_map(boosted).collect();
            if all.is_empty() { boxed(EmptyQuery) } else { boxed(DisjunctionMaxQuery::new(all)) }
        };
        let word = match words.as_slice() {
            [word] if !clause.is_quoted => word,
            words => return Ok(each(&|field| phrases(field, words))),
        };
        let stems = stems(word);
        let fields: Vec<Field> = fields.iter().map(|(field, _)| *field).collect();
        let is_there = frequencies.count(&[word.forms.as_slice(), &stems].concat(), &fields)? > 0;
        let exact = each(&|field| ways(field, word, &stems, clause.is_open));
        if is_there || self.matches_any(exact.as_ref())? {
            return Ok(exact);
        }
        Ok(each(&|field| typos(field, word)))
    }

    /// Whether any document that is there matches.
    fn matches_any(&self, query: &dyn Query) -> Result<bool, TantivyError> {
        let weight = query.weight(EnableScoring::disabled_from_searcher(self.searcher))?;
        for reader in self.searcher.segment_readers() {
            let mut scorer = weight.scorer(reader, 1.0)?;
            while scorer.doc() != TERMINATED {
                if reader.alive_bitset().is_none_or(|alive| alive.is_alive(scorer.doc())) {
                    return Ok(true);
                }
                scorer.advance();
            }
        }
        Ok(false)
    }

    /// Datasets of a region: those declared for it, for one in it, or for one around it.
    fn region(&self, code: &str) -> Box<dyn Query> {
        let around = enclosing(code).filter(|around| *around != code).map(|around| term(self.schema.region, around));
        unscored(BooleanQuery::union(std::iter::once(term(self.schema.within, code)).chain(around).collect()))
    }

    /// Datasets that have any of the values asked for; `None` if none is.
    fn facet(&self, facet: Facet, query: &DatasetQuery) -> Option<Box<dyn Query>> {
        let values = query.facets.iter().filter(|(asked, _)| *asked == facet);
        let terms: Vec<_> =
            values.map(|(_, value)| term(self.schema.facet(facet), value.as_deref().unwrap_or(UNKNOWN))).collect();
        (!terms.is_empty()).then(|| unscored(BooleanQuery::union(terms)))
    }
}

/// Refuses a region that is no KATO code.
pub(super) fn check_region(region: &str) -> Result<(), Error> {
    let is_code = region_code(region).is_some();
    is_code.then_some(()).ok_or_else(|| {
        let found = ukimet_model::error::quoted(region);
        Error::invalid_request(format!(
            "a region is a KATO code or its first digits (75, 751110000) or KZ-75, found {found}"
        ))
    })
}

/// Datasets whose box shares a place with the window, borders included. Looks only at those that match otherwise.
fn bbox(window: BoundingBox) -> Box<dyn Query> {
    let predicate = move |reader: &SegmentReader| {
        let column = |name: &str| reader.fast_fields().column_opt::<f64>(name);
        // A segment without any place has no such columns.
        let sides: Option<Vec<_>> = [WEST, SOUTH, EAST, NORTH].into_iter().map(column).collect::<Result<_, _>>()?;
        Ok(move |doc: DocId| {
            let Some([west, south, east, north]) = sides.as_deref() else { return false };
            let corners = west.first(doc).zip(south.first(doc)).zip(east.first(doc).zip(north.first(doc)));
            corners.is_some_and(|((west, south), (east, north))| {
                window.intersects(&BoundingBox { west, south, east, north })
            })
        })
    };
    unscored(DocPredicateQuery::from(FunctionPredicate::from(predicate)))
}

fn boxed(query: impl Query) -> Box<dyn Query> {
    Box::new(query)
}

fn unscored(query: impl Query) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), 0.0))
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    boxed(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

/// What words that share a stem with this one have in the index.
fn stems(word: &Word) -> Vec<String> {
    // Kazakh stems stand beside a word only if they differ from it.
    let bare = word.stems.iter().filter_map(|stem| stem.strip_prefix('K').map(str::to_owned));
    rooted(word).chain(word.stems.iter().cloned()).chain(bare).collect()
}

/// The word as the Kazakh stem of longer ones.
fn rooted(word: &Word) -> impl Iterator<Item = String> {
    word.forms.iter().map(|form| format!("K{form}"))
}

/// The word, the words that share a stem with it, and longer words if it may go on.
fn ways(field: Field, word: &Word, stems: &[String], is_open: bool) -> Vec<Box<dyn Query>> {
    let mut ways: Vec<_> = word.forms.iter().map(|form| term(field, form)).collect();
    ways.extend(stems.iter().map(|stem| boxed(BoostQuery::new(term(field, stem), STEM_WEIGHT))));
    if is_open {
        let long = word.forms.iter().filter(|form| form.chars().count() >= PREFIX_MIN);
        ways.extend(long.map(|form| near(beginning(field, form))));
    }
    ways
}

/// Words that begin so. Stems begin with a capital and are not among them.
fn beginning(field: Field, form: &str) -> RangeQuery {
    let end = format!("{form}\u{10ffff}");
    let bound = |text| Bound::Included(Term::from_field_text(field, text));
    RangeQuery::new(bound(form), bound(&end))
}

fn near(query: impl Query) -> Box<dyn Query> {
    boxed(ConstScoreQuery::new(Box::new(query), NEAR_SCORE))
}

/// Words and stems that are one letter more, less, other or swapped away.
fn typos(field: Field, word: &Word) -> Vec<Box<dyn Query>> {
    let long = word.forms.iter().cloned().chain(rooted(word)).chain(word.stems.iter().cloned()).filter(|text| {
        let is_number = text.contains(|sign: char| sign.is_numeric());
        let sounds = text.chars().filter(|sound| !sound.is_ascii_uppercase()).count();
        !is_number && (TYPO_MIN..=TYPO_MAX).contains(&sounds)
    });
    let compared = long.take(TYPOS_MAX);
    compared.map(|text| near(FuzzyTermQuery::new(Term::from_field_text(field, &text), 1, true))).collect()
}

/// The words side by side, in every reading.
fn phrases(field: Field, words: &[Word]) -> Vec<Box<dyn Query>> {
    let mut readings: Vec<Vec<Term>> = vec![Vec::new()];
    for word in words {
        let forms = if readings.len() * word.forms.len() > PHRASES_MAX { 1 } else { word.forms.len() };
        let with = |form: &String| {
            let term = Term::from_field_text(field, form);
            readings
                .iter()
                .map(move |phrase| [phrase.as_slice(), std::slice::from_ref(&term)].concat())
                .collect::<Vec<_>>()
        };
        let longer: Vec<_> = word.forms.iter().take(forms).flat_map(with).collect();
        if !longer.is_empty() {
            readings = longer;
        }
    }
    let phrase = |terms: Vec<Term>| match terms.as_slice() {
        [] => None,
        [term] => Some(boxed(TermQuery::new(term.clone(), IndexRecordOption::WithFreqs))),
        _ => Some(boxed(PhraseQuery::new(terms))),
    };
    readings.into_iter().filter_map(phrase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_many_readings_or_letters_costs_a_bounded_number_of_comparisons() {
        let field = Schema::build().0.scope(Scope::Title);
        let compared = |word: &str| typos(field, &Analyzer::new().word(word, "und")).len();
        assert_eq!(compared("jxwjxw"), TYPOS_MAX);
        assert_eq!(compared(&"бо".repeat(18)), 3, "as a word, and as a stem of two languages");
        assert_eq!(compared(&"бо".repeat(21)), 0);
        assert_eq!(compared("бант"), 0);
        let phrase = vec![Analyzer::new().word("jxwjxw", "und"); 3];
        assert_eq!(phrases(field, &phrase).len(), PHRASES_MAX);
    }
}
