//! `GeoPackage` 1.3: one table with an R-tree, in a database of `SQLite`.
//!
//! Coordinates are in EPSG:4326 as the standard writes it: longitude first, whatever the definition says.

mod tables;

use super::cells::{Cell, Cells, Kind, canonical, geometry_column};
use super::losses::Losses;
use super::scratch::Scratch;
use super::{FileSubject, StagedWriter};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params};
use std::fs::File;
use std::path::PathBuf;
use tables::Tables;
use tempfile::TempDir;
use ukimet_model::wkb::inspect;
use ukimet_model::{Error, Result};

/// Bytes of a page of the database.
const PAGE_BYTES: u64 = 4096;
/// Columns of a table, less the key.
const COLUMNS_MAX: usize = 1999;
/// EPSG:4326 in the table of coordinate systems.
const SRS_ID: i32 = 4326;

struct GeoPackage {
    database: Connection,
    path: PathBuf,
    folder: TempDir,
    tables: Tables,
    kinds: Vec<Kind>,
    geometry: Option<usize>,
    rows: i64,
    seen: Seen,
    losses: Losses,
    scratch: Scratch,
}

/// What the geometries have in common.
#[derive(Default)]
struct Seen {
    kind: Option<&'static str>,
    is_mixed: bool,
    with_z: u64,
    with_m: u64,
    places: u64,
    /// West, south, east, north.
    bounds: Option<[f64; 4]>,
}

pub(super) fn writer(subject: &FileSubject) -> Result<Box<dyn StagedWriter>> {
    let columns = subject.schema.fields().len();
    if columns > COLUMNS_MAX {
        let message =
            format!("a GeoPackage has at most {COLUMNS_MAX} columns, asked for {columns}; take .parquet or .arrow");
        return Err(Error::limit_reached(message));
    }
    let folder = subject.scratch.folder()?;
    let path = folder.path().join("houses.gpkg");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let kinds = Kind::all(&subject.schema);
    let geometry = geometry_column(&subject.schema);
    let tables = Tables::new(&subject.name, SchemaRef::clone(&subject.schema), subject.published_s);
    let open = || {
        let database = Connection::open_with_flags(&path, flags)?;
        prepare(&database, subject.scratch.bytes_max())?;
        tables.create(&database)?;
        Ok(database)
    };
    let database = open().map_err(|error| told(&subject.scratch, error))?;
    let (seen, losses, scratch) = (Seen::default(), Losses::default(), subject.scratch.clone());
    Ok(Box::new(GeoPackage { database, path, folder, tables, kinds, geometry, rows: 0, seen, losses, scratch }))
}

/// The file is thrown away if anything fails, so nothing of it need survive.
fn prepare(database: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    let pages_max = (bytes_max / PAGE_BYTES).clamp(1, u64::from(u32::MAX - 1));
    database.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA encoding = 'UTF-8'; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
         PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192; PRAGMA max_page_count = {pages_max}; \
         PRAGMA application_id = 0x47504B47; PRAGMA user_version = 10300; BEGIN"
    ))
}

fn told(scratch: &Scratch, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => scratch.too_large(),
        Some(ErrorCode::TooBig) => Error::limit_reached(
            "a value of a GeoPackage has at most 1 000 000 000 bytes, one has more; take .parquet or .arrow",
        ),
        _ => super::failed(error),
    }
}

/// WKB behind the header that the standard has for it: little-endian, with its box unless it has no position.
fn blob(wkb: &[u8], bounds: Option<[f64; 4]>) -> Vec<u8> {
    const LITTLE_ENDIAN: u8 = 1;
    const WITH_BOX: u8 = 1 << 1;
    const EMPTY: u8 = 1 << 4;
    let flags = LITTLE_ENDIAN | if bounds.is_some() { WITH_BOX } else { EMPTY };
    let mut blob = vec![b'G', b'P', 0, flags];
    blob.extend(SRS_ID.to_le_bytes());
    if let Some([west, south, east, north]) = bounds {
        blob.extend([west, east, south, north].iter().flat_map(|number| number.to_le_bytes()));
    }
    blob.extend(wkb);
    blob
}

/// A value that is bound to a statement.
enum Bound<'a> {
    Borrowed(ValueRef<'a>),
    Owned(Value),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Borrowed(value) => ToSqlOutput::Borrowed(*value),
            Self::Owned(value) => ToSqlOutput::Owned(value.clone()),
        })
    }
}

impl Seen {
    /// Takes a geometry into account; its blob and its box.
    fn add(&mut self, wkb: &[u8]) -> Result<(Vec<u8>, Option<[f64; 4]>)> {
        let wkb = canonical(wkb)?;
        let shape = inspect(&wkb).map_err(super::failed)?;
        let kind = shape.kind.name();
        self.is_mixed |= self.kind.is_some_and(|known| known != kind);
        self.kind = Some(kind);
        self.with_z += u64::from(shape.has_z);
        self.with_m += u64::from(shape.has_m);
        self.places += 1;
        if let Some([a, b, c, d]) = shape.bounds {
            let [west, south, east, north] = self.bounds.unwrap_or([a, b, c, d]);
            self.bounds = Some([west.min(a), south.min(b), east.max(c), north.max(d)]);
        }
        Ok((blob(&wkb, shape.bounds), shape.bounds))
    }

