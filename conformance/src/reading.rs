//! What an adapter sent for an asset, decoded as it comes and checked against the contract.

use crate::failure::{Failure, Verdict, broken, require, require_equal};
use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::Schema;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use ukimet_model::batch;
use ukimet_proto::v1::read_response::Message;
use ukimet_proto::v1::{self, LayerBegin, LayerReport, QuarantinedRow, QuarantinedRows, ReadResponse, ReadSummary};

/// A layer as it was read.
#[derive(Debug)]
pub struct ReadLayer {
    /// Its name in the source.
    pub name: String,
    /// Its batches in the order they came.
    pub batches: Vec<RecordBatch>,
    /// Its report, once it has ended.
    pub report: Option<LayerReport>,
    /// The columns of the source.
    pub source_columns: Vec<String>,
    /// What rules said about places of it.
    pub verdicts: Vec<v1::Verdict>,
    /// Its rows that were refused.
    pub quarantined: Vec<QuarantinedRow>,
    /// Its schema.
    pub schema: Schema,
    schema_message: Bytes,
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Reading {
    /// Its layers in the order they came.
    pub layers: Vec<ReadLayer>,
    /// The last message.
    pub summary: Option<ReadSummary>,
}

impl Reading {
    /// Takes the next message; fails if it may not stand there or does not decode.
    pub fn take(&mut self, response: ReadResponse) -> Verdict {
        require(self.summary.is_none(), || "a message follows the summary".to_owned())?;
        match response.message {
            Some(Message::LayerBegin(begin)) => self.begin(begin),
            Some(Message::Batch(bytes)) => self.open_layer("a batch")?.take_batch(&bytes),
            Some(Message::Verdicts(verdicts)) => {
                self.open_layer("a verdict")?.verdicts.extend(verdicts.verdicts);
                Ok(())
            }
            Some(Message::Quarantined(rows)) => self.open_layer("a quarantined row")?.take_quarantined(rows),
            // Files made of rows are not looked into.
            Some(Message::AssetBegin(_) | Message::AssetData(_) | Message::AssetEnd(_)) => {
                self.open_layer("a file made of a row").map(|_| ())
            }
            Some(Message::LayerEnd(report)) => {
                self.open_layer("a layer_end")?.report = Some(report);
                Ok(())
            }
            Some(Message::Summary(summary)) => {
                require(self.layers.iter().all(|l| l.report.is_some()), || {
                    "the summary comes inside a layer".to_owned()
                })?;
                self.summary = Some(summary);
                Ok(())
            }
            None => broken("a message is empty"),
        }
    }

    fn begin(&mut self, begin: LayerBegin) -> Verdict {
        require(self.layers.iter().all(|l| l.report.is_some()), || {
            "a layer begins before the last one ended".to_owned()
        })?;
        let schema = try_schema_from_ipc_buffer(&begin.schema)?;
        batch::check_schema(&schema)?;
        self.layers.push(ReadLayer {
            name: begin.layer,
            batches: Vec::new(),
            report: None,
            schema,
            schema_message: begin.schema,
            source_columns: begin.source_columns,
            verdicts: Vec::new(),
            quarantined: Vec::new(),
        });
        Ok(())
    }

    fn open_layer(&mut self, what: &str) -> Verdict<&mut ReadLayer> {
        self.layers
            .last_mut()
            .filter(|layer| layer.report.is_none())
            .ok_or_else(|| Failure::Broken(format!("{what} comes outside a layer")))
    }

    /// Rows of all layers.
    pub fn rows(&self) -> u64 {
        self.layers.iter().map(ReadLayer::rows).sum()
    }

    /// The only layer.
    pub fn only_layer(&self) -> Verdict<&ReadLayer> {
        match self.layers.as_slice() {
            [layer] => Ok(layer),
            layers => broken(format!("expected one layer, found {}", layers.len())),
        }
    }

