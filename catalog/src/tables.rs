//! Tables that are kept with a push: what the rules said, and the rows that were refused. Arrow IPC files.
//!
//! Both have a column of row numbers and columns of text. They are written as the rows come, in batches whose borders
//! depend on the rows alone, so that the same rows give the same bytes.

use crate::claims::{Claims, ObjectClaim};
use crate::objects::{Object, ObjectReader, ObjectWriter, Objects, is_full_disk};
use crate::options::{CatalogOptions, TableLimits};
use crate::paths;
use arrow_array::builder::{StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use std::collections::{HashMap, HashSet};
use std::io::{BufReader, BufWriter};
use std::sync::Arc;
use ukimet_model::{Error, QuarantinedRow, Result, Severity, TableRef, Verdict};

/// Key of the schema metadata of a table of refused rows: the columns of the source as it names them, a JSON list.
pub const SOURCE_COLUMNS_KEY: &str = "ukimet:source_columns";

/// Names that a column of the source does not get: the table's own, and those of the sheet that officers correct.
const OWN_NAMES: [&str; 3] = ["row", "_row", "_why"];

/// Rows and bytes of text in one batch, about.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// The columns of a table of verdicts: row, field, rule, severity, found, taken, note.
pub fn verdict_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        Field::new("row", DataType::UInt64, true),
        text("field", true),
        text("rule", false),
        text("severity", false),
        text("found", false),
        text("taken", true),
        text("note", false),
    ]))
}

/// The columns of a table of refused rows: `row`, then one a column of the source under a unique name.
pub fn quarantine_schema(source_columns: &[String]) -> SchemaRef {
    let mut fields = vec![Field::new("row", DataType::UInt64, false)];
    fields.extend(unique_names(source_columns).into_iter().map(|name| Field::new(name, DataType::Utf8, true)));
    let names = serde_json::Value::from(source_columns.to_vec()).to_string();
    Arc::new(Schema::new_with_metadata(fields, HashMap::from([(SOURCE_COLUMNS_KEY.to_owned(), names)])))
}

fn unique_names(source_columns: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = OWN_NAMES.map(str::to_owned).into();
    let unique = |source: &String| {
        let stem = if source.is_empty() { "column" } else { source };
        let candidates = std::iter::once(stem.to_owned()).chain((2..).map(|n| format!("{stem}_{n}")));
        let free = candidates.into_iter().find(|name| !taken.contains(name));
        let name = free.expect("one of endless names is free");
        taken.insert(name.clone());
        name
    };
    source_columns.iter().map(unique).collect()
}

/// Writes one table.
struct TableWriter {
    what: &'static str,
    limits: TableLimits,
    writer: FileWriter<BufWriter<ObjectWriter>>,
    schema: SchemaRef,
    rows: UInt64Builder,
    texts: Vec<StringBuilder>,
    batch: usize,
    batch_bytes: usize,
    written: u64,
    bytes: u64,
}

fn failed(error: ArrowError) -> Error {
    if is_full_disk(&error) {
        return Error::limit_reached("writing a table of a push: the disk is full").caused_by(error);
    }
    Error::internal("reading or writing a table of a push failed").caused_by(error)
}

impl TableWriter {
    fn try_new(objects: &Objects, what: &'static str, schema: SchemaRef, limits: TableLimits) -> Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, objects.writer()?);
        Ok(Self {
            what,
            limits,
            writer: FileWriter::try_new(file, &schema).map_err(failed)?,
            rows: UInt64Builder::new(),
            texts: (1..schema.fields().len()).map(|_| StringBuilder::new()).collect(),
            schema,
            batch: 0,
            batch_bytes: 0,
            written: 0,
            bytes: 0,
        })
    }

    fn append<'a>(&mut self, row: Option<u64>, texts: impl IntoIterator<Item = Option<&'a str>>) -> Result<()> {
        self.rows.append_option(row);
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.append_option(text);
            let bytes = text.map_or(0, str::len);
            self.batch_bytes += bytes;
            self.bytes += bytes as u64;
        }
        self.batch += 1;
        self.written += 1;
        let (what, limits) = (self.what, self.limits);
        if self.written > limits.rows_max {
            return Err(Error::limit_reached(format!("a layer has at most {} {what}, more came", limits.rows_max)));
        }
        if self.bytes > limits.bytes_max {
            let message = format!("the {what} of a layer have at most {} bytes, more came", limits.bytes_max);
            return Err(Error::limit_reached(message));
        }
        if self.batch >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.rows.finish())];
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        (self.batch, self.batch_bytes) = (0, 0);
        self.writer.write(&batch).map_err(failed)
    }

    fn finish(mut self, objects: &Objects, claims: &Claims) -> Result<(TableRef, ObjectClaim)> {
        if self.batch > 0 {
            self.flush()?;
        }
        let file = self.writer.into_inner().map_err(failed)?;
        let file =
            file.into_inner().map_err(|e| objects.write_error("writing", "a table of a push", e.into_error()))?;
        let file = file.finish()?;
        let table = TableRef { sha256: file.sha256, rows: self.written, size_bytes: file.size_bytes };
        let claim = claims.claim(paths::receipt(&table.sha256))?;
        file.publish(&claim.key)?;
        Ok((table, claim))
    }
}

