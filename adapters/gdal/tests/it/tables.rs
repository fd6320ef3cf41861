//! Tables as offices write them, through the built adapter.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::{sheet_data, xlsx};
use crate::data::data;
use arrow_array::Array;
use arrow_cast::display::array_value_to_string;
use std::io::Write;
use ukimet_model::{Diagnostic, ErrorKind};

/// The rows of a layer as text, null as `∅`, below the names of the columns in the source.
fn table(layer: &ReadLayer) -> Vec<Vec<String>> {
    let mut rows = vec![layer.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()];
    for batch in &layer.batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow_array::ArrayRef| {
                let text = array_value_to_string(column, row).expect("shown");
                if column.is_null(row) { "∅".to_owned() } else { text }
            };
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    rows
}

fn found<'a>(layer: &'a ReadLayer, rule: &str) -> &'a Diagnostic {
    let found = layer.report.diagnostics.iter().find(|found| found.rule == rule);
    found.unwrap_or_else(|| panic!("{rule} among {:?}", layer.rules()))
}

fn names(layers: &[ReadLayer]) -> Vec<(&str, u64)> {
    layers.iter().map(|layer| (layer.name.as_str(), layer.report.rows_read)).collect()
}

async fn read_all(name: &str, bytes: &[u8]) -> Vec<ReadLayer> {
    let adapter = Adapter::start(&[]).await;
    read(&adapter, &Ask::named(name), bytes).await.expect(name)
}

#[tokio::test]
async fn the_sheet_of_medical_institutions_is_two_tables() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    let bytes = std::fs::read(folder.join("kz/medical_institutions_2000_2022.xls")).expect("there");
    let layers = read(&adapter, &Ask::named("medical.xls"), &bytes).await.expect("two tables");
    let (country, regions) = (table(&layers[0]), table(&layers[1]));
    assert_eq!(country[1][..4], ["Республика Казахстан", "единиц", "938", "981"]);
    assert_eq!(country[0][..3], ["field_1", "ed_izm", "gody_2000"]);
    assert_eq!(layers[0].report.steps[0].parameters["range"], "5.21!A2:AA4");
    assert_eq!((regions.len(), regions[1][1].as_str(), regions[22][0].as_str()), (23, "938", "г.Шымкент"));
    assert_eq!(found(&layers[1], "table.footnote").count, 4);
    assert_eq!(found(&layers[1], "table.title").examples[0].found, "Число медицинских учреждений (больницы)");
    let ask = Ask { layer: Some("5.21 2 (long)".to_owned()), all_layers: false, ..Ask::named("medical.xls") };
    let long = read(&adapter, &ask, &bytes).await.expect("the long form");
    let long = table(&long[0]);
    assert_eq!(long[0], ["field_1", "year", "value"]);
    assert_eq!(
        (long.len(), &long[1][..]),
        (22 * 23 + 1, &["Республика Казахстан", "2000", "938"].map(str::to_owned)[..])
    );
}

