//! A catalog of many datasets with many versions: how long opening it takes and how much memory.
//!
//! `UKIMET_SCALE=10000x100 cargo test -p ukimet-catalog --lib a_catalog_of_many_versions -- --ignored --nocapture`
//! makes one in `UKIMET_SCALE_DIR` unless it is there, opens it twice and prints what that took, and what the collection
//! takes that follows beside serving. The commits are true ones; the objects that they name are empty files, which
//! opening never reads; with `UKIMET_SCALE_FILES=none` they are left out, because a million versions name five million.
//! What making it leaves in memory is told too: opening a store that is there costs a process less.

#![allow(clippy::print_stderr, reason = "a measurement tells its figures")]

use super::sha256;
use crate::catalog::Catalog;
use crate::disk::RealDisk;
use crate::format::read_identity;
use crate::layout::Superseded;
use crate::log::{self, Appended, Change, Entry, Part};
use crate::named::{BytesOfRemoved, named_objects};
use crate::objects::Objects;
use crate::opening::{as_read, state_at};
use crate::options::CatalogOptions;
use crate::push::PushRecord;
use jiff::Timestamp;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use ukimet_model::{
    Asset, Dataset, DatasetId, DatasetMetadata, DatasetUuid, Declarations, LayerOutcome, LayerReport, MajorNumber,
    PushOutcome, PushStatus, SegmentRef, Sha256, SnapshotId, SystemClock, Version, VersionNumber,
};

/// Pushes in one commit.
const GROUP: u64 = 64;

fn id(dataset: u64) -> DatasetId {
    format!("agency-{}/dataset-{dataset}", dataset % 50).parse().expect("valid")
}

fn hash(kind: &str, dataset: u64, number: u64) -> Sha256 {
    sha256(format!("{kind} {dataset} {number}").as_bytes())
}

fn version(dataset: u64, number: u64, snapshot: u64) -> Version {
    let segment = SegmentRef {
        parquet: hash("parquet", dataset, number),
        rtree: Some(hash("rtree", dataset, number)),
        keys: hash("keys", dataset, number),
        rows: 1000,
        rows_with_place: 1000,
        size_bytes: 100_000,
        deletes: None,
    };
    Version {
        number: VersionNumber(number),
        snapshot: SnapshotId(snapshot),
        committed: Timestamp::UNIX_EPOCH,
        rolled_back_to: None,
        push_id: format!("push-{dataset}-{number}").parse().expect("valid"),
        asset: asset(dataset, number),
        layer: "layer".to_owned(),
        receipt: hash("receipt", dataset, number),
        fields: Vec::new(),
        root_hash: hash("root", dataset, number),
        rows: 1000,
        bbox: Some([70.0, 43.0, 71.0, 44.0].into()),
        geometry_types: vec!["Point".to_owned()].into_iter().map(|kind| (kind, 1000)).collect(),
        segments: vec![segment],
        assets: Vec::new(),
        key: None,
        changes: None,
        major: MajorNumber::FIRST,
        valid_time: None,
        erased: None,
        layout: None,
    }
}

fn asset(dataset: u64, number: u64) -> Asset {
    Asset {
        sha256: hash("raw", dataset, number),
        size_bytes: 100_000,
        file_name: "layer.csv".to_owned(),
        media_type: "text/csv".to_owned(),
    }
}

