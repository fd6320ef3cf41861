//! The types that the GTFS reference gives to fields. What is not named here is text: identifiers, times, colors.

use arrow_array::builder::{Date32Builder, Float64Builder, Int32Builder};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use jiff::civil::Date;
use std::sync::Arc;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything, as it is written.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A service day, `YYYYMMDD`.
    Date,
}

const DATES: &[&str] = &["date", "start_date", "end_date", "feed_start_date", "feed_end_date"];

const NUMBERS: &[&str] = &[
    "stop_lat",
    "stop_lon",
    "shape_pt_lat",
    "shape_pt_lon",
    "shape_dist_traveled",
    "length",
    "max_slope",
    "min_width",
    "level_index",
];

const INTEGERS: &[&str] = &[
    "location_type",
    "wheelchair_boarding",
    "stop_access",
    "route_type",
    "route_sort_order",
    "continuous_pickup",
    "continuous_drop_off",
    "direction_id",
    "wheelchair_accessible",
    "bikes_allowed",
    "cars_allowed",
    "stop_sequence",
    "pickup_type",
    "drop_off_type",
    "timepoint",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "exception_type",
    "shape_pt_sequence",
    "headway_secs",
    "exact_times",
    "transfer_type",
    "min_transfer_time",
    "pathway_mode",
    "is_bidirectional",
    "traversal_time",
    "stair_count",
    "payment_method",
    "transfers",
    "transfer_duration",
    "booking_type",
    "is_producer",
    "is_operator",
    "is_authority",
];

impl Kind {
    /// The kind of a field by its name.
    pub(super) fn of(field: &str) -> Self {
        if DATES.contains(&field) {
            Self::Date
        } else if NUMBERS.contains(&field) {
            Self::Number
        } else if INTEGERS.contains(&field) {
            Self::Integer
        } else {
            Self::Text
        }
    }

    /// Whether a cell is one of this kind, or empty.
    pub(super) fn fits(self, cell: &str) -> bool {
        let cell = cell.trim();
        cell.is_empty()
            || match self {
                Self::Text => true,
                Self::Integer => integer(cell).is_some(),
                Self::Number => number(cell).is_some(),
                Self::Date => day(cell).is_some(),
            }
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int32,
            Self::Number => DataType::Float64,
            Self::Date => DataType::Date32,
        }
    }

    /// A column of cells that all fit; empty ones are null, but text is as it is.
    pub(super) fn column(self, column: &StringArray) -> ArrayRef {
        let cells = column.iter().map(|cell| cell.map(str::trim).filter(|cell| !cell.is_empty()));
        match self {
            Self::Text => Arc::new(column.clone()),
            Self::Integer => {
                let mut column = Int32Builder::new();
                cells.for_each(|cell| column.append_option(cell.and_then(integer)));
                Arc::new(column.finish())
            }
            Self::Number => {
                let mut column = Float64Builder::new();
                cells.for_each(|cell| column.append_option(cell.and_then(number)));
                Arc::new(column.finish())
            }
            Self::Date => {
                let mut column = Date32Builder::new();
                cells.for_each(|cell| column.append_option(cell.and_then(day)));
                Arc::new(column.finish())
            }
        }
    }
}

/// A whole number as numbers are written: `007` is a code.
pub(super) fn integer(cell: &str) -> Option<i32> {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let is_plain = digits == "0" || digits.starts_with(|c: char| c.is_ascii_digit() && c != '0');
    is_plain.then(|| cell.parse().ok()).flatten()
}

/// A finite decimal number.
pub(super) fn number(cell: &str) -> Option<f64> {
    let is_plain = cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_plain.then(|| cell.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// Days since 1970-01-01 of `YYYYMMDD`.
fn day(cell: &str) -> Option<i32> {
    if cell.len() != 8 || !cell.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let date = Date::new(cell[..4].parse().ok()?, cell[4..6].parse().ok()?, cell[6..].parse().ok()?).ok()?;
    Some(date.since(Date::constant(1970, 1, 1)).ok()?.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_fit_their_kind_or_not() {
        for (kind, fits, misfits) in [
            (Kind::Integer, &["0", "-1", "17", "", " 3 "][..], &["007", "1.5", "x", "9999999999"][..]),
            (Kind::Number, &["0.5", "-71", "1e3"], &["1,5", "NaN", "inf"]),
            (Kind::Date, &["20240229", "19691231"], &["20230229", "2024-01-01", "2024011"]),
            (Kind::Text, &["25:10:00", "007"], &[]),
        ] {
            assert!(fits.iter().all(|cell| kind.fits(cell)), "{kind:?}");
            assert!(!misfits.iter().any(|cell| kind.fits(cell)), "{kind:?}");
        }
        assert_eq!((day("19700102"), day("19691231")), (Some(1), Some(-1)));
    }
}
