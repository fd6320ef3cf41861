//! How numbers, dates and truth values are written, and what they mean: exact or not at all.

use super::calendar::date_in_words;
use super::moment::{date_parts, date_time};
use jiff::civil::Date;
use std::borrow::Cow;

/// A way of writing one value. Every column has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// Decimal digits, perhaps a minus, perhaps groups of three.
    Integer,
    /// Digits with a point.
    DecimalPoint,
    /// Digits with a comma.
    DecimalComma,
    /// Commas between groups of three, then perhaps a point: `1,234,567.8`.
    GroupedPoint,
    /// Points between groups of three, then perhaps a comma: `1.234.567,8`.
    GroupedComma,
    /// `YYYY-MM-DD`.
    DateIso,
    /// `DD.MM.YYYY`.
    DateDotted,
    /// `DD/MM/YYYY` or `DD-MM-YYYY`.
    DateSlashed,
    /// `MM/DD/YYYY` or `MM-DD-YYYY`.
    DateMonthFirst,
    /// A day with its month as a word.
    DateWords,
    /// A date as above, `T` or a space, time with seconds, no zone.
    DateTime,
    /// The same with `Z` or an offset.
    DateTimeZoned,
    /// `true` or `false`.
    Boolean,
}

impl Notation {
    /// Every notation, in the order in which a column tries them.
    pub(crate) const ALL: [Self; 13] = [
        Self::Boolean,
        Self::Integer,
        Self::DecimalPoint,
        Self::DecimalComma,
        Self::GroupedPoint,
        Self::GroupedComma,
        Self::DateIso,
        Self::DateDotted,
        Self::DateSlashed,
        Self::DateMonthFirst,
        Self::DateWords,
        Self::DateTime,
        Self::DateTimeZoned,
    ];

    /// The notation in words, for receipts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::DecimalPoint => "decimal with point",
            Self::DecimalComma => "decimal with comma",
            Self::GroupedPoint => "decimal with point and commas between thousands",
            Self::GroupedComma => ukimet_model::GROUPED_BY_POINTS,
            Self::DateIso => "date YYYY-MM-DD",
            Self::DateDotted => "date DD.MM.YYYY",
            Self::DateSlashed => "date DD/MM/YYYY",
            Self::DateMonthFirst => "date MM/DD/YYYY",
            Self::DateWords => "date with its month as a word",
            Self::DateTime => "date and time without zone",
            Self::DateTimeZoned => "date and time with zone",
            Self::Boolean => "true or false",
        }
    }

    /// The notation that receipts name so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notation| notation.name() == name)
    }

    /// Whether values are numbers.
    pub(crate) fn is_number(self) -> bool {
        self == Self::Integer || self.is_fraction()
    }

    /// Whether values are numbers that may have a fraction.
    pub(crate) fn is_fraction(self) -> bool {
        matches!(self, Self::DecimalPoint | Self::DecimalComma | Self::GroupedPoint | Self::GroupedComma)
    }

    /// Whether the same digits may mean something else in another notation: `1,234` and `05/06/2024`.
    pub(crate) fn may_be_another(self) -> bool {
        use Notation as N;
        matches!(self, N::DecimalComma | N::GroupedPoint | N::GroupedComma | N::DateSlashed | N::DateMonthFirst)
    }

    /// Whether values are days.
    pub(crate) fn is_date(self) -> bool {
        matches!(self, Self::DateIso | Self::DateDotted | Self::DateSlashed | Self::DateMonthFirst | Self::DateWords)
    }

    /// Whether a text is a value in this notation without any loss; of a number, only what is bare.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::Integer => integer(text).is_some(),
            Self::DateTime => date_time(text).is_some_and(|read| read.offset.is_none()),
            Self::DateTimeZoned => date_time(text).is_some_and(|read| read.offset.is_some()),
            Self::Boolean => boolean(text).is_some(),
            _ if self.is_fraction() => self.fraction(text).is_some(),
            _ => self.date(text).is_some(),
        }
    }

    /// The number, in one of the notations with a fraction.
    pub(crate) fn fraction(self, text: &str) -> Option<f64> {
        match self {
            Self::DecimalPoint => whole(text).or_else(|| decimal(text, '.')),
            Self::DecimalComma => whole(text).or_else(|| decimal(text, ',')),
            Self::GroupedPoint => grouped(text, ',', '.'),
            Self::GroupedComma => grouped(text, '.', ','),
            _ => None,
        }
    }

    /// The day, in one of the date notations.
    pub(crate) fn date(self, text: &str) -> Option<Date> {
        match self {
            Self::DateIso => date_parts(text, '-', [0, 1, 2]),
            Self::DateDotted => date_parts(text, '.', [2, 1, 0]),
            Self::DateSlashed => date_parts(text, '/', [2, 1, 0]).or_else(|| date_parts(text, '-', [2, 1, 0])),
            Self::DateMonthFirst => date_parts(text, '/', [2, 0, 1]).or_else(|| date_parts(text, '-', [2, 0, 1])),
            Self::DateWords => date_in_words(text),
            _ => None,
        }
    }
}

