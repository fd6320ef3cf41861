//! Values beside a type, and what becomes of them.

use super::*;

/// What fits, as text, and which rows do not.
fn check(expected: &DataType, values: &[&str]) -> (Vec<String>, Vec<usize>) {
    check_written(expected, &Expectation::default(), values)
}

fn check_written(expected: &DataType, how: &Expectation, values: &[&str]) -> (Vec<String>, Vec<usize>) {
    let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let (mut misfits, mut findings) = (vec![false; values.len()], Findings::default());
    let typed = apply(&column, (expected, how), "n", 10, &mut misfits, &mut findings).expect("a column");
    assert_eq!(typed.data_type(), expected);
    let found = findings.into_diagnostics().into_iter().find(|found| found.rule == "types.expected");
    let found = found.map_or(0, |found| found.count);
    assert_eq!(found, misfits.iter().filter(|misfit| **misfit).count() as u64);
    let options = FormatOptions::new().with_null("∅");
    let format = ArrayFormatter::try_new(typed.as_ref(), &options).expect("shown");
    let shown = (0..typed.len()).map(|i| format.value(i).to_string()).collect();
    (shown, (0..values.len()).filter(|i| misfits[*i]).collect())
}

#[test]
fn a_value_fits_its_type_or_its_row_is_refused() {
    let text = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let cases = [
        (DataType::Int64, vec!["5", "1 200", "", "5,5", "many"], vec!["5", "1200", "∅", "∅", "∅"], vec![3, 4]),
        (DataType::Int8, vec!["5", "500"], vec!["5", "∅"], vec![1]),
        (
            DataType::Float64,
            vec!["5", "1,25", "-1.5", "1e-7", "inf"],
            vec!["5.0", "1.25", "-1.5", "1e-7", "∅"],
            vec![4],
        ),
        (
            DataType::Date32,
            vec!["2024-05-31", "31.05.2024", "31.02.2024"],
            vec!["2024-05-31", "2024-05-31", "∅"],
            vec![2],
        ),
        (DataType::Boolean, vec!["true", "maybe"], vec!["true", "∅"], vec![1]),
        (DataType::Utf8, vec!["007", ""], vec!["007", ""], vec![]),
        (DataType::Binary, vec!["00FF", "0"], vec!["00ff", "∅"], vec![1]),
        (DataType::Decimal128(10, 2), vec!["1,25", "1.255"], vec!["1.25", "∅"], vec![1]),
    ];
    for (expected, values, shown, misfits) in cases {
        assert_eq!(check(&expected, &values), (text(&shown), misfits), "{expected}");
    }
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+05:00".into()));
    let (shown, misfits) = check(&zoned, &["2024-05-31T10:00:00+05:00", "2024-05-31T05:00:00Z", "2024-05-31T10:00:00"]);
    assert_eq!((shown[0] == shown[1], misfits), (true, vec![2]));
}

