//! The frames of a PBF. GDAL takes the file as ended wherever the next length is cut, and passes over unknown packing.

use crate::protobuf::{Fields, Value};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use ukimet_model::{Error, Result};

/// What the format allows for the header of a blob and for a blob.
const HEADER_BYTES_MAX: u32 = 64 << 10;
const BLOB_BYTES_MAX: u64 = 32 << 20;

/// Checks that every blob has its declared size and that nothing is left at the end.
///
/// # Errors
///
/// `DataLoss` for a cut file or a broken frame, `InvalidData` for sizes that the format does not allow.
pub(crate) fn check_blobs(path: &Path) -> Result<()> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let file = File::open(path).map_err(gone)?;
    let size_bytes = file.metadata().map_err(gone)?.len();
    let mut reader = BufReader::new(file);
    let mut at = 0;
    while at < size_bytes {
        let cut = || Error::data_loss(format!("the OSM PBF is cut: the block at byte {at} is not whole"));
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(|_| cut())?;
        let length = u32::from_be_bytes(length);
        if length > HEADER_BYTES_MAX {
            return Err(too_large("header", u64::from(length), u64::from(HEADER_BYTES_MAX)));
        }
        let mut header = vec![0; length as usize];
        reader.read_exact(&mut header).map_err(|_| cut())?;
        let blob = blob_bytes(&header)?;
        if blob > BLOB_BYTES_MAX {
            return Err(too_large("data", blob, BLOB_BYTES_MAX));
        }
        let next = at + 4 + u64::from(length) + blob;
        if next > size_bytes {
            return Err(cut());
        }
        let mut content = vec![0; blob as usize];
        reader.read_exact(&mut content).map_err(|_| cut())?;
        check_packing(&content)?;
        at = next;
    }
    Ok(())
}

fn too_large(what: &str, found: u64, max: u64) -> Error {
    Error::invalid_data(format!("the {what} of an OSM PBF block has at most {max} bytes, found {found}"))
}

/// Content is plain or packed by zlib; GDAL passes over every other packing without a word.
fn check_packing(blob: &[u8]) -> Result<()> {
    for field in Fields::of(blob) {
        let packing = match field?.0 {
            4 => "LZMA",
            5 => "bzip2",
            6 => "LZ4",
            7 => "Zstandard",
            _ => continue,
        };
        return Err(Error::invalid_data(format!("an OSM PBF packed by zlib was expected, found {packing}")));
    }
    Ok(())
}

/// The declared size of the blob after a header: its field 3.
fn blob_bytes(header: &[u8]) -> Result<u64> {
    for field in Fields::of(header) {
        if let (3, Value::Number(size)) = field? {
            return Ok(size);
        }
    }
    Err(Error::data_loss("an OSM PBF block declares no size"))
}