fn push(dataset: u64, number: u64, sequence: u64) -> Part {
    let mut changes = Vec::new();
    if number == 1 {
        changes.push(Change::DatasetCreated(Dataset {
            id: id(dataset),
            uuid: DatasetUuid::from_random(u128::from(dataset)),
            created: Timestamp::UNIX_EPOCH,
            metadata: DatasetMetadata::default(),
            mapping: None,
            retention: None,
        }));
    }
    let version = version(dataset, number, sequence);
    let outcome = PushOutcome {
        status: PushStatus::Published,
        layers: vec![LayerOutcome {
            receipt: None,
            dataset: id(dataset),
            version: version.number,
            major: version.major,
            status: PushStatus::Published,
            rows_changed: 0,
            marks_without_row: 0,
            key: None,
            rows_added: 10,
            rows_removed: 10,
            report: LayerReport { rows_read: 1000, rows_taken: 1000, ..LayerReport::default() },
            verdicts: None,
            quarantine: None,
        }],
        snapshot: version.snapshot,
    };
    changes.push(Change::PushRecorded(Box::new(PushRecord {
        push_id: version.push_id.clone(),
        agency: id(dataset).agency().to_owned(),
        digest: hash("push", dataset, number),
        asset: version.asset.clone(),
        outcome,
        declared: Declarations::default(),
    })));
    changes.push(Change::VersionPublished { dataset: id(dataset), version: Box::new(version) });
    Part { principal: "tester".to_owned(), requirements: Vec::new(), changes }
}

/// Writes the log and the objects that it names.
fn generate(dir: &Path, datasets: u64, versions: u64) {
    drop(open(dir));
    let objects = Objects::new(Arc::new(RealDisk::new(dir)));
    let identity = read_identity(&objects).expect("new");
    let (mut previous, mut sequence) = (identity, 0);
    for number in 1..=versions {
        for first in (0..datasets).step_by(GROUP as usize) {
            sequence += 1;
            let group = first..datasets.min(first + GROUP);
            let parts = group.map(|dataset| push(dataset, number, sequence)).collect();
            let entry = Entry { sequence, previous, time: Timestamp::UNIX_EPOCH, parts };
            let Appended::Committed(hash) = log::append(&objects, &entry).expect("room") else {
                panic!("a lone writer")
            };
            previous = hash;
        }
    }
    if std::env::var("UKIMET_SCALE_FILES").is_ok_and(|files| files == "none") {
        return;
    }
    let state = state_at(&objects, identity, sequence).expect("whole");
    for key in named_objects(as_read(&*state), BytesOfRemoved::AsRuled, Superseded::NONE).expect("whole").into_keys() {
        let path = dir.join(key);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("room");
        File::create(path).expect("room");
    }
}

fn open(dir: &Path) -> Catalog {
    let options = CatalogOptions { disk_reserve_bytes: 0, ..CatalogOptions::default() };
    Catalog::open(dir, options, Arc::new(SystemClock)).expect("a store")
}

/// A figure of this process in MiB, by its name in `/proc/self/status`.
fn memory_mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a known figure");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

fn measure(dir: &Path, what: &str) -> u64 {
    // Begins to count the most memory anew.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let (begin, before) = (Instant::now(), memory_mib("VmRSS"));
    let catalog = open(dir);
    let seconds = begin.elapsed().as_secs_f64();
    let most = memory_mib("VmHWM");
    eprintln!("{what}: {seconds:.1} s, {before} MiB before, at most {most} MiB, {:?}", catalog.opening());
    let begin = Instant::now();
    let collected = catalog.collect_garbage().expect("a whole disk");
    let (seconds, most) = (begin.elapsed().as_secs_f64(), memory_mib("VmHWM"));
    eprintln!("    the collection after it: {seconds:.1} s, at most {most} MiB, {collected:?}");
    assert_eq!(collected.objects, 0);
    catalog.close().expect("room");
    catalog.snapshot().dataset_count().expect("whole")
}

#[test]
#[ignore = "a measurement that takes minutes and gigabytes"]
fn a_catalog_of_many_versions_opens() {
    let scale = std::env::var("UKIMET_SCALE").unwrap_or_else(|_| "100x100".to_owned());
    let (datasets, versions) = scale.split_once('x').expect("DATASETSxVERSIONS");
    let (datasets, versions) = (datasets.parse().expect("a number"), versions.parse().expect("a number"));
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = std::env::var_os("UKIMET_SCALE_DIR").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    if !dir.join("ukimet.json").exists() {
        let begin = Instant::now();
        generate(&dir, datasets, versions);
        eprintln!("generated in {:.0} s", begin.elapsed().as_secs_f64());
    }
    measure(&dir, "first opening, without projections or checkpoint");
    assert_eq!(measure(&dir, "opening"), datasets);
}
