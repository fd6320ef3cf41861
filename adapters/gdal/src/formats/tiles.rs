//! Vector tiles: one tile, `PMTiles` and `MBTiles`. The tiles of the highest zoom are put side by side, layer by layer.
//!
//! Tiles are drawings, not data: cut at their edges and generalized for their zoom, which every report says.

mod columns;
mod drawing;
mod mbtiles;
mod mvt;
mod pmtiles;

use super::{Clues, Format};
use crate::limits::ReadLimits;
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use arrow_array::RecordBatch;
use columns::{Columns, TileRow};
use drawing::{Drawing, TilePlace};
use mbtiles::MbTiles;
use mvt::{TileLayer, TileValue};
use pmtiles::PmTiles;
use std::collections::BTreeMap;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Diagnostic, Error, Result, Severity};
use ukimet_normalize::{SourceEncoding, SourceLayer};

pub(super) const MVT: Format = Format {
    name: "MVT",
    driver: None,
    media_types: &["application/vnd.mapbox-vector-tile", "application/x-protobuf"],
    extensions: &["mvt", "pbf"],
    sidecars: &[],
    recognize: is_tile,
    open: |staged, context| {
        let tile = std::fs::read(&staged.main)
            .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        TileFile::open(MVT.name, Tiles::One(place_of(staged)?, tile), context)
    },
};

pub(super) const PMTILES: Format = Format {
    name: "PMTiles",
    driver: None,
    media_types: &["application/vnd.pmtiles"],
    extensions: &["pmtiles"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"PMTiles"),
    open: |staged, context| {
        TileFile::open(PMTILES.name, Tiles::Pm(PmTiles::open(&staged.main, context.limits)?), context)
    },
};

pub(super) const MBTILES: Format = Format {
    name: "MBTiles",
    driver: Some("SQLite"),
    media_types: &["application/vnd.mbtiles", "application/vnd.mapbox-mbtiles", "application/x-sqlite3"],
    extensions: &["mbtiles"],
    sidecars: &[],
    recognize: |clues| {
        let is_named = clues.head.has_at(68, b"MPBX") || clues.head.extension == "mbtiles";
        clues.head.starts_with(b"SQLite format 3\0") && is_named
    },
    open: |staged, context| TileFile::open(MBTILES.name, Tiles::Mb(MbTiles::open(&staged.main)?), context),
};

/// A tile begins with a layer, and only a name or a media type tells it from any other protocol buffer.
fn is_tile(clues: &Clues) -> bool {
    let is_named = matches!(clues.head.extension.as_str(), "mvt" | "pbf");
    let is_declared = clues.media_type == MVT.media_types[0];
    (is_named || is_declared) && clues.head.starts_with(&[0x1a])
}

/// Where one tile lies: by its path `z/x/y.mvt` in an archive, or its name `z-x-y.mvt`.
fn place_of(staged: &Staged) -> Result<TilePlace> {
    let path = format!("{}/{}", staged.source_folder, staged.stem());
    let numbers = |separator: &[char]| -> Option<TilePlace> {
        let mut parts = path.rsplit(separator).map(|part| part.parse::<u64>().ok());
        let (y, x, zoom) = (parts.next()??, parts.next()??, parts.next()??);
        TilePlace::new(zoom, x, y)
    };
    numbers(&['/']).or_else(|| numbers(&['-', '_', '/'])).ok_or_else(|| {
        Error::invalid_data(format!(
            "a vector tile does not say where it lies: name it zoom-x-y.mvt or send it in a zip as zoom/x/y.mvt, found {}",
            quoted(&staged.source_name)
        ))
    })
}

/// Where tiles come from.
enum Tiles {
    One(TilePlace, Vec<u8>),
    Pm(PmTiles),
    Mb(MbTiles),
}

type TileIterator<'a> = Box<dyn Iterator<Item = Result<(TilePlace, Vec<u8>)>> + 'a>;

