//! Several nodes on one bucket: every acknowledged commit is there, whoever made it, and nobody loses what is needed.

mod compactions;

use super::{Push, numbers, small};
use crate::bucket::memory::MemoryBucket;
use crate::bucket::{Bucket, BucketDisk};
use crate::catalog::Catalog;
use crate::log;
use crate::objects::Objects;
use crate::opening::{ProjectionOpening, Projections};
use crate::options::{CatalogOptions, Sharing};
use crate::paths;
use crate::verify::VerifyOptions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ukimet_model::{ErrorKind, PushOutcome, Result, RetentionRule, SystemClock};

pub(super) const HOUR: Duration = Duration::from_hours(1);

pub(super) fn quick() -> CatalogOptions {
    let sharing = Sharing { garbage_age: HOUR, reading_max: Duration::ZERO, settling: Duration::from_millis(300) };
    CatalogOptions { sharing, ..small() }
}

/// A node with a directory of its own, its state in memory.
pub(super) struct Node {
    pub(super) catalog: Catalog,
    pub(super) dir: tempfile::TempDir,
}

impl Node {
    pub(super) fn start(bucket: &MemoryBucket) -> Self {
        Self::with(bucket, quick(), false).expect("opens")
    }

    pub(super) fn with(bucket: &MemoryBucket, options: CatalogOptions, is_on_disk: bool) -> Result<Self> {
        Self::over(bucket, options, is_on_disk, tempfile::tempdir().expect("a directory"))
    }

    pub(super) fn over(
        bucket: &MemoryBucket,
        options: CatalogOptions,
        is_on_disk: bool,
        dir: tempfile::TempDir,
    ) -> Result<Self> {
        let projections = dir.path().join(paths::PROJECTION);
        let projections = if is_on_disk { Projections::OnDisk(projections) } else { Projections::InMemory };
        std::fs::create_dir_all(dir.path().join(paths::SCRATCH)).expect("room");
        let store: (Arc<dyn Bucket>, u64) = (Arc::new(bucket.clone()), 1 << 20);
        let catalog = Catalog::open_node(store, dir.path(), projections, options, Arc::new(SystemClock), None)?;
        Ok(Self { catalog, dir })
    }

    /// Ends the node; its directory stays.
    pub(super) fn stop(self) -> tempfile::TempDir {
        self.dir
    }

    pub(super) fn push(&self, id: &str, dataset: &'static str, rows: std::ops::Range<i64>) -> Result<PushOutcome> {
        Push::new(id, dataset, rows).send(&self.catalog)
    }
}

pub(super) fn version(outcome: &PushOutcome) -> u64 {
    outcome.layers[0].version.0
}

