//! Builds every part and binds the listener: the only place that picks concrete types.

use crate::adapters::Adapters;
use crate::api::body::GuardLayer;
use crate::api::catalog::Questions;
use crate::api::flight::{Flight, Sql};
use crate::api::http::{Pages, router};
use crate::api::push::Pushes;
use crate::api::versions::{Operations, collect};
use crate::compacting::compact_now_and_then;
use crate::config::Config;
use crate::coverage::Coverages;
use crate::delta::DeltaLogs;
use crate::download::{DownloadParts, Downloads};
use crate::export::{Export, Receipts};
use crate::ingest::Ingest;
use crate::kept::KeptStreams;
use crate::metrics::Metrics;
use crate::registers::Registers;
use crate::staging::{Room, Staging, StagingLimits};
use crate::usage::Usage;
use arrow_flight::flight_service_server::FlightServiceServer;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use ukimet_catalog::Catalog;
use ukimet_model::{Error, Result, SystemClock};
use ukimet_proto::ipc::IpcLimits;
use ukimet_proto::v1;
use ukimet_proto::v1::catalog_service_server::CatalogServiceServer;
use ukimet_proto::v1::ingest_service_server::IngestServiceServer;
use ukimet_proto::v1::version_service_server::VersionServiceServer;
use ukimet_query::Queries;

/// A hub that listens.
pub struct Hub {
    /// Where it can be reached.
    pub address: SocketAddr,
    catalog: Catalog,
    incoming: TcpIncoming,
    routes: Routes,
    draining: CancellationToken,
    drain_max: Duration,
    health: tonic_health::server::HealthReporter,
    staging: Staging,
    kept: KeptStreams,
    gc_every: Duration,
    store_poll: Duration,
    deltas: Option<DeltaLogs>,
    usage_writer: tokio::task::JoinHandle<()>,
}

/// The folder of what is being received, below the data directory.
const STAGED: &str = "staging";
/// The record of who reads what, in the data directory.
const USAGE: &str = "usage.json";
/// The key that signs receipts of exports, in the data directory unless another is named.
const RECEIPT_KEY: &str = "receipt.key";
/// Streams of one connection at a time.
const STREAMS_MAX: u32 = 100;
/// Largest set of headers of one call, bytes.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Flow-control window of one stream, bytes: what may be on the way unread.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Flow-control window of one connection, bytes.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// How often a silent connection is asked whether it is alive, and how long it may take to answer.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(20);
/// How often pushes that nobody came back for are looked for.
const EXPIRY_EVERY: Duration = Duration::from_mins(10);