    /// Holds if the summary is there and counts what came, and each layer's report does too.
    pub fn is_complete(&self) -> Verdict {
        let Some(summary) = &self.summary else { return broken("the stream ended without a summary") };
        let batches: u64 = self.layers.iter().map(|layer| layer.batches.len() as u64).sum();
        require_equal("layers of the summary", &(self.layers.len() as u32), &summary.layers)?;
        require_equal("batches of the summary", &batches, &summary.batches)?;
        require_equal("rows of the summary", &self.rows(), &summary.rows)?;
        require(!summary.media_type.is_empty(), || "the summary names no media type".to_owned())?;
        self.layers.iter().try_for_each(|layer| layer.is_reported().map_err(|f| f.context(&layer.name)))
    }
}

/// What a verdict says at most, characters.
const FOUND_CHARACTERS_MAX: usize = 1_000;

impl Reading {
    /// How many rules and places were told, over all layers: more of them mean that something more was said.
    pub fn findings(&self) -> usize {
        let told = |layer: &ReadLayer| {
            layer.verdicts.len() + layer.report.as_ref().map_or(0, |report| report.diagnostics.len())
        };
        self.layers.iter().map(told).sum()
    }

    /// Whether every layer has the same batches.
    pub fn has_rows_of(&self, other: &Self) -> bool {
        self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(a, b)| a.batches == b.batches)
    }

    /// Holds if both are the same in rows, verdicts, refused rows and report.
    pub fn is_same_as(&self, other: &Self) -> Verdict {
        require_equal("summary", &self.summary, &other.summary)?;
        require(self.has_rows_of(other), || "two readings give other rows".to_owned())?;
        for (a, b) in self.layers.iter().zip(&other.layers) {
            require_equal("layer", &a.name, &b.name)?;
            require_equal("report", &a.report, &b.report)?;
            require_equal("verdicts", &a.verdicts, &b.verdicts)?;
            require_equal("quarantined rows", &a.quarantined, &b.quarantined)?;
        }
        Ok(())
    }

    /// Holds if the verdicts and the refused rows of every layer agree with its report.
    pub fn verdicts_agree(&self) -> Verdict {
        self.layers.iter().try_for_each(|layer| layer.verdicts_agree().map_err(|f| f.context(&layer.name)))
    }
}

