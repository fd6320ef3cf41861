//! Sorts more rows than fit in memory: sorted runs are spilled to scratch files and merged in small batches.

use crate::objects::{ObjectReader, Objects, Spill};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::interleave::interleave_record_batch;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufReader, BufWriter};
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// Bytes of one batch of a spilled run; a merge holds one such batch a run.
const SPILL_BATCH_BYTES: usize = 256 << 10;
/// Bytes and rows of one batch of the result.
const RESULT_BATCH_BYTES: usize = 4 << 20;
const RESULT_BATCH_ROWS: usize = 8192;
/// Name of the column that carries the sort key in a spill; no published name has an upper-case letter.
const KEY_COLUMN: &str = "KEY";

/// What rows are ordered by: rows with a place first, then `order`, then the row hash, so that ties are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortKey {
    pub(crate) has_no_place: bool,
    pub(crate) order: u64,
    pub(crate) hash: u128,
}

const KEY_BYTES: usize = 25;

impl SortKey {
    fn to_bytes(self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes[0] = u8::from(self.has_no_place);
        bytes[1..9].copy_from_slice(&self.order.to_be_bytes());
        bytes[9..].copy_from_slice(&self.hash.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let order = bytes[1..9].try_into().expect("a key has 25 bytes, as its column's type says");
        let hash = bytes[9..].try_into().expect("a key has 25 bytes, as its column's type says");
        Self { has_no_place: bytes[0] != 0, order: u64::from_be_bytes(order), hash: u128::from_be_bytes(hash) }
    }
}

fn arrow_error(error: ArrowError) -> Error {
    if crate::objects::is_full_disk(&error) {
        return Error::limit_reached("sorting rows: the disk is full").caused_by(error);
    }
    Error::internal("sorting rows failed").caused_by(error)
}

/// Rows with their keys, in the order of the keys.
pub(crate) struct SortedBatch {
    pub(crate) rows: RecordBatch,
    pub(crate) keys: Vec<SortKey>,
}

/// Takes rows in any order.
pub(crate) struct Sorter {
    objects: Objects,
    schema: SchemaRef,
    run_bytes: usize,
    run: Run,
    spills: Vec<Spill>,
    /// Bytes and rows taken so far, for the size of batches.
    total: (usize, usize),
}

/// Rows that are gathered for one run.
#[derive(Default)]
struct Run {
    batches: Vec<RecordBatch>,
    rows: Vec<(SortKey, u32, u32)>,
    bytes: usize,
}

impl Sorter {
    pub(crate) fn new(objects: &Objects, schema: SchemaRef, run_bytes: usize) -> Self {
        Self { objects: objects.clone(), schema, run_bytes, run: Run::default(), spills: Vec::new(), total: (0, 0) }
    }

    /// Takes a batch with a key for each row.
    pub(crate) fn push(&mut self, rows: RecordBatch, keys: &[SortKey]) -> Result<()> {
        let bytes = size_bytes(&rows);
        let batch = self.run.batches.len() as u32;
        self.run.rows.extend(keys.iter().zip(0..).map(|(key, row)| (*key, batch, row)));
        self.run.batches.push(rows);
        self.run.bytes += bytes;
        self.total = (self.total.0 + bytes, self.total.1 + keys.len());
        if self.run.bytes >= self.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total.1 == 0
    }

    fn batch_rows(&self, bytes: usize) -> usize {
        let row_bytes = (self.total.0 / self.total.1.max(1)).max(1);
        (bytes / row_bytes).clamp(1, RESULT_BATCH_ROWS)
    }

