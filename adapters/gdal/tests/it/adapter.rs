//! An adapter process of our own, and a client for it.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sha2::Digest;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tonic::transport::Channel;
use ukimet_model::{Batch, Error, ErrorKind, LayerReport, QuarantinedRow, Verdict};
use ukimet_proto::ipc::{IpcLimits, decode_batch, decode_schema};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;
use ukimet_proto::v1::asset_request::Message as Request;
use ukimet_proto::v1::read_response::Message as Response;

/// A running adapter; it ends with this value.
pub(crate) struct Adapter {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
    pub(crate) client: AdapterServiceClient<Channel>,
}

impl Adapter {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("a.sock");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ukimet-adapter-gdal"))
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--scratch")
            .arg(folder.path().join("scratch"))
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the adapter starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("ready ").expect("a ready line").to_owned();
        let client = AdapterServiceClient::connect(address).await.expect("connects");
        let client = client.max_decoding_message_size(80 << 20);
        Self { child, folder, client }
    }

    /// Files that jobs left in the scratch folder.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("scratch")).expect("the scratch folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "no-proj-data").collect()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is asked for, apart from the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) file_name: String,
    pub(crate) media_type: String,
    pub(crate) crs: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) layer: Option<String>,
    pub(crate) all_layers: bool,
    pub(crate) mapping: Option<String>,
    pub(crate) references: Vec<v1::ReferenceTable>,
    pub(crate) window: Option<v1::BoundingBox>,
}

impl Ask {
    pub(crate) fn named(file_name: &str) -> Self {
        Self { file_name: file_name.to_owned(), all_layers: true, ..Self::default() }
    }

    pub(crate) fn options(&self) -> v1::AssetRequest {
        request(Request::Options(v1::AssetOptions {
            file_name: self.file_name.clone(),
            media_type: self.media_type.clone(),
            crs: self.crs.clone(),
            encoding: self.encoding.clone(),
            layer: self.layer.clone(),
            all_layers: self.all_layers,
            region: self.region.clone(),
            mapping: self.mapping.clone(),
            references: self.references.clone(),
            window: self.window,
            ..v1::AssetOptions::default()
        }))
    }
}

pub(crate) fn request(message: Request) -> v1::AssetRequest {
    v1::AssetRequest { message: Some(message) }
}

/// Options, bytes in chunks, finish.
pub(crate) fn messages(ask: &Ask, bytes: &[u8]) -> Vec<v1::AssetRequest> {
    let mut messages = vec![ask.options()];
    messages.extend(bytes.chunks(1 << 20).map(|chunk| request(Request::Data(chunk.to_vec().into()))));
    messages.push(request(Request::Finish(bytes.len() as u64)));
    messages
}

/// A layer as it came.
#[derive(Clone, Debug)]
pub(crate) struct ReadLayer {
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) source_columns: Vec<String>,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) quarantined: Vec<QuarantinedRow>,
    pub(crate) report: LayerReport,
    /// Bytes of the files made of its rows.
    pub(crate) assets: Vec<Vec<u8>>,
}

impl ReadLayer {
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    pub(crate) fn rules(&self) -> Vec<&str> {
        self.report.diagnostics.iter().map(|d| d.rule.as_str()).collect()
    }
}

/// Reads an asset and checks that the answer keeps to the contract.
pub(crate) async fn read(adapter: &Adapter, ask: &Ask, bytes: &[u8]) -> Result<Vec<ReadLayer>, Error> {
    let mut client = adapter.client.clone();
    let stream = tokio_stream::iter(messages(ask, bytes));
    let mut stream = client.read(stream).await.map_err(|s| from_status(&s))?.into_inner();
    let mut layers: Vec<ReadLayer> = Vec::new();
    let mut open: Option<ReadLayer> = None;
    let limits = IpcLimits::default();
    let mut summary = None;
    while let Some(response) = stream.message().await.map_err(|s| from_status(&s))? {
        assert!(summary.is_none(), "nothing comes after the summary");
        match response.message.expect("a message") {
            Response::LayerBegin(layer) => {
                let schema = decode_schema(&layer.schema, &limits).expect("a schema");
                let begun = ReadLayer {
                    name: layer.layer,
                    schema,
                    source_columns: layer.source_columns,
                    batches: Vec::new(),
                    verdicts: Vec::new(),
                    quarantined: Vec::new(),
                    report: LayerReport::default(),
                    assets: Vec::new(),
                };
                assert!(open.replace(begun).is_none(), "one layer at a time");
            }
            Response::Batch(message) => {
                let layer = open.as_mut().expect("a layer is open");
                let batch = decode_batch(&message, &layer.schema, &limits).expect("a batch");
                layer.batches.push(Batch::try_new(batch).expect("normalized").into_rows());
            }
            Response::Verdicts(verdicts) => {
                let layer = open.as_mut().expect("a layer is open");
                layer.verdicts.extend(verdicts.verdicts.into_iter().map(Verdict::from));
            }
            Response::Quarantined(rows) => {
                let layer = open.as_mut().expect("a layer is open");
                layer.quarantined.extend(rows.rows.into_iter().map(QuarantinedRow::from));
            }
            Response::AssetBegin(begin) => {
                let layer = open.as_mut().expect("a layer is open");
                assert!((begin.row as usize) < layer.rows(), "its row came before");
                layer.assets.push(Vec::new());
            }
            Response::AssetData(data) => {
                let asset = open.as_mut().and_then(|layer| layer.assets.last_mut());
                asset.expect("an asset has begun").extend(data);
            }
            Response::AssetEnd(end) => {
                let asset = open.as_mut().and_then(|layer| layer.assets.last()).expect("an asset has begun");
                assert_eq!(end.size_bytes as usize, asset.len());
                assert_eq!(end.sha256.as_ref(), sha2::Sha256::digest(asset).as_slice());
            }
            Response::LayerEnd(report) => {
                let mut layer = open.take().expect("a layer is open");
                layer.report = LayerReport::try_from(report).expect("a report");
                layers.push(layer);
            }
            Response::Summary(end) => summary = Some(end),
        }
    }
    let summary = summary.ok_or_else(|| Error::new(ErrorKind::DataLoss, "no summary came"))?;
    assert_eq!(summary.layers as usize, layers.len());
    assert_eq!(summary.rows as usize, layers.iter().map(ReadLayer::rows).sum::<usize>());
    for layer in &layers {
        assert_eq!(layer.report.rows_taken as usize, layer.rows(), "{}", layer.name);
        // A reader may refuse rows that no rule saw, such as totals; its verdict has their values.
        assert!(layer.quarantined.len() as u64 <= layer.report.rows_refused, "{}", layer.name);
        assert!(layer.quarantined.iter().all(|row| row.values.len() == layer.source_columns.len()), "{}", layer.name);
        let listed = |rule: &str| layer.verdicts.iter().any(|verdict| verdict.rule == rule);
        assert!(layer.report.diagnostics.iter().all(|found| listed(&found.rule)), "{:?}", layer.report.diagnostics);
        assert_eq!(layer.report.steps.first().map(|step| step.step.as_str()), Some("read"));
    }
    Ok(layers)
}
