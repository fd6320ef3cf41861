//! Columns that the source typed itself, in the form that is published.

use crate::findings::{Findings, example};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StringArray};
use arrow_cast::CastOptions;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, TimeUnit};
use std::sync::Arc;
use ukimet_model::batch::is_published;
use ukimet_model::{Error, Result, Severity};

/// The published type of a column of any Arrow type.
///
/// Times get microseconds, half floats become `Float32`, large and view types their plain form, dictionaries their
/// values, maps lists of entries; what has no exact counterpart (unions, intervals, 256-bit decimals) becomes text.
pub(crate) fn published_type(source: &DataType) -> DataType {
    use DataType as T;
    let item = |field: &Arc<Field>| Arc::new(published_field(field));
    match source {
        published if is_published(published) => published.clone(),
        T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Float16 => T::Float32,
        T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Microsecond, zone.clone()),
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => T::Decimal128(*precision, *scale),
        T::Dictionary(_, value) => published_type(value),
        T::RunEndEncoded(_, values) => published_type(values.data_type()),
        T::List(field)
        | T::LargeList(field)
        | T::FixedSizeList(field, _)
        | T::ListView(field)
        | T::LargeListView(field)
        | T::Map(field, _) => T::List(item(field)),
        T::Struct(fields) => T::Struct(fields.iter().map(item).collect()),
        _ => T::Utf8,
    }
}

fn published_field(field: &Field) -> Field {
    Field::new(field.name(), published_type(field.data_type()), field.is_nullable())
}

/// Columns in published form.
pub(crate) struct Published;

impl Published {
    /// Brings one column into its published type; equal types are passed through without a copy.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the column if a value does not fit.
    pub(crate) fn apply(column: &ArrayRef, name: &str, row_first: u64, findings: &mut Findings) -> Result<ArrayRef> {
        let target = published_type(column.data_type());
        if *column.data_type() == target {
            return Ok(Arc::clone(column));
        }
        report_precision(column, name, Some(row_first), findings);
        convert(column, &target)
            .map_err(|error| error.context(format!("column {} to {target}", ukimet_model::error::quoted(name))))
    }
}

fn convert(column: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match (column.data_type(), target) {
        (DataType::Map(..), DataType::List(item)) => {
            let map = column.as_map();
            let entries = cast(&(Arc::new(map.entries().clone()) as ArrayRef), item.data_type())?;
            let list = ListArray::try_new(Arc::clone(item), map.offsets().clone(), entries, map.nulls().cloned());
            Ok(Arc::new(list.map_err(unfit)?))
        }
        (source, DataType::Utf8) if !arrow_cast::can_cast_types(source, target) => text(column),
        _ => cast(column, target),
    }
}

fn cast(column: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    arrow_cast::cast_with_options(column, target, &options).map_err(unfit)
}

fn unfit(error: arrow_schema::ArrowError) -> Error {
    Error::invalid_data("a value does not fit its published type").caused_by(error)
}

fn text(column: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(unfit)?;
    let value = |i: usize| (!column.is_null(i)).then(|| formatter.value(i).to_string());
    Ok(Arc::new((0..column.len()).map(value).collect::<StringArray>()))
}

