//! One job on its blocking thread: rows go out through a bounded queue, panics stay inside.

use super::ServeLimits;
use super::asset::ReceivedAsset;
use crate::adapter::{Adapter, DerivedFile, RowSink};
use crate::confine::or_out_of_resources;
use arrow_schema::SchemaRef;
use futures::Stream;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;
use ukimet_model::batch::check_schema;
use ukimet_model::error::quoted;
use ukimet_model::{Batch, Error, LayerReport, QuarantinedRow, Result, Verdict};
use ukimet_proto::ipc::{encode_batches, encode_schema};
use ukimet_proto::status::to_status;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;

/// Marks a job as running; tells when its thread has ended.
pub(super) struct JobEnd {
    _permit: OwnedSemaphorePermit,
    over: Arc<Notify>,
}

impl JobEnd {
    pub(super) fn new(permit: OwnedSemaphorePermit, over: Arc<Notify>) -> Self {
        Self { _permit: permit, over }
    }
}

impl Drop for JobEnd {
    fn drop(&mut self) {
        self.over.notify_one();
    }
}

/// Marks an answer as under way; tells when the client has it, or has gone away.
pub(super) struct AnswerEnd(pub(super) Arc<Notify>);

impl Drop for AnswerEnd {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Runs an inspection. After the deadline the answer is `TimedOut`, though the thread may go on.
pub(super) async fn run_inspect(
    adapter: Arc<dyn Adapter>,
    asset: ReceivedAsset,
    deadline: Instant,
    job: JobEnd,
) -> Result<v1::InspectResponse> {
    let work = tokio::task::spawn_blocking(move || {
        let inspection = unpanicked(|| adapter.inspect(&asset.file, &asset.options));
        drop(asset);
        (inspection, job)
    });
    let (inspection, _job) = timeout_at(deadline, work)
        .await
        .map_err(|_| too_long())?
        .map_err(|error| Error::internal("the adapter's thread failed").caused_by(error))?;
    let inspection = inspection?;
    let layers = inspection
        .layers
        .into_iter()
        .map(|layer| v1::Layer {
            name: layer.name,
            rows_declared: layer.rows_declared,
            crs: layer.crs,
            has_geometry: layer.has_geometry,
            fields: layer.fields,
        })
        .collect();
    Ok(v1::InspectResponse { format: inspection.format, media_type: inspection.media_type, layers })
}

/// Runs a read. The stream ends with a summary or an error.
pub(super) fn run_read(
    adapter: Arc<dyn Adapter>,
    asset: ReceivedAsset,
    limits: ServeLimits,
    deadline: Instant,
    job: JobEnd,
    answer: AnswerEnd,
) -> impl Stream<Item = Result<v1::ReadResponse, Status>> + Send {
    let (sender, receiver) = channel(limits.queue_messages.max(1));
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let (is_window, summary) = (asset.options.window.is_some(), v1::ReadSummary::default());
        let mut sink = QueueSink { sender, runtime, limits, deadline, is_window, layer: None, summary };
        let end = unpanicked(|| adapter.read(&asset.file, &asset.options, &mut sink));
        drop(asset);
        let last = end.and_then(|end| sink.finish(end.media_type));
        let last = last.map_err(|error| to_status(&error));
        // First, so that a client that has its whole answer finds room for its next job.
        drop(job);
        // Nobody listens if the client has gone away.
        let _ = sink.runtime.block_on(timeout_at(deadline, sink.sender.send(last)));
    });
    outgoing(receiver, deadline, answer)
}

/// What the queue holds, until it is closed or the deadline passes.
fn outgoing(
    receiver: Receiver<Result<v1::ReadResponse, Status>>,
    deadline: Instant,
    answer: AnswerEnd,
) -> impl Stream<Item = Result<v1::ReadResponse, Status>> + Send {
    futures::stream::unfold(Some((receiver, answer)), move |state| async move {
        let (mut receiver, answer) = state?;
        tokio::select! {
            biased;
            message = receiver.recv() => message.map(|message| (message, Some((receiver, answer)))),
            () = sleep_until(deadline) => Some((Err(to_status(&too_long())), None)),
        }
    })
}

fn unpanicked<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("the adapter panicked");
        Err(Error::internal("the adapter has a defect: it panicked on this asset"))
    });
    done.map_err(or_out_of_resources)
}

fn too_long() -> Error {
    Error::timed_out("the adapter needed longer than a job may take")
}

struct OpenLayer {
    name: String,
    schema: SchemaRef,
    source_columns: usize,
    rows: u64,
}

/// Encodes what the adapter gives and checks that it keeps to the contract.
struct QueueSink {
    sender: Sender<Result<v1::ReadResponse, Status>>,
    runtime: Handle,
    limits: ServeLimits,
    deadline: Instant,
    /// Whether a part of a raster was asked for, not rows.
    is_window: bool,
    layer: Option<OpenLayer>,
    summary: v1::ReadSummary,
}

impl QueueSink {
    fn send(&self, message: Message) -> Result<()> {
        let message = Ok(v1::ReadResponse { message: Some(message) });
        // Rows may come from a thread of the adapter's own: the clock is that of the runtime only inside.
        match self.runtime.block_on(async { timeout_at(self.deadline, self.sender.send(message)).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::unavailable("the client went away")),
            Err(_) => Err(too_long()),
        }
    }

    fn finish(&mut self, media_type: String) -> Result<v1::ReadResponse> {
        if let Some(layer) = &self.layer {
            return Err(Error::internal(format!("the adapter did not end layer {}", quoted(&layer.name))));
        }
        self.summary.media_type = media_type;
        Ok(v1::ReadResponse { message: Some(Message::Summary(std::mem::take(&mut self.summary))) })
    }
}

