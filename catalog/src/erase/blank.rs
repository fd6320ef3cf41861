//! A segment's files once more, with some of their rows blank: the same rows at the same positions, the erased ones
//! without any value.

use crate::catalog::Shared;
use crate::claims::ObjectClaim;
use crate::keys::{read_keys, write_keys};
use crate::paths;
use crate::rtree::{OuterBox, build};
use crate::search::{BATCH_ROWS, read_error, reader};
use crate::segment::{
    WrittenFiles, geo_metadata, geometry_type, mark_of, parquet_error, properties, shapes, write_error,
};
use crate::segments::OpenSegment;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use ukimet_model::batch::geometry_index;
use ukimet_model::{BoundingBox, DatasetUuid, Error, Result, SegmentRef, Sha256};

/// The files of a segment but its keys.
#[derive(Clone, Copy)]
pub(super) struct BlankFiles {
    pub(super) parquet: Sha256,
    pub(super) rtree: Option<Sha256>,
    pub(super) size_bytes: u64,
}

/// A key file without the keys of blank rows.
#[derive(Clone, Copy)]
pub(super) struct BlankKeys {
    pub(super) keys: Sha256,
    pub(super) size_bytes: u64,
}

/// What is known of the geometries that are left.
#[derive(Default)]
struct Geometries {
    types: BTreeSet<String>,
    bounds: Option<BoundingBox>,
}

/// Writes a segment's rows and R-tree once more; `blank` are the rows without values, `schema` the published columns.
pub(super) fn write_blank(
    shared: &Shared,
    dataset: &DatasetUuid,
    schema: &SchemaRef,
    segment: &SegmentRef,
    blank: &RoaringBitmap,
) -> Result<(BlankFiles, Vec<ObjectClaim>)> {
    let mut written = WrittenFiles::new(&shared.claims);
    let parquet = write_rows(shared, &mut written, dataset, schema, segment, blank)?;
    let mut rtree = None;
    if let Some(tree) = shared.segments.tree(dataset, segment)? {
        let boxes = boxes_without(&tree.items()?, blank);
        if !boxes.is_empty() {
            let mut writer = shared.objects.writer()?;
            let failed = |e| shared.objects.write_error("writing", "an R-tree", e);
            writer.write_all(&build(&boxes)).map_err(failed)?;
            rtree = Some(written.publish(writer.finish()?, |hash| paths::rtree(dataset, hash))?);
        }
    }
    Ok((BlankFiles { parquet, rtree, size_bytes: written.size_bytes }, written.claimed))
}

fn write_rows(
    shared: &Shared,
    written: &mut WrittenFiles<'_>,
    dataset: &DatasetUuid,
    schema: &SchemaRef,
    segment: &SegmentRef,
    blank: &RoaringBitmap,
) -> Result<Sha256> {
    let open = shared.segments.segment(dataset, segment)?;
    let file_schema = nullable(open.footer.schema());
    // Boxes, if there are any, are the one column that is not published.
    let covering = file_schema.fields().get(schema.fields().len()).map(|field| field.name().clone());
    let object = shared.objects.writer()?;
    let ran_full = object.ran_full();
    let properties = properties(&shared.options, covering.as_deref());
    let mark = mark_of(open.footer.metadata());
    let writer = ArrowWriter::try_new(object, Arc::clone(&file_schema), Some(properties));
    let mut writer = writer.map_err(parquet_error)?;
    let mut left = Geometries::default();
    for batch in blanked(&open, &file_schema, blank)? {
        let batch = batch?;
        left.look_at(&batch, schema)?;
        writer.write(&batch).map_err(|e| write_error(e, &ran_full))?;
    }
    if let Some(covering) = covering {
        let metadata = geo_metadata(&covering, &left.types, left.bounds);
        writer.append_key_value_metadata(KeyValue::new("geo".to_owned(), metadata));
    }
    if let Some(mark) = mark {
        writer.append_key_value_metadata(mark);
    }
    let file = writer.into_inner().map_err(|e| write_error(e, &ran_full))?.finish()?;
    written.publish(file, |hash| paths::parquet(dataset, hash))
}

fn nullable(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// All columns of a file, batch by batch, with null in the blank rows.
fn blanked<'a>(
    open: &OpenSegment,
    schema: &'a SchemaRef,
    blank: &'a RoaringBitmap,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + 'a> {
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let mut position = 0_u32;
    Ok(reader(open, &columns, None, BATCH_ROWS)?.map(move |batch| {
        let batch = batch.map_err(read_error)?;
        let picks = (0..batch.num_rows() as u32).map(|i| (!blank.contains(position + i)).then_some(i));
        let picks: UInt32Array = picks.collect();
        position += batch.num_rows() as u32;
        let columns = batch.columns().iter().map(|column| take(column, &picks, None));
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>().map_err(read_error)?;
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(read_error)
    }))
}

impl Geometries {
    fn look_at(&mut self, rows: &RecordBatch, schema: &SchemaRef) -> Result<()> {
        if geometry_index(schema).is_none() {
            return Ok(());
        }
        let published = rows.columns()[..schema.fields().len()].to_vec();
        let rows = RecordBatch::try_new(Arc::clone(schema), published).map_err(read_error)?;
        for shape in shapes(&rows, &[])?.iter().flatten() {
            if let Some(bounds) = shape.bounds {
                self.bounds = crate::extent::union(self.bounds, Some(bounds.into()));
            }
            self.types.insert(geometry_type(shape));
        }
        Ok(())
    }
}

/// The boxes of a tree, by row. A blank row has the box of the row before it that is not blank, or of the first one that
/// is not: an item of the tree is a row's number, so it cannot be left out, and this box tells nothing. None if all rows
/// are blank.
pub(crate) fn boxes_without(items: &[(u32, OuterBox)], blank: &RoaringBitmap) -> Vec<OuterBox> {
    let Some((_, first)) = items.iter().find(|(row, _)| !blank.contains(*row)) else { return Vec::new() };
    let mut last = *first;
    let boxes = items.iter().map(|(row, own)| {
        if !blank.contains(*row) {
            last = *own;
        }
        last
    });
    boxes.collect()
}

/// Writes a key file once more, without the records of some rows.
pub(super) fn write_blank_keys(
    shared: &Shared,
    dataset: &DatasetUuid,
    keys: &Sha256,
    blank: &RoaringBitmap,
) -> Result<(BlankKeys, Vec<ObjectClaim>)> {
    let mut records = read_keys(&shared.segments.open(&paths::keys(dataset, keys), keys)?)?;
    records.retain(|record| !blank.contains(record.position));
    let mut writer = shared.objects.writer()?;
    write_keys(&mut writer, records).map_err(|e| shared.objects.write_error("writing", "a key file", e))?;
    let mut written = WrittenFiles::new(&shared.claims);
    let keys = written.publish(writer.finish()?, |hash| paths::keys(dataset, hash))?;
    Ok((BlankKeys { keys, size_bytes: written.size_bytes }, written.claimed))
}

/// The error for a file that does not hold what its version says.
pub(super) fn damaged(what: &str) -> Error {
    Error::internal(format!("{what} does not fit its version"))
}
