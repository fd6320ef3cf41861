//! The order of the rules and their version.
//!
//! First pass, [`Survey`]: text, places, types and CRS look at the raw rows as long as they have to. Then the
//! [`Plan`] holds every decision. Second pass, [`Normalizer`]: text, types, names and mapping, places, CRS, geometry.

mod quarantine;
mod survey;

pub use survey::Survey;

use crate::crs::{CrsPlan, Transform};
use crate::findings::Findings;
use crate::geometry::GeometryRule;
use crate::layer::{GEOMETRY_KEY, Limits, Role, SourceLayer, is_marked};
use crate::mapping::{Made, Output};
use crate::places::PlacePlan;
use crate::text::TextPlan;
use crate::types::{self, Published, Target, expected};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::sync::Arc;
use survey::{binary, check_raw, utf8};
use ukimet_model::batch::{check_schema, geometry_field};
use ukimet_model::{Batch, Error, LayerReport, ProcessStep, QuarantinedRow, Result, Severity, Verdict};

/// The version of the rule set, in every receipt. It changes when the same bytes would give other rows.
pub const RULES_VERSION: &str = "1";

/// One attribute of the source and what the rules find it to be.
pub(crate) struct Column {
    pub(crate) raw: usize,
    role: Role,
    target: Target,
    pub(crate) data_type: DataType,
    /// Whether every value has to fit `data_type`, whatever its column holds.
    is_expected: bool,
}

struct Decisions {
    text: TextPlan,
    places: PlacePlan,
    crs: CrsPlan,
    findings: Findings,
    types_step: ProcessStep,
    columns: Vec<Column>,
    output: Output,
    has_places: bool,
}

/// Every decision about one layer.
pub struct Plan {
    layer: SourceLayer,
    limits: Limits,
    decisions: Decisions,
    schema: SchemaRef,
}

impl Plan {
    fn new(layer: SourceLayer, limits: Limits, decisions: Decisions) -> Result<Self> {
        let mut fields = decisions.output.fields();
        if decisions.has_places {
            fields.push(Arc::new(geometry_field()));
        }
        let schema = Arc::new(Schema::new(fields));
        check_schema(&schema)?;
        decisions.output.check_profile(&schema)?;
        Ok(Self { layer, limits, decisions, schema })
    }

    /// The schema of the normalized batches: attributes in the order of the source, then the geometry.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The CRS that the coordinates come in, as the report will name it; `None` for a table.
    pub fn source_crs(&self) -> Option<&str> {
        self.decisions.crs.label.as_deref()
    }

    /// The columns of the source: what the values of quarantined rows are.
    pub fn source_columns(&self) -> &[String] {
        &self.decisions.text.names
    }

