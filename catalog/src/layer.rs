//! One layer on its way into a version: rows are checked, hashed and sorted, then written as segments.

use crate::assets::LayerAssets;
use crate::claims::{Claims, ObjectClaim};
use crate::objects::Objects;
use crate::options::CatalogOptions;
use crate::rowhash::row_hashes;
use crate::segment::{SegmentRows, SegmentWriter, WrittenSegment, shapes};
use crate::sort::{SortKey, SortedBatch, Sorter};
use crate::tables::LayerTables;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::batch::{
    attribute_field, check_schema, described_field, geometry_field, geometry_index, is_geometry, role, source_name,
    unit,
};
use ukimet_model::error::quoted;
use ukimet_model::wkb::Shape;
use ukimet_model::{
    Batch, BoundingBox, DatasetId, DatasetUuid, Error, Field, QuarantinedRow, Result, SegmentRef, Sha256, Verdict,
    Version,
};

/// Takes a layer's rows; memory stays bounded, whatever the number of rows, but for 16 bytes a row.
pub struct LayerWriter {
    pub(crate) dataset: DatasetId,
    pub(crate) uuid: DatasetUuid,
    pub(crate) schema: SchemaRef,
    /// The version whose rows stay beside the new ones; `None` if the rows are the full new state.
    pub(crate) base: Option<Version>,
    sorter: Sorter,
    hashes: Vec<u128>,
    tables: LayerTables,
    assets: LayerAssets,
}

impl LayerWriter {
    pub(crate) fn try_new(
        dataset: DatasetId,
        uuid: DatasetUuid,
        schema: &Schema,
        objects: &Objects,
        options: &CatalogOptions,
    ) -> Result<Self> {
        check_schema(schema)?;
        if schema.fields().is_empty() {
            return Err(Error::invalid_data("a layer has at least one column, found none"));
        }
        let schema = published_schema(schema);
        let sorter = Sorter::new(objects, Arc::clone(&schema), options.sort_run_bytes);
        let tables = LayerTables::new(objects, options);
        let assets = LayerAssets::new(objects, options.asset_bytes_max);
        Ok(Self { dataset, uuid, schema, base: None, sorter, hashes: Vec::new(), tables, assets })
    }

    /// Begins a file made of the row with this number in the source; it becomes a part of the version.
    ///
    /// # Errors
    ///
    /// `Internal` if another file has no end yet, `LimitReached` if the disk is full.
    pub fn begin_asset(&mut self, name: String, media_type: String, row: u64) -> Result<()> {
        self.assets.begin(name, media_type, row)
    }

    /// Takes bytes of the file that has begun.
    ///
    /// # Errors
    ///
    /// `Internal` if none has begun, `LimitReached` for more bytes than a file may have, or if the disk is full.
    pub fn append_asset(&mut self, bytes: &[u8]) -> Result<()> {
        self.assets.append(bytes)
    }

    /// Ends the file that has begun and makes it durable.
    ///
    /// # Errors
    ///
    /// `DataLoss` if it has not this hash and size, `Internal` if none has begun.
    pub fn end_asset(&mut self, sha256: Sha256, size_bytes: u64) -> Result<()> {
        self.assets.end(sha256, size_bytes)
    }

    /// Takes what a rule said about a place of the layer; kept with the push, in this order.
    ///
    /// # Errors
    ///
    /// `LimitReached` for more verdicts than are kept, or if the disk is full.
    pub fn add_verdict(&mut self, verdict: &Verdict) -> Result<()> {
        self.tables.add_verdict(verdict)
    }

    /// Takes a row that was refused; kept with the push. `source_columns` are the same at every call.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the row has not one value a column, `LimitReached` for more rows than are kept, or if the disk
    /// is full.
    pub fn add_quarantined(&mut self, source_columns: &[String], row: &QuarantinedRow) -> Result<()> {
        self.tables.add_quarantined(source_columns, row)
    }