/// The spaces that stand between groups of digits.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// A text without the spaces that may group its digits.
pub(crate) fn without_spaces(text: &str) -> Cow<'_, str> {
    if text.contains(is_space) { text.replace(is_space, "").into() } else { text.into() }
}

/// Whether commas stand only where they could part thousands: `1,234`, `12,345,678`.
pub(crate) fn is_grouped_by_comma(text: &str) -> bool {
    let mut groups = text.trim_start_matches('-').split(',');
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && digits(first)
        && !first.starts_with('0')
        && groups.all(|group| group.len() == 3 && digits(group))
}

/// Leaves the spaces between groups of three digits out; `None` if there are spaces anywhere else.
fn ungrouped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(is_space) {
        return Some(text.into());
    }
    let whole = text.split(['.', ',']).next().unwrap_or(text);
    let mut groups = whole.trim_start_matches('-').split(is_space);
    let first_fits = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    let rest_fits = groups.all(|group| group.len() == 3) && !text[whole.len()..].contains(is_space);
    let digits = whole.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || is_space(c));
    (first_fits && rest_fits && digits).then(|| text.replace(is_space, "").into())
}

/// A whole number written canonically: no plus, no leading zero, groups of three allowed.
pub(crate) fn integer(text: &str) -> Option<i64> {
    if !text.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
        return None;
    }
    let plain = ungrouped(text)?;
    let value: i64 = plain.parse().ok()?;
    let digits = plain.trim_start_matches('-');
    let is_canonical = digits == "0" || !digits.starts_with('0');
    (is_canonical && plain != "-0" && !plain.starts_with('+')).then_some(value)
}

/// A whole number that a 64-bit float keeps.
fn whole(text: &str) -> Option<f64> {
    let value = integer(text)?;
    let float = value as f64;
    // Exact, and printed with the same digits: 2^54 + 768 prints as a shorter number that reads back as it.
    (float as i128 == i128::from(value) && float.to_string() == value.to_string()).then_some(float)
}

/// A number with a decimal separator or a power of ten whose digits a 64-bit float keeps; trailing zeros are notation.
pub(crate) fn decimal(text: &str, separator: char) -> Option<f64> {
    if !text.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
        return None;
    }
    let plain = ungrouped(text)?;
    let (mantissa, power) = match plain.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, Some(power_of_ten(power)?)),
        None => (plain.as_ref(), None),
    };
    let (whole, fraction) = match mantissa.split_once(separator) {
        Some(parts) => parts,
        None => (mantissa, power.map(|_| "0")?),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || !all_digits(fraction) || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let canonical = shifted(whole.starts_with('-'), digits, fraction, power.unwrap_or(0));
    let value: f64 = canonical.parse().ok()?;
    (value.to_string() == canonical && is_kept(value, &canonical)).then_some(value)
}

/// Whether a float stands for just these digits, whoever prints it.
///
/// Up to fifteen it always does. Beyond, a whole number must be exact, and a fraction may not lie halfway between two
/// decimals, where one printer takes the lower and another the upper.
fn is_kept(value: f64, canonical: &str) -> bool {
    const DIGITS_ALWAYS_KEPT: usize = 15;
    // No float has more decimals than this before its digits are over.
    const DECIMALS_MAX: usize = 1100;
    let digits = canonical.trim_start_matches(['-', '0', '.']).replace('.', "");
    if digits.trim_end_matches('0').len() <= DIGITS_ALWAYS_KEPT {
        return true;
    }
    let Some((_, fraction)) = canonical.split_once('.') else { return format!("{value:.0}") == canonical };
    let exact = format!("{value:.DECIMALS_MAX$}");
    let beyond = exact.split_once('.').map_or("", |(_, exact)| &exact[fraction.len().min(exact.len())..]);
    beyond.trim_end_matches('0') != "5"
}

