//! Logs over files in memory: what is written, what is left alone, what is built anew.

use super::*;
use crate::files::ParquetFile;
use arrow_array::{Float32Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaDataReader;
use roaring::RoaringBitmap;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use ukimet_model::batch::geometry_field;
use ukimet_model::{
    Asset, Dataset, DatasetMetadata, DatasetUuid, DeletesRef, Error, MajorNumber, PushId, SegmentRef, Sha256,
    SnapshotId, Version,
};

/// One dataset whose files are in memory.
#[derive(Default)]
struct Memory {
    versions: Vec<Version>,
    last_erasure: Option<SnapshotId>,
    stored: RefCell<BTreeMap<String, Bytes>>,
    /// Puts that still succeed; `None` for all.
    puts_left: Cell<Option<u32>>,
}

fn published() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true), geometry_field()]))
}

/// A file with one row for each place, which is a point `x = y`.
fn parquet(places: &[f32]) -> Bytes {
    let sides = crate::schema::SIDES.map(|side| Arc::new(Field::new(side, DataType::Float32, false)));
    let side = || -> arrow_array::ArrayRef { Arc::new(Float32Array::from(places.to_vec())) };
    let boxes = StructArray::from(sides.map(|field| (field, side())).to_vec());
    let names = StringArray::from_iter_values(places.iter().map(|place| format!("n{place}")));
    let columns: [(&str, arrow_array::ArrayRef); 2] = [("name", Arc::new(names)), ("bbox", Arc::new(boxes))];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("written").into()
}

fn segment(number: u8, rows: u64, rows_gone: u64) -> SegmentRef {
    let hash = Sha256([number; 32]);
    let deletes = DeletesRef { sha256: Sha256([rows_gone as u8; 32]), rows: rows_gone };
    let deletes = (rows_gone > 0).then_some(deletes);
    SegmentRef { parquet: hash, rtree: None, keys: hash, rows, rows_with_place: rows, size_bytes: 1, deletes }
}

impl Memory {
    fn push(&mut self, segments: Vec<SegmentRef>) {
        let number = self.versions.len() as u64 + 1;
        self.versions.push(Version {
            number: VersionNumber(number),
            snapshot: SnapshotId(number),
            committed: Timestamp::from_second(1_700_000_000 + number as i64).expect("a time"),
            push_id: "push".parse::<PushId>().expect("an id"),
            asset: Asset {
                sha256: Sha256([0; 32]),
                size_bytes: 0,
                file_name: String::new(),
                media_type: String::new(),
            },
            layer: String::new(),
            receipt: Sha256([0; 32]),
            fields: Vec::new(),
            root_hash: Sha256([number as u8; 32]),
            rows: segments.iter().map(SegmentRef::live_rows).sum(),
            bbox: None,
            geometry_types: BTreeMap::new(),
            segments,
            assets: Vec::new(),
            key: None,
            changes: None,
            layout: None,
            rolled_back_to: None,
            major: MajorNumber::FIRST,
            valid_time: None,
            erased: None,
        });
    }

    /// Three versions: two files, one of them without two rows, a third file.
    fn of_three() -> Self {
        let mut memory = Self::default();
        for (number, places) in [(1, [1.0, 2.0, 3.0]), (2, [10.0, 11.0, 12.0]), (3, [20.0, 21.0, 22.0])] {
            let path = format!("{}.parquet", Sha256([number; 32]));
            memory.stored.get_mut().insert(path, parquet(&places));
        }
        memory.push(vec![segment(1, 3, 0), segment(2, 3, 0)]);
        memory.push(vec![segment(1, 3, 2), segment(2, 3, 0)]);
        memory.push(vec![segment(1, 3, 2), segment(3, 3, 0)]);
        memory
    }

    fn catch_up(&self, removed: &[u64], options: LogOptions) -> Result<CaughtUp> {
        let removed = removed.iter().copied().map(VersionNumber).collect();
        catch_up(self, VersionNumber(self.versions.len() as u64), &removed, options)
    }

    /// The actions of an entry, by name.
    fn entry(&self, number: u64) -> Vec<(String, Value)> {
        let bytes = self.read(&format!("{LOG}/{number:020}.json")).expect("an entry");
        let lines = std::str::from_utf8(&bytes).expect("text").lines();
        let actions = lines.map(|line| serde_json::from_str::<serde_json::Map<_, _>>(line).expect("JSON"));
        actions.flatten().collect()
    }

    fn actions(&self, number: u64) -> Vec<String> {
        self.entry(number).into_iter().map(|(name, _)| name).collect()
    }
}

impl DatasetFiles for Memory {
    fn last_erasure(&self) -> Result<Option<SnapshotId>> {
        Ok(self.last_erasure)
    }

    fn version(&self, number: VersionNumber) -> Result<Version> {
        Ok(self.versions[number.0 as usize - 1].clone())
    }

    fn dataset(&self, _: &Version) -> Result<Dataset> {
        Ok(Dataset {
            id: "a/b".parse().expect("an id"),
            uuid: DatasetUuid::from_random(7),
            created: Timestamp::UNIX_EPOCH,
            metadata: DatasetMetadata::default(),
            mapping: None,
            retention: None,
        })
    }

