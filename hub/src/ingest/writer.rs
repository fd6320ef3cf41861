//! The blocking half of the write path: an adapter's messages become rows, and rows a transaction.

use super::asset_sha256;
use super::beside::DeleteMark;
use super::comparing::Comparing;
use super::kept::{Broken, Found, KeptType};
use super::layer::{Misfit, OpenLayer, Told, end_layer};
use crate::registers::Register;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use ukimet_catalog::{Catalog, PushIntent, Transaction};
use ukimet_model::error::quoted;
use ukimet_model::{Batch, COLUMNS_KEY, DatasetId, Error, LayerSelection, PushOutcome, Result};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;

/// The blocking half: messages to rows, rows to a transaction.
pub(super) struct Writer {
    pub(super) catalog: Catalog,
    pub(super) limits: IpcLimits,
    pub(super) rows_max: u64,
    pub(super) dataset: DatasetId,
    pub(super) layers: LayerSelection,
    pub(super) delete_column: Option<String>,
    pub(super) rows: Arc<AtomicU64>,
    pub(super) register: Option<Register>,
    /// Columns that are read as the dataset has them; a value that does not fit is then no row's fault.
    pub(super) kept: Vec<KeptType>,
    /// Whether it is only told what the push would do.
    pub(super) dry_run: bool,
    /// Who waits for the rows that would differ.
    pub(super) comparing: Option<Comparing>,
    pub(super) stop: CancellationToken,
}

/// How a reading ended.
pub(super) enum Written {
    /// The push has ended, or would end so.
    Outcome(PushOutcome),
    /// It would break what readers rely on; nothing was done.
    Broken(Box<Broken>),
}

/// What has come so far, to be compared with what the adapter says came.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    layers: u32,
    batches: u64,
    rows: u64,
}

impl Writer {
    /// Writes to the end of the messages. `job` is the reading's place among the running jobs; it is given back before
    /// anyone is told what would differ, since whoever is told may be slow.
    pub(super) fn write(
        self,
        intent: PushIntent,
        mut messages: mpsc::Receiver<Message>,
        job: Arc<OwnedSemaphorePermit>,
    ) -> Result<Written> {
        let mut transaction = self.catalog.begin(intent)?;
        let mut layer = None;
        let (mut counts, mut layers) = (Counts::default(), BTreeMap::new());
        let (mut found, mut misfits) = (None, BTreeMap::new());
        while let Some(message) = messages.blocking_recv() {
            self.check_wanted()?;
            match message {
                Message::LayerBegin(begin) => {
                    no_layer_is_open(layer.as_ref())?;
                    layer = Some(self.begin_layer(&mut transaction, &begin, (&mut counts, &mut layers))?);
                }
                Message::Batch(batch) => self.append(open_layer(&mut layer)?, &batch, &mut counts)?,
                Message::Verdicts(verdicts) => open_layer(&mut layer)?.take_verdicts(verdicts)?,
                Message::Quarantined(rows) => open_layer(&mut layer)?.take_quarantined(rows)?,
                Message::AssetBegin(begin) => open_layer(&mut layer)?.begin_asset(begin)?,
                Message::AssetData(data) => open_layer(&mut layer)?.writer.append_asset(&data)?,
                Message::AssetEnd(end) => {
                    open_layer(&mut layer)?.writer.end_asset(asset_sha256(&end)?, end.size_bytes)?;
                }
                Message::LayerEnd(report) => {
                    let open = layer.take().ok_or_else(|| out_of_order("a layer's end before its begin"))?;
                    found = Some((Arc::clone(&open.schema), decided(&report)));
                    misfits.clone_from(&open.told.misfits);
                    if !self.dry_run {
                        transaction.store_raw_beside();
                    }
                    end_layer(&mut transaction, open, report, self.register.as_ref())?;
                }
                Message::Summary(summary) => {
                    no_layer_is_open(layer.as_ref())?;
                    check_summary(&counts, &summary)?;
                    self.check_wanted()?;
                    let found = found.filter(|_| counts.layers == 1);
                    return self.end(transaction, (found, misfits), job);
                }
            }
        }
        Err(Error::data_loss(format!("the adapter's answer ended without a summary after {counts:?}")))
    }

