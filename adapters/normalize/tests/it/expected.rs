//! Rows that have to fit a schema that is there already.

use crate::layers::{UTF8, layer};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, described_field, geometry_field};
use ukimet_model::{COLUMNS_KEY, ColumnDecision, ErrorKind, LayerReport, NAMED_COLUMNS_KEY, QuarantinedRow, Result};
use ukimet_normalize::{Declared, Limits, Survey};

fn run(
    expected: &SchemaRef,
    columns: Vec<(&str, ArrayRef)>,
) -> Result<(RecordBatch, LayerReport, Vec<QuarantinedRow>)> {
    run_declared(expected, Declared::default(), columns, true)
}

fn run_declared(
    expected: &SchemaRef,
    declared: Declared,
    columns: Vec<(&str, ArrayRef)>,
    untyped: bool,
) -> Result<(RecordBatch, LayerReport, Vec<QuarantinedRow>)> {
    let field = |(name, column): (&str, ArrayRef)| (Field::new(name, column.data_type().clone(), true), column);
    let (layer, raw) = layer(columns.into_iter().map(field).collect(), UTF8, untyped);
    let has_places = expected.fields().iter().any(|field| field.name() == "geometry");
    let declared = Declared { crs: has_places.then(|| "OGC:CRS84".to_owned()), ..declared };
    let mut survey = Survey::begin(&layer, &declared, &Limits::default())?;
    survey.expect(expected)?;
    survey.observe(&raw)?;
    let mut normalizer = survey.finish()?.normalizer();
    let rows = normalizer.normalize(&raw)?.into_rows();
    let refused = normalizer.take_quarantined();
    Ok((rows, normalizer.finish()?.0, refused))
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn every_column_takes_the_type_it_has_and_a_misfit_refuses_its_row() {
    let expected: SchemaRef = Arc::new(Schema::new(vec![
        attribute_field("kod", "Код", DataType::Utf8),
        attribute_field("n", "Население", DataType::Int64),
        Arc::new(geometry_field()),
    ]));
    let columns = vec![
        ("wkt", text(&["POINT(76 43)", "POINT(76", "POINT(77 43)", ""])),
        ("Население", text(&["1 200", "5", "many", ""])),
        ("Код", text(&["007", "8", "9", "10"])),
    ];
    let (rows, report, refused) = run(&expected, columns).expect("normalizes");
    let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["kod", "n", "geometry"]);
    assert_eq!(rows.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["007", "10"]);
    let numbers = rows.column(1).as_primitive::<Int64Type>();
    assert_eq!((numbers.value(0), numbers.is_null(1)), (1200, true));
    assert!(rows.column(2).is_valid(0) && rows.column(2).is_null(1), "no geometry is no misfit");
    assert_eq!((report.rows_read, report.rows_taken, report.rows_refused), (4, 2, 2));
    assert_eq!(refused.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 2]);
    let rules: Vec<_> = report.diagnostics.iter().map(|found| (found.rule.as_str(), found.count)).collect();
    assert!(rules.contains(&("types.expected", 1)) && rules.contains(&("geometry.malformed", 1)), "{rules:?}");
}

#[test]
fn rows_of_which_most_have_no_readable_geometry_do_not_lose_it_silently() {
    let expected: SchemaRef =
        Arc::new(Schema::new(vec![attribute_field("a", "a", DataType::Utf8), Arc::new(geometry_field())]));
    let columns = vec![("a", text(&["x", "y"])), ("wkt", text(&["POINT(76", "POINT"]))];
    let (rows, report, _) = run(&expected, columns).expect("normalizes");
    assert_eq!((rows.num_rows(), report.rows_refused), (0, 2));
}

#[test]
fn a_missing_column_or_geometry_is_named() {
    let expected: SchemaRef =
        Arc::new(Schema::new(vec![attribute_field("a", "Имя", DataType::Utf8), Arc::new(geometry_field())]));
    let without_name = run(&expected, vec![("wkt", text(&["POINT(76 43)"]))]).expect_err("no name");
    assert!(without_name.message().contains("\"Имя\""), "{without_name}");
    let without_place = run(&expected, vec![("Имя", text(&["x"]))]).expect_err("no place");
    assert_eq!(without_place.kind(), ErrorKind::InvalidData);
}

