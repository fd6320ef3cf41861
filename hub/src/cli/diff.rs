//! `ukimet diff`.

mod asking;

use crate::cli::output;
use crate::cli::valid::ValidOptions;
use crate::client::{Client, DEFAULT_HUB};
use crate::diff::{DiffFormat, DiffHeading, PageLimits, PageOptions, RowWords, words};
use crate::report::shown::shown;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
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

/// A table for people, or a file.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Form {
    /// Lines for people.
    Table,
    /// `GeoJSON`.
    Json,
    /// `GeoJSON`, a feature a line.
    Ndjson,
    /// Arrow IPC.
    Arrow,
    /// `GeoParquet`.
    Parquet,
    /// Comma-separated values, geometries as WKT.
    Csv,
    /// One page with a map and a table.
    Html,
}

impl Form {
    /// The format of a file; `None` for the table.
    fn of_file(self) -> Option<DiffFormat> {
        Some(match self {
            Self::Table => return None,
            Self::Json => DiffFormat::Json,
            Self::Ndjson => DiffFormat::Ndjson,
            Self::Arrow => DiffFormat::Arrow,
            Self::Parquet => DiffFormat::Parquet,
            Self::Csv => DiffFormat::Csv,
            Self::Html => DiffFormat::Html,
        })
    }
}

/// Rows of a table on the screen unless told otherwise.
const TABLE_ROWS: u64 = 100;
/// Longest cell of a table, characters.
const CELL_CHARACTERS_MAX: usize = 120;

impl DiffCommand {
    /// Asks and prints or writes.
    pub async fn run(self) -> Result<ExitCode> {
        let format = self.form()?.of_file();
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

    /// # Errors
    ///
    /// `InvalidRequest` if the form is no text and there is no file for it, or a table is to be a file.
    fn form(&self) -> Result<Form> {
        let ending = self.output.as_deref().and_then(Path::extension).map(|e| e.to_string_lossy().to_lowercase());
        let known = ending.and_then(|ending| Form::from_str(&ending.replace("geojson", "json"), false).ok());
        match (self.format.or(known), &self.output) {
            (Some(Form::Table), Some(_)) => Err(Error::invalid_request(
                "a table is for the screen; write json, ndjson, arrow, parquet, csv or html",
            )),
            (None, Some(path)) => Err(Error::invalid_request(format!(
                "the file's ending says the format: .json, .ndjson, .arrow, .parquet, .csv or .html, found {}",
                path.display()
            ))),
            (Some(form @ (Form::Arrow | Form::Parquet)), None) => {
                Err(Error::invalid_request(format!("{form:?} is no text: name a file with -o").to_lowercase()))
            }
            (form, _) => Ok(form.unwrap_or(Form::Table)),
        }
    }

    fn asked(&self) -> Result<RowQuery> {
        Ok(RowQuery { columns: self.columns.clone(), bbox: self.bbox, valid: self.valid.query()?, limit: self.limit })
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
        if let Some(more @ 1..) = counts.rows().checked_sub(rows.len() as u64) {
            output::line(&format!("and {}; see them with --limit or -o FILE", output::counted(more, "more row")));
        }
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

fn print_summary(heading: &DiffHeading, counts: ChangeCounts) {
    let ChangeCounts { added, removed, changed } = counts;
    let [added, removed, changed] = [added, removed, changed].map(output::grouped);
    let DiffHeading { dataset, from, to, key, .. } = heading;
    let key = if key.is_empty() { "no common key".to_owned() } else { format!("key {}", key.join(", ")) };
    output::line(&format!(
        "{dataset} {} → {}: {added} added, {removed} removed, {changed} changed ({key})",
        from.0, to.0
    ));
    for change in &heading.columns {
        output::line(&format!("column {change}"));
    }
}

fn print_rows(heading: &DiffHeading, rows: &[RowWords]) {
    if rows.is_empty() {
        return;
    }
    let key = if heading.key.is_empty() { "key".to_owned() } else { heading.key.join(", ") };
    let header = ["operation", &key, "values", "moved", "area change"];
    let lines: Vec<Vec<String>> = rows.iter().map(row).collect();
    // A column that says nothing is left out.
    let is_said = |column: &usize| lines.iter().any(|line| !line[*column].is_empty());
    let columns: Vec<usize> = (0..header.len()).filter(is_said).collect();
    let header: Vec<&str> = columns.iter().map(|column| header[*column]).collect();
    let lines: Vec<Vec<String>> =
        lines.iter().map(|line| columns.iter().map(|column| line[*column].clone()).collect()).collect();
    output::table(&header, &lines);
}

fn row(row: &RowWords) -> Vec<String> {
    vec![
        row.operation.name().to_owned(),
        shown(&row.key, CELL_CHARACTERS_MAX),
        shown(&row.cells_shown().join("; "), CELL_CHARACTERS_MAX),
        row.distance_m.map_or_else(String::new, |metres| format!("{metres:.1} m")),
        row.area_change_m2.filter(|area| *area != 0.0).map_or_else(String::new, |area| format!("{area:+.1} m²")),
    ]
}

fn row_json(row: &RowWords) -> Value {
    let cells = row.cells.iter().map(|cell| match &cell.values {
        Some([before, after]) => json!({ "column": cell.column, "before": before, "after": after }),
        None => json!({ "column": cell.column }),
    });
    json!({
        "operation": row.operation.name(),
        "key": row.key,
        "values": cells.collect::<Vec<_>>(),
        "distance_m": row.distance_m,
        "area_change_m2": row.area_change_m2,
    })
}

fn summary_json(heading: &DiffHeading, counts: ChangeCounts) -> Value {
    let columns = heading
        .columns
        .iter()
        .map(|change| json!({ "name": change.name, "type_before": change.before, "type_after": change.after }));
    json!({
        "dataset": heading.dataset,
        "from": heading.from.0,
        "to": heading.to.0,
        "key": heading.key,
        "columns": columns.collect::<Vec<_>>(),
        "added": counts.added,
        "removed": counts.removed,
        "changed": counts.changed,
    })
}