    fn type_name(&self) -> String {
        self.kind.filter(|_| !self.is_mixed).unwrap_or("Geometry").to_uppercase()
    }

    /// Whether all, none or some geometries have what so many of them have, as the standard counts.
    fn share(&self, with: u64) -> u8 {
        match with {
            0 => 0,
            with if with == self.places => 1,
            _ => 2,
        }
    }
}

impl GeoPackage {
    /// A value as `SQLite` has it.
    fn value<'a>(&mut self, column: usize, cell: Cell<'a>) -> Result<Bound<'a>> {
        Ok(Bound::Borrowed(match cell {
            Cell::Null => ValueRef::Null,
            Cell::Boolean(value) => ValueRef::Integer(i64::from(value)),
            Cell::Signed(number) => ValueRef::Integer(number),
            Cell::Unsigned(number) => ValueRef::Integer(i64::try_from(number).map_err(|_| {
                Error::invalid_request(format!(
                    "a GeoPackage has no place for the number {number}; take .parquet or .arrow"
                ))
            })?),
            Cell::Float(number) => {
                // SQLite has no value for it.
                self.losses.add("floats-that-are-no-numbers", u64::from(number.is_nan()));
                if number.is_nan() { ValueRef::Null } else { ValueRef::Real(number) }
            }
            Cell::Text(text) if self.kinds[column] == Kind::Moment => {
                return Ok(Bound::Owned(Value::Text(with_milliseconds(text))));
            }
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }

    fn row(&mut self, cells: &Cells, row: usize) -> Result<()> {
        self.rows += 1;
        let (mut values, mut bounds) = (vec![Bound::Owned(Value::Integer(self.rows))], None);
        for column in 0..self.kinds.len() {
            let cell = cells.get(column, row);
            values.push(match cell {
                Cell::Bytes(wkb) if Some(column) == self.geometry => {
                    let (blob, found) = self.seen.add(wkb)?;
                    bounds = found;
                    Bound::Owned(Value::Blob(blob))
                }
                cell => self.value(column, cell)?,
            });
        }
        self.insert(&values, bounds).map_err(|error| told(&self.scratch, error))
    }

    fn insert(&self, values: &[Bound<'_>], bounds: Option<[f64; 4]>) -> rusqlite::Result<()> {
        self.database.prepare_cached(self.tables.insert())?.execute(rusqlite::params_from_iter(values))?;
        if let Some([west, south, east, north]) = bounds {
            let mut into_tree = self.database.prepare_cached(self.tables.insert_box())?;
            into_tree.execute(params![self.rows, west, east, south, north])?;
        }
        Ok(())
    }
}

/// A moment with three digits of a second, or as many as it has if they are more: fewer are no moment of the standard.
fn with_milliseconds(text: &str) -> String {
    match text.strip_suffix('Z') {
        Some(plain) if !plain.contains('.') => format!("{plain}.000Z"),
        _ => text.to_owned(),
    }
}

impl StagedWriter for GeoPackage {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let cells = Cells::of(rows)?;
        (0..cells.rows).try_for_each(|row| self.row(&cells, row))
    }

    fn finish(self: Box<Self>) -> Result<(File, Losses)> {
        let Self { database, path, folder, tables, seen, losses, scratch, .. } = *self;
        let end = || {
            tables.complete(&database, &seen)?;
            database.execute_batch("COMMIT")?;
            database.flush_prepared_statement_cache();
            database.close().map_err(|(_, error)| error)
        };
        end().map_err(|error| told(&scratch, error))?;
        let file = File::open(path).map_err(super::failed)?;
        // The name goes, the file stays as long as it is open.
        folder.close().map_err(super::failed)?;
        Ok((file, losses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geometry_has_a_header_with_its_box() {
        let blob = blob(&[1, 2, 3], Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(blob[..8], [b'G', b'P', 0, 0b11, 0xE6, 0x10, 0, 0]);
        let corners: Vec<f64> =
            blob[8..40].chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().expect("eight"))).collect();
        assert_eq!((corners, &blob[40..]), (vec![1.0, 3.0, 2.0, 4.0], &[1, 2, 3][..]));
        assert_eq!(super::blob(&[], None)[3], 0b1_0001);
    }

    #[test]
    fn a_moment_has_a_fraction() {
        assert_eq!(with_milliseconds("2026-03-01T00:00:00Z"), "2026-03-01T00:00:00.000Z");
        assert_eq!(with_milliseconds("2026-03-01T00:00:00.000001Z"), "2026-03-01T00:00:00.000001Z");
    }
}
