//! Corrected rows become a version beside the rows that are there.

use super::canonical::Corrected;
use super::ranges::ranges;
use super::{Base, STEP};
use crate::registers::Register;
use crate::report::each_quarantined;
use arrow_schema::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;
use ukimet_catalog::{Catalog, LayerWriter, PushIntent};
use ukimet_model::{
    Batch, Diagnostic, Error, LayerReport, ProcessStep, PushOutcome, QuarantinedRow, Result, Severity, Verdict,
};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::v1::read_response::Message;

pub(super) struct FixWriter {
    pub(super) catalog: Catalog,
    pub(super) limits: IpcLimits,
    pub(super) stop: CancellationToken,
}

/// What the adapter made of the corrected rows.
#[derive(Default)]
struct Reread {
    schema: Option<SchemaRef>,
    report: LayerReport,
    verdicts: Vec<Verdict>,
    /// Positions among the corrected rows.
    refused: BTreeSet<u64>,
    is_whole: bool,
}

impl FixWriter {
    /// Adds the rows that fit now to the base; the others stay refused.
    pub(super) fn write(
        self,
        base: &Base,
        corrected: &Corrected,
        intent: PushIntent,
        (messages, register): (Vec<Message>, Option<&Register>),
    ) -> Result<PushOutcome> {
        let asset = base.first.record.asset.sha256;
        let mut transaction = self.catalog.begin(intent)?;
        let mut layer = transaction.begin_addition(base.first.dataset.id.clone(), base.version.number)?;
        let mut reread = self.append(&mut layer, messages)?;
        let tell = |register: &Register| register.tell(reread.schema.as_deref()?, &mut reread.report);
        reread.verdicts.extend(register.and_then(tell));
        let numbers: Vec<u64> = corrected.row_numbers().collect();
        let number_of = |position: u64| usize::try_from(position).ok().and_then(|at| numbers.get(at)).copied();
        let refused: BTreeSet<u64> = reread.refused.iter().filter_map(|position| number_of(*position)).collect();
        let taken: BTreeSet<u64> = numbers.iter().filter(|row| !refused.contains(row)).copied().collect();
        if !reread.is_whole || reread.report.rows_read != numbers.len() as u64 || taken.len() as u64 != layer.rows() {
            let (sent, found) = (numbers.len(), reread.report.rows_read);
            return Err(Error::data_loss(format!("{sent} corrected rows were to be read, the adapter read {found}")));
        }
        let of_sheet = corrected.verdicts.iter().cloned();
        let of_rows = reread.verdicts.into_iter().filter_map(|verdict| match verdict.row {
            None => Some(verdict),
            Some(row) => Some(Verdict { row: Some(number_of(row)?), ..verdict }),
        });
        for verdict in of_sheet.chain(of_rows) {
            layer.add_verdict(&verdict)?;
        }
        keep_refused(base, corrected, &taken, &mut layer)?;
        let step = ProcessStep {
            step: STEP.to_owned(),
            version: format!("ukimet {}", env!("CARGO_PKG_VERSION")),
            parameters: BTreeMap::from([
                ("push".to_owned(), base.first.record.push_id.to_string()),
                ("asset_sha256".to_owned(), asset.to_string()),
                ("version".to_owned(), base.version.number.to_string()),
                ("rows".to_owned(), ranges(&taken)),
            ]),
            count: taken.len() as u64,
            examples: Vec::new(),
        };
        self.check_wanted()?;
        transaction.end_layer(layer, report(step, corrected, reread.report))?;
        self.check_wanted()?;
        Ok(transaction.commit()?.0)
    }

