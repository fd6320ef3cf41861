//! An adapter over memory: the reference implementation of the contract, and a test double.
//!
//! It reads one tiny text format of its own, *ukimet-lines*, which shows every part of the contract: several layers, a
//! table without places, nulls, and an end that tells a cut file from a whole one.
//!
//! ```text
//! ukimet-lines 1
//! layer schools lon lat id name
//! 76.95→43.25→1→Абай
//! 71.43→51.13→2→\N
//! end 2
//! ```
//!
//! A header names the columns; if the first two are `lon` and `lat` they become the geometry. Cells are parted by a
//! tab (`→` above), `\N` is null, everything else is text. `end` repeats the number of rows.

use crate::adapter::{
    Adapter, AdapterDescription, AssetFile, Format, Inspection, LayerInfo, ReadEnd, ReadOptions, RowSink, select_layers,
};
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::error::quoted;
use ukimet_model::{Batch, BoundingBox, Error, LayerReport, ProcessStep, Result};

const FORMAT: &str = "ukimet-lines";
const MEDIA_TYPE: &str = "text/x-ukimet-lines";
const ROWS_MAX: usize = 4_096;

/// Reads *ukimet-lines*; holds the whole asset in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryAdapter;

impl Adapter for MemoryAdapter {
    fn describe(&self) -> AdapterDescription {
        AdapterDescription {
            name: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            libraries: BTreeMap::new(),
            formats: vec![Format {
                name: FORMAT.to_owned(),
                media_types: vec![MEDIA_TYPE.to_owned()],
                extensions: vec!["lines".to_owned()],
            }],
            rules_version: "1".to_owned(),
        }
    }

    fn inspect(&self, asset: &AssetFile, _options: &ReadOptions) -> Result<Inspection> {
        let text = load(asset)?;
        let layers = parse(&text)?
            .iter()
            .map(|layer| LayerInfo {
                name: layer.name.to_owned(),
                rows_declared: Some(layer.rows.len() as u64),
                crs: layer.has_places().then(|| "OGC:CRS84".to_owned()),
                has_geometry: layer.has_places(),
                fields: layer.attributes().iter().map(|&name| name.to_owned()).collect(),
            })
            .collect();
        Ok(Inspection { format: FORMAT.to_owned(), media_type: MEDIA_TYPE.to_owned(), layers })
    }

    fn read(&self, asset: &AssetFile, options: &ReadOptions, sink: &mut dyn RowSink) -> Result<ReadEnd> {
        let text = load(asset)?;
        let layers = parse(&text)?;
        let names: Vec<String> = layers.iter().map(|layer| layer.name.to_owned()).collect();
        for position in select_layers(&names, &options.layers)? {
            let layer = &layers[position];
            let schema = layer.schema();
            sink.begin_layer(layer.name, &schema, &[])?;
            for rows in layer.rows.chunks(options.batch_rows_max.unwrap_or(ROWS_MAX).max(1)) {
                sink.batch(layer.batch(&schema, rows)?)?;
            }
            sink.end_layer(layer.report()?)?;
        }
        Ok(ReadEnd { media_type: MEDIA_TYPE.to_owned() })
    }
}