    /// Commits, unless that would break what readers rely on, or nothing is to be done.
    fn end(
        &self,
        transaction: Transaction,
        (found, misfits): (Option<Found>, BTreeMap<String, Misfit>),
        job: Arc<OwnedSemaphorePermit>,
    ) -> Result<Written> {
        let breaks = transaction.breaks();
        if !breaks.is_empty() || (!self.kept.is_empty() && !misfits.is_empty()) {
            return Ok(Written::Broken(Box::new(Broken { breaks, found, misfits })));
        }
        if let Some(comparing) = &self.comparing {
            drop(job);
            comparing.tell(&transaction, &self.dataset)?;
        }
        if self.dry_run {
            return transaction.preview().map(Written::Outcome);
        }
        Ok(Written::Outcome(transaction.commit()?.0))
    }

    /// Whether anyone still waits for the outcome.
    fn check_wanted(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::unavailable("the push was given up before it was committed"));
        }
        Ok(())
    }

    fn begin_layer(
        &self,
        transaction: &mut Transaction,
        begin: &v1::LayerBegin,
        (counts, layers): (&mut Counts, &mut BTreeMap<DatasetId, String>),
    ) -> Result<OpenLayer> {
        let dataset = match self.layers {
            LayerSelection::All => self.dataset.for_layer(&begin.layer, counts.layers as usize + 1)?,
            LayerSelection::Only | LayerSelection::Named(_) => self.dataset.clone(),
        };
        if let Some(other) = layers.insert(dataset.clone(), begin.layer.clone()) {
            return Err(Error::invalid_request(format!(
                "layers {} and {} would both be dataset {dataset}; name one with --layer NAME, each into a dataset of its own",
                quoted(&other),
                quoted(&begin.layer)
            )));
        }
        let schema = ipc::decode_schema(&begin.schema, &self.limits)?;
        let deletes = self.delete_column.as_ref().map(|name| DeleteMark::find(name, &schema)).transpose()?;
        let published = deletes.as_ref().map_or_else(|| Arc::clone(&schema), |mark| mark.without(&schema));
        let writer = transaction.begin_layer(dataset, published)?;
        counts.layers += 1;
        let (name, source_columns) = (begin.layer.clone(), begin.source_columns.clone());
        let (told, kept) = (Told::default(), self.kept.clone());
        Ok(OpenLayer { name, writer, deletes, schema, source_columns, told, kept })
    }

    fn append(&self, layer: &mut OpenLayer, batch: &Bytes, counts: &mut Counts) -> Result<()> {
        let rows = ipc::decode_batch(batch, &layer.schema, &self.limits)?;
        counts.batches += 1;
        counts.rows += rows.num_rows() as u64;
        self.rows.store(counts.rows, Ordering::Relaxed);
        match &layer.deletes {
            None => layer.writer.append(Batch::try_new(rows)?)?,
            Some(mark) => {
                let (stay, go) = mark.split(&rows)?;
                layer.writer.append(Batch::try_new(stay)?)?;
                layer.writer.delete(Batch::try_new(go)?)?;
            }
        }
        if layer.writer.rows() > self.rows_max {
            return Err(Error::limit_reached(format!(
                "layer {} has more than {} rows",
                quoted(&layer.name),
                self.rows_max
            )));
        }
        Ok(())
    }
}

/// What the rules decided about the columns, as the receipt has it.
fn decided(report: &v1::LayerReport) -> Option<String> {
    let step = report.steps.iter().find(|step| step.step == "types")?;
    step.parameters.get(COLUMNS_KEY).cloned()
}

fn open_layer(layer: &mut Option<OpenLayer>) -> Result<&mut OpenLayer> {
    layer.as_mut().ok_or_else(|| out_of_order("a batch before its layer"))
}

fn no_layer_is_open(layer: Option<&OpenLayer>) -> Result<()> {
    match layer {
        Some(open) => Err(out_of_order(&format!("layer {} has no end", quoted(&open.name)))),
        None => Ok(()),
    }
}

fn out_of_order(what: &str) -> Error {
    Error::internal(format!("the adapter's answer is out of order: {what}"))
}

fn check_summary(counts: &Counts, summary: &v1::ReadSummary) -> Result<()> {
    let declared = Counts { layers: summary.layers, batches: summary.batches, rows: summary.rows };
    if *counts != declared {
        return Err(Error::data_loss(format!("the adapter declared {declared:?}, received {counts:?}")));
    }
    if counts.layers == 0 {
        return Err(Error::invalid_data("the file has no layers"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
