//! Pushes of rows that come beside others: upserts, deletions, appends.

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
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { hub: Hub::start(&folder.path().join("data"), &[]), folder }
    }

    fn push(&self, text: &str, flags: &[&str]) -> Value {
        let file = self.folder.path().join("rows.csv");
        fs::write(&file, text).expect("written");
        self.hub.push(&file, "almaty/parcels", flags).1
    }

    /// The newest version as lines of CSV, sorted.
    fn rows(&self) -> Vec<String> {
        let out = self.folder.path().join("out.csv");
        self.hub.ask(&["export", "almaty/parcels", "--columns", "kad,value", "-o", out.to_str().expect("text")]);
        let mut lines: Vec<String> =
            fs::read_to_string(out).expect("read").lines().skip(1).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }
}

fn counts(outcome: &Value) -> [u64; 3] {
    let layer = &outcome["layers"][0];
    ["rows_added", "rows_removed", "rows_changed"].map(|name| layer[name].as_u64().unwrap_or_default())
}

const FIRST: &str = "kad,value,lon,lat\n0001,10,76.9,43.2\n0002,20,76.8,43.3\n0003,30,76.7,43.4\n";

#[test]
fn an_upsert_changes_adds_and_deletes_rows_by_their_key() {
    let office = Office::open();
    let first = office.push(FIRST, &["--key", "kad"]);
    assert_eq!(first["layers"][0]["key"]["columns"][0], "kad", "{first:#}");
    let marked = "Өшірілді,lat,lon,value,kad\n,43.2,76.9,11,0001\ndelete,43.3,76.8,20,0002\n0,43.1,76.6,40,0004\n";
    let second = office.push(marked, &["--mode", "upsert", "--delete-column", "Өшірілді"]);
    assert_eq!(counts(&second), [1, 1, 1], "{second:#}");
    assert_eq!(office.rows(), ["0001,11", "0003,30", "0004,40"]);
    let again = office.push("kad,value,lon,lat\n0004,40,76.6,43.1\n", &["--mode", "upsert"]);
    assert_eq!(again["status"], "unchanged", "{again:#}");
}

#[test]
fn marks_of_rows_that_are_not_there_are_counted_and_named() {
    let office = Office::open();
    office.push(FIRST, &["--key", "kad"]);
    let marked = "gone,lat,lon,value,kad\n1,43.2,76.9,,0001\n1,43.3,76.8,,0777\n1,43.1,76.6,,0778\n";
    let second = office.push(marked, &["--mode", "upsert", "--delete-column", "gone"]);
    assert_eq!((counts(&second), &second["layers"][0]["marks_without_row"]), ([0, 1, 0], &2.into()), "{second:#}");
    let found = second["layers"][0]["diagnostics"].as_array().into_iter().flatten();
    let told = found.filter(|diagnostic| diagnostic["rule"] == "rows.mark_without_row").collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0]["count"] == 2 && told[0].to_string().contains("0778"), "{second:#}");
    for (language, words) in
        [("en", "no row with their key"), ("ru", "нет строк с таким ключом"), ("kk", "мұндай кілті бар жол жоқ")]
    {
        let asked = ["report", "almaty/parcels", "--lang", language, "--hub", &office.hub.url];
        let report = ukimet().args(asked).output().expect("runs");
        assert!(String::from_utf8_lossy(&report.stdout).contains(words), "{language}: {report:?}");
    }
    let again = office.push(marked, &["--mode", "upsert", "--delete-column", "gone"]);
    assert_eq!(
        (&again["status"], &again["layers"][0]["marks_without_row"]),
        (&"unchanged".into(), &3.into()),
        "{again:#}"
    );
}

#[test]
fn an_append_takes_new_keys_only_and_reads_codes_as_the_dataset_has_them() {
    let office = Office::open();
    office.push(FIRST, &["--key", "kad"]);
    // Alone, these would be whole numbers.
    let second = office.push("kad,value,lon,lat\n1234,50,76.5,43.2\n", &["--mode", "append"]);
    assert_eq!(counts(&second), [1, 0, 0], "{second:#}");
    assert_eq!(office.rows(), ["0001,10", "0002,20", "0003,30", "1234,50"]);
    let taken = office.push("kad,value,lon,lat\n0003,31,76.7,43.4\n", &["--mode", "append"]);
    let message = taken["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("\"0003\"") && message.contains("upsert"), "{taken:#}");
}

#[test]
fn what_an_upsert_needs_is_asked_for() {
    let office = Office::open();
    let message = |outcome: Value| outcome["error"]["message"].as_str().unwrap_or_default().to_owned();
    let new = message(office.push(FIRST, &["--mode", "upsert"]));
    assert!(new.contains("needs a key"), "{new}");
    office.push(FIRST, &["--key", "kad"]);
    let missing = message(office.push("kad,lon,lat\n0001,76.9,43.2\n", &["--mode", "upsert"]));
    assert!(missing.contains("value"), "{missing}");
    let extra =
        FIRST.replace("value", "value,extra").replace(",10,", ",10,x,").replace("20,", "20,y,").replace("30,", "30,z,");
    let widened = message(office.push(&extra, &["--mode", "upsert"]));
    assert!(widened.contains("have no column \"extra\""), "{widened}");
    let unmarked = message(office.push(FIRST, &["--mode", "upsert", "--delete-column", "gone"]));
    assert!(unmarked.contains("gone"), "{unmarked}");
    let unknown = message(office.push(FIRST.replace(",10,", ",ten,").as_str(), &["--mode", "upsert"]));
    assert!(unknown.is_empty() || unknown.contains("ten"), "{unknown}");
    let mode = message(office.push(FIRST, &["--delete-column", "gone"]));
    assert!(mode.contains("upsert only"), "{mode}");
}

