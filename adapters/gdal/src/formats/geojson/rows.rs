//! A GeoJSON file as a source of rows: the second look.

use super::cells::Cells;
use super::feature::Feature;
use super::geometry::to_wkb;
use super::stream::FileItems;
use super::survey::Survey;
use crate::limits::ReadLimits;
use crate::source::{BATCH_BYTES, Reader, Rows, Source, Tallies};
use crate::transcode::Transcoded;
use arrow_array::builder::BinaryBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Crs, Diagnostic, Error, Result, Severity};
use ukimet_normalize::{GEOMETRY_KEY, SourceEncoding, SourceLayer};

/// The name of the geometry in the raw schema.
const GEOMETRY: &str = "geometry";

/// A file that was looked through.
pub(super) struct GeoJsonFile {
    pub(super) format: &'static str,
    pub(super) path: PathBuf,
    pub(super) survey: Survey,
    pub(super) crs: Option<Crs>,
    pub(super) layers: Vec<LayerInfo>,
    pub(super) transcoded: Option<Transcoded>,
    pub(super) limits: ReadLimits,
}

impl GeoJsonFile {
    /// The raw schema: the features' own identifiers, if they are a column, then the properties, then the geometry.
    fn schema(&self) -> SchemaRef {
        let own = self.survey.id.iter().chain(&self.survey.columns.named);
        let attributes = own.map(|(name, seen)| Arc::new(Field::new(name, seen.data_type(), true)));
        let geometry = Field::new(GEOMETRY, DataType::Binary, true);
        let geometry = geometry.with_metadata([(GEOMETRY_KEY.to_owned(), "1".to_owned())].into());
        let fields: Vec<FieldRef> = attributes.chain([Arc::new(geometry)]).collect();
        Schema::new(fields).into()
    }
}

impl Source for GeoJsonFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, _layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let items = FileItems::open(&self.path, self.format, self.survey.layout)?;
        let schema = self.schema();
        Ok(Box::new(FeatureRows {
            file: self,
            items,
            schema,
            rows_max,
            row: 0,
            vertices: 0,
            tallies: Tallies::default(),
        }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> =
            self.transcoded.as_ref().and_then(Transcoded::finding).into_iter().collect();
        findings.extend(self.survey.tallies.diagnostics());
        findings
    }

    fn reader(&self) -> Reader {
        Reader { version: format!("ukimet {}", env!("CARGO_PKG_VERSION")), parameters: BTreeMap::new() }
    }
}

struct FeatureRows<'a> {
    file: &'a GeoJsonFile,
    items: FileItems,
    schema: SchemaRef,
    rows_max: usize,
    row: u64,
    /// Bytes of geometries over 16: at least as many as there are positions.
    vertices: u64,
    tallies: Tallies,
}

impl Rows for FeatureRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.file.layers[0].name.clone(),
            format: self.file.format.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            raw_names: None,
            crs: self.file.crs.clone(),
            encoding: SourceEncoding::Utf8 {
                transcoded_from: self.file.transcoded.as_ref().map(|transcoded| transcoded.encoding.clone()),
            },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let fields = self.schema.fields();
        let mut cells: Vec<Cells> = fields[..fields.len() - 1].iter().map(|f| Cells::of(f.data_type())).collect();
        let mut geometries = BinaryBuilder::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut teller = Teller { row: self.row, tallies: &mut self.tallies };
        while rows < self.rows_max && bytes < BATCH_BYTES {
            let Some(item) = self.items.next()? else { break };
            bytes += item.len();
            let Some(feature) = Feature::of(item, teller.row)? else {
                teller.no_feature(item);
                continue;
            };
            teller.oddities(&feature);
            append(&self.file.survey, &feature, &mut cells, &mut teller)?;
            let wkb = feature.geometry.and_then(|geometry| teller.wkb(geometry));
            self.vertices += wkb.as_ref().map_or(0, |wkb| wkb.len() as u64 / 16);
            geometries.append_option(wkb);
            rows += 1;
            teller.row += 1;
        }
        self.row = teller.row;
        if self.vertices > self.file.limits.vertices_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} positions, found more",
                self.file.limits.vertices_max
            )));
        }
        if rows == 0 {
            return Ok(None);
        }
        let mut columns = cells.into_iter().map(Cells::finish).collect::<Result<Vec<ArrayRef>>>()?;
        columns.push(Arc::new(geometries.finish()));
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .map(Some)
            .map_err(|error| Error::internal("columns do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.tallies).diagnostics()
    }
}

