//! Tests of the mapping rule over whole layers.

use crate::{Declared, Limits, SourceEncoding, SourceLayer, Survey};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, geometry_field, role, unit};
use ukimet_model::{Error, ErrorKind, LayerReport, Mapping, QuarantinedRow};

fn text_column(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

struct Normalized {
    rows: RecordBatch,
    report: LayerReport,
    quarantined: Vec<QuarantinedRow>,
}

/// A table of these columns, and its rows.
fn table(columns: &[(&str, ArrayRef)]) -> (SourceLayer, RecordBatch) {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let layer = SourceLayer {
        name: "layer".to_owned(),
        format: "CSV".to_owned(),
        schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
        raw_names: None,
        crs: None,
        encoding: SourceEncoding::Utf8 { transcoded_from: None },
        untyped: true,
    };
    let arrays = columns.iter().map(|(_, column)| Arc::clone(column)).collect();
    let raw = RecordBatch::try_new(Arc::clone(&layer.schema), arrays).expect("columns fit");
    (layer, raw)
}

fn normalize(columns: &[(&str, ArrayRef)], declared: &Declared) -> Result<Normalized, Error> {
    let (layer, raw) = table(columns);
    let mut survey = Survey::begin(&layer, declared, &Limits::default())?;
    survey.observe(&raw)?;
    let mut normalizer = survey.finish()?.normalizer();
    let rows = normalizer.normalize(&raw)?.into_rows();
    let quarantined = normalizer.take_quarantined();
    Ok(Normalized { rows, report: normalizer.finish()?.0, quarantined })
}

fn by(mapping: &str) -> Declared {
    let mapping = Mapping::parse(mapping).expect("a mapping");
    Declared { mapping: Some(Arc::new(mapping)), ..Declared::default() }
}

fn schools() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("Адрес", text_column(&[Some("Алматы, Абая, 10"), Some("Алматы"), None])),
        ("Мест", text_column(&[Some("1 200"), Some("много"), Some("")])),
        ("Улица", text_column(&[Some("Абая"), Some(""), None])),
        ("Дом", text_column(&[Some("10"), Some("7"), None])),
        ("КАТО", text_column(&[Some("750000000"), Some("999999999"), None])),
        ("Открыта", text_column(&[Some("да"), Some("нет"), Some("")])),
    ]
}

fn shown(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(name).expect(name);
    let value = |i: usize| column.is_valid(i).then(|| array_value_to_string(column, i).expect("shown"));
    (0..column.len()).map(value).collect()
}

fn texts(values: &[Option<&str>]) -> Vec<Option<String>> {
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

#[test]
fn columns_are_renamed_cast_split_joined_and_made_constant() {
    let mapping = r#"
drop = ["КАТО"]
[[column]]
name = "capacity"
from = "мест"
cast = "integer"
misfit = "null"
[[column]]
name = "city"
constant = "Алматы"
[[column]]
name = "street"
from = "Адрес"
split = { separator = ",", part = 2 }
[[column]]
name = "address"
concat = ["Улица", "Дом"]
separator = ", "
[[column]]
name = "is_open"
from = "Открыта"
cast = "boolean"
true = ["да"]
false = ["нет"]
"#;
    let Normalized { rows, report, .. } = normalize(&schools(), &by(mapping)).expect("normalizes");
    let names: Vec<&str> = rows.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["capacity", "city", "street", "address", "is_open"], "every other column is named or dropped");
    assert_eq!(rows.schema_ref().field(0).data_type(), &DataType::Int64);
    assert_eq!(shown(&rows, "capacity"), texts(&[Some("1200"), None, None]));
    assert_eq!(shown(&rows, "city"), texts(&[Some("Алматы"); 3]));
    assert_eq!(shown(&rows, "street"), texts(&[Some("Абая"), None, None]));
    assert_eq!(shown(&rows, "address"), texts(&[Some("Абая, 10"), Some("7"), None]));
    assert_eq!(shown(&rows, "is_open"), texts(&[Some("true"), Some("false"), None]));
    let misfit = report.diagnostics.iter().find(|found| found.rule == "mapping.misfit_null").expect("said");
    assert_eq!((misfit.count, misfit.examples[0].row, misfit.examples[0].found.as_str()), (1, Some(1), "много"));
    assert!(report.diagnostics.iter().any(|found| found.rule == "mapping.dropped"));
    let step = report.steps.iter().find(|step| step.step == "mapping").expect("a receipt");
    assert!(step.parameters["columns"].contains("address from Улица + Дом"), "{:?}", step.parameters);
}

#[test]
fn what_is_refused_and_what_is_null_are_told_apart() {
    let mapping = "[[column]]\nname = \"a\"\nfrom = \"Мест\"\ncast = \"integer\"\nmisfit = \"null\"\n\
                   [[column]]\nname = \"b\"\nfrom = \"Дом\"\ncast = \"date\"\nnotation = \"YYYY-MM-DD\"";
    let Normalized { rows, report, .. } = normalize(&schools(), &by(mapping)).expect("normalizes");
    let severity = |rule: &str| report.diagnostics.iter().find(|found| found.rule == rule).map(|found| found.severity);
    let found = (severity("mapping.misfit_null"), severity("mapping.misfit"));
    assert_eq!(found, (Some(ukimet_model::Severity::Warning), Some(ukimet_model::Severity::Error)), "{report:#?}");
    assert!(rows.num_rows() < 3);
}

