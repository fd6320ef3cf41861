//! Files that an export writes: one format an ending.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use geozero::geojson::GeoJsonWriter;
use geozero::{CoordDimensions, GeozeroGeometry, ToWkt};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use ukimet_model::batch::{GEOMETRY_COLUMN, is_geometry};
use ukimet_model::crs::CRS84_PROJJSON;
use ukimet_model::{Error, Result};

type Out = BufWriter<File>;

/// A file that rows are written into.
pub struct RowFile {
    writer: Writer,
}

enum Writer {
    Parquet(Box<ArrowWriter<Out>>),
    Arrow(Box<arrow_ipc::writer::FileWriter<Out>>),
    Csv(Box<arrow_csv::Writer<Out>>),
    Features { out: Out, layout: Layout, written: u64 },
}

/// How features are laid out as text.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    /// One JSON document.
    Collection,
    /// A document a line.
    Lines,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("writing the file").caused_by(error)
}

impl RowFile {
    /// Begins a file whose format is told by the ending of `path`.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for an unknown ending, naming the known ones.
    pub fn create(path: &Path, file: File, schema: &SchemaRef) -> Result<Self> {
        let out = BufWriter::new(file);
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        let writer = match ending.as_str() {
            "parquet" => parquet_writer(out, schema)?,
            "arrow" => Writer::Arrow(Box::new(arrow_ipc::writer::FileWriter::try_new(out, schema).map_err(failed)?)),
            "csv" => Writer::Csv(Box::new(arrow_csv::WriterBuilder::new().with_header(true).build(out))),
            "geojson" | "json" => features(out, Layout::Collection)?,
            "ndjson" | "geojsonl" | "geojsonseq" => features(out, Layout::Lines)?,
            other => {
                return Err(Error::invalid_request(format!(
                    "the file's ending says the format: .parquet, .arrow, .geojson, .ndjson or .csv, found .{other}"
                )));
            }
        };
        Ok(Self { writer })
    }

    /// Writes further rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            Writer::Parquet(writer) => writer.write(rows).map_err(failed),
            Writer::Arrow(writer) => writer.write(rows).map_err(failed),
            Writer::Csv(writer) => writer.write(&as_table(rows)?).map_err(failed),
            Writer::Features { out, layout, written } => write_features(out, *layout, written, rows),
        }
    }

    /// Completes the file.
    pub fn finish(self) -> Result<()> {
        let mut out = match self.writer {
            Writer::Parquet(writer) => writer.into_inner().map_err(failed)?,
            Writer::Arrow(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner().map_err(failed)?
            }
            Writer::Csv(writer) => writer.into_inner(),
            Writer::Features { mut out, layout, .. } => {
                if layout == Layout::Collection {
                    out.write_all(b"\n]}\n").map_err(failed)?;
                }
                out
            }
        };
        out.flush().map_err(failed)
    }
}

fn parquet_writer(out: Out, schema: &SchemaRef) -> Result<Writer> {
    let mut properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    if schema.column_with_name(GEOMETRY_COLUMN).is_some() {
        let crs: serde_json::Value = serde_json::from_str(CRS84_PROJJSON).expect("the constant is JSON");
        let geometry = json!({ "encoding": "WKB", "geometry_types": [], "crs": crs });
        let geo =
            json!({ "version": "1.1.0", "primary_column": GEOMETRY_COLUMN, "columns": { GEOMETRY_COLUMN: geometry } });
        let entry = parquet::file::metadata::KeyValue::new("geo".to_owned(), geo.to_string());
        properties = properties.set_key_value_metadata(Some(vec![entry]));
    }
    let writer = ArrowWriter::try_new(out, Arc::clone(schema), Some(properties.build())).map_err(failed)?;
    Ok(Writer::Parquet(Box::new(writer)))
}

