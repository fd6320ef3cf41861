//! The layer that is being written, and what an adapter told of it, to be compared with its report.

use super::COG_MEDIA_TYPE;
use super::beside::DeleteMark;
use super::kept::{self, KeptType};
use crate::registers::Register;
use std::collections::BTreeMap;
use ukimet_catalog::{LayerWriter, MarksWithoutRow, Transaction};
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Example, LayerReport, QuarantinedRow, Result, Severity, Verdict};
use ukimet_proto::v1;

/// The layer that is being written.
pub(super) struct OpenLayer {
    pub(super) name: String,
    pub(super) writer: LayerWriter,
    pub(super) deletes: Option<DeleteMark>,
    pub(super) schema: arrow_schema::SchemaRef,
    pub(super) source_columns: Vec<String>,
    pub(super) told: Told,
    /// Columns that are read as the dataset has them, though their values alone would have another type.
    pub(super) kept: Vec<KeptType>,
}

/// Values of one column that do not fit the type that rows have to have.
#[derive(Clone, Debug, Default)]
pub(super) struct Misfit {
    /// How many.
    pub(super) count: u64,
    /// The first few: the row's number in the layer, from 0, and the value.
    pub(super) examples: Vec<(u64, String)>,
}

impl Misfit {
    const EXAMPLES_MAX: usize = 3;

    fn add(&mut self, row: u64, found: &str) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES_MAX {
            self.examples.push((row, found.to_owned()));
        }
    }
}

impl OpenLayer {
    pub(super) fn take_verdicts(&mut self, verdicts: v1::Verdicts) -> Result<()> {
        for verdict in verdicts.verdicts {
            let verdict = Verdict::from(verdict);
            let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
            if verdict.rule.is_empty() || !verdict.rule.bytes().all(is_name) {
                return Err(Error::internal(format!(
                    "a rule has a name such as a.b_c, found {}",
                    quoted(&verdict.rule)
                )));
            }
            self.told.row_last = self.told.row_last.max(verdict.row);
            if let (MISFIT, Some(field), Some(row)) = (verdict.rule.as_str(), &verdict.field, verdict.row) {
                self.told.misfits.entry(field.clone()).or_default().add(row, &verdict.found);
            }
            self.told.errors += u64::from(verdict.severity == Severity::Error);
            self.writer.add_verdict(&verdict)?;
        }
        Ok(())
    }

    pub(super) fn begin_asset(&mut self, begin: v1::AssetBegin) -> Result<()> {
        if begin.media_type != COG_MEDIA_TYPE {
            let found = quoted(&begin.media_type);
            return Err(Error::internal(format!("a file made of a row is {COG_MEDIA_TYPE}, found {found}")));
        }
        self.told.row_last = self.told.row_last.max(Some(begin.row));
        self.writer.begin_asset(begin.name, begin.media_type, begin.row)
    }

    pub(super) fn take_quarantined(&mut self, rows: v1::QuarantinedRows) -> Result<()> {
        for row in rows.rows {
            let row = QuarantinedRow::from(row);
            self.told.row_last = self.told.row_last.max(Some(row.row));
            self.told.quarantined += 1;
            self.writer.add_quarantined(&self.source_columns, &row)?;
        }
        Ok(())
    }
}

/// What an adapter told about places of a layer, to be compared with its report.
#[derive(Default)]
pub(super) struct Told {
    row_last: Option<u64>,
    errors: u64,
    quarantined: u64,
    /// By the name of the column in the source.
    pub(super) misfits: BTreeMap<String, Misfit>,
}

impl Told {
    /// Places are rows of the layer, refused rows have a verdict that says why, and no others are in quarantine.
    fn check(&self, layer: &str, report: &LayerReport) -> Result<()> {
        let lost = |what: String| Err(Error::data_loss(format!("layer {}: {what}", quoted(layer))));
        if let Some(row) = self.row_last.filter(|row| *row >= report.rows_read) {
            return lost(format!("the adapter read {} rows, but tells of row {}", report.rows_read, row + 1));
        }
        if self.quarantined > report.rows_refused {
            let (found, refused) = (self.quarantined, report.rows_refused);
            return lost(format!("the adapter refused {refused} rows, but gave back {found}"));
        }
        let is_listed = !report.diagnostics.iter().any(|found| found.rule == UNLISTED);
        if report.rows_refused > 0 && self.errors == 0 && is_listed {
            return lost(format!("the adapter refused {} rows, but no verdict says why", report.rows_refused));
        }
        Ok(())
    }
}

/// What is to be said of rows that were marked as deleted and are not there; `None` if all are.
fn tell_marks(marks: &MarksWithoutRow) -> Option<Diagnostic> {
    let example = |key: &String| Example { row: None, field: None, found: key.clone(), taken: None };
    (marks.count > 0).then(|| Diagnostic {
        rule: "rows.mark_without_row".to_owned(),
        severity: Severity::Warning,
        message: "rows are marked as deleted that the dataset does not have".to_owned(),
        count: marks.count,
        examples: marks.keys.iter().map(example).collect(),
    })
}

/// The rule that says that there were more verdicts than an adapter lists.
const UNLISTED: &str = "verdicts.unlisted";

/// The rule that says that a value does not fit the type that its column has to have.
const MISFIT: &str = "types.expected";

pub(super) fn end_layer(
    transaction: &mut Transaction,
    mut layer: OpenLayer,
    report: v1::LayerReport,
    register: Option<&Register>,
) -> Result<()> {
    let mut report = LayerReport::try_from(report)?;
    if report.rows_taken != layer.writer.rows() || report.rows_taken + report.rows_refused != report.rows_read {
        return Err(Error::data_loss(format!(
            "layer {}: the adapter read {} rows, refused {} and took {}, but {} arrived",
            quoted(&layer.name),
            report.rows_read,
            report.rows_refused,
            report.rows_taken,
            layer.writer.rows()
        )));
    }
    layer.told.check(&layer.name, &report)?;
    report.check_taken()?;
    if let Some(at) = report.geometry_column.filter(|at| *at as usize >= layer.source_columns.len()) {
        let (name, columns) = (quoted(&layer.name), layer.source_columns.len());
        return Err(Error::internal(format!("layer {name}: the geometry is column {at} of {columns}, from 0")));
    }
    if let Some(verdict) = register.and_then(|register| register.tell(&layer.schema, &mut report)) {
        layer.writer.add_verdict(&verdict)?;
    }
    for verdict in kept::tell(&layer.kept, &mut report) {
        layer.writer.add_verdict(&verdict)?;
    }
    if let Some(diagnostic) = tell_marks(layer.writer.marks_without_row()) {
        for example in &diagnostic.examples {
            let verdict = Verdict::new(&diagnostic.rule, diagnostic.severity, &diagnostic.message, example.clone());
            layer.writer.add_verdict(&verdict)?;
        }
        report.diagnostics.push(diagnostic);
    }
    transaction.end_layer(layer.writer, report)
}
