//! Arrow IPC messages one by one: written for the wire, and read from a peer that is not trusted.
//!
//! A message is encapsulated as the Arrow format says: `FF FF FF FF`, the length of the metadata as a little-endian
//! 32-bit number, the metadata (a flatbuffer `Message`, padded so that the body starts at a multiple of 8), the body.
//! Bodies are never compressed, dictionaries are never used, the metadata version is V5.
//!
//! Reading never trusts a number: the flatbuffer is verified, every buffer must lie inside the body and after the one
//! before it, counts have limits, and the arrays are then validated value by value.

mod guard;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// What every message begins with.
const CONTINUATION_MARKER: [u8; 4] = [0xff; 4];

/// What a message may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpcLimits {
    /// Columns of a schema, nested ones included.
    pub columns_max: usize,
    /// How deep types may nest; a plain column has depth 1.
    pub depth_max: usize,
    /// Rows of a batch.
    pub rows_max: usize,
    /// Bytes of a message, framing included.
    pub message_bytes_max: usize,
}

impl Default for IpcLimits {
    fn default() -> Self {
        Self { columns_max: 2_048, depth_max: 8, rows_max: 1 << 20, message_bytes_max: 64 << 20 }
    }
}

/// A record batch message and how many rows it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBatch {
    /// The encapsulated message.
    pub message: Bytes,
    /// Its rows.
    pub rows: usize,
}

/// Writes a schema message.
///
/// # Errors
///
/// `Internal` if the schema holds something that these messages do not carry.
pub fn encode_schema(schema: &Schema) -> Result<Bytes> {
    let options = write_options()?;
    let mut tracker = DictionaryTracker::new(true);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(schema, &mut tracker, &options);
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options).map_err(|e| not_written(&e))?;
    Ok(message.into())
}

/// Writes a batch as one message, however large it gets.
///
/// # Errors
///
/// `Internal` if the batch holds dictionaries.
pub fn encode_batch(rows: &RecordBatch) -> Result<Bytes> {
    let options = write_options()?;
    let mut tracker = DictionaryTracker::new(true);
    let mut context = IpcWriteContext::default();
    let (dictionaries, encoded) =
        IpcDataGenerator::default().encode(rows, &mut tracker, &options, &mut context).map_err(|e| not_written(&e))?;
    if !dictionaries.is_empty() {
        return Err(Error::internal("a batch for the wire has no dictionaries, found some"));
    }
    let mut message = Vec::with_capacity(encoded.ipc_message.len() + encoded.arrow_data.len() + 16);
    write_message(&mut message, encoded, &options).map_err(|e| not_written(&e))?;
    Ok(message.into())
}

/// Writes a batch as messages of at most `bytes_max`, rows in order.
///
/// A single row that is larger than `bytes_max` gets a message of its own, up to `row_bytes_max`.
/// A batch without rows gives no message.
///
/// # Errors
///
/// `LimitReached` if one row is larger than `row_bytes_max`, else as [`encode_batch`].
pub fn encode_batches(rows: &RecordBatch, bytes_max: usize, row_bytes_max: usize) -> Result<Vec<EncodedBatch>> {
    let mut messages = Vec::new();
    let mut pieces: VecDeque<RecordBatch> = cut(rows, rows_that_fit(rows, bytes_max)).into();
    while let Some(piece) = pieces.pop_front() {
        let message = encode_batch(&piece)?;
        let rows = piece.num_rows();
        if message.len() > bytes_max && rows > 1 {
            for half in cut(&piece, rows.div_ceil(2)).into_iter().rev() {
                pieces.push_front(half);
            }
        } else if message.len() > row_bytes_max.max(bytes_max) {
            return Err(Error::limit_reached(format!(
                "a row takes {} bytes as a message, at most {row_bytes_max} are allowed",
                message.len()
            )));
        } else {
            messages.push(EncodedBatch { message, rows });
        }
    }
    Ok(messages)
}

/// Reads a schema message from a peer that is not trusted.
///
/// # Errors
///
/// `InvalidData` saying what is wrong with the schema, `DataLoss` if the message is cut, `LimitReached` never: a schema
/// beyond the limits is `InvalidData` naming the limit.
pub fn decode_schema(message: &[u8], limits: &IpcLimits) -> Result<SchemaRef> {
    let (metadata, body) = split(message, limits)?;
    if !body.is_empty() {
        return Err(Error::invalid_data(format!("a schema message has no body, found {} bytes", body.len())));
    }
    decode_schema_metadata(metadata, limits)
}

/// As [`decode_schema`], from the bare flatbuffer that Arrow Flight carries as `data_header`.
pub fn decode_schema_metadata(metadata: &[u8], limits: &IpcLimits) -> Result<SchemaRef> {
    let message = guard::message(metadata)?;
    let schema = guard::schema(&message, limits)?;
    let schema = catch_unwind(AssertUnwindSafe(|| arrow_ipc::convert::fb_to_schema(schema)))
        .map_err(|_| Error::invalid_data("a schema message names a type that does not exist"))?;
    guard::types(&schema)?;
    Ok(schema.into())
}

