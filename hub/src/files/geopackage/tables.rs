//! The tables of a `GeoPackage` that say what its one table of rows is, as the standard has them.

use super::super::cells::{Kind, geometry_column};
use super::{SRS_ID, Seen};
use arrow_schema::{Field, SchemaRef};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use std::sync::Arc;
use ukimet_model::batch::source_name;

/// EPSG:4326 as the standard asks for it.
const WGS_84: &str = r#"GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]"#;

/// Where the standard of the R-tree is.
const RTREE_STANDARD: &str = "http://www.geopackage.org/spec130/#extension_rtree";

/// The tables beside the rows.
const TABLES: &str = "
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
    srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
    CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
    CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL,
    scope TEXT NOT NULL, CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_data_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT,
    mime_type TEXT, constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
    CONSTRAINT gdc_tn UNIQUE (table_name, name));
";

/// The tables of one `GeoPackage`.
pub(super) struct Tables {
    /// The table of rows.
    name: String,
    key: String,
    geometry: Option<String>,
    schema: SchemaRef,
    changed: String,
    insert: String,
    insert_box: String,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name that no table of the standard or of `SQLite` has.
fn table_name(name: &str) -> String {
    let is_taken = ["gpkg_", "rtree_", "sqlite_"].iter().any(|prefix| name.starts_with(prefix));
    if is_taken { format!("rows_{name}") } else { name.to_owned() }
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Geometry | Kind::Bytes => "BLOB",
        Kind::Boolean => "BOOLEAN",
        Kind::Integer { bits: 8, is_signed: true } => "TINYINT",
        Kind::Integer { bits: 8, .. } | Kind::Integer { bits: 16, is_signed: true } => "SMALLINT",
        Kind::Integer { bits: 16, .. } | Kind::Integer { bits: 32, is_signed: true } => "MEDIUMINT",
        Kind::Integer { .. } => "INTEGER",
        Kind::Float { bits: 32 } => "FLOAT",
        Kind::Float { .. } => "DOUBLE",
        Kind::Date => "DATE",
        Kind::Moment => "DATETIME",
        Kind::Text | Kind::Decimal { .. } | Kind::Time | Kind::LocalTime | Kind::Json => "TEXT",
    }
}

