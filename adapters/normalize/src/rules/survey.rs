//! The first pass: every rule looks at the raw rows as long as it has to.

use super::{Column, Decisions, Plan};
use crate::crs::{CrsSurvey, Region};
use crate::findings::{Findings, example};
use crate::layer::{Declared, GEOMETRY_KEY, Limits, Role, SourceLayer, is_marked, roles};
use crate::places::PlaceSurvey;
use crate::text::TextSurvey;
use crate::types::{self, ColumnSurvey, Target};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result, Severity};

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
    /// `InvalidRequest` if a declared encoding, CRS or region is none; `Undeclared` if what the source says of its CRS
    /// cannot be used.
    pub fn begin(layer: &SourceLayer, declared: &Declared, limits: &Limits) -> Result<Self> {
        let roles = roles(layer);
        let has_geometry = roles.contains(&Role::Geometry);
        let text = TextSurvey::begin(layer, declared, &roles)?;
        let region = declared.region.as_deref().map(Region::parse).transpose()?;
        // Columns of metres are places once somebody says where they are.
        let is_placed = declared.crs.is_some() || region.is_some();
        let places = PlaceSurvey::begin(text.names_so_far(layer), has_geometry, is_placed);
        let of_layer = layer.crs.as_ref().filter(|_| has_geometry || places.has_candidate());
        let crs = CrsSurvey::begin(declared.crs.as_deref(), of_layer)?.within(region, limits);
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
            if *role == Role::Value {
                types::report_numeric_identifier(field.data_type(), &text.names[i], &mut findings);
            }
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

pub(super) fn check_raw(raw: &RecordBatch, layer: &SourceLayer) -> Result<()> {
    let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    let is_same = Arc::ptr_eq(raw.schema_ref(), &layer.schema) || types(raw.schema_ref()) == types(&layer.schema);
    if is_same {
        return Ok(());
    }
    Err(Error::internal(format!("layer {}: a batch has another schema than its layer", quoted(&layer.name))))
}

/// A geometry column as plain binary.
pub(super) fn binary(column: &ArrayRef) -> Result<BinaryArray> {
    if let Some(column) = column.as_binary_opt::<i32>() {
        return Ok(column.clone());
    }
    let plain = arrow_cast::cast(column, &DataType::Binary);
    plain.map(|plain| plain.as_binary::<i32>().clone()).map_err(|error| {
        Error::internal(format!("a geometry column is binary, found {}", column.data_type())).caused_by(error)
    })
}

/// A text column as plain UTF-8; no copy if it is.
pub(super) fn utf8(column: &ArrayRef) -> Result<StringArray> {
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
