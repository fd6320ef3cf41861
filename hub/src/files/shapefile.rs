//! Shapefiles in an archive: an old format with little place, so what it cannot say is told in the archive.
//!
//! Its tables say at their beginning how wide each column is, and each of its files has one kind of geometry. So rows are
//! kept aside and surveyed as they come, and the files written when all are there.

mod notes;
mod shapes;
mod survey;
mod table;

use super::cells::{Cells, Kind, canonical, geometry_column};
use super::losses::Losses;
use super::place::Place;
use super::scratch::{Scratch, ScratchFile};
use super::{FileSubject, StagedWriter, failed};
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use notes::notes;
use shapes::{Layer, ShapeFile};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;
use survey::{Column, Survey};
use table::Table;
use ukimet_model::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Bytes of one file of a Shapefile, as programs read them.
const FILE_BYTES_MAX: u64 = (1 << 31) - 1;
/// Columns of a table.
const COLUMNS_MAX: usize = 255;
/// WGS 84 as programs of the format expect it.
const PROJECTION: &str = r#"GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]"#;

struct Shapefile {
    name: String,
    schema: SchemaRef,
    kinds: Vec<Kind>,
    geometry: Option<usize>,
    published_s: i64,
    /// The rows so far.
    aside: StreamWriter<BufWriter<ScratchFile>>,
    survey: Survey,
    scratch: Scratch,
}

pub(super) fn writer(subject: &FileSubject) -> Result<Box<dyn StagedWriter>> {
    let (kinds, geometry) = (Kind::all(&subject.schema), geometry_column(&subject.schema));
    let columns = kinds.len() - usize::from(geometry.is_some());
    if columns > COLUMNS_MAX {
        let message =
            format!("a Shapefile has at most {COLUMNS_MAX} columns, asked for {columns}; take .gpkg or .parquet");
        return Err(Error::limit_reached(message));
    }
    let aside = BufWriter::new(subject.scratch.file()?);
    Ok(Box::new(Shapefile {
        name: subject.name.clone(),
        schema: SchemaRef::clone(&subject.schema),
        survey: Survey::new(kinds.len()),
        kinds,
        geometry,
        published_s: subject.published_s.unwrap_or(0),
        aside: StreamWriter::try_new(aside, &subject.schema).map_err(failed)?,
        scratch: subject.scratch.clone(),
    }))
}

fn too_large(what: &str) -> Error {
    Error::limit_reached(format!(
        "{what} of a Shapefile has at most {FILE_BYTES_MAX} bytes, and this one would have more; ask for fewer rows or columns, \
         or take .gpkg or .parquet"
    ))
}

/// The geometry of a row: the layer it belongs to and its parts; `None` if it has no position.
fn place(cells: &Cells, geometry: Option<usize>, row: usize) -> Result<Option<(Layer, Place)>> {
    let wkb = cells.geometry(geometry, row).map(canonical).transpose()?;
    let place = wkb.as_deref().map(Place::read).transpose()?.filter(|place| !place.is_empty());
    place.map(|place| Ok((Layer::of(&place)?, place))).transpose()
}

impl StagedWriter for Shapefile {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let cells = Cells::of(rows)?;
        for row in 0..cells.rows {
            let place = place(&cells, self.geometry, row)?;
            self.survey.layer(place.map(|(layer, _)| layer), cells.geometry(self.geometry, row).is_some());
            for (column, kind) in self.kinds.iter().enumerate().filter(|(_, kind)| **kind != Kind::Geometry) {
                self.survey.value(column, *kind, cells.get(column, row));
            }
        }
        self.aside.write(rows).map_err(|error| self.scratch.told(error))
    }

    fn finish(self: Box<Self>) -> Result<(File, Losses)> {
        let Self { name, schema, kinds, geometry, published_s, mut aside, survey, scratch } = *self;
        aside.finish().map_err(|error| scratch.told(error))?;
        let aside = aside.into_inner().map_err(|error| scratch.told(error))?;
        let mut aside = aside.into_inner().map_err(|error| scratch.told(error.into_error()))?;
        aside.rewind().map_err(failed)?;
        let (columns, losses) = survey.plan(&schema, &kinds);
        let mut files = Files::new(&survey, columns, published_s, scratch);
        for rows in StreamReader::try_new(BufReader::new(aside), None).map_err(failed)? {
            files.add(&rows.map_err(failed)?, geometry)?;
        }
        let notes = notes(&name, &files.columns, &losses);
        Ok((files.archive(&name, &notes)?, losses))
    }
}

