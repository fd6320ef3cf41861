//! Rows in an order of their values: first the order, from the columns that it goes by, then the rows, read in it.
//!
//! The values that rows are ordered by are held in memory, up to a limit. They go before rows are read, in rounds of up to
//! half of the limit: those that are given out next, from all files at once, in the order in which they are stored.

mod ranking;
mod round;

use super::{BATCH_BYTES, BATCH_ROWS, Scan, read_error, reader, selection};
use crate::segments::{OpenSegment, SegmentCache};
use crate::snapshot::Pin;
use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Schema, SchemaRef, SortOptions};
use ranking::{Place, Ranking};
use round::Round;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Dataset, Error, OrderColumn, Result, RowQuery, SegmentRef, Version};

/// What rows are ordered by, and at what cost.
#[derive(Clone, Copy, Debug)]
pub struct RowOrder<'a> {
    /// The columns, the first one first; rows that are equal in all of them come as they are stored.
    pub columns: &'a [OrderColumn],
    /// Memory for the values that rows are ordered by, half of which is later for rows that are read ahead, bytes.
    pub bytes_max: u64,
}

/// The rows of a version that were asked for, as record batches in an order of their values. Blocks on reads.
///
/// Missing values come last, in either direction. Numbers compare by IEEE 754's total order, texts by code points.
pub struct OrderedScan {
    /// Reads what rows are ordered by.
    keys: Scan,
    /// Reads what is given out.
    rows: Scan,
    segments: Vec<SegmentRef>,
    columns: Vec<OrderColumn>,
    bytes_max: u64,
    /// How many rows at most.
    limit: u64,
    /// Where the rows are, in their order; `None` before it is known.
    places: Option<Vec<Place>>,
    /// How many of them were read.
    taken: usize,
    /// Rows in one batch: it follows from the files, so that the same order has the same batches.
    batch_rows: usize,
    /// Batches that are read at once.
    round_batches: usize,
    round: Option<Round>,
}

impl OrderedScan {
    pub(crate) fn try_new(
        cache: &Arc<SegmentCache>,
        (dataset, version): (&Dataset, &Version),
        query: &RowQuery,
        segments: Range<usize>,
        order: RowOrder<'_>,
    ) -> Result<Self> {
        let names = order.columns.iter().map(|by| by.column.clone()).collect();
        let key_query = RowQuery { columns: Some(names), limit: None, ..query.clone() };
        let row_query = RowQuery { columns: query.columns.clone(), ..RowQuery::default() };
        let keys = Scan::try_new(Arc::clone(cache), dataset, version, &key_query, segments.clone())?;
        check_order(&keys.schema, order.columns)?;
        let rows = Scan::try_new(Arc::clone(cache), dataset, version, &row_query, segments)?;
        Ok(Self {
            segments: rows.segments.iter().rev().cloned().collect(),
            keys,
            rows,
            columns: order.columns.to_vec(),
            bytes_max: order.bytes_max,
            limit: query.limit.unwrap_or(u64::MAX),
            places: None,
            taken: 0,
            batch_rows: BATCH_ROWS,
            round_batches: usize::MAX,
            round: None,
        })
    }

    /// The same, pinning what it reads.
    pub(crate) fn pinning(self, pin: Pin) -> Self {
        Self { rows: self.rows.pinning(pin), ..self }
    }

    /// The same, which ends early once nobody waits for rows.
    #[must_use]
    pub fn while_wanted(self, is_wanted: impl Fn() -> bool + Send + 'static) -> Self {
        Self { keys: self.keys.while_wanted(is_wanted), ..self }
    }

