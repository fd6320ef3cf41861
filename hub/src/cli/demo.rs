//! `ukimet demo`.

use crate::bundle::Bundle;
use crate::cli::export::{Target, export};
use crate::cli::push::{metadata, print_outcome};
use crate::cli::search::{print_datasets, search};
use crate::cli::{output, serve};
use crate::client::{Client, PushFile};
use crate::config::Config;
use crate::export::ExportRequest;
use crate::files::FileOptions;
use crate::server::Hub;
use clap::{Args, Parser};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ukimet_model::{BoundingBox, DatasetId, Error, Result};
use ukimet_proto::v1;
use ukimet_proto::v1::layer_selection::Selection;

/// Show the hub at work: start one, push real files, search, export, read back.
#[derive(Args)]
pub struct Demo {
    /// End when it is done; otherwise the hub goes on serving until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// The folder with the files and the list of them, demo.json.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    files: PathBuf,
}

/// One entry of demo.json: what to push and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: PathBuf,
    dataset: DatasetId,
    layer: Option<String>,
    #[serde(default)]
    all_layers: bool,
    crs: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    title: BTreeMap<String, String>,
    #[serde(default)]
    keywords: BTreeMap<String, Vec<String>>,
}

/// The settings of a hub as its own command line would read them.
#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// A box around Almaty, degrees.
const ALMATY: &str = "76.7,43.1,77.2,43.4";

impl Demo {
    /// Runs the demo.
    pub async fn run(self) -> Result<ExitCode> {
        let list = self.files.join("demo.json");
        let text = std::fs::read(&list).map_err(|e| {
            Error::invalid_request(format!("{} cannot be read ({e}); name the folder with --files", list.display()))
        })?;
        let entries: Vec<Entry> = serde_json::from_slice(&text)
            .map_err(|e| Error::invalid_data(format!("{} is not a list of files to push: {e}", list.display())))?;
        let stop = serve::told_to_stop()?;
        let dir = tempfile::tempdir().map_err(|e| Error::internal("making a temporary folder").caused_by(e))?;
        let hub = Hub::open(settings(&dir.path().join("data"))?).await?;
        let url = format!("http://{}", hub.address);
        output::line(&format!("a hub is ready on {url}, its catalog in a temporary folder\n"));
        let client = Client::connect(&url).await?;
        let shown = async {
            self.show(&client, &entries, dir.path()).await?;
            if !self.exit {
                output::line(&format!("\nthe hub goes on serving on {url}; Ctrl-C ends it"));
                stop.await;
            }
            Ok(())
        };
        // The demo's end is what stops its hub; how it ended is told afterwards.
        let mut ended = Ok(());
        Box::pin(hub.serve(async { ended = shown.await })).await?;
        ended.map(|()| ExitCode::SUCCESS)
    }

    async fn show(&self, client: &Client, entries: &[Entry], dir: &Path) -> Result<()> {
        for entry in entries {
            self.push(client, entry).await?;
        }
        output::line("\nthe catalog:");
        print_datasets(&search(client, v1::SearchRequest { limit: 100, ..v1::SearchRequest::default() }).await?);
        for (language, words) in [("Kazakh", "мектеп"), ("Russian", "районы области")] {
            output::line(&format!("\na search in {language}: {words}"));
            let request = v1::SearchRequest { text: words.to_owned(), limit: 20, ..v1::SearchRequest::default() };
            let found = search(client, request).await?;
            print_datasets(&found);
            if found.total == 0 {
                return Err(Error::internal(format!("the search for {words} found nothing")));
            }
        }
        let dataset = &entries.first().ok_or_else(|| Error::invalid_data("demo.json lists no files"))?.dataset;
        export_and_read_back(client, dataset, &dir.join("almaty.parquet")).await
    }

    async fn push(&self, client: &Client, entry: &Entry) -> Result<()> {
        let bundle = Bundle::of(&self.files.join(&entry.file))?;
        let titles: Vec<_> = entry.title.clone().into_iter().collect();
        let keywords: Vec<_> =
            entry.keywords.iter().flat_map(|(l, words)| words.iter().map(move |w| (l.clone(), w.clone()))).collect();
        let selection = match &entry.layer {
            Some(layer) => Some(Selection::Name(layer.clone())),
            None => entry.all_layers.then_some(Selection::All(true)),
        };
        let header = v1::PushHeader {
            push_id: format!("demo-{}", entry.dataset),
            dataset: entry.dataset.to_string(),
            file_name: bundle.file_name.clone(),
            crs: entry.crs.clone(),
            encoding: entry.encoding.clone(),
            layers: selection.map(|selection| v1::LayerSelection { selection: Some(selection) }),
            metadata: Some(metadata(&titles, &[], &keywords)),
            ..v1::PushHeader::default()
        };
        let file = PushFile { header, path: bundle.path.clone() };
        let (outcome, replayed) = client.push(&file, |_| ()).await.map_err(|e| e.context(entry.file.display()))?;
        print_outcome(&outcome, replayed);
        Ok(())
    }
}

fn settings(data: &Path) -> Result<Config> {
    let arguments =
        ["demo", "--listen", "127.0.0.1:0", "--disk-reserve", "64MiB", "--data"].map(std::ffi::OsString::from);
    Settings::try_parse_from(arguments.into_iter().chain([data.as_os_str().to_owned()]))
        .map(|settings| settings.config)
        .map_err(|e| Error::internal("setting up the demo's hub").caused_by(e))
}

/// Exports a window and counts the rows that are in the file.
async fn export_and_read_back(client: &Client, dataset: &DatasetId, path: &Path) -> Result<()> {
    let bbox: BoundingBox = ALMATY.parse()?;
    let selector = ukimet_model::VersionSelector { dataset: dataset.clone(), version: None };
    let request = ExportRequest { bbox: Some(bbox), ..ExportRequest::all(selector) };
    let target = Target { path, options: FileOptions::default() };
    let (rows, _) = export(client, &request, target, None).await?;
    let file = File::open(path).map_err(|e| Error::internal("opening the export").caused_by(e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| Error::invalid_data("reading the export back").caused_by(e))?;
    let mut read_back = 0;
    for batch in reader {
        read_back += batch.map_err(|e| Error::invalid_data("reading the export back").caused_by(e))?.num_rows() as u64;
    }
    output::line(&format!(
        "\nexported {dataset} within {ALMATY}: {rows} rows sent, {read_back} read back from GeoParquet"
    ));
    if rows == 0 || rows != read_back {
        return Err(Error::internal("the export and the file differ"));
    }
    Ok(())
}
