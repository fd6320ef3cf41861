//! Ed25519 signatures and their keys, as hex digits.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Signs bytes for one purpose: the domain stands before them, so that a signature for anything else is none for this.
/// Answers with 128 hex digits.
pub fn sign(domain: &[u8], bytes: &[u8], secret: &[u8; 32]) -> String {
    hex::encode(SigningKey::from_bytes(secret).sign(&[domain, bytes].concat()).to_bytes())
}

/// Checks that the owner of a public key signed these bytes for this purpose.
///
/// # Errors
///
/// `InvalidRequest` if key or signature are none, or a byte was changed since.
pub fn check(domain: &[u8], bytes: &[u8], (public_key, signature): (&str, &str)) -> Result<()> {
    let key = verifying_key(public_key)?;
    let signature: [u8; 64] = bytes_of_hex(signature)
        .ok_or_else(|| Error::invalid_request(format!("a signature is 128 hex digits, found {}", quoted(signature))))?;
    key.verify_strict(&[domain, bytes].concat(), &Signature::from_bytes(&signature)).map_err(|_| {
        Error::invalid_request("its signature does not fit what it says: it was changed since it was signed")
    })
}

/// The public key of a secret one, 64 hex digits.
pub fn public_key(secret: &[u8; 32]) -> String {
    hex::encode(SigningKey::from_bytes(secret).verifying_key().to_bytes())
}

/// Checks that a text is a public key.
///
/// # Errors
///
/// `InvalidRequest` if it is none.
pub fn check_public_key(text: &str) -> Result<()> {
    verifying_key(text).map(|_| ())
}

fn verifying_key(text: &str) -> Result<VerifyingKey> {
    bytes_of_hex(text).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(|| {
        Error::invalid_request(format!("an Ed25519 public key is 64 hex digits, found {}", quoted(text)))
    })
}

/// Makes a secret key in a file that only its owner may read. Answers with the public one.
///
/// # Errors
///
/// `InvalidRequest` if the file is there already or cannot be written.
pub fn make_key(path: &Path) -> Result<String> {
    let mut secret = [0; 32];
    let source = Path::new("/dev/urandom");
    File::open(source).and_then(|mut file| file.read_exact(&mut secret)).map_err(|e| unusable(source, e))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path).map_err(|e| unusable(path, e))?;
    writeln!(file, "{}", hex::encode(secret)).and_then(|()| file.sync_all()).map_err(|e| unusable(path, e))?;
    Ok(public_key(&secret))
}

/// The secret key of a file.
///
/// # Errors
///
/// `InvalidRequest` if it holds none; its text is not repeated.
pub fn read_key(path: &Path) -> Result<[u8; 32]> {
    let text = std::fs::read_to_string(path).map_err(|e| unusable(path, e))?;
    bytes_of_hex(text.trim()).ok_or_else(|| {
        Error::invalid_request(format!("a secret key is 64 hex digits, found something else in {}", path.display()))
    })
}

fn unusable(path: &Path, error: io::Error) -> Error {
    Error::invalid_request(format!("cannot use {}", path.display())).caused_by(error)
}

fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    #[test]
    fn keys_are_hex_and_nothing_else() {
        assert!(check_public_key("zz").is_err() && check_public_key(&"f".repeat(66)).is_err());
        check_public_key(&public_key(&SECRET)).expect("a key");
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.key");
        let public = make_key(&path).expect("made");
        assert_eq!(public_key(&read_key(&path).expect("read")), public);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(make_key(&path).is_err(), "it stays");
        std::fs::write(&path, "no key").expect("written");
        let error = read_key(&path).expect_err("no key");
        assert!(error.message().contains("64 hex digits") && !error.message().contains("no key"), "{error}");
    }

    #[test]
    fn a_signature_counts_for_its_key_its_purpose_and_its_bytes() {
        let (key, signature) = (public_key(&SECRET), sign(b"purpose", b"bytes", &SECRET));
        check(b"purpose", b"bytes", (&key, &signature)).expect("as signed");
        for (domain, bytes, key) in [
            (&b"other"[..], &b"bytes"[..], key.clone()),
            (b"purpose", b"byte", key.clone()),
            (b"purpose", b"bytes", public_key(&[8; 32])),
        ] {
            assert!(check(domain, bytes, (&key, &signature)).is_err(), "{domain:?} {bytes:?}");
        }
        assert!(check(b"purpose", b"bytes", (&key, "00")).expect_err("cut").message().contains("128 hex digits"));
    }
}
