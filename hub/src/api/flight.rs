//! Arrow Flight: lists, describes and streams versions; takes batches into the same `ingest`.

mod actions;
mod info;
mod messages;
mod replay;
mod sql;
mod ticket;

use crate::api::body::{catch_incident, incident};
use crate::api::push::Pushes;
use crate::export::{Bound, DiffFrom, Export, ExportRequest, Receipts};
use crate::ingest::Ingested;
use crate::kept::KeptStreams;
use crate::metrics::Metrics;
use crate::staging::{PushHeader, Upload};
use crate::usage::{self, Client, Usage};
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use futures::stream::{BoxStream, Peekable};
use futures::{StreamExt, TryStreamExt};
pub use info::EndpointLimits;
use info::info_of;
use messages::{encode, message_bytes};
use replay::{keep, replay};
use serde::Deserialize;
use sha2::{Digest, Sha256};
pub use sql::{Sql, SqlLimits};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use ticket::TicketRequest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use ukimet_model::{
    DatasetId, DatasetMetadata, DatasetQuery, Error, LayerSelection, Mapping, PushId, PushMode, Result, VersionSelector,
};
use ukimet_proto::status::to_status;

/// The Flight service.
#[derive(Clone)]
pub struct Flight {
    /// The way out.
    pub export: Export,
    /// The way in.
    pub pushes: Pushes,
    /// Signs what was given out.
    pub receipts: Receipts,
    /// How much is fetched at one end of a flight.
    pub endpoints: EndpointLimits,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
    /// Remembers who reads which columns.
    pub usage: Usage,
    /// Answers SQL.
    pub sql: Sql,
    /// What went out before.
    pub kept: KeptStreams,
}

/// Media type of a stream of batches.
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;
/// What a client puts; its first message tells where it goes.
type Messages = Peekable<Streaming<FlightData>>;

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Status> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|panic| to_status(&incident(panic.into_panic().as_ref())))?.map_err(|e| to_status(&e))
}

/// The request that a descriptor means: a path `["almaty/schools", "v7"]`, `["almaty/schools@final"]`, or a JSON command.
fn request_of(descriptor: &FlightDescriptor) -> Result<ExportRequest> {
    match descriptor.r#type() {
        DescriptorType::Cmd => ExportRequest::from_json(&descriptor.cmd),
        DescriptorType::Path if descriptor.path.get(2).is_some_and(|part| part == DIFF) => diff_of(&descriptor.path),
        DescriptorType::Path => {
            let selector = match descriptor.path.as_slice() {
                [dataset] => dataset.parse()?,
                [dataset, version] | [dataset, version, _] => {
                    VersionSelector { dataset: dataset.parse()?, version: Some(version.parse()?) }
                }
                path => {
                    let expected = "a path is a dataset, perhaps a version, and perhaps a table of its push \
                                    (almaty/schools, v7, verdicts)";
                    return Err(Error::invalid_request(format!("{expected}, found {} parts", path.len())));
                }
            };
            let table = descriptor.path.get(2).map(|table| table.parse()).transpose()?;
            Ok(ExportRequest { table, ..ExportRequest::all(selector) })
        }
        DescriptorType::Unknown => Err(Error::invalid_request("a descriptor is a path or a command, found neither")),
    }
}

/// The third part of a path that means a difference.
const DIFF: &str = "diff";

/// The difference that a path means: `["almaty/schools", "v7", "diff"]` from the version before, with a fourth part from
/// that one.
fn diff_of(path: &[String]) -> Result<ExportRequest> {
    let [dataset, version, _, from @ ..] = path else {
        return Err(Error::internal("a path of a difference has three parts or more"));
    };
    let from = match from {
        [] => DiffFrom::default(),
        [from] => from.parse()?,
        more => {
            let expected = "after diff a path has the version that is compared with (almaty/schools, v7, diff, v6)";
            return Err(Error::invalid_request(format!("{expected}, found {} parts", more.len())));
        }
    };
    let selector = VersionSelector { dataset: dataset.parse()?, version: Some(version.parse()?) };
    Ok(ExportRequest { diff_from: Some(from), ..ExportRequest::all(selector) })
}

/// What a `DoPut` says about itself, as a JSON command: as a push header, without a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutCommand {
    dataset: DatasetId,
    push_id: Option<PushId>,
    crs: Option<String>,
    #[serde(default)]
    mode: PushMode,
    key: Option<Vec<String>>,
    delete_column: Option<String>,
    #[serde(default)]
    metadata: DatasetMetadata,
    expected_version: Option<u64>,
    mapping: Option<String>,
    #[serde(default)]
    new_major: bool,
    valid_from: Option<String>,
    valid_to: Option<String>,
    /// The time zone of times without one.
    time_zone: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

