//! Receipts: what was done to a layer, as an Arrow file that any Arrow reader shows as a table.

use crate::objects::Objects;
use crate::paths;
use crate::seal::sha256;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::Serialize;
use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;
use ukimet_model::{Diagnostic, Error, LayerReport, ProcessStep, Result, Severity, Sha256};

/// Key of the schema metadata that holds the whole report as JSON.
const REPORT_KEY: &str = "ukimet:report";

/// A receipt's bytes; the same report gives the same bytes.
pub(crate) fn write_receipt(report: &LayerReport) -> Result<Vec<u8>> {
    let failed = |e: ArrowError| Error::internal("writing a receipt failed").caused_by(e);
    let rows = rows(report)?;
    let mut writer = FileWriter::try_new(Vec::new(), rows.schema_ref()).map_err(failed)?;
    writer.write(&rows).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// Reads a receipt, checked against its hash.
///
/// # Errors
///
/// `Internal` naming the object if it is damaged.
pub(crate) fn read_receipt(objects: &Objects, hash: &Sha256) -> Result<LayerReport> {
    let key = paths::receipt(hash);
    let damaged = || Error::internal(format!("object {key} is damaged"));
    let bytes = objects.get(&key)?;
    if sha256(&bytes) != *hash {
        return Err(damaged());
    }
    let reader = FileReader::try_new(Cursor::new(bytes), None).map_err(|e| damaged().caused_by(e))?;
    let schema = reader.schema();
    let report = schema.metadata().get(REPORT_KEY).ok_or_else(damaged)?;
    serde_json::from_str(report).map_err(|e| damaged().caused_by(e))
}

/// One line of the table.
struct Line<'a> {
    kind: &'static str,
    name: &'a str,
    version: Option<&'a str>,
    message: Option<&'a str>,
    count: u64,
    parameters: Option<String>,
    examples: String,
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("writing a receipt as JSON failed").caused_by(e))
}

fn step(step: &ProcessStep) -> Result<Line<'_>> {
    Ok(Line {
        kind: "step",
        name: &step.step,
        version: Some(&step.version),
        message: None,
        count: step.count,
        parameters: Some(json(&step.parameters)?),
        examples: json(&step.examples)?,
    })
}

fn diagnostic(diagnostic: &Diagnostic) -> Result<Line<'_>> {
    Ok(Line {
        kind: match diagnostic.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
        name: &diagnostic.rule,
        version: None,
        message: Some(&diagnostic.message),
        count: diagnostic.count,
        parameters: None,
        examples: json(&diagnostic.examples)?,
    })
}

fn rows(report: &LayerReport) -> Result<RecordBatch> {
    let mut lines = report.steps.iter().map(step).collect::<Result<Vec<_>>>()?;
    lines.extend(report.diagnostics.iter().map(diagnostic).collect::<Result<Vec<_>>>()?);
    let text =
        |of: fn(&Line<'_>) -> Option<String>| -> ArrayRef { Arc::new(lines.iter().map(of).collect::<StringArray>()) };
    let columns: [(&str, ArrayRef); 7] = [
        ("kind", text(|line| Some(line.kind.to_owned()))),
        ("name", text(|line| Some(line.name.to_owned()))),
        ("version", text(|line| line.version.map(str::to_owned))),
        ("message", text(|line| line.message.map(str::to_owned))),
        ("count", Arc::new(lines.iter().map(|line| Some(line.count)).collect::<UInt64Array>())),
        ("parameters", text(|line| line.parameters.clone())),
        ("examples", text(|line| Some(line.examples.clone()))),
    ];
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let metadata = HashMap::from([(REPORT_KEY.to_owned(), json(report)?)]);
    let schema = Schema::new_with_metadata(columns.iter().map(field).collect::<Vec<Field>>(), metadata);
    debug_assert!(schema.fields().iter().all(|field| !matches!(field.data_type(), DataType::Null)));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|e| Error::internal("writing a receipt failed").caused_by(e))
}
