//! The door of the fuzz targets to the headers and cells that we read without GDAL.

use super::cells::DbfTable;
use super::headers::{check_dbf, check_shapes, language};
use arrow_array::new_null_array;
use arrow_schema::DataType;
use std::path::Path;
use ukimet_model::Result;

/// More columns than a header of 64 KiB has room for.
const COLUMNS_MAX: usize = 2_048;

/// Reads every cell of the columns of a `.dbf` that GDAL would change; how many rows have any.
///
/// # Errors
///
/// As the reader: `InvalidData` for a header that cannot be true, `DataLoss` for rows that are missing.
pub(crate) fn dbf_rows(dbf: &Path) -> Result<u64> {
    check_dbf(dbf, None)?;
    language(dbf)?;
    let table = DbfTable::look(dbf)?;
    let Some(mut rows) = table.corrected_rows()? else { return Ok(0) };
    let mut count = 0;
    loop {
        let mut columns = vec![new_null_array(&DataType::Null, 1); COLUMNS_MAX];
        if rows.corrected(&mut columns, 1).is_err() {
            return Ok(count);
        }
        assert!(columns.iter().all(|column| column.len() == 1));
        count += 1;
    }
}

/// Reads the sizes that a `.shp` declares.
///
/// # Errors
///
/// `DataLoss` if it is shorter.
pub(crate) fn shapes(shp: &Path) -> Result<Option<u64>> {
    check_shapes(shp, Some(shp))
}