/// What nobody names was left by pushes that failed; everything else is whole.
fn check(bucket: &MemoryBucket) -> Node {
    bucket.pass(2 * HOUR);
    let node = Node::start(bucket);
    node.catalog.collect_garbage().expect("collected");
    let verify = crate::verify::verify_objects;
    let report = verify(&node.catalog.shared().objects, &VerifyOptions::default(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
    node
}

#[test]
fn a_node_sees_what_the_other_committed_and_builds_on_it() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    assert_eq!(version(&first.push("p1", "a/x", 0..5).expect("pushed")), 1);
    assert_eq!(second.catalog.snapshot().id().0, 0);
    assert_eq!(second.catalog.follow().expect("the store answers"), 1);
    assert_eq!(numbers(&second.catalog, "a/x", 1).expect("read"), (0..5).collect::<Vec<_>>());
    assert_eq!(version(&second.push("p2", "a/x", 0..7).expect("pushed")), 2);
    assert_eq!(version(&first.push("p3", "a/x", 0..8).expect("pushed without following first")), 3);
    let again = second.push("p1", "a/x", 0..5).expect("the same push to the other node is answered again");
    assert_eq!(version(&again), 1);
    assert_eq!(first.push("p2", "a/x", 0..9).expect_err("used").kind(), ErrorKind::AlreadyUsed);
    check(&bucket);
}

#[test]
fn pushes_through_many_nodes_at_once_are_all_there_and_none_twice() {
    const PUSHES: i64 = 12;
    let bucket = MemoryBucket::default();
    std::thread::scope(|scope| {
        for number in 0..3_i64 {
            let bucket = &bucket;
            scope.spawn(move || {
                let node = Node::start(bucket);
                for push in 0..PUSHES {
                    // Rows that no other push has, so that each is a version.
                    let at = 1000 * number + push;
                    let own = ["a/zero", "a/one", "a/two"][number as usize];
                    node.push(&format!("n{number}-{push}"), "a/shared", at..at + 3).expect("pushed");
                    let outcome = node.push(&format!("n{number}-own-{push}"), own, 0..push + 1).expect("pushed");
                    assert_eq!(version(&outcome), push as u64 + 1);
                    assert_eq!(
                        numbers(&node.catalog, own, push as u64 + 1).expect("own writes are read").len() as i64,
                        push + 1
                    );
                }
            });
        }
    });
    let node = check(&bucket);
    let mut starts: Vec<i64> =
        (1..=3 * PUSHES as u64).map(|v| numbers(&node.catalog, "a/shared", v).expect("there")[0]).collect();
    starts.sort_unstable();
    let expected: Vec<i64> = (0..3).flat_map(|number| (0..PUSHES).map(move |push| 1000 * number + push)).collect();
    assert_eq!(starts, expected, "each push is exactly one version");
}

#[test]
fn one_push_sent_to_two_nodes_at_once_is_one_version() {
    let bucket = MemoryBucket::default();
    let nodes = [Node::start(&bucket), Node::start(&bucket)];
    for round in 0..10_i64 {
        let id = format!("p{round}");
        let outcomes: Vec<PushOutcome> = std::thread::scope(|scope| {
            let id = &id;
            let send = |node| scope.spawn(move || Node::push(node, id, "a/x", 0..round + 1).expect("pushed"));
            nodes.iter().map(send).collect::<Vec<_>>().into_iter().map(|sent| sent.join().expect("ended")).collect()
        });
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(version(&outcomes[0]), round as u64 + 1);
    }
    check(&bucket);
}

/// Tries something again and again, with every `step`-th request disturbed in turn, until it ends before that request, which
/// `attempt` tells; how many requests that were.
pub(super) fn at_every_request(step: u64, mut attempt: impl FnMut(u64) -> bool) -> u64 {
    let mut requests = 0;
    while !attempt(requests) {
        requests += step;
    }
    requests
}

#[test]
fn a_store_cut_off_at_any_request_loses_nothing_acknowledged_and_goes_on_when_it_is_back() {
    let asked = at_every_request(1, |requests| {
        let bucket = MemoryBucket::default();
        let node = Node::start(&bucket);
        node.push("p0", "a/x", 0..4).expect("pushed");
        bucket.cut_after(requests);
        let cut = node.push("p1", "a/x", 0..6);
        bucket.mend();
        if let Err(error) = &cut {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "request {requests}: {error}");
            assert!(numbers(&node.catalog, "a/x", 2).is_err(), "request {requests}: nothing is visible");
        }
        let outcome = node.push("p1", "a/x", 0..6).unwrap_or_else(|e| panic!("request {requests}: {e}"));
        assert_eq!(version(&outcome), 2, "request {requests}");
        assert_eq!(numbers(&check(&bucket).catalog, "a/x", 2).expect("there").len(), 6, "request {requests}");
        cut.is_ok()
    });
    assert!(asked > 10, "a push asks the bucket more than {asked} times");
}