/// Counts times whose digits below a microsecond, or below a day, are cut off, those in lists and structs included.
///
/// `row_first` is the row of the first value; `None` for values of lists, which have no row of their own.
fn report_precision(column: &ArrayRef, name: &str, row_first: Option<u64>, findings: &mut Findings) {
    use arrow_array::types::{Date64Type, Time64NanosecondType, TimestampNanosecondType};
    let (values, unit): (&[i64], i64) = match column.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            (column.as_primitive::<TimestampNanosecondType>().values(), 1000)
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let (first, end) = (list.value_offsets()[0] as usize, list.value_offsets()[list.len()] as usize);
            return report_precision(&list.values().slice(first, end - first), name, None, findings);
        }
        DataType::Struct(_) => {
            let parts = column.as_struct().columns().iter();
            return parts.for_each(|part| report_precision(part, name, row_first, findings));
        }
        DataType::Time64(TimeUnit::Nanosecond) => (column.as_primitive::<Time64NanosecondType>().values(), 1000),
        DataType::Date64 => (column.as_primitive::<Date64Type>().values(), 86_400_000),
        _ => return,
    };
    let cut = |(i, value): &(usize, &i64)| !column.is_null(*i) && *value % unit != 0;
    let count = values.iter().enumerate().filter(cut).count() as u64;
    let message = "times are kept to the microsecond and dates to the day; finer digits were cut off";
    let examples = values.iter().enumerate().filter(cut).map(|(i, value)| {
        example(
            row_first.map(|first| first + i as u64),
            Some(name),
            &value.to_string(),
            Some(&(value - value % unit).to_string()),
        )
    });
    findings.add("types.precision", Severity::Warning, message, count, examples);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::{Int32Type, TimestampMicrosecondType};
    use arrow_array::{
        Date64Array, DictionaryArray, LargeStringArray, NullArray, StringViewArray, Time32SecondArray,
        TimestampNanosecondArray,
    };

    fn check(column: impl Array + 'static, expected: &DataType) {
        let column: ArrayRef = Arc::new(column);
        let published = Published::apply(&column, "x", 0, &mut Findings::default()).expect("converts");
        assert_eq!(published.data_type(), expected);
        assert!(is_published(expected));
        assert_eq!((published.len(), published.logical_null_count()), (column.len(), column.logical_null_count()));
    }

    #[test]
    fn every_type_has_a_published_form() {
        check(LargeStringArray::from(vec![Some("a"), None]), &DataType::Utf8);
        check(StringViewArray::from(vec![Some("a"), None]), &DataType::Utf8);
        let words: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        check(words, &DataType::Utf8);
        check(NullArray::new(2), &DataType::Utf8);
        check(Date64Array::from(vec![86_400_000]), &DataType::Date32);
        check(Time32SecondArray::from(vec![1]), &DataType::Time64(TimeUnit::Microsecond));
        let mut map = arrow_array::builder::MapBuilder::new(
            None,
            arrow_array::builder::StringBuilder::new(),
            arrow_array::builder::Int32Builder::new(),
        );
        map.keys().append_value("highway");
        map.values().append_value(1);
        map.append(true).expect("even");
        let map = map.finish();
        let expected = published_type(map.data_type());
        check(map, &expected);
    }

    #[test]
    fn nanoseconds_that_are_cut_off_are_counted() {
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001, -1]));
        let mut findings = Findings::default();
        let published = Published::apply(&column, "t", 7, &mut findings).expect("converts");
        assert_eq!(published.as_primitive::<TimestampMicrosecondType>().value(1), 1);
        let found = &findings.into_diagnostics()[0];
        assert_eq!((found.rule.as_str(), found.count, found.examples[0].row), ("types.precision", 2, Some(8)));
    }

    #[test]
    fn nanoseconds_inside_lists_and_structs_are_counted() {
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001, 1_002, 2_000, 1_003]));
        let item = Arc::new(Field::new("item", times.data_type().clone(), true));
        let offsets = arrow_buffer::OffsetBuffer::from_lengths([1, 2, 1]);
        let list: ArrayRef = Arc::new(ListArray::new(item, offsets, times, None));
        let list = list.slice(1, 2);
        let part = Arc::new(Field::new("list", list.data_type().clone(), true));
        let column: ArrayRef = Arc::new(arrow_array::StructArray::from(vec![(part, list)]));
        let mut findings = Findings::default();
        Published::apply(&column, "t", 0, &mut findings).expect("converts");
        let found = &findings.into_diagnostics()[0];
        assert_eq!((found.rule.as_str(), found.count, found.examples[0].row), ("types.precision", 2, None));
    }
}