    /// Starts the second pass.
    pub fn normalizer(self) -> Normalizer {
        let Decisions { text, places, crs, findings, types_step, columns, output, has_places } = self.decisions;
        let verdicts_max = self.limits.verdicts_max;
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
            output,
            report,
            quarantined: Vec::new(),
            verdicts_max,
            verdicts_left: verdicts_max,
            verdicts_unlisted: 0,
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
    output: Output,
    report: LayerReport,
    quarantined: Vec<QuarantinedRow>,
    verdicts_max: u64,
    verdicts_left: u64,
    verdicts_unlisted: u64,
}

impl Normalizer {
    /// Normalizes the next raw batch, in the order of the source; rows that are refused are left out.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming row, column and value that break what was declared; `LimitReached` for a geometry
    /// above its limit. After an error the normalizer is of no more use.
    pub fn normalize(&mut self, raw: &RecordBatch) -> Result<Batch> {
        check_raw(raw, &self.layer)?;
        let row_first = self.report.rows_read;
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        let mut decoded = raw.columns().to_vec();
        let mut misfits = Vec::new();
        for column in &self.columns {
            let source = &mut decoded[column.raw];
            *source = decode(column, source, &mut self.text, row_first)?;
            let name = &self.text.names[column.raw];
            arrays.push(if column.is_expected {
                expected::apply(source, &column.data_type, name, row_first, &mut misfits, &mut self.findings)?
            } else {
                typed(column, source, name, &mut self.findings, row_first)?
            });
        }
        let Made { columns: mut arrays, mut refused } =
            self.output.apply(&decoded, &arrays, row_first, misfits, &mut self.findings)?;
        self.add_geometry(raw, &mut arrays, &mut refused, row_first)?;
        self.quarantined.extend(quarantine::rows(&decoded, &self.layer, &refused, row_first)?);
        let options = RecordBatchOptions::new().with_row_count(Some(raw.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Error::internal("normalized columns do not fit their schema").caused_by(error))?;
        let rows = without(rows, &refused)?;
        self.report.rows_read += raw.num_rows() as u64;
        self.report.rows_taken += rows.num_rows() as u64;
        Batch::try_new(rows)
    }

    /// Adds the geometry, if there is one; `refused` are the rows that earlier rules refused, none if it is empty.
    fn add_geometry(
        &mut self,
        raw: &RecordBatch,
        arrays: &mut Vec<ArrayRef>,
        refused: &mut Vec<bool>,
        row_first: u64,
    ) -> Result<()> {
        let Some(rule) = &mut self.geometry else { return Ok(()) };
        let column = if let Some((column, unreadable)) = self.places.apply(raw.columns(), row_first)? {
            refused.resize(refused.len().max(unreadable.len()), false);
            unreadable.iter().enumerate().filter(|(_, refused)| **refused).for_each(|(i, _)| refused[i] = true);
            column
        } else {
            let at = self.layer.schema.fields().iter().position(|field| is_marked(field, GEOMETRY_KEY));
            let at = at.ok_or_else(|| Error::internal("a layer with places has a column for them"))?;
            binary(raw.column(at))?
        };
        let before = std::mem::take(refused);
        let normalized = rule.apply(&column, before, &mut self.transform, row_first, &mut self.findings)?;
        arrays.push(Arc::new(normalized.column));
        *refused = normalized.refused;
        Ok(())
    }

    /// The rows refused since the last call, in the order of the source, with a value for each column of
    /// [`Plan::source_columns`].
    pub fn take_quarantined(&mut self) -> Vec<QuarantinedRow> {
        std::mem::take(&mut self.quarantined)
    }

    /// What the rules said about places of the layer since the last call, in any order; in all at most
    /// [`Limits::verdicts_max`].
    pub fn take_verdicts(&mut self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let rules = [&mut self.text.findings, &mut self.places.findings, &mut self.crs_findings, &mut self.findings];
        for findings in rules {
            let (listed, unlisted) = findings.take_verdicts();
            verdicts.extend(listed);
            self.verdicts_unlisted += unlisted;
        }
        let room = usize::try_from(self.verdicts_left).unwrap_or(usize::MAX);
        self.verdicts_unlisted += verdicts.len().saturating_sub(room) as u64;
        verdicts.truncate(room);
        self.verdicts_left -= verdicts.len() as u64;
        verdicts
    }

    /// What was read, taken, repaired and refused, with every receipt in the order of the rules; and the verdicts
    /// since [`Normalizer::take_verdicts`].
    pub fn finish(mut self) -> (LayerReport, Vec<Verdict>) {
        if let Some(geometry) = self.geometry.take() {
            geometry.finish(&mut self.report, &mut self.findings);
        }
        let verdicts = self.take_verdicts();
        let unlisted = self.verdicts_unlisted;
        let message = format!("verdicts above the limit of {} a layer are counted, not listed", self.verdicts_max);
        self.findings.add("verdicts.unlisted", Severity::Note, message, unlisted, []);
        let mut report = self.report;
        report.rows_refused = report.rows_read - report.rows_taken;
        let geometry = std::mem::take(&mut report.steps);
        let (text_step, text_findings) = self.text.finish();
        report.steps = vec![text_step, self.places.step, self.types_step];
        report.steps.extend(self.output.steps);
        report.steps.push(self.transform.finish());
        report.steps.extend(geometry);
        for findings in [text_findings, self.places.findings, self.crs_findings, self.findings] {
            report.diagnostics.extend(findings.into_diagnostics());
        }
        (report, verdicts)
    }
}

/// A column's text, decoded; other columns as they are.
fn decode(column: &Column, source: &ArrayRef, text: &mut TextPlan, row_first: u64) -> Result<ArrayRef> {
    Ok(match column.role {
        Role::RawText => Arc::new(text.apply(source.as_binary::<i32>(), column.raw, row_first)?),
        Role::Text => Arc::new(text.repair(utf8(source)?, column.raw, row_first)),
        Role::Geometry | Role::Value => Arc::clone(source),
    })
}

/// A decoded column in its published type.
fn typed(column: &Column, decoded: &ArrayRef, name: &str, findings: &mut Findings, row_first: u64) -> Result<ArrayRef> {
    match column.role {
        Role::RawText | Role::Text => types::apply(decoded.as_string::<i32>(), &column.target, name, row_first),
        Role::Geometry | Role::Value => Published::apply(decoded, name, row_first, findings),
    }
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
