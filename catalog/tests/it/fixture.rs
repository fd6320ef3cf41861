//! Pushes of small made-up layers.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use sha2::{Digest, Sha256 as Hasher};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions, DescribedChanges, PushIntent, Snapshot, Transaction, VerifyOptions};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Asset, Batch, BoundingBox, DatasetMetadata, Declarations, LayerReport, PushOutcome, Result, RowQuery, Sha256,
    SystemClock,
};

/// A geometry with the box around it.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Point(f64, f64),
    /// A triangle, so that its box is larger than itself.
    Triangle([(f64, f64); 3]),
    Empty,
    Null,
}

impl Place {
    pub(crate) fn to_wkb(&self) -> Option<Vec<u8>> {
        let mut wkb = vec![1];
        let position = |wkb: &mut Vec<u8>, (x, y): (f64, f64)| {
            wkb.extend_from_slice(&x.to_le_bytes());
            wkb.extend_from_slice(&y.to_le_bytes());
        };
        match self {
            Self::Point(x, y) => {
                wkb.extend_from_slice(&1_u32.to_le_bytes());
                position(&mut wkb, (*x, *y));
            }
            Self::Triangle([a, b, c]) => {
                for number in [3_u32, 1, 4] {
                    wkb.extend_from_slice(&number.to_le_bytes());
                }
                for corner in [a, b, c, a] {
                    position(&mut wkb, *corner);
                }
            }
            Self::Empty => {
                for number in [3_u32, 0] {
                    wkb.extend_from_slice(&number.to_le_bytes());
                }
            }
            Self::Null => return None,
        }
        Some(wkb)
    }
}

/// Rows `n`, `name`, geometry.
pub(crate) fn batch(rows: &[(i64, Place)]) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("n", "№", DataType::Int64),
        attribute_field("name", "Атауы", DataType::Utf8),
        Arc::new(geometry_field()),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(n, _)| Some(*n)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(n, _)| (n % 3 != 0).then(|| format!("name {n}"))).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, place)| place.to_wkb()).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

/// Numbered points along the 43rd parallel, a hundredth of a degree apart.
pub(crate) fn points(rows: std::ops::Range<i64>) -> Vec<(i64, Place)> {
    rows.map(|n| (n, Place::Point(70.0 + n as f64 / 100.0, 43.0))).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(Hasher::digest(bytes).into())
}

/// A push of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) id: String,
    pub(crate) dataset: String,
    pub(crate) batches: Vec<Batch>,
    pub(crate) metadata: DatasetMetadata,
    pub(crate) expected_version: Option<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) declared: Declarations,
}

impl Push {
    pub(crate) fn new(id: &str, dataset: &str, rows: &[(i64, Place)]) -> Self {
        Self::of_batches(id, dataset, vec![batch(rows)])
    }

    pub(crate) fn of_batches(id: &str, dataset: &str, batches: Vec<Batch>) -> Self {
        Self {
            id: id.to_owned(),
            dataset: dataset.to_owned(),
            bytes: format!("{batches:?}").into_bytes(),
            batches,
            metadata: DatasetMetadata::default(),
            expected_version: None,
            declared: Declarations::default(),
        }
    }

    pub(crate) fn titled(mut self, language: &str, title: &str) -> Self {
        self.metadata.title.insert(language.to_owned(), title.to_owned());
        self
    }

    pub(crate) fn intent(&self, raw: &Path) -> PushIntent {
        PushIntent {
            push_id: self.id.parse().expect("valid"),
            agency: self.dataset.split('/').next().expect("an agency").to_owned(),
            principal: "tester".to_owned(),
            digest: sha256(&self.bytes),
            asset: Asset {
                sha256: sha256(&self.bytes),
                size_bytes: self.bytes.len() as u64,
                file_name: "layer.csv".to_owned(),
                media_type: "text/csv".to_owned(),
            },
            raw: raw.to_owned(),
            metadata: self.metadata.clone(),
            expected_version: self.expected_version,
            declared: self.declared.clone(),
            mapping: ukimet_model::MappingChange::Keep,
        }
    }

