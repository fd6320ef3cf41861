//! Change lists as files.
//!
//! A file is [`MAGIC`], the values, the keys, the list, and the bytes of all three as `u64`. The values are a Parquet file,
//! or nothing. The changes are sorted as a difference tells them; the keys are theirs. The list is a zstd frame: the number
//! of segments, their hashes; the number of column sets, each as its length and its columns; then for each of [`NUMBERS`]
//! the numbers of all changes, each less the one before it, because changes lie near each other. A missing number is
//! `u32::MAX`. Numbers are `u32`, keys `u128`, all big-endian.
//!
//! Lists of earlier releases begin with [`MAGIC_1`], the number of segments as `u64`, their hashes, the number of records
//! as `u64`, then the records: key, segment and position before, segment and position after.

use super::{Change, ChangeList, ColumnSet};
use crate::objects::{FinishedObject, Object, ObjectWriter, Objects};
use crate::rows::Place;
use crate::segment::{parquet_error, write_error};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use ukimet_model::{Error, Result, Sha256};

const MAGIC: &[u8; 8] = b"UKMCHNG2";
const MAGIC_1: &[u8; 8] = b"UKMCHNG1";
const RECORD_1_BYTES: usize = 32;
/// Segment and position before, segment and position after, column set, row of the values.
const NUMBERS: usize = 6;
const MISSING: u32 = u32::MAX;
/// Bytes of a key.
const KEY_BYTES: usize = 16;
/// Bytes behind the list.
const TAIL_BYTES: usize = 24;
const ZSTD_LEVEL: i32 = 3;
/// Values in a page of them.
const VALUES_PAGE_ROWS: usize = 1024;

/// Writes a list, and before it the values that are stored with it.
pub(crate) struct ListWriter {
    objects: Objects,
    to: ObjectWriter,
    values_bytes: u64,
}

impl ListWriter {
    pub(crate) fn begin(objects: &Objects) -> Result<Self> {
        let mut to = objects.writer()?;
        to.write_all(MAGIC).map_err(|e| objects.write_error("writing", "a change list", e))?;
        Ok(Self { objects: objects.clone(), to, values_bytes: 0 })
    }

    /// Begins the values; any of them may be null.
    pub(crate) fn values(&mut self, schema: &Schema) -> Result<ValuesWriter<'_>> {
        let field = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let schema = Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_data_page_row_count_limit(VALUES_PAGE_ROWS)
            .set_write_batch_size(VALUES_PAGE_ROWS);
        let ran_full = self.to.ran_full();
        let parquet = ArrowWriter::try_new(&mut self.to, Arc::clone(&schema), Some(properties.build()));
        Ok(ValuesWriter { schema, parquet: parquet.map_err(parquet_error)?, ran_full, bytes: &mut self.values_bytes })
    }

    pub(crate) fn finish(mut self, list: &ChangeList) -> Result<FinishedObject> {
        let failed = |e| self.objects.write_error("writing", "a change list", e);
        let keys: Vec<u8> = list.changes.iter().flat_map(|change| change.key.to_be_bytes()).collect();
        let frame = zstd::bulk::compress(&list.bytes(), ZSTD_LEVEL).map_err(failed)?;
        let lengths = [self.values_bytes, keys.len() as u64, frame.len() as u64].map(u64::to_be_bytes);
        for part in [&keys, &frame, lengths.as_flattened()] {
            self.to.write_all(part).map_err(failed)?;
        }
        self.to.finish()
    }
}

/// Writes the values that are stored with a list.
pub(crate) struct ValuesWriter<'a> {
    schema: SchemaRef,
    parquet: ArrowWriter<&'a mut ObjectWriter>,
    ran_full: Arc<AtomicBool>,
    bytes: &'a mut u64,
}

impl ValuesWriter<'_> {
    /// Takes rows with the columns that were begun.
    pub(crate) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let rows = rows.map_err(|e| Error::internal("values do not have their version's columns").caused_by(e))?;
        self.parquet.write(&rows).map_err(|e| write_error(e, &self.ran_full))
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.parquet.finish().map_err(|e| write_error(e, &self.ran_full))?;
        *self.bytes = self.parquet.bytes_written() as u64;
        Ok(())
    }
}

