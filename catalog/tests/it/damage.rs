//! A changed byte is found, and never served.

use crate::fixture::{Push, files, numbers, open, options, points};
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::{Catalog, Collected, ProjectionState, VerifyOptions, verify};
use ukimet_model::{ErrorKind, RowQuery, SystemClock};

/// A closed store with six commits and a checkpoint of the fourth.
fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    for i in 0..6 {
        Push::new(&format!("p{i}"), &format!("almaty/n{}", i % 2), &points(0..i + 1)).send(&catalog).expect("taken");
    }
    drop(catalog);
    dir
}

fn findings(dir: &Path, deep: bool) -> Vec<String> {
    let report = verify(dir, &VerifyOptions { is_deep: deep, journal: None }, &mut |_| ()).expect("a store");
    report.findings.into_iter().map(|finding| finding.object).collect()
}

fn true_files(dir: &Path) -> Vec<(String, u64)> {
    let is_true = |file: &str| !file.starts_with("projection") && file != "lock";
    files(dir).into_iter().filter(|(file, _)| is_true(file)).collect()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("bytes");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("room");
}

#[test]
fn a_whole_store_verifies_and_everything_in_it_is_looked_at() {
    let dir = store();
    let mut seen = Vec::new();
    let options = VerifyOptions { is_deep: true, journal: None };
    let report = verify(dir.path(), &options, &mut |progress| seen.push(*progress)).expect("a store");
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.commits, report.datasets, report.versions, report.unreferenced), (6, 2, 6, 0));
    assert_eq!(report.objects, true_files(dir.path()).len() as u64 - 1, "all files but the identity");
    let last = seen.last().expect("progress");
    assert_eq!((last.objects_done, last.bytes_done), (last.objects_total, last.bytes_total));
    assert!(seen.windows(2).all(|pair| pair[0].share() <= pair[1].share()) && last.objects_total > 30);
    let states: Vec<_> = report.projections.iter().map(|projection| &projection.state).collect();
    assert_eq!(states, [&ProjectionState::Behind(0), &ProjectionState::Behind(0)]);
}

#[test]
fn verifying_needs_no_lock_and_changes_nothing() {
    let dir = store();
    let catalog = open(dir.path());
    let before = files(dir.path());
    assert_eq!(findings(dir.path(), true), Vec::<String>::new());
    assert_eq!(files(dir.path()), before);
    drop(catalog);
    let error = verify(&dir.path().join("scratch"), &VerifyOptions::default(), &mut |_| ()).expect_err("no store");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_store_verifies_while_pushes_are_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for i in 0..20 {
                Push::new(&format!("p{i}"), "almaty/n", &points(0..i + 1)).send(&catalog).expect("taken");
            }
        });
        while !pushing.is_finished() {
            assert_eq!(findings(dir.path(), true), Vec::<String>::new());
        }
    });
}

#[test]
fn every_flipped_byte_is_found_in_the_object_that_has_it() {
    let dir = store();
    // Without projections, to compare which takes longer than everything else.
    std::fs::remove_dir_all(dir.path().join("projection")).expect("removed");
    let (mut flips, mut seed) = (0, 11_u64);
    for (file, size) in true_files(dir.path()) {
        // Every byte of the small files, a sample of the others.
        let step = (size / 12).max(1);
        for at in (0..size).step_by(step as usize) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, bit) = ((at + (seed >> 40) % step).min(size - 1) as usize, (seed >> 33) % 8);
            edit(&dir.path().join(&file), |bytes| bytes[at] ^= 1 << bit);
            let refused = verify(dir.path(), &VerifyOptions::default(), &mut |_| ());
            // A flip in the number of the format makes the store one of another format.
            let is_found = refused.is_err() && file == "ukimet.json"
                || refused.is_ok_and(|report| report.findings.iter().any(|finding| finding.object == file));
            assert!(is_found, "{file} byte {at} bit {bit}");
            edit(&dir.path().join(&file), |bytes| bytes[at] ^= 1 << bit);
            flips += 1;
        }
    }
    assert!(flips > 400, "{flips} flips");
    assert_eq!(findings(dir.path(), false), Vec::<String>::new());
}

#[test]
fn a_damaged_segment_is_named_and_never_served() {
    let dir = store();
    let damaged = true_files(dir.path()).into_iter().map(|(file, _)| file).filter(|file| is_of_kind(file, "parquet"));
    for file in damaged {
        edit(&dir.path().join(&file), |bytes| bytes[200] ^= 4);
    }
    let catalog = open(dir.path());
    let error = numbers(&catalog.snapshot(), "almaty/n0", &RowQuery::default()).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("data/") && error.message().contains(".parquet is damaged"), "{error}");
}

