//! `ukimet diff`.

mod asking;
pub(super) mod form;
pub(super) mod printing;

use crate::cli::output;
use crate::cli::valid::ValidOptions;
use crate::client::{Client, DEFAULT_HUB};
use crate::diff::{DiffFormat, DiffHeading, PageLimits, PageOptions, RowWords, words};
use crate::filter::WrittenFilter;
use clap::Args;
use form::Form;
use printing::{TABLE_ROWS, print_rest, print_rows, print_summary, row_json, summary_json};
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_model::{BoundingBox, ChangeCounts, Error, Result, RowQuery, VersionSelector};

/// Show what differs between two versions of a dataset: rows added, removed and changed.
///
/// With one version: what it changed since the version before. The ending of the file says the format, as --format does.
#[derive(Args)]
pub struct DiffCommand {
    /// The version that is compared with; alone: the version that is compared with the one before it.
    #[arg(value_name = "DATASET[@VERSION]")]
    from: VersionSelector,
    /// The version that is compared.
    #[arg(value_name = "DATASET[@VERSION]")]
    to: Option<VersionSelector>,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// The form; by default the ending of the file, or a table.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// The file to write; it appears when it is complete. By default standard output, which takes no arrow and parquet.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only rows that share a place with this box before or after, degrees.
    #[arg(long, value_name = "WEST,SOUTH,EAST,NORTH", allow_hyphen_values = true)]
    bbox: Option<BoundingBox>,
    #[command(flatten)]
    valid: ValidOptions,
    /// Only rows for which this was true before or is true after, in CQL2 as text or JSON: "floors >= 5".
    #[arg(long, value_name = "CQL2")]
    filter: Option<WrittenFilter>,
    /// Compare only these columns.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// How many rows at most; a table on the screen has 100 unless told otherwise.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Only the numbers of rows and the columns that differ.
    #[arg(long, conflicts_with_all = ["format", "output", "limit"])]
    summary: bool,
    /// The language of the page: kk, ru or en.
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: String,
    /// How much the page shows.
    #[command(flatten)]
    page: PageLimits,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print the numbers, and what was written, as JSON.
    #[arg(long)]
    json: bool,
}

impl DiffCommand {
    /// Asks and prints or writes.
    pub async fn run(self) -> Result<ExitCode> {
        let format = Form::choose(self.format, self.output.as_deref())?.of_file();
        let is_counted = format.is_none();
        let client = Client::connect(&self.hub).await?;
        let (heading, counts) = self.ask(&client, is_counted).await?;
        match (format, counts) {
            (Some(format), _) => self.write(&client, heading, format).await?,
            (None, Some(counts)) => self.show(&client, &heading, counts).await?,
            (None, None) => return Err(Error::internal("the hub counted no rows")),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn asked(&self) -> Result<RowQuery> {
        Ok(RowQuery {
            columns: self.columns.clone(),
            bbox: self.bbox,
            valid: self.valid.query()?,
            filter: None,
            limit: self.limit,
        })
    }

    async fn show(&self, client: &Client, heading: &DiffHeading, counts: ChangeCounts) -> Result<()> {
        if self.summary {
            if self.json {
                output::document(&summary_json(heading, counts));
            } else {
                print_summary(heading, counts);
            }
            return Ok(());
        }
        let asked = RowQuery { limit: Some(self.limit.unwrap_or(TABLE_ROWS)), ..self.asked()? };
        let mut rows: Vec<RowWords> = Vec::new();
        asking::pull(
            client,
            heading,
            &asked,
            |_| Ok(()),
            |batch| {
                rows.extend(words(&batch)?);
                Ok(())
            },
        )
        .await?;
        if self.json {
            let mut document = summary_json(heading, counts);
            document["rows"] = rows.iter().map(row_json).collect();
            output::document(&document);
            return Ok(());
        }
        print_summary(heading, counts);
        print_rows(heading, &rows);
        print_rest(counts, &rows);
        Ok(())
    }

    async fn write(&self, client: &Client, heading: DiffHeading, format: DiffFormat) -> Result<()> {
        let options = PageOptions { language: self.lang.parse()?, limits: self.page };
        let Some(path) = &self.output else {
            let written = asking::write(client, heading, format, options, None).await?;
            return output::copy(written.file);
        };
        let new = output::NewFile::create(path)?;
        let counts = asking::write(client, heading.clone(), format, options, Some(new.handle()?)).await?.counts;
        new.publish()?;
        if self.json {
            let mut document = summary_json(&heading, counts);
            document["file"] = path.display().to_string().into();
            output::document(&document);
        } else {
            print_summary(&heading, counts);
            output::line(&format!("in {}", path.display()));
        }
        Ok(())
    }
}
