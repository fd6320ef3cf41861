//! Days that a spreadsheet counts, where the reader says that the cells are dates.

use super::moment::microseconds;
use crate::findings::{Findings, example};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::DataType;
use std::sync::Arc;
use ukimet_model::{Error, Result, Severity};

/// The day that a spreadsheet counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serial {
    /// 1 is 1900-01-01, and 60 is a day that never was.
    From1900,
    /// 0 is 1904-01-01.
    From1904,
}

impl Serial {
    /// What a reader writes into the field's metadata: `1900` or `1904`.
    pub(crate) fn marked(value: &str) -> Option<Self> {
        match value {
            "1900" => Some(Self::From1900),
            "1904" => Some(Self::From1904),
            _ => None,
        }
    }

    /// The word of [`Serial::marked`].
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::From1900 => "1900",
            Self::From1904 => "1904",
        }
    }

    /// Microseconds since 1970 on an unnamed clock, to the millisecond; `None` for what is no day of a spreadsheet.
    pub(crate) fn microseconds(self, serial: f64) -> Option<i64> {
        const DAY_MILLISECONDS: f64 = 86_400_000.0;
        const SERIAL_END: f64 = 2_958_466.0;
        let first = match self {
            Self::From1900 if (1.0..60.0).contains(&serial) => jiff::civil::date(1899, 12, 31),
            Self::From1900 if (61.0..SERIAL_END).contains(&serial) => jiff::civil::date(1899, 12, 30),
            Self::From1904 if (0.0..SERIAL_END - 1462.0).contains(&serial) => jiff::civil::date(1904, 1, 1),
            _ => return None,
        };
        let milliseconds = (serial * DAY_MILLISECONDS).round() as i64;
        Some(microseconds(first.at(0, 0, 0, 0)) + milliseconds * 1000)
    }

    /// A column of serial numbers as times without a zone; what is no day is null, and said.
    ///
    /// # Errors
    ///
    /// `Internal` if the column is not one of numbers.
    pub(crate) fn apply(
        self,
        column: &ArrayRef,
        name: &str,
        row_first: u64,
        findings: &mut Findings,
    ) -> Result<ArrayRef> {
        let numbers = arrow_cast::cast(column, &DataType::Float64)
            .map_err(|error| Error::internal("cells of dates are numbers").caused_by(error))?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let times: PrimitiveArray<TimestampMicrosecondType> =
            numbers.iter().map(|serial| self.microseconds(serial?)).collect();
        let outside = || (0..times.len()).filter(|i| times.is_null(*i) && !numbers.is_null(*i));
        let message = "cells of dates with a number that is no day of a spreadsheet are null";
        let examples = outside()
            .map(|i| example(Some(row_first + i as u64), Some(name), &numbers.value(i).to_string(), Some("null")));
        findings.add("time.serial_outside", Severity::Warning, message, outside().count() as u64, examples);
        Ok(Arc::new(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float64Array;

    #[test]
    fn days_are_counted_as_spreadsheets_do() {
        let day = |system: Serial, serial: f64| {
            system.microseconds(serial).map(|time| super::super::moment::civil(time).to_string())
        };
        for (serial, expected) in [
            (1.0, Some("1900-01-01T00:00:00")),
            (59.0, Some("1900-02-28T00:00:00")),
            (60.0, None),
            (61.0, Some("1900-03-01T00:00:00")),
            (45_292.5, Some("2024-01-01T12:00:00")),
            (0.5, None),
            (-1.0, None),
            (f64::NAN, None),
            (2_958_465.0, Some("9999-12-31T00:00:00")),
            (2_958_466.0, None),
        ] {
            assert_eq!(day(Serial::From1900, serial).as_deref(), expected, "{serial}");
        }
        assert_eq!(day(Serial::From1904, 43_830.0).as_deref(), Some("2024-01-01T00:00:00"));
        assert_eq!(day(Serial::From1904, 0.0).as_deref(), Some("1904-01-01T00:00:00"));
    }

    #[test]
    fn a_number_that_is_no_day_is_null_and_said() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(60.0), Some(61.0), None]));
        let mut findings = Findings::default();
        let times = Serial::From1900.apply(&column, "t", 5, &mut findings).expect("numbers");
        assert_eq!(times.null_count(), 2);
        let found = &findings.into_diagnostics()[0];
        assert_eq!((found.rule.as_str(), found.count, found.examples[0].row), ("time.serial_outside", 1, Some(5)));
    }
}
