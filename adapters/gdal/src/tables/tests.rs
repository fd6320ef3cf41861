//! Sheets drawn as text, and the tables that are seen in them.

use super::*;
use crate::limits::ReadLimits;
use crate::source::Source;
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use proptest::prelude::*;

/// A sheet of lines with `|` between cells; numbers are numbers, and nothing is nothing.
fn sheet(text: &str) -> Grid {
    merged_sheet(text, &[])
}

/// The same with merged areas: rows and columns, from 0.
fn merged_sheet(text: &str, merged: &[grid::Area]) -> Grid {
    let mut builder = GridBuilder::new(10_000);
    for (row, line) in text.lines().enumerate() {
        for (column, cell) in line.split('|').enumerate() {
            let cell = cell.trim();
            let value = cell.parse().map_or_else(|_| Value::Text(cell.into()), Value::Number);
            if !cell.is_empty() {
                builder.add(row as u32, column as u32, value).expect("few");
            }
        }
    }
    builder.finish("s".to_owned(), merged.to_vec()).expect("few")
}

fn area(rows: (u32, u32), columns: (u32, u32)) -> grid::Area {
    grid::Area { rows, columns }
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}

/// The only table of a sheet, which loses no row: each is something.
fn only(grid: &Grid) -> Table {
    let mut tables = recognize(grid);
    assert_eq!(tables.len(), 1, "{tables:#?}");
    tables.remove(0)
}

#[test]
fn a_header_and_rows_are_a_plain_table() {
    for text in [
        "имя | этажей\nа | 5\nб | 6",
        "name | city\nа | б\nв | г",
        "a | b | c\n1 | 2 | 3\n4 | 5 | 6",
        "year | total | note\n2020 | 5 | x\nвсего | | \n2021 | 6 | y",
        "only\n1\n2",
        "a | b\n1 |\n | 2",
        "label | value\nМужчины | 5\nЖенщины | 6\nДети | 7",
    ] {
        let grid = sheet(text);
        let table = only(&grid);
        assert!(table.is_plain(), "{text:?}: {table:#?}");
        assert_eq!((table.header.len(), table.rows.len()), (1, grid.rows.len() - 1), "{text:?}");
    }
}

#[test]
fn a_first_row_with_numbers_is_data() {
    let table = only(&sheet("Hello | 2\n3 | 4"));
    assert_eq!((table.header.len(), table.rows.len()), (0, 2));
    assert_eq!(names(&table), ["field_1", "field_2"]);
    assert_eq!(only(&sheet("a | 2020 | 2021\nx | 1 | 2")).header, 0..1);
    // The only row of a sheet is no header of nothing.
    assert_eq!(only(&sheet("a | b")).rows, [0]);
}

#[test]
fn shares_of_a_workbook_that_does_not_say_how_they_are_shown_are_told() {
    let told = |text: &str, is_shown_unknown: bool| {
        let grid = sheet(text);
        let context = TableContext { is_shown_unknown, ..TableContext::default() };
        let found = report::table_findings(&grid, &only(&grid), &context);
        found.iter().any(|found| found.rule == "table.percent_unknown")
    };
    assert!(told("имя | доля, %\nа | 0.5\nб | 1", true));
    assert!(!told("имя | доля, %\nа | 0.5\nб | 1", false));
    assert!(!told("имя | доля, %\nа | 0.5\nб | 50", true));
    assert!(!told("имя | доля\nа | 0.5\nб | 1", true));
}

#[test]
fn titles_and_notes_stand_around_a_table() {
    let text = "Отчёт о школах\nза 2023 год\n\nРайон | Школ | Учеников\nАбай | 5 | 900\nСемей | 7 | 1200\n\
                Шымкент\n* без частных школ\nИсточник: БНС";
    let table = only(&sheet(text));
    assert_eq!(table.titles, ["Отчёт о школах", "за 2023 год"]);
    assert_eq!(names(&table), ["Район", "Школ", "Учеников"]);
    assert_eq!(table.rows.len(), 3, "a region without numbers is a row: {table:#?}");
    assert_eq!(table.footnotes, ["* без частных школ", "Источник: БНС"]);
}

#[test]
fn the_name_of_one_of_two_columns_is_no_title() {
    for text in ["k | \na | v1\nb | v2\nc | v3", " | name\na | v1\nb | v2\nc | v3"] {
        assert!(only(&sheet(text)).titles.is_empty(), "{text}");
    }
    assert_eq!(only(&sheet("Школы | \nРайон | Школ\nАбай | 5\nСемей | 7")).titles, ["Школы"]);
    assert_eq!(only(&sheet("Школы | \n\nРайон | Город\nАбай | а\nСемей | б")).titles, ["Школы"]);
}

