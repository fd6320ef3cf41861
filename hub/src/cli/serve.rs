//! `ukimet serve`.

use crate::cli::output;
use crate::config::Config;
use crate::server::Hub;
use clap::Args;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use ukimet_model::{Error, Result};

/// Serve a catalog: gRPC, Arrow Flight and HTTP on one port.
///
/// Prints one line when it is ready. SIGTERM or Ctrl-C lets running calls end, then stops.
#[derive(Args)]
#[command(args_override_self = true)]
pub struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    /// Serves until told to stop.
    pub async fn run(self) -> Result<ExitCode> {
        let stop = told_to_stop()?;
        let data = self.config.data.display().to_string();
        let store = self.config.store.as_ref().map_or_else(String::new, |store| format!(", store {store}"));
        let hub = Hub::open(self.config).await?;
        output::line(&format!("ukimet is ready on http://{} (data {data}{store})", hub.address));
        hub.serve(stop).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Ends when the process is told to stop.
pub fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|e| Error::internal("listening for signals").caused_by(e));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}
