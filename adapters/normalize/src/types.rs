//! The types rule: text columns of untyped sources become numbers, dates and truth values, all of a column or none.
//!
//! Any doubt keeps text. Identifiers (leading zeros, nine and more digits of one length, telling names) stay text.
//! Columns that a source typed itself keep their type, in the form that is published.

pub(crate) mod expected;
mod publish;
pub(crate) mod value;

pub(crate) use publish::{Published, published_type};

use crate::findings::{Findings, example, show, step};
use arrow_array::builder::{BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, TimestampMicrosecondBuilder};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};
use jiff::civil::Date;
use std::sync::Arc;
use ukimet_model::{Error, Example, ProcessStep, Result, Severity};
use value::Notation;

/// Share of values that must fit before the others are worth a finding.
const MOSTLY: f64 = 0.9;

/// What is seen of one text column.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnSurvey {
    filled: u64,
    empty: u64,
    fits: [u64; Notation::ALL.len()],
    misfits: [Vec<(u64, String)>; Notation::ALL.len()],
    /// Shortest and longest value in bytes, all digits.
    digits: Option<(usize, usize)>,
    has_leading_zero: bool,
    has_day_above_12: bool,
    /// Whether a comma stands where it cannot part thousands.
    has_decimal_comma: bool,
    /// Offset of zoned times in seconds, and whether all share it.
    offset: Option<(i32, bool)>,
}

impl ColumnSurvey {
    /// Looks at one value; `row` is its number in the layer.
    pub(crate) fn observe(&mut self, value: &str, row: u64) {
        const MISFITS_MAX: usize = ukimet_model::Diagnostic::EXAMPLES_MAX;
        if value.is_empty() {
            self.empty += 1;
            return;
        }
        self.filled += 1;
        // Most text columns are decided by their first values: a notation that fits few is not tried again.
        for (i, notation) in Notation::ALL.into_iter().enumerate() {
            let is_hopeless = self.filled > 1000 && self.fits[i] < 500;
            if !is_hopeless && notation.fits(value) {
                self.fits[i] += 1;
            } else if self.misfits[i].len() < MISFITS_MAX {
                self.misfits[i].push((row, value.to_owned()));
            }
        }
        self.observe_digits(value);
        if let Some((_, Some(offset))) = value::date_time(value) {
            let seconds = offset.seconds();
            let same = self.offset.is_none_or(|(first, same)| same && first == seconds);
            self.offset = Some((self.offset.map_or(seconds, |(first, _)| first), same));
        }
        self.has_decimal_comma |= value.contains(',') && !value::is_grouped_by_comma(value);
        self.has_day_above_12 |= Notation::DateSlashed.date(value).is_some_and(|date| date.day() > 12);
    }

    fn observe_digits(&mut self, value: &str) {
        // 600 400 123 456 is an identifier as well as 600400123456.
        let value = value::without_spaces(value);
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        let (shortest, longest) = self.digits.unwrap_or((value.len(), value.len()));
        self.digits = Some((shortest.min(value.len()), longest.max(value.len())));
        self.has_leading_zero |= value.len() > 1 && value.starts_with('0');
    }

    /// The notation that all values share and that loses nothing.
    fn notation(&self) -> Option<Notation> {
        let mut all = Notation::ALL.into_iter().enumerate().filter(|(i, _)| self.fits[*i] == self.filled);
        let found = all.next().filter(|_| self.filled > 0).map(|(_, notation)| notation)?;
        let is_sure = match found {
            Notation::DateSlashed => self.has_day_above_12,
            Notation::DecimalComma => self.has_decimal_comma,
            Notation::DateTimeZoned => self.offset.is_some_and(|(_, same)| same),
            _ => true,
        };
        is_sure.then_some(found)
    }