struct LinesLayer<'a> {
    name: &'a str,
    columns: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl LinesLayer<'_> {
    fn has_places(&self) -> bool {
        self.columns.starts_with(&["lon", "lat"])
    }

    fn attributes(&self) -> &[&str] {
        &self.columns[if self.has_places() { 2 } else { 0 }..]
    }

    fn schema(&self) -> SchemaRef {
        let mut fields: Vec<_> =
            self.attributes().iter().map(|name| attribute_field(name, name, DataType::Utf8)).collect();
        if self.has_places() {
            fields.push(geometry_field().into());
        }
        Schema::new(fields).into()
    }

    fn batch(&self, schema: &SchemaRef, rows: &[Vec<&str>]) -> Result<Batch> {
        let first = self.columns.len() - self.attributes().len();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for column in first..self.columns.len() {
            let mut texts = StringBuilder::new();
            for row in rows {
                texts.append_option(Some(row[column]).filter(|cell| *cell != "\\N"));
            }
            columns.push(Arc::new(texts.finish()));
        }
        if self.has_places() {
            let mut points = BinaryBuilder::new();
            for row in rows {
                points.append_option(place(row)?.map(point_wkb));
            }
            columns.push(Arc::new(points.finish()));
        }
        let rows = RecordBatch::try_new(SchemaRef::clone(schema), columns)
            .map_err(|error| Error::internal("columns do not fit their schema").caused_by(error))?;
        Batch::try_new(rows)
    }

    fn report(&self) -> Result<LayerReport> {
        let rows = self.rows.len() as u64;
        let mut report = LayerReport {
            layer: self.name.to_owned(),
            format: FORMAT.to_owned(),
            rows_read: rows,
            rows_taken: rows,
            source_encoding: Some("UTF-8".to_owned()),
            steps: vec![ProcessStep {
                step: "read".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                parameters: BTreeMap::from([("format".to_owned(), FORMAT.to_owned())]),
                count: rows,
                examples: Vec::new(),
            }],
            ..LayerReport::default()
        };
        if self.has_places() {
            report.source_crs = Some("OGC:CRS84".to_owned());
            let places = self.rows.iter().map(|row| place(row)).collect::<Result<Vec<_>>>()?;
            let points: Vec<_> = places.into_iter().flatten().collect();
            report.geometry_types.insert("Point".to_owned(), points.len() as u64);
            report.geometry_nulls = rows - points.len() as u64;
            report.bbox = points.iter().map(|&[x, y]| BoundingBox::from([x, y, x, y])).reduce(|a, b| a.union(&b));
        }
        Ok(report)
    }
}

fn load(asset: &AssetFile) -> Result<String> {
    let bytes = std::fs::read(&asset.path)
        .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
    if bytes.is_empty() {
        return Err(Error::invalid_data(format!("{FORMAT} was expected, found an empty file")));
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid_data(format!("{FORMAT} is UTF-8 text, found other bytes")))
}

fn parse(text: &str) -> Result<Vec<LinesLayer<'_>>> {
    let mut lines = text.split_terminator('\n');
    let first = lines.next().unwrap_or_default();
    if first != "ukimet-lines 1" {
        return Err(Error::invalid_data(format!("{FORMAT} begins with \"ukimet-lines 1\", found {}", quoted(first))));
    }
    let mut layers = Vec::new();
    while let Some(line) = lines.next() {
        let mut words = line.split(' ');
        let (Some("layer"), Some(name)) = (words.next(), words.next()) else {
            return Err(Error::invalid_data(format!("\"layer NAME COLUMN …\" was expected, found {}", quoted(line))));
        };
        let columns: Vec<&str> = words.collect();
        let rows = parse_rows(name, columns.len(), &mut lines)?;
        layers.push(LinesLayer { name, columns, rows });
    }
    Ok(layers)
}

fn parse_rows<'a>(layer: &str, columns: usize, lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<Vec<&'a str>>> {
    let mut rows: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        if let Some(count) = line.strip_prefix("end ") {
            if count.parse() != Ok(rows.len()) {
                return Err(Error::data_loss(format!(
                    "layer {} declares {} rows, found {}",
                    quoted(layer),
                    quoted(count),
                    rows.len()
                )));
            }
            return Ok(rows);
        }
        let row: Vec<&str> = line.split('\t').collect();
        if row.len() != columns {
            return Err(Error::invalid_data(format!(
                "layer {} has {columns} columns, found {} cells in row {}",
                quoted(layer),
                row.len(),
                rows.len() + 1
            )));
        }
        rows.push(row);
    }
    Err(Error::data_loss(format!("layer {} is cut: no end after {} rows", quoted(layer), rows.len())))
}

/// Longitude and latitude of a row, degrees; `None` if either is null.
fn place(row: &[&str]) -> Result<Option<[f64; 2]>> {
    if row[0] == "\\N" || row[1] == "\\N" {
        return Ok(None);
    }
    let number = |cell: &str, limit: f64| cell.parse::<f64>().ok().filter(|n| n.abs() <= limit);
    match (number(row[0], 180.0), number(row[1], 90.0)) {
        (Some(longitude), Some(latitude)) => Ok(Some([longitude, latitude])),
        _ => Err(Error::invalid_data(format!(
            "lon and lat are degrees within ±180 and ±90, found {} and {}",
            quoted(row[0]),
            quoted(row[1])
        ))),
    }
}

fn point_wkb([x, y]: [f64; 2]) -> Vec<u8> {
    [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
}
