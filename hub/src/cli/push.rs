//! `ukimet push`.

use crate::bundle::Bundle;
use crate::cli::mapping::read_mapping;
use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB, PushEvent, PushFile};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_model::{DatasetId, LayerOutcome, LayerSelection, PushOutcome, PushStatus, Result, Severity};
use ukimet_proto::convert::layer_selection_to_wire;
use ukimet_proto::v1;

/// Push a file into a dataset.
///
/// A Shapefile or MapInfo table brings its companion files along; a File Geodatabase may be a folder. Pushing the same content again
/// makes no new version. A push that is cut resumes by itself.
#[derive(Args)]
pub struct Push {
    /// The file.
    file: PathBuf,
    /// The dataset to push into, made if it does not exist.
    #[arg(long, value_name = "AGENCY/NAME")]
    dataset: String,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// The layer to push, if the file has several.
    #[arg(long, value_name = "NAME", conflicts_with = "all_layers")]
    layer: Option<String>,
    /// Push every layer, each into AGENCY/NAME-<layer>.
    #[arg(long)]
    all_layers: bool,
    /// The CRS of the coordinates (EPSG:28413, WKT, PROJJSON), if the file does not say or says it wrongly.
    #[arg(long, value_name = "CRS")]
    crs: Option<String>,
    /// The encoding of the text (windows-1251, KZ-1048, …), if the file does not say or says it wrongly.
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// A mapping file: what the columns become, from this push on. Without it the dataset's own mapping is used.
    #[arg(long, value_name = "FILE", conflicts_with = "no_mapping")]
    mapping: Option<PathBuf>,
    /// Take the columns as the rules find them, from this push on.
    #[arg(long)]
    no_mapping: bool,
    /// Where the data lies: a KATO code (75), an ISO code (KZ-75, KZ), or WEST,SOUTH,EAST,NORTH in degrees. Rows outside
    /// are refused, and a CRS that nobody declares may be inferred.
    #[arg(long, value_name = "REGION", allow_hyphen_values = true)]
    region: Option<String>,
    /// The time zone of times that have none: an IANA name (Asia/Almaty) or a region (KZ-43). They become instants; without
    /// it they stay times without a zone.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How the push changes the dataset.
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    mode: Mode,
    /// A column that makes a row the same row in another version; may be repeated. By default the dataset's own key, and
    /// for a new dataset a column that is named as registers number their rows (id, code, …), if its values do.
    #[arg(long, value_name = "COLUMN")]
    key: Vec<String>,
    /// The column of an upsert that says which rows are deleted (true, 1, d, delete or deleted); it is not published.
    #[arg(long, value_name = "COLUMN")]
    delete_column: Option<String>,
    #[command(flatten)]
    schema: SchemaOptions,
    /// The media type, if the file's name and bytes do not tell.
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// A title in a language; may be repeated.
    #[arg(long, value_name = "LANG=TEXT", value_parser = output::parse_text)]
    title: Vec<(String, String)>,
    /// A description in a language; may be repeated.
    #[arg(long, value_name = "LANG=TEXT", value_parser = output::parse_text)]
    description: Vec<(String, String)>,
    /// A keyword in a language; may be repeated.
    #[arg(long, value_name = "LANG=WORD", value_parser = output::parse_text)]
    keyword: Vec<(String, String)>,
    /// Names this push: repeated with the same id it changes nothing and gives the same answer. By default a new one.
    #[arg(long = "push-id", value_name = "ID")]
    id: Option<String>,
    /// The newest version as you know it, 0 for none: refused if another came first.
    #[arg(long, value_name = "NUMBER")]
    expected_version: Option<u64>,
    /// The file is the corrected sheet of rows that this push refused (see `ukimet report --format xlsx`): only these
    /// rows are read, and come beside the rows that are published.
    #[arg(long, value_name = "PUSH_ID", conflicts_with_all = ["crs", "region", "time_zone", "mapping", "no_mapping", "all_layers"])]
    fixes: Option<String>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// What the push may do to what readers rely on.
#[derive(Args)]
struct SchemaOptions {
    /// Begin a new major: the push may break what readers rely on (types, units and names of columns, the declared key,
    /// the dimension of geometries), and what they read stays as DATASET@1.x. Without it such a push is refused with a
    /// list of what breaks and for whom.
    #[arg(long)]
    new_major: bool,
    /// The column that says from which day or time a row was so in the world; the dataset keeps it.
    #[arg(long, value_name = "COLUMN")]
    valid_from: Option<String>,
    /// The column with the first day or time at which it was so no longer; a row without one still is.
    #[arg(long, value_name = "COLUMN", requires = "valid_from")]
    valid_to: Option<String>,
    /// Only tell what the push would do: what it would change, and what it would break and for whom.
    #[arg(long, conflicts_with = "fixes")]
    dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// The rows are the full new state.
    Replace,
    /// The rows take the place of those with the same key, or are new.
    Upsert,
    /// The rows come beside those that are there.
    Append,
}

impl From<Mode> for v1::PushMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Replace => Self::Replace,
            Mode::Upsert => Self::Upsert,
            Mode::Append => Self::Append,
        }
    }
}