#[test]
fn an_answer_that_is_lost_at_any_request_makes_no_version_twice_and_loses_none() {
    at_every_request(1, |requests| {
        let bucket = MemoryBucket::default();
        let (node, other) = (Node::start(&bucket), Node::start(&bucket));
        node.push("p0", "a/x", 0..4).expect("pushed");
        let before = bucket.requests();
        bucket.lose_answer_after(requests);
        let lost = node.push("p1", "a/x", 0..6);
        let used = bucket.requests() - before;
        bucket.mend();
        // What was not acknowledged may be there or not, for all nodes alike.
        other.push("p2", "a/x", 0..8).expect("pushed");
        let outcome = node.push("p1", "a/x", 0..6).unwrap_or_else(|e| panic!("request {requests}: {e}"));
        assert_eq!(outcome, other.push("p1", "a/x", 0..6).expect("the same answer everywhere"));
        let node = check(&bucket);
        assert_eq!(numbers(&node.catalog, "a/x", version(&outcome)).expect("there").len(), 6, "request {requests}");
        assert!(numbers(&node.catalog, "a/x", 3).is_ok() && numbers(&node.catalog, "a/x", 4).is_err());
        lost.is_ok() && requests >= used
    });
}

#[test]
fn a_commit_whose_answer_was_lost_is_known_as_ones_own() {
    let bucket = MemoryBucket::default();
    let node = Node::start(&bucket);
    node.push("p1", "a/x", 0..4).expect("pushed");
    let objects = &node.catalog.shared().objects;
    let (entry, hash) = log::read(objects, 1).expect("there");
    assert_eq!(log::append(objects, &entry).expect("asked"), log::Appended::Committed(hash));
    let other = log::Entry { time: jiff::Timestamp::UNIX_EPOCH, ..entry };
    assert_eq!(log::append(objects, &other).expect("asked"), log::Appended::Overtaken);
}

fn keep_newest(node: &Node, dataset: &str, id: &str) {
    ask_to_keep_newest(node, dataset, id);
    node.catalog.apply_retention("tester").expect("removed");
}

fn ask_to_keep_newest(node: &Node, dataset: &str, id: &str) {
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: false, keep_raw: false };
    let intent = crate::operation::OperationIntent {
        id: id.parse().expect("valid"),
        principal: "tester".to_owned(),
        why: "a test".to_owned(),
        dataset: dataset.parse().expect("valid"),
        action: ukimet_model::Action::SetRetention { rule: Some(rule) },
    };
    node.catalog.operate(intent).expect("set");
}

/// Two versions without a row in common, the first of them removed.
fn with_garbage(bucket: &MemoryBucket) -> Node {
    let node = Node::start(bucket);
    node.push("p1", "a/x", 0..4).expect("pushed");
    node.push("p2", "a/x", 100..104).expect("pushed");
    keep_newest(&node, "a/x", "rule");
    node
}

/// Waits until a collection says what it is about to remove; the key of its list.
pub(super) fn wait_for_list(bucket: &MemoryBucket) -> String {
    loop {
        let is_list =
            |key: &String| key.strip_prefix("collecting/").is_some_and(|name| name.strip_suffix(".json").is_some());
        if let Some(key) = bucket.keys().into_iter().find(is_list) {
            return key;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_is_young_or_needed_by_another_nodes_commit_is_not_collected() {
    let bucket = MemoryBucket::default();
    let node = with_garbage(&bucket);
    assert_eq!(node.catalog.collect_garbage().expect("collected").objects, 0, "it may be of a push under way");
    bucket.pass(2 * HOUR);
    let would = node.catalog.garbage().expect("asked");
    assert!(would.objects > 0);
    let other = Node::start(&bucket);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| node.catalog.collect_garbage().expect("collected"));
        wait_for_list(&bucket);
        // The rows of the removed version again: their objects are about to go.
        let error = other.push("p3", "a/x", 0..4).expect_err("condemned");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("is being removed as garbage"), "{error}");
        other.push("p4", "a/x", 200..204).expect("whatever else is pushed is not held up");
        assert_eq!(collecting.join().expect("ended"), would);
    });
    assert_eq!(version(&other.push("p3", "a/x", 0..4).expect("pushed again")), 4);
    assert_eq!(numbers(&check(&bucket).catalog, "a/x", 4).expect("there"), vec![0, 1, 2, 3]);
    assert!(!bucket.keys().iter().any(|key| key.starts_with("collecting/")), "{:?}", bucket.keys());
}

