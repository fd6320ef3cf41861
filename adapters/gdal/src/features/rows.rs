//! The rows of an OGR layer, and what was found among them.

use super::columns::{converted, linear, vertices_at_most};
use super::{OgrFile, Text};
use crate::formats::DbfRows;
use crate::gdal::{CellColumns, CellPlace, Moments, OgrRows, OgrSource, set_right};
use crate::source::{Rows, finding};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::{GEOMETRY_KEY, SourceEncoding, SourceLayer};

pub(super) struct LayerRows<'a> {
    pub(super) file: &'a OgrFile,
    pub(super) layer: usize,
    pub(super) rows: OgrRows,
    pub(super) moments: Option<Moments>,
    pub(super) cells: &'a CellColumns,
    /// Rows of the table of attributes, where some of its columns are read without GDAL.
    pub(super) table: Option<DbfRows>,
    /// The database once more, for cells that are read again.
    pub(super) database: Option<OgrSource>,
    pub(super) cell_place: CellPlace,
    pub(super) geometry_nulls: u64,
    /// Times that came a second late and were set right.
    pub(super) late_seconds: u64,
    pub(super) schema: SchemaRef,
    pub(super) rows_read: u64,
    pub(super) vertices: u64,
    pub(super) linearized: u64,
}

impl LayerRows<'_> {
    /// Whether as many rows came as the header of a file declares that is written at once, and so knows them.
    fn check_count(&self) -> Result<()> {
        let declared = self.file.heads[self.layer].rows_declared.unwrap_or_default();
        if self.file.format.driver == "FlatGeobuf" && declared > self.rows_read {
            return Err(Error::data_loss(format!("the header declares {declared} rows, found {}", self.rows_read)));
        }
        Ok(())
    }
}

impl Rows for LayerRows<'_> {
    fn layer(&self) -> SourceLayer {
        let head = &self.file.heads[self.layer];
        SourceLayer {
            name: head.name.clone(),
            format: self.file.format.name.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            raw_names: Some(self.rows.raw_names().iter().map(|name| self.file.format.own_raw_name(name)).collect()),
            crs: head.crs.clone(),
            encoding: match &self.file.format.text {
                Text::Utf8 { transcoded_from } => SourceEncoding::Utf8 { transcoded_from: transcoded_from.clone() },
                Text::Declared { label, by } => SourceEncoding::Declared { label: label.clone(), by: by.clone() },
                Text::Unknown => SourceEncoding::Unknown,
            },
            untyped: self.file.format.untyped,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let name =
            || format!("driver {}, layer {}", self.file.format.driver, quoted(&self.file.heads[self.layer].name));
        let Some(rows) = self.rows.next().map_err(|error| error.context(name()))? else {
            return self.check_count().map(|()| None);
        };
        let mut raw = match &mut self.moments {
            Some(moments) => moments.corrected(&rows).map_err(|error| error.context(name()))?,
            None => rows.columns().to_vec(),
        };
        self.late_seconds += set_right(self.file.format.driver, &mut raw);
        if let Some(database) = &self.database {
            self.cells.corrected(database, &mut raw, &mut self.cell_place).map_err(|error| error.context(name()))?;
        }
        if let Some(table) = &mut self.table {
            table.corrected(&mut raw, rows.num_rows()).map_err(|error| error.context(name()))?;
        }
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (field, column) in self.schema.fields().iter().zip(&raw) {
            let column = if field.metadata().contains_key(GEOMETRY_KEY) {
                let (column, linearized) = linear(column).map_err(|error| error.context(name()))?;
                self.linearized += linearized;
                self.vertices += vertices_at_most(&column);
                self.geometry_nulls += column.null_count() as u64;
                column
            } else {
                converted(field, column, self.rows_read)?
            };
            columns.push(column);
        }
        self.rows_read += rows.num_rows() as u64;
        if self.vertices > self.file.limits.vertices_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} positions, found more",
                self.file.limits.vertices_max
            )));
        }
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .map(Some)
            .map_err(|error| Error::internal("converted columns do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> = warnings(&self.rows.take_warnings()).into_iter().collect();
        let (impossible, examples) = self.moments.as_mut().map_or((0, Vec::new()), Moments::take_impossible);
        if impossible > 0 {
            let message = "dates that the calendar does not have became null".to_owned();
            findings.push(finding("read.impossible_date", Severity::Warning, message, impossible, &examples));
        }
        let dropped = self.file.moments[self.layer].get().map_or(0, |moments| moments.offsets_dropped);
        if dropped > 0 {
            let message = "times with an offset lost it, since others in their column have none".to_owned();
            findings.push(finding("read.offset_dropped", Severity::Warning, message, dropped, &[]));
        }
        if self.late_seconds > 0 {
            let message = "times before 1970 came a second late out of GDAL and were set right".to_owned();
            findings.push(finding("read.late_second", Severity::Note, message, self.late_seconds, &[]));
        }
        findings.extend(self.cells.findings.iter().cloned());
        let lost = self.cells.geometries_lost(self.geometry_nulls);
        if lost > 0 {
            let message = "geometries that cannot be read became null".to_owned();
            findings.push(finding("read.geometry_unreadable", Severity::Warning, message, lost, &[]));
        }
        if self.linearized > 0 {
            findings.push(finding(
                "geometry.linearized",
                Severity::Warning,
                "curves and surfaces were replaced by lines and polygons, arcs by chords of 4 degrees".to_owned(),
                std::mem::take(&mut self.linearized),
                &[],
            ));
        }
        findings
    }
}

pub(super) fn warnings(texts: &[String]) -> Option<Diagnostic> {
    (!texts.is_empty()).then(|| {
        let message = "the reader warned about the file".to_owned();
        finding("read.warning", Severity::Note, message, texts.len() as u64, texts)
    })
}
