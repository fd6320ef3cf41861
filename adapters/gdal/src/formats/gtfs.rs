//! GTFS feeds: every `.txt` is a table, and `shapes.txt` the lines it draws.
//!
//! Tables are read by the CSV reader. Types are those of the GTFS reference, a column's or none of it: identifiers keep
//! their zeros and times such as `25:10:00` stay text.

mod fields;
mod shapes;

use super::Format;
use crate::archive::{Archive, ArchiveKind, Budget};
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{Field, Schema, SchemaRef};
use fields::Kind;
use shapes::Shapes;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Diagnostic, Error, Result, Severity};
use ukimet_normalize::{SourceEncoding, SourceLayer};

/// Rows of a table that are looked at together when its types are decided.
const ROWS_TOGETHER: usize = 16_384;

pub(super) const FORMAT: Format = Format {
    name: "GTFS",
    driver: None,
    media_types: &["application/zip", "application/gtfs+zip", "application/x-zip-compressed"],
    extensions: &["gtfs"],
    sidecars: &[],
    recognize: |clues| clues.zip == Some(ArchiveKind::Gtfs),
    open: |staged, context| Feed::open(staged, context),
};

/// A file of the feed, and the kinds of its columns.
struct Table {
    rows: Box<dyn Source>,
    kinds: Vec<Kind>,
    findings: Vec<Diagnostic>,
}

struct Feed {
    tables: Vec<Table>,
    /// The lines, and the place of their layer, which is the last.
    shapes: Option<Shapes>,
    layers: Vec<LayerInfo>,
    findings: Vec<Diagnostic>,
}

impl Feed {
    fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let mut feed = Self { tables: Vec::new(), shapes: None, layers: Vec::new(), findings: Vec::new() };
        for (name, path) in feed.unpack(staged, context)? {
            feed.add(&name, path, context).map_err(|error| error.context(quoted(&name)))?;
        }
        if let Some(shapes) = &feed.shapes {
            feed.layers.push(LayerInfo {
                name: "shapes".to_owned(),
                rows_declared: Some(shapes.len() as u64),
                crs: Some(Crs::crs84().to_string()),
                has_geometry: true,
                fields: vec!["shape_id".to_owned()],
            });
        }
        Ok(Box::new(feed))
    }

    /// The tables of the feed, unpacked; what else lies there is said.
    fn unpack(&mut self, staged: &Staged, context: Context<'_>) -> Result<Vec<(String, PathBuf)>> {
        let mut archive = Archive::open(&staged.main, context.limits)?;
        let stops: Vec<&str> = archive.names().filter(|name| name.rsplit('/').next() == Some("stops.txt")).collect();
        let [stops] = stops.as_slice() else {
            let found = stops.len();
            return Err(Error::invalid_data(format!(
                "a GTFS feed has one stops.txt, found {found}: send each feed alone"
            )));
        };
        let folder = stops.strip_suffix("stops.txt").unwrap_or_default().to_owned();
        let is_table = |name: &str| {
            let inside = name.strip_prefix(&folder).and_then(|name| name.strip_suffix(".txt"));
            inside.is_some_and(|name| !name.contains('/') && !is_document(name))
        };
        let size = fs::metadata(&staged.main).map(|metadata| metadata.len()).unwrap_or_default();
        let scratch = staged.main.with_file_name("tables");
        fs::create_dir(&scratch).map_err(|e| Error::unavailable("scratch space could not be written").caused_by(e))?;
        let unpacked = archive.unpack_files(&is_table, &scratch, context.limits, &mut Budget::of(size))?;
        if !unpacked.others.is_empty() {
            let message = "files of the feed that are no tables were left out".to_owned();
            self.findings.push(finding(
                "gtfs.left_out",
                Severity::Warning,
                message,
                unpacked.others.len() as u64,
                &unpacked.others,
            ));
        }
        Ok(unpacked.files.into_iter().map(|(name, path)| (name[folder.len()..].to_owned(), path)).collect())
    }

    /// Adds a table: decides its types, and draws its lines if it is the shapes.
    fn add(&mut self, name: &str, path: PathBuf, context: Context<'_>) -> Result<()> {
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let staged =
            Staged { main: path, names: vec![file_name], source_name: name.to_owned(), source_folder: String::new() };
        let rows = super::csv::open_table(&staged, context)?;
        let mut info = rows.layers().first().cloned().ok_or_else(|| Error::internal("a table has no layer"))?;
        let mut look = Look::at(name, &info.fields);
        let mut reader = rows.rows(0, ROWS_TOGETHER)?;
        while let Some(batch) = reader.next()? {
            look.observe(&batch, context.limits.vertices_max)?;
        }
        drop(reader);
        let mut findings = rows.findings();
        for (column, found) in &look.misfits {
            look.kinds[*column] = Kind::Text;
            let message = format!("column {} of {name} stays text", quoted(&info.fields[*column]));
            findings.push(finding("gtfs.misfit", Severity::Warning, message, 1, std::slice::from_ref(found)));
        }
        if let Some((mut shapes, _)) = look.drawn {
            self.say_short(&shapes.finish());
            self.shapes = Some(shapes);
            if info.fields.len() == shapes::FIELDS.len() {
                return Ok(());
            }
            "shape_points".clone_into(&mut info.name);
        }
        self.layers.push(info);
        self.tables.push(Table { rows, kinds: look.kinds, findings });
        Ok(())
    }

    fn say_short(&mut self, short: &[String]) {
        if !short.is_empty() {
            let message = "shapes of one point have no line".to_owned();
            self.findings.push(finding("gtfs.short_shape", Severity::Warning, message, short.len() as u64, short));
        }
    }
}