impl Tiles {
    /// The tiles of the highest zoom.
    fn walk(&self, limits: ReadLimits) -> Result<TileIterator<'_>> {
        Ok(match self {
            Self::One(place, tile) => Box::new(std::iter::once(Ok((*place, tile.clone())))),
            Self::Pm(set) => Box::new(set.tiles(limits)),
            Self::Mb(set) => Box::new(set.tiles(limits)?),
        })
    }

    fn zoom(&self) -> u8 {
        match self {
            Self::One(place, _) => place.zoom,
            Self::Pm(set) => set.zoom(),
            Self::Mb(set) => set.zoom(),
        }
    }

    /// Whether neighbors lie beside a tile, which have what lies in its buffer.
    fn is_set(&self) -> bool {
        !matches!(self, Self::One(..))
    }
}

struct TileFile {
    format: &'static str,
    tiles: Tiles,
    columns: Vec<Columns>,
    layers: Vec<LayerInfo>,
    limits: ReadLimits,
}

/// The columns that every layer has: its feature's number, and the tile it lies in.
const ID: &str = "mvt_id";
const TILE: &str = "tile";

impl TileFile {
    fn open(format: &'static str, tiles: Tiles, context: Context<'_>) -> Result<Box<dyn Source>> {
        let limits = *context.limits;
        let mut found: Vec<(String, Columns)> = Vec::new();
        for tile in tiles.walk(limits)? {
            let (place, tile) = tile?;
            for layer in mvt::layers(&tile).map_err(|error| at(place, error))? {
                let position = found.iter().position(|(name, _)| *name == layer.name).unwrap_or_else(|| {
                    found.push((layer.name.clone(), Columns::default()));
                    found.len() - 1
                });
                observe(&layer, &mut found[position].1).map_err(|error| at(place, error))?;
                check_limits(&found[position], found.len(), &limits)?;
            }
        }
        let layers = found.iter().map(|(name, columns)| info(name, columns)).collect();
        let columns = found.into_iter().map(|(_, columns)| columns).collect();
        Ok(Box::new(Self { format, tiles, columns, layers, limits }))
    }
}

fn at(place: TilePlace, error: Error) -> Error {
    error.context(format!("tile {}", shown(place)))
}

fn shown(place: TilePlace) -> String {
    format!("{}/{}/{}", place.zoom, place.x, place.y)
}

fn info(name: &str, columns: &Columns) -> LayerInfo {
    LayerInfo {
        name: name.to_owned(),
        rows_declared: None,
        crs: Some(web_mercator().to_string()),
        has_geometry: true,
        fields: columns.names().to_vec(),
    }
}

fn web_mercator() -> Crs {
    Crs {
        definition: "EPSG:3857".to_owned(),
        code: Some(AuthorityCode { authority: "EPSG".to_owned(), code: "3857".to_owned() }),
        name: Some("WGS 84 / Pseudo-Mercator".to_owned()),
    }
}

fn check_limits((name, columns): &(String, Columns), layers: usize, limits: &ReadLimits) -> Result<()> {
    if layers > limits.layers_max {
        return Err(Error::limit_reached(format!("a file has at most {} layers, found more", limits.layers_max)));
    }
    let (max, found) = (limits.fields_max, columns.names().len());
    if found > max {
        let name = quoted(name);
        return Err(Error::limit_reached(format!("a layer has at most {max} columns, found {found} in {name}")));
    }
    Ok(())
}

/// Takes note of every value of a layer.
fn observe(layer: &TileLayer<'_>, columns: &mut Columns) -> Result<()> {
    columns.observe(TILE, &TileValue::Text(String::new()));
    for feature in &layer.features {
        let feature = layer.feature(feature)?;
        if let Some(id) = feature.id {
            columns.observe(ID, &id_value(id));
        }
        for (key, value) in feature.tags {
            columns.observe(&layer.keys[key], &layer.values[value]);
        }
    }
    Ok(())
}

fn id_value(id: u64) -> TileValue {
    i64::try_from(id).map_or_else(|_| TileValue::Text(id.to_string()), TileValue::Integer)
}

