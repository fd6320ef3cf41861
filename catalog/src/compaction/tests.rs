//! Pushes that come while segments are written anew.

use super::rewrite::{rebased, rewrite, root_of};
use super::*;
use crate::catalog::tests::{Push, open};
use crate::disk::recording::RecordingDisk;
use crate::erase::ErasureIntent;
use crate::operation::OperationIntent;
use ukimet_model::{Action, ErrorKind};

const DATASET: &str = "almaty/schools";

fn newest(catalog: &Catalog) -> (Dataset, Version) {
    catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there")
}

#[test]
fn rows_that_go_while_segments_are_written_anew_are_marked_in_the_fresh_ones() {
    let catalog = open(Arc::new(RecordingDisk::default())).expect("an empty disk");
    let push = |id: &str, rows: std::ops::Range<i64>| drop(Push::new(id, DATASET, rows).send(&catalog).expect("taken"));
    push("p1", 0..10);
    push("p2", 0..9);
    let (dataset, version) = newest(&catalog);
    let shared = catalog.shared();
    let rewritten = rewrite(shared, &dataset, &version, version.segments.clone()).expect("written");
    let fitted = || {
        let (_, target) = newest(&catalog);
        let fitted = rebased(shared, &dataset, &rewritten, &target).expect("read");
        fitted.map(|(segments, claims)| {
            let found = root_of(shared, &dataset, &target, &segments).expect("read");
            assert_eq!(found, (target.root_hash, target.rows), "the rows of {}", target.number);
            claims.len()
        })
    };
    assert_eq!(fitted(), Some(0), "nothing came between");
    push("p3", 0..6);
    assert!(fitted() >= Some(1), "three rows went");
    push("p4", 2..12);
    assert!(fitted() >= Some(1), "two more went, six came");
    let intent = OperationIntent {
        id: "back".parse().expect("valid"),
        principal: "tester".to_owned(),
        why: String::new(),
        dataset: dataset.id.clone(),
        action: Action::RollBack { to: "v1".parse().expect("a version"), expected_version: None, new_major: false },
    };
    catalog.operate(intent).expect("rolled back");
    assert_eq!(fitted(), None, "a row came back that was not written");
    push("p6", 100..103);
    assert_eq!(fitted(), None, "nothing is left of what was written");
}

#[test]
fn a_layout_that_is_not_the_version_is_refused() {
    let catalog = open(Arc::new(RecordingDisk::default())).expect("an empty disk");
    Push::new("p1", DATASET, 0..10).send(&catalog).expect("taken");
    let (dataset, version) = newest(&catalog);
    let error = check_root(catalog.shared(), &dataset, &version, &version.segments[1..]).expect_err("rows are missing");
    assert!(error.message().contains("from 10 rows with root hash"), "{error}");
    let proposal = |segments: &[SegmentRef], before| LayoutProposal {
        dataset: dataset.id.clone(),
        principal: "tester".to_owned(),
        version: version.number,
        before,
        last_erasure: 0,
        segments: segments.to_vec(),
    };
    let commit = |proposal| catalog.shared().committer.commit(catalog.shared(), Arc::new(proposal));
    assert!(commit(proposal(&version.segments[1..], None)).is_err(), "the last to look are the invariants");
    let elsewhere = commit(proposal(&version.segments, Some(SnapshotId(1))));
    assert!(matches!(elsewhere, Ok(Answer::Moved)), "another layout is in force");
    assert_eq!(newest(&catalog).1, version);
}

#[test]
fn a_compaction_that_an_erasure_overtakes_is_refused_at_its_commit() {
    let disk = Arc::new(RecordingDisk::default());
    let catalog = open(Arc::clone(&disk) as Arc<_>).expect("an empty disk");
    Push::new("p1", DATASET, 0..10).send(&catalog).expect("taken");
    Push::new("p2", DATASET, 0..9).send(&catalog).expect("taken");
    let (dataset, version) = newest(&catalog);
    let shared = catalog.shared();
    // The row lies in a segment that is not written anew: what was written would still be right.
    let (some, last) = (version.segments[..1].to_vec(), shared.last_erasure(&dataset.id).expect("read"));
    let rewritten = rewrite(shared, &dataset, &version, some).expect("written");
    let intent = ErasureIntent {
        id: "e".parse().expect("valid"),
        principal: "tester".to_owned(),
        who: String::new(),
        why: "a test".to_owned(),
        dataset: dataset.id.clone(),
        columns: vec!["n".to_owned()],
        keys: vec![vec!["8".to_owned()]],
        bytes_in_doubt: false,
    };
    let (erasure, ..) = catalog.erase(&intent).expect("erased");
    assert_eq!(erasure.versions[0], (version.number, 1));
    let (_, target) = newest(&catalog);
    let (segments, _claims) = rebased(shared, &dataset, &rewritten, &target).expect("read").expect("it fits");
    let proposal = |last_erasure| LayoutProposal {
        dataset: dataset.id.clone(),
        principal: "tester".to_owned(),
        version: target.number,
        before: target.layout,
        last_erasure,
        segments: segments.clone(),
    };
    let commit = |proposal| shared.committer.commit(shared, Arc::new(proposal)).map(drop);
    let error = commit(proposal(last)).expect_err("rows were erased since");
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("were erased while"), "{error}");
    assert_eq!(newest(&catalog).1, target);
    drop(rewritten);
    let compacted = catalog.compact(&dataset.id, CompactionScope::All, "tester").expect("compacted");
    assert_eq!(compacted.rows_dropped, 2, "the erased one, and the one of before");
    assert_eq!(newest(&catalog).1.root_hash, target.root_hash);
}
