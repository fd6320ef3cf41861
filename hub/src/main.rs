//! `ukimet`: the hub and its command line.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::time::Duration;
use ukimet_catalog::DirectoryInUse;
use ukimet_hub::cli;
use ukimet_model::{Error, ErrorKind, Result};

/// Gives back what a push or an export needed. The C library's keeps it in an arena for each thread: after seven pushes of a million
/// parcels 530 MB, with this 60 to 130.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Ukimet Hub: agencies push datasets, analysts pull Arrow, every version is kept.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<cli::serve::Serve>),
    Push(Box<cli::push::Push>),
    Search(cli::search::Search),
    Describe(cli::describe::Describe),
    Versions(cli::versions::Versions),
    Tag(cli::tag::TagCommand),
    Note(cli::note::NoteCommand),
    Rollback(cli::rollback::Rollback),
    Retention(cli::retention::Retention),
    Compact(cli::compact::Compact),
    Erase(cli::erase::Erase),
    ForgetNode(cli::forget_node::ForgetNode),
    Gc(cli::gc::Gc),
    Diff(cli::diff::DiffCommand),
    Report(cli::report::Report),
    Export(cli::export::ExportCommand),
    CheckReceipt(cli::check_receipt::CheckReceiptCommand),
    Mapping(cli::mapping::MappingCommand),
    Renormalize(cli::renormalize::Renormalize),
    Verify(cli::verify::Verify),
    Backup(cli::backup::Backup),
    Restore(cli::restore::Restore),
    Demo(cli::demo::Demo),
}

/// How long the program waits at its end for work that was given up.
const STRAGGLERS_MAX: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    keep_log(&command);
    let ended = tokio::runtime::Runtime::new()
        .map_err(|e| ukimet_model::Error::internal("starting the runtime").caused_by(e))
        .and_then(|runtime| {
            let ended = runtime.block_on(run(command));
            // Work that was given up may still be on a thread; it commits nothing any more.
            runtime.shutdown_timeout(STRAGGLERS_MAX);
            ended
        });
    match ended {
        Ok(code) => code,
        Err(error) => {
            cli::output::error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// As the command line documents them.
fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        _ if error.has_cause::<DirectoryInUse>() => 4,
        ErrorKind::Unavailable => 3,
        _ => 1,
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(serve) => serve.run().await,
        Command::Push(push) => push.run().await,
        Command::Search(search) => search.run().await,
        Command::Describe(describe) => describe.run().await,
        Command::Versions(versions) => versions.run().await,
        Command::Tag(tag) => tag.run().await,
        Command::Note(note) => note.run().await,
        Command::Rollback(rollback) => rollback.run().await,
        Command::Retention(retention) => retention.run().await,
        Command::Compact(compact) => compact.run().await,
        Command::Erase(erase) => erase.run().await,
        Command::ForgetNode(forget) => forget.run(),
        Command::Gc(gc) => gc.run().await,
        Command::Diff(diff) => diff.run().await,
        Command::Report(report) => report.run().await,
        Command::Export(export) => export.run().await,
        Command::CheckReceipt(check) => check.run(),
        Command::Mapping(mapping) => mapping.run().await,
        Command::Renormalize(renormalize) => renormalize.run().await,
        Command::Verify(verify) => verify.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Demo(demo) => Box::pin(demo.run()).await,
    }
}

/// The log goes to standard error; `RUST_LOG` says how much. Only a server talks unasked.
fn keep_log(command: &Command) {
    let default = if matches!(command, Command::Serve(_)) { "info,tantivy=warn" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
