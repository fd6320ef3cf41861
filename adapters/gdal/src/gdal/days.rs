//! Days of date columns, feature by feature.
//!
//! GDAL 3.6 gives every day before 1970 one day late in the Arrow streams that it makes of features, which is all but
//! those of GeoPackage and FlatGeobuf, and makes the 1st of March of the 30th of February. So where a layer has dates,
//! they are read again as GDAL shows them, and only days of the calendar are taken.

use super::{OgrSource, lost};
use crate::gdal::Raised;
use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{Array, ArrayRef, Date32Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use gdal::vector::{Feature, OwnedFeatureIterator};
use jiff::civil::Date;
use std::sync::Arc;
use ukimet_model::{Diagnostic, Error, Result};

/// Drivers whose own Arrow stream has the days right.
const RIGHT: [&str; 2] = ["GPKG", "FlatGeobuf"];

/// Reads the dates of one layer a second time, in step with its Arrow stream.
pub(crate) struct Days {
    features: OwnedFeatureIterator,
    /// Positions of the date columns, which are those of the fields.
    columns: Vec<usize>,
    impossible: Vec<String>,
    impossible_count: u64,
}

impl Days {
    /// A second look at a layer that needs one; `open` opens the file again.
    pub(crate) fn of(
        driver: &str,
        schema: &Schema,
        layer: usize,
        open: impl FnOnce() -> Result<OgrSource>,
    ) -> Result<Option<Self>> {
        let is_date = |i: &usize| schema.field(*i).data_type() == &DataType::Date32;
        let columns: Vec<usize> = (0..schema.fields().len()).filter(is_date).collect();
        if columns.is_empty() || RIGHT.contains(&driver) {
            return Ok(None);
        }
        let unreadable = |error| Error::internal("the dates of a layer could not be read").caused_by(error);
        let layer = open()?.dataset.into_layer(layer).map_err(unreadable)?;
        Ok(Some(Self { features: layer.owned_features(), columns, impossible: Vec::new(), impossible_count: 0 }))
    }

    /// The next rows with their days as the source has them; days that are none become null and are counted.
    ///
    /// # Errors
    ///
    /// `DataLoss` if the second look ends before the first.
    pub(crate) fn corrected(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut days: Vec<Vec<Option<i32>>> = vec![Vec::with_capacity(rows.num_rows()); self.columns.len()];
        for row in 0..rows.num_rows() {
            let mut features = &mut self.features;
            let feature = features.next().ok_or_else(|| lost(row as u64, &Raised::default()))?;
            for (days, column) in days.iter_mut().zip(&self.columns) {
                let is_given = rows.column(*column).is_valid(row);
                let text = if is_given { text(&feature, *column) } else { None };
                let day = text.as_deref().and_then(day);
                if let (Some(text), None) = (text, day) {
                    self.impossible_count += 1;
                    if self.impossible.len() < Diagnostic::EXAMPLES_MAX {
                        self.impossible.push(text);
                    }
                }
                days.push(day);
            }
        }
        let mut columns = rows.columns().to_vec();
        for (days, column) in days.into_iter().zip(&self.columns) {
            debug_assert_eq!(rows.column(*column).as_primitive::<Date32Type>().len(), days.len());
            columns[*column] = Arc::new(Date32Array::from(days)) as ArrayRef;
        }
        RecordBatch::try_new(rows.schema(), columns)
            .map_err(|error| Error::internal("dates do not fit their columns").caused_by(error))
    }

    /// How many days were none, and some of them, given away.
    pub(crate) fn take_impossible(&mut self) -> (u64, Vec<String>) {
        (std::mem::take(&mut self.impossible_count), std::mem::take(&mut self.impossible))
    }
}

/// A date as GDAL shows it, `YYYY/MM/DD`.
fn text(feature: &Feature<'_>, field: usize) -> Option<String> {
    feature.field_as_string(field).ok().flatten().filter(|text| !text.is_empty())
}

/// Days since 1970-01-01.
fn day(text: &str) -> Option<i32> {
    let mut parts = text.split('/');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let date = Date::new(year, month, day).ok().filter(|_| parts.next().is_none())?;
    Some(date.since(Date::constant(1970, 1, 1)).ok()?.get_days())
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
}
