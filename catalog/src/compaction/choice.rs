//! Which segments are worth writing anew.

use super::CompactionScope;
use crate::options::CatalogOptions;
use ukimet_model::SegmentRef;

/// What is borne before segments are written anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Share of deleted rows, 0 to 1.
    deleted_share: f64,
    /// Segments that are less than half full; 0 for any number.
    segments_max: usize,
}

impl Limits {
    pub(super) fn of(options: &CatalogOptions, scope: CompactionScope) -> Self {
        match scope {
            CompactionScope::PastLimits => {
                Self { deleted_share: options.compact_deleted_share, segments_max: options.compact_segments_max }
            }
            CompactionScope::All => Self { deleted_share: 0.0, segments_max: 1 },
        }
    }

    /// The segments to be written anew, in their order; none if it is not worth it.
    ///
    /// Once the deleted rows of all pass their share, those are chosen that pass it themselves. Once too many are small,
    /// the smallest are chosen, so that half of the number that is borne is left: what is put together stays small for
    /// long, and a row is written again a few times and not with every push.
    pub(super) fn choose(&self, segments: &[SegmentRef], segment_rows_max: usize) -> Vec<SegmentRef> {
        if segments.iter().all(|segment| segment.live_rows() == 0) {
            return Vec::new();
        }
        let mut chosen = vec![false; segments.len()];
        if self.is_past_share(segments.iter()) {
            chosen.iter_mut().zip(segments).for_each(|(chosen, segment)| *chosen = self.is_past_share([segment]));
        }
        let half = (segment_rows_max as u64).div_ceil(2);
        let mut small: Vec<usize> = (0..segments.len()).filter(|i| segments[*i].live_rows() < half).collect();
        if self.segments_max > 0 && small.len() > self.segments_max {
            small.sort_by_key(|i| (segments[*i].live_rows(), *i));
            let left = self.segments_max / 2;
            small[..=small.len() - left.max(1)].iter().for_each(|i| chosen[*i] = true);
        }
        let chosen: Vec<_> =
            segments.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(segment, _)| segment.clone()).collect();
        if let [only] = chosen.as_slice()
            && only.deletes.is_none()
        {
            return Vec::new();
        }
        chosen
    }

    fn is_past_share<'a>(&self, segments: impl IntoIterator<Item = &'a SegmentRef>) -> bool {
        let (mut rows, mut live) = (0, 0);
        for segment in segments {
            rows += segment.rows;
            live += segment.live_rows();
        }
        (rows - live) as f64 > self.deleted_share * rows as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::{DeletesRef, Sha256};

    /// Segments by rows and deleted rows, of which at most 1000 rows go into one.
    fn chosen(limits: (f64, usize), segments: &[(u64, u64)]) -> Vec<usize> {
        let segments: Vec<_> = segments
            .iter()
            .zip(0..)
            .map(|((rows, deleted), number)| {
                let hash = Sha256([number; 32]);
                let deletes = (*deleted > 0).then_some(DeletesRef { sha256: hash, rows: *deleted });
                SegmentRef {
                    parquet: hash,
                    rtree: None,
                    keys: hash,
                    rows: *rows,
                    rows_with_place: 0,
                    size_bytes: 1,
                    deletes,
                }
            })
            .collect();
        let limits = Limits { deleted_share: limits.0, segments_max: limits.1 };
        limits.choose(&segments, 1000).iter().map(|segment| segment.parquet.0[0] as usize).collect()
    }

    #[test]
    fn segments_are_chosen_once_deleted_rows_pass_the_share_of_all() {
        assert_eq!(chosen((0.2, 0), &[(1000, 200), (1000, 0)]), [0; 0], "a tenth of all");
        assert_eq!(chosen((0.2, 0), &[(1000, 400), (1000, 0)]), [0; 0], "a fifth is borne");
        assert_eq!(chosen((0.2, 0), &[(1000, 100), (1000, 401), (100, 10)]), [1]);
        assert_eq!(chosen((1.0, 0), &[(1000, 999), (1000, 999)]), [0; 0], "never");
    }

    #[test]
    fn the_smallest_segments_are_chosen_once_there_are_too_many_small_ones() {
        assert_eq!(chosen((1.0, 4), &[(1000, 0), (1, 0), (2, 0), (3, 0), (4, 0)]), [0; 0]);
        assert_eq!(chosen((1.0, 4), &[(1000, 0), (5, 0), (400, 0), (3, 0), (4, 0), (2, 0)]), [1, 3, 4, 5]);
        assert_eq!(chosen((1.0, 4), &[(500, 0); 9]), [0; 0], "half full is not small");
        assert_eq!(chosen((1.0, 4), &[(1000, 600), (1, 0), (2, 0), (3, 0), (4, 0)]), [1, 2, 3, 4], "by rows that live");
        assert_eq!(chosen((1.0, 0), &[(1, 0); 100]), [0; 0], "never");
    }

    #[test]
    fn without_limits_nothing_is_left_to_do() {
        assert_eq!(chosen((0.0, 1), &[(1000, 1), (1000, 0), (3, 0), (4, 0)]), [0, 2, 3]);
        assert_eq!(chosen((0.0, 1), &[(1000, 0), (3, 0)]), [0; 0]);
        assert_eq!(chosen((0.0, 1), &[(3, 1)]), [0]);
        assert_eq!(chosen((0.0, 1), &[(0, 0)]), [0; 0], "a version without rows");
    }
}
