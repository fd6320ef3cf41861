//! Days and times with a zone, feature by feature.
//!
//! GDAL 3.6 gives every day before 1970 one day late in the Arrow streams that it makes of features, which is all but
//! the own ones of GeoPackage and FlatGeobuf, makes the 1st of March of the 30th of February, and drops the offset of a time.
//! So where such a layer has dates or times, they are read again as GDAL shows them: only days of the calendar are
//! taken, and a column whose every time has an offset becomes one of instants in UTC.

use super::{OgrRows, OgrSource, lost};
use crate::gdal::Raised;
use arrow_array::{Array, ArrayRef, Date32Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use gdal::vector::{Feature, OwnedFeatureIterator};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// Drivers whose own Arrow stream has the days right.
const RIGHT: [&str; 2] = ["GPKG", "FlatGeobuf"];
/// The driver whose times are looked at elsewhere, in its cells.
const OWN_CELLS: &str = "GPKG";

/// Which columns of a layer are read again, by position, which is that of the fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct MomentColumns {
    days: Vec<usize>,
    /// Columns whose every time has an offset.
    instants: Vec<usize>,
    /// How many columns stand before the first field.
    keys: usize,
    /// Times with an offset in columns where others have none: the offset cannot be kept.
    pub(crate) offsets_dropped: u64,
}

impl MomentColumns {
    /// Looks through the dates and times of a layer; `open` opens the file again.
    pub(crate) fn of(
        driver: &str,
        rows: &OgrRows,
        layer: usize,
        open: impl FnOnce() -> Result<OgrSource>,
    ) -> Result<Self> {
        let (schema, keys) = (rows.schema(), rows.keys());
        let with = |wanted: fn(&DataType) -> bool| -> Vec<usize> {
            (0..schema.fields().len()).filter(|i| wanted(schema.field(*i).data_type())).collect()
        };
        let days = with(|data_type| data_type == &DataType::Date32);
        let times = with(|data_type| matches!(data_type, DataType::Timestamp(_, None)));
        let days = if RIGHT.contains(&driver) && !rows.is_by_feature() { Vec::new() } else { days };
        if times.is_empty() || driver == OWN_CELLS {
            return Ok(Self { days, keys, ..Self::default() });
        }
        let mut counts = vec![(0_u64, 0_u64); times.len()];
        let mut features = features(open()?, layer)?;
        for feature in &mut features {
            for ((given, with_offset), field) in counts.iter_mut().zip(&times) {
                if let Some(text) = text(&feature, *field - keys) {
                    *given += 1;
                    *with_offset += u64::from(offset(&text).is_some());
                }
            }
        }
        let seen = || times.iter().copied().zip(&counts);
        let instants =
            seen().filter(|(_, (given, with))| *given > 0 && given == with).map(|(field, _)| field).collect();
        let offsets_dropped = seen().filter(|(_, (given, with))| given != with).map(|(_, (_, with))| with).sum();
        Ok(Self { days, instants, keys, offsets_dropped })
    }

    /// The field as it comes out of [`Moments::corrected`].
    pub(crate) fn field(&self, position: usize, field: &FieldRef) -> FieldRef {
        if !self.instants.contains(&position) {
            return Arc::clone(field);
        }
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone()))
    }

    fn is_empty(&self) -> bool {
        self.days.is_empty() && self.instants.is_empty()
    }
}

fn features(source: OgrSource, layer: usize) -> Result<OwnedFeatureIterator> {
    let unreadable = |error| Error::internal("the dates of a layer could not be read").caused_by(error);
    Ok(source.dataset.into_layer(layer).map_err(unreadable)?.owned_features())
}

/// Reads the dates and times of one layer a second time, in step with its Arrow stream.
pub(crate) struct Moments {
    features: OwnedFeatureIterator,
    columns: MomentColumns,
    impossible: Vec<String>,
    impossible_count: u64,
}

impl Moments {
    /// A second look at a layer that needs one; `open` opens the file again.
    pub(crate) fn of(
        columns: &MomentColumns,
        layer: usize,
        open: impl FnOnce() -> Result<OgrSource>,
    ) -> Result<Option<Self>> {
        if columns.is_empty() {
            return Ok(None);
        }
        let features = features(open()?, layer)?;
        Ok(Some(Self { features, columns: columns.clone(), impossible: Vec::new(), impossible_count: 0 }))
    }

