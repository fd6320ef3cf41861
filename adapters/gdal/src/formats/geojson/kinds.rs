//! What the values of a column are, and the type that keeps all of them.

use super::cursor::{Broken, Items};
use arrow_schema::{DataType, Field, TimeUnit};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use std::sync::Arc;

/// Kinds of values, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u32);

impl Kinds {
    const INT: Self = Self(1);
    /// Beyond 32 bits.
    const INT_LONG: Self = Self(1 << 1);
    /// Beyond what a float counts exactly.
    const INT_WIDE: Self = Self(1 << 2);
    /// Beyond 64 bits, or minus zero.
    const INT_HUGE: Self = Self(1 << 3);
    const FLOAT: Self = Self(1 << 4);
    /// Beyond any float, or so small that a float is zero.
    const FLOAT_HUGE: Self = Self(1 << 5);
    /// `NaN` and infinities, which are no JSON.
    pub(super) const NOT_A_NUMBER: Self = Self(1 << 6);
    const BOOLEAN: Self = Self(1 << 7);
    const TEXT: Self = Self(1 << 8);
    const DATE: Self = Self(1 << 9);
    const CLOCK: Self = Self(1 << 10);
    const LOCAL: Self = Self(1 << 11);
    const INSTANT: Self = Self(1 << 12);
    const OBJECT: Self = Self(1 << 13);
    const LIST: Self = Self(1 << 14);
    /// Number notations that are no JSON, such as 007.
    const ODD_NUMBER: Self = Self(1 << 15);

    const WHOLE: Self = Self(Self::INT.0 | Self::INT_LONG.0 | Self::INT_WIDE.0);
    const NUMBER: Self = Self(Self::INT.0 | Self::INT_LONG.0 | Self::FLOAT.0 | Self::NOT_A_NUMBER.0);
    const ANY_NUMBER: Self = Self(
        Self::WHOLE.0
            | Self::INT_HUGE.0
            | Self::FLOAT.0
            | Self::FLOAT_HUGE.0
            | Self::NOT_A_NUMBER.0
            | Self::ODD_NUMBER.0,
    );
    const ANY_TEXT: Self = Self(Self::TEXT.0 | Self::DATE.0 | Self::CLOCK.0 | Self::LOCAL.0 | Self::INSTANT.0);

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn is_within(self, other: Self) -> bool {
        !self.is_empty() && self.0 & !other.0 == 0
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What kinds of values these are, for people.
    fn names(self) -> String {
        let groups = [
            (Self::ANY_NUMBER, "numbers"),
            (Self::BOOLEAN, "truth values"),
            (Self::ANY_TEXT, "text"),
            (Self::OBJECT, "objects"),
            (Self::LIST, "lists"),
        ];
        groups.iter().filter(|(kind, _)| self.has(*kind)).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// What was seen in one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    values: Kinds,
    items: Kinds,
}

/// Why a column is text although its values are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeptAsText {
    /// Objects and lists of several kinds keep their JSON.
    Json,
    /// Numbers that no column of numbers keeps.
    Numbers,
    /// Times of which some have an offset.
    Offsets,
    /// These kinds together.
    Mixed(String),
}

impl Seen {
    /// Takes a value into account.
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), Broken> {
        self.values = self.values.with(kind(value)?);
        if value.first() == Some(&b'[') {
            for item in Items::of(value) {
                self.items = self.items.with(kind(item?)?);
            }
        }
        Ok(())
    }

    pub(super) fn has_not_a_number(self) -> bool {
        self.values.with(self.items).has(Kinds::NOT_A_NUMBER)
    }

    /// The type of a column of these values.
    pub(super) fn data_type(self) -> DataType {
        if self.values == Kinds::LIST && !self.items.is_empty() {
            let item = match scalar_type(self.items) {
                Some(item) if item != DataType::Utf8 || self.items.is_within(Kinds::ANY_TEXT) => item,
                _ => return DataType::Utf8,
            };
            // Times in a list stay text, as nobody looks for them there.
            let item = if item.is_temporal() { DataType::Utf8 } else { item };
            return DataType::List(Arc::new(Field::new("item", item, true)));
        }
        scalar_type(self.values).unwrap_or(DataType::Utf8)
    }

    /// Why values that are no text are kept as such; `None` if they are not.
    pub(super) fn kept_as_text(self) -> Option<KeptAsText> {
        if self.values.is_within(Kinds::LOCAL.with(Kinds::INSTANT)) && self.data_type() == DataType::Utf8 {
            return Some(KeptAsText::Offsets);
        }
        if self.data_type() != DataType::Utf8 || self.values.is_empty() || self.values.is_within(Kinds::ANY_TEXT) {
            return None;
        }
        Some(if self.values.is_within(Kinds::OBJECT.with(Kinds::LIST)) {
            KeptAsText::Json
        } else if self.values.is_within(Kinds::ANY_NUMBER) {
            KeptAsText::Numbers
        } else {
            KeptAsText::Mixed(self.values.names())
        })
    }
}

