//! The adapter itself: every layer is read twice, once to decide and once to give its rows away.

use crate::ahead::{RawRows, give_findings, give_rows, survey_rows};
use crate::formats::{self, FORMATS, name_of_bytes};
use crate::gdal;
use crate::limits::ReadLimits;
use crate::raster::{RASTER_DRIVERS, cut};
use crate::source::{Context, Rows, Source, Staged, finding};
use crate::stage::{Stage, stage};
use arrow_array::RecordBatch;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use ukimet_adapter_sdk::adapter::select_layers;
use ukimet_adapter_sdk::{
    Adapter, AdapterDescription, AssetFile, Format, Inspection, LayerInfo, ReadEnd, ReadOptions, RowSink,
};
use ukimet_model::error::quoted;
use ukimet_model::{
    Diagnostic, Error, ErrorKind, Example, LayerReport, LayerSelection, ProcessStep, Result, Severity, Verdict,
};
use ukimet_normalize::{Declared, Limits, RULES_VERSION, Survey};

/// Rows of a batch, unless they are wide.
const BATCH_ROWS: usize = 65_536;
/// Rows of a batch of a layer with many columns.
const BATCH_ROWS_WIDE: usize = 16_384;
/// From here on a layer is wide.
const WIDE_COLUMNS: usize = 64;
/// What a publisher can do about one layer among several whose data stops them all.
const WAY_OUT: &str =
    " (no layer was taken: correct this one, or push the others by name, --layer NAME, one push each)";

/// Reads the formats of the table with GDAL and the native readers.
#[derive(Clone, Debug)]
pub struct GdalAdapter {
    scratch: PathBuf,
    limits: ReadLimits,
    rules: Limits,
}

impl GdalAdapter {
    /// Sets GDAL up for the process and keeps its scratch files below `scratch`.
    ///
    /// # Errors
    ///
    /// `Internal` if GDAL refuses an option, `Unavailable` if the scratch folder cannot be made.
    pub fn new(scratch: PathBuf, limits: ReadLimits) -> Result<Self> {
        std::fs::create_dir_all(&scratch)
            .map_err(|error| Error::unavailable("the scratch folder could not be made").caused_by(error))?;
        let drivers: Vec<&str> = FORMATS.iter().filter_map(|format| format.driver).collect();
        gdal::set_up(&[drivers.as_slice(), RASTER_DRIVERS].concat(), &scratch)?;
        Ok(Self { scratch, limits, rules: Limits::default() })
    }

    /// The same adapter with other settings of the rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Limits) -> Self {
        self.rules = rules;
        self
    }
}

impl Adapter for GdalAdapter {
    fn describe(&self) -> AdapterDescription {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let formats = FORMATS
            .iter()
            .map(|format| Format {
                name: format.name.to_owned(),
                media_types: owned(format.media_types),
                extensions: owned(format.extensions),
            })
            .collect();
        AdapterDescription {
            name: "gdal".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            libraries: BTreeMap::from([("GDAL".to_owned(), gdal::version())]),
            formats,
            rules_version: RULES_VERSION.to_owned(),
        }
    }

    fn inspect(&self, asset: &AssetFile, options: &ReadOptions) -> Result<Inspection> {
        let opened = Opened::open(asset, options, self)?;
        let format = opened.stage.datasets.first().map_or("", |(_, format)| format.name).to_owned();
        let layers = opened.layers.into_iter().map(|layer| layer.info).collect();
        Ok(Inspection { format, media_type: opened.stage.media_type.to_owned(), layers })
    }

    fn read(&self, asset: &AssetFile, options: &ReadOptions, sink: &mut dyn RowSink) -> Result<ReadEnd> {
        if let Some(window) = options.window {
            let stage = stage(asset, &self.scratch, &self.limits)?;
            sink.derived_asset(cut(&stage.datasets, window)?)?;
            return Ok(ReadEnd { media_type: stage.media_type.to_owned() });
        }
        let opened = Opened::open(asset, options, self)?;
        let mut rows = 0;
        let selected = opened.selected(&options.layers)?;
        for layer in &selected {
            let read = opened.read_layer(layer, options, (&self.limits, &self.rules), sink);
            let is_one_of_several = selected.len() > 1;
            rows += read.map_err(|error| {
                let is_data = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::Undeclared);
                let way_out = if is_one_of_several && is_data { WAY_OUT } else { "" };
                error.context(format!("layer {}{way_out}", quoted(&layer.info.name)))
            })?;
        }
        if rows == 0 {
            let format = opened.stage.datasets.first().map_or("", |(_, format)| format.name);
            return Err(Error::invalid_data(format!("recognised {format}, found no rows in it")));
        }
        Ok(ReadEnd { media_type: opened.stage.media_type.to_owned() })
    }
}

