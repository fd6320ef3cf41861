//! How the bytes of an object prove that they are the ones its key names.

use crate::paths;
use crate::raw::RAW_SEAL;
use sha2::{Digest, Sha256 as Hasher};
use ukimet_model::Sha256;

/// Bytes at the end of a raw object: the mark of a frame that decoders skip, and the hash of what is before it.
const RAW_SEAL_BYTES: usize = RAW_SEAL.len() + 32;

/// The hash in an object's key: of its own bytes, or, for a raw object, of what they decompress to.
pub(crate) fn named_hash(key: &str) -> Option<Sha256> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    name.split_once('.').map_or(name, |(hash, _)| hash).parse().ok()
}

/// Whether an object holds bytes as they were sent.
pub(crate) fn is_raw(key: &str) -> bool {
    key.strip_prefix(paths::RAW).is_some_and(|rest| rest.starts_with('/'))
}

/// Takes an object's bytes in order and tells at the end whether they are whole.
pub(crate) struct Proof {
    named: Option<Sha256>,
    is_raw: bool,
    hasher: Hasher,
    /// The last bytes so far of a raw object, which are not hashed yet.
    tail: Vec<u8>,
}

impl Proof {
    pub(crate) fn of(key: &str) -> Self {
        Self { named: named_hash(key), is_raw: is_raw(key), hasher: Hasher::new(), tail: Vec::new() }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if !self.is_raw {
            return self.hasher.update(bytes);
        }
        self.tail.extend_from_slice(bytes);
        let body = self.tail.len().saturating_sub(RAW_SEAL_BYTES);
        self.hasher.update(&self.tail[..body]);
        self.tail.drain(..body);
    }

    /// What is wrong with the bytes, if anything is.
    pub(crate) fn finish(self) -> Result<(), String> {
        let found = Sha256(self.hasher.finalize().into());
        match self.named {
            None => Err("its name is not a sha256".to_owned()),
            Some(_) if self.is_raw => match self.tail.strip_prefix(&RAW_SEAL) {
                Some(sealed) if *sealed == found.0 => Ok(()),
                Some(_) if self.tail.len() == RAW_SEAL_BYTES => {
                    Err("its bytes do not have the sha256 at its end".to_owned())
                }
                _ => Err("it does not end with its sha256".to_owned()),
            },
            Some(named) if named == found => Ok(()),
            Some(_) => Err(format!("its bytes have sha256 {}", found.short())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::sha256;

    fn prove(key: &str, bytes: &[u8], step: usize) -> Result<(), String> {
        let mut proof = Proof::of(key);
        bytes.chunks(step).for_each(|chunk| proof.update(chunk));
        proof.finish()
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found_however_the_bytes_come() {
        let body = b"some bytes as they were sent";
        let raw = [body.as_slice(), &RAW_SEAL, &sha256(body).0].concat();
        let named = format!("data/x/{}.parquet", sha256(body));
        let cases = [(format!("raw/{}", sha256(b"unpacked")), raw), (named, body.to_vec())];
        for (key, whole) in cases {
            for step in [1, 7, 1000] {
                assert_eq!(prove(&key, &whole, step), Ok(()), "{key}");
                for at in 0..whole.len() {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 4;
                    assert!(prove(&key, &flipped, step).is_err(), "{key} byte {at}");
                    assert!(prove(&key, &whole[..at], step).is_err(), "{key} cut at {at}");
                }
            }
        }
        assert!(prove("data/x/nothing.parquet", body, 9).is_err(), "a name without a hash proves nothing");
    }
}
