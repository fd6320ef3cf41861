//! One process, one directory, and room that is kept free.

use crate::fixture::{Push, numbers, open, options, points};
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions};
use ukimet_model::{ErrorKind, RowQuery, SystemClock};

#[test]
fn a_second_opener_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let error = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).err().expect("it is open");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.message(), format!("data directory is in use by pid {}", std::process::id()));
    drop(catalog);
    open(dir.path());
}

#[test]
fn a_lock_file_of_a_process_that_is_gone_does_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("lock"), "4000000000 and more than a number").expect("room");
    open(dir.path());
    assert_eq!(std::fs::read_to_string(dir.path().join("lock")).expect("text"), std::process::id().to_string());
}

#[test]
fn below_the_reserve_nothing_is_taken_and_reads_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..3)).send(&catalog).expect("taken");
    drop(catalog);
    let all = CatalogOptions { disk_reserve_bytes: u64::MAX, ..options() };
    let catalog = Catalog::open(dir.path(), all, Arc::new(SystemClock)).expect("opening is not writing");
    let error = Push::new("p2", "almaty/schools", &points(0..4)).send(&catalog).map(|_| ()).expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(error.message().contains(&format!("{} are kept in reserve", u64::MAX)), "{error}");
    assert_eq!(numbers(&catalog.snapshot(), "almaty/schools", &RowQuery::default()).expect("rows").len(), 3);
}

#[test]
fn a_commit_holds_no_more_pushes_than_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = CatalogOptions { group_commits_max: 1, ..options() };
    let catalog = Catalog::open(dir.path(), one, Arc::new(SystemClock)).expect("a new store");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let push = Push::new("p1", &format!("agency-{thread}/own"), &points(0..2));
            let catalog = &catalog;
            scope.spawn(move || push.send(catalog).expect("taken"));
        }
    });
    assert_eq!(catalog.snapshot().id().0, 8);
}

#[test]
fn a_new_directory_is_made_with_its_parents() {
    let dir = tempfile::tempdir().expect("a directory");
    let nested = dir.path().join("a/b/c");
    drop(open(&nested));
    assert!(nested.join("ukimet.json").exists());
}

#[test]
fn a_store_of_another_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(dir.path()));
    std::fs::write(dir.path().join("ukimet.json"), r#"{"format":7,"catalog":"x"}"#).expect("room");
    let error = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).err().expect("another format");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("format 7") && error.message().contains("reads format 1"), "{error}");
}

#[test]
fn scratch_files_go_when_the_store_is_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    std::fs::create_dir(catalog.scratch_dir().join("job")).expect("room");
    std::fs::write(catalog.scratch_dir().join("job/file"), b"x").expect("room");
    drop(catalog);
    assert_eq!(std::fs::read_dir(open(dir.path()).scratch_dir()).expect("a directory").count(), 0);
}

#[test]
fn a_closed_catalog_reads_but_takes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    Push::new("p1", "almaty/schools", &points(0..3)).send(&catalog).expect("taken");
    catalog.close().expect("whole");
    let error = Push::new("p2", "almaty/schools", &points(0..4)).send(&catalog).map(|_| ()).expect_err("closed");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the catalog is closed"));
    assert_eq!(numbers(&catalog.snapshot(), "almaty/schools", &RowQuery::default()).expect("rows").len(), 3);
    assert_eq!(std::fs::read_dir(dir.path().join("log/checkpoint")).expect("a directory").count(), 1);
}