#[test]
fn a_value_is_read_in_the_notation_that_its_column_has() {
    let in_notation = |notation| Expectation { notation: Some(notation), ..Expectation::default() };
    let with_unit = |unit: &str, how| Expectation { unit: Some(unit.to_owned()), ..how };
    let zone = Some(Zone::declared("Asia/Almaty").expect("a zone"));
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let clock = DataType::Timestamp(TimeUnit::Microsecond, None);
    let cases = [
        (
            DataType::Float64,
            with_unit("%", in_notation(Notation::GroupedComma)),
            ["1.234.567,8", "1.234", "12 %"],
            ["1234567.8", "1234.0", "12.0"],
        ),
        (DataType::Float64, in_notation(Notation::GroupedPoint), ["1,234", "5", "(7)"], ["1234.0", "5.0", "-7.0"]),
        (
            DataType::Float64,
            in_notation(Notation::DecimalComma),
            ["1,234", "1.5", "1,234,567"],
            ["1.234", "1.5", "1234567.0"],
        ),
        (DataType::Int64, with_unit("км", in_notation(Notation::Integer)), ["12 км", "5", "12 м²"], ["12", "5", "∅"]),
        (
            DataType::Date32,
            in_notation(Notation::DateMonthFirst),
            ["05/06/2024", "2024-05-31", "31/05/2024"],
            ["2024-05-06", "2024-05-31", "∅"],
        ),
        (
            DataType::Date32,
            in_notation(Notation::DateSlashed),
            ["05/06/2024", "31-05-2024", "05/31/2024"],
            ["2024-06-05", "2024-05-31", "∅"],
        ),
        (
            instant.clone(),
            Expectation { zone: zone.clone(), ..in_notation(Notation::DateTime) },
            ["2024-05-31T10:00:00", "2024-05-31T05:00:00Z", "soon"],
            ["2024-05-31T05:00:00Z", "2024-05-31T05:00:00Z", "∅"],
        ),
        (
            instant.clone(),
            Expectation { zone: zone.clone(), ..in_notation(Notation::DateTimeZoned) },
            ["2024-05-31T10:00:00", "2024-05-31T10:00:00+05:00", ""],
            ["∅", "2024-05-31T05:00:00Z", "∅"],
        ),
        (
            instant.clone(),
            Expectation { zone, ..Expectation::default() },
            ["2024-05-31T10:00:00", "2024-05-31T10:00:00+03:00", "31 мая, утром"],
            ["2024-05-31T05:00:00Z", "2024-05-31T07:00:00Z", "∅"],
        ),
        (
            instant,
            Expectation::default(),
            ["2024-05-31T10:00:00", "2024-05-31T05:00:00Z", ""],
            ["∅", "2024-05-31T05:00:00Z", "∅"],
        ),
        (
            clock,
            Expectation { serial: Some(Serial::From1900), ..Expectation::default() },
            ["45443.5", "2024-05-31T12:00:00", "60"],
            ["2024-05-31T12:00:00", "2024-05-31T12:00:00", "∅"],
        ),
    ];
    for (expected, how, values, shown) in cases {
        assert_eq!(check_written(&expected, &how, &values).0, shown, "{how:?}");
    }
}

#[test]
fn a_value_is_read_in_any_notation_that_has_one_meaning() {
    let of_unit = |unit: &str| Expectation { unit: Some(unit.to_owned()), ..Expectation::default() };
    let cases = [
        (DataType::Float64, of_unit("тг"), ["900 тг", "900 тенге", "₸900"], ["900.0", "900.0", "900.0"]),
        (DataType::Float64, of_unit("тг"), ["900 км", "900 тыс. тг", "5 %"], ["∅", "∅", "∅"]),
        (DataType::Float64, Expectation::default(), ["900 тг", "3,456.5", "3.456,5"], ["∅", "3456.5", "3456.5"]),
        (DataType::Float64, Expectation::default(), ["(8)", "(1 200,5)", "1,234"], ["-8.0", "-1200.5", "∅"]),
        (DataType::Int64, Expectation::default(), ["(8)", "1,234,567", "1,234"], ["-8", "1234567", "∅"]),
        (
            DataType::Decimal128(10, 2),
            of_unit("тг"),
            ["1 234,50 тг", "1,234.5", "(8)"],
            ["1234.50", "1234.50", "-8.00"],
        ),
        (
            DataType::Date32,
            Expectation::default(),
            ["25/12/2024", "12-25-2024", "01/02/2024"],
            ["2024-12-25", "2024-12-25", "∅"],
        ),
        (
            DataType::Date32,
            Expectation::default(),
            ["05/05/2024", "12 января 2024 г.", "31/02/2024"],
            ["2024-05-05", "2024-01-12", "∅"],
        ),
    ];
    for (expected, how, values, shown) in cases {
        assert_eq!(check_written(&expected, &how, &values).0, shown, "{expected} {how:?} {values:?}");
    }
}

#[test]
fn numbers_of_a_spreadsheet_are_text_as_short_as_they_are_exact() {
    let numbers: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![Some(5.0), Some(76.95), None]));
    let text = as_text(&numbers).expect("text");
    assert_eq!(text.iter().collect::<Vec<_>>(), [Some("5"), Some("76.95"), None]);
}