impl Tables {
    pub(super) fn new(name: &str, schema: SchemaRef, published_s: Option<i64>) -> Self {
        let name = table_name(name);
        let mut key = "fid".to_owned();
        while schema.field_with_name(&key).is_ok() {
            key.push('_');
        }
        let geometry = geometry_column(&schema).map(|column| schema.field(column).name().clone());
        let columns = [&key].into_iter().chain(schema.fields().iter().map(|field| field.name()));
        let columns: Vec<_> = columns.map(|column| quoted(column)).collect();
        let marks = vec!["?"; columns.len()].join(",");
        let insert = format!("INSERT INTO {} ({}) VALUES ({marks})", quoted(&name), columns.join(","));
        let tree = geometry.as_ref().map(|column| quoted(&format!("rtree_{name}_{column}"))).unwrap_or_default();
        let insert_box = format!("INSERT INTO {tree} VALUES (?,?,?,?,?)");
        let changed = Timestamp::from_second(published_s.unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
        let changed = changed.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        Self { name, key, geometry, schema, changed, insert, insert_box }
    }

    /// A statement that adds a row: its number, then its values.
    pub(super) fn insert(&self) -> &str {
        &self.insert
    }

    /// A statement that adds a box to the R-tree: number, west, east, south, north.
    pub(super) fn insert_box(&self) -> &str {
        &self.insert_box
    }

    /// Makes all tables but what depends on the rows.
    pub(super) fn create(&self, database: &Connection) -> rusqlite::Result<()> {
        database.execute_batch(TABLES)?;
        let mut add = database.prepare("INSERT INTO gpkg_spatial_ref_sys VALUES (?,?,?,?,?,?)")?;
        add.execute(params!["Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian"])?;
        add.execute(params!["Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic"])?;
        add.execute(params!["WGS 84 geodetic", SRS_ID, "EPSG", SRS_ID, WGS_84, "longitude/latitude in degrees"])?;
        database.execute_batch(&self.rows("GEOMETRY"))?;
        match &self.geometry {
            Some(column) => database.execute_batch(&format!(
                "CREATE VIRTUAL TABLE {} USING rtree(id, minx, maxx, miny, maxy)",
                quoted(&format!("rtree_{}_{column}", self.name))
            )),
            None => Ok(()),
        }
    }

    /// The statement that makes the table of rows, whose geometries are of this type.
    fn rows(&self, geometry_type: &str) -> String {
        let column = |field: &Arc<Field>| {
            let is_geometry = self.geometry.as_deref() == Some(field.name());
            let type_name = if is_geometry { geometry_type } else { type_name(Kind::of(field)) };
            format!(", {} {type_name}", quoted(field.name()))
        };
        let (name, key) = (quoted(&self.name), quoted(&self.key));
        let columns: String = self.schema.fields().iter().map(column).collect();
        format!("CREATE TABLE {name} ({key} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL{columns})")
    }

    /// Says what the rows are, and has the R-tree follow what is changed later.
    pub(super) fn complete(&self, database: &Connection, seen: &Seen) -> rusqlite::Result<()> {
        let data_type = if self.geometry.is_some() { "features" } else { "attributes" };
        let [west, south, east, north] = seen.bounds.map_or([None; 4], |bounds| bounds.map(Some));
        let srs = self.geometry.as_ref().map(|_| SRS_ID);
        database.execute(
            "INSERT INTO gpkg_contents VALUES (?,?,?,'',?,?,?,?,?,?)",
            params![self.name, data_type, self.name, self.changed, west, south, east, north, srs],
        )?;
        self.describe(database)?;
        let Some(column) = &self.geometry else { return Ok(()) };
        database.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?,?,?,?,?,?)",
            params![self.name, column, seen.type_name(), SRS_ID, seen.share(seen.with_z), seen.share(seen.with_m)],
        )?;
        database.execute(
            "INSERT INTO gpkg_extensions VALUES (?,?,'gpkg_rtree_index',?,'write-only')",
            params![self.name, column, RTREE_STANDARD],
        )?;
        self.declare_type(database, &seen.type_name())?;
        database.execute_batch(&triggers(&self.name, column, &self.key))
    }

    /// Declares the geometry column with the type of the geometries, which is known when all rows are there. To `SQLite` it is
    /// a name that means nothing.
    fn declare_type(&self, database: &Connection, geometry_type: &str) -> rusqlite::Result<()> {
        database.execute_batch("PRAGMA writable_schema = ON")?;
        let rows = self.rows(geometry_type);
        database.execute("UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", [&rows, &self.name])?;
        database.execute_batch("PRAGMA writable_schema = OFF")
    }

    /// Keeps what columns are called in their source, and that some texts are JSON.
    fn describe(&self, database: &Connection) -> rusqlite::Result<()> {
        let standard = "http://www.geopackage.org/spec130/#extension_schema";
        let mut extend = database
            .prepare("INSERT INTO gpkg_extensions VALUES ('gpkg_data_columns',NULL,'gpkg_schema',?,'read-write')")?;
        extend.execute([standard])?;
        let mut describe = database.prepare("INSERT INTO gpkg_data_columns VALUES (?,?,?,?,NULL,?,NULL)")?;
        for field in self.schema.fields().iter().filter(|field| Some(field.name()) != self.geometry.as_ref()) {
            let mime = (Kind::of(field) == Kind::Json).then_some("application/json");
            describe.execute(params![self.name, field.name(), field.name(), source_name(field), mime])?;
        }
        Ok(())
    }
}

/// The triggers that the standard's extension asks for: the R-tree follows what a program changes in the rows.
fn triggers(table: &str, column: &str, key: &str) -> String {
    let tree_name = format!("rtree_{table}_{column}");
    let (tree, rows, shape, id) = (quoted(&tree_name), quoted(table), quoted(column), quoted(key));
    let corners =
        format!("NEW.{id}, ST_MinX(NEW.{shape}), ST_MaxX(NEW.{shape}), ST_MinY(NEW.{shape}), ST_MaxY(NEW.{shape})");
    let has = |row: &str| format!("({row}.{shape} NOTNULL AND NOT ST_IsEmpty({row}.{shape}))");
    let has_none = format!("(NEW.{shape} ISNULL OR ST_IsEmpty(NEW.{shape}))");
    let put = format!("INSERT OR REPLACE INTO {tree} VALUES ({corners});");
    let drop_old = format!("DELETE FROM {tree} WHERE id = OLD.{id};");
    let drop_both = format!("DELETE FROM {tree} WHERE id IN (OLD.{id}, NEW.{id});");
    let update = format!("AFTER UPDATE OF {shape} ON {rows}");
    let update_any = format!("AFTER UPDATE ON {rows}");
    let (new, same, other) = (has("NEW"), format!("OLD.{id} = NEW.{id}"), format!("OLD.{id} != NEW.{id}"));
    [
        ("insert", format!("AFTER INSERT ON {rows}"), new.clone(), put.clone()),
        ("update1", update.clone(), format!("{same} AND {new}"), put.clone()),
        ("update2", update, format!("{same} AND {has_none}"), drop_old.clone()),
        ("update3", update_any.clone(), format!("{other} AND {new}"), format!("{drop_old} {put}")),
        ("update4", update_any, format!("{other} AND {has_none}"), drop_both),
        ("delete", format!("AFTER DELETE ON {rows}"), format!("OLD.{shape} NOT NULL"), drop_old),
    ]
    .map(|(name, when, if_so, act)| {
        format!("CREATE TRIGGER {} {when} WHEN {if_so} BEGIN {act} END;", quoted(&format!("{tree_name}_{name}")))
    })
    .join("\n")
}