#[test]
fn a_row_of_one_cell_is_a_note_only_if_it_says_so() {
    let table = only(&sheet("Район | Школ\nАбай | 5\nСемей | 7\nУлытау\nЖетысу"));
    assert_eq!((table.rows.len(), table.footnotes.len()), (4, 0));
    let table = only(&sheet("Пункт | Число\n1) вода | 5\n2) газ | 7\n3) свет"));
    assert_eq!((table.rows.len(), table.footnotes.len()), (3, 0));
}

#[test]
fn merged_header_rows_are_joined_and_what_spans_them_is_named_once() {
    let text = "Район | Население | | Школ\n | всего, чел. | город | \nАбай | 5 | 3 | 2\nСемей | 7 | 4 | 3";
    let merged = [area((0, 1), (0, 0)), area((0, 0), (1, 2)), area((0, 1), (3, 3))];
    let table = only(&merged_sheet(text, &merged));
    assert_eq!(names(&table), ["Район", "Население / всего, чел.", "Население / город", "Школ"]);
    assert_eq!((table.header.len(), table.rows.len()), (2, 2));
}

#[test]
fn unmerged_groups_are_joined_where_the_second_row_fills_the_gaps() {
    let table = only(&sheet("Район | Население | | Школ\n | всего | город |\nАбай | 5 | 3 | 2\nСемей | 7 | 4 | 3"));
    assert_eq!(names(&table), ["Район", "Население / всего", "Население / город", "Школ"]);
    // A second row of labels without a gap above it is data.
    let table = only(&sheet("a | b\nx | y\nz | 5"));
    assert_eq!((table.header.len(), table.rows.len()), (1, 2));
}

#[test]
fn three_header_rows_and_a_row_of_column_numbers() {
    let text = "№ | Показатель | | \n | Население | | Школ\n | всего | село | \nА | 2 | 3 | 4\nАбай | 5 | 3 | 2\nСемей | 7 | 4 | 3";
    let merged = [area((0, 2), (0, 0)), area((0, 0), (1, 3)), area((1, 1), (1, 2)), area((1, 2), (3, 3))];
    let table = only(&merged_sheet(text, &merged));
    let expected = ["№", "Показатель / Население / всего", "Показатель / Население / село", "Показатель / Школ"];
    assert_eq!(names(&table), expected);
    assert_eq!((table.header, table.rows.len()), (0..3, 3), "letters over letters number nothing");
    let table = only(&sheet("Район | Школ | Примечание\n1 | 2 | 3\nАбай | 5 | мало\nСемей | 7 | много"));
    assert_eq!((table.column_numbers, table.rows.len()), (Some(1), 2));
    let table = only(&sheet("a | b | c\n1 | 2 | 3\n4 | 5 | 6"));
    assert_eq!((table.column_numbers, table.rows.len()), (None, 2));
}

#[test]
fn totals_are_taken_out_where_the_numbers_show_them() {
    let table = only(&sheet("Район | Школ\nАбай | 5\nСемей | 7\nИтого: | 12"));
    assert_eq!((table.rows.len(), table.totals.as_slice()), (2, [3].as_slice()));
    let text =
        "Район | Школ\nВсего | 24\nАбай | 5\nСемей | 7\nИтого по северу | 12\nАкс | 4\nБек | 8\nИтого по югу | 12";
    let table = only(&sheet(text));
    assert_eq!((table.rows.as_slice(), table.totals.as_slice()), ([2, 3, 5, 6].as_slice(), [1, 4, 7].as_slice()));
    let table = only(&sheet("Аудан | Мектеп | Оқушы\nАбай | 5 | 10\nСемей | 7 | 20\nБарлығы | 12 | 30"));
    assert_eq!(table.totals, [3]);
}

#[test]
fn words_for_totals_that_are_values_stay_rows() {
    for text in [
        "Пол | Год | Число\nМужчины | 2020 | 5\nЖенщины | 2020 | 6\nВсего | 2020 | 99\nМужчины | 2021 | 7",
        "Район | Пол | Число\nАбай | Мужчины | 5\nАбай | Женщины | 6\nВсего | Мужчины | 5",
        "Улица | Дом\nВсего хорошего | 5\nМира | 6\nАбая | 7",
        "Вид | Число\nИтого | 5\nВсего | 7",
        "Total Station | 5\nx | 6",
    ] {
        let grid = sheet(text);
        let table = only(&grid);
        assert_eq!(table.totals, Vec::<usize>::new(), "{text:?}");
        assert_eq!(table.rows.len() + table.header.len(), grid.rows.len(), "{text:?}");
    }
}