fn scalar_type(kinds: Kinds) -> Option<DataType> {
    let is = |wanted: Kinds| kinds.is_within(wanted);
    Some(match () {
        () if is(Kinds::INT) => DataType::Int32,
        () if is(Kinds::WHOLE) => DataType::Int64,
        () if is(Kinds::NUMBER) => DataType::Float64,
        () if is(Kinds::BOOLEAN) => DataType::Boolean,
        () if is(Kinds::DATE) => DataType::Date32,
        () if is(Kinds::CLOCK) => DataType::Time64(TimeUnit::Microsecond),
        () if is(Kinds::LOCAL) => DataType::Timestamp(TimeUnit::Microsecond, None),
        () if is(Kinds::INSTANT) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        () if is(Kinds::ANY_TEXT) => DataType::Utf8,
        () => return None,
    })
}

/// The kind of one value; of null, none.
fn kind(value: &[u8]) -> Result<Kinds, Broken> {
    let unknown = || Broken::Expected("a value", 0);
    Ok(match value.first().ok_or_else(unknown)? {
        b'"' => text_kind(&value[1..value.len() - 1]),
        b'{' => Kinds::OBJECT,
        b'[' => Kinds::LIST,
        b'-' | b'+' | b'.' | b'0'..=b'9' if value != b"-Infinity" => number_kind(value).ok_or_else(unknown)?,
        _ => match value {
            b"null" => Kinds::default(),
            b"true" | b"false" => Kinds::BOOLEAN,
            b"NaN" | b"nan" | b"Infinity" | b"-Infinity" => Kinds::NOT_A_NUMBER,
            _ => return Err(unknown()),
        },
    })
}

fn number_kind(value: &[u8]) -> Option<Kinds> {
    const EXACT_MAX: u64 = 1 << 53;
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let float: f64 = text.parse().ok()?;
    if !is_json_number(digits) {
        return Some(Kinds::ODD_NUMBER);
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match text.parse::<i64>() {
            _ if text == "-0" => Kinds::INT_HUGE,
            Ok(value) if i32::try_from(value).is_ok() => Kinds::INT,
            Ok(value) if value.unsigned_abs() <= EXACT_MAX => Kinds::INT_LONG,
            Ok(_) => Kinds::INT_WIDE,
            Err(_) => Kinds::INT_HUGE,
        });
    }
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_lost = float == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    Some(if float.is_finite() && !is_lost { Kinds::FLOAT } else { Kinds::FLOAT_HUGE })
}

/// Whether this, without a sign, begins as JSON's numbers do: a digit, and no zero before another.
fn is_json_number(digits: &str) -> bool {
    match digits.as_bytes() {
        [b'0', second, ..] => !second.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

fn text_kind(text: &[u8]) -> Kinds {
    let is_moment = matches!(text.len(), 8..=32)
        && text[0].is_ascii_digit()
        && text.iter().all(|byte| byte.is_ascii_digit() || b"-/:.+TZ ".contains(byte));
    let Some(text) = std::str::from_utf8(text).ok().filter(|_| is_moment) else { return Kinds::TEXT };
    match () {
        () if date(text).is_some() => Kinds::DATE,
        () if clock(text).is_some() => Kinds::CLOCK,
        () if local(text).is_some() => Kinds::LOCAL,
        () if instant(text).is_some() => Kinds::INSTANT,
        () => Kinds::TEXT,
    }
}

/// A day of the calendar, `YYYY-MM-DD` or `YYYY/MM/DD`, in days since 1970-01-01.
pub(super) fn date(text: &str) -> Option<i32> {
    let date = civil_date(text)?;
    Some(date.since(Date::constant(1970, 1, 1)).ok()?.get_days())
}

fn civil_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let separator = *bytes.get(4).filter(|byte| matches!(byte, b'-' | b'/'))?;
    if bytes.len() != 10 || bytes[7] != separator {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    Date::new(number(0..4)?, number(5..7)?.try_into().ok()?, number(8..10)?.try_into().ok()?).ok()
}

/// A time of day `HH:MM:SS`, at most six digits of fractions, in microseconds.
pub(super) fn clock(text: &str) -> Option<i64> {
    let time = civil_time(text)?;
    let seconds = i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(seconds * 1_000_000 + i64::from(time.subsec_nanosecond() / 1_000))
}

fn civil_time(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let fraction = bytes.get(8..).unwrap_or_default();
    // A leap second would become the one before it.
    let is_plain = bytes.len() >= 8 && bytes[2] == b':' && bytes[5] == b':' && &bytes[6..8] != b"60";
    let is_kept = fraction.len() <= 7 && (fraction.is_empty() || (fraction[0] == b'.' && fraction.len() > 1));
    text.parse().ok().filter(|_| is_plain && is_kept)
}

/// A date and a time, `T` or a blank between them, in microseconds since 1970-01-01 of the same unknown zone.
pub(super) fn local(text: &str) -> Option<i64> {
    let moment = civil(text)?;
    jiff::tz::TimeZone::UTC.to_timestamp(moment).ok().map(Timestamp::as_microsecond)
}

fn civil(text: &str) -> Option<DateTime> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', ' '])?;
    Some(DateTime::from_parts(civil_date(day)?, civil_time(rest)?))
}

/// As [`local`] with `Z` or an offset at its end, in microseconds since 1970-01-01 in UTC.
pub(super) fn instant(text: &str) -> Option<i64> {
    let at = 10 + text.get(10..)?.find(['Z', '+', '-'])?;
    let (moment, zone) = text.split_at(at);
    let seconds = offset(zone)?;
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?);
    zone.to_timestamp(civil(moment)?).ok().map(Timestamp::as_microsecond)
}

