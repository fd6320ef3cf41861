//! `TopoJSON`: shared arcs. Each object of the topology is written as GeoJSON, which is then read as such.
//!
//! GDAL's own reader leaves out geometries of type null and collections in collections without a word.

mod topology;

use super::{Format, geojson};
use crate::archive::Budget;
use crate::source::{Context, Reader, Rows, Source, Staged};
use crate::transcode::ensure_utf8;
use arrow_array::RecordBatch;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use topology::{Expansion, Topology};
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result};
use ukimet_normalize::SourceLayer;

pub(super) const FORMAT: Format = Format {
    name: "TopoJSON",
    driver: None,
    media_types: &["application/topo+json"],
    extensions: &["topojson", "json"],
    sidecars: &[],
    recognize: |clues| clues.has_json_type(&["Topology"]),
    open: |staged, context| TopologyFile::open(staged, context),
};

/// The objects of a topology, each a file of its own.
struct TopologyFile {
    objects: Vec<Box<dyn Source>>,
    layers: Vec<LayerInfo>,
    has_crs: bool,
    findings: Vec<Diagnostic>,
}

impl TopologyFile {
    fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        let text = fs::read_to_string(&staged.main)
            .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        let topology = Topology::read(&text)?;
        if topology.objects.len() > context.limits.layers_max {
            let (max, found) = (context.limits.layers_max, topology.objects.len());
            return Err(Error::limit_reached(format!("a file has at most {max} layers, found {found}")));
        }
        let mut budget = Budget::of(text.len() as u64);
        let findings = transcoded.as_ref().and_then(crate::transcode::Transcoded::finding).into_iter().collect();
        let has_crs = topology.crs.is_some();
        let mut file = Self { objects: Vec::new(), layers: Vec::new(), has_crs, findings };
        for (number, (name, object)) in topology.objects.iter().enumerate() {
            let file_name = format!("object{number}.geojson");
            let main = staged.main.with_file_name(&file_name);
            let not_kept = |e: std::io::Error| Error::unavailable("a scratch copy could not be written").caused_by(e);
            let mut out = BufWriter::new(File::create_new(&main).map_err(not_kept)?);
            let mut write = |part: &str| {
                budget.spend(part.len() as u64, context.limits)?;
                out.write_all(part.as_bytes()).map_err(not_kept)
            };
            Expansion::of(&topology)
                .write(object, &mut write)
                .map_err(|error| error.context(format!("object {}", quoted(name))))?;
            out.flush().map_err(not_kept)?;
            drop(out);
            let copy =
                Staged { main, names: vec![file_name], source_name: format!("{name}.geojson"), ..staged.clone() };
            file.add(name, (geojson::FORMAT.open)(&copy, context)?);
        }
        Ok(Box::new(file))
    }

    fn add(&mut self, name: &str, object: Box<dyn Source>) {
        let info = object.layers().first().cloned().unwrap_or_default();
        let crs = info.crs.filter(|_| self.has_crs);
        self.layers.push(LayerInfo { name: name.to_owned(), crs, ..info });
        self.objects.push(object);
    }
}

impl Source for TopologyFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let rows = self.objects[layer].rows(0, rows_max)?;
        Ok(Box::new(ObjectRows { name: self.layers[layer].name.clone(), rows, has_crs: self.has_crs }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.clone()
    }

    fn reader(&self) -> Reader {
        let mut reader = self.objects.first().map_or_else(
            || Reader { version: String::new(), parameters: std::collections::BTreeMap::new() },
            |object| object.reader(),
        );
        reader.parameters.insert("through".to_owned(), "GeoJSON made of the topology".to_owned());
        reader
    }
}

struct ObjectRows<'a> {
    name: String,
    rows: Box<dyn Rows + 'a>,
    has_crs: bool,
}

impl Rows for ObjectRows<'_> {
    fn layer(&self) -> SourceLayer {
        let layer = self.rows.layer();
        // A topology says nothing of its CRS unless it names one: many are drawn in the plane.
        let crs = layer.crs.clone().filter(|_| self.has_crs);
        SourceLayer { name: self.name.clone(), format: FORMAT.name.to_owned(), crs, ..layer }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.rows.next()
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        self.rows.findings()
    }
}