impl Hub {
    /// Opens the catalog, starts the adapter, binds the port.
    ///
    /// # Errors
    ///
    /// What the catalog or the adapter says; `Unavailable` if the address is taken.
    pub async fn open(mut config: Config) -> Result<Self> {
        config.check()?;
        config.data = absolute(&config.data)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|e| Error::unavailable(format!("cannot listen on {}", config.listen)).caused_by(e))?;
        let address = listener.local_addr().map_err(|e| Error::internal("asking for the port").caused_by(e))?;
        let catalog = open_catalog(&config).await?;
        let staged = config.data.join(STAGED);
        let adapters = Adapters::open(&config, catalog.scratch_dir()).await?;
        let registers = open_registers(&config, &catalog).await?;
        let limits = StagingLimits {
            bytes_max: config.push_bytes_max,
            durable_every_bytes: config.durable_every_bytes,
            keep: config.staging_keep,
        };
        let staging = Staging::open(staged, limits, room(&catalog, config.disk_reserve))?;
        let room_there = room(&catalog, config.disk_reserve);
        let kept = KeptStreams::new(catalog.scratch_dir().to_owned(), config.kept, room_there);
        // Of what was erased while this hub was away, before anyone is served.
        let (confirming, unfinished, forgetting) = (catalog.clone(), staging.clone(), kept.clone());
        tokio::task::spawn_blocking(move || confirm_erasures(&confirming, &unfinished, &forgetting))
            .await
            .map_err(|e| Error::internal("confirming erasures").caused_by(e))??;
        let draining = CancellationToken::new();
        let (usage, usage_writer) = Usage::open(&config.data.join(USAGE), config.usage, Arc::new(SystemClock));
        let (health, routes) =
            routes(&config, &catalog, (adapters, registers, usage), (staging.clone(), kept.clone()), &draining).await?;
        let recorded = draining.clone().cancelled_owned();
        let usage_writer = tokio::spawn(async move { usage_writer.run(recorded).await });
        let deltas = DeltaLogs::start(&catalog, &config, room(&catalog, config.disk_reserve));
        Ok(Self {
            address,
            catalog,
            incoming: connections(listener),
            routes,
            draining,
            drain_max: config.drain_max,
            health,
            staging,
            kept,
            gc_every: config.gc_every,
            store_poll: config.store_poll,
            deltas,
            usage_writer,
        })
    }

    /// Serves until `stop` ends, then drains: running calls may end within the configured time.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let mut server = Server::builder()
            .accept_http1(true)
            .max_concurrent_streams(STREAMS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER_MAX))
            .layer(GuardLayer);
        let stopping = self.draining.clone();
        let serving =
            server.add_routes(self.routes).serve_with_incoming_shutdown(self.incoming, stopping.cancelled_owned());
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => return ended.map_err(|e| Error::internal("serving").caused_by(e)),
            () = stop => (),
            () = expire(&self.staging) => (),
            () = tidy(&self.catalog, self.gc_every) => (),
            () = follow_others(&self.catalog, (&self.staging, &self.kept), self.store_poll) => (),
            () = Box::pin(compact_now_and_then(&self.catalog)) => (),
        }
        tracing::info!("stopping: running calls may end");
        self.draining.cancel();
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        self.health.set_not_serving::<IngestServiceServer<Pushes>>().await;
        self.health.set_not_serving::<CatalogServiceServer<Questions>>().await;
        self.health.set_not_serving::<FlightServiceServer<Flight>>().await;
        self.health.set_not_serving::<VersionServiceServer<Operations>>().await;
        if tokio::time::timeout(self.drain_max, serving).await.is_err() {
            tracing::warn!("some calls did not end in time and were cut");
        }
        if let Some(deltas) = self.deltas {
            deltas.end().await;
        }
        if let Err(error) = self.usage_writer.await {
            tracing::warn!(%error, "the record of readers was not written");
        }
        tokio::task::spawn_blocking(move || self.catalog.close())
            .await
            .map_err(|e| Error::internal("closing the catalog").caused_by(e))?
    }
}

