//! Backups and restores that are cut off at every operation, and disks that fail at every one.

use super::{Push, check_whole, numbers, open};
use crate::backup::{Marks, back_up, restore_objects};
use crate::disk::Disk;
use crate::disk::failing::{FailingDisk, Failure};
use crate::disk::recording::{RecordingDisk, Survival};
use crate::objects::Objects;
use std::sync::Arc;
use ukimet_model::{ErrorKind, Result, SystemClock};

/// Sends pushes; the rows of the dataset's versions follow from their numbers.
fn push(disk: &RecordingDisk, pushes: std::ops::Range<i64>) {
    let catalog = open(Arc::new(disk.clone())).expect("a whole disk");
    for n in pushes {
        Push::new(&format!("p{n}"), "almaty/schools", 0..n + 1).send(&catalog).expect("a whole disk");
    }
    catalog.close().expect("a whole disk");
}

fn objects(disk: impl Disk + 'static) -> Objects {
    Objects::new(Arc::new(disk))
}

fn run(from: &Objects, to: &Objects) -> Result<u64> {
    back_up(from, to, false, &SystemClock, &mut |_| ()).map(|report| report.snapshot)
}

/// Opens a copy and compares all versions with what was pushed.
fn check_copy(disk: &RecordingDisk, versions: i64) {
    let catalog = open(Arc::new(disk.copy())).expect("a complete copy");
    assert_eq!(catalog.snapshot().id().0, versions as u64);
    for n in 0..versions {
        let found = numbers(&catalog, "almaty/schools", n as u64 + 1).expect("whole");
        assert_eq!(found, (0..=n).collect::<Vec<_>>(), "version {}", n + 1);
    }
    check_whole(&catalog);
}

/// What a crash left opens as a whole store or tells that it is unfinished.
fn check_honest(disk: &RecordingDisk, at: usize) -> bool {
    let unfinished = Marks::read(&objects(disk.copy())).expect("readable").unfinished();
    let is_begun = !disk.names("").iter().all(|name| matches!(name.as_str(), "scratch" | "lock" | "backup"));
    if unfinished.is_some() {
        let error = open(Arc::new(disk.copy())).err().expect("an unfinished copy is not opened");
        assert!(error.message().contains("unfinished copy"), "{at}: {error}");
        return false;
    }
    if is_begun {
        let catalog = open(Arc::new(disk.copy())).unwrap_or_else(|e| panic!("after {at} operations: {e}"));
        check_whole(&catalog);
    }
    is_begun
}

/// Does a copy, then cuts the power after each of its operations and does it again.
fn cut_everywhere(before: &RecordingDisk, versions: i64, copy: &dyn Fn(&Objects) -> Result<u64>) -> usize {
    let disk = before.copy();
    copy(&objects(disk.clone())).expect("a whole disk");
    let operations = disk.operations();
    let mut states = 0;
    for count in 0..=operations.len() {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Some(count as u64), Survival::Some(7)] {
            // What was there before is durable; what the copy did is lost or kept.
            let crashed = RecordingDisk::crash_over(before, &operations, count, survival);
            let is_done =
                check_honest(&crashed, count) && Marks::read(&objects(crashed.copy())).expect("readable").is_empty();
            if is_done {
                // A finished restore is a catalog like any other.
                check_copy(&crashed, versions);
                assert_eq!(copy(&objects(crashed)).expect_err("not empty").kind(), ErrorKind::InvalidRequest);
                continue;
            }
            assert_eq!(
                copy(&objects(crashed.clone())).unwrap_or_else(|e| panic!("after {count}: {e}")),
                versions as u64
            );
            check_copy(&crashed, versions);
            states += 1;
        }
    }
    states
}

#[test]
fn a_backup_cut_off_at_any_operation_is_known_for_it_and_goes_on() {
    let source = RecordingDisk::default();
    push(&source, 0..3);
    let target = RecordingDisk::with_scratch();
    let mut states = cut_everywhere(&target, 3, &|to| run(&objects(source.copy()), to));
    run(&objects(source.copy()), &objects(target.clone())).expect("whole");
    push(&source, 3..5);
    states += cut_everywhere(&target, 5, &|to| run(&objects(source.copy()), to));
    assert!(states > 1000, "{states} states");
}

