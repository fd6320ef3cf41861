//! The tables of a push, read row by row, and written as JSON, CSV and Arrow.

use super::marks::guarded;
use super::subject::Subject;
use super::why::Why;
use super::{Filter, ROW_COLUMN, ReportRequest, ReportTable, WHY_COLUMN, parse_severity, write_failed};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::io::Write;
use ukimet_catalog::{PushRecord, SOURCE_COLUMNS_KEY, Snapshot, quarantine_schema, severity_name, verdict_schema};
use ukimet_model::{Error, LayerOutcome, QuarantinedRow, Result, TableRef, Verdict};

fn text(batch: &RecordBatch, column: usize, row: usize) -> Option<&str> {
    let column = batch.column(column).as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

fn row_number(batch: &RecordBatch, row: usize) -> Option<u64> {
    let column = batch.column(0).as_primitive::<UInt64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn verdict(batch: &RecordBatch, i: usize) -> Result<Verdict> {
    let of = |column: usize| text(batch, column, i).map(str::to_owned);
    Ok(Verdict {
        row: row_number(batch, i),
        field: of(1),
        rule: of(2).unwrap_or_default(),
        severity: parse_severity(text(batch, 3, i).unwrap_or_default())?,
        found: of(4).unwrap_or_default(),
        taken: of(5),
        note: of(6).unwrap_or_default(),
    })
}

/// Calls `visit` with every verdict on the layer of a push, as they were told; for pushes from before verdicts were kept, with the
/// examples of the findings.
///
/// # Errors
///
/// `NotFound` if the table went with erased rows, `Internal` naming the object if it is damaged, and what `visit` says.
pub fn each_verdict(
    snapshot: &Snapshot,
    subject: &Subject,
    visit: &mut dyn FnMut(Verdict) -> Result<()>,
) -> Result<()> {
    let Some(table) = &subject.layer.verdicts else {
        for found in &subject.layer.report.diagnostics {
            for example in &found.examples {
                visit(Verdict::new(&found.rule, found.severity, &found.message, example.clone()))?;
            }
        }
        return Ok(());
    };
    for batch in snapshot.table(&subject.record, table)? {
        let batch = batch?;
        for i in 0..batch.num_rows() {
            visit(verdict(&batch, i)?)?;
        }
    }
    Ok(())
}

/// The columns of a push's table of refused rows: unique names, and the names that the source has. `row` is left out.
///
/// # Errors
///
/// `NotFound` if the table went with erased rows, `Internal` naming the object if it is damaged.
pub fn quarantine_columns(
    snapshot: &Snapshot,
    record: &PushRecord,
    table: &TableRef,
) -> Result<(Vec<String>, Vec<String>)> {
    let schema = snapshot.table(record, table)?.schema();
    let unique: Vec<String> = schema.fields().iter().skip(1).map(|field| field.name().clone()).collect();
    let source = schema.metadata().get(SOURCE_COLUMNS_KEY).and_then(|names| serde_json::from_str(names).ok());
    let source = source.filter(|names: &Vec<String>| names.len() == unique.len());
    Ok((unique, source.ok_or_else(|| Error::internal("a table of refused rows does not name its columns"))?))
}

/// Calls `visit` with every refused row of a push's table, in the order in which they were told.
///
/// # Errors
///
/// `NotFound` if the table went with erased rows, `Internal` naming the object if it is damaged, and what `visit` says.
pub fn each_quarantined(
    snapshot: &Snapshot,
    record: &PushRecord,
    table: &TableRef,
    visit: &mut dyn FnMut(QuarantinedRow) -> Result<()>,
) -> Result<()> {
    for batch in snapshot.table(record, table)? {
        let batch = batch?;
        for i in 0..batch.num_rows() {
            let values = (1..batch.num_columns()).map(|column| text(&batch, column, i).map(str::to_owned)).collect();
            let row = row_number(&batch, i).ok_or_else(|| Error::internal("a refused row has no number"))?;
            visit(QuarantinedRow { row, values })?;
        }
    }
    Ok(())
}

fn write_line(out: &mut impl Write, is_first: &mut bool, value: &Value) -> Result<()> {
    let border = if std::mem::take(is_first) { "\n" } else { ",\n" };
    write!(out, "{border}{value}").map_err(write_failed)
}

/// One document: the push, its outcome, the verdicts and the refused rows; rows are counted from 0.
pub(super) fn write_json(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    out: &mut impl Write,
) -> Result<()> {
    let record = &subject.record;
    let head = [
        ("dataset", json!(subject.dataset.id)),
        ("push_id", json!(record.push_id)),
        ("asset", json!(record.asset)),
        ("outcome", json!(subject.layer)),
    ];
    write!(out, "{{").map_err(write_failed)?;
    let erased = subject.erased.as_ref();
    let erased = erased.map(|erasure| {
        let at = json!({ "erased": erasure.erased, "why": erasure.why, "operation": erasure.operation });
        ("erased", at)
    });
    for (name, value) in head.into_iter().chain(erased) {
        writeln!(out, "\"{name}\":{value},").map_err(write_failed)?;
    }
    write!(out, "\"verdicts\":[").map_err(write_failed)?;
    let mut is_first = true;
    each_verdict(snapshot, subject, &mut |verdict| {
        if request.filter.takes_verdict(&verdict) {
            write_line(out, &mut is_first, &json!(verdict))?;
        }
        Ok(())
    })?;
    write!(out, "],\n\"quarantine\":[").map_err(write_failed)?;
    let mut is_first = true;
    if let Some(table) = &subject.layer.quarantine {
        let (names, _) = quarantine_columns(snapshot, record, table)?;
        each_quarantined(snapshot, record, table, &mut |row| {
            let values = row.values.into_iter().map(Value::from);
            let values: Map<String, Value> = names.iter().cloned().zip(values).collect();
            write_line(out, &mut is_first, &json!({ "row": row.row, "values": values }))
        })?;
    }
    writeln!(out, "]}}").map_err(write_failed)
}

/// One table as CSV in UTF-8 with a byte order mark, for spreadsheets: rows are counted from 1, and no cell is a
/// formula.
pub(super) fn write_csv(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    out: &mut impl Write,
) -> Result<()> {
    out.write_all("\u{feff}".as_bytes()).map_err(write_failed)?;
    let mut out = csv::Writer::from_writer(out);
    match request.table {
        ReportTable::Verdicts => {
            let names = verdict_schema();
            csv_record(&mut out, names.fields().iter().map(|field| field.name().as_str()))?;
            each_verdict(snapshot, subject, &mut |verdict| {
                if !request.filter.takes_verdict(&verdict) {
                    return Ok(());
                }
                let row = verdict.row.map(|row| (row + 1).to_string()).unwrap_or_default();
                let severity = severity_name(verdict.severity);
                let texts = [&verdict.found, verdict.taken.as_deref().unwrap_or_default(), &verdict.note].map(guarded);
                let head = [&row, verdict.field.as_deref().unwrap_or_default(), &verdict.rule, severity].map(guarded);
                csv_record(&mut out, head.iter().chain(&texts))
            })?;
        }
        ReportTable::Quarantine => write_refused_rows(snapshot, subject, request, &mut out)?,
    }
    out.flush().map_err(write_failed)
}

fn write_refused_rows<W: Write>(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    out: &mut csv::Writer<W>,
) -> Result<()> {
    let Some(table) = &subject.layer.quarantine else { return csv_record(out, [ROW_COLUMN, WHY_COLUMN]) };
    let why = Why::read(snapshot, subject, table)?;
    let names = why.columns.iter().map(|name| guarded(name));
    csv_record(out, names.chain([ROW_COLUMN.into(), WHY_COLUMN.into()]))?;
    each_quarantined(snapshot, &subject.record, table, &mut |row| {
        let cells = row.values.iter().map(|value| guarded(value.as_deref().unwrap_or_default()));
        let own = [(row.row + 1).to_string(), why.sentence(row.row, request.language)];
        csv_record(out, cells.chain(own.map(Cow::from)))
    })
}

fn csv_record<W: Write>(out: &mut csv::Writer<W>, cells: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
    let cells = cells.into_iter().map(|cell| cell.as_ref().to_owned());
    out.write_record(cells).map_err(|e| Error::unavailable("writing a report failed").caused_by(e))
}

/// One table as an Arrow IPC file, as the catalog keeps it; rows are counted from 0. A table that is not there is one
/// without rows.
pub(super) fn write_arrow(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    out: &mut impl Write,
) -> Result<()> {
    let failed = |e| Error::unavailable("writing a report failed").caused_by(e);
    let (table, empty) = table_of(&subject.layer, request.table);
    let batches = table.map(|table| snapshot.table(&subject.record, &table)).transpose()?;
    let schema = batches.as_ref().map_or(empty, ukimet_catalog::Table::schema);
    let mut writer = FileWriter::try_new(out, &schema).map_err(failed)?;
    for batch in batches.into_iter().flatten() {
        let batch = match request.table {
            ReportTable::Verdicts => filtered(&batch?, &request.filter)?,
            ReportTable::Quarantine => batch?,
        };
        writer.write(&batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// A table of a layer, and what its columns are if it is not there.
pub fn table_of(layer: &LayerOutcome, table: ReportTable) -> (Option<TableRef>, SchemaRef) {
    match table {
        ReportTable::Verdicts => (layer.verdicts, verdict_schema()),
        ReportTable::Quarantine => (layer.quarantine, quarantine_schema(&[])),
    }
}

fn filtered(batch: &RecordBatch, filter: &Filter) -> Result<RecordBatch> {
    let takes = |i| verdict(batch, i).map(|verdict| filter.takes_verdict(&verdict));
    let chosen = (0..batch.num_rows()).map(takes).collect::<Result<Vec<bool>>>()?;
    arrow_select::filter::filter_record_batch(batch, &BooleanArray::from(chosen))
        .map_err(|e| Error::internal("choosing verdicts").caused_by(e))
}
