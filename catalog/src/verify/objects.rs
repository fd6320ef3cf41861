//! The objects that live records name.

use super::truth::count_object;
use super::{Finding, Run};
use crate::collect::each_stored;
use crate::contents::{Proof, is_raw, named_hash};
use crate::named::Named;
use crate::objects::{Object, Objects, is_out_of_reach};
use sha2::{Digest, Sha256 as Hasher};
use std::io::{self, Read};
use ukimet_model::{Error, ErrorKind, Result, Sha256};

impl Run<'_> {
    /// Checks every object that is named and counts the others.
    pub(super) fn check_objects(&mut self, named: &Named) -> Result<()> {
        for (key, dependents) in named {
            let reason = self.check_object(key)?;
            if let Some(reason) = reason {
                let dependents = dependents.iter().map(ToString::to_string).collect();
                self.report.findings.push(Finding { object: key.clone(), reason, dependents });
            }
        }
        self.report.unreferenced = 0;
        each_stored(self.store, &mut |key| {
            self.report.unreferenced += u64::from(!named.contains_key(key));
            Ok(())
        })
    }

    /// Checks an object and tells what is wrong with it.
    fn check_object(&mut self, key: &str) -> Result<Option<String>> {
        count_object(self.store, key, &mut self.report);
        self.check_answered()?;
        let object = match self.store.open(key) {
            Ok(object) => object,
            // A store that does not answer is not damaged.
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(error) => {
                self.advance(0);
                return Ok(Some(error.to_string()));
            }
        };
        let size_bytes = object.size_bytes();
        if self.journal.is_whole(key, size_bytes) {
            self.report.resumed += 1;
            self.advance(size_bytes);
            return Ok(None);
        }
        let checked = check_bytes(key, &object)?;
        self.journal.note(key, size_bytes, checked.clone())?;
        self.advance(size_bytes);
        Ok(checked.err().map(|reason| format!("object {key} is damaged: {reason}")))
    }
}

/// What is wrong with an object's bytes, if anything is.
///
/// # Errors
///
/// `Unavailable` if they could not be fetched.
fn check_bytes(key: &str, object: &Object) -> Result<Result<(), String>> {
    match prove_bytes(key, object) {
        Ok(proven) => Ok(proven),
        Err(e) if is_out_of_reach(&e) => Err(Error::unavailable(format!("reading {key} failed")).caused_by(e)),
        Err(e) => Ok(Err(e.to_string())),
    }
}

fn prove_bytes(key: &str, object: &Object) -> io::Result<Result<(), String>> {
    let mut proof = Proof::of(key);
    copy(object.reader(0), |bytes| proof.update(bytes))?;
    let proven = proof.finish();
    if proven.is_err() || !is_raw(key) {
        return Ok(proven);
    }
    let mut hasher = Hasher::new();
    copy(zstd::Decoder::new(object.reader(0))?, |bytes| hasher.update(bytes))?;
    if named_hash(key) == Some(Sha256(hasher.finalize().into())) {
        return Ok(Ok(()));
    }
    Ok(Err("what it decompresses to is not what was pushed".to_owned()))
}

fn copy(mut from: impl Read, mut to: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to(&buffer[..count]),
        }
    }
}

/// The size of an object; 0 if it cannot be opened.
pub(super) fn size_of(store: &Objects, key: &str) -> u64 {
    store.open(key).map_or(0, |object| object.size_bytes())
}