    fn spill(&mut self) -> Result<()> {
        let batch_rows = self.batch_rows(SPILL_BATCH_BYTES);
        let run = std::mem::take(&mut self.run);
        let schema = spilled_schema(&self.schema);
        let writer = BufWriter::with_capacity(1 << 16, self.objects.temporary()?);
        let mut writer = StreamWriter::try_new(writer, &schema).map_err(arrow_error)?;
        let mut source = SortedRun::new(run, batch_rows);
        while let Some(batch) = source.next()? {
            writer.write(&with_keys(&schema, &batch)?).map_err(arrow_error)?;
        }
        let writer = writer.into_inner().map_err(arrow_error)?;
        let writer =
            writer.into_inner().map_err(|e| self.objects.write_error("writing", "a sorted run", e.into_error()))?;
        self.spills.push(writer.into_spill()?);
        Ok(())
    }

    /// The rows in order, in batches of a few MB.
    pub(crate) fn finish(mut self) -> Result<Merge> {
        let batch_rows = self.batch_rows(SPILL_BATCH_BYTES);
        let result_rows = self.batch_rows(RESULT_BATCH_BYTES);
        let mut sources = Vec::with_capacity(self.spills.len() + 1);
        for spill in std::mem::take(&mut self.spills) {
            let reader = BufReader::with_capacity(1 << 16, spill.object.reader(0));
            let reader = StreamReader::try_new(reader, None).map_err(arrow_error)?;
            sources.push(Source::Spilled { reader: Box::new(reader), _spill: spill });
        }
        sources.push(Source::Memory(SortedRun::new(std::mem::take(&mut self.run), batch_rows)));
        Merge::try_new(sources, result_rows)
    }
}

/// Bytes of the values that the batch shows, not of the buffers that it shares.
fn size_bytes(rows: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    rows.columns().iter().map(size).sum::<usize>() + rows.num_rows() * size_of::<(SortKey, u32, u32)>()
}

fn spilled_schema(schema: &SchemaRef) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(KEY_COLUMN, DataType::FixedSizeBinary(KEY_BYTES as i32), false)));
    Arc::new(Schema::new(fields))
}

fn with_keys(schema: &SchemaRef, batch: &SortedBatch) -> Result<RecordBatch> {
    let keys = FixedSizeBinaryArray::try_from_iter(batch.keys.iter().map(|key| key.to_bytes())).map_err(arrow_error)?;
    let mut columns = batch.rows.columns().to_vec();
    columns.push(Arc::new(keys));
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(arrow_error)
}

fn without_keys(batch: &RecordBatch) -> Result<SortedBatch> {
    let last = batch.num_columns() - 1;
    let keys = batch.column(last).as_fixed_size_binary();
    let keys = (0..keys.len()).map(|i| SortKey::from_bytes(keys.value(i))).collect();
    let rows = batch.project(&(0..last).collect::<Vec<_>>()).map_err(arrow_error)?;
    Ok(SortedBatch { rows, keys })
}

/// One run in memory, handed out in order.
struct SortedRun {
    batches: Vec<RecordBatch>,
    rows: Vec<(SortKey, u32, u32)>,
    at: usize,
    batch_rows: usize,
}

impl SortedRun {
    fn new(run: Run, batch_rows: usize) -> Self {
        let Run { batches, mut rows, .. } = run;
        rows.sort_unstable();
        Self { batches, rows, at: 0, batch_rows }
    }

    fn next(&mut self) -> Result<Option<SortedBatch>> {
        let rows = &self.rows[self.at..self.rows.len().min(self.at + self.batch_rows)];
        if rows.is_empty() {
            return Ok(None);
        }
        self.at += rows.len();
        let picks: Vec<_> = rows.iter().map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
        let keys = rows.iter().map(|(key, ..)| *key).collect();
        let batches: Vec<_> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &picks).map_err(arrow_error)?;
        Ok(Some(SortedBatch { rows, keys }))
    }
}

enum Source {
    Memory(SortedRun),
    Spilled { reader: Box<StreamReader<BufReader<ObjectReader>>>, _spill: Spill },
}

impl Source {
    fn next(&mut self) -> Result<Option<SortedBatch>> {
        match self {
            Self::Memory(run) => run.next(),
            Self::Spilled { reader, .. } => match reader.next() {
                Some(batch) => without_keys(&batch.map_err(arrow_error)?).map(Some),
                None => Ok(None),
            },
        }
    }
}

