//! The adapter process: flags, then what it takes from itself, then serve.
#![forbid(unsafe_code)]

mod flags;

use clap::Parser;
use flags::Flags;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use ukimet_adapter_gdal::{GdalAdapter, installed_files, prepare_libraries};
use ukimet_adapter_sdk::{BoundListen, Confined, Confinement, Layer, ServeConfig, Server};
use ukimet_model::{Error, Result};

/// How often the parent is looked for.
const PARENT_CHECK: Duration = Duration::from_millis(250);

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

fn run(mut flags: Flags) -> Result<()> {
    let no_database = flags.scratch.join("no-proj-data");
    let scratch = std::fs::create_dir_all(&no_database).and_then(|()| flags.scratch.canonicalize());
    flags.scratch = scratch.map_err(|e| Error::unavailable("the scratch folder could not be made").caused_by(e))?;
    prepare_libraries(&no_database, &flags.scratch);
    flags.resources().set()?;
    // The address is outside of what a confined process reaches, and threads would not be confined.
    let bound = flags.listen.bind()?;
    let confined = confine(&flags)?;
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
    let served = runtime.block_on(serve(flags, bound, confined));
    // A job that hangs inside a library must not keep the process.
    runtime.shutdown_background();
    served
}

/// Keeps the scratch folder, what was granted, and what the libraries read; nothing else.
fn confine(flags: &Flags) -> Result<Confined> {
    let mut readable = installed_files();
    readable.extend(flags.grant.iter().chain(&flags.grids).cloned());
    let writable: Vec<PathBuf> = vec![flags.scratch.clone()];
    let confined = Confinement { readable, writable, layers: Layer::ALL.to_vec() }.apply(flags.confine)?;
    if !confined.missing.is_empty() {
        tracing::warn!(missing = ?confined.missing, "this process is not confined in full");
    }
    Ok(confined)
}

async fn serve(flags: Flags, bound: BoundListen, confined: Confined) -> Result<()> {
    let adapter = GdalAdapter::new(flags.scratch.clone(), flags.read_limits())?.with_rules(flags.rules()?);
    let adapter = Arc::new(adapter);
    let limits = flags.serve_limits();
    let config = ServeConfig {
        listen: flags.listen,
        scratch: flags.scratch,
        granted: flags.grant,
        single_job: flags.single_job,
        confined,
        limits,
    };
    let server = Server::on(bound, adapter, config)?;
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
