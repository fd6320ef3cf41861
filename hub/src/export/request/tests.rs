//! Commands as they are written, and those that mean nothing.

use super::*;
use ukimet_model::VersionNumber;

#[test]
fn a_command_is_json_that_means_one_thing() {
    let request = ExportRequest::from_json(br#"{"dataset":"a/b","version":2,"bbox":[1,2,3,4]}"#).expect("valid");
    assert_eq!(request.version, Some(VersionNumber(2).into()));
    assert_eq!(ExportRequest::from_json(&request.to_json()).expect("own text"), request);
    for (command, version) in [
        (r#"{"dataset":"a/b@final"}"#, "final"),
        (r#"{"dataset":"a/b","version":"v2","snapshot":3}"#, "v2"),
        (r#"{"dataset":"a/b@2.x","valid_at":"2026-03-01"}"#, "2.x"),
        (r#"{"dataset":"a/b@2.x","valid_during":["2026-03-01","2026-03-01T10:00:00Z"]}"#, "2.x"),
        (r#"{"dataset":"a/b","version":"2026-03-01"}"#, "2026-03-01T00:00:00Z"),
        (r#"{"dataset":"a/b@v2","text":"dictionary","message_bytes":9000000}"#, "v2"),
        (r#"{"dataset":"a/b@v2","segments":[3,4],"places":[5,9]}"#, "v2"),
        (r#"{"dataset":"a/b@v2","order":[{"column":"n","descending":true},{"column":"name"}],"limit":3}"#, "v2"),
    ] {
        let request = ExportRequest::from_json(command.as_bytes()).expect(command);
        assert_eq!(request.version.as_ref().map(ToString::to_string).as_deref(), Some(version));
        assert_eq!(ExportRequest::from_json(&request.to_json()).expect("own text"), request);
    }
    for (written, from) in [("\"previous\"", DiffFrom::Previous), ("1", DiffFrom::Version(VersionNumber(1).into()))] {
        let command = format!(r#"{{"dataset":"a/b","version":2,"diff_from":{written},"limit":3}}"#);
        let request = ExportRequest::from_json(command.as_bytes()).expect("valid");
        assert_eq!(request.diff_from, Some(from));
        assert_eq!(ExportRequest::from_json(&request.to_json()).expect("own text"), request);
    }
    for invalid in [
        r#"{"dataset":"a/b@v1","version":2}"#,
        r#"{"dataset":"a/b","version":0}"#,
        r#"{"dataset":"a/b@"}"#,
        r#"["a/b@v1"]"#,
        r#"{"dataset":"a/b","diff_from":0}"#,
        r#"{"dataset":"a/b","diff_from":1,"segments":[0,1]}"#,
        r#"{"dataset":"a/b","diff_from":1,"table":"verdicts"}"#,
        r#"{"dataset":"a"}"#,
        r#"{"dataset":"a/b","colums":["x"]}"#,
        r#"{"dataset":"a/b","columns":[]}"#,
        r#"{"dataset":"a/b","bbox":[1,2,3]}"#,
        r#"{"dataset":"a/b","bbox":[1,99,3,100]}"#,
        r#"{"dataset":"a/b","table":"rows"}"#,
        r#"{"dataset":"a/b","table":"verdicts","limit":1}"#,
        r#"{"dataset":"a/b","push_id":"p"}"#,
        r#"{"dataset":"a/b","order":[]}"#,
        r#"{"dataset":"a/b","order":["n"]}"#,
        r#"{"dataset":"a/b","order":[{"column":"n"}],"diff_from":1}"#,
        r#"{"dataset":"a/b","order":[{"column":"n"}],"table":"verdicts"}"#,
        r#"{"dataset":"a/b","order":[{"column":"n"}],"text":"dictionary"}"#,
        r#"{"dataset":"a/b","order":[{"column":"n"}],"segments":[0,1],"places":[0,1]}"#,
        r#"{"dataset":"a/b","valid_at":"today"}"#,
        r#"{"dataset":"a/b","valid_during":["2026-03-01"]}"#,
        r#"{"dataset":"a/b","valid_at":"2026-03-01","valid_during":["2026-03-01","2026-03-02"]}"#,
        r#"{"dataset":"a/b","table":"verdicts","valid_at":"2026-03-01"}"#,
        r#"{"dataset":"a/b","text":"packed"}"#,
        r#"{"dataset":"a/b","message_bytes":-1}"#,
        r#"{"dataset":"a/b","places":[0,1]}"#,
        r#"{"dataset":"a/b","places":[0,1],"segments":[0,2]}"#,
        r#"{"dataset":"a/b","places":[2,1],"segments":[0,1]}"#,
        r#"{"dataset":"a/b","places":[0,1],"segments":[0,18446744073709551615]}"#,
        "",
    ] {
        assert!(ExportRequest::from_json(invalid.as_bytes()).is_err(), "{invalid}");
    }
}
