//! Erasures from a bucket with several nodes: whatever happens, the rows go from the bucket and from every directory, and
//! as long as they have not, everyone is told so.

mod compactions;
mod forgotten;

use super::erasures::{DATASET, ROWS, intent};
use super::nodes::{HOUR, Node, at_every_request, quick, wait_for_list};
use super::{Push, numbers};
use crate::bucket::Bucket;
use crate::bucket::memory::{Flaw, MemoryBucket};
use crate::erase::{ErasureIntent, ErasureLeft};
use crate::erasure::Erasure;
use crate::options::{CatalogOptions, Sharing};
use crate::paths;
use crate::verify::{VerifyOptions, VerifyReport, verify_objects};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use ukimet_model::{ErrorKind, RowQuery, Version, VersionNumber, VersionSelector};

fn place(number: i64) -> [u8; 8] {
    (70.0 + number as f64 / 100.0).to_le_bytes()
}

fn holds(bytes: &[u8], number: i64) -> bool {
    bytes.windows(8).any(|window| window == place(number))
}

/// The objects of the bucket that hold the place of a row, and all bytes as sent and verdicts: every push brought it.
fn holders(bucket: &MemoryBucket, number: i64) -> Vec<String> {
    let is_sent = |key: &str| key.starts_with("raw/");
    let is_held = |key: &String| is_sent(key) || holds(&bucket.get(key).expect("there"), number);
    bucket.keys().into_iter().filter(is_held).collect()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The same of the files in a node's directory, where copies of bytes as sent have these in their names.
fn copies(dir: &Path, number: i64) -> Vec<PathBuf> {
    let is_sent = |path: &Path| path.to_string_lossy().contains("/raw+");
    let is_held = |path: &PathBuf| is_sent(path) || holds(&std::fs::read(path).expect("a file"), number);
    files_below(dir).into_iter().filter(is_held).collect()
}

/// Versions of which each has the row; the second and the third node read all of them, so that they have copies.
fn fill(bucket: &MemoryBucket, nodes: &[&Node]) {
    for (number, rows) in (1..).zip(ROWS) {
        nodes[number % nodes.len()].push(&format!("p{number}"), DATASET, rows).expect("pushed");
    }
    for node in nodes {
        node.catalog.follow().expect("the store answers");
        read_all(node, |_| true);
        assert!(!copies(node.dir.path(), 2).is_empty(), "the search finds what is there");
    }
    assert!(holders(bucket, 2).iter().any(|key| key.ends_with(".parquet")), "the search finds what is there");
}

/// Reads every version with its bytes as sent; of each row of [`ROWS`] those are there that are to be.
fn read_all(node: &Node, is_there: impl Fn(i64) -> bool) {
    for (number, rows) in (1..).zip(ROWS) {
        let found = numbers(&node.catalog, DATASET, number).expect("a whole version");
        assert_eq!(found, rows.filter(|n| is_there(*n)).collect::<Vec<_>>(), "v{number}");
    }
    let snapshot = node.catalog.snapshot();
    for version in snapshot.versions(&DATASET.parse().expect("valid"), None, usize::MAX).expect("versions") {
        snapshot.copy_raw(&version.asset, &mut Vec::new()).ok();
    }
}

fn version(node: &Node, number: u64) -> Version {
    let version = Some(VersionNumber(number).into());
    let selector = VersionSelector { dataset: DATASET.parse().expect("valid"), version };
    node.catalog.snapshot().version(&selector).expect("there").1
}

/// What a hub does now and then.
fn tend(node: &Node) {
    node.catalog.follow().expect("the store answers");
    node.catalog.confirm_erasures(&|_| Ok(())).expect("confirmed");
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Erases while nodes do what hubs do; all that is tended has confirmed afterwards what it can.
fn erase(node: &Node, intent: &ErasureIntent, tended: &[&Node]) -> Erasure {
    let is_over = AtomicBool::new(false);
    let erasure = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                tended.iter().copied().for_each(tend);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // Also if it fails.
        let _ended = Ended(&is_over);
        again(|| node.catalog.erase(intent)).0
    });
    tended.iter().copied().for_each(tend);
    erasure
}

fn left(node: &Node, erasure: &Erasure) -> ErasureLeft {
    node.catalog.left_of_erasure(&DATASET.parse().expect("valid"), erasure).expect("told")
}

fn verified(node: &Node) -> VerifyReport {
    let options = VerifyOptions { is_deep: true, journal: None };
    let report = verify_objects(&node.catalog.shared().objects, &options, &mut |_| ()).expect("a store");
    assert_eq!(report.findings, vec![]);
    report
}

