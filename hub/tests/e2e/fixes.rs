//! Corrected rows are read by the decisions about their columns that the first push made.

use crate::hub::{Hub, ukimet};
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).expect("written");
    file
}

/// The refused rows of a push as a sheet of text.
fn refused(hub: &Hub, dataset: &str, push: &str) -> String {
    let output = ukimet()
        .args(["report", dataset, "--push", push, "--table", "quarantine", "--format", "csv", "--hub", &hub.url])
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Pushes a file whose rows are damaged in places, then the corrections of its refused rows; the layer's outcome.
///
/// The rows that are there then are those of the corrected file.
fn corrected(hub: &Hub, dir: &Path, file: (&str, &str), flags: &[&str], fixes: &[(&str, &str)]) -> Value {
    let (name, text) = file;
    let dataset = format!("kz/{}", name.split('.').next().expect("a name"));
    hub.publish(&write(dir, name, text), &dataset, &[flags, &["--push-id", "first"]].concat());
    let (mut sheet, mut whole) = (refused(hub, &dataset, "first"), text.to_owned());
    for (wrong, right) in fixes {
        assert!(whole.contains(wrong) && sheet.contains(wrong), "{wrong}: {sheet}");
        (sheet, whole) = (sheet.replace(wrong, right), whole.replace(wrong, right));
    }
    let outcome = hub.publish(&write(dir, "fixed.csv", &sheet), &dataset, &["--fixes", "first", "--push-id", "fixed"]);
    let layer = outcome["layers"][0].clone();
    assert_eq!(layer["rows_refused"], 0, "{layer:#}");
    let (_, again) = hub.push(&write(dir, name, &whole), &dataset, flags);
    let found = (&again["status"], &again["layers"][0]["version"]);
    assert_eq!(found, (&json!("unchanged"), &json!(2)), "the whole corrected file is the same version: {again:#}");
    layer
}

const SUMS: &str = "Имя;Сумма;Дата;Проверка;Длина;Площадь, га;wkt
а;1.234.567,8;31/05/2024;12/31/2024;12 км;0,5;POINT(76.95 43.25)
б;1.234;05/06/2024;05/06/2024;7 км;1,234;POLNT(76.96 43.26)
в;5;01/02/2024;01/02/2024;5 км;3;POINT(76.97 43.27)
г;-2.000,5;07/08/2024;07/08/2024;1 км;1,250;ПОИНТ(76.98 43.28)
";

#[test]
fn corrected_numbers_and_days_are_written_as_in_their_columns() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let fixes = [("POLNT(76.96", "POINT(76.96"), ("ПОИНТ", "POINT")];
    let layer = corrected(&hub, dir.path(), ("sums.csv", SUMS), &["--crs", "EPSG:4326"], &fixes);
    assert_eq!(layer["rows_taken"], 2, "{layer:#}");
    let (_, described) = hub.ask(&["describe", "kz/sums"]);
    let fields = described["dataset"]["version"]["fields"].as_array().expect("a list");
    let units: Vec<_> = fields.iter().filter_map(|field| field["unit"].as_str()).collect();
    assert_eq!(units, ["км", "га"], "{described:#}");
}

#[test]
fn rows_that_were_refused_for_their_place_fit_with_every_other_cell_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let head = "id;value;total;d;wkt\n";
    let first = format!("{head}1;500 тг;5;25/12/2024;POINT(76 43)\n2;600 тг;-1,5;01/02/2024;POINT(76 44)\n");
    hub.publish(&write(dir.path(), "a.csv", &first), "kz/a", &["--crs", "EPSG:4326"]);
    let more = format!("{head}3;700 тг;(8);03/04/2024;POLNT(76 45)\n4;1 700 тг;(1 200,5);05/06/2024;POINT(76 46)\n");
    let flags = ["--crs", "EPSG:4326", "--mode", "append", "--push-id", "more"];
    let outcome = hub.publish(&write(dir.path(), "a.csv", &more), "kz/a", &flags);
    assert_eq!(outcome["layers"][0]["rows_refused"], 1, "{outcome:#}");
    let sheet = refused(&hub, "kz/a", "more").replace("POLNT", "POINT");
    let outcome = hub.publish(&write(dir.path(), "fixed.csv", &sheet), "kz/a", &["--fixes", "more"]);
    assert_eq!(outcome["layers"][0]["rows_taken"], 1, "{outcome:#}");
}

