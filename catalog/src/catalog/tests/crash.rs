//! Every crash point of a small workload, with several ways in which unsynced writes may get lost.

use super::{Push, check_whole, numbers, open};
use crate::disk::recording::{Operation, RecordingDisk, Survival};
use std::sync::Arc;
use ukimet_model::ErrorKind;

fn workload() -> Vec<Push> {
    vec![
        Push::new("p1", "almaty/schools", 0..3),
        Push::new("p2", "almaty/schools", 0..9),
        Push::new("p3", "almaty/schools", 0..9),
        Push::new("p4", "astana/malls", 5..6),
        Push::new("p5", "almaty/schools", 0..3),
    ]
}

/// The versions that the pushes make: dataset, number, rows.
const VERSIONS: [(usize, &str, u64, std::ops::Range<i64>); 5] = [
    (0, "almaty/schools", 1, 0..3),
    (1, "almaty/schools", 2, 0..9),
    (2, "almaty/schools", 2, 0..9),
    (3, "astana/malls", 1, 5..6),
    (4, "almaty/schools", 3, 0..3),
];

fn record() -> Vec<Operation> {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("an empty disk");
    for (number, push) in workload().iter().enumerate() {
        push.send(&catalog).expect("a whole disk");
        disk.promise(number);
    }
    catalog.close().expect("a whole disk");
    disk.operations()
}

/// Opens what a crash left, checks it, and goes on working with it.
fn check_state(operations: &[Operation], count: usize, survival: Survival, goes_on: bool) {
    let disk = RecordingDisk::crash(operations, count, survival);
    let catalog = open(Arc::new(disk.clone()))
        .unwrap_or_else(|e| panic!("recovery after {count} operations with {survival:?}: {e}"));
    for operation in &operations[..count] {
        let Operation::Promise(promised) = operation else { continue };
        let (_, dataset, version, rows) = &VERSIONS[*promised];
        let found = numbers(&catalog, dataset, *version)
            .unwrap_or_else(|e| panic!("push {promised} after {count} operations with {survival:?}: {e}"));
        assert_eq!(found, rows.clone().collect::<Vec<_>>(), "push {promised} after {count} operations");
    }
    // Pushes find what the cut left, or come after it was collected.
    if !goes_on || count % 32 < 16 {
        check_whole(&catalog);
    }
    if goes_on {
        for push in workload() {
            push.send(&catalog).expect("pushes can be repeated");
        }
        for (_, dataset, version, rows) in VERSIONS {
            assert_eq!(numbers(&catalog, dataset, version).expect("whole"), rows.collect::<Vec<_>>());
        }
        assert_eq!(catalog.snapshot().id().0, 5, "no push is committed twice");
        check_whole(&catalog);
    }
    assert!(disk.names("scratch").is_empty());
}

#[test]
fn a_power_cut_at_any_moment_loses_no_acknowledged_push() {
    let operations = record();
    let mut states = 0;
    for count in 0..=operations.len() {
        check_state(&operations, count, Survival::Nothing, count % 16 == 0);
        check_state(&operations, count, Survival::Everything, count % 16 == 8);
        for seed in 0..8 {
            check_state(&operations, count, Survival::Some(seed * 1_000_003 + count as u64), false);
        }
        states += 10;
    }
    assert!(states > 1500, "{states} states of {} operations", operations.len());
}

#[test]
fn what_was_shown_after_a_kill_survives_a_power_cut() {
    let operations = record();
    for count in 0..=operations.len() {
        let disk = RecordingDisk::after_kill(&operations[..count]);
        let shown = open(Arc::new(disk.clone())).expect("recovery after a kill").snapshot().id();
        let all = disk.operations();
        for survival in [Survival::Nothing, Survival::Some(count as u64)] {
            let catalog = open(Arc::new(RecordingDisk::crash(&all, all.len(), survival))).expect("recovery");
            assert_eq!(catalog.snapshot().id(), shown, "killed after {count} operations, then {survival:?}");
            check_whole(&catalog);
        }
    }
}

#[test]
fn a_second_power_cut_during_recovery_loses_nothing() {
    let operations = record();
    for count in (0..operations.len()).step_by(23) {
        let disk = RecordingDisk::crash(&operations, count, Survival::Some(count as u64));
        let before = disk.copy();
        let catalog = open(Arc::new(disk.clone())).expect("recovery");
        catalog.collect_garbage().expect("a whole disk");
        let reached = catalog.snapshot().id();
        drop(catalog);
        let recovery = disk.operations();
        for again in 0..=recovery.len() {
            // What recovery did is lost or kept; the files that it found are there either way.
            let disk = before.copy();
            for operation in &recovery[..again] {
                disk.redo(operation);
            }
            let catalog = open(Arc::new(disk)).expect("recovery after recovery");
            assert_eq!(catalog.snapshot().id(), reached);
            check_whole(&catalog);
        }
    }
}

#[test]
fn a_collection_after_a_crash_takes_nothing_from_the_pushes_beside_it() {
    let operations = record();
    let (mut left, mut collected) = (0, 0);
    for count in (0..operations.len()).step_by(3) {
        let disk = RecordingDisk::crash(&operations, count, Survival::Everything);
        let catalog = open(Arc::new(disk.clone())).expect("recovery");
        left += catalog.garbage().expect("asked").objects;
        // The pushes find the files of the one that was cut off, which are garbage until they are committed.
        std::thread::scope(|scope| {
            let collection = scope.spawn(|| catalog.collect_garbage().expect("a whole disk").objects);
            for push in workload() {
                push.send(&catalog).expect("pushes can be repeated");
            }
            collected += collection.join().expect("no panic");
        });
        for (_, dataset, version, rows) in VERSIONS {
            assert_eq!(numbers(&catalog, dataset, version).expect("whole"), rows.collect::<Vec<_>>(), "{count}");
        }
        check_whole(&catalog);
    }
    assert!(left > 100 && collected > 0, "{collected} of {left} leftovers were collected beside pushes");
}

#[test]
fn opening_takes_nothing_away_and_closing_ends_a_collection() {
    let operations = record();
    let count =
        operations.iter().rposition(|operation| matches!(operation, Operation::Promise(_))).expect("promises") - 9;
    let disk = RecordingDisk::crash(&operations, count, Survival::Everything);
    let catalog = open(Arc::new(disk.clone())).expect("recovery");
    let garbage = catalog.garbage().expect("asked");
    assert!(garbage.objects > 0, "the cut push left files");
    catalog.close().expect("a whole disk");
    assert_eq!(catalog.collect_garbage().expect_err("closed").kind(), ErrorKind::Unavailable);
    let catalog = open(Arc::new(disk)).expect("again");
    assert_eq!(catalog.collect_garbage().expect("a whole disk"), garbage);
    check_whole(&catalog);
}