fn check_gone(bucket: &MemoryBucket, nodes: &[&Node], erasure: &Erasure) {
    if !left(nodes[0], erasure).is_finished {
        // On a busy machine some node may have confirmed too late for the erasure to see it.
        nodes.iter().copied().for_each(tend);
        nodes[0].catalog.collect_garbage().expect("collected");
    }
    assert_eq!(holders(bucket, 2), Vec::<String>::new());
    for node in nodes {
        assert_eq!(copies(node.dir.path(), 2), Vec::<PathBuf>::new());
        assert!(left(node, erasure).is_finished);
    }
    assert_eq!(verified(nodes[0]).unfinished_erasures, vec![]);
}

#[test]
fn an_erased_row_is_in_no_object_of_the_bucket_and_in_no_directory_of_a_node() {
    let bucket = MemoryBucket::default();
    let start = || Node::with(&bucket, quick(), true).expect("opens");
    let (first, second) = (start(), start());
    fill(&bucket, &[&first, &second]);
    let snapshot = second.catalog.snapshot();
    let (dataset, newest) = snapshot.dataset(&DATASET.parse().expect("valid")).expect("there");
    let old_receipt = newest.receipt;
    let mut reading = snapshot.scan(&dataset, &newest, &RowQuery::default(), 0..usize::MAX).expect("begun");
    drop(snapshot);
    assert!(reading.next().expect("rows").is_ok());
    drop(reading);

    let would = first.catalog.would_erase(&intent()).expect("told");
    let erasure = erase(&first, &intent(), &[&first, &second]);
    assert_eq!(erasure.versions, would.versions);
    assert_eq!(erasure.versions.len(), 3);
    check_gone(&bucket, &[&first, &second], &erasure);
    for node in [&first, &second] {
        read_all(node, |n| n != 2);
        assert_eq!(version(node, 2).erased.expect("marked").snapshot, erasure.snapshot);
        assert_ne!(version(node, 3).receipt, old_receipt);
    }
    let again = second.catalog.erase(&intent()).expect("the same erasure at the other node");
    assert_eq!((again.0.snapshot, again.1), (erasure.snapshot, true));
    let pushed = second.push("p4", DATASET, 0..4).expect("the same key comes again as a new row");
    assert_eq!(numbers(&first.catalog, DATASET, 4).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    first.catalog.follow().expect("the store answers");
    assert_eq!(numbers(&first.catalog, DATASET, super::nodes::version(&pushed)).expect("there"), vec![0, 1, 2, 3]);
    check_settled(&bucket, &first);
}

/// Nothing is left that a later push would stumble over.
fn check_settled(bucket: &MemoryBucket, node: &Node) {
    assert!(!bucket.keys().iter().any(|key| key.starts_with("collecting/")), "{:?}", bucket.keys());
    bucket.pass(2 * HOUR);
    node.catalog.collect_garbage().expect("collected");
    assert_eq!(verified(node).unreferenced, 0);
}

#[test]
fn a_node_that_was_away_drops_its_copies_before_it_reads_and_until_then_the_erasure_is_not_called_finished() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let away = second.stop();
    let erasure = erase(&first, &intent(), &[&first]);
    assert_eq!(holders(&bucket, 2), Vec::<String>::new(), "the bucket waits for nobody who is away");
    let waiting = left(&first, &erasure);
    assert_eq!((waiting.is_finished, waiting.objects, waiting.nodes.len()), (false, 0, 1));
    let name = std::fs::read_to_string(away.path().join(paths::NODE)).expect("a name");
    assert_eq!(waiting.nodes, vec![name]);
    let told = verified(&first).unfinished_erasures;
    assert_eq!(told.iter().map(|told| (told.snapshot, &told.left)).collect::<Vec<_>>(), [(erasure.snapshot, &waiting)]);
    first.catalog.collect_garbage().expect("collected");
    assert!(!left(&first, &erasure).is_finished, "nobody knows what it keeps");
    assert!(!copies(away.path(), 2).is_empty(), "rightly so");

    let second = Node::over(&bucket, quick(), false, away).expect("opens");
    assert_eq!(copies(second.dir.path(), 2), Vec::<PathBuf>::new(), "before anything is read");
    assert!(!left(&second, &erasure).is_finished);
    read_all(&second, |n| n != 2);
    tend(&second);
    second.catalog.collect_garbage().expect("collected");
    check_gone(&bucket, &[&first, &second], &erasure);
}

