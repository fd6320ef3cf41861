//! The order of the rules and their version.
//!
//! First pass, [`Survey`]: text, places, types and CRS look at the raw rows as long as they have to. Then the
//! [`Plan`] holds every decision. Second pass, [`Normalizer`]: text, types, places, CRS, geometry, names.

mod survey;

pub use survey::Survey;

use crate::crs::{CrsPlan, Transform};
use crate::findings::Findings;
use crate::geometry::GeometryRule;
use crate::layer::{GEOMETRY_KEY, Limits, Role, SourceLayer, is_marked};
use crate::names;
use crate::places::PlacePlan;
use crate::text::TextPlan;
use crate::types::{self, Published, Target};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::sync::Arc;
use survey::{binary, check_raw, utf8};
use ukimet_model::batch::{attribute_field, check_schema, geometry_field};
use ukimet_model::error::quoted;
use ukimet_model::{Batch, Error, LayerReport, ProcessStep, Result, Severity};

/// The version of the rule set, in every receipt. It changes when the same bytes would give other rows.
pub const RULES_VERSION: &str = "1";

/// One published attribute and where it comes from.
struct Column {
    raw: usize,
    role: Role,
    target: Target,
    data_type: DataType,
}

struct Decisions {
    text: TextPlan,
    places: PlacePlan,
    crs: CrsPlan,
    findings: Findings,
    types_step: ProcessStep,
    columns: Vec<Column>,
    has_places: bool,
}

/// Every decision about one layer.
pub struct Plan {
    layer: SourceLayer,
    limits: Limits,
    decisions: Decisions,
    names_step: ProcessStep,
    schema: SchemaRef,
}

impl Plan {
    fn new(layer: SourceLayer, limits: Limits, decisions: Decisions) -> Result<Self> {
        let sources: Vec<String> = decisions.columns.iter().map(|c| decisions.text.names[c.raw].clone()).collect();
        let (names, names_step) = names::decide(&sources);
        let parts = names.iter().zip(&sources).zip(&decisions.columns);
        let mut fields: Vec<_> =
            parts.map(|((name, source), column)| attribute_field(name, source, column.data_type.clone())).collect();
        if decisions.has_places {
            fields.push(Arc::new(geometry_field()));
        }
        let schema = Arc::new(Schema::new(fields));
        check_schema(&schema)?;
        Ok(Self { layer, limits, decisions, names_step, schema })
    }

    /// The schema of the normalized batches: attributes in the order of the source, then the geometry.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The CRS that the coordinates come in, as the report will name it; `None` for a table.
    pub fn source_crs(&self) -> Option<&str> {
        self.decisions.crs.label.as_deref()
    }

    /// Starts the second pass.
    pub fn normalizer(self) -> Normalizer {
        let Decisions { text, places, crs, findings, types_step, columns, has_places } = self.decisions;
        let mut crs = crs;
        let crs_findings = std::mem::take(&mut crs.findings);
        let report = LayerReport {
            layer: self.layer.name.clone(),
            format: self.layer.format.clone(),
            source_crs: crs.label.clone(),
            source_encoding: Some(text.source_encoding.clone()),
            ..LayerReport::default()
        };
        Normalizer {
            geometry: has_places.then(|| GeometryRule::new(self.limits)),
            transform: Transform::new(crs),
            layer: self.layer,
            schema: self.schema,
            columns,
            text,
            places,
            findings,
            crs_findings,
            types_step,
            names_step: self.names_step,
            report,
        }
    }
}

/// The second pass: raw batches in, normalized batches out. Stays on one thread.
pub struct Normalizer {
    layer: SourceLayer,
    schema: SchemaRef,
    columns: Vec<Column>,
    text: TextPlan,
    places: PlacePlan,
    transform: Transform,
    geometry: Option<GeometryRule>,
    findings: Findings,
    crs_findings: Findings,
    types_step: ProcessStep,
    names_step: ProcessStep,
    report: LayerReport,
}

