//! Backups beside a writer, restores, and what they refuse.

use crate::fixture::{Push, files, numbers, open, points, sorted};
use std::collections::BTreeMap;
use std::path::Path;
use ukimet_catalog::{BackupReport, Snapshot, VerifyOptions, backup, restore, row_hashes, verify};
use ukimet_model::{
    DatasetQuery, ErrorKind, Result, RowQuery, Sha256, SnapshotId, SystemClock, Version, VersionSelector,
};

/// What each version answers: root hash, receipt, and the hash of every row of a full scan in order.
type Answers = BTreeMap<String, (Sha256, u64, Vec<u128>)>;

fn answers(snapshot: &Snapshot, upto: SnapshotId) -> Answers {
    let all = snapshot.search(&DatasetQuery { limit: usize::MAX, ..DatasetQuery::default() }).expect("datasets");
    let mut answers = Answers::new();
    for (dataset, _) in all.datasets {
        let versions = snapshot.versions(&dataset.id, None, usize::MAX).expect("versions");
        for version in versions.into_iter().filter(|version| version.snapshot <= upto) {
            let steps = snapshot.receipt(&version).expect("whole").rows_taken;
            let name = format!("{}@{}", dataset.id, version.number);
            let scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("columns");
            let rows = scan.flat_map(|batch| row_hashes(&batch.expect("whole")).expect("hashed")).collect();
            answers.insert(name, (version.root_hash, steps, rows));
        }
    }
    answers
}

fn back_up(from: &Path, to: &Path) -> Result<BackupReport> {
    backup(from, to, false, &SystemClock, &mut |_| ())
}

fn restored(from: &Path, to: &Path, snapshot: Option<u64>) -> BackupReport {
    let (report, verified) = restore(from, to, snapshot, &SystemClock, &mut |_| ()).expect("restored");
    assert_eq!((verified.findings, verified.unreferenced), (vec![], 0));
    report
}

/// A directory with a store of some versions, and a directory that is not there yet.
fn store(pushes: i64) -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, to) = (dir.path().join("data"), dir.path().join("backup"));
    let catalog = open(&data);
    for n in 0..pushes {
        let push = Push::new(&format!("p{n}"), &format!("almaty/n{}", n % 2), &points(0..n + 1));
        push.titled("en", &format!("title {n}")).send(&catalog).expect("taken");
    }
    (dir, data, to)
}

#[test]
fn a_backup_beside_a_writer_answers_as_the_source_did_at_its_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, to) = (dir.path().join("data"), dir.path().join("backup"));
    let catalog = open(&data);
    Push::new("p", "almaty/n0", &points(0..3)).send(&catalog).expect("taken");
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for n in 0..30 {
                let push = Push::new(&format!("p{n}"), &format!("almaty/n{}", n % 3), &points(n..2 * n + 1));
                push.send(&catalog).expect("taken");
            }
        });
        while !pushing.is_finished() {
            reports.push(back_up(&data, &to).expect("a backup beside a writer"));
            let snapshot = SnapshotId(reports.last().expect("one").snapshot);
            let copy = tempfile::tempdir().expect("a directory");
            assert_eq!(restored(&to, copy.path(), None).snapshot, snapshot.0);
            let (ours, theirs) =
                (answers(&catalog.snapshot(), snapshot), answers(&open(copy.path()).snapshot(), snapshot));
            assert_eq!(theirs, ours);
            assert_eq!(open(copy.path()).snapshot().id(), snapshot);
        }
    });
    assert!(reports.len() > 1 && reports[0].snapshot < 31, "{reports:?}");
    let last = back_up(&data, &to).expect("complete");
    let again = back_up(&data, &to).expect("nothing to do");
    assert_eq!((last.snapshot, again.copied.objects, again.commits.objects), (31, 0, 0));
    assert_eq!(again.objects_present, files(&to).iter().filter(|(file, _)| is_object(file)).count() as u64);
    assert_eq!(answers(&open(&to).snapshot(), SnapshotId(31)), answers(&catalog.snapshot(), SnapshotId(31)));
}

fn is_object(file: &str) -> bool {
    ["data/", "raw/", "receipts/"].iter().any(|folder| file.starts_with(folder))
}

