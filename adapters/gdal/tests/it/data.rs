//! Every file of the developer data set gets its right answer: rows, or one clear refusal.
//!
//! The set lies beside the repository or where `UKIMET_DATA` says; without it these tests say that they were skipped.

use crate::adapter::{Adapter, Ask, read};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use ukimet_model::ErrorKind;

/// What a file must give.
enum Answer {
    /// Layers with their rows.
    Rows(&'static [(&'static str, u64)]),
    /// As rows, when this CRS is declared; a question without it.
    Declared(&'static str, &'static [(&'static str, u64)]),
    /// A refusal whose message has this part.
    Refused(ErrorKind, &'static str),
}

use Answer::{Declared, Refused, Rows};
use ErrorKind::InvalidData;

const ANSWERS: &[(&str, Answer)] = &[
    ("README.md", Refused(InvalidData, "text without a known structure")),
    ("city/amsterdam_region/dutch_addresses_28992.gpkg", Rows(&[("OGRGeoJSON", 2_481)])),
    ("city/geoparquet_example.parquet", Rows(&[("geoparquet_example", 5)])),
    (
        "city/gtfs/norway_north.zip",
        Rows(&[
            ("agency", 1),
            ("calendar_dates", 333),
            ("routes", 181),
            ("stop_times", 26_890),
            ("stops", 3_693),
            ("trips", 1_098),
        ]),
    ),
    ("city/helsinki/accessibility_rules.csv", Rows(&[("accessibility_rules", 4_341)])),
    ("city/helsinki/dog_forest.geojson", Rows(&[("koirametsa", 1)])),
    (
        "city/helsinki/helsinki_centre.osm.pbf",
        Rows(&[
            ("points", 8_106),
            ("lines", 3_818),
            ("multilinestrings", 233),
            ("multipolygons", 1_095),
            ("other_relations", 232),
        ]),
    ),
    ("city/helsinki/school_districts_sv.gfs", Refused(InvalidData, "GMLFeatureClassList")),
    ("city/helsinki/school_districts_sv.gml", Rows(&[("Oppilaaksiottoalueet_ruotsinkielinen_ala_aste", 2)])),
    ("city/seoul/seoul_municipalities.dbf", Rows(&[("seoul_municipalities", 25)])),
    ("city/seoul/seoul_municipalities.prj", Refused(InvalidData, "text without a known structure")),
    ("city/seoul/seoul_municipalities.shp", Declared("EPSG:5174", &[("seoul_municipalities", 25)])),
    ("city/seoul/seoul_municipalities.shx", Refused(InvalidData, "index of a Shapefile")),
    ("city/zurich/bicycle_counts_hourly_2010.csv", Rows(&[("bicycle_counts_hourly_2010", 59_902)])),
    ("city/zurich/births_by_quarter.csv", Rows(&[("births_by_quarter", 810)])),
    ("city/zurich/births_by_quarter.meta.xml", Refused(InvalidData, "datensammlung")),
    ("city/zurich/kindergarten/kindergarten.gpkg", Rows(&[("Kindergarten", 326)])),
    ("city/zurich/kindergarten/kindergarten.json", Rows(&[("Kindergarten", 338)])),
    ("city/zurich/kindergarten/kindergarten.kmz", Rows(&[("Kindergarten", 338)])),
    ("city/zurich/kindergarten/kindergarten.zip", Rows(&[("Kindergarten", 338)])),
    ("city/zurich/kindergarten/meta.xml", Refused(InvalidData, "datensammlung")),
    ("city/zurich/station_passengers_2024.parquet", Rows(&[("station_passengers_2024", 124_529)])),
    ("kz/almaty_districts_osm.geojson", Rows(&[("almaty_districts_osm", 8)])),
    ("kz/astana_malls_osm.geojson", Rows(&[("astana_malls_osm", 28)])),
    ("kz/data_egov_kz_datasets_of_akimats.csv", Rows(&[("data_egov_kz_datasets_of_akimats", 1_042)])),
    ("kz/district_tax_rates_2026.csv", Rows(&[("district_tax_rates_2026", 158)])),
    ("kz/districts_wof.geojson", Rows(&[("districts_wof", 196)])),
    ("kz/kato.csv", Rows(&[("kato", 15_594)])),
    ("kz/kato.source.json", Refused(InvalidData, "JSON without a GeoJSON type")),
    ("kz/medical_institutions_2000_2022.xls", Rows(&[("5.21", 1), ("5.21 2", 22)])),
    ("kz/oblasts_osm_2020.geojson", Rows(&[("oblasts_osm_2020", 18)])),
    ("kz/population_by_oblast.csv", Rows(&[("population_by_oblast", 18)])),
    ("kz/power_plants.csv", Rows(&[("power_plants", 144)])),
    ("kz/settlements_wof.geojsonl", Rows(&[("settlements_wof", 11_925)])),
    ("legacy/almaty_districts_no_crs.dxf", Declared("EPSG:32643", &[("entities", 9)])),
    ("legacy/astana_malls.kml", Rows(&[("malls", 28)])),
    ("legacy/kato_cp1251_semicolon.csv", Rows(&[("kato_cp1251_semicolon", 15_594)])),
    ("legacy/kz_3_layers.gpkg", Rows(&[("malls", 28), ("oblasts", 18), ("almaty_districts", 8)])),
    ("legacy/mapinfo/goroda.dat", Refused(InvalidData, "unknown bytes")),
    ("legacy/mapinfo/goroda.id", Refused(InvalidData, "unknown bytes")),
    ("legacy/mapinfo/goroda.map", Refused(InvalidData, "unknown bytes")),
    ("legacy/mapinfo/goroda.tab", Refused(InvalidData, "send all of its files as a zip")),
    ("legacy/oblasts.gml", Rows(&[("oblast", 18)])),
    ("legacy/oblasts.xsd", Refused(InvalidData, "root element \"schema\"")),
    ("legacy/rayony_s42_cp1251.zip", Rows(&[("rayony", 195)])),
    ("legacy/settlements_decimal_comma_cp1251.csv", Rows(&[("settlements_decimal_comma_cp1251", 4_000)])),
    ("legacy/settlements_east.fgb", Rows(&[("settlements", 1_261)])),
    ("metadata/stac/collection.json", Refused(InvalidData, "type \"Collection\"")),
    ("metadata/stac/core-item.json", Rows(&[("core-item", 1)])),
    ("metadata/stac/simple-item.json", Rows(&[("simple-item", 1)])),
    ("odd/gdal/3d_envelope.gpkg", Declared("EPSG:4326", &[("foo", 2)])),
    ("odd/gdal/bom.gml", Rows(&[("CartographicText", 3)])),
    ("odd/gdal/buggypoint.shp", Declared("EPSG:32631", &[("buggypoint", 1)])),
    ("odd/gdal/buggypoint.shx", Refused(InvalidData, "index of a Shapefile")),
    ("odd/gdal/csv_with_utf8_bom.csv", Rows(&[("csv_with_utf8_bom", 2)])),
    ("odd/gdal/datetime.xlsx", Rows(&[("Sheet1", 10)])),
    ("odd/gdal/emptymultipoly.dbf", Rows(&[("emptymultipoly", 1)])),
    ("odd/gdal/emptymultipoly.shp", Rows(&[("emptymultipoly", 1)])),
    ("odd/gdal/emptymultipoly.shx", Refused(InvalidData, "index of a Shapefile")),
    ("odd/gdal/esripoint.json", Rows(&[("esripoint", 1)])),
    ("odd/gdal/first_geometry_null.gpkg", Declared("EPSG:4326", &[("test", 2)])),
    ("odd/gdal/header_with_line_break.csv", Rows(&[("header_with_line_break", 3)])),
    ("odd/gdal/inlineStr.xlsx", Rows(&[("inlineStr", 1)])),
    ("odd/gdal/mixed_shape_type_non_conformant.dbf", Rows(&[("mixed_shape_type_non_conformant", 6)])),
    ("odd/gdal/mixed_shape_type_non_conformant.shp", Declared("EPSG:4326", &[("mixed_shape_type_non_conformant", 6)])),
    ("odd/gdal/mixed_shape_type_non_conformant.shx", Refused(InvalidData, "index of a Shapefile")),
    ("odd/gdal/nullvalues.geojson", Rows(&[("nullvalues", 2)])),
    ("odd/gdal/point_with_utf8bom.json", Rows(&[("point_with_utf8bom", 1)])),
    ("odd/gdal/prjwithutf8bom.dbf", Declared("EPSG:4326", &[("prjwithutf8bom", 1)])),
    ("odd/gdal/prjwithutf8bom.prj", Refused(InvalidData, "text without a known structure")),
    ("odd/gdal/prjwithutf8bom.shp", Declared("EPSG:4326", &[("prjwithutf8bom", 1)])),
    ("odd/gdal/prjwithutf8bom.shx", Refused(InvalidData, "index of a Shapefile")),
    ("odd/gdal/srs_name.geojson", Refused(InvalidData, "EPSG:26915")),
    (
        "odd/gdal/test.ods",
        Rows(&[
            ("Feuille1", 17),
            ("Feuille2", 2),
            ("Feuille3", 1),
            ("Feuille4", 1),
            ("Feuille5", 1),
            ("Feuille6", 1),
            ("Feuille7", 2),
            ("Feuille8", 1),
        ]),
    ),
    ("odd/gdal/testcsvt.csv", Rows(&[("testcsvt", 2)])),
    ("odd/gdal/testcsvt.csvt", Refused(InvalidData, "text without a known structure")),
    ("odd/gdal/truncated.kml", Refused(ErrorKind::DataLoss, "no element found")),
    ("odd/parquet-testing/PARQUET-1481.parquet", Refused(InvalidData, "Parquet file")),
    ("odd/georust-gdal/null_feature_fields.geojson", Rows(&[("null_feature_fields", 1)])),
    ("odd/georust-gdal/points_with_datetime.json", Rows(&[("points_with_datetime", 1)])),
    ("odd/georust-gdal/roads.geojson", Rows(&[("roads", 21)])),
    ("odd/georust-gdal/two_geoms.csv", Declared("EPSG:4326", &[("two_geoms", 1)])),
];

/// The data set, if it is there.
pub(crate) fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("UKIMET_DATA").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: the developer data set is not there");
        return None;
    }
    Some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

async fn check(adapter: &Adapter, file: &str, bytes: &[u8], answer: &Answer) {
    let mut ask = Ask::named(file.rsplit('/').next().expect("a name"));
    let found = read(adapter, &ask, bytes).await;
    let (found, expected) = match answer {
        Refused(kind, part) => {
            let error = found.map(|_| ()).expect_err(file);
            assert!(error.kind() == *kind && error.to_string().contains(part), "{file}: {error:?}");
            return;
        }
        Declared(crs, expected) => {
            let error = found.map(|_| ()).expect_err(file);
            assert!(error.kind() == ErrorKind::Undeclared, "{file}: {error:?}");
            assert!(error.to_string().contains("declare crs"), "{file}: {error:?}");
            ask.crs = Some((*crs).to_owned());
            (read(adapter, &ask, bytes).await, expected)
        }
        Rows(expected) => (found, expected),
    };
    let found: Vec<(String, u64)> =
        found.expect(file).iter().map(|layer| (layer.name.clone(), layer.report.rows_read)).collect();
    let expected: Vec<(String, u64)> = expected.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
    assert_eq!(found, expected, "{file}");
}

#[tokio::test]
async fn every_file_of_the_data_set_gets_its_answer() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    for (file, answer) in ANSWERS {
        let Ok(bytes) = std::fs::read(folder.join(file)) else { panic!("{file} is missing from the data set") };
        check(&adapter, file, &bytes, answer).await;
    }
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn files_without_an_answer_of_their_own_follow_their_folder() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    let named: BTreeSet<&str> = ANSWERS.iter().map(|(file, _)| *file).collect();
    for path in files(&folder) {
        let file = path.strip_prefix(&folder).expect("inside").to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("readable");
        let found = read(&adapter, &Ask::named(file.rsplit('/').next().expect("a name")), &bytes).await;
        if file.starts_with("odd/geojson-fixtures/") {
            let rows = if file.contains("featurecollection") { 3 } else { 1 };
            assert_eq!(found.expect(&file)[0].rows(), rows, "{file}");
        } else if file.starts_with("metadata/ngsi-ld/") || file.starts_with("metadata/frictionless/") {
            let error = found.map(|_| ()).expect_err(&file);
            assert!(error.kind() == InvalidData && error.to_string().contains("JSON"), "{file}: {error:?}");
        } else if !named.contains(file.as_str()) {
            // These have tests of their own below.
            let own =
                ["odd/gdal/testopenfilegdb92.gdb.zip", "odd/gdal/topojson_with_crs.topojson", "odd/gdal/utf8.gml"];
            assert!(own.contains(&file.as_str()), "{file} has no expected answer");
        }
    }
}

#[tokio::test]
async fn a_geodatabase_gives_its_layers_and_names_the_one_without_columns() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    let bytes = std::fs::read(folder.join("odd/gdal/testopenfilegdb92.gdb.zip")).expect("there");
    let mut ask = Ask::named("testopenfilegdb92.gdb.zip");
    ask.all_layers = false;
    let error = read(&adapter, &ask, &bytes).await.map(|_| ()).expect_err("many layers");
    assert_eq!(error.kind(), ErrorKind::Undeclared);
    assert!(error.to_string().contains("has 21 layers") && error.to_string().contains("--layer NAME"), "{error}");
    for (layer, rows) in [("point", 5), ("multipolygon", 5), ("big_layer", 341), ("none", 6)] {
        ask.layer = Some(layer.to_owned());
        let layers = read(&adapter, &ask, &bytes).await.expect(layer);
        assert_eq!((layers[0].name.as_str(), layers[0].report.rows_read), (layer, rows));
        assert!(layers[0].rules().contains(&"read.layer_without_columns"), "{:?}", layers[0].rules());
    }
    ask.layer = Some("rivers".to_owned());
    let error = read(&adapter, &ask, &bytes).await.map(|_| ()).expect_err("no such layer");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn legacy_text_is_decoded_and_the_receipt_says_from_what() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    let mapinfo = ["tab", "dat", "map", "id"].map(|ending| {
        let bytes = std::fs::read(folder.join(format!("legacy/mapinfo/goroda.{ending}"))).expect("there");
        (format!("mapinfo/Города.{ending}"), bytes)
    });
    let zip =
        crate::cases::zip(&mapinfo.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>());
    let layers = read(&adapter, &Ask::named("goroda.zip"), &zip).await.expect("MapInfo");
    assert_eq!((layers[0].name.as_str(), layers[0].rows()), ("Города", 274));
    assert_eq!(layers[0].report.source_encoding.as_deref(), Some("windows-1251"));
    let rayony = std::fs::read(folder.join("legacy/rayony_s42_cp1251.zip")).expect("there");
    let layers = read(&adapter, &Ask::named("rayony.zip"), &rayony).await.expect("Shapefile");
    assert_eq!(layers[0].report.source_encoding.as_deref(), Some("windows-1251"));
    assert_eq!(layers[0].report.source_crs.as_deref(), Some("EPSG:28413"));
    let name = layers[0].schema.index_of("name_ru").expect("a column");
    let names = arrow_cast::display::array_value_to_string(layers[0].batches[0].column(name), 0).expect("text");
    assert!(names.chars().all(|c| ('А'..='я').contains(&c) || " -ёЁ.".contains(c)), "{names}");
}
