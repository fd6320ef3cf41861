//! JSON with its own hash at the end, so that a changed byte anywhere shows.
//!
//! A sealed object is the JSON object's text with one more member, `"sha256"`, last: the hash of the text without it.

use sha2::{Digest, Sha256 as Hasher};
use ukimet_model::{Error, Result, Sha256};

const BEFORE: &[u8] = b",\"sha256\":\"";
const AFTER: &[u8] = b"\"}\n";
const SEAL_BYTES: usize = BEFORE.len() + 64 + AFTER.len();

/// The hash of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(Hasher::digest(bytes).into())
}

/// Seals a JSON object's text and tells its hash.
pub(crate) fn seal(json: &[u8]) -> (Vec<u8>, Sha256) {
    let hash = sha256(json);
    let mut sealed = json.strip_suffix(b"}").unwrap_or(json).to_vec();
    sealed.extend_from_slice(BEFORE);
    sealed.extend_from_slice(hash.to_string().as_bytes());
    sealed.extend_from_slice(AFTER);
    (sealed, hash)
}

/// The JSON text without its seal, and its hash.
///
/// # Errors
///
/// `Internal` if the seal is missing or does not fit.
pub(crate) fn unseal(sealed: &[u8]) -> Result<(Vec<u8>, Sha256)> {
    let (text, seal) = sealed.split_at(sealed.len().saturating_sub(SEAL_BYTES));
    let mut json = text.to_vec();
    json.push(b'}');
    let hash = sha256(&json);
    let digits = seal.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
    match digits {
        None => Err(Error::internal("it does not end with its sha256")),
        Some(found) if found == hash.to_string().as_bytes() => Ok((json, hash)),
        Some(found) => Err(Error::internal(format!(
            "its bytes have sha256 {}, its seal says {}",
            hash.short(),
            String::from_utf8_lossy(&found[..12])
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_byte_breaks_the_seal() {
        let (sealed, hash) = seal(br#"{"a":1,"b":"x"}"#);
        assert_eq!(unseal(&sealed).expect("whole"), (br#"{"a":1,"b":"x"}"#.to_vec(), hash));
        assert!(serde_json::from_slice::<serde_json::Value>(&sealed).is_ok());
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                assert!(unseal(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert!(unseal(&sealed[..length]).is_err(), "{length} bytes");
        }
    }
}
