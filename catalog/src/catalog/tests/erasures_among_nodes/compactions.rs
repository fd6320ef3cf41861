//! One node compacts while another erases, whichever request of the one the other comes between: nothing is left of the row,
//! and no other is lost.

use super::*;
use crate::compaction::{Compacted, CompactionScope};
use std::sync::{Arc, Mutex};
use ukimet_model::Result;

fn compact(node: &Node) -> Result<Compacted> {
    node.catalog.compact(&DATASET.parse()?, CompactionScope::All, "tester")
}

fn start(bucket: &MemoryBucket) -> Arc<Node> {
    Arc::new(Node::with(bucket, hasty(), false).expect("opens"))
}

/// Lets a node act before a request of others in so many; what it did, once it has.
fn interrupt<T: Send + 'static>(
    bucket: &MemoryBucket,
    requests: u64,
    node: &Arc<Node>,
    act: fn(&Node) -> T,
) -> Arc<Mutex<Option<T>>> {
    let (node, done) = (Arc::clone(node), Arc::new(Mutex::new(None)));
    let said = Arc::clone(&done);
    bucket.interrupt_after(requests, move || {
        let answer = act(&node);
        *said.lock().expect("no panic") = Some(answer);
    });
    done
}

/// After an erasure and a compaction all is well: what is left is there on both nodes, and nothing else anywhere.
fn check_both(bucket: &MemoryBucket, nodes: [&Node; 2], erasure: &Erasure, when: &str) {
    nodes.into_iter().for_each(tend);
    nodes[0].catalog.collect_garbage().unwrap_or_else(|e| panic!("collecting, {when}: {e}"));
    check_gone(bucket, &nodes, erasure);
    let told = compact(nodes[1]).unwrap_or_else(|e| panic!("compacting, {when}: {e}"));
    assert_eq!(told.version.0, ROWS.len() as u64, "{when}");
    nodes.into_iter().for_each(tend);
    for node in nodes {
        read_all(node, |n| n != 2);
    }
    check_settled(bucket, nodes[0]);
    check_gone(bucket, &nodes, erasure);
}

#[test]
fn an_erasure_at_any_request_of_another_nodes_compaction_leaves_nothing_of_the_row() {
    let (mut overtaken, mut done) = (0, 0);
    at_every_request(1, |requests| {
        let bucket = MemoryBucket::default();
        let (first, second) = (start(&bucket), start(&bucket));
        fill(&bucket, &[&first, &second]);
        let erased = interrupt(&bucket, requests, &second, |node| again(|| node.catalog.erase(&intent())).0);
        let compacted = compact(&first);
        bucket.mend();
        let when = format!("erased before request {requests}");
        match &compacted {
            Ok(_) => done += 1,
            Err(error) => {
                assert!([ErrorKind::Conflict, ErrorKind::Unavailable].contains(&error.kind()), "{when}: {error}");
                overtaken += 1;
            }
        }
        let Some(erasure) = erased.lock().expect("no panic").take() else { return true };
        check_both(&bucket, [&first, &second], &erasure, &when);
        false
    });
    assert!(done > 5, "{done} compactions done, {overtaken} overtaken");
}

#[test]
fn a_compaction_at_any_request_of_another_nodes_erasure_leaves_nothing_of_the_row() {
    let mut done = 0;
    at_every_request(5, |requests| {
        let bucket = MemoryBucket::default();
        let (first, second) = (start(&bucket), start(&bucket));
        fill(&bucket, &[&first, &second]);
        let compacted = interrupt(&bucket, requests, &second, compact);
        let (erasure, ..) = again(|| first.catalog.erase(&intent()));
        bucket.mend();
        let when = format!("compacted before request {requests}");
        let Some(compacted) = compacted.lock().expect("no panic").take() else { return true };
        done += u64::from(compacted.is_ok_and(|compacted| compacted.snapshot.is_some()));
        check_both(&bucket, [&first, &second], &erasure, &when);
        false
    });
    assert!(done > 5, "{done} compactions laid the version out anew");
}
