//! Verdicts and refused rows, read through every door, corrected and pushed back.

use crate::hub::{Hub, root, ukimet};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ukimet_hub::client::Client;
use ukimet_model::batch::geometry_field;

/// Six rows, of which the second, third and fifth have no geometry that can be read.
const PLACES: &str = "Код;Название;Население;wkt
007;Абай;1200;POINT(76.95 43.25)
008;=СУММ(A1);-5;POINT(76.96 43.26
009;;15;POLYGON((1 1))
010;Шу;20;POINT(73.75 43.6)
011;Тараз;;ПОИНТ(71.4 42.9)
012;Абай;1200;POINT(76.95 43.27)
";

fn places(dir: &Path, hub: &Hub) -> PathBuf {
    let file = dir.join("places.csv");
    fs::write(&file, PLACES).expect("written");
    let outcome = hub.publish(&file, "kz/places", &["--push-id", "p1", "--crs", "EPSG:4326"]);
    let layer = &outcome["layers"][0];
    assert_eq!((&layer["rows_taken"], &layer["rows_refused"]), (&json!(3), &json!(3)));
    assert_eq!(layer["quarantine"]["rows"], 3);
    file
}

fn report(hub: &Hub, arguments: &[&str]) -> String {
    let output = ukimet().arg("report").args(arguments).args(["--hub", &hub.url]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn get(hub: &Hub, path: &str) -> (u16, String) {
    let address = hub.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept-Language: kk\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

fn pull(hub: &Hub, command: &Value) -> Vec<RecordBatch> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (client, mut batches) = (Client::connect(&hub.url).await.expect("a hub"), Vec::new());
        let keep = |batch| {
            batches.push(batch);
            Ok(())
        };
        client.pull(command.to_string().into_bytes(), |_, _| Ok(()), keep).await.expect("a table");
        batches
    })
}

/// The names and codes of the published rows, sorted.
fn published(dir: &Path, hub: &Hub, dataset: &str) -> Vec<String> {
    let out = dir.join("out.csv");
    let (code, _) = hub.ask(&["export", dataset, "--raw", "-o", out.to_str().expect("text")]);
    assert_eq!(code, 0);
    let text = fs::read_to_string(out).expect("a file");
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn verdicts_and_refused_rows_are_read_by_command_http_and_flight_and_survive_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &[]);
    places(dir.path(), &hub);
    hub.signal("KILL");
    drop(hub);
    let hub = Hub::start(&data, &[]);
    let document: Value = serde_json::from_str(&report(&hub, &["kz/places", "--format", "json"])).expect("JSON");
    let verdicts = document["verdicts"].as_array().expect("a list");
    let rows: Vec<_> = verdicts.iter().filter(|v| v["severity"] == "error").map(|v| v["row"].as_u64()).collect();
    assert_eq!(rows, [Some(1), Some(2), Some(4)]);
    assert_eq!(
        document["quarantine"][1]["values"],
        json!({ "Код": "009", "Название": null, "Население": "15", "wkt": "POLYGON((1 1))" })
    );
    let table = pull(&hub, &json!({ "dataset": "kz/places", "version": 1, "table": "verdicts" }));
    assert_eq!(table.iter().map(RecordBatch::num_rows).sum::<usize>(), verdicts.len());
    let table = pull(&hub, &json!({ "dataset": "kz/places", "push_id": "p1", "table": "quarantine" }));
    assert_eq!(table[0].column(0).as_primitive::<UInt64Type>().values(), &[1, 2, 4]);
    assert!(table[0].column_by_name("Население").expect("a column").as_string::<i32>().value(0) == "-5");
    let (status, page) = get(&hub, "/datasets/kz/places/versions/v1/report.html");
    assert!(status == 200 && page.contains("lang=\"kk\"") && page.contains("Қабылданбады"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    let (status, text) = get(&hub, "/datasets/kz/places/pushes/p1/report.json?severity=error&lang=en");
    assert!(status == 200 && text.matches("\"rule\":\"geometry.malformed\"").count() >= 3, "{text}");
    for (path, status) in [
        ("/datasets/kz/places/versions/v9/report", 404),
        ("/datasets/kz/places/versions/v1/report.docx", 400),
        ("/datasets/kz/places/versions/v1/report?lang=de", 400),
        ("/datasets/kz/places/pushes/nobody/report.csv", 404),
    ] {
        assert_eq!(get(&hub, path).0, status, "{path}");
    }
}

#[test]
fn refused_rows_corrected_in_a_spreadsheet_come_beside_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &[]);
    places(dir.path(), &hub);
    let book = dir.path().join("refused.xlsx");
    report(&hub, &["kz/places", "--lang", "ru", "-o", book.to_str().expect("text")]);
    let mut archive = zip::ZipArchive::new(fs::File::open(&book).expect("a file")).expect("a spreadsheet");
    let mut sheet = String::new();
    archive.by_name("xl/worksheets/sheet1.xml").expect("a sheet").read_to_string(&mut sheet).expect("XML");
    assert!(sheet.contains("=СУММ(A1)") && !sheet.contains("<f>"), "no cell is a formula: {sheet}");
    assert!(!sheet.contains("<v>8</v>") && sheet.contains(">008<"), "leading zeros survive: {sheet}");

    let fixed = dir.path().join("fixed.xlsx");
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.set_name("rows").expect("named");
    for (line, cells) in [
        ["Код", "Название", "Население", "wkt", "_row", "_why"],
        ["008", "=СУММ(A1)", "-5", "POINT(76.96 43.26)", "2", "x"],
        ["009", "", "fifteen", "POINT(70 43)", "3", "x"],
        ["011", "Тараз", "300", "POINT(71.4 42.9)", "5", "x"],
    ]
    .iter()
    .enumerate()
    {
        for (column, cell) in cells.iter().enumerate() {
            sheet.write_string(line as u32, column as u16, *cell).expect("written");
        }
    }
    // An officer types a number.
    sheet.write_number(3, 2, 300.0).expect("written");
    workbook.save(&fixed).expect("saved");
    let outcome = hub.publish(&fixed, "kz/places", &["--fixes", "p1", "--push-id", "p2"]);
    let layer = &outcome["layers"][0];
    let counts = ["rows_read", "rows_taken", "rows_refused", "rows_added", "rows_removed", "version"];
    assert_eq!(counts.map(|name| layer[name].as_u64().expect(name)), [3, 2, 1, 2, 0, 2], "{layer:#}");
    assert_eq!(layer["quarantine"]["rows"], 1);
    let step = &layer["steps"][0];
    assert_eq!((&step["step"], &step["parameters"]["push"]), (&json!("fixes"), &json!("p1")));
    assert_eq!(step["parameters"]["rows"], "1,4");
    let rules: Vec<_> = layer["diagnostics"].as_array().into_iter().flatten().map(|d| d["rule"].clone()).collect();
    assert!(rules.contains(&json!("types.expected")), "{rules:?}");

    let again = hub.push(&fixed, "kz/places", &["--fixes", "p1", "--push-id", "p3"]).1;
    assert_eq!((&again["status"], &again["layers"][0]["version"]), (&json!("unchanged"), &json!(2)), "{again:#}");
    assert_eq!(hub.publish(&fixed, "kz/places", &["--fixes", "p1", "--push-id", "p2"])["replayed"], true);

    hub.signal("KILL");
    drop(hub);
    let hub = Hub::start(&data, &[]);
    let rows = published(dir.path(), &hub, "kz/places");
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().any(|row| row.starts_with("008,=СУММ(A1),-5,")), "{rows:?}");
    let sheet = report(&hub, &["kz/places", "--table", "quarantine", "--format", "csv"]);
    assert!(sheet.contains("009,,fifteen,POINT(70 43),3,") && sheet.lines().count() == 2, "{sheet}");
    let last = dir.path().join("last.csv");
    fs::write(&last, sheet.replace("fifteen", "15")).expect("written");
    hub.publish(&last, "kz/places", &["--fixes", "p2"]);
    let rows = published(dir.path(), &hub, "kz/places");
    assert_eq!(rows.len(), 6);
    assert!(rows.contains(&"009,,15,POINT(70 43),POINT(70 43)".to_owned()), "{rows:?}");
    // The same rows in one file are the same version.
    let whole = dir.path().join("whole.csv");
    let corrected = PLACES.replace("43.26\n", "43.26)\n").replace("POLYGON((1 1))", "POINT(70 43)");
    fs::write(&whole, corrected.replace("Тараз;;ПОИНТ", "Тараз;300;POINT")).expect("written");
    let (_, outcome) = hub.push(&whole, "kz/places", &["--crs", "EPSG:4326"]);
    assert_eq!((&outcome["status"], &outcome["layers"][0]["version"]), (&json!("unchanged"), &json!(3)), "{outcome:#}");
}

