//! Whatever happens to a projection, the answers stay right, unattended.

use crate::fixture::{Push, files, numbers, open, points, sorted};
use std::path::Path;
use ukimet_catalog::{Catalog, ProjectionOpening, SearchResult};
use ukimet_model::{DatasetQuery, RowQuery};

/// What a store answers.
#[derive(Debug, PartialEq)]
struct Answers {
    all: SearchResult,
    words: SearchResult,
    place: SearchResult,
    rows: Vec<i64>,
    versions: usize,
    push: bool,
}

fn answers(catalog: &Catalog) -> Answers {
    let snapshot = catalog.snapshot();
    let search = |text: &str, bbox: Option<[f64; 4]>| {
        let query =
            DatasetQuery { text: text.to_owned(), bbox: bbox.map(Into::into), limit: 100, ..DatasetQuery::default() };
        snapshot.search(&query).expect("an answer")
    };
    let schools = "almaty/n1".parse().expect("valid");
    Answers {
        all: search("", None),
        words: search("школы", None),
        place: search("", Some([70.05, 42.0, 71.0, 44.0])),
        rows: sorted(numbers(&snapshot, "almaty/n1", &RowQuery::default()).expect("rows")),
        versions: snapshot.versions(&schools, None, 100).expect("versions").len(),
        push: snapshot.push("almaty", &"p3".parse().expect("valid")).expect("read").is_some(),
    }
}

fn fill(catalog: &Catalog, from: i64, to: i64) {
    for i in from..to {
        let id = format!("almaty/n{}", i % 4);
        let push = Push::new(&format!("p{i}"), &id, &points(i % 3..i % 3 + 2 + i)).titled("ru", &format!("Школа {i}"));
        push.send(catalog).expect("taken");
    }
}

/// A store with a few commits, closed, and what it answers.
fn store(commits: i64) -> (tempfile::TempDir, Answers) {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog, 0, commits);
    let expected = answers(&catalog);
    drop(catalog);
    (dir, expected)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("room");
    for (file, _) in files(from) {
        std::fs::create_dir_all(to.join(&file).parent().expect("a parent")).expect("room");
        std::fs::copy(from.join(&file), to.join(&file)).expect("room");
    }
}

/// Opens a damaged copy: it answers as before, and goes on to take commits.
fn check(
    store: &Path,
    expected: &Answers,
    what: &str,
    damage: impl FnOnce(&Path),
) -> (ProjectionOpening, ProjectionOpening) {
    let dir = tempfile::tempdir().expect("a directory");
    copy(store, dir.path());
    damage(dir.path());
    let catalog = open(dir.path());
    assert_eq!(answers(&catalog), *expected, "{what}");
    let opening = catalog.opening().clone();
    fill(&catalog, 100, 101);
    assert!(!matches!(opening.text, ProjectionOpening::Missing(_)), "{what}: {:?}", opening.text);
    drop(catalog);
    let again = open(dir.path());
    assert_eq!(again.opening().state, ProjectionOpening::Current, "{what}");
    assert_eq!(again.opening().text, ProjectionOpening::Current, "{what}");
    (opening.state, opening.text)
}

#[test]
fn an_untouched_store_is_opened_as_it_is() {
    let (dir, expected) = store(6);
    let found = check(dir.path(), &expected, "untouched", |_| ());
    assert_eq!(found, (ProjectionOpening::Current, ProjectionOpening::Current));
}

#[test]
fn a_deleted_projection_is_built_anew() {
    let (dir, expected) = store(6);
    for part in [
        "projection",
        "projection/sled",
        "projection/text",
        "projection/text.seal",
        "projection/sled/db",
        "projection/text/meta.json",
    ] {
        let (state, text) = check(dir.path(), &expected, part, |dir| {
            let path = dir.join(part);
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.expect("removed");
        });
        assert!(part.contains("text") || matches!(state, ProjectionOpening::Rebuilt(_)), "{part}: {state:?}");
        assert!(part.contains("sled") || matches!(text, ProjectionOpening::Rebuilt(_)), "{part}: {text:?}");
    }
}

#[test]
fn flipped_bytes_anywhere_in_a_projection_do_not_change_the_answers() {
    let (dir, expected) = store(6);
    let mut seed = 7_u64;
    let mut cases = 0;
    for (file, size) in files(dir.path()).into_iter().filter(|(file, size)| file.starts_with("projection") && *size > 0)
    {
        // sled's file is mostly empty: its beginning holds the pairs.
        let holds = if file.ends_with("/db") { size.min(20_000) } else { size };
        for _ in 0..if file.ends_with("/db") { 10 } else { 1 } {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (at, bit) = ((seed >> 20) % holds, (seed >> 10) % 8);
            check(dir.path(), &expected, &format!("{file} byte {at} bit {bit}"), |dir| {
                let mut bytes = std::fs::read(dir.join(&file)).expect("bytes");
                bytes[at as usize] ^= 1 << bit;
                std::fs::write(dir.join(&file), bytes).expect("room");
            });
            cases += 1;
        }
    }
    assert!(cases > 20, "{cases} cases");
}

#[test]
fn truncated_files_of_a_projection_do_not_change_the_answers() {
    let (dir, expected) = store(6);
    for (file, size) in files(dir.path()).into_iter().filter(|(file, _)| file.starts_with("projection")) {
        for length in [size / 2, size.saturating_sub(1)] {
            check(dir.path(), &expected, &format!("{file} cut to {length}"), |dir| {
                let open = std::fs::OpenOptions::new().write(true).open(dir.join(&file)).expect("a file");
                open.set_len(length).expect("cut");
            });
        }
    }
}