    /// The columns of every batch, in the order that was asked for.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn is_wanted(&self) -> bool {
        (self.keys.is_wanted)()
    }

    fn open(&self, segment: &SegmentRef) -> Result<OpenSegment> {
        self.rows.cache.check_reading(&self.rows.dataset, self.rows.reading)?;
        self.rows.cache.segment(&self.rows.dataset, segment)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let places = match self.places.take() {
            Some(places) => places,
            None => self.rank()?,
        };
        let next = self.next_of(&places);
        self.places = Some(places);
        next
    }

    /// The next batch of rows at these places.
    fn next_of(&mut self, places: &[Place]) -> Result<Option<RecordBatch>> {
        loop {
            if !self.is_wanted() {
                return Ok(None);
            }
            if let Some(batch) = self.round.as_mut().map(|round| round.next(self.batch_rows)).transpose()?.flatten() {
                return Ok(Some(batch));
            }
            // What was given out goes before more is read.
            self.round = None;
            let left = &places[self.taken..];
            if left.is_empty() {
                return Ok(None);
            }
            let bytes = (self.bytes_max / 2).saturating_sub(size_of_val(places) as u64).max(BATCH_BYTES);
            self.round_batches = self.round_batches.min((bytes / BATCH_BYTES) as usize);
            let asked = &left[..left.len().min(self.round_batches.saturating_mul(self.batch_rows))];
            match self.read(asked, bytes)? {
                Some(round) => (self.taken, self.round) = (self.taken + asked.len(), Some(round)),
                // Their values take more room than in the file.
                None => self.round_batches = (self.round_batches / 2).max(1),
            }
        }
    }

    /// Puts the rows that were asked for into order, by their places.
    fn rank(&mut self) -> Result<Vec<Place>> {
        let mut ranking = Ranking::new(self.limit);
        let converter = RowConverter::new(sort_fields(&self.keys.schema, &self.columns)).map_err(read_error)?;
        let (mut bytes, mut rows) = (0, 0);
        for (number, segment) in self.segments.iter().enumerate() {
            if self.limit == 0 || segment.live_rows() == 0 || !self.is_wanted() {
                continue;
            }
            let open = self.open(segment)?;
            bytes += stored_bytes(&open, &self.rows.columns);
            rows += segment.rows;
            let wanted = self.keys.wanted_rows(segment)?;
            let mut places = wanted.iter().map(|row| Place { segment: number as u32, row: *row });
            let batch_rows = self.keys.batch_rows(&open);
            for batch in reader(&open, &self.keys.columns, Some(selection(&wanted, segment.rows)), batch_rows)? {
                let batch = self.keys.arrange(&batch.map_err(read_error)?)?;
                let keys = converter.convert_columns(batch.columns()).map_err(read_error)?;
                ranking.add(keys.iter().map(|key| key.data()).zip(&mut places));
                if ranking.bytes() > self.bytes_max {
                    ranking.forget_unwanted();
                }
                if ranking.bytes() > self.bytes_max {
                    return Err(self.too_much());
                }
                if !self.is_wanted() {
                    return Ok(Vec::new());
                }
            }
        }
        self.batch_rows = (BATCH_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, BATCH_ROWS as u64) as usize;
        Ok(ranking.finish())
    }

    fn too_much(&self) -> Error {
        let names: Vec<_> = self.columns.iter().map(|by| by.column.as_str()).collect();
        let (names, bytes_max) = (names.join(", "), self.bytes_max);
        Error::limit_reached(format!(
            "the values of {names} by which rows are put into order take more than order-bytes-max ({bytes_max} bytes): \
             ask for fewer rows with a limit or a filter, or in SQL, where ORDER BY goes through the disk"
        ))
    }

    /// Reads rows at some places; `None` if they take more than `bytes_max` and are more than one batch.
    fn read(&self, places: &[Place], bytes_max: u64) -> Result<Option<Round>> {
        let mut stored: Vec<(Place, usize)> = places.iter().copied().zip(0..).collect();
        stored.sort_unstable();
        let (mut round, mut bytes) = (Round::of(places.len()), 0);
        for of_segment in stored.chunk_by(|(a, _), (b, _)| a.segment == b.segment) {
            let segment = &self.segments[of_segment[0].0.segment as usize];
            let open = self.open(segment)?;
            let rows: Vec<u32> = of_segment.iter().map(|(place, _)| place.row).collect();
            let mut ranks = of_segment.iter().map(|(_, rank)| *rank);
            let selection = selection(&rows, segment.rows);
            for batch in reader(&open, &self.rows.columns, Some(selection), self.rows.batch_rows(&open))? {
                let batch = self.rows.arrange(&batch.map_err(read_error)?)?;
                bytes += batch.get_array_memory_size() as u64;
                if bytes > bytes_max && places.len() > self.batch_rows {
                    return Ok(None);
                }
                round.add(batch, &mut ranks);
            }
        }
        Ok(Some(round))
    }
}

impl Iterator for OrderedScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            // After an error there are no more rows.
            (self.places, self.round) = (Some(Vec::new()), None);
            self.taken = 0;
        }
        next.transpose()
    }
}

/// Bytes of some columns of a file, unpacked.
fn stored_bytes(open: &OpenSegment, columns: &[usize]) -> u64 {
    let groups = open.footer.metadata().row_groups().iter();
    let schema = open.footer.parquet_schema();
    let of_group = |group: &parquet::file::metadata::RowGroupMetaData| -> i64 {
        let leaves = group.columns().iter().enumerate();
        let asked = leaves.filter(|(leaf, _)| columns.contains(&schema.get_column_root_idx(*leaf)));
        asked.map(|(_, column)| column.uncompressed_size()).sum()
    };
    groups.map(of_group).sum::<i64>().cast_unsigned()
}

fn sort_fields(schema: &Schema, columns: &[OrderColumn]) -> Vec<SortField> {
    let fields = schema.fields().iter().zip(columns).map(|(field, by)| {
        let options = SortOptions { descending: by.descending, nulls_first: false };
        SortField::new_with_options(field.data_type().clone(), options)
    });
    fields.collect()
}

/// Checks that rows can be ordered by columns of this schema.
///
/// # Errors
///
/// `InvalidRequest` if a column is named twice or has values without an order.
pub(crate) fn check_order(schema: &Schema, columns: &[OrderColumn]) -> Result<()> {
    let mut named = HashSet::new();
    for OrderColumn { column, .. } in columns {
        let index = super::column_index(schema, column)?;
        if !named.insert(index) {
            return Err(Error::invalid_request(format!("the order names column {} twice", quoted(column))));
        }
        let data_type = schema.field(index).data_type();
        if ukimet_model::batch::geometry_index(schema) == Some(index) || !has_order(data_type) {
            return Err(Error::invalid_request(format!(
                "rows are put into order by numbers, texts, truth values, days and times; column {} holds {data_type}",
                quoted(column)
            )));
        }
    }
    Ok(())
}

fn has_order(data_type: &DataType) -> bool {
    let is_moment = matches!(data_type, DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(..));
    data_type.is_numeric() || is_moment || matches!(data_type, DataType::Boolean | DataType::Utf8)
}