#[test]
fn a_refused_outline_is_corrected_as_text_in_the_crs_of_its_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("outlines.geojson");
    let outline = |id: u32, ring: Value| json!({ "type": "Feature", "properties": { "id": id, "code": "007" }, "geometry": { "type": "Polygon", "coordinates": [ring] } });
    let whole =
        json!([[13_067_000, 5_685_000], [13_068_000, 5_685_000], [13_068_000, 5_686_000], [13_067_000, 5_685_000]]);
    let features = [outline(1, whole), outline(2, json!([[13_067_000, 5_685_000], [13_068_000, 5_685_000]]))];
    fs::write(&file, json!({ "type": "FeatureCollection", "features": features }).to_string()).expect("written");
    let outcome = hub.publish(&file, "kz/outlines", &["--crs", "EPSG:28413", "--push-id", "p1"]);
    assert_eq!(outcome["layers"][0]["rows_refused"], 1, "{outcome:#}");
    let sheet = report(&hub, &["kz/outlines", "--table", "quarantine", "--format", "csv"]);
    let refused = "POLYGON((13067000 5685000,13068000 5685000))";
    assert!(sheet.contains(refused), "{sheet}");
    let fixed = dir.path().join("fixed.csv");
    let corrected = "POLYGON((13067000 5685000,13068000 5685000,13068000 5686000,13067000 5685000))";
    fs::write(&fixed, sheet.replace(refused, corrected)).expect("written");
    hub.publish(&fixed, "kz/outlines", &["--fixes", "p1"]);
    let rows = published(dir.path(), &hub, "kz/outlines");
    let shapes: Vec<_> = rows.iter().map(|row| row.split_once('"').expect("a polygon").1.to_owned()).collect();
    assert_eq!((shapes.len(), &shapes[0]), (2, &shapes[1]), "{rows:?}");
    assert!(rows[1].starts_with("2,007,"), "{rows:?}");
}

