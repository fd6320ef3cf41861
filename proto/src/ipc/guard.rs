//! What must hold of an IPC message before any of its numbers is followed.

use super::IpcLimits;
use arrow_ipc::{Endianness, Field, Message, MessageHeader, MetadataVersion};
use arrow_schema::{DataType, Schema, SchemaRef};
use flatbuffers::VerifierOptions;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The message in these bytes, if they are a well-formed flatbuffer of bearable size.
pub(super) fn message(metadata: &[u8]) -> Result<Message<'_>> {
    let options = VerifierOptions {
        max_depth: 64,
        max_tables: 100_000,
        max_apparent_size: 64 << 20,
        ignore_missing_null_terminator: false,
    };
    let message = arrow_ipc::root_as_message_with_opts(&options, metadata)
        .map_err(|_| Error::invalid_data("an IPC message has metadata that is not an Arrow flatbuffer"))?;
    if message.version() != MetadataVersion::V5 && message.version() != MetadataVersion::V4 {
        return Err(Error::invalid_data(format!(
            "an IPC message has metadata version V4 or V5, found {:?}",
            message.version()
        )));
    }
    Ok(message)
}

/// The schema of a schema message, if its fields keep to the limits.
pub(super) fn schema<'a>(message: &Message<'a>, limits: &IpcLimits) -> Result<arrow_ipc::Schema<'a>> {
    let schema = message.header_as_schema().ok_or_else(|| unexpected("schema", message))?;
    if message.bodyLength() != 0 {
        return Err(Error::invalid_data(format!("a schema message has no body, found {} bytes", message.bodyLength())));
    }
    if schema.endianness() != Endianness::Little {
        return Err(Error::invalid_data("a schema message is little-endian, found another byte order"));
    }
    let mut columns = 0;
    for field in schema.fields().into_iter().flatten() {
        check_field(&field, 1, &mut columns, limits)?;
    }
    if columns == 0 {
        return Err(Error::invalid_data("a schema has at least one column, found none"));
    }
    Ok(schema)
}

fn check_field(field: &Field<'_>, depth: usize, columns: &mut usize, limits: &IpcLimits) -> Result<()> {
    let name = || quoted(field.name().unwrap_or_default());
    *columns += 1;
    if *columns > limits.columns_max {
        return Err(Error::invalid_data(format!("a schema has at most {} columns, found more", limits.columns_max)));
    }
    if depth > limits.depth_max {
        return Err(Error::invalid_data(format!(
            "the types of a schema nest at most {} deep, found more in column {}",
            limits.depth_max,
            name()
        )));
    }
    if field.dictionary().is_some() {
        return Err(Error::invalid_data(format!(
            "dictionaries are not accepted, found one in schema column {}",
            name()
        )));
    }
    field.children().into_iter().flatten().try_for_each(|child| check_field(&child, depth + 1, columns, limits))
}

/// Checks that every column has a type whose buffers this guard can count.
pub(super) fn types(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        if !is_countable(field.data_type()) {
            return Err(Error::invalid_data(format!(
                "schema column {} has type {}, which is not accepted",
                quoted(field.name()),
                quoted(&field.data_type().to_string())
            )));
        }
    }
    Ok(())
}

fn is_countable(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Utf8View
        | T::BinaryView
        | T::ListView(_)
        | T::LargeListView(_)
        | T::Union(..)
        | T::Dictionary(..)
        | T::RunEndEncoded(..)
        | T::Map(..) => false,
        T::FixedSizeBinary(size) => *size > 0,
        T::FixedSizeList(item, size) => *size > 0 && is_countable(item.data_type()),
        T::List(item) | T::LargeList(item) => is_countable(item.data_type()),
        T::Struct(fields) => !fields.is_empty() && fields.iter().all(|f| is_countable(f.data_type())),
        _ => true,
    }
}

