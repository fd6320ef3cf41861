//! Times before 1970 in a File Geodatabase: GDAL 3.6 rounds them towards 1970 and so reads them one second late.
//!
//! Its times have whole seconds there. The last second before 1970 cannot be told from the first one after it and stays.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowTimestampType, TimestampMicrosecondType, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use std::sync::Arc;

/// The driver that rounds so, and the versions of GDAL that were seen to.
const LATE: (&str, &str) = ("OpenFileGDB", "3.6.");

/// Sets times of these columns right that came a second late, and tells how many there were.
pub(crate) fn set_right(driver: &str, columns: &mut [ArrayRef]) -> u64 {
    if driver != LATE.0 || !super::version().starts_with(LATE.1) {
        return 0;
    }
    columns
        .iter_mut()
        .map(|column| {
            early::<TimestampMillisecondType>(column, 1_000) + early::<TimestampMicrosecondType>(column, 1_000_000)
        })
        .sum()
}

fn early<T: ArrowTimestampType>(column: &mut ArrayRef, second: i64) -> u64 {
    let Some(times) = column.as_primitive_opt::<T>() else { return 0 };
    let late = times.iter().flatten().filter(|time| *time < 0).count() as u64;
    let right: PrimitiveArray<T> = times.unary(|time| if time < 0 { time.saturating_sub(second) } else { time });
    *column = Arc::new(right.with_data_type(times.data_type().clone()));
    late
}