#[test]
fn swapped_files_of_the_index_do_not_change_the_answers() {
    let (dir, expected) = store(6);
    let seal = std::fs::read(dir.path().join("projection/text.seal")).expect("a seal");
    let seal: serde_json::Value = serde_json::from_slice(&seal).expect("JSON");
    let sealed: Vec<_> = seal["files"].as_object().expect("files").keys().collect();
    for kind in [".term", ".fast"] {
        let found: Vec<_> = sealed.iter().filter(|file| file.ends_with(kind)).collect();
        let found: Vec<_> = found.iter().map(|file| format!("projection/text/{file}")).collect();
        assert!(found.len() > 1, "{kind}: {found:?}");
        let (_, text) = check(dir.path(), &expected, kind, |dir| {
            std::fs::rename(dir.join(&found[0]), dir.join("other")).expect("renamed");
            std::fs::rename(dir.join(&found[1]), dir.join(&found[0])).expect("renamed");
            std::fs::rename(dir.join("other"), dir.join(&found[1])).expect("renamed");
        });
        assert!(matches!(text, ProjectionOpening::Rebuilt(_)), "{kind}: {text:?}");
    }
}

#[test]
fn an_index_whose_words_were_found_by_other_rules_is_built_anew_once() {
    let (dir, expected) = store(6);
    for rules in ["1", "3", "null"] {
        let (state, text) = check(dir.path(), &expected, rules, |dir| {
            let path = dir.join("projection/text.seal");
            let mut seal: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).expect("a seal")).expect("JSON");
            seal["rules"] = serde_json::from_str(rules).expect("a number");
            if rules == "null" {
                seal.as_object_mut().expect("an object").remove("rules");
            }
            std::fs::write(&path, seal.to_string()).expect("room");
        });
        assert_eq!(state, ProjectionOpening::Current);
        assert!(matches!(&text, ProjectionOpening::Rebuilt(why) if why.contains("rules")), "{rules}: {text:?}");
    }
}

#[test]
fn an_unfinished_snapshot_of_sled_is_removed() {
    let (dir, expected) = store(6);
    let (state, _) = check(dir.path(), &expected, "an empty unfinished snapshot", |dir| {
        std::fs::write(dir.join("projection/sled/snap.00000000000F1000.generating"), b"").expect("room");
    });
    assert_eq!(state, ProjectionOpening::Current);
}

#[test]
fn an_orphaned_file_of_deletions_does_not_stop_the_next_commit() {
    let (dir, expected) = store(6);
    let index = dir.path().join("projection/text");
    let read = || std::fs::read_to_string(index.join(".managed.json")).expect("a list");
    let mut managed: Vec<String> = serde_json::from_str(&read()).expect("a list");
    let segments: Vec<String> =
        managed.iter().filter_map(|name| name.strip_suffix(".store")).map(str::to_owned).collect();
    // A commit that was killed leaves such files; the next commit writes files of the very same names.
    for (segment, stamp) in segments.iter().flat_map(|segment| (0..60).map(move |stamp| (segment, stamp))) {
        let name = format!("{segment}.{stamp}.del");
        if !index.join(&name).exists() {
            std::fs::write(index.join(&name), b"orphan").expect("room");
            managed.push(name);
        }
    }
    std::fs::write(index.join(".managed.json"), serde_json::to_string(&managed).expect("JSON")).expect("room");
    let catalog = open(dir.path());
    assert_eq!((answers(&catalog), &catalog.opening().text), (expected, &ProjectionOpening::Current));
    fill(&catalog, 100, 101);
    let is_kept = |segment: &String| index.join(format!("{segment}.store")).exists();
    assert!(segments.iter().any(is_kept), "the index was built anew instead");
}

#[test]
fn a_projection_that_is_behind_catches_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog, 0, 3);
    drop(catalog);
    let old = tempfile::tempdir().expect("a directory");
    copy(&dir.path().join("projection"), old.path());
    let catalog = open(dir.path());
    fill(&catalog, 3, 6);
    let expected = answers(&catalog);
    drop(catalog);
    let found = check(dir.path(), &expected, "behind", |dir| {
        std::fs::remove_dir_all(dir.join("projection")).expect("removed");
        copy(old.path(), &dir.join("projection"));
    });
    assert_eq!(found, (ProjectionOpening::CaughtUp(3), ProjectionOpening::CaughtUp(3)));
}

#[test]
fn a_projection_that_is_ahead_or_of_another_log_is_built_anew() {
    let (dir, expected) = store(3);
    let (other, _) = store(6);
    let (same_length, _) = store(3);
    for (store, what) in [(&other, "ahead"), (&same_length, "of another log")] {
        let (state, text) = check(dir.path(), &expected, what, |dir| {
            std::fs::remove_dir_all(dir.join("projection")).expect("removed");
            copy(&store.path().join("projection"), &dir.join("projection"));
        });
        assert!(matches!(state, ProjectionOpening::Rebuilt(_)), "{what}: {state:?}");
        assert!(matches!(text, ProjectionOpening::Rebuilt(_)), "{what}: {text:?}");
    }
}

#[test]
fn an_index_that_breaks_at_run_time_is_built_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    fill(&catalog, 0, 3);
    std::fs::remove_dir_all(dir.path().join("projection/text")).expect("removed");
    fill(&catalog, 3, 6);
    let words = DatasetQuery { text: "школы".to_owned(), limit: 10, ..Default::default() };
    assert_eq!(catalog.snapshot().search(&words).expect("an answer").total, 4);
}
