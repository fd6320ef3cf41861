//! The adapter process: flags, limits of the operating system, then serve.
#![forbid(unsafe_code)]

use clap::Parser;
use rlimit::Resource;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use ukimet_adapter_gdal::{GdalAdapter, ReadLimits, part_coordinate_libraries};
use ukimet_adapter_sdk::{Listen, ServeConfig, ServeLimits, Server};
use ukimet_model::{Error, Result};

/// How often the parent is looked for.
const PARENT_CHECK: Duration = Duration::from_millis(250);

/// Reads geodata for Ukimet Hub: files in, normalized rows out, over gRPC.
///
/// Prints one line when it is ready: `ready ADDRESS`.
#[derive(Debug, Parser)]
#[command(name = "ukimet-adapter-gdal", version)]
struct Flags {
    /// Where to listen: unix:PATH, or 127.0.0.1:PORT (0 for a free one).
    #[arg(long, value_name = "ADDRESS")]
    listen: Listen,
    /// Folder for scratch files.
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    /// Folder below which a client may name files by path; without it, bytes only.
    #[arg(long, value_name = "DIR")]
    grant: Option<PathBuf>,
    /// End when the first job is over.
    #[arg(long)]
    single_job: bool,
    /// Go on when the process that started this one is gone; else it ends with it.
    #[arg(long)]
    detached: bool,
    /// Address space of the process.
    #[arg(long, default_value_t = 4 << 30, value_name = "BYTES")]
    memory_bytes: u64,
    /// Processor time of the process; 0 for any.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    cpu_seconds: u64,
    /// Size of a scratch file.
    #[arg(long, default_value_t = 8 << 30, value_name = "BYTES")]
    file_bytes: u64,
    /// Open files and connections.
    #[arg(long, default_value_t = 256, value_name = "COUNT")]
    open_files: u64,
    /// Time that a job may take.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    wall_seconds: u64,
    /// Jobs at a time.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    jobs: usize,
    /// Size of an asset.
    #[arg(long, default_value_t = 8 << 30, value_name = "BYTES")]
    asset_bytes: u64,
    /// Bytes that an archive may unpack to.
    #[arg(long, default_value_t = ReadLimits::default().unpacked_bytes_max, value_name = "BYTES")]
    unpacked_bytes: u64,
    /// Unpacked bytes for each packed byte of an archive.
    #[arg(long, default_value_t = ReadLimits::default().unpack_ratio_max, value_name = "RATIO")]
    unpack_ratio: u64,
    /// Members of an archive.
    #[arg(long, default_value_t = ReadLimits::default().archive_members_max, value_name = "COUNT")]
    archive_members: usize,
    /// Layers of an asset.
    #[arg(long, default_value_t = ReadLimits::default().layers_max, value_name = "COUNT")]
    layers_max: usize,
    /// Columns of a layer.
    #[arg(long, default_value_t = ReadLimits::default().fields_max, value_name = "COUNT")]
    fields_max: usize,
    /// Positions of all geometries of a layer.
    #[arg(long, default_value_t = ReadLimits::default().vertices_max, value_name = "COUNT")]
    vertices_max: u64,
    /// Rows of a layer.
    #[arg(long, default_value_t = ReadLimits::default().rows_max, value_name = "COUNT")]
    rows_max: u64,
    /// Values of a raster: pixels of all bands.
    #[arg(long, default_value_t = ReadLimits::default().raster_values_max, value_name = "COUNT")]
    raster_values_max: u64,
    /// Bands of a raster.
    #[arg(long, default_value_t = ReadLimits::default().raster_bands_max, value_name = "COUNT")]
    raster_bands_max: usize,
    /// Bytes of a tile or strip of a raster, unpacked.
    #[arg(long, default_value_t = ReadLimits::default().raster_block_bytes_max, value_name = "BYTES")]
    raster_block_bytes: u64,
    /// Bytes of a raster as it is kept.
    #[arg(long, default_value_t = ReadLimits::default().raster_bytes_max, value_name = "BYTES")]
    raster_bytes: u64,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<()> {
    let no_database = flags.scratch.join("no-proj-data");
    std::fs::create_dir_all(&no_database)
        .map_err(|error| Error::unavailable("the scratch folder could not be made").caused_by(error))?;
    part_coordinate_libraries(&no_database);
    limit_process(&flags)?;
    if !flags.detached {
        end_with_parent();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Deep files make deep stacks in the libraries that read them.
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable("the runtime could not be started").caused_by(error))?;
    let served = runtime.block_on(serve(flags));
    // A job that hangs inside a library must not keep the process.
    runtime.shutdown_background();
    served
}

async fn serve(flags: Flags) -> Result<()> {
    let limits = ReadLimits {
        unpacked_bytes_max: flags.unpacked_bytes,
        unpack_ratio_max: flags.unpack_ratio.max(1),
        archive_members_max: flags.archive_members,
        layers_max: flags.layers_max,
        fields_max: flags.fields_max,
        vertices_max: flags.vertices_max,
        rows_max: flags.rows_max,
        raster_values_max: flags.raster_values_max,
        raster_bands_max: flags.raster_bands_max,
        raster_block_bytes_max: flags.raster_block_bytes,
        raster_bytes_max: flags.raster_bytes,
    };
    let adapter = Arc::new(GdalAdapter::new(flags.scratch.clone(), limits)?);
    let config = ServeConfig {
        listen: flags.listen,
        scratch: flags.scratch,
        granted: flags.grant,
        single_job: flags.single_job,
        limits: ServeLimits {
            asset_bytes_max: flags.asset_bytes,
            jobs_max: if flags.single_job { 1 } else { flags.jobs },
            wall_max: Duration::from_secs(flags.wall_seconds),
            ..ServeLimits::default()
        },
    };
    let server = Server::bind(adapter, config).await?;
    announce(&server.address())?;
    server.run(stopped()).await
}

/// The only line on standard output: whoever started the process waits for it.
fn announce(address: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {address}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::unavailable("the ready line could not be written").caused_by(error))
}

async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => (),
                _ = terminate.recv() => (),
            }
        }
        Err(_) => drop(interrupt.await),
    }
}

/// Limits that hold whatever a library does.
fn limit_process(flags: &Flags) -> Result<()> {
    let limits = [
        (Resource::AS, flags.memory_bytes),
        (Resource::FSIZE, flags.file_bytes),
        (Resource::NOFILE, flags.open_files),
        (Resource::CORE, 0),
        (Resource::CPU, if flags.cpu_seconds == 0 { u64::MAX } else { flags.cpu_seconds }),
    ];
    for (resource, limit) in limits {
        let hard = resource.get_hard().unwrap_or(u64::MAX);
        let limit = limit.min(hard);
        resource
            .set(limit, limit)
            .map_err(|error| Error::unavailable(format!("the limit {resource:?} could not be set")).caused_by(error))?;
    }
    Ok(())
}

/// Ends this process when its parent has ended, however that happened.
///
/// Looking at the parent's id works from whichever thread of the parent the process was started; the kernel's own
/// signal comes when that one thread ends.
fn end_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(PARENT_CHECK);
        }
        std::process::abort();
    });
}
