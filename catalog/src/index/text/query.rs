//! Queries built from words and boxes, never parsed from text.

use super::analysis::RussianStems;
use super::document::{ID, Schema};
use std::ops::Bound;
use tantivy::collector::sort_key::{SortBySimilarityScore, SortByString};
use tantivy::collector::{Collector, Count, TopDocs};
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, Occur, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Order, Searcher, TantivyError, Term};
use ukimet_model::{BoundingBox, DatasetId};

/// What a word counts for where it is found; the best place counts. Whole numbers, so that sums are exact.
const TITLE_SCORE: f32 = 8.0;
const TITLE_STEM_SCORE: f32 = 6.0;
const BODY_SCORE: f32 = 2.0;
const BODY_STEM_SCORE: f32 = 1.0;

pub(super) fn search(
    searcher: &Searcher,
    schema: &Schema,
    words: &[String],
    bbox: Option<&BoundingBox>,
    offset: usize,
    limit: usize,
) -> Result<(u64, Vec<DatasetId>), TantivyError> {
    let query = query(schema, words, bbox);
    let total = searcher.search(&query, &Count)?;
    let limit = limit.min(total.saturating_sub(offset));
    if limit == 0 {
        return Ok((total as u64, Vec::new()));
    }
    let page = TopDocs::with_limit(limit).and_offset(offset);
    let by_id = (SortByString::for_field(ID), Order::Asc);
    let ids: Vec<Option<String>> = if words.is_empty() {
        first(searcher, &query, &page.order_by(by_id))?
    } else {
        let hits = searcher.search(&query, &page.order_by((SortBySimilarityScore, by_id)))?;
        hits.into_iter().map(|((_, id), _)| id).collect()
    };
    let id = |id: Option<String>| {
        let id = id.and_then(|id| id.parse().ok());
        id.ok_or_else(|| TantivyError::InternalError("a document has no dataset id".to_owned()))
    };
    Ok((total as u64, ids.into_iter().map(id).collect::<Result<_, _>>()?))
}

fn first<K, A>(
    searcher: &Searcher,
    query: &BooleanQuery,
    page: &impl Collector<Fruit = Vec<(K, A)>>,
) -> Result<Vec<K>, TantivyError> {
    Ok(searcher.search(query, page)?.into_iter().map(|(key, _)| key).collect())
}

fn query(schema: &Schema, words: &[String], bbox: Option<&BoundingBox>) -> BooleanQuery {
    let mut stems = RussianStems::new();
    let mut all: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, scored(AllQuery, 0.0))];
    all.extend(words.iter().map(|word| (Occur::Must, word_query(schema, word, &stems.stem(word)))));
    all.extend(bbox.map(|bbox| (Occur::Must, bbox_query(schema, bbox))));
    BooleanQuery::new(all)
}

fn scored(query: impl Query, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

fn word_query(schema: &Schema, word: &str, stem: &str) -> Box<dyn Query> {
    let term = |field, text, score| {
        scored(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic), score)
    };
    Box::new(DisjunctionMaxQuery::new(vec![
        term(schema.title.words, word, TITLE_SCORE),
        term(schema.title.stems, stem, TITLE_STEM_SCORE),
        term(schema.body.words, word, BODY_SCORE),
        term(schema.body.stems, stem, BODY_STEM_SCORE),
    ]))
}

/// Datasets whose box shares a place with one part of the window, borders included.
fn bbox_query(schema: &Schema, window: &BoundingBox) -> Box<dyn Query> {
    let up_to = |field: Field, degrees: f64| -> (Occur, Box<dyn Query>) {
        let range = RangeQuery::new(Bound::Unbounded, Bound::Included(Term::from_field_f64(field, degrees)));
        (Occur::Must, Box::new(range))
    };
    let from = |field: Field, degrees: f64| -> (Occur, Box<dyn Query>) {
        let range = RangeQuery::new(Bound::Included(Term::from_field_f64(field, degrees)), Bound::Unbounded);
        (Occur::Must, Box::new(range))
    };
    let part = |part: BoundingBox| -> Box<dyn Query> {
        Box::new(BooleanQuery::new(vec![
            up_to(schema.west, part.east),
            from(schema.east, part.west),
            up_to(schema.south, part.north),
            from(schema.north, part.south),
        ]))
    };
    scored(BooleanQuery::union(window.parts().into_iter().map(part).collect()), 0.0)
}
