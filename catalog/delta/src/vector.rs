//! Deletion vectors: which rows of a file a version does not have, inside the log entry itself.

use crate::action::DeletionVector;
use roaring::{RoaringBitmap, RoaringTreemap};
use ukimet_model::{Error, Result};

/// What the bytes of a vector begin with, little-endian.
const MAGIC: u32 = 1_681_511_377;
/// The digits of Z85, a base 85 (RFC 32 of `ZeroMQ`).
const DIGITS: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// A vector of these rows; a row that the file has not would be an error of whoever reads it.
pub(crate) fn deletion_vector(rows: &RoaringBitmap) -> Result<DeletionVector> {
    let map = RoaringTreemap::from_bitmaps([(0, rows.clone())]);
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    map.serialize_into(&mut bytes).map_err(|e| Error::internal("writing a deletion vector").caused_by(e))?;
    Ok(DeletionVector {
        storage_type: "i",
        path_or_inline_dv: z85(&bytes),
        size_in_bytes: bytes.len(),
        cardinality: rows.len(),
    })
}

/// Bytes as text, five digits for four bytes; the last four are filled up with zeros.
fn z85(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(4) * 5);
    for chunk in bytes.chunks(4) {
        let mut four = [0; 4];
        four[..chunk.len()].copy_from_slice(chunk);
        let number = u32::from_be_bytes(four);
        let digit = |power: u32| char::from(DIGITS[(number / 85_u32.pow(power) % 85) as usize]);
        text.extend((0..5).rev().map(digit));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z85_is_that_of_its_specification() {
        assert_eq!(z85(&[0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]), "HelloWorld");
        assert_eq!(z85(&[0x86, 0x4F, 0xD2, 0x6F, 0xB5]), format!("Hello{}", z85(&[0xB5, 0, 0, 0])));
    }

    #[test]
    fn a_vector_says_how_many_rows_and_bytes_it_has() {
        let rows: RoaringBitmap = [1, 2, 3].into_iter().collect();
        let vector = deletion_vector(&rows).expect("written");
        // Magic, number of maps, key of the map; cookie, containers, key and cardinality, offset, three rows.
        assert_eq!((vector.cardinality, vector.size_in_bytes), (3, 4 + 8 + 4 + 4 + 4 + 4 + 4 + 6));
        assert_eq!(vector.path_or_inline_dv.len(), vector.size_in_bytes.div_ceil(4) * 5);
    }
}
