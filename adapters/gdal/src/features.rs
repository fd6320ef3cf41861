//! An OGR layer as raw batches, by Arrow stream.

mod columns;
mod rows;

use crate::formats::DbfTable;
use crate::gdal::{CellColumns, CellPlace, MomentColumns, Moments, OgrHead, OgrSource, OpenOptions};
use crate::limits::ReadLimits;
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use crate::transcode::Transcoded;
use arrow_schema::{FieldRef, Schema};
use columns::columns;
use rows::{LayerRows, warnings};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result, Severity};

/// How the text of a source is to be taken.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// The format says UTF-8; `transcoded_from` if we made it so.
    Utf8 { transcoded_from: Option<String> },
    /// The source declares an encoding that GDAL did not apply.
    Declared { label: String, by: String },
    /// Nobody says.
    Unknown,
}

/// What a format decides about reading with OGR.
#[derive(Clone, Debug)]
pub(crate) struct OgrFormat {
    /// The format's name in the table.
    pub(crate) name: &'static str,
    /// The one driver that may open it.
    pub(crate) driver: &'static str,
    /// Open options.
    pub(crate) options: Vec<String>,
    /// How its text is to be taken.
    pub(crate) text: Text,
    /// Whether its text may hold numbers and dates.
    pub(crate) untyped: bool,
    /// What was found before GDAL saw it.
    pub(crate) findings: Vec<Diagnostic>,
    /// The source's own names of columns that were given others for GDAL.
    pub(crate) names: BTreeMap<String, String>,
    /// The table of attributes, where some of its columns are read without GDAL.
    pub(crate) table: Option<Arc<DbfTable>>,
    /// Whether the format always has the same layers, so that those without rows say nothing.
    pub(crate) fixed_layers: bool,
}

impl OgrFormat {
    /// Puts the source's own name of a column where GDAL's is.
    fn own_name(&self, name: &mut String) {
        if let Some(own) = self.names.get(name) {
            own.clone_into(name);
        }
    }

    fn own_raw_name(&self, name: &[u8]) -> Vec<u8> {
        let own = std::str::from_utf8(name).ok().and_then(|name| self.names.get(name));
        own.map_or_else(|| name.to_vec(), |own| own.clone().into_bytes())
    }

    fn own_field(&self, field: &FieldRef) -> FieldRef {
        match self.names.get(field.name()) {
            Some(own) => Arc::new(field.as_ref().clone().with_name(own)),
            None => Arc::clone(field),
        }
    }

    /// Notes that the file was decoded before GDAL saw it.
    pub(crate) fn transcoded(&mut self, transcoded: Option<Transcoded>) {
        self.findings.extend(transcoded.as_ref().and_then(Transcoded::finding));
        self.text = Text::Utf8 { transcoded_from: transcoded.map(|transcoded| transcoded.encoding) };
    }

    /// A format whose text is UTF-8 by its standard, read without options.
    pub(crate) fn plain(name: &'static str, driver: &'static str) -> Self {
        Self {
            name,
            driver,
            options: Vec::new(),
            text: Text::Utf8 { transcoded_from: None },
            untyped: false,
            findings: Vec::new(),
            names: BTreeMap::new(),
            table: None,
            fixed_layers: false,
        }
    }
}

/// A file that OGR reads.
pub(crate) struct OgrFile {
    format: OgrFormat,
    path: PathBuf,
    siblings: Vec<String>,
    heads: Vec<OgrHead>,
    layers: Vec<LayerInfo>,
    /// Dates and times of each layer that are read again, once they were looked through.
    moments: Vec<OnceCell<MomentColumns>>,
    /// Cells of each layer that contradict their columns, once they were looked through.
    cells: Vec<OnceCell<CellColumns>>,
    findings: Vec<Diagnostic>,
    limits: ReadLimits,
}