impl ChangeList {
    /// Sorts the changes as they are stored and told: gone and changed rows as they lay before, then new ones.
    pub(crate) fn sort(&mut self) {
        self.changes.sort_unstable_by_key(|change| (change.before.is_none(), change.before, change.after, change.key));
    }

    /// All but the keys.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.segments.len() * 32 + self.changes.len() * NUMBERS * 4);
        let put = |bytes: &mut Vec<u8>, number: u32| bytes.extend_from_slice(&number.to_be_bytes());
        put(&mut bytes, self.segments.len() as u32);
        self.segments.iter().for_each(|segment| bytes.extend_from_slice(&segment.0));
        put(&mut bytes, self.column_sets.len() as u32);
        for set in &self.column_sets {
            put(&mut bytes, set.len() as u32);
            for column in set {
                put(&mut bytes, *column);
            }
        }
        for which in 0..NUMBERS {
            let mut last = 0_u32;
            for change in &self.changes {
                let number = numbers(change)[which];
                put(&mut bytes, number.wrapping_sub(last));
                last = number;
            }
        }
        bytes
    }

    /// Reads a list whose bytes are known to be whole; the values that are stored with it, if there are any, as a file of
    /// their own.
    ///
    /// # Errors
    ///
    /// `Internal` if it is no change list.
    pub(crate) fn read(object: &Object) -> Result<(Self, Option<Object>)> {
        let broken = || Error::internal("a change list does not parse");
        let size_bytes = object.size_bytes();
        let magic = object.read(0, MAGIC.len().min(size_bytes as usize))?;
        if magic == MAGIC_1[..] {
            let list = Self::parse_1(&object.read(0, size_bytes as usize)?).ok_or_else(broken)?;
            return Ok((list, None));
        }
        let is_long_enough = magic == MAGIC[..] && size_bytes >= (MAGIC.len() + TAIL_BYTES) as u64;
        let tail_at = size_bytes.checked_sub(TAIL_BYTES as u64).filter(|_| is_long_enough).ok_or_else(broken)?;
        let tail = object.read(tail_at, TAIL_BYTES)?;
        let [keys_at, frame_at] = parts(&tail, tail_at).ok_or_else(broken)?;
        let keys = object.read(keys_at, (frame_at - keys_at) as usize)?;
        let frame = object.read(frame_at, (tail_at - frame_at) as usize)?;
        let values_bytes = keys_at - MAGIC.len() as u64;
        let list = Self::parse(&keys, &frame, values_bytes > 0).ok_or_else(broken)?;
        Ok((list, (values_bytes > 0).then(|| object.part(MAGIC.len() as u64, values_bytes))))
    }

    fn parse(keys: &[u8], frame: &[u8], has_values: bool) -> Option<Self> {
        let bytes = zstd::decode_all(frame).ok()?;
        let mut rest = &bytes[..];
        let segments = hashes(&mut rest)?;
        let sets = take(&mut rest)?;
        let column_sets = (0..sets).map(|_| column_set(&mut rest)).collect::<Option<Vec<_>>>()?;
        let (keys, []) = keys.as_chunks::<KEY_BYTES>() else { return None };
        if rest.len() != keys.len().checked_mul(4 * NUMBERS)? {
            return None;
        }
        let mut columns = rest.chunks_exact((4 * keys.len()).max(1)).map(undo_differences);
        let columns: [Vec<u32>; NUMBERS] = std::array::from_fn(|_| columns.next().unwrap_or_default());
        let changes = keys.iter().enumerate().map(|(i, key)| {
            let numbers = std::array::from_fn(|which| columns[which][i]);
            change(u128::from_be_bytes(*key), numbers, segments.len(), column_sets.len(), has_values)
        });
        let changes = changes.collect::<Option<Vec<_>>>()?;
        Some(Self { segments, column_sets, changes })
    }

    fn parse_1(bytes: &[u8]) -> Option<Self> {
        let (segments_count, rest) = bytes.strip_prefix(MAGIC_1)?.split_first_chunk::<8>()?;
        let segments_bytes = usize::try_from(u64::from_be_bytes(*segments_count)).ok()?.checked_mul(32)?;
        let (segments, rest) = rest.split_at_checked(segments_bytes)?;
        let (count, records) = rest.split_first_chunk::<8>()?;
        let size_bytes = usize::try_from(u64::from_be_bytes(*count)).ok()?.checked_mul(RECORD_1_BYTES)?;
        if records.len() != size_bytes {
            return None;
        }
        let segments: Vec<Sha256> = segments.as_chunks().0.iter().map(|hash| Sha256(*hash)).collect();
        let changes = records.as_chunks::<RECORD_1_BYTES>().0.iter().map(|record| {
            let (key, places) = record.split_first_chunk::<16>()?;
            let mut numbers = [MISSING; NUMBERS];
            for (number, bytes) in numbers.iter_mut().zip(places.as_chunks().0) {
                *number = u32::from_be_bytes(*bytes);
            }
            change(u128::from_be_bytes(*key), numbers, segments.len(), 0, false)
        });
        let changes = changes.collect::<Option<Vec<_>>>()?;
        Some(Self { segments, column_sets: Vec::new(), changes })
    }
}

