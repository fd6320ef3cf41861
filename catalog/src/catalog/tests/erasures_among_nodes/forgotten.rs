//! Nodes that are forgotten: nobody waits for them any more, and who was wrongly forgotten is known again.

use super::*;
use crate::bucket::BucketDisk;
use crate::forget::forget;
use crate::objects::Objects;
use std::sync::Arc;

fn name(dir: &Path) -> String {
    std::fs::read_to_string(dir.join(paths::NODE)).expect("a name")
}

fn objects(node: &Node) -> &Objects {
    &node.catalog.shared().objects
}

#[test]
fn an_erasure_waits_for_a_lost_node_until_that_is_forgotten() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    tend(&second);
    let away = second.stop();
    let lost = name(away.path());
    let erasure = erase(&first, &intent(), &[&first]);
    assert_eq!(left(&first, &erasure).nodes, vec![lost.clone()]);
    let error = forget(objects(&first), &lost, HOUR).expect_err("it was seen just now");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    assert!(error.message().contains("was seen on") && error.message().contains("expected 3600 s"), "{error}");
    assert_eq!(left(&first, &erasure).nodes, vec![lost.clone()], "nothing was done");
    bucket.pass(2 * HOUR);
    let forgotten = forget(objects(&first), &lost, HOUR).expect("it was away for long");
    assert_eq!(forgotten.name, lost);
    assert!(!bucket.keys().iter().any(|key| key.contains(&lost)), "{:?}", bucket.keys());
    assert_eq!(left(&first, &erasure).nodes, Vec::<String>::new());
    first.catalog.collect_garbage().expect("collected");
    check_gone(&bucket, &[&first], &erasure);

    assert!(!copies(away.path(), 2).is_empty(), "the directory was not lost after all");
    let again = Node::over(&bucket, quick(), false, away).expect("opens");
    assert_eq!(copies(again.dir.path(), 2), Vec::<PathBuf>::new(), "before anything is read");
    tend(&again);
    read_all(&again, |n| n != 2);
    assert_eq!(verified(&first).unfinished_erasures, vec![]);
}

#[test]
fn a_node_at_work_says_so_now_and_then_and_is_known_again_if_it_was_forgotten() {
    let bucket = MemoryBucket::default();
    let (first, second) = (Node::start(&bucket), Node::start(&bucket));
    fill(&bucket, &[&first, &second]);
    let own = |node: &Node| {
        let folder = format!("nodes/{}/", name(node.dir.path()));
        bucket.keys().into_iter().filter_map(|key| key.strip_prefix(&folder).map(str::to_owned)).collect::<Vec<_>>()
    };
    tend(&second);
    let said = own(&second);
    assert_eq!((said.len(), said[1].starts_with("seen-")), (2, true), "{said:?}");
    tend(&second);
    assert_eq!(own(&second), said, "not every time");
    let dir = second.stop();
    let second = Node::over(&bucket, quick(), false, dir).expect("opens");
    tend(&second);
    assert_eq!(own(&second).len(), 2, "of what was said before nothing is left");

    bucket.pass(2 * HOUR);
    let forget_it = || forget(objects(&first), &name(second.dir.path()), HOUR);
    forget_it().expect("nobody heard of it for long");
    let node = second.catalog.shared().node.as_ref().expect("a shared store");
    node.forget_what_was_said();
    tend(&second);
    assert_eq!(own(&second).len(), 2);
    assert_eq!(forget_it().expect_err("it was seen").kind(), ErrorKind::Undeclared);
    let erasure = erase(&first, &intent(), &[&first, &second]);
    check_gone(&bucket, &[&first, &second], &erasure);
}

#[test]
fn only_a_node_of_the_store_is_forgotten() {
    let bucket = MemoryBucket::default();
    let node = Node::start(&bucket);
    tend(&node);
    let known = name(node.dir.path());
    let refused = |name: &str| forget(objects(&node), name, Duration::ZERO).expect_err("refused");
    for text in ["", "..", "6f1c09d2", &format!("{known}/"), &format!("{}x", &known[1..])] {
        let error = refused(text);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("a name of 32 digits"), "{error}");
    }
    let error = refused(&format!("{:032x}", 7));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains(&format!("found {known} (seen on")), "{error}");
    let directory = Objects::new(Arc::new(crate::disk::RealDisk::new(node.dir.path())));
    let error = forget(&directory, &known, Duration::ZERO).expect_err("a directory");
    assert!(error.message().contains("found a directory"), "{error}");
    let empty = tempfile::tempdir().expect("a directory");
    let from_outside = Objects::new(Arc::new(BucketDisk::new(Arc::new(bucket.clone()), empty.path())));
    forget(&from_outside, &known, Duration::ZERO).expect("whatever it does");
    assert!(!bucket.keys().iter().any(|key| key.contains(&known)), "{:?}", bucket.keys());
}