fn put_header(descriptor: &FlightDescriptor) -> Result<PushHeader> {
    let command = match descriptor.r#type() {
        DescriptorType::Cmd => serde_json::from_slice(&descriptor.cmd).map_err(|e| {
            Error::invalid_request(format!("a put command is JSON such as {{\"dataset\": \"almaty/schools\"}}: {e}"))
        })?,
        _ => PutCommand {
            dataset: match descriptor.path.as_slice() {
                [dataset] => dataset.parse()?,
                path => {
                    return Err(Error::invalid_request(format!(
                        "a put goes to one dataset, found {} path parts",
                        path.len()
                    )));
                }
            },
            push_id: None,
            crs: None,
            mode: PushMode::default(),
            key: None,
            delete_column: None,
            metadata: DatasetMetadata::default(),
            expected_version: None,
            mapping: None,
            new_major: false,
            valid_from: None,
            valid_to: None,
            time_zone: None,
            dry_run: false,
        },
    };
    command.mapping.as_deref().map(Mapping::parse).transpose()?;
    let push_id = command.push_id.map_or_else(|| format!("put-{}", uuid::Uuid::new_v4()).parse(), Ok)?;
    Ok(PushHeader {
        file_name: format!("{}.arrows", command.dataset.name()),
        dataset: command.dataset,
        push_id,
        mode: command.mode,
        key: command.key,
        delete_column: command.delete_column,
        media_type: Some(ARROW_STREAM.to_owned()),
        crs: command.crs,
        encoding: None,
        mapping: command.mapping,
        region: None,
        time_zone: command.time_zone,
        layers: LayerSelection::Only,
        metadata: command.metadata,
        expected_version: command.expected_version,
        size_bytes: None,
        fixes: None,
        new_major: command.new_major,
        valid_from: command.valid_from,
        valid_to: command.valid_to,
        dry_run: command.dry_run,
        rules: None,
    })
}