/// Appends one feature's attributes; of a name that stands twice the last value is taken.
fn append(survey: &Survey, feature: &Feature<'_>, cells: &mut [Cells], teller: &mut Teller<'_>) -> Result<()> {
    let first = usize::from(survey.id.is_some());
    let mut values: Vec<Option<&[u8]>> = vec![None; cells.len()];
    if first > 0 {
        values[0] = feature.id;
    }
    let mut expected = 0;
    feature.attributes(teller.row, |name, value| {
        let position = survey.columns.position(name, expected).ok_or_else(|| Error::data_loss("the file changed"))?;
        expected = position + 1;
        if let Some(before) = values[first + position].replace(value) {
            teller.repeated(name, before, value);
        }
        Ok(())
    })?;
    for (cells, value) in cells.iter_mut().zip(values) {
        let lone = cells.append(value)?;
        if lone > 0 {
            teller.lone(value.unwrap_or_default());
        }
    }
    Ok(())
}

/// Tells what is odd about one row.
struct Teller<'a> {
    row: u64,
    tallies: &'a mut Tallies,
}

impl Teller<'_> {
    fn warn(&mut self, rule: &str, message: &str, field: Option<&str>, found: &[u8], taken: Option<&str>) {
        let found = String::from_utf8_lossy(&found[..found.len().min(400)]);
        self.tallies.add(rule, Severity::Warning, message, Some(self.row), field, &found, taken);
    }

    fn no_feature(&mut self, item: &[u8]) {
        let found = String::from_utf8_lossy(&item[..item.len().min(400)]);
        let message = "items of the list of features that are no objects were left out; they are not counted as rows";
        self.tallies.add("geojson.not_a_feature", Severity::Error, message, None, None, &found, None);
    }

    fn oddities(&mut self, feature: &Feature<'_>) {
        if let Some(odd) = feature.odd_type {
            let message = "items of the list of features do not say that they are features; they were taken as such";
            self.warn("geojson.odd_type", message, None, odd, Some("Feature"));
        }
        if let Some(odd) = feature.odd_properties {
            self.warn("geojson.odd_properties", "properties that are no object became null", None, odd, Some("null"));
        }
        for (name, before, after) in &feature.repeated {
            self.repeated(name, before, after);
        }
    }

    fn repeated(&mut self, name: &[u8], before: &[u8], after: &[u8]) {
        let name = String::from_utf8_lossy(name);
        let after = String::from_utf8_lossy(&after[..after.len().min(400)]);
        let message = "names that stand twice in one object have their last value";
        self.warn("geojson.repeated_name", message, Some(name.trim_matches('"')), before, Some(&after));
    }

    fn lone(&mut self, value: &[u8]) {
        let message = "halves of letters (lone surrogates) became the replacement character";
        self.warn("geojson.half_letter", message, None, value, Some("\u{fffd}"));
    }

    /// The geometry; null with a word about it if it is none.
    fn wkb(&mut self, geometry: &[u8]) -> Option<Vec<u8>> {
        match to_wkb(geometry) {
            Ok((wkb, loss)) => {
                if loss.numbers_dropped > 0 {
                    let message = "positions with more than three numbers keep the first three";
                    self.warn("geojson.long_position", message, None, geometry, None);
                }
                if loss.heights_missing > 0 {
                    let message = "positions without a height among others that have one got the height 0";
                    self.warn("geojson.missing_height", message, None, geometry, Some("0"));
                }
                Some(wkb)
            }
            Err(why) => {
                let found = String::from_utf8_lossy(&geometry[..geometry.len().min(200)]);
                let found = format!("{why}: {found}");
                let message = "geometries that cannot be read became null";
                self.warn("geojson.geometry_unreadable", message, None, found.as_bytes(), Some("null"));
                None
            }
        }
    }
}
