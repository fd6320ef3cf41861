//! Reads a text column as it was decided, and tells the cells that are worth it.

use super::moment::{civil, date_time, days, microseconds};
use super::number::{BRACKETS, bare, missing_mark};
use super::survey::is_inexact;
use super::value::{self, Notation};
use super::{Reading, Target, Watch};
use crate::findings::{Findings, example};
use arrow_array::builder::{BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use std::sync::Arc;
use ukimet_model::{Error, Example, Result, Severity};

/// Reads one column as it was decided; empty text and marks for a missing value become null.
///
/// # Errors
///
/// `InvalidData` naming the row if the rows are not the ones that were surveyed.
pub(crate) fn apply(
    column: &StringArray,
    target: &Target,
    name: &str,
    row_first: u64,
    findings: &mut Findings,
) -> Result<ArrayRef> {
    let cells = Cells { column, name, row_first };
    match target {
        Target::Text(watch) => {
            if let Some(watch) = watch {
                cells.report_watched(*watch, findings);
            }
            Ok(Arc::new(column.clone()))
        }
        Target::Typed(reading) => {
            let typed = cells.read(reading)?;
            if reading.has_marks {
                cells.report_marks(findings);
            }
            if reading.has_odd_numbers {
                cells.report_odd_numbers(findings);
            }
            cells.report_time(reading, &typed, findings);
            match (&reading.zone, typed.as_primitive_opt::<TimestampMicrosecondType>()) {
                (Some(zone), Some(times)) => Ok(zone.instants(times, name, row_first, findings)),
                _ => Ok(typed),
            }
        }
    }
}

/// One column of one batch.
struct Cells<'a> {
    column: &'a StringArray,
    name: &'a str,
    row_first: u64,
}

