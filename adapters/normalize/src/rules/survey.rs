//! The first pass: every rule looks at the raw rows as long as it has to.

use super::{Column, Decisions, Plan};
use crate::crs::CrsSurvey;
use crate::findings::{Findings, example};
use crate::layer::{Declared, GEOMETRY_KEY, Limits, Role, SourceLayer, is_marked, roles};
use crate::places::{PlacePlan, PlaceSurvey};
use crate::text::{TextPlan, TextSurvey};
use crate::types::{self, ColumnSurvey, Target};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::batch::{check_schema, geometry_index, is_geometry, source_name};
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
    /// What the rows have to fit.
    expected: Option<SchemaRef>,
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
        Ok(Self {
            layer: layer.clone(),
            limits: limits.clone(),
            roles,
            text,
            places,
            crs,
            types,
            expected: None,
            rows: 0,
        })
    }

    /// Says what the rows have to fit: a column a field, found by its source name, and a geometry if the schema has one.
    /// A schema without fields asks for every column as text and no geometry. Called before any row is observed.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the schema is not one of normalized rows.
    pub fn expect(&mut self, schema: &SchemaRef) -> Result<()> {
        check_schema(schema)?;
        self.places.require(geometry_index(schema).is_some());
        self.expected = Some(Arc::clone(schema));
        Ok(())
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
        if let Some(expected) = self.expected.take() {
            let (roles, decided) = (self.roles, (text, places));
            return expected_plan(&expected, self.layer, self.limits, &roles, decided, self.crs, has_places);
        }
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
            columns.push(Column { raw: i, role: *role, target, data_type, is_expected: false });
        }
        let decisions = Decisions { text, places, crs, findings, types_step, columns, has_places, names: None };
        Plan::new(self.layer, self.limits, decisions)
    }
}

/// Makes the decisions that an expected schema leaves.
fn expected_plan(
    expected: &Schema,
    layer: SourceLayer,
    limits: Limits,
    roles: &[Role],
    (text, mut places): (TextPlan, PlacePlan),
    crs: CrsSurvey,
    has_places: bool,
) -> Result<Plan> {
    let wants_places = geometry_index(expected).is_some();
    if wants_places && !has_places {
        return Err(Error::invalid_data("a geometry was expected, found no column of coordinates or WKT"));
    }
    if !wants_places {
        // That there are no places is expected, and so no finding.
        places.findings = Findings::default();
    }
    let crs = crs.decide(wants_places)?;
    let column = |raw: usize, data_type: &DataType| {
        let data_type = data_type.clone();
        Column { raw, role: roles[raw], target: Target::Text, data_type, is_expected: true }
    };
    let of_field = |field: &Arc<Field>| {
        let raw = text.names.iter().position(|name| name == source_name(field));
        let missing =
            || Error::invalid_data(format!("a column {} was expected, found none", quoted(source_name(field))));
        Ok(column(raw.ok_or_else(missing)?, field.data_type()))
    };
    let (columns, names) = if expected.fields().is_empty() {
        ((0..roles.len()).map(|raw| column(raw, &DataType::Utf8)).collect(), None)
    } else {
        let attributes = expected.fields().iter().filter(|field| !is_geometry(field));
        let names = attributes.clone().map(|field| field.name().clone()).collect();
        (attributes.map(of_field).collect::<Result<Vec<_>>>()?, Some(names))
    };
    let (findings, types_step) = (Findings::default(), types::receipt());
    let decisions = Decisions { text, places, crs, findings, types_step, columns, has_places: wants_places, names };
    Plan::new(layer, limits, decisions)
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
