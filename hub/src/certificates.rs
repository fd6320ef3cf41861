//! Certificates that an operator asks of adapters: none that lacks one is used.

use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Clock, Error, Result, Sha256};
use ukimet_proto::certificate::{SignedCertificate, Subject};
use ukimet_proto::signing::check_public_key;
use ukimet_proto::v1::DescribeResponse;

/// How many files of the folder are looked at; more are not an operator's choice of adapters.
const FILES_MAX: usize = 1_000;
/// Bytes of one certificate.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The certificates of a folder and the authority that signs them.
pub struct Certificates {
    folder: PathBuf,
    authority: String,
    signed: Vec<(String, SignedCertificate)>,
    clock: Arc<dyn Clock>,
}

impl Certificates {
    /// Reads every `*.json` of a folder.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the file that is no certificate, or saying that the authority is no key.
    pub fn open(folder: &Path, authority: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        check_public_key(authority)?;
        let unusable = |path: &Path, e| {
            Error::invalid_request(format!("adapter-certificates: {} cannot be used", path.display())).caused_by(e)
        };
        let entries = std::fs::read_dir(folder).map_err(|e| unusable(folder, e))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        if paths.len() > FILES_MAX {
            return Err(Error::limit_reached(format!(
                "at most {FILES_MAX} certificates are read, found {}",
                paths.len()
            )));
        }
        let mut signed = Vec::new();
        for path in paths {
            let size_bytes = std::fs::metadata(&path).map_err(|e| unusable(&path, e))?.len();
            if size_bytes > FILE_BYTES_MAX {
                return Err(Error::limit_reached(format!(
                    "{} has {size_bytes} bytes, a certificate at most {FILE_BYTES_MAX}",
                    path.display()
                )));
            }
            let bytes = std::fs::read(&path).map_err(|e| unusable(&path, e))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            signed.push((name.clone(), SignedCertificate::parse(&bytes).map_err(|e| e.context(name))?));
        }
        Ok(Self { folder: folder.to_owned(), authority: authority.to_owned(), signed, clock })
    }

    /// Holds if a certificate of the authority is in force for an adapter as it describes itself.
    ///
    /// `program_sha256` is its program if the hub starts it; of one that is reached by address the hub does not see it.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the adapter and why each certificate of its name does not count.
    pub fn check(&self, described: &DescribeResponse, program_sha256: Option<Sha256>) -> Result<()> {
        let (subject, now) = (Subject::of(described), self.clock.now());
        let mut reasons = Vec::new();
        for (file, signed) in &self.signed {
            match self.check_one(signed, &subject, program_sha256, now) {
                Ok(()) => return Ok(()),
                Err(error) if signed.certificate.subject.adapter == subject.adapter => {
                    reasons.push(format!("{file}: {}", error.message()));
                }
                Err(_) => (),
            }
        }
        let why = if reasons.is_empty() { "there is none of its name".to_owned() } else { reasons.join("; ") };
        Err(Error::invalid_request(format!(
            "adapter {} {} has no certificate that counts in {}: {why}; certify it with ukimet-conformance adapter --certificate, \
             or leave --adapter-certificates out",
            quoted(&subject.adapter),
            quoted(&subject.version),
            self.folder.display()
        )))
    }

    fn check_one(
        &self,
        signed: &SignedCertificate,
        subject: &Subject,
        program_sha256: Option<Sha256>,
        now: Timestamp,
    ) -> Result<()> {
        signed.verify(&self.authority)?.check(subject, program_sha256, now)
    }
}
