//! A register of people, pushed in several ways, and a search for what is left of one of them.

use crate::fixture::{Place, files, sha256};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_data::ArrayData;
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::{Catalog, Erasure, ErasureIntent, PushIntent, Snapshot, Transaction, row_hashes};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Asset, Batch, DatasetMetadata, Declarations, Diagnostic, Example, LayerReport, MappingChange, PushMode,
    PushOutcome, QuarantinedRow, Result, RowQuery, Severity, Verdict,
};

pub(crate) const DATASET: &str = "almaty/people";

/// A person: a code, a name, a place along the 43rd parallel in hundredths of a degree.
pub(crate) type Person = (String, String, i64);

pub(crate) fn person(number: i64) -> Person {
    (format!("code-{number}"), format!("name {number}"), number)
}

pub(crate) fn people(numbers: std::ops::Range<i64>) -> Vec<Person> {
    numbers.map(person).collect()
}

fn batch(rows: &[Person], [code, name]: [&str; 2]) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("code", code, DataType::Utf8),
        attribute_field("name", name, DataType::Utf8),
        Arc::new(geometry_field()),
    ]);
    let place = |(_, _, x): &Person| Place::Point(70.0 + *x as f64 / 100.0, 43.0).to_wkb();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(code, _, _)| Some(code)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(_, name, _)| Some(name)).collect::<StringArray>()),
        Arc::new(rows.iter().map(place).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

/// A push of people; its bytes as sent hold all that it says.
#[derive(Clone)]
pub(crate) struct Push {
    pub(crate) id: String,
    pub(crate) dataset: String,
    pub(crate) mode: PushMode,
    pub(crate) key: Option<&'static str>,
    pub(crate) rows: Vec<Person>,
    /// What the source calls the columns of codes and names.
    pub(crate) columns: [&'static str; 2],
    /// Codes of refused rows; each has a verdict, too, and an example.
    pub(crate) refused: Vec<String>,
    /// Another text in the bytes as sent.
    pub(crate) salt: String,
    /// What a file made of the first row holds.
    pub(crate) file: Option<String>,
}

impl Push {
    pub(crate) fn replace(id: &str, rows: Vec<Person>) -> Self {
        Self {
            id: id.to_owned(),
            dataset: DATASET.to_owned(),
            mode: PushMode::Replace,
            key: Some("code"),
            rows,
            columns: ["Коды", "Аты"],
            refused: Vec::new(),
            salt: String::new(),
            file: None,
        }
    }

    pub(crate) fn upsert(id: &str, rows: Vec<Person>) -> Self {
        Self { mode: PushMode::Upsert, ..Self::replace(id, rows) }
    }

    fn bytes(&self) -> Vec<u8> {
        format!("{:?} {:?} {}", self.rows, self.refused, self.salt).into_bytes()
    }

    fn intent(&self, raw: &Path) -> PushIntent {
        let bytes = self.bytes();
        PushIntent {
            push_id: self.id.parse().expect("valid"),
            agency: self.dataset.split('/').next().expect("an agency").to_owned(),
            principal: "tester".to_owned(),
            digest: sha256(&[bytes.as_slice(), self.dataset.as_bytes()].concat()),
            asset: Asset {
                sha256: sha256(&bytes),
                size_bytes: bytes.len() as u64,
                file_name: "people.csv".to_owned(),
                media_type: "text/csv".to_owned(),
            },
            raw: raw.to_owned(),
            metadata: DatasetMetadata::default(),
            expected_version: None,
            declared: Declarations {
                mode: self.mode,
                key: self.key.map(|key| vec![key.to_owned()]),
                ..Declarations::default()
            },
            mapping: MappingChange::Keep,
        }
    }

    /// All but the commit. The bytes as sent lie in `raw`.
    pub(crate) fn prepare(&self, catalog: &Catalog, raw: &mut tempfile::NamedTempFile) -> Result<Transaction> {
        raw.write_all(&self.bytes()).expect("room");
        let mut transaction = catalog.begin(self.intent(raw.path()))?;
        let rows = batch(&self.rows, self.columns);
        let mut layer = transaction.begin_layer(self.dataset.parse()?, rows.rows().schema())?;
        layer.append(rows)?;
        if let Some(bytes) = self.file.as_ref().map(String::as_bytes) {
            layer.begin_asset("picture".to_owned(), "image/tiff".to_owned(), 0)?;
            layer.append_asset(bytes)?;
            layer.end_asset(sha256(bytes), bytes.len() as u64)?;
        }
        let mut examples = Vec::new();
        for (row, code) in (0..).zip(&self.refused) {
            let example = Example { row: Some(row), field: None, found: code.clone(), taken: None };
            examples.push(example.clone());
            layer.add_verdict(&Verdict::new("test.rule", Severity::Error, "a test", example))?;
            let values = vec![Some(code.clone()), None];
            layer.add_quarantined(&self.columns.map(str::to_owned), &QuarantinedRow { row, values })?;
        }
        let rows = layer.rows();
        let (rule, message, count) = ("test.rule".to_owned(), "a test".to_owned(), examples.len() as u64);
        let report = LayerReport {
            rows_read: rows + count,
            rows_taken: rows,
            rows_refused: count,
            geometry_types: BTreeMap::from([("Point".to_owned(), rows)]),
            diagnostics: vec![Diagnostic { rule, severity: Severity::Error, message, count, examples }],
            ..LayerReport::default()
        };
        transaction.end_layer(layer, report)?;
        Ok(transaction)
    }

    pub(crate) fn send(&self, catalog: &Catalog) -> Result<PushOutcome> {
        let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
        self.prepare(catalog, &mut raw)?.commit().map(|(outcome, _)| outcome)
    }
}

/// An erasure of people by their codes.
pub(crate) fn of_codes(id: &str, codes: &[&str]) -> ErasureIntent {
    ErasureIntent {
        id: id.parse().expect("valid"),
        principal: "tester".to_owned(),
        who: "the person".to_owned(),
        why: "asked to be forgotten".to_owned(),
        dataset: DATASET.parse().expect("valid"),
        columns: vec!["code".to_owned()],
        keys: codes.iter().map(|code| vec![(*code).to_owned()]).collect(),
        bytes_in_doubt: false,
    }
}

pub(crate) fn erase(catalog: &Catalog, id: &str, codes: &[&str]) -> Erasure {
    catalog.erase(&of_codes(id, codes)).expect("erased").0
}

/// The codes that a version has, sorted; with the box, only those in it.
pub(crate) fn codes(snapshot: &Snapshot, version: u64, query: &RowQuery) -> Result<Vec<String>> {
    let (dataset, version) = snapshot.version(&format!("{DATASET}@v{version}").parse()?)?;
    let mut codes = Vec::new();
    for batch in snapshot.scan(&dataset, &version, query, 0..usize::MAX)? {
        let batch = batch?;
        let column = batch.column_by_name("code").expect("a column").as_string::<i32>();
        codes.extend(column.iter().map(|code| code.expect("every row has a code").to_owned()));
    }
    codes.sort_unstable();
    Ok(codes)
}

/// The codes of these people, sorted.
pub(crate) fn codes_of(numbers: impl IntoIterator<Item = i64>) -> Vec<String> {
    let codes: BTreeSet<_> = numbers.into_iter().map(|number| person(number).0).collect();
    codes.into_iter().collect()
}

/// The hash that key files and change lists know a person by, as bytes.
pub(crate) fn key_hash(code: &str) -> [u8; 16] {
    let column: ArrayRef = Arc::new(StringArray::from(vec![code]));
    let row = RecordBatch::try_from_iter([("code", column)]).expect("a row");
    row_hashes(&row).expect("hashed")[0].to_be_bytes()
}

/// The files below a directory that hold the bytes, however they are packed.
pub(crate) fn holders(dir: &Path, wanted: &[u8]) -> Vec<String> {
    let holds = |name: &String| {
        let path = dir.join(name);
        let bytes = std::fs::read(&path).expect("a file");
        contains(&bytes, wanted)
            || match path.extension().and_then(OsStr::to_str) {
                Some("parquet") => holds_parquet(bytes.into(), wanted),
                Some("changes") => values_in(bytes).is_some_and(|values| holds_parquet(values, wanted)),
                Some("arrow") => holds_arrow(&path, wanted),
                ending if ending == Some("zst") || name.starts_with("raw/") => {
                    contains(&zstd::decode_all(bytes.as_slice()).expect("zstd"), wanted)
                }
                _ => false,
            }
    };
    files(dir).into_iter().map(|(name, _)| name).filter(holds).collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The values before that are stored with a list of changes: behind eight bytes, as long as the first number at the end says.
fn values_in(list: Vec<u8>) -> Option<Bytes> {
    let length = u64::from_be_bytes(list[list.len() - 24..][..8].try_into().expect("a number")) as usize;
    (length > 0).then(|| Bytes::from(list).slice(8..8 + length))
}

fn holds_parquet(bytes: Bytes, wanted: &[u8]) -> bool {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("parquet");
    let footer = format!("{:?}", builder.metadata());
    let mut batches = builder.build().expect("parquet");
    contains(footer.as_bytes(), wanted) || batches.any(|batch| holds_batch(&batch.expect("rows"), wanted))
}

fn holds_arrow(path: &Path, wanted: &[u8]) -> bool {
    let file = std::fs::File::open(path).expect("a file");
    let mut batches = FileReader::try_new(file, None).expect("arrow");
    let schema = format!("{:?}", batches.schema());
    contains(schema.as_bytes(), wanted) || batches.any(|batch| holds_batch(&batch.expect("rows"), wanted))
}

fn holds_batch(batch: &RecordBatch, wanted: &[u8]) -> bool {
    fn holds(data: &ArrayData, wanted: &[u8]) -> bool {
        data.buffers().iter().any(|buffer| contains(buffer, wanted))
            || data.child_data().iter().any(|child| holds(child, wanted))
    }
    batch.columns().iter().any(|column| holds(&column.to_data(), wanted))
}
