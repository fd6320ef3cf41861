//! One layer on its way into a version: rows are checked, hashed and sorted, then written as segments.

use crate::assets::LayerAssets;
use crate::claims::{Claims, ObjectClaim};
use crate::extent::Extent;
use crate::key::{KeyFinder, first_null, key_positions, key_text};
use crate::matching::{Matched, Matching, null_key};
use crate::objects::Objects;
use crate::options::CatalogOptions;
use crate::rowhash::{key_hashes, row_hashes};
use crate::rows::LiveRows;
use crate::segment::{SegmentRows, SegmentWriter, WrittenSegment, shapes};
use crate::sort::{SortKey, SortedBatch, Sorter};
use crate::tables::LayerTables;
use crate::valid::ValidCheck;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use std::sync::Arc;
use ukimet_model::batch::{
    attribute_field, described_field, geometry_field, geometry_index, is_geometry, role, source_name, unit,
};
use ukimet_model::error::quoted;
use ukimet_model::wkb::Shape;
use ukimet_model::{
    Batch, DatasetId, DatasetUuid, Error, Field, Key, PushMode, QuarantinedRow, Result, SegmentRef, Sha256, ValidTime,
    Verdict, Version,
};
use xxhash_rust::xxh3::xxh3_128;

/// Takes a layer's rows; memory stays bounded, whatever the number of rows, but for 48 bytes a row of the version that
/// they are compared with.
pub struct LayerWriter {
    pub(crate) dataset: DatasetId,
    pub(crate) uuid: DatasetUuid,
    pub(crate) schema: SchemaRef,
    pub(crate) plan: LayerPlan,
    rows: u64,
    /// The version's rows, where equal ones are not written again.
    matching: Option<Matching>,
    finder: Option<KeyFinder>,
    valid_check: Option<ValidCheck>,
    /// Keys of rows that go.
    deleted_keys: Vec<u128>,
    without_row: MarksWithoutRow,
    sorter: Sorter,
    /// Of the rows that are written.
    extent: Extent,
    tables: LayerTables,
    assets: LayerAssets,
}

/// Marks of deleted rows that name no row.
#[derive(Debug, Default)]
pub struct MarksWithoutRow {
    /// How many.
    pub count: u64,
    /// The keys of the first few, as text.
    pub keys: Vec<String>,
}

/// Keys that are shown of marks that name no row.
const EXAMPLES_MAX: usize = 5;

/// What the rows of a layer are to those that are there.
pub(crate) struct LayerPlan {
    pub(crate) mode: PushMode,
    /// What makes a row the same row in another version.
    pub(crate) key: Option<Key>,
    /// Positions of its columns.
    pub(crate) key_positions: Vec<usize>,
    /// The version that equal rows are looked up in, or beside whose rows these come.
    pub(crate) base: Option<Version>,
    /// Whether the commit fails if that version is not the newest any more.
    pub(crate) is_onto_base_only: bool,
    /// The columns that say when a row was so in the world.
    pub(crate) valid_time: Option<ValidTime>,
}

/// The rows of a layer that have all come.
pub(crate) struct LayerRows {
    pub(crate) uuid: DatasetUuid,
    pub(crate) schema: SchemaRef,
    pub(crate) plan: LayerPlan,
    pub(crate) matched: Matched,
    pub(crate) deleted_keys: Vec<u128>,
    /// Of the rows that are not written yet.
    pub(crate) extent: Extent,
    pub(crate) unwritten: UnwrittenRows,
}

impl LayerWriter {
    /// `live` are the rows of the plan's base, if equal rows are not to be written again.
    pub(crate) fn new(
        dataset: DatasetId,
        uuid: DatasetUuid,
        schema: SchemaRef,
        plan: LayerPlan,
        live: Option<LiveRows>,
        (objects, options): (&Objects, &CatalogOptions),
    ) -> Result<Self> {
        let valid_check = plan.valid_time.as_ref().map(|time| ValidCheck::new(time, &schema)).transpose()?;
        let is_strict = plan.is_strict();
        let matching = live.map(|live| Matching::new(plan.mode, plan.key_positions.clone(), is_strict, live));
        let finder = (plan.base.is_none() && plan.key.is_none()).then(|| KeyFinder::new(&schema));
        let sorter = Sorter::new(objects, Arc::clone(&schema), options.sort_run_bytes);
        let tables = LayerTables::new(objects, options);
        let assets = LayerAssets::new(objects, options.asset_bytes_max);
        Ok(Self {
            dataset,
            uuid,
            schema,
            plan,
            rows: 0,
            matching,
            finder,
            valid_check,
            deleted_keys: Vec::new(),
            without_row: MarksWithoutRow::default(),
            sorter,
            extent: Extent::default(),
            tables,
            assets,
        })
    }