fn is_of_kind(file: &str, kind: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == kind)
}

fn entry(n: u64) -> String {
    format!("log/{n:020}.json")
}

type Damage = &'static dyn Fn(&Path);

#[test]
fn an_edited_dropped_or_reordered_commit_is_found() {
    let whole = store();
    let damaged: [(&str, Damage); 5] = [
        ("edited", &|dir| {
            edit(&dir.join(entry(3)), |bytes| {
                let text = String::from_utf8(bytes.clone()).expect("text").replace("tester", "nobody");
                *bytes = text.into_bytes();
            });
        }),
        ("edited and sealed again", &|dir| edit(&dir.join(entry(3)), reseal)),
        ("dropped", &|dir| std::fs::remove_file(dir.join(entry(2))).expect("removed")),
        ("reordered", &|dir| {
            std::fs::rename(dir.join(entry(1)), dir.join("x")).expect("renamed");
            std::fs::rename(dir.join(entry(2)), dir.join(entry(1))).expect("renamed");
            std::fs::rename(dir.join("x"), dir.join(entry(2))).expect("renamed");
        }),
        ("cut off before the checkpoint", &|dir| {
            (4..=6).for_each(|n| std::fs::remove_file(dir.join(entry(n))).expect("removed"));
        }),
    ];
    for (what, damage) in damaged {
        let dir = store();
        assert_eq!(true_files(whole.path()).len(), true_files(dir.path()).len());
        damage(dir.path());
        assert!(!findings(dir.path(), false).is_empty(), "{what}");
    }
}

/// Edits an entry and makes its seal fit, as someone would who knows how.
fn reseal(bytes: &mut Vec<u8>) {
    let text = String::from_utf8(bytes.clone()).expect("text").replace("tester", "nobody");
    let at = text.rfind(",\"sha256\":\"").expect("a seal");
    let json = format!("{}}}", &text[..at]);
    let hash = crate::fixture::sha256(json.as_bytes());
    *bytes = format!("{},\"sha256\":\"{hash}\"}}\n", &text[..at]).into_bytes();
}

#[test]
fn a_log_without_its_end_is_not_opened() {
    let dir = store();
    for n in 4..=6 {
        std::fs::remove_file(dir.path().join(format!("log/{n:020}.json"))).expect("removed");
    }
    let error = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).err().expect("no end");
    assert!(error.message().contains("ends at commit 3") && error.message().contains("commit 4"), "{error}");
}

#[test]
fn a_damaged_last_commit_is_not_taken_for_an_unfinished_one() {
    let dir = store();
    let last = format!("log/{:020}.json", 6);
    edit(&dir.path().join(&last), |bytes| {
        bytes.pop();
    });
    let error = Catalog::open(dir.path(), options(), Arc::new(SystemClock)).err().expect("damaged");
    assert!(error.message().contains(&format!("object {last} is damaged")), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_skipped() {
    let dir = store();
    let checkpoints: Vec<_> =
        true_files(dir.path()).into_iter().map(|(file, _)| file).filter(|file| file.contains("checkpoint")).collect();
    assert_eq!(checkpoints.len(), 1);
    edit(&dir.path().join(&checkpoints[0]), |bytes| bytes[20] ^= 1);
    std::fs::remove_dir_all(dir.path().join("projection")).expect("removed");
    let catalog = open(dir.path());
    assert_eq!(catalog.damaged_checkpoints().expect("read"), checkpoints);
    assert_eq!((catalog.snapshot().id().0, catalog.snapshot().dataset_count().expect("counted")), (6, 2));
}

#[test]
fn objects_that_no_commit_names_are_collected() {
    let dir = store();
    let whole = true_files(dir.path());
    let folder = dir.path().join(&whole.iter().find(|(file, _)| is_of_kind(file, "keys")).expect("a key file").0);
    let hash = "0".repeat(64);
    std::fs::write(folder.with_file_name(format!("{hash}.parquet")), b"x").expect("room");
    std::fs::write(dir.path().join("raw").join(&hash), b"x").expect("room");
    std::fs::write(dir.path().join("receipts").join(format!("{hash}.arrow")), b"x").expect("room");
    assert_eq!(verify(dir.path(), &VerifyOptions::default(), &mut |_| ()).expect("a store").unreferenced, 3);
    assert_eq!(open(dir.path()).collect_garbage().expect("collected"), Collected { objects: 3, bytes: 3 });
    assert_eq!(true_files(dir.path()), whole);
}
