//! One pass over what matches: the best hits of a page, how many there are in all, and the counts of facets.

use super::document::{COMPLETENESS, ID, UNKNOWN, UPDATED, facet_field};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{ColumnValues, StrColumn};
use tantivy::{DocId, Score, SegmentReader, TantivyError};
use ukimet_model::{Facet, FacetCounts};

/// What is collected.
pub(super) struct Hits {
    /// Whether the best come first; else all are in the order of their ids.
    pub(super) is_ranked: bool,
    /// How many of the first are wanted.
    pub(super) wanted: usize,
    /// Whether facets are counted.
    pub(super) with_facets: bool,
}

/// What was found: how many in all, the first of them, and the facets' counts.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) total: u64,
    pub(super) first: Vec<Hit>,
    pub(super) facets: FacetCounts,
}

/// Orders hits: by score, by the day of the newest version, by how much is said; higher first.
type Rank = (u32, i64, u64);

/// A hit, with its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    rank: Reverse<Rank>,
    pub(super) id: String,
}

/// Collects in one segment.
pub(super) struct SegmentHits {
    is_ranked: bool,
    wanted: usize,
    total: u64,
    /// The worst on top.
    best: BinaryHeap<(Reverse<Rank>, u64)>,
    ids: StrColumn,
    updated: Arc<dyn ColumnValues<i64>>,
    completeness: Arc<dyn ColumnValues<u64>>,
    facets: Vec<(Facet, StrColumn, Vec<u64>)>,
}

const DAY_SECONDS: i64 = 86_400;

impl Collector for Hits {
    type Fruit = Found;
    type Child = SegmentHits;

    fn for_segment(&self, _segment: u32, reader: &SegmentReader) -> tantivy::Result<SegmentHits> {
        let columns = reader.fast_fields();
        let text = |name: &str| {
            let column = columns.str(name)?;
            column.ok_or_else(|| TantivyError::InternalError(format!("a segment has no column {name}")))
        };
        let counted = if self.with_facets { &Facet::ALL[..] } else { &[] };
        let facet = |facet: &Facet| {
            let column = text(&facet_field(*facet))?;
            let counts = vec![0; column.num_terms()];
            Ok((*facet, column, counts))
        };
        Ok(SegmentHits {
            is_ranked: self.is_ranked,
            wanted: self.wanted,
            total: 0,
            best: BinaryHeap::new(),
            ids: text(ID)?,
            updated: columns.i64(UPDATED)?.first_or_default_col(0),
            completeness: columns.u64(COMPLETENESS)?.first_or_default_col(0),
            facets: counted.iter().map(facet).collect::<tantivy::Result<_>>()?,
        })
    }

    fn requires_scoring(&self) -> bool {
        self.is_ranked
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<Found>>) -> tantivy::Result<Found> {
        let mut found = Found::default();
        for segment in segments {
            let segment = segment?;
            found.total += segment.total;
            found.first.extend(segment.first);
            for (facet, counts) in segment.facets {
                let all: &mut BTreeMap<_, _> = found.facets.entry(facet).or_default();
                for (value, count) in counts {
                    *all.entry(value).or_default() += count;
                }
            }
        }
        found.first.sort_unstable();
        found.first.truncate(self.wanted);
        Ok(found)
    }
}

impl SegmentHits {
    fn rank(&self, doc: DocId, score: Score) -> Rank {
        // Scores are whole 64ths, so their order is that of their bits.
        let day = self.updated.get_val(doc).div_euclid(DAY_SECONDS);
        (score.to_bits(), day, self.completeness.get_val(doc))
    }

    fn found(self) -> tantivy::Result<Found> {
        let mut first = Vec::with_capacity(self.best.len());
        for (rank, ordinal) in self.best {
            let mut id = String::new();
            self.ids.ord_to_str(ordinal, &mut id)?;
            first.push(Hit { rank, id });
        }
        let mut facets = FacetCounts::new();
        for (facet, column, counts) in self.facets {
            let values = facets.entry(facet).or_default();
            for (ordinal, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                let mut value = String::new();
                column.ord_to_str(ordinal as u64, &mut value)?;
                values.insert(Some(value).filter(|value| value != UNKNOWN), count);
            }
        }
        Ok(Found { total: self.total, first, facets })
    }
}

impl SegmentCollector for SegmentHits {
    type Fruit = tantivy::Result<Found>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.total += 1;
        for (_, column, counts) in &mut self.facets {
            column.term_ords(doc).for_each(|ordinal| counts[ordinal as usize] += 1);
        }
        if self.wanted == 0 {
            return;
        }
        let rank = Reverse(if self.is_ranked { self.rank(doc, score) } else { Rank::default() });
        if self.best.len() < self.wanted {
            self.best.push((rank, self.ids.term_ords(doc).next().unwrap_or_default()));
            return;
        }
        let Some(mut worst) = self.best.peek_mut() else { return };
        if rank <= worst.0 {
            let ordinal = self.ids.term_ords(doc).next().unwrap_or_default();
            if (rank, ordinal) < *worst {
                *worst = (rank, ordinal);
            }
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.found()
    }
}
