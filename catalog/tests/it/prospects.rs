//! What a push would change, before its commit and without it.

use crate::fixture::{Place, Push, deep, files, open, points};
use arrow_array::RecordBatch;
use std::path::{Path, PathBuf};
use ukimet_catalog::{Catalog, Diff, verify};
use ukimet_model::{Declarations, ErrorKind, RowQuery, VersionNumber, VersionSelector};

const DATASET: &str = "almaty/points";

fn push(id: &str, key: Option<&str>, rows: &[(i64, Place)]) -> Push {
    let key = key.map(|name| vec![name.to_owned()]);
    Push { declared: Declarations { key, ..Declarations::default() }, ..Push::new(id, DATASET, rows) }
}

/// Ten points, of which the third moves and the last goes, and one that comes.
fn before_and_after() -> [Vec<(i64, Place)>; 2] {
    let (before, mut after) = (points(0..10), points(0..9));
    after[2].1 = Place::Point(71.0, 44.0);
    after.extend(points(20..21));
    [before, after]
}

fn rows(diff: Diff) -> Vec<RecordBatch> {
    diff.collect::<Result<_, _>>().expect("rows")
}

fn committed(catalog: &Catalog) -> Vec<RecordBatch> {
    let snapshot = catalog.snapshot();
    let [one, two] = [1_u64, 2].map(|number| {
        let selector =
            VersionSelector { dataset: DATASET.parse().expect("valid"), version: Some(VersionNumber(number).into()) };
        snapshot.version(&selector).expect("there")
    });
    rows(snapshot.diff(&one.0, &one.1, &two.1, &RowQuery::default()).expect("opens"))
}

/// Every file of the truth.
fn truth(dir: &Path) -> Vec<(String, u64)> {
    let is_truth = |(path, _): &(String, u64)| {
        let path = PathBuf::from(path);
        ["log", "raw", "data", "receipts"].iter().any(|folder| path.starts_with(folder))
    };
    files(dir).into_iter().filter(is_truth).collect()
}

#[test]
fn what_a_push_would_change_is_what_its_commit_changes_and_leaves_nothing() {
    for key in [Some("n"), None] {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = open(dir.path());
        let [before, after] = before_and_after();
        push("p1", key, &before).send(&catalog).expect("published");
        let kept = truth(dir.path());
        let next = push("p2", key, &after);
        let would = {
            let (_raw, transaction) = next.prepared(&catalog).expect("read");
            let prospect = transaction.prospect(&DATASET.parse().expect("valid"), &RowQuery::default());
            let prospect = prospect.expect("compared");
            assert_eq!((prospect.before.number.0, prospect.after.rows), (1, 10));
            rows(prospect.diff)
        };
        assert_eq!(truth(dir.path()), kept, "nothing stays");
        assert_eq!(catalog.snapshot().id().0, 1);
        next.send(&catalog).expect("published");
        assert_eq!(would, committed(&catalog), "{key:?}");
        assert_eq!(would.iter().map(RecordBatch::num_rows).sum::<usize>(), if key.is_some() { 3 } else { 4 });
        drop(catalog);
        assert!(verify(dir.path(), &deep(), &mut |_| ()).expect("verified").is_clean());
    }
}

#[test]
fn a_push_that_changes_nothing_or_is_overtaken_has_no_rows_to_tell() {
    let dir = tempfile::tempdir().expect("a folder");
    let catalog = open(dir.path());
    let [before, after] = before_and_after();
    let dataset = DATASET.parse().expect("valid");
    let (_raw, first) = push("p0", None, &before).prepared(&catalog).expect("read");
    let error = first.prospect(&dataset, &RowQuery::default()).err().expect("there is nothing to compare with");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    drop(first);
    push("p1", None, &before).send(&catalog).expect("published");
    let (_raw, same) = push("p2", None, &before).prepared(&catalog).expect("read");
    let prospect = same.prospect(&dataset, &RowQuery::default()).expect("compared");
    assert_eq!((prospect.after.number, rows(prospect.diff).len()), (prospect.before.number, 0));
    let (_raw, overtaken) = push("p3", None, &points(0..3)).prepared(&catalog).expect("read");
    push("p4", None, &after).send(&catalog).expect("published");
    let error = overtaken.prospect(&dataset, &RowQuery::default()).err().expect("another version came");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}
