//! Checkpoints: all that holds at one version as a Parquet file, so that readers need not begin at the beginning.

use crate::action::{Action, lines};
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// The bytes of a checkpoint with these actions. The same actions give the same bytes.
pub(crate) fn checkpoint(actions: &[Action]) -> Result<Vec<u8>> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::internal("writing a checkpoint of a Delta log").caused_by(e)
    };
    let schema = Arc::new(schema());
    let lines = lines(actions)?;
    let batches = ReaderBuilder::new(Arc::clone(&schema)).build(&lines[..]).map_err(|e| failed(e.into()))?;
    let properties = WriterProperties::builder()
        .set_created_by("ukimet-delta".to_owned())
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(|e| failed(e.into()))?;
    for batch in batches {
        let batch = batch.map_err(|e| failed(e.into()))?;
        writer.write(&batch).map_err(|e| failed(e.into()))?;
    }
    writer.into_inner().map_err(|e| failed(e.into()))
}

/// One column an action. Those that no log of ours has are there too, since some readers ask for them.
fn schema() -> Schema {
    let text = || DataType::Utf8;
    let texts = || DataType::List(Arc::new(field("element", text())));
    let vector = structure(&[
        ("storageType", text()),
        ("pathOrInlineDv", text()),
        ("offset", DataType::Int32),
        ("sizeInBytes", DataType::Int32),
        ("cardinality", DataType::Int64),
    ]);
    let format = structure(&[("provider", text()), ("options", map())]);
    let actions = [
        ("txn", structure(&[("appId", text()), ("version", DataType::Int64), ("lastUpdated", DataType::Int64)])),
        (
            "add",
            structure(&[
                ("path", text()),
                ("partitionValues", map()),
                ("size", DataType::Int64),
                ("modificationTime", DataType::Int64),
                ("dataChange", DataType::Boolean),
                ("stats", text()),
                ("deletionVector", vector),
            ]),
        ),
        (
            "remove",
            structure(&[("path", text()), ("deletionTimestamp", DataType::Int64), ("dataChange", DataType::Boolean)]),
        ),
        (
            "metaData",
            structure(&[
                ("id", text()),
                ("name", text()),
                ("description", text()),
                ("format", format),
                ("schemaString", text()),
                ("partitionColumns", texts()),
                ("configuration", map()),
                ("createdTime", DataType::Int64),
            ]),
        ),
        (
            "protocol",
            structure(&[
                ("minReaderVersion", DataType::Int32),
                ("minWriterVersion", DataType::Int32),
                ("readerFeatures", texts()),
                ("writerFeatures", texts()),
            ]),
        ),
    ];
    Schema::new(actions.map(|(name, data_type)| field(name, data_type)).to_vec())
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn structure(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, data_type)| field(name, data_type.clone())).collect())
}

/// A map from text to text.
fn map() -> DataType {
    let entry = Fields::from(vec![Field::new("key", DataType::Utf8, false), field("value", DataType::Utf8)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}