/// The connections that come in. What is written goes out at once: an answer of several small writes would wait for the
/// client's delayed acknowledgment of the first, 40 ms.
fn connections(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// Drops, now and then, pushes that nobody came back for. Does not end.
async fn expire(staging: &Staging) {
    loop {
        tokio::time::sleep(EXPIRY_EVERY).await;
        let staging = staging.clone();
        match tokio::task::spawn_blocking(move || staging.drop_expired()).await {
            Ok(Ok(0)) => (),
            Ok(Ok(dropped)) => tracing::info!(dropped, "unfinished pushes have expired"),
            Ok(Err(error)) => tracing::warn!(%error, "unfinished pushes were not looked through"),
            Err(error) => tracing::warn!(%error, "unfinished pushes were not looked through"),
        }
    }
}

/// Lets go of what was kept here of rows that were erased, and tells the other hubs on the same store.
fn confirm_erasures(catalog: &Catalog, staging: &Staging, kept: &KeptStreams) -> Result<()> {
    catalog.confirm_erasures(&|dataset| {
        kept.forget(dataset);
        // Bytes of pushes that were cut may hold such rows, and nobody has looked into them.
        staging.drop_unfinished(dataset).map(drop)
    })
}

/// Applies, now and then, what other hubs on the same store have committed. Does not end.
async fn follow_others(catalog: &Catalog, (staging, kept): (&Staging, &KeptStreams), every: Duration) {
    if !catalog.is_shared() {
        return std::future::pending().await;
    }
    let mut is_behind = false;
    loop {
        tokio::time::sleep(every).await;
        let (catalog, staging, kept) = (catalog.clone(), staging.clone(), kept.clone());
        let follow = move || catalog.follow().and_then(|_| confirm_erasures(&catalog, &staging, &kept));
        let followed = tokio::task::spawn_blocking(follow).await;
        let followed = followed.map_err(|e| Error::internal("following other hubs").caused_by(e)).flatten();
        // One line when it begins to fail, one when it is over.
        match &followed {
            Ok(()) if is_behind => tracing::info!("the store answers again"),
            Err(error) if !is_behind => tracing::warn!(%error, "commits of other hubs are not seen"),
            _ => (),
        }
        is_behind = followed.is_err();
    }
}

/// Looks, beside serving, for what a crash left; then removes, now and then, versions that are not kept and files that
/// nobody needs. Does not end.
async fn tidy(catalog: &Catalog, every: Duration) {
    look_after_opening(catalog).await;
    if every.is_zero() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(every).await;
        let catalog = catalog.clone();
        match tokio::task::spawn_blocking(move || collect(&catalog, "hub")).await {
            Ok(Ok(collected)) => {
                let versions: usize = collected.removed.iter().map(|removed| removed.versions.len()).sum();
                if versions > 0 || collected.objects > 0 {
                    let (objects, bytes) = (collected.objects, collected.bytes);
                    tracing::info!(versions, objects, bytes, "what is not kept was removed");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "what is not kept was not removed"),
            Err(error) => tracing::warn!(%error, "what is not kept was not removed"),
        }
    }
}

/// Removes the files that a crash left and names the checkpoints that are damaged: neither may keep anybody waiting.
async fn look_after_opening(catalog: &Catalog) {
    let catalog = catalog.clone();
    let looked = tokio::task::spawn_blocking(move || Ok((catalog.collect_garbage()?, catalog.damaged_checkpoints()?)));
    let looked: Result<Result<_>, _> = looked.await;
    match looked {
        Ok(Ok((collected, damaged))) => {
            let (objects, bytes) = (collected.objects, collected.bytes);
            tracing::info!(objects, bytes, "what the last run left was looked through");
            if !damaged.is_empty() {
                tracing::warn!(?damaged, "checkpoints are damaged; the next ones take their place");
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "what the last run left was not looked through"),
        Err(error) => tracing::warn!(%error, "what the last run left was not looked through"),
    }
}

/// Refuses bytes that would eat into the reserve.
fn room(catalog: &Catalog, reserve_bytes: u64) -> Room {
    let catalog = catalog.clone();
    Arc::new(move |bytes| {
        let free = catalog.free_bytes()?;
        if free >= reserve_bytes.saturating_add(bytes) {
            return Ok(());
        }
        Err(Error::limit_reached(format!(
            "the disk has {free} bytes free, {reserve_bytes} are its reserve and {bytes} were to come; free some space or lower disk-reserve"
        )))
    })
}

/// Makes the folder and answers with its absolute path: the adapter works elsewhere.
fn absolute(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize()).map_err(|e| {
        Error::invalid_request(format!("the data directory {} cannot be used", dir.display())).caused_by(e)
    })
}

async fn open_catalog(config: &Config) -> Result<Catalog> {
    let (dir, options, bucket) = (config.data.clone(), config.catalog_options(), config.bucket()?);
    let open = move || match bucket {
        None => Catalog::open(&dir, options, Arc::new(SystemClock)),
        Some(bucket) => Catalog::open_bucket(&dir, &bucket, options, Arc::new(SystemClock)),
    };
    let catalog =
        tokio::task::spawn_blocking(open).await.map_err(|e| Error::internal("opening the catalog").caused_by(e))??;
    tracing::info!(opening = ?catalog.opening(), "catalog is open");
    Ok(catalog)
}

/// The registers, with a line in the log about what they are.
async fn open_registers(config: &Config, catalog: &Catalog) -> Result<Registers> {
    let registers = Registers::new(config.kato_register.clone(), config.lookup_bytes_max());
    let (asked, snapshot) = (registers.clone(), catalog.snapshot());
    let found = tokio::task::spawn_blocking(move || asked.kato(&snapshot)).await;
    if let Some(register) = found.map_err(|e| Error::internal("reading a register").caused_by(e))?? {
        register.log();
    }
    Ok(registers)
}

async fn routes(
    config: &Config,
    catalog: &Catalog,
    (adapters, registers, usage): (Adapters, Registers, Usage),
    (staging, kept): (Staging, KeptStreams),
    draining: &CancellationToken,
) -> Result<(tonic_health::server::HealthReporter, Routes)> {
    let message_bytes_max = config.message_bytes_max as usize;
    let metrics = Arc::new(Metrics::default());
    let export = Export::new(catalog.clone(), config.exports_max, config.filters(), config.order_bytes_max);
    let coverages = Coverages {
        export: export.clone(),
        adapters: adapters.clone(),
        staged: config.data.join(STAGED),
        staged_name: STAGED.to_owned(),
        scratch: catalog.scratch_dir().to_owned(),
        bytes_max: config.raster_bytes_max,
    };
    let operations =
        Operations { catalog: catalog.clone(), staging: staging.clone(), usage: usage.clone(), kept: kept.clone() };
    let pushes = Pushes {
        staging,
        ingest: Ingest {
            catalog: catalog.clone(),
            adapters,
            ipc_limits: IpcLimits::default(),
            rows_max: config.rows_max,
            lookup_bytes_max: config.lookup_bytes_max(),
            registers,
            fix_rows_max: config.fix_rows_max,
            usage: usage.clone(),
        },
        message_bytes_max: config.message_bytes_max,
        idle_max: config.push_idle_max,
        room: Arc::new(Semaphore::new(config.pushes_max)),
        draining: draining.clone(),
        metrics: Arc::clone(&metrics),
    };
    let sql = Sql {
        queries: Queries::open(catalog.clone(), catalog.scratch_dir(), config.sql.queries())?,
        export: export.clone(),
        metrics: Arc::clone(&metrics),
        usage: usage.clone(),
    };
    let receipt_key = config.receipt_key.clone().unwrap_or_else(|| config.data.join(RECEIPT_KEY));
    let receipts = Receipts::open(export.clone(), &receipt_key, Arc::new(SystemClock))?;
    tracing::info!(key = receipts.public_key(), "receipts of exports are signed");
    let flight = Flight {
        export: export.clone(),
        receipts,
        pushes: pushes.clone(),
        endpoints: config.endpoints,
        metrics: Arc::clone(&metrics),
        usage: usage.clone(),
        sql,
        kept: kept.clone(),
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<IngestServiceServer<Pushes>>().await;
    health.set_serving::<CatalogServiceServer<Questions>>().await;
    health.set_serving::<FlightServiceServer<Flight>>().await;
    health.set_serving::<VersionServiceServer<Operations>>().await;
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let undescribed = |e| Error::internal("describing the services").caused_by(e);
    let reflection = described().build_v1().map_err(undescribed)?;
    // Several clients still ask for the older version.
    let reflection_alpha = described().build_v1alpha().map_err(undescribed)?;
    let parts = DownloadParts {
        export: export.clone(),
        metrics: Arc::clone(&metrics),
        usage: usage.clone(),
        kept,
        scratch: catalog.scratch_dir().to_owned(),
        room: room(catalog, config.disk_reserve),
    };
    let pages = Pages {
        export: export.clone(),
        coverages: coverages.clone(),
        downloads: Downloads::new(parts, config.downloads),
        diff_page: config.diff_page,
        metrics,
        draining: draining.clone(),
    };
    let routes = Routes::from(router(pages))
        .add_service(IngestServiceServer::new(pushes).max_decoding_message_size(message_bytes_max))
        .add_service(CatalogServiceServer::new(Questions { export, coverages }))
        .add_service(VersionServiceServer::new(operations))
        .add_service(FlightServiceServer::new(flight).max_decoding_message_size(message_bytes_max))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha);
    Ok((health, routes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn answers_do_not_wait_for_acknowledgments() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut incoming = connections(listener);
        let _client = TcpStream::connect(incoming.local_addr().expect("bound")).await.expect("connects");
        let connection = incoming.next().await.expect("a connection").expect("accepted");
        assert!(connection.nodelay().expect("an option of every connection"));
    }
}
