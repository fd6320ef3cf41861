//! `ukimet renormalize`.

mod difference;

use crate::cli::diff::form::Form;
use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use crate::diff::PageLimits;
use clap::Args;
use difference::{Differing, Shown};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_model::{DatasetId, Error, PushOutcome, PushStatus, Result};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Read the stored bytes of newest versions again, with the rules of today or of another adapter of the hub.
///
/// With --dry-run it only shows what would differ, as `ukimet diff` does between versions; without, each dataset whose rows
/// differ gets a new version. One that cannot be read again is told and does not stop the others.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line, each of its own")]
pub struct Renormalize {
    /// The dataset.
    #[arg(value_name = "AGENCY/NAME", required_unless_present = "all")]
    dataset: Option<DatasetId>,
    /// Every dataset of the catalog.
    #[arg(long, conflicts_with = "dataset")]
    all: bool,
    /// Only show what would differ.
    #[arg(long)]
    dry_run: bool,
    /// Begin a new major where what is read now breaks what readers rely on; otherwise that dataset is left as it is.
    #[arg(long)]
    new_major: bool,
    /// The version of the rules to read with: by the first adapter of the hub that applies them and reads the format, those
    /// of --adapter-beside included. By default the adapter that serves pushes.
    #[arg(long, value_name = "VERSION")]
    rules: Option<String>,
    /// How many changed values to show of each column.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    examples: u32,
    #[command(flatten)]
    shown: ShownOptions,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print the answers as JSON, one line a dataset.
    #[arg(long)]
    json: bool,
}

/// How what would differ is shown.
#[derive(Args)]
struct ShownOptions {
    /// The form of the rows; by default the ending of the file, or a table.
    #[arg(long, value_enum, requires = "dry_run")]
    format: Option<Form>,
    /// The file to write, which appears when it is complete. With --all a folder that gets AGENCY/NAME with the ending of the
    /// format for each dataset whose rows differ.
    #[arg(short, long, value_name = "FILE", requires = "dry_run")]
    output: Option<PathBuf>,
    /// How many rows of a dataset at most; a table on the screen has 100 unless told otherwise.
    #[arg(long, value_name = "COUNT", requires = "dry_run")]
    limit: Option<u64>,
    /// Only the numbers, and the values of --examples.
    #[arg(long, requires = "dry_run", conflicts_with_all = ["format", "output", "limit"])]
    summary: bool,
    /// The language of the page: kk, ru or en.
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: String,
    /// How much the page shows.
    #[command(flatten)]
    page: PageLimits,
}

impl Renormalize {
    /// Asks and prints; fails if a dataset could not be read again.
    pub async fn run(self) -> Result<ExitCode> {
        let shown = self.shown()?;
        let request = v1::RenormalizeRequest {
            dataset: self.dataset.as_ref().map(DatasetId::to_string).unwrap_or_default(),
            rules: self.rules.clone().unwrap_or_default(),
            dry_run: self.dry_run,
            examples: self.examples,
            new_major: self.new_major,
        };
        let mut ingest = Client::connect(&self.hub).await?.ingest();
        let mut answers = ingest.renormalize(request).await.map_err(|status| from_status(&status))?.into_inner();
        let (mut code, mut open) = (ExitCode::SUCCESS, None);
        while let Some(mut answer) = answers.message().await.map_err(|status| from_status(&status))? {
            let result = answer.result.take().ok_or_else(|| Error::invalid_data("the hub sent an empty answer"))?;
            match result {
                Answer::DifferenceBegin(begin) => open = Some(Differing::begin(&answer, begin, &shown)?),
                Answer::DifferenceRows(rows) => open.as_mut().ok_or_else(out_of_order)?.take(&rows)?,
                Answer::Difference(difference) => {
                    open.take().ok_or_else(without_rows)?.end(&answer, &difference)?;
                }
                Answer::Outcome(outcome) => self.tell_outcome(&answer, outcome)?,
                Answer::Failure(why) => {
                    // What had come of a difference is nothing whole.
                    (code, open) = (ExitCode::FAILURE, None);
                    self.tell_failure(&answer, &why);
                }
            }
        }
        if open.is_some() {
            return Err(Error::data_loss("the hub ended in the middle of a difference"));
        }
        Ok(code)
    }

    fn shown(&self) -> Result<Shown> {
        let ShownOptions { format, output, limit, summary, lang, page } = &self.shown;
        let form = match output {
            Some(_) if self.all => format.filter(|form| form.of_file().is_some()).ok_or_else(|| {
                Error::invalid_request(
                    "--format says what the files of -o are: json, ndjson, arrow, parquet, csv or html",
                )
            })?,
            output => Form::choose(*format, output.as_deref())?,
        };
        if self.all && output.is_none() && form.of_file().is_some() {
            return Err(Error::invalid_request(
                "with --all each dataset gets a file of its own: name a folder with -o",
            ));
        }
        Ok(Shown {
            format: form.of_file(),
            output: output.clone(),
            is_folder: self.all,
            limit: *limit,
            has_rows: !summary,
            language: lang.parse()?,
            page: *page,
            json: self.json,
        })
    }

    fn tell_outcome(&self, of: &v1::RenormalizeResponse, outcome: v1::PushOutcome) -> Result<()> {
        let replayed = outcome.replayed;
        let outcome = PushOutcome::try_from(outcome)?;
        if self.json {
            output::line(&json_of(of, &super::push::outcome_json(&outcome, replayed)).to_string());
            return Ok(());
        }
        let word = if outcome.status == PushStatus::Published { "new version" } else { "unchanged" };
        let version = outcome.layers.first().map_or_else(String::new, |layer| format!(" {}", layer.version));
        output::line(&format!("{}: {word}{version}", name_of(of)));
        Ok(())
    }

    fn tell_failure(&self, of: &v1::RenormalizeResponse, why: &str) {
        if self.json {
            output::line(&json_of(of, &json!({ "failure": why })).to_string());
        } else {
            output::line(&format!("{}: not read again: {why}", name_of(of)));
        }
    }
}

/// The dataset, and the version that was meant if it was found.
fn name_of(answer: &v1::RenormalizeResponse) -> String {
    match answer.version {
        0 => answer.dataset.clone(),
        version => format!("{}@v{version}", answer.dataset),
    }
}

fn out_of_order() -> Error {
    Error::invalid_data("the hub sent a part of a difference before its beginning")
}

fn without_rows() -> Error {
    Error::conflict(
        "the hub is older than this ukimet: it tells what would differ in numbers only; ask it with the ukimet of its version",
    )
}

fn json_of(answer: &v1::RenormalizeResponse, result: &Value) -> Value {
    json!({
        "dataset": answer.dataset,
        "version": (answer.version > 0).then_some(answer.version),
        "rules_before": answer.rules_before,
        "rules_now": answer.rules_now,
        "result": result,
    })
}