#[test]
fn a_commit_that_looked_before_the_list_was_put_keeps_its_objects() {
    let bucket = MemoryBucket::default();
    let node = with_garbage(&bucket);
    bucket.pass(2 * HOUR);
    let other = Node::start(&bucket);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| node.catalog.collect_garbage().expect("collected"));
        let list = wait_for_list(&bucket);
        // As if the list had come a moment after the look.
        let bytes = bucket.get(&list).expect("there");
        bucket.delete(&list).expect("deleted");
        other.push("p3", "a/x", 0..4).expect("pushed");
        bucket.put_if_absent(&list, bytes).expect("put back");
        collecting.join().expect("ended");
    });
    assert_eq!(numbers(&check(&bucket).catalog, "a/x", 3).expect("there"), vec![0, 1, 2, 3]);
}

#[test]
fn an_object_that_went_between_its_claim_and_the_commit_refuses_the_push_and_no_version_lacks_it() {
    let bucket = MemoryBucket::default();
    let node = with_garbage(&bucket);
    bucket.pass(2 * HOUR);
    // A push that found the object there and has not committed yet.
    let raw = paths::raw(&crate::seal::sha256(b"a/x 0..4"));
    assert!(node.catalog.shared().claims.claim(raw.clone()).expect("claimed").is_there().expect("asked"));
    Node::start(&bucket).catalog.collect_garbage().expect("collected");
    let missing = std::collections::BTreeSet::from([raw.clone(), "ukimet.json".to_owned()]);
    assert_eq!(node.catalog.shared().objects.first_missing(&missing).expect("asked"), Some(raw));
}

#[test]
fn a_collection_that_was_cut_off_leaves_a_list_that_the_next_takes_away_in_time() {
    let bucket = MemoryBucket::default();
    let node = with_garbage(&bucket);
    bucket.pass(2 * HOUR);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| node.catalog.collect_garbage());
        wait_for_list(&bucket);
        bucket.cut_after(0);
        assert_eq!(collecting.join().expect("ended").expect_err("cut off").kind(), ErrorKind::Unavailable);
    });
    bucket.mend();
    let is_listed = || bucket.keys().iter().any(|key| key.starts_with("collecting/"));
    assert!(is_listed());
    node.push("p3", "a/x", 0..4).expect_err("its objects may still go");
    bucket.pass(HOUR);
    assert!(node.catalog.collect_garbage().expect("collected").objects > 0);
    assert!(!is_listed());
    node.push("p3", "a/x", 0..4).expect("pushed");
    check(&bucket);
}

#[test]
fn what_another_node_may_still_read_is_kept_for_as_long_as_that_may_take() {
    let bucket = MemoryBucket::default();
    drop(with_garbage(&bucket));
    bucket.pass(2 * HOUR);
    let patient = CatalogOptions { sharing: Sharing { reading_max: HOUR, ..quick().sharing }, ..quick() };
    let garbage =
        |options| Node::with(&bucket, options, false).expect("opens").catalog.garbage().expect("asked").objects;
    assert_eq!(garbage(patient), 0);
    assert!(garbage(quick()) > 0);
}

#[test]
fn what_a_collection_would_remove_counts_what_retention_would_leave() {
    let bucket = MemoryBucket::default();
    let node = Node::start(&bucket);
    node.push("p1", "a/x", 0..4).expect("pushed");
    node.push("p2", "a/x", 100..104).expect("pushed");
    ask_to_keep_newest(&node, "a/x", "rule");
    bucket.pass(2 * HOUR);
    let due = node.catalog.due_for_removal().expect("asked");
    assert_eq!((due.len(), node.catalog.garbage().expect("asked").objects), (1, 0));
    let would = node.catalog.garbage_without(&due).expect("asked");
    assert!(would.objects > 3 && would.bytes > 0, "{would:?}");
    let patient = CatalogOptions { sharing: Sharing { reading_max: HOUR, ..quick().sharing }, ..quick() };
    let other = Node::with(&bucket, patient, false).expect("opens");
    assert_eq!(other.catalog.garbage_without(&due).expect("asked"), would, "readers are not waited for");
    node.catalog.apply_retention("tester").expect("removed");
    assert_eq!(node.catalog.collect_garbage().expect("collected"), would);
}

