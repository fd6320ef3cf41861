//! The write path, top to bottom: bytes that were received become a version, or a clear refusal.
//!
//! One file conducts; what it calls never calls back into it. The adapter's messages are checked here, since
//! an adapter is not trusted: its counts must agree with what came.

use crate::adapters::{Adapters, ReadStream, Reading};
use crate::mapping::MappingInForce;
use crate::registers::{Register, Registers};
use crate::staging::{PushHeader, Upload};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use ukimet_catalog::{Catalog, LayerWriter, PushIntent, Snapshot, Transaction};
use ukimet_model::error::quoted;
use ukimet_model::{
    Asset, Batch, DatasetId, Declarations, Error, LayerReport, LayerSelection, MappingChange, PushOutcome,
    QuarantinedRow, Result, Severity, Sha256, Verdict,
};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;

/// The write path.
#[derive(Clone)]
pub struct Ingest {
    /// Where versions go.
    pub catalog: Catalog,
    /// Who reads foreign bytes.
    pub adapters: Adapters,
    /// What a batch from an adapter may be.
    pub ipc_limits: IpcLimits,
    /// Rows of one layer.
    pub rows_max: u64,
    /// Bytes of a table that a mapping looks values up in.
    pub lookup_bytes_max: usize,
    /// What codes are compared with.
    pub registers: Registers,
    /// Rows of one sheet of corrections, which are held in memory.
    pub fix_rows_max: usize,
}

/// A push that has ended.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// Its answer.
    pub outcome: PushOutcome,
    /// Whether it had ended before.
    pub replayed: bool,
}

/// How many messages may wait between the adapter and the catalog; each is at most one gRPC message.
const MESSAGES_WAITING_MAX: usize = 4;

impl Ingest {
    /// Turns a complete upload into versions. Dropping the future stops the work: unless the commit has begun by
    /// then, nothing is left behind.
    ///
    /// `rows` tells how many rows have been read so far.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the push id stands for other content, what the adapter says about the bytes, what the
    /// catalog says about the rows.
    pub async fn ingest(&self, upload: &Upload, sha256: Sha256, rows: Arc<AtomicU64>) -> Result<Ingested> {
        let mut intent = push_intent(upload, sha256);
        if let Some(outcome) = self.replay(&intent, &upload.header)? {
            return Ok(Ingested { outcome, replayed: true });
        }
        if let Some(first) = upload.header.fixes.clone() {
            return Box::pin(self.ingest_fixes(upload, sha256, first, rows)).await;
        }
        let mapping = self.mapping_in_force(&upload.header, self.catalog.snapshot()).await?;
        let asked = reading(&upload.header, upload.path(), &mapping);
        let mut reading = self.adapters.read(&asked).await?;
        (intent.declared, intent.mapping) = (asked.declared, mapping.change);
        let (messages, received) = mpsc::channel(MESSAGES_WAITING_MAX);
        let stop = CancellationToken::new();
        let writer = Writer {
            catalog: self.catalog.clone(),
            limits: self.ipc_limits,
            rows_max: self.rows_max,
            dataset: upload.header.dataset.clone(),
            layers: upload.header.layers.clone(),
            rows,
            register: mapping.register,
            stop: stop.clone(),
        };
        // Whoever drops this future stops the writer, which is on a thread of its own.
        let _stop_when_dropped = stop.drop_guard();
        let job = reading.job();
        let writing = tokio::task::spawn_blocking(move || {
            let written = writer.write(intent, received);
            drop(job);
            written
        });
        let read = forward(&mut reading, messages).await;
        match writing.await.map_err(|e| Error::internal("writing a version").caused_by(e))? {
            Ok(outcome) => Ok(Ingested { outcome, replayed: false }),
            // The reader's error says more than the writer's, which then only saw the messages end.
            Err(error) => Err(read.err().unwrap_or(error)),
        }
    }

    /// The mapping and the register, on a thread that may wait for the disk.
    ///
    /// # Errors
    ///
    /// As [`MappingInForce::of`].
    pub(crate) async fn mapping_in_force(&self, header: &PushHeader, snapshot: Snapshot) -> Result<MappingInForce> {
        let (header, registers, bytes_max) = (header.clone(), self.registers.clone(), self.lookup_bytes_max);
        let found = tokio::task::spawn_blocking(move || {
            let mapping = MappingInForce::of(&header, &snapshot, bytes_max)?;
            let register = registers.for_push(&snapshot, &header.dataset, &header.layers)?;
            Ok(mapping.with_register(register))
        });
        found.await.map_err(|e| Error::internal("reading what a mapping looks up").caused_by(e))?
    }

