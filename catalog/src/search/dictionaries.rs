//! Columns of text that come out as the dictionaries that they are stored as: each distinct value once a batch.

use crate::layer::schema_of;
use crate::segment::parquet_error;
use crate::segments::{OpenSegment, SegmentCache};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;
use ukimet_model::{Dataset, Result, Version};

/// Names of the columns of text that every segment of a version keeps as a dictionary throughout. Reads footers alone.
pub(crate) fn dictionary_columns(cache: &SegmentCache, dataset: &Dataset, version: &Version) -> Result<Vec<String>> {
    let schema = schema_of(&version.fields)?;
    let texts = schema.fields().iter().filter(|field| *field.data_type() == DataType::Utf8);
    let mut names: Vec<String> = texts.map(|field| field.name().clone()).collect();
    for segment in &version.segments {
        let open = cache.segment(&dataset.uuid, segment)?;
        names.retain(|name| is_all_dictionary(open.footer.metadata(), name));
    }
    if version.segments.is_empty() {
        names.clear();
    }
    Ok(names)
}

fn is_all_dictionary(metadata: &ParquetMetaData, name: &str) -> bool {
    metadata.row_groups().iter().all(|group| {
        let mut chunks = group.columns().iter();
        let chunk = chunks.find(|chunk| chunk.column_path().parts() == [name]);
        let pages = chunk.and_then(|chunk| chunk.page_encoding_stats_mask());
        pages.is_some_and(|pages| pages.is_only(Encoding::RLE_DICTIONARY))
    })
}

/// The same columns, these as dictionaries.
pub(crate) fn with_dictionaries(schema: &Schema, names: &[String]) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        if !names.contains(field.name()) {
            return Arc::clone(field);
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(field.data_type().clone()));
        Arc::new(Field::clone(field).with_data_type(dictionary))
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// A segment whose reader gives these columns as dictionaries.
pub(super) fn open_with_dictionaries(open: OpenSegment, names: &[String]) -> Result<OpenSegment> {
    if names.is_empty() {
        return Ok(open);
    }
    let options = ArrowReaderOptions::new().with_schema(with_dictionaries(open.footer.schema(), names));
    let footer = ArrowReaderMetadata::try_new(Arc::clone(open.footer.metadata()), options).map_err(parquet_error)?;
    Ok(OpenSegment { footer: Arc::new(footer), ..open })
}
