//! The command line for third parties: `ukimet-conformance hub URL`, `ukimet-conformance adapter ADDRESS`.

#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use ukimet_conformance::certify::{self, Terms};
use ukimet_conformance::corpus;
use ukimet_conformance::proxy::{Fault, Proxy, ProxyOptions};
use ukimet_conformance::suite::describe_adapter;
use ukimet_conformance::{AdapterOptions, Options, Report, run_adapter, run_hub};
use ukimet_model::{Error, Result};
use ukimet_proto::signing;

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
    /// Writes files with known defects and a manifest that says for each what must happen.
    Corpus {
        /// Where they are to be; made if it does not exist.
        folder: PathBuf,
        /// Equal seeds give equal files.
        #[arg(long)]
        seed: u64,
        /// How many files at least; each defect is there once or more.
        #[arg(long, default_value_t = 1)]
        count: usize,
    },
    /// Passes on connections and breaks what is answered, e.g. between a hub and its adapter; ends when it is told to.
    Proxy(ProxyFlags),
    /// Makes a key for signing certificates; prints the public one.
    Keygen {
        /// Where the secret key is to be; only its owner may read it.
        file: PathBuf,
    },
    /// Looks at certificates.
    Certificate {
        #[command(subcommand)]
        command: CertificateCommand,
    },
}

#[derive(Subcommand)]
enum CertificateCommand {
    /// Says whether a certificate counts.
    Verify {
        /// The certificate.
        file: PathBuf,
        /// The public key of who should have signed it.
        #[arg(long, value_name = "PUBKEY")]
        authority: String,
    },
}

#[derive(Args)]
struct ProxyFlags {
    /// Where to listen: HOST:PORT or unix:PATH; port 0 takes a free one.
    #[arg(long)]
    listen: String,
    /// Where to pass to: HOST:PORT or unix:PATH.
    #[arg(long)]
    to: String,
    /// What to break.
    #[arg(long, value_enum)]
    fault: Fault,
    /// Where the offsets come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The fault comes behind at least this many answered bytes of each connection.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 10)]
    offset_bytes_min: u64,
    /// And behind at most this many.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10)]
    offset_bytes_max: u64,
    /// How many milliseconds a slow piece of 1 KiB waits.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    pause: u64,
}

impl ProxyFlags {
    async fn run(self) -> Result<()> {
        let options = ProxyOptions {
            listen: self.listen,
            to: self.to,
            fault: self.fault,
            seed: self.seed,
            offset_bytes_min: self.offset_bytes_min,
            offset_bytes_max: self.offset_bytes_max,
            pause: Duration::from_millis(self.pause),
        };
        let proxy = Proxy::bind(options).await?;
        print(&format!("ready {}", proxy.address()))?;
        proxy.run().await;
        Ok(())
    }
}

#[derive(Args)]
struct Kit {
    /// Folder with files of the adapter's own format and samples.toml, which says what is in them.
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
    /// The adapter was told that it may read files below the folder of the samples.
    #[arg(long, requires = "samples")]
    granted: bool,
    /// Folder with a corpus that `ukimet-conformance corpus` made.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Write a certificate if everything holds. Needs samples, and a run of every class.
    #[arg(long, value_name = "FILE", requires = "samples", requires = "key", conflicts_with = "class")]
    certificate: Option<PathBuf>,
    /// The secret key that signs the certificate.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The adapter's program, to which the certificate is bound as well.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// How many days the certificate counts.
    #[arg(long, value_name = "COUNT", default_value_t = 365)]
    valid_days: u32,
}

impl Kit {
    /// Asks, and signs if it is to.
    async fn run(&self, address: &str, run: &Run) -> Result<Report> {
        let options = run.options();
        let more =
            AdapterOptions { samples: self.samples.clone(), corpus: self.corpus.clone(), is_granted: self.granted };
        let (Some(out), Some(key)) = (&self.certificate, &self.key) else {
            return run_adapter(address, &options, &more).await;
        };
        let program_sha256 = self.program.as_deref().map(certify::file_sha256).transpose()?;
        let secret = signing::read_key(key)?;
        let before = describe_adapter(address, &options).await?;
        let report = run_adapter(address, &options, &more).await?;
        if report.is_success() {
            let after = describe_adapter(address, &options).await?;
            let terms = Terms { program_sha256, issued: Timestamp::now(), valid_days: self.valid_days };
            certify::write(&certify::certify(&report, &before, &after, &terms, &secret)?, out)?;
        }
        Ok(report)
    }
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
        if self.json { print(&report.to_json()) } else { print(report.to_text().trim_end()) }
    }
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|e| Error::unavailable("writing to the standard output").caused_by(e))
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
            let report = kit.run(&address, &run).await?;
            (run, report)
        }
        Target::Corpus { folder, seed, count } => {
            let files = corpus::write(&folder, seed, count)?;
            return print(&format!("{files} files in {}", folder.display())).map(|()| true);
        }
        Target::Proxy(flags) => return flags.run().await.map(|()| true),
        Target::Keygen { file } => return print(&signing::make_key(&file)?).map(|()| true),
        Target::Certificate { command: CertificateCommand::Verify { file, authority } } => {
            let certificate = certify::verify(&file, &authority, Timestamp::now())?;
            let subject = &certificate.subject;
            let words = format!("{} {} is certified until {}", subject.adapter, subject.version, certificate.expires);
            return print(&words).map(|()| true);
        }
    };
    run.write(&report)?;
    Ok(report.is_success())
}
