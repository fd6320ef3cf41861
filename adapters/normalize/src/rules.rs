//! The order of the rules and their version.
//!
//! First pass, [`Survey`]: text, places, types and CRS look at the raw rows as long as they have to. Then the
//! [`Plan`] holds every decision. Second pass, [`Normalizer`]: text, types, names and mapping, places, CRS, geometry.

mod columns;
mod expected;
mod quarantine;
mod survey;

pub use survey::Survey;

use crate::crs::{CrsPlan, Transform};
use crate::findings::Findings;
use crate::geometry::GeometryRule;
use crate::layer::{GEOMETRY_KEY, Limits, SourceLayer, is_marked};
use crate::mapping::{Made, Output};
use crate::places::PlacePlan;
use crate::text::TextPlan;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
pub(crate) use columns::Column;
use columns::ColumnsPlan;
use std::sync::Arc;
use survey::{binary, check_raw};
use ukimet_model::batch::{check_schema, geometry_field};
use ukimet_model::{Batch, Error, LayerReport, QuarantinedRow, Result, Severity, Verdict};

/// The version of the rule set, in every receipt. It changes when the same bytes would give other rows.
pub const RULES_VERSION: &str = "4";

struct Decisions {
    text: TextPlan,
    places: PlacePlan,
    crs: CrsPlan,
    findings: Findings,
    columns: ColumnsPlan,
    output: Output,
    has_places: bool,
    /// Whether the rows come beside others that are there already.
    is_addition: bool,
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
        let decisions = self.decisions;
        let Decisions { mut text, mut places, mut crs, mut findings, columns, output, has_places, is_addition } =
            decisions;
        let Limits { verdicts_max, verdicts_waiting_max, .. } = self.limits;
        let mut crs_findings = std::mem::take(&mut crs.findings);
        for findings in [&mut text.findings, &mut places.findings, &mut crs_findings, &mut findings] {
            findings.wait_at_most(verdicts_waiting_max);
        }
        let report = LayerReport {
            layer: self.layer.name.clone(),
            format: self.layer.format.clone(),
            source_crs: crs.label.clone(),
            source_encoding: Some(text.source_encoding.clone()),
            geometry_column: geometry_position(&self.layer)
                .filter(|_| has_places)
                .and_then(|at| u32::try_from(at).ok()),
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
            output,
            is_addition,
            report,
            quarantined: Vec::new(),
            verdicts_max,
            verdicts_waiting_max,
            verdicts_left: verdicts_max,
            verdicts_unlisted: 0,
        }
    }
}

/// The second pass: raw batches in, normalized batches out. Stays on one thread.
pub struct Normalizer {
    layer: SourceLayer,
    schema: SchemaRef,
    columns: ColumnsPlan,
    text: TextPlan,
    places: PlacePlan,
    transform: Transform,
    geometry: Option<GeometryRule>,
    findings: Findings,
    crs_findings: Findings,
    output: Output,
    is_addition: bool,
    report: LayerReport,
    quarantined: Vec<QuarantinedRow>,
    verdicts_max: u64,
    verdicts_waiting_max: usize,
    verdicts_left: u64,
    verdicts_unlisted: u64,
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
        // Refused rows are given back as they were found, so both forms are kept; they share what was not repaired.
        let mut decoded = raw.columns().to_vec();
        let mut repaired = raw.columns().to_vec();
        let mut refused = Vec::new();
        let mut found = Vec::with_capacity(self.columns.columns.len());
        for (at, column) in self.columns.columns.iter().enumerate() {
            let (as_found, source) = (&mut decoded[column.raw], &mut repaired[column.raw]);
            *as_found = column.decode(as_found, &mut self.text, row_first)?;
            *source = column.repair(as_found, &mut self.text, row_first);
            if !self.output.uses(at) {
                found.push(Arc::clone(source));
                continue;
            }
            let name = &self.text.names[column.raw];
            found.push(column.publish(source, name, &mut refused, row_first, &mut self.findings)?);
        }
        if let Some(person) = self.columns.person {
            let names: Vec<&str> = self.columns.columns.iter().map(|c| self.text.names[c.raw].as_str()).collect();
            person.apply(&found, &names, row_first, &mut self.findings);
        }
        let Made { columns: mut arrays, mut refused } =
            self.output.apply(&repaired, &found, row_first, refused, &mut self.findings)?;
        self.add_geometry(raw, &mut arrays, &mut refused, row_first)?;
        if refused.contains(&true) {
            self.columns.show_codes(&mut decoded);
        }
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
            let at = geometry_position(&self.layer)
                .ok_or_else(|| Error::internal("a layer with places has a column for them"))?;
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
    ///
    /// # Errors
    ///
    /// `InvalidData` if so many rows are in impossible places that what was declared must be wrong, or if every row was
    /// refused: an empty version would stand for data that is there. Of rows that come beside others whoever takes
    /// them decides.
    pub fn finish(mut self) -> Result<(LayerReport, Vec<Verdict>)> {
        if let Some(geometry) = self.geometry.take() {
            geometry.finish(&mut self.report, &mut self.findings);
        }
        let verdicts = self.take_verdicts();
        let unlisted = self.verdicts_unlisted;
        let message = format!(
            "verdicts above the limit of {} a layer, or of {} of one rule family in one batch, are counted, not listed",
            self.verdicts_max, self.verdicts_waiting_max
        );
        self.findings.add("verdicts.unlisted", Severity::Note, message, unlisted, []);
        let mut report = self.report;
        report.rows_refused = report.rows_read - report.rows_taken;
        let geometry = std::mem::take(&mut report.steps);
        let (text_step, text_findings) = self.text.finish();
        let ColumnsPlan { types_step, codes_step, .. } = self.columns;
        report.steps = vec![text_step, self.places.step, types_step];
        report.steps.extend(codes_step);
        report.steps.extend(self.output.steps);
        report.steps.push(self.transform.finish(!self.is_addition)?);
        report.steps.extend(geometry);
        for findings in [text_findings, self.places.findings, self.crs_findings, self.findings] {
            report.diagnostics.extend(findings.into_diagnostics());
        }
        if !self.is_addition {
            report.check_taken()?;
        }
        Ok((report, verdicts))
    }
}

/// The column of the source that is the geometry.
fn geometry_position(layer: &SourceLayer) -> Option<usize> {
    layer.schema.fields().iter().position(|field| is_marked(field, GEOMETRY_KEY))
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