/// The record batch of a message, if its counts and places agree with the schema, the body and the limits.
pub(super) fn batch<'a>(
    message: &Message<'a>,
    schema: &SchemaRef,
    body_bytes: usize,
    limits: &IpcLimits,
) -> Result<arrow_ipc::RecordBatch<'a>> {
    let batch = message.header_as_record_batch().ok_or_else(|| unexpected("record batch", message))?;
    if batch.compression().is_some() {
        return Err(Error::invalid_data("compressed batches are not accepted"));
    }
    if usize::try_from(message.bodyLength()) != Ok(body_bytes) {
        return Err(Error::data_loss(format!(
            "a record batch declares a body of {} bytes, found {body_bytes}",
            message.bodyLength()
        )));
    }
    if usize::try_from(batch.length()).map_or(true, |rows| rows > limits.rows_max) {
        return Err(Error::invalid_data(format!(
            "a record batch has 0 to {} rows, found {}",
            limits.rows_max,
            batch.length()
        )));
    }
    if batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err(Error::invalid_data("view types are not accepted, found variadic buffers"));
    }
    check_nodes(&batch, schema)?;
    check_buffers(&batch, schema, body_bytes)?;
    Ok(batch)
}

fn check_nodes(batch: &arrow_ipc::RecordBatch<'_>, schema: &Schema) -> Result<()> {
    let nodes = batch.nodes().ok_or_else(|| Error::invalid_data("a record batch has field nodes, found none"))?;
    let expected: usize = schema.fields().iter().map(|f| places(f.data_type()).0).sum();
    if nodes.len() != expected {
        return Err(Error::invalid_data(format!("a record batch has {expected} field nodes, found {}", nodes.len())));
    }
    for (i, node) in nodes.iter().enumerate() {
        if !(0..=i64::from(i32::MAX)).contains(&node.length()) || !(0..=node.length()).contains(&node.null_count()) {
            return Err(Error::invalid_data(format!(
                "field node {i} has a length within 32 bits and no more nulls than that, found {} and {}",
                node.length(),
                node.null_count()
            )));
        }
    }
    let mut at = 0;
    for field in schema.fields() {
        if nodes.get(at).length() != batch.length() {
            return Err(Error::invalid_data(format!(
                "column {} has as many rows as its batch, {}, found {}",
                quoted(field.name()),
                batch.length(),
                nodes.get(at).length()
            )));
        }
        at += places(field.data_type()).0;
    }
    Ok(())
}

/// Buffers must follow each other: if they could overlap, a small body could stand for any amount of memory.
fn check_buffers(batch: &arrow_ipc::RecordBatch<'_>, schema: &Schema, body_bytes: usize) -> Result<()> {
    let buffers = batch.buffers().ok_or_else(|| Error::invalid_data("a record batch has buffers, found none"))?;
    let expected: usize = schema.fields().iter().map(|f| places(f.data_type()).1).sum();
    if buffers.len() != expected {
        return Err(Error::invalid_data(format!("a record batch has {expected} buffers, found {}", buffers.len())));
    }
    let mut end = 0;
    for (i, buffer) in buffers.iter().enumerate() {
        let offset = u64::try_from(buffer.offset()).ok().filter(|offset| *offset >= end || buffer.length() == 0);
        let next =
            offset.zip(u64::try_from(buffer.length()).ok()).and_then(|(offset, length)| offset.checked_add(length));
        end = next.filter(|next| *next <= body_bytes as u64).map(|next| next.max(end)).ok_or_else(|| {
            Error::invalid_data(format!(
                "buffer {i} lies inside the body of {body_bytes} bytes and after the one before, found offset {} length {}",
                buffer.offset(),
                buffer.length()
            ))
        })?;
    }
    Ok(())
}

/// How many field nodes and how many buffers a column of this type takes.
fn places(data_type: &DataType) -> (usize, usize) {
    use DataType as T;
    let below = |fields: &[&arrow_schema::FieldRef], own: usize| {
        fields.iter().map(|f| places(f.data_type())).fold((1, own), |(n, b), (nodes, buffers)| (n + nodes, b + buffers))
    };
    match data_type {
        T::Null => (1, 0),
        T::Utf8 | T::LargeUtf8 | T::Binary | T::LargeBinary => (1, 3),
        T::List(item) | T::LargeList(item) => below(&[item], 2),
        T::FixedSizeList(item, _) => below(&[item], 1),
        T::Struct(fields) => below(&fields.iter().collect::<Vec<_>>(), 1),
        _ => (1, 2),
    }
}

fn unexpected(expected: &str, message: &Message<'_>) -> Error {
    let found = match message.header_type() {
        MessageHeader::Schema => "a schema",
        MessageHeader::RecordBatch => "a record batch",
        MessageHeader::DictionaryBatch => "a dictionary",
        _ => "something else",
    };
    Error::invalid_data(format!("a {expected} message was expected, found {found}"))
}
