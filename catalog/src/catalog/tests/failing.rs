//! Every single disk operation of a small workload fails once, in every way.

use super::{Push, check_whole, numbers, open};
use crate::disk::failing::{FailingDisk, Failure};
use crate::disk::recording::RecordingDisk;
use std::sync::Arc;
use ukimet_model::ErrorKind;

fn workload() -> [Push; 3] {
    [
        Push::new("p1", "almaty/schools", 0..3),
        Push::new("p2", "almaty/schools", 1..7),
        Push::new("p3", "astana/malls", 5..6),
    ]
}

/// Runs the workload with a failure and tells whether the failure was reached.
fn check_failure(at: u64, failure: Failure) -> bool {
    let disk = RecordingDisk::default();
    let failing = FailingDisk::new(Arc::new(disk.clone()), at, failure);
    let mut acknowledged = Vec::new();
    if let Ok(catalog) = open(Arc::new(failing.clone())) {
        for push in workload() {
            match push.send(&catalog) {
                Ok(outcome) => acknowledged.push((push, outcome.layers[0].version.0)),
                Err(error) => {
                    let expected = match failure {
                        Failure::Full | Failure::ShortWrite => &[ErrorKind::LimitReached][..],
                        _ => &[ErrorKind::Unavailable, ErrorKind::Internal],
                    };
                    assert!(expected.contains(&error.kind()), "{failure:?} at operation {at}: {error:?}");
                }
            }
        }
        // What was acknowledged can be read even after the failure.
        for (push, version) in &acknowledged {
            let found = numbers(&catalog, push.dataset, *version);
            assert!(found.is_err() || found.expect("checked") == push.rows.clone().collect::<Vec<_>>());
        }
    }
    let catalog = open(Arc::new(disk.clone())).unwrap_or_else(|e| panic!("{failure:?} at operation {at}: {e}"));
    for (push, version) in acknowledged {
        let found = numbers(&catalog, push.dataset, version).unwrap_or_else(|e| panic!("{failure:?} at {at}: {e}"));
        assert_eq!(found, push.rows.collect::<Vec<_>>(), "{failure:?} at operation {at}");
    }
    // Pushes find what the failed ones left, or come after it was collected.
    if at.is_multiple_of(2) {
        check_whole(&catalog);
    }
    for push in workload() {
        push.send(&catalog).expect("pushes can be repeated");
    }
    check_whole(&catalog);
    assert_eq!(catalog.snapshot().id().0, 3, "{failure:?} at operation {at}: no push is committed twice");
    assert!(disk.names("scratch").is_empty());
    failing.has_failed()
}

fn sweep(failure: Failure) {
    let mut at = 0;
    while check_failure(at, failure) {
        at += 1;
    }
    assert!(at > 100, "{at} operations failed");
}

#[test]
fn a_disk_that_gets_full_loses_nothing() {
    sweep(Failure::Full);
}

#[test]
fn a_short_write_loses_nothing() {
    sweep(Failure::ShortWrite);
}

#[test]
fn an_operation_that_fails_loses_nothing() {
    sweep(Failure::Error);
}

#[test]
fn an_operation_that_fails_after_it_had_its_effect_loses_nothing() {
    sweep(Failure::LateError);
}

#[test]
fn after_a_failed_sync_nothing_is_committed_until_the_store_is_opened_again() {
    let disk = RecordingDisk::default();
    open(Arc::new(disk.clone())).expect("an empty disk");
    let mut refused = 0;
    for at in 0..200 {
        let failing = FailingDisk::new(Arc::new(disk.copy()), at, Failure::Error);
        let Ok(catalog) = open(Arc::new(failing)) else { continue };
        let first = Push::new("p1", "almaty/schools", 0..3).send(&catalog);
        let second = Push::new("p2", "almaty/schools", 0..4).send(&catalog);
        if first.is_err()
            && let Err(error) = second
        {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.message().contains("until it is opened again"), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 5, "{refused} failures stopped the store");
}