impl OgrFile {
    /// Opens a file and looks at its layers.
    ///
    /// # Errors
    ///
    /// As [`OgrSource::open`]; `LimitReached` for too many layers or columns.
    pub(crate) fn open(format: OgrFormat, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let siblings = staged.names.clone();
        let how = OpenOptions { driver: format.driver, options: &format.options, siblings: &siblings };
        let (source, raised) = OgrSource::open(&staged.main, &how)?;
        let limits = *context.limits;
        if source.layer_count() > limits.layers_max {
            return Err(Error::limit_reached(format!(
                "a file has at most {} layers, found {}",
                limits.layers_max,
                source.layer_count()
            )));
        }
        let mut heads = source.layers();
        if format.fixed_layers {
            heads.retain(|head| !source.is_empty(head.position));
        }
        for head in &mut heads {
            check_fields(head, &limits)?;
            for name in &mut head.fields {
                format.own_name(name);
            }
            // A layer that is named after its file would else carry the name that we gave the file.
            if head.name == ASSET_STEM {
                staged.stem().clone_into(&mut head.name);
            }
        }
        let mut findings = format.findings.clone();
        findings.extend(warnings(&raised.warnings));
        if format.table.is_none() {
            findings.extend(heads.iter().filter_map(wide_numbers));
        }
        // The publisher knows better than the format's standard.
        let text = if context.options.encoding.is_some() && matches!(format.text, Text::Utf8 { transcoded_from: None })
        {
            Text::Unknown
        } else {
            format.text.clone()
        };
        let layers = heads.iter().map(info).collect();
        let format = OgrFormat { text, ..format };
        let moments = heads.iter().map(|_| OnceCell::new()).collect();
        let cells = heads.iter().map(|_| OnceCell::new()).collect();
        let path = staged.main.clone();
        Ok(Box::new(Self { format, path, siblings, heads, layers, moments, cells, findings, limits }))
    }
}

/// The name that staged files have.
pub(crate) const ASSET_STEM: &str = "asset";

fn check_fields(head: &OgrHead, limits: &ReadLimits) -> Result<()> {
    if head.fields.len() > limits.fields_max {
        return Err(Error::limit_reached(format!(
            "a layer has at most {} columns, found {} in {}",
            limits.fields_max,
            head.fields.len(),
            quoted(&head.name)
        )));
    }
    Ok(())
}

fn info(head: &OgrHead) -> LayerInfo {
    LayerInfo {
        name: head.name.clone(),
        rows_declared: head.rows_declared,
        crs: head.crs.as_ref().map(ToString::to_string),
        has_geometry: head.has_geometry,
        fields: head.fields.clone(),
    }
}

/// Whole numbers of more digits than an integer has come as floats, which keep the first fifteen.
fn wide_numbers(head: &OgrHead) -> Option<Diagnostic> {
    let count = head.wide_numbers.len() as u64;
    (count > 0).then(|| {
        let message = "columns of whole numbers wider than 18 digits are read as floats, which keep 15".to_owned();
        finding("read.wide_number", Severity::Warning, message, count, &head.wide_numbers)
    })
}

impl Source for OgrFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let how = OpenOptions { driver: self.format.driver, options: &self.format.options, siblings: &self.siblings };
        let (source, _) = OgrSource::open(&self.path, &how)?;
        let position = self.heads[layer].position;
        let rows = source.into_rows(position, rows_max)?;
        let again = || OgrSource::open(&self.path, &how).map(|(source, _)| source);
        // Both passes over a layer must see the same types, so its times are looked through once.
        let moments = if let Some(moments) = self.moments[layer].get() {
            moments
        } else {
            let found = MomentColumns::of(self.format.driver, &rows, position, again)?;
            self.moments[layer].get_or_init(|| found)
        };
        let database = if CellColumns::are_of(self.format.driver) { Some(again()?) } else { None };
        let cells = match (self.cells[layer].get(), &database) {
            (Some(cells), _) => cells,
            (None, None) => self.cells[layer].get_or_init(CellColumns::default),
            (None, Some(database)) => {
                let found = CellColumns::of(database, position, rows.schema())?;
                self.cells[layer].get_or_init(|| found)
            }
        };
        let columns = columns(&rows, &self.format.text);
        let columns: Vec<_> = columns.iter().enumerate().map(|(i, field)| cells.field(i, field)).collect();
        let columns: Vec<_> = columns.iter().map(|field| self.format.own_field(field)).collect();
        let columns: Vec<_> = columns.iter().enumerate().map(|(i, field)| moments.field(i, field)).collect();
        let table = self.format.table.as_ref();
        let columns = columns.iter().enumerate();
        let columns: Vec<_> =
            columns.map(|(i, field)| table.map_or_else(|| Arc::clone(field), |table| table.field(i, field))).collect();
        Ok(Box::new(LayerRows {
            file: self,
            layer,
            rows,
            moments: Moments::of(moments, position, again)?,
            cells,
            table: table.map(|table| table.corrected_rows()).transpose()?.flatten(),
            database,
            cell_place: CellPlace::default(),
            geometry_nulls: 0,
            late_seconds: 0,
            schema: Schema::new(columns).into(),
            rows_read: 0,
            vertices: 0,
            linearized: 0,
        }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.clone()
    }

    fn reader(&self) -> Reader {
        let mut parameters = BTreeMap::from([("driver".to_owned(), self.format.driver.to_owned())]);
        if !self.format.options.is_empty() {
            parameters.insert("options".to_owned(), self.format.options.join(" "));
        }
        Reader { version: format!("GDAL {}", crate::gdal::version()), parameters }
    }
}
