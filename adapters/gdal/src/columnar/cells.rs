//! The cells of a geometry column: damaged ones, and those that name a reference system of their own.

use crate::source::Tallies;
use arrow_array::builder::BinaryBuilder;
use arrow_array::{Array, ArrayRef, BinaryArray, cast::AsArray};
use std::sync::Arc;
use ukimet_model::wkb::{self, WkbError};
use ukimet_model::{Crs, Error, Result, Severity};

/// The number of the reference system in an EWKB; `None` if it has none, or zero.
pub(crate) fn srid(wkb: &[u8]) -> Option<u32> {
    const HAS_SRID: u32 = 0x2000_0000;
    let number = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = wkb.get(at..at + 4)?.try_into().ok()?;
        Some(if wkb[0] == 0 { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    number(1).filter(|kind| kind & HAS_SRID != 0).and_then(|_| number(5)).filter(|srid| *srid != 0)
}

/// Looks at the geometries of one column, batch by batch.
#[derive(Default)]
pub(crate) struct GeometryCells {
    row: u64,
    pub(crate) tallies: Tallies,
}

impl GeometryCells {
    /// The column with null where the bytes are no geometry.
    ///
    /// # Errors
    ///
    /// `InvalidData` if a geometry names another reference system than the layer has, or others before it.
    pub(crate) fn checked(&mut self, column: &ArrayRef, crs: Option<&Crs>, is_declared: bool) -> Result<ArrayRef> {
        let cells: &BinaryArray = column.as_binary();
        let mut damaged = Vec::new();
        for (i, bytes) in cells.iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            if !is_declared {
                check_srid(bytes, crs, self.row + i as u64)?;
            }
            match wkb::inspect(bytes) {
                Ok(_) => (),
                Err(WkbError::UnknownType { .. }) if bytes.len() >= 5 => (),
                Err(why) => {
                    damaged.push(i);
                    let message = "geometries that cannot be read became null";
                    let found = format!("{why}: {} bytes", bytes.len());
                    let (rule, row) = ("read.geometry_unreadable", Some(self.row + i as u64));
                    self.tallies.add(rule, Severity::Warning, message, row, None, &found, Some("null"));
                }
            }
        }
        self.row += cells.len() as u64;
        if damaged.is_empty() {
            return Ok(Arc::clone(column));
        }
        let mut builder = BinaryBuilder::new();
        for (i, bytes) in cells.iter().enumerate() {
            builder.append_option(bytes.filter(|_| damaged.binary_search(&i).is_err()));
        }
        Ok(Arc::new(builder.finish()))
    }
}

fn check_srid(bytes: &[u8], crs: Option<&Crs>, row: u64) -> Result<()> {
    let Some(srid) = srid(bytes) else { return Ok(()) };
    let code = crs.and_then(|crs| crs.code.as_ref());
    // People count from 1.
    let row = row + 1;
    match (crs, code) {
        (None, _) => Err(Error::invalid_data(format!(
            "row {row} has SRID {srid}, but rows before have none: declare the crs or send them apart"
        ))),
        (_, Some(code)) if code.code == srid.to_string() || (code.code == "CRS84" && srid == 4326) => Ok(()),
        (Some(crs), _) => Err(Error::invalid_data(format!("row {row} has SRID {srid}, but the layer has {crs}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ewkb(srid: u32) -> Vec<u8> {
        [&[1, 1, 0, 0, 0x20][..], &srid.to_le_bytes(), &76.0_f64.to_le_bytes(), &43.0_f64.to_le_bytes()].concat()
    }

    #[test]
    fn a_geometry_tells_its_reference_system() {
        assert_eq!((srid(&ewkb(4326)), srid(&ewkb(0)), srid(&ewkb(4326)[5..])), (Some(4326), None, None));
    }

    #[test]
    fn damaged_cells_are_null_and_told_and_other_systems_refused() {
        let crs = Crs::crs84();
        let good = ewkb(4326);
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([&good[..], &good[..12], b""]));
        let mut cells = GeometryCells::default();
        let checked = cells.checked(&column, Some(&crs), false).expect("one system");
        assert_eq!(checked.null_count(), 2);
        let told = cells.tallies.diagnostics();
        assert_eq!((told[0].count, told[0].examples[0].row), (2, Some(1)));
        let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([&ewkb(32643)[..]]));
        let error = cells.checked(&column, Some(&crs), false).expect_err("another");
        assert!(error.message().contains("row 4 has SRID 32643"), "{error}");
    }
}