    /// # Errors
    ///
    /// `InvalidData` naming rows that end before they begin.
    pub(crate) fn check_valid_time(&self) -> Result<()> {
        self.valid_check.as_ref().map_or(Ok(()), ValidCheck::finish)
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
    /// `InvalidData` naming the column if the schema is not the layer's, the row if its geometry is not WKB with
    /// finite coordinates or its key has no value, or the key if two rows have it; `Conflict` if a row is appended whose
    /// key is there with other values; `LimitReached` if the disk is full.
    pub fn append(&mut self, batch: Batch) -> Result<()> {
        let rows = self.with_own_schema(&batch.into_rows())?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let first = self.rows;
        self.rows += rows.num_rows() as u64;
        if self.plan.is_strict()
            && let Some((row, column)) = first_null(&rows, &self.plan.key_positions)
        {
            return Err(null_key(&rows, row, column, first));
        }
        if let Some(finder) = &mut self.finder {
            finder.look_at(&rows);
        }
        if let Some(check) = &mut self.valid_check {
            check.look_at(&rows, first)?;
        }
        let hashes = row_hashes(&rows)?;
        match &mut self.matching {
            None => self.write(rows, &hashes, &(first..self.rows).collect::<Vec<_>>()),
            Some(matching) => {
                let are_new = matching.take(&rows, &hashes, first)?;
                if are_new.true_count() == 0 {
                    return Ok(());
                }
                let rows = filter_record_batch(&rows, &are_new)
                    .map_err(|e| Error::internal("leaving out rows that are there failed").caused_by(e))?;
                let kept = || are_new.values().set_indices();
                let numbers: Vec<u64> = kept().map(|i| first + i as u64).collect();
                self.write(rows, &kept().map(|i| hashes[i]).collect::<Vec<_>>(), &numbers)
            }
        }
    }

    /// Takes rows whose keys are to go, of which only the columns of the key matter. For an upsert.
    ///
    /// # Errors
    ///
    /// As [`LayerWriter::append`]; `InvalidRequest` unless the layer is an upsert.
    pub fn delete(&mut self, batch: Batch) -> Result<()> {
        if self.plan.mode != PushMode::Upsert {
            return Err(Error::invalid_request("rows are marked as deleted in an upsert only"));
        }
        let rows = self.with_own_schema(&batch.into_rows())?;
        if let Some((row, column)) = first_null(&rows, &self.plan.key_positions) {
            return Err(null_key(&rows, row, column, self.rows));
        }
        self.rows += rows.num_rows() as u64;
        let keys = key_hashes(&rows, &self.plan.key_positions, &[])?;
        for (row, key) in keys.iter().enumerate() {
            if self.matching.as_ref().is_none_or(|matching| !matching.has(*key)) {
                self.without_row.count += 1;
                if self.without_row.keys.len() < EXAMPLES_MAX {
                    self.without_row.keys.push(key_text(&rows, &self.plan.key_positions, row)?);
                }
            }
        }
        self.deleted_keys.extend(keys.iter());
        Ok(())
    }

    /// What was marked as deleted and is not in the version that the layer comes beside.
    pub fn marks_without_row(&self) -> &MarksWithoutRow {
        &self.without_row
    }

    /// Hands rows on to be sorted; `numbers` are their numbers in the layer.
    fn write(&mut self, rows: RecordBatch, hashes: &[u128], numbers: &[u64]) -> Result<()> {
        let shapes = shapes(&rows, numbers)?;
        shapes.iter().flatten().for_each(|shape| self.extent.add(shape));
        self.sorter.push(rows, &sort_keys(&shapes, hashes, numbers))
    }

    /// How many rows were taken, those that go included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn with_own_schema(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let arranged;
        let rows = match self.plan.mode {
            PushMode::Replace => rows,
            PushMode::Upsert | PushMode::Append => {
                arranged = self.arranged(rows)?;
                &arranged
            }
        };
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

    /// The columns in the order of the version that the rows come beside.
    fn arranged(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        check_columns(&self.schema, rows.schema_ref())?;
        let position = |field: &Arc<ArrowField>| rows.schema_ref().index_of(field.name());
        let order = self.schema.fields().iter().map(position).collect::<Result<Vec<_>, _>>();
        order.and_then(|order| rows.project(&order)).map_err(|e| Error::internal("arranging columns").caused_by(e))
    }

    pub(crate) fn into_parts(mut self) -> (LayerRows, LayerTables, LayerAssets) {
        if let Some(key) = self.finder.and_then(|finder| finder.found(&self.schema)) {
            self.plan.key_positions = self.schema.index_of(&key.columns[0]).into_iter().collect();
            self.plan.key = Some(key);
        }
        let rows = LayerRows {
            uuid: self.uuid,
            schema: Arc::clone(&self.schema),
            plan: self.plan,
            matched: self.matching.map(Matching::finish).unwrap_or_default(),
            deleted_keys: self.deleted_keys,
            extent: self.extent,
            unwritten: UnwrittenRows { sorter: self.sorter, schema: self.schema },
        };
        (rows, self.tables, self.assets)
    }
}

/// Whether rows have the columns of the version that they come beside, in any order, and in its units.
///
/// # Errors
///
/// `InvalidData` naming the columns that are missing, those that the version has not, or those in another unit.
pub(crate) fn check_columns(expected: &Schema, found: &Schema) -> Result<()> {
    let missing_in = |schema: &Schema, other: &Schema| -> Vec<String> {
        let fields = schema.fields().iter();
        fields.filter(|field| other.index_of(field.name()).is_err()).map(|field| field.name().clone()).collect()
    };
    let (missing, unknown) = (missing_in(expected, found), missing_in(found, expected));
    if !missing.is_empty() || !unknown.is_empty() {
        let listed = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::invalid_data(format!(
            "rows that come beside others have the same columns; missing: {}, not in the dataset: {}",
            listed(missing),
            listed(unknown)
        )));
    }
    let units = expected.fields().iter().filter_map(|field| {
        let (expected, found) = (unit(field)?, unit(found.field_with_name(field.name()).ok()?)?);
        (expected != found).then(|| format!("column {}: expected unit {expected}, found unit {found}", field.name()))
    });
    let units: Vec<String> = units.collect();
    if units.is_empty() {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "rows that come beside others are in the same units; {}; convert them, or push a full new state",
        units.join("; ")
    )))
}