#[test]
fn a_restore_cut_off_at_any_operation_is_known_for_it_and_goes_on() {
    let (source, backup) = (RecordingDisk::default(), RecordingDisk::with_scratch());
    push(&source, 0..3);
    run(&objects(source), &objects(backup.clone())).expect("whole");
    let restore = |to: &Objects| {
        let (report, verified) = restore_objects(&objects(backup.copy()), to, Some(2), &SystemClock, &mut |_| ())?;
        assert_eq!(verified.findings, vec![]);
        Ok(report.snapshot)
    };
    let states = cut_everywhere(&RecordingDisk::with_scratch(), 2, &restore);
    assert!(states > 400, "{states} states");
}

#[test]
fn an_operation_of_source_or_target_that_fails_leaves_a_backup_that_goes_on() {
    let source = RecordingDisk::default();
    push(&source, 0..2);
    let mut failures = 0;
    for (failure, is_target) in [
        (Failure::Full, true),
        (Failure::ShortWrite, true),
        (Failure::Error, true),
        (Failure::LateError, true),
        (Failure::Error, false),
    ] {
        for at in 0.. {
            let target = RecordingDisk::with_scratch();
            let disk = if is_target { target.clone() } else { source.copy() };
            let failing = FailingDisk::new(Arc::new(disk), at, failure);
            let done = if is_target {
                run(&objects(source.copy()), &objects(failing.clone()))
            } else {
                run(&objects(failing.clone()), &objects(target.clone()))
            };
            if !failing.has_failed() {
                assert_eq!(done.expect("nothing failed"), 2);
                break;
            }
            if let Err(error) = done {
                let is_full = matches!(failure, Failure::Full | Failure::ShortWrite);
                assert_eq!(error.kind() == ErrorKind::LimitReached, is_full, "{failure:?} at {at}: {error}");
            }
            check_honest(&target, at as usize);
            assert_eq!(run(&objects(source.copy()), &objects(target.clone())).expect("goes on"), 2);
            check_copy(&target, 2);
            failures += 1;
        }
    }
    assert!(failures > 400, "{failures} failures");
}

#[test]
fn an_object_that_the_source_lost_is_named_and_the_others_are_copied() {
    let source = RecordingDisk::default();
    push(&source, 0..3);
    let lost = format!("raw/{}", source.names("raw")[1]);
    source.unlink(&lost).expect("there");
    let target = RecordingDisk::with_scratch();
    let error = run(&objects(source.copy()), &objects(target.clone())).expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.message().contains(&format!("object {lost} is missing")), "{error}");
    assert_eq!(target.names("raw").len(), 2);
    assert!(!check_honest(&target, 0));
}

#[test]
fn a_commit_during_a_backup_belongs_to_the_next_one() {
    let (source, target) = (RecordingDisk::default(), RecordingDisk::with_scratch());
    push(&source, 0..2);
    let mut is_pushed = false;
    let (from, to) = (objects(source.clone()), objects(target.clone()));
    let first = back_up(&from, &to, false, &SystemClock, &mut |progress| {
        if progress.objects_done == 1 && !is_pushed {
            push(&source, 2..4);
            is_pushed = true;
        }
    });
    assert_eq!(first.expect("whole").snapshot, 2);
    check_copy(&target, 2);
    assert_eq!(run(&from, &to).expect("whole"), 4);
    check_copy(&target, 4);
    let marks = target.names("backup");
    assert_eq!(marks, [format!("{:020}.complete.json", 4)], "superseded marks are gone");
}

#[test]
fn a_backup_of_another_catalog_or_another_history_is_refused() {
    let (source, target) = (RecordingDisk::default(), RecordingDisk::with_scratch());
    push(&source, 0..2);
    let other_course = source.copy();
    push(&source, 2..4);
    run(&objects(source.clone()), &objects(target.clone())).expect("whole");
    let error = run(&objects(other_course.clone()), &objects(target.clone())).expect_err("shorter");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let catalog = open(Arc::new(other_course.clone())).expect("whole");
    for n in 0..3 {
        Push::new(&format!("q{n}"), "almaty/malls", 0..n + 1).send(&catalog).expect("whole");
    }
    drop(catalog);
    let error = run(&objects(other_course), &objects(target.clone())).expect_err("another course");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("commit 4 is not the one of the source"), "{error}");
    let other = RecordingDisk::default();
    push(&other, 0..5);
    assert_eq!(run(&objects(other), &objects(target.clone())).expect_err("other").kind(), ErrorKind::InvalidRequest);
    check_copy(&target, 4);
}