#[tokio::test]
async fn a_sheet_of_an_office_is_read_with_everything_around_its_table() {
    let text = "Сведения о школах\n№ | Школа | Учащиеся, чел. | | БИН | Район\n | | всего | девочки | |\n\
                1 | СШ 1 | 500 | 250 | 990140000385 | Абай\n2 | СШ 2 | 600 | 300 | 60440001234 |\n\
                3 | СШ 3 | 700 | 350 | 990140000387 | Семей\n | Итого | 1800 | 900\n\nПримечание: без вечерних";
    let merged = r#"<mergeCells><mergeCell ref="A1:F1"/><mergeCell ref="A2:A3"/><mergeCell ref="B2:B3"/><mergeCell ref="C2:D2"/><mergeCell ref="E2:E3"/><mergeCell ref="F2:F3"/><mergeCell ref="F4:F5"/><mergeCell ref="A100:XFD1048576"/></mergeCells>"#;
    let bytes = xlsx(false, &[("Школы", "", &(sheet_data(text) + merged)), ("Пусто", "", "<sheetData/>")]);
    let layers = read_all("a.xlsx", &bytes).await;
    assert_eq!(names(&layers), [("Школы", 4)]);
    let layer = &layers[0];
    let source: Vec<&str> =
        layer.schema.fields().iter().map(|field| field.metadata()["ukimet:source_name"].as_str()).collect();
    assert_eq!(source, ["№", "Школа", "Учащиеся, чел. / всего", "Учащиеся, чел. / девочки", "БИН", "Район"]);
    let rows = table(layer);
    assert_eq!(rows[2], ["2", "СШ 2", "600", "300", "60440001234", "Абай"]);
    assert_eq!((rows.len(), layer.report.rows_taken, layer.report.rows_refused), (4, 3, 1));
    let total = &found(layer, "table.totals_row").examples[0];
    assert_eq!((total.found.as_str(), total.field.as_deref()), ("Итого | 1800 | 900", Some("Школы!A7")));
    let filled = &found(layer, "table.merged_cell").examples[0];
    assert_eq!((filled.row, filled.taken.as_deref()), (Some(1), Some("Абай")));
    assert_eq!(found(layer, "table.empty_sheet").examples[0].found, "Пусто");
    let parameters = &layer.report.steps[0].parameters;
    assert_eq!(
        (parameters["title"].as_str(), parameters["footnotes"].as_str()),
        ("Сведения о школах", "Примечание: без вечерних")
    );
    assert!(parameters["units"].contains("чел."), "{parameters:?}");
}

#[tokio::test]
async fn cells_say_what_they_hold_or_that_they_hold_nothing() {
    let text = r#"имя | ошибка | формула | день | срок | число | правда
а | = t="e"><v>#N/A</v> | =><f>A1</f> | = s="1"><v>45352</v> | = s="2"><v>1.25</v> | 12345678901234567 | = t="b"><v>1</v>
б | = t="e"><f>1/0</f><v>#DIV/0!</v> | =><f>2+3</f><v>5</v> | = s="1"><v>1</v> | = s="2"><v>0.5</v> | 98765432109876543 | = t="b"><v>0</v>"#;
    let layers = read_all("a.xlsx", &xlsx(false, &[("s", "", &sheet_data(text))])).await;
    let rows = table(&layers[0]);
    assert_eq!(rows[1], ["а", "∅", "∅", "2024-03-01", "30:00:00", "12345678901234567", "true"]);
    assert_eq!(rows[2], ["б", "∅", "5", "1900-01-01", "12:00:00", "98765432109876543", "false"]);
    let errors = found(&layers[0], "table.error_cell");
    assert_eq!((errors.count, errors.examples[1].found.as_str()), (2, "#DIV/0! in s!B3"));
    assert_eq!(found(&layers[0], "table.formula_without_value").examples[0].found, "a formula in s!C2");
    let layers = read_all("a.xlsx", &xlsx(true, &[("s", "", &sheet_data("a | b\n= s=\"1\"><v>43890</v> | 1"))])).await;
    assert_eq!(table(&layers[0])[1][0], "2024-03-01");
}

