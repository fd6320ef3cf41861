//! Queries on a snapshot: candidates from an index, then the exact test, then the rows in their stored order.

mod datasets;
mod dictionaries;
mod exact;
mod ordered;

pub(crate) use datasets::{needs_index, search_datasets};
pub(crate) use dictionaries::{dictionary_columns, with_dictionaries};

use crate::filter::RowFilter;
use crate::layer::schema_of;
use crate::pages::{PageCounts, all_rows};
use crate::rtree::Candidate;
use crate::segment::parquet_error;
use crate::segments::{OpenSegment, Reading, SegmentCache};
use crate::snapshot::Pin;
use crate::valid::ValidFilter;
use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use dictionaries::open_with_dictionaries;
pub(crate) use exact::Window;
pub(crate) use ordered::check_order;
pub use ordered::{OrderedScan, RowOrder};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::file::metadata::RowGroupMetaData;
use roaring::RoaringBitmap;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{BoundingBox, Dataset, DatasetUuid, Error, Result, RowQuery, SegmentRef, Version};

/// Rows in one batch at most.
pub(crate) const BATCH_ROWS: usize = 32_768;
/// Bytes of one batch, as they are stored, before a row more is too much.
const BATCH_BYTES: u64 = 16 << 20;
/// What a condition takes is read in about so many batches, of no fewer rows than this: while one is decoded, the one before
/// goes out.
const BATCHES_OF_SOME: usize = 4;
const BATCH_ROWS_OF_SOME: usize = 1024;
/// Geometries that are tested exactly at once.
const TEST_ROWS: usize = 4096;

/// The rows of a version that were asked for, as record batches in stored order. Blocks on reads.
pub struct Scan {
    cache: Arc<SegmentCache>,
    dataset: DatasetUuid,
    /// Segments that are not begun, the next one last.
    segments: Vec<SegmentRef>,
    /// Positions of the columns in the file, in the order that was asked for.
    columns: Vec<usize>,
    geometry: Option<usize>,
    schema: SchemaRef,
    /// Columns of text that come as dictionaries.
    dictionaries: Vec<String>,
    /// Rows at these places of each segment alone; `None` for all.
    places: Option<Range<u32>>,
    bbox: Option<BoundingBox>,
    valid: Option<ValidFilter>,
    filter: Option<RowFilter>,
    rows_left: u64,
    /// Rows in one batch at most.
    batch_rows: usize,
    /// Whether somebody still waits for rows.
    is_wanted: Box<dyn Fn() -> bool + Send>,
    reader: Option<SegmentReader>,
    /// Keeps what is read; `None` if nothing is removed meanwhile.
    pin: Option<Pin>,
    /// When reading began, as the cache counts.
    reading: Reading,
    /// `None` if nobody asked.
    counts: Option<Cell<ScanCounts>>,
}

/// What of the files a scan had to look at so far. A page counts where a row is in it that has to be looked at: by its
/// condition's columns those that statistics and boxes leave, by the columns that are given out those that are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Files of which rows are given out.
    pub segments: u64,
    /// Files of which none is.
    pub segments_pruned: u64,
    /// Rows that statistics and boxes leave.
    pub rows: u64,
    /// Rows that they rule out, and deleted ones.
    pub rows_pruned: u64,
    /// Pages that are read.
    pub pages: u64,
    /// Pages of the same columns that are passed over.
    pub pages_pruned: u64,
    /// Bytes of the pages that are read, as they are stored.
    pub bytes: u64,
    /// Bytes of those that are passed over.
    pub bytes_pruned: u64,
}

impl ScanCounts {
    fn add(&mut self, pages: PageCounts) {
        self.pages += pages.pages;
        self.pages_pruned += pages.pages_without;
        self.bytes += pages.bytes;
        self.bytes_pruned += pages.bytes_without;
    }
}

/// A segment being read.
struct SegmentReader {
    batches: ParquetRecordBatchReader,
    /// Rows that are read but not given out; `None` if there are none among those that are read.
    deletes: Option<Arc<RoaringBitmap>>,
    /// Number of the next row, where there are deletes.
    position: u32,
}

impl SegmentReader {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let batch = batch.map_err(read_error)?;
        let Some(deletes) = &self.deletes else { return Ok(Some(batch)) };
        let from = self.position;
        self.position += batch.num_rows() as u32;
        let mut live = BooleanBufferBuilder::new(batch.num_rows());
        live.append_n(batch.num_rows(), true);
        deletes.range(from..self.position).for_each(|row| live.set_bit((row - from) as usize, false));
        let live = BooleanArray::new(live.finish(), None);
        if live.true_count() == batch.num_rows() {
            return Ok(Some(batch));
        }
        filter_record_batch(&batch, &live).map(Some).map_err(read_error)
    }
}