/// Reads a record batch message from a peer that is not trusted.
///
/// # Errors
///
/// `InvalidData` naming what was expected and what was found, with the column where one is to blame; `DataLoss` if the
/// message is cut.
pub fn decode_batch(message: &Bytes, schema: &SchemaRef, limits: &IpcLimits) -> Result<RecordBatch> {
    let (metadata, body) = split(message, limits)?;
    decode_batch_parts(metadata, &message.slice_ref(body), schema, limits)
}

/// As [`decode_batch`], from the bare flatbuffer and body that Arrow Flight carries as `data_header` and `data_body`.
pub fn decode_batch_parts(
    metadata: &[u8],
    body: &Bytes,
    schema: &SchemaRef,
    limits: &IpcLimits,
) -> Result<RecordBatch> {
    let message = guard::message(metadata)?;
    let batch = guard::batch(&message, schema, body.len(), limits)?;
    let body = Buffer::from(body.clone());
    let version = message.version();
    let read = |columns: Option<&[usize]>| read_columns(&body, batch, schema, version, columns);
    let rows = read(None).map_err(|error| match (0..schema.fields().len()).find(|i| read(Some(&[*i])).is_err()) {
        Some(column) => error.context(format!("column {}", quoted(schema.field(column).name()))),
        None => error,
    })?;
    match schema.fields().iter().zip(rows.columns()).find(|(f, c)| !f.is_nullable() && c.null_count() > 0) {
        Some((field, _)) => {
            Err(Error::invalid_data(format!("column {} may not be null, found nulls", quoted(field.name()))))
        }
        None => Ok(rows),
    }
}

fn read_columns(
    body: &Buffer,
    batch: arrow_ipc::RecordBatch<'_>,
    schema: &SchemaRef,
    version: MetadataVersion,
    columns: Option<&[usize]>,
) -> Result<RecordBatch> {
    let dictionaries = HashMap::new();
    catch_unwind(AssertUnwindSafe(|| {
        RecordBatchDecoder::try_new(body, batch, SchemaRef::clone(schema), &dictionaries, &version)?
            .with_projection(columns)
            .read_record_batch()
    }))
    .map_err(|_| Error::invalid_data("a record batch does not hold what its counts say"))?
    .map_err(|error| Error::invalid_data("a record batch is not valid").caused_by(error))
}

/// Parts an encapsulated message into metadata and body.
fn split<'a>(message: &'a [u8], limits: &IpcLimits) -> Result<(&'a [u8], &'a [u8])> {
    if message.len() > limits.message_bytes_max {
        return Err(Error::invalid_data(format!(
            "an IPC message has at most {} bytes, found {}",
            limits.message_bytes_max,
            message.len()
        )));
    }
    let (prefix, rest) = message
        .split_at_checked(8)
        .ok_or_else(|| Error::data_loss(format!("an IPC message has a prefix of 8 bytes, found {}", message.len())))?;
    if prefix[..4] != CONTINUATION_MARKER {
        return Err(Error::invalid_data(format!(
            "an IPC message begins with ffffffff, found {:02x}{:02x}{:02x}{:02x}",
            prefix[0], prefix[1], prefix[2], prefix[3]
        )));
    }
    let length = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    if !length.is_multiple_of(8) || length == 0 {
        return Err(Error::invalid_data(format!("IPC metadata has a multiple of 8 bytes, found {length}")));
    }
    rest.split_at_checked(length)
        .ok_or_else(|| Error::data_loss(format!("IPC metadata has {length} bytes by its prefix, found {}", rest.len())))
}

/// How many rows go into a message of `bytes_max`, by their average size.
fn rows_that_fit(rows: &RecordBatch, bytes_max: usize) -> usize {
    let bytes: usize =
        rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(c.get_array_memory_size())).sum();
    let count = rows.num_rows();
    if bytes < bytes_max { count.max(1) } else { (count * (bytes_max / 8 * 7) / bytes).max(1) }
}

fn cut(rows: &RecordBatch, rows_max: usize) -> Vec<RecordBatch> {
    (0..rows.num_rows()).step_by(rows_max).map(|at| rows.slice(at, rows_max.min(rows.num_rows() - at))).collect()
}

fn write_options() -> Result<IpcWriteOptions> {
    IpcWriteOptions::try_new(8, false, MetadataVersion::V5).map_err(|e| not_written(&e))
}

fn not_written(error: &ArrowError) -> Error {
    Error::internal(format!("an IPC message could not be written: {error}"))
}

#[cfg(test)]
mod tests;
