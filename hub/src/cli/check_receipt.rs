//! `ukimet check-receipt`.

use crate::cli::output;
use crate::export::RowsDigest;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use clap::Args;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_proto::export_receipt::SignedReceipt;

/// Check the receipt of an export: who signed it, and whether a file has its rows.
///
/// Needs no hub. `ukimet export --receipt` keeps receipts; the public key of a hub is in its log, and its action receipt-key says it.
#[derive(Args)]
pub struct CheckReceiptCommand {
    /// The receipt.
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// The rows: a file that was exported with it, .parquet or .arrow.
    #[arg(value_name = "FILE")]
    rows: Option<PathBuf>,
    /// The public key of the hub that must have signed it; without it only that the signature fits is checked.
    #[arg(long, value_name = "HEX")]
    hub_key: Option<String>,
    /// Print the receipt as JSON.
    #[arg(long)]
    json: bool,
}

impl CheckReceiptCommand {
    /// Checks the receipt, then the rows.
    pub fn run(&self) -> Result<ExitCode> {
        let bytes = std::fs::read(&self.receipt).map_err(|e| unreadable(&self.receipt, e))?;
        let signed = SignedReceipt::parse(&bytes).map_err(|e| e.context(self.receipt.display().to_string()))?;
        let receipt = signed.verify(self.hub_key.as_deref().unwrap_or(&signed.hub))?;
        if let Some(path) = &self.rows {
            let (rows, columns) = digest_of(path)?;
            receipt.check_rows(rows, &columns).map_err(|e| e.context(path.display().to_string()))?;
        }
        if self.json {
            output::document(&json!({ "receipt": receipt, "hub": signed.hub, "file": self.rows }));
            return Ok(ExitCode::SUCCESS);
        }
        let rows = output::counted(receipt.rows, "row");
        output::line(&format!("{rows} of {}@{}, issued {}", receipt.dataset, receipt.version, receipt.issued));
        output::line(&format!("asked for: {}", receipt.request));
        output::line(&format!("signed by {}", signed.hub));
        if let Some(path) = &self.rows {
            output::line(&format!("{} has these rows", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

type Digests = (u64, Vec<ukimet_proto::export_receipt::ColumnDigest>);

fn digest_of(path: &Path) -> Result<Digests> {
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    match path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).as_deref() {
        Some("parquet") => {
            let failed = |e: parquet::errors::ParquetError| unreadable(path, e);
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?.build().map_err(failed)?;
            digest(&arrow_array::RecordBatchReader::schema(&reader), reader, path)
        }
        Some("arrow") => {
            let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(file), None);
            let reader = reader.map_err(|e| unreadable(path, e))?;
            digest(&reader.schema(), reader, path)
        }
        found => Err(Error::invalid_request(format!(
            "the rows of a receipt are in a file .parquet or .arrow, found {}",
            quoted(found.unwrap_or_default())
        ))),
    }
}

fn digest(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    path: &Path,
) -> Result<Digests> {
    let mut digest = RowsDigest::new(schema);
    for batch in batches {
        digest.add(&batch.map_err(|e| unreadable(path, e))?)?;
    }
    Ok(digest.finish(schema))
}

fn unreadable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid_request(format!("{} cannot be read", path.display())).caused_by(error)
}