#[test]
fn who_reads_on_another_node_is_stopped_and_holds_up_nothing_but_the_last_word() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let snapshot = second.catalog.snapshot();
    let (dataset, newest) = snapshot.dataset(&DATASET.parse().expect("valid")).expect("there");
    let mut reading = snapshot.scan(&dataset, &newest, &RowQuery::default(), 0..usize::MAX).expect("begun");
    let erasure = erase(&first, &intent(), &[&first, &second]);
    assert_eq!(holders(&bucket, 2), Vec::<String>::new());
    assert_eq!(left(&first, &erasure).nodes.len(), 1, "somebody there still has the state of before");
    let stopped = reading.next().expect("more").expect_err("stopped");
    assert_eq!(stopped.kind(), ErrorKind::Conflict, "{stopped}");
    let again = snapshot
        .scan(&dataset, &newest, &RowQuery::default(), 0..usize::MAX)
        .and_then(|mut rows| rows.next().expect("more"));
    let error = again.expect_err("the files are gone");
    assert!(error.message().contains("were erased on"), "{error}");
    drop((reading, snapshot));
    tend(&second);
    first.catalog.collect_garbage().expect("collected");
    check_gone(&bucket, &[&first, &second], &erasure);
}

#[test]
fn what_a_push_on_another_node_left_that_did_not_know_of_the_erasure_goes_too() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    // The row comes in new files, which lie in the bucket before the push is refused.
    let without = second.push("without", DATASET, 5..9).expect("pushed");
    let is_without = |key: &String| *key == paths::raw(&version(&second, super::nodes::version(&without)).asset.sha256);
    let push = Push::new("late", DATASET, 2..3).begin(&second.catalog).expect("begun");
    let erasure = erase(&first, &intent(), &[&first, &second]);
    assert!(!holders(&bucket, 2).is_empty(), "it is there");
    assert_eq!(left(&first, &erasure).nodes.len(), 1, "a push that began before is not over");
    assert_eq!(push.commit().expect_err("compared with rows that are gone").kind(), ErrorKind::Conflict);
    tend(&second);
    first.catalog.collect_garbage().expect("collected");
    assert!(left(&first, &erasure).is_finished);
    assert!(holders(&bucket, 2).iter().all(is_without), "bytes as sent and tables of the refused push, too");
    second.push("later", DATASET, 2..3).expect("a later push");
    first.catalog.follow().expect("the store answers");
    assert_eq!(numbers(&first.catalog, DATASET, 5).expect("there"), vec![2]);
}

#[test]
fn what_was_written_beside_the_segments_by_who_did_not_know_goes_and_is_told_to_who_writes_there() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let snapshot = second.catalog.snapshot();
    let (dataset, _) = snapshot.dataset(&DATASET.parse().expect("valid")).expect("there");
    let beside = snapshot.beside(&dataset);
    beside.put("_delta_log/1.json", &place(2)).expect("put");
    assert_eq!(holders(&bucket, 2).iter().filter(|key| key.contains("_delta_log")).count(), 1);
    let erasure = erase(&first, &intent(), &[&first, &second]);
    assert_eq!(first.catalog.take_cleaned_beside().len(), 1, "what was there at the commit");
    beside.put("_delta_log/2.json", &place(2)).expect("put");
    drop((beside, snapshot));
    assert_eq!(holders(&bucket, 2).len(), 1, "the later one");
    tend(&second);
    first.catalog.collect_garbage().expect("collected");
    check_gone(&bucket, &[&first, &second], &erasure);
    assert_eq!(first.catalog.take_cleaned_beside().len(), 1);
    assert_eq!(first.catalog.take_cleaned_beside().len(), 0);
}

