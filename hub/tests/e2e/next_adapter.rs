//! An adapter with the next rules, as it would stand beside the one that serves pushes: it reads `GeoJSON` with the bundled
//! adapter's program and applies rules of its own to what comes.
//!
//! Its rules: positions have two decimals; a name has no quotation marks around it; a row with the name "тест" is refused.
//! Its rules "nameless" leave the column `name` out, and do nothing else.

use crate::hub::root;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};
use ukimet_proto::ipc::{self, IpcLimits};
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;
use ukimet_proto::v1::adapter_service_server::{AdapterService, AdapterServiceServer};
use ukimet_proto::v1::read_response::Message;

const REFUSED_NAME: &str = "тест";
const NAMELESS: &str = "nameless";

/// The adapter; dropping it ends it.
pub struct NextAdapter {
    pub url: String,
    bundled: Child,
    runtime: Option<Runtime>,
    rules: Rules,
}

/// The version of the rules, which another adapter at the same address may change.
type Rules = Arc<Mutex<String>>;

impl NextAdapter {
    /// Starts it with rules of this version.
    pub fn start(folder: &Path, rules: &str) -> Self {
        let mut bundled = Command::new(Path::new(env!("CARGO_BIN_EXE_ukimet")).with_file_name("ukimet-adapter-gdal"))
            .args(["--listen", "127.0.0.1:0", "--scratch"])
            .arg(folder.join(format!("next-{rules}")))
            .current_dir(root())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the adapter starts");
        let mut ready = String::new();
        BufReader::new(bundled.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
        let address = ready.split_whitespace().last().expect("an address").trim_start_matches("http://").to_owned();
        let runtime = Runtime::new().expect("a runtime");
        let rules: Rules = Arc::new(Mutex::new(rules.to_owned()));
        let served = Arc::clone(&rules);
        let url = runtime.block_on(async {
            let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
            let inner = AdapterServiceClient::new(channel.connect().await.expect("it answers"));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("bound"));
            let service = AdapterServiceServer::new(NextRules { inner, rules: served });
            tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
            url
        });
        Self { url, bundled, runtime: Some(runtime), rules }
    }

    /// As if another stood at its address.
    pub fn exchange(&self, rules: &str) {
        rules.clone_into(&mut self.rules.lock().expect("not poisoned"));
    }
}

