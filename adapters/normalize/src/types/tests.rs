//! Tests of the types rule.

use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use ukimet_model::Diagnostic;

fn survey(values: &[&str]) -> ColumnSurvey {
    let mut survey = ColumnSurvey::default();
    for value in values {
        survey.observe(value);
    }
    survey
}

fn target(name: &str, values: &[&str]) -> DataType {
    decide(&survey(values), name, None, &mut Findings::default(), &mut receipt(None)).data_type()
}

/// The column as it is published, and what is told of it.
fn read(name: &str, values: &[&str], zone: Option<&str>) -> (ArrayRef, Vec<Diagnostic>) {
    let mut findings = Findings::default();
    let zone = zone.map(|zone| Zone::declared(zone).expect("a zone"));
    let target = decide(&survey(values), name, zone.as_ref(), &mut findings, &mut receipt(zone.as_ref()));
    let column = apply(&StringArray::from(values.to_vec()), &target, name, 0, &mut findings).expect("surveyed");
    (column, findings.into_diagnostics())
}

fn rules(found: &[Diagnostic]) -> Vec<&str> {
    found.iter().map(|found| found.rule.as_str()).collect()
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
    let told = |name: &str, data_type: DataType| {
        let mut findings = Findings::default();
        report_numeric_identifier(&data_type, name, &mut findings);
        findings.into_diagnostics().into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(told("KATO", DataType::Int32), ["types.numeric_identifier"]);
    assert_eq!(told("KATO", DataType::Utf8), Vec::<String>::new());
    assert_eq!(told("population", DataType::Int32), Vec::<String>::new());
}

#[test]
fn commas_that_may_part_thousands_are_named() {
    let mut findings = Findings::default();
    assert_eq!(
        decide(&survey(&["1,234", "123,456"]), "pop", None, &mut findings, &mut receipt(None)),
        Target::Text(None)
    );
    assert_eq!(findings.into_diagnostics()[0].rule, "types.ambiguous");
}

#[test]
fn nearly_typed_columns_are_named_with_the_odd_values() {
    let mut values = vec!["1"; 19];
    values.push("много");
    let (column, found) = read("count", &values, None);
    assert_eq!((column.data_type(), rules(&found), found[0].count), (&DataType::Utf8, vec!["types.mixed"], 1));
    assert_eq!((found[0].examples[0].row, found[0].examples[0].found.as_str()), (Some(19), "много"));
}

#[test]
fn values_are_converted_exactly() {
    let typed = |values: &[&str]| read("x", values, None).0;
    let days = typed(&["01.01.1970", "02.01.1970", "31.12.1969", "01.03.2024"]);
    assert_eq!(days.as_primitive::<Date32Type>().values(), &[0, 1, -1, 19783]);
    let times = typed(&["1970-01-01T05:00:00.000001+05:00", ""]);
    assert_eq!(times.as_primitive::<TimestampMicrosecondType>().value(0), 1);
    assert!(times.is_null(1));
    let target = decide(&survey(&["1"]), "n", None, &mut Findings::default(), &mut receipt(None));
    let other = StringArray::from(vec!["1", "x"]);
    let error = apply(&other, &target, "n", 10, &mut Findings::default()).expect_err("not surveyed");
    assert!(error.message().contains("row 12 "), "{error}");
}

#[test]
fn numbers_are_read_in_every_notation_of_one_column() {
    for (values, expected) in [
        (&["12,5 %", "7 %", "0,1%"][..], &[12.5, 7.0, 0.1][..]),
        (&["1\u{a0}234,5 тг", "5,0 тг"], &[1234.5, 5.0]),
        (&["1'234.5", "\u{2212}2.5", "+3.5"], &[1234.5, -2.5, 3.5]),
        (&["(1.5)", "2.5"], &[-1.5, 2.5]),
        (&["1.5E+05", "2"], &[150_000.0, 2.0]),
        (&["1e19"], &[1e19]),
        (&["1,234,567.8", "1,234"], &[1_234_567.8, 1234.0]),
        (&["1,234,567", "12"], &[1_234_567.0, 12.0]),
        (&["1.234.567,8", "1.234"], &[1_234_567.8, 1234.0]),
    ] {
        let (column, _) = read("x", values, None);
        let column = column.as_primitive_opt::<Float64Type>().unwrap_or_else(|| panic!("{values:?} are numbers"));
        assert_eq!(column.values(), expected, "{values:?}");
    }
    for values in [
        &["(1)", "(2)"][..],
        &["+7", "+8"],
        &["1E5", "3E2"],
        &["5 км", "7 м"],
        &["5 км", "7"],
        &["5А", "7А"],
        &["9007199254740993", "1.5"],
        &["20000000000000768", "1.5"],
        &["9223372036854775808", "1"],
        &["10.2023", "11.2023"],
        &["∞", "1"],
        &["-", "-", "1"],
        &["1.2.3", "1"],
    ] {
        assert_eq!(read("x", values, None).0.data_type(), &DataType::Utf8, "{values:?}");
    }
}

#[test]
fn what_is_told_of_numbers_names_the_cells() {
    let (column, found) = read("x", &["5", "—", "н/д", "x", "7", "8"], None);
    assert_eq!((column.data_type(), column.null_count()), (&DataType::Int64, 3));
    assert_eq!((rules(&found), found[0].count), (vec!["numbers.missing_mark"], 3));
    let cells: Vec<_> = found[0].examples.iter().map(|e| (e.row, e.found.as_str(), e.taken.as_deref())).collect();
    assert_eq!(cells, [1, 2, 3].map(|i| (Some(i), ["—", "н/д", "x"][i as usize - 1], Some("null"))));
    for (values, expected) in [
        (&["(1,5)", "2"][..], &["numbers.brackets"][..]),
        (&["1.5E+05", "2"], &["numbers.power"]),
        (&["5 км", "7 км"], &["numbers.unit"]),
        (&["5 км", "7 м"], &["numbers.units"]),
        (&["9223372036854775808", "1"], &["numbers.exact"]),
        (&["0.12345678901234567891", "0.5"], &["numbers.exact"]),
        (&["5", "7"], &[]),
    ] {
        assert_eq!(rules(&read("x", values, None).1), expected, "{values:?}");
    }
}

#[test]
fn days_are_decided_by_the_whole_column() {
    for (values, data_type, expected) in [
        (&["05/06/2024", "25/06/2024"][..], DataType::Date32, &[][..]),
        (&["05/06/2024", "06/25/2024"], DataType::Date32, &[]),
        (&["05-06-2024", "06-25-2024"], DataType::Date32, &[]),
        (&["05/06/2024"], DataType::Utf8, &["time.order_unknown"]),
        (&["25/06/2024", "06/25/2024"], DataType::Utf8, &["time.order_mixed"]),
        (&["05.06.2024"], DataType::Date32, &[]),
        (&["05.06.24", "31.12.99"], DataType::Utf8, &["time.two_digit_year"]),
        (&["12 января 2024 г.", "2024 жылғы 12 қаңтар"], DataType::Date32, &[]),
        (&["I квартал 2024", "II квартал 2024"], DataType::Utf8, &["time.form"]),
        (&["2024 г."], DataType::Utf8, &["time.form"]),
        (&["10.2023", "11.2023"], DataType::Utf8, &["time.form"]),
        (&["2021-01-01+06:00"], DataType::Utf8, &["time.form"]),
        (&["01.01.2024", "31.12.9999"], DataType::Date32, &["time.sentinel"]),
        (&["0001-01-01", "2024-01-01"], DataType::Date32, &["time.sentinel"]),
        (&["01.01.2024", "-", "-"], DataType::Utf8, &[]),
        (&["01.01.2024", "-"], DataType::Date32, &["numbers.missing_mark"]),
    ] {
        let (column, found) = read("x", values, None);
        assert_eq!((column.data_type(), rules(&found).as_slice()), (&data_type, expected), "{values:?}");
    }
    let (days, _) = read("x", &["05/06/2024", "06/25/2024"], None);
    assert_eq!(
        days.as_primitive::<Date32Type>().value_as_date(0).map(|day| day.to_string()).as_deref(),
        Some("2024-05-06")
    );
}

#[test]
fn times_have_a_zone_only_if_somebody_says_so() {
    let values = ["2024-02-29 23:30:00", "29.02.2024 24:00:00", "9999-12-31 23:59:59"];
    let (times, found) = read("x", &values, None);
    assert_eq!(times.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
    assert_eq!(rules(&found), ["time.end_of_day", "time.sentinel"]);
    let (times, found) = read("x", &values, Some("Asia/Almaty"));
    assert_eq!(times.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert_eq!(rules(&found), ["time.end_of_day", "time.sentinel", "time.ambiguous"]);
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let hour = |i: usize| times.value(i) / 3_600_000_000 % 24;
    assert_eq!((hour(0), hour(1), hour(2)), (17, 19, 18));
    // A zone of their own is theirs.
    let (times, _) = read("x", &["2024-01-01T10:00:00+06:00"], Some("Asia/Almaty"));
    assert_eq!(times.data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("+06:00".into())));
}

#[test]
fn numbers_that_may_count_time_are_offered_only() {
    for (name, values, rule) in [
        ("Дата", &["45292", "45300"][..], Some("time.serial")),
        ("created", &["1704067200", "1709251200"], Some("time.epoch")),
        ("created", &["1704067200000", "1709251200000"], Some("time.epoch")),
        ("population", &["45292", "45300"], None),
        ("date", &["1", "45300"], None),
    ] {
        let (column, found) = read(name, values, None);
        assert_ne!(column.data_type(), &DataType::Date32);
        assert_eq!(found.iter().map(|f| f.rule.as_str()).find(|rule| rule.starts_with("time.")), rule, "{name}");
    }
}

#[test]
fn a_unit_that_is_not_that_of_the_header_is_told() {
    for (name, value) in [("Площадь, га", "5 м²"), ("Доля, %", "5 км"), ("Сумма, тыс. тенге", "500 тг")]
    {
        let (column, found) = read(name, &[value, value], None);
        assert_eq!(*column.data_type(), DataType::Int64);
        assert!(rules(&found).contains(&"numbers.unit_differs"), "{name}: {found:?}");
    }
    for (name, value) in [("Площадь, га", "5 ha"), ("Сумма, тенге", "500 тг."), ("Длина", "5 км"), ("Имя, отч", "5 км")]
    {
        let (_, found) = read(name, &[value, value], None);
        assert!(!rules(&found).contains(&"numbers.unit_differs"), "{name}: {found:?}");
    }
}

#[test]
fn points_that_may_part_thousands_are_told() {
    let (column, found) = read("n", &["2.001", "3.002", "51.050"], None);
    assert_eq!((column.data_type(), rules(&found)), (&DataType::Float64, vec!["numbers.point"]));
    for others in ["0.5", "1000", "0.125", "1234.567"] {
        assert_eq!(rules(&read("n", &["2.001", others], None).1), Vec::<&str>::new(), "{others}");
    }
}

#[test]
fn long_digits_that_stay_text_are_told_and_are_no_identifiers_beside_fractions() {
    let long = ["123456789012345678901234567890", "223456789012345678901234567890"];
    let (column, found) = read("Бюджет", &long, None);
    assert_eq!((column.data_type(), rules(&found)), (&DataType::Utf8, vec!["types.identifier"]));
    let (column, found) = read("Бюджет, тенге", &["12345678901234567890"], None);
    assert_eq!((column.data_type(), rules(&found)), (&DataType::Utf8, vec!["types.identifier"]));
    let (column, found) = read("Бюджет", &["0.5", "12000000000000000", "100000000000000000000.0"], None);
    assert_eq!((column.data_type(), rules(&found)), (&DataType::Float64, vec![]));
    assert_eq!(target("Бюджет", &["123456789", "223456789"]), DataType::Utf8);
}