/// An Arrow file of places: under `форма` points, further columns of text.
fn shapes(file: &Path, columns: &[(&str, [&str; 2])]) {
    let points = [point(76.9, 43.2), point(71.4, 51.1)];
    let shape = Field::new("форма", DataType::Binary, true).with_metadata(geometry_field().metadata().clone());
    let texts = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(std::iter::once(shape).chain(texts).collect::<Vec<_>>()));
    let points: ArrayRef = Arc::new(BinaryArray::from_iter_values(points));
    let texts = columns.iter().map(|(_, cells)| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef);
    let rows = RecordBatch::try_new(Arc::clone(&schema), std::iter::once(points).chain(texts).collect());
    let mut writer = FileWriter::try_new(fs::File::create(file).expect("made"), &schema).expect("begins");
    writer.write(&rows.expect("columns fit")).expect("written");
    writer.finish().expect("ended");
}

fn point(x: f64, y: f64) -> Vec<u8> {
    [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
}

#[test]
fn corrections_find_the_geometry_though_the_mapping_drops_another_column() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let (file, mapping) = (dir.path().join("places.arrow"), dir.path().join("mapping.toml"));
    let columns = [("мест", ["900", "много"]), ("заметка", ["а", "б"]), ("этаж", ["1", "второй"])];
    shapes(&file, &columns);
    let column =
        |name: &str, from: &str| format!("[[column]]\nname = \"{name}\"\nfrom = \"{from}\"\ncast = \"integer\"\n");
    let text = format!("drop = [\"заметка\"]\n{}{}", column("capacity", "мест"), column("floor", "этаж"));
    fs::write(&mapping, text).expect("written");
    let mapping = mapping.to_str().expect("text");
    let first = hub.publish(&file, "kz/places", &["--mapping", mapping, "--push-id", "p1"]);
    assert_eq!(first["layers"][0]["geometry_column"], 0, "{first:#}");
    let sheet = dir.path().join("sheet.csv");
    // Once with a cell that is still wrong, so that the corrections are corrected.
    for (push, wrong, right, taken) in [("p1", "много", "100", 0), ("p2", "второй", "2", 1)] {
        let rows = report(&hub, &["kz/places", "--push", push, "--table", "quarantine", "--format", "csv"]);
        assert!(rows.contains("POINT"), "{rows}");
        fs::write(&sheet, rows.replace(wrong, right)).expect("written");
        let next = if push == "p1" { "p2" } else { "p3" };
        let (_, outcome) = hub.push(&sheet, "kz/places", &["--fixes", push, "--push-id", next]);
        assert_eq!(outcome["layers"][0]["rows_taken"], taken, "{outcome:#}");
    }
    let rows = published(dir.path(), &hub, "kz/places");
    assert!(rows.iter().any(|row| row.starts_with("100,2,") && row.contains("71.4 51.1")), "{rows:?}");
}

