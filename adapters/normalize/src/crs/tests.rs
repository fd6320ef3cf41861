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
    through(plan(crs, points)?, points).map(|(places, _)| places)
}

type Places = Vec<(f64, f64)>;

/// Points, each a row, through a plan with its gate: places of the rows that were kept, and the rules that spoke.
fn through(plan: CrsPlan, points: &[(f64, f64)]) -> Result<(Places, Vec<String>)> {
    let (mut transform, mut findings) = (Transform::new(plan), Findings::default());
    let mut kept = Vec::new();
    for (row, (x, y)) in points.iter().enumerate() {
        let row = row as u64;
        let bounds = (!x.is_nan()).then_some([*x, *y, *x, *y]);
        let shape = wkb::Shape {
            kind: wkb::GeometryType::Point,
            has_z: false,
            has_m: false,
            vertices: 1,
            bounds,
            is_finite: x.is_nan() || (x.is_finite() && y.is_finite()),
            is_canonical: true,
        };
        let mut place = [(*x, *y)];
        let is_kept = transform.admits(&shape, row, &mut findings)?
            && transform.apply(&mut place, |_| row, &mut findings)?.is_empty()
            && bounds.is_none_or(|bounds| {
                let (lon, lat) = place[0];
                transform.keeps(bounds, [lon, lat, lon, lat], row, &mut findings)
            });
        if is_kept {
            kept.push(place[0]);
        }
    }
    transform.finish(true)?;
    Ok((kept, findings.into_diagnostics().into_iter().map(|found| found.rule).collect()))
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
    assert!(parameter("register").starts_with("EPSG v"), "the version of the register for {}", parameter("software"));
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
    let error = transform("EPSG:4326", &[(200.0, 43.0)]).expect_err("outside");
    assert!(error.message().contains("row 1 ") && error.message().contains("200"), "{error}");
}

