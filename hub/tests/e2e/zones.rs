//! Times without a zone that come beside others.

use crate::hub::Hub;
use serde_json::Value;
use std::fs;

/// The receipt of the newest version of a dataset.
fn receipt(hub: &Hub, dataset: &str) -> Value {
    hub.ask(&["describe", dataset]).1["receipt"].clone()
}

/// A parameter of the types rule.
fn parameter(receipt: &Value, name: &str) -> Value {
    let steps = receipt["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["step"] == "types").expect("a step")["parameters"][name].clone()
}

#[test]
fn times_that_are_appended_are_of_the_declared_zone_as_the_first_were() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).expect("written");
        path(name)
    };
    let first = write("first.csv", "id,seen\n1,2024-05-31 10:00:00\n");
    hub.publish(&first, "a/zoned", &["--time-zone", "KZ-75"]);
    hub.publish(&first, "a/plain", &[]);
    // A file whose reader knows that these are times, of no zone.
    let typed = path("typed.parquet");
    hub.publish(&write("more.csv", "id,seen\n2,2024-05-31 11:00:00\n"), "a/more", &[]);
    hub.ask(&["export", "a/more", "-o", typed.to_str().expect("text")]);
    let appended = ["--mode", "append", "--time-zone", "KZ-75"];
    let outcome = hub.publish(&typed, "a/zoned", &appended);
    assert_eq!(outcome["layers"][0]["rows_refused"], 0, "{outcome:#}");
    let found = receipt(&hub, "a/zoned");
    assert_eq!(parameter(&found, "time_zone"), "Asia/Almaty", "{found:#}");
    assert!(parameter(&found, "time_zone_database").is_string(), "{found:#}");
    let malformed = write("malformed.csv", "id,seen\n3,2024-05-31 12:00:00\n4,at noon\n5,2024-05-31 12:00:00+00:00\n");
    let outcome = hub.publish(&malformed, "a/zoned", &appended);
    assert_eq!(outcome["layers"][0]["rows_refused"], 1, "{outcome:#}");
    let out = path("out.csv");
    hub.ask(&["export", "a/zoned", "-o", out.to_str().expect("text")]);
    let text = fs::read_to_string(&out).expect("a file");
    for (id, hour) in [(1, "05"), (2, "06"), (3, "07"), (5, "12")] {
        assert!(text.contains(&format!("{id},2024-05-31T{hour}:00:00")), "{text}");
    }

    hub.publish(&typed, "a/plain", &appended);
    let found = receipt(&hub, "a/plain");
    assert_eq!(parameter(&found, "time_zone"), Value::Null, "{found:#}");
    assert!(found["diagnostics"].to_string().contains("time.zone_not_applied"), "{found:#}");
}
