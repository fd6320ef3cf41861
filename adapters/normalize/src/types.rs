//! The types rule: text columns of untyped sources become numbers, dates and truth values, all of a column or none.
//!
//! Any doubt keeps text. Identifiers (leading zeros, nine and more digits of one length, telling names) stay text.
//! Columns that a source typed itself keep their type, in the form that is published.

mod calendar;
pub(crate) mod expected;
mod moment;
mod number;
mod publish;
mod read;
mod serial;
mod survey;
mod units;
pub(crate) mod value;
mod zone;

pub(crate) use expected::Expectation;
pub(crate) use number::missing_mark;
pub(crate) use publish::{Published, published_type};
pub(crate) use read::apply;
pub(crate) use serial::Serial;
pub(crate) use survey::ColumnSurvey;
pub(crate) use units::of_header as unit_of_header;
pub(crate) use zone::Zone;

use crate::findings::{Findings, example, show, step};
use arrow_schema::{DataType, TimeUnit};
use calendar::Form;
use std::sync::Arc;
use survey::Slashed;
use ukimet_model::{ProcessStep, Severity};
use value::Notation;

/// Share of values that must fit before the others are worth a finding.
const MOSTLY: f64 = 0.9;

/// What becomes of one text column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// It stays text; cells that kept it so are told when they are seen.
    Text(Option<Watch>),
    /// It is read in a notation, as a published type.
    Typed(Reading),
}

/// Which cells of a text column are worth a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Those that are written differently from most.
    Mixed(Notation),
    /// Numbers with more digits than a 64-bit number keeps.
    Inexact,
}

/// How a text column is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// How its values are written.
    pub(crate) notation: Notation,
    /// What they become.
    pub(crate) data_type: DataType,
    /// The declared zone of its times, if they have none of their own.
    pub(crate) zone: Option<Zone>,
    /// The unit beside its values.
    pub(crate) unit: Option<String>,
    /// Whether some cells are marks for a missing value.
    has_marks: bool,
    /// Whether some numbers stand in brackets or have a power of ten.
    has_odd_numbers: bool,
}

impl Target {
    /// The published type.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Typed(reading) => reading.data_type.clone(),
        }
    }
}

/// Decides one text column by its name and all its values.
pub(crate) fn decide(
    survey: &ColumnSurvey,
    name: &str,
    zone: Option<&Zone>,
    findings: &mut Findings,
    receipt: &mut ProcessStep,
) -> Target {
    let Some(notation) = survey.notation() else {
        return Target::Text(text(survey, name, findings));
    };
    if notation.is_number() {
        report_counted_time(survey, name, findings);
    }
    if notation.is_number() && (is_identifier_name(name) || survey.is_identifier()) {
        let message = "columns of digits that are identifiers stay text";
        note(findings, "types.identifier", message, name, "digits", Some("text"));
        return Target::Text(None);
    }
    if survey.empty > 0 {
        let message = "empty texts in a typed column are null";
        findings.add("types.empty", Severity::Note, message, survey.empty, [example(None, Some(name), "", None)]);
    }
    let unit = survey.numbers.unit().filter(|_| notation.is_number());
    if let Some(unit) = unit {
        let message = "columns of numbers with one unit beside them all; the unit is kept with the column";
        note(findings, "numbers.unit", message, name, unit, None);
        if let Some(header) = unit_of_header(name).filter(|header| !units::is_same(header, unit)) {
            let message =
                "the unit beside the values is another than the one in the header; that of the values was taken";
            let examples = [example(None, Some(name), header, Some(unit))];
            findings.add("numbers.unit_differs", Severity::Warning, message, 1, examples);
        }
    }
    if notation == Notation::DecimalPoint && survey.has_doubtful_points() {
        let message = "every point may part thousands as well as decimals; they were taken for decimal ones";
        note(findings, "numbers.point", message, name, "1.234", Some("1.234"));
    }
    receipt.count += 1;
    show(receipt, || example(None, Some(name), "text", Some(notation.name())));
    Target::Typed(reading(survey, notation, zone))
}

fn reading(survey: &ColumnSurvey, notation: Notation, zone: Option<&Zone>) -> Reading {
    let zone = zone.filter(|_| notation == Notation::DateTime).cloned();
    let is_number = notation.is_number();
    Reading {
        notation,
        data_type: data_type(notation, survey, zone.is_some()),
        zone,
        unit: survey.numbers.unit().filter(|_| is_number).map(str::to_owned),
        has_marks: survey.marks > 0,
        has_odd_numbers: is_number && survey.numbers.bracketed + survey.numbers.powers > 0,
    }
}

impl Reading {
    /// Values of one notation and nothing beside them.
    pub(crate) fn plain(notation: Notation, data_type: DataType) -> Self {
        Self { notation, data_type, zone: None, unit: None, has_marks: false, has_odd_numbers: false }
    }
}

/// A receipt of this rule under way.
pub(crate) fn receipt(zone: Option<&Zone>) -> ProcessStep {
    let mut receipt = step("types", []);
    if let Some(zone) = zone {
        receipt.parameters.insert("time_zone".to_owned(), zone.name.clone());
        receipt.parameters.insert("time_zone_database".to_owned(), Zone::database().to_owned());
    }
    receipt
}

