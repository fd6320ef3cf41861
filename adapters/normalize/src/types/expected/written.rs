//! One value as it may be written: in the notation of its column, or in any that has one meaning only.

use super::Expectation;
use crate::types::moment::{civil, date_time};
use crate::types::number::bare;
use crate::types::units;
use crate::types::value::{Notation, boolean, decimal, has_both_marks, integer, is_grouped_by_comma, without_spaces};
use arrow_schema::{DataType, TimeUnit};
use jiff::civil::Date;
use std::borrow::Cow;

impl Expectation {
    /// A value as arrow reads its type; `None` if it does not fit without loss.
    pub(super) fn canonical(&self, text: &str, expected: &DataType) -> Option<String> {
        match expected {
            DataType::UInt64 if text.bytes().all(|b| b.is_ascii_digit()) => Some(text.to_owned()),
            expected if expected.is_numeric() => self.number(&self.bare(text)?, expected),
            DataType::Date32 => self.day(text).map(|date| date.to_string()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                if let Some(time) = self.counted(text).filter(|_| zone.is_none()) {
                    return Some(civil(time).to_string());
                }
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

    /// A number without what stands around it; `None` if that is another unit than its column has.
    fn bare<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let Some(number) = bare(text) else { return Some(text.into()) };
        let of_column = |unit: &str| self.unit.as_deref().is_some_and(|column| units::is_same(unit, column));
        number.unit.is_none_or(of_column).then_some(number.text)
    }

    fn number(&self, text: &str, expected: &DataType) -> Option<String> {
        let plain = || self.notation(text).map(|notation| plain(text, notation));
        match expected {
            expected if expected.is_integer() => {
                integer(text).or_else(|| integer(&plain()?)).map(|number| number.to_string())
            }
            DataType::Decimal128(_, scale) => {
                let text = integer(text).map(|number| number.to_string()).or_else(plain)?;
                let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                (fraction <= usize::try_from(*scale).unwrap_or(0)).then_some(text)
            }
            _ => {
                let written = self.notation(text).and_then(|notation| notation.fraction(text));
                let scientific = || text.contains(['e', 'E']).then(|| text.parse().ok()).flatten();
                let found = written.or_else(scientific).filter(|number: &f64| number.is_finite());
                found.map(|number| number.to_string())
            }
        }
    }

    /// The notation of a number: that of its column if it is written so, else the only one that gives it a meaning.
    fn notation(&self, text: &str) -> Option<Notation> {
        let fits = |notation: &Notation| notation.fraction(text).is_some();
        let is_only = |notation: &Notation| match notation {
            Notation::DecimalPoint => true,
            Notation::DecimalComma => decimal(text, ',').is_some() && !is_grouped_by_comma(text),
            Notation::GroupedPoint => has_both_marks(text) || text.matches(',').count() > 1,
            Notation::GroupedComma => has_both_marks(text),
            _ => false,
        };
        let of_column = self.notation.filter(|notation| notation.is_number()).filter(fits);
        of_column.or_else(|| Notation::ALL.into_iter().find(|notation| is_only(notation) && fits(notation)))
    }

    /// A day; slashed in the order that its column has, or in the only one that makes it a day.
    fn day(&self, text: &str) -> Option<Date> {
        const SURE: [Notation; 3] = [Notation::DateIso, Notation::DateDotted, Notation::DateWords];
        let of_column = self.notation.and_then(|notation| notation.date(text));
        let sure = || SURE.iter().find_map(|notation| notation.date(text));
        let is_slashed = matches!(self.notation, Some(Notation::DateSlashed | Notation::DateMonthFirst));
        let slashed = || match (Notation::DateSlashed.date(text), Notation::DateMonthFirst.date(text)) {
            (Some(one), Some(other)) => (one == other).then_some(one),
            (one, other) => one.or(other),
        };
        of_column.or_else(sure).or_else(|| slashed().filter(|_| !is_slashed))
    }
}

/// A number in a notation as digits with at most one point.
fn plain(text: &str, notation: Notation) -> String {
    let text = without_spaces(text);
    match notation {
        Notation::GroupedPoint => text.replace(',', ""),
        Notation::GroupedComma => text.replace('.', "").replacen(',', ".", 1),
        Notation::DecimalComma => text.replacen(',', ".", 1),
        _ => text.into_owned(),
    }
}