    fn schema(&self, _: &Version) -> Result<SchemaRef> {
        Ok(published())
    }

    fn segment(&self, segment: &SegmentRef) -> Result<ParquetFile> {
        let bytes = self.read(&format!("{}.parquet", segment.parquet))?;
        let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).expect("Parquet");
        Ok(ParquetFile { size_bytes: bytes.len() as u64, footer: Arc::new(footer) })
    }

    fn deleted_rows(&self, segment: &SegmentRef) -> Result<RoaringBitmap> {
        Ok((0..segment.deletes.map_or(0, |deletes| deletes.rows as u32)).collect())
    }

    fn put_live_rows(&self, segment: &SegmentRef, path: &str) -> Result<ParquetFile> {
        self.put(path, b"without deleted rows")?;
        self.segment(segment)
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let stored = self.stored.borrow();
        Ok(stored.keys().filter_map(|path| path.strip_prefix(&format!("{folder}/"))).map(str::to_owned).collect())
    }

    fn read(&self, path: &str) -> Result<Bytes> {
        self.stored.borrow().get(path).cloned().ok_or_else(|| Error::internal(format!("{path} is missing")))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        if let Some(left) = self.puts_left.get() {
            self.puts_left.set(Some(left.checked_sub(1).ok_or_else(|| Error::limit_reached("the disk is full"))?));
        }
        self.stored.borrow_mut().entry(path.to_owned()).or_insert_with(|| Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.stored.borrow_mut().remove(path).map(|_| ()).ok_or_else(|| Error::internal(format!("{path} is missing")))
    }
}

const VECTORS: LogOptions = LogOptions { deleted_rows: DeletedRows::Vectors, checkpoint_every: 10 };
const REWRITTEN_ROWS: LogOptions = LogOptions { deleted_rows: DeletedRows::Rewritten, checkpoint_every: 10 };

#[test]
fn an_entry_has_what_changed_and_nothing_else() {
    let memory = Memory::of_three();
    assert_eq!(memory.catch_up(&[], VECTORS).expect("caught up"), CaughtUp { written: 4, removed: 0 });
    assert_eq!(memory.actions(0), ["commitInfo", "protocol", "metaData"]);
    assert_eq!(memory.actions(1), ["commitInfo", "add", "add"]);
    assert_eq!(memory.actions(2), ["commitInfo", "protocol", "remove", "add"]);
    assert_eq!(memory.actions(3), ["commitInfo", "remove", "add"]);
    let second = memory.entry(2);
    assert_eq!(second[1].1["readerFeatures"], serde_json::json!(["deletionVectors"]));
    assert_eq!(second[3].1["deletionVector"]["cardinality"], 2);
    let stats: Value = serde_json::from_str(second[3].1["stats"].as_str().expect("text")).expect("JSON");
    assert_eq!((&stats["numRecords"], &stats["tightBounds"]), (&Value::from(3), &Value::from(false)));
    assert_eq!(stats["minValues"]["bbox"]["xmin"], 1.0);
    assert_eq!(stats["maxValues"]["bbox"]["ymax"], 3.0);
    assert_eq!(stats["maxValues"]["name"], "n3");
    assert_eq!(memory.catch_up(&[], VECTORS).expect("nothing to do"), CaughtUp::default());
}

#[test]
fn a_log_that_is_gone_is_built_again_byte_for_byte() {
    let memory = Memory::of_three();
    let options = LogOptions { checkpoint_every: 2, ..VECTORS };
    memory.catch_up(&[], options).expect("caught up");
    let whole = memory.stored.borrow().clone();
    assert!(whole.contains_key(&format!("{LOG}/{:020}.checkpoint.parquet", 2)));
    memory.stored.borrow_mut().retain(|path, _| !path.starts_with(LOG));
    memory.catch_up(&[], options).expect("caught up");
    assert_eq!(*memory.stored.borrow(), whole);
    memory.stored.borrow_mut().retain(|path, _| !path.ends_with("1.json"));
    assert_eq!(memory.catch_up(&[], options).expect("caught up").written, 1, "one in the middle");
    assert_eq!(*memory.stored.borrow(), whole);
}

#[test]
fn a_log_that_a_full_disk_cut_short_goes_on_where_it_ended() {
    let whole = Memory::of_three();
    whole.catch_up(&[], VECTORS).expect("caught up");
    for puts in 0..4 {
        let memory = Memory::of_three();
        memory.puts_left.set(Some(puts));
        assert!(memory.catch_up(&[], VECTORS).is_err());
        memory.puts_left.set(None);
        let written = memory.catch_up(&[], VECTORS).expect("caught up").written;
        // Entry 0 alone says nothing of the versions, so it is written again.
        assert_eq!(written, if puts < 2 { 4 } else { 4 - u64::from(puts) });
        assert_eq!(*memory.stored.borrow(), *whole.stored.borrow());
    }
}

