//! The order of the rules and their version.
//!
//! First pass, [`Survey`]: text, places, types and CRS look at the raw rows as long as they have to. Then the
//! [`Plan`] holds every decision. Second pass, [`Normalizer`]: text, types, places, CRS, geometry, names.

use crate::crs::{CrsPlan, CrsSurvey, Transform};
use crate::findings::{Findings, example};
use crate::geometry::GeometryRule;
use crate::layer::{Declared, GEOMETRY_KEY, Limits, Role, SourceLayer, is_marked, roles};
use crate::names;
use crate::places::{PlacePlan, PlaceSurvey};
use crate::text::{TextPlan, TextSurvey};
use crate::types::{self, ColumnSurvey, Published, Target};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, check_schema, geometry_field};
use ukimet_model::error::quoted;
use ukimet_model::{Batch, Error, LayerReport, ProcessStep, Result, Severity};

/// The version of the rule set, in every receipt. It changes when the same bytes would give other rows.
pub const RULES_VERSION: &str = "1";

/// The first pass: looks at raw rows until every decision can be made.
pub struct Survey {
    layer: SourceLayer,
    limits: Limits,
    roles: Vec<Role>,
    text: TextSurvey,
    places: PlaceSurvey,
    crs: CrsSurvey,
    /// One a column; only text columns of untyped layers are looked at.
    types: Vec<ColumnSurvey>,
    rows: u64,
}

impl Survey {
    /// Reads what the layer and the publisher say, before any row.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if a declared encoding or CRS is none; `Undeclared` if what the source says of its CRS
    /// cannot be used.
    pub fn begin(layer: &SourceLayer, declared: &Declared, limits: &Limits) -> Result<Self> {
        let roles = roles(layer);
        let has_geometry = roles.contains(&Role::Geometry);
        let text = TextSurvey::begin(layer, declared, &roles)?;
        let places = PlaceSurvey::begin(text.names_so_far(layer), has_geometry, declared.crs.is_some());
        let of_layer = layer.crs.as_ref().filter(|_| has_geometry || places.has_candidate());
        let crs = CrsSurvey::begin(declared.crs.as_deref(), of_layer)?;
        let types = vec![ColumnSurvey::default(); roles.len()];
        Ok(Self { layer: layer.clone(), limits: limits.clone(), roles, text, places, crs, types, rows: 0 })
    }

    /// Whether more raw rows could change a decision. A typed UTF-8 layer with a plain CRS needs none.
    pub fn needs_more(&self) -> bool {
        let has_geometry = self.roles.contains(&Role::Geometry);
        self.text.needs_more()
            || self.places.has_candidate()
            || (has_geometry && self.crs.needs_more())
            || (self.layer.untyped && self.roles.iter().any(|role| is_text(*role)))
    }

    /// Looks at the next raw batch, in the order of the source.
    ///
    /// # Errors
    ///
    /// `Internal` if the batch has another schema than the layer.
    pub fn observe(&mut self, raw: &RecordBatch) -> Result<()> {
        check_raw(raw, &self.layer)?;
        self.text.observe(raw);
        self.places.observe(raw.columns(), self.rows, &mut self.crs)?;
        for (i, role) in self.roles.iter().enumerate() {
            let column = raw.column(i);
            match role {
                Role::Geometry if self.crs.needs_more() => {
                    binary(column)?.iter().flatten().for_each(|bytes| self.crs.observe_wkb(bytes));
                }
                Role::Text if self.layer.untyped => {
                    observe_text(&mut self.types[i], &utf8(column)?, self.rows);
                }
                Role::RawText if self.layer.untyped => {
                    observe_bytes(&mut self.types[i], column.as_binary::<i32>(), self.rows);
                }
                _ => {}
            }
        }
        self.rows += raw.num_rows() as u64;
        Ok(())
    }