fn power_of_ten(text: &str) -> Option<i32> {
    const POWER_MAX: i32 = 320;
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let power: i32 = text.parse().ok().filter(|_| is_digits(digits))?;
    (-POWER_MAX..=POWER_MAX).contains(&power).then_some(power)
}

/// The decimal digits of a number times a power of ten, as a float prints them: no power, no needless zero.
fn shifted(is_negative: bool, digits: &str, fraction: &str, power: i32) -> String {
    let all = format!("{digits}{fraction}");
    let point = digits.len() as i32 + power;
    let (whole, fraction) = if point <= 0 {
        ("0".to_owned(), format!("{}{all}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point as usize >= all.len() {
        (format!("{all}{}", "0".repeat(point as usize - all.len())), String::new())
    } else {
        (all[..point as usize].to_owned(), all[point as usize..].to_owned())
    };
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if is_negative { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A number with marks between thousands and another before its fraction.
fn grouped(text: &str, group: char, separator: char) -> Option<f64> {
    let (whole_part, fraction) = match text.split_once(separator) {
        Some((whole_part, fraction)) => (whole_part, Some(fraction)),
        None => (text, None),
    };
    if !whole_part.contains(group) {
        return whole(text).or_else(|| decimal(text, separator));
    }
    let with_commas = whole_part.replace(group, ",");
    let is_plain = is_grouped_by_comma(&with_commas) && (group == ',' || !whole_part.contains(','));
    let digits = with_commas.replace(',', "");
    match fraction.filter(|_| is_plain) {
        Some(fraction) => decimal(&format!("{digits}.{fraction}"), '.'),
        None => whole(&digits).filter(|_| is_plain),
    }
}

/// Whether a number has marks between thousands and another one before its fraction, so that both are sure.
pub(crate) fn has_both_marks(text: &str) -> bool {
    let group = text.find([',', '.']).map(|at| text.as_bytes()[at]);
    let separator = text.rfind([',', '.']).map(|at| text.as_bytes()[at]);
    group != separator
}

/// Any finite number, as a coordinate may be written: point or comma, spaces around and between groups.
pub(crate) fn coordinate(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let looks_like_number = plain.bytes().all(|b| b.is_ascii_digit() || b"+-.,eE".contains(&b));
    let plain = if plain.contains('.') { plain } else { plain.replacen(',', ".", 1) };
    plain.parse().ok().filter(|value: &f64| looks_like_number && value.is_finite())
}

/// `true` or `false`, in small, capital or title letters.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "TRUE" | "True" => Some(true),
        "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-17", Some(-17)),
            ("73 132", Some(73132)),
            ("73\u{a0}132", Some(73132)),
            ("1\u{202f}000\u{202f}000", Some(1_000_000)),
            ("007", None),
            ("+7", None),
            ("-0", None),
            ("7 13", None),
            (" 7", None),
            ("", None),
            ("1e5", None),
            ("1000 000", None),
            ("9223372036854775808", None),
            ("٣", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn a_decimal_keeps_every_digit_or_stays_text() {
        for (text, separator, expected) in [
            ("1.5", '.', Some(1.5)),
            ("12,50", ',', Some(12.5)),
            ("-0,25", ',', Some(-0.25)),
            ("1 234,5", ',', Some(1234.5)),
            ("0.1234567890123456789", '.', None),
            ("01.5", '.', None),
            (".5", '.', None),
            ("1.", '.', None),
            ("1.5", ',', None),
            ("1.2.3", '.', None),
            ("12345678901234567.5", '.', None),
            ("1.5E+05", '.', Some(150_000.0)),
            ("1,5e-3", ',', Some(0.0015)),
            ("2E3", '.', Some(2000.0)),
            ("1.5e", '.', None),
            ("1e999", '.', None),
            ("123456789.123456789e2", '.', None),
            ("600000000000000.3", '.', None),
            ("600000000000000.5", '.', Some(600_000_000_000_000.5)),
            ("71.44598760000001", '.', Some(71.445_987_600_000_01)),
            ("1.5e300", '.', Some(1.5e300)),
            ("1234567890123456.7e5", '.', None),
        ] {
            assert_eq!(decimal(text, separator), expected, "{text}");
        }
        assert_eq!(coordinate(" 43,25 "), Some(43.25));
        assert_eq!(coordinate("4 791 000,5"), Some(4_791_000.5));
        for bad in ["", "x", "nan", "inf", "1,2,3", "43°15'"] {
            assert_eq!(coordinate(bad), None, "{bad}");
        }
    }
}
