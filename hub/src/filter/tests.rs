//! Tests of reading filters.

use super::*;
use ukimet_model::{Comparison, ErrorKind, Filter, Folding, Result, SpatialRelation, Term};

const LIMITS: FilterLimits = FilterLimits { bytes_max: 64 << 10, depth_max: 8, terms_max: 120, positions_max: 6 };

fn read(written: &str) -> Result<Filter> {
    written.parse::<WrittenFilter>()?.read(LIMITS)
}

fn column(name: &str) -> Term {
    Term::Column(name.to_owned(), Folding::default())
}

fn compare(name: &str, comparison: Comparison, right: Term) -> Filter {
    Filter::Compare { left: column(name), comparison, right }
}

#[test]
fn text_and_json_mean_the_same() {
    for (text, json) in [
        ("floors >= 5", r#"{"op":">=","args":[{"property":"floors"},5]}"#),
        ("name LIKE 'Абай%'", r#"{"op":"like","args":[{"property":"name"},"Абай%"]}"#),
        (
            "a = 1 AND NOT b IS NULL",
            r#"{"op":"and","args":[{"op":"=","args":[{"property":"a"},1]},{"op":"not","args":[{"op":"isNull","args":[{"property":"b"}]}]}]}"#,
        ),
        ("day = DATE('2026-03-01')", r#"{"op":"=","args":[{"property":"day"},{"date":"2026-03-01"}]}"#),
        (
            "S_WITHIN(geometry, BBOX(76,43,77,44))",
            r#"{"op":"s_within","args":[{"property":"geometry"},{"bbox":[76,43,77,44]}]}"#,
        ),
        (
            "S_INTERSECTS(geometry, POINT(76.9 43.2))",
            r#"{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[76.9,43.2]}]}"#,
        ),
        (
            "S_DWITHIN(geometry, POINT(76.9 43.2), 500)",
            r#"{"op":"s_dwithin","args":[{"property":"geometry"},{"type":"Point","coordinates":[76.9,43.2]},500]}"#,
        ),
    ] {
        assert_eq!(read(text).expect(text), read(json).expect(json), "{text}");
    }
}

#[test]
fn what_is_written_is_what_is_asked() {
    let number = |number: f64| Term::Number(number);
    let between = Filter::All(vec![
        compare("a", Comparison::GreaterOrEqual, number(-1.5)),
        compare("a", Comparison::LessOrEqual, number(2.0)),
    ]);
    assert_eq!(read("a BETWEEN -1.5 AND 2").expect("reads"), between);
    let one_of =
        Filter::Any(["x", "it's"].map(|text| compare("a", Comparison::Equal, Term::Text(text.to_owned()))).to_vec());
    assert_eq!(read("a IN ('x', 'it''s')").expect("reads"), one_of);
    let folded = Term::Column("a".to_owned(), Folding { case: true, accents: true });
    let right = Term::Text("елка".to_owned());
    let expected = Filter::Compare { left: folded, comparison: Comparison::Equal, right };
    assert_eq!(read("CASEI(ACCENTI(a)) = CASEI(ACCENTI('Ёлка'))").expect("reads"), expected);
    assert_eq!(read("ok").expect("reads"), compare("ok", Comparison::Equal, Term::Flag(true)));
    // The geometry stands first in what is asked, whatever stood first in what was written.
    let Filter::Spatial { relation, .. } = read("S_CONTAINS(BBOX(1,2,3,4), geometry)").expect("reads") else {
        panic!("is spatial")
    };
    assert_eq!(relation, SpatialRelation::Within);
}

#[test]
fn spans_of_time_are_comparisons_of_their_ends() {
    let instant = |text: &str| Term::Instant(text.parse().expect("a time"));
    let (first, last) = ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z");
    assert_eq!(
        read(&format!("T_DURING(t, INTERVAL('{first}', '{last}'))")).expect("reads"),
        Filter::All(vec![
            compare("t", Comparison::Greater, instant(first)),
            compare("t", Comparison::Less, instant(last))
        ])
    );
    assert_eq!(
        read(&format!("T_INTERSECTS(INTERVAL(t, '..'), TIMESTAMP('{first}'))")).expect("reads"),
        Filter::All(vec![compare("t", Comparison::LessOrEqual, instant(first)), Filter::Constant(true)])
    );
    // Whenever it was, it must be known that it was.
    let whenever = compare("t", Comparison::Equal, column("t"));
    assert_eq!(
        read("T_INTERSECTS(t, INTERVAL('..', '..'))").expect("reads"),
        Filter::All(vec![whenever.clone(), whenever])
    );
    assert_eq!(
        read(&format!("T_AFTER(t, INTERVAL('{first}', '..'))")).expect("reads"),
        Filter::All(vec![compare("t", Comparison::NotEqual, column("t"))])
    );
}

#[test]
fn what_is_not_served_or_does_not_read_is_told() {
    for (written, part) in [
        ("floors >=", "does not read as CQL2 text at character"),
        ("a = 1 b", "does not read as CQL2 text at character"),
        ("(a = 1", "does not close it"),
        ("a = 'x", "does not close it"),
        ("a = 1)", "a parenthesis too many at character 6"),
        ("a + 1 = 2", "found \"+\" between them"),
        ("a = NULL", "IS NULL"),
        ("foo(a)", "no \"foo\""),
        ("5", "found a value"),
        ("A_CONTAINS(a, (1,2))", "no \"a_contains\""),
        ("day = DATE('2026-02-30')", "2026-02-30"),
        ("S_WITHIN(geometry, BBOX(1,2,3))", "four sides"),
        ("S_WITHIN(BBOX(1,2,3,4), BBOX(1,2,3,4))", "relates a column to a geometry"),
        ("S_WITHIN(geometry)", "takes 2 arguments, found 1"),
        (&"a = ".repeat(70), "more than 64 signs"),
        (&format!("a = {}1", "-".repeat(70)), "more than 64 signs"),
        ("t < TIMESTAMP('2026-03-01T10:00:00.0000005Z')", "exact to the microsecond"),
        ("S_DWITHIN(geometry, POINT(1 2))", "takes 3 arguments, found 2"),
        ("S_DWITHIN(geometry, POINT(1 2), 'near')", "a distance in metres"),
        (r#"{"op":"="#, "does not read as JSON"),
        (r#"{"op":5}"#, "does not read as CQL2 JSON"),
    ] {
        let error = read(written).expect_err(written);
        assert!(error.kind() == ErrorKind::InvalidRequest && error.message().contains(part), "{written}: {error}");
    }
}

#[test]
fn a_filter_that_is_too_much_is_refused_and_not_suffered() {
    let deep = |depth: usize| format!("{}a = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(read(&deep(8)).is_ok());
    let nested = format!("{}true{}", r#"{"op":"not","args":["#.repeat(9), "]}".repeat(9));
    let many = vec!["a = 1"; 121].join(" OR ");
    let listed = format!("a IN ({})", vec!["1"; 121].join(","));
    let long = format!("a = '{}'", "x".repeat(64 << 10));
    for (written, part) in [
        (deep(9).as_str(), "filter-depth-max"),
        (&nested, "filter-depth-max"),
        (&many, "filter-terms-max"),
        (&listed, "filter-terms-max"),
        (&long, "filter-bytes-max"),
        ("S_WITHIN(g, LINESTRING(1 1, 2 2, 3 3, 4 4, 5 5, 6 6, 7 7))", "filter-positions-max"),
        ("S_WITHIN(g, POINT(1 1)) OR S_WITHIN(g, POINT(1 1)) OR S_WITHIN(g, POINT(1 1))", "filter-terms-max"),
    ] {
        let error = read(written).expect_err(part);
        assert!(error.kind() == ErrorKind::LimitReached && error.message().contains(part), "{part}: {error}");
    }
    // What would take the parser's stack or a long time.
    let wide = FilterLimits {
        bytes_max: FilterLimits::BYTES_MAX,
        depth_max: FilterLimits::DEPTH_MAX,
        terms_max: 1_000_000,
        positions_max: 6,
    };
    for written in [
        format!("{}a = 1 1{}", "(".repeat(60), ")".repeat(60)),
        format!("{}a = 1{}", format!("({}", "- ".repeat(60)).repeat(99), ")".repeat(99)),
        format!("{}a = 1{}", format!("({}", "NOT ".repeat(60)).repeat(99), ")".repeat(99)),
        vec!["a = 1"; 40_000].join(" AND "),
        vec!["a"; 100_000].join("="),
        format!("{} a = 1", "NOT ".repeat(60_000)),
        format!("a = {}1", "-".repeat(250_000)),
        format!("a = 1 {}", "'".repeat(200_000)),
    ] {
        let _ = WrittenFilter::Text(written).read(wide);
    }
}

#[test]
fn limits_that_the_parser_could_not_keep_are_refused_at_the_start() {
    assert!(LIMITS.check().is_ok());
    let (long, deep) = (FilterLimits::BYTES_MAX + 1, FilterLimits::DEPTH_MAX + 1);
    for (limits, name) in [
        (FilterLimits { bytes_max: long, ..LIMITS }, "filter-bytes-max is at most 262144, found 262145"),
        (FilterLimits { depth_max: deep, ..LIMITS }, "filter-depth-max is at most 100, found 101"),
    ] {
        assert_eq!(limits.check().expect_err(name).message(), name);
    }
}
