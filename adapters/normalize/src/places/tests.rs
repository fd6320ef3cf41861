//! Tests of the places rule.

use super::*;
use std::sync::Arc;
use ukimet_model::ErrorKind;

fn plan(names: &[&str], columns: &[ArrayRef], declared: Option<&str>) -> Result<(PlacePlan, Option<String>)> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let mut crs = CrsSurvey::begin(declared, None)?;
    let mut survey = PlaceSurvey::begin(names, false, declared.is_some());
    survey.observe(columns, 0, &mut crs)?;
    let plan = survey.decide(false, &mut crs)?;
    let has_places = plan.has_places();
    Ok((plan, crs.decide(has_places)?.label))
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

#[test]
fn named_columns_become_points_on_wgs_84() {
    let columns =
        [text(&[Some("43,25"), None, Some("51,1"), None]), text(&[Some("76,95"), None, Some("71,4"), Some("70")])];
    let (mut plan, crs) = plan(&["Широта", "Долгота"], &columns, None).expect("places");
    assert_eq!(crs.as_deref(), Some("OGC:CRS84"));
    let (points, refused) = plan.apply(&columns, 0).expect("numbers").expect("places");
    assert!(refused.is_empty());
    assert_eq!(points.value(0), point(76.95, 43.25));
    assert_eq!((points.is_null(1), points.is_null(3)), (true, true));
    assert_eq!(plan.findings.into_diagnostics()[0].rule, "places.half");
}

#[test]
fn cells_that_are_no_coordinate_cost_their_row() {
    let columns = [text(&[Some("43"), Some("нет"), Some("44 75 00")]), text(&[Some("76"), Some("76"), Some("76")])];
    let (mut taken, _) = plan(&["lat", "lon"], &columns, None).expect("places");
    let (points, refused) = taken.apply(&columns, 0).expect("numbers").expect("places");
    assert_eq!((points.null_count(), refused), (1, vec![false, true, false]));
    let found = taken.findings.into_diagnostics();
    assert_eq!((found[0].rule.as_str(), found[0].count, found[0].examples[0].row), ("places.malformed", 1, Some(1)));
}

#[test]
fn angles_become_degrees_with_a_word_on_each() {
    let columns = [
        text(&[Some("43°15'00\"N"), Some("51 10 48"), Some("76°57'E")]),
        text(&[Some("76°57'00\"E"), Some("71.45"), Some("71.45")]),
    ];
    let (mut taken, _) = plan(&["Широта", "Долгота"], &columns, None).expect("places");
    let (points, refused) = taken.apply(&columns, 0).expect("angles").expect("places");
    assert_eq!((points.value(0), points.value(1)), (point(76.95, 43.25).as_slice(), point(71.45, 51.18).as_slice()));
    assert_eq!(refused, [false, false, true], "a longitude in the column of latitudes");
    let found = taken.findings.into_diagnostics();
    assert_eq!((found[0].rule.as_str(), found[0].count), ("places.angle", 3));
    let first = &found[0].examples[0];
    assert_eq!((first.field.as_deref(), first.taken.as_deref()), (Some("Долгота"), Some("76.95")));
}

#[test]
fn metres_need_a_declared_crs() {
    let columns = [text(&[Some("13 644 000")]), text(&[Some("4 791 000")])];
    let (table, crs) = plan(&["x", "y"], &columns, None).expect("a table");
    assert!(!table.has_places() && crs.is_none());
    assert_eq!(table.findings.into_diagnostics()[0].rule, "geometry.none");
    let (places, crs) = plan(&["x", "y"], &columns, Some("EPSG:28413")).expect("places");
    assert!(places.has_places());
    assert_eq!(crs.as_deref(), Some("EPSG:28413"));
}

#[test]
fn bytes_that_are_no_text_are_called_binary_values() {
    let columns = [Arc::new(BinaryArray::from_vec(vec![&[1, 1, 0, 0, 0][..]])) as ArrayRef];
    let (table, _) = plan(&["geom"], &columns, None).expect("a table");
    let found = table.findings.into_diagnostics();
    assert!(found[0].message.contains("such as \"binary values\" in row 1"), "{}", found[0].message);
}

#[test]
fn wkt_is_taken_with_its_srid_and_refused_by_row() {
    let columns =
        [text(&[Some("SRID=4326;POINT (76.9 43.2)"), Some("SRID=4326;POINT (76.9 43.3)"), Some("POINT (76.9"), None])];
    let (mut taken, crs) = plan(&["wkt"], &columns, None).expect("places");
    assert_eq!(crs.as_deref(), Some("EPSG:4326"));
    let (cells, refused) = taken.apply(&columns, 0).expect("WKT").expect("places");
    assert_eq!(cells.value(0), point(76.9, 43.2));
    assert_eq!(refused, [false, false, true, false]);
    let error = plan(&["wkt"], &[text(&[Some("POINT (1 1)")])], None).map(|_| ()).expect_err("no crs");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    let (table, _) = plan(&["geometry"], &[text(&[Some("школа"), Some("дом")])], None).expect("a table");
    assert!(!table.has_places());
}
