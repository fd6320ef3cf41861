//! Segments: `GeoParquet` files named by their content, written once, never changed.
//!
//! A segment holds the published columns, then a covering column of boxes for foreign readers. Row groups are large
//! and pages small: a window is read page by page, a scan in few large pieces.

use crate::claims::{Claims, ObjectClaim};
use crate::keys::{KeyRecord, write_keys};
use crate::objects::{FinishedObject, ObjectWriter, Objects};
use crate::options::CatalogOptions;
use crate::paths;
use crate::rowhash::key_hashes;
use crate::rtree::{OuterBox, build, outer_box};
use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ukimet_model::crs::CRS84_PROJJSON;
use ukimet_model::wkb::Shape;
use ukimet_model::{BoundingBox, DatasetUuid, Error, GEOMETRY_COLUMN, Result, SegmentRef, Sha256};

/// Who wrote the file, as Parquet asks; it changes when the bytes for the same rows change.
const CREATED_BY: &str = "ukimet-catalog format 2";

/// Key of the metadata by which a file differs from others of equal rows.
const MARK: &str = "ukimet.written";

/// Bytes of one column's dictionary in one row group: a window decodes all of it, however few its rows are.
const DICTIONARY_BYTES_MAX: usize = 16 << 10;

/// Rows as they go into a segment, with what was computed from them.
pub(crate) struct SegmentRows<'a> {
    pub(crate) rows: &'a RecordBatch,
    pub(crate) hashes: &'a [u128],
    /// Each row's geometry, `None` if it is null; empty for a table without geometry.
    pub(crate) shapes: &'a [Option<Shape>],
}

/// Writes one segment's three files.
pub(crate) struct SegmentWriter {
    objects: Objects,
    parquet: ArrowWriter<ObjectWriter>,
    ran_full: Arc<AtomicBool>,
    covering: Option<Covering>,
    /// Positions of the key's columns; none if a row's key is the whole row.
    key: Vec<usize>,
    keys: Vec<KeyRecord>,
    boxes: Vec<OuterBox>,
    bounds: Option<BoundingBox>,
    types: BTreeSet<String>,
}

/// The column of boxes.
struct Covering {
    schema: SchemaRef,
    name: String,
}

impl Covering {
    fn new(schema: &Schema) -> Self {
        let name = ukimet_model::batch::covering_name(schema);
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(&name, DataType::Struct(box_fields()), true)));
        Self { schema: Arc::new(Schema::new(fields)), name }
    }

    fn add_to(&self, rows: &RecordBatch, boxes: &[Option<OuterBox>]) -> Result<RecordBatch> {
        let side = |i: usize| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(boxes.iter().map(|outer| outer.map_or(0.0, |outer| outer[i]))))
        };
        let nulls = boxes.iter().map(Option::is_some).collect::<NullBuffer>();
        let column = StructArray::new(box_fields(), (0..4).map(side).collect(), Some(nulls));
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(column));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::internal("adding the column of boxes").caused_by(e))
    }
}

fn box_fields() -> Fields {
    ["xmin", "ymin", "xmax", "ymax"].map(|side| Field::new(side, DataType::Float32, false)).to_vec().into()
}