#[test]
fn a_number_of_a_spreadsheet_is_not_taken_for_thousands() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    hub.publish(&write(dir.path(), "sums.csv", SUMS), "kz/sums", &["--crs", "EPSG:4326", "--push-id", "first"]);
    let book = |sum: Option<f64>| {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.set_name("rows").expect("named");
        let rows = [
            ["Имя", "Сумма", "Дата", "Проверка", "Длина", "Площадь, га", "wkt", "_row"],
            ["б", "1.234", "05/06/2024", "05/06/2024", "7 км", "1,234", "POINT(76.96 43.26)", "2"],
        ];
        for (line, cells) in rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                sheet.write_string(line as u32, column as u16, *cell).expect("written");
            }
        }
        if let Some(sum) = sum {
            sheet.write_number(1, 1, sum).expect("written");
        }
        let file = dir.path().join("fixed.xlsx");
        workbook.save(&file).expect("saved");
        file
    };
    let (code, message) = hub.refused(&book(Some(1.235)), "kz/sums", &["--fixes", "first"]);
    assert_eq!(
        (code.as_str(), message.contains("row 2 has \"1.235\" in column")),
        ("INVALID_ARGUMENT", true),
        "{message}"
    );
    let outcome = hub.publish(&book(None), "kz/sums", &["--fixes", "first"]);
    assert_eq!(outcome["layers"][0]["rows_taken"], 1, "as the source has it: {outcome:#}");
}

#[test]
fn corrected_times_are_in_the_zone_of_the_first_push() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let mapping = write(dir.path(), "mapping.toml", "time_zone = \"Asia/Almaty\"\n");
    let file = "id,t,wkt\n1,2024-05-31T10:00:00,POINT(76 43)\n2,2024-02-29T23:30:00,POLNT(76 44)\n";
    let flags = ["--crs", "EPSG:4326", "--mapping", mapping.to_str().expect("text")];
    corrected(&hub, dir.path(), ("times.csv", file), &flags, &[("POLNT", "POINT")]);
}

#[test]
fn corrected_codes_are_compared_with_the_register() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--kato-register", "kz/kato"]);
    hub.publish(&write(dir.path(), "kato.csv", "code,name\n750000000,Алматы\n710000000,Астана\n"), "kz/kato", &[]);
    let file = "name,kato,wkt\nа,750000000,POINT(76 43)\nб,710000000,ПОИНТ(71 51)\nв,710000000,POINT(71 51)\n";
    hub.publish(&write(dir.path(), "schools.csv", file), "kz/schools", &["--crs", "EPSG:4326", "--push-id", "first"]);
    let sheet = refused(&hub, "kz/schools", "first").replace("ПОИНТ", "POINT").replace("710000000", "719999999");
    let outcome = hub.publish(&write(dir.path(), "fixed.csv", &sheet), "kz/schools", &["--fixes", "first"]);
    let layer = &outcome["layers"][0];
    let found = layer["diagnostics"].as_array().expect("a list").iter().find(|d| d["rule"] == "codes.unknown_kato");
    assert_eq!(found.expect("told")["examples"][0]["found"], "719999999", "{layer:#}");
    let codes = layer["steps"].as_array().expect("a list").iter().find(|step| step["step"] == "codes");
    assert_eq!(codes.expect("a receipt")["parameters"]["kato_register"], "kz/kato v1");
}