/// An asset with its datasets open.
struct Opened {
    // Sources read from the stage's folder: they go first.
    sources: Vec<Box<dyn Source>>,
    layers: Vec<OpenedLayer>,
    /// Names of layers that have no column, so that there is nothing to read.
    empty: Vec<String>,
    stage: Stage,
}

/// A layer of the asset: its dataset and its place in there.
struct OpenedLayer {
    source: usize,
    layer: usize,
    info: LayerInfo,
}

impl Opened {
    fn open(asset: &AssetFile, options: &ReadOptions, adapter: &GdalAdapter) -> Result<Self> {
        let stage = stage(asset, &adapter.scratch, &adapter.limits)?;
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        let mut layers: Vec<OpenedLayer> = Vec::new();
        let mut empty = Vec::new();
        for (staged, format) in &stage.datasets {
            let source = (format.open)(staged, Context { options, limits: &adapter.limits })?;
            for (layer, info) in source.layers().iter().enumerate() {
                let info = info.clone();
                if info.fields.is_empty() && !info.has_geometry {
                    empty.push(info.name);
                    continue;
                }
                layers.push(OpenedLayer { source: sources.len(), layer, info });
            }
            sources.push(source);
        }
        let is_own = |layer: &&OpenedLayer| !sources[layer.source].is_derived(layer.layer);
        let count = layers.iter().filter(is_own).count();
        if count > adapter.limits.layers_max {
            let layers_max = adapter.limits.layers_max;
            return Err(Error::limit_reached(format!("a file has at most {layers_max} layers, found {count}")));
        }
        if layers.is_empty() {
            let format = stage.datasets.first().map_or("", |(_, format)| format.name);
            return Err(Error::invalid_data(format!("recognised {format}, found no layer in it")));
        }
        tell_apart(&mut layers, &stage.datasets);
        Ok(Self { sources, layers, empty, stage })
    }

    /// The layers that are asked for: derived ones only by name.
    fn selected(&self, selection: &LayerSelection) -> Result<Vec<&OpenedLayer>> {
        let is_named = matches!(selection, LayerSelection::Named(_));
        let is_offered = |layer: &&OpenedLayer| is_named || !self.sources[layer.source].is_derived(layer.layer);
        let layers: Vec<&OpenedLayer> = self.layers.iter().filter(is_offered).collect();
        let names: Vec<String> = layers.iter().map(|layer| layer.info.name.clone()).collect();
        Ok(select_layers(&names, selection)?.into_iter().map(|position| layers[position]).collect())
    }

    /// Gives one layer to the sink; how many rows came out of the source.
    fn read_layer(
        &self,
        layer: &OpenedLayer,
        options: &ReadOptions,
        (limits, rules): (&ReadLimits, &Limits),
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        let source = self.sources[layer.source].as_ref();
        let own_choice = if layer.info.fields.len() > WIDE_COLUMNS { BATCH_ROWS_WIDE } else { BATCH_ROWS };
        let rows_max = options.batch_rows_max.unwrap_or(own_choice).min(own_choice);
        let plan = {
            let mut rows = source.rows(layer.layer, rows_max)?;
            let mut survey = Survey::begin(&layer.source_layer(rows.as_ref()), &declared(options), rules)?;
            if let Some(schema) = &options.expected_schema {
                survey.expect(schema)?;
            }
            let mut count = RowCount::new(limits.rows_max);
            survey_rows(survey, || {
                let batch = rows.next()?;
                count.add(batch.as_ref().map_or(0, RecordBatch::num_rows))?;
                Ok(batch)
            })?
        };
        sink.begin_layer(&layer.info.name, &plan.schema(), plan.source_columns())?;
        let mut rows = source.rows(layer.layer, rows_max)?;
        let names = plan.source_columns().to_vec();
        let mut count = RowCount::new(limits.rows_max);
        let next = || {
            let Some(raw) = rows.next()? else { return Ok(None) };
            count.add(raw.num_rows())?;
            Ok(Some(RawRows { raw, asset: source.asset(layer.layer) }))
        };
        let (report, mut verdicts) = give_rows(plan, options.layers == LayerSelection::All, next, sink)?;
        let report = self.completed(report, (layer, &names), rows.as_mut(), count.rows, &mut verdicts);
        give_findings(verdicts, Vec::new(), sink)?;
        sink.end_layer(report)?;
        Ok(count.rows)
    }

