//! `ukimet report`.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use crate::report::{ReportFormat, ReportTable};
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_model::{Error, Result, Severity, VersionSelector};
use ukimet_proto::v1;

/// Show what became of a push: how the file was read, what was found, what to do next.
///
/// `--format xlsx` gives the refused rows as a sheet to be corrected; `ukimet push --fixes` takes it back.
#[derive(Args)]
pub struct Report {
    /// The dataset, and perhaps its version: the report is on the push that made it.
    #[arg(value_name = "DATASET[@VERSION]")]
    dataset: VersionSelector,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// Another push into the dataset, e.g. one that changed nothing.
    #[arg(long = "push", value_name = "PUSH_ID")]
    id: Option<String>,
    /// The language: kk, ru or en.
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: String,
    /// Only this rule, e.g. geometry.invalid, or group of rules, e.g. geometry.
    #[arg(long)]
    rule: Option<String>,
    /// Only this severity.
    #[arg(long, value_enum)]
    severity: Option<Wanted>,
    /// The form; by default the ending of the file, or text.
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,
    /// Which table a csv or arrow file holds.
    #[arg(long, value_enum, default_value_t)]
    table: ReportTable,
    /// The file to write; it appears when it is complete. By default standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wanted {
    /// Worth knowing.
    Note,
    /// Changed or doubtful.
    Warning,
    /// Refused.
    Error,
}

/// The name of a choice as the hub takes it.
fn name(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Report {
    /// Asks for the report and writes it.
    pub async fn run(self) -> Result<ExitCode> {
        let severity = self.severity.map(|wanted| match wanted {
            Wanted::Note => Severity::Note,
            Wanted::Warning => Severity::Warning,
            Wanted::Error => Severity::Error,
        });
        let request = v1::GetReportRequest {
            dataset: self.dataset.to_string(),
            version: None,
            snapshot: self.snapshot,
            push_id: self.id.clone(),
            format: self.format(),
            language: self.lang.clone(),
            table: name(&self.table),
            rule: self.rule.clone(),
            severity: severity.map_or(0, |severity| v1::Severity::from(severity).into()),
        };
        let client = Client::connect(&self.hub).await?;
        match &self.output {
            None => client.report(request, &mut std::io::stdout().lock()).await?,
            Some(path) => {
                let mut file = output::NewFile::create(path)?;
                client.report(request, &mut file).await?;
                file.publish()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn format(&self) -> String {
        let ending = self.output.as_ref().and_then(|path| path.extension()).map(|e| e.to_string_lossy().to_lowercase());
        let known = ending.filter(|ending| ReportFormat::from_str(ending, false).is_ok());
        self.format.as_ref().map(name).or(known).unwrap_or_else(|| name(&ReportFormat::Text))
    }
}

impl Client {
    /// Writes a report where it is wanted.
    ///
    /// # Errors
    ///
    /// What the hub says; `Unavailable` if nothing can be written there.
    async fn report(&self, request: v1::GetReportRequest, out: &mut impl Write) -> Result<()> {
        let from_status = |status| ukimet_proto::status::from_status(&status);
        let mut parts = self.catalog().get_report(request).await.map_err(from_status)?.into_inner();
        while let Some(part) = parts.message().await.map_err(from_status)? {
            match out.write_all(&part.data) {
                // A reader that has seen enough ends nothing.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|e| Error::unavailable("writing the report failed").caused_by(e))?,
            }
        }
        out.flush().or(Ok(()))
    }
}