impl Drop for NextAdapter {
    fn drop(&mut self) {
        let _ = self.bundled.kill();
        let _ = self.bundled.wait();
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

#[derive(Clone)]
struct NextRules {
    inner: AdapterServiceClient<Channel>,
    rules: Rules,
}

impl NextRules {
    fn rules(&self) -> String {
        self.rules.lock().expect("not poisoned").clone()
    }
}

#[tonic::async_trait]
impl AdapterService for NextRules {
    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let mut described = self.inner.clone().describe(v1::DescribeRequest {}).await?.into_inner();
        "next".clone_into(&mut described.name);
        described.rules_version = self.rules();
        described.formats.retain(|format| format.name == "GeoJSON");
        Ok(Response::new(described))
    }

    async fn inspect(
        &self,
        requests: Request<Streaming<v1::AssetRequest>>,
    ) -> Result<Response<v1::InspectResponse>, Status> {
        let requests = requests.into_inner().filter_map(Result::ok);
        self.inner.clone().inspect(requests).await
    }

    type ReadStream = ReceiverStream<Result<v1::ReadResponse, Status>>;

    async fn read(&self, requests: Request<Streaming<v1::AssetRequest>>) -> Result<Response<Self::ReadStream>, Status> {
        let requests = requests.into_inner().filter_map(Result::ok);
        let mut read = self.inner.clone().read(requests).await?.into_inner();
        let (messages, stream) = tokio::sync::mpsc::channel(4);
        let mut applying = Applying { rules: self.rules(), ..Applying::default() };
        tokio::spawn(async move {
            while let Some(response) = read.next().await {
                let taken = match response {
                    Ok(response) => applying.take(response.message.expect("a message")).into_iter().map(Ok).collect(),
                    Err(status) => vec![Err(status)],
                };
                for message in taken {
                    let response = message.map(|message| v1::ReadResponse { message: Some(message) });
                    if messages.send(response).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// The rules, applied to one reading.
#[derive(Default)]
struct Applying {
    rules: String,
    schema: Option<SchemaRef>,
    columns: Vec<String>,
    rows: u64,
    refused: u64,
}

impl Applying {
    fn take(&mut self, message: Message) -> Vec<Message> {
        match message {
            Message::LayerBegin(mut begin) => {
                let schema = ipc::decode_schema(&begin.schema, &IpcLimits::default()).expect("a schema");
                if self.rules == NAMELESS {
                    let left = nameless(&RecordBatch::new_empty(Arc::clone(&schema)));
                    begin.schema = ipc::encode_schema(left.schema_ref()).expect("a schema");
                }
                self.schema = Some(schema);
                self.columns.clone_from(&begin.source_columns);
                vec![Message::LayerBegin(begin)]
            }
            Message::Batch(batch) => {
                let schema = self.schema.as_ref().expect("a layer");
                let rows = ipc::decode_batch(&batch, schema, &IpcLimits::default()).expect("rows");
                self.apply(&rows)
            }
            Message::LayerEnd(mut report) => {
                report.rows_taken -= self.refused;
                report.rows_refused += self.refused;
                report.steps.iter_mut().for_each(|step| step.version.clone_from(&self.rules));
                if self.refused > 0 {
                    report.diagnostics.push(v1::Diagnostic {
                        rule: "names.test".to_owned(),
                        severity: v1::Severity::Error.into(),
                        message: "a row of a test is no data".to_owned(),
                        count: self.refused,
                        examples: Vec::new(),
                    });
                }
                vec![Message::LayerEnd(report)]
            }
            Message::Summary(summary) => {
                vec![Message::Summary(v1::ReadSummary { rows: summary.rows - self.refused, ..summary })]
            }
            other => vec![other],
        }
    }

    fn apply(&mut self, rows: &RecordBatch) -> Vec<Message> {
        if self.rules == NAMELESS {
            return vec![Message::Batch(ipc::encode_batch(&nameless(rows)).expect("rows"))];
        }
        let names: Option<StringArray> = rows.column_by_name("name").map(|names| names.as_string::<i32>().clone());
        let is_test = |row: usize| names.as_ref().is_some_and(|names| names.value(row) == REFUSED_NAME);
        let stays: BooleanArray = (0..rows.num_rows()).map(|row| Some(!is_test(row))).collect();
        let columns =
            rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| match &**field.name() {
                "name" => {
                    Arc::new(column.as_string::<i32>().iter().map(|name| name.map(unquoted)).collect::<StringArray>())
                }
                "geometry" => {
                    let places = column.as_binary::<i32>().iter();
                    Arc::new(places.map(|place| place.map(rounded)).collect::<BinaryArray>()) as ArrayRef
                }
                _ => Arc::clone(column),
            });
        let taken = RecordBatch::try_new(rows.schema(), columns.collect()).expect("rows fit");
        let taken = filter_record_batch(&taken, &stays).expect("rows");
        let mut messages: Vec<Message> =
            (0..rows.num_rows()).filter(|row| is_test(*row)).flat_map(|row| self.refuse(row)).collect();
        self.rows += rows.num_rows() as u64;
        messages.push(Message::Batch(ipc::encode_batch(&taken).expect("rows")));
        messages
    }

    fn refuse(&mut self, row: usize) -> [Message; 2] {
        self.refused += 1;
        let row = self.rows + row as u64;
        let verdict = v1::Verdict {
            row: Some(row),
            field: Some("name".to_owned()),
            rule: "names.test".to_owned(),
            severity: v1::Severity::Error.into(),
            found: REFUSED_NAME.to_owned(),
            taken: None,
            note: "a row of a test is no data".to_owned(),
        };
        let values = self.columns.iter().map(|_| v1::QuarantinedValue { text: None }).collect();
        let refused = v1::QuarantinedRow { row, values };
        [
            Message::Verdicts(v1::Verdicts { verdicts: vec![verdict] }),
            Message::Quarantined(v1::QuarantinedRows { rows: vec![refused] }),
        ]
    }
}

fn nameless(rows: &RecordBatch) -> RecordBatch {
    let left = (0..rows.num_columns()).filter(|at| rows.schema_ref().field(*at).name() != "name");
    rows.project(&left.collect::<Vec<_>>()).expect("columns")
}

fn unquoted(name: &str) -> String {
    name.trim_matches(|letter| "«»\"".contains(letter)).to_owned()
}

/// A point or polygon (WKB, little endian) whose positions have two decimals.
fn rounded(place: &[u8]) -> Vec<u8> {
    let mut place = place.to_vec();
    let number =
        |place: &[u8], at: usize| u32::from_le_bytes(place[at..at + 4].try_into().expect("four bytes")) as usize;
    let round = |place: &mut [u8], at: usize, count: usize| {
        for number in place[at..at + 8 * count].chunks_exact_mut(8) {
            let value = f64::from_le_bytes((&*number).try_into().expect("eight bytes"));
            number.copy_from_slice(&((value * 100.0).round() / 100.0).to_le_bytes());
        }
    };
    match number(&place, 1) {
        1 => round(&mut place, 5, 2),
        3 => {
            let mut at = 9;
            for _ in 0..number(&place, 5) {
                let positions = number(&place, at);
                round(&mut place, at + 4, 2 * positions);
                at += 4 + 16 * positions;
            }
        }
        other => panic!("points and polygons are expected, found {other}"),
    }
    place
}
