//! `ukimet export`.

use crate::cli::output;
use crate::cli::valid::ValidOptions;
use crate::client::{Client, DEFAULT_HUB};
use crate::export::{ExportRequest, RowsDigest};
use crate::files::{FileFormat, FileOptions, FileSubject, Losses, RowFile, Scratch};
use crate::filter::WrittenFilter;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use clap::Args;
use serde_json::json;
use std::cell::RefCell;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ukimet_model::{BoundingBox, Error, OrderColumn, Result, SnapshotId, VersionSelector};
use ukimet_proto::export_receipt::{ExportReceipt, SignedReceipt};
use ukimet_proto::v1;

/// Export a dataset or a part of it into a file.
///
/// The ending of the file says the format: .parquet (GeoParquet), .arrow (Arrow IPC file), .arrows (Arrow IPC stream),
/// .geojson, .ndjson (a GeoJSON feature a line), .csv (geometry as WKT), .fgb (FlatGeobuf), .gpkg (GeoPackage), .shp.zip
/// (Shapefile, with what it has no place for in LOSSES.txt), .xlsx (geometry as WKT), .tif (the dataset's raster, or with
/// --bbox the part of it that the box touches).
///
/// In a .csv, text that a spreadsheet would calculate (it begins with = + - @, a tab or a carriage return) gets an
/// apostrophe before it, unless --raw.
#[derive(Args)]
pub struct ExportCommand {
    /// The dataset, and perhaps its version.
    #[arg(value_name = "DATASET[@VERSION]")]
    dataset: VersionSelector,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// The file to write; it appears when it is complete.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Only rows whose geometry shares a place with this box, degrees.
    #[arg(long, value_name = "WEST,SOUTH,EAST,NORTH", allow_hyphen_values = true)]
    bbox: Option<BoundingBox>,
    #[command(flatten)]
    valid: ValidOptions,
    /// Only rows for which this is true, in CQL2 as text or JSON: "floors >= 5 AND name LIKE 'Абай%'".
    #[arg(long, value_name = "CQL2")]
    filter: Option<WrittenFilter>,
    /// Only these columns, in this order.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Rows ordered by these columns, -NAME from the greatest down; missing values come last.
    #[arg(long, value_name = "NAME,-NAME,…", value_delimiter = ',', allow_hyphen_values = true)]
    order: Option<Vec<OrderColumn>>,
    /// How many rows at most, the first ones in their order.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Get the hub's signed receipt, check the rows against it as they come, and keep it in this file.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// In a .csv, leave text as it is that a spreadsheet would calculate.
    #[arg(long)]
    raw: bool,
    /// Begin a .csv with a byte order mark, by which office programs know UTF-8.
    #[arg(long)]
    bom: bool,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
}

