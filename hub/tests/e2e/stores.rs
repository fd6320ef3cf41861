//! Stores in buckets, as far as they can be tried without one; `make s3` has the rest.

use crate::hub::ukimet;
use std::process::Output;
use std::time::{Duration, Instant};

/// Runs a command with keys that are nobody's.
fn run(arguments: &[&str]) -> Output {
    let keys = [("AWS_ACCESS_KEY_ID", "nobody"), ("AWS_SECRET_ACCESS_KEY", "a-secret"), ("AWS_REGION", "here")];
    ukimet().args(arguments).envs(keys).env("RUST_LOG", "debug").output().expect("runs")
}

fn refused(arguments: &[&str], code: i32, said: &str) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(said), "{arguments:?}: {said:?} was expected, found {text}");
    assert!(!text.contains("a-secret"), "{text}");
}

#[test]
fn a_store_that_does_not_answer_is_told_in_time_and_is_never_an_empty_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().to_str().expect("text");
    let nobody_listens = ["--store-endpoint", "http://127.0.0.1:1", "--store-allow-http", "--store-request-max", "1s"];
    let begin = Instant::now();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--store", "s3://bucket/catalog"];
    refused(&[&serve[..], &nobody_listens].concat(), 3, "trying out the store s3://bucket/catalog failed");
    refused(&[&["verify", "s3://bucket/catalog"], &nobody_listens[..]].concat(), 3, "failed");
    refused(&[&["backup", "--data", "s3://bucket/a", "--to", data], &nobody_listens[..]].concat(), 3, "failed");
    let node = "6f1c09d20000000000000000000000ab";
    refused(&[&["forget-node", node, "--data", "s3://bucket/a"], &nobody_listens[..]].concat(), 3, "failed");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn rows_go_to_a_store_in_clear_only_if_that_is_said() {
    let endpoint = ["--store-endpoint", "http://127.0.0.1:1"];
    refused(&[&["verify", "s3://bucket/catalog"], &endpoint[..]].concat(), 1, "begins with http://");
}

#[test]
fn a_directory_with_a_catalog_of_its_own_is_not_a_nodes_directory() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("ukimet.json"), b"{}").expect("room");
    let data = dir.path().to_str().expect("text");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--store", "s3://bucket/catalog"];
    refused(&[&serve[..], &["--store-endpoint", "https://127.0.0.1:1"]].concat(), 1, "holds a catalog of its own");
}

#[test]
fn what_is_no_url_of_a_bucket_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let serve = ["serve", "--data", data.to_str().expect("text"), "--store", "https://bucket"];
    refused(&serve, 1, "a store is s3://BUCKET or s3://BUCKET/PREFIX");
    assert!(!data.exists());
}

#[test]
fn a_hub_is_forgotten_only_by_its_name_and_only_from_a_bucket() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().to_str().expect("text");
    let forget = |name: &str, place: &str, code: i32, said: &str| {
        refused(&["forget-node", name, "--data", place, "--store-endpoint", "https://127.0.0.1:1"], code, said);
    };
    forget("6f1c09d20000000000000000000000ab", data, 1, "only a bucket has nodes");
    forget("the first", "s3://bucket/a", 1, "a name of 32 digits, found \"the first\"");
    refused(&["forget-node", "x", "--data", data, "--away-min", "1 day"], 2, "a time ends in s, min or h");
}
