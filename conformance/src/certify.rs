//! Certificates: made after a run in which everything held, and looked at again.

use crate::report::{Report, Status};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256 as Hasher};
use std::path::Path;
use ukimet_model::digest::Sha256;
use ukimet_model::{Error, Result};
use ukimet_proto::certificate::{Certificate, Counts, SignedCertificate, Subject};
use ukimet_proto::v1::DescribeResponse;

/// What a certificate says beside the run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The adapter's program if it is to be bound to it.
    pub program_sha256: Option<Sha256>,
    /// From when.
    pub issued: Timestamp,
    /// For how many days.
    pub valid_days: u32,
}

/// Signs that an adapter passed.
///
/// `described` is what it said before the run and `described_after` what it said behind it: a certificate for an adapter
/// that became another in between would be for neither.
///
/// # Errors
///
/// `InvalidRequest` if something did not hold, or the adapter changed.
pub fn certify(
    report: &Report,
    described: &DescribeResponse,
    described_after: &DescribeResponse,
    terms: &Terms,
    secret: &[u8; 32],
) -> Result<SignedCertificate> {
    if !report.is_success() {
        return Err(Error::invalid_request(
            "a certificate is for an adapter of which everything holds, and this run failed",
        ));
    }
    if described != described_after {
        return Err(Error::invalid_request("the adapter describes itself otherwise than before the run"));
    }
    let life = SignedDuration::from_hours(24 * i64::from(terms.valid_days));
    let expires = terms
        .issued
        .checked_add(life)
        .map_err(|e| Error::invalid_request("a validity of that many days").caused_by(e))?;
    let counts = Counts {
        passed: report.count(|s| *s == Status::Passed) as u64,
        skipped: report.count(|s| matches!(s, Status::Skipped(_))) as u64,
        known_failures: report.count(|s| matches!(s, Status::KnownFailure(_))) as u64,
    };
    let certificate = Certificate {
        subject: Subject::of(described),
        program_sha256: terms.program_sha256,
        kit_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: report.seed,
        counts,
        issued: terms.issued,
        expires,
    };
    Ok(certificate.sign(secret))
}

/// The digest of a file.
///
/// # Errors
///
/// `InvalidRequest` if it cannot be read.
pub fn file_sha256(path: &Path) -> Result<Sha256> {
    let bytes = std::fs::read(path).map_err(|e| unusable(path, e))?;
    Ok(Sha256(Hasher::digest(bytes).into()))
}

/// Writes a certificate as JSON.
///
/// # Errors
///
/// `InvalidRequest` if the file cannot be written.
pub fn write(signed: &SignedCertificate, path: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(signed).expect("a certificate has string keys only");
    std::fs::write(path, json + "\n").map_err(|e| unusable(path, e))
}

/// The certificate of a file, if this authority signed it and it is in force at `now`.
///
/// # Errors
///
/// `InvalidRequest` saying why it does not count.
pub fn verify(path: &Path, authority: &str, now: Timestamp) -> Result<Certificate> {
    let signed = SignedCertificate::parse(&std::fs::read(path).map_err(|e| unusable(path, e))?)?;
    let certificate = signed.verify(authority)?;
    certificate.check(&certificate.subject, None, now)?;
    Ok(certificate.clone())
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid_request(format!("{} cannot be used", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::report::Finding;
    use std::time::Duration;

    fn report(passed: bool) -> Report {
        let verdict = if passed { Ok(()) } else { Err(Failure::Broken("no".to_owned())) };
        let findings = vec![
            Finding::new("read", "a", Ok(()), None, Duration::ZERO),
            Finding::new("read", "b", verdict, None, Duration::ZERO),
        ];
        Report { target: "t".to_owned(), seed: 3, findings }
    }

    fn terms() -> Terms {
        let issued = "2026-01-01T00:00:00Z".parse().expect("a time");
        Terms { program_sha256: None, issued, valid_days: 30 }
    }

    #[test]
    fn only_a_run_in_which_everything_holds_is_certified() {
        let described = DescribeResponse { name: "a".to_owned(), ..DescribeResponse::default() };
        let signed = certify(&report(true), &described, &described, &terms(), &[1; 32]).expect("certified");
        assert_eq!((signed.certificate.counts.passed, signed.certificate.seed), (2, 3));
        assert_eq!(signed.certificate.expires.to_string(), "2026-01-31T00:00:00Z");
        assert!(certify(&report(false), &described, &described, &terms(), &[1; 32]).is_err());
        let other = DescribeResponse::default();
        assert!(certify(&report(true), &described, &other, &terms(), &[1; 32]).is_err());
    }
}