impl Push {
    /// Pushes and prints the outcome.
    pub async fn run(self) -> Result<ExitCode> {
        let (json, dry_run) = (self.json, self.schema.dry_run);
        match self.push().await {
            Ok((outcome, replayed)) => {
                if json {
                    let mut document = outcome_json(&outcome, replayed);
                    document["dry_run"] = json!(dry_run);
                    output::document(&document);
                } else {
                    if dry_run {
                        output::line("nothing was done; the push would be:");
                    }
                    print_outcome(&outcome, replayed);
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                if json {
                    output::document(
                        &json!({ "status": "refused", "layers": [], "error": output::error_json(&error) }),
                    );
                }
                Err(error)
            }
        }
    }

    async fn push(self) -> Result<(PushOutcome, bool)> {
        self.dataset.parse::<DatasetId>()?;
        let bundle = Bundle::of(&self.file)?;
        let client = Client::connect(&self.hub).await?;
        let bar = output::bar(None, "pushing", true);
        let mapping = match &self.mapping {
            Some(file) => Some(read_mapping(file)?),
            None => self.no_mapping.then(String::new),
        };
        let header = v1::PushHeader { mapping, ..self.header(&bundle.file_name) };
        let file = PushFile { header, path: bundle.path.clone() };
        let pushed = client
            .push(&file, |event| match event {
                PushEvent::Sent(bytes, total) => {
                    bar.set_length(total);
                    bar.set_position(bytes);
                }
                PushEvent::Rows(rows) => {
                    bar.set_message("reading rows");
                    bar.set_position(rows);
                }
            })
            .await;
        bar.finish_and_clear();
        pushed
    }

    fn header(&self, file_name: &str) -> v1::PushHeader {
        let layers = match &self.layer {
            Some(name) => LayerSelection::Named(name.clone()),
            None if self.all_layers => LayerSelection::All,
            None => LayerSelection::Only,
        };
        v1::PushHeader {
            push_id: self.id.clone().unwrap_or_else(|| format!("cli-{}", uuid::Uuid::new_v4())),
            dataset: self.dataset.clone(),
            mode: v1::PushMode::from(self.mode).into(),
            key: self.key.clone(),
            delete_column: self.delete_column.clone(),
            file_name: file_name.to_owned(),
            media_type: self.media_type.clone().unwrap_or_default(),
            size_bytes: None,
            crs: self.crs.clone(),
            encoding: self.encoding.clone(),
            layers: layer_selection_to_wire(layers),
            metadata: Some(metadata(&self.title, &self.description, &self.keyword)),
            expected_version: self.expected_version,
            mapping: None,
            fixes: self.fixes.clone(),
            region: self.region.clone(),
            time_zone: self.time_zone.clone(),
            new_major: self.schema.new_major,
            valid_from: self.schema.valid_from.clone().unwrap_or_default(),
            valid_to: self.schema.valid_to.clone().unwrap_or_default(),
            dry_run: self.schema.dry_run,
        }
    }
}

/// Texts by language as a message.
pub fn metadata(
    titles: &[(String, String)],
    descriptions: &[(String, String)],
    keywords: &[(String, String)],
) -> v1::DatasetMetadata {
    let mut by_language: HashMap<String, v1::Keywords> = HashMap::new();
    for (language, word) in keywords {
        by_language.entry(language.clone()).or_default().words.push(word.clone());
    }
    v1::DatasetMetadata {
        title: titles.iter().cloned().collect(),
        description: descriptions.iter().cloned().collect(),
        keywords: by_language,
    }
}

/// The outcome as scripts see it.
pub fn outcome_json(outcome: &PushOutcome, replayed: bool) -> Value {
    let mut value = serde_json::to_value(outcome).expect("an outcome is plain data");
    value["replayed"] = json!(replayed);
    value
}

/// The outcome as people see it.
pub fn print_outcome(outcome: &PushOutcome, replayed: bool) {
    if replayed {
        output::line("this push had ended before; its outcome was:");
    }
    outcome.layers.iter().for_each(print_layer);
}

fn print_layer(layer: &LayerOutcome) {
    let word = match layer.status {
        PushStatus::Published => "published",
        PushStatus::Unchanged => "unchanged",
    };
    let report = &layer.report;
    output::line(&format!(
        "{word} {}@{}{} from layer {} ({})",
        layer.dataset,
        layer.version,
        if layer.major.is_first() { String::new() } else { format!(" (major {})", layer.major) },
        report.layer,
        report.format
    ));
    output::line(&format!("  {}", counts(layer)));
    let source = [("CRS", &report.source_crs), ("encoding", &report.source_encoding)];
    let source: Vec<_> =
        source.iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?))).collect();
    if let Some(key) = &layer.key {
        let how = if key.is_declared { "declared" } else { "found" };
        output::line(&format!("  key {} ({how})", key.columns.join(", ")));
    }
    if !source.is_empty() {
        output::line(&format!("  came in {}", source.join(", ")));
    }
    for diagnostic in &report.diagnostics {
        let word = match diagnostic.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "refused",
        };
        output::line(&format!("  {word}: {} ({}, {}×)", diagnostic.message, diagnostic.rule, diagnostic.count));
    }
}

/// How many rows were taken, mended, left out, and what changed.
fn counts(layer: &LayerOutcome) -> String {
    let report = &layer.report;
    let mut parts = vec![format!(
        "{} rows taken of {} read",
        output::grouped(report.rows_taken),
        output::grouped(report.rows_read)
    )];
    for (count, what) in [(report.rows_repaired, "repaired"), (report.rows_refused, "refused")] {
        if count > 0 {
            parts.push(format!("{} {what}", output::grouped(count)));
        }
    }
    if layer.status == PushStatus::Published && layer.version.0 > 1 {
        let (added, removed) = (output::grouped(layer.rows_added), output::grouped(layer.rows_removed));
        let changed = match &layer.key {
            Some(_) => format!(", {} changed", output::grouped(layer.rows_changed)),
            None => String::new(),
        };
        parts.push(format!("against the version before {added} added, {removed} removed{changed}"));
    }
    if layer.marks_without_row > 0 {
        parts.push(format!("{} marked as deleted that are not there", output::grouped(layer.marks_without_row)));
    }
    parts.join(", ")
}