#[test]
fn corrected_outlines_are_in_a_crs_that_only_their_file_defines() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let wkt = "PROJCS[\"city\",GEOGCS[\"GCS_Pulkovo_1942\",DATUM[\"D_Pulkovo_1942\",SPHEROID[\"Krasovsky_1940\",6378245.0,298.3]],\
               PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Transverse_Mercator\"],\
               PARAMETER[\"False_Easting\",10000.0],PARAMETER[\"False_Northing\",-4700000.0],\
               PARAMETER[\"Central_Meridian\",76.95],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",0.0],UNIT[\"Meter\",1.0]]";
    let feature = |id: u32, ring: Value| json!({ "attributes": { "id": id }, "geometry": { "rings": [ring] } });
    let ring = json!([[10_000, 90_000], [10_000, 91_000], [11_000, 91_000], [10_000, 90_000]]);
    let features = [feature(1, ring), feature(2, json!([[20_000, 90_000], [20_000, 91_000]]))];
    let file = json!({
        "geometryType": "esriGeometryPolygon", "spatialReference": { "wkt": wkt },
        "fields": [{ "name": "id", "type": "esriFieldTypeInteger" }], "features": features,
    });
    let file = write(dir.path(), "outlines.json", &file.to_string());
    let outcome = hub.publish(&file, "kz/outlines", &["--push-id", "first"]);
    assert_eq!(outcome["layers"][0]["rows_refused"], 1, "{outcome:#}");
    let sheet = refused(&hub, "kz/outlines", "first");
    let right = "((20000 90000,20000 91000,21000 91000,20000 90000))";
    assert!(sheet.contains("((20000 90000,20000 91000))"), "{sheet}");
    let sheet = write(dir.path(), "fixed.csv", &sheet.replace("((20000 90000,20000 91000))", right));
    let outcome = hub.publish(&sheet, "kz/outlines", &["--fixes", "first"]);
    let bbox = &outcome["layers"][0]["bbox"];
    assert_eq!(outcome["layers"][0]["rows_taken"], 1, "{outcome:#}");
    assert!(bbox.to_string().contains("77.0"), "{outcome:#}");
}

#[test]
fn corrected_rows_find_the_columns_that_a_mapping_renames_parts_and_drops() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let mapping = "drop = [\"служебное\"]\n[[column]]\nname = \"street\"\nfrom = \"адрес\"\nsplit = { separator = \",\", part = 1 }\n\
                   [[column]]\nname = \"people\"\nfrom = \"Население\"\n[[column]]\nname = \"floors\"\nfrom = \"этажей\"\ncast = \"integer\"\n";
    let mapping = write(dir.path(), "mapping.toml", mapping);
    let feature = |people: u32, ring: Value| {
        let properties = json!({ "адрес": "Абая, 5", "Население": people, "этажей": "3", "служебное": "x" });
        json!({ "type": "Feature", "properties": properties, "geometry": { "type": "Polygon", "coordinates": [ring] } })
    };
    let features =
        [feature(10, json!([[76, 43], [77, 43], [77, 44], [76, 43]])), feature(20, json!([[70, 43], [71, 43]]))];
    let file = json!({ "type": "FeatureCollection", "features": features }).to_string();
    let flags = ["--push-id", "first", "--mapping", mapping.to_str().expect("text")];
    let outcome = hub.publish(&write(dir.path(), "houses.geojson", &file), "kz/houses", &flags);
    assert_eq!(outcome["layers"][0]["rows_refused"], 1, "{outcome:#}");
    let sheet = refused(&hub, "kz/houses", "first");
    let sheet = sheet.replace("((70 43,71 43))", "((70 43,71 43,71 44,70 43))");
    hub.publish(&write(dir.path(), "fixed.csv", &sheet), "kz/houses", &["--fixes", "first"]);
    let whole = file.replace("[[70,43],[71,43]]", "[[70,43],[71,43],[71,44],[70,43]]");
    let (_, again) = hub.push(&write(dir.path(), "houses.geojson", &whole), "kz/houses", &[]);
    assert_eq!((&again["status"], &again["layers"][0]["version"]), (&json!("unchanged"), &json!(2)), "{again:#}");
}

#[test]
fn corrected_rows_of_columns_with_one_name_go_through_a_mapping() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let mapping = write(dir.path(), "mapping.toml", "[[column]]\nname = \"first\"\nfrom = \"Имя\"\n");
    let file = "Имя;Имя;Имя;wkt\nа;1;0,5;POINT(76 43)\nб;2;1,25;ПОИНТ(71 51)\n";
    let flags = ["--crs", "EPSG:4326", "--mapping", mapping.to_str().expect("text")];
    corrected(&hub, dir.path(), ("names.csv", file), &flags, &[("ПОИНТ", "POINT")]);
}
