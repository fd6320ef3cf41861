//! Tags, rollbacks, compactions, removals and collections on a disk that loses its power or fails at an operation.

use super::{Push, numbers, open};
use crate::catalog::Catalog;
use crate::compaction::CompactionScope;
use crate::disk::failing::{FailingDisk, Failure};
use crate::disk::recording::{Operation, RecordingDisk, Survival};
use crate::operation::OperationIntent;
use crate::verify::{VerifyOptions, verify_objects};
use std::sync::Arc;
use ukimet_model::{Action, DatasetId, Result, RetentionRule};

const DATASET: &str = "almaty/schools";

/// One thing that a caller asks for.
#[derive(Clone)]
enum Step {
    Push(Push),
    Operate(&'static str, Action),
    Compact,
    Clean,
}

impl Step {
    fn take(&self, catalog: &Catalog) -> Result<()> {
        match self {
            Self::Push(push) => push.send(catalog).map(drop),
            Self::Operate(id, action) => {
                let intent = OperationIntent {
                    id: id.parse()?,
                    principal: "tester".to_owned(),
                    why: String::new(),
                    dataset: DATASET.parse()?,
                    action: action.clone(),
                };
                catalog.operate(intent).map(drop)
            }
            Self::Compact => catalog.compact(&DATASET.parse()?, CompactionScope::All, "tester").map(drop),
            Self::Clean => {
                catalog.apply_retention("tester")?;
                catalog.collect_garbage().map(drop)
            }
        }
    }
}

fn steps() -> Vec<Step> {
    let tag = || "final".parse().expect("a tag");
    let version = |text: &str| text.parse().expect("a choice");
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    vec![
        Step::Push(Push::new("p1", DATASET, 0..3)),
        Step::Push(Push::new("p2", DATASET, 0..9)),
        Step::Operate("t", Action::SetTag { tag: tag(), version: Some(version("v1")), is_move: false }),
        Step::Operate("r", Action::RollBack { to: version("v1"), expected_version: Some(2), new_major: false }),
        Step::Push(Push::new("p3", DATASET, 0..5)),
        // Version 4 is laid out anew: half of it lay in a file with rows that are gone.
        Step::Compact,
        Step::Operate("k", Action::SetRetention { rule: Some(rule) }),
        // Versions 2 and 3 go; version 1, whose files version 3 has too, has a tag.
        Step::Clean,
        // What was removed is written anew.
        Step::Push(Push::new("p4", DATASET, 0..9)),
        Step::Operate("n", Action::AddNote { version: None, text: "checked".to_owned() }),
        Step::Operate("d", Action::DeleteTag { tag: tag() }),
        Step::Clean,
    ]
}

/// The versions that there are after each step.
const LISTED: [&[u64]; 12] = [
    &[1],
    &[2, 1],
    &[2, 1],
    &[3, 2, 1],
    &[4, 3, 2, 1],
    &[4, 3, 2, 1],
    &[4, 3, 2, 1],
    &[4, 1],
    &[5, 4, 1],
    &[5, 4, 1],
    &[5, 4, 1],
    &[5],
];

fn listed(catalog: &Catalog) -> Vec<u64> {
    let id: DatasetId = DATASET.parse().expect("valid");
    let versions = catalog.snapshot().versions(&id, None, usize::MAX).unwrap_or_default();
    versions.into_iter().map(|version| version.number.0).collect()
}

/// After a collection every version that is listed is whole, nothing is missing, nothing is left over.
fn check_whole(catalog: &Catalog, when: &str) {
    catalog.collect_garbage().unwrap_or_else(|e| panic!("{when}: {e}"));
    for version in listed(catalog) {
        let expected = [3, 9, 3, 5, 9][version as usize - 1];
        let found = numbers(catalog, DATASET, version).unwrap_or_else(|e| panic!("v{version}, {when}: {e}"));
        assert_eq!(found, (0..expected).collect::<Vec<_>>(), "v{version}, {when}");
    }
    let report = verify_objects(&catalog.shared().objects, &VerifyOptions::default(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0), "{when}");
}

/// Asks for everything again: what was done before is answered, what was not is done.
fn check_goes_on(catalog: &Catalog, when: &str) {
    for step in steps() {
        step.take(catalog).unwrap_or_else(|e| panic!("again, {when}: {e}"));
    }
    assert_eq!(listed(catalog), [5], "{when}");
    let id: DatasetId = DATASET.parse().expect("valid");
    let snapshot = catalog.snapshot();
    let tags: Vec<_> = snapshot.tag_history(&id).expect("read").into_iter().map(|tag| tag.version.is_some()).collect();
    assert_eq!(tags, [true, false], "set and deleted once, {when}");
    assert_eq!(snapshot.notes(&id, ukimet_model::VersionNumber(5)).expect("read").len(), 1, "{when}");
    assert_eq!(snapshot.removals(&id).expect("read").len(), 4, "{when}");
    check_whole(catalog, when);
}

fn record() -> Vec<Operation> {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("an empty disk");
    for (number, step) in steps().iter().enumerate() {
        step.take(&catalog).expect("a whole disk");
        assert_eq!(listed(&catalog), LISTED[number]);
        disk.promise(number);
    }
    disk.operations()
}

#[test]
fn a_power_cut_at_any_moment_loses_no_acknowledged_operation() {
    let operations = record();
    for count in 0..=operations.len() {
        for survival in [Survival::Nothing, Survival::Everything, Survival::Some(count as u64)] {
            let when = format!("after {count} of {} operations with {survival:?}", operations.len());
            let catalog = open(Arc::new(RecordingDisk::crash(&operations, count, survival)))
                .unwrap_or_else(|e| panic!("recovery {when}: {e}"));
            check_whole(&catalog, &when);
            let promised = operations[..count].iter().rev().find_map(|operation| match operation {
                Operation::Promise(promised) => Some(*promised),
                _ => None,
            });
            // The next step may have become true too, in two commits if it is the removal.
            let mut allowed: Vec<_> = promised.iter().map(|promised| LISTED[*promised]).collect();
            allowed.push(LISTED.get(promised.map_or(0, |promised| promised + 1)).copied().unwrap_or(&[5]));
            let found = listed(&catalog);
            assert!(allowed.contains(&&*found) || (promised.is_none() && found.is_empty()), "{found:?} {when}");
            if count % 16 == 0 {
                check_goes_on(&catalog, &when);
            }
        }
    }
}

#[test]
fn a_disk_operation_that_fails_loses_nothing_that_is_kept() {
    for failure in [Failure::Error, Failure::LateError, Failure::Full] {
        let mut at = 0;
        loop {
            let disk = RecordingDisk::default();
            let failing = FailingDisk::new(Arc::new(disk.clone()), at, failure);
            let mut promised = None;
            if let Ok(catalog) = open(Arc::new(failing.clone())) {
                for (number, step) in steps().iter().enumerate() {
                    match step.take(&catalog) {
                        Ok(()) => promised = Some(number),
                        Err(_) => break,
                    }
                }
            }
            let when = format!("{failure:?} at operation {at}");
            let catalog = open(Arc::new(disk)).unwrap_or_else(|e| panic!("{when}: {e}"));
            check_whole(&catalog, &when);
            assert!(promised.is_none_or(|promised| listed(&catalog)[0] >= LISTED[promised][0]), "{when}");
            check_goes_on(&catalog, &when);
            if !failing.has_failed() {
                break;
            }
            // Every kind of operation comes many times; the pushes' own are failed one by one elsewhere.
            at += 7;
        }
        assert!(at > 200, "{at} operations failed with {failure:?}");
    }
}