fn features(mut out: Out, layout: Layout) -> Result<Writer> {
    if layout == Layout::Collection {
        out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[").map_err(failed)?;
    }
    Ok(Writer::Features { out, layout, written: 0 })
}

/// The geometry column, and the rows without it.
fn split(rows: &RecordBatch) -> Result<(Option<usize>, RecordBatch)> {
    let geometry = rows.schema_ref().fields().iter().position(|field| is_geometry(field));
    let others: Vec<_> = (0..rows.num_columns()).filter(|i| Some(*i) != geometry).collect();
    Ok((geometry, rows.project(&others).map_err(failed)?))
}

/// Rows as GeoJSON features: a line each, properties with explicit nulls.
fn write_features(out: &mut Out, layout: Layout, written: &mut u64, rows: &RecordBatch) -> Result<()> {
    let (geometry, attributes) = split(rows)?;
    let properties = property_lines(&attributes)?;
    let mut lines = properties.split(|b| *b == b'\n');
    for row in 0..rows.num_rows() {
        let separator: &[u8] = match (layout, *written) {
            (Layout::Collection, 0) => b"\n",
            (Layout::Collection, _) => b",\n",
            (Layout::Lines, _) => b"",
        };
        out.write_all(separator).map_err(failed)?;
        let shape = match geometry.map(|i| rows.column(i).as_binary::<i32>()) {
            Some(column) if column.is_valid(row) => geojson(column.value(row))?,
            _ => "null".to_owned(),
        };
        let line = lines.next().filter(|line| !line.is_empty()).unwrap_or(b"{}");
        write!(out, "{{\"type\":\"Feature\",\"geometry\":{shape},\"properties\":").map_err(failed)?;
        out.write_all(line).map_err(failed)?;
        out.write_all(if layout == Layout::Lines { b"}\n" } else { b"}" }).map_err(failed)?;
        *written += 1;
    }
    Ok(())
}

/// Which numbers a position has beside x and y.
fn dimensions(wkb: &[u8]) -> Result<CoordDimensions> {
    let shape = ukimet_model::wkb::inspect(wkb).map_err(failed)?;
    Ok(CoordDimensions { z: shape.has_z, m: shape.has_m, ..CoordDimensions::default() })
}

/// A geometry as GeoJSON, with its heights.
///
/// # Errors
///
/// `InvalidRequest` for a geometry with measures, for which GeoJSON has no place.
fn geojson(wkb: &[u8]) -> Result<String> {
    let dimensions = dimensions(wkb)?;
    if dimensions.m {
        return Err(Error::invalid_request(
            "GeoJSON has no place for measures (M); export as .parquet, .arrow or .csv",
        ));
    }
    let mut text = Vec::new();
    let mut writer = GeoJsonWriter::with_dims(&mut text, dimensions);
    geozero::wkb::Wkb(wkb).process_geom(&mut writer).map_err(failed)?;
    String::from_utf8(text).map_err(failed)
}

/// A geometry as text, with its heights and measures as third and fourth number.
///
/// # Errors
///
/// `InvalidRequest` for measures without heights: a third number would be read as a height.
pub(crate) fn wkt(wkb: &[u8]) -> Result<String> {
    let dimensions = dimensions(wkb)?;
    if dimensions.m && !dimensions.z {
        return Err(Error::invalid_request(
            "a measure (M) without height would be read as one; export as .parquet or .arrow",
        ));
    }
    geozero::wkb::Wkb(wkb).to_wkt_ndim(dimensions).map_err(failed)
}

fn property_lines(attributes: &RecordBatch) -> Result<Vec<u8>> {
    if attributes.num_columns() == 0 {
        return Ok(Vec::new());
    }
    let builder = arrow_json::writer::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    writer.write(attributes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(writer.into_inner())
}

/// Rows as a table needs them: the geometry as WKT, lists and structures as JSON.
fn as_table(rows: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(rows.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(rows.num_columns());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let text = match field.data_type() {
            _ if is_geometry(field) => Some(wkt_column(column.as_binary())?),
            nested if nested.is_nested() => Some(json_column(column)?),
            _ => None,
        };
        let data_type = if text.is_some() { DataType::Utf8 } else { field.data_type().clone() };
        fields.push(Field::new(field.name(), data_type, true));
        columns.push(text.map_or_else(|| Arc::clone(column), |text| Arc::new(text)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}

fn wkt_column(shapes: &BinaryArray) -> Result<StringArray> {
    shapes.iter().map(|shape| shape.map(wkt).transpose()).collect()
}

fn json_column(column: &ArrayRef) -> Result<StringArray> {
    let rows = RecordBatch::try_from_iter_with_nullable([("v", Arc::clone(column), true)]).map_err(failed)?;
    let lines = property_lines(&rows)?;
    let texts = lines.split(|b| *b == b'\n').take(column.len()).map(|line| {
        let mut value: serde_json::Value = serde_json::from_slice(line).map_err(failed)?;
        let value = value["v"].take();
        Ok((!value.is_null()).then(|| value.to_string()))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{Int64Array, ListArray, TimestampMicrosecondArray};
    use ukimet_model::batch::{attribute_field, geometry_field};

    fn point(x: f64, y: f64) -> Vec<u8> {
        [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
    }

    fn rows() -> RecordBatch {
        let fields = vec![
            attribute_field("name", "Имя", DataType::Utf8),
            attribute_field("n", "n", DataType::Int64),
            Arc::new(geometry_field()),
        ];
        RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![
                Arc::new(StringArray::from(vec![Some("Алматы, \"қала\""), None])),
                Arc::new(Int64Array::from(vec![None, Some(7)])),
                Arc::new(BinaryArray::from_opt_vec(vec![Some(&point(76.9, 43.2)), None])),
            ],
        )
        .expect("columns fit")
    }

    fn written(name: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let target = file.as_file().try_clone().expect("a handle");
        let mut rows_file = RowFile::create(Path::new(name), target, &rows().schema()).expect("known ending");
        rows_file.write(&rows()).expect("written");
        rows_file.finish().expect("finished");
        std::fs::read(file.path()).expect("read")
    }

    #[test]
    fn geojson_keeps_nulls_and_letters() {
        let document: serde_json::Value = serde_json::from_slice(&written("x.geojson")).expect("JSON");
        let features = document["features"].as_array().expect("features");
        assert_eq!(features[0]["geometry"]["coordinates"], json!([76.9, 43.2]));
        assert_eq!(features[0]["properties"], json!({ "name": "Алматы, \"қала\"", "n": null }));
        assert_eq!(features[1]["geometry"], serde_json::Value::Null);
        assert_eq!(String::from_utf8(written("x.ndjson")).expect("text").lines().count(), 2);
    }

    #[test]
    fn csv_has_the_geometry_as_text() {
        let text = String::from_utf8(written("x.csv")).expect("text");
        assert_eq!(text, "name,n,geometry\n\"Алматы, \"\"қала\"\"\",,POINT(76.9 43.2)\n,7,\n");
    }

    #[test]
    fn lists_and_times_in_named_zones_are_written_as_text() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let time = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("Asia/Almaty");
        let columns: [(&str, ArrayRef); 2] = [("list", Arc::new(list)), ("time", Arc::new(time))];
        let rows = RecordBatch::try_from_iter(columns).expect("columns fit");
        for name in ["x.csv", "x.geojson"] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            let target = file.as_file().try_clone().expect("a handle");
            let mut rows_file = RowFile::create(Path::new(name), target, &rows.schema()).expect("known ending");
            rows_file.write(&rows).expect(name);
            rows_file.finish().expect("finished");
            let text = std::fs::read_to_string(file.path()).expect("read");
            assert!(text.contains("[1,null]") && text.contains("1970-01-01T0"), "{text}");
        }
    }

    #[test]
    fn heights_are_written_and_measures_are_not_lost_silently() {
        let position = |code: u32, numbers: &[f64]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
            [&[1][..], &code.to_le_bytes(), &numbers].concat()
        };
        let high = position(1001, &[76.9, 43.2, 850.5]);
        let document: serde_json::Value = serde_json::from_str(&geojson(&high).expect("GeoJSON")).expect("JSON");
        assert_eq!(document["coordinates"], json!([76.9, 43.2, 850.5]));
        assert_eq!(wkt(&high).expect("WKT"), "POINT(76.9 43.2 850.5)");
        let measured = position(2001, &[76.9, 43.2, 7.0]);
        assert!(geojson(&measured).expect_err("no place").message().contains("measures"));
        assert!(wkt(&measured).expect_err("ambiguous").message().contains("measure"));
    }

    #[test]
    fn parquet_and_arrow_read_back_equal() {
        let bytes = bytes::Bytes::from(written("x.parquet"));
        let mut reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 100).expect("a file");
        assert_eq!(reader.next().expect("rows").expect("rows").columns(), rows().columns());
        let bytes = std::io::Cursor::new(written("x.arrow"));
        let mut reader = arrow_ipc::reader::FileReader::try_new(bytes, None).expect("a file");
        assert_eq!(reader.next().expect("rows").expect("rows"), rows());
    }

    #[test]
    fn an_unknown_ending_is_named() {
        let file = tempfile::tempfile().expect("a file");
        let error = RowFile::create(Path::new("x.docx"), file, &rows().schema()).err().expect("refused");
        assert!(error.message().contains(".docx") && error.message().contains(".parquet"), "{error}");
    }
}
