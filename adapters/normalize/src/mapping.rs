//! The mapping rule: which columns are published, under which names, and what they are made of.
//!
//! Without a mapping every column is published as the other rules find it, under a name of the names rule.

mod cast;
mod make;

use crate::findings::{Findings, example, step};
use crate::layer::Declared;
use crate::names;
use crate::rules::Column;
use arrow_array::ArrayRef;
use arrow_schema::{Field, Schema};
use make::Maker;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, described_field, is_geometry, role, source_name, unit};
use ukimet_model::error::quoted;
use ukimet_model::mapping::{ColumnSource, Mapping, Unmapped};
use ukimet_model::{Error, ProcessStep, Profile, Result, Severity};

/// The published attributes and how each comes about.
pub(crate) struct Output {
    columns: Vec<OutputColumn>,
    profile: Option<&'static Profile>,
    /// Which attributes of the source are published or made into something.
    used: Vec<bool>,
    /// The receipts of names and mapping.
    pub(crate) steps: Vec<ProcessStep>,
}

struct OutputColumn {
    field: Arc<Field>,
    origin: Origin,
}

impl OutputColumn {
    fn uses(&self, at: usize, found: &Column) -> bool {
        match &self.origin {
            Origin::Found(origin) => *origin == at,
            Origin::Made(maker) => maker.inputs().contains(&found.raw),
        }
    }

    /// Gives the column the role and unit that its profile has for it, unless the source says one.
    fn describe(&mut self, profile: &Profile) {
        let of_profile = profile.columns.iter().find(|column| column.name == *self.field.name());
        let Some(of_profile) = of_profile else { return };
        let role = of_profile.role.as_deref().filter(|_| role(&self.field).is_none());
        let unit = of_profile.unit.as_deref().filter(|_| unit(&self.field).is_none());
        self.field = described_field(&self.field, role, unit);
    }
}

enum Origin {
    /// The attribute with this number, as the rules find it.
    Found(usize),
    /// Made by the mapping.
    Made(Maker),
}

/// The attributes of one batch.
pub(crate) struct Made {
    /// In published order.
    pub(crate) columns: Vec<ArrayRef>,
    /// Which rows are refused; empty if none is.
    pub(crate) refused: Vec<bool>,
}

impl Output {
    /// Decides by the mapping; `names` are the source's column names, `found` its attributes.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming a column that the mapping wants and the layer does not have, or one that the mapping
    /// does not name although it names every one; `InvalidData` naming a key that a looked-up dataset has twice.
    pub(crate) fn decide(
        declared: &Declared,
        names: &[String],
        found: &[Column],
        findings: &mut Findings,
    ) -> Result<Self> {
        let no_mapping = Mapping::default();
        let mapping = declared.mapping.as_deref().unwrap_or(&no_mapping);
        let source = SourceColumns { names, found };
        let mut columns = Vec::with_capacity(mapping.columns.len() + found.len());
        for column in &mapping.columns {
            let failed = |error: Error| error.context(format_args!("mapping of column {}", quoted(&column.name)));
            let (name, source_name) = (&column.name, source.described(&column.source));
            let (field, origin) = match &column.source {
                ColumnSource::Column(from) if column.cast.is_none() => {
                    let at = source.attribute(from).map_err(failed)?;
                    (found[at].field(name, &source_name), Origin::Found(at))
                }
                _ => {
                    let maker = Maker::new(column, &source, declared).map_err(failed)?;
                    (attribute_field(name, &source_name, maker.data_type()), Origin::Made(maker))
                }
            };
            columns.push(OutputColumn { field, origin });
        }
        let dropped = source.all(&mapping.drop)?;
        let rest = source.unmapped(mapping, &dropped)?;
        report_unmapped(mapping, &rest, &source, findings);
        let rest = if mapping.unmapped == Unmapped::Keep { rest } else { Vec::new() };
        let mut steps = vec![add_found(&mut columns, &rest, &source)];
        steps.extend(declared.mapping.as_deref().map(|mapping| receipt(mapping, columns.len())));
        let profile = mapping.profile.as_deref().map(Profile::named).transpose()?;
        if let Some(profile) = profile {
            for column in &mut columns {
                column.describe(profile);
            }
        }
        let used = (0..found.len()).map(|at| columns.iter().any(|column| column.uses(at, &found[at]))).collect();
        Ok(Self { columns, profile, used, steps })
    }

    /// Every attribute as it is, under the names of a schema that they were found for.
    pub(crate) fn named(schema: &Schema) -> Self {
        let attributes = schema.fields().iter().filter(|field| !is_geometry(field)).enumerate();
        let column = |(at, field): (usize, &Arc<Field>)| OutputColumn {
            field: attribute_field(field.name(), source_name(field), field.data_type().clone()),
            origin: Origin::Found(at),
        };
        let columns: Vec<OutputColumn> = attributes.map(column).collect();
        Self { used: vec![true; columns.len()], columns, profile: None, steps: vec![step("names", [])] }
    }

    /// Whether anything becomes of the attribute with this number; what is wrong with one that is left out is no matter.
    pub(crate) fn uses(&self, at: usize) -> bool {
        self.used[at]
    }

    /// Checks that the published columns fit the mapping's profile, if it names one.
    pub(crate) fn check_profile(&self, schema: &Schema) -> Result<()> {
        self.profile.map_or(Ok(()), |profile| profile.check(schema))
    }

    /// The fields of the published attributes.
    pub(crate) fn fields(&self) -> Vec<Arc<Field>> {
        self.columns.iter().map(|column| Arc::clone(&column.field)).collect()
    }

