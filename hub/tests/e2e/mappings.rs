//! Mappings: given with a push, kept with the dataset, looked up in other datasets, refused when they do not fit.

use crate::hub::{Hub, ukimet};
use std::fs;
use std::path::Path;

const MAPPING: &str = r#"profile = "school"

[[column]]
name = "name_ru"
from = "Школа"

[[column]]
name = "capacity"
from = "Мест"
cast = "integer"

[[column]]
name = "region"
from = "КАТО"
lookup = { dataset = "kz/kato", key = "code", value = "name" }
"#;

fn write(dir: &Path, name: &str, text: &str) -> String {
    let file = dir.join(name);
    fs::write(&file, text).expect("written");
    file.to_str().expect("text").to_owned()
}

fn printed(hub: &Hub, arguments: &[&str]) -> String {
    let output = ukimet().args(arguments).args(["--hub", &hub.url]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_mapping_stays_with_its_dataset_until_it_is_taken_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let kato = write(dir.path(), "kato.csv", "code;name\n750000000;Алматы\n710000000;Астана\n");
    hub.publish(Path::new(&kato), "kz/kato", &[]);
    let mapping = write(dir.path(), "schools.toml", MAPPING);
    let schools = write(dir.path(), "schools.csv", "Школа;Мест;КАТО\n№ 1;900;750000000\n№ 2;много;710000000\n");

    let first = hub.publish(Path::new(&schools), "almaty/schools", &["--mapping", &mapping]);
    assert_eq!((&first["layers"][0]["rows_taken"], &first["layers"][0]["rows_refused"]), (&1.into(), &1.into()));
    let (_, described) = hub.ask(&["describe", "almaty/schools"]);
    let columns: Vec<&str> = described["dataset"]["version"]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| field["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(columns, ["name_ru", "capacity", "region"], "{described:#}");
    let csv = dir.path().join("out.csv");
    hub.ask(&["export", "almaty/schools", "-o", csv.to_str().expect("text")]);
    assert!(fs::read_to_string(&csv).expect("exported").contains("№ 1,900,Алматы"));

    let more = write(dir.path(), "more.csv", "Школа;Мест;КАТО\n№ 1;900;750000000\n№ 3;100;710000000\n");
    let second = hub.publish(Path::new(&more), "almaty/schools", &[]);
    assert_eq!(second["layers"][0]["rows_taken"], 2, "the dataset's own mapping is in force: {second:#}");
    assert_eq!(printed(&hub, &["mapping", "show", "almaty/schools"]).trim_end(), MAPPING.trim_end());

    let (_, message) = hub.refused(Path::new(&more), "almaty/schools", &["--no-mapping"]);
    assert!(message.contains("column name_ru: expected type Utf8, found no such column (renamed to"), "{message}");
    hub.publish(Path::new(&more), "almaty/schools", &["--no-mapping", "--new-major"]);
    let output = ukimet().args(["mapping", "show", "almaty/schools", "--hub", &hub.url]).output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no mapping"));
    let of_version = printed(&hub, &["mapping", "show", "almaty/schools@v2"]);
    assert_eq!(of_version.trim_end(), MAPPING.trim_end(), "a version keeps the one it was made with");

    let suggested = printed(&hub, &["mapping", "suggest", "almaty/schools", "--profile", "school"]);
    let suggested = write(dir.path(), "suggested.toml", &suggested);
    printed_alone(&["mapping", "check", &suggested]);
    assert!(fs::read_to_string(&suggested).expect("written").contains("name = \"capacity\"\nfrom = \"Мест\""));
}

fn printed_alone(arguments: &[&str]) {
    let output = ukimet().args(arguments).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_mapping_that_does_not_fit_refuses_the_push_and_says_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--lookup-bytes-max", "1KiB"]);
    let schools = write(dir.path(), "schools.csv", "Школа;Мест\n№ 1;900\n");
    let schools = Path::new(&schools);
    let refused = |text: &str, word: &str| {
        let mapping = write(dir.path(), "mapping.toml", text);
        let (_, message) = hub.refused(schools, "almaty/schools", &["--mapping", &mapping]);
        assert!(message.contains(word), "{message} should say {word}");
    };
    refused("[[column]]\nname = \"a\"\nfrom = 7", "line 3");
    refused("drop = [\"Директор\"]", "\"Мест\"");
    refused("profile = \"school\"", "name_ru is missing");
    let lookup = "[[column]]\nname = \"a\"\nfrom = \"Мест\"\nlookup = { dataset = \"kz/kato\", key = \"code\", value = \"name\" }";
    refused(lookup, "kz/kato is not in snapshot");
    let rows = (0..1_000).map(|n| format!("{n:09};name {n}")).collect::<Vec<_>>().join("\n");
    let kato = write(dir.path(), "kato.csv", &format!("code;name\n{rows}"));
    hub.publish(Path::new(&kato), "kz/kato", &[]);
    refused(lookup, "at most 1024 bytes");
    assert_eq!(hub.datasets(), ["kz/kato"], "nothing of what was refused is there");
    let mapping = write(dir.path(), "mapping.toml", "drop = [\"Мест\"]");
    let (_, message) = hub.refused(schools, "almaty/schools", &["--all-layers", "--mapping", &mapping]);
    assert!(message.contains("one layer"), "{message}");
}