impl RowSink for QueueSink {
    fn begin_layer(&mut self, name: &str, schema: &SchemaRef, source_columns: &[String]) -> Result<()> {
        if self.layer.is_some() {
            return Err(Error::internal(format!("layer {} begins inside another", quoted(name))));
        }
        check_schema(schema).map_err(|error| error.context(format!("layer {}", quoted(name))))?;
        let layer = v1::LayerBegin {
            layer: name.to_owned(),
            schema: encode_schema(schema)?,
            source_columns: source_columns.to_vec(),
        };
        let (name, schema) = (name.to_owned(), SchemaRef::clone(schema));
        self.layer = Some(OpenLayer { name, schema, source_columns: source_columns.len(), rows: 0 });
        self.summary.layers += 1;
        self.send(Message::LayerBegin(layer))
    }

    fn batch(&mut self, batch: Batch) -> Result<()> {
        let Some(layer) = &mut self.layer else {
            return Err(Error::internal("rows came before their layer"));
        };
        if batch.rows().schema_ref() != &layer.schema {
            return Err(Error::internal(format!("rows of layer {} have another schema", quoted(&layer.name))));
        }
        layer.rows += batch.rows().num_rows() as u64;
        let messages = encode_batches(batch.rows(), self.limits.batch_bytes_max, self.limits.row_bytes_max)?;
        for encoded in messages {
            self.summary.batches += 1;
            self.summary.rows += encoded.rows as u64;
            self.send(Message::Batch(encoded.message))?;
        }
        Ok(())
    }

    fn verdicts(&mut self, verdicts: Vec<Verdict>) -> Result<()> {
        if self.layer.is_none() {
            return Err(Error::internal("verdicts came before their layer"));
        }
        for verdicts in message_sized(verdicts, verdict_bytes) {
            let verdicts = verdicts.into_iter().map(Into::into).collect();
            self.send(Message::Verdicts(v1::Verdicts { verdicts }))?;
        }
        Ok(())
    }

    fn quarantine(&mut self, rows: Vec<QuarantinedRow>) -> Result<()> {
        let Some(layer) = &self.layer else {
            return Err(Error::internal("quarantined rows came before their layer"));
        };
        if let Some(row) = rows.iter().find(|row| row.values.len() != layer.source_columns) {
            return Err(Error::internal(format!(
                "a quarantined row of layer {} has {} values, expected {}",
                quoted(&layer.name),
                row.values.len(),
                layer.source_columns
            )));
        }
        for rows in message_sized(rows, row_bytes) {
            let rows = rows.into_iter().map(Into::into).collect();
            self.send(Message::Quarantined(v1::QuarantinedRows { rows }))?;
        }
        Ok(())
    }

    fn derived_asset(&mut self, asset: DerivedFile) -> Result<()> {
        let unreadable = |error| Error::unavailable("a derived file could not be read").caused_by(error);
        if self.layer.as_ref().map_or(!self.is_window, |layer| asset.row >= layer.rows) {
            return Err(Error::internal(format!("the file {} came before its row", quoted(&asset.name))));
        }
        let mut file = File::open(&asset.path).map_err(unreadable)?;
        let DerivedFile { name, media_type, row, .. } = asset;
        self.send(Message::AssetBegin(v1::AssetBegin { name, media_type, row }))?;
        let (mut hasher, mut size_bytes) = (Sha256::new(), 0);
        loop {
            let mut part = Vec::with_capacity(MESSAGE_BYTES);
            if (&mut file).take(MESSAGE_BYTES as u64).read_to_end(&mut part).map_err(unreadable)? == 0 {
                break;
            }
            hasher.update(&part);
            size_bytes += part.len() as u64;
            self.send(Message::AssetData(part.into()))?;
        }
        self.send(Message::AssetEnd(v1::AssetEnd { sha256: hasher.finalize().to_vec().into(), size_bytes }))
    }

    fn end_layer(&mut self, report: LayerReport) -> Result<()> {
        match self.layer.take() {
            Some(layer) if layer.rows == report.rows_taken => self.send(Message::LayerEnd(report.into())),
            Some(layer) => Err(Error::internal(format!(
                "the report of layer {} says {} rows, given were {}",
                quoted(&layer.name),
                report.rows_taken,
                layer.rows
            ))),
            None => Err(Error::internal("a layer ended that had not begun")),
        }
    }
}

/// Bytes of verdicts or quarantined rows that travel together.
const MESSAGE_BYTES: usize = 1 << 20;

fn verdict_bytes(verdict: &Verdict) -> usize {
    let texts = [Some(&verdict.found), Some(&verdict.note), verdict.taken.as_ref(), verdict.field.as_ref()];
    texts.into_iter().flatten().map(String::len).sum::<usize>() + verdict.rule.len() + 32
}

fn row_bytes(row: &QuarantinedRow) -> usize {
    row.values.iter().map(|value| value.as_ref().map_or(0, String::len) + 8).sum::<usize>() + 16
}

/// Parts the items, in order, so that each part is about a message.
fn message_sized<T>(items: Vec<T>, bytes: fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut parts, mut room) = (Vec::new(), 0);
    for item in items {
        let size = bytes(&item);
        if size > room || parts.is_empty() {
            parts.push(Vec::new());
            room = MESSAGE_BYTES;
        }
        room = room.saturating_sub(size);
        if let Some(part) = parts.last_mut() {
            part.push(item);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::message_sized;

    #[test]
    fn verdicts_travel_in_parts_of_about_a_message() {
        let parts = message_sized(vec![600_000_usize, 600_000, 5_000_000, 1, 2], |size| *size);
        assert_eq!(parts, [vec![600_000], vec![600_000], vec![5_000_000], vec![1, 2]]);
        assert!(message_sized(Vec::<usize>::new(), |size| *size).is_empty());
    }
}
