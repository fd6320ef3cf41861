//! CSV as RFC 4180 has it: UTF-8, a header, geometries as WKT, lists and structures as JSON.
//!
//! A spreadsheet calculates what begins with one of a few characters. Text that does gets an apostrophe before it, unless the
//! reader asked for raw values. Numbers, times and geometries are never touched.

use super::text::{json_column, wkt};
use super::{FileSubject, RowWriter, Sink, failed};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_csv::WriterBuilder;
use arrow_csv::writer::Terminator;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use ukimet_model::Result;
use ukimet_model::batch::is_geometry;

struct Csv {
    writer: arrow_csv::Writer<Sink>,
    schema: SchemaRef,
    is_raw: bool,
}

/// What tells programs of an office that a text is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) fn writer(mut sink: Sink, subject: &FileSubject) -> Result<Box<dyn RowWriter>> {
    if subject.options.has_bom {
        sink.write_all(BYTE_ORDER_MARK).map_err(failed)?;
    }
    let writer = WriterBuilder::new().with_header(true).with_line_terminator(Terminator::CRLF).build(sink);
    let (schema, is_raw) = (as_table_schema(&subject.schema), subject.options.is_raw);
    Ok(Box::new(Csv { writer, schema, is_raw }))
}

impl RowWriter for Csv {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = as_table(rows, &self.schema, self.is_raw)?;
        self.writer.write(&rows).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        // A file without rows has its header too.
        self.writer.write(&RecordBatch::new_empty(Arc::clone(&self.schema))).map_err(failed)?;
        self.writer.into_inner().flush().map_err(failed)
    }
}

fn is_text_in_a_table(field: &Field) -> bool {
    is_geometry(field) || field.data_type().is_nested()
}

fn as_table_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = if is_text_in_a_table(field) { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows as a table needs them: the geometry as WKT, lists and structures as JSON, text that would be calculated marked.
fn as_table(rows: &RecordBatch, schema: &SchemaRef, is_raw: bool) -> Result<RecordBatch> {
    let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| {
        Ok(match field.data_type() {
            _ if is_geometry(field) => Arc::new(wkt_column(column.as_binary())?),
            nested if nested.is_nested() => Arc::new(json_column(column)?),
            DataType::Utf8 if !is_raw => marked(column),
            _ => Arc::clone(column),
        })
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?).map_err(failed)
}

fn wkt_column(shapes: &BinaryArray) -> Result<StringArray> {
    shapes.iter().map(|shape| shape.map(wkt).transpose()).collect()
}

/// Whether a spreadsheet calculates a text: formulas, commands of old programs, and what a program cuts off before it looks.
fn is_calculated(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Texts with an apostrophe before what would be calculated.
fn marked(column: &ArrayRef) -> ArrayRef {
    let texts: &StringArray = column.as_string();
    if !texts.iter().flatten().any(is_calculated) {
        return Arc::clone(column);
    }
    let mark = |text| if is_calculated(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) };
    Arc::new(texts.iter().map(|text| text.map(mark)).collect::<StringArray>())
}
