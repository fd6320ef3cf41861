//! When something was so in the world, as the columns of a dataset say it: valid time, beside the system time of versions.

use crate::error::{Error, Result, quoted};
use arrow_schema::{DataType, TimeUnit};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The columns that say from when until when a row was so: `[from, to)`, days or times. Null on a side is open there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidTime {
    /// Published name of the column with the first day or instant.
    pub from: String,
    /// Published name of the column with the first one at which it was so no longer; `None` if it still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl fmt::Display for ValidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(to) => write!(f, "{} to {to}", self.from),
            None => write!(f, "from {}", self.from),
        }
    }
}

/// A point in valid time as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValidMoment {
    /// A day: for columns of times its beginning, in UTC where they are instants.
    Day(Date),
    /// A time without a zone, for columns of such times.
    Local(DateTime),
    /// An instant, for columns of instants.
    Instant(Timestamp),
}

/// Which rows are wanted by their valid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidQuery {
    /// Rows that were so then.
    At(ValidMoment),
    /// Rows that were so at some moment of `[from, to)`.
    During(ValidMoment, ValidMoment),
}

/// The types that a column of valid time may have.
pub fn is_valid_time_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _))
}

impl ValidMoment {
    /// The moment in a column's own numbers: days since 1970 or microseconds since 1970.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if a time was asked of days, or one with a zone of times that have none, or the other way round.
    pub fn in_type(&self, data_type: &DataType) -> Result<i64> {
        let epoch = Date::constant(1970, 1, 1).to_datetime(Time::midnight());
        let (local, instant) = match self {
            Self::Day(day) => (Some(day.to_datetime(Time::midnight())), None),
            Self::Local(time) => (Some(*time), None),
            Self::Instant(instant) => (None, Some(*instant)),
        };
        let unfit = |wanted: &str| {
            Err(Error::invalid_request(format!("the valid time of this dataset is {wanted}, asked for {self}")))
        };
        let since_1970 = |time: DateTime| time.duration_since(epoch);
        match (data_type, self, local, instant) {
            (DataType::Date32, Self::Day(_), Some(day), _) => Ok(since_1970(day).as_hours() / 24),
            (DataType::Date32, ..) => unfit("in days: ask for one such as 2026-03-01"),
            (DataType::Timestamp(_, Some(_)), Self::Day(day), ..) => match day.to_zoned(TimeZone::UTC) {
                Ok(begin) => Ok(begin.timestamp().as_microsecond()),
                Err(_) => unfit("in instants of another era"),
            },
            (DataType::Timestamp(_, Some(_)), _, _, Some(instant)) => Ok(instant.as_microsecond()),
            (DataType::Timestamp(_, Some(_)), ..) => {
                unfit("in instants: ask for one with a zone such as 2026-03-01T10:00Z, or a day")
            }
            (DataType::Timestamp(_, None), _, Some(time), _) => {
                Ok(i64::try_from(since_1970(time).as_micros()).unwrap_or(i64::MAX))
            }
            _ => unfit("in times without a zone: ask for one such as 2026-03-01T10:00, or a day"),
        }
    }
}

impl FromStr for ValidMoment {
    type Err = Error;

    /// Reads a day, a time without a zone, or an instant as in RFC 3339.
    fn from_str(text: &str) -> Result<Self> {
        let unread = || {
            Error::invalid_request(format!(
                "a valid time is written as 2026-03-01, 2026-03-01T10:00 or 2026-03-01T10:00+05:00, found {}",
                quoted(text)
            ))
        };
        let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"-+:.TZ".contains(&b));
        if !is_plain || text.as_bytes().get(4) != Some(&b'-') {
            return Err(unread());
        }
        let Some((_, time)) = text.split_once('T') else {
            return text.parse().map(Self::Day).map_err(|e| unread().caused_by(e));
        };
        if time.ends_with('Z') || time.contains(['+', '-']) {
            return text.parse().map(Self::Instant).map_err(|e| unread().caused_by(e));
        }
        text.parse().map(Self::Local).map_err(|e| unread().caused_by(e))
    }
}

impl fmt::Display for ValidMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Local(time) => time.fmt(f),
            Self::Instant(instant) => instant.fmt(f),
        }
    }
}

impl TryFrom<String> for ValidMoment {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ValidMoment> for String {
    fn from(moment: ValidMoment) -> Self {
        moment.to_string()
    }
}

impl ValidQuery {
    /// The question of a moment, or of an interval as `FROM/TO`; of neither if nothing was asked.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if both are asked, or one does not read as what it is.
    pub fn of(at: Option<&str>, during: Option<&str>) -> Result<Option<Self>> {
        match (at, during) {
            (None, None) => Ok(None),
            (Some(at), None) => at.parse().map(|at| Some(Self::At(at))),
            (None, Some(during)) if during.contains('/') => during.parse().map(Some),
            (None, Some(during)) => {
                Err(Error::invalid_request(format!("an interval is written as FROM/TO, found {}", quoted(during))))
            }
            (Some(_), Some(_)) => {
                Err(Error::invalid_request("rows are valid at a moment or during an interval, asked for both"))
            }
        }
    }
}

impl FromStr for ValidQuery {
    type Err = Error;

    /// Reads a moment, or an interval as `FROM/TO`, of which `TO` is no part.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            None => text.parse().map(Self::At),
            Some((from, to)) => Ok(Self::During(from.parse()?, to.parse()?)),
        }
    }
}

impl fmt::Display for ValidQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => moment.fmt(f),
            Self::During(from, to) => write!(f, "{from}/{to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_type(text: &str, data_type: &DataType) -> Option<i64> {
        text.parse::<ValidMoment>().expect(text).in_type(data_type).ok()
    }

    #[test]
    fn a_moment_is_what_the_type_of_the_column_can_say() {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (text, day, plain, instant) in [
            ("1970-01-02", Some(1), Some(86_400_000_000), Some(86_400_000_000)),
            ("1969-12-31", Some(-1), Some(-86_400_000_000), Some(-86_400_000_000)),
            ("1970-01-01T01:00", None, Some(3_600_000_000), None),
            ("1970-01-01T05:00+05:00", None, None, Some(0)),
            ("1970-01-01T00:00:00.5Z", None, None, Some(500_000)),
        ] {
            let found = (in_type(text, &DataType::Date32), in_type(text, &local), in_type(text, &zoned));
            assert_eq!(found, (day, plain, instant), "{text}");
        }
    }

    #[test]
    fn questions_are_read_and_written_the_same() {
        for text in ["2026-03-01", "2026-03-01T10:00:00", "2026-03-01T10:00:00Z", "2026-03-01/2026-04-01"] {
            assert_eq!(text.parse::<ValidQuery>().expect(text).to_string(), text);
        }
        for text in ["", "today", "2026-02-30", "20260301", "2026-03-01T10:00[Asia/Almaty]", "2026-03-01/"] {
            assert!(text.parse::<ValidQuery>().is_err(), "{text}");
        }
        assert!(ValidQuery::of(Some("2026-03-01"), Some("2026-03-01/2026-04-01")).is_err());
        assert!(ValidQuery::of(None, Some("2026-03-01")).is_err());
    }
}
