//! `MBTiles`: tiles as rows of an `SQLite` database, rows counted from the south.

use super::drawing::TilePlace;
use crate::archive::{Budget, unpacked};
use crate::formats::sqlite::check_schema;
use crate::gdal::{OgrRows, OgrSource, OpenOptions};
use crate::limits::ReadLimits;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use std::path::{Path, PathBuf};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Words that a schema of tiles does not need: virtual tables and functions of GDAL.
const REFUSED: &[&str] = &["virtual", "ogr_", "gdal_"];
/// Tiles that are held at a time.
const TILES_TOGETHER: usize = 64;

/// A set of tiles and its highest zoom.
#[derive(Debug)]
pub(super) struct MbTiles {
    path: PathBuf,
    size_bytes: u64,
    zoom: u8,
}

/// A row of the table of tiles: zoom, column, row from the south, bytes.
type TileRow = (i64, i64, i64, Vec<u8>);

impl MbTiles {
    /// Looks at the metadata and finds the highest zoom.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there are no tiles or other than vector tiles.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        let size_bytes = size.map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        let mut set = Self { path: path.to_owned(), size_bytes, zoom: 0 };
        check_schema(path, "MBTiles", REFUSED)?;
        set.check_format()?;
        let mut zooms = set.tile_rows()?.map(|row| row.map(|row| row.0));
        let zoom = zooms.try_fold(-1, |highest, zoom| Ok::<_, Error>(zoom?.max(highest)))?;
        drop(zooms);
        set.zoom =
            u8::try_from(zoom).map_err(|_| Error::invalid_data("MBTiles with tiles were expected, found none"))?;
        Ok(set)
    }

    pub(super) fn zoom(&self) -> u8 {
        self.zoom
    }

    /// Vector tiles are called `pbf`; whoever leaves that out has images, or nobody knows.
    fn check_format(&self) -> Result<()> {
        let mut found = None;
        let mut rows = self.rows("metadata")?;
        while let Some(batch) = rows.next()? {
            let texts = |name: &str| column(&batch, name).and_then(|column| cast_to(&column, &DataType::Binary));
            let (names, values) = (texts("name")?, texts("value")?);
            for (name, value) in names.as_binary::<i32>().iter().zip(values.as_binary::<i32>()) {
                if name == Some(b"format") {
                    found = value.map(|value| String::from_utf8_lossy(value).into_owned());
                }
            }
        }
        match found.as_deref() {
            Some("pbf" | "mvt" | "application/vnd.mapbox-vector-tile") => Ok(()),
            found => Err(Error::invalid_data(format!(
                "MBTiles of vector tiles (format pbf) were expected, found {}",
                quoted(found.unwrap_or("no format"))
            ))),
        }
    }

    fn rows(&self, table: &str) -> Result<OgrRows> {
        let names: Vec<String> =
            self.path.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter().collect();
        let options = ["LIST_ALL_TABLES=YES".to_owned()];
        let how = OpenOptions { driver: "SQLite", options: &options, siblings: &names };
        let (source, _) = OgrSource::open(&self.path, &how)?;
        let position = source.layers().iter().position(|layer| layer.name == table);
        let position =
            position.ok_or_else(|| Error::invalid_data(format!("MBTiles have a table {table}, found none")))?;
        source.into_rows(position, TILES_TOGETHER)
    }

    fn tile_rows(&self) -> Result<impl Iterator<Item = Result<TileRow>>> {
        let mut rows = self.rows("tiles")?;
        let batches = std::iter::from_fn(move || rows.next().transpose());
        Ok(batches.flat_map(|batch| match batch.and_then(|batch| tiles_of(&batch)) {
            Ok(tiles) => tiles.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }))
    }

    /// The tiles of the highest zoom, unpacked.
    pub(super) fn tiles(&self, limits: ReadLimits) -> Result<impl Iterator<Item = Result<(TilePlace, Vec<u8>)>>> {
        let zoom = i64::from(self.zoom);
        let mut budget = Budget::of(self.size_bytes);
        let rows = self.tile_rows()?.filter(move |row| row.as_ref().map_or(true, |row| row.0 == zoom));
        Ok(rows.map(move |row| {
            let (zoom, column, row, bytes) = row?;
            let north = (1_i64 << zoom.min(62)) - 1 - row;
            let place = TilePlace::new(zoom as u64, column as u64, north as u64).ok_or_else(|| {
                Error::invalid_data(format!("a tile of MBTiles lies in its zoom, found {zoom}/{column}/{row}"))
            })?;
            let bytes = if bytes.starts_with(b"\x1f\x8b") { unpacked(&bytes, &limits, &mut budget)? } else { bytes };
            Ok((place, bytes))
        }))
    }
}

fn tiles_of(batch: &RecordBatch) -> Result<Vec<TileRow>> {
    let number = |name: &str| column(batch, name).and_then(|column| cast_to(&column, &DataType::Int64));
    let (zooms, columns, rows) = (number("zoom_level")?, number("tile_column")?, number("tile_row")?);
    let bytes = cast_to(&column(batch, "tile_data")?, &DataType::Binary)?;
    let value = |column: &ArrayRef, row: usize| {
        let column = column.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let tile = |row: usize| {
        let bytes = bytes.as_binary::<i32>();
        let bytes = bytes.is_valid(row).then(|| bytes.value(row).to_vec())?;
        Some((value(&zooms, row)?, value(&columns, row)?, value(&rows, row)?, bytes))
    };
    let tiles: Option<Vec<TileRow>> = (0..batch.num_rows()).map(tile).collect();
    tiles.ok_or_else(|| Error::invalid_data("a tile of MBTiles has zoom, column, row and data, found one without"))
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let column = batch.column_by_name(name).cloned();
    column.ok_or_else(|| Error::invalid_data(format!("MBTiles have a column {name}, found none")))
}

fn cast_to(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type)
        .map_err(|error| Error::invalid_data("a column of MBTiles has another type").caused_by(error))
}