    /// The outcome of a push that ended before.
    fn replay(&self, intent: &PushIntent, header: &PushHeader) -> Result<Option<PushOutcome>> {
        let Some(record) = self.catalog.snapshot().push(&intent.agency, &intent.push_id)? else {
            return Ok(None);
        };
        if record.digest == intent.digest {
            return Ok(Some(record.outcome));
        }
        let first =
            record.outcome.layers.first().map_or_else(String::new, |l| format!(" for {} {}", l.dataset, l.version));
        Err(Error::already_used(format!(
            "push_id {} was used{first} with other bytes or declarations (sha256 {}, now {}); choose another id",
            header.push_id,
            record.asset.sha256.short(),
            intent.asset.sha256.short()
        )))
    }
}

/// What an adapter is asked for the bytes of a push.
pub(crate) fn reading(header: &PushHeader, path: PathBuf, mapping: &MappingInForce) -> Reading {
    Reading {
        path,
        file_name: header.file_name.clone(),
        declared: Declarations {
            mapping: mapping.text.clone(),
            references: mapping.versions.clone(),
            ..header.declared()
        },
        references: mapping.references.clone(),
        ..Reading::default()
    }
}

pub(crate) fn push_intent(upload: &Upload, sha256: Sha256) -> PushIntent {
    let header = &upload.header;
    PushIntent {
        push_id: header.push_id.clone(),
        agency: header.dataset.agency().to_owned(),
        principal: "anonymous".to_owned(),
        digest: header.digest(Some(&sha256)),
        asset: Asset {
            sha256,
            size_bytes: upload.offset(),
            file_name: header.file_name.clone(),
            media_type: header.media_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned()),
        },
        raw: upload.path(),
        metadata: header.metadata.clone(),
        expected_version: header.expected_version,
        declared: header.declared(),
        mapping: MappingChange::Keep,
    }
}

/// Hands the adapter's messages on until the summary, after which nothing counts, or the writer stops listening.
async fn forward(reading: &mut ReadStream, messages: mpsc::Sender<Message>) -> Result<()> {
    while let Some(message) = reading.next().await? {
        let is_last = matches!(message, Message::Summary(_));
        if messages.send(message).await.is_err() || is_last {
            break;
        }
    }
    Ok(())
}

/// The blocking half: messages to rows, rows to a transaction.
struct Writer {
    catalog: Catalog,
    limits: IpcLimits,
    rows_max: u64,
    dataset: DatasetId,
    layers: LayerSelection,
    rows: Arc<AtomicU64>,
    register: Option<Register>,
    stop: CancellationToken,
}

/// The layer that is being written.
struct OpenLayer {
    name: String,
    writer: LayerWriter,
    schema: arrow_schema::SchemaRef,
    source_columns: Vec<String>,
    told: Told,
}

/// The media type of a raster that is kept.
pub const COG_MEDIA_TYPE: &str = "image/tiff; application=geotiff; profile=cloud-optimized";

/// The hash that the end of a file declares.
///
/// # Errors
///
/// `Internal` if it has not 32 bytes.
pub(crate) fn asset_sha256(end: &v1::AssetEnd) -> Result<Sha256> {
    let bytes = end.sha256.as_ref().try_into();
    bytes.map(Sha256).map_err(|_| Error::internal(format!("a sha256 has 32 bytes, found {}", end.sha256.len())))
}

/// What an adapter told about places of a layer, to be compared with its report.
#[derive(Default)]
struct Told {
    row_last: Option<u64>,
    errors: u64,
    quarantined: u64,
}

impl OpenLayer {
    fn take_verdicts(&mut self, verdicts: v1::Verdicts) -> Result<()> {
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
            self.told.errors += u64::from(verdict.severity == Severity::Error);
            self.writer.add_verdict(&verdict)?;
        }
        Ok(())
    }

    fn begin_asset(&mut self, begin: v1::AssetBegin) -> Result<()> {
        if begin.media_type != COG_MEDIA_TYPE {
            let found = quoted(&begin.media_type);
            return Err(Error::internal(format!("a file made of a row is {COG_MEDIA_TYPE}, found {found}")));
        }
        self.told.row_last = self.told.row_last.max(Some(begin.row));
        self.writer.begin_asset(begin.name, begin.media_type, begin.row)
    }

    fn take_quarantined(&mut self, rows: v1::QuarantinedRows) -> Result<()> {
        for row in rows.rows {
            let row = QuarantinedRow::from(row);
            self.told.row_last = self.told.row_last.max(Some(row.row));
            self.told.quarantined += 1;
            self.writer.add_quarantined(&self.source_columns, &row)?;
        }
        Ok(())
    }
}

