//! A hub as a client sees it: an address, an agency of its own, and the calls the classes need.

use crate::failure::{Verdict, broken, require, require_equal};
use crate::random::Seeded;
use arrow_array::RecordBatch;
use arrow_flight::{FlightClient, FlightDescriptor, FlightInfo};
use futures::TryStreamExt;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use ukimet_proto::v1::catalog_service_client::CatalogServiceClient;
use ukimet_proto::v1::ingest_service_client::IngestServiceClient;
use ukimet_proto::v1::{Dataset, GetDatasetRequest, ListVersionsRequest, Version};

/// The largest message a client of a hub must be ready to take.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A hub under test.
#[derive(Clone, Debug)]
pub struct Hub {
    channel: Channel,
    agency: String,
    seed: u64,
}

impl Hub {
    /// Connects. Datasets are made under `agency`, which nobody else uses.
    pub async fn connect(url: &str, agency: String, seed: u64) -> Verdict<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
        Ok(Self { channel, agency, seed })
    }

    /// The same hub over a connection of its own, so that a broken one takes nothing along.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A dataset id of this run.
    pub fn dataset(&self, name: &str) -> String {
        format!("{}/{name}", self.agency)
    }

    /// The random numbers of one requirement.
    pub fn random(&self, name: &str) -> Seeded {
        Seeded::new(self.seed, name)
    }

    /// A client of the way in.
    pub fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// A client of the catalog.
    pub fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn flight(&self) -> FlightClient {
        FlightClient::new_from_inner(
            arrow_flight::flight_service_client::FlightServiceClient::new(self.channel())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
    }

    /// The newest version of a dataset.
    pub async fn newest(&self, dataset: &str) -> Verdict<Dataset> {
        let request = GetDatasetRequest { dataset: dataset.to_owned(), version: None, snapshot: None };
        match self.catalog().get_dataset(request).await?.into_inner().dataset {
            Some(found) => Ok(found),
            None => broken(format!("the answer for {dataset} holds no dataset")),
        }
    }

    /// Every version of a dataset, newest first; at most 1000.
    pub async fn versions(&self, dataset: &str) -> Verdict<Vec<Version>> {
        let request = ListVersionsRequest { dataset: dataset.to_owned(), before: None, limit: 1000, snapshot: None };
        Ok(self.catalog().list_versions(request).await?.into_inner().versions)
    }

    /// Holds if the versions of a dataset are exactly `count`, … 3, 2, 1.
    pub async fn has_versions(&self, dataset: &str, count: u64) -> Verdict {
        let numbers: Vec<u64> = self.versions(dataset).await?.iter().map(|v| v.number).collect();
        require_equal(&format!("versions of {dataset}"), &(1..=count).rev().collect(), &numbers)
    }

    /// Holds if no reader can see anything of a dataset.
    pub async fn shows_nothing_of(&self, dataset: &str) -> Verdict {
        let request = GetDatasetRequest { dataset: dataset.to_owned(), version: None, snapshot: None };
        let found = self.catalog().get_dataset(request).await.map_err(|status| status.code()).map(|_| ());
        require_equal(
            &format!("GetDataset of {dataset}, of which nothing was published"),
            &Err(Code::NotFound),
            &found,
        )?;
        let request = ListVersionsRequest { dataset: dataset.to_owned(), before: None, limit: 0, snapshot: None };
        let found = self.catalog().list_versions(request).await.map_err(|status| status.code()).map(|_| ());
        require_equal(
            &format!("ListVersions of {dataset}, of which nothing was published"),
            &Err(Code::NotFound),
            &found,
        )
    }

    /// Where the rows of `dataset` or `dataset@v1` are to be had.
    pub async fn flight_info(&self, selector: &str) -> Verdict<FlightInfo> {
        let descriptor = FlightDescriptor::new_path(vec![selector.to_owned()]);
        Ok(self.flight().get_flight_info(descriptor).await?)
    }

    /// The rows behind every endpoint, in order.
    pub async fn read_rows(&self, info: FlightInfo) -> Verdict<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let Some(ticket) = endpoint.ticket else { return broken("an endpoint has no ticket") };
            let stream = self.flight().do_get(ticket).await?;
            batches.extend(stream.try_collect::<Vec<_>>().await?);
        }
        Ok(batches)
    }

    /// The rows of `dataset` or `dataset@v1`.
    pub async fn rows(&self, selector: &str) -> Verdict<Vec<RecordBatch>> {
        self.read_rows(self.flight_info(selector).await?).await
    }

    /// Holds if `dataset` or `dataset@v1` has this many rows when read over Flight.
    pub async fn has_rows(&self, selector: &str, expected: u64) -> Verdict {
        let found = row_count(&self.rows(selector).await?);
        require_equal(&format!("rows of {selector}"), &expected, &found)
    }

    /// What gRPC health says about the whole server.
    pub async fn health(&self) -> Verdict<HealthCheckResponse> {
        let request = HealthCheckRequest { service: String::new() };
        Ok(HealthClient::new(self.channel()).check(request).await?.into_inner())
    }

    /// Holds if the hub says that it serves.
    pub async fn is_healthy(&self) -> Verdict {
        let status = self.health().await?.status();
        require(status == ServingStatus::Serving, || format!("health: expected Serving, found {status:?}"))
    }
}

/// Rows of all batches together.
pub fn row_count(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}