/// Checks what the header of a put's message says of its body; the rows themselves are read in the adapter.
///
/// # Errors
///
/// `InvalidRequest` for what is no Arrow IPC message or is compressed (a few bytes may claim to unpack to anything),
/// `DataLoss` naming both lengths if the body is not as long as the header says.
fn check_message(message: &FlightData) -> Result<()> {
    let header = arrow_ipc::root_as_message(&message.data_header)
        .map_err(|e| Error::invalid_request(format!("a put's message has no Arrow IPC header: {e}")))?;
    let received = message.data_body.len();
    if usize::try_from(header.bodyLength()).ok() != Some(received) {
        return Err(Error::data_loss(format!("a batch declares {} bytes, received {received}", header.bodyLength())));
    }
    let batch = header.header_as_record_batch();
    let batch = batch.or_else(|| header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    if batch.is_some_and(|batch| batch.compression().is_some()) {
        return Err(Error::invalid_request("compressed batches are not accepted, write them uncompressed"));
    }
    Ok(())
}

/// One Flight message as a message of the Arrow IPC stream format.
fn framed(message: &FlightData) -> Vec<u8> {
    const ALIGNMENT: usize = 8;
    let padding = message.data_header.len().next_multiple_of(ALIGNMENT) - message.data_header.len();
    let length = (message.data_header.len() + padding) as u32;
    let mut bytes = Vec::with_capacity(ALIGNMENT + length as usize + message.data_body.len());
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(&message.data_header);
    bytes.resize(bytes.len() + padding, 0);
    bytes.extend(&message.data_body);
    bytes
}

/// What the messages of a flight follow from.
fn flight_key(bound: &Bound, message_bytes: usize) -> String {
    let of = serde_json::json!({ "messages": message_bytes, "rows": bound.identity() });
    hex::encode(Sha256::digest(of.to_string().as_bytes()))
}

/// What ends a stream of Arrow IPC messages.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

impl Flight {
    /// What a request means, and how large a message of it may be, bytes.
    async fn bind(&self, request: ExportRequest) -> Result<(Bound, usize), Status> {
        let message_bytes = message_bytes(&request, &self.endpoints).map_err(|e| to_status(&e))?;
        let export = self.export.clone();
        let bind = move || {
            let is_pinned = request.layout.is_some();
            let bound = export.bind(request)?;
            // A command that came with a receipt means the files of then, as a ticket does.
            if is_pinned { bound.check_ticket().map(|()| bound) } else { Ok(bound) }
        };
        blocking(bind).await.map(|bound| (bound, message_bytes))
    }

    /// The messages of a flight, as they went out before if they are kept.
    fn fly(&self, bound: Bound, message_bytes: usize, batches_there: u64) -> Result<Stream<FlightData>> {
        let metrics = Arc::clone(&self.metrics);
        let key = bound.is_whole().then(|| flight_key(&bound, message_bytes));
        if let Some(kept) = key.as_ref().and_then(|key| self.kept.get(key)) {
            return Ok(replay(kept, batches_there, self.export.permit()?, metrics));
        }
        let key = key.filter(|key| batches_there == 0 && self.kept.is_asked_again(key));
        let keeping = key.and_then(|key| self.kept.keep(&key, &bound.dataset.id));
        let schema = Arc::clone(&bound.schema);
        let messages = encode(schema, self.export.read(bound)?, message_bytes, batches_there, metrics);
        Ok(match keeping {
            Some(keeping) => keep(messages, keeping),
            None => messages,
        })
    }

    /// Takes a note of who reads which columns, once for all endpoints of a flight.
    fn note(&self, bound: &Bound, client: Client) {
        let request = &bound.request;
        let is_first = [request.segments.map(|(from, _)| from), request.places.map(|(from, _)| from as usize)];
        if request.table.is_none() && is_first.into_iter().flatten().all(|from| from == 0) {
            let (dataset, columns) = (request.dataset.clone(), request.columns.clone());
            self.usage.note(usage::Export { dataset, columns, client });
        }
    }

    /// Keeps every message; the stream's true end is told from a cut by the body guard.
    async fn receive(&self, mut messages: Messages) -> Result<Upload> {
        let first = self.next(&mut messages, &CancellationToken::new()).await?;
        let first = first.ok_or_else(|| Error::conflict("stream ended without a schema"))?;
        let descriptor = first.flight_descriptor.as_ref();
        let descriptor =
            descriptor.ok_or_else(|| Error::invalid_request("the first message of a put has a descriptor"))?;
        let mut upload = self.pushes.staging.claim(put_header(descriptor)?).await?;
        // A put is not resumed: the client would have to cut its stream at a byte.
        upload.restart()?;
        let mut message = Some(first);
        while let Some(data) = message {
            check_message(&data)?;
            upload = self.append(upload, framed(&data)).await?;
            message = self.next(&mut messages, &upload.taken_over).await?;
        }
        self.append(upload, END_OF_STREAM.to_vec()).await
    }

    async fn append(&self, mut upload: Upload, bytes: Vec<u8>) -> Result<Upload> {
        let appended = tokio::task::spawn_blocking(move || {
            let appended = upload.append(upload.offset(), &bytes);
            (upload, appended)
        });
        let (upload, appended) = appended.await.map_err(|e| Error::internal("receiving a put").caused_by(e))?;
        appended.map(|_| upload)
    }

    /// The next message that carries data; messages of metadata alone say nothing here.
    async fn next(&self, messages: &mut Messages, taken_over: &CancellationToken) -> Result<Option<FlightData>> {
        let idle = self.pushes.idle_max;
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout(idle, messages.try_next()) => message,
                () = self.pushes.draining.cancelled() => {
                    return Err(Error::unavailable("the hub is stopping, put again when it is back"));
                }
                () = taken_over.cancelled() => {
                    return Err(Error::conflict("another connection has taken this push over"));
                }
            };
            match message {
                Err(_) => return Err(Error::timed_out(format!("nothing came for {} s", idle.as_secs()))),
                Ok(Err(status)) => return Err(self.pushes.cut(&status)),
                Ok(Ok(Some(data))) if data.data_header.is_empty() && data.flight_descriptor.is_none() => (),
                Ok(Ok(message)) => return Ok(message),
            }
        }
    }

    async fn put(&self, messages: Messages, answers: &mpsc::Sender<Result<PutResult, Status>>) -> Result<Ingested> {
        let upload = self.receive(messages).await?;
        self.pushes.ingest_received(upload, answers.closed()).await
    }
}