    pub(crate) fn send(&self, catalog: &Catalog) -> Result<(PushOutcome, Snapshot)> {
        self.send_between(catalog, || ())
    }

    /// Rows by geometry type: points and polygons are told apart by the code in their little-endian WKB.
    fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for batch in &self.batches {
            let places = batch.rows().column_by_name("geometry").map(|column| column.as_binary::<i32>().clone());
            for wkb in places.iter().flatten().flatten() {
                let kind = if wkb[1] == 1 { "Point" } else { "Polygon" };
                *kinds.entry(kind.to_owned()).or_default() += 1;
            }
        }
        kinds
    }

    /// Sends, and does something when all rows are there and compared, before the commit.
    pub(crate) fn send_between(&self, catalog: &Catalog, between: impl FnOnce()) -> Result<(PushOutcome, Snapshot)> {
        let (_raw, transaction) = self.prepared(catalog)?;
        between();
        transaction.commit()
    }

    /// The push up to its commit, and the file of its bytes.
    pub(crate) fn prepared(&self, catalog: &Catalog) -> Result<(tempfile::NamedTempFile, Transaction)> {
        let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
        raw.write_all(&self.bytes).expect("room");
        let mut transaction = catalog.begin(self.intent(raw.path()))?;
        let schema = self.batches[0].rows().schema();
        let mut layer = transaction.begin_layer(self.dataset.parse()?, schema)?;
        for batch in &self.batches {
            layer.append(batch.clone())?;
        }
        let rows = layer.rows();
        let geometry_types = self.kinds();
        let report = LayerReport { rows_read: rows, rows_taken: rows, geometry_types, ..LayerReport::default() };
        transaction.end_layer(layer, report)?;
        Ok((raw, transaction))
    }
}

pub(crate) fn options() -> CatalogOptions {
    // Small changes are described, their values stored with the list; large ones are not.
    let described_changes = DescribedChanges { percent_max: 60, pages_min: 1 };
    let (checkpoint_every, state_cache_bytes) = (4, 1 << 20);
    CatalogOptions {
        disk_reserve_bytes: 0,
        checkpoint_every,
        state_cache_bytes,
        described_changes,
        ..Default::default()
    }
}

pub(crate) fn open(dir: &Path) -> Catalog {
    Catalog::open(dir, options(), Arc::new(SystemClock)).expect("the store opens")
}

/// Everything is checked, row by row.
pub(crate) fn deep() -> VerifyOptions {
    VerifyOptions { is_deep: true, journal: None }
}

/// The numbers in column `n` of the rows that a query finds, in stored order.
pub(crate) fn numbers(snapshot: &Snapshot, dataset: &str, query: &RowQuery) -> Result<Vec<i64>> {
    let (dataset, version) = snapshot.version(&dataset.parse()?)?;
    let mut numbers = Vec::new();
    for batch in snapshot.scan(&dataset, &version, query, 0..usize::MAX)? {
        numbers.extend_from_slice(batch?.column_by_name("n").expect("column n").as_primitive::<Int64Type>().values());
    }
    Ok(numbers)
}

pub(crate) fn sorted(mut numbers: Vec<i64>) -> Vec<i64> {
    numbers.sort_unstable();
    numbers
}

pub(crate) fn window(bbox: [f64; 4]) -> RowQuery {
    RowQuery { bbox: Some(BoundingBox::from(bbox)), ..RowQuery::default() }
}

/// All files below a directory, as paths relative to it, with their sizes.
pub(crate) fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                open.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(dir).expect("below").to_string_lossy().into_owned();
                found.push((path, entry.metadata().expect("a size").len()));
            }
        }
    }
    found.sort_unstable();
    found
}