impl ExportCommand {
    /// Pulls the rows over Flight and writes them.
    pub async fn run(self) -> Result<ExitCode> {
        let request = ExportRequest {
            columns: self.columns.clone(),
            bbox: self.bbox,
            filter: self.filter.clone(),
            order: self.order.clone(),
            limit: self.limit,
            snapshot: self.snapshot.map(SnapshotId),
            ..ExportRequest::all(self.dataset.clone())
        };
        let request = request.valid(self.valid.query()?);
        let client = Client::connect(&self.hub).await?;
        let ending = self.output.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| ["tif", "tiff"].contains(&ending.as_str())) {
            return self.raster(&client).await;
        }
        if self.order.is_some() {
            FileFormat::of_file(&self.output.to_string_lossy())?.check_order()?;
        }
        let target = Target { path: &self.output, options: FileOptions { is_raw: self.raw, has_bom: self.bom } };
        let (rows, losses) = match &self.receipt {
            Some(path) => export_with_receipt(&client, &request, target, path).await?,
            None => export(&client, &request, target, None).await?,
        };
        let path = self.output.display();
        if self.json {
            let lost = (!losses.is_empty()).then(|| losses.to_string());
            let dataset = self.dataset.to_string();
            output::document(&json!({ "dataset": dataset, "rows": rows, "file": path.to_string(), "losses": lost }));
        } else {
            output::line(&format!("{} of {} in {path}", output::counted(rows, "row"), self.dataset));
        }
        if !losses.is_empty() {
            output::remark(&format!("the format has no place for all of it: {losses}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ExportCommand {
    /// Writes the dataset's raster, or a part of it.
    async fn raster(&self, client: &Client) -> Result<ExitCode> {
        let is_of_rows = self.filter.is_some() || self.valid.query()?.is_some() || self.receipt.is_some();
        if self.columns.is_some() || self.limit.is_some() || self.order.is_some() || is_of_rows {
            return Err(Error::invalid_request(
                "a raster is exported with --bbox or whole, without --columns, --limit, --order, --filter, valid time and --receipt",
            ));
        }
        let from_status = |status| ukimet_proto::status::from_status(&status);
        let request = v1::GetCoverageRequest {
            dataset: self.dataset.to_string(),
            version: None,
            snapshot: self.snapshot,
            number: 0,
            bbox: self.bbox.map(Into::into),
        };
        let mut file = output::NewFile::create(&self.output)?;
        let mut parts = client.catalog().get_coverage(request).await.map_err(from_status)?.into_inner();
        let mut size_bytes = 0;
        while let Some(part) = parts.message().await.map_err(from_status)? {
            size_bytes += part.data.len() as u64;
            file.write_all(&part.data).map_err(|e| Error::unavailable("writing the raster failed").caused_by(e))?;
        }
        file.publish()?;
        let path = self.output.display();
        if self.json {
            let dataset = self.dataset.to_string();
            output::document(&json!({ "dataset": dataset, "bytes": size_bytes, "file": path.to_string() }));
        } else {
            output::line(&format!("{} bytes of {} in {path}", output::grouped(size_bytes), self.dataset));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The file that rows go into, whose ending says the format.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Where it will be.
    pub path: &'a Path,
    /// What was chosen of its format.
    pub options: FileOptions,
}

/// Exports what a request means, checked against the hub's receipt of it, which is kept beside.
async fn export_with_receipt(
    client: &Client,
    request: &ExportRequest,
    target: Target<'_>,
    kept: &Path,
) -> Result<(u64, Losses)> {
    let mut file = output::NewFile::create(kept)?;
    let signed = SignedReceipt::parse(&client.act("receipt", request.to_json()).await?)?;
    let receipt = signed.verify(&signed.hub)?;
    // The receipt says which version was meant.
    let bound = ExportRequest::from_json(receipt.request.as_bytes())?;
    let written = export(client, &bound, target, Some(receipt)).await?;
    let json = serde_json::to_string_pretty(&signed).map_err(|e| Error::internal("a receipt as JSON").caused_by(e))?;
    writeln!(file, "{json}").map_err(|e| Error::unavailable("writing the receipt failed").caused_by(e))?;
    file.publish()?;
    Ok(written)
}

/// Writes what a request means into a file, which appears when it is complete and, if there is one, as its receipt says;
/// answers with the number of rows and what the format has no place for.
pub async fn export(
    client: &Client,
    request: &ExportRequest,
    Target { path, options }: Target<'_>,
    receipt: Option<&ExportReceipt>,
) -> Result<(u64, Losses)> {
    let new = output::NewFile::create(path)?;
    let (bar, target) = (output::bar(None, "rows", false), new.handle()?);
    let scratch = Scratch::new(new.folder(), u64::MAX);
    // Both closures need it, one after the other.
    let writing: RefCell<Option<Writing>> = RefCell::new(None);
    let begin = |schema: SchemaRef, total: Option<u64>| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        let (name, format) = (request.dataset.name().to_owned(), FileFormat::of_file(&path.to_string_lossy())?);
        let subject = FileSubject { name, schema: SchemaRef::clone(&schema), published_s: None, scratch, options };
        let file = RowFile::begin(format, Box::new(BufWriter::new(target)), &subject)?;
        let digest = RowsDigest::new(&schema);
        *writing.borrow_mut() = Some(Writing { file, schema, digest, is_hashed: receipt.is_some(), rows: 0 });
        Ok(())
    };
    let take = |batch: RecordBatch| {
        let mut writing = writing.borrow_mut();
        let writing = writing.as_mut().expect("the schema comes before the rows");
        writing.write(&batch)?;
        bar.set_position(writing.rows);
        Ok(())
    };
    client.pull(request.to_json(), begin, take).await?;
    bar.finish_and_clear();
    let written = writing.into_inner().expect("a pull that ended well has begun").finish(receipt)?;
    new.publish()?;
    Ok(written)
}

/// A file being written, and the hashes of its rows where they are wanted.
struct Writing {
    file: RowFile,
    schema: SchemaRef,
    digest: RowsDigest,
    is_hashed: bool,
    rows: u64,
}

impl Writing {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if self.is_hashed {
            self.digest.add(batch)?;
        }
        self.file.write(batch)
    }

    /// Completes the file, if it has the rows of the receipt.
    fn finish(self, receipt: Option<&ExportReceipt>) -> Result<(u64, Losses)> {
        if let Some(receipt) = receipt {
            let (rows, columns) = self.digest.finish(&self.schema);
            receipt.check_rows(rows, &columns)?;
        }
        Ok((self.rows, self.file.finish()?))
    }
}