impl Source for TileFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let tiles = self.tiles.walk(self.limits)?;
        Ok(Box::new(FeatureRows { file: self, layer, tiles, rows_max, rest: Vec::new(), counts: Counts::default() }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let zoom = self.tiles.zoom();
        let message = format!(
            "these are drawings of zoom {zoom}: geometries are generalized and cut at the edges of tiles, so what \
             several tiles show is several rows; other zooms were left out"
        );
        vec![finding("tiles.generalized", Severity::Warning, message, 1, &[])]
    }

    fn reader(&self) -> Reader {
        Reader {
            version: format!("ukimet {}", env!("CARGO_PKG_VERSION")),
            parameters: BTreeMap::from([("zoom".to_owned(), self.tiles.zoom().to_string())]),
        }
    }
}

/// What became of features.
#[derive(Default)]
struct Counts {
    positions: u64,
    /// Features that lie only in the buffer of their tile.
    in_buffer: u64,
    /// Features whose commands draw nothing.
    broken: u64,
}

struct FeatureRows<'a> {
    file: &'a TileFile,
    layer: usize,
    tiles: TileIterator<'a>,
    rows_max: usize,
    rest: Vec<TileRow>,
    counts: Counts,
}

impl FeatureRows<'_> {
    /// The rows that a tile has in this layer.
    fn add(&mut self, place: TilePlace, tile: &[u8]) -> Result<()> {
        let name = &self.file.layers[self.layer].name;
        for layer in mvt::layers(tile)?.iter().filter(|layer| layer.name == *name) {
            for feature in &layer.features {
                let row = self.row(place, layer, feature)?;
                self.rest.extend(row);
            }
        }
        let max = self.file.limits.vertices_max;
        if self.counts.positions > max {
            return Err(Error::limit_reached(format!("a layer has at most {max} positions, found more")));
        }
        Ok(())
    }

    fn row(&mut self, place: TilePlace, layer: &TileLayer<'_>, feature: &[u8]) -> Result<Option<TileRow>> {
        let feature = layer.feature(feature)?;
        let drawing = Drawing::of(&feature);
        if self.file.tiles.is_set() && drawing.as_ref().is_some_and(|drawing| drawing.is_in_buffer(layer.extent)) {
            self.counts.in_buffer += 1;
            return Ok(None);
        }
        self.counts.broken += u64::from(drawing.is_none());
        self.counts.positions += drawing.as_ref().map_or(0, Drawing::positions);
        let mut row =
            TileRow { geometry: drawing.map(|drawing| drawing.wkb(place, layer.extent)), ..TileRow::default() };
        let columns = &self.file.columns[self.layer];
        let mut set = |name: &str, value: TileValue| {
            if let Some(place) = columns.place(name) {
                row.values.insert(place, value);
            }
        };
        set(TILE, TileValue::Text(shown(place)));
        if let Some(id) = feature.id {
            set(ID, id_value(id));
        }
        feature.tags.iter().for_each(|(key, value)| set(&layer.keys[*key], layer.values[*value].clone()));
        Ok(Some(row))
    }
}

impl Rows for FeatureRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.file.layers[self.layer].name.clone(),
            format: self.file.format.to_owned(),
            schema: self.file.columns[self.layer].schema(),
            raw_names: None,
            crs: Some(web_mercator()),
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.rest.len() < self.rows_max {
            let Some(tile) = self.tiles.next() else { break };
            let (place, tile) = tile?;
            self.add(place, &tile).map_err(|error| at(place, error))?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let count = self.rest.len().min(self.rows_max.max(1));
        let rows: Vec<TileRow> = self.rest.drain(..count).collect();
        self.file.columns[self.layer].rows(&rows).map(Some)
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let counts = std::mem::take(&mut self.counts);
        let mut findings = Vec::new();
        if counts.in_buffer > 0 {
            let message =
                "features that lie only in the buffer around their tile repeat a neighbor's and were left out";
            findings.push(finding("tiles.buffer", Severity::Note, message.to_owned(), counts.in_buffer, &[]));
        }
        if counts.broken > 0 {
            let message = "features whose drawing is broken or empty have no geometry";
            findings.push(finding("tiles.broken_geometry", Severity::Warning, message.to_owned(), counts.broken, &[]));
        }
        findings
    }
}
