//! A version is read: all of it, a window, the rows that meet a condition.

use crate::kernel::Work;
use crate::parcels::{COLUMNS, Parcel, attributes, columns_for, rings};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::{NamedTempFile, TempDir};
use ukimet_catalog::{Catalog, CatalogOptions, PushIntent, Snapshot};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Asset, Batch, BoundingBox, Comparison, Dataset, DatasetMetadata, Declarations, Error, Filter, Folding, LayerReport,
    MappingChange, Result, RowQuery, SystemClock, Term, Version,
};

pub(crate) const ROWS: u64 = 50_000;
const DATASET: &str = "almaty/parcels";
/// The hash of no bytes: what stands for the file that rows came in is empty.
const NO_BYTES: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Degrees, longitude first.
const ORIGIN: (f64, f64) = (76.5, 43.0);
const STEP: (f64, f64) = (4e-4, 3e-4);
/// What the condition asks for beside the purpose.
const AREA_HA_MIN: f64 = 5.0;

/// Every row with every column.
pub(crate) fn all(rows: u64) -> Result<Work> {
    scan(rows, RowQuery::default(), rows)
}

/// The rows in a square in the middle with one in `of` of them, all columns.
pub(crate) fn window(rows: u64, of: u64) -> Result<Work> {
    let (columns, side) = (columns_for(rows), columns_for(rows / of));
    let first = (columns - side) / 2;
    let edge = |cell: u64| (ORIGIN.0 + cell as f64 * STEP.0, ORIGIN.1 + cell as f64 * STEP.1);
    let ((west, south), (east, north)) = (edge(first), edge(first + side));
    let bbox = BoundingBox::try_new(west, south, east, north)?;
    scan(rows, RowQuery { bbox: Some(bbox), ..RowQuery::default() }, side * side)
}

/// Large parcels of one purpose, all columns: a word in a dictionary and a number of a column of its own.
pub(crate) fn filtered(rows: u64) -> Result<Work> {
    let purpose = Parcel(0).purpose();
    let compare = |column: usize, comparison, right| Filter::Compare {
        left: Term::Column(COLUMNS[column].1.to_owned(), Folding::default()),
        comparison,
        right,
    };
    let filter = Filter::All(vec![
        compare(2, Comparison::Equal, Term::Text(purpose.to_owned())),
        compare(5, Comparison::GreaterOrEqual, Term::Number(AREA_HA_MIN)),
    ]);
    let is_wanted = |it: &Parcel| it.purpose() == purpose && it.area_ha() >= AREA_HA_MIN;
    let expected = (0..rows).map(Parcel).filter(is_wanted).count() as u64;
    scan(rows, RowQuery { filter: Some(filter), ..RowQuery::default() }, expected)
}

/// The rows as the catalog takes them, in OGC:CRS84.
pub(crate) fn stored_rows(rows: u64) -> Result<Batch> {
    let mut fields: Vec<_> =
        COLUMNS.iter().map(|(source_name, name, kind)| attribute_field(name, source_name, kind.clone())).collect();
    fields.push(Arc::new(geometry_field()));
    let mut columns = attributes(rows);
    columns.push(Arc::new(rings(rows, ORIGIN, STEP)));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|e| Error::internal("columns of made-up parcels do not fit").caused_by(e))?;
    Batch::try_new(rows)
}

/// Reads what a query finds in a version of so many rows, and counts it.
fn scan(rows: u64, query: RowQuery, expected: u64) -> Result<Work> {
    let stored = Stored::fill(rows)?;
    // By a method, so that the closure takes the directory along.
    Ok(Work::new(expected, move || stored.count(&query)))
}

/// A catalog with one version of one dataset, in a directory that goes when this does.
struct Stored {
    snapshot: Snapshot,
    dataset: Dataset,
    version: Version,
    _catalog: Catalog,
    _folder: TempDir,
}

impl Stored {
    fn fill(rows: u64) -> Result<Self> {
        let no_room = |e| Error::unavailable("a temporary directory is not to be had").caused_by(e);
        let folder = TempDir::new().map_err(no_room)?;
        let options = CatalogOptions { disk_reserve_bytes: 0, ..CatalogOptions::default() };
        let catalog = Catalog::open(folder.path(), options, Arc::new(SystemClock))?;
        let raw = NamedTempFile::new().map_err(no_room)?;
        let snapshot = push(&catalog, raw.path(), stored_rows(rows)?)?;
        let (dataset, version) = snapshot.version(&DATASET.parse()?)?;
        Ok(Self { snapshot, dataset, version, _catalog: catalog, _folder: folder })
    }

    fn count(&self, query: &RowQuery) -> Result<u64> {
        let mut batches = self.snapshot.scan(&self.dataset, &self.version, query, 0..usize::MAX)?;
        batches.try_fold(0, |found, batch| Ok(found + batch?.num_rows() as u64))
    }
}

/// Publishes rows as the first version; `raw` is an empty file.
fn push(catalog: &Catalog, raw: &Path, batch: Batch) -> Result<Snapshot> {
    let asset = Asset {
        sha256: NO_BYTES.parse()?,
        size_bytes: 0,
        file_name: "parcels.gpkg".to_owned(),
        media_type: "application/geopackage+sqlite3".to_owned(),
    };
    let mut transaction = catalog.begin(PushIntent {
        push_id: "parcels-1".parse()?,
        agency: "almaty".to_owned(),
        principal: "kernels".to_owned(),
        digest: asset.sha256,
        asset,
        raw: raw.to_owned(),
        metadata: DatasetMetadata::default(),
        expected_version: None,
        declared: Declarations::default(),
        mapping: MappingChange::Keep,
    })?;
    let rows = batch.rows().num_rows() as u64;
    let mut layer = transaction.begin_layer(DATASET.parse()?, batch.rows().schema())?;
    layer.append(batch)?;
    let geometry_types = BTreeMap::from([("Polygon".to_owned(), rows)]);
    let report = LayerReport { rows_read: rows, rows_taken: rows, geometry_types, ..LayerReport::default() };
    transaction.end_layer(layer, report)?;
    Ok(transaction.commit()?.1)
}