    /// The next rows with their moments as the source has them; what is none becomes null and is counted.
    ///
    /// # Errors
    ///
    /// `DataLoss` if the second look ends before the first.
    pub(crate) fn corrected(&mut self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let MomentColumns { days, instants, .. } = self.columns.clone();
        let mut day_values: Vec<Vec<Option<i32>>> = vec![Vec::with_capacity(rows.num_rows()); days.len()];
        let mut instant_values: Vec<Vec<Option<i64>>> = vec![Vec::with_capacity(rows.num_rows()); instants.len()];
        for row in 0..rows.num_rows() {
            let texts = self.texts(rows, row)?;
            for ((values, _), text) in day_values.iter_mut().zip(&days).zip(&texts) {
                values.push(self.taken(text.as_deref(), day));
            }
            for ((values, _), text) in instant_values.iter_mut().zip(&instants).zip(&texts[days.len()..]) {
                values.push(self.taken(text.as_deref(), instant));
            }
        }
        let mut columns = rows.columns().to_vec();
        for (values, column) in day_values.into_iter().zip(days) {
            columns[column] = Arc::new(Date32Array::from(values));
        }
        for (values, column) in instant_values.into_iter().zip(instants) {
            columns[column] = Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
        }
        Ok(columns)
    }

    /// The next feature's dates, then its times, as GDAL shows them.
    fn texts(&mut self, rows: &RecordBatch, row: usize) -> Result<Vec<Option<String>>> {
        let mut features = &mut self.features;
        let feature = features.next().ok_or_else(|| lost(row as u64, &Raised::default()))?;
        let wanted = self.columns.days.iter().chain(&self.columns.instants);
        let keys = self.columns.keys;
        Ok(wanted.map(|i| if rows.column(*i).is_valid(row) { text(&feature, *i - keys) } else { None }).collect())
    }

    fn taken<T>(&mut self, text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = text?;
        let value = read(text);
        if value.is_none() {
            self.impossible_count += 1;
            if self.impossible.len() < crate::source::EXAMPLES_MAX {
                self.impossible.push(text.to_owned());
            }
        }
        value
    }

    /// How many values were no moments, and some of them, given away.
    pub(crate) fn take_impossible(&mut self) -> (u64, Vec<String>) {
        (std::mem::take(&mut self.impossible_count), std::mem::take(&mut self.impossible))
    }
}

/// A date or time as GDAL shows it: `YYYY/MM/DD`, or that with `HH:MM:SS`, perhaps a fraction, perhaps `+HH` or `+HHMM`.
fn text(feature: &Feature<'_>, field: usize) -> Option<String> {
    feature.field_as_string(field).ok().flatten().filter(|text| !text.is_empty())
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Date::new(year, month, day).ok().filter(|_| parts.next().is_none())
}

/// Days since 1970-01-01.
fn day(text: &str) -> Option<i32> {
    Some(date(text)?.since(Date::constant(1970, 1, 1)).ok()?.get_days())
}

/// The offset at the end of a time, in seconds east, and where it begins.
fn offset(text: &str) -> Option<(usize, i32)> {
    let time = text.find(' ')?;
    let at = time + text[time..].find(['+', '-'])?;
    let digits = &text[at + 1..];
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i32>().ok();
    let minutes = match digits.len() {
        2 => number(0..2)? * 60,
        4 => number(0..2)? * 60 + number(2..4)?,
        5 => number(0..2)? * 60 + number(3..5)?,
        _ => return None,
    };
    Some((at, if text[at..].starts_with('-') { -minutes } else { minutes } * 60))
}

/// Microseconds since 1970-01-01 in UTC.
fn instant(text: &str) -> Option<i64> {
    let (at, seconds) = offset(text)?;
    let (day, clock) = text[..at].split_once(' ')?;
    let clock: Time = clock.parse().ok()?;
    let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
    Some(zone.to_timestamp(DateTime::from_parts(date(day)?, clock)).ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970_in_both_directions() {
        for (text, expected) in [
            ("1970/01/01", Some(0)),
            ("1969/12/31", Some(-1)),
            ("1950/02/28", Some(-7247)),
            ("2024/02/30", None),
            ("0000/00/00", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_with_an_offset_is_an_instant() {
        for (text, expected) in [
            ("1970/01/01 00:00:00+00", Some(0)),
            ("1970/01/01 05:00:00+05", Some(0)),
            ("1969/12/31 18:30:00-0530", Some(0)),
            ("1970/01/01 00:00:00.250+00", Some(250_000)),
            ("1970/01/01 00:00:00", None),
            ("2024/02/30 00:00:00+00", None),
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
    }
}