#[test]
fn rows_beside_others_that_are_all_refused_are_a_refused_push() {
    let office = Office::open();
    office.push(FIRST, &["--key", "kad"]);
    for mode in ["upsert", "append"] {
        let refused = office.push("kad,value,lon,lat\n0004,many,76.6,43.1\n", &["--mode", mode]);
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("every one of the 1 rows was refused") && message.contains("many"), "{refused:#}");
    }
    let some = office.push("kad,value,lon,lat\n0004,many,76.6,43.1\n0005,5,76.6,43.1\n", &["--mode", "upsert"]);
    assert_eq!(counts(&some), [1, 0, 0], "{some:#}");
}

#[test]
fn rows_that_come_beside_others_may_be_written_as_the_first_were() {
    let office = Office::open();
    let first = "kad,value,d,share,lon,lat\n0001,500 тг,25/12/2024,\"1,5\",76.9,43.2\n\
                 0002,600 тг,01/02/2024,\"0,25\",76.8,43.3\n";
    office.push(first, &["--key", "kad"]);
    let one = "kad,value,d,share,lon,lat\n0003,900 тг,05/06/2024,\"1,234\",76.7,43.4\n";
    let second = office.push(one, &["--mode", "append"]);
    assert_eq!(counts(&second), [1, 0, 0], "{second:#}");
    // What decided the columns is known to rows that come later still, in another order.
    let other = "lat,lon,share,d,value,kad\n43.4,76.6,\"2,345\",07/06/2024,(8),0004\n";
    let third = office.push(other, &["--mode", "upsert"]);
    assert_eq!(counts(&third), [1, 0, 0], "{third:#}");
    let out = office.folder.path().join("all.csv");
    let columns = ["--columns", "kad,value,d,share", "-o", out.to_str().expect("text")];
    office.hub.ask(&[&["export", "almaty/parcels"], &columns[..]].concat());
    let mut lines: Vec<String> = fs::read_to_string(out).expect("read").lines().skip(1).map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines[2..], ["0003,900,2024-06-05,1.234", "0004,-8,2024-06-07,2.345"]);
    let foreign = "kad,value,d,share,lon,lat\n0005,900 км,05/06/2024,\"1,5\",76.7,43.4\n\
                   0006,900 ₸,05/06/2024,\"1,5\",76.7,43.5\n";
    let refused = office.push(foreign, &["--mode", "append"]);
    assert_eq!(refused["layers"][0]["rows_refused"], 1, "{refused:#}");
}

#[test]
fn a_full_new_state_in_doubt_is_read_as_the_dataset_was() {
    let office = Office::open();
    let head = "kad,value,d,lon,lat\n";
    office.push(&format!("{head}0001,500 тг,25/12/2024,76.9,43.2\n0002,600 тг,01/02/2024,76.8,43.3\n"), &[]);
    let doubtful = format!("{head}0001,1 500 тг,03/04/2024,76.9,43.2\n0002,600 тг,01/02/2024,76.8,43.3\n");
    let second = office.push(&doubtful, &[]);
    assert_eq!(second["status"], "published", "{second:#}");
    let rules = second["layers"][0]["diagnostics"].as_array().expect("a list").iter().map(|found| &found["rule"]);
    assert!(rules.into_iter().any(|rule| rule == "types.kept"), "{second:#}");
}

#[test]
fn a_found_key_that_does_not_fit_any_more_is_given_up_and_told() {
    for (second, expected) in [("1,a\n1,c\n2,b\n2,b\n", [2, 0, 0]), ("1,a\n2,b\n3,c\n3,d\n", [2, 0, 0])] {
        let office = Office::open();
        let first = office.push("id,v\n1,a\n2,b\n", &[]);
        assert_eq!(first["layers"][0]["key"]["columns"][0], "id", "{first:#}");
        let outcome = office.push(&format!("id,v\n{second}"), &[]);
        assert_eq!((counts(&outcome), &outcome["layers"][0]["key"]), (expected, &Value::Null), "{outcome:#}");
        let told = outcome["layers"][0]["diagnostics"].as_array().expect("a list");
        assert!(told.iter().any(|found| found["rule"] == "key.given_up"), "{outcome:#}");
        let (_, difference) = office.hub.ask(&["diff", "almaty/parcels@v1", "almaty/parcels@v2", "--summary"]);
        assert_eq!((&difference["added"], &difference["removed"]), (&2.into(), &0.into()), "{difference:#}");
    }
}
