//! Tests of mapping files.

use super::*;
use crate::ErrorKind;

const SCHOOLS: &str = include_str!("schools.toml");

#[test]
fn every_kind_of_column_is_read() {
    let mapping = Mapping::parse(SCHOOLS).expect("a mapping");
    assert_eq!(mapping.profile.as_deref(), Some("school"));
    assert_eq!((mapping.unmapped, mapping.drop.len(), mapping.columns.len()), (Unmapped::Refuse, 1, 7));
    let by_name = |name: &str| mapping.columns.iter().find(|c| c.name == name).expect("there");
    assert_eq!((by_name("capacity").misfit, by_name("city").misfit), (Misfit::Null, Misfit::Refuse));
    assert_eq!(by_name("address").source.describe(), "Улица + Дом");
    assert_eq!(by_name("region").source.describe(), "КАТО → kz/kato.name_ru");
    assert_eq!(by_name("built").cast, Some(Cast::Date(DateOrder::Dotted)));
    let lookups = mapping.lookups();
    assert_eq!(lookups.len(), 1);
    assert_eq!((lookups[0].0.to_string().as_str(), lookups[0].1, lookups[0].2), ("kz/kato", "code", "name_ru"));
}

#[test]
fn a_mapping_that_is_not_right_says_where_and_what() {
    let fails = |text: &str, parts: &[&str]| {
        let error = Mapping::parse(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error} should say {part}");
        }
    };
    fails("profile = ", &["line 1", "column"]);
    fails("\n\ncolour = 1", &["line 3", "colour"]);
    fails("[[column]]\nname = \"Имя\"\nfrom = \"a\"", &["\"Имя\"", "snake case"]);
    fails("[[column]]\nname = \"geometry\"\nfrom = \"a\"", &["geometry"]);
    fails("[[column]]\nname = \"a\"", &["\"a\"", "expected one of"]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\nconstant = \"y\"", &["expected one of"]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\ncast = \"float\"", &["found \"float\"", "decimal"]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\ncast = \"date\"\nnotation = \"MM/DD\"", &["\"MM/DD\""]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\nsplit = { separator = \",\", part = 0 }", &["from 1"]);
    fails(
        "[[column]]\nname = \"a\"\nfrom = \"x\"\nlookup = { dataset = \"KATO\", key = \"k\", value = \"v\" }",
        &["\"KATO\""],
    );
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\n[[column]]\nname = \"a\"\nfrom = \"y\"", &["twice"]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\ncast = \"boolean\"\ntrue = [\"false\"]", &["both"]);
    fails("[[column]]\nname = \"a\"\nfrom = \"x\"\nnotation = \".\"", &["cast"]);
}

#[test]
fn a_mapping_has_at_most_so_many_bytes_and_columns() {
    let long = format!("# {}", "x".repeat(Mapping::BYTES_MAX));
    assert_eq!(Mapping::parse(&long).expect_err("too long").kind(), ErrorKind::LimitReached);
    let column = |n: usize| format!("[[column]]\nname = \"a{n}\"\nconstant = \"\"\n");
    let many: String = (0..=Mapping::COLUMNS_MAX).map(column).collect();
    assert_eq!(Mapping::parse(&many).expect_err("too many").kind(), ErrorKind::LimitReached);
}