#[test]
fn a_log_of_other_versions_is_built_anew() {
    let memory = Memory::of_three();
    memory.catch_up(&[], VECTORS).expect("caught up");
    let mut other = Memory::of_three();
    other.versions[2].root_hash = Sha256([9; 32]);
    other.stored = RefCell::new(memory.stored.borrow().clone());
    assert_eq!(other.catch_up(&[], VECTORS).expect("caught up"), CaughtUp { written: 4, removed: 4 });
    // Versions that a restored store does not have any more.
    other.versions.pop();
    assert_eq!(other.catch_up(&[], VECTORS).expect("caught up"), CaughtUp { written: 0, removed: 1 });
    // What somebody else wrote on top.
    for name in ["00000000000000000003.json", "00000000000000000002.crc", "_last_checkpoint"] {
        other.put(&format!("{LOG}/{name}"), b"{}").expect("room");
    }
    assert_eq!(other.catch_up(&[], VECTORS).expect("caught up"), CaughtUp { written: 0, removed: 3 });
}

#[test]
fn versions_that_are_not_kept_vanish_and_a_checkpoint_stands_behind_the_gap() {
    let mut memory = Memory::of_three();
    memory.push(vec![segment(3, 3, 0)]);
    memory.catch_up(&[], VECTORS).expect("caught up");
    assert_eq!(memory.catch_up(&[2], VECTORS).expect("caught up"), CaughtUp { written: 1, removed: 1 });
    let names = memory.names(LOG).expect("names");
    let expected = ["0.json", "1.json", "3.checkpoint.parquet", "3.json", "4.json"];
    assert_eq!(
        names,
        expected.map(|name| format!("{:020}.{}", name[..1].parse::<u64>().expect("a digit"), &name[2..]))
    );
    let checkpoint = memory.read(&format!("{LOG}/{:020}.checkpoint.parquet", 3)).expect("a checkpoint");
    let reader = ParquetRecordBatchReaderBuilder::try_new(checkpoint).expect("Parquet").build().expect("Parquet");
    assert_eq!(reader.map(|batch| batch.expect("rows").num_rows()).sum::<usize>(), 4, "protocol, table, two files");
    // Built anew, the first entry behind the gap tells all by itself.
    memory.stored.borrow_mut().retain(|path, _| !path.starts_with(LOG));
    memory.catch_up(&[2], VECTORS).expect("caught up");
    assert_eq!(memory.actions(3), ["commitInfo", "protocol", "metaData", "add", "add"]);
    assert_eq!(memory.catch_up(&[1, 2], VECTORS).expect("caught up"), CaughtUp { written: 0, removed: 2 });
}

#[test]
fn rewritten_files_stand_for_those_with_deleted_rows_and_go_with_their_versions() {
    let memory = Memory::of_three();
    memory.catch_up(&[], REWRITTEN_ROWS).expect("caught up");
    let second = memory.entry(2);
    assert_eq!(memory.actions(2), ["commitInfo", "remove", "add"], "plain readers read it");
    let path = second[2].1["path"].as_str().expect("a path").to_owned();
    assert!(path.starts_with(REWRITTEN) && memory.read(&path).is_ok(), "{path}");
    assert_eq!(second[2].1.get("deletionVector"), None);
    memory.catch_up(&[2], REWRITTEN_ROWS).expect("caught up");
    assert!(memory.read(&path).is_ok(), "version 3 has it too");
    let mut shorter = Memory::of_three();
    shorter.versions.truncate(1);
    shorter.stored = RefCell::new(memory.stored.borrow().clone());
    shorter.catch_up(&[], REWRITTEN_ROWS).expect("caught up");
    assert!(memory.catch_up(&[], VECTORS).expect("caught up").removed > 0, "the other way to tell is another log");
    assert!(shorter.read(&path).is_err() && memory.read(&path).is_err());
}

#[test]
fn a_log_from_before_rows_were_erased_is_built_anew_and_copies_of_then_go() {
    let mut memory = Memory::of_three();
    memory.catch_up(&[], REWRITTEN_ROWS).expect("caught up");
    let before = memory.stored.borrow().clone();
    memory.last_erasure = Some(SnapshotId(7));
    // What an old reader of the store put there while it was cleaned.
    let late = format!("{REWRITTEN}/of-a-file-that-is-gone.parquet");
    memory.put(&late, b"rows").expect("room");
    let done = memory.catch_up(&[], REWRITTEN_ROWS).expect("caught up");
    assert_eq!(done, CaughtUp { written: 4, removed: 5 }, "every entry, not only the newest");
    assert!(memory.read(&late).is_err());
    for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with(LOG)) {
        assert_ne!(memory.read(path).expect("there"), bytes, "{path}");
    }
    assert_eq!(memory.catch_up(&[], REWRITTEN_ROWS).expect("nothing to do"), CaughtUp::default());
    // The log was cleaned away, and only a copy is left.
    memory.stored.borrow_mut().retain(|path, _| !path.starts_with(LOG));
    memory.put(&late, b"rows").expect("room");
    assert_eq!(memory.catch_up(&[], REWRITTEN_ROWS).expect("caught up"), CaughtUp { written: 4, removed: 1 });
    assert!(memory.read(&late).is_err());
}