#[tokio::test]
async fn percents_are_what_people_see_however_a_cell_keeps_them() {
    let shown = r#"имя | доля, % | рост | доля текстом, % | просто, %
а | = s="3"><v>0.5</v> | = s="4"><v>0.29</v> | 50.0 % | 0.5
б | = s="3"><v>0.25</v> | = s="4"><v>-0.07</v> | 25.0 % | 0.25
в | = s="3"><v>1</v> | = s="4"><v>1.5</v> | 100.0 % | 1"#;
    let layers = read_all("a.xlsx", &xlsx(false, &[("s", "", &sheet_data(shown))])).await;
    assert_eq!(table(&layers[0])[1], ["а", "50.0", "29.0", "50.0", "0.5"]);
    assert_eq!(table(&layers[0])[2], ["б", "25.0", "-7.0", "25.0", "0.25"]);
    let units: Vec<_> = layers[0].schema.fields().iter().map(|field| field.metadata().get("ukimet:unit")).collect();
    assert!(units[0].is_none() && units[1..].iter().all(|unit| unit.is_some_and(|unit| unit == "%")), "{units:?}");
    let told = found(&layers[0], "table.percent");
    let first = &told.examples[0];
    assert_eq!((told.count, first.found.as_str(), first.taken.as_deref()), (6, "0.5 in s!B2", Some("50.0%")));
    let cell = |share: &str| format!(r#"<table:table-cell office:value-type="percentage" office:value="{share}"/>"#);
    let name = r#"<table:table-cell office:value-type="string"><text:p>доля, %</text:p></table:table-cell>"#;
    let row = |cell: &str, repeats: u32| {
        format!(r#"<table:table-row table:number-rows-repeated="{repeats}">{cell}</table:table-row>"#)
    };
    let layers = read_all("a.ods", &ods(&[row(name, 1), row(&cell("0.5"), 2), row(&cell("1"), 1)].concat())).await;
    assert_eq!(table(&layers[0])[1..], [["50.0"], ["50.0"], ["100.0"]]);
    assert_eq!(layers[0].schema.field(0).metadata()["ukimet:unit"], "%");
}

#[tokio::test]
async fn a_column_of_shares_and_percents_in_one_stays_text() {
    let mixed = "имя | доля, %\nа | = s=\"3\"><v>0.5</v>\nб | 25";
    let layers = read_all("a.xlsx", &xlsx(false, &[("s", "", &sheet_data(mixed))])).await;
    assert_eq!(table(&layers[0])[1..], [["а", "50.0%"], ["б", "25"]]);
    assert_eq!(found(&layers[0], "numbers.units").count, 1);
}

#[tokio::test]
async fn what_is_hidden_is_read_and_told() {
    let hidden = r#"<cols><col min="2" max="3" hidden="1"/></cols><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><r><t>b</t></r><r><t xml:space="preserve"> c</t></r><rPh><t>x</t></rPh></is></c></row><row r="2" hidden="1"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c></row></sheetData><autoFilter ref="A1:B2"/>"#;
    let layers = read_all("a.xlsx", &xlsx(false, &[("s", r#"state="veryHidden""#, hidden)])).await;
    assert_eq!(table(&layers[0]), [["a", "b_c"], ["1", "2"]]);
    let notes: Vec<&str> = found(&layers[0], "table.hidden").examples.iter().map(|note| note.found.as_str()).collect();
    assert_eq!(notes, ["the sheet is hidden", "1 rows are hidden, perhaps by a filter", "2 columns are hidden"]);
}

#[tokio::test]
async fn a_cell_at_the_far_corner_costs_nothing_and_cells_have_a_limit() {
    let far = r#"<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row><row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>2</v></c></row><row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row></sheetData>"#;
    let bytes = xlsx(false, &[("s", "", far)]);
    let adapter = Adapter::start(&["--memory-bytes", "700000000"]).await;
    let layers = read(&adapter, &Ask::named("a.xlsx"), &bytes).await.expect("one row");
    assert_eq!((layers[0].rows(), found(&layers[0], "table.footnote").examples[0].found.as_str()), (1, "far"));
    let adapter = Adapter::start(&["--cells-max", "4"]).await;
    let error = read(&adapter, &Ask::named("a.xlsx"), &bytes).await.map(|_| ()).expect_err("five cells");
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("at most 4 cells"), "{error}");
    let wide = ods(
        r#"<table:table-row table:number-rows-repeated="1000000"><table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="16000"/></table:table-row>"#,
    );
    let adapter = Adapter::start(&[]).await;
    let error = read(&adapter, &Ask::named("a.ods"), &wide).await.map(|_| ()).expect_err("16 billion cells");
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("cells"), "{error}");
    let mut strings = xlsx(false, &[("s", "", &sheet_data("a | b\n1 | 2"))]);
    let archive = zip::ZipArchive::new(std::io::Cursor::new(strings.clone())).expect("a zip");
    let mut writer =
        zip::ZipWriter::new_append(std::io::Cursor::new(archive.into_inner().into_inner())).expect("appends");
    writer.start_file("xl/sharedStrings.xml", zip::write::SimpleFileOptions::default()).expect("begins");
    writer.write_all(br#"<sst count="1" uniqueCount="99999999999999"><si><t>a</t></si></sst>"#).expect("writes");
    strings = writer.finish().expect("ends").into_inner();
    let error = read(&adapter, &Ask::named("a.xlsx"), &strings).await.map(|_| ()).expect_err("a claim");
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
}

/// An `OpenDocument` spreadsheet of one sheet with these rows.
fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        r#"<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="s">{rows}</table:table></office:spreadsheet></office:body></office:document-content>"#
    );
    open_document(&content)
}

fn open_document(content: &str) -> Vec<u8> {
    let manifest = r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>"#;
    crate::cases::zip(&[
        ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", manifest.as_bytes()),
        ("content.xml", content.as_bytes()),
    ])
}

#[tokio::test]
async fn elements_of_an_open_document_that_do_not_close_are_refused_at_once() {
    let adapter = Adapter::start(&[]).await;
    let row = r#"<table:table-row><table:table-cell office:value-type="float" office:value="1"/></table:table-row>"#;
    let spaces =
        ["office", "table"].map(|name| format!(r#"xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0""#));
    let begin = format!("<office:document-content {}><office:body><office:spreadsheet>", spaces.join(" "));
    let end = "</office:spreadsheet></office:body></office:document-content>";
    for end in [format!("</table:laetb>{end}"), end.to_owned(), String::new()] {
        let rows = format!(r#"{begin}<table:table table:name="s">{row}{end}"#);
        let (ask, bytes) = (Ask::named("a.ods"), open_document(&rows));
        let reading = tokio::time::timeout(std::time::Duration::from_secs(20), read(&adapter, &ask, &bytes)).await;
        let error = reading.expect(&rows).map(|_| ()).expect_err(&rows);
        assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::DataLoss), "{rows}: {error}");
    }
}

#[tokio::test]
async fn merged_headers_of_open_documents_are_joined() {
    let text = |text: &str, attributes: &str| {
        format!(
            r#"<table:table-cell office:value-type="string" {attributes}><text:p>{text}</text:p></table:table-cell>"#
        )
    };
    let number = |number: u32| format!(r#"<table:table-cell office:value-type="float" office:value="{number}"/>"#);
    let row = |cells: &[String]| format!("<table:table-row>{}</table:table-row>", cells.concat());
    let covered = || "<table:covered-table-cell/>".to_owned();
    let rows = [
        row(&[
            text("Район", r#"table:number-rows-spanned="2""#),
            text("Школы", r#"table:number-columns-spanned="2""#),
            covered(),
        ]),
        row(&[covered(), text("всего", ""), text("новых", "")]),
        row(&[text("Абай", ""), number(5), number(1)]),
        row(&[text("Семей", ""), number(7), number(2)]),
    ];
    let layers = read_all("a.ods", &ods(&rows.concat())).await;
    assert_eq!(table(&layers[0]), [["raion", "shkoly_vsego", "shkoly_novyh"], ["Абай", "5", "1"], ["Семей", "7", "2"]]);
}

#[tokio::test]
async fn a_binary_workbook_keeps_its_years_dates_and_letters() {
    let layers = read_all("population.xls", include_bytes!("files/population.xls")).await;
    assert_eq!(names(&layers), [("Население", 3), ("Даты", 2)]);
    assert_eq!(
        table(&layers[0]),
        [["region", "f_2020", "f_2021", "f_2022"], ["Абай", "1", "2", "3"], ["Семей", "4", "5", "6"]]
    );
    assert_eq!(found(&layers[0], "table.totals_row").examples[0].found, "Итого | 5 | 7 | 9");
    assert_eq!(found(&layers[0], "table.periods_as_columns").examples[0].found, "Население (long)");
    assert_eq!(table(&layers[1])[1..], [["2024-03-01", "қазақ"], ["60", "x"]]);
    assert_eq!(found(&layers[1], "table.no_day").count, 1);
}

#[tokio::test]
async fn a_broken_workbook_is_refused_and_the_adapter_lives() {
    let whole = include_bytes!("files/population.xls");
    let adapter = Adapter::start(&[]).await;
    for end in (600..whole.len()).step_by(97) {
        let mut bytes = whole[..end].to_vec();
        match read(&adapter, &Ask::named("a.xls"), &bytes).await {
            Ok(layers) => assert_eq!(names(&layers), [("Население", 3), ("Даты", 2)], "cut at {end}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::DataLoss), "cut at {end}: {error}");
            }
        }
        bytes = whole.to_vec();
        bytes[end] ^= 0xff;
        if let Err(error) = read(&adapter, &Ask::named("a.xls"), &bytes).await {
            assert_ne!(error.kind(), ErrorKind::Internal, "changed at {end}: {error}");
        }
    }
    let layers = read(&adapter, &Ask::named("a.xls"), whole).await.expect("whole");
    assert_eq!(layers.len(), 2);
}

#[tokio::test]
async fn csv_of_an_office_is_read_like_its_sheet() {
    let text = "Отчёт, 2023;;\r\nАкимат;;\r\n\r\nРайон;Школ;Доля\r\nАбай;5;1,5\nСемей;7;2,5\r\"Аягоз\nрайон\";1;3,5\r\nИтого;13;7,5\r\n\r\nИсточник: БНС;;\r\n";
    let layers = read_all("a.csv", &encoding_rs::WINDOWS_1251.encode(text).0).await;
    assert_eq!(
        table(&layers[0]),
        [["raion", "shkol", "dolya"], ["Абай", "5", "1.5"], ["Семей", "7", "2.5"], ["Аягоз\nрайон", "1", "3.5"]]
    );
    assert_eq!(layers[0].report.steps[0].parameters["title"], "Отчёт, 2023 | Акимат");
    assert_eq!((layers[0].report.rows_read, layers[0].report.rows_refused), (4, 1));
    let text = "sep=;\nСписок школ;;;\nРайон;Учащиеся;;Школ\n;всего;девочки;\nАбай;10;5;1\nСемей;20;11\nВсего;30;16;3";
    let layers = read_all("a.csv", text.as_bytes()).await;
    assert_eq!(table(&layers[0])[0], ["raion", "uchashchiesya_vsego", "uchashchiesya_devochki", "shkol"]);
    assert_eq!(found(&layers[0], "csv.short_row").examples[0].row, Some(1));
    let layers = read_all("a.csv", b"A\nx,n\na,1\nb,2\n\nB\nx,k,m\na,1,2\nb,3,4\n").await;
    assert_eq!(names(&layers), [("a", 2), ("a 2", 2)]);
    let adapter = Adapter::start(&[]).await;
    let cut = read(&adapter, &Ask::named("a.csv"), b"Title;;\na;b;c\n1;2;3\n4;5").await.map(|_| ()).expect_err("cut");
    assert_eq!(cut.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn nothing_is_said_about_the_clean_tables_of_the_data_set() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    for file in [
        "city/helsinki/accessibility_rules.csv",
        "city/zurich/births_by_quarter.csv",
        "kz/data_egov_kz_datasets_of_akimats.csv",
        "kz/district_tax_rates_2026.csv",
        "kz/kato.csv",
        "kz/population_by_oblast.csv",
        "kz/power_plants.csv",
        "legacy/kato_cp1251_semicolon.csv",
        "legacy/settlements_decimal_comma_cp1251.csv",
        "odd/gdal/csv_with_utf8_bom.csv",
        "odd/gdal/datetime.xlsx",
        "odd/gdal/header_with_line_break.csv",
        "odd/gdal/inlineStr.xlsx",
        "odd/gdal/testcsvt.csv",
    ] {
        let bytes = std::fs::read(folder.join(file)).expect(file);
        let mut ask = Ask::named(file.rsplit('/').next().expect("a name"));
        ask.crs = file.contains("bom").then(|| "EPSG:2193".to_owned());
        for layer in read(&adapter, &ask, &bytes).await.expect(file) {
            let told: Vec<&str> = layer.rules().into_iter().filter(|rule| rule.starts_with("table.")).collect();
            assert_eq!(told, Vec::<&str>::new(), "{file}");
            assert_eq!(layer.report.rows_refused, 0, "{file}");
        }
    }
}
