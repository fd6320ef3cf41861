//! Values that have to fit the type that their column has already: a corrected row beside rows that are published.

use super::moment::{civil, date_time, microseconds};
use super::number::{bare, missing_mark};
use super::value::{Notation, boolean, decimal, integer, is_grouped_by_comma};
use super::{Serial, Zone};
use crate::findings::{Findings, example};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, TimeUnit};
use std::sync::Arc;
use ukimet_model::{Error, Result, Severity};

/// How the values of a column are written, as far as it was decided when its other rows were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expectation {
    /// The notation of its text.
    pub(crate) notation: Option<Notation>,
    /// The day from which its numbers count.
    pub(crate) serial: Option<Serial>,
    /// The declared zone of times that have none.
    pub(crate) zone: Option<Zone>,
}

/// A column in its expected type; rows with a value that does not fit are marked in `misfits`, which is empty as long as
/// there are none, with a finding.
///
/// Empty text is null in every type but text, and marks for a missing value are in numbers and times. A value is read in
/// the notation of its column, and if it is not written so, in any that has one meaning only: a comma that may part
/// thousands as well as decimals does not fit where no notation says which of them it is.
pub(crate) fn apply(
    column: &ArrayRef,
    (expected, how): (&DataType, &Expectation),
    name: &str,
    row_first: u64,
    misfits: &mut Vec<bool>,
    findings: &mut Findings,
) -> Result<ArrayRef> {
    if column.data_type() == expected {
        return Ok(Arc::clone(column));
    }
    let text = as_text(column)?;
    if *expected == DataType::Utf8 {
        return Ok(Arc::new(text));
    }
    let read = |value: &str| how.canonical(value, expected).or_else(|| canonical(value, expected));
    let mut plain: Vec<Option<String>> = text.iter().map(|value| value.and_then(|value| read(value.trim()))).collect();
    for (plain, instant) in plain.iter_mut().zip(how.instants(&text, expected, name, row_first, findings)) {
        *plain = plain.take().or(instant);
    }
    let typed = typed(&plain, expected)?;
    // Where nothing but yes and no is expected, a mark such as нет may be an answer.
    let has_marks = expected.is_numeric() || matches!(expected, DataType::Date32 | DataType::Timestamp(..));
    let place = |i: usize, value: &str, taken| example(Some(row_first + i as u64), Some(name), value, taken);
    for (i, value) in text.iter().enumerate() {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { continue };
        if typed.is_valid(i) {
            continue;
        }
        if has_marks && missing_mark(value).is_some() {
            let message = "marks for missing values in a typed column are null";
            let examples = [place(i, value, Some("null"))];
            findings.add("numbers.missing_mark", Severity::Warning, message, 1, examples);
        } else {
            misfits.resize(column.len(), false);
            misfits[i] = true;
            let message = "rows with a value that does not fit the type of its column were refused";
            findings.add("types.expected", Severity::Error, message, 1, [place(i, value, None)]);
        }
    }
    Ok(typed)
}

impl Expectation {
    /// A value in the notation of its column, as arrow reads its type; `None` if it is not written so.
    fn canonical(&self, text: &str, expected: &DataType) -> Option<String> {
        if let Some(time) = self.counted(text).filter(|_| *expected == DataType::Timestamp(TimeUnit::Microsecond, None))
        {
            return Some(civil(time).to_string());
        }
        let notation = self.notation?;
        if notation.is_number() {
            let number = bare(text)?;
            return match expected {
                expected if expected.is_integer() => integer(&number.text).map(|number| number.to_string()),
                _ => notation.fraction(&number.text).map(|number| number.to_string()),
            };
        }
        notation.date(text).map(|date| date.to_string()).filter(|_| *expected == DataType::Date32)
    }

    /// Microseconds since 1970 of a number that counts days.
    fn counted(&self, text: &str) -> Option<i64> {
        self.serial?.microseconds(text.parse().ok()?)
    }

    /// Times without a zone as instants of the declared one, if the column was read so.
    fn instants(
        &self,
        text: &StringArray,
        expected: &DataType,
        name: &str,
        row_first: u64,
        findings: &mut Findings,
    ) -> Vec<Option<String>> {
        let is_zoned = matches!(expected, DataType::Timestamp(TimeUnit::Microsecond, Some(_)));
        let is_local = self.serial.is_some() || self.notation == Some(Notation::DateTime);
        let Some(zone) = self.zone.as_ref().filter(|_| is_zoned && is_local) else { return Vec::new() };
        let local = |value: &str| {
            let written = || date_time(value).filter(|read| read.offset.is_none()).map(|read| microseconds(read.time));
            self.counted(value).or_else(written)
        };
        let times: PrimitiveArray<TimestampMicrosecondType> =
            text.iter().map(|value| value.and_then(|value| local(value.trim()))).collect();
        let instants = zone.instants(&times, name, row_first, findings);
        let instants = instants.as_primitive::<TimestampMicrosecondType>().iter();
        instants.map(|instant| instant.map(|instant| format!("{}Z", civil(instant)))).collect()
    }
}

