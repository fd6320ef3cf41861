//! `GeoPackage`: layers of an `SQLite` database, tables without geometry included.

use super::sqlite::check_schema;
use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat};
use crate::gdal::{OgrSource, OpenOptions};
use crate::head::Head;
use crate::source::{Context, Source, Staged, Tallies};
use ukimet_model::{Diagnostic, Result, Severity};

pub(super) const FORMAT: Format = Format {
    name: "GeoPackage",
    driver: Some("GPKG"),
    media_types: &["application/geopackage+sqlite3", "application/x-gpkg"],
    extensions: &["gpkg"],
    sidecars: &[],
    recognize,
    open,
};

/// The application id of the standard, or of its first versions; old writers left it empty and had the name only.
fn recognize(clues: &Clues) -> bool {
    let head = &clues.head;
    head.starts_with(b"SQLite format 3\0")
        && (head.has_at(68, b"GPKG") || head.has_at(68, b"GP1") || head.extension == "gpkg")
}

fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    check_schema(&staged.main, FORMAT.name, &[])?;
    let mut format = OgrFormat::plain(FORMAT.name, "GPKG");
    format.findings = findings(staged)?;
    OgrFile::open(format, staged, context)
}

/// What the database holds beside the rows that are read.
fn findings(staged: &Staged) -> Result<Vec<Diagnostic>> {
    let mut tallies = Tallies::default();
    // Byte 18 says how the database is written: 2 is a log beside the file.
    if Head::read(&staged.main, &staged.source_name)?.bytes.get(18) == Some(&2) {
        let message = "the database was written with a log (-wal) beside it: what was not moved from there is not in \
                       the file";
        tallies.add("gpkg.write_ahead_log", Severity::Warning, message, None, None, "write-ahead log", None);
    }
    let how = OpenOptions { driver: "GPKG", options: &[], siblings: &staged.names };
    let source = OgrSource::open(&staged.main, &how)?.0;
    let query = "SELECT table_name, data_type FROM gpkg_contents WHERE data_type NOT IN ('features', 'attributes')";
    for row in source.select(query).unwrap_or_default() {
        let [Some(table), Some(kind)] = row.as_slice() else { continue };
        let message = "contents that are no table of features or attributes were left out";
        tallies.add(
            "gpkg.contents_left_out",
            Severity::Warning,
            message,
            None,
            None,
            &format!("{table} ({kind})"),
            None,
        );
    }
    tell_foreign_systems(&source, &mut tallies);
    Ok(tallies.diagnostics())
}

/// Tells geometries whose own reference system is not that of their table.
fn tell_foreign_systems(source: &OgrSource, tallies: &mut Tallies) {
    let tables = source.select("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns").unwrap_or_default();
    for row in tables {
        let [Some(table), Some(column), Some(declared)] = row.as_slice() else { continue };
        let [table_quoted, column_quoted] = [table, column].map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        if !has_foreign_systems(source, &table_quoted, &column_quoted, declared) {
            continue;
        }
        let query = format!(
            "SELECT hex(substr({column_quoted}, 4, 5)) AS head, count(*) FROM {table_quoted} \
             WHERE typeof({column_quoted}) = 'blob' GROUP BY head LIMIT 64"
        );
        for row in source.select(&query).unwrap_or_default() {
            let [Some(head), Some(count)] = row.as_slice() else { continue };
            let own = own_system(head).filter(|own| own.to_string() != *declared && *own != 0);
            if let Some(own) = own {
                let message = "geometries name another reference system than their table, which was taken";
                let found = format!("{count} geometries of {table} name {own}");
                tallies.add(
                    "gpkg.other_system",
                    Severity::Warning,
                    message,
                    None,
                    Some(column),
                    &found,
                    Some(declared),
                );
            }
        }
    }
}

/// Whether a geometry names another reference system than the declared one or none, in either order of bytes. Counting them
/// costs much more, and most files have none.
fn has_foreign_systems(source: &OgrSource, table: &str, column: &str, declared: &str) -> bool {
    let Ok(declared) = declared.parse::<i32>() else { return true };
    let [big, little] = [declared, declared.swap_bytes()].map(|system| format!("{system:08x}"));
    let query = format!(
        "SELECT 1 FROM {table} WHERE typeof({column}) = 'blob' \
         AND substr({column}, 5, 4) NOT IN (x'{little}', x'{big}', x'00000000') LIMIT 1"
    );
    source.select(&query).map_or(true, |found| !found.is_empty())
}

/// The reference system in the header of a geometry: the byte of flags and the four after it, in hexadecimal digits.
fn own_system(head: &str) -> Option<i32> {
    let is_little_endian = u8::from_str_radix(head.get(..2)?, 16).ok()? & 1 == 1;
    let bytes = u32::from_str_radix(head.get(2..10)?, 16).ok()?;
    Some(if is_little_endian { bytes.swap_bytes() } else { bytes } as i32)
}