/// A source's place in the merge.
struct Cursor {
    source: Source,
    keys: Vec<SortKey>,
    row: usize,
    /// Where its batch lies among the ones that the next result draws from.
    batch: usize,
}

/// Merges sorted sources.
pub(crate) struct Merge {
    cursors: Vec<Cursor>,
    batches: Vec<RecordBatch>,
    heads: BinaryHeap<Reverse<(SortKey, usize)>>,
    result_rows: usize,
}

impl Merge {
    fn try_new(sources: Vec<Source>, result_rows: usize) -> Result<Self> {
        let mut merge = Self { cursors: Vec::new(), batches: Vec::new(), heads: BinaryHeap::new(), result_rows };
        for source in sources {
            merge.cursors.push(Cursor { source, keys: Vec::new(), row: 0, batch: 0 });
            merge.load(merge.cursors.len() - 1)?;
        }
        Ok(merge)
    }

    /// Takes a source's next batch in.
    fn load(&mut self, cursor: usize) -> Result<()> {
        let place = &mut self.cursors[cursor];
        place.keys.clear();
        if let Some(batch) = place.source.next()? {
            place.keys = batch.keys;
            place.row = 0;
            place.batch = self.batches.len();
            self.batches.push(batch.rows);
            self.heads.push(Reverse((place.keys[0], cursor)));
        }
        Ok(())
    }

    /// The next rows; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<SortedBatch>> {
        let (mut picks, mut keys) = (Vec::with_capacity(self.result_rows), Vec::with_capacity(self.result_rows));
        while picks.len() < self.result_rows
            && let Some(Reverse((key, cursor))) = self.heads.pop()
        {
            let place = &mut self.cursors[cursor];
            picks.push((place.batch, place.row));
            keys.push(key);
            place.row += 1;
            match place.keys.get(place.row) {
                Some(next) => self.heads.push(Reverse((*next, cursor))),
                None => self.load(cursor)?,
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batches: Vec<_> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &picks).map_err(arrow_error)?;
        self.keep_open_batches();
        Ok(Some(SortedBatch { rows, keys }))
    }

    /// Lets go of the batches that are used up.
    fn keep_open_batches(&mut self) {
        let mut kept = Vec::with_capacity(self.cursors.len());
        for place in self.cursors.iter_mut().filter(|place| place.row < place.keys.len()) {
            kept.push(self.batches[place.batch].clone());
            place.batch = kept.len() - 1;
        }
        self.batches = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::recording::RecordingDisk;
    use arrow_array::{Int64Array, types::Int64Type};

    #[test]
    fn more_rows_than_a_run_come_out_in_order() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let disk = Arc::new(RecordingDisk::with_scratch());
        let mut sorter = Sorter::new(&Objects::new(disk.clone()), schema.clone(), 20_000);
        let (mut expected, mut seed) = (Vec::<i64>::new(), 1_u64);
        for _ in 0..40 {
            let values: Vec<i64> = (0..100)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 40) as i64
                })
                .collect();
            let key = |v: &i64| SortKey { has_no_place: false, order: *v as u64, hash: 0 };
            let keys: Vec<_> = values.iter().map(key).collect();
            expected.extend(&values);
            let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(values))]).expect("rows");
            sorter.push(rows, &keys).expect("room");
        }
        assert!(sorter.spills.len() > 3, "{} runs", sorter.spills.len());
        expected.sort_unstable();
        let (mut merge, mut found) = (sorter.finish().expect("whole"), Vec::new());
        while let Some(batch) = merge.next().expect("whole") {
            found.extend_from_slice(batch.rows.column(0).as_primitive::<Int64Type>().values());
        }
        assert_eq!(found, expected);
        drop(merge);
        assert!(disk.names("scratch").is_empty(), "spills are removed");
    }
}
