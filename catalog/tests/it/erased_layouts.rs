//! Rows that are erased from versions that were compacted, and compactions of versions that lost rows.

use crate::erasing::{DATASET, Person, Push, codes, codes_of, erase, people, person};
use crate::erasure::{after_of, check_gone, checked, code, fill, forgotten, id};
use crate::fixture::{files, open, window};
use std::sync::atomic::{AtomicBool, Ordering};
use ukimet_catalog::{Catalog, Compacted, CompactionScope, backup, verify};
use ukimet_model::{ErrorKind, RowQuery, SnapshotId, SystemClock, Version, VersionNumber};

fn compact(catalog: &Catalog) -> Compacted {
    catalog.compact(&id(), CompactionScope::All, "tester").expect("compacted")
}

fn all(catalog: &Catalog, version: u64) -> Vec<String> {
    codes(&catalog.snapshot(), version, &RowQuery::default()).expect("read")
}

/// How many rows differ between two versions.
fn differing(catalog: &Catalog, from: &Version, to: &Version) -> usize {
    let snapshot = catalog.snapshot();
    let (dataset, _) = snapshot.dataset(&id()).expect("there");
    let diff = snapshot.diff(&dataset, from, to, &RowQuery::default()).expect("compared");
    diff.map(|batch| batch.expect("rows").num_rows()).sum()
}

#[test]
fn erasing_after_compactions_leaves_nothing_in_any_file_that_a_version_ever_lay_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    let first = compact(&catalog);
    Push::upsert("p7", people(60..63)).send(&catalog).expect("taken");
    Push::upsert("p8", people(63..66)).send(&catalog).expect("taken");
    let second = compact(&catalog);
    assert_eq!((first.version, second.version), (VersionNumber(6), VersionNumber(8)));
    let copy = tempfile::tempdir().expect("a directory");
    backup(dir.path(), copy.path(), false, &SystemClock, &mut |_| ()).expect("copied");
    let before: Vec<_> = (1..=8).map(|version| all(&catalog, version)).collect();
    let ticket = catalog.snapshot().laid_out_as_of(SnapshotId(0));
    let (dataset, published) = ticket.version(&format!("{DATASET}@v8").parse().expect("valid")).expect("there");
    let erasure = erase(&catalog, "e1", &[&code()]);
    let lost: Vec<_> = erasure.versions.iter().map(|(version, rows)| (version.0, *rows)).collect();
    assert_eq!(lost, [(8, 1), (7, 1), (6, 1), (4, 1), (3, 1), (2, 1), (1, 1)]);
    check_gone(dir.path());
    assert_eq!(
        checked(dir.path()).erased_rows,
        4,
        "two rows of two files each of the layouts, and two that were published"
    );
    for (version, before) in (1..).zip(before) {
        let expected: Vec<_> = before.into_iter().filter(|found| *found != code()).collect();
        assert_eq!(all(&catalog, version), expected, "v{version}");
    }
    let here = window([70.045, 42.9, 70.055, 43.1]);
    assert_eq!(codes(&catalog.snapshot(), 8, &here).expect("read"), codes_of([5]), "another lives at the same place");
    assert_eq!(differing(&catalog, &after_of(&catalog, 6), &after_of(&catalog, 8)), 6);
    // A ticket from before names files that are gone; nobody is given rows in another order instead.
    let scan = ticket.scan(&dataset, &published, &RowQuery::default(), 0..1);
    assert_eq!(scan.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let (_, again) = ticket.version(&format!("{DATASET}@v8").parse().expect("valid")).expect("there");
    let error = ticket.check_laid_out(&dataset, &again).expect_err("it lies elsewhere");
    assert!(error.message().contains("ask anew for the version"), "{error}");
    // The copy loses what the store lost.
    backup(dir.path(), copy.path(), false, &SystemClock, &mut |_| ()).expect("copied");
    check_gone(copy.path());
    assert_eq!(verify(copy.path(), &crate::fixture::deep(), &mut |_| ()).expect("a store").findings, vec![]);
    drop((catalog, ticket));
    std::fs::remove_dir_all(dir.path().join("projection")).expect("there");
    let catalog = open(dir.path());
    assert_eq!(catalog.garbage().expect("asked").objects, 0, "nothing was left to do");
    assert_eq!(all(&catalog, 8), codes_of(0..66));
}

#[test]
fn compacting_after_an_erasure_leaves_the_blank_rows_behind_and_the_version_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog);
    erase(&catalog, "e1", &[&code()]);
    let before = after_of(&catalog, 6);
    let done = compact(&catalog);
    assert_eq!((done.rows_rewritten, done.rows_dropped), (60, 1), "the blank row stays behind");
    let after = after_of(&catalog, 6);
    let as_before = Version { segments: before.segments.clone(), layout: None, ..after.clone() };
    assert_eq!((as_before, after.erased.as_ref().map(|erased| erased.rows)), (before, Some(1)));
    assert_eq!(all(&catalog, 6), codes_of(0..60));
    assert_eq!(differing(&catalog, &after_of(&catalog, 2), &after), 0);
    assert_eq!(differing(&catalog, &after_of(&catalog, 1), &after), 10);
    checked(dir.path());
    // The same row comes again, is laid out anew, and goes again; so does one that was in the layout.
    Push::upsert("p7", vec![forgotten()]).send(&catalog).expect("taken");
    compact(&catalog);
    assert_eq!(all(&catalog, 7).len(), 61);
    let erasure = erase(&catalog, "e2", &[&code(), &person(9).0]);
    assert_eq!(erasure.versions[0], (VersionNumber(7), 2));
    check_gone(dir.path());
    for version in [2, 6, 7] {
        assert_eq!(all(&catalog, version), codes_of((0..60).filter(|n| *n != 9)), "v{version}");
    }
    checked(dir.path());
    drop(catalog);
    let catalog = open(dir.path());
    assert_eq!(catalog.garbage().expect("asked").objects, 0);
    assert_eq!(all(&catalog, 7), codes_of((0..60).filter(|n| *n != 9)));
}

#[test]
fn compactions_and_erasures_at_the_same_time_leave_what_was_not_erased() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::replace("p0", people(0..200)).send(&catalog).expect("taken");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            let mut compacted = 0;
            while !is_over.load(Ordering::SeqCst) {
                match catalog.compact(&id(), CompactionScope::All, "tester") {
                    Ok(done) => compacted += u64::from(done.snapshot.is_some()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                }
            }
            compacted
        });
        for number in 0..12 {
            let added = vec![person(300 + number), (format!("again-{number}"), String::new(), number)];
            Push::upsert(&format!("p{}", number + 1), added).send(&catalog).expect("taken");
            erase(&catalog, &format!("e{number}"), &[&person(number * 10).0, &format!("again-{number}")]);
        }
        is_over.store(true, Ordering::SeqCst);
        assert!(compacting.join().expect("it ended") > 0, "some came between");
    });
    let left: Vec<Person> = people(0..200).into_iter().chain(people(300..312)).collect();
    let is_left = |(_, _, n): &Person| *n >= 120 || n % 10 > 0;
    let left = codes_of(left.iter().filter(|person| is_left(person)).map(|(_, _, number)| *number));
    assert_eq!(all(&catalog, 13), left);
    compact(&catalog);
    assert_eq!(all(&catalog, 13), left);
    catalog.collect_garbage().expect("collected");
    checked(dir.path());
    assert!(!files(dir.path()).is_empty());
    for number in 0..12 {
        assert_eq!(crate::erasing::holders(dir.path(), format!("again-{number}").as_bytes()), Vec::<String>::new());
    }
}
