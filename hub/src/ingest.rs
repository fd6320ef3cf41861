//! The write path, top to bottom: bytes that were received become a version, or a clear refusal.
//!
//! One file conducts; what it calls never calls back into it. The adapter's messages are checked here, since
//! an adapter is not trusted: its counts must agree with what came.

mod beside;
mod comparing;
mod kept;
mod layer;
mod refusal;
mod writer;

use crate::adapters::{Adapters, ReadStream, Reading};
use crate::fixes::Corrections;
use crate::mapping::MappingInForce;
use crate::registers::Registers;
use crate::staging::{PushHeader, Upload};
use crate::usage::Usage;
use beside::Known;
pub(crate) use comparing::{Compared, ComparedVersions, Comparing};
use kept::SecondLook;
use refusal::refusal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use ukimet_catalog::{Catalog, PushIntent, Snapshot};
use ukimet_model::{Asset, Declarations, Error, ErrorKind, MappingChange, PushMode, PushOutcome, Result, Sha256};
use ukimet_proto::ipc::IpcLimits;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;
use writer::{Writer, Written};

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
    /// Who reads what, so that a publisher learns whom a change breaks.
    pub usage: Usage,
}

/// A push that has ended.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// Its answer.
    pub outcome: PushOutcome,
    /// Whether it had ended before.
    pub replayed: bool,
}

/// What goes along with a file that is read.
#[derive(Default)]
pub(crate) struct Along {
    /// The corrections of its rows.
    pub(crate) corrections: Option<Corrections>,
    /// Who waits for the rows that would differ; for a dry run only.
    pub(crate) comparing: Option<Comparing>,
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
        let intent = push_intent(upload, sha256);
        if let Some(outcome) = self.replay(&intent, &upload.header)? {
            return Ok(Ingested { outcome, replayed: true });
        }
        if let Some(first) = upload.header.fixes.clone() {
            return Box::pin(self.ingest_fixes(upload, sha256, first, rows)).await;
        }
        self.ingest_file(upload, intent, rows, Along::default()).await
    }

    /// Reads the file of an upload into a version, with the corrections of its rows if there are some; a dry run tells what
    /// would change if somebody waits for it.
    ///
    /// # Errors
    ///
    /// As [`Ingest::ingest`], and what does not let the corrections come beside the file's rows.
    pub(crate) async fn ingest_file(
        &self,
        upload: &Upload,
        mut intent: PushIntent,
        rows: Arc<AtomicU64>,
        Along { corrections, comparing }: Along,
    ) -> Result<Ingested> {
        let header = &upload.header;
        let mapping = self.mapping_in_force(header, self.catalog.snapshot()).await?;
        let mut asked = reading(header, upload.path(), &mapping);
        asked.expected_schema = beside::expected_schema(&self.catalog.snapshot(), header)?;
        (intent.declared, intent.mapping) = (asked.declared.clone(), mapping.change);
        // Corrections have types of their own to fit.
        let looks_twice = corrections.is_none() && header.mode == PushMode::Replace;
        let writer = |kept| Writer {
            catalog: self.catalog.clone(),
            limits: self.ipc_limits,
            rows_max: self.rows_max,
            dataset: header.dataset.clone(),
            layers: header.layers.clone(),
            delete_column: header.delete_column.clone(),
            rows: Arc::clone(&rows),
            register: mapping.register.clone(),
            kept,
            dry_run: header.dry_run,
            comparing: comparing.clone(),
            stop: CancellationToken::new(),
        };
        let broken = match self.read_into(writer(Vec::new()), &asked, intent.clone(), corrections).await? {
            Written::Outcome(outcome) => return Ok(Ingested { outcome, replayed: false }),
            Written::Broken(broken) => *broken,
        };
        let known = Known::of(&self.catalog.snapshot(), &header.dataset)?;
        let Some(look) = SecondLook::of(&broken, known.as_ref())?.filter(|_| looks_twice) else {
            return Err(refusal(&broken, &self.usage));
        };
        asked.expected_schema = Some(look.expected_schema);
        match self.read_into(writer(look.kept), &asked, intent, None).await {
            Ok(Written::Outcome(outcome)) => Ok(Ingested { outcome, replayed: false }),
            Ok(Written::Broken(again)) => Err(refusal(&broken.after(*again), &self.usage)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::debug!(%error, "a file was not read in the types that its dataset has");
                Err(refusal(&broken, &self.usage))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a file into a transaction, to its end.
    async fn read_into(
        &self,
        writer: Writer,
        asked: &Reading,
        intent: PushIntent,
        corrections: Option<Corrections>,
    ) -> Result<Written> {
        let mut reading = self.adapters.read(asked).await?;
        let (messages, received) = mpsc::channel(MESSAGES_WAITING_MAX);
        // Whoever drops this future stops the writer, which is on a thread of its own.
        let _stop_when_dropped = writer.stop.clone().drop_guard();
        let job = reading.job();
        let writing = tokio::task::spawn_blocking(move || writer.write(intent, received, job));
        let read = self.forward((&mut reading, asked), messages, corrections).await;
        // What the writer does now may take as long as somebody slow listens.
        drop(reading);
        let written = writing.await.map_err(|e| Error::internal("writing a version").caused_by(e))?;
        // The reader's error says more than the writer's, which then only saw the messages end.
        written.map_err(|error| read.err().unwrap_or(error))
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

    /// Hands the adapter's messages on until the summary, after which nothing counts, or the writer stops listening.
    async fn forward(
        &self,
        (reading, asked): (&mut ReadStream, &Reading),
        messages: mpsc::Sender<Message>,
        mut corrections: Option<Corrections>,
    ) -> Result<()> {
        while let Some(message) = reading.next().await? {
            let is_last = matches!(message, Message::Summary(_));
            let taken = match &mut corrections {
                Some(corrections) => Box::pin(corrections.take(self, asked, &reading.job(), message)).await?,
                None => vec![message],
            };
            for message in taken {
                if messages.send(message).await.is_err() {
                    return Ok(());
                }
            }
            if is_last {
                break;
            }
        }
        Ok(())
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
fn reading(header: &PushHeader, path: PathBuf, mapping: &MappingInForce) -> Reading {
    Reading {
        path,
        file_name: header.file_name.clone(),
        declared: Declarations {
            mapping: mapping.text.clone(),
            references: mapping.versions.clone(),
            ..header.declared()
        },
        references: mapping.references.clone(),
        rules: header.rules.clone(),
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
