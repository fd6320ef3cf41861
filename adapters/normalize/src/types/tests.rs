//! Tests of the types rule.

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};

fn survey(values: &[&str]) -> ColumnSurvey {
    let mut survey = ColumnSurvey::default();
    values.iter().zip(0..).for_each(|(value, row)| survey.observe(value, row));
    survey
}

fn target(name: &str, values: &[&str]) -> DataType {
    decide(&survey(values), name, &mut Findings::default(), &mut receipt()).data_type()
}

#[test]
fn a_column_is_typed_when_every_value_fits() {
    let timestamp = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    for (values, expected) in [
        (&["1", "2", "-3"][..], DataType::Int64),
        (&["73\u{a0}132", "5"], DataType::Int64),
        (&["1,5", "2"], DataType::Float64),
        (&["1.50", "2.25"], DataType::Float64),
        (&["1,5", "2.5"], DataType::Utf8),
        (&["1,234", "12,345", "7"], DataType::Utf8),
        (&["1,234", "0,125"], DataType::Float64),
        (&["1,234", "1,5"], DataType::Float64),
        (&["01.02.2024", "29.02.2024"], DataType::Date32),
        (&["2024-02-01"], DataType::Date32),
        (&["01/02/2024", "05/06/2024"], DataType::Utf8),
        (&["01/02/2024", "25/06/2024"], DataType::Date32),
        (&["2024-01-01 10:00:00"], timestamp(None)),
        (&["2024-01-01T10:00:00Z"], timestamp(Some("UTC"))),
        (&["2024-01-01T10:00:00+05:00"], timestamp(Some("+05:00"))),
        (&["2024-01-01T10:00:00+05:00", "2024-01-01T10:00:00+06:00"], DataType::Utf8),
        (&["true", "false"], DataType::Boolean),
        (&["да", "нет"], DataType::Utf8),
        (&["1", "0"], DataType::Int64),
        (&["7", "07"], DataType::Utf8),
        (&["Абая", "5"], DataType::Utf8),
        (&[], DataType::Utf8),
        (&["", ""], DataType::Utf8),
        (&["1", ""], DataType::Int64),
    ] {
        assert_eq!(target("x", values), expected, "{values:?}");
    }
}

#[test]
fn identifiers_stay_text() {
    for (name, values) in [
        ("x", &["751110000", "711210000"][..]),
        ("x", &["890402315842", "010140000123"]),
        ("x", &["600 400 123 456", "990\u{a0}140\u{a0}000\u{a0}120"]),
        ("КАТО", &["75", "71"]),
        ("code", &["1", "2"]),
        ("Код района", &["1", "2"]),
        ("postcode", &["1", "2"]),
        ("cadastre_number", &["1", "2"]),
        ("phone", &["77012223344", "7"]),
    ] {
        assert_eq!(target(name, values), DataType::Utf8, "{name}");
    }
    assert_eq!(target("population", &["751110000", "71"]), DataType::Int64);
    assert_eq!(target("year", &["2010", "2011"]), DataType::Int64);
}

#[test]
fn identifiers_that_came_as_numbers_are_named() {
    let rules = |name: &str, data_type: DataType| {
        let mut findings = Findings::default();
        report_numeric_identifier(&data_type, name, &mut findings);
        findings.into_diagnostics().into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules("KATO", DataType::Int32), ["types.numeric_identifier"]);
    assert_eq!(rules("KATO", DataType::Utf8), Vec::<String>::new());
    assert_eq!(rules("population", DataType::Int32), Vec::<String>::new());
}

#[test]
fn commas_that_may_part_thousands_are_named() {
    let mut findings = Findings::default();
    assert_eq!(decide(&survey(&["1,234", "123,456"]), "pop", &mut findings, &mut receipt()), Target::Text);
    assert_eq!(findings.into_diagnostics()[0].rule, "types.ambiguous");
}

#[test]
fn nearly_typed_columns_are_named_with_the_odd_values() {
    let mut values = vec!["1"; 19];
    values.push("н/д");
    let mut findings = Findings::default();
    assert_eq!(decide(&survey(&values), "count", &mut findings, &mut receipt()), Target::Text);
    let found = &findings.into_diagnostics()[0];
    assert_eq!((found.rule.as_str(), found.count), ("types.mixed", 1));
    assert_eq!((found.examples[0].row, found.examples[0].found.as_str()), (Some(19), "н/д"));
}

#[test]
fn values_are_converted_exactly() {
    let read = |values: &[&str]| {
        let target = decide(&survey(values), "x", &mut Findings::default(), &mut receipt());
        apply(&StringArray::from(values.to_vec()), &target, "x", 0).expect("surveyed")
    };
    let days = read(&["01.01.1970", "02.01.1970", "31.12.1969", "01.03.2024"]);
    assert_eq!(days.as_primitive::<Date32Type>().values(), &[0, 1, -1, 19783]);
    let times = read(&["1970-01-01T05:00:00.000001+05:00", ""]);
    assert_eq!(times.as_primitive::<TimestampMicrosecondType>().value(0), 1);
    assert!(times.is_null(1));
    let target = Target::Typed(Notation::Integer, DataType::Int64);
    let error = apply(&StringArray::from(vec!["1", "x"]), &target, "n", 10).expect_err("not surveyed");
    assert!(error.message().contains("row 11"), "{error}");
}
