//! What the values of a column are, and the type that keeps all of them.

use super::cursor::{Broken, Items};
use super::moments::{clock, date, instant, local};
use arrow_schema::{DataType, Field, TimeUnit};
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
}
