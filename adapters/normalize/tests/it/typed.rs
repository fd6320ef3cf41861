//! Types and codes through the whole rules: what was typed can be typed again, and nothing becomes another value.

use crate::layers;
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use ukimet_model::{ErrorKind, LayerReport, Result};
use ukimet_normalize::{DATE_CELLS_KEY, Declared, NUMERIC_CELLS_KEY, ROLE_KEY, UNIT_KEY};

fn normalize(
    columns: Vec<(Field, ArrayRef)>,
    untyped: bool,
    declared: &Declared,
) -> Result<(RecordBatch, LayerReport)> {
    layers::normalize(layers::layer(columns, layers::UTF8, untyped), declared)
}

fn text(name: &str, values: &[String]) -> (Field, ArrayRef) {
    (Field::new(name, DataType::Utf8, true), Arc::new(StringArray::from_iter_values(values)))
}

fn rules(report: &LayerReport) -> Vec<(&str, u64)> {
    let found = report.diagnostics.iter().filter(|found| found.rule != "geometry.none");
    found.map(|found| (found.rule.as_str(), found.count)).collect()
}

/// A column as text, the way it is exported; null is empty.
fn printed(column: &ArrayRef) -> Vec<String> {
    let print =
        |i: usize| if column.is_null(i) { String::new() } else { array_value_to_string(column, i).expect("prints") };
    (0..column.len()).map(print).collect()
}

/// One way of writing values, for a whole column.
fn columns() -> impl Strategy<Value = Vec<String>> {
    let of = |pattern: &'static str| prop::collection::vec(pattern, 1..12).boxed();
    prop_oneof![
        of("-?[0-9]{1,20}"),
        of("-?[0-9]{1,6}[.,][0-9]{1,12}"),
        of("[0-9]{1,3} [0-9]{3}(,[0-9]{1,3})?"),
        of("[0-9]{1,2}(,[0-9])? ?%"),
        of("(\\()?[0-9]{1,4}(\\))?"),
        of("[+−-]?[0-9]{1,4}( км)?"),
        of("[0-9](\\.[0-9]{1,5})?[eE][+-]?[0-9]{1,3}"),
        of("(-|—|н/д|x|[0-9]{1,3})"),
        of("[0-3][0-9][./-][01][0-9][./-](19|20)[0-9]{2}"),
        of("(0001|2024|9999)-[01][0-9]-[0-3][0-9]"),
        of("2024-02-29[T ](2[0-4]|0[0-9]):[03]0:00(Z|\\+05:00)?"),
        of("[0-9]{1,2} (января|қаңтар|Jan) 2024( г\\.)?"),
        of("(I|II|1) (квартал|полугодие) 20[0-9]{2}"),
        of("(true|false|TRUE)"),
        of("[0-9]{4,12}"),
        of("\\PC{0,12}"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_typed_is_typed_the_same_again(values in columns(), name in "(x|Дата|код|iin|Площадь, га)") {
        let (first, _) = normalize(vec![text(&name, &values)], true, &Declared::default()).expect("a table");
        let again = printed(first.column(0));
        let (second, _) = normalize(vec![text(&name, &again)], true, &Declared::default()).expect("a table");
        prop_assert_eq!(printed(second.column(0)), again, "{:?} {}", values, first.column(0).data_type());
        let has_value = first.column(0).null_count() < first.num_rows();
        if has_value && first.column(0).data_type() != &DataType::Utf8 {
            prop_assert_eq!(second.column(0).data_type(), first.column(0).data_type(), "{:?}", values);
        }
    }

    #[test]
    fn a_typed_number_is_the_number_that_was_written(values in prop::collection::vec("-?(0|[1-9][0-9]{0,19})([.,][0-9]{1,20})?", 1..8)) {
        let (rows, _) = normalize(vec![text("x", &values)], true, &Declared::default()).expect("a table");
        for (written, typed) in values.iter().zip(printed(rows.column(0))) {
            prop_assert_eq!(digits(written), digits(&typed), "{} became {}", written, typed);
        }
    }

    #[test]
    fn identifiers_are_never_numbers(
        length in 9_usize..24,
        seeds in prop::collection::vec(prop::collection::vec(0_u8..10, 24), 2..40),
        marks in prop::collection::vec("(|-|н/д)", 0..3),
    ) {
        let number = |digits: &Vec<u8>| digits[..length].iter().map(u8::to_string).collect::<String>();
        let mut values: Vec<String> = seeds.iter().map(number).collect();
        values.extend(marks);
        let (rows, report) = normalize(vec![text("x", &values)], true, &Declared::default()).expect("a table");
        prop_assert_eq!(rows.column(0).data_type(), &DataType::Utf8);
        prop_assert_eq!(printed(rows.column(0)), values);
        prop_assert!(rules(&report).iter().all(|(rule, _)| !rule.starts_with("codes.")), "{:?}", report.diagnostics);
    }
}

/// Sign and digits of a plain or exponential decimal number, without needless zeros: equal for equal numbers.
fn digits(text: &str) -> (bool, String, i64) {
    let text = text.replace(',', ".");
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = all.trim_start_matches('0').trim_end_matches('0').to_owned();
    let zeros = (all.len() - all.trim_end_matches('0').len()) as i64;
    let point = power.parse::<i64>().expect("a power") - fraction.len() as i64 + zeros;
    if significant.is_empty() { (false, significant, 0) } else { (text.starts_with('-'), significant, point) }
}

#[test]
fn an_rka_from_number_cells_takes_its_row_out() {
    let marked = HashMap::from([(NUMERIC_CELLS_KEY.to_owned(), "1".to_owned())]);
    let rka = Field::new("РКА", DataType::Utf8, true).with_metadata(marked);
    let values = ["1201300001234560", "0201300001234567", "201300001234560"];
    let columns = || -> Vec<(Field, ArrayRef)> {
        let (lat, lon) = (["43,1", "43,2", "43,3"].map(str::to_owned), ["76,1", "76,2", "76,3"].map(str::to_owned));
        vec![(rka.clone(), Arc::new(StringArray::from(values.to_vec()))), text("Широта", &lat), text("Долгота", &lon)]
    };
    let (rows, report) = normalize(columns(), true, &Declared::default()).expect("a table");
    assert_eq!(printed(rows.column(0)), ["0201300001234567"]);
    assert_eq!((report.rows_read, report.rows_taken, report.rows_refused), (3, 1, 2));
    assert_eq!((report.geometry_types["Point"], rows.schema().field(0).metadata()[ROLE_KEY].as_str()), (1, "rka"));
    let damaged = report.diagnostics.iter().find(|found| found.rule == "codes.damaged_rka").expect("is said");
    assert_eq!(damaged.examples.iter().map(|e| e.row).collect::<Vec<_>>(), [Some(0), Some(2)]);
    // A column that the source typed as a number is no better.
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1_201_300_001_234_560.0), None]));
    let typed = vec![(Field::new("rca", DataType::Float64, true), numbers)];
    let (rows, report) = normalize(typed, false, &Declared::default()).expect("a table");
    assert_eq!((printed(rows.column(0)), report.rows_refused), (vec![String::new()], 1));
}