#[test]
fn corrections_of_corrections_are_read_by_the_mapping_and_in_the_region_of_the_first_push() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let (file, mapping) = (dir.path().join("places.csv"), dir.path().join("mapping.toml"));
    fs::write(&file, PLACES).expect("written");
    let columns = ["city\"\nconstant = \"Алматы", "people\"\nfrom = \"население\"\ncast = \"integer"];
    let columns = columns.map(|column| format!("[[column]]\nname = \"{column}\"\n"));
    fs::write(&mapping, columns.concat()).expect("written");
    let mapping = mapping.to_str().expect("text");
    let declared = ["--crs", "EPSG:4326", "--region", "KZ", "--mapping", mapping, "--push-id", "p1"];
    hub.publish(&file, "kz/places", &declared);
    let refused = |push: &str| report(&hub, &["kz/places", "--push", push, "--table", "quarantine", "--format", "csv"]);
    let (first, second) = (dir.path().join("first.csv"), dir.path().join("second.csv"));
    let sheet = refused("p1").replace("76.96 43.26", "76.96 43.26)").replace("ПОИНТ(71.4 42.9)", "POINT(10 10)");
    fs::write(&first, sheet).expect("written");
    let outcome = hub.publish(&first, "kz/places", &["--fixes", "p1", "--push-id", "p2"]);
    assert_eq!((&outcome["layers"][0]["rows_taken"], &outcome["layers"][0]["rows_refused"]), (&json!(1), &json!(2)));
    fs::write(&second, refused("p2").replace("POLYGON((1 1))", "POINT(70 43)")).expect("written");
    let outcome = hub.publish(&second, "kz/places", &["--fixes", "p2", "--push-id", "p3"]);
    let layer = &outcome["layers"][0];
    assert_eq!((&layer["rows_taken"], &layer["rows_refused"]), (&json!(1), &json!(1)), "{layer:#}");
    let rules: Vec<_> = layer["diagnostics"].as_array().into_iter().flatten().map(|d| d["rule"].clone()).collect();
    assert!(rules.contains(&json!("place.outside_region")), "{rules:?}");
    let rows = published(dir.path(), &hub, "kz/places");
    assert!(rows.len() == 5 && rows.iter().all(|row| row.contains("Алматы")), "{rows:?}");
}