impl ReadLayer {
    /// The names of its columns.
    pub fn columns(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn verdicts_agree(&self) -> Verdict {
        let report = self.report.clone().unwrap_or_default();
        let rows: BTreeSet<u64> = self.quarantined.iter().map(|row| row.row).collect();
        require_equal("rows quarantined, each once", &self.quarantined.len(), &rows.len())?;
        require_equal("rows quarantined", &report.rows_refused, &(rows.len() as u64))?;
        let last = rows.last().copied().unwrap_or_default();
        require(rows.is_empty() || last < report.rows_read, || {
            format!("row {} is quarantined, rows_read is {}", last + 1, report.rows_read)
        })?;
        let errors: BTreeSet<u64> =
            self.verdicts.iter().filter(|v| v.severity() == v1::Severity::Error).filter_map(|v| v.row).collect();
        require_equal("rows with an error and rows quarantined", &errors, &rows)?;
        self.verdicts.iter().try_for_each(|verdict| is_sound(verdict, report.rows_read))?;
        for diagnostic in &report.diagnostics {
            require(is_rule(&diagnostic.rule) && diagnostic.severity() != v1::Severity::Unspecified, || {
                format!("a diagnostic has a rule group.snake_case and a severity, found {diagnostic:?}")
            })?;
        }
        let told = |verdict: &v1::Verdict| report.diagnostics.iter().any(|d| d.rule == verdict.rule);
        match self.verdicts.iter().find(|verdict| !told(verdict)) {
            Some(verdict) => broken(format!("the report has no diagnostic {}, which has a verdict", verdict.rule)),
            None => Ok(()),
        }
    }

    /// The schema's message and this one together are a whole stream.
    fn take_batch(&mut self, message: &[u8]) -> Verdict {
        let mut bytes = Buffer::from([&self.schema_message, message].concat());
        let Some(rows) = StreamDecoder::new().decode(&mut bytes)? else {
            return broken("a batch message holds no batch");
        };
        require(rows.num_rows() > 0, || "a batch has no rows".to_owned())?;
        require(bytes.is_empty(), || format!("{} bytes follow a batch in its message", bytes.len()))?;
        self.batches.push(rows);
        Ok(())
    }

    fn take_quarantined(&mut self, rows: QuarantinedRows) -> Verdict {
        for row in &rows.rows {
            require_equal("values of a quarantined row", &row.values.len(), &self.source_columns.len())?;
        }
        self.quarantined.extend(rows.rows);
        Ok(())
    }

    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|rows| rows.num_rows() as u64).sum()
    }

    /// The values of a column as text, `None` for null; the column may have any type that prints.
    pub fn column(&self, name: &str) -> Verdict<Vec<Option<String>>> {
        let mut values = Vec::new();
        for rows in &self.batches {
            let Some(column) = rows.column_by_name(name) else { return broken(format!("there is no column {name}")) };
            values.extend(texts(column));
        }
        Ok(values)
    }

    /// The geometries as WKB, `None` for null; `None` for a table without places.
    pub fn geometries(&self) -> Option<Vec<Option<&[u8]>>> {
        let mut geometries = Vec::new();
        for rows in &self.batches {
            let column = rows.column(batch::geometry_index(rows.schema_ref())?);
            geometries.extend(column.as_binary::<i32>().iter());
        }
        Some(geometries)
    }

    /// Holds if the report counts what came, by rows, by geometry type, and in space.
    fn is_reported(&self) -> Verdict {
        let Some(report) = &self.report else { return broken("the layer did not end") };
        require_equal("layer of the report", &self.name, &report.layer)?;
        require_equal("rows_taken", &self.rows(), &report.rows_taken)?;
        require_equal("rows_read", &(report.rows_taken + report.rows_refused), &report.rows_read)?;
        require(report.rows_repaired <= report.rows_taken, || {
            format!("rows_repaired {} exceeds rows_taken {}", report.rows_repaired, report.rows_taken)
        })?;
        require(!report.format.is_empty(), || "the report names no format".to_owned())?;
        self.verdicts_are_reported(report)?;
        self.geometry_is_reported(report)
    }

    /// Holds if places are rows of the layer, and if refused rows have a verdict and no others are given back.
    fn verdicts_are_reported(&self, report: &LayerReport) -> Verdict {
        let rows = self.verdicts.iter().filter_map(|verdict| verdict.row);
        let last = rows.chain(self.quarantined.iter().map(|row| row.row)).max();
        require(last.is_none_or(|row| row < report.rows_read), || {
            format!("a place is row {}, of {} that were read", last.unwrap_or_default() + 1, report.rows_read)
        })?;
        let given_back = self.quarantined.len() as u64;
        require(given_back <= report.rows_refused, || {
            format!("{given_back} rows are given back, {} were refused", report.rows_refused)
        })?;
        let errors = self.verdicts.iter().filter(|verdict| verdict.severity() == v1::Severity::Error).count();
        let is_listed = !report.diagnostics.iter().any(|found| found.rule == "verdicts.unlisted");
        require(report.rows_refused == 0 || errors > 0 || !is_listed, || {
            format!("{} rows were refused, no verdict says why", report.rows_refused)
        })
    }

    fn geometry_is_reported(&self, report: &LayerReport) -> Verdict {
        let Some(geometries) = self.geometries() else { return Ok(()) };
        let mut types = HashMap::new();
        let mut bounds: Option<[f64; 4]> = None;
        for bytes in geometries.iter().flatten() {
            let shape = ukimet_model::wkb::inspect(bytes)?;
            require(shape.is_canonical && shape.is_finite, || "a geometry is not canonical and finite WKB".to_owned())?;
            *types.entry(shape.kind.name().to_owned()).or_insert(0) += 1;
            if let Some([x0, y0, x1, y1]) = shape.bounds {
                require(x0 >= -180.0 && x1 <= 180.0 && y0 >= -90.0 && y1 <= 90.0, || {
                    format!("expected longitude within ±180 and latitude within ±90, found {x0},{y0},{x1},{y1}")
                })?;
                let b = bounds.get_or_insert([x0, y0, x1, y1]);
                *b = [b[0].min(x0), b[1].min(y0), b[2].max(x1), b[3].max(y1)];
            }
        }
        let nulls = geometries.iter().filter(|bytes| bytes.is_none()).count() as u64;
        require_equal("geometry_types", &types, &report.geometry_types)?;
        require_equal("geometry_nulls", &nulls, &report.geometry_nulls)?;
        let reported = report.bbox.map(|b| [b.west, b.south, b.east, b.north]);
        require(boxes_are_near(bounds, reported), || format!("bbox: expected {bounds:?}, found {reported:?}"))
    }
}