#[test]
fn blank_rows_part_tables_only_where_a_header_follows() {
    let text =
        "Школы\nРайон | Школ\nАбай | 5\nСемей | 7\n\nБольницы\nРайон | Коек | Год\nАбай | 50 | 2020\nСемей | 70 | 2021";
    let grid = sheet(text);
    let tables = recognize(&grid);
    let seen: Vec<(Vec<&str>, usize)> = tables.iter().map(|table| (names(table), table.rows.len())).collect();
    assert_eq!(seen, [(vec!["Район", "Школ"], 2), (vec!["Район", "Коек", "Год"], 2)]);
    assert_eq!((tables[0].titles[0].as_str(), tables[1].titles[0].as_str()), ("Школы", "Больницы"));
    // The same header again begins a table, rows of data do not.
    assert_eq!(recognize(&sheet("a | b\nx | 1\n\na | b\ny | 2")).len(), 2);
    let table = only(&sheet("a | b\nx | 1\n\ny | 2\n\nz | 3"));
    assert_eq!((table.rows.len(), table.gaps), (3, 2));
    // Labels after a blank row in a table of labels may well be rows.
    let table = only(&sheet("имя | город\nа | б\n\nв | г\nд | е"));
    assert_eq!((table.rows.len(), table.gaps), (3, 1));
}

#[test]
fn blank_columns_part_tables_only_where_both_sides_are_tables() {
    let text = "Район | Школ | | Район | Школ\nАбай | 5 | | Семей | 7\nАкс | 6 | | Бек | 8";
    let tables = recognize(&sheet(text));
    assert_eq!(tables.iter().map(|table| table.rows.len()).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(tables[1].columns[0].at, 3);
    let one = only(&sheet("Район | Школ | | Адрес | Тел\nАбай | 5 | | ул. 1 | 7\nАкс | 6 | | ул. 2 | 8"));
    assert_eq!((names(&one), one.rows.len()), (vec!["Район", "Школ", "Адрес", "Тел"], 2));
}

#[test]
fn years_as_columns_are_a_series_of_periods() {
    let table = only(&sheet("Район | 2000 | 2001 | 2002\nАбай | 1 | 2 | 3"));
    assert_eq!(table.periods, [1, 2, 3]);
    for text in ["Район | 2000 | 2001\nАбай | 1 | 2", "Район | 2000 | 1999 | 2001\nАбай | 1 | 2 | 3"]
    {
        assert_eq!(only(&sheet(text)).periods, Vec::<usize>::new(), "{text:?}");
    }
}

#[test]
fn empty_sheets_have_no_table() {
    assert_eq!(recognize(&sheet("")), []);
    assert_eq!(recognize(&sheet("   \n |  | \n")), []);
}

#[test]
fn units_are_found_in_names_and_groups() {
    for (name, expected) in [
        ("Площадь (га)", Some("га")),
        ("Население, чел. / всего", Some("чел.")),
        ("Доход, млн тенге", Some("млн тенге")),
        ("ул. Абая, дом", None),
        ("Население (всего по городу с пригородами)", None),
        ("имя", None),
    ] {
        assert_eq!(report::unit(name), expected, "{name}");
    }
}

#[test]
fn a_lonely_cell_far_away_costs_one_cell_and_is_told() {
    let mut builder = GridBuilder::new(10);
    for (row, column, text) in [(0, 0, "a"), (0, 1, "b"), (1, 0, "x"), (1, 1, "5"), (1_048_575, 16_383, "far")] {
        builder.add(row, column, Value::Text(text.into())).expect("few");
    }
    let table = only(&builder.finish("s".to_owned(), Vec::new()).expect("few"));
    assert_eq!((names(&table), table.rows.len()), (vec!["a", "b"], 1));
    assert_eq!(table.footnotes, ["far"]);
    let mut builder = GridBuilder::new(1);
    builder.add(0, 0, Value::Boolean(true)).expect("the first");
    let error = builder.add(0, 1, Value::Boolean(true)).expect_err("the second");
    assert_eq!(error.kind(), ukimet_model::ErrorKind::LimitReached);
}

#[test]
fn a_title_over_all_columns_is_no_group() {
    let title = "Школы | \n№ | имя | адрес\n1 | а | б\n2 | в | г";
    let table = only(&merged_sheet(title, &[area((0, 0), (0, 2))]));
    assert_eq!((table.titles.len(), table.header), (1, 1..2));
    let group = " | Население | \nРайон | всего | село\nАбай | 5 | 3\nСемей | 7 | 4";
    let table = only(&merged_sheet(group, &[area((0, 0), (1, 2))]));
    assert_eq!((table.titles.len(), table.rows.len()), (1, 2), "every column is named below it: {table:#?}");
    let group = " | Население | \n | всего | село\nАбай | 5 | 3\nСемей | 7 | 4";
    let table = only(&merged_sheet(group, &[area((0, 0), (1, 2))]));
    assert_eq!(names(&table), ["", "Население / всего", "Население / село"]);
}

#[test]
fn columns_of_number_cells_are_marked_and_the_long_form_repeats_keys() {
    let grid =
        sheet("БИН | имя | 2000 г. | 2001 г. | 2002 г.\n60440001234 | а | 1 | 2 |\n990140000385 | б | 4 | 5 | x");
    let source = TableSource::new(vec![grid], &TableContext::default(), &ReadLimits::default()).expect("a table");
    let names: Vec<&str> = source.layers().iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!((names, source.is_derived(0), source.is_derived(1)), (vec!["s", "s (long)"], false, true));
    let mut long = source.rows(1, 100).expect("rows");
    let batch = long.next().expect("a batch").expect("rows");
    let marked: Vec<bool> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.metadata().contains_key(ukimet_normalize::NUMERIC_CELLS_KEY))
        .collect();
    assert_eq!(marked, [true, false, false, false]);
    let column =
        |at: usize| batch.column(at).as_string::<i32>().iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
    assert_eq!(column(0)[2..4], ["60440001234", "990140000385"]);
    assert_eq!(column(2), ["2000 г.", "2001 г.", "2002 г.", "2000 г.", "2001 г.", "2002 г."]);
    assert_eq!(column(3), ["1", "2", "", "4", "5", "x"]);
    assert!(long.next().expect("the end").is_none());
}