impl LayerPlan {
    pub(crate) fn new(mode: PushMode, key: Option<Key>, base: Option<Version>, schema: &Schema) -> Result<Self> {
        let key_positions = key_positions(key.as_ref(), schema)?;
        let valid_time = base.as_ref().and_then(|base| base.valid_time.clone());
        Ok(Self { mode, key, key_positions, base, is_onto_base_only: false, valid_time })
    }

    /// Whether a row without a key is refused: else a key that was only found is given up.
    fn is_strict(&self) -> bool {
        self.mode != PushMode::Replace || self.key.as_ref().is_some_and(|key| key.is_declared)
    }
}

/// Where rows stand: by their places, or in a table without geometry, which has no `shapes`, by their numbers.
pub(crate) fn sort_keys(shapes: &[Option<Shape>], hashes: &[u128], numbers: &[u64]) -> Vec<SortKey> {
    let key = |(i, hash): (usize, &u128)| match shapes.get(i) {
        None => SortKey { has_no_place: false, order: numbers[i], hash: *hash },
        Some(shape) => place_key(shape.as_ref(), *hash),
    };
    hashes.iter().enumerate().map(key).collect()
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
}

/// Segments that are durable.
#[derive(Default)]
pub(crate) struct WrittenRows {
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) claims: Vec<ObjectClaim>,
}

impl WrittenRows {
    fn add(&mut self, written: WrittenSegment) {
        self.segments.push(written.segment);
        self.claims.extend(written.claims);
    }
}

impl UnwrittenRows {
    pub(crate) fn new(sorter: Sorter, schema: SchemaRef) -> Self {
        Self { sorter, schema }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sorter.is_empty()
    }

    /// Writes the rows in order as segments; an empty layer is one empty segment, which holds its schema.
    ///
    /// `key` are the positions of the key's columns; `occasion` is what the rows are written for, by which the files differ
    /// from all others of equal rows.
    pub(crate) fn write(
        self,
        dataset: &DatasetUuid,
        key: &[usize],
        occasion: &str,
        (objects, claims, options): (&Objects, &Claims, &CatalogOptions),
    ) -> Result<WrittenRows> {
        let occasion = xxh3_128(occasion.as_bytes());
        let mut merge = self.sorter.finish()?;
        let mut written = WrittenRows::default();
        let begin = |number: usize| -> Result<SegmentWriter> {
            let mut writer = SegmentWriter::try_new(objects, &self.schema, key, options)?;
            writer.mark(&format!("{occasion:032x}-{number}"));
            Ok(writer)
        };
        let mut writer = begin(0)?;
        while let Some(batch) = merge.next()? {
            let mut from = 0;
            while from < batch.rows.num_rows() {
                if writer.rows() == options.segment_rows_max {
                    written.add(writer.finish(claims, dataset)?);
                    writer = begin(written.segments.len())?;
                }
                let count = (batch.rows.num_rows() - from).min(options.segment_rows_max - writer.rows());
                write_part(&mut writer, &batch, from, count)?;
                from += count;
            }
        }
        written.add(writer.finish(claims, dataset)?);
        Ok(written)
    }
}

fn write_part(writer: &mut SegmentWriter, batch: &SortedBatch, from: usize, count: usize) -> Result<()> {
    let rows = batch.rows.slice(from, count);
    let hashes: Vec<u128> = batch.keys[from..from + count].iter().map(|key| key.hash).collect();
    let shapes = if geometry_index(rows.schema_ref()).is_some() { shapes(&rows, &[])? } else { Vec::new() };
    writer.write(&SegmentRows { rows: &rows, hashes: &hashes, shapes: &shapes })
}
