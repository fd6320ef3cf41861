//! Erasures on a disk that loses its power or fails at an operation: not done at all, or done to the end.

use super::{Push, numbers, open};
use crate::catalog::Catalog;
use crate::disk::failing::{FailingDisk, Failure};
use crate::disk::recording::{RecordingDisk, Survival};
use crate::erase::ErasureIntent;
use crate::objects::Objects;
use crate::verify::{VerifyOptions, verify_objects};
use std::sync::Arc;
use ukimet_model::Result;

pub(crate) const DATASET: &str = "almaty/schools";
/// Rows of the versions before; the number 2 is to be erased.
pub(super) const ROWS: [std::ops::Range<i64>; 3] = [0..3, 0..9, 1..5];

pub(crate) fn intent() -> ErasureIntent {
    ErasureIntent {
        id: "e".parse().expect("valid"),
        principal: "tester".to_owned(),
        who: String::new(),
        why: "a test".to_owned(),
        dataset: DATASET.parse().expect("valid"),
        columns: vec!["n".to_owned()],
        keys: vec![vec!["2".to_owned()]],
        bytes_in_doubt: false,
    }
}

fn fill(catalog: &Catalog) -> Result<()> {
    for (number, rows) in (1..).zip(ROWS) {
        Push::new(&format!("p{number}"), DATASET, rows).send(catalog)?;
    }
    Ok(())
}

/// Every version has all its rows, or none has the erased one: which of both.
fn is_erased(catalog: &Catalog, disk: &RecordingDisk, when: &str) -> bool {
    let is_done = !catalog.snapshot().erasures(&DATASET.parse().expect("valid")).expect("read").is_empty();
    for (number, rows) in (1..).zip(ROWS) {
        let found = numbers(catalog, DATASET, number).unwrap_or_else(|e| panic!("v{number}, {when}: {e}"));
        assert_eq!(found, rows.filter(|n| !is_done || *n != 2).collect::<Vec<_>>(), "v{number}, {when}");
    }
    if is_done {
        assert_eq!(holders(disk), Vec::<String>::new(), "{when}");
    }
    catalog.collect_garbage().unwrap_or_else(|e| panic!("collecting, {when}: {e}"));
    let options = VerifyOptions { is_deep: true, journal: None };
    let report = verify_objects(&catalog.shared().objects, &options, &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0), "{when}");
    is_done
}

/// The files that hold the place of the erased row, and all bytes as sent: every push brought the row.
fn holders(disk: &RecordingDisk) -> Vec<String> {
    let place = (70.0 + 2.0 / 100.0_f64).to_le_bytes();
    let objects = Objects::new(Arc::new(disk.clone()));
    let folders = disk.names("data").into_iter().map(|dataset| format!("data/{dataset}"));
    let mut found = Vec::new();
    for folder in folders.chain(["raw".to_owned(), "receipts".to_owned()]) {
        for name in disk.names(&folder) {
            let key = format!("{folder}/{name}");
            let bytes = objects.get(&key).unwrap_or_default();
            if folder == "raw" || bytes.windows(place.len()).any(|window| window == place) {
                found.push(key);
            }
        }
    }
    found
}

#[test]
fn a_power_cut_at_any_moment_of_an_erasure_leaves_it_undone_or_done() {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("an empty disk");
    fill(&catalog).expect("a whole disk");
    let begun = disk.operations().len();
    assert!(holders(&disk).iter().any(|key| key.ends_with(".parquet")), "the search finds what is there");
    let (erasure, ..) = catalog.erase(&intent()).expect("a whole disk");
    assert_eq!(erasure.versions.len(), 3);
    assert_eq!(holders(&disk), Vec::<String>::new(), "all three pushes held it");
    let operations = disk.operations();
    let (mut done, mut undone) = (0, 0);
    for count in begun..=operations.len() {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Some(count as u64)] {
            let when = format!("after {count} of {} operations with {survival:?}", operations.len());
            let disk = RecordingDisk::crash(&operations, count, survival);
            let catalog = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("recovery {when}: {e}"));
            if is_erased(&catalog, &disk, &when) {
                done += 1;
            } else {
                undone += 1;
            }
            if count % 8 == 0 {
                let (again, ..) = catalog.erase(&intent()).unwrap_or_else(|e| panic!("again, {when}: {e}"));
                assert_eq!(again.versions, erasure.versions, "{when}");
                assert!(is_erased(&catalog, &disk, &when));
            }
        }
    }
    assert!(done > 20 && undone > 20, "{done} done, {undone} not");
}

#[test]
fn a_disk_operation_that_fails_leaves_an_erasure_undone_or_done() {
    for failure in [Failure::Error, Failure::LateError, Failure::Full] {
        let base = RecordingDisk::default();
        fill(&open(Arc::new(base.clone())).expect("an empty disk")).expect("a whole disk");
        let mut at = 0;
        loop {
            let disk = base.copy();
            let failing = FailingDisk::new(Arc::new(disk.clone()), at, failure);
            let answered = open(Arc::new(failing.clone())).and_then(|catalog| catalog.erase(&intent()).map(drop));
            let when = format!("{failure:?} at operation {at}");
            let catalog = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{when}: {e}"));
            let is_done = is_erased(&catalog, &disk, &when);
            assert!(is_done || answered.is_err(), "{when}");
            catalog.erase(&intent()).unwrap_or_else(|e| panic!("again, {when}: {e}"));
            assert!(is_erased(&catalog, &disk, &when));
            if !failing.has_failed() {
                break;
            }
            at += 5;
        }
        assert!(at > 50, "{at} operations failed with {failure:?}");
    }
}
