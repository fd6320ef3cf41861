//! KATO: the form of its codes, and its register where the publisher or the hub hands one in.

use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use jiff::civil::Date;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The first two digits of every code: the regions as ISO 3166-2:KZ numbers them.
const REGIONS: [&str; 20] = [
    "10", "11", "15", "19", "23", "27", "31", "33", "35", "39", "43", "47", "55", "59", "61", "62", "63", "71", "75",
    "79",
];

/// Whether two digits are a region.
pub(crate) fn is_region(digits: &str) -> bool {
    REGIONS.contains(&digits)
}

/// Whether a text has the form of a code: nine digits of a known region, nothing below a district that is none.
pub(super) fn has_form(text: &str) -> bool {
    text.len() == 9
        && super::check::is_digits(text)
        && is_region(&text[..2])
        && (&text[2..4] != "00" || text[4..].bytes().all(|b| b == b'0'))
}

/// The registers that were handed in, by what they list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers {
    /// The classifier of administrative and territorial objects.
    pub(crate) kato: Option<Arc<KatoRegister>>,
}

impl Registers {
    /// Reads the registers that the rules know: `kato`.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if one lacks its column of codes or has days that are none.
    pub(crate) fn read(references: &BTreeMap<String, RecordBatch>) -> Result<Self> {
        let kato = references.get("kato").map(KatoRegister::read).transpose()?.map(Arc::new);
        Ok(Self { kato })
    }
}

/// What a register says of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in force, or nobody says since when or until when.
    InForce,
    /// It is listed, but not for the day that the data describes.
    NotThen,
    /// It is listed and has ended, and the data does not say which day it describes.
    Ended,
    /// It is not listed.
    Unknown,
}

/// When a code was in force: the first day and the day after the last, each unknown or open if `None`.
type Period = (Option<Date>, Option<Date>);

/// The codes of the classifier, each with the times in which it was in force.
#[derive(Debug)]
pub(crate) struct KatoRegister(HashMap<String, Vec<Period>>);

impl KatoRegister {
    /// Reads `code` (or `kato`, or `te`), `valid_from` (first day) and `valid_to` (first day no longer), the days
    /// as `Date32` or ISO text, as far as they are there.
    fn read(table: &RecordBatch) -> Result<Self> {
        let code = ["code", "kato", "te"].iter().find_map(|name| table.column_by_name(name));
        let code = code.ok_or_else(|| Error::invalid_request("the register of KATO has no column named code"))?;
        let (codes, from, to) = (texts(code)?, days(table, "valid_from")?, days(table, "valid_to")?);
        let mut periods: HashMap<String, Vec<Period>> = HashMap::new();
        for (i, code) in codes.iter().enumerate().filter_map(|(i, code)| Some((i, code?))) {
            periods.entry(code.trim().to_owned()).or_default().push((from[i], to[i]));
        }
        Ok(Self(periods))
    }

    /// What the register says of a code on a day.
    pub(super) fn standing(&self, code: &str, day: Option<Date>) -> Standing {
        let Some(periods) = self.0.get(code) else { return Standing::Unknown };
        let is_in_force = |(from, to): &Period| match day {
            Some(day) => from.is_none_or(|from| from <= day) && to.is_none_or(|to| day < to),
            None => to.is_none(),
        };
        match (periods.iter().any(is_in_force), day) {
            (true, _) => Standing::InForce,
            (false, Some(_)) => Standing::NotThen,
            (false, None) => Standing::Ended,
        }
    }
}

fn texts(column: &ArrayRef) -> Result<StringArray> {
    let texts = arrow_cast::cast(column, &DataType::Utf8)
        .map_err(|error| Error::invalid_request("a column of the register is no text").caused_by(error))?;
    Ok(texts.as_string::<i32>().clone())
}

fn days(table: &RecordBatch, name: &str) -> Result<Vec<Option<Date>>> {
    let Some(column) = table.column_by_name(name) else { return Ok(vec![None; table.num_rows()]) };
    let no_day = |found: &str| {
        Error::invalid_request(format!("{name} of the register is a day such as 2022-06-08, found {}", quoted(found)))
    };
    if let Some(days) = column.as_primitive_opt::<Date32Type>() {
        let epoch = jiff::civil::date(1970, 1, 1);
        let day = |days: i32| jiff::Span::new().try_days(days).and_then(|span| epoch.checked_add(span));
        let read = |value: Option<i32>| value.map(|v| day(v).map_err(|_| no_day(&v.to_string()))).transpose();
        return days.iter().map(read).collect();
    }
    let texts = texts(column)?;
    let read = |text: Option<&str>| {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|_| no_day(text))).transpose()
    };
    let days: Result<Vec<Option<Date>>> = texts.iter().map(read).collect();
    days
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{Field, Schema};
    use jiff::civil::date;

    fn register(columns: &[(&str, Vec<Option<&str>>)]) -> Result<KatoRegister> {
        let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
        let arrays =
            columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as ArrayRef).collect();
        KatoRegister::read(&RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a table"))
    }

    #[test]
    fn codes_have_a_region_and_no_hole_at_the_top() {
        for text in ["750000000", "751110000", "101033102", "621039202", "631000200"] {
            assert!(has_form(text), "{text}");
        }
        for text in ["000000000", "421166515", "750000001", "75111000", "7511100000", "75111000a", ""] {
            assert!(!has_form(text), "{text}");
        }
    }

    #[test]
    fn a_register_knows_when_a_code_was_in_force() {
        let split = Some("2022-06-08");
        let register = register(&[
            ("code", vec![Some("631000000"), Some("101000000"), Some("750000000")]),
            ("valid_from", vec![None, split, None]),
            ("valid_to", vec![split, None, None]),
        ])
        .expect("reads");
        let (before, after) = (Some(date(2022, 6, 7)), Some(date(2022, 6, 8)));
        for (code, day, expected) in [
            ("631000000", before, Standing::InForce),
            ("631000000", after, Standing::NotThen),
            ("631000000", None, Standing::Ended),
            ("101000000", before, Standing::NotThen),
            ("101000000", after, Standing::InForce),
            ("101000000", None, Standing::InForce),
            ("750000000", None, Standing::InForce),
            ("999999999", None, Standing::Unknown),
        ] {
            assert_eq!(register.standing(code, day), expected, "{code} {day:?}");
        }
    }

    #[test]
    fn a_register_without_codes_or_with_broken_days_is_refused() {
        let error = register(&[("name", vec![Some("x")])]).expect_err("no codes");
        assert!(error.message().contains("column named code"), "{error}");
        let error = register(&[("code", vec![Some("1")]), ("valid_to", vec![Some("soon")])]).expect_err("no day");
        assert!(error.message().contains("\"soon\""), "{error}");
    }
}
