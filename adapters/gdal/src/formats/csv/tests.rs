//! Rows as they come out of small files, and where reading must stop.

use super::*;
use crate::limits::ReadLimits;
use arrow_array::ArrayRef;
use ukimet_adapter_sdk::ReadOptions;
use ukimet_model::ErrorKind;

/// Header, then rows; null is `∅`.
fn read(text: &[u8]) -> Result<(Vec<Vec<String>>, Vec<Diagnostic>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("asset.csv");
    std::fs::write(&main, text).expect("written");
    let staged = Staged {
        main,
        names: vec!["asset.csv".to_owned()],
        source_name: "t.csv".to_owned(),
        source_folder: String::new(),
    };
    let (options, limits) = (ReadOptions::default(), ReadLimits::default());
    let source = CsvFile::open(&staged, Context { options: &options, limits: &limits })?;
    let mut findings = source.findings();
    let mut rows = source.rows(0, 2)?;
    let mut table = vec![source.layers()[0].fields.clone()];
    while let Some(batch) = rows.next()? {
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| {
                use arrow_array::Array;
                use arrow_array::cast::AsArray;
                let column = column.as_string::<i32>();
                if column.is_null(row) { "∅".to_owned() } else { column.value(row).to_owned() }
            };
            table.push(batch.columns().iter().map(cell).collect());
        }
    }
    findings.extend(rows.findings());
    Ok((table, findings))
}

fn check(text: &str, expected: &[&[&str]]) {
    let (table, _) = read(text.as_bytes()).expect("a CSV");
    assert_eq!(table, expected, "{text:?}");
}

#[test]
fn quotes_tell_empty_from_null_and_keep_line_breaks() {
    check("a,b\r\n,\"\"\r\n\"x\ny\",\"say \"\"hi\"\"\"\n", &[&["a", "b"], &["∅", ""], &["x\ny", "say \"hi\""]]);
    check("\"na\nme\";b\n1;2", &[&["na\nme", "b"], &["1", "2"]]);
}

#[test]
fn separators_line_ends_and_marks_are_found() {
    check("а;б\n1,5;2,5\n3,5;4\n", &[&["а", "б"], &["1,5", "2,5"], &["3,5", "4"]]);
    check("a\tb\r1\t2\r3\t4\r", &[&["a", "b"], &["1", "2"], &["3", "4"]]);
    check("a|b\n1|2\n\n3|4\r\n", &[&["a", "b"], &["1", "2"], &["3", "4"]]);
    check("\u{feff}a,b\n1,2\n", &[&["a", "b"], &["1", "2"]]);
    check("sep=;\na;b,c\n1;2\n", &[&["a", "b,c"], &["1", "2"]]);
    check("only\n1\n2\n", &[&["only"], &["1"], &["2"]]);
}

#[test]
fn a_first_row_of_numbers_is_data_and_one_of_years_is_not() {
    check("region,2019,2020\nAktau,1,2\n", &[&["region", "2019", "2020"], &["Aktau", "1", "2"]]);
    let (table, findings) = read(b"1,2\n3,4\n").expect("a CSV");
    assert_eq!(table, [["field_1", "field_2"], ["1", "2"], ["3", "4"]]);
    assert_eq!(findings[0].rule, "csv.no_header");
}

#[test]
fn short_rows_are_filled_and_long_rows_widen_the_table_and_both_are_told() {
    let (table, findings) = read(b"a,b,c\n1\n1,2,3,,\n1,2,3\n").expect("a CSV");
    assert_eq!(table[1], ["1", "∅", "∅"]);
    assert_eq!(table[2], ["1", "2", "3"]);
    assert_eq!((findings[0].rule.as_str(), findings[0].count), ("csv.short_row", 1));
    let (table, findings) = read(b"a,b\n1,2\n1,2,3\n").expect("a CSV");
    assert_eq!(table, [["a", "b", "field_3"], ["1", "2", "∅"], ["1", "2", "3"]]);
    assert_eq!(findings.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(), ["csv.long_row"]);
}

#[test]
fn a_cut_file_is_data_loss() {
    for cut in ["a,b\n1,\"2\n3,4\n", "a,b,c\n1,2,3\n4,5", "\"a,b\n"] {
        assert_eq!(read(cut.as_bytes()).expect_err(cut).kind(), ErrorKind::DataLoss, "{cut:?}");
    }
    assert_eq!(read(b"\n\n").expect_err("blank").kind(), ErrorKind::InvalidData);
}

#[test]
fn another_encoding_is_decoded() {
    let bytes = encoding_rs::WINDOWS_1251.encode("имя;город\nАсель;Алматы\nДаурен;Караганда\n").0;
    let (table, _) = read(&bytes).expect("a CSV");
    assert_eq!(table[1], ["Асель", "Алматы"]);
}
