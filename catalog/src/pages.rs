//! What the statistics of a segment's file say of one column, page by page: which rows are worth reading.

use crate::segment::parquet_error;
use crate::segments::OpenSegment;
use arrow_array::ArrayRef;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use roaring::RoaringBitmap;
use ukimet_model::{Error, Result};

/// The pages of one column.
pub(crate) struct Pages {
    /// Of each page a value that is no greater than any of it, in the type of the column; null where that is not known.
    pub(crate) least: ArrayRef,
    /// Of each page a value that is no less than any of it; null where that is not known.
    pub(crate) greatest: ArrayRef,
    /// How many values are missing; `None` where that is not known.
    nulls: Vec<Option<u64>>,
    rows: Vec<u64>,
}

/// Every row of a segment.
pub(crate) fn all_rows(open: &OpenSegment) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(..open.footer.metadata().file_metadata().num_rows() as u32);
    rows
}

/// How many pages of some columns have one of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageCounts {
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
    pub(crate) pages_without: u64,
    pub(crate) bytes_without: u64,
}

impl PageCounts {
    /// Counts the pages of the columns at these positions that have one of some sorted rows, of every row without them.
    pub(crate) fn of(open: &OpenSegment, columns: &[usize], rows: Option<&[u32]>) -> Self {
        let metadata = open.footer.metadata();
        let (schema, mut counts, mut first) = (open.footer.parquet_schema(), Self::default(), 0);
        let Some(offsets) = metadata.offset_index() else { return counts };
        for (group, leaves) in metadata.row_groups().iter().zip(offsets) {
            let end = first + group.num_rows();
            let leaves = leaves.iter().enumerate();
            for (_, leaf) in leaves.filter(|(leaf, _)| columns.contains(&schema.get_column_root_idx(*leaf))) {
                let pages = leaf.page_locations();
                for (at, page) in pages.iter().enumerate() {
                    let until = pages.get(at + 1).map_or(end, |next| first + next.first_row_index);
                    counts.add(page.compressed_page_size as u64, has_any(rows, first + page.first_row_index, until));
                }
            }
            first = end;
        }
        counts
    }

    fn add(&mut self, bytes: u64, has_row: bool) {
        let (pages, sum) = if has_row {
            (&mut self.pages, &mut self.bytes)
        } else {
            (&mut self.pages_without, &mut self.bytes_without)
        };
        *pages += 1;
        *sum += bytes;
    }
}

/// Whether one of some sorted rows lies in a range.
fn has_any(rows: Option<&[u32]>, from: i64, until: i64) -> bool {
    rows.is_none_or(|rows| {
        let next = rows.partition_point(|row| i64::from(*row) < from);
        rows.get(next).is_some_and(|row| i64::from(*row) < until)
    })
}

impl Pages {
    /// The pages of the column at this position; `None` if the file has no statistics of them.
    pub(crate) fn of(open: &OpenSegment, column: usize) -> Result<Option<Self>> {
        let (metadata, all) = (open.footer.metadata(), open.footer.schema());
        let Some((columns, offsets)) = metadata.column_index().zip(metadata.offset_index()) else { return Ok(None) };
        let name = all.field(column).name();
        let converter = StatisticsConverter::try_new(name, all, open.footer.parquet_schema()).map_err(parquet_error)?;
        let groups: Vec<usize> = (0..metadata.num_row_groups()).collect();
        let counts = converter.data_page_row_counts(offsets, metadata.row_groups(), &groups).map_err(parquet_error)?;
        let counts = counts.ok_or_else(|| Error::internal(format!("a segment has no column {name}")))?;
        let nulls = converter.data_page_null_counts(columns, offsets, &groups).map_err(parquet_error)?;
        Ok(Some(Self {
            least: converter.data_page_mins(columns, offsets, &groups).map_err(parquet_error)?,
            greatest: converter.data_page_maxes(columns, offsets, &groups).map_err(parquet_error)?,
            nulls: nulls.iter().collect(),
            rows: counts.iter().map(|count| count.unwrap_or(0)).collect(),
        }))
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Whether a value of a page may be missing.
    pub(crate) fn may_have_null(&self, page: usize) -> bool {
        self.nulls[page].is_none_or(|nulls| nulls > 0)
    }

    /// Whether a page may have a value.
    pub(crate) fn may_have_value(&self, page: usize) -> bool {
        self.nulls[page].is_none_or(|nulls| nulls < self.rows[page])
    }

    /// The rows of the pages that are worth it.
    pub(crate) fn rows_of(&self, is_worth: impl Fn(usize) -> bool) -> RoaringBitmap {
        let (mut found, mut first) = (RoaringBitmap::new(), 0_u32);
        for (page, rows) in self.rows.iter().enumerate() {
            let end = first + *rows as u32;
            if is_worth(page) {
                found.insert_range(first..end);
            }
            first = end;
        }
        found
    }
}
