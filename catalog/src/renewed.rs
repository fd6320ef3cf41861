//! Whether one column alone made rows new: a number that a program gives the rows of a file anew whenever it writes it
//! makes every row behind one that went another row, or has it all other values.
//!
//! Rows lie in the same order in both versions, so those that begin the one are, without that column, those that begin the
//! other. A sample of them tells.

use crate::changes::ChangeList;
use crate::layer::fields_of;
use crate::rowhash::row_hashes;
use crate::rows::Place;
use crate::search::read_rows;
use crate::segments::SegmentCache;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use roaring::RoaringBitmap;
use std::collections::HashMap;
use ukimet_model::{DatasetUuid, Error, Result, SegmentRef};

/// Rows of each version that are compared.
const SAMPLE_ROWS: usize = 4096;
/// New rows from which on it is asked.
const ROWS_MIN: usize = 100;
/// Of a hundred new rows those that were there but for the column, at least.
const PERCENT_MIN: usize = 90;

/// A column that made rows new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RenewingColumn {
    /// As it is published.
    pub(crate) name: String,
    /// As the source names it.
    pub(crate) source_name: String,
    /// New rows that were compared.
    pub(crate) compared: u64,
    /// Those of them that were there but for the column.
    pub(crate) found: u64,
}

/// The column that alone made nearly all changed rows new, if there is one; `before` and `after` are the segments of both
/// versions, which have the same columns.
pub(crate) fn renewing_column(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    schema: &SchemaRef,
    (before, after): (&[SegmentRef], &[SegmentRef]),
    list: &ChangeList,
) -> Result<Option<RenewingColumn>> {
    let old = sample(list, before, |change| change.before);
    let new = sample(list, after, |change| change.after);
    let Some(((old_segment, old), (new_segment, new))) = old.zip(new) else { return Ok(None) };
    if new.len() < ROWS_MIN as u64 {
        return Ok(None);
    }
    let old = without_each(cache, dataset, schema, old_segment, &old)?;
    let new = without_each(cache, dataset, schema, new_segment, &new)?;
    for (i, field) in fields_of(schema).into_iter().enumerate() {
        let found = common(&old[i], &new[i]);
        if found * 100 >= new[i].len() * PERCENT_MIN {
            let (name, source_name, compared) = (field.name, field.source_name, new[i].len() as u64);
            return Ok(Some(RenewingColumn { name, source_name, compared, found: found as u64 }));
        }
    }
    Ok(None)
}

/// The first changed rows in the first segment that has some.
fn sample<'a>(
    list: &ChangeList,
    segments: &'a [SegmentRef],
    side: impl Fn(&crate::changes::Change) -> Option<Place>,
) -> Option<(&'a SegmentRef, RoaringBitmap)> {
    let mut by_segment: HashMap<u32, RoaringBitmap> = HashMap::new();
    for place in list.changes.iter().filter_map(side) {
        by_segment.entry(place.segment).or_default().insert(place.position);
    }
    let number = |segment: &SegmentRef| list.segments.iter().position(|hash| *hash == segment.parquet);
    segments.iter().find_map(|segment| {
        let rows = by_segment.get(&(number(segment)? as u32))?;
        Some((segment, rows.iter().take(SAMPLE_ROWS).collect()))
    })
}

/// For each column the hashes of the rows without it.
fn without_each(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    schema: &SchemaRef,
    segment: &SegmentRef,
    rows: &RoaringBitmap,
) -> Result<Vec<Vec<u128>>> {
    let open = cache.segment(dataset, segment)?;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut without: Vec<Vec<u128>> = vec![Vec::new(); all.len()];
    for batch in read_rows(&open, &all, rows, segment.rows)? {
        let batch = batch?;
        let cells = all.iter().map(|column| row_hashes(&one_column(&batch, *column)?));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        // Each column has its own factor, so that equal values of two columns do not stand for each other.
        let cell = |column: usize, row: usize| cells[column][row].wrapping_mul(2 * column as u128 + 1);
        let sum = |row: usize| all.iter().fold(0_u128, |sum, column| sum.wrapping_add(cell(*column, row)));
        let sums: Vec<u128> = (0..batch.num_rows()).map(sum).collect();
        for (column, without) in without.iter_mut().enumerate() {
            without.extend(sums.iter().enumerate().map(|(row, sum)| sum.wrapping_sub(cell(column, row))));
        }
    }
    Ok(without)
}

fn one_column(rows: &RecordBatch, column: usize) -> Result<RecordBatch> {
    let failed = |e: ArrowError| Error::internal("a segment does not have its version's columns").caused_by(e);
    rows.project(&[column]).map_err(failed)
}

/// How many of the new rows are among the old ones, each of which counts once.
fn common(old: &[u128], new: &[u128]) -> usize {
    let mut left: HashMap<u128, usize> = HashMap::new();
    for hash in old {
        *left.entry(*hash).or_default() += 1;
    }
    let mut take = |hash: &&u128| match left.get_mut(*hash) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    new.iter().filter(&mut take).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_was_there_once_is_found_once() {
        assert_eq!(common(&[1, 2, 2], &[2, 2, 2, 3, 1]), 3);
    }
}
