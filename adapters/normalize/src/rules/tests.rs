//! Tests of the rules together.

use super::*;
use crate::{Declared, SourceEncoding, TEXT_KEY};
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, BinaryArray, Int32Array, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field};
use std::collections::HashMap;
use ukimet_model::{AuthorityCode, Crs, ErrorKind};

fn marked(name: &str, key: &str) -> Field {
    Field::new(name, DataType::Binary, true).with_metadata(HashMap::from([(key.to_owned(), "1".to_owned())]))
}

fn layer(fields: Vec<Field>, untyped: bool, crs: Option<&str>) -> SourceLayer {
    let crs = crs.map(|code| {
        let (authority, number) = code.split_once(':').expect("a code");
        let code = AuthorityCode { authority: authority.to_owned(), code: number.to_owned() };
        Crs { definition: code.to_string(), code: Some(code), name: None }
    });
    SourceLayer {
        name: "layer".to_owned(),
        format: "test".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        raw_names: None,
        crs,
        encoding: SourceEncoding::Utf8 { transcoded_from: None },
        untyped,
    }
}

fn run(layer: &SourceLayer, declared: &Declared, columns: Vec<ArrayRef>) -> Result<(Batch, LayerReport)> {
    let raw = RecordBatch::try_new(Arc::clone(&layer.schema), columns).expect("columns fit");
    let mut survey = Survey::begin(layer, declared, &Limits::default())?;
    if survey.needs_more() {
        survey.observe(&raw)?;
    }
    let plan = survey.finish()?;
    let schema = plan.schema();
    let mut normalizer = plan.normalizer();
    let batch = normalizer.normalize(&raw)?;
    assert_eq!(batch.rows().schema(), schema);
    Ok((batch, normalizer.finish()?.0))
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn bytes(values: &[&[u8]]) -> ArrayRef {
    Arc::new(BinaryArray::from(values.to_vec()))
}

fn point(x: f64, y: f64) -> Vec<u8> {
    [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
}

fn rules_of(report: &LayerReport) -> Vec<&str> {
    report.diagnostics.iter().map(|d| d.rule.as_str()).collect()
}

#[test]
fn a_csv_table_becomes_typed_points() {
    let fields = ["Название", "Широта", "Долгота", "Население", "Дата", "КАТО"];
    let fields = fields.map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
    let columns = vec![
        text(&["Алматы", "Астана"]),
        text(&["43,25", "51,18"]),
        text(&["76,95", "71,45"]),
        text(&["2\u{a0}000\u{a0}900", "1\u{a0}350\u{a0}228"]),
        text(&["01.02.2024", "29.02.2024"]),
        text(&["750000000", "710000000"]),
    ];
    let (batch, report) = run(&layer(fields, true, None), &Declared::default(), columns).expect("normalizes");
    let schema = batch.rows().schema();
    let types: Vec<(&str, &DataType)> = schema.fields().iter().map(|f| (f.name().as_str(), f.data_type())).collect();
    assert_eq!(
        types,
        [
            ("nazvanie", &DataType::Utf8),
            ("shirota", &DataType::Float64),
            ("dolgota", &DataType::Float64),
            ("naselenie", &DataType::Int64),
            ("data", &DataType::Date32),
            ("kato", &DataType::Utf8),
            ("geometry", &DataType::Binary),
        ]
    );
    assert_eq!(schema.field(5).metadata()[crate::ROLE_KEY], "kato");
    assert_eq!(batch.rows().column(3).as_primitive::<Int64Type>().value(0), 2_000_900);
    assert_eq!(batch.rows().column(1).as_primitive::<Float64Type>().value(0).to_bits(), 43.25_f64.to_bits());
    assert_eq!((report.rows_read, report.rows_taken, report.geometry_types["Point"]), (2, 2, 2));
    assert_eq!((report.source_crs.as_deref(), report.source_encoding.as_deref()), (Some("OGC:CRS84"), Some("UTF-8")));
    assert_eq!(report.bbox, Some([71.45, 43.25, 76.95, 51.18].into()));
    assert_eq!(rules_of(&report), ["crs.from_columns", "codes.detected"]);
    let steps: Vec<&str> = report.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["text", "places", "types", "codes", "names", "crs", "geometry"]);
}

#[test]
fn characters_that_are_dropped_say_nothing_about_a_column() {
    let fields = vec![Field::new("n", DataType::Utf8, true)];
    let (batch, report) =
        run(&layer(fields, true, None), &Declared::default(), vec![text(&["1\0", "\u{1}2"])]).expect("reads");
    assert_eq!(batch.rows().column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert!(rules_of(&report).contains(&"text.control"), "{:?}", rules_of(&report));
}

#[test]
fn a_typed_layer_on_wgs_84_is_surveyed_for_its_text_alone_and_is_not_copied() {
    let fields = vec![
        marked("geom", GEOMETRY_KEY),
        Field::new("name", DataType::Utf8, true),
        Field::new("n", DataType::Int32, true),
    ];
    let layer = layer(fields, false, Some("EPSG:4326"));
    let without_text =
        SourceLayer { schema: Arc::new(layer.schema.project(&[0, 2]).expect("columns")), ..layer.clone() };
    for (layer, rows_max, is_needed) in [(&layer, 1, true), (&layer, 0, false), (&without_text, 1, false)] {
        let limits = Limits { text_survey_rows_max: rows_max, ..Limits::default() };
        let survey = Survey::begin(layer, &Declared::default(), &limits).expect("begins");
        assert_eq!(survey.needs_more(), is_needed);
    }
    let places = point(76.9, 43.2);
    let (names, numbers): (ArrayRef, ArrayRef) = (text(&["а"]), Arc::new(Int32Array::from(vec![1])));
    let columns = vec![bytes(&[&places]), Arc::clone(&names), Arc::clone(&numbers)];
    let (batch, report) = run(&layer, &Declared::default(), columns).expect("normalizes");
    assert_eq!(batch.rows().column(0).to_data().buffers()[1].as_ptr(), names.to_data().buffers()[1].as_ptr());
    assert!(Arc::ptr_eq(batch.rows().column(1), &numbers));
    assert_eq!(batch.rows().column(2).as_binary::<i32>().value(0), places);
    assert!(report.diagnostics.is_empty(), "{:?}", report.diagnostics);
}

#[test]
fn undeclared_cyrillic_bytes_and_names_are_detected_and_said() {
    // "Алматинская область" and the name "Имя" in windows-1251.
    let value = b"\xc0\xeb\xec\xe0\xf2\xe8\xed\xf1\xea\xe0\xff \xee\xe1\xeb\xe0\xf1\xf2\xfc";
    let mut layer = layer(vec![marked("?", TEXT_KEY)], false, None);
    layer.encoding = SourceEncoding::Unknown;
    layer.raw_names = Some(vec![b"\xc8\xec\xff".to_vec()]);
    let (batch, report) = run(&layer, &Declared::default(), vec![bytes(&[value, b"ASCII"])]).expect("normalizes");
    assert_eq!(batch.rows().column(0).as_string::<i32>().value(0), "Алматинская область");
    assert_eq!(batch.rows().schema().field(0).name(), "imya");
    assert_eq!(report.source_encoding.as_deref(), Some("windows-1251"));
    assert_eq!(rules_of(&report), ["text.encoding_detected", "geometry.none"]);
}

#[test]
fn a_wrongly_declared_encoding_names_row_column_and_offset() {
    let mut layer = layer(vec![marked("name", TEXT_KEY)], false, None);
    layer.encoding = SourceEncoding::Declared { label: "UTF-8".to_owned(), by: ".cpg".to_owned() };
    let columns = || vec![bytes(&[b"ok", b"ab\xc0\xeb"])];
    let error = run(&layer, &Declared::default(), columns()).map(|_| ()).expect_err("not UTF-8");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let message = error.message();
    assert!(message.contains("row 2,") && message.contains("\"name\"") && message.contains("offset 2"), "{message}");
    let declared = Declared { encoding: Some("1251".to_owned()), ..Declared::default() };
    let (batch, report) = run(&layer, &declared, columns()).expect("the publisher is right");
    assert_eq!(batch.rows().column(0).as_string::<i32>().value(1), "abАл");
    assert_eq!(rules_of(&report), ["text.encoding_overridden", "text.mixed_script", "geometry.none"]);
}

#[test]
fn kazakh_letters_come_through_kz_1048() {
    let mut layer = layer(vec![marked("name", TEXT_KEY)], false, None);
    layer.encoding = SourceEncoding::Declared { label: "STRK1048-2002".to_owned(), by: ".cpg".to_owned() };
    let (batch, report) =
        run(&layer, &Declared::default(), vec![bytes(&[b"\x8d\xe0\xf0\xe0\xba\xe0\xed\xe4\xfb"])]).expect("decodes");
    assert_eq!(batch.rows().column(0).as_string::<i32>().value(0), "Қарағанды");
    assert_eq!(report.source_encoding.as_deref(), Some("KZ-1048"));
}

#[test]
fn a_layer_without_crs_is_a_question_and_a_declaration_answers_it() {
    let layer = layer(vec![marked("geom", GEOMETRY_KEY)], false, None);
    let places = point(13_644_000.0, 4_791_000.0);
    let error = run(&layer, &Declared::default(), vec![bytes(&[&places])]).map(|_| ()).expect_err("no crs");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    assert!(error.message().contains("EPSG:28413"), "{error}");
    let declared = Declared { crs: Some("EPSG:28413".to_owned()), ..Declared::default() };
    let (_, report) = run(&layer, &declared, vec![bytes(&[&places])]).expect("declared");
    let bbox = report.bbox.expect("a place");
    assert!((bbox.west - 76.772_304_98).abs() < 1e-7 && (bbox.south - 43.240_348_38).abs() < 1e-7);
    assert_eq!(report.steps[4].parameters["source_crs_by"], "the publisher");
}

#[test]
fn refused_rows_are_left_out_and_second_geometries_become_attributes() {
    let fields = vec![marked("a", GEOMETRY_KEY), marked("b", GEOMETRY_KEY), Field::new("n", DataType::Int32, true)];
    let mut geometries = BinaryBuilder::new();
    geometries.append_value([1, 8, 0, 0, 0, 0, 0, 0, 0]);
    geometries.append_value(point(1.0, 2.0));
    geometries.append_null();
    let second = bytes(&[b"x", b"y", b"z"]);
    let columns = vec![Arc::new(geometries.finish()) as ArrayRef, second, Arc::new(Int32Array::from(vec![1, 2, 3]))];
    let (batch, report) =
        run(&layer(fields, false, Some("OGC:CRS84")), &Declared::default(), columns).expect("normalizes");
    assert_eq!((report.rows_read, report.rows_taken, report.rows_refused, report.geometry_nulls), (3, 2, 1, 1));
    assert_eq!(batch.rows().column(0).as_binary::<i32>().value(0), b"y");
    assert_eq!(rules_of(&report), ["geometry.second", "geometry.unsupported"]);
}

#[test]
fn a_refused_row_is_quarantined_with_its_source_values_and_named_by_a_verdict() {
    let fields = vec![marked("shape", GEOMETRY_KEY), marked("имя", TEXT_KEY), Field::new("n", DataType::Int32, true)];
    let layer = SourceLayer {
        encoding: SourceEncoding::Declared { label: "1251".to_owned(), by: ".cpg".to_owned() },
        ..layer(fields, false, Some("EPSG:4326"))
    };
    let damaged: &[u8] = &[1, 8, 0, 0, 0, 0, 0, 0, 0];
    let geometries = bytes(&[&point(1.0, 2.0), damaged]);
    let columns =
        vec![geometries, bytes(&[b"a", b"\xc0\xe1\xe0\xe9"]), Arc::new(Int32Array::from(vec![Some(1), None]))];
    let raw = RecordBatch::try_new(Arc::clone(&layer.schema), columns).expect("columns fit");
    let rules = |verdicts: Vec<Verdict>| verdicts.into_iter().map(|v| (v.row, v.rule)).collect::<Vec<_>>();
    for (verdicts_max, verdicts_waiting_max) in [(0, 9), (9, 0), (9, 9)] {
        let limits = Limits { verdicts_max, verdicts_waiting_max, ..Limits::default() };
        let mut survey = Survey::begin(&layer, &Declared::default(), &limits).expect("begins");
        let is_listed = limits.verdicts_max > 0 && limits.verdicts_waiting_max > 0;
        survey.observe(&raw).expect("observes");
        let plan = survey.finish().expect("decides");
        assert_eq!(plan.source_columns(), ["shape", "имя", "n"]);
        let mut normalizer = plan.normalizer();
        assert_eq!(normalizer.normalize(&raw).expect("normalizes").rows().num_rows(), 1);
        let values = vec![Some("010800000000000000".to_owned()), Some("Абай".to_owned()), None];
        assert_eq!(normalizer.take_quarantined(), [QuarantinedRow { row: 1, values }]);
        let refused = (Some(1), "geometry.unsupported".to_owned());
        assert_eq!(rules(normalizer.take_verdicts()).contains(&refused), is_listed);
        let (report, verdicts) = normalizer.finish().expect("rows are left");
        assert_eq!(report.geometry_column, Some(0), "shape");
        assert!(verdicts.is_empty(), "taken before");
        assert_eq!(rules_of(&report).contains(&"verdicts.unlisted"), !is_listed);
    }
}

#[test]
fn the_result_does_not_depend_on_the_batches() {
    let fields = ["lat", "lon", "v"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
    let layer = layer(fields, true, None);
    let lat: Vec<String> = (0..50).map(|i| format!("43.{i}1")).collect();
    let v: Vec<String> = (0..50).map(|i| if i == 49 { "x".to_owned() } else { i.to_string() }).collect();
    let lat: Vec<&str> = lat.iter().map(String::as_str).collect();
    let v: Vec<&str> = v.iter().map(String::as_str).collect();
    let raw = RecordBatch::try_new(Arc::clone(&layer.schema), vec![text(&lat), text(&lat), text(&v)]).expect("fits");
    let normalize = |rows_max: usize| {
        let batches = || (0..50).step_by(rows_max).map(|at| raw.slice(at, rows_max.min(50 - at)));
        let mut survey = Survey::begin(&layer, &Declared::default(), &Limits::default()).expect("begins");
        batches().for_each(|batch| survey.observe(&batch).expect("observes"));
        let mut normalizer = survey.finish().expect("decides").normalizer();
        let rows: Vec<RecordBatch> =
            batches().map(|b| normalizer.normalize(&b).expect("normalizes").into_rows()).collect();
        (
            arrow_select::concat::concat_batches(&rows[0].schema(), &rows).expect("one schema"),
            normalizer.finish().expect("places").0,
        )
    };
    assert_eq!(normalize(50), normalize(7));
}

#[test]
fn source_types_are_published_and_an_empty_table_is_fine() {
    let fields =
        vec![Field::new("t", DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("+05:00".into())), true)];
    let column = TimestampMillisecondArray::from(vec![Some(1), None]).with_timezone("+05:00");
    let (batch, _) =
        run(&layer(fields.clone(), false, None), &Declared::default(), vec![Arc::new(column)]).expect("normalizes");
    assert_eq!(batch.rows().column(0).null_count(), 1);
    let empty = TimestampMillisecondArray::from(Vec::<i64>::new()).with_timezone("+05:00");
    let (batch, report) =
        run(&layer(fields, false, None), &Declared::default(), vec![Arc::new(empty)]).expect("normalizes");
    assert_eq!((batch.rows().num_rows(), report.rows_read), (0, 0));
}

#[test]
fn clean_tables_give_no_repair_and_no_false_conversion() {
    let words = [
        "улица Абая, 5",
        "Қазыбек би көшесі",
        "ул. 1 Мая",
        "12-й микрорайон",
        "8 (7172) 74-00-00",
        "№ 7",
        "2/1",
        "10:30",
        "01.02",
        "2024",
        "5 %",
        "1-2",
        "II",
        "1e5",
        "0,5-1,0",
        "г. Алматы, пр. Достык, 1",
        "Main street 5",
        "—",
    ];
    let fields = vec![Field::new("text", DataType::Utf8, true)];
    let (batch, report) =
        run(&layer(fields, true, None), &Declared::default(), vec![text(&words)]).expect("normalizes");
    assert_eq!(batch.rows().column(0).as_ref(), text(&words).as_ref());
    assert_eq!((report.rows_repaired, rules_of(&report)), (0, vec!["geometry.none"]));
}

#[test]
fn every_repaired_value_is_an_example_of_its_rule_and_counted_in_the_receipt() {
    let values = ["Ќызылорда ќаласы", "КӨШЕCI", "Бии\u{306}ск", "Алматы\0", "Ал?аты", "Шығыс Ќазаќстан"];
    let layer = layer(vec![Field::new("атауы", DataType::Utf8, true)], false, None);
    let (batch, report) = run(&layer, &Declared::default(), vec![text(&values)]).expect("normalizes");
    let taken: Vec<&str> = batch.rows().column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(taken, ["Қызылорда қаласы", "КӨШЕСІ", "Бийск", "Алматы", "Ал?аты", "Шығыс Қазақстан"]);
    let mojibake = report.diagnostics.iter().find(|d| d.rule == "text.mojibake").expect("said");
    let rows: Vec<_> = mojibake.examples.iter().map(|e| (e.row, e.field.as_deref(), e.taken.as_deref())).collect();
    assert_eq!(
        rows,
        [(Some(0), Some("атауы"), Some("Қызылорда қаласы")), (Some(5), Some("атауы"), Some("Шығыс Қазақстан"))]
    );
    assert_eq!(
        rules_of(&report),
        ["text.mojibake", "text.lookalike", "text.nfc", "text.control", "text.lossy", "geometry.none"]
    );
    let parameters = &report.steps[0].parameters;
    assert_eq!(parameters["text.mojibake: KZ-1048 read as windows-1251"], "2");
    assert_eq!(parameters["text.lookalike"], "1");
}

#[test]
fn only_the_rows_of_the_survey_are_evidence() {
    let values = ["MÃ¼nchen", "KÃ¶ln", "DÃ¼sseldorf"];
    let layer = layer(vec![Field::new("name", DataType::Utf8, true)], false, None);
    for (text_survey_rows_max, expected) in [(3, "München"), (2, "MÃ¼nchen")] {
        let limits = Limits { text_survey_rows_max, ..Limits::default() };
        let raw = RecordBatch::try_new(Arc::clone(&layer.schema), vec![text(&values)]).expect("columns fit");
        let mut survey = Survey::begin(&layer, &Declared::default(), &limits).expect("begins");
        survey.observe(&raw).expect("observed");
        assert!(!survey.needs_more());
        let batch = survey.finish().expect("decided").normalizer().normalize(&raw).expect("normalizes");
        assert_eq!(batch.rows().column(0).as_string::<i32>().value(0), expected);
    }
    let columns = vec![text(&values)];
    let (_, report) = run(&layer, &Declared::default(), columns).expect("normalizes");
    assert_eq!(report.steps[0].parameters["reversed in \"name\""], "UTF-8 read as windows-1252");
}

#[test]
fn a_declaration_that_the_rows_contradict_stands_in_the_receipt() {
    let mut layer = layer(vec![marked("name", TEXT_KEY)], false, None);
    layer.encoding = SourceEncoding::Declared { label: "1251".to_owned(), by: ".cpg".to_owned() };
    let (batch, report) = run(&layer, &Declared::default(), vec![bytes(&["Алматы".as_bytes()])]).expect("UTF-8");
    assert_eq!(batch.rows().column(0).as_string::<i32>().value(0), "Алматы");
    assert_eq!(rules_of(&report), ["text.encoding_contradicted", "geometry.none"]);
    let parameters = &report.steps[0].parameters;
    assert_eq!(parameters["declared"], "windows-1251 by .cpg: 1251");
    assert_eq!(
        (parameters["known_by"].as_str(), parameters["source_encoding"].as_str()),
        ("detected against .cpg: 1251", "UTF-8")
    );
    let declared = Declared { encoding: Some("windows-1251".to_owned()), ..Declared::default() };
    let error = run(&layer, &declared, vec![bytes(&["Алматы".as_bytes()])]).map(|_| ()).expect_err("a question");
    assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
}

#[test]
fn a_layer_of_which_every_row_is_refused_is_an_error() {
    let layer = layer(vec![marked("geom", GEOMETRY_KEY)], false, Some("OGC:CRS84"));
    let curve: &[u8] = &[1, 8, 0, 0, 0, 0, 0, 0, 0];
    let error = run(&layer, &Declared::default(), vec![bytes(&[curve, curve])]).map(|_| ()).expect_err("nothing left");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    for words in ["every one of the 2 rows", "geometry.unsupported, 2×"] {
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn columns_of_metres_become_places_by_a_declared_region() {
    let fields = ["name", "X", "Y"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec();
    let layer = layer(fields, true, None);
    let columns = || vec![text(&["а", "б"]), text(&["26402000", "26403000,5"]), text(&["4785000", "4786000"])];
    let (_, report) = run(&layer, &Declared::default(), columns()).expect("a table");
    assert_eq!((report.source_crs, report.bbox), (None, None));
    let declared = Declared { region: Some("750000000".to_owned()), ..Declared::default() };
    let (_, report) = run(&layer, &declared, columns()).expect("inferred");
    assert_eq!(report.source_crs.as_deref(), Some("EPSG:2542 (inferred)"));
    assert!(rules_of(&report).contains(&"crs.inferred"));
    let elsewhere = Declared { region: Some("KZ-47".to_owned()), ..Declared::default() };
    let error = run(&layer, &elsewhere, columns()).map(|_| ()).expect_err("not there");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    let nonsense = Declared { region: Some("Almaty".to_owned()), ..Declared::default() };
    let error = run(&layer, &nonsense, columns()).map(|_| ()).expect_err("no region");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn refused_rows_are_given_back_as_they_were_found() {
    let fields = vec![marked("geom", GEOMETRY_KEY), Field::new("name", DataType::Utf8, true)];
    let layer = layer(fields, false, Some("OGC:CRS84"));
    let curve: &[u8] = &[1, 8, 0, 0, 0, 0, 0, 0, 0];
    let columns = vec![bytes(&[&point(76.9, 43.2), curve]), text(&["КӨШЕCI", "КӨШЕCI"])];
    let raw = RecordBatch::try_new(Arc::clone(&layer.schema), columns).expect("columns fit");
    let mut survey = Survey::begin(&layer, &Declared::default(), &Limits::default()).expect("begins");
    survey.observe(&raw).expect("observed");
    let mut normalizer = survey.finish().expect("decided").normalizer();
    let batch = normalizer.normalize(&raw).expect("normalizes");
    assert_eq!(batch.rows().column(0).as_string::<i32>().value(0), "КӨШЕСІ", "repaired where it is published");
    let refused = normalizer.take_quarantined();
    assert_eq!((refused.len(), refused[0].row, refused[0].values[1].as_deref()), (1, 1, Some("КӨШЕCI")));
}
