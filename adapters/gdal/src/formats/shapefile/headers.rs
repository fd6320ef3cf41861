//! The headers of a Shapefile's parts: sizes and counts that must agree with each other and with the files.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use ukimet_model::{Error, Result};

/// Reads the first bytes of a file; its size.
fn head<const N: usize>(path: &Path, what: &str) -> Result<([u8; N], u64)> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut file = File::open(path).map_err(gone)?;
    let size_bytes = file.metadata().map_err(gone)?.len();
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)
        .map_err(|_| Error::data_loss(format!("the {what} has a header of {N} bytes, found {size_bytes} bytes")))?;
    Ok((bytes, size_bytes))
}

/// Checks the sizes that `.shp` and `.shx` declare; how many shapes the index has, if there is one.
///
/// # Errors
///
/// `DataLoss` if a file is shorter than it says.
pub(super) fn check_shapes(shp: &Path, shx: Option<&Path>) -> Result<Option<u64>> {
    check_declared_size(shp, ".shp")?;
    let Some(shx) = shx else { return Ok(None) };
    let size_bytes = check_declared_size(shx, ".shx")?;
    Ok(Some((size_bytes - 100) / 8))
}

/// A main or index file declares its size at byte 24, big-endian, in words of two bytes.
fn check_declared_size(path: &Path, what: &str) -> Result<u64> {
    let (head, size_bytes) = head::<100>(path, what)?;
    let declared = 2 * u64::from(u32::from_be_bytes([head[24], head[25], head[26], head[27]]));
    if declared > size_bytes {
        return Err(Error::data_loss(format!("the {what} declares {declared} bytes, found {size_bytes}")));
    }
    Ok(declared.max(100))
}

/// Checks that the `.dbf` has the rows that it declares, and as many as there are shapes.
///
/// # Errors
///
/// `InvalidData` if the header cannot be true, `DataLoss` if rows are missing or the counts differ.
pub(super) fn check_dbf(dbf: &Path, shapes: Option<u64>) -> Result<()> {
    let (head, size_bytes) = head::<32>(dbf, ".dbf")?;
    let rows = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    let header_bytes = u64::from(u16::from_le_bytes([head[8], head[9]]));
    let row_bytes = u64::from(u16::from_le_bytes([head[10], head[11]]));
    let declared = header_bytes + rows * row_bytes;
    if row_bytes == 0 || header_bytes < 33 || rows > i32::MAX as u64 / 2 || declared / 64 > size_bytes {
        return Err(Error::invalid_data(format!(
            "the .dbf declares {rows} rows of {row_bytes} bytes after {header_bytes}, beyond the limit of a file of {size_bytes} bytes"
        )));
    }
    if declared > size_bytes {
        return Err(Error::data_loss(format!(
            "the .dbf declares {rows} rows, which take {declared} bytes, found {size_bytes}"
        )));
    }
    match shapes {
        Some(shapes) if shapes != rows => {
            Err(Error::data_loss(format!("the .dbf has {rows} rows, the .shp has {shapes} shapes")))
        }
        _ => Ok(()),
    }
}

/// The language byte of a `.dbf`.
pub(super) fn language(dbf: &Path) -> Result<u8> {
    Ok(head::<32>(dbf, ".dbf")?.0[29])
}