#[test]
fn a_header_cell_that_reaches_into_the_rows_fills_none_of_them() {
    let merged = [area((0, 1), (0, 0)), area((2, 3), (0, 0))];
    let grid = merged_sheet("Район | n\n | 5\nАбай | 6\n | 7", &merged);
    let source = TableSource::new(vec![grid], &TableContext::default(), &ReadLimits::default()).expect("a table");
    let batch = source.rows(0, 9).expect("rows").next().expect("a batch").expect("rows");
    let names: Vec<Option<&str>> = batch.column(0).as_string::<i32>().iter().collect();
    assert_eq!(names, [None, Some("Абай"), Some("Абай")]);
}

/// Columns of one kind each below a full header, the first without gaps.
fn clean_tables() -> impl Strategy<Value = Vec<Vec<String>>> {
    let word = "[а-яa-z]{1,9}( [а-яa-z]{1,6})?";
    let kinds = proptest::collection::vec(0..4_usize, 1..7);
    (kinds, 1..20_usize).prop_flat_map(move |(kinds, rows)| {
        let header: Vec<BoxedStrategy<String>> = kinds.iter().map(|_| word.boxed()).collect();
        let row = move || -> Vec<BoxedStrategy<String>> {
            let cell = |(column, kind): (usize, &usize)| match (column, kind) {
                (0, 0) => word.boxed(),
                (0, _) => (1..99_999_u32).prop_map(|number| number.to_string()).boxed(),
                (_, 0) => prop_oneof![1 => Just(String::new()), 4 => word].boxed(),
                (_, 1) => {
                    prop_oneof![1 => Just(String::new()), 4 => (0..9_999_u32).prop_map(|n| n.to_string())].boxed()
                }
                (_, 2) => (0..9_999_u32).prop_map(|n| format!("{}.{:02}", n / 100, n % 100)).boxed(),
                _ => (1..28_u32, 1..13_u32).prop_map(|(day, month)| format!("{day:02}.{month:02}.2020")).boxed(),
            };
            kinds.iter().enumerate().map(cell).collect()
        };
        let rows: Vec<_> = (0..rows).map(|_| row()).collect();
        (header, rows).prop_map(|(header, rows)| std::iter::once(header).chain(rows).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_table_comes_out_as_it_went_in_and_without_a_word(rows in clean_tables()) {
        let mut builder = GridBuilder::new(10_000);
        for (row, cells) in rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                builder.add(row as u32, column as u32, Value::Text(cell.as_str().into())).expect("few");
            }
        }
        let grid = builder.finish("s".to_owned(), Vec::new()).expect("few");
        let source = TableSource::new(vec![grid], &TableContext::default(), &ReadLimits::default()).expect("a table");
        prop_assert_eq!(source.layers().len(), 1);
        prop_assert_eq!(&source.layers()[0].fields, &rows[0]);
        let mut reading = source.rows(0, 7).expect("rows");
        let mut read: Vec<Vec<String>> = Vec::new();
        while let Some(batch) = reading.next().expect("a batch") {
            for row in 0..batch.num_rows() {
                let cell = |column: &ArrayRef| column.as_string::<i32>().iter().nth(row).flatten().unwrap_or_default().to_owned();
                read.push(batch.columns().iter().map(cell).collect());
            }
        }
        prop_assert_eq!(&read, &rows[1..]);
        prop_assert_eq!(reading.findings(), []);
        prop_assert_eq!(source.findings(), []);
        prop_assert_eq!(reading.rows_refused(), 0);
    }
}
