//! The decisions that are left where rows have to fit a schema that is there already.

use super::columns::{Column, ColumnsPlan, Decided};
use super::{Decisions, Plan};
use crate::crs::CrsSurvey;
use crate::findings::Findings;
use crate::layer::{Declared, Limits, Role, SourceLayer};
use crate::mapping::{Output, position_named};
use crate::places::PlacePlan;
use crate::text::TextPlan;
use crate::types::value::Notation;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::batch::{geometry_index, is_geometry, source_name};
use ukimet_model::error::quoted;
use ukimet_model::mapping::{ColumnSource, MappedColumn};
use ukimet_model::{Error, Mapping, Result, SOURCE_NAMES_KEY};

/// Makes the decisions that an expected schema leaves.
pub(super) fn expected_plan(
    expected: &SchemaRef,
    (layer, limits, declared): (SourceLayer, Limits, Declared),
    roles: &[Role],
    (mut text, mut places): (TextPlan, PlacePlan),
    (crs, surveyed): (CrsSurvey, Vec<Option<Notation>>),
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
    let mut findings = Findings::default();
    let decided = Decided::of(expected, &declared, surveyed)?;
    let (columns, output) = if expected.fields().is_empty() {
        let columns: Vec<Column> =
            (0..roles.len()).map(|raw| Column::expected(raw, roles[raw], &DataType::Utf8)).collect();
        let output = Output::decide(&Declared::default(), &text.names, &columns, &mut findings)?;
        (columns, output)
    } else if let Some(mapping) = &declared.mapping {
        text.names = source_names(expected, text.names, places.cell());
        let columns = columns_for_mapping(expected, (roles, &text.names), mapping, places.cell(), &decided)?;
        let output = Output::decide(&declared, &text.names, &columns, &mut findings)?;
        (columns, output)
    } else {
        check_all_are_expected(expected, roles, &text.names, places.cell())?;
        let columns = columns_as_expected(expected, roles, &text.names, &decided)?;
        text.names = source_names(expected, text.names, places.cell());
        let output = Output::named(expected);
        (columns, output)
    };
    decided.report_zone(&columns, &text.names, &mut findings);
    let columns = ColumnsPlan::expected(columns, expected, &decided, &text.names);
    let decisions =
        Decisions { text, places, crs, findings, columns, output, has_places: wants_places, is_addition: true };
    let plan = Plan::new(layer, limits, decisions)?;
    check_expected(expected, &plan.schema)?;
    Ok(plan)
}

/// The columns as the source names them, if that was said; the one of places, at `cell`, keeps the name that it is known by.
fn source_names(expected: &Schema, names: Vec<String>, cell: Option<usize>) -> Vec<String> {
    let said = expected.metadata().get(SOURCE_NAMES_KEY).and_then(|said| serde_json::from_str(said).ok());
    let Some(mut said) = said.filter(|said: &Vec<String>| said.len() == names.len()) else { return names };
    if let Some(cell) = cell {
        said[cell].clone_from(&names[cell]);
    }
    said
}

/// Nothing is left out silently: a column that is not expected has no place to go.
fn check_all_are_expected(expected: &Schema, roles: &[Role], names: &[String], cell: Option<usize>) -> Result<()> {
    let is_expected = |name: &String| expected.fields().iter().any(|field| source_name(field) == name);
    let unexpected = (0..names.len()).filter(|raw| roles[*raw] != Role::Geometry && cell != Some(*raw));
    let unexpected: Vec<_> = unexpected.map(|raw| &names[raw]).filter(|name| !is_expected(name)).collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    let listed: Vec<_> = unexpected.into_iter().map(|name| quoted(name)).collect();
    Err(Error::invalid_data(format!(
        "the rows that these come beside have no column {}; leave it out, or push a full new state that has it",
        listed.join(", ")
    )))
}

/// A column for each expected attribute, found by its source name.
fn columns_as_expected(expected: &Schema, roles: &[Role], names: &[String], decided: &Decided) -> Result<Vec<Column>> {
    let of_field = |field: &Arc<Field>| {
        let raw = names.iter().position(|name| name == source_name(field));
        let missing =
            || Error::invalid_data(format!("a column {} was expected, found none", quoted(source_name(field))));
        let raw = raw.ok_or_else(missing)?;
        decided.column(raw, roles[raw], &names[raw], Some(field))
    };
    expected.fields().iter().filter(|field| !is_geometry(field)).map(of_field).collect()
}

/// Every column: in the expected type if it is published as it is, as text for the mapping if not. The column of places
/// at `cell` is one only if the rows that are there have it, or the mapping names it.
fn columns_for_mapping(
    expected: &Schema,
    (roles, names): (&[Role], &[String]),
    mapping: &Mapping,
    cell: Option<usize>,
    decided: &Decided,
) -> Result<Vec<Column>> {
    let source: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_at = |name: &str, raw: usize| position_named(&source, name) == Some(raw);
    let is_named = |raw: usize| {
        let mapped = mapping.columns.iter().flat_map(|column| column.source.columns());
        mapped.chain(mapping.drop.iter().map(String::as_str)).any(|name| is_at(name, raw))
    };
    let type_of = |raw: usize| {
        let is_renamed = |column: &&MappedColumn| match &column.source {
            ColumnSource::Column(from) => column.cast.is_none() && is_at(from, raw),
            _ => false,
        };
        let renamed = mapping.columns.iter().find(is_renamed);
        let is_made = |field: &Field| mapping.columns.iter().any(|column| column.name == *field.name());
        // The geometry has no source name: a column of its name is not what it is made of.
        let mut attributes = expected.fields().iter().filter(|field| !is_geometry(field));
        if let Some(column) = renamed {
            return attributes.find(|field| column.name == *field.name());
        }
        // Of several columns with one name, each has the type of its own.
        let before = (0..raw).filter(|other| names[*other] == names[raw] && !is_named(*other)).count();
        attributes.filter(|field| source_name(field) == names[raw] && !is_made(field)).nth(before)
    };
    let is_attribute = |raw: &usize| {
        roles[*raw] != Role::Geometry && (cell != Some(*raw) || type_of(*raw).is_some() || is_named(*raw))
    };
    let column = |raw: usize| decided.column(raw, roles[raw], &names[raw], type_of(raw).map(AsRef::as_ref));
    (0..roles.len()).filter(is_attribute).map(column).collect()
}

/// Checks that names and types are the expected ones.
fn check_expected(expected: &Schema, found: &Schema) -> Result<()> {
    let columns = |schema: &Schema| {
        schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    };
    let (expected, found) = (columns(expected), columns(found));
    if expected.is_empty() || expected == found {
        return Ok(());
    }
    Err(Error::invalid_data(format!("expected columns {}, found {}", expected.join(", "), found.join(", "))))
}