    fn is_identifier(&self) -> bool {
        const IDENTIFIER_DIGITS_MIN: usize = 9;
        self.has_leading_zero
            || self.digits.is_some_and(|(shortest, longest)| shortest == longest && shortest >= IDENTIFIER_DIGITS_MIN)
    }
}

/// What becomes of one text column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// It stays text.
    Text,
    /// It is read in a notation, as a published type.
    Typed(Notation, DataType),
}

impl Target {
    /// The published type.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Typed(_, data_type) => data_type.clone(),
        }
    }
}

/// Decides one text column by its name and all its values.
pub(crate) fn decide(survey: &ColumnSurvey, name: &str, findings: &mut Findings, receipt: &mut ProcessStep) -> Target {
    let Some(notation) = survey.notation() else {
        report_ambiguous(survey, name, findings);
        report_mostly(survey, name, findings);
        return Target::Text;
    };
    let is_number = matches!(notation, Notation::Integer | Notation::DecimalPoint | Notation::DecimalComma);
    if is_number && (is_identifier_name(name) || survey.is_identifier()) {
        let message = "columns of digits that are identifiers stay text";
        findings.add(
            "types.identifier",
            Severity::Note,
            message,
            1,
            [example(None, Some(name), "digits", Some("text"))],
        );
        return Target::Text;
    }
    if survey.empty > 0 {
        let message = "empty texts in a typed column are null";
        findings.add("types.empty", Severity::Note, message, survey.empty, [example(None, Some(name), "", None)]);
    }
    receipt.count += 1;
    show(receipt, || example(None, Some(name), "text", Some(notation.name())));
    Target::Typed(notation, data_type(notation, survey))
}

/// A receipt of this rule under way.
pub(crate) fn receipt() -> ProcessStep {
    step("types", [])
}

fn data_type(notation: Notation, survey: &ColumnSurvey) -> DataType {
    let zone = survey.offset.map(|(seconds, _)| zone_name(seconds));
    match notation {
        Notation::Integer => DataType::Int64,
        Notation::DecimalPoint | Notation::DecimalComma => DataType::Float64,
        Notation::DateIso | Notation::DateDotted | Notation::DateSlashed => DataType::Date32,
        Notation::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        Notation::DateTimeZoned => DataType::Timestamp(TimeUnit::Microsecond, zone),
        Notation::Boolean => DataType::Boolean,
    }
}

fn zone_name(seconds: i32) -> Arc<str> {
    if seconds == 0 {
        return "UTC".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60).into()
}

/// Commas that may part thousands as well as decimals: 1,234 is a thousand to one reader and one to another.
fn report_ambiguous(survey: &ColumnSurvey, name: &str, findings: &mut Findings) {
    let comma = Notation::ALL.iter().position(|notation| *notation == Notation::DecimalComma).unwrap_or_default();
    if survey.filled > 0 && survey.fits[comma] == survey.filled && !survey.has_decimal_comma {
        let message = "columns stay text because every comma may part thousands or decimals";
        findings.add("types.ambiguous", Severity::Warning, message, 1, [example(None, Some(name), "1,234", None)]);
    }
}

fn report_mostly(survey: &ColumnSurvey, name: &str, findings: &mut Findings) {
    let fits_best = (0..Notation::ALL.len()).max_by_key(|i| (survey.fits[*i], usize::MAX - i)).unwrap_or(0);
    let fits = survey.fits[fits_best];
    if fits == survey.filled || (fits as f64) < survey.filled as f64 * MOSTLY {
        return;
    }
    let others = survey.misfits[fits_best].iter();
    let examples: Vec<Example> = others.map(|(row, value)| example(Some(*row), Some(name), value, None)).collect();
    let message = format!(
        "columns stay text because some values are written differently from the others ({} in the first such column)",
        Notation::ALL[fits_best].name()
    );
    findings.add("types.mixed", Severity::Warning, message, survey.filled - fits, examples);
}

