//! The bytes of an asset as they come in: counted, bounded, and complete only with a `finish`.

use super::ServeConfig;
use crate::adapter::{AssetFile, ReadOptions};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use std::path::Path;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use tonic::Streaming;
use ukimet_model::error::quoted;
use ukimet_model::{Error, LayerSelection, Mapping, Result};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::asset_request::Message;

/// A complete asset. The bytes that came by wire are removed when it is dropped.
pub(super) struct ReceivedAsset {
    pub(super) file: AssetFile,
    pub(super) options: ReadOptions,
    _bytes: Option<NamedTempFile>,
}

/// Takes an asset from the client's stream.
///
/// # Errors
///
/// `InvalidRequest` (messages out of order), `Conflict` (the stream ended without a finish), `DataLoss` (another number
/// of bytes than the finish says), `LimitReached`, `TimedOut`.
pub(super) async fn receive_asset(
    stream: Streaming<v1::AssetRequest>,
    config: &ServeConfig,
    deadline: Instant,
) -> Result<ReceivedAsset> {
    let mut messages = Messages { stream, config, deadline, count: 0 };
    let Message::Options(options) = messages.next().await? else {
        return Err(Error::invalid_request("an asset begins with its options, found something else"));
    };
    let read_options = read_options(&options)?;
    let (path, size_bytes, bytes) = if let Some(path) = &options.path {
        let (path, size_bytes) = granted_file(path, config)?;
        (path, size_bytes, None)
    } else {
        let (file, size_bytes) = messages.bytes().await?;
        (file.path().to_owned(), size_bytes, Some(file))
    };
    let media_type = Some(options.media_type).filter(|media_type| !media_type.is_empty());
    let file = AssetFile { path, file_name: options.file_name, media_type, size_bytes };
    Ok(ReceivedAsset { file, options: read_options, _bytes: bytes })
}

fn read_options(options: &v1::AssetOptions) -> Result<ReadOptions> {
    let layers = match (&options.layer, options.all_layers) {
        (Some(_), true) => {
            return Err(Error::invalid_request("either one layer or all layers can be asked for, found both"));
        }
        (Some(name), false) => LayerSelection::Named(name.clone()),
        (None, true) => LayerSelection::All,
        (None, false) => LayerSelection::Only,
    };
    let mapping = options.mapping.as_deref().map(Mapping::parse).transpose()?;
    // What the push declares stands before what the mapping declares for every push.
    let declared = |own: &Option<String>, of_mapping: fn(&Mapping) -> &Option<String>| {
        let own = own.clone().filter(|text| !text.is_empty());
        own.or_else(|| mapping.as_ref().and_then(|mapping| of_mapping(mapping).clone()))
    };
    Ok(ReadOptions {
        crs: declared(&options.crs, |mapping| &mapping.crs),
        encoding: declared(&options.encoding, |mapping| &mapping.encoding),
        region: declared(&options.region, |mapping| &mapping.region),
        time_zone: declared(&options.time_zone, |mapping| &mapping.time_zone),
        layers,
        batch_rows_max: Some(options.batch_rows_max as usize).filter(|rows| *rows > 0),
        mapping,
        references: options.references.iter().map(reference).collect::<Result<_>>()?,
        window: options.window.map(TryInto::try_into).transpose()?,
        expected_schema: options.expected_schema.as_deref().map(expected_schema).transpose()?,
    })
}

fn reference(table: &v1::ReferenceTable) -> Result<(String, RecordBatch)> {
    let limits = IpcLimits::default();
    let failed = |error: Error| error.context(format_args!("reference table {}", quoted(&table.dataset)));
    let schema = ipc::decode_schema(&table.schema, &limits).map_err(failed)?;
    let batches = table.batches.iter().map(|batch| ipc::decode_batch(batch, &schema, &limits));
    let batches = batches.collect::<Result<Vec<_>>>().map_err(failed)?;
    let rows = concat_batches(&schema, &batches);
    let rows = rows.map_err(|error| failed(Error::invalid_request("its batches differ").caused_by(error)))?;
    Ok((table.dataset.clone(), rows))
}

fn expected_schema(message: &[u8]) -> Result<SchemaRef> {
    if message.is_empty() {
        return Ok(SchemaRef::new(Schema::empty()));
    }
    let wrong =
        |error: Error| Error::invalid_request("expected_schema is no Arrow IPC schema message").caused_by(error);
    ipc::decode_schema(message, &IpcLimits::default()).map_err(wrong)
}

/// A file that the client named, if it lies in the folder that is open to clients, links followed.
fn granted_file(path: &str, config: &ServeConfig) -> Result<(std::path::PathBuf, u64)> {
    let refused = || Error::invalid_request(format!("{} is not a file that this adapter may read", quoted(path)));
    let granted = config.granted.as_ref().and_then(|folder| folder.canonicalize().ok()).ok_or_else(refused)?;
    let path = Path::new(path).canonicalize().ok().filter(|path| path.starts_with(&granted)).ok_or_else(refused)?;
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file).ok_or_else(refused)?;
    check_size(metadata.len(), config)?;
    Ok((path, metadata.len()))
}

fn check_size(size_bytes: u64, config: &ServeConfig) -> Result<()> {
    let limit = config.limits.asset_bytes_max;
    if size_bytes > limit {
        return Err(Error::limit_reached(format!("an asset has at most {limit} bytes, found more")));
    }
    Ok(())
}

struct Messages<'a> {
    stream: Streaming<v1::AssetRequest>,
    config: &'a ServeConfig,
    deadline: Instant,
    count: u64,
}

impl Messages<'_> {
    /// The next message; the end of the stream is an error, because a stream that was given up ends the same way.
    async fn next(&mut self) -> Result<Message> {
        let patience = self.config.limits.idle_max.min(self.deadline.saturating_duration_since(Instant::now()));
        let received = timeout(patience, self.stream.message())
            .await
            .map_err(|_| Error::timed_out(format!("the client sent nothing for {} seconds", patience.as_secs_f32())))?;
        let message = received.map_err(|status| from_status(&status))?;
        self.count += 1;
        match message {
            Some(v1::AssetRequest { message: Some(message) }) => Ok(message),
            Some(v1::AssetRequest { message: None }) => {
                Err(Error::invalid_request(format!("message {} of the asset is empty", self.count)))
            }
            None => {
                Err(Error::conflict(format!("the stream ended without a finish after {} messages", self.count - 1)))
            }
        }
    }

    async fn bytes(&mut self) -> Result<(NamedTempFile, u64)> {
        let not_kept = |error: std::io::Error| Error::unavailable("the asset could not be kept").caused_by(error);
        let file = NamedTempFile::new_in(&self.config.scratch).map_err(not_kept)?;
        let mut writer = tokio::fs::File::from_std(file.reopen().map_err(not_kept)?);
        let mut size_bytes = 0;
        loop {
            match self.next().await? {
                Message::Data(data) => {
                    size_bytes += data.len() as u64;
                    check_size(size_bytes, self.config)?;
                    writer.write_all(&data).await.map_err(not_kept)?;
                }
                Message::Finish(declared) if declared == size_bytes => {
                    writer.flush().await.map_err(not_kept)?;
                    return Ok((file, size_bytes));
                }
                Message::Finish(declared) => {
                    return Err(Error::data_loss(format!("the asset has {declared} bytes, received {size_bytes}")));
                }
                Message::Options(_) => {
                    return Err(Error::invalid_request("an asset has its options once, found twice"));
                }
            }
        }
    }
}