#[test]
fn what_does_not_fit_is_refused_and_quarantined_unless_the_mapping_says_null() {
    let mapping = "[[column]]\nname = \"capacity\"\nfrom = \"Мест\"\ncast = \"integer\"";
    let Normalized { rows, report, quarantined } = normalize(&schools(), &by(mapping)).expect("normalizes");
    assert_eq!((rows.num_rows(), report.rows_refused), (2, 1));
    assert_eq!(quarantined.len(), 1);
    assert_eq!((quarantined[0].row, quarantined[0].values[1].as_deref()), (1, Some("много")));
    assert_eq!(rows.num_columns(), 6, "columns that nobody names are kept");
    assert_eq!(rows.schema_ref().field(1).name(), "adres");
}

#[test]
fn a_lookup_takes_the_value_of_another_dataset_and_refuses_unknown_keys() {
    let mapping = r#"
[[column]]
name = "region"
from = "КАТО"
lookup = { dataset = "kz/kato", key = "code", value = "name" }
"#;
    let table = |names: [&str; 2]| {
        let columns =
            [("code", text_column(&[Some("750000000"), Some("750000000")])), ("name", text_column(&names.map(Some)))];
        RecordBatch::try_from_iter(columns).expect("columns fit")
    };
    let mut declared = by(mapping);
    let missing = normalize(&schools(), &declared).err().expect("no dataset");
    assert!(missing.to_string().contains("kz/kato"), "{missing}");
    declared.references.insert("kz/kato".to_owned(), table(["Алматы", "Алматы"]));
    let Normalized { rows, report, .. } = normalize(&schools(), &declared).expect("normalizes");
    assert_eq!(shown(&rows, "region"), texts(&[Some("Алматы"), None]));
    assert!(report.diagnostics.iter().any(|found| found.rule == "mapping.unknown_key" && found.count == 1));
    declared.references.insert("kz/kato".to_owned(), table(["Алматы", "Астана"]));
    let doubled = normalize(&schools(), &declared).err().expect("two values");
    assert_eq!(doubled.kind(), ErrorKind::InvalidData, "{doubled}");
}

#[test]
fn a_column_that_is_missing_or_that_nobody_names_is_told() {
    let missing = normalize(&schools(), &by("drop = [\"Директор\"]")).err().expect("no such column");
    assert_eq!(missing.kind(), ErrorKind::InvalidRequest);
    assert!(missing.to_string().contains("\"Директор\"") && missing.to_string().contains("\"Мест\""), "{missing}");
    let strict = normalize(&schools(), &by("unmapped = \"refuse\"")).err().expect("not named");
    assert!(strict.to_string().contains("\"Дом\""), "{strict}");
    let dropped = normalize(&schools(), &by("unmapped = \"drop\"\n[[column]]\nname = \"a\"\nfrom = \"Дом\""));
    let Normalized { rows, report, .. } = dropped.expect("normalizes");
    assert_eq!(rows.num_columns(), 1);
    let said = report.diagnostics.iter().find(|found| found.rule == "mapping.unmapped").expect("said");
    assert_eq!(said.count, 5);
}

#[test]
fn a_profile_that_the_columns_do_not_fit_refuses_the_layer() {
    let error = normalize(&schools(), &by("profile = \"school\"")).err().expect("no name");
    assert!(error.to_string().contains("name_ru is missing"), "{error}");
    let named = "profile = \"school\"\n[[column]]\nname = \"name_ru\"\nfrom = \"Улица\"";
    normalize(&schools(), &by(named)).expect("fits");
    let unknown = normalize(&schools(), &by("profile = \"dog\"")).err().expect("no such profile");
    assert!(unknown.to_string().contains("\"dog\""), "{unknown}");
}

#[test]
fn whole_numbers_that_a_source_keeps_as_floats_are_whole_numbers() {
    let mapping = r#"
[[column]]
name = "floors"
from = "n"
cast = "integer"
[[column]]
name = "label"
concat = ["n", "part"]
separator = "/"
"#;
    let floats: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![Some(5.0), None]));
    let columns = [("n", floats), ("part", text_column(&[Some("a"), None]))];
    let Normalized { rows, quarantined, .. } = normalize(&columns, &by(mapping)).expect("normalizes");
    assert_eq!((shown(&rows, "floors"), quarantined.len()), (texts(&[Some("5"), None]), 0));
    assert_eq!(shown(&rows, "label"), texts(&[Some("5/a"), None]));
}