    /// Takes a batch, in any order of rows.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the column if the schema is not the layer's, or the row if its geometry is not WKB with
    /// finite coordinates; `LimitReached` if the disk is full.
    pub fn append(&mut self, batch: Batch) -> Result<()> {
        let rows = self.with_own_schema(&batch.into_rows())?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let hashes = row_hashes(&rows)?;
        let shapes = shapes(&rows, self.rows())?;
        let first = self.rows();
        let key = |(i, hash): (usize, &u128)| match shapes.get(i) {
            None => SortKey { has_no_place: false, order: first + i as u64, hash: *hash },
            Some(shape) => place_key(shape.as_ref(), *hash),
        };
        let keys: Vec<_> = hashes.iter().enumerate().map(key).collect();
        self.sorter.push(rows, &keys)?;
        self.hashes.extend(hashes);
        Ok(())
    }

    /// How many rows were taken.
    pub fn rows(&self) -> u64 {
        self.hashes.len() as u64
    }

    fn with_own_schema(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let found = published_schema(rows.schema_ref());
        for (expected, found) in self.schema.fields().iter().zip(found.fields()) {
            if expected.name() != found.name() || expected.data_type() != found.data_type() {
                return Err(Error::invalid_data(format!(
                    "expected column {} of type {}, found {} of type {}",
                    quoted(expected.name()),
                    expected.data_type(),
                    quoted(found.name()),
                    found.data_type()
                )));
            }
        }
        if self.schema.fields().len() != found.fields().len() {
            let (expected, found) = (self.schema.fields().len(), found.fields().len());
            return Err(Error::invalid_data(format!("expected {expected} columns, found {found}")));
        }
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns =
            columns.map(|(column, field)| arrow_cast::cast(column, field.data_type())).collect::<Result<_, _>>();
        columns
            .and_then(|columns| RecordBatch::try_new(Arc::clone(&self.schema), columns))
            .map_err(|e| Error::invalid_data("a batch does not fit the layer's schema").caused_by(e))
    }

    /// The sorted hashes of the rows, what is left to write, the tables, and the files.
    pub(crate) fn into_parts(mut self) -> (Vec<u128>, UnwrittenRows, LayerTables, LayerAssets) {
        self.hashes.sort_unstable();
        let rows = UnwrittenRows { sorter: self.sorter, schema: self.schema, uuid: self.uuid };
        (self.hashes, rows, self.tables, self.assets)
    }
}

/// Where a row stands: along a Hilbert curve over the whole globe, by the middle of its box.
fn place_key(shape: Option<&Shape>, hash: u128) -> SortKey {
    let Some([min_x, min_y, max_x, max_y]) = shape.and_then(|shape| shape.bounds) else {
        return SortKey { has_no_place: true, order: 0, hash };
    };
    // Casts saturate, so that a coordinate outside the globe stands at its edge.
    let cell = |middle: f64, half: f64| ((middle + half) / (2.0 * half) * f64::from(u32::MAX)) as u32;
    let (x, y) = (cell(f64::midpoint(min_x, max_x), 180.0), cell(f64::midpoint(min_y, max_y), 90.0));
    SortKey { has_no_place: false, order: fast_hilbert::xy2h(x, y, 32), hash }
}

/// The schema as it is published: names, types, source names, roles, units, geometry metadata, nothing else.
pub(crate) fn published_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<ArrowField>| {
        if is_geometry(field) {
            return Arc::new(geometry_field());
        }
        let plain = attribute_field(field.name(), source_name(field), plain_type(field.data_type()));
        described_field(&plain, role(field), unit(field))
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A type without metadata in its inner fields, all of them nullable.
fn plain_type(data_type: &DataType) -> DataType {
    let plain = |field: &ArrowField, name: &str| ArrowField::new(name, plain_type(field.data_type()), true);
    match data_type {
        DataType::List(item) => DataType::List(Arc::new(plain(item, ArrowField::LIST_FIELD_DEFAULT_NAME))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain(field, field.name())).collect()),
        other => other.clone(),
    }
}