/// Identifiers that the source itself keeps as numbers: whether one began with a zero cannot be known any more.
pub(crate) fn report_numeric_identifier(data_type: &DataType, name: &str, findings: &mut Findings) {
    if data_type.is_numeric() && is_identifier_name(name) {
        let message = "identifiers that the source keeps as numbers may have lost leading zeros; keep them as text";
        let examples = [example(None, Some(name), &data_type.to_string(), None)];
        findings.add("types.numeric_identifier", Severity::Warning, message, 1, examples);
    }
}

/// Whether a column's name says that its digits are no quantity.
fn is_identifier_name(name: &str) -> bool {
    const WORDS: [&str; 38] = [
        "kato",
        "iin",
        "bin",
        "rka",
        "rca",
        "rko",
        "rco",
        "code",
        "kod",
        "cato",
        "phone",
        "tel",
        "fax",
        "zip",
        "postcode",
        "postal",
        "inn",
        "okpo",
        "oked",
        "cadastre",
        "cadastral",
        "kadastr",
        "като",
        "иин",
        "бин",
        "рка",
        "код",
        "коды",
        "телефон",
        "тел",
        "факс",
        "индекс",
        "жсн",
        "бсн",
        "кадастр",
        "кадастровый",
        "пошта",
        "кодекс",
    ];
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.any(|word| WORDS.contains(&word) || word.starts_with("кадастр") || word.starts_with("cadastr"))
        || lower.ends_with("code")
}

/// Reads one column in the notation that was decided; empty text becomes null.
///
/// # Errors
///
/// `InvalidData` naming the row if the rows are not the ones that were surveyed.
pub(crate) fn apply(column: &StringArray, target: &Target, name: &str, row_first: u64) -> Result<ArrayRef> {
    let Target::Typed(notation, data_type) = target else {
        return Ok(Arc::new(column.clone()));
    };
    let values = || column.iter().enumerate().map(|(i, value)| (i, value.filter(|text| !text.is_empty())));
    let changed = |i: usize| {
        Error::invalid_data(format!(
            "column {} was surveyed as {}, but row {} holds {}: the source changed while it was read",
            ukimet_model::error::quoted(name),
            notation.name(),
            row_first + i as u64,
            ukimet_model::error::quoted(column.value(i))
        ))
    };
    macro_rules! read {
        ($builder:expr, $parse:expr) => {{
            let mut builder = $builder;
            for (i, value) in values() {
                builder.append_option(value.map(|text| $parse(text).ok_or_else(|| changed(i))).transpose()?);
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    let rows = column.len();
    match notation {
        Notation::Integer => read!(Int64Builder::with_capacity(rows), value::integer),
        Notation::DecimalPoint => read!(Float64Builder::with_capacity(rows), |text| number(text, '.')),
        Notation::DecimalComma => read!(Float64Builder::with_capacity(rows), |text| number(text, ',')),
        Notation::Boolean => read!(BooleanBuilder::with_capacity(rows), value::boolean),
        Notation::DateIso | Notation::DateDotted | Notation::DateSlashed => {
            read!(Date32Builder::with_capacity(rows), |text| notation.date(text).map(days_since_epoch))
        }
        Notation::DateTime | Notation::DateTimeZoned => {
            let builder = TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(data_type.clone());
            read!(builder, microseconds_since_epoch)
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn number(text: &str, separator: char) -> Option<f64> {
    value::decimal(text, separator).or_else(|| value::integer(text).map(|value| value as f64))
}

fn days_since_epoch(date: Date) -> i32 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    // Both are days between the years 0 and 9999.
    EPOCH.until(date).map_or(0, |span| span.get_days())
}

fn microseconds_since_epoch(text: &str) -> Option<i64> {
    let (time, offset) = value::date_time(text)?;
    let timestamp = offset.unwrap_or(jiff::tz::Offset::UTC).to_timestamp(time).ok()?;
    Some(timestamp.as_microsecond())
}

#[cfg(test)]
mod tests;
