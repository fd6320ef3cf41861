//! Certificates of adapters: that one passed the acceptance kit, signed by someone whom a hub's operator trusts.
//!
//! A certificate is bound to what the adapter says about itself in `Describe`, so that another version, another rule set
//! or another list of formats needs one of its own. It is JSON with an Ed25519 signature over its own canonical form.

use crate::{signing, v1};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hasher};
use ukimet_model::digest::Sha256;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Stands before the signed bytes, so that a signature for anything else is none for a certificate.
const DOMAIN: &[u8] = b"ukimet adapter certificate 1\n";

/// What an adapter is, as far as a certificate is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name.
    pub adapter: String,
    /// Its version.
    pub version: String,
    /// The version of its rules.
    pub rules_version: String,
    /// Hash over everything that `Describe` answered, libraries and formats among it.
    pub description_sha256: Sha256,
}

impl Subject {
    /// What an adapter says it is.
    pub fn of(described: &v1::DescribeResponse) -> Self {
        Self {
            adapter: described.name.clone(),
            version: described.version.clone(),
            rules_version: described.rules_version.clone(),
            description_sha256: description_sha256(described),
        }
    }
}

/// SHA-256 over the texts of a description, each behind its length, libraries in the order of their names.
fn description_sha256(described: &v1::DescribeResponse) -> Sha256 {
    let mut hasher = Hasher::new();
    let mut texts = |texts: &[&str]| {
        hasher.update((texts.len() as u64).to_le_bytes());
        for text in texts {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    };
    texts(&[&described.name, &described.version, &described.rules_version]);
    let mut libraries: Vec<_> = described.libraries.iter().collect();
    libraries.sort();
    for (name, version) in libraries {
        texts(&[name, version]);
    }
    for format in &described.formats {
        texts(&[&format.name]);
        texts(&format.media_types.iter().map(String::as_str).collect::<Vec<_>>());
        texts(&format.extensions.iter().map(String::as_str).collect::<Vec<_>>());
    }
    Sha256(hasher.finalize().into())
}

/// How many requirements came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// They hold.
    pub passed: u64,
    /// They do not apply to the adapter.
    pub skipped: u64,
    /// They are known not to hold.
    pub known_failures: u64,
}

/// That an adapter passed the acceptance kit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The adapter.
    pub subject: Subject,
    /// Hash of the adapter's program; `None` if the kit was not given it.
    pub program_sha256: Option<Sha256>,
    /// The kit's version.
    pub kit_version: String,
    /// The seed from which the run replays.
    pub seed: u64,
    /// What came out.
    pub counts: Counts,
    /// When it was signed, UTC.
    pub issued: Timestamp,
    /// From when it counts no more, UTC.
    pub expires: Timestamp,
}

/// A certificate as it is kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCertificate {
    /// What is signed.
    pub certificate: Certificate,
    /// The Ed25519 public key of who signed, 64 hex digits.
    pub authority: String,
    /// The signature, 128 hex digits.
    pub signature: String,
}

impl Certificate {
    /// Signs with a secret key of 32 bytes.
    pub fn sign(self, secret: &[u8; 32]) -> SignedCertificate {
        let signature = signing::sign(DOMAIN, &self.signed_bytes(), secret);
        SignedCertificate { certificate: self, authority: signing::public_key(secret), signature }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a certificate has string keys only")
    }

    /// Checks that it is this adapter's and in force.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming what the certificate says and what was found.
    pub fn check(&self, subject: &Subject, program_sha256: Option<Sha256>, now: Timestamp) -> Result<()> {
        let certified = &self.subject;
        let texts = [
            ("adapter", &certified.adapter, &subject.adapter),
            ("version", &certified.version, &subject.version),
            ("rules", &certified.rules_version, &subject.rules_version),
        ];
        if let Some((what, expected, found)) = texts.into_iter().find(|(_, expected, found)| expected != found) {
            return Err(refused(format!("it is for {what} {}, found {}", quoted(expected), quoted(found))));
        }
        if certified.description_sha256 != subject.description_sha256 {
            return Err(refused("the adapter's libraries or formats are others than those that were certified"));
        }
        match (self.program_sha256, program_sha256) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(refused(format!("it is for the program {}, found {}", expected.short(), found.short())));
            }
            _ => (),
        }
        if now < self.issued || now >= self.expires {
            return Err(refused(format!("it is in force from {} to {}, and it is {now}", self.issued, self.expires)));
        }
        Ok(())
    }
}