/// The tables of one layer on its way; a table without rows is none.
pub(crate) struct LayerTables {
    objects: Objects,
    verdict_limits: TableLimits,
    quarantine_limits: TableLimits,
    verdicts: Option<TableWriter>,
    quarantine: Option<TableWriter>,
}

/// The tables of one layer, durable, and the claims that keep them.
#[derive(Default)]
pub(crate) struct WrittenTables {
    pub(crate) verdicts: Option<TableRef>,
    pub(crate) quarantine: Option<TableRef>,
    pub(crate) claims: Vec<ObjectClaim>,
}

impl LayerTables {
    pub(crate) fn new(objects: &Objects, options: &CatalogOptions) -> Self {
        Self {
            objects: objects.clone(),
            verdict_limits: options.verdict_limits,
            quarantine_limits: options.quarantine_limits,
            verdicts: None,
            quarantine: None,
        }
    }

    pub(crate) fn add_verdict(&mut self, verdict: &Verdict) -> Result<()> {
        if self.verdicts.is_none() {
            let limits = self.verdict_limits;
            self.verdicts = Some(TableWriter::try_new(&self.objects, "verdicts", verdict_schema(), limits)?);
        }
        let writer = self.verdicts.as_mut().expect("it was made above");
        let Verdict { field, rule, severity, found, taken, note, .. } = verdict;
        let texts = [field.as_deref(), Some(rule), Some(severity_name(*severity)), Some(found), taken.as_deref()];
        writer.append(verdict.row, texts.into_iter().chain([Some(note.as_str())]))
    }

    pub(crate) fn add_quarantined(&mut self, source_columns: &[String], row: &QuarantinedRow) -> Result<()> {
        if row.values.len() != source_columns.len() {
            let (found, expected) = (row.values.len(), source_columns.len());
            let message = format!("row {} was refused with {found} values, expected {expected}", row.row + 1);
            return Err(Error::invalid_data(message));
        }
        if self.quarantine.is_none() {
            let (schema, limits) = (quarantine_schema(source_columns), self.quarantine_limits);
            self.quarantine = Some(TableWriter::try_new(&self.objects, "refused rows", schema, limits)?);
        }
        let writer = self.quarantine.as_mut().expect("it was made above");
        writer.append(Some(row.row), row.values.iter().map(Option::as_deref))
    }

    pub(crate) fn finish(self, claims: &Claims) -> Result<WrittenTables> {
        let mut written = WrittenTables::default();
        for (writer, table) in [(self.verdicts, &mut written.verdicts), (self.quarantine, &mut written.quarantine)] {
            if let Some(writer) = writer {
                let (finished, claim) = writer.finish(&self.objects, claims)?;
                *table = Some(finished);
                written.claims.push(claim);
            }
        }
        Ok(written)
    }
}

/// How a severity is written in a table: `note`, `warning`, `error`.
pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A table of a push, batch after batch, in the order in which it was written. Blocks on reads.
pub struct Table {
    reader: FileReader<BufReader<ObjectReader>>,
}

impl Table {
    /// Opens a table whose bytes are known to be whole.
    pub(crate) fn open(object: &Object) -> Result<Self> {
        let reader = FileReader::try_new(BufReader::with_capacity(1 << 16, object.reader(0)), None);
        Ok(Self { reader: reader.map_err(failed)? })
    }

    /// Its columns: [`verdict_schema`], or [`quarantine_schema`] of the source's columns.
    pub fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

impl Iterator for Table {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next().map(|batch| batch.map_err(failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_refused_rows_have_unique_names() {
        let names = ["a", "row", "a", "", "_why", "a_2"].map(str::to_owned);
        assert_eq!(unique_names(&names), ["a", "row_2", "a_2", "column", "_why_2", "a_2_2"]);
        let schema = quarantine_schema(&names);
        assert_eq!(schema.metadata()[SOURCE_COLUMNS_KEY], r#"["a","row","a","","_why","a_2"]"#);
    }
}