#[test]
fn a_kato_that_came_as_a_number_is_published_as_text_and_compared_with_the_register() {
    let column: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(750_000_000), Some(631_000_000), Some(759_999_999), None]));
    let columns = || vec![(Field::new("kato", DataType::Int64, true), Arc::clone(&column))];
    let (rows, report) = normalize(columns(), false, &Declared::default()).expect("a table");
    assert_eq!(printed(rows.column(0)), ["750000000", "631000000", "759999999", ""]);
    assert_eq!(rules(&report), [("codes.detected", 1), ("codes.from_number", 1)]);
    let register = [
        text("code", &["750000000", "631000000"].map(str::to_owned)),
        text("valid_to", &["", "2022-06-08"].map(str::to_owned)),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = register.into_iter().unzip();
    let register = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a table");
    let references = BTreeMap::from([("kato".to_owned(), register)]);
    let mut declared = Declared { references, ..Declared::default() };
    let (_, report) = normalize(columns(), false, &declared).expect("a table");
    assert_eq!(rules(&report)[2..], [("codes.unknown_kato", 1), ("codes.kato_ended", 1)]);
    declared.valid_on = Some(jiff::civil::date(2024, 1, 1));
    let (_, report) = normalize(columns(), false, &declared).expect("a table");
    assert_eq!(rules(&report)[2..], [("codes.unknown_kato", 1), ("codes.kato_not_then", 1)]);
    declared.valid_on = Some(jiff::civil::date(2020, 1, 1));
    let (_, report) = normalize(columns(), false, &declared).expect("a table");
    assert_eq!(rules(&report)[2..], [("codes.unknown_kato", 1)]);
}