impl SignedCertificate {
    /// Reads a certificate's file. The signature is not looked at.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is none.
    pub fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|e| refused(format!("it does not read as one: {e}")))
    }

    /// The certificate, if this authority signed it.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if another authority did, or a byte was changed since.
    pub fn verify(&self, authority: &str) -> Result<&Certificate> {
        if !self.authority.eq_ignore_ascii_case(authority) {
            return Err(refused(format!("authority {} signed it, not {}", quoted(&self.authority), quoted(authority))));
        }
        let signed = self.certificate.signed_bytes();
        signing::check(DOMAIN, &signed, (authority, &self.signature)).map_err(|e| refused(e.message()))?;
        Ok(&self.certificate)
    }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::invalid_request(format!("the certificate does not count: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::public_key;

    const SECRET: [u8; 32] = [7; 32];

    fn described() -> v1::DescribeResponse {
        v1::DescribeResponse {
            name: "egov".to_owned(),
            version: "1.0.0".to_owned(),
            rules_version: "r1".to_owned(),
            libraries: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into(),
            formats: vec![v1::Format { name: "F".to_owned(), media_types: vec!["a/b".to_owned()], extensions: vec![] }],
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn certificate() -> Certificate {
        Certificate {
            subject: Subject::of(&described()),
            program_sha256: Some(Sha256([1; 32])),
            kit_version: "0.1.0".to_owned(),
            seed: 7,
            counts: Counts { passed: 30, skipped: 1, known_failures: 0 },
            issued: at("2026-01-01T00:00:00Z"),
            expires: at("2027-01-01T00:00:00Z"),
        }
    }

    #[test]
    fn a_certificate_survives_its_file_and_counts_for_its_authority_only() {
        let signed = certificate().sign(&SECRET);
        let json = serde_json::to_vec_pretty(&signed).expect("JSON");
        let read = SignedCertificate::parse(&json).expect("own text");
        assert_eq!(read.verify(&public_key(&SECRET)).expect("valid"), &certificate());
        assert!(read.verify(&public_key(&[8; 32])).expect_err("other").message().contains("signed it"));
    }

    #[test]
    fn a_changed_byte_of_a_certificate_is_found() {
        let json = serde_json::to_vec(&certificate().sign(&SECRET)).expect("JSON");
        let taken = (0..json.len()).filter(|i| {
            let mut changed = json.clone();
            changed[*i] ^= 1;
            SignedCertificate::parse(&changed).is_ok_and(|signed| signed.verify(&public_key(&SECRET)).is_ok())
        });
        assert_eq!(taken.collect::<Vec<_>>(), Vec::<usize>::new());
    }

    #[test]
    fn a_certificate_is_for_one_adapter_as_it_describes_itself() {
        let now = at("2026-06-01T00:00:00Z");
        let check = |change: fn(&mut v1::DescribeResponse), program, now| {
            let mut described = described();
            change(&mut described);
            certificate().check(&Subject::of(&described), program, now).map_err(|e| e.message().to_owned())
        };
        assert_eq!(check(|_| (), None, now), Ok(()));
        assert_eq!(check(|_| (), Some(Sha256([1; 32])), now), Ok(()));
        for (result, part) in [
            (check(|d| d.version = "1.0.1".to_owned(), None, now), "version"),
            (check(|d| d.rules_version = "r2".to_owned(), None, now), "rules"),
            (check(|d| d.name = "other".to_owned(), None, now), "adapter"),
            (check(|d| drop(d.libraries.insert("b".to_owned(), "3".to_owned())), None, now), "libraries"),
            (check(|d| d.formats.clear(), None, now), "formats"),
            (check(|_| (), Some(Sha256([2; 32])), now), "program"),
            (check(|_| (), None, at("2027-01-01T00:00:00Z")), "in force"),
            (check(|_| (), None, at("2025-12-31T23:59:59Z")), "in force"),
        ] {
            assert!(result.as_ref().is_err_and(|message| message.contains(part)), "{part}: {result:?}");
        }
    }
}
