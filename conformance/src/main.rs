//! The command line for third parties: `ukimet-conformance hub URL`, `ukimet-conformance adapter ADDRESS`.

#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use ukimet_conformance::{AdapterOptions, Options, Report, run_adapter, run_hub};
use ukimet_model::{Error, Result};

/// Tests a hub or an adapter of Ukimet Hub from outside, over the wire.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    target: Target,
}

#[derive(Subcommand)]
enum Target {
    /// Tests a hub. It writes datasets of an agency "conformance-<seed>".
    Hub {
        /// Where the hub is, e.g. <http://127.0.0.1:8815>.
        url: String,
        #[command(flatten)]
        run: Run,
    },
    /// Tests an adapter.
    Adapter {
        /// Where the adapter is: a URL, or unix:PATH.
        address: String,
        #[command(flatten)]
        kit: Kit,
        #[command(flatten)]
        run: Run,
    },
}

#[derive(Args)]
struct Kit {
    /// Folder with files of the adapter's own format and samples.toml, which says what is in them.
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
    /// The adapter was told that it may read files below the folder of the samples.
    #[arg(long, requires = "samples")]
    granted: bool,
}

#[derive(Args)]
struct Run {
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only the class of this name.
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Replay a run; by default each run has a seed of its own.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seconds one requirement may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    time_max: u64,
}

impl Run {
    fn options(&self) -> Options {
        Options {
            class: self.class.clone(),
            seed: self.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0),
            requirement_time_max: Duration::from_secs(self.time_max),
        }
    }

    fn write(&self, report: &Report) -> Result<()> {
        if let Some(path) = &self.junit {
            std::fs::write(path, report.to_junit())
                .map_err(|e| Error::unavailable(format!("writing {}", path.display())).caused_by(e))?;
        }
        let text = if self.json { report.to_json() + "\n" } else { report.to_text() };
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|e| Error::unavailable("writing the report to the standard output").caused_by(e))
    }
}

/// Exit codes: 0 everything holds, 1 something does not, 2 the run could not be made.
#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> Result<bool> {
    let (run, report) = match cli.target {
        Target::Hub { url, run } => {
            let report = run_hub(&url, &run.options()).await?;
            (run, report)
        }
        Target::Adapter { address, kit, run } => {
            let more = AdapterOptions { samples: kit.samples, is_granted: kit.granted };
            let report = run_adapter(&address, &run.options(), &more).await?;
            (run, report)
        }
    };
    run.write(&report)?;
    Ok(report.is_success())
}
