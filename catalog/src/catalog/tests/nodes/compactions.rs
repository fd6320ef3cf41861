//! Several nodes on one bucket that compact: no row is lost or doubled, whoever pushes, reads and collects meanwhile.

use super::*;
use crate::compaction::{Compacted, CompactionScope};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use ukimet_model::{RowQuery, Version};

const DATASET: &str = "a/x";

fn compact(node: &Node) -> Result<Compacted> {
    node.catalog.compact(&DATASET.parse()?, CompactionScope::All, "tester")
}

/// Compacts, unless others come first whenever it is tried.
fn compact_if_possible(node: &Node) -> bool {
    match compact(node) {
        Ok(done) => done.snapshot.is_some(),
        Err(error) if error.kind() == ErrorKind::Unavailable => false,
        Err(error) => panic!("{error}"),
    }
}

fn newest(node: &Node) -> Version {
    node.catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there").1
}

/// Three versions, each with rows gone from files of the one before.
fn publish(node: &Node) {
    for (number, rows) in (1..).zip([0..20, 2..21, 5..22]) {
        node.push(&format!("p{number}"), DATASET, rows).expect("pushed");
    }
}

fn check_published(node: &Node) {
    for (number, rows) in (1..).zip([0..20, 2..21, 5..22]) {
        assert_eq!(numbers(&node.catalog, DATASET, number).expect("there"), rows.collect::<Vec<_>>(), "v{number}");
    }
}

#[test]
fn one_of_two_nodes_that_compact_at_the_same_time_does_and_the_other_finds_it_done() {
    for _ in 0..10 {
        let bucket = MemoryBucket::default();
        let nodes = [Node::start(&bucket), Node::start(&bucket)];
        publish(&nodes[0]);
        nodes[1].catalog.follow().expect("the store answers");
        let together = Barrier::new(2);
        let done: usize = std::thread::scope(|scope| {
            let compact = |node| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    compact_if_possible(node)
                })
            };
            let threads: Vec<_> = nodes.iter().map(compact).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().expect("no panic"))).sum()
        });
        assert_eq!(done, 1);
        for node in &nodes {
            assert_eq!(compact(node).expect("nothing is left to do").snapshot, None);
            check_published(node);
        }
        assert_eq!(newest(&nodes[0]), newest(&nodes[1]));
        check_published(&check(&bucket));
    }
}

#[test]
fn a_node_knows_what_another_compacted_before_it_begins() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    publish(&first);
    second.catalog.follow().expect("the store answers");
    assert!(compact(&first).expect("compacted").snapshot.is_some());
    let (before, requests) = (bucket.keys(), bucket.requests());
    assert_eq!(compact(&second).expect("nothing is left to do").snapshot, None);
    assert_eq!(bucket.keys(), before);
    assert!(bucket.requests() - requests < 10, "no file was read");
}

#[test]
fn pushes_through_nodes_that_all_compact_are_all_there_row_by_row() {
    const PUSHES: i64 = 10;
    let bucket = MemoryBucket::default();
    let (mut pushed, mut compacted) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let work = |number: i64| {
            let bucket = &bucket;
            scope.spawn(move || {
                let (node, mut pushed, mut compacted) = (Node::start(bucket), Vec::new(), 0);
                for push in 0..PUSHES {
                    // Most rows are those of other pushes, some of each go.
                    let rows = number + push..number + push + 12 + (number + push) % 3;
                    let outcome = node.push(&format!("n{number}-{push}"), DATASET, rows.clone()).expect("pushed");
                    pushed.push((version(&outcome), rows));
                    compacted += usize::from(compact_if_possible(&node));
                }
                (pushed, compacted)
            })
        };
        for node in [0, 1, 2].map(work) {
            let (more, times) = node.join().expect("no panic");
            pushed.extend(more);
            compacted += times;
        }
    });
    assert!(compacted > 3, "{compacted}");
    let node = check(&bucket);
    for (version, rows) in pushed {
        let found = numbers(&node.catalog, DATASET, version).expect("there");
        assert_eq!(found, rows.collect::<Vec<_>>(), "v{version}");
    }
}

#[test]
fn a_compaction_whose_store_is_cut_off_at_any_request_changes_no_row_and_is_done_when_it_is_back() {
    let asked = at_every_request(1, |requests| {
        let bucket = MemoryBucket::default();
        let node = Node::start(&bucket);
        publish(&node);
        bucket.cut_after(requests);
        let cut = compact(&node);
        bucket.mend();
        if let Err(error) = &cut {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "request {requests}: {error}");
        }
        check_published(&node);
        let again = compact(&node).unwrap_or_else(|e| panic!("request {requests}: {e}"));
        assert_eq!(again.segments_after, 5, "request {requests}");
        check_published(&check(&bucket));
        cut.is_ok()
    });
    assert!(asked > 10, "a compaction asks the bucket more than {asked} times");
}