fn is_sound(verdict: &v1::Verdict, rows_read: u64) -> Verdict {
    let is_sound = is_rule(&verdict.rule)
        && verdict.severity() != v1::Severity::Unspecified
        && !verdict.note.is_empty()
        && verdict.row.is_none_or(|row| row < rows_read)
        && verdict.found.chars().count() <= FOUND_CHARACTERS_MAX;
    require(is_sound, || {
        format!(
            "a verdict has a rule group.snake_case, a severity, a note, a row below {rows_read} and at most {FOUND_CHARACTERS_MAX} characters, found {verdict:?}"
        )
    })
}

/// Whether a rule is named `group.snake_case`.
fn is_rule(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    name.split_once('.').is_some_and(|(group, rule)| is_word(group) && is_word(rule))
}

/// Whether two boxes agree within 1e-9 degrees, about 0.1 mm.
fn boxes_are_near(a: Option<[f64; 4]>, b: Option<[f64; 4]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn texts(column: &dyn Array) -> Vec<Option<String>> {
    use arrow_array::types::{Float64Type, Int32Type, Int64Type};
    use arrow_schema::DataType;
    fn print<T: ToString>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<String>> {
        values.map(|value| value.map(|v| v.to_string())).collect()
    }
    match column.data_type() {
        DataType::Utf8 => print(column.as_string::<i32>().iter()),
        DataType::Int32 => print(column.as_primitive::<Int32Type>().iter()),
        DataType::Int64 => print(column.as_primitive::<Int64Type>().iter()),
        DataType::Float64 => print(column.as_primitive::<Float64Type>().iter()),
        other => vec![Some(format!("a value of type {other}")); column.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;
    use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message};
    use arrow_schema::DataType;
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let schema = Schema::new(vec![batch::attribute_field("id", "ID", DataType::Int64)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![Some(1), None]))]).expect("valid")
    }

    fn messages(report: LayerReport, summary: ReadSummary) -> Vec<Message> {
        let (options, generator) = (IpcWriteOptions::default(), IpcDataGenerator::default());
        let mut tracker = DictionaryTracker::new(false);
        let encoded = |data| {
            let mut bytes = Vec::new();
            write_message(&mut bytes, data, &options).expect("memory");
            bytes
        };
        let rows = rows();
        let schema =
            encoded(generator.schema_to_bytes_with_dictionary_tracker(rows.schema_ref(), &mut tracker, &options));
        let (_, data) =
            generator.encode(&rows, &mut tracker, &options, &mut IpcWriteContext::default()).expect("encodes");
        vec![
            Message::LayerBegin(LayerBegin {
                layer: "a".to_owned(),
                schema: schema.into(),
                source_columns: Vec::new(),
            }),
            Message::Batch(encoded(data).into()),
            Message::LayerEnd(report),
            Message::Summary(summary),
        ]
    }

    fn good() -> Vec<Message> {
        let report = LayerReport {
            layer: "a".to_owned(),
            format: "CSV".to_owned(),
            rows_read: 2,
            rows_taken: 2,
            ..LayerReport::default()
        };
        messages(report, ReadSummary { media_type: "text/csv".to_owned(), layers: 1, batches: 1, rows: 2 })
    }

    fn take(messages: Vec<Message>) -> Verdict<Reading> {
        let mut reading = Reading::default();
        for message in messages {
            reading.take(ReadResponse { message: Some(message) })?;
        }
        reading.is_complete()?;
        Ok(reading)
    }

    #[test]
    fn a_reading_that_keeps_the_contract_is_taken() {
        let reading = take(good()).expect("complete");
        let column = reading.only_layer().expect("one").column("id").expect("there");
        assert_eq!(column, [Some("1".to_owned()), None]);
    }

    #[test]
    fn a_reading_that_breaks_the_contract_is_told_apart() {
        let without = |i: usize| {
            let mut messages = good();
            messages.remove(i);
            take(messages)
        };
        assert!(without(0).is_err(), "batch before schema");
        assert!(without(1).is_err(), "fewer rows than reported");
        assert!(without(2).is_err(), "summary inside a layer");
        assert!(without(3).is_err(), "no summary");
        let mut twice = good();
        twice.push(good().remove(3));
        assert!(take(twice).is_err(), "message after the summary");
    }
}