impl SegmentWriter {
    pub(crate) fn try_new(
        objects: &Objects,
        schema: &SchemaRef,
        key: &[usize],
        options: &CatalogOptions,
    ) -> Result<Self> {
        let covering = ukimet_model::batch::geometry_index(schema).map(|_| Covering::new(schema));
        let file_schema = covering.as_ref().map_or_else(|| Arc::clone(schema), |c| Arc::clone(&c.schema));
        let properties = properties(options, covering.as_ref().map(|covering| covering.name.as_str()));
        let writer = objects.writer()?;
        let ran_full = writer.ran_full();
        let parquet = ArrowWriter::try_new(writer, file_schema, Some(properties)).map_err(parquet_error)?;
        Ok(Self {
            ran_full,
            objects: objects.clone(),
            parquet,
            covering,
            key: key.to_vec(),
            keys: Vec::new(),
            boxes: Vec::new(),
            bounds: None,
            types: BTreeSet::new(),
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn write(&mut self, rows: &SegmentRows<'_>) -> Result<()> {
        let first = self.keys.len() as u32;
        let keys = key_hashes(rows.rows, &self.key, rows.hashes)?;
        let records = keys.iter().zip(rows.hashes).zip(first..);
        self.keys.extend(records.map(|((key, row), position)| KeyRecord { key: *key, row: *row, position }));
        let Some(covering) = &self.covering else {
            return self.parquet.write(rows.rows).map_err(|e| write_error(e, &self.ran_full));
        };
        let mut boxes = Vec::with_capacity(rows.shapes.len());
        for shape in rows.shapes {
            let bounds = shape.and_then(|shape| shape.bounds);
            boxes.push(bounds.map(outer_box));
            self.boxes.extend(bounds.map(outer_box));
            if let Some(bounds) = bounds {
                self.bounds = Some(self.bounds.map_or(bounds.into(), |all| all.union(&bounds.into())));
            }
            if let Some(shape) = shape {
                self.types.insert(geometry_type(shape));
            }
        }
        let with_boxes = covering.add_to(rows.rows, &boxes)?;
        self.parquet.write(&with_boxes).map_err(|e| write_error(e, &self.ran_full))
    }

    /// Makes the file another than one of the same rows that somebody else writes: a version may have equal rows twice, but
    /// no file.
    pub(crate) fn mark(&mut self, mark: &str) {
        self.parquet.append_key_value_metadata(KeyValue::new(MARK.to_owned(), mark.to_owned()));
    }

    /// Writes what is left and publishes the files.
    pub(crate) fn finish(mut self, claims: &Claims, dataset: &DatasetUuid) -> Result<WrittenSegment> {
        if let Some(covering) = &self.covering {
            let metadata = geo_metadata(&covering.name, &self.types, self.bounds);
            self.parquet.append_key_value_metadata(KeyValue::new("geo".to_owned(), metadata));
        }
        let (rows, rows_with_place) = (self.keys.len() as u64, self.boxes.len() as u64);
        let parquet = self.parquet.into_inner().map_err(|e| write_error(e, &self.ran_full))?.finish()?;
        let mut written = WrittenFiles::new(claims);
        let parquet = written.publish(parquet, |hash| paths::parquet(dataset, hash))?;
        let mut keys = self.objects.writer()?;
        write_keys(&mut keys, self.keys).map_err(|e| self.objects.write_error("writing", "a key file", e))?;
        let keys = written.publish(keys.finish()?, |hash| paths::keys(dataset, hash))?;
        let mut rtree = None;
        if !self.boxes.is_empty() {
            let mut writer = self.objects.writer()?;
            let tree = build(&self.boxes);
            writer.write_all(&tree).map_err(|e| self.objects.write_error("writing", "an R-tree", e))?;
            rtree = Some(written.publish(writer.finish()?, |hash| paths::rtree(dataset, hash))?);
        }
        let segment =
            SegmentRef { parquet, rtree, keys, rows, rows_with_place, size_bytes: written.size_bytes, deletes: None };
        Ok(WrittenSegment { segment, claims: written.claimed })
    }
}

/// A segment whose files are durable, and the claims that keep them.
pub(crate) struct WrittenSegment {
    pub(crate) segment: SegmentRef,
    pub(crate) claims: Vec<ObjectClaim>,
}

/// Files of one segment that are published one by one.
pub(crate) struct WrittenFiles<'a> {
    claims: &'a Claims,
    pub(crate) claimed: Vec<ObjectClaim>,
    pub(crate) size_bytes: u64,
}

impl<'a> WrittenFiles<'a> {
    pub(crate) fn new(claims: &'a Claims) -> Self {
        Self { claims, claimed: Vec::new(), size_bytes: 0 }
    }

    pub(crate) fn publish(&mut self, file: FinishedObject, key: impl Fn(&Sha256) -> String) -> Result<Sha256> {
        let (sha256, size_bytes) = (file.sha256, file.size_bytes);
        let claim = self.claims.claim(key(&sha256))?;
        file.publish(&claim.key)?;
        self.claimed.push(claim);
        self.size_bytes += size_bytes;
        Ok(sha256)
    }
}

pub(crate) fn properties(options: &CatalogOptions, covering: Option<&str>) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_data_page_row_count_limit(options.page_rows)
        .set_write_batch_size(options.page_rows)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Page);
    if let Some(covering) = covering {
        let geometry = ColumnPath::from(GEOMETRY_COLUMN);
        builder = builder
            .set_column_compression(geometry.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(geometry.clone(), false)
            .set_column_statistics_enabled(geometry, EnabledStatistics::None);
        for side in ["xmin", "ymin", "xmax", "ymax"] {
            let path = ColumnPath::new(vec![covering.to_owned(), side.to_owned()]);
            builder = builder.set_column_dictionary_enabled(path, false);
        }
    }
    builder.build()
}

/// How the rows of a segment are written again, from its footer: as the segment was, but in one piece.
pub(crate) fn rewrite_properties(footer: &ParquetMetaData) -> WriterProperties {
    let metadata = footer.file_metadata();
    let is_ours = |pair: &&KeyValue| ["geo", MARK].contains(&pair.key.as_str());
    let ours = metadata.key_value_metadata().map(|pairs| pairs.iter().filter(is_ours).cloned().collect());
    // The boxes, if there are any, are the last column.
    let covering = metadata.schema_descr().columns().last().filter(|column| column.name() == "ymax");
    let covering = covering.and_then(|column| column.path().parts().first().cloned());
    let options = CatalogOptions::default();
    let properties = properties(&options, covering.as_deref());
    properties.into_builder().set_key_value_metadata(ours).build()
}

/// By what a file differs from others of equal rows; files of before have nothing.
pub(crate) fn mark_of(footer: &ParquetMetaData) -> Option<KeyValue> {
    footer.file_metadata().key_value_metadata()?.iter().find(|pair| pair.key == MARK).cloned()
}

/// A geometry's type as `GeoParquet` names it.
pub(crate) fn geometry_type(shape: &Shape) -> String {
    format!("{}{}", shape.kind.name(), if shape.has_z { " Z" } else { "" })
}

pub(crate) fn geo_metadata(covering: &str, types: &BTreeSet<String>, bounds: Option<BoundingBox>) -> String {
    let crs: serde_json::Value = serde_json::from_str(CRS84_PROJJSON).expect("the constant is JSON, as a test shows");
    let mut geometry = serde_json::json!({
        "encoding": "WKB",
        "geometry_types": types,
        "crs": crs,
        "covering": { "bbox": {
            "xmin": [covering, "xmin"], "ymin": [covering, "ymin"],
            "xmax": [covering, "xmax"], "ymax": [covering, "ymax"],
        }},
    });
    if let Some(bounds) = bounds {
        geometry["bbox"] = serde_json::json!(<[f64; 4]>::from(bounds));
    }
    serde_json::json!({
        "version": "1.1.0",
        "primary_column": GEOMETRY_COLUMN,
        "columns": { GEOMETRY_COLUMN: geometry },
    })
    .to_string()
}

/// What an error while writing means to the caller.
pub(crate) fn write_error(error: ParquetError, ran_full: &AtomicBool) -> Error {
    if ran_full.load(Ordering::Relaxed) {
        return Error::limit_reached("writing a segment: the disk is full").caused_by(error);
    }
    parquet_error(error)
}

/// What an error while reading means to the caller.
pub(crate) fn parquet_error(error: ParquetError) -> Error {
    Error::internal("reading or writing a segment failed").caused_by(error)
}

/// Walks the geometries of a batch: what each one is, `None` for null.
///
/// # Errors
///
/// `InvalidData` naming the row, by `numbers` where they are known, whose bytes are not a geometry with finite coordinates.
pub(crate) fn shapes(rows: &RecordBatch, numbers: &[u64]) -> Result<Vec<Option<Shape>>> {
    use arrow_array::cast::AsArray;
    let Some(index) = ukimet_model::batch::geometry_index(rows.schema_ref()) else { return Ok(Vec::new()) };
    let geometries = rows.column(index).as_binary::<i32>();
    let shape = |i: usize| -> Result<Option<Shape>> {
        if geometries.is_null(i) {
            return Ok(None);
        }
        let refused = |reason: String| {
            Error::invalid_data(format!("row {}: {reason}", numbers.get(i).map_or(i as u64, |number| *number) + 1))
        };
        let shape = ukimet_model::wkb::inspect(geometries.value(i)).map_err(|e| refused(e.to_string()))?;
        if shape.is_finite { Ok(Some(shape)) } else { Err(refused("a coordinate is not finite".to_owned())) }
    };
    (0..geometries.len()).map(shape).collect()
}