impl Cells<'_> {
    /// The values: `None` for null, empty text and, where the survey saw some, marks.
    fn values(&self, has_marks: bool) -> impl Iterator<Item = (usize, Option<&str>)> {
        let present = move |text: &&str| !(text.is_empty() || (has_marks && missing_mark(text).is_some()));
        self.column.iter().enumerate().map(move |(i, value)| (i, value.filter(present)))
    }

    fn read(&self, reading: &Reading) -> Result<ArrayRef> {
        let notation = reading.notation;
        macro_rules! read {
            ($builder:expr, $parse:expr) => {{
                let mut builder = $builder;
                for (i, value) in self.values(reading.has_marks) {
                    let read = value.map(|text| $parse(text).ok_or_else(|| self.changed(notation, i)));
                    builder.append_option(read.transpose()?);
                }
                Ok(Arc::new(builder.finish()))
            }};
        }
        let rows = self.column.len();
        match notation {
            Notation::Integer => {
                read!(Int64Builder::with_capacity(rows), |text| bare(text).and_then(|n| value::integer(&n.text)))
            }
            Notation::Boolean => read!(BooleanBuilder::with_capacity(rows), value::boolean),
            Notation::DateTime | Notation::DateTimeZoned => {
                let zone = if reading.zone.is_some() { None } else { zone_of(reading) };
                let builder = TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(zone);
                read!(builder, microseconds_since_epoch)
            }
            _ if notation.is_fraction() => {
                read!(Float64Builder::with_capacity(rows), |text| bare(text).and_then(|n| notation.fraction(&n.text)))
            }
            _ => read!(Date32Builder::with_capacity(rows), |text| notation.date(text).map(days)),
        }
    }

    fn changed(&self, notation: Notation, i: usize) -> Error {
        Error::invalid_data(format!(
            "column {} was surveyed as {}, but row {} holds {}: the source changed while it was read",
            ukimet_model::error::quoted(self.name),
            notation.name(),
            self.row_first + i as u64 + 1,
            ukimet_model::error::quoted(self.column.value(i))
        ))
    }

    fn example(&self, i: usize, taken: Option<&str>) -> Example {
        example(Some(self.row_first + i as u64), Some(self.name), self.column.value(i), taken)
    }

    /// Reports the cells for which `taken` has an answer.
    fn report<'a>(
        &'a self,
        finding: (&str, Severity, &str),
        findings: &mut Findings,
        taken: impl Fn(&str) -> Option<Option<String>> + 'a,
    ) {
        let cells = || {
            let cells = self.column.iter().enumerate().filter_map(|(i, text)| Some((i, text?)));
            cells.filter_map(|(i, text)| Some((i, taken(text)?)))
        };
        let examples = cells().map(|(i, taken)| self.example(i, taken.as_deref()));
        let (rule, severity, message) = finding;
        findings.add(rule, severity, message, cells().count() as u64, examples);
    }

    fn report_watched(&self, watch: Watch, findings: &mut Findings) {
        let is_value = |text: &str| !text.is_empty() && missing_mark(text).is_none();
        match watch {
            Watch::Mixed(notation) => {
                let message = format!(
                    "columns stay text because some values are written differently from the others ({} in the first such column)",
                    notation.name()
                );
                let misfits = |text: &str| (is_value(text) && !fits(notation, text)).then_some(None);
                self.report(("types.mixed", Severity::Warning, &message), findings, misfits);
            }
            Watch::Inexact => {
                let message = "columns of numbers stay text because some have more digits than a 64-bit number keeps";
                let is_long =
                    |text: &str| bare(text).is_some_and(|number| !fits_any(&number.text) && is_inexact(&number.text));
                self.report(("numbers.exact", Severity::Warning, message), findings, |text| {
                    is_long(text).then_some(None)
                });
            }
        }
    }

    fn report_marks(&self, findings: &mut Findings) {
        let message = "marks for missing values in a typed column are null: a dash says that there is no such case, \
                       … and н/д that there is no data, x that it is confidential";
        let mark = |text: &str| missing_mark(text).map(|_| Some("null".to_owned()));
        self.report(("numbers.missing_mark", Severity::Warning, message), findings, mark);
    }

    fn report_odd_numbers(&self, findings: &mut Findings) {
        let bracketed = |text: &str| bare(text).filter(|n| n.is_bracketed).map(|n| Some(n.text.into_owned()));
        self.report(("numbers.brackets", Severity::Warning, BRACKETS), findings, bracketed);
        let message = "numbers written with a power of ten may have been rounded by a spreadsheet";
        let power = |text: &str| bare(text).filter(|n| n.has_exponent).map(|_| None);
        self.report(("numbers.power", Severity::Note, message), findings, power);
    }

    fn report_time(&self, reading: &Reading, typed: &ArrayRef, findings: &mut Findings) {
        let notation = reading.notation;
        if !(notation.is_date() || matches!(notation, Notation::DateTime | Notation::DateTimeZoned)) {
            return;
        }
        let message = "24:00 is the beginning of the next day";
        let end_of_day = |text: &str| {
            let is_24 = |read: &super::moment::Moment| read.is_24;
            text.contains("24:00")
                .then(|| date_time(text).filter(is_24))
                .flatten()
                .map(|read| Some(read.time.to_string()))
        };
        self.report(("time.end_of_day", Severity::Note, message), findings, end_of_day);
        let is_edge = |i: usize| !typed.is_null(i) && is_edge_of_calendar(typed, i);
        let edges = || (0..typed.len()).filter(|i| is_edge(*i));
        let message = "days in the year 1 or 9999 usually stand for an unknown or open end; they are kept";
        let examples = edges().map(|i| self.example(i, None));
        findings.add("time.sentinel", Severity::Note, message, edges().count() as u64, examples);
    }
}

fn zone_of(reading: &Reading) -> Option<Arc<str>> {
    match &reading.data_type {
        arrow_schema::DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

fn is_edge_of_calendar(typed: &ArrayRef, i: usize) -> bool {
    const DAY_MICROSECONDS: i64 = 86_400_000_000;
    let time = match typed.as_primitive_opt::<Date32Type>() {
        Some(days) => i64::from(days.value(i)) * DAY_MICROSECONDS,
        None => typed.as_primitive::<TimestampMicrosecondType>().value(i),
    };
    let year = civil(time).year();
    year <= 1 || year >= 9999
}

/// Whether a value fits a notation, a number without what stands around it.
fn fits(notation: Notation, text: &str) -> bool {
    if notation.is_number() {
        bare(text).is_some_and(|number| notation.fits(&number.text))
    } else {
        notation.fits(text)
    }
}

fn fits_any(text: &str) -> bool {
    Notation::ALL.into_iter().any(|notation| notation.is_number() && notation.fits(text))
}

fn microseconds_since_epoch(text: &str) -> Option<i64> {
    let read = date_time(text)?;
    let seconds = read.offset.map_or(0, jiff::tz::Offset::seconds);
    Some(microseconds(read.time) - i64::from(seconds) * 1_000_000)
}