/// Where the keys and the list begin, if these and the values are what is there.
fn parts(tail: &[u8], tail_at: u64) -> Option<[u64; 2]> {
    let [values, keys, frame] = tail.as_chunks::<8>().0 else { return None };
    let keys_at = u64::from_be_bytes(*values).checked_add(MAGIC.len() as u64)?;
    let frame_at = keys_at.checked_add(u64::from_be_bytes(*keys))?;
    (frame_at.checked_add(u64::from_be_bytes(*frame))? == tail_at).then_some([keys_at, frame_at])
}

fn numbers(change: &Change) -> [u32; NUMBERS] {
    let of = |place: Option<Place>| place.map_or([MISSING, 0], |place| [place.segment, place.position]);
    let ([before_in, before], [after_in, after]) = (of(change.before), of(change.after));
    let row = change.values.map_or(MISSING, |place| place.position);
    [before_in, before, after_in, after, change.columns.unwrap_or(MISSING), row]
}

/// A change from its numbers; `None` if one of them names what there is not.
fn change(key: u128, numbers: [u32; NUMBERS], segments: usize, sets: usize, has_values: bool) -> Option<Change> {
    let [before_in, before, after_in, after, columns, row] = numbers;
    let known = |number: u32, count: usize| match number {
        MISSING => Some(None),
        _ => ((number as usize) < count).then_some(Some(number)),
    };
    let place = |segment: u32, position: u32| -> Option<Option<Place>> {
        Some(known(segment, segments)?.map(|segment| Place { segment, position }))
    };
    let values = (row != MISSING).then_some(Place { segment: 0, position: row });
    if values.is_some() && !has_values {
        return None;
    }
    let (before, after) = (place(before_in, before)?, place(after_in, after)?);
    Some(Change { key, before, after, columns: known(columns, sets)?, values })
}

fn take(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn hashes(rest: &mut &[u8]) -> Option<Vec<Sha256>> {
    let count = take(rest)? as usize;
    let (hashes, after) = rest.split_at_checked(count.checked_mul(32)?)?;
    *rest = after;
    Some(hashes.as_chunks().0.iter().map(|hash| Sha256(*hash)).collect())
}

fn column_set(rest: &mut &[u8]) -> Option<ColumnSet> {
    let count = take(rest)?;
    (0..count).map(|_| take(rest)).collect()
}

/// The numbers that these are the differences of.
fn undo_differences(bytes: &[u8]) -> Vec<u32> {
    let mut last = 0_u32;
    let numbers = bytes.as_chunks::<4>().0.iter().map(|difference| {
        last = last.wrapping_add(u32::from_be_bytes(*difference));
        last
    });
    numbers.collect()
}