#[test]
fn bytes_and_tables_that_are_about_to_go_are_given_to_nobody() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let (asset, push) = (version(&second, 2).asset, version(&second, 2).push_id);
    let patient = Sharing { settling: Duration::from_secs(2), ..quick().sharing };
    let third = Node::with(&bucket, CatalogOptions { sharing: patient, ..quick() }, false).expect("opens");
    std::thread::scope(|scope| {
        let erasing = scope.spawn(|| third.catalog.erase(&intent()).expect("erased"));
        wait_for_list(&bucket);
        second.catalog.follow().expect("the store answers");
        assert!(bucket.keys().contains(&paths::raw(&asset.sha256)), "they are there");
        let snapshot = second.catalog.snapshot();
        let error = snapshot.copy_raw(&asset, &mut Vec::new()).expect_err("erased");
        assert!(error.message().contains("were erased on"), "{error}");
        let record = snapshot.push("almaty", &push).expect("read").expect("there");
        let table = record.outcome.layers[0].verdicts.expect("one verdict");
        let error = snapshot.table(&record, &table).map(drop).expect_err("erased");
        assert!(error.message().contains("were erased on"), "{error}");
        assert_eq!(copies(second.dir.path(), 2), Vec::<PathBuf>::new());
        erasing.join().expect("ended");
    });
    let pushed = second.push("again", DATASET, ROWS[1].clone()).expect("the same bytes once more");
    assert_eq!(pushed.layers.len(), 1);
    second.catalog.snapshot().copy_raw(&asset, &mut Vec::new()).expect("they are that push's");
}

#[test]
fn bytes_that_come_again_with_a_commit_that_did_not_see_the_list_are_kept() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let patient = Sharing { settling: Duration::from_secs(2), ..quick().sharing };
    let third = Node::with(&bucket, CatalogOptions { sharing: patient, ..quick() }, false).expect("opens");
    std::thread::scope(|scope| {
        let erasing = scope.spawn(|| third.catalog.erase(&intent()).expect("erased"));
        let list = wait_for_list(&bucket);
        let told = second.push("seen", DATASET, ROWS[0].clone()).expect_err("they are about to go");
        assert_eq!(told.kind(), ErrorKind::Unavailable, "{told}");
        // As if the list had come a moment after the look.
        let bytes = bucket.get(&list).expect("there");
        bucket.delete(&list).expect("deleted");
        second.push("again", DATASET, ROWS[0].clone()).expect("pushed");
        bucket.put_if_absent(&list, bytes).expect("put back");
        erasing.join().expect("ended");
    });
    let asset = version(&second, 4).asset;
    Node::start(&bucket).catalog.snapshot().copy_raw(&asset, &mut Vec::new()).expect("they are that push's");
    verified(&second);
}

#[test]
fn erasures_and_pushes_on_several_nodes_at_once_lose_nothing() {
    const PUSHES: i64 = 10;
    let bucket = MemoryBucket::default();
    let nodes = [Node::start(&bucket), Node::start(&bucket), Node::start(&bucket)];
    fill(&bucket, &[&nodes[0], &nodes[1]]);
    let others =
        |push: i64| Push::new(&format!("other-{push}"), "almaty/others", 100 * (push + 1)..100 * (push + 1) + 3);
    let other = ErasureIntent { id: "f".parse().expect("valid"), keys: vec![vec!["3".to_owned()]], ..intent() };
    // Longer than it takes to start: both look through the same files at the same time.
    bucket.slow_down(Duration::from_millis(2));
    let (one, two, acknowledged) = std::thread::scope(|scope| {
        let one = scope.spawn(|| erase(&nodes[0], &intent(), &[&nodes[0]]));
        let two = scope.spawn(|| erase(&nodes[1], &other, &[&nodes[1]]));
        let pushing = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for push in 0..PUSHES {
                tend(&nodes[2]);
                let rows = 100 * (push + 1)..100 * (push + 1) + 3;
                again(|| others(push).send(&nodes[2].catalog));
                let outcome = again(|| nodes[2].push(&format!("n-{push}"), DATASET, rows.clone()));
                acknowledged.push((super::nodes::version(&outcome), rows));
                std::thread::sleep(Duration::from_millis(30));
            }
            acknowledged
        });
        (one.join().expect("erased"), two.join().expect("erased"), pushing.join().expect("pushed"))
    });
    bucket.slow_down(Duration::ZERO);
    nodes.iter().for_each(tend);
    nodes[0].catalog.collect_garbage().expect("collected");
    for node in &nodes {
        read_all(node, |n| n != 2 && n != 3);
        for (number, rows) in &acknowledged {
            assert_eq!(numbers(&node.catalog, DATASET, *number).expect("there"), rows.clone().collect::<Vec<_>>());
        }
        assert_eq!(version(node, 1).erased.expect("marked").rows, 1);
        assert_eq!(version(node, 2).erased.expect("marked").rows, 2);
        assert!(left(node, &one).is_finished && left(node, &two).is_finished);
        let kept: Vec<_> = [2, 3].iter().flat_map(|n| copies(node.dir.path(), *n)).collect();
        assert!(kept.iter().all(|path| path.to_string_lossy().contains("raw+")), "{kept:?}");
    }
    let held: Vec<String> =
        [2, 3].iter().flat_map(|n| holders(&bucket, *n)).filter(|key| !key.starts_with("raw/")).collect();
    assert_eq!(held, Vec::<String>::new());
    check_settled(&bucket, &nodes[0]);
}

