//! Round trips, and every door that a hostile peer may try.

use super::*;
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, StringArray, StructArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use std::sync::Arc;
use ukimet_model::ErrorKind;

fn rows() -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Boolean, true)),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef,
    )]);
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
        ("name", Arc::new(StringArray::from(vec![Some("Ақтау"), None, Some("")])), true),
        ("wkb", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x01\x02"), None, None])), true),
        ("list", Arc::new(lists.finish()), true),
        ("struct", Arc::new(inner), true),
    ])
    .expect("columns of one length")
}

fn decode(message: &[u8], schema: &SchemaRef) -> Result<RecordBatch> {
    decode_batch(&Bytes::copy_from_slice(message), schema, &IpcLimits::default())
}

fn message_part(error: &Error, kind: ErrorKind, part: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(part), "{error} should say {part:?}");
}

#[test]
fn a_schema_and_its_batches_come_back_as_they_were() {
    let rows = rows();
    let schema = decode_schema(&encode_schema(rows.schema_ref()).expect("written"), &IpcLimits::default());
    let schema = schema.expect("read");
    assert_eq!(&schema, rows.schema_ref());
    for slice in [rows.clone(), rows.slice(1, 2), rows.slice(0, 0)] {
        assert_eq!(decode(&encode_batch(&slice).expect("written"), &schema).expect("read"), slice);
    }
}

#[test]
fn a_batch_is_cut_until_its_messages_are_small() {
    let texts: Vec<String> = (0..1_000).map(|i| "x".repeat(if i < 10 { 5_000 } else { 10 })).collect();
    let rows = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(texts)) as ArrayRef)]).expect("valid");
    let messages = encode_batches(&rows, 12_000, 20_000).expect("written");
    assert!(messages.len() > 5 && messages.iter().all(|m| m.message.len() <= 12_000));
    let back: Vec<RecordBatch> =
        messages.iter().map(|m| decode(&m.message, rows.schema_ref()).expect("read")).collect();
    assert_eq!(arrow_rows(&back), arrow_rows(std::slice::from_ref(&rows)));
    assert_eq!(messages.iter().map(|m| m.rows).sum::<usize>(), 1_000);
    assert!(encode_batches(&rows.slice(0, 0), 12_000, 20_000).expect("written").is_empty());
    let one = encode_batches(&rows.slice(0, 2), 2_000, 20_000).expect("written");
    assert_eq!(one.iter().map(|m| m.rows).collect::<Vec<_>>(), [1, 1]);
    let error = encode_batches(&rows, 2_000, 3_000).expect_err("a row of 5,000 bytes");
    message_part(&error, ErrorKind::LimitReached, "3000");
}

fn arrow_rows(batches: &[RecordBatch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|b| {
            let column = b.column(0).as_any().downcast_ref::<StringArray>().expect("text");
            column.iter().map(|t| t.unwrap_or_default().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_cut_message_is_data_loss_at_every_length() {
    let rows = rows();
    let message = encode_batch(&rows).expect("written");
    for length in 0..message.len() {
        let error = decode(&message[..length], rows.schema_ref()).expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{length}: {error}");
    }
    let mut long = message.to_vec();
    long.extend([0; 8]);
    message_part(&decode(&long, rows.schema_ref()).expect_err("long"), ErrorKind::DataLoss, "declares a body");
}

#[test]
fn a_flipped_byte_never_panics_and_never_breaks_text() {
    let rows = rows();
    for message in [encode_batch(&rows).expect("written"), encode_schema(rows.schema_ref()).expect("written")] {
        for at in 0..message.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut bytes = message.to_vec();
                bytes[at] ^= mask;
                let _ = decode_schema(&bytes, &IpcLimits::default());
                let Ok(read) = decode(&bytes, rows.schema_ref()) else { continue };
                for column in read.columns() {
                    column.to_data().validate_full().expect("what is read is valid");
                }
            }
        }
    }
}

/// The messages of an IPC stream as arrow writes it, each encapsulated.
fn stream(rows: &RecordBatch, options: IpcWriteOptions) -> Vec<Vec<u8>> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), rows.schema_ref(), options).expect("begins");
    writer.write(rows).expect("writes");
    let bytes = writer.into_inner().expect("ends");
    let mut messages = Vec::new();
    let mut at = 0;
    while at + 8 < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four")) as usize;
        let metadata = &bytes[at + 8..at + 8 + length];
        let body = arrow_ipc::root_as_message(metadata).expect("message").bodyLength() as usize;
        messages.push(bytes[at..at + 8 + length + body].to_vec());
        at += 8 + length + body;
    }
    messages
}