#[test]
fn what_a_cast_takes_for_another_value_is_said_with_its_row() {
    let mapping = "[[column]]\nname = \"seen\"\nfrom = \"t\"\ncast = \"timestamp\"\n";
    let times = text_column(&[Some("2024-05-30T12:00:00"), Some("2024-05-31T24:00:00")]);
    let Normalized { rows, report, .. } = normalize(&[("t", times)], &by(mapping)).expect("normalizes");
    assert_eq!(shown(&rows, "seen")[1].as_deref(), Some("2024-06-01T00:00:00"));
    let said = report.diagnostics.iter().find(|found| found.rule == "time.end_of_day").expect("said");
    let places: Vec<_> = said.examples.iter().map(|e| (e.row, e.field.as_deref())).collect();
    assert!(places.contains(&(Some(1), Some("seen"))), "{places:?}");
}

#[test]
fn local_times_of_a_cast_are_instants_in_the_declared_zone() {
    let mapping = "[[column]]\nname = \"seen\"\nfrom = \"t\"\ncast = \"timestamp\"\n";
    let times = || text_column(&[Some("2024-02-29T23:30:00"), Some("2024-05-30T12:00:00")]);
    let declared = Declared { time_zone: Some("Asia/Almaty".to_owned()), ..by(mapping) };
    let Normalized { rows, report, .. } = normalize(&[("t", times())], &declared).expect("normalizes");
    assert_eq!(shown(&rows, "seen"), texts(&[Some("2024-02-29T17:30:00Z"), Some("2024-05-30T07:00:00Z")]));
    assert!(report.diagnostics.iter().any(|found| found.rule == "time.ambiguous"), "the hour came twice");
    let Normalized { rows, .. } = normalize(&[("t", times())], &by(mapping)).expect("normalizes");
    assert_eq!(shown(&rows, "seen")[1].as_deref(), Some("2024-05-30T12:00:00"), "no zone is invented");
}

#[test]
fn corrected_rows_fit_a_schema_that_a_mapping_made() {
    let mapping = r#"
[[column]]
name = "code"
from = "код"
[[column]]
name = "part"
from = "Код"
split = { separator = "-", part = 1 }
"#;
    let expected = Arc::new(Schema::new(vec![
        attribute_field("code", "код", DataType::Int64),
        attribute_field("part", "Код", DataType::Utf8),
        Arc::new(geometry_field()),
    ]));
    for places in ["wkt", "geometry"] {
        let columns = [("Код", text_column(&[Some("12")])), (places, text_column(&[Some("POINT(76 43)")]))];
        let (layer, raw) = table(&columns);
        let declared = Declared { crs: Some("OGC:CRS84".to_owned()), ..by(mapping) };
        let mut survey = Survey::begin(&layer, &declared, &Limits::default()).expect("begins");
        survey.expect(&expected).expect("expected");
        survey.observe(&raw).expect("observed");
        let rows = survey.finish().expect(places).normalizer().normalize(&raw).expect("normalizes").into_rows();
        assert_eq!(
            (shown(&rows, "code"), shown(&rows, "part")),
            (texts(&[Some("12")]), texts(&[Some("12")])),
            "{places}"
        );
    }
}

#[test]
fn a_column_that_is_dropped_refuses_no_row() {
    let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![201_300_049_513_000, 1_101_200_000_000_000]));
    let columns = || [("РКА", Arc::clone(&numbers)), ("name", text_column(&[Some("a"), Some("b")]))];
    let damaged = normalize(&columns(), &Declared::default()).err().expect("every row is refused");
    assert!(damaged.message().contains("codes.damaged_rka"), "{damaged}");
    let Normalized { rows, report, .. } = normalize(&columns(), &by("drop = [\"РКА\"]")).expect("normalizes");
    assert_eq!((rows.num_rows(), rows.num_columns(), report.rows_refused), (2, 1, 0));
}

#[test]
fn a_column_made_under_a_profile_has_its_role_and_unit_unless_the_source_says_one() {
    let mapping = "profile = \"school\"\n[[column]]\nname = \"name_ru\"\nfrom = \"Улица\"\n\
                   [[column]]\nname = \"kato\"\nfrom = \"КАТО\"\ncast = \"text\"\n\
                   [[column]]\nname = \"capacity\"\nfrom = \"Мест\"\ncast = \"integer\"\nmisfit = \"null\"";
    let Normalized { rows, .. } = normalize(&schools(), &by(mapping)).expect("fits");
    let field = |name: &str| rows.schema().field_with_name(name).expect(name).clone();
    assert_eq!(
        (role(&field("kato")), unit(&field("capacity")), role(&field("name_ru"))),
        (Some("kato"), Some("places"), None)
    );
    let parcels = [("Номер", text_column(&[Some("20-315-043-001")])), ("Площадь, м²", text_column(&[Some("12")]))];
    let mapping = "profile = \"parcel\"\n[[column]]\nname = \"cadastral_number\"\nfrom = \"Номер\"\n\
                   [[column]]\nname = \"area_ha\"\nfrom = \"Площадь, м²\"";
    let Normalized { rows, .. } = normalize(&parcels, &by(mapping)).expect("fits");
    let field = |name: &str| rows.schema().field_with_name(name).expect(name).clone();
    assert_eq!(role(&field("cadastral_number")), Some("cadastral_number"));
    assert_eq!(unit(&field("area_ha")), Some("м²"), "the source's own unit stands");
}