pub(crate) fn read_error(error: ArrowError) -> Error {
    Error::internal("reading a segment failed").caused_by(error)
}

impl Scan {
    pub(crate) fn try_new(
        cache: Arc<SegmentCache>,
        dataset: &Dataset,
        version: &Version,
        query: &RowQuery,
        segments: Range<usize>,
    ) -> Result<Self> {
        let all = schema_of(&version.fields)?;
        let columns = match &query.columns {
            Some(names) => names.iter().map(|name| column_index(&all, name)).collect::<Result<Vec<_>>>()?,
            None => (0..all.fields().len()).collect(),
        };
        let fields: Vec<_> = columns.iter().map(|i| Arc::clone(&all.fields()[*i])).collect();
        let valid = query.valid.as_ref().map(|query| ValidFilter::of(dataset, version, &all, query)).transpose()?;
        let filter = query.filter.as_ref().map(|filter| RowFilter::bind(filter, &all)).transpose()?;
        let end = segments.end.min(version.segments.len());
        let segments = version.segments.get(segments.start.min(end)..end).unwrap_or_default();
        let reading = cache.reading(&dataset.uuid);
        Ok(Self {
            cache,
            reading,
            dataset: dataset.uuid.clone(),
            segments: segments.iter().rev().cloned().collect(),
            columns,
            geometry: ukimet_model::batch::geometry_index(&all),
            schema: Arc::new(Schema::new(fields)),
            dictionaries: Vec::new(),
            places: None,
            bbox: query.bbox,
            valid,
            filter,
            rows_left: query.limit.unwrap_or(u64::MAX),
            batch_rows: BATCH_ROWS,
            is_wanted: Box::new(|| true),
            reader: None,
            pin: None,
            counts: None,
        })
    }

    /// The same scan, pinning what it reads.
    pub(crate) fn pinning(mut self, pin: Pin) -> Self {
        self.pin = Some(pin);
        self
    }

    /// The same, which ends early once nobody waits for rows: a filter may read long and find nothing.
    #[must_use]
    pub fn while_wanted(self, is_wanted: impl Fn() -> bool + Send + 'static) -> Self {
        Self { is_wanted: Box::new(is_wanted), ..self }
    }

    /// The same in batches of at most this many rows, or of as many as otherwise where those are fewer.
    #[must_use]
    pub fn in_batches_of(self, rows_max: usize) -> Self {
        Self { batch_rows: rows_max.clamp(1, BATCH_ROWS), ..self }
    }

    /// The same, which counts what it looks at.
    #[must_use]
    pub fn counting(self) -> Self {
        Self { counts: Some(Cell::default()), ..self }
    }

    /// What of the files was looked at so far; nothing unless it is [`Scan::counting`].
    pub fn counts(&self) -> ScanCounts {
        self.counts.as_ref().map(Cell::get).unwrap_or_default()
    }

    fn count(&self, count: impl FnOnce(&mut ScanCounts)) {
        let Some(counts) = &self.counts else { return };
        let mut sum = counts.get();
        count(&mut sum);
        counts.set(sum);
    }

    /// The same, with these columns of text as dictionaries: those of [`Snapshot::dictionary_columns`], where the file's own
    /// are given out.
    ///
    /// [`Snapshot::dictionary_columns`]: crate::Snapshot::dictionary_columns
    #[must_use]
    pub fn with_dictionaries(self, names: Vec<String>) -> Self {
        Self { schema: with_dictionaries(&self.schema, &names), dictionaries: names, ..self }
    }

    /// The same, of rows at these places of a segment alone; rows that were removed since have their places.
    #[must_use]
    pub fn at_places(self, places: Range<u32>) -> Self {
        Self { places: Some(places), ..self }
    }

