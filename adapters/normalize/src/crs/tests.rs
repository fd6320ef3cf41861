//! Tests of the CRS rule.

use super::*;
use ukimet_model::{AuthorityCode, ErrorKind};

fn plan(crs: &str, points: &[(f64, f64)]) -> Result<CrsPlan> {
    let mut survey = CrsSurvey::begin(Some(crs), None)?;
    for (x, y) in points {
        survey.observe_xy(*x, *y);
    }
    survey.decide(true)
}

fn transform(crs: &str, points: &[(f64, f64)]) -> Result<Vec<(f64, f64)>> {
    let mut out = points.to_vec();
    Transform::new(plan(crs, points)?).apply(&mut out, |at| at as u64)?;
    Ok(out)
}

#[test]
fn known_points_come_to_known_places() {
    for (crs, point, expected, tolerance) in [
        ("EPSG:28413", (13_644_000.0, 4_791_000.0), (76.772_304_98, 43.240_348_38), 1e-7),
        ("EPSG:2503", (644_000.0, 4_791_000.0), (76.772_304_98, 43.240_348_38), 1e-7),
        ("EPSG:4284", (76.7, 43.2), (76.699_450_01, 43.200_290_13), 1e-7),
        ("EPSG:3857", (8_546_000.0, 5_350_000.0), (76.770_024_18, 43.249_331_66), 1e-7),
        ("EPSG:4326", (76.7, 43.2), (76.7, 43.2), 0.0),
        ("EPSG:4258", (6.7, 43.2), (6.7, 43.2), 0.0),
        ("EPSG:28992", (155_000.0, 463_000.0), (5.387_203_51, 52.155_172_30), 1e-7),
        ("EPSG:2056", (2_600_000.0, 1_200_000.0), (7.438_632_42, 46.951_082_77), 1e-7),
        ("EPSG:21781", (600_000.0, 200_000.0), (7.438_632_42, 46.951_082_77), 1e-7),
        ("EPSG:3879", (25_496_000.0, 6_672_000.0), (24.927_965_36, 60.160_886_92), 1e-7),
        // By gdaltransform with the projection on GRS 80.
        ("EPSG:10947", (13_644_000.0, 4_791_000.0), (76.772_905_178_77, 43.240_817_188_17), 1e-10),
        ("EPSG:10941", (76.7, 43.2), (76.7, 43.2), 0.0),
    ] {
        let (lon, lat) = transform(crs, &[point]).expect(crs)[0];
        let near = (lon - expected.0).abs() <= tolerance && (lat - expected.1).abs() <= tolerance;
        assert!(near, "{crs}: {lon}, {lat}, expected {expected:?}");
    }
}

#[test]
fn a_zone_that_the_coordinates_contradict_is_refused() {
    let point = [(13_500_000.0, 5_600_000.0)];
    for crs in ["EPSG:28411", "EPSG:28412", "EPSG:28414", "EPSG:10946"] {
        let error = transform(crs, &point).expect_err(crs);
        assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("begin with 13"), "{crs}: {error}");
    }
    for crs in ["EPSG:28413", "EPSG:10947"] {
        transform(crs, &point).expect(crs);
    }
}

#[test]
fn the_receipt_names_the_operation() {
    let plan = plan("EPSG:28413", &[(13_644_000.0, 4_791_000.0)]).expect("known");
    let parameter = |name: &str| plan.step.parameters[name].as_str();
    assert_eq!(parameter("source_crs"), "EPSG:28413");
    assert!(parameter("operation").contains("Pulkovo 1942 to WGS 84 (20)"), "{}", parameter("operation"));
    assert_eq!(parameter("accuracy_m"), "3");
    assert!(parameter("pipeline").starts_with("proj=pipeline step inv proj=tmerc"), "{}", parameter("pipeline"));
    assert!(parameter("software").starts_with("PROJ 9."));
}

#[test]
fn a_missing_crs_is_a_question_with_candidates() {
    let mut survey = CrsSurvey::begin(None, None).expect("nothing said");
    survey.observe_xy(13_600_000.0, 4_780_000.0);
    survey.observe_xy(13_700_000.0, 4_800_000.0);
    let error = survey.decide(true).expect_err("undeclared");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    assert!(error.message().contains("declare crs") && error.message().contains("EPSG:28413"), "{error}");
    assert!(CrsSurvey::begin(None, None).expect("nothing said").decide(true).expect("no coordinates").label.is_none());
}