/// The files of each layer; rows without a geometry have a table alone, unless there is one layer whose rows they are.
struct Files {
    columns: Arc<[Column]>,
    layers: BTreeMap<Option<Layer>, (Option<ShapeFile>, Table)>,
    /// The layer of rows without a geometry.
    placeless: Option<Layer>,
    published_s: i64,
    scratch: Scratch,
}

impl Files {
    fn new(survey: &Survey, columns: Vec<Column>, published_s: i64, scratch: Scratch) -> Self {
        let placeless = survey.only_layer();
        Self { columns: columns.into(), layers: BTreeMap::new(), placeless, published_s, scratch }
    }

    fn layer(&mut self, layer: Option<Layer>) -> Result<&mut (Option<ShapeFile>, Table)> {
        use std::collections::btree_map::Entry;
        match self.layers.entry(layer) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(empty) => {
                let shapes = layer.map(|layer| ShapeFile::begin(layer, &self.scratch)).transpose()?;
                Ok(empty.insert((shapes, Table::begin(&self.columns, self.published_s, &self.scratch)?)))
            }
        }
    }

    fn add(&mut self, rows: &RecordBatch, geometry: Option<usize>) -> Result<()> {
        let cells = Cells::of(rows)?;
        for row in 0..cells.rows {
            let place = place(&cells, geometry, row)?;
            let layer = place.as_ref().map(|(layer, _)| *layer).or(self.placeless);
            let columns = Arc::clone(&self.columns);
            let (shapes, table) = self.layer(layer)?;
            if let Some(shapes) = shapes {
                shapes.add(place.map(|(_, place)| place))?;
            }
            table.add(&columns, &cells, row)?;
        }
        Ok(())
    }

    /// All files in one archive, the notes first.
    fn archive(mut self, name: &str, notes: &str) -> Result<File> {
        if self.layers.is_empty() {
            self.layer(None)?;
        }
        let is_one = self.layers.len() == 1;
        let scratch = self.scratch.clone();
        let told = |error| scratch.told(error);
        let mut archive = Archive(ZipWriter::new(scratch.file()?));
        archive.add("LOSSES.txt", &mut notes.as_bytes()).map_err(told)?;
        for (layer, (shapes, table)) in self.layers {
            let suffix = if is_one { String::new() } else { layer.map_or("_no_geometry".to_owned(), Layer::suffix) };
            let file = |ending: &str| format!("{name}{suffix}.{ending}");
            if let Some(shapes) = shapes {
                let (mut shp, mut shx) = shapes.finish()?;
                archive.add(&file("shp"), &mut shp).map_err(told)?;
                archive.add(&file("shx"), &mut shx).map_err(told)?;
                archive.add(&file("prj"), &mut PROJECTION.as_bytes()).map_err(told)?;
            }
            archive.add(&file("dbf"), &mut table.finish()?).map_err(told)?;
            archive.add(&file("cpg"), &mut &b"UTF-8"[..]).map_err(told)?;
        }
        archive.0.finish().map_err(|error| scratch.told(error))?.into_file()
    }
}

struct Archive(ZipWriter<ScratchFile>);

impl Archive {
    fn add(&mut self, name: &str, from: &mut dyn Read) -> std::io::Result<()> {
        // The same rows give the same archive, whenever it is made.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default());
        self.0.start_file(name, options)?;
        std::io::copy(from, &mut self.0).map(drop)
    }
}

/// A file that is written and then read from its beginning.
fn reread(mut file: BufWriter<ScratchFile>, scratch: &Scratch) -> Result<BufReader<File>> {
    file.flush().map_err(|error| scratch.told(error))?;
    let file = file.into_inner().map_err(|error| scratch.told(error.into_error()))?;
    file.into_file().map(BufReader::new)
}
