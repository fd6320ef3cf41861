//! dBASE tables: every cell as it stands in the file.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::{shapefile, zip};
use crate::formats::{only, text};
use crate::geojson::found;
use arrow_schema::DataType;
use ukimet_model::batch::{role, source_name};

/// A table with these columns (name, type, width, decimals) and rows of cells, the first byte of each its mark.
fn dbf(version: u8, columns: &[(&str, u8, usize, u8)], rows: &[&[&[u8]]]) -> Vec<u8> {
    let row_bytes = 1 + columns.iter().map(|(_, _, width, _)| width).sum::<usize>();
    let mut bytes = vec![version, 126, 1, 1];
    bytes.extend((rows.len() as u32).to_le_bytes());
    bytes.extend((33 + 32 * columns.len() as u16).to_le_bytes());
    bytes.extend((row_bytes as u16).to_le_bytes());
    bytes.extend([0; 17]);
    bytes.extend([0x03, 0, 0]);
    for (name, kind, width, decimals) in columns {
        let mut definition = [0; 32];
        definition[..name.len()].copy_from_slice(name.as_bytes());
        definition[11] = *kind;
        definition[16] = *width as u8;
        definition[17] = *decimals;
        bytes.extend(definition);
    }
    bytes.push(0x0d);
    for row in rows {
        bytes.push(b' ');
        for (cell, (_, kind, width, _)) in row.iter().zip(columns) {
            let blanks = vec![b' '; width - cell.len()];
            bytes.extend(if *kind == b'N' {
                [blanks, cell.to_vec()].concat()
            } else {
                [cell.to_vec(), blanks].concat()
            });
        }
    }
    bytes.push(0x1a);
    bytes
}

fn data_type<'a>(layer: &'a ReadLayer, column: &str) -> &'a DataType {
    layer.schema.field_with_name(column).expect(column).data_type()
}

#[tokio::test]
async fn numbers_keep_their_digits_or_their_column_is_text() {
    let columns = [
        ("zeros", b'N', 9, 0),
        ("comma", b'N', 9, 2),
        ("wide", b'N', 19, 0),
        ("wider", b'N', 25, 0),
        ("stars", b'N', 4, 0),
        ("double", b'N', 24, 15),
        ("part", b'N', 9, 0),
    ];
    let rows: [&[&[u8]]; 2] = [
        &[b"010000000", b"1.5", b"9007199254740993", b"12345678901234567890", b"****", b"76.912345678901232", b"1.5"],
        &[b"7", b"1,5", b"1", b"1", b"12", b"0.5", b"2"],
    ];
    let layer = only("a.dbf", &dbf(3, &columns, &rows)).await;
    let cells = |row| columns.map(|(name, ..)| text(&layer, name, row));
    assert_eq!(cells(0)[..4], ["010000000", "1.5", "9007199254740993", "12345678901234567890"]);
    assert_eq!(cells(0)[4..], ["∅", "76.91234567890123", "1.5"]);
    assert_eq!(cells(1), ["7", "1,5", "1", "1", "12", "0.5", "2"]);
    assert_eq!((data_type(&layer, "wide"), data_type(&layer, "double")), (&DataType::Int64, &DataType::Float64));
    for (rule, column) in [
        ("dbf.leading_zeros", "zeros"),
        ("dbf.contradicting_cells", "comma"),
        ("dbf.wide_number", "wider"),
        ("dbf.overflow", "stars"),
    ] {
        assert_eq!(found(&layer, rule).examples[0].field.as_deref(), Some(column), "{rule}");
    }
}

#[tokio::test]
async fn logical_values_text_behind_a_zero_byte_and_binary_cells_are_kept() {
    let columns = [("flag", b'L', 1, 0), ("odd", b'L', 1, 0), ("word", b'C', 8, 0)];
    let rows: [&[&[u8]]; 3] = [&[b"T", b"T", b"a\0b"], &[b"n", b"X", b" c"], &[b"?", b"?", b"d"]];
    let layer = only("a.dbf", &dbf(3, &columns, &rows)).await;
    assert_eq!([0, 1, 2].map(|row| text(&layer, "flag", row)), ["true", "false", "∅"]);
    assert_eq!([0, 1].map(|row| text(&layer, "odd", row)), ["T", "X"]);
    assert_eq!(
        [0, 1].map(|row| text(&layer, "word", row)),
        ["ab", " c"],
        "the byte of zero is taken out by a rule that says so"
    );
    let columns = [("i", b'I', 4, 0), ("y", b'Y', 8, 4), ("t", b'T', 8, 0), ("b", b'B', 8, 4)];
    let moment = [2_460_371_i32.to_le_bytes(), 3_600_000_i32.to_le_bytes()].concat();
    let cells: [&[u8]; 4] = [&(-7_i32).to_le_bytes(), &12_345_i64.to_le_bytes(), &moment, &0.1_f64.to_le_bytes()];
    let layer = only("a.dbf", &dbf(0x30, &columns, &[&cells])).await;
    assert_eq!(
        ["i", "y", "t", "b"].map(|column| text(&layer, column, 0)),
        ["-7", "1.2345", "2024-03-01T01:00:00", "0.1"]
    );
}