#[test]
fn compressed_batches_are_refused() {
    let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![7; 10_000])) as ArrayRef)]);
    let rows = rows.expect("valid");
    let options = IpcWriteOptions::default()
        .try_with_compression(Some(arrow_ipc::CompressionType::LZ4_FRAME))
        .expect("lz4 is there");
    let messages = stream(&rows, options);
    let error = decode(&messages[1], rows.schema_ref()).expect_err("compressed");
    message_part(&error, ErrorKind::InvalidData, "compressed batches are not accepted");
}

#[test]
fn messages_of_the_wrong_kind_are_named() {
    let rows = rows();
    let schema = encode_schema(rows.schema_ref()).expect("written");
    let batch = encode_batch(&rows).expect("written");
    let error = decode(&schema, rows.schema_ref()).expect_err("a schema");
    message_part(&error, ErrorKind::InvalidData, "record batch message was expected, found a schema");
    let metadata = split(&batch, &IpcLimits::default()).expect("framed").0;
    let error = decode_schema_metadata(metadata, &IpcLimits::default()).expect_err("a batch");
    message_part(&error, ErrorKind::InvalidData, "schema message was expected, found a record batch");
    let error = decode_schema(b"PK\x03\x04 and so on", &IpcLimits::default()).expect_err("a zip");
    message_part(&error, ErrorKind::InvalidData, "begins with ffffffff, found 504b0304");
}

#[test]
fn offsets_that_lie_name_their_column() {
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["ab", "cd"]))),
    ])
    .expect("valid");
    let message = encode_batch(&rows).expect("written");
    let offsets: Vec<u8> = [0_i32, 2, 4].iter().flat_map(|n| n.to_le_bytes()).collect();
    let at = message.windows(12).position(|w| w == offsets).expect("the offsets are in the body");
    for lie in [[0_i32, 4, 2], [0, 2, 400], [0, -2, 4], [0, i32::MAX, i32::MAX]] {
        let mut bytes = message.to_vec();
        bytes[at..at + 12].copy_from_slice(&lie.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
        let error = decode(&bytes, rows.schema_ref()).expect_err("a lie");
        message_part(&error, ErrorKind::InvalidData, "column \"name\"");
    }
    let mut bytes = message.to_vec();
    let text = message.windows(4).rposition(|w| w == b"abcd").expect("the text is in the body");
    bytes[text] = 0xff;
    message_part(&decode(&bytes, rows.schema_ref()).expect_err("not UTF-8"), ErrorKind::InvalidData, "\"name\"");
}

#[test]
fn a_schema_keeps_to_its_limits() {
    let limits = IpcLimits::default();
    let wide: Vec<Field> = (0..3_000).map(|i| Field::new(format!("c{i}"), DataType::Boolean, true)).collect();
    let error = decode_schema(&encode_schema(&Schema::new(wide)).expect("written"), &limits).expect_err("wide");
    message_part(&error, ErrorKind::InvalidData, "at most 2048 columns");
    let deep = (0..20).fold(DataType::Boolean, |t, _| DataType::List(Arc::new(Field::new("item", t, true))));
    let deep = Schema::new(vec![Field::new("deep", deep, true)]);
    let error = decode_schema(&encode_schema(&deep).expect("written"), &limits).expect_err("deep");
    message_part(&error, ErrorKind::InvalidData, "nest at most 8 deep");
    let error = decode_schema(&encode_schema(&Schema::empty()).expect("written"), &limits).expect_err("empty");
    message_part(&error, ErrorKind::InvalidData, "schema has at least one column");
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionary = Schema::new(vec![Field::new("d", dictionary, true)]);
    let error = decode_schema(&encode_schema(&dictionary).expect("written"), &limits).expect_err("dictionary");
    message_part(&error, ErrorKind::InvalidData, "dictionaries are not accepted");
    let view = Schema::new(vec![Field::new("v", DataType::Utf8View, true)]);
    let error = decode_schema(&encode_schema(&view).expect("written"), &limits).expect_err("view");
    message_part(&error, ErrorKind::InvalidData, "schema column \"v\"");
}

#[test]
fn a_batch_keeps_to_its_limits_and_its_schema() {
    let rows = rows();
    let message = encode_batch(&rows).expect("written");
    let limits = IpcLimits { rows_max: 2, ..IpcLimits::default() };
    let error = decode_batch(&message, rows.schema_ref(), &limits).expect_err("three rows");
    message_part(&error, ErrorKind::InvalidData, "0 to 2 rows, found 3");
    let limits = IpcLimits { message_bytes_max: 100, ..IpcLimits::default() };
    let error = decode_batch(&message, rows.schema_ref(), &limits).expect_err("long");
    message_part(&error, ErrorKind::InvalidData, "at most 100 bytes");
    let other = Schema::new(vec![Field::new("only", DataType::Utf8, true)]).into();
    let error = decode(&message, &other).expect_err("another schema");
    message_part(&error, ErrorKind::InvalidData, "1 field nodes, found 7");
    let strict: Vec<Field> = rows.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(false)).collect();
    assert!(decode(&message, &Schema::new(strict).into()).is_err());
}