#[test]
fn a_schema_without_columns_asks_for_text_as_it_stands() {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![5.0, 76.95]));
    let columns = vec![("lon", text(&["76,5", "007"])), ("lat", text(&["43", ""])), ("n", numbers)];
    let (rows, report, _) = run(&Arc::new(Schema::empty()), columns).expect("normalizes");
    let column = |at: usize| rows.column(at).as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    assert_eq!((column(0), column(1), column(2)), (vec!["76,5", "007"], vec!["43", ""], vec!["5", "76.95"]));
    assert!(report.diagnostics.is_empty() && rows.num_columns() == 3, "{:?}", report.diagnostics);
}

#[test]
fn a_row_in_an_impossible_place_stays_refused_and_does_not_end_the_others() {
    let expected: SchemaRef =
        Arc::new(Schema::new(vec![attribute_field("a", "a", DataType::Utf8), Arc::new(geometry_field())]));
    let columns = vec![("a", text(&["x"])), ("wkt", text(&["POINT(176 143)"]))];
    let (rows, report, refused) = run(&expected, columns).expect("a row, not the layer");
    assert_eq!((rows.num_rows(), report.rows_refused, refused.len()), (0, 1, 1));
}

#[test]
fn a_comma_that_may_part_thousands_is_not_taken_for_a_decimal_one() {
    let expected: SchemaRef = Arc::new(Schema::new(vec![attribute_field("n", "n", DataType::Float64)]));
    let (rows, report, refused) = run(&expected, vec![("n", text(&["12.5", "0,125", "1,234"]))]).expect("normalizes");
    let numbers: Vec<_> = rows.column(0).as_primitive::<Float64Type>().iter().flatten().collect();
    assert_eq!((numbers, report.rows_refused, refused[0].row), (vec![12.5, 0.125], 1, 2));
}

#[test]
fn a_mark_for_a_missing_value_is_null_as_in_the_rows_before() {
    let expected: SchemaRef = Arc::new(Schema::new(vec![
        attribute_field("n", "n", DataType::Int64),
        attribute_field("t", "t", DataType::Utf8),
    ]));
    let columns = vec![("n", text(&["5", "н/д"])), ("t", text(&["-", "x"]))];
    let (rows, report, _) = run(&expected, columns).expect("normalizes");
    assert_eq!((rows.num_rows(), rows.column(0).null_count(), rows.column(1).null_count()), (2, 1, 0));
    let rules: Vec<_> = report.diagnostics.iter().map(|found| (found.rule.as_str(), found.count)).collect();
    assert_eq!(rules, [("numbers.missing_mark", 1)]);
}

/// The days of the rows that are taken, and which rows are refused.
fn days(metadata: &[(&str, &str)], values: &[&str]) -> (Vec<i32>, Vec<u64>) {
    let metadata = metadata.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let field = attribute_field("d", "День", DataType::Date32);
    let expected: SchemaRef = Arc::new(Schema::new(vec![field]).with_metadata(metadata));
    let (rows, _, refused) = run(&expected, vec![("День", text(values))]).expect("normalizes");
    let days = rows.column(0).as_primitive::<Date32Type>().iter().flatten().collect();
    (days, refused.iter().map(|row| row.row).collect())
}

#[test]
fn a_day_in_doubt_is_decided_by_its_column_else_by_the_dataset_s_else_refused() {
    let (february_1, january_2, december_25) = (19_754, 19_724, 20_082);
    assert_eq!(days(&[], &["01/02/2024"]), (vec![], vec![0]));
    assert_eq!(days(&[], &["25/12/2024"]), (vec![december_25], vec![]));
    assert_eq!(days(&[], &["01/02/2024", "25/12/2024"]), (vec![february_1, december_25], vec![]));
    assert_eq!(days(&[], &["01/02/2024", "12/25/2024"]), (vec![january_2, december_25], vec![]));
    let decided = r#"[{"column":7,"notation":"date DD/MM/YYYY","name":"День"}]"#;
    assert_eq!(days(&[(NAMED_COLUMNS_KEY, decided)], &["01/02/2024"]), (vec![february_1], vec![]));
    let of_another = r#"[{"column":0,"notation":"date DD/MM/YYYY","name":"Срок"}]"#;
    assert_eq!(days(&[(NAMED_COLUMNS_KEY, of_another)], &["01/02/2024"]), (vec![], vec![0]));
}

#[test]
fn what_decided_a_column_stands_in_the_receipt_for_rows_that_come_later() {
    let expected: SchemaRef = Arc::new(Schema::new(vec![attribute_field("n", "n", DataType::Float64)]));
    let (_, report, _) = run(&expected, vec![("n", text(&["1,234", "0,5"]))]).expect("normalizes");
    let types = report.steps.iter().find(|step| step.step == "types").expect("a receipt");
    let decided = ColumnDecision::parse(&types.parameters[COLUMNS_KEY]).expect("decisions");
    let found = (decided[0].notation.as_deref(), decided[0].name.as_deref());
    assert_eq!(found, (Some("decimal with comma"), Some("n")));
}