    /// The published attributes of one batch: `decoded` are the source's columns with their text decoded and repaired, `found` its
    /// attributes as the rules find them, `refused` the rows that earlier rules refused, none if it is empty.
    ///
    /// # Errors
    ///
    /// `Internal` if a column cannot be shown as text.
    pub(crate) fn apply(
        &self,
        decoded: &[ArrayRef],
        found: &[ArrayRef],
        row_first: u64,
        refused: Vec<bool>,
        findings: &mut Findings,
    ) -> Result<Made> {
        let mut refused = refused;
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        for column in &self.columns {
            columns.push(match &column.origin {
                Origin::Found(at) => Arc::clone(&found[*at]),
                Origin::Made(maker) => maker.apply(decoded, row_first, &mut refused, findings)?,
            });
        }
        Ok(Made { columns, refused })
    }
}

/// The columns that a mapping can name.
struct SourceColumns<'a> {
    names: &'a [String],
    found: &'a [Column],
}

impl SourceColumns<'_> {
    /// The number of the attribute that a mapping calls so.
    fn attribute(&self, name: &str) -> Result<usize> {
        let names: Vec<&str> = self.found.iter().map(|column| self.names[column.raw].as_str()).collect();
        if let Some(at) = position_named(&names, name) {
            return Ok(at);
        }
        let there: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let there = there.join(", ");
        Err(Error::invalid_request(format!("the layer has no column {}, only {there}", quoted(name))))
    }

    /// How a made column names its source; one column by the name that it has there.
    fn described(&self, made_of: &ColumnSource) -> String {
        let own_name = |from: &String| self.attribute(from).map(|at| self.name(at).to_owned()).ok();
        match made_of {
            ColumnSource::Column(from) => own_name(from).unwrap_or_else(|| made_of.describe()),
            _ => made_of.describe(),
        }
    }

    /// The number of the source column with this name.
    fn raw(&self, name: &str) -> Result<usize> {
        self.attribute(name).map(|at| self.found[at].raw)
    }

    fn all(&self, names: &[String]) -> Result<Vec<usize>> {
        let at = |name: &String| self.attribute(name).map_err(|error| error.context("drop of the mapping"));
        names.iter().map(at).collect()
    }

    /// The attributes that the mapping does not name.
    fn unmapped(&self, mapping: &Mapping, dropped: &[usize]) -> Result<Vec<usize>> {
        let mut named = dropped.to_vec();
        for name in mapping.columns.iter().flat_map(|column| column.source.columns()) {
            named.push(self.attribute(name)?);
        }
        let rest: Vec<usize> = (0..self.found.len()).filter(|at| !named.contains(at)).collect();
        if mapping.unmapped == Unmapped::Refuse && !rest.is_empty() {
            let left: Vec<String> = rest.iter().map(|at| quoted(self.name(*at))).collect();
            return Err(Error::invalid_request(format!(
                "the mapping says unmapped = \"refuse\", and the layer has columns that it does not name: {}",
                left.join(", ")
            )));
        }
        Ok(rest)
    }

    fn name(&self, at: usize) -> &str {
        &self.names[self.found[at].raw]
    }
}

/// The place of the column that a mapping calls so: written the same, or else the only one that differs in case and
/// outer spaces alone.
pub(crate) fn position_named(names: &[&str], name: &str) -> Option<usize> {
    if let Some(at) = names.iter().position(|other| *other == name) {
        return Some(at);
    }
    let folded = |text: &str| text.trim().to_lowercase();
    let mut alike = (0..names.len()).filter(|at| folded(names[*at]) == folded(name));
    alike.next().filter(|_| alike.next().is_none())
}

/// Adds attributes as they are, and names them; the receipt of the names rule.
fn add_found(columns: &mut Vec<OutputColumn>, rest: &[usize], source: &SourceColumns<'_>) -> ProcessStep {
    let mapped = columns.len();
    let mut sources: Vec<String> = columns.iter().map(|column| column.field.name().clone()).collect();
    sources.extend(rest.iter().map(|at| source.name(*at).to_owned()));
    let (mut names, step) = names::decide(&sources);
    for (at, name) in rest.iter().zip(names.split_off(mapped)) {
        columns
            .push(OutputColumn { field: source.found[*at].field(&name, source.name(*at)), origin: Origin::Found(*at) });
    }
    step
}

fn report_unmapped(mapping: &Mapping, rest: &[usize], source: &SourceColumns<'_>, findings: &mut Findings) {
    let examples =
        |columns: &[String]| columns.iter().map(|name| example(None, Some(name), "column", None)).collect::<Vec<_>>();
    let message = "columns that the mapping drops are not published";
    findings.add("mapping.dropped", Severity::Note, message, mapping.drop.len() as u64, examples(&mapping.drop));
    if mapping.unmapped == Unmapped::Drop {
        let names: Vec<String> = rest.iter().map(|at| source.name(*at).to_owned()).collect();
        let message = "columns that the mapping does not name are not published, as it says";
        findings.add("mapping.unmapped", Severity::Warning, message, names.len() as u64, examples(&names));
    }
}

fn receipt(mapping: &Mapping, columns: usize) -> ProcessStep {
    let made =
        |column: &ukimet_model::mapping::MappedColumn| format!("{} from {}", column.name, column.source.describe());
    let rules: Vec<String> = mapping.columns.iter().map(made).collect();
    let mut receipt = step(
        "mapping",
        [
            ("columns", rules.join("; ")),
            ("dropped", mapping.drop.join("; ")),
            ("profile", mapping.profile.clone().unwrap_or_default()),
        ],
    );
    receipt.parameters.retain(|_, value| !value.is_empty());
    receipt.count = columns as u64;
    receipt
}

#[cfg(test)]
mod tests;