/// The columns of a published schema, as a version lists them.
pub(crate) fn fields_of(schema: &Schema) -> Vec<Field> {
    let field = |field: &Arc<ArrowField>| Field {
        name: field.name().clone(),
        source_name: source_name(field).to_owned(),
        data_type: field.data_type().to_string(),
        nullable: field.is_nullable(),
        role: role(field).map(str::to_owned),
        unit: unit(field).map(str::to_owned),
    };
    schema.fields().iter().map(field).collect()
}

/// The published schema that a version's columns stand for.
///
/// # Errors
///
/// `Internal` if a type does not parse.
pub(crate) fn schema_of(fields: &[Field]) -> Result<SchemaRef> {
    let last = fields.len().saturating_sub(1);
    let field = |(i, field): (usize, &Field)| -> Result<Arc<ArrowField>> {
        if i == last && field.name == ukimet_model::GEOMETRY_COLUMN && field.data_type == "Binary" {
            return Ok(Arc::new(geometry_field()));
        }
        let data_type: DataType = field.data_type.parse().map_err(|e| {
            Error::internal(format!("the type of column {} does not parse", quoted(&field.name))).caused_by(e)
        })?;
        let plain = attribute_field(&field.name, &field.source_name, data_type);
        Ok(described_field(&plain, field.role.as_deref(), field.unit.as_deref()))
    };
    Ok(Arc::new(Schema::new(fields.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?)))
}

/// Rows that wait to be written.
pub(crate) struct UnwrittenRows {
    sorter: Sorter,
    schema: SchemaRef,
    uuid: DatasetUuid,
}

/// Segments that are durable.
#[derive(Default)]
pub(crate) struct WrittenRows {
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) bounds: Option<BoundingBox>,
    pub(crate) claims: Vec<ObjectClaim>,
}

impl WrittenRows {
    fn add(&mut self, written: WrittenSegment) {
        self.segments.push(written.segment);
        self.claims.extend(written.claims);
        self.bounds = union(self.bounds, written.bounds);
    }
}

/// The box around both; rows without a place have none.
pub(crate) fn union(a: Option<BoundingBox>, b: Option<BoundingBox>) -> Option<BoundingBox> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.union(&b)),
        (a, b) => a.or(b),
    }
}

impl UnwrittenRows {
    /// Writes the rows in order as segments; an empty layer is one empty segment, which holds its schema.
    pub(crate) fn write(self, objects: &Objects, claims: &Claims, options: &CatalogOptions) -> Result<WrittenRows> {
        let mut merge = self.sorter.finish()?;
        let mut written = WrittenRows::default();
        let mut writer = SegmentWriter::try_new(objects, &self.schema, options)?;
        while let Some(batch) = merge.next()? {
            let mut from = 0;
            while from < batch.rows.num_rows() {
                if writer.rows() == options.segment_rows_max {
                    written.add(writer.finish(claims, &self.uuid)?);
                    writer = SegmentWriter::try_new(objects, &self.schema, options)?;
                }
                let count = (batch.rows.num_rows() - from).min(options.segment_rows_max - writer.rows());
                write_part(&mut writer, &batch, from, count)?;
                from += count;
            }
        }
        written.add(writer.finish(claims, &self.uuid)?);
        Ok(written)
    }
}

fn write_part(writer: &mut SegmentWriter, batch: &SortedBatch, from: usize, count: usize) -> Result<()> {
    let rows = batch.rows.slice(from, count);
    let hashes: Vec<u128> = batch.keys[from..from + count].iter().map(|key| key.hash).collect();
    let shapes = if geometry_index(rows.schema_ref()).is_some() { shapes(&rows, 0)? } else { Vec::new() };
    writer.write(&SegmentRows { rows: &rows, hashes: &hashes, shapes: &shapes })
}