    /// The columns of every batch, in the order that was asked for.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows_left > 0 && (self.is_wanted)() {
            self.cache.check_reading(&self.dataset, self.reading)?;
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next()? {
                    let rows = self.rows_left.min(batch.num_rows() as u64);
                    self.rows_left -= rows;
                    return self.arrange(&batch.slice(0, rows as usize)).map(Some);
                }
                self.reader = None;
            }
            let Some(segment) = self.segments.pop() else { return Ok(None) };
            self.reader = self.begin(&segment)?;
        }
        Ok(None)
    }

    /// Opens a segment; `None` if no row of it was asked for.
    fn begin(&self, segment: &SegmentRef) -> Result<Option<SegmentReader>> {
        if segment.live_rows() == 0 {
            return Ok(None);
        }
        let open = || open_with_dictionaries(self.cache.segment(&self.dataset, segment)?, &self.dictionaries);
        if self.bbox.is_none() && self.valid.is_none() && self.filter.is_none() {
            let deletes = self.cache.deletes(&self.dataset, segment)?;
            let open = open()?;
            let selection = self.places.as_ref().map(|places| run(places, segment.rows));
            let batches = reader(&open, &self.columns, selection, self.batch_rows(&open))?;
            let position = self.places.as_ref().map_or(0, |places| places.start);
            self.count(|counts| {
                counts.segments += 1;
                counts.rows += segment.live_rows();
                counts.add(PageCounts::of(&open, &self.columns, None));
            });
            return Ok(Some(SegmentReader { batches, deletes, position }));
        }
        let rows = self.wanted_rows(segment)?;
        if rows.is_empty() {
            self.count(|counts| counts.segments_pruned += 1);
            return Ok(None);
        }
        let open = open()?;
        self.count(|counts| {
            counts.segments += 1;
            counts.add(PageCounts::of(&open, &self.columns, Some(&rows)));
        });
        let batch_rows = (rows.len() / BATCHES_OF_SOME).max(BATCH_ROWS_OF_SOME).min(self.batch_rows(&open));
        let batches = reader(&open, &self.columns, Some(selection(&rows, segment.rows)), batch_rows)?;
        Ok(Some(SegmentReader { batches, deletes: None, position: 0 }))
    }

    /// The rows of a segment that the window, the valid time and the filter take, sorted, no more than are still wanted.
    fn wanted_rows(&self, segment: &SegmentRef) -> Result<Vec<u32>> {
        let left_after = |is_last: bool| if is_last { self.rows_left } else { u64::MAX };
        let open = self.cache.segment(&self.dataset, segment)?;
        let candidates = self.candidates(segment, &open)?;
        let mut rows: Vec<u32> = match &self.bbox {
            Some(window) => {
                let limit = left_after(self.valid.is_none() && self.filter.is_none());
                self.rows_in((segment, &open), window, &candidates, limit)?
            }
            None => candidates.iter().collect(),
        };
        self.count(|counts| {
            let asked: Vec<usize> = self.filter.iter().flat_map(RowFilter::columns).collect();
            counts.rows += rows.len() as u64;
            counts.rows_pruned += segment.rows - rows.len() as u64;
            counts.add(PageCounts::of(&open, &asked, Some(&rows)));
        });
        if let Some(valid) = &self.valid {
            rows = valid.among(&open, &rows, segment.rows, left_after(self.filter.is_none()))?;
        }
        match &self.filter {
            Some(filter) => filter.among((&open, segment.rows), &rows, self.rows_left, &self.is_wanted),
            None => Ok(rows),
        }
    }

    /// The rows of a segment that are there and that the valid time and the filter may take, without reading any.
    fn candidates(&self, segment: &SegmentRef, open: &OpenSegment) -> Result<RoaringBitmap> {
        let mut rows = self.valid.as_ref().map_or_else(|| Ok(all_rows(open)), |valid| valid.candidates(open))?;
        if let Some(filter) = &self.filter {
            rows &= filter.candidates(open, self.cache.tree(&self.dataset, segment)?.as_deref())?;
        }
        if let Some(deletes) = self.cache.deletes(&self.dataset, segment)? {
            rows -= &*deletes;
        }
        if let Some(Range { start, end }) = self.places {
            rows.remove_range(..start);
            rows.remove_range(end..);
        }
        Ok(rows)
    }

    /// Rows to decode at once: no more than are wanted, and no more than a slow reader may hold.
    fn batch_rows(&self, open: &OpenSegment) -> usize {
        let metadata = open.footer.metadata();
        let bytes: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
        let rows = metadata.file_metadata().num_rows().max(1);
        let row_bytes = (bytes / rows).max(1).cast_unsigned();
        let rows_max = (BATCH_BYTES / row_bytes).clamp(1, self.batch_rows as u64);
        rows_max.min(self.rows_left) as usize
    }

    /// The rows among some whose geometry shares a place with the window, sorted, at most `limit`.
    fn rows_in(
        &self,
        (segment, open): (&SegmentRef, &OpenSegment),
        window: &BoundingBox,
        among: &RoaringBitmap,
        limit: u64,
    ) -> Result<Vec<u32>> {
        let (Some(tree), Some(geometry)) = (self.cache.tree(&self.dataset, segment)?, self.geometry) else {
            return Ok(Vec::new());
        };
        let mut candidates = tree.candidates(window)?;
        candidates.retain(|candidate| among.contains(candidate.row));
        let window = Window::new(window);
        let (mut rows, mut from) = (Vec::new(), 0);
        while from < candidates.len() && (rows.len() as u64) < limit {
            let part = &candidates[from..candidates.len().min(from + TEST_ROWS)];
            rows.extend(test(open, part, geometry, segment.rows, &window)?);
            from += part.len();
        }
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// Puts the columns, which a reader gives in the file's order, into the order that was asked for.
    fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut in_file = self.columns.clone();
        in_file.sort_unstable();
        in_file.dedup();
        let place = |column: &usize| in_file.binary_search(column).expect("every column asked for was read");
        let columns = self.columns.iter().map(|column| Arc::clone(batch.column(place(column)))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::internal("a segment does not have its version's columns").caused_by(e))
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            // After an error there are no more rows.
            self.rows_left = 0;
        }
        next.transpose()
    }
}