#[test]
fn what_a_compaction_superseded_stays_as_long_as_another_node_may_read_it() {
    let bucket = MemoryBucket::default();
    let patient = || CatalogOptions { sharing: Sharing { reading_max: HOUR, ..quick().sharing }, ..quick() };
    let start = || Node::with(&bucket, patient(), false).expect("opens");
    let (first, reader) = (start(), start());
    publish(&first);
    reader.catalog.follow().expect("the store answers");
    let (snapshot, before) = (reader.catalog.snapshot(), newest(&reader));
    assert!(compact(&first).expect("compacted").snapshot.is_some());
    bucket.pass(2 * HOUR);
    assert_eq!(first.catalog.collect_garbage().expect("collected").objects, 0);
    let read = |number: u64| {
        let selector = format!("{DATASET}@v{number}").parse().expect("valid");
        let (dataset, version) = snapshot.version(&selector).expect("there");
        let rows = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("opens");
        rows.map(|batch| batch.expect("whole").num_rows()).sum::<usize>()
    };
    assert_eq!([read(1), read(2), read(3)], [20, 19, 17]);
    drop(snapshot);
    reader.catalog.follow().expect("the store answers");
    assert!(newest(&reader).layout.is_some() && newest(&reader).segments != before.segments);
    check_published(&reader);
}

#[test]
fn a_ticket_that_is_read_on_a_node_keeps_its_files_through_a_collection_of_that_node() {
    let bucket = MemoryBucket::default();
    let node = Node::start(&bucket);
    publish(&node);
    compact(&node).expect("compacted");
    bucket.pass(2 * HOUR);
    let old = node.catalog.snapshot().laid_out_as_of(ukimet_model::SnapshotId(0));
    let (dataset, version) = old.dataset(&DATASET.parse().expect("valid")).expect("there");
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| node.catalog.collect_garbage().expect("collected").objects);
        wait_for_list(&bucket);
        let rows = old.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("still there");
        collecting.join().expect("ended");
        assert_eq!(rows.map(|batch| batch.expect("whole").num_rows()).sum::<usize>(), 17);
    });
    assert!(node.catalog.collect_garbage().expect("collected").objects > 0);
    let again = old.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX);
    let gone = again.map(drop).expect_err("gone");
    assert!(gone.kind() == ErrorKind::NotFound && gone.message().contains("ask anew"), "{gone}");
    check_published(&check(&bucket));
}

#[test]
fn a_push_whose_files_another_node_superseded_and_collected_is_refused_and_right_when_it_comes_again() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    publish(&first);
    let push = Push::new("p4", DATASET, 7..25);
    let prepared = push.begin(&second.catalog).expect("its rows are found in the files of now");
    assert!(compact(&first).expect("compacted").snapshot.is_some());
    bucket.pass(2 * HOUR);
    assert!(first.catalog.collect_garbage().expect("collected").objects > 0);
    let error = prepared.commit().map(drop).expect_err("its files are gone");
    assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("try again"), "{error}");
    assert_eq!(version(&push.send(&second.catalog).expect("pushed")), 4);
    let node = check(&bucket);
    check_published(&node);
    assert_eq!(numbers(&node.catalog, DATASET, 4).expect("there"), (7..25).collect::<Vec<_>>());
}

#[test]
fn a_compaction_that_another_nodes_smaller_one_overtakes_at_any_request_leaves_no_row_in_two_files() {
    // Puts the two files of one row together and leaves the one with a deleted row, which the other takes as well.
    let few = || CatalogOptions { compact_segments_max: 1, compact_deleted_share: 1.0, ..quick() };
    let (mut gave_up, mut done) = (0, 0);
    at_every_request(1, |requests| {
        let bucket = MemoryBucket::default();
        let (node, other) = (Node::start(&bucket), Node::with(&bucket, few(), false).expect("opens"));
        publish(&node);
        let did_overtake = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&did_overtake);
        bucket.interrupt_after(requests, move || {
            other.catalog.follow().expect("the store answers");
            let id = DATASET.parse().expect("valid");
            let compacted = other.catalog.compact(&id, CompactionScope::PastLimits, "tester").expect("compacted");
            told.store(compacted.segments_rewritten == 2 && compacted.snapshot.is_some(), Ordering::SeqCst);
        });
        let compacted = compact(&node);
        bucket.mend();
        if !did_overtake.load(Ordering::SeqCst) {
            return true;
        }
        node.catalog.follow().expect("the store answers");
        let in_files: u64 = newest(&node).segments.iter().map(|segment| segment.rows).sum();
        match &compacted {
            Ok(_) => {
                assert_eq!(in_files, 17, "request {requests}: each row once, and no deleted one");
                done += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "request {requests}: {error}");
                assert!(error.message().contains("changed while it was compacted"), "request {requests}: {error}");
                gave_up += 1;
            }
        }
        check_published(&check(&bucket));
        false
    });
    assert!(gave_up > 3 && done > 0, "{gave_up} gave up, {done} done");
}