impl Told {
    /// Places are rows of the layer, refused rows have a verdict that says why, and no others are in quarantine.
    fn check(&self, layer: &str, report: &LayerReport) -> Result<()> {
        let lost = |what: String| Err(Error::data_loss(format!("layer {}: {what}", quoted(layer))));
        if self.row_last.is_some_and(|row| row >= report.rows_read) {
            return lost(format!("the adapter read {} rows, but tells of row {:?}", report.rows_read, self.row_last));
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

/// The rule that says that there were more verdicts than an adapter lists.
const UNLISTED: &str = "verdicts.unlisted";

/// What has come so far, to be compared with what the adapter says came.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    layers: u32,
    batches: u64,
    rows: u64,
}

impl Writer {
    fn write(self, intent: PushIntent, mut messages: mpsc::Receiver<Message>) -> Result<PushOutcome> {
        let mut transaction = self.catalog.begin(intent)?;
        let mut layer = None;
        let mut counts = Counts::default();
        while let Some(message) = messages.blocking_recv() {
            self.check_wanted()?;
            match message {
                Message::LayerBegin(begin) => {
                    no_layer_is_open(layer.as_ref())?;
                    layer = Some(self.begin_layer(&mut transaction, &begin, &mut counts)?);
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
                    end_layer(&mut transaction, open, report, self.register.as_ref())?;
                }
                Message::Summary(summary) => {
                    no_layer_is_open(layer.as_ref())?;
                    check_summary(&counts, &summary)?;
                    self.check_wanted()?;
                    return Ok(transaction.commit()?.0);
                }
            }
        }
        Err(Error::data_loss(format!("the adapter's answer ended without a summary after {counts:?}")))
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
        counts: &mut Counts,
    ) -> Result<OpenLayer> {
        let dataset = match self.layers {
            LayerSelection::All => self.dataset.for_layer(&begin.layer, counts.layers as usize + 1)?,
            LayerSelection::Only | LayerSelection::Named(_) => self.dataset.clone(),
        };
        let schema = ipc::decode_schema(&begin.schema, &self.limits)?;
        let writer = transaction.begin_layer(dataset, Arc::clone(&schema))?;
        counts.layers += 1;
        let (name, source_columns) = (begin.layer.clone(), begin.source_columns.clone());
        Ok(OpenLayer { name, writer, schema, source_columns, told: Told::default() })
    }

    fn append(&self, layer: &mut OpenLayer, batch: &Bytes, counts: &mut Counts) -> Result<()> {
        let rows = ipc::decode_batch(batch, &layer.schema, &self.limits)?;
        counts.batches += 1;
        counts.rows += rows.num_rows() as u64;
        self.rows.store(counts.rows, Ordering::Relaxed);
        layer.writer.append(Batch::try_new(rows)?)?;
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

fn end_layer(
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
    if let Some(at) = report.geometry_column.filter(|at| *at as usize >= layer.source_columns.len()) {
        let (name, columns) = (quoted(&layer.name), layer.source_columns.len());
        return Err(Error::internal(format!("layer {name}: the geometry is column {at} of {columns}, from 0")));
    }
    if let Some(verdict) = register.and_then(|register| register.tell(&layer.schema, &mut report)) {
        layer.writer.add_verdict(&verdict)?;
    }
    transaction.end_layer(layer.writer, report)
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
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use ukimet_catalog::CatalogOptions;
    use ukimet_model::SystemClock;

    /// What an adapter says of one layer of two rows.
    fn messages() -> Vec<Message> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_from_iter_with_nullable([("n", column, true)]).expect("columns fit");
        let schema = ipc::encode_schema(rows.schema_ref()).expect("encodes");
        let report = LayerReport { layer: "l".to_owned(), rows_read: 2, rows_taken: 2, ..LayerReport::default() };
        vec![
            Message::LayerBegin(v1::LayerBegin { layer: "l".to_owned(), schema, source_columns: Vec::new() }),
            Message::Batch(ipc::encode_batch(&rows).expect("encodes")),
            Message::LayerEnd(report.into()),
            Message::Summary(v1::ReadSummary { media_type: String::new(), layers: 1, batches: 1, rows: 2 }),
        ]
    }

    /// Writes a push whose every message has come; how many commits there are then.
    fn write(stop: CancellationToken, messages: Vec<Message>) -> (Result<PushOutcome>, u64) {
        let dir = tempfile::tempdir().expect("a folder");
        let options = CatalogOptions { disk_reserve_bytes: 0, ..CatalogOptions::default() };
        let catalog = Catalog::open(&dir.path().join("data"), options, Arc::new(SystemClock)).expect("opens");
        let raw = dir.path().join("raw");
        std::fs::write(&raw, b"").expect("written");
        let sha256 = crate::hashing::Hasher::default().finish();
        let asset = Asset { sha256, size_bytes: 0, file_name: "a".to_owned(), media_type: "text/csv".to_owned() };
        let intent = PushIntent {
            push_id: "p".parse().expect("valid"),
            agency: "a".to_owned(),
            principal: "anonymous".to_owned(),
            digest: sha256,
            asset,
            raw,
            metadata: ukimet_model::DatasetMetadata::default(),
            expected_version: None,
            declared: Declarations::default(),
            mapping: MappingChange::Keep,
        };
        let writer = Writer {
            catalog: catalog.clone(),
            limits: IpcLimits::default(),
            rows_max: 10,
            dataset: "a/b".parse().expect("valid"),
            layers: LayerSelection::Only,
            rows: Arc::default(),
            register: None,
            stop,
        };
        let (sender, received) = mpsc::channel(messages.len());
        for message in messages {
            sender.try_send(message).expect("room");
        }
        drop(sender);
        (writer.write(intent, received), catalog.snapshot().id().0)
    }

    #[test]
    fn a_push_that_was_given_up_is_not_committed_though_all_of_it_came() {
        let (outcome, commits) = write(CancellationToken::new(), messages());
        assert_eq!((outcome.expect("published").layers[0].report.rows_taken, commits), (2, 1));
        let stop = CancellationToken::new();
        stop.cancel();
        let (outcome, commits) = write(stop, messages());
        assert_eq!(outcome.expect_err("given up").kind(), ukimet_model::ErrorKind::Unavailable);
        assert_eq!(commits, 0);
    }

    #[test]
    fn verdicts_and_refused_rows_agree_with_the_report() {
        let verdict = |row| v1::Verdict { row, rule: "a.b".to_owned(), severity: 3, ..v1::Verdict::default() };
        let verdicts = |row| Message::Verdicts(v1::Verdicts { verdicts: vec![verdict(row)] });
        let refused = |row, values: usize| {
            let values = vec![v1::QuarantinedValue { text: Some("x".to_owned()) }; values];
            Message::Quarantined(v1::QuarantinedRows { rows: vec![v1::QuarantinedRow { row, values }] })
        };
        let pushed = |told: Vec<Message>, rows_refused: u64| {
            let mut messages = messages();
            let Message::LayerBegin(begin) = &mut messages[0] else { panic!("the layer's begin") };
            begin.source_columns = vec!["N".to_owned()];
            let Message::LayerEnd(report) = &mut messages[2] else { panic!("the layer's end") };
            (report.rows_read, report.rows_refused) = (2 + rows_refused, rows_refused);
            messages.splice(2..2, told);
            write(CancellationToken::new(), messages).0
        };
        let layer = pushed(vec![verdicts(Some(2)), refused(2, 1)], 1).expect("they agree").layers.remove(0);
        assert_eq!((layer.verdicts.map(|t| t.rows), layer.quarantine.map(|t| t.rows)), (Some(1), Some(1)));
        let mut messages = messages();
        let Message::LayerEnd(report) = &mut messages[2] else { panic!("the layer's end") };
        report.geometry_column = Some(0);
        let error = write(CancellationToken::new(), messages).0.expect_err("no such column");
        assert!(error.message().contains("column 0 of 0"), "{error}");
        let wrong = [
            (vec![verdicts(Some(3)), refused(2, 1)], 1, "tells of row Some(3)"),
            (vec![refused(2, 1)], 1, "no verdict says why"),
            (vec![verdicts(None), refused(0, 1)], 0, "refused 0 rows, but gave back 1"),
            (vec![verdicts(Some(2)), refused(2, 2)], 1, "2 values, expected 1"),
            (vec![Message::Verdicts(v1::Verdicts { verdicts: vec![v1::Verdict::default()] })], 0, "has a name such as"),
        ];
        for (told, rows_refused, words) in wrong {
            let error = pushed(told, rows_refused).expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn an_answer_whose_counts_differ_or_that_has_no_summary_is_data_loss() {
        let mut short = messages();
        short.pop();
        let mut lying = messages();
        lying[3] = Message::Summary(v1::ReadSummary { media_type: String::new(), layers: 1, batches: 1, rows: 3 });
        for messages in [short, lying] {
            let (outcome, commits) = write(CancellationToken::new(), messages);
            assert_eq!((outcome.expect_err("refused").kind(), commits), (ukimet_model::ErrorKind::DataLoss, 0));
        }
    }
}
