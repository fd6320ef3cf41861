//! The first pass: every rule looks at the raw rows as long as it has to.

use super::columns::ColumnsSurvey;
use super::expected;
use super::{Decisions, Plan};
use crate::crs::{CrsSurvey, Region};
use crate::findings::Findings;
use crate::layer::{Declared, Limits, Role, SourceLayer, roles};
use crate::mapping::Output;
use crate::places::PlaceSurvey;
use crate::text::TextSurvey;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::batch::{check_schema, geometry_index};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The first pass: looks at raw rows until every decision can be made.
pub struct Survey {
    layer: SourceLayer,
    limits: Limits,
    declared: Declared,
    roles: Vec<Role>,
    text: TextSurvey,
    places: PlaceSurvey,
    crs: CrsSurvey,
    columns: ColumnsSurvey,
    /// What the rows have to fit.
    expected: Option<SchemaRef>,
    rows: u64,
}

impl Survey {
    /// Reads what the layer and the publisher say, before any row.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if a declared encoding, CRS, region, zone or register is none; `Undeclared` if what the source says
    /// of its CRS cannot be used.
    pub fn begin(layer: &SourceLayer, declared: &Declared, limits: &Limits) -> Result<Self> {
        let roles = roles(layer);
        let has_geometry = roles.contains(&Role::Geometry);
        let text = TextSurvey::begin(layer, declared, limits, &roles)?;
        let region = declared.region.as_deref().map(Region::parse).transpose()?;
        // Columns of metres are places once somebody says where they are.
        let is_placed = declared.crs.is_some() || region.is_some();
        let places = PlaceSurvey::begin(text.names_so_far(layer), has_geometry, is_placed);
        let of_layer = layer.crs.as_ref().filter(|_| has_geometry || places.has_candidate());
        let crs = CrsSurvey::begin(declared.crs.as_deref(), of_layer)?.within(region, limits);
        let columns = ColumnsSurvey::begin(layer, declared, limits, &roles, &text.names_so_far(layer))?;
        let (layer, limits, declared) = (layer.clone(), limits.clone(), declared.clone());
        Ok(Self { layer, limits, declared, roles, text, places, crs, columns, expected: None, rows: 0 })
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

    /// Whether more raw rows could change a decision. A typed layer without text and with a plain CRS needs none.
    pub fn needs_more(&self) -> bool {
        let has_geometry = self.roles.contains(&Role::Geometry);
        self.text.needs_more()
            || self.places.has_candidate()
            || (has_geometry && self.crs.needs_more())
            || self.columns.needs_more(&self.roles)
    }

    /// Looks at the next raw batch, in the order of the source.
    ///
    /// # Errors
    ///
    /// `Internal` if the batch has another schema than the layer.
    pub fn observe(&mut self, raw: &RecordBatch) -> Result<()> {
        check_raw(raw, &self.layer)?;
        self.places.observe(raw.columns(), self.rows, &mut self.crs)?;
        self.columns.observe(raw, &self.roles)?;
        for (i, role) in self.roles.iter().enumerate() {
            match role {
                Role::Text => self.text.observe_text(i, &utf8(raw.column(i))?),
                Role::Geometry if self.crs.needs_more() => {
                    binary(raw.column(i))?.iter().flatten().for_each(|bytes| self.crs.observe_wkb(bytes));
                }
                _ => (),
            }
        }
        self.text.observe(raw);
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
            let inputs = (self.layer, self.limits, self.declared);
            let surveyed = (self.crs, self.columns.notations());
            return expected::expected_plan(&expected, inputs, &roles, decided, surveyed, has_places);
        }
        let crs = self.crs.decide(has_places)?;
        let mut findings = Findings::default();
        let columns = self.columns.decide(&self.layer, &self.roles, &text.names, &mut findings);
        let output = Output::decide(&self.declared, &text.names, &columns.columns, &mut findings)?;
        Plan::new(
            self.layer,
            self.limits,
            Decisions { text, places, crs, findings, columns, output, has_places, is_addition: false },
        )
    }
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
