//! Days and times in digits: exact or not at all.

use super::value::Notation;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// Three numbers with one separator and fixed widths; `order` says where year, month and day stand.
pub(crate) fn date_parts(text: &str, separator: char, order: [usize; 3]) -> Option<Date> {
    if text.len() != 10 || !text.is_ascii() {
        return None;
    }
    let parts: Vec<&str> = text.split(separator).collect();
    let [year, month, day] = order.map(|at| parts.get(at).copied().unwrap_or_default());
    if parts.len() != 3 || [year.len(), month.len(), day.len()] != [4, 2, 2] {
        return None;
    }
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i16>().ok()).flatten();
    Date::new(number(year)?, number(month)? as i8, number(day)? as i8).ok()
}

/// A date with a time of day, as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// What the clock shows.
    pub(crate) time: DateTime,
    /// `Z` or the offset beside it.
    pub(crate) offset: Option<Offset>,
    /// Whether it was written as 24:00 of the day before.
    pub(crate) is_24: bool,
}

/// A date, `T` or a space, `HH:MM:SS`, up to six digits of a fraction, and perhaps `Z` or an offset.
///
/// 24:00:00 is the end of a day, so 00:00:00 of the next.
pub(crate) fn date_time(text: &str) -> Option<Moment> {
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
    let microseconds = fraction.map_or(Some(0), fraction_microseconds)?;
    let time = date.at(hour.min(23), minute.min(59), second.min(59), microseconds * 1000);
    let offset = if zone.is_empty() { None } else { Some(offset(zone)?) };
    if (hour, minute, second, microseconds) == (24, 0, 0, 0) {
        return Some(Moment { time: date.tomorrow().ok()?.at(0, 0, 0, 0), offset, is_24: true });
    }
    let in_range = hour < 24 && minute < 60 && second < 60;
    in_range.then_some(Moment { time, offset, is_24: false })
}

fn fraction_microseconds(fraction: &str) -> Option<i32> {
    let all_digits = fraction.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| format!("{fraction:0<6}").parse().ok()).flatten()
}

/// `Z`, `+HH`, `+HHMM` or `+HH:MM`.
pub(crate) fn offset(zone: &str) -> Option<Offset> {
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

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Days since 1970-01-01.
pub(crate) fn days(date: Date) -> i32 {
    // Both are days between the years -9999 and 9999.
    EPOCH.until(date).map_or(0, |span| span.get_days())
}

/// Microseconds since 1970-01-01T00:00:00 on the same clock, also at the ends of the calendar.
pub(crate) fn microseconds(time: DateTime) -> i64 {
    let clock = time.time();
    let seconds = i64::from(clock.hour()) * 3600 + i64::from(clock.minute()) * 60 + i64::from(clock.second());
    i64::from(days(time.date())) * DAY_MICROSECONDS + seconds * 1_000_000 + i64::from(clock.subsec_nanosecond()) / 1000
}

/// What a clock shows so many microseconds after 1970-01-01T00:00:00; the ends of the calendar beyond it.
pub(crate) fn civil(microseconds: i64) -> DateTime {
    let days = microseconds.div_euclid(DAY_MICROSECONDS);
    let rest = microseconds.rem_euclid(DAY_MICROSECONDS);
    let date = jiff::Span::new().try_days(days).and_then(|span| EPOCH.checked_add(span));
    let (seconds, fraction) = (rest / 1_000_000, (rest % 1_000_000 * 1000) as i32);
    match date {
        Ok(date) => date.at((seconds / 3600) as i8, (seconds / 60 % 60) as i8, (seconds % 60) as i8, fraction),
        Err(_) if days < 0 => DateTime::MIN,
        Err(_) => DateTime::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "2024-03-01 24:00:01",
            "2024-03-01 00:00",
            "2024-03-01 00:00:00.1234567",
            "2024-03-01T00:00:00+5",
        ] {
            assert!(!Notation::DateTime.fits(bad) && !Notation::DateTimeZoned.fits(bad), "{bad}");
        }
    }

    #[test]
    fn the_end_of_a_day_is_the_beginning_of_the_next() {
        let read = date_time("2024-02-29T24:00:00").expect("a time");
        assert_eq!((read.time, read.is_24), (jiff::civil::date(2024, 3, 1).at(0, 0, 0, 0), true));
        assert_eq!(date_time("9999-12-31 24:00:00"), None);
    }

    #[test]
    fn clocks_are_counted_to_the_ends_of_the_calendar() {
        for time in [DateTime::MIN, DateTime::constant(1969, 12, 31, 23, 59, 59, 999_999_000), DateTime::ZERO] {
            assert_eq!(civil(microseconds(time)), time);
        }
        let last = DateTime::constant(9999, 12, 31, 23, 59, 59, 0);
        assert_eq!((civil(microseconds(last)), civil(i64::MAX), civil(i64::MIN)), (last, DateTime::MAX, DateTime::MIN));
        assert_eq!(microseconds(DateTime::constant(1970, 1, 2, 0, 0, 0, 1000)), DAY_MICROSECONDS + 1);
    }
}
