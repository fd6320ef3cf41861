//! `GeoParquet`: the rows as they are, compressed, with what the geometry column is.

use super::{FileSubject, RowWriter, Sink, failed};
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use ukimet_model::Result;
use ukimet_model::batch::GEOMETRY_COLUMN;
use ukimet_model::crs::CRS84_PROJJSON;

/// Rows of a group at most: it is held in memory until it is complete.
const GROUP_ROWS: usize = 131_072;
/// Bytes of a group, as they are held in memory, beyond which it is complete.
const GROUP_BYTES: usize = 64 << 20;

pub(super) fn writer(sink: Sink, subject: &FileSubject) -> Result<Box<dyn RowWriter>> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES));
    if subject.schema.column_with_name(GEOMETRY_COLUMN).is_some() {
        let crs: serde_json::Value = serde_json::from_str(CRS84_PROJJSON).expect("the constant is JSON");
        let geometry = json!({ "encoding": "WKB", "geometry_types": [], "crs": crs });
        let geo =
            json!({ "version": "1.1.0", "primary_column": GEOMETRY_COLUMN, "columns": { GEOMETRY_COLUMN: geometry } });
        properties = properties.set_key_value_metadata(Some(vec![KeyValue::new("geo".to_owned(), geo.to_string())]));
    }
    let writer = ArrowWriter::try_new(sink, Arc::clone(&subject.schema), Some(properties.build())).map_err(failed)?;
    Ok(Box::new(writer))
}

impl RowWriter for ArrowWriter<Sink> {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        ArrowWriter::write(self, rows).map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.into_inner().map_err(failed)?.flush().map_err(failed)
    }
}