#[test]
fn an_earlier_snapshot_is_restored_with_the_log_cut_there() {
    let (dir, data, to) = store(6);
    back_up(&data, &to).expect("whole");
    for snapshot in 1..=6 {
        let copy = dir.path().join(format!("restored-{snapshot}"));
        restored(&to, &copy, Some(snapshot));
        let catalog = open(&copy);
        assert_eq!(catalog.snapshot().id().0, snapshot);
        assert_eq!(
            answers(&catalog.snapshot(), SnapshotId(99)),
            answers(&open(&data).snapshot(), SnapshotId(snapshot))
        );
        // It is a catalog like any other.
        Push::new("later", "almaty/n0", &points(0..20)).send(&catalog).expect("taken");
        let found = numbers(&catalog.snapshot(), "almaty/n0", &RowQuery::default()).expect("whole");
        assert_eq!(sorted(found), (0..20).collect::<Vec<_>>());
    }
    let error = restore(&to, &dir.path().join("x"), Some(7), &SystemClock, &mut |_| ()).expect_err("no such snapshot");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_damaged_in_a_backup_is_mended_when_its_hashes_are_checked() {
    let (_dir, data, to) = store(3);
    back_up(&data, &to).expect("whole");
    let objects: Vec<_> = files(&to).into_iter().map(|(file, _)| file).filter(|file| is_object(file)).collect();
    for object in &objects {
        let mut bytes = std::fs::read(to.join(object)).expect("bytes");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(to.join(object), bytes).expect("room");
    }
    assert_eq!(back_up(&data, &to).expect("same sizes").objects_replaced, 0);
    let mended = backup(&data, &to, true, &SystemClock, &mut |_| ()).expect("mended");
    assert_eq!(mended.objects_replaced, objects.len() as u64);
    assert!(verify(&to, &VerifyOptions::default(), &mut |_| ()).expect("a store").is_clean());
    std::fs::write(to.join(&objects[0]), b"cut").expect("room");
    assert_eq!(back_up(&data, &to).expect("another size").objects_replaced, 1);
}

#[test]
fn a_damaged_object_of_the_source_is_not_copied_and_is_named() {
    let (dir, data, to) = store(3);
    let keys = files(&data).into_iter().map(|(file, _)| file).find(|file| file.contains(".keys")).expect("a key file");
    let mut bytes = std::fs::read(data.join(&keys)).expect("bytes");
    bytes[20] ^= 1;
    std::fs::write(data.join(&keys), bytes).expect("room");
    let error = back_up(&data, &to).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.message().contains(&keys) && error.message().contains("1 of its objects"), "{error}");
    assert!(!to.join(&keys).exists());
    let findings = verify(&to, &VerifyOptions::default(), &mut |_| ()).expect("told").findings;
    assert!(findings.len() == 1 && findings[0].reason.contains("unfinished copy"), "{findings:?}");
    let error = restore(&to, &dir.path().join("x"), None, &SystemClock, &mut |_| ()).expect_err("unfinished");
    assert!(error.message().contains("unfinished copy"), "{error}");
}

#[test]
fn a_directory_that_holds_something_else_is_refused_and_left_alone() {
    let (dir, data, to) = store(2);
    let other = dir.path().join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("letter.txt"), b"mine").expect("room");
    back_up(&data, &to).expect("whole");
    for refused in [&other, &data] {
        assert_eq!(back_up(&data, refused).expect_err("not empty").kind(), ErrorKind::InvalidRequest);
        let error = restore(&to, refused, None, &SystemClock, &mut |_| ()).expect_err("not empty");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    let error = restore(&data, &to, None, &SystemClock, &mut |_| ()).expect_err("a backup");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(std::fs::read(other.join("letter.txt")).expect("left"), b"mine");
    assert_eq!(back_up(&other, &dir.path().join("x")).expect_err("no store").kind(), ErrorKind::NotFound);
    let hub = open(&to);
    assert_eq!(back_up(&data, &to).expect_err("in use").kind(), ErrorKind::Unavailable);
    drop(hub);
    back_up(&data, &to).expect("free again");
}

#[test]
fn a_finding_names_the_versions_that_need_the_object() {
    let (_dir, data, _) = store(4);
    let catalog = open(&data);
    let selector: VersionSelector = "almaty/n1@v2".parse().expect("valid");
    let (_, version): (_, Version) = catalog.snapshot().version(&selector).expect("there");
    drop(catalog);
    let receipt = format!("receipts/{}.arrow", version.receipt);
    std::fs::remove_file(data.join(&receipt)).expect("there");
    let findings = verify(&data, &VerifyOptions::default(), &mut |_| ()).expect("a store").findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].object.as_str(), findings[0].dependents.as_slice()),
        (receipt.as_str(), &["push almaty/p3", "almaty/n1@v2"].map(str::to_owned)[..])
    );
}

#[test]
fn an_interrupted_check_goes_on_and_finds_what_it_had_not_looked_at() {
    let (dir, data, _) = store(4);
    let journal = dir.path().join("journal");
    let options = VerifyOptions { is_deep: false, journal: Some(journal.clone()) };
    let whole = verify(&data, &options, &mut |_| ()).expect("a store");
    assert!(whole.is_clean() && whole.resumed == 0);
    let text = std::fs::read_to_string(&journal).expect("kept");
    // As if it had been killed in the middle of a line.
    std::fs::write(&journal, &text[..text.len() / 3]).expect("room");
    let first = files(&data).into_iter().map(|(file, _)| file).find(|file| text[..text.len() / 4].contains(file));
    let first = data.join(first.expect("an object that was checked"));
    let last = text.rmatch_indices("receipts/").next().map(|(at, _)| &text[at..at + 9 + 64 + 6]).expect("a receipt");
    for path in [&first, &data.join(last)] {
        let mut bytes = std::fs::read(path).expect("bytes");
        bytes[3] ^= 1;
        std::fs::write(path, bytes).expect("room");
    }
    let resumed = verify(&data, &options, &mut |_| ()).expect("a store");
    assert!(resumed.resumed > 3, "{resumed:?}");
    assert_eq!(resumed.findings.iter().map(|f| f.object.as_str()).collect::<Vec<_>>(), [last]);
    let anew = verify(&data, &options, &mut |_| ()).expect("a store");
    assert_eq!((anew.resumed, anew.findings.len()), (0, 2));
}