    /// Records that all of the rows were taken before.
    pub(super) fn write_nothing(&self, base: &Base, corrected: &Corrected, intent: PushIntent) -> Result<PushOutcome> {
        const RULE: &str = "fixes.already_taken";
        let taken: BTreeSet<u64> = base.taken_before.as_ref().map(|(_, rows)| rows.clone()).unwrap_or_default();
        let mut transaction = self.catalog.begin(intent)?;
        let mut layer = transaction.begin_addition(base.first.dataset.id.clone(), base.version.number)?;
        let message = "rows that were corrected and taken before were not taken again";
        let again: Vec<u64> = corrected.row_numbers().filter(|row| taken.contains(row)).collect();
        for row in again.iter().copied() {
            let place = ukimet_model::Example { row: Some(row), field: None, found: String::new(), taken: None };
            layer.add_verdict(&Verdict::new(RULE, Severity::Note, message, place))?;
        }
        keep_refused(base, corrected, &taken, &mut layer)?;
        let found = Diagnostic {
            rule: RULE.to_owned(),
            severity: Severity::Note,
            message: message.to_owned(),
            count: again.len() as u64,
            examples: Vec::new(),
        };
        let LayerReport { layer: name, format, source_encoding, .. } = corrected.report.clone();
        let report = LayerReport {
            layer: name,
            format,
            source_encoding,
            diagnostics: vec![found],
            geometry_column: corrected.geometry_column(),
            ..LayerReport::default()
        };
        transaction.end_layer(layer, report)?;
        self.check_wanted()?;
        Ok(transaction.commit()?.0)
    }

    fn append(&self, layer: &mut LayerWriter, messages: Vec<Message>) -> Result<Reread> {
        let mut reread = Reread::default();
        for message in messages {
            self.check_wanted()?;
            match message {
                Message::LayerBegin(begin) => reread.schema = Some(ipc::decode_schema(&begin.schema, &self.limits)?),
                Message::Batch(batch) => {
                    let schema =
                        reread.schema.as_ref().ok_or_else(|| Error::internal("a batch came before its layer"))?;
                    layer.append(Batch::try_new(ipc::decode_batch(&batch, schema, &self.limits)?)?)?;
                }
                Message::Verdicts(said) => reread.verdicts.extend(said.verdicts.into_iter().map(Verdict::from)),
                Message::Quarantined(rows) => reread.refused.extend(rows.rows.iter().map(|row| row.row)),
                Message::AssetBegin(_) | Message::AssetData(_) | Message::AssetEnd(_) => {
                    return Err(Error::internal("an adapter made a file of a corrected row"));
                }
                Message::LayerEnd(report) => reread.report = report.try_into()?,
                Message::Summary(_) => reread.is_whole = true,
            }
        }
        Ok(reread)
    }

    fn check_wanted(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::unavailable("the push was given up before it was committed"));
        }
        Ok(())
    }
}

/// Keeps what is still refused: rows of the sheet as they stand there, the others as they were, and why.
fn keep_refused(base: &Base, corrected: &Corrected, taken: &BTreeSet<u64>, layer: &mut LayerWriter) -> Result<()> {
    let mut left = BTreeSet::new();
    each_quarantined(&base.snapshot, &base.first.record, &base.quarantine, &mut |row| {
        if taken.contains(&row.row) {
            return Ok(());
        }
        let values = corrected.rows.get(&row.row).cloned();
        if values.is_none() {
            left.insert(row.row);
        }
        let row = QuarantinedRow { row: row.row, values: values.unwrap_or(row.values) };
        layer.add_quarantined(&corrected.source_columns, &row)
    })?;
    crate::report::each_verdict(&base.snapshot, &base.first, &mut |verdict| {
        let is_left = verdict.severity == Severity::Error && verdict.row.is_some_and(|row| left.contains(&row));
        if is_left { layer.add_verdict(&verdict) } else { Ok(()) }
    })
}

/// What was done: the fixes, how the sheet was read, then how its rows were.
fn report(fixes: ProcessStep, corrected: &Corrected, rows: LayerReport) -> LayerReport {
    let sheet = &corrected.report;
    let of_sheet = sheet.steps.iter().filter(|step| matches!(step.step.as_str(), "read" | "text")).cloned();
    let of_rows = rows.steps.into_iter().filter(|step| !matches!(step.step.as_str(), "read" | "text" | "names"));
    let found = sheet.diagnostics.iter().cloned();
    LayerReport {
        layer: sheet.layer.clone(),
        format: sheet.format.clone(),
        source_encoding: sheet.source_encoding.clone(),
        steps: std::iter::once(fixes).chain(of_sheet).chain(of_rows).collect(),
        diagnostics: found.chain(rows.diagnostics).collect(),
        geometry_column: corrected.geometry_column(),
        ..rows
    }
}
