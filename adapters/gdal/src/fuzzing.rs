//! The doors of the fuzz targets to the decoders of this crate; built only by them.
//!
//! Every door takes the bytes of a stranger and checks what any answer of the decoder must hold. An error is an answer.

use crate::features::ASSET_STEM;
use crate::formats::{self, FORMATS};
use crate::limits::ReadLimits;
use crate::protobuf::Fields;
use crate::source::{Context, Source, Staged};
use crate::xml::{Nesting, Tags, attribute, prolog};
use crate::{GdalAdapter, json, prepare_libraries, stage};
use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use tempfile::TempDir;
use ukimet_adapter_sdk::{AssetFile, ReadOptions};
use ukimet_model::{Error, Result};

/// Records of cells, and how many cells went on after a closing quote.
pub type FuzzedRecords = (Vec<Vec<Vec<u8>>>, u64);

/// Small enough that a short run reaches them.
const LIMITS: ReadLimits = ReadLimits {
    unpacked_bytes_max: 8 << 20,
    unpack_ratio_max: 100,
    archive_members_max: 64,
    archives_max: 2,
    layers_max: 16,
    fields_max: 128,
    vertices_max: 20_000,
    rows_max: 20_000,
    nesting_max: 64,
    cells_max: 20_000,
    examined_bytes_max: 1 << 20,
    pages_bytes_max: 64 << 20,
    raster_values_max: 20_000,
    raster_bands_max: 16,
    raster_block_bytes_max: 8 << 20,
    raster_bytes_max: 8 << 20,
};

/// A layer that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuzzedLayer {
    /// Its name.
    pub name: String,
    /// How many columns.
    pub columns: usize,
    /// How many rows.
    pub rows: u64,
}

/// Sets the libraries up as the adapter process does.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let scratch = std::env::temp_dir();
        prepare_libraries(&scratch.join("no-proj-data"), &scratch);
        GdalAdapter::new(scratch, LIMITS).expect("GDAL can be set up");
    });
}

/// A file in a folder that goes away with it.
struct Scratch {
    folder: TempDir,
    path: PathBuf,
}

impl Scratch {
    fn with(name: &str, bytes: &[u8]) -> Self {
        prepare();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("scratch space");
        Self { folder, path }
    }
}

/// Reads bytes to the end with the reader of one format, twice: in small batches and in large ones.
///
/// # Errors
///
/// What the reader says; `NotFound` for a format that is not served.
pub fn read_as(format: &str, file_name: &str, bytes: &[u8]) -> Result<Vec<FuzzedLayer>> {
    let format = FORMATS.iter().find(|known| known.name == format).ok_or_else(|| Error::not_found("no such format"))?;
    let name = format!("{ASSET_STEM}.{}", format.extensions[0]);
    let scratch = Scratch::with(&name, bytes);
    let (main, source_name) = (scratch.path.clone(), file_name.to_owned());
    let staged = Staged { main, names: vec![name], source_name, source_folder: String::new() };
    let options = ReadOptions::default();
    let source = (format.open)(&staged, Context { options: &options, limits: &LIMITS })?;
    let small = layers(source.as_ref(), 3)?;
    let large = layers(source.as_ref(), 4_096)?;
    assert_eq!(small, large, "a source reads the same any number of times");
    drop(scratch.folder);
    Ok(large)
}

fn layers(source: &dyn Source, rows_max: usize) -> Result<Vec<FuzzedLayer>> {
    let infos = source.layers().iter().enumerate();
    infos
        .map(|(layer, info)| Ok(FuzzedLayer { name: info.name.clone(), ..read_layer(source, layer, rows_max)? }))
        .collect()
}

