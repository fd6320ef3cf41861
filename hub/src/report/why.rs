//! Why each row was refused, for the sheet that officers correct.

use super::Subject;
use super::tables::{each_verdict, quarantine_columns};
use super::texts::{Language, rule};
use std::collections::HashMap;
use ukimet_catalog::Snapshot;
use ukimet_model::{GEOMETRY_COLUMN, Result, Severity, TableRef, Version};

/// What was said of the refused rows; a few bytes a row.
pub(super) struct Why {
    /// The columns of the table of refused rows.
    pub(super) columns: Vec<String>,
    rules: Vec<(String, String)>,
    /// For each row the rules that refused it, and the column that each speaks of.
    rows: HashMap<u64, Vec<(u16, Option<u16>)>>,
}

impl Why {
    pub(super) fn read(snapshot: &Snapshot, subject: &Subject, table: &TableRef) -> Result<Self> {
        let (columns, source) = quarantine_columns(snapshot, &subject.record, table)?;
        let geometry = geometry_column(subject, &source);
        let (mut rules, mut rows) = (Vec::<(String, String)>::new(), HashMap::<u64, Vec<_>>::new());
        each_verdict(snapshot, subject, &mut |verdict| {
            let (Some(row), Severity::Error) = (verdict.row, verdict.severity) else { return Ok(()) };
            let known = rules.iter().position(|(name, _)| *name == verdict.rule);
            let at = known.unwrap_or_else(|| {
                rules.push((verdict.rule, verdict.note));
                rules.len() - 1
            });
            let named = verdict.field.and_then(|field| source.iter().position(|name| *name == field));
            let column = named.or(geometry).and_then(|column| u16::try_from(column).ok());
            rows.entry(row).or_default().push((u16::try_from(at).unwrap_or(u16::MAX), column));
            Ok(())
        })?;
        Ok(Self { columns, rules, rows })
    }

    /// Why a row was refused, in a language.
    pub(super) fn sentence(&self, row: u64, language: Language) -> String {
        let said = self.rows.get(&row).into_iter().flatten().filter_map(|(at, _)| self.rules.get(usize::from(*at)));
        let mut sentences: Vec<&str> =
            said.map(|(name, note)| rule(language, name).map_or(note.as_str(), |text| text.what)).collect();
        sentences.dedup();
        sentences.join(" ")
    }

    /// Whether a column of a row is one to be corrected.
    pub(super) fn is_damaged(&self, row: u64, column: usize) -> bool {
        let places = self.rows.get(&row).into_iter().flatten();
        places.filter_map(|(_, at)| *at).any(|at| usize::from(at) == column)
    }
}

/// The position of the column of the source that is the geometry and nothing else.
pub fn geometry_column(subject: &Subject, source_columns: &[String]) -> Option<usize> {
    match subject.layer.report.geometry_column {
        Some(at) => usize::try_from(at).ok(),
        // A push from before it was kept; a table that made its geometry of attributes has no such column.
        None if subject.parameter("places", "from") == Some("nothing") => {
            only_one_left(source_columns, &subject.version)
        }
        None => None,
    }
}

/// The column that became no attribute of a version with a geometry, if there is one only.
fn only_one_left(source_columns: &[String], version: &Version) -> Option<usize> {
    version.fields.last().filter(|field| field.name == GEOMETRY_COLUMN)?;
    let is_attribute = |name: &String| version.fields.iter().any(|field| field.source_name == *name);
    let mut others = source_columns.iter().enumerate().filter(|(_, name)| !is_attribute(name));
    let (at, _) = others.next()?;
    others.next().is_none().then_some(at)
}