#[test]
fn a_node_finds_by_words_what_another_published_and_catches_up_when_it_was_away() {
    let bucket = MemoryBucket::default();
    let first = Node::start(&bucket);
    let second = Node::with(&bucket, quick(), true).expect("opens");
    first.push("p1", "a/lakes", 0..3).expect("pushed");
    let found = |node: &Node| {
        let query = ukimet_model::DatasetQuery { text: "lakes".to_owned(), limit: 10, ..Default::default() };
        node.catalog.snapshot().search(&query).expect("searched").datasets.len()
    };
    assert_eq!(found(&second), 0);
    second.catalog.follow().expect("the store answers");
    assert_eq!(found(&second), 1);
    let dir = second.stop();
    first.push("p2", "a/lakes", 0..4).expect("pushed");
    let again = Node::over(&bucket, quick(), true, dir).expect("opens");
    assert_eq!(again.catalog.opening().state, ProjectionOpening::CaughtUp(1));
    assert_eq!((again.catalog.snapshot().id().0, found(&again)), (2, 1));
}

#[test]
fn a_backup_goes_to_a_bucket_and_comes_back() {
    let (bucket, copy) = (MemoryBucket::default(), MemoryBucket::default());
    let node = with_garbage(&bucket);
    let dir = tempfile::tempdir().expect("a directory");
    let over =
        |bucket: &MemoryBucket, dir: &Path| Objects::new(Arc::new(BucketDisk::new(Arc::new(bucket.clone()), dir)));
    let (from, to) = (over(&bucket, dir.path()), over(&copy, dir.path()));
    let back_up = || crate::backup::back_up(&from, &to, true, &SystemClock, &mut |_| ()).expect("copied");
    assert_eq!(back_up().snapshot, 4);
    node.push("p3", "a/x", 0..4).expect("pushed");
    let renewed = back_up();
    assert_eq!((renewed.snapshot, renewed.previous), (5, 4));
    let restored = tempfile::tempdir().expect("a directory");
    let back = Objects::new(Arc::new(crate::disk::RealDisk::new(restored.path())));
    let (_, verified) = crate::backup::restore_objects(&to, &back, None, &SystemClock, &mut |_| ()).expect("restored");
    assert!(verified.is_clean(), "{:?}", verified.findings);
    let other = MemoryBucket::default();
    let (_, verified) = crate::backup::restore_objects(&to, &over(&other, dir.path()), None, &SystemClock, &mut |_| ())
        .expect("restored");
    assert!(verified.is_clean(), "{:?}", verified.findings);
    assert_eq!(numbers(&check(&other).catalog, "a/x", 3).expect("there"), vec![0, 1, 2, 3]);
}

#[test]
fn a_store_cut_off_at_any_request_of_a_check_is_neither_called_damaged_nor_clean() {
    let bucket = MemoryBucket::default();
    drop(with_garbage(&bucket));
    let dir = tempfile::tempdir().expect("a directory");
    let objects = Objects::new(Arc::new(BucketDisk::new(Arc::new(bucket.clone()), dir.path())));
    let options = VerifyOptions { is_deep: true, journal: None };
    let asked = at_every_request(1, |requests| {
        bucket.cut_after(requests);
        let checked = crate::verify::verify_objects(&objects, &options, &mut |_| ());
        bucket.mend();
        match checked {
            Ok(report) => {
                assert_eq!(report.findings, vec![]);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "request {requests}: {error}");
                assert!(error.message().contains("the store did not answer"), "request {requests}: {error}");
                false
            }
        }
    });
    assert!(asked > 50, "a check asks the bucket more than {asked} times");
    bucket.lose_answer_after(40);
    let lost = crate::verify::verify_objects(&objects, &options, &mut |_| ()).expect_err("one is not answered");
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
}