#[test]
fn a_number_with_its_unit_or_in_brackets_fits_and_is_told() {
    let field = attribute_field("n", "Сумма", DataType::Float64);
    let expected: SchemaRef = Arc::new(Schema::new(vec![described_field(&field, None, Some("тг"))]));
    let values = text(&["900 тг", "3,456.5", "(8)", "7 км"]);
    let (rows, report, refused) = run(&expected, vec![("Сумма", values)]).expect("normalizes");
    let numbers: Vec<_> = rows.column(0).as_primitive::<Float64Type>().iter().flatten().collect();
    assert_eq!((numbers, refused[0].row), (vec![900.0, 3456.5, -8.0], 3));
    let rules: Vec<_> = report.diagnostics.iter().map(|found| (found.rule.as_str(), found.count)).collect();
    assert_eq!(rules, [("numbers.brackets", 1), ("types.expected", 1)]);
}

/// 2024-05-31 10:00:00 on a clock, and then at UTC where the clock is Almaty's, seconds since 1970.
const TEN_O_CLOCK: i64 = 1_717_149_600;
const TEN_IN_ALMATY: i64 = TEN_O_CLOCK - 5 * 3600;

/// What becomes of times beside those of a column with a zone or without, with a declared zone: seconds since 1970, rows that
/// are refused, findings, and the zone that the receipt names.
fn times(zone: Option<&str>, values: ArrayRef, untyped: bool) -> (Vec<i64>, Vec<u64>, Vec<String>, Option<String>) {
    let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let expected: SchemaRef = Arc::new(Schema::new(vec![attribute_field("seen", "seen", data_type)]));
    let declared = Declared { time_zone: Some("KZ-75".to_owned()), ..Declared::default() };
    let (rows, report, refused) =
        run_declared(&expected, declared, vec![("seen", values)], untyped).expect("normalizes");
    let seen = rows.column(0).as_primitive::<TimestampMicrosecondType>();
    let types = report.steps.iter().find(|step| step.step == "types").expect("a receipt");
    assert_eq!(types.parameters.contains_key("time_zone"), types.parameters.contains_key("time_zone_database"));
    (
        seen.iter().flatten().map(|microseconds| microseconds / 1_000_000).collect(),
        refused.iter().map(|row| row.row).collect(),
        report.diagnostics.iter().map(|found| found.rule.clone()).collect(),
        types.parameters.get("time_zone").cloned(),
    )
}

#[test]
fn times_that_a_source_typed_itself_are_of_the_declared_zone_beside_instants() {
    let clock = TimestampNanosecondArray::from(vec![Some(TEN_O_CLOCK * 1_000_000_000), None]);
    let taken = times(Some("UTC"), Arc::new(clock.clone()), false);
    assert_eq!(taken, (vec![TEN_IN_ALMATY], vec![], vec![], Some("Asia/Almaty".to_owned())));
    let instants = times(Some("UTC"), Arc::new(clock.with_timezone("+03:00")), false);
    assert_eq!(instants.0, [TEN_O_CLOCK], "an instant stays what it is");
}

#[test]
fn one_malformed_time_beside_instants_refuses_its_row_and_no_other() {
    let values = text(&["2024-05-31 10:00:00", "31 мая, утром", "2024-05-31 10:00:00+05:00"]);
    let (taken, refused, rules, zone) = times(Some("UTC"), values, true);
    assert_eq!((taken, refused), (vec![TEN_IN_ALMATY, TEN_IN_ALMATY], vec![1]));
    assert_eq!((rules, zone.as_deref()), (vec!["types.expected".to_owned()], Some("Asia/Almaty")));
}

#[test]
fn a_declared_zone_that_the_column_has_no_place_for_is_told() {
    let told = vec!["time.zone_not_applied".to_owned()];
    let untyped = times(None, text(&["2024-05-31 10:00:00"]), true);
    assert_eq!(untyped, (vec![TEN_O_CLOCK], vec![], told.clone(), None));
    let clock = TimestampNanosecondArray::from(vec![TEN_O_CLOCK * 1_000_000_000]);
    assert_eq!(times(None, Arc::new(clock), false), (vec![TEN_O_CLOCK], vec![], told, None));
}
