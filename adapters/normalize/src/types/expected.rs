//! Values that have to fit the type that their column has already: a corrected row beside rows that are published.

mod written;

use super::moment::{civil, date_time, microseconds};
use super::number::{BRACKETS, bare, missing_mark};
use super::value::Notation;
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
    /// The unit of its numbers; a value with another one does not fit.
    pub(crate) unit: Option<String>,
}

/// A column in its expected type; rows with a value that does not fit are marked in `misfits`, which is empty as long as
/// there are none, with a finding.
///
/// Empty text is null in every type but text, and marks for a missing value are in numbers and times. A value is read in
/// the notation of its column, and if it is not written so, in any that has one meaning only: a comma that may part
/// thousands as well as decimals does not fit where no notation says which of them it is, nor a day that may be a month.
/// A number may have brackets and the unit of its column around it.
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
    let read = |value: &str| how.canonical(value, expected);
    let mut plain: Vec<Option<String>> = text.iter().map(|value| value.and_then(|value| read(value.trim()))).collect();
    for (plain, instant) in plain.iter_mut().zip(how.instants(&text, expected, name, row_first, findings)) {
        *plain = plain.take().or(instant);
    }
    let typed = typed(&plain, expected)?;
    // Where nothing but yes and no is expected, a mark such as нет may be an answer.
    let has_marks = expected.is_numeric() || matches!(expected, DataType::Date32 | DataType::Timestamp(..));
    let place =
        |i: usize, value: &str, taken: Option<&str>| example(Some(row_first + i as u64), Some(name), value, taken);
    for (i, value) in text.iter().enumerate() {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { continue };
        if typed.is_valid(i) {
            if let Some(number) = bare(value).filter(|number| number.is_bracketed && expected.is_numeric()) {
                let examples = [place(i, value, Some(&number.text))];
                findings.add("numbers.brackets", Severity::Warning, BRACKETS, 1, examples);
            }
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
    /// Microseconds since 1970 of a number that counts days.
    fn counted(&self, text: &str) -> Option<i64> {
        self.serial?.microseconds(text.parse().ok()?)
    }

    /// Times without a zone as instants of the declared one, unless the column was read as one in which each has its own.
    fn instants(
        &self,
        text: &StringArray,
        expected: &DataType,
        name: &str,
        row_first: u64,
        findings: &mut Findings,
    ) -> Vec<Option<String>> {
        let is_zoned = matches!(expected, DataType::Timestamp(TimeUnit::Microsecond, Some(_)));
        let is_local = self.notation != Some(Notation::DateTimeZoned);
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
mod tests;
