//! Days of spreadsheets as text: 1900 with its 29 February that never was, 1904, times, durations.

use jiff::civil::{Date, date};
use ukimet_model::{Error, Result};

/// How the moments of a column are written, so that all are written alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MomentStyle {
    /// `YYYY-MM-DD`
    #[default]
    Date,
    /// `YYYY-MM-DD HH:MM:SS`, with milliseconds where there are some.
    DateTime,
    /// `HH:MM:SS`
    Time,
}

impl MomentStyle {
    /// The style for all moments of a column.
    pub(super) fn of(days: impl Iterator<Item = f64>) -> Self {
        let (mut has_time, mut has_date) = (false, false);
        for day in days {
            let (whole, milliseconds) = split(day);
            has_time |= milliseconds != 0;
            has_date |= whole >= 1;
        }
        match (has_date, has_time) {
            (false, true) => Self::Time,
            (true, true) => Self::DateTime,
            _ => Self::Date,
        }
    }

    /// A moment as text.
    ///
    /// # Errors
    ///
    /// `InvalidData` if no calendar has the day.
    pub(super) fn text(self, days: f64, is_1904: bool) -> Result<String> {
        let (whole, milliseconds) = split(days);
        let clock = clock(milliseconds);
        if self == Self::Time {
            return Ok(clock);
        }
        let day = day(whole, is_1904)
            .ok_or_else(|| Error::invalid_data("a day between 1900 and 9999 that the calendar has was expected"))?;
        Ok(if self == Self::Date { day.to_string() } else { format!("{day} {clock}") })
    }
}

/// A duration as `HH:MM:SS`, hours above 24 as they are.
pub(super) fn duration(days: f64) -> String {
    let sign = if days < 0.0 { "-" } else { "" };
    let (whole, milliseconds) = split(days.abs());
    let text = clock(milliseconds);
    let hours: i64 = text[..2].parse().unwrap_or_default();
    format!("{sign}{:02}{}", whole * 24 + hours, &text[2..])
}

/// Whole days and milliseconds of the day; what is within a tenth of a millisecond's rounding of a float is that millisecond.
fn split(days: f64) -> (i64, u32) {
    const MILLISECONDS_A_DAY: i64 = 86_400_000;
    let milliseconds = (days * MILLISECONDS_A_DAY as f64).round();
    // Floats beyond any calendar saturate, and are refused as days.
    let milliseconds = milliseconds as i64;
    (milliseconds.div_euclid(MILLISECONDS_A_DAY), milliseconds.rem_euclid(MILLISECONDS_A_DAY) as u32)
}

fn clock(milliseconds: u32) -> String {
    let seconds = milliseconds / 1000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if milliseconds.is_multiple_of(1000) { clock } else { format!("{clock}.{:03}", milliseconds % 1000) }
}

fn day(days: i64, is_1904: bool) -> Option<Date> {
    let epoch = match days {
        _ if is_1904 => date(1904, 1, 1),
        // Day 60 is 29 February 1900 to spreadsheets, a leap year that was none.
        1..=59 => date(1899, 12, 31),
        61.. => date(1899, 12, 30),
        _ => return None,
    };
    let span = jiff::Span::new().try_days(days).ok()?;
    epoch.checked_add(span).ok().filter(|_| days >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_that_spreadsheets_show() {
        let text = |days: f64, is_1904| MomentStyle::Date.text(days, is_1904).ok();
        for (days, expected) in [
            (1.0, Some("1900-01-01")),
            (59.0, Some("1900-02-28")),
            (60.0, None),
            (61.0, Some("1900-03-01")),
            (45_352.0, Some("2024-03-01")),
            (2_958_465.0, Some("9999-12-31")),
            (2_958_466.0, None),
            (-1.0, None),
            (0.0, None),
            (f64::MAX, None),
            (f64::NAN, None),
        ] {
            assert_eq!(text(days, false).as_deref(), expected, "{days}");
        }
        assert_eq!(text(0.0, true).as_deref(), Some("1904-01-01"));
        assert_eq!(text(43_890.0, true).as_deref(), Some("2024-03-01"));
    }

    #[test]
    fn a_column_has_one_style_and_times_keep_their_seconds() {
        assert_eq!(MomentStyle::of([1.0, 2.0].into_iter()), MomentStyle::Date);
        assert_eq!(MomentStyle::of([1.0, 2.5].into_iter()), MomentStyle::DateTime);
        assert_eq!(MomentStyle::of([0.25, 0.5].into_iter()), MomentStyle::Time);
        // 2020-04-07 09:58:01 as it is stored, a little off.
        let stored = 43_928.415_289_351_85;
        assert_eq!(MomentStyle::DateTime.text(stored, false).expect("a day"), "2020-04-07 09:58:01");
        assert_eq!(
            (duration(1.145_833_333_333_333_3), duration(-0.5)),
            ("27:30:00".to_owned(), "-12:00:00".to_owned())
        );
    }
}