/// Does what somebody is told to do again, or later, until it is done.
fn again<T>(mut done: impl FnMut() -> ukimet_model::Result<T>) -> T {
    loop {
        match done() {
            Ok(done) => return done,
            Err(error) => {
                assert!([ErrorKind::Conflict, ErrorKind::Unavailable].contains(&error.kind()), "{error}");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A node that is quick about everything, for sweeps.
fn hasty() -> CatalogOptions {
    CatalogOptions { sharing: Sharing { settling: Duration::from_millis(60), ..quick().sharing }, ..quick() }
}

/// What is there after an erasure that was disturbed, once all is well again; whether it is done.
fn recovered(bucket: &MemoryBucket, nodes: [Node; 2], when: &str) -> bool {
    // A list that was left counts until it is old.
    bucket.pass(HOUR);
    let nodes = nodes.map(|node| Node::over(bucket, hasty(), false, node.stop()).expect("opens"));
    nodes.iter().for_each(tend);
    nodes[1].catalog.collect_garbage().unwrap_or_else(|e| panic!("collecting, {when}: {e}"));
    let erasures = nodes[0].catalog.snapshot().erasures(&DATASET.parse().expect("valid")).expect("read");
    for node in &nodes {
        read_all(node, |n| erasures.is_empty() || n != 2);
    }
    if let [erasure] = erasures.as_slice() {
        check_gone(bucket, &[&nodes[0], &nodes[1]], erasure);
        return true;
    }
    let erasure = erase(&nodes[1], &intent(), &[&nodes[0], &nodes[1]]);
    check_gone(bucket, &[&nodes[0], &nodes[1]], &erasure);
    false
}

#[test]
fn a_bucket_cut_off_during_an_erasure_leaves_it_undone_or_done() {
    let (mut done, mut undone) = (0, 0);
    at_every_request(5, |requests| {
        let bucket = MemoryBucket::default();
        let nodes = [(); 2].map(|()| Node::with(&bucket, hasty(), false).expect("opens"));
        fill(&bucket, &[&nodes[0], &nodes[1]]);
        bucket.cut_after(requests);
        let answered = nodes[0].catalog.erase(&intent());
        bucket.mend();
        let when = format!("cut off after {requests} requests");
        if let Err(error) = &answered {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{when}: {error}");
        }
        let is_whole = answered.is_ok();
        let is_told = answered.is_err_and(|error| error.to_string().contains("the rows are erased (snapshot"));
        let is_done = recovered(&bucket, nodes, &when);
        assert!(is_done || !is_whole && !is_told, "{when}");
        (done, undone) = (done + u32::from(is_done), undone + u32::from(!is_done));
        is_whole
    });
    assert!(done > 5 && undone > 5, "{done} done, {undone} not");
}

#[test]
fn an_answer_that_is_lost_during_an_erasure_leaves_it_undone_or_done() {
    let mut lost = 0;
    at_every_request(7, |requests| {
        let bucket = MemoryBucket::default();
        let nodes = [(); 2].map(|()| Node::with(&bucket, hasty(), false).expect("opens"));
        fill(&bucket, &[&nodes[0], &nodes[1]]);
        let before = bucket.requests();
        bucket.lose_answer_after(requests);
        let answered = nodes[0].catalog.erase(&intent());
        let used = bucket.requests() - before;
        bucket.mend();
        let when = format!("the answer to request {requests} lost");
        let is_done = recovered(&bucket, nodes, &when);
        assert!(is_done || answered.is_err(), "{when}");
        lost += u32::from(answered.is_err());
        requests >= used
    });
    assert!(lost > 5, "{lost} failed");
}

#[test]
fn a_bucket_that_keeps_versions_of_what_is_deleted_is_told() {
    for (flaw, keeps) in [(Flaw::None, false), (Flaw::KeepsVersions, true)] {
        let bucket = MemoryBucket::with(flaw);
        let node = Node::start(&bucket);
        fill(&bucket, &[&node]);
        let erasure = erase(&node, &intent(), &[&node]);
        check_gone(&bucket, &[&node], &erasure);
        assert_eq!(left(&node, &erasure).keeps_deleted, keeps);
    }
}
