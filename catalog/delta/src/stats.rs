//! Statistics of a file, from its footer: what lets an engine leave out files that a filter cannot meet.

use crate::schema::{SIDES, TableSchema};
use arrow_schema::DataType;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use serde::Serialize;
use serde_json::{Map, Value, json};
use ukimet_model::{Error, Result};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileStats {
    num_records: i64,
    /// Whether the bounds are those of the rows that are there, not of deleted ones too.
    tight_bounds: bool,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

/// What is known of one column of a file.
#[derive(Default)]
struct ColumnStats {
    min: Option<Value>,
    max: Option<Value>,
    nulls: Option<u64>,
}

/// Statistics as JSON text: numbers of rows and nulls, and the bounds of boxes, whole numbers, dates and texts.
///
/// Other numbers have no bounds, because a bound cannot say whether a value is not a number; times neither, because
/// engines disagree on how a bound is rounded.
pub(crate) fn file_stats(footer: &ParquetMetaData, schema: &TableSchema, has_deleted_rows: bool) -> Result<String> {
    let mut stats = FileStats {
        num_records: footer.file_metadata().num_rows(),
        tight_bounds: !has_deleted_rows,
        min_values: Map::new(),
        max_values: Map::new(),
        null_count: Map::new(),
    };
    for field in schema.columns.iter().filter(|field| !field.data_type().is_nested()) {
        let column = column_stats(footer, &[field.name()], field.data_type());
        let is_bounded = !field.data_type().is_floating();
        stats.add(
            field.name(),
            &if is_bounded { column } else { ColumnStats { nulls: column.nulls, ..ColumnStats::default() } },
        );
    }
    if let Some(covering) = &schema.covering {
        stats.add_boxes(footer, covering);
    }
    serde_json::to_string(&stats).map_err(|e| Error::internal("writing statistics of a file").caused_by(e))
}

impl FileStats {
    fn add(&mut self, name: &str, column: &ColumnStats) {
        let into = [&mut self.min_values, &mut self.max_values, &mut self.null_count];
        let values = [column.min.clone(), column.max.clone(), column.nulls.map(Value::from)];
        for (map, value) in into.into_iter().zip(values) {
            map.extend(value.map(|value| (name.to_owned(), value)));
        }
    }

    fn add_boxes(&mut self, footer: &ParquetMetaData, covering: &str) {
        let mut sides = Self {
            num_records: 0,
            tight_bounds: true,
            min_values: Map::new(),
            max_values: Map::new(),
            null_count: Map::new(),
        };
        for side in SIDES {
            sides.add(side, &column_stats(footer, &[covering, side], &DataType::Float32));
        }
        let into = [&mut self.min_values, &mut self.max_values, &mut self.null_count];
        for (map, values) in into.into_iter().zip([sides.min_values, sides.max_values, sides.null_count]) {
            if !values.is_empty() {
                map.insert(covering.to_owned(), values.into());
            }
        }
    }
}

fn column_stats(footer: &ParquetMetaData, path: &[&str], data_type: &DataType) -> ColumnStats {
    let columns = footer.file_metadata().schema_descr().columns();
    let Some(index) = columns.iter().position(|column| column.path().parts() == path) else {
        return ColumnStats::default();
    };
    let chunks: Vec<_> = footer.row_groups().iter().map(|group| group.column(index)).collect();
    let nulls = chunks.iter().map(|chunk| chunk.statistics()?.null_count_opt()).sum();
    let (min, max) = bounds(&chunks, data_type).unzip();
    ColumnStats { min, max, nulls }
}

/// The bounds over all chunks that have values; `None` if those of one of them are not known.
fn bounds(chunks: &[&ColumnChunkMetaData], data_type: &DataType) -> Option<(Value, Value)> {
    let mut bounds: Option<(Bound, Bound)> = None;
    for chunk in chunks {
        let statistics = chunk.statistics()?;
        if statistics.null_count_opt() == Some(chunk.num_values().cast_unsigned()) {
            continue;
        }
        let (min, max) = bounds_of(statistics, data_type)?;
        bounds = Some(match bounds {
            None => (min, max),
            Some((low, high)) => (if min < low { min } else { low }, if max > high { max } else { high }),
        });
    }
    let (min, max) = bounds?;
    Some((min.into_value(data_type)?, max.into_value(data_type)?))
}

/// A bound in the order of its type.
#[derive(PartialEq, PartialOrd)]
enum Bound {
    Whole(i64),
    Side(f32),
    Text(String),
}

impl Bound {
    fn into_value(self, data_type: &DataType) -> Option<Value> {
        match self {
            Self::Whole(days) if data_type == &DataType::Date32 => {
                let epoch: Date = date(1970, 1, 1);
                epoch.checked_add(days.days()).ok().filter(|date| date.year() >= 1).map(|date| json!(date.to_string()))
            }
            Self::Whole(number) => Some(json!(number)),
            Self::Side(side) => Some(json!(f64::from(side))),
            Self::Text(text) => Some(json!(text)),
        }
    }
}

fn bounds_of(statistics: &Statistics, data_type: &DataType) -> Option<(Bound, Bound)> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Bound::Text(text.to_owned()));
    // The physical number of 32 bits is one without a sign in these columns.
    let whole = |number: i32| match data_type {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => i64::from(number.cast_unsigned()),
        _ => i64::from(number),
    };
    match (statistics, data_type) {
        (Statistics::Int32(found), data_type) if data_type.is_integer() || data_type == &DataType::Date32 => {
            Some((Bound::Whole(whole(*found.min_opt()?)), Bound::Whole(whole(*found.max_opt()?))))
        }
        (Statistics::Int64(found), DataType::Int64) => {
            Some((Bound::Whole(*found.min_opt()?), Bound::Whole(*found.max_opt()?)))
        }
        (Statistics::Float(found), DataType::Float32) => {
            Some((Bound::Side(*found.min_opt()?), Bound::Side(*found.max_opt()?)))
        }
        (Statistics::ByteArray(_), DataType::Utf8) => {
            Some((text(statistics.min_bytes_opt()?)?, text(statistics.max_bytes_opt()?)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, UInt32Array};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;
    use std::sync::Arc;

    #[test]
    fn bounds_go_over_all_row_groups_and_say_nothing_where_nothing_is_known() {
        let columns: [(&str, ArrayRef); 5] = [
            ("count", Arc::new(UInt32Array::from(vec![Some(7), None, Some(4_000_000_000), Some(5)]))),
            ("day", Arc::new(Date32Array::from(vec![Some(1), Some(-1), None, Some(0)]))),
            ("never", Arc::new(StringArray::from(vec![None::<&str>; 4]))),
            ("share", Arc::new(Float64Array::from(vec![0.5, f64::NAN, 1.0, 2.0]))),
            ("text", Arc::new(StringArray::from(vec!["б", "а", "ғ", "в"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns");
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1)).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("written");
        let bytes = Bytes::from(writer.into_inner().expect("written"));
        let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).expect("Parquet");
        assert_eq!(footer.num_row_groups(), 4);
        let schema = TableSchema::of(&batch.schema()).expect("a schema");
        let text = file_stats(&footer, &schema, false).expect("statistics");
        let stats: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(stats["minValues"], json!({ "count": 5, "day": "1969-12-31", "text": "а" }));
        assert_eq!(stats["maxValues"], json!({ "count": 4_000_000_000_u32, "day": "1970-01-02", "text": "ғ" }));
        assert_eq!(stats["nullCount"], json!({ "count": 1, "day": 1, "never": 4, "share": 0, "text": 0 }));
        assert_eq!((&stats["numRecords"], &stats["tightBounds"]), (&json!(4), &json!(true)));
    }
}