fn data_type(notation: Notation, survey: &ColumnSurvey, has_zone: bool) -> DataType {
    let zone = survey.offset.map(|(seconds, _)| zone_name(seconds));
    match notation {
        Notation::Integer => DataType::Int64,
        Notation::DateTime => DataType::Timestamp(TimeUnit::Microsecond, has_zone.then(|| "UTC".into())),
        Notation::DateTimeZoned => DataType::Timestamp(TimeUnit::Microsecond, zone),
        Notation::Boolean => DataType::Boolean,
        _ if notation.is_fraction() => DataType::Float64,
        _ => DataType::Date32,
    }
}

fn zone_name(seconds: i32) -> Arc<str> {
    if seconds == 0 {
        return "UTC".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60).into()
}

fn note(findings: &mut Findings, rule: &str, message: &str, name: &str, found: &str, taken: Option<&str>) {
    findings.add(rule, Severity::Note, message, 1, [example(None, Some(name), found, taken)]);
}

fn warn(findings: &mut Findings, rule: &str, message: &str, name: &str, found: &str) {
    findings.add(rule, Severity::Warning, message, 1, [example(None, Some(name), found, None)]);
}

/// Why a column stays text, and which of its cells are to be told.
fn text(survey: &ColumnSurvey, name: &str, findings: &mut Findings) -> Option<Watch> {
    report_time(survey, name, findings);
    if survey.has_doubtful_commas() {
        let message = "columns stay text because every comma may part thousands or decimals";
        warn(findings, "types.ambiguous", message, name, "1,234");
    }
    let (best, fits) = survey.best();
    if fits == survey.filled {
        if let Some(units) = survey.numbers.units_that_differ().filter(|_| fits > 0 && best.is_number()) {
            let message = "columns of numbers stay text because their units differ";
            warn(findings, "numbers.units", message, name, &units);
        }
        return None;
    }
    if survey.inexact() > 0 && !is_identifier_name(name) {
        return Some(Watch::Inexact);
    }
    if survey.is_digits_only() {
        let message = "columns of digits that are identifiers stay text";
        note(findings, "types.identifier", message, name, "digits", Some("text"));
        return None;
    }
    let is_mostly = fits as f64 >= survey.filled as f64 * MOSTLY && survey.form().is_none();
    is_mostly.then_some(Watch::Mixed(best))
}

fn report_time(survey: &ColumnSurvey, name: &str, findings: &mut Findings) {
    match survey.form() {
        Some(Form::TwoDigitYear) => {
            let message = "days with a year of two digits stay text: the century is not said";
            warn(findings, "time.two_digit_year", message, name, Form::TwoDigitYear.name());
        }
        Some(form) => {
            note(findings, "time.form", "times that are not one day stay text", name, form.name(), Some("text"));
        }
        None => {}
    }
    match survey.slashed() {
        Some(Slashed::Undecidable) => {
            let message = "days stay text because no value says whether the day or the month comes first";
            warn(findings, "time.order_unknown", message, name, "05/06/2024");
        }
        Some(Slashed::Contradictory) => {
            let message = "days stay text because some have the day first and others the month";
            warn(findings, "time.order_mixed", message, name, "31/12/2024, 12/31/2024");
        }
        None => {}
    }
}

/// Numbers under a date's name that may count days or seconds: offered, never taken.
fn report_counted_time(survey: &ColumnSurvey, name: &str, findings: &mut Findings) {
    let Some((least, greatest)) = survey.numbers.range.filter(|_| is_date_name(name)) else { return };
    let within = |from: f64, to: f64| from <= least && greatest <= to;
    // Days of spreadsheets, seconds and milliseconds since 1970: each from 1980 to 2100.
    let (rule, meaning) = if within(29_221.0, 73_050.0) {
        ("time.serial", "days of a spreadsheet")
    } else if within(315_532_800.0, 4_102_444_800.0) {
        ("time.epoch", "seconds since 1970")
    } else if within(315_532_800_000.0, 4_102_444_800_000.0) {
        ("time.epoch", "milliseconds since 1970")
    } else {
        return;
    };
    let message =
        "numbers under the name of a date may count days or seconds; they stay as they are unless a mapping says so";
    note(findings, rule, message, name, meaning, None);
}

fn is_date_name(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "date",
        "day",
        "time",
        "timestamp",
        "datetime",
        "created",
        "modified",
        "updated",
        "дата",
        "день",
        "время",
        "күні",
        "күн",
        "уақыты",
    ];
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.any(|word| WORDS.contains(&word)) || lower.ends_with("date") || lower.ends_with("time")
}

/// Identifiers that the source itself keeps as numbers: whether one began with a zero cannot be known any more.
pub(crate) fn report_numeric_identifier(data_type: &DataType, name: &str, findings: &mut Findings) {
    if data_type.is_numeric() && is_identifier_name(name) {
        let message = "identifiers that the source keeps as numbers may have lost leading zeros; keep them as text";
        warn(findings, "types.numeric_identifier", message, name, &data_type.to_string());
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

#[cfg(test)]
mod tests;