#[test]
fn a_sheet_that_does_not_belong_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--fix-rows-max", "3"]);
    let file = places(dir.path(), &hub);
    let sheet = dir.path().join("sheet.csv");
    let head = "Код,Название,Население,wkt,_row,_why\n";
    let refused = |rows: &str, words: &str| {
        fs::write(&sheet, rows).expect("written");
        let (_, message) = hub.refused(&sheet, "kz/places", &["--fixes", "p1"]);
        assert!(message.contains(words), "{words}: {message}");
    };
    let row = "008,x,1,POINT(1 2),2,\n";
    refused(&format!("{head}{row}{row}"), "row 2 is in the sheet twice");
    refused(&format!("{head}007,x,1,POINT(1 2),1,\n"), "row 1 was not refused by push p1");
    refused(&format!("{head}007,x,1,POINT(1 2),first,\n"), "has the number of a row");
    refused("Код,wkt,_row\n008,POINT(1 2),2\n", "no column \"Название\"");
    refused("Код,Название,Население,wkt,_row,new\n008,x,1,POINT(1 2),2,y\n", "a column \"new\" that the refused rows");
    refused("Код,Название\n008,x\n", "no column _row");
    refused(&format!("{head}{}", row.repeat(4)), "corrections have at most 3 rows");
    fs::write(&sheet, format!("{head}{row}")).expect("written");
    let (code, message) = hub.refused(&sheet, "kz/places", &["--fixes", "nobody"]);
    assert_eq!((code.as_str(), message.contains("no push nobody")), ("NOT_FOUND", true), "{message}");
    fs::write(&file, PLACES.replace("Шу", "Шу қаласы")).expect("written");
    hub.publish(&file, "kz/places", &["--crs", "EPSG:4326"]);
    let (code, message) = hub.refused(&sheet, "kz/places", &["--fixes", "p1"]);
    assert_eq!((code.as_str(), message.contains("the newest version is v2")), ("ABORTED", true), "{message}");
}

#[test]
fn more_refused_rows_than_are_kept_refuse_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--quarantine-rows-max", "2"]);
    let file = dir.path().join("places.csv");
    fs::write(&file, PLACES).expect("written");
    let (code, message) = hub.refused(&file, "kz/places", &["--crs", "EPSG:4326"]);
    assert_eq!((code.as_str(), message.contains("at most 2 refused rows")), ("RESOURCE_EXHAUSTED", true), "{message}");
    assert!(hub.datasets().is_empty());
}

/// What an example must say: the rules with their counts, and the counts of rows.
fn facts(report: &str) -> Vec<String> {
    let is_rule = |word: &&str| {
        let letters = |part: &str| part.len() > 2 && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        word.trim_end_matches(',').split_once('.').is_some_and(|(group, name)| letters(group) && letters(name))
    };
    let words: Vec<&str> = report.split([' ', '\n', '(', ')', '\u{a0}']).filter(|word| !word.is_empty()).collect();
    let rules = words.windows(2).filter(|pair| is_rule(&pair[0])).map(|pair| pair.join(" "));
    let counts =
        report.lines().filter(|line| [" taken and ", "принято ", " қабылданды, "].iter().any(|w| line.contains(w)));
    rules.chain(counts.take(1).map(str::to_owned)).collect()
}

#[test]
fn the_examples_in_the_documents_are_what_the_hub_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let flags: [&str; 2] = ["--layer", "5.21 2"];
    for (file, name, flags) in [
        ("demo/rayony_s42_cp1251.zip", "districts", &[][..]),
        ("demo/settlements_decimal_comma_cp1251.csv", "settlements", &[]),
        ("docs/examples/medical_institutions_2000_2022.xls", "medical-institutions", &flags),
    ] {
        let dataset = format!("kz/{name}");
        hub.publish(&root().join(file), &dataset, flags);
        for lang in ["en", "ru", "kk"] {
            let example = root().join(format!("docs/examples/{name}.{lang}.txt"));
            let example = fs::read_to_string(&example).unwrap_or_else(|e| panic!("{}: {e}", example.display()));
            let said = report(&hub, &[&dataset, "--lang", lang]);
            assert!(facts(&said).len() > 1, "{said}");
            assert_eq!(facts(&said), facts(&example), "renew it: ukimet report {dataset} --lang {lang}");
        }
    }
}

#[test]
fn a_report_says_who_said_which_letters_a_file_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let (declared, plain) = (dir.path().join("declared.csv"), dir.path().join("plain.csv"));
    fs::write(&declared, [&b"a,b\n"[..], &[0xcc, 0xe5, 0xea, 0xf2, 0xe5, 0xef], b",1\n"].concat()).expect("written");
    fs::write(&plain, "a,b\nМектеп,1\n").expect("written");
    hub.publish(&declared, "kz/declared", &["--encoding", "KZ-1048"]);
    hub.publish(&plain, "kz/plain", &[]);
    let (declared, plain) = (report(&hub, &["kz/declared"]), report(&hub, &["kz/plain"]));
    assert!(declared.contains("KZ-1048, as you declared"), "{declared}");
    assert!(plain.contains("the text follows its rules everywhere"), "{plain}");
}