/// Any column as text, numbers as short as they are exact.
pub(crate) fn as_text(column: &ArrayRef) -> Result<StringArray> {
    if let Some(text) = column.as_string_opt::<i32>() {
        return Ok(text.clone());
    }
    // The formatter writes 5 as 5.0, which is no whole number any more.
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return Ok(numbers.iter().map(|number| number.map(|number| number.to_string())).collect());
    }
    if let Some(numbers) = column.as_primitive_opt::<Float32Type>() {
        return Ok(numbers.iter().map(|number| number.map(|number| number.to_string())).collect());
    }
    let options = FormatOptions::new();
    let format = ArrayFormatter::try_new(column.as_ref(), &options)
        .map_err(|error| Error::internal("a column cannot be written as text").caused_by(error))?;
    let value = |i| column.is_valid(i).then(|| format.value(i).to_string());
    Ok((0..column.len()).map(value).collect())
}

/// A value as arrow reads its type; `None` if it does not fit without loss.
fn canonical(text: &str, expected: &DataType) -> Option<String> {
    match expected {
        DataType::UInt64 if text.bytes().all(|b| b.is_ascii_digit()) => Some(text.to_owned()),
        expected if expected.is_integer() => integer(text).map(|number| number.to_string()),
        DataType::Float32 | DataType::Float64 => float(text).map(|number| number.to_string()),
        DataType::Decimal128(_, scale) => {
            float(text)?;
            let text = text.replacen(',', ".", 1);
            let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            (fraction <= usize::try_from(*scale).unwrap_or(0)).then_some(text)
        }
        DataType::Date32 => {
            let notations = [Notation::DateIso, Notation::DateDotted];
            notations.iter().find_map(|notation| notation.date(text)).map(|date| date.to_string())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let moment = date_time(text)?;
            match (zone, moment.offset) {
                (None, None) => Some(moment.time.to_string()),
                (Some(_), Some(offset)) => offset.to_timestamp(moment.time).ok().map(|instant| instant.to_string()),
                _ => None,
            }
        }
        DataType::Boolean => boolean(text).map(|value| value.to_string()),
        DataType::Time64(_) | DataType::Binary => Some(text.to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn float(text: &str) -> Option<f64> {
    let scientific = || text.contains(['e', 'E']).then(|| text.parse().ok()).flatten();
    let whole = || integer(text).map(|number| number as f64);
    let with_comma = || decimal(text, ',').filter(|_| !is_grouped_by_comma(text));
    let found = decimal(text, '.').or_else(with_comma).or_else(whole).or_else(scientific);
    found.filter(|number: &f64| number.is_finite())
}

fn typed(plain: &[Option<String>], expected: &DataType) -> Result<ArrayRef> {
    if *expected == DataType::Binary {
        let bytes = plain.iter().map(|text| text.as_deref().and_then(bytes_of_digits));
        return Ok(Arc::new(bytes.collect::<BinaryArray>()));
    }
    let text: ArrayRef = Arc::new(plain.iter().map(Option::as_deref).collect::<StringArray>());
    if !arrow_cast::can_cast_types(&DataType::Utf8, expected) {
        return Ok(arrow_array::new_null_array(expected, plain.len()));
    }
    arrow_cast::cast(&text, expected)
        .map_err(|error| Error::internal(format!("text was not read as {expected}")).caused_by(error))
}

fn bytes_of_digits(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fits, as text, and which rows do not.
    fn check(expected: &DataType, values: &[&str]) -> (Vec<String>, Vec<usize>) {
        check_written(expected, &Expectation::default(), values)
    }

    fn check_written(expected: &DataType, how: &Expectation, values: &[&str]) -> (Vec<String>, Vec<usize>) {
        let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
        let (mut misfits, mut findings) = (vec![false; values.len()], Findings::default());
        let typed = apply(&column, (expected, how), "n", 10, &mut misfits, &mut findings).expect("a column");
        assert_eq!(typed.data_type(), expected);
        let found = findings.into_diagnostics().pop().map_or(0, |found| found.count);
        assert_eq!(found, misfits.iter().filter(|misfit| **misfit).count() as u64);
        let options = FormatOptions::new().with_null("∅");
        let format = ArrayFormatter::try_new(typed.as_ref(), &options).expect("shown");
        let shown = (0..typed.len()).map(|i| format.value(i).to_string()).collect();
        (shown, (0..values.len()).filter(|i| misfits[*i]).collect())
    }

    #[test]
    fn a_value_fits_its_type_or_its_row_is_refused() {
        let text = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let cases = [
            (DataType::Int64, vec!["5", "1 200", "", "5,5", "many"], vec!["5", "1200", "∅", "∅", "∅"], vec![3, 4]),
            (DataType::Int8, vec!["5", "500"], vec!["5", "∅"], vec![1]),
            (
                DataType::Float64,
                vec!["5", "1,25", "-1.5", "1e-7", "inf"],
                vec!["5.0", "1.25", "-1.5", "1e-7", "∅"],
                vec![4],
            ),
            (
                DataType::Date32,
                vec!["2024-05-31", "31.05.2024", "31.02.2024"],
                vec!["2024-05-31", "2024-05-31", "∅"],
                vec![2],
            ),
            (DataType::Boolean, vec!["true", "maybe"], vec!["true", "∅"], vec![1]),
            (DataType::Utf8, vec!["007", ""], vec!["007", ""], vec![]),
            (DataType::Binary, vec!["00FF", "0"], vec!["00ff", "∅"], vec![1]),
            (DataType::Decimal128(10, 2), vec!["1,25", "1.255"], vec!["1.25", "∅"], vec![1]),
        ];
        for (expected, values, shown, misfits) in cases {
            assert_eq!(check(&expected, &values), (text(&shown), misfits), "{expected}");
        }
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("+05:00".into()));
        let (shown, misfits) =
            check(&zoned, &["2024-05-31T10:00:00+05:00", "2024-05-31T05:00:00Z", "2024-05-31T10:00:00"]);
        assert_eq!((shown[0] == shown[1], misfits), (true, vec![2]));
    }

    #[test]
    fn a_value_is_read_in_the_notation_that_its_column_has() {
        let in_notation = |notation| Expectation { notation: Some(notation), ..Expectation::default() };
        let zone = Some(Zone::declared("Asia/Almaty").expect("a zone"));
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let clock = DataType::Timestamp(TimeUnit::Microsecond, None);
        let cases = [
            (
                DataType::Float64,
                in_notation(Notation::GroupedComma),
                ["1.234.567,8", "1.234", "12 %"],
                ["1234567.8", "1234.0", "12.0"],
            ),
            (DataType::Float64, in_notation(Notation::GroupedPoint), ["1,234", "5", "(7)"], ["1234.0", "5.0", "-7.0"]),
            (
                DataType::Float64,
                in_notation(Notation::DecimalComma),
                ["1,234", "1.5", "1,234,567"],
                ["1.234", "1.5", "∅"],
            ),
            (DataType::Int64, in_notation(Notation::Integer), ["12 км", "5", "1,5"], ["12", "5", "∅"]),
            (
                DataType::Date32,
                in_notation(Notation::DateMonthFirst),
                ["05/06/2024", "2024-05-31", "31/05/2024"],
                ["2024-05-06", "2024-05-31", "∅"],
            ),
            (
                DataType::Date32,
                in_notation(Notation::DateSlashed),
                ["05/06/2024", "31-05-2024", "05/31/2024"],
                ["2024-06-05", "2024-05-31", "∅"],
            ),
            (
                instant.clone(),
                Expectation { zone: zone.clone(), ..in_notation(Notation::DateTime) },
                ["2024-05-31T10:00:00", "2024-05-31T05:00:00Z", "soon"],
                ["2024-05-31T05:00:00Z", "2024-05-31T05:00:00Z", "∅"],
            ),
            (
                instant,
                Expectation { zone, ..in_notation(Notation::DateTimeZoned) },
                ["2024-05-31T10:00:00", "2024-05-31T10:00:00+05:00", ""],
                ["∅", "2024-05-31T05:00:00Z", "∅"],
            ),
            (
                clock,
                Expectation { serial: Some(Serial::From1900), ..Expectation::default() },
                ["45443.5", "2024-05-31T12:00:00", "60"],
                ["2024-05-31T12:00:00", "2024-05-31T12:00:00", "∅"],
            ),
        ];
        for (expected, how, values, shown) in cases {
            assert_eq!(check_written(&expected, &how, &values).0, shown, "{how:?}");
        }
    }

    #[test]
    fn numbers_of_a_spreadsheet_are_text_as_short_as_they_are_exact() {
        let numbers: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![Some(5.0), Some(76.95), None]));
        let text = as_text(&numbers).expect("text");
        assert_eq!(text.iter().collect::<Vec<_>>(), [Some("5"), Some("76.95"), None]);
    }
}
