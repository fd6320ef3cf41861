//! `GeoJSON`: one document, or a feature a line.

use super::text::{geojson, property_lines};
use super::{RowWriter, Sink, failed};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::io::Write;
use ukimet_model::Result;
use ukimet_model::batch::is_geometry;

/// How features are laid out as text.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// One JSON document.
    Collection,
    /// A document a line.
    Lines,
}

struct Features {
    sink: Sink,
    layout: Layout,
    is_first: bool,
}

pub(super) fn collection(mut sink: Sink) -> Result<Box<dyn RowWriter>> {
    sink.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[").map_err(failed)?;
    Ok(Box::new(Features { sink, layout: Layout::Collection, is_first: true }))
}

pub(super) fn lines(sink: Sink) -> Box<dyn RowWriter> {
    Box::new(Features { sink, layout: Layout::Lines, is_first: true })
}

/// The geometry column, and the rows without it.
fn split(rows: &RecordBatch) -> Result<(Option<usize>, RecordBatch)> {
    let geometry = rows.schema_ref().fields().iter().position(|field| is_geometry(field));
    let others: Vec<_> = (0..rows.num_columns()).filter(|i| Some(*i) != geometry).collect();
    Ok((geometry, rows.project(&others).map_err(failed)?))
}

impl Features {
    fn write_one(&mut self, shape: &str, properties: &[u8]) -> std::io::Result<()> {
        let separator: &[u8] = match (self.layout, self.is_first) {
            (Layout::Collection, true) => b"\n",
            (Layout::Collection, false) => b",\n",
            (Layout::Lines, _) => b"",
        };
        self.is_first = false;
        self.sink.write_all(separator)?;
        write!(self.sink, "{{\"type\":\"Feature\",\"geometry\":{shape},\"properties\":")?;
        self.sink.write_all(properties)?;
        self.sink.write_all(if self.layout == Layout::Lines { b"}\n" } else { b"}" })
    }
}

impl RowWriter for Features {
    /// A feature a row; properties with explicit nulls.
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let (geometry, attributes) = split(rows)?;
        let properties = property_lines(&attributes)?;
        let mut lines = properties.split(|b| *b == b'\n');
        let shapes = geometry.map(|i| rows.column(i).as_binary::<i32>());
        for row in 0..rows.num_rows() {
            let shape = match shapes {
                Some(column) if column.is_valid(row) => geojson(column.value(row))?,
                _ => "null".to_owned(),
            };
            let line = lines.next().filter(|line| !line.is_empty()).unwrap_or(b"{}");
            self.write_one(&shape, line).map_err(failed)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.layout == Layout::Collection {
            self.sink.write_all(b"\n]}\n").map_err(failed)?;
        }
        self.sink.flush().map_err(failed)
    }
}
