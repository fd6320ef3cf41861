//! Schema rules through the doors: what breaks is refused and said, and majors are served side by side.

use crate::hub::{Hub, ukimet};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// A hub and a folder for files.
struct Office {
    hub: Hub,
    folder: TempDir,
}

impl Office {
    fn open(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { hub: Hub::start(&folder.path().join("data"), flags), folder }
    }

    fn push(&self, text: &str, flags: &[&str]) -> Value {
        let file = self.folder.path().join("rows.csv");
        fs::write(&file, text).expect("written");
        self.hub.push(&file, "almaty/houses", flags).1
    }

    fn published(&self, text: &str, flags: &[&str]) -> Value {
        let outcome = self.push(text, flags);
        assert_eq!(outcome["status"], "published", "{outcome:#}");
        outcome
    }

    fn message(&self, text: &str, flags: &[&str]) -> String {
        let outcome = self.push(text, flags);
        assert_eq!(outcome["status"], "refused", "{outcome:#}");
        outcome["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Lines of a version as CSV, sorted.
    fn rows(&self, selector: &str, flags: &[&str]) -> Vec<String> {
        let out = self.folder.path().join("out.csv");
        let (code, answer) = self.hub.ask(&[&["export", selector, "-o", out.to_str().expect("text")], flags].concat());
        assert_eq!(code, 0, "{selector}: {answer:#}");
        let mut lines: Vec<String> =
            fs::read_to_string(out).expect("read").lines().skip(1).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    fn versions(&self) -> Vec<(u64, u64)> {
        let (_, listed) = self.hub.ask(&["versions", "almaty/houses"]);
        let number = |version: &Value, name: &str| version[name].as_u64().expect("a number");
        let versions = listed["versions"].as_array().expect("a list").iter();
        versions.map(|version| (number(version, "number"), number(version, "major"))).collect()
    }
}

const FIRST: &str = "kad,floors,owner\nK-1,9,Aidar\nK-2,5,Dana\nK-3,12,Marat\n";
const BROKEN: &str = "kad,floors,phone\nK-1,9,7\nK-2,5.5,7\nK-3,two,7\n";

#[test]
fn a_breaking_push_is_refused_with_what_breaks_by_which_values_and_for_whom() {
    let office = Office::open(&[]);
    office.published(FIRST, &["--key", "kad"]);
    office.rows("almaty/houses", &["--columns", "kad"]);
    let unseen = office.message(BROKEN, &[]);
    assert!(unseen.contains("no export of these columns was seen here"), "who reads others is not told: {unseen}");
    office.rows("almaty/houses", &["--columns", "owner"]);
    let message = office.message(BROKEN, &[]);
    for part in [
        "almaty/houses: the push would break what readers of major 1 rely on",
        "\n  column floors: expected type Int64, found type Utf8: row 2 has \"5.5\", row 3 has \"two\"",
        "\n  column owner: expected type Utf8, found no such column",
        " from this machine: kad, owner, 2 times",
        "name the column in a mapping as it was",
        "begin major 2 with --new-major (new_major): @1.x stays as it is",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    assert_eq!(office.message(BROKEN, &["--dry-run"]), message, "a dry run tells the same");
    assert_eq!(office.versions(), [(1, 1)], "nothing was published");
    let other = office.message(FIRST, &["--key", "owner"]);
    assert!(other.contains("key: expected kad, found owner"), "{other}");
}

#[test]
fn majors_are_served_side_by_side_and_compared() {
    let office = Office::open(&[]);
    office.published(FIRST, &["--key", "kad"]);
    let second = office.published("kad,levels\nK-1,9\nK-9,3\n", &["--new-major"]);
    assert_eq!((&second["layers"][0]["major"], &second["layers"][0]["version"]), (&2.into(), &2.into()));
    office.published("kad,levels,roof\nK-1,9,flat\n", &[]);
    assert_eq!(office.versions(), [(3, 2), (2, 2), (1, 1)], "a column that comes breaks nothing");
    assert_eq!(office.rows("almaty/houses@1.x", &["--columns", "kad,floors"]), ["K-1,9", "K-2,5", "K-3,12"]);
    assert_eq!(office.rows("almaty/houses@2.x", &[]), ["K-1,9,flat"]);
    assert_eq!(office.rows("almaty/houses", &[]), ["K-1,9,flat"], "without a name the newest");
    let (code, diff) = office.hub.ask(&["diff", "almaty/houses@1.x", "almaty/houses@2.x", "--summary"]);
    assert_eq!(code, 0, "{diff:#}");
    assert_eq!((&diff["changed"], &diff["removed"]), (&1.into(), &2.into()), "{diff:#}");
    let back = ukimet().args(["rollback", "almaty/houses", "--to", "1.x", "--hub", &office.hub.url]).output();
    let back = String::from_utf8_lossy(&back.expect("runs").stderr).into_owned();
    assert!(back.contains("column levels: expected type Int64, found no such column"), "{back}");
    assert!(back.contains("read by ukimet/") && back.contains("from this machine: all columns, "), "{back}");
    let (code, back) = office.hub.ask(&["rollback", "almaty/houses", "--to", "1.x", "--new-major"]);
    assert_eq!((code, &back["version"]), (0, &4.into()), "{back:#}");
    assert_eq!(office.versions()[0], (4, 3));
}

#[test]
fn a_type_that_only_seems_to_change_stays_as_it_was() {
    let office = Office::open(&[]);
    office.published("block,floors,share\n0101,9,0.5\n0102,5,0.25\n", &[]);
    // Alone these would be whole numbers, text without a value, and whole numbers again.
    let second = office.published("block,floors,share\n1101,,1\n1102,,2\n", &[]);
    let report = &second["layers"][0];
    let kept: Vec<&Value> = report["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|found| found["rule"] == "types.kept")
        .collect();
    assert_eq!(kept.len(), 1, "{report:#}");
    assert_eq!(kept[0]["examples"][0]["field"], "block", "{kept:#?}");
    assert_eq!(office.rows("almaty/houses", &["--columns", "block,share"]), ["1101,1.0", "1102,2.0"]);
    let (_, described) = office.hub.ask(&["describe", "almaty/houses"]);
    let types: Vec<&str> = described["dataset"]["version"]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| field["data_type"].as_str().expect("a type"))
        .collect();
    assert_eq!(types, ["Utf8", "Int64", "Float64"]);
    assert_eq!(office.versions(), [(2, 1), (1, 1)]);
    let report = ukimet().args(["report", "almaty/houses", "--lang", "ru", "--hub", &office.hub.url]).output();
    let report = String::from_utf8_lossy(&report.expect("runs").stdout).into_owned();
    assert!(report.contains("столбцы прочитаны в нём"), "{report}");
}

#[test]
fn a_dry_run_tells_what_a_push_would_do_and_leaves_nothing() {
    let office = Office::open(&[]);
    let would = office.published(FIRST, &["--dry-run", "--push-id", "p"]);
    assert_eq!((&would["dry_run"], &would["layers"][0]["version"]), (&true.into(), &1.into()), "{would:#}");
    assert!(office.hub.datasets().is_empty());
    office.published(FIRST, &["--push-id", "p"]);
    let would = office.published("kad,floors,owner\nK-1,9,Aidar\n", &["--dry-run"]);
    assert_eq!((&would["layers"][0]["rows_removed"], &would["layers"][0]["version"]), (&2.into(), &2.into()));
    assert_eq!(office.versions(), [(1, 1)]);
}

#[test]
fn readers_are_remembered_over_a_restart_and_not_at_all_if_an_operator_says_so() {
    let office = Office::open(&[]);
    office.published(FIRST, &[]);
    office.rows("almaty/houses", &[]);
    office.hub.signal("TERM");
    let Office { hub, folder } = office;
    assert_eq!(hub.wait(std::time::Duration::from_mins(1)), Some(0));
    let office = Office { hub: Hub::start(&folder.path().join("data"), &[]), folder };
    let message = office.message(BROKEN, &[]);
    assert!(message.contains("from this machine: all columns, once"), "{message}");
    let Office { hub, folder } = office;
    drop(hub);
    let office = Office { hub: Hub::start(&folder.path().join("data"), &["--usage-readers-max", "0"]), folder };
    let message = office.message(BROKEN, &[]);
    assert!(message.contains("who reads it is not recorded here"), "{message}");
}

#[test]
fn rows_beside_others_come_in_the_same_units() {
    let office = Office::open(&[]);
    let mapping = |unit: &str| {
        let path = office.folder.path().join(format!("{unit}.toml"));
        fs::write(&path, format!("[[column]]\nname = \"area\"\nfrom = \"Площадь, {unit}\"\n")).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (ares, hectares) = (mapping("м²"), mapping("га"));
    office.published("kad,\"Площадь, м²\"\nK-1,5\nK-2,6\n", &["--key", "kad", "--mapping", &ares]);
    for mode in ["upsert", "append"] {
        let message = office.message("kad,\"Площадь, га\"\nK-3,5\n", &["--mode", mode, "--mapping", &hectares]);
        assert!(message.contains("column area: expected unit м², found unit га"), "{message}");
    }
    office.published("kad,\"Площадь, м²\"\nK-3,5\n", &["--mode", "upsert", "--mapping", &ares]);
    assert_eq!(office.rows("almaty/houses", &[]), ["5,K-1", "5,K-3", "6,K-2"]);
}
