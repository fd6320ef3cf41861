//! Filters through the doors.

use crate::hub::{Hub, ukimet};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const HOUSES: &str = "code,name,floors,lon,lat\n1,Абай 1,9,76.90,43.20\n2,абай 2,5,76.91,43.20\n3,Сәтбаев 3,,76.95,43.20\n\
                      4,Абай 4,12,71.40,51.10\n";

fn push(hub: &Hub, dir: &Path, text: &str) -> Value {
    let file = dir.join("houses.csv");
    fs::write(&file, text).expect("written");
    hub.push(&file, "a/houses", &["--key", "code"]).1
}

/// The keys of an export, or why there is none.
fn exported(hub: &Hub, dir: &Path, filter: &str, arguments: &[&str]) -> Result<String, String> {
    hub.exported(dir, &[&["a/houses", "--columns", "code", "--filter", filter], arguments].concat())
}

#[test]
fn one_filter_goes_through_every_door() {
    let dir = tempfile::tempdir().expect("a folder");
    let (dir, hub) = (dir.path(), Hub::start(&dir.path().join("data"), &[]));
    assert_eq!(push(&hub, dir, HOUSES)["status"], "published");
    // One house grows, one is pulled down.
    let second =
        push(&hub, dir, &HOUSES.replace("1,Абай 1,9", "1,Абай 1,10").replace("3,Сәтбаев 3,,76.95,43.20\n", ""));
    assert_eq!(second["status"], "published", "{second:#}");
    for (filter, arguments, expected) in [
        ("floors >= 9", &[][..], "14"),
        (r#"{"op": ">=", "args": [{"property": "floors"}, 9]}"#, &[], "14"),
        ("floors >= 9", &["--bbox", "76,43,77,44"], "1"),
        ("floors = 9", &["--snapshot", "1"], "1"),
        ("CASEI(name) LIKE CASEI('АБАЙ%') AND floors < 12", &[], "12"),
        ("S_DWITHIN(geometry, POINT(76.9 43.2), 1000)", &[], "12"),
        ("S_DWITHIN(geometry, POINT(76.9 43.2), 800)", &[], "1"),
        ("S_WITHIN(geometry, BBOX(71, 51, 72, 52)) OR floors = 5", &[], "24"),
    ] {
        assert_eq!(exported(&hub, dir, filter, arguments).as_deref(), Ok(expected), "{filter} {arguments:?}");
    }
    let counts = |filter: &str| {
        let answer = hub.ask(&["diff", "a/houses", "--summary", "--filter", filter]).1;
        ["added", "removed", "changed"].map(|count| answer[count].as_u64().expect("a count"))
    };
    assert_eq!(counts("floors = 9"), [0, 0, 1], "it was true before");
    assert_eq!(counts("floors = 10"), [0, 0, 1], "it is true after");
    assert_eq!(counts("floors IS NULL"), [0, 1, 0]);
    assert_eq!(counts("floors = 5"), [0, 0, 0]);
    let page = dir.join("page.html");
    let asked = ["diff", "a/houses", "--filter", "floors = 10", "-o", page.to_str().expect("text"), "--hub", &hub.url];
    assert!(ukimet().args(asked).status().expect("runs").success());
    assert!(fs::read_to_string(page).expect("read").contains("floors = 10"), "the page says what was asked");
}

#[test]
fn a_filter_that_does_not_read_or_is_too_much_says_where_and_what() {
    let dir = tempfile::tempdir().expect("a folder");
    let (dir, hub) = (dir.path(), Hub::start(&dir.path().join("data"), &["--filter-terms-max", "3"]));
    assert_eq!(push(&hub, dir, HOUSES)["status"], "published");
    for (filter, part) in [
        ("floors >=", "at character 10"),
        ("floor >= 5", "the columns are code, name, floors"),
        ("floors >= 'five'", "with the text \"five\""),
        ("floors IN (1, 2, 3, 4)", "filter-terms-max"),
    ] {
        let error = exported(&hub, dir, filter, &[]).expect_err(filter);
        assert!(error.contains(part), "{filter}: {error}");
    }
    let unknown = json!({"dataset": "a/houses", "filter": {"op": "regex", "args": [{"property": "name"}, "(a+)+"]}});
    let error = exported(&hub, dir, &unknown["filter"].to_string(), &[]).expect_err("no such function");
    assert!(error.contains("no \"regex\""), "{error}");
}