/// Files that are for people.
fn is_document(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    ["readme", "license", "licence", "copying", "notice"].iter().any(|word| stem.contains(word))
}

/// The first look at a table.
struct Look {
    kinds: Vec<Kind>,
    /// The first cell of each column that does not fit its kind.
    misfits: BTreeMap<usize, String>,
    /// The lines, if it has all columns for them, and where those are.
    drawn: Option<(Shapes, [usize; 4])>,
}

impl Look {
    fn at(name: &str, fields: &[String]) -> Self {
        let kinds = fields.iter().map(|field| Kind::of(field.trim())).collect();
        let drawn = match shapes::FIELDS.map(|wanted| fields.iter().position(|field| field.trim() == wanted)) {
            [Some(id), Some(lat), Some(lon), Some(number)] if name == "shapes.txt" => {
                Some((Shapes::default(), [id, lat, lon, number]))
            }
            _ => None,
        };
        Self { kinds, misfits: BTreeMap::new(), drawn }
    }

    fn observe(&mut self, rows: &RecordBatch, points_max: u64) -> Result<()> {
        for (i, kind) in self.kinds.iter().enumerate().filter(|(_, kind)| **kind != Kind::Text) {
            if !self.misfits.contains_key(&i)
                && let Some(cell) = rows.column(i).as_string::<i32>().iter().flatten().find(|cell| !kind.fits(cell))
            {
                self.misfits.insert(i, cell.to_owned());
            }
        }
        if let Some((shapes, places)) = &mut self.drawn {
            let fits = places.iter().all(|place| !self.misfits.contains_key(place));
            if !fits || !shapes.add(rows, *places, points_max)? {
                self.drawn = None;
            }
        }
        Ok(())
    }
}

impl Source for Feed {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let name = self.layers[layer].name.clone();
        let Some(table) = self.tables.get(layer) else {
            let shapes = self.shapes.as_ref().ok_or_else(|| Error::internal("a layer that the feed does not have"))?;
            return Ok(Box::new(LineRows { shapes, next: 0, rows_max }));
        };
        let rows = table.rows.rows(0, rows_max)?;
        let fields = rows.layer().schema.fields().clone();
        let fields =
            fields.iter().zip(&table.kinds).map(|(field, kind)| Field::new(field.name(), kind.data_type(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>()).into();
        Ok(Box::new(TableRows { name, rows, kinds: &table.kinds, schema, findings: table.findings.clone() }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.clone()
    }

    fn reader(&self) -> Reader {
        Reader { version: format!("ukimet {}", env!("CARGO_PKG_VERSION")), parameters: BTreeMap::new() }
    }
}

struct TableRows<'a> {
    name: String,
    rows: Box<dyn Rows + 'a>,
    kinds: &'a [Kind],
    schema: SchemaRef,
    findings: Vec<Diagnostic>,
}

impl Rows for TableRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.name.clone(),
            format: FORMAT.name.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            untyped: false,
            ..self.rows.layer()
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let columns =
            rows.columns().iter().zip(self.kinds).map(|(column, kind)| kind.column(column.as_string::<i32>()));
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect())
            .map(Some)
            .map_err(|error| Error::internal("columns of a feed do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(self.rows.findings());
        findings
    }
}

struct LineRows<'a> {
    shapes: &'a Shapes,
    next: usize,
    rows_max: usize,
}

impl Rows for LineRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: "shapes".to_owned(),
            format: FORMAT.name.to_owned(),
            schema: Shapes::schema(),
            raw_names: None,
            crs: Some(Crs::crs84()),
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.next >= self.shapes.len() {
            return Ok(None);
        }
        let rows = self.shapes.rows(self.next, self.rows_max.max(1))?;
        self.next += rows.num_rows();
        Ok(Some(rows))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        Vec::new()
    }
}