impl Normalizer {
    /// Normalizes the next raw batch, in the order of the source; rows that are refused are left out.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and value that break what was declared; `LimitReached` for a geometry
    /// above its limit. Rows in impossible places are refused and counted; [`Self::finish`] judges their number. After an error the normalizer is of no more use.
    pub fn normalize(&mut self, raw: &RecordBatch) -> Result<Batch> {
        check_raw(raw, &self.layer)?;
        let row_first = self.report.rows_read;
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for column in &self.columns {
            arrays.push(attribute(column, raw, &mut self.text, &mut self.findings, row_first)?);
        }
        let refused = self.add_geometry(raw, &mut arrays, row_first)?;
        let options = RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Error::internal("normalized columns do not fit their schema").caused_by(error))?;
        let rows = without(rows, &refused)?;
        self.report.rows_read += raw.num_rows() as u64;
        self.report.rows_taken += rows.num_rows() as u64;
        Batch::try_new(rows)
    }

    fn add_geometry(&mut self, raw: &RecordBatch, arrays: &mut Vec<ArrayRef>, row_first: u64) -> Result<Vec<bool>> {
        let Some(rule) = &mut self.geometry else { return Ok(Vec::new()) };
        let (column, refused) = if let Some(places) = self.places.apply(raw.columns(), row_first)? {
            places
        } else {
            let at = self.layer.schema.fields().iter().position(|field| is_marked(field, GEOMETRY_KEY));
            let at = at.ok_or_else(|| Error::internal("a layer with places has a column for them"))?;
            (binary(raw.column(at))?, Vec::new())
        };
        let normalized = rule.apply(&column, refused, &mut self.transform, row_first, &mut self.findings)?;
        arrays.push(Arc::new(normalized.column));
        Ok(normalized.refused)
    }

    /// What was read, taken, repaired and refused, with every receipt in the order of the rules.
    ///
    /// # Errors
    ///
    /// `InvalidData` if so many rows are in impossible places that what was declared must be wrong, or if every row was
    /// refused: an empty version would stand for data that is there.
    pub fn finish(self) -> Result<LayerReport> {
        let mut report = self.report;
        report.rows_refused = report.rows_read - report.rows_taken;
        let mut findings = self.findings;
        report.steps =
            vec![self.text.step, self.names_step, self.places.step, self.types_step, self.transform.finish()?];
        if let Some(geometry) = self.geometry {
            geometry.finish(&mut report, &mut findings);
        }
        for findings in [self.text.findings, self.places.findings, self.crs_findings, findings] {
            report.diagnostics.extend(findings.into_diagnostics());
        }
        check_taken(&report)?;
        Ok(report)
    }
}

/// Ends a layer of which nothing is left.
fn check_taken(report: &LayerReport) -> Result<()> {
    if report.rows_taken > 0 || report.rows_refused == 0 {
        return Ok(());
    }
    let refusals = report.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let reasons: Vec<String> = refusals
        .map(|found| {
            let first = found.examples.first().map_or("", |example| example.found.as_str());
            format!("{} ({}, {}×, such as {})", found.message, found.rule, found.count, quoted(first))
        })
        .collect();
    Err(Error::invalid_data(format!("every one of the {} rows was refused: {}", report.rows_read, reasons.join("; "))))
}

fn attribute(
    column: &Column,
    raw: &RecordBatch,
    text: &mut TextPlan,
    findings: &mut Findings,
    row_first: u64,
) -> Result<ArrayRef> {
    let source = raw.column(column.raw);
    let decoded = match column.role {
        Role::RawText => text.apply(source.as_binary::<i32>(), column.raw, row_first)?,
        Role::Text => utf8(source)?,
        Role::Geometry | Role::Value => return Published::apply(source, &text.names[column.raw], row_first, findings),
    };
    types::apply(&decoded, &column.target, &text.names[column.raw], row_first)
}

fn without(rows: RecordBatch, refused: &[bool]) -> Result<RecordBatch> {
    if !refused.contains(&true) {
        return Ok(rows);
    }
    let taken: BooleanArray = refused.iter().map(|refused| Some(!refused)).collect();
    arrow_select::filter::filter_record_batch(&rows, &taken)
        .map_err(|error| Error::internal("refused rows were not left out").caused_by(error))
}

#[cfg(test)]
mod tests;
