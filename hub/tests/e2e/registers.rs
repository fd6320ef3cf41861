//! The register of KATO: a dataset of the hub that the codes of every push are compared with.

use crate::hub::{Hub, ukimet};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

const REGISTER: &str = "code,name,valid_from,valid_to\n\
                        750000000,Алматы,,\n\
                        631000000,Семей,,2022-06-08\n\
                        101000000,Семей,2022-06-08,\n";
const SCHOOLS: &str = "name,kato\n№ 1,750000000\n№ 2,759999999\n№ 3,631000000\n№ 4,101000000\n";
const FLAGS: [&str; 2] = ["--kato-register", "kz/kato"];

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).expect("written");
    file
}

/// What a rule found: the value of each example.
fn found(outcome: &Value, rule: &str) -> Vec<String> {
    let diagnostics = outcome["layers"][0]["diagnostics"].as_array().expect("a list");
    let of_rule = diagnostics.iter().filter(|found| found["rule"] == rule);
    let examples = of_rule.flat_map(|found| found["examples"].as_array().expect("a list"));
    examples.map(|example| example["found"].as_str().expect("text").to_owned()).collect()
}

fn register_of(receipt: &Value) -> Option<&str> {
    let steps = receipt["steps"].as_array().expect("a list");
    steps.iter().find(|step| step["step"] == "codes")?["parameters"]["kato_register"].as_str()
}

#[test]
fn codes_of_every_push_are_compared_with_the_newest_register_as_of_the_day_of_the_data() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &FLAGS);
    let (register, schools) = (write(dir.path(), "kato.csv", REGISTER), write(dir.path(), "schools.csv", SCHOOLS));
    let before = hub.publish(&schools, "almaty/before", &[]);
    assert_eq!(found(&before, "codes.no_register"), ["kz/kato: it is not there"], "{before:#}");
    assert_eq!(found(&before, "codes.unknown_kato").len(), 0, "the form of all is right");

    hub.publish(&register, "kz/kato", &[]);
    let first = hub.publish(&schools, "almaty/schools", &[]);
    assert_eq!(found(&first, "codes.unknown_kato"), ["759999999"], "{first:#}");
    assert_eq!(found(&first, "codes.kato_ended"), ["631000000"], "nobody said which day the data describes");
    assert_eq!((found(&first, "codes.no_register").len(), register_of(&first["layers"][0])), (0, Some("kz/kato v1")));
    let (_, described) = hub.ask(&["describe", "almaty/schools"]);
    assert_eq!(register_of(&described["receipt"]), Some("kz/kato v1"));
    let field = &described["dataset"]["version"]["fields"][1];
    assert_eq!((&field["name"], &field["role"]), (&"kato".into(), &"kato".into()), "{field:#}");
    let output = ukimet()
        .args(["report", "almaty/schools", "--rule", "codes.unknown_kato", "--format", "csv", "--hub", &hub.url])
        .output()
        .expect("the command runs");
    let verdicts = String::from_utf8_lossy(&output.stdout);
    assert!(verdicts.contains("759999999"), "{verdicts} {}", String::from_utf8_lossy(&output.stderr));

    for (day, then) in [("2022-06-07", "101000000"), ("2022-06-08", "631000000")] {
        let mapping = write(dir.path(), &format!("{day}.toml"), &format!("valid_on = \"{day}\""));
        let dataset = format!("almaty/on-{day}");
        let pushed = hub.publish(&schools, &dataset, &["--mapping", mapping.to_str().expect("text")]);
        assert_eq!(found(&pushed, "codes.kato_not_then"), [then], "{day}");
    }
    let renewed = write(dir.path(), "renewed.csv", &format!("{REGISTER}759999999,Новый,,\n"));
    let outcome = hub.publish(&renewed, "kz/kato", &[]);
    assert_eq!(found(&outcome, "codes.unknown_kato").len(), 0, "a register is not compared with the one before");
    let second = hub.publish(&schools, "almaty/after", &[]);
    assert_eq!(
        (found(&second, "codes.unknown_kato").len(), register_of(&second["layers"][0])),
        (0, Some("kz/kato v2"))
    );
}

#[test]
fn a_register_that_does_not_serve_is_said_at_the_start_and_in_reports_and_stops_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, schools) = (dir.path().join("data"), write(dir.path(), "schools.csv", SCHOOLS));
    assert!(log_of_start(&data, &FLAGS).contains("it is not there"));
    let hub = Hub::start(&data, &[&FLAGS[..], &["--lookup-bytes-max", "4KiB"]].concat());
    let long = (0..500).map(|n| format!("{},x", 750_000_000 + n)).collect::<Vec<_>>().join("\n");
    for (register, why) in [
        ("unit,valid_to\n750000000,2022-06-08\n".to_owned(), "none of the columns code"),
        ("code,valid_to\n750000000,soon\n".to_owned(), "valid_to is a day such as 2022-06-08, found \"soon\""),
        (format!("code,name\n{long}"), "at most 4096 bytes"),
    ] {
        hub.publish(&write(dir.path(), "kato.csv", &register), "kz/kato", &["--new-major"]);
        let (_, outcome) = hub.push(&schools, "almaty/schools", &[]);
        let said = found(&outcome, "codes.no_register");
        assert!(said.len() == 1 && said[0].contains(why), "{said:?} should say {why}");
    }
    drop(hub);
    assert!(log_of_start(&data, &[]).is_empty(), "no register is asked for");
}

/// What a hub writes to its log until it is ready.
fn log_of_start(data: &Path, flags: &[&str]) -> String {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut child = ukimet()
        .args(["serve", "--listen", "127.0.0.1:0", "--disk-reserve", "1MiB", "--adapter-confine", "off", "--data"])
        .arg(data)
        .args(flags)
        .env("RUST_LOG", "ukimet_hub::registers=warn")
        .stdout(Stdio::piped())
        .stderr(log.reopen().expect("the file"))
        .spawn()
        .expect("the hub starts");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
    child.kill().and_then(|()| child.wait()).expect("ends");
    fs::read_to_string(log.path()).expect("text")
}