pub(crate) fn column_index(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::invalid_request(format!("there is no column {}, the columns are {}", quoted(name), names.join(", ")))
    })
}

/// Reads the columns at these positions, in the order of the file.
pub(crate) fn reader(
    open: &OpenSegment,
    columns: &[usize],
    selection: Option<RowSelection>,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader> {
    let footer = open.footer.as_ref().clone();
    let mask = ProjectionMask::roots(footer.parquet_schema(), columns.iter().copied());
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open.object.clone(), footer);
    let builder = builder.with_projection(mask).with_batch_size(batch_rows);
    let builder = match selection {
        // Rows that are passed over are never decoded, however near each other the others lie.
        Some(selection) => {
            builder.with_row_selection(selection).with_row_selection_policy(RowSelectionPolicy::Selectors)
        }
        None => builder,
    };
    builder.build().map_err(parquet_error)
}

/// Reads some rows of a segment, in their order.
pub(crate) fn read_rows(
    open: &OpenSegment,
    columns: &[usize],
    rows: &RoaringBitmap,
    rows_in_segment: u64,
) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let rows: Vec<u32> = rows.iter().collect();
    let reader = reader(open, columns, Some(selection(&rows, rows_in_segment)), rows.len().clamp(1, BATCH_ROWS))?;
    Ok(reader.map(|batch| batch.map_err(read_error)))
}

/// Sorted row numbers as ranges of rows to read.
pub(crate) fn selection(rows: &[u32], rows_in_segment: u64) -> RowSelection {
    let ranges = rows.chunk_by(|a, b| a + 1 == *b).map(|run| run[0] as usize..run[run.len() - 1] as usize + 1);
    RowSelection::from_consecutive_ranges(ranges, rows_in_segment as usize)
}

/// One run of rows to read, as far as the segment has them.
fn run(places: &Range<u32>, rows_in_segment: u64) -> RowSelection {
    let rows = rows_in_segment as usize;
    let (start, end) = ((places.start as usize).min(rows), (places.end as usize).min(rows));
    RowSelection::from_consecutive_ranges(std::iter::once(start..end.max(start)), rows)
}

/// The candidates that pass the exact test: those inside by their box, and of the others those whose geometry does.
fn test(
    open: &OpenSegment,
    candidates: &[Candidate],
    geometry: usize,
    rows_in_segment: u64,
    window: &Window,
) -> Result<Vec<u32>> {
    let at_border: Vec<u32> = candidates.iter().filter(|c| !c.is_inside).map(|c| c.row).collect();
    let mut rows: Vec<u32> = candidates.iter().filter(|c| c.is_inside).map(|c| c.row).collect();
    if at_border.is_empty() {
        return Ok(rows);
    }
    let mut tested = at_border.iter();
    for batch in reader(open, &[geometry], Some(selection(&at_border, rows_in_segment)), TEST_ROWS)? {
        let batch = batch.map_err(read_error)?;
        for geometry in batch.column(0).as_binary::<i32>() {
            let row = tested.next().ok_or_else(|| Error::internal("a segment has more rows than its version"))?;
            if geometry.is_some_and(|bytes| window.meets(bytes)) {
                rows.push(*row);
            }
        }
    }
    rows.sort_unstable();
    Ok(rows)
}
