//! One contract for every disk: a directory, memory, a bucket.

use super::memory::MemoryBucket;
use super::*;
use crate::disk::recording::RecordingDisk;
use crate::objects::{Objects, Put};
use crate::seal::sha256;
use std::io::Read;

/// What the store promises its users whatever it lies on.
fn check_contract(disk: Arc<dyn Disk>) {
    let objects = Objects::new(disk);
    paths::DIRECTORIES.iter().try_for_each(|dir| objects.ensure_dir(dir)).expect("directories");
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let named = |bytes: &[u8]| format!("data/x/{}.parquet", sha256(bytes));
    let cases = [(paths::log_entry(1), b"{}".to_vec()), (named(&large), large), (named(b""), Vec::new())];
    for (key, bytes) in &cases {
        assert!(!objects.exists(key).expect("asked"), "{key}");
        assert!(objects.get_if_there(key).expect("asked").is_none(), "{key}");
        assert_eq!(objects.put_if_absent(key, bytes).expect("room"), Put::Created);
        assert_eq!(objects.put_if_absent(key, b"something else").expect("room"), Put::Existed);
        assert_eq!(objects.get(key).expect("there"), bytes.as_slice(), "{key}");
        assert_eq!(objects.stat(key).expect("asked").map(|stat| stat.size_bytes), Some(bytes.len() as u64));
        let object = objects.open(key).expect("there");
        let mut read = Vec::new();
        object.reader(0).read_to_end(&mut read).expect("whole");
        assert_eq!(read, *bytes);
        if bytes.len() > 10 {
            assert_eq!(object.read(5, 4).expect("whole"), &bytes[5..9]);
            assert!(object.read(bytes.len() as u64 - 1, 2).is_err(), "past the end");
        }
    }
    assert!(objects.list("log").expect("listed").contains(&"00000000000000000001.json".to_owned()));
    assert_eq!(objects.list("data/x").expect("listed").len(), 2);
    assert_eq!(objects.list("data/y").expect("no folder is an empty one"), Vec::<String>::new());
    objects.delete(&cases[1].0).expect("there");
    assert!(!objects.exists(&cases[1].0).expect("asked"));
    assert!(objects.open(&cases[1].0).is_err());
    let mut spilled = objects.temporary().expect("room");
    spilled.write_all(b"rows").expect("room");
    let spill = spilled.into_spill().expect("room");
    assert_eq!(spill.object.read(0, 4).expect("whole"), b"rows".as_slice());
    drop(spill);
    assert_eq!(objects.list(paths::SCRATCH).expect("listed"), Vec::<String>::new(), "nothing is left in scratch");
}

#[test]
fn a_directory_and_memory_keep_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    check_contract(Arc::new(RealDisk::new(dir.path())));
    check_contract(Arc::new(RecordingDisk::default()));
}

#[test]
fn a_bucket_keeps_the_contract_with_and_without_copies_on_the_disk() {
    for cache_bytes in [None, Some(0), Some(1 << 30)] {
        let dir = tempfile::tempdir().expect("a directory");
        let bucket = Arc::new(MemoryBucket::default());
        let disk = match cache_bytes {
            None => BucketDisk::new(bucket, dir.path()),
            Some(bytes) => BucketDisk::caching(bucket, dir.path(), bytes).expect("a directory"),
        };
        check_contract(Arc::new(disk));
    }
}

#[test]
fn the_client_keeps_the_contract_whole_and_in_parts_below_any_prefix() {
    for (prefix, part_bytes) in [("", 1 << 30), ("one", 5 << 20), ("one/two", 1 << 20)] {
        let bucket: Arc<dyn Bucket> = Arc::new(S3::in_memory(prefix, part_bytes));
        check_fitness(&*bucket, "s3://memory", 7).expect("fit");
        let dir = tempfile::tempdir().expect("a directory");
        check_contract(Arc::new(BucketDisk::new(Arc::clone(&bucket), dir.path())));
        assert_eq!(bucket.list("").expect("listed").len(), 2, "log and data are below {prefix:?}");
    }
}

