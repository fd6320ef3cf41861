//! Power cuts and failing disks: what was promised survives, what was not leaves nothing half there.

mod copies;
mod crash;
mod depth;
mod differences;
pub(crate) mod erasures;
mod erasures_among_nodes;
mod failing;
mod filters;
mod flips;
mod model;
mod nodes;
mod operations;
mod scale;

use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::objects::Objects;
use crate::opening::Projections;
use crate::options::{CatalogOptions, DescribedChanges};
use crate::push::PushIntent;
use crate::seal::sha256;
use crate::transaction::Transaction;
use crate::verify::VerifyOptions;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Asset, Batch, DatasetId, DatasetMetadata, Example, LayerReport, PushOutcome, QuarantinedRow, Result, RowQuery,
    Severity, SystemClock, Verdict, VersionNumber, VersionSelector,
};

/// A push of numbered points.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    id: String,
    dataset: &'static str,
    rows: std::ops::Range<i64>,
}

impl Push {
    pub(crate) fn new(id: &str, dataset: &'static str, rows: std::ops::Range<i64>) -> Self {
        Self { id: id.to_owned(), dataset, rows }
    }

    /// Rows are numbered and lie on a line; the bytes as sent are the numbers as text.
    pub(crate) fn send(&self, catalog: &Catalog) -> Result<PushOutcome> {
        self.begin(catalog)?.commit()
    }

    /// As [`Push::send`], up to the commit.
    fn begin(&self, catalog: &Catalog) -> Result<Begun> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let bytes = format!("{} {:?}", self.dataset, self.rows).into_bytes();
        file.write_all(&bytes).expect("room");
        let dataset: DatasetId = self.dataset.parse().expect("valid");
        let mut transaction = catalog.begin(PushIntent {
            push_id: self.id.parse().expect("valid"),
            agency: dataset.agency().to_owned(),
            principal: "tester".to_owned(),
            digest: sha256(&bytes),
            asset: Asset {
                sha256: sha256(&bytes),
                size_bytes: bytes.len() as u64,
                file_name: "points.csv".to_owned(),
                media_type: "text/csv".to_owned(),
            },
            raw: file.path().to_owned(),
            metadata: DatasetMetadata::default(),
            expected_version: None,
            declared: ukimet_model::Declarations::default(),
            mapping: ukimet_model::MappingChange::Keep,
        })?;
        let batch = points(self.rows.clone());
        let mut layer = transaction.begin_layer(dataset, batch.rows().schema())?;
        layer.append(batch)?;
        let example = Example { row: Some(0), field: None, found: self.id.clone(), taken: None };
        layer.add_verdict(&Verdict::new("test.rule", Severity::Warning, "a test", example))?;
        let refused = QuarantinedRow { row: 1, values: vec![Some(self.dataset.to_owned())] };
        layer.add_quarantined(&["N".to_owned()], &refused)?;
        let rows = layer.rows();
        let report = LayerReport { rows_read: rows, rows_taken: rows, ..LayerReport::default() };
        transaction.end_layer(layer, report)?;
        Ok(Begun { transaction, _file: file })
    }
}

/// A push that is written and not committed.
struct Begun {
    transaction: Transaction,
    _file: tempfile::NamedTempFile,
}

impl Begun {
    fn commit(self) -> Result<PushOutcome> {
        self.transaction.commit().map(|(outcome, _)| outcome)
    }
}

fn points(rows: std::ops::Range<i64>) -> Batch {
    let schema = Schema::new(vec![attribute_field("n", "N", DataType::Int64), Arc::new(geometry_field())]);
    let point = |n: i64| {
        let mut wkb = vec![1, 1, 0, 0, 0];
        wkb.extend_from_slice(&(70.0 + n as f64 / 100.0).to_le_bytes());
        wkb.extend_from_slice(&43.0_f64.to_le_bytes());
        wkb
    };
    let geometry = rows.clone().map(|n| Some(point(n))).collect::<BinaryArray>();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(rows)), Arc::new(geometry)];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn small() -> CatalogOptions {
    // Small changes are described, their values stored with the list; large ones are not.
    let described_changes = DescribedChanges { percent_max: 60, pages_min: 1 };
    let (checkpoint_every, segment_rows_max) = (2, 4);
    CatalogOptions {
        checkpoint_every,
        disk_reserve_bytes: 0,
        segment_rows_max,
        superseded_keep: Duration::ZERO,
        described_changes,
        ..CatalogOptions::default()
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Catalog> {
    let objects = Objects::new(disk);
    Catalog::open_with(objects, Projections::InMemory, small(), Arc::new(SystemClock), PathBuf::new(), None)
}

/// The numbers in a version, sorted; an error if anything about it is damaged.
fn numbers(catalog: &Catalog, dataset: &str, version: u64) -> Result<Vec<i64>> {
    use arrow_array::cast::AsArray;
    let snapshot = catalog.snapshot();
    let selector = VersionSelector { dataset: dataset.parse()?, version: Some(VersionNumber(version).into()) };
    let (dataset, version) = snapshot.version(&selector)?;
    snapshot.receipt(&version)?;
    let mut numbers = Vec::new();
    for batch in snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX)? {
        let batch = batch?;
        numbers.extend_from_slice(batch.column(0).as_primitive::<arrow_array::types::Int64Type>().values());
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Collects what a crash left; then every version of every dataset is whole, versions are dense, and the store verifies.
fn check_whole(catalog: &Catalog) {
    catalog.collect_garbage().expect("a whole disk");
    let snapshot = catalog.snapshot();
    let all = snapshot
        .search(&ukimet_model::DatasetQuery { limit: usize::MAX, ..Default::default() })
        .expect("datasets are listed without an index");
    for (dataset, newest) in &all.datasets {
        let versions = snapshot.versions(&dataset.id, None, usize::MAX).expect("versions");
        let expected: Vec<u64> = (1..=newest.number.0).rev().collect();
        assert_eq!(versions.iter().map(|version| version.number.0).collect::<Vec<_>>(), expected);
        for version in versions {
            let found = numbers(catalog, dataset.id.as_str(), version.number.0).expect("a whole version");
            assert_eq!(found.len() as u64, version.rows);
        }
    }
    let report = crate::verify::verify_objects(&catalog.shared().objects, &VerifyOptions::default(), &mut |_| ())
        .expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}
