//! How numbers, dates and truth values are written, and what they mean: exact or not at all.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
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
    /// `YYYY-MM-DD`.
    DateIso,
    /// `DD.MM.YYYY`.
    DateDotted,
    /// `DD/MM/YYYY`.
    DateSlashed,
    /// A date as above, `T` or a space, time with seconds, no zone.
    DateTime,
    /// The same with `Z` or an offset.
    DateTimeZoned,
    /// `true` or `false`.
    Boolean,
}

impl Notation {
    /// Every notation, in the order in which a column tries them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Boolean,
        Self::Integer,
        Self::DecimalPoint,
        Self::DecimalComma,
        Self::DateIso,
        Self::DateDotted,
        Self::DateSlashed,
        Self::DateTime,
        Self::DateTimeZoned,
    ];

    /// The notation in words, for receipts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::DecimalPoint => "decimal with point",
            Self::DecimalComma => "decimal with comma",
            Self::DateIso => "date YYYY-MM-DD",
            Self::DateDotted => "date DD.MM.YYYY",
            Self::DateSlashed => "date DD/MM/YYYY",
            Self::DateTime => "date and time without zone",
            Self::DateTimeZoned => "date and time with zone",
            Self::Boolean => "true or false",
        }
    }

    /// Whether a text is a value in this notation without any loss.
    pub(crate) fn fits(self, text: &str) -> bool {
        match self {
            Self::Integer => integer(text).is_some(),
            Self::DecimalPoint => integer(text).is_some() || decimal(text, '.').is_some(),
            Self::DecimalComma => integer(text).is_some() || decimal(text, ',').is_some(),
            Self::DateIso | Self::DateDotted | Self::DateSlashed => self.date(text).is_some(),
            Self::DateTime => date_time(text).is_some_and(|(_, offset)| offset.is_none()),
            Self::DateTimeZoned => date_time(text).is_some_and(|(_, offset)| offset.is_some()),
            Self::Boolean => boolean(text).is_some(),
        }
    }

    /// The day, in one of the date notations.
    pub(crate) fn date(self, text: &str) -> Option<Date> {
        match self {
            Self::DateIso => date_parts(text, '-', false),
            Self::DateDotted => date_parts(text, '.', true),
            Self::DateSlashed => date_parts(text, '/', true),
            _ => None,
        }
    }
}

/// The spaces that stand between groups of digits.
fn is_space(c: char) -> bool {
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

/// A number with a decimal separator whose digits a 64-bit float keeps; trailing zeros are notation.
pub(crate) fn decimal(text: &str, separator: char) -> Option<f64> {
    if !text.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
        return None;
    }
    let plain = ungrouped(text)?;
    let (whole, fraction) = plain.split_once(separator)?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || !all_digits(fraction) || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let canonical = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    let value: f64 = canonical.parse().ok()?;
    (value.to_string() == canonical).then_some(value)
}

/// Any finite number, as a coordinate may be written: point or comma, spaces around and between groups.
pub(crate) fn coordinate(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let looks_like_number = plain.bytes().all(|b| b.is_ascii_digit() || b"+-.,eE".contains(&b));
    let plain = if plain.contains('.') { plain } else { plain.replacen(',', ".", 1) };
    plain.parse().ok().filter(|value: &f64| looks_like_number && value.is_finite())
}

/// Three numbers with one separator and fixed widths, day first or year first.
fn date_parts(text: &str, separator: char, day_first: bool) -> Option<Date> {
    if text.len() != 10 || !text.is_ascii() {
        return None;
    }
    let mut parts = text.split(separator);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, day) = if day_first { (c, a) } else { (a, c) };
    if parts.next().is_some() || [year.len(), b.len(), day.len()] != [4, 2, 2] {
        return None;
    }
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i16>().ok()).flatten();
    Date::new(number(year)?, number(b)? as i8, number(day)? as i8).ok()
}

/// A date, `T` or a space, `HH:MM:SS`, up to six digits of a fraction, and perhaps `Z` or an offset.
pub(crate) fn date_time(text: &str) -> Option<(DateTime, Option<Offset>)> {
    let (day, rest) = (text.get(..10)?, text.get(10..)?);
    let date = Notation::DateIso.date(day).or_else(|| Notation::DateDotted.date(day))?;
    let time = rest.strip_prefix(['T', ' '])?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(c, f)| (c, Some(f)));
    if clock.len() != 8 || fraction.is_some_and(|f| f.is_empty() || f.len() > 6) {
        return None;
    }
    let mut parts = clock.split(':');
    let mut two = || {
        let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<i8>().ok()
    };
    let (hour, minute, second) = (two()?, two()?, two()?);
    let microseconds = fraction.map_or(Some(0), microseconds)?;
    let time = date.at(hour.min(23), minute.min(59), second.min(59), microseconds * 1000);
    let in_range = hour < 24 && minute < 60 && second < 60;
    let offset = if zone.is_empty() { None } else { Some(offset(zone)?) };
    in_range.then_some((time, offset))
}

fn microseconds(fraction: &str) -> Option<i32> {
    let all_digits = fraction.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| format!("{fraction:0<6}").parse().ok()).flatten()
}

fn offset(zone: &str) -> Option<Offset> {
    if zone == "Z" {
        return Some(Offset::UTC);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.get(1..)?;
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at(2),
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let number =
        |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<i32>().ok()).flatten();
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()).flatten()
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
        ] {
            assert_eq!(decimal(text, separator), expected, "{text}");
        }
        assert_eq!(coordinate(" 43,25 "), Some(43.25));
        assert_eq!(coordinate("4 791 000,5"), Some(4_791_000.5));
        for bad in ["", "x", "nan", "inf", "1,2,3", "43°15'"] {
            assert_eq!(coordinate(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_exist_in_the_calendar() {
        assert!(Notation::DateDotted.fits("29.02.2024"));
        assert!(Notation::DateIso.fits("2024-02-29"));
        for bad in ["29.02.2023", "1.2.2024", "2024.02.01", "00.01.2024", "31.12.24", "2024-13-01"] {
            assert!(!Notation::DateDotted.fits(bad) && !Notation::DateIso.fits(bad), "{bad}");
        }
        assert!(Notation::DateTime.fits("2024-03-01 00:00:00"));
        assert!(Notation::DateTime.fits("01.03.2024 23:59:59.123456"));
        assert!(Notation::DateTimeZoned.fits("2024-03-01T00:00:00+05:00"));
        assert!(Notation::DateTimeZoned.fits("2024-03-01T00:00:00Z"));
        for bad in [
            "2024-03-01",
            "2024-03-01 24:00:00",
            "2024-03-01 00:00",
            "2024-03-01 00:00:00.1234567",
            "2024-03-01T00:00:00+5",
        ] {
            assert!(!Notation::DateTime.fits(bad) && !Notation::DateTimeZoned.fits(bad), "{bad}");
        }
    }
}
