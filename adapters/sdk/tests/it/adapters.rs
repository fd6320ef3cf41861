//! A server in this process with a small adapter behind it, and its client.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use ukimet_adapter_sdk::{
    Adapter, AdapterDescription, AssetFile, Inspection, Listen, ReadEnd, ReadOptions, RowSink, ServeConfig,
    ServeLimits, Server,
};
use ukimet_model::Result;
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;
use ukimet_proto::v1::asset_request::Message;

/// What a test adapter does with a read.
pub(crate) type Reading = fn(&AssetFile, &ReadOptions, &mut dyn RowSink) -> Result<ReadEnd>;

/// An adapter that does one thing.
pub(crate) struct Doing(pub(crate) Reading);

impl Adapter for Doing {
    fn describe(&self) -> AdapterDescription {
        AdapterDescription { name: "doing".to_owned(), ..AdapterDescription::default() }
    }

    fn inspect(&self, _: &AssetFile, _: &ReadOptions) -> Result<Inspection> {
        panic!("this adapter panics when it inspects")
    }

    fn read(&self, asset: &AssetFile, options: &ReadOptions, sink: &mut dyn RowSink) -> Result<ReadEnd> {
        (self.0)(asset, options, sink)
    }
}

pub(crate) struct Served {
    pub(crate) folder: TempDir,
    pub(crate) client: AdapterServiceClient<Channel>,
    pub(crate) channel: Channel,
}

pub(crate) fn limits() -> ServeLimits {
    ServeLimits { idle_max: Duration::from_secs(5), wall_max: Duration::from_secs(20), ..ServeLimits::default() }
}

pub(crate) async fn serve(adapter: impl Adapter, limits: ServeLimits) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let config = ServeConfig {
        listen: Listen::Unix(folder.path().join("a.sock")),
        scratch: folder.path().join("scratch"),
        granted: Some(folder.path().join("granted")),
        confined: ukimet_adapter_sdk::Confined::default(),
        single_job: false,
        limits,
    };
    std::fs::create_dir(folder.path().join("granted")).expect("a folder");
    let server = Server::bind(Arc::new(adapter), config).await.expect("binds");
    let address = server.address();
    tokio::spawn(server.run(pending()));
    let channel = Endpoint::try_from(address).expect("an address").connect().await.expect("connects");
    let client = AdapterServiceClient::new(channel.clone()).max_decoding_message_size(80 << 20);
    Served { folder, client, channel }
}

pub(crate) fn options(change: impl FnOnce(&mut v1::AssetOptions)) -> v1::AssetRequest {
    let mut options = v1::AssetOptions { file_name: "a.lines".to_owned(), all_layers: true, ..Default::default() };
    change(&mut options);
    v1::AssetRequest { message: Some(Message::Options(options)) }
}

pub(crate) fn data(bytes: &[u8]) -> v1::AssetRequest {
    v1::AssetRequest { message: Some(Message::Data(bytes.to_vec().into())) }
}

pub(crate) fn finish(bytes: usize) -> v1::AssetRequest {
    v1::AssetRequest { message: Some(Message::Finish(bytes as u64)) }
}

/// Every response of a read, or the status that ended it.
pub(crate) async fn read(
    served: &Served,
    requests: Vec<v1::AssetRequest>,
) -> Result<Vec<v1::read_response::Message>, tonic::Status> {
    let mut stream = served.client.clone().read(tokio_stream::iter(requests)).await?.into_inner();
    let mut responses = Vec::new();
    while let Some(response) = stream.message().await? {
        responses.push(response.message.expect("a message"));
    }
    Ok(responses)
}

/// A read of an asset sent as bytes.
pub(crate) async fn read_bytes(
    served: &Served,
    bytes: &[u8],
) -> Result<Vec<v1::read_response::Message>, tonic::Status> {
    read(served, vec![options(|_| ()), data(bytes), finish(bytes.len())]).await
}