/// The outcome of a push, as JSON.
fn put_result(ingested: &Ingested) -> PutResult {
    PutResult { app_metadata: serde_json::to_vec(&ingested.outcome).expect("an outcome is plain data").into() }
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;
    type DoExchangeStream = Stream<FlightData>;

    /// One flight a dataset: its newest version. The criteria are search words.
    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        let text = String::from_utf8(request.into_inner().expression.to_vec())
            .map_err(|_| Status::invalid_argument("the criteria are search words in UTF-8"))?;
        let (export, limits) = (self.export.clone(), self.endpoints);
        let (sender, flights) = mpsc::channel(16);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = catch_incident(|| list(&export, &limits, &text, &sender)) {
                let _ = sender.blocking_send(Err(to_status(&error)));
            }
        });
        Ok(Response::new(ReceiverStream::new(flights).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        let descriptor = request.into_inner();
        if sql::is_sql(&descriptor.cmd) {
            return self.sql.info(descriptor).await;
        }
        let (bound, _) = self.bind(request_of(&descriptor).map_err(|e| to_status(&e))?).await?;
        info_of(&bound, &self.endpoints, descriptor).map(Response::new).map_err(|e| to_status(&e))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let descriptor = request.into_inner();
        if sql::is_sql(&descriptor.cmd) {
            return self.sql.schema(descriptor).await;
        }
        let (bound, _) = self.bind(request_of(&descriptor).map_err(|e| to_status(&e))?).await?;
        let options = IpcWriteOptions::default();
        let message: IpcMessage = SchemaAsIpc::new(&bound.schema, &options)
            .try_into()
            .map_err(|e: arrow_schema::ArrowError| Status::internal(e.to_string()))?;
        Ok(Response::new(SchemaResult { schema: message.0 }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let client = Client::of(&request);
        if sql::is_sql(&request.get_ref().ticket) {
            return self.sql.get(request.get_ref(), client).await;
        }
        let TicketRequest { request, batches_there, is_ticket } =
            TicketRequest::open(&request.into_inner().ticket).map_err(|e| to_status(&e))?;
        let (bound, message_bytes) = self.bind(request).await?;
        if is_ticket {
            bound.check_ticket().map_err(|e| to_status(&e))?;
        }
        self.note(&bound, client);
        self.fly(bound, message_bytes, batches_there).map(Response::new).map_err(|e| to_status(&e))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let permit = self.pushes.admit().map_err(|e| to_status(&e))?;
        let (answers, stream) = mpsc::channel(1);
        let flight = self.clone();
        tokio::spawn(async move {
            let mut messages = request.into_inner().peekable();
            let last = match sql_command(&mut messages, flight.pushes.idle_max).await {
                Some(command) => flight.sql.put(&command, messages).await,
                None => flight
                    .pushes
                    .ended(Box::pin(flight.put(messages, &answers)))
                    .await
                    .map(|ingested| put_result(&ingested)),
            };
            drop(permit);
            let _ = answers.send(last.map_err(|error| to_status(&error))).await;
        });
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        Err(Status::unimplemented("this hub asks for no handshake"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        Err(Status::unimplemented("every flight is ready at once: call GetFlightInfo"))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        if sql::is_sql_action(&request.get_ref().r#type) {
            return self.sql.act(request.get_ref()).await;
        }
        let answer = self.act(request.into_inner()).await.map_err(|e| to_status(&e))?;
        Ok(Response::new(futures::stream::once(async { Ok(answer) }).boxed()))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        let all = actions::described().chain(sql::actions());
        Ok(Response::new(futures::stream::iter(all.map(Ok).collect::<Vec<_>>()).boxed()))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        Err(Status::unimplemented("this hub exchanges nothing: call DoGet or DoPut"))
    }
}

/// The command of what is put, if it is one of Flight SQL; the first message stays where it is.
async fn sql_command(messages: &mut Messages, idle_max: Duration) -> Option<Bytes> {
    let first = tokio::time::timeout(idle_max, Pin::new(messages).peek()).await.ok()??;
    let descriptor = first.as_ref().ok()?.flight_descriptor.as_ref()?;
    sql::is_sql(&descriptor.cmd).then(|| descriptor.cmd.clone())
}

/// How many datasets are listed from one look at the index.
const LIST_PAGE: usize = 500;

/// Lists every dataset of one snapshot, page after page.
fn list(
    export: &Export,
    limits: &EndpointLimits,
    text: &str,
    sender: &mpsc::Sender<Result<FlightInfo, Status>>,
) -> Result<()> {
    let snapshot = export.snapshot();
    let mut offset = 0;
    loop {
        let query = DatasetQuery { text: text.to_owned(), offset, limit: LIST_PAGE, ..DatasetQuery::default() };
        let found = snapshot.search(&query)?;
        if found.datasets.is_empty() {
            return Ok(());
        }
        offset += found.datasets.len();
        for (dataset, version) in found.datasets {
            let selector = VersionSelector { dataset: dataset.id, version: Some(version.number.into()) };
            let path = vec![selector.dataset.to_string(), version.number.to_string()];
            let bound = export.bind(ExportRequest::all(selector))?;
            if sender.blocking_send(Ok(info_of(&bound, limits, FlightDescriptor::new_path(path))?)).is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ReportTable;
    use ukimet_model::{VersionChoice, VersionNumber};

    #[test]
    fn a_descriptor_names_a_dataset_and_perhaps_a_version() {
        let of =
            |path: &[&str]| request_of(&FlightDescriptor::new_path(path.iter().map(|p| (*p).to_owned()).collect()));
        assert_eq!(of(&["almaty/schools"]).expect("valid").version, None);
        assert_eq!(of(&["almaty/schools", "v7"]).expect("valid").version, Some(VersionNumber(7).into()));
        assert_eq!(of(&["almaty/schools@v7"]).expect("valid").version, Some(VersionNumber(7).into()));
        let tag = "final".parse().expect("a tag");
        assert_eq!(of(&["a/b", "final"]).expect("valid").version, Some(VersionChoice::Tag(tag)));
        assert_eq!(of(&["a/b", "v1", "quarantine"]).expect("valid").table, Some(ReportTable::Quarantine));
        for path in
            [&[][..], &["a"], &["a/b", "X"], &["a/b@v1", "v1"], &["a/b", "v1", "v2"], &["a/b", "v1", "verdicts", "x"]]
        {
            assert!(of(path).is_err(), "{path:?}");
        }
        assert_eq!(of(&["a/b", "v2", "diff"]).expect("valid").diff_from, Some(DiffFrom::Previous));
        let from_first = of(&["a/b", "v3", "diff", "v1"]).expect("valid").diff_from;
        assert_eq!(from_first, Some(DiffFrom::Version(VersionNumber(1).into())));
        for path in [&["a/b", "v2", "diff", "X"][..], &["a/b", "v3", "diff", "v1", "v2"]] {
            assert!(of(path).is_err(), "{path:?}");
        }
        let command = FlightDescriptor::new_cmd(&br#"{"dataset":"a/b","bbox":[1,2,3,4]}"#[..]);
        assert!(request_of(&command).expect("valid").bbox.is_some());
    }

    #[test]
    fn flight_messages_become_aligned_ipc_messages() {
        let message =
            FlightData { data_header: vec![7; 13].into(), data_body: vec![9; 8].into(), ..FlightData::default() };
        let bytes = framed(&message);
        assert_eq!(bytes.len(), 8 + 16 + 8);
        assert_eq!(bytes[..8], [0xff, 0xff, 0xff, 0xff, 16, 0, 0, 0]);
        assert_eq!(bytes[8 + 13..8 + 16], [0; 3]);
    }

    #[test]
    fn compressed_cut_and_foreign_messages_of_a_put_are_refused() {
        use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext};
        let column: arrow_array::ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![7; 1000]));
        let rows = arrow_array::RecordBatch::try_from_iter([("n", column)]).expect("columns fit");
        let message = |options: &IpcWriteOptions| -> FlightData {
            let (mut dictionaries, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
            let encoded = IpcDataGenerator::default().encode(&rows, &mut dictionaries, options, &mut context);
            encoded.expect("encodes").1.into()
        };
        let plain = message(&IpcWriteOptions::default());
        check_message(&plain).expect("plain");
        let lz4 = IpcWriteOptions::default().try_with_compression(Some(arrow_ipc::CompressionType::LZ4_FRAME));
        let error = check_message(&message(&lz4.expect("known"))).expect_err("compressed");
        assert!(error.message().contains("compressed batches are not accepted"), "{error}");
        let cut = FlightData { data_body: plain.data_body.slice(..100), ..plain.clone() };
        assert_eq!(check_message(&cut).expect_err("cut").kind(), ukimet_model::ErrorKind::DataLoss);
        let foreign = FlightData { data_header: vec![1; 50].into(), ..plain };
        assert_eq!(check_message(&foreign).expect_err("foreign").kind(), ukimet_model::ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_put_goes_to_one_dataset() {
        let header = put_header(&FlightDescriptor::new_path(vec!["a/b".to_owned()])).expect("valid");
        assert!(header.push_id.as_str().starts_with("put-"));
        assert!(put_header(&FlightDescriptor::new_cmd(&br#"{"dataset":"a/b","push_id":"x y"}"#[..])).is_err());
    }
}