#[test]
fn coordinates_outside_the_domain_are_refused_with_row_and_range() {
    for (crs, point, words) in [
        ("EPSG:4284", (13_644_000.0, 4_791_000.0), "look like metres"),
        ("EPSG:4284", (200.0, 43.0), "±180"),
        ("EPSG:4284", (43.2, 176.7), "swapped"),
        ("EPSG:28413", (76.9, 43.2), "look like degrees"),
        ("EPSG:28413", (4_791_000.0, 13_644_000.0), "28413"),
        ("EPSG:32643", (1e300, 1e300), "outside the domain"),
    ] {
        let error = transform(crs, &[point]).expect_err(crs);
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(error.message().contains(words), "{crs}: {error}");
    }
    let identity = Transform::new(plan("EPSG:4326", &[]).expect("known"));
    let error = identity.check_degrees([200.0, 43.0, 200.0, 43.0], 7).expect_err("outside");
    assert!(error.message().contains("row 7") && error.message().contains("200"), "{error}");
}

#[test]
fn a_datum_without_operation_is_asked_for() {
    let bessel = "PROJCS[\"TM\",GEOGCS[\"GCS_Bessel_1841\",DATUM[\"D_Bessel_1841\",SPHEROID[\"Bessel_1841\",6377397.155,299.1528128]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Transverse_Mercator\"],PARAMETER[\"False_Easting\",200000.0],PARAMETER[\"False_Northing\",500000.0],PARAMETER[\"Central_Meridian\",127.0028902777778],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",38.0],UNIT[\"Meter\",1.0]]";
    let error = plan(bessel, &[(200_000.0, 450_000.0)]).expect_err("no operation");
    assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
    assert!(error.message().contains("ballpark"), "{error}");
}

#[test]
fn a_definition_without_code_is_understood() {
    let esri = "PROJCS[\"Pulkovo_1942_GK_Zone_13\",GEOGCS[\"GCS_Pulkovo_1942\",DATUM[\"D_Pulkovo_1942\",SPHEROID[\"Krasovsky_1940\",6378245.0,298.3]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Gauss_Kruger\"],PARAMETER[\"False_Easting\",13500000.0],PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",75.0],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",0.0],UNIT[\"Meter\",1.0]]";
    let (lon, lat) = transform(esri, &[(13_644_000.0, 4_791_000.0)]).expect("known datum")[0];
    assert!((lon - 76.772_304_98).abs() < 1e-7 && (lat - 43.240_348_38).abs() < 1e-7, "{lon}, {lat}");
    let qaz = "PROJCS[\"QazTRF-23 / GK zone 13\",GEOGCS[\"QazTRF-23\",DATUM[\"Qazaqstan Terrestrial Reference Frame 2023\",SPHEROID[\"GRS 1980\",6378137,298.257222101]],PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433]],PROJECTION[\"Transverse_Mercator\"],PARAMETER[\"latitude_of_origin\",0],PARAMETER[\"central_meridian\",75],PARAMETER[\"scale_factor\",1],PARAMETER[\"false_easting\",13500000],PARAMETER[\"false_northing\",0],UNIT[\"metre\",1]]";
    let plan = plan(qaz, &[]).expect("own table");
    assert_eq!(plan.label.as_deref(), Some("EPSG:10947"));
    assert!(plan.step.parameters["operation"].contains("EPSG:10965"));
}

#[test]
fn the_publisher_overrides_the_source_with_a_note() {
    let code = AuthorityCode { authority: "EPSG".to_owned(), code: "4326".to_owned() };
    let of_layer = Crs { definition: "EPSG:4326".to_owned(), code: Some(code), name: None };
    let plan = CrsSurvey::begin(Some("EPSG:28413"), Some(&of_layer)).expect("known").decide(true).expect("decided");
    assert_eq!(plan.label.as_deref(), Some("EPSG:28413"));
    assert_eq!(plan.findings.into_diagnostics()[0].rule, "crs.overridden");
    let useless = Crs { definition: "http://example.org".to_owned(), code: None, name: None };
    assert_eq!(CrsSurvey::begin(None, Some(&useless)).map(|_| ()).expect_err("useless").kind(), ErrorKind::Undeclared);
}

#[test]
fn empty_points_pass_through_the_operation() {
    let out = transform("EPSG:32643", &[(f64::NAN, f64::NAN), (650_000.0, 4_790_000.0)]).expect("valid");
    assert!(out[0].0.is_nan() && (out[1].0 - 76.847_727_29).abs() < 1e-7);
}