#[tokio::test]
async fn deleted_rows_rows_beyond_the_header_and_a_missing_table_are_told() {
    let rows: [&[&[u8]]; 3] = [&[b"01"], &[b"02"], &[b"03"]];
    let mut bytes = dbf(3, &[("a", b'N', 4, 0)], &rows);
    let row_at = |row: usize| 65 + 5 * row;
    bytes[row_at(1)] = b'*';
    let layer = only("a.dbf", &bytes).await;
    assert_eq!((layer.rows(), text(&layer, "a", 1).as_str()), (2, "03"));
    assert_eq!(found(&layer, "dbf.deleted_rows").examples[0].found, "1 rows");
    bytes[4] = 2;
    assert_eq!(found(&only("a.dbf", &bytes).await, "dbf.more_rows").examples[0].found, "1 rows");
    let parts = shapefile(2);
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { crs: Some("EPSG:4326".to_owned()), ..Ask::named("a.zip") };
    let members: Vec<(&str, &[u8])> = parts[..2].iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let layers = read(&adapter, &ask, &zip(&members)).await.expect("shapes");
    assert_eq!(found(&layers[0], "shapefile.no_table").count, 1);
}

#[tokio::test]
async fn codes_in_columns_of_numbers_are_text_and_damaged_addresses_are_refused() {
    let columns = [("RKA", b'N', 17, 0), ("IIN", b'N', 12, 0), ("KATO", b'N', 9, 0)];
    let rows: [&[&[u8]]; 2] =
        [&[b"1201300001234567", b"990140000384", b"750000000"], &[b"", b"990140000384", b"631000000"]];
    let layer = only("a.dbf", &dbf(3, &columns, &rows)).await;
    assert_eq!((layer.rows(), layer.report.rows_refused), (1, 1));
    assert_eq!(["rka", "iin", "kato"].map(|column| text(&layer, column, 0)), ["∅", "990140000384", "631000000"]);
    assert_eq!(["rka", "iin", "kato"].map(|column| data_type(&layer, column)), [&DataType::Utf8; 3]);
    assert_eq!(layer.quarantined[0].values[0].as_deref(), Some("1201300001234567"));
    assert!(layer.verdicts.iter().any(|v| v.rule == "codes.damaged_rka" && v.row == Some(0)), "{:?}", layer.verdicts);
}

/// Russian letters and ASCII as CP866 has them.
fn cp866(text: &str) -> Vec<u8> {
    let byte = |letter: char| match letter {
        'А'..='п' => (letter as u32 - 'А' as u32) as u8 + 0x80,
        'р'..='я' => (letter as u32 - 'р' as u32) as u8 + 0xe0,
        other => other as u8,
    };
    text.chars().map(byte).collect()
}

#[tokio::test]
async fn names_in_an_undeclared_encoding_are_read_before_codes_are_sought_and_in_what_is_told() {
    let columns = [("aaaa", b'C', 9, 0), ("bbbbbbbb", b'C', 40, 0), ("ccccc", b'N', 4, 0)];
    let names = ["Алматинская область, город Талгар", "Карагандинская область, город Балхаш"].map(cp866);
    let rows: [&[&[u8]]; 2] = [&[b"196200000", &names[0], b"****"], &[b"351600000", &names[1], b"12"]];
    let mut bytes = dbf(3, &columns, &rows);
    for (at, name) in ["КАТО", "НАЗВАНИЕ", "ЭТАЖИ"].into_iter().enumerate() {
        let name = cp866(name);
        bytes[32 + 32 * at..][..name.len()].copy_from_slice(&name);
    }
    // Nothing is declared, or a default that nobody looked at.
    for language_id in [0, 3] {
        bytes[29] = language_id;
        let layer = only("a.dbf", &bytes).await;
        let names: Vec<_> = layer.schema.fields().iter().map(|field| source_name(field).to_owned()).collect();
        assert_eq!(names, ["КАТО", "НАЗВАНИЕ", "ЭТАЖИ"], "{language_id}");
        assert_eq!(role(layer.schema.field(0)), Some("kato"), "{language_id}");
        assert_eq!(found(&layer, "dbf.overflow").examples[0].field.as_deref(), Some("ЭТАЖИ"), "{language_id}");
    }
}