#[test]
fn a_datum_without_operation_is_asked_for() {
    let bessel = "PROJCS[\"TM\",GEOGCS[\"GCS_Bessel_1841\",DATUM[\"D_Bessel_1841\",SPHEROID[\"Bessel_1841\",6377397.155,299.1528128]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Transverse_Mercator\"],PARAMETER[\"False_Easting\",200000.0],PARAMETER[\"False_Northing\",500000.0],PARAMETER[\"Central_Meridian\",127.0028902777778],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",38.0],UNIT[\"Meter\",1.0]]";
    let error = plan(bessel, &[(200_000.0, 450_000.0)]).expect_err("no operation");
    assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
    for words in ["ballpark", "Bessel 1841", "False easting 200000"] {
        assert!(error.message().contains(words), "{error}");
    }
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
fn every_code_of_the_new_frame_is_known() {
    for code in 10_940..=10_949 {
        let plan = plan(&format!("EPSG:{code}"), &[]).expect("known");
        assert!(plan.step.parameters["source_crs_name"].starts_with("QazTRF-23"), "{code}");
    }
    let error = plan("EPSG:10939", &[]).expect_err("geocentric");
    assert!(error.kind() == ErrorKind::InvalidRequest && error.message().contains("GeocentricCRS"), "{error}");
}

#[test]
fn the_public_zones_of_1963_lie_where_the_register_says() {
    // On the central meridian, 50°46' and 56°46', which a datum shifts by some seconds.
    for (code, x, meridian) in [("EPSG:2939", 2_300_000.0, 50.766_667), ("EPSG:2941", 4_300_000.0, 56.766_667)] {
        let (lon, lat) = transform(code, &[(x, 5_300_000.0)]).expect(code)[0];
        assert!((lon - meridian).abs() < 0.002 && (lat - 47.95).abs() < 0.1, "{code}: {lon}, {lat}");
    }
}

#[test]
fn empty_points_pass_through_the_operation() {
    let out = transform("EPSG:32643", &[(f64::NAN, f64::NAN), (650_000.0, 4_790_000.0)]).expect("valid");
    assert!(out[0].0.is_nan() && (out[1].0 - 76.847_727_29).abs() < 1e-7);
}

/// A plan with the operator's grids, a region and the default share.
fn plan_with(crs: &str, points: &[(f64, f64)], region: Option<&str>, limits: &Limits) -> Result<CrsPlan> {
    let region = region.map(Region::parse).transpose()?;
    let mut survey = CrsSurvey::begin(Some(crs), None)?.within(region, limits);
    for (x, y) in points {
        survey.observe_xy(*x, *y);
    }
    survey.decide(true)
}

#[test]
fn an_operators_grid_is_used_and_its_hash_is_in_the_receipt() {
    let dir = tempfile::tempdir().expect("a folder");
    // 36 seconds are a hundredth of a degree.
    std::fs::write(dir.path().join("qazgrid_kz.gsb"), grids::tests::ntv2(36.0, 72.0)).expect("written");
    let limits = Limits { grids: Grids::open(dir.path()).expect("whole"), ..Limits::default() };
    for (crs, point, (lon, lat)) in [
        ("EPSG:4284", (76.7, 43.2), (76.72, 43.21)),
        ("EPSG:28413", (13_644_000.0, 4_791_000.0), (76.772_853_50 + 0.02, 43.240_056_74 + 0.01)),
    ] {
        let plan = plan_with(crs, &[point], None, &limits).expect("known");
        let parameter = |name: &str| plan.step.parameters.get(name).map_or("", String::as_str);
        assert!(parameter("operation").contains("EPSG:10964"), "{}", parameter("operation"));
        assert_eq!((parameter("grid"), parameter("accuracy_m")), ("qazgrid_kz.gsb", "1.1"));
        assert_eq!(parameter("grid_sha256").len(), 64);
        assert!(parameter("pipeline").contains("proj=hgridshift grids=qazgrid_kz.gsb"), "{}", parameter("pipeline"));
        let (places, _) = through(plan, &[point]).expect("shifted");
        assert!((places[0].0 - lon).abs() < 1e-6 && (places[0].1 - lat).abs() < 1e-6, "{crs}: {places:?}");
    }
    // Beyond the grid, and for another datum, the parametric operation stays.
    for (crs, point) in [("EPSG:4284", (30.0, 60.0)), ("EPSG:32643", (650_000.0, 4_790_000.0))] {
        let plan = plan_with(crs, &[point], None, &limits).expect("known");
        assert!(!plan.step.parameters.contains_key("grid"), "{crs}");
    }
}

#[test]
fn single_rows_in_impossible_places_are_refused_by_rule() {
    let good = [(76.9, 43.2); 6];
    for (bad, rule) in [
        ((0.0, 0.0), "place.zero"),
        ((43.2, 76.9), "place.swapped"),
        ((71.4, 51.1), "place.outside_region"),
        ((200.0, 43.2), "place.outside_range"),
        ((13_644_000.0, 4_791_000.0), "place.metres_as_degrees"),
        ((f64::INFINITY, 43.2), "place.not_finite"),
    ] {
        let points: Vec<_> = good.into_iter().chain([bad]).collect();
        let plan = plan_with("EPSG:4326", &points, Some("75"), &Limits::default()).expect("known");
        let (kept, rules) = through(plan, &points).expect("one of seven");
        assert_eq!((kept.len(), rules), (6, vec![rule.to_owned()]), "{bad:?}");
    }
    let meters = [(13_644_000.0, 4_791_000.0); 6];
    for (bad, rules) in [
        ((4_791_000.0, 13_644_000.0), &["place.swapped"][..]),
        ((1e300, 1e300), &["place.outside_domain"]),
        ((76.9, 43.2), &["place.outside_region"]),
    ] {
        let points: Vec<_> = meters.into_iter().chain([bad]).collect();
        let plan = plan_with("EPSG:28413", &points, Some("KZ-75"), &Limits::default()).expect("known");
        let (kept, found) = through(plan, &points).expect("one of seven");
        assert_eq!((kept.len(), found.iter().map(String::as_str).collect::<Vec<_>>()), (6, rules.to_vec()), "{bad:?}");
    }
}

#[test]
fn more_misplaced_rows_than_the_share_refuse_the_layer() {
    let points = [(76.9, 43.2), (76.9, 43.2), (71.4, 51.1)];
    let tolerant = plan_with("EPSG:4326", &points, Some("75"), &Limits::default()).expect("known");
    assert_eq!(through(tolerant, &points).expect("a third").0.len(), 2);
    let strict = Limits { misplaced_share_max: 0.3, ..Limits::default() };
    let plan = plan_with("EPSG:4326", &points, Some("75"), &strict).expect("known");
    let error = through(plan, &points).expect_err("a third is too much");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    for words in ["row 3 ", "outside the declared region 75, Almaty", "1 of the 3 rows"] {
        assert!(error.message().contains(words), "{error}");
    }
    assert!(Limits { misplaced_share_max: 1.1, ..Limits::default() }.check().is_err());
}

#[test]
fn without_a_region_zero_is_taken_with_a_word() {
    let (kept, rules) = through(plan("EPSG:4326", &[]).expect("known"), &[(0.0, 0.0)]).expect("taken");
    assert_eq!((kept.len(), rules), (1, vec!["place.zero".to_owned()]));
}

#[test]
fn an_inferred_crs_is_never_shown_as_known() {
    let mut survey = CrsSurvey::begin(None, None)
        .expect("nothing said")
        .within(Some(Region::parse("75").expect("a region")), &Limits::default());
    // 3-degree zone 26, which no other known system shares.
    survey.observe_xy(26_402_000.0, 4_785_000.0);
    let plan = survey.decide(true).expect("inferred");
    assert_eq!(plan.label.as_deref(), Some("EPSG:2542 (inferred)"));
    let parameter = |name: &str| plan.step.parameters[name].as_str();
    assert!(parameter("source_crs_by").starts_with("inferred"));
    assert_eq!((parameter("confidence"), parameter("source_crs")), ("1.00", "EPSG:2542"));
    assert!(parameter("region").starts_with("75, Almaty"));
    let found = &plan.findings.into_diagnostics()[0];
    assert_eq!((found.rule.as_str(), found.severity), ("crs.inferred", Severity::Warning));
}

#[test]
fn an_override_that_contradicts_the_file_is_a_warning() {
    let of_file = |text: &str| Crs { definition: text.to_owned(), code: None, name: None };
    let esri = "PROJCS[\"Pulkovo_1942_GK_Zone_13\",GEOGCS[\"GCS_Pulkovo_1942\",DATUM[\"D_Pulkovo_1942\",SPHEROID[\"Krasovsky_1940\",6378245.0,298.3]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Gauss_Kruger\"],PARAMETER[\"False_Easting\",13500000.0],PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",75.0],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",0.0],UNIT[\"Meter\",1.0]]";
    for (declared, rule, severity) in [
        ("EPSG:28413", "crs.confirmed", Severity::Note),
        ("EPSG:28412", "crs.overridden", Severity::Warning),
        ("EPSG:32643", "crs.overridden", Severity::Warning),
    ] {
        let survey = CrsSurvey::begin(Some(declared), Some(&of_file(esri))).expect("known");
        let found = survey.findings.into_diagnostics();
        assert_eq!((found[0].rule.as_str(), found[0].severity), (rule, severity), "{declared}");
    }
}