#[test]
fn a_declared_zone_turns_local_times_into_instants_and_is_in_the_receipt() {
    let declared = Declared { time_zone: Some("KZ-71".to_owned()), ..Declared::default() };
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_709_249_400_000_000]));
    let clock = Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true);
    let columns = vec![(clock, times), text("modified", &["2024-02-29 23:30:00".to_owned()])];
    let (rows, report) = normalize(columns, true, &declared).expect("a table");
    assert_eq!(printed(rows.column(0)), ["2024-02-29T17:30:00Z"]);
    assert_eq!(printed(rows.column(1)), ["2024-02-29T17:30:00Z"]);
    assert_eq!(rules(&report), [("time.ambiguous", 2)]);
    let receipt = report.steps.iter().find(|step| step.step == "types").expect("a receipt");
    assert_eq!(receipt.parameters["time_zone"], "Asia/Almaty");
    assert!(receipt.parameters["time_zone_database"].starts_with("20"), "{:?}", receipt.parameters);
    let wrong = Declared { time_zone: Some("Asia/Alma-Ata".to_owned()), ..Declared::default() };
    let error = normalize(vec![text("x", &["1".to_owned()])], true, &wrong).expect_err("no zone");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_declared_region_invents_no_zone() {
    let declared = Declared { region: Some("KZ-75".to_owned()), ..Declared::default() };
    let columns = vec![text("modified", &["2024-02-29 23:30:00".to_owned()])];
    let (rows, report) = normalize(columns, true, &declared).expect("a table");
    assert_eq!(rows.schema().field(0).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, None));
    assert_eq!(printed(rows.column(0)), ["2024-02-29T23:30:00"]);
    let receipt = report.steps.iter().find(|step| step.step == "types").expect("a receipt");
    assert!(!receipt.parameters.contains_key("time_zone"), "{:?}", receipt.parameters);
}

#[test]
fn cells_that_a_spreadsheet_shows_as_dates_are_times() {
    let marked = HashMap::from([(DATE_CELLS_KEY.to_owned(), "1900".to_owned())]);
    let field = Field::new("d", DataType::Float64, true).with_metadata(marked);
    let columns = vec![(field, Arc::new(Float64Array::from(vec![45_292.5])) as ArrayRef)];
    let (rows, _) = normalize(columns, false, &Declared::default()).expect("a table");
    assert_eq!(printed(rows.column(0)), ["2024-01-01T12:00:00"]);
}

#[test]
fn units_are_kept_with_the_column_and_nothing_is_rescaled() {
    let columns = vec![
        text("Доля", &["12,5 %", "7 %"].map(str::to_owned)),
        text("Население (тыс. чел.)", &["2000,9", "1350,2"].map(str::to_owned)),
    ];
    let (rows, report) = normalize(columns, true, &Declared::default()).expect("a table");
    assert_eq!(printed(rows.column(0)), ["12.5", "7.0"]);
    assert_eq!(printed(rows.column(1)), ["2000.9", "1350.2"]);
    let unit = |i: usize| rows.schema().field(i).metadata()[UNIT_KEY].clone();
    assert_eq!((unit(0).as_str(), unit(1).as_str()), ("%", "тыс. чел."));
    assert_eq!(rules(&report), [("numbers.unit", 1)]);
    let types = report.steps.iter().find(|step| step.step == "types").expect("a receipt");
    assert_eq!(types.parameters.get("units").map(String::as_str), Some("Доля: %; Население (тыс. чел.): тыс. чел."));
}

#[test]
fn a_birthday_that_differs_from_the_iin_is_a_warning() {
    let iin = |head: &str| {
        let weights =
            |from: u32| head.bytes().zip(0_u32..).map(move |(b, i)| u32::from(b - b'0') * ((i + from) % 11 + 1));
        let sums = [weights(0).sum::<u32>() % 11, weights(2).sum::<u32>() % 11];
        let digit = sums.into_iter().find(|sum| *sum < 10).expect("is issued");
        format!("{head}{digit}")
    };
    let columns = vec![
        text("ИИН", &[iin("89040235012"), iin("89040245012")]),
        text("Дата рождения", &["02.04.1989", "03.04.1989"].map(str::to_owned)),
        text("Пол", &["М", "м"].map(str::to_owned)),
    ];
    let (rows, report) = normalize(columns, true, &Declared::default()).expect("a table");
    assert_eq!((rows.num_rows(), rules(&report)), (2, vec![("codes.detected", 1), ("codes.person_differs", 2)]));
    let found =
        &report.diagnostics.iter().find(|found| found.rule == "codes.person_differs").expect("is said").examples;
    assert_eq!(
        (found[0].row, found[0].field.as_deref(), found[0].found.as_str()),
        (Some(1), Some("Дата рождения"), "1989-04-03")
    );
    assert!(rows.column(0).as_string::<i32>().value(0).starts_with("890402350"));
}

#[test]
fn a_table_that_names_parents_is_followed_through_all_batches() {
    let mut parents = StringBuilder::new();
    for parent in ["2", "1", "9"] {
        parents.append_value(parent);
    }
    let columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("id", DataType::Int64, true), Arc::new(Int64Array::from(vec![1, 2, 3]))),
        (Field::new("parent_id", DataType::Utf8, true), Arc::new(parents.finish())),
    ];
    let (_, report) = normalize(columns, false, &Declared::default()).expect("a table");
    assert_eq!(rules(&report), [("codes.orphan", 1), ("codes.loop", 2)]);
    assert!(report.steps.iter().any(|step| step.step == "codes"));
}
