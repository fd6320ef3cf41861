//! Lists of changes that say something else than the rows, under hashes that are right.

use crate::catalog::Catalog;
use crate::catalog::tests::open;
use crate::changes::{ChangeList, ListWriter};
use crate::disk::recording::RecordingDisk;
use crate::objects::Objects;
use crate::push::PushIntent;
use crate::seal::{sha256, unseal};
use crate::verify::{VerifyOptions, verify_objects};
use crate::{log, paths};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{Asset, Batch, DatasetMetadata, Declarations, LayerReport, MappingChange, PushMode};

const DATASET: &str = "almaty/parcels";

/// Numbers with what is said of each.
type Rows = Vec<(i64, String)>;

fn push(catalog: &Catalog, id: &str, rows: &Rows) {
    let schema = Schema::new(vec![
        attribute_field("number", "№", DataType::Int64),
        attribute_field("owner", "иесі", DataType::Utf8),
        Arc::new(geometry_field()),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(number, _)| Some(*number)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, owner)| Some(owner)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|_| None::<&[u8]>).collect::<BinaryArray>()),
    ];
    let batch = Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized");
    let raw = tempfile::NamedTempFile::new().expect("a temporary file");
    let asset = Asset {
        sha256: sha256(b""),
        size_bytes: 0,
        file_name: "parcels.csv".to_owned(),
        media_type: "text/csv".to_owned(),
    };
    let key = (id == "p1").then(|| vec!["number".to_owned()]);
    let intent = PushIntent {
        push_id: id.parse().expect("valid"),
        agency: "almaty".to_owned(),
        principal: "tester".to_owned(),
        digest: sha256(id.as_bytes()),
        asset,
        raw: raw.path().to_owned(),
        metadata: DatasetMetadata::default(),
        expected_version: None,
        declared: Declarations { mode: PushMode::Replace, key, ..Declarations::default() },
        mapping: MappingChange::Keep,
    };
    let mut transaction = catalog.begin(intent).expect("begun");
    let mut layer = transaction.begin_layer(DATASET.parse().expect("valid"), batch.rows().schema()).expect("begun");
    layer.append(batch).expect("taken");
    let report = LayerReport { rows_read: rows.len() as u64, rows_taken: rows.len() as u64, ..LayerReport::default() };
    transaction.end_layer(layer, report).expect("ended");
    transaction.commit().expect("committed");
}

/// A list, with the values that are stored with it.
struct Told {
    list: ChangeList,
    values: RecordBatch,
}

/// Three versions; the last changes two owners and takes a row away.
fn filled() -> RecordingDisk {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("an empty disk");
    let mut rows: Rows = (0..40).map(|number| (number, format!("owner {number}"))).collect();
    push(&catalog, "p1", &rows);
    rows.push((40, "another".to_owned()));
    push(&catalog, "p2", &rows);
    rows[3].1 = "a son".to_owned();
    rows[30].1 = "a daughter".to_owned();
    rows.remove(17);
    push(&catalog, "p3", &rows);
    catalog.close().expect("a whole disk");
    disk
}

fn findings(disk: &RecordingDisk, is_deep: bool) -> Vec<(String, String)> {
    let options = VerifyOptions { is_deep, journal: None };
    let report = verify_objects(&Objects::new(Arc::new(disk.clone())), &options, &mut |_| ()).expect("a store");
    report.findings.into_iter().map(|finding| (finding.object, finding.reason)).collect()
}

/// Puts another list in the place of the last version's; every hash is right. Answers the key of the list.
fn tamper(disk: &RecordingDisk, change: impl FnOnce(&mut Told)) -> String {
    let objects = Objects::new(Arc::new(disk.clone()));
    let catalog = open(Arc::new(disk.clone())).expect("a whole disk");
    let (dataset, version) = catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there");
    let before = version.changes.expect("a list").sha256;
    drop(catalog);
    let object = objects.open(&paths::changes(&dataset.uuid, &before)).expect("there");
    let (list, values) = ChangeList::read(&object).expect("a list");
    let values = values.expect("values are stored");
    let values = values.read(0, values.size_bytes() as usize).expect("read");
    let mut batches = ParquetRecordBatchReader::try_new(values, 1024).expect("parquet");
    let mut told = Told { list, values: batches.next().expect("rows").expect("read") };
    change(&mut told);
    let mut writer = ListWriter::begin(&objects).expect("room");
    let mut values = writer.values(&told.values.schema()).expect("begun");
    values.write(told.values.columns().to_vec()).expect("written");
    values.finish().expect("written");
    let written = writer.finish(&told.list).expect("written");
    let after = written.sha256;
    let key = paths::changes(&dataset.uuid, &after);
    written.publish(&key).expect("published");

    let entry = paths::log_entry(version.snapshot.0);
    let (json, _) = unseal(&objects.get(&entry).expect("there")).expect("whole");
    let json = String::from_utf8(json).expect("JSON").replace(&before.to_string(), &after.to_string());
    objects.delete(&entry).expect("deleted");
    for name in objects.list(paths::CHECKPOINTS).expect("read") {
        objects.delete(&format!("{}/{name}", paths::CHECKPOINTS)).expect("deleted");
    }
    log::append(&objects, &serde_json::from_str(&json).expect("an entry")).expect("appended");
    key
}

fn with_other_owner(values: &RecordBatch, owner: &str) -> RecordBatch {
    let mut columns = values.columns().to_vec();
    let owners = columns[1].as_string::<i32>();
    assert_eq!(owners.iter().filter(|now| *now == Some(owner)).count(), 1, "it is stored");
    let owners = owners.iter().map(|now| if now == Some(owner) { Some("a thief") } else { now });
    columns[1] = Arc::new(owners.collect::<StringArray>());
    RecordBatch::try_new(values.schema(), columns).expect("rows fit")
}

#[test]
fn values_before_that_are_others_than_the_rows_are_found_though_every_hash_is_right() {
    for owner in ["owner 3", "owner 17", "owner 30"] {
        let disk = filled();
        assert_eq!(findings(&disk, true), vec![]);
        let key = tamper(&disk, |told| {
            told.values = with_other_owner(&told.values, owner);
        });
        assert_eq!(findings(&disk, false), vec![], "the bytes are what the commit names");
        let expected = "almaty/parcels@v3: of the 3 values before that are stored of column owner, 1 are not those of the version before";
        assert_eq!(findings(&disk, true), [(key, expected.to_owned())]);
    }
}

#[test]
fn a_list_that_tells_of_other_columns_rows_or_values_than_differ_is_found() {
    let found = |expected: &str, change: fn(&mut Told)| {
        let disk = filled();
        let key = tamper(&disk, change);
        assert_eq!(findings(&disk, false), vec![], "{expected}");
        let [(object, reason)] = &findings(&disk, true)[..] else { panic!("{expected}: one finding") };
        assert_eq!(*object, key);
        assert!(reason.contains(expected), "{reason}");
    };
    found("tells of other columns than differ", |told| told.list.column_sets = vec![vec![0]]);
    found("tells of 2 rows that differ, 3 do", |told| {
        told.list.changes.remove(0);
        told.list.changes.iter_mut().filter_map(|change| change.values.as_mut()).for_each(|row| row.position -= 1);
        told.values = told.values.slice(1, 2);
    });
    found("tells of a row that does not differ so", |told| told.list.changes[0].key ^= 1);
    found("expected values before of 2 rows, found 3", |told| told.list.changes[0].values = None);
}