/// Seconds east of `Z`, `+HH`, `+HHMM`, `+HH:MM`.
fn offset(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone[1..].replace(':', "");
    let is_even = zone.len() == 6 || !zone.contains(':');
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i32>().ok();
    match digits.len() {
        2 => Some(sign * 3_600 * number(0..2)?),
        4 if is_even => Some(sign * (3_600 * number(0..2)? + 60 * number(2..4)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for value in values {
            seen.add(value.as_bytes()).expect(value);
        }
        seen
    }

    #[test]
    fn a_column_has_the_narrowest_type_that_keeps_every_value() {
        for (values, expected) in [
            (&["1", "-7", "null"][..], DataType::Int32),
            (&["1", "3000000000"], DataType::Int64),
            (&["9007199254740993"], DataType::Int64),
            (&["1", "1.5", "NaN"], DataType::Float64),
            (&["9007199254740993", "1.5"], DataType::Utf8),
            (&["18446744073709551615"], DataType::Utf8),
            (&["1e400", "1"], DataType::Utf8),
            (&["-0"], DataType::Utf8),
            (&["007"], DataType::Utf8),
            (&["true", "7"], DataType::Utf8),
            (&["true", "false"], DataType::Boolean),
            (&["null"], DataType::Utf8),
            (&["\"2024-02-29\"", "\"2024/03/01\""], DataType::Date32),
            (&["\"2024-02-30\""], DataType::Utf8),
            (&["\"2024-02-29\"", "\"x\""], DataType::Utf8),
            (&["\"08:30:00\""], DataType::Time64(TimeUnit::Microsecond)),
            (&["\"2024-02-29T08:30:00.25\""], DataType::Timestamp(TimeUnit::Microsecond, None)),
            (&["\"2024-02-29T08:30:60\""], DataType::Utf8),
            (&["\"2024-02-29T08:30:00.1234567\""], DataType::Utf8),
            (
                &["\"2024-02-29T08:30:00Z\"", "\"2024-02-29 08:30:00+05:00\""],
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ),
            (&["\"2024-02-29T08:30:00Z\"", "\"2024-02-29T08:30:00\""], DataType::Utf8),
            (&["{}"], DataType::Utf8),
            (&["[]"], DataType::Utf8),
        ] {
            assert_eq!(seen(values).data_type(), expected, "{values:?}");
        }
    }

    #[test]
    fn lists_of_one_kind_are_lists_and_others_stay_json() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        assert_eq!(seen(&["[1,null]", "[]"]).data_type(), list(DataType::Int32));
        assert_eq!(seen(&["[1,2.5]"]).data_type(), list(DataType::Float64));
        assert_eq!(seen(&["[\"2024-01-01\"]"]).data_type(), list(DataType::Utf8));
        for mixed in ["[1,\"a\"]", "[[1]]", "[true,1]", "[1e400]"] {
            assert_eq!(seen(&[mixed]).kept_as_text(), Some(KeptAsText::Json), "{mixed}");
        }
        assert_eq!(seen(&["true", "7"]).kept_as_text(), Some(KeptAsText::Mixed("numbers, truth values".to_owned())));
        assert_eq!(seen(&["1e400"]).kept_as_text(), Some(KeptAsText::Numbers));
        assert_eq!(seen(&["\"a\"", "null"]).kept_as_text(), None);
    }

    #[test]
    fn moments_are_counted_in_both_directions() {
        assert_eq!((date("1969-12-31"), clock("00:00:01.5")), (Some(-1), Some(1_500_000)));
        assert_eq!(instant("1970-01-01T05:00:00+05:00"), Some(0));
        assert_eq!(instant("1969-12-31T18:30:00-0530"), Some(0));
        assert_eq!(local("1970-01-01 00:00:00"), Some(0));
    }
}