/// The bucket named by `UKIMET_TEST_STORE` as `s3://bucket/prefix`, at `UKIMET_TEST_STORE_ENDPOINT`: `make s3` sets both.
#[test]
#[ignore = "needs a real store: make s3"]
fn a_real_bucket_keeps_the_contract_and_is_fit() {
    let url = std::env::var("UKIMET_TEST_STORE").expect("make s3 sets it");
    let (bucket, prefix) = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).expect("a bucket's URL");
    let random = uuid::Uuid::new_v4();
    let options = BucketOptions {
        endpoint: std::env::var("UKIMET_TEST_STORE_ENDPOINT").ok(),
        allows_http: true,
        part_bytes: 5 << 20,
        ..BucketOptions::new(bucket.to_owned(), format!("{prefix}/{random}"))
    };
    let bucket: Arc<dyn Bucket> = Arc::new(S3::new(&options).expect("options"));
    check_fitness(&*bucket, &options.url(), random.as_u128()).expect("fit");
    for cache_bytes in [0, 1 << 30] {
        let dir = tempfile::tempdir().expect("a directory");
        check_contract(Arc::new(
            BucketDisk::caching(Arc::clone(&bucket), dir.path(), cache_bytes).expect("a directory"),
        ));
        for key in [paths::log_entry(1), format!("data/x/{}.parquet", sha256(b""))] {
            bucket.delete(&key).expect("deleted");
        }
    }
    let missing = BucketOptions { bucket: format!("no-{random}"), ..options };
    let missing = S3::new(&missing).expect("options");
    for asked in [missing.stat("log/x").map(drop), missing.get("log/x").map(drop), missing.list("log").map(drop)] {
        let error = asked.expect_err("there is no such bucket");
        assert_ne!(error.kind(), io::ErrorKind::NotFound, "a missing bucket is no missing object: {error}");
    }
}

#[test]
fn a_bucket_that_does_not_answer_never_looks_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let bucket = MemoryBucket::default();
    let objects = Objects::new(Arc::new(BucketDisk::new(Arc::new(bucket.clone()), dir.path())));
    objects.ensure_dir(paths::SCRATCH).expect("a directory");
    objects.put_if_absent("raw/a", b"bytes").expect("room");
    bucket.cut_after(0);
    let asked = [
        objects.exists("raw/a").map(drop),
        objects.exists("raw/b").map(drop),
        objects.get_if_there("raw/b").map(drop),
        objects.list("raw").map(drop),
        objects.open("raw/a").map(drop),
        objects.put_if_absent("raw/c", b"bytes").map(drop),
    ];
    for error in asked {
        assert_eq!(error.expect_err("cut off").kind(), ukimet_model::ErrorKind::Unavailable);
    }
    bucket.mend();
    assert_eq!(objects.put_if_absent("raw/c", b"bytes").expect("it goes on"), Put::Created);
}

#[test]
fn a_damaged_object_is_not_kept_and_a_kept_one_is_not_fetched_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let bucket = MemoryBucket::default();
    let disk = || BucketDisk::caching(Arc::new(bucket.clone()), dir.path(), 1 << 20).expect("a directory");
    let key = format!("receipts/{}.arrow", sha256(b"a receipt"));
    bucket.overwrite(&key, b"a recaipt");
    let read = || disk().open(&key)?.read_at(0, 9);
    let error = read().expect_err("damaged");
    assert!(error.to_string().contains("is damaged"), "{error}");
    bucket.overwrite(&key, b"a receipt");
    assert_eq!(read().expect("whole"), b"a receipt".as_slice());
    let requests = bucket.requests();
    assert_eq!(read().expect("whole"), b"a receipt".as_slice());
    assert_eq!(bucket.requests(), requests, "the copy is read");
}