    /// Makes every decision.
    ///
    /// # Errors
    ///
    /// `Undeclared` if the CRS or the encoding is a question to the publisher; `InvalidData` naming row, column and
    /// value where the rows contradict what was declared or what the columns' names say.
    pub fn finish(mut self) -> Result<Plan> {
        let has_geometry = self.roles.contains(&Role::Geometry);
        let text = self.text.decide(&self.layer)?;
        let places = self.places.decide(has_geometry, &mut self.crs)?;
        let has_places = has_geometry || places.has_places();
        let crs = self.crs.decide(has_places)?;
        let mut findings = Findings::default();
        let mut types_step = types::receipt();
        let mut columns = Vec::new();
        for (i, role) in self.roles.iter().enumerate().filter(|(_, role)| **role != Role::Geometry) {
            let field = self.layer.schema.field(i);
            let target = match role {
                role if is_text(*role) && self.layer.untyped => {
                    types::decide(&self.types[i], &text.names[i], &mut findings, &mut types_step)
                }
                _ => Target::Text,
            };
            let data_type = match role {
                Role::Value => types::published_type(field.data_type()),
                _ => target.data_type(),
            };
            if is_marked(field, GEOMETRY_KEY) {
                let message = "only the first geometry column is taken as geometry; others are binary attributes";
                findings.add(
                    "geometry.second",
                    Severity::Warning,
                    message,
                    1,
                    [example(None, Some(&text.names[i]), "geometry", Some("binary"))],
                );
            }
            columns.push(Column { raw: i, role: *role, target, data_type });
        }
        Plan::new(self.layer, self.limits, Decisions { text, places, crs, findings, types_step, columns, has_places })
    }
}

fn is_text(role: Role) -> bool {
    matches!(role, Role::Text | Role::RawText)
}

fn check_raw(raw: &RecordBatch, layer: &SourceLayer) -> Result<()> {
    let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    let is_same = Arc::ptr_eq(raw.schema_ref(), &layer.schema) || types(raw.schema_ref()) == types(&layer.schema);
    if is_same {
        return Ok(());
    }
    Err(Error::internal(format!("layer {}: a batch has another schema than its layer", quoted(&layer.name))))
}

/// A geometry column as plain binary.
fn binary(column: &ArrayRef) -> Result<BinaryArray> {
    if let Some(column) = column.as_binary_opt::<i32>() {
        return Ok(column.clone());
    }
    let plain = arrow_cast::cast(column, &DataType::Binary);
    plain.map(|plain| plain.as_binary::<i32>().clone()).map_err(|error| {
        Error::internal(format!("a geometry column is binary, found {}", column.data_type())).caused_by(error)
    })
}

/// A text column as plain UTF-8; no copy if it is.
fn utf8(column: &ArrayRef) -> Result<StringArray> {
    if let Some(column) = column.as_string_opt::<i32>() {
        return Ok(column.clone());
    }
    let plain = arrow_cast::cast(column, &DataType::Utf8);
    plain.map(|plain| plain.as_string::<i32>().clone()).map_err(|error| {
        Error::invalid_data(format!("a text column of type {} is too large", column.data_type())).caused_by(error)
    })
}

fn observe_text(survey: &mut ColumnSurvey, column: &StringArray, row_first: u64) {
    for (value, row) in column.iter().zip(row_first..).filter_map(|(value, row)| Some((value?, row))) {
        survey.observe(value, row);
    }
}

/// Only what is UTF-8 in any encoding, so ASCII, can be a number here; other bytes keep the column text.
fn observe_bytes(survey: &mut ColumnSurvey, column: &BinaryArray, row_first: u64) {
    for (value, row) in column.iter().zip(row_first..).filter_map(|(value, row)| Some((value?, row))) {
        let text = if value.is_ascii() { String::from_utf8_lossy(value) } else { "…".into() };
        survey.observe(&text, row);
    }
}

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
    /// above its limit. After an error the normalizer is of no more use.
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
        let (column, refused) = match self.places.apply(raw.columns(), row_first)? {
            Some(places) => places,
            None => {
                let at = self.layer.schema.fields().iter().position(|field| is_marked(field, GEOMETRY_KEY));
                let at = at.ok_or_else(|| Error::internal("a layer with places has a column for them"))?;
                (binary(raw.column(at))?, Vec::new())
            }
        };
        let normalized = rule.apply(&column, refused, &mut self.transform, row_first, &mut self.findings)?;
        arrays.push(Arc::new(normalized.column));
        Ok(normalized.refused)
    }

    /// What was read, taken, repaired and refused, with every receipt in the order of the rules.
    pub fn finish(self) -> LayerReport {
        let mut report = self.report;
        report.rows_refused = report.rows_read - report.rows_taken;
        let mut findings = self.findings;
        report.steps =
            vec![self.text.step, self.names_step, self.places.step, self.types_step, self.transform.finish()];
        if let Some(geometry) = self.geometry {
            geometry.finish(&mut report, &mut findings);
        }
        for findings in [self.text.findings, self.places.findings, self.crs_findings, findings] {
            report.diagnostics.extend(findings.into_diagnostics());
        }
        report
    }
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
