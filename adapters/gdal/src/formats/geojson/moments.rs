//! Dates and times that are written so that nothing is lost when they are read.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

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

    #[test]
    fn moments_are_counted_in_both_directions() {
        assert_eq!((date("1969-12-31"), clock("00:00:01.5")), (Some(-1), Some(1_500_000)));
        assert_eq!(instant("1970-01-01T05:00:00+05:00"), Some(0));
        assert_eq!(instant("1969-12-31T18:30:00-0530"), Some(0));
        assert_eq!(local("1970-01-01 00:00:00"), Some(0));
    }
}