/// Reads one layer: batches have rows, fit the schema that was announced, and are valid.
fn read_layer(source: &dyn Source, layer: usize, rows_max: usize) -> Result<FuzzedLayer> {
    let mut rows = source.rows(layer, rows_max)?;
    let schema = rows.layer().schema;
    let mut read = FuzzedLayer { name: String::new(), columns: schema.fields().len(), rows: 0 };
    while let Some(batch) = rows.next()? {
        assert!(batch.num_rows() > 0 && batch.num_rows() <= rows_max, "{} rows of {rows_max}", batch.num_rows());
        assert_eq!(batch.schema(), schema);
        for column in batch.columns() {
            column.to_data().validate_full().expect("a column is valid");
        }
        read.rows += batch.num_rows() as u64;
        if read.rows > LIMITS.rows_max {
            return Err(Error::limit_reached("more rows than a fuzz target reads"));
        }
    }
    rows.findings();
    source.findings();
    source.reader();
    Ok(read)
}

/// Recognises an asset of any kind and unpacks it if it is an archive; how many datasets are in it.
///
/// # Errors
///
/// What recognition and the archive say.
pub fn stage_asset(file_name: &str, bytes: &[u8]) -> Result<usize> {
    let scratch = Scratch::with("sent", bytes);
    let (path, file_name, size_bytes) = (scratch.path.clone(), file_name.to_owned(), bytes.len() as u64);
    let asset = AssetFile { path, file_name, media_type: None, size_bytes };
    let staged = stage::stage(&asset, scratch.folder.path(), &LIMITS)?;
    for (dataset, _) in &staged.datasets {
        assert!(dataset.main.starts_with(scratch.folder.path()), "{}", dataset.main.display());
        assert!(dataset.names.iter().all(|name| !name.contains('/') && !name.contains("..")));
    }
    Ok(staged.datasets.len())
}

/// The cells of every record of a CSV, and how many cells went on after a closing quote.
///
/// # Errors
///
/// `DataLoss` for quotes that are never closed.
pub fn csv_records(bytes: &[u8], separator: u8) -> Result<FuzzedRecords> {
    formats::csv_fuzzing::records(bytes, separator)
}

/// The outline of a JSON text: names of the first object's members, how many values, whether it is whole, how deep.
///
/// # Errors
///
/// None that the bytes cause.
pub fn json_outline(bytes: &[u8]) -> Result<(Vec<String>, u64, bool, u32)> {
    let outline = json::outline(&Scratch::with("asset.json", bytes).path)?;
    Ok((outline.keys, outline.values, outline.is_whole, outline.deepest))
}

/// Looks at an XML text in every way that we do: prolog, nesting and tags; the depth and how many tags.
pub fn xml(bytes: &[u8]) -> (u32, usize) {
    let (mut whole, mut parts) = (Nesting::default(), Nesting::default());
    whole.take(bytes);
    bytes.chunks(3).for_each(|part| parts.take(part));
    assert_eq!(whole.deepest, parts.deepest, "depth does not depend on where the pieces end");
    let text = String::from_utf8_lossy(bytes);
    if let Some(prolog) = prolog(&text) {
        attribute(&prolog.tag, "version");
        assert!(text.contains(&prolog.root));
    }
    (whole.deepest, Tags::of(&text).filter(|tag| text.contains(tag.name)).count())
}

/// The fields of a protocol buffer; how many were read before its end or what is broken.
pub fn protobuf_fields(bytes: &[u8]) -> usize {
    Fields::of(bytes).take_while(Result::is_ok).count()
}

/// Checks the frames of an OSM PBF.
///
/// # Errors
///
/// `DataLoss` for a cut file, `InvalidData` for sizes or packing that are not allowed.
pub fn pbf_frames(bytes: &[u8]) -> Result<()> {
    formats::osm_fuzzing::check_blobs(&Scratch::with("asset.pbf", bytes).path)
}

/// Reads the cells of a `.dbf` that GDAL would change; how many rows have any.
///
/// # Errors
///
/// `InvalidData` for a header that cannot be true, `DataLoss` for rows that are missing.
pub fn dbf_rows(bytes: &[u8]) -> Result<u64> {
    let scratch = Scratch::with("asset.dbf", bytes);
    drop(formats::shapefile_fuzzing::shapes(&scratch.path));
    formats::shapefile_fuzzing::dbf_rows(&scratch.path)
}