    /// The normalizer's report with what the reader did before it, whose findings become verdicts too; `names` are those
    /// of the source's columns.
    fn completed(
        &self,
        mut report: LayerReport,
        (layer, names): (&OpenedLayer, &[String]),
        rows: &mut dyn Rows,
        count: u64,
        verdicts: &mut Vec<Verdict>,
    ) -> LayerReport {
        let source = self.sources[layer.source].as_ref();
        let reader = source.reader();
        let mut parameters = reader.parameters;
        parameters.extend(rows.parameters());
        report.rows_read += rows.rows_refused();
        report.rows_refused += rows.rows_refused();
        parameters.insert("format".to_owned(), report.format.clone());
        if !self.stage.members.is_empty() {
            parameters.insert("archive".to_owned(), self.stage.members.join(", "));
        }
        let step =
            ProcessStep { step: "read".to_owned(), version: reader.version, parameters, count, examples: Vec::new() };
        report.steps.insert(0, step);
        let mut diagnostics = self.stage.findings.clone();
        diagnostics.extend(source.findings());
        diagnostics.extend(rows.findings());
        if !self.empty.is_empty() {
            let message = "other layers of the file have no column at all and were left out".to_owned();
            let count = self.empty.len() as u64;
            diagnostics.push(finding("read.layer_without_columns", Severity::Warning, message, count, &self.empty));
        }
        if let Some(raw_names) = rows.layer().raw_names {
            for found in &mut diagnostics {
                name_columns(found, &raw_names, names);
            }
        }
        verdicts.extend(diagnostics.iter().flat_map(reader_verdicts));
        diagnostics.append(&mut report.diagnostics);
        report.diagnostics = merged(diagnostics);
        report
    }
}

impl OpenedLayer {
    fn source_layer(&self, rows: &dyn Rows) -> ukimet_normalize::SourceLayer {
        let mut layer = rows.layer();
        layer.name.clone_from(&self.info.name);
        layer
    }
}

/// Gives every layer a name of its own: a name that several datasets have is preceded by folder and file, and what is
/// equal even so is numbered from 2.
fn tell_apart(layers: &mut [OpenedLayer], datasets: &[(Staged, &formats::Format)]) {
    let mut sources: HashMap<String, HashSet<usize>> = HashMap::new();
    for layer in layers.iter() {
        sources.entry(layer.info.name.clone()).or_default().insert(layer.source);
    }
    let mut taken = HashSet::new();
    for layer in layers {
        let is_shared = sources[&layer.info.name].len() > 1;
        let name =
            if is_shared { datasets[layer.source].0.qualified(&layer.info.name) } else { layer.info.name.clone() };
        layer.info.name.clone_from(&name);
        let mut number = 1;
        while !taken.insert(layer.info.name.clone()) {
            number += 1;
            layer.info.name = format!("{name} {number}");
        }
    }
}

/// What the publisher said with the push.
fn declared(options: &ReadOptions) -> Declared {
    Declared {
        crs: options.crs.clone(),
        encoding: options.encoding.clone(),
        region: options.region.clone(),
        time_zone: options.time_zone.clone(),
        valid_on: options.mapping.as_ref().and_then(|mapping| mapping.valid_on),
        mapping: options.mapping.clone().map(Arc::new),
        references: options.references.clone(),
    }
}

/// Names the columns in what was found before their names were decoded; `raw_names` are their bytes.
fn name_columns(found: &mut Diagnostic, raw_names: &[Vec<u8>], names: &[String]) {
    for field in found.examples.iter_mut().filter_map(|example| example.field.as_mut()) {
        let column = raw_names.iter().zip(names).find(|(bytes, _)| name_of_bytes(bytes) == *field);
        if let Some((_, name)) = column {
            field.clone_from(name);
        }
    }
}

/// What a reader found, place by place; without a place it is about the layer.
fn reader_verdicts(found: &Diagnostic) -> Vec<Verdict> {
    let layer = Example { row: None, field: None, found: String::new(), taken: None };
    let examples = if found.examples.is_empty() { vec![layer] } else { found.examples.clone() };
    let verdict = |example| Verdict::new(&found.rule, found.severity, &found.message, example);
    examples.into_iter().map(verdict).collect()
}

/// Findings of one rule become one, with its first few examples.
fn merged(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut positions: HashMap<(String, String), usize> = HashMap::new();
    let mut merged: Vec<Diagnostic> = Vec::new();
    for mut diagnostic in diagnostics {
        let key = (diagnostic.rule.clone(), diagnostic.message.clone());
        if let Some(&position) = positions.get(&key) {
            let first = &mut merged[position];
            first.count += diagnostic.count;
            first.examples.append(&mut diagnostic.examples);
        } else {
            positions.insert(key, merged.len());
            merged.push(diagnostic);
        }
    }
    for diagnostic in &mut merged {
        diagnostic.examples.truncate(Diagnostic::EXAMPLES_MAX);
    }
    merged
}

struct RowCount {
    rows: u64,
    rows_max: u64,
}

impl RowCount {
    fn new(rows_max: u64) -> Self {
        Self { rows: 0, rows_max }
    }

    fn add(&mut self, rows: usize) -> Result<()> {
        self.rows += rows as u64;
        if self.rows > self.rows_max {
            return Err(Error::limit_reached(format!("a layer has at most {} rows, found more", self.rows_max)));
        }
        Ok(())
    }
}
