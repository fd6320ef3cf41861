//! Tests of what is remembered of readers.

use super::*;
use ukimet_model::BreakKind;

struct Stopped(Mutex<Timestamp>);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("not poisoned")
    }
}

const LIMITS: UsageLimits =
    UsageLimits { usage_readers_max: 2, usage_keep: Duration::from_hours(240), usage_columns_max: 2 };

fn clock() -> Arc<Stopped> {
    Arc::new(Stopped(Mutex::new("2026-03-01T00:00Z".parse().expect("a time"))))
}

fn export(program: &str, columns: Option<&[&str]>) -> Export {
    let columns = columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let client = Client { program: program.to_owned(), network: "this machine".to_owned() };
    Export { dataset: "a/b".parse().expect("valid"), columns, client }
}

fn broken(column: Option<&str>) -> Vec<SchemaBreak> {
    let column = column.map(str::to_owned);
    vec![SchemaBreak { kind: BreakKind::Column, column, expected: String::new(), found: String::new() }]
}

fn lines(usage: &Usage, column: Option<&str>) -> Vec<String> {
    usage.readers_of(&"a/b".parse().expect("valid"), Some(&broken(column)))
}

#[tokio::test]
async fn readers_are_told_by_the_columns_they_read_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("usage.json");
    let (usage, writer) = Usage::open(&path, LIMITS, clock());
    usage.note(export("qgis", Some(&["kad"])));
    usage.note(export("qgis", Some(&["kad"])));
    usage.note(export("pyarrow", None));
    writer.run(std::future::ready(())).await;
    assert_eq!(
        lines(&usage, Some("owner")),
        ["read by pyarrow from this machine: all columns, once, last on 2026-03-01 00:00 UTC"]
    );
    let (usage, _writer) = Usage::open(&path, LIMITS, clock());
    assert!(lines(&usage, Some("kad")).iter().any(|line| line.contains("qgis from this machine: kad, 2 times")));
    assert_eq!(lines(&usage, None).len(), 2, "what is about no column concerns all");
}

#[tokio::test]
async fn what_is_remembered_has_limits() {
    let dir = tempfile::tempdir().expect("a folder");
    let stopped = clock();
    let (usage, writer) = Usage::open(&dir.path().join("usage.json"), LIMITS, stopped.clone());
    for (day, program, columns) in [(1, "one", vec!["x"]), (2, "two", vec!["x"]), (3, "three", vec!["a", "b", "c"])] {
        *stopped.0.lock().expect("not poisoned") = format!("2026-03-0{day}T00:00Z").parse().expect("a time");
        writer.seen.take(export(program, Some(&columns)));
    }
    let told = lines(&usage, Some("x"));
    assert!(told.len() == 2 && told[0].contains("three") && told[0].contains("all columns"), "{told:?}");
    *stopped.0.lock().expect("not poisoned") = "2026-03-13T00:00Z".parse().expect("a time");
    assert!(lines(&usage, Some("x"))[0].contains("three") && lines(&usage, Some("x")).len() == 1);
    *stopped.0.lock().expect("not poisoned") = "2026-05-01T00:00Z".parse().expect("a time");
    assert_eq!(lines(&usage, None), ["no export of these columns was seen here within 10 days"]);
    let (none, _writer) =
        Usage::open(&dir.path().join("usage.json"), UsageLimits { usage_readers_max: 0, ..LIMITS }, clock());
    assert_eq!(lines(&none, None), ["who reads it is not recorded here"]);
}

#[tokio::test]
async fn a_full_queue_never_waits_and_a_damaged_record_is_begun_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("usage.json");
    std::fs::write(&path, b"{").expect("written");
    let (usage, writer) = Usage::open(&path, LIMITS, clock());
    for _ in 0..WAITING_MAX + 10 {
        usage.note(export("busy", None));
    }
    writer.run(std::future::ready(())).await;
    assert!(lines(&usage, None)[0].contains(&format!("{WAITING_MAX} times")));
}
