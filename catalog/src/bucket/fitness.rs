//! Whether a bucket keeps what commits rely on, tried out before it is used: a key is given once, whoever asks, and
//! what was written is read and listed from then on.
//!
//! A store that lets two writers win loses commits in silence, so it is refused here and not found out later.

use super::Bucket;
use crate::disk::Listed;
use crate::paths;
use bytes::Bytes;
use std::io;
use std::sync::Barrier;
use ukimet_model::{Error, Result};

/// Writers of one key at the same time, and how often they race.
const WRITERS: usize = 6;
const RACES: usize = 4;

/// Tries a bucket out below a folder of its own, which is empty afterwards.
///
/// # Errors
///
/// `InvalidRequest` saying what was expected and what was found, if the bucket does not keep it; `Unavailable` if it
/// could not be asked.
pub(crate) fn check_fitness(bucket: &dyn Bucket, name: &str, random: u128) -> Result<()> {
    let trial = Trial { bucket, folder: format!("{}/{random:032x}", paths::TRIAL) };
    let found = trial.run();
    let cleaned = trial.clean();
    let asked = |e: io::Error| Error::unavailable(format!("trying out the store {name} failed")).caused_by(e);
    match found {
        Ok(()) => cleaned.map_err(asked),
        Err(Unfit::Found(found)) => {
            Err(Error::invalid_request(format!("the store {name} is not fit for commits: {found}")))
        }
        Err(Unfit::Unknown(e)) => Err(asked(e)),
    }
}

/// Why a bucket is not used.
enum Unfit {
    /// What was expected and what was found.
    Found(String),
    /// It could not be asked.
    Unknown(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Unknown(error)
    }
}

fn expected(holds: bool, expected: &str, found: impl FnOnce() -> String) -> Result<(), Unfit> {
    if holds { Ok(()) } else { Err(Unfit::Found(format!("expected {expected}, found {}", found()))) }
}

struct Trial<'a> {
    bucket: &'a dyn Bucket,
    folder: String,
}

impl Trial<'_> {
    fn run(&self) -> Result<(), Unfit> {
        self.a_key_is_given_once()?;
        (0..RACES).try_for_each(|race| self.one_of_several_wins(race))?;
        self.what_is_deleted_is_gone()
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Puts, and tells whether that made the object. A put whose answer was lost finds its own bytes.
    fn put(&self, key: &str, bytes: &'static [u8]) -> Result<bool, Unfit> {
        match self.bucket.put_if_absent(key, Bytes::from_static(bytes)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(self.bucket.get(key)? == bytes),
            Err(e) => Err(e.into()),
        }
    }

    fn a_key_is_given_once(&self) -> Result<(), Unfit> {
        const RULE: &str = "a put with If-None-Match: * to be refused where there is an object";
        let key = self.key("once");
        let absent = self.bucket.stat(&key)?;
        expected(absent.is_none(), "no object at a new key", || format!("{absent:?}"))?;
        expected(self.put(&key, b"first")?, "the first put to make the object", || "another object".to_owned())?;
        let is_put = self.put(&key, b"second")?;
        let held = self.bucket.get(&key)?;
        expected(!is_put && held == b"first".as_slice(), RULE, || {
            let which = if held == b"first".as_slice() { "was accepted" } else { "replaced the object" };
            format!("that it {which}: this store ignores the condition")
        })?;
        let range = self.bucket.get_range(&key, 1..3)?;
        expected(range == b"ir".as_slice(), "bytes 1 to 3 of an object to be two bytes", || format!("{range:?}"))?;
        let size = self.bucket.stat(&key)?.map(|stat| stat.size_bytes);
        expected(size == Some(5), "what was written to be there at once with 5 bytes", || format!("{size:?}"))?;
        let listed = self.bucket.list(&self.folder)?;
        let is_listed = listed.iter().any(|Listed { name, is_dir }| name == "once" && !is_dir);
        expected(is_listed, "what was written to be listed at once", || format!("{} other names", listed.len()))
    }

    fn one_of_several_wins(&self, race: usize) -> Result<(), Unfit> {
        const RULE: &str = "one of six writers at the same time to make the object";
        let (key, start) = (self.key(&format!("race-{race}")), Barrier::new(WRITERS));
        let texts: Vec<Bytes> = (0..WRITERS).map(|writer| Bytes::from(format!("writer {writer}"))).collect();
        let put = |text: &Bytes| {
            start.wait();
            self.bucket.put_if_absent(&key, text.clone())
        };
        let ended: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let writers: Vec<_> = texts.iter().map(|text| scope.spawn(|| put(text))).collect();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
                .collect()
        });
        let mut winners = Vec::new();
        for (ended, text) in ended.into_iter().zip(&texts) {
            match ended {
                Ok(()) => winners.push(text),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => (),
                Err(e) => return Err(e.into()),
            }
        }
        expected(winners.len() <= 1, RULE, || format!("that {} were told so", winners.len()))?;
        let held = self.bucket.get(&key)?;
        // The answer to the winner may have been lost.
        let is_winners = winners.first().map_or_else(|| texts.contains(&held), |winner| **winner == held);
        expected(is_winners, "the object to hold what its writer wrote", || format!("{} other bytes", held.len()))
    }

    fn what_is_deleted_is_gone(&self) -> Result<(), Unfit> {
        let key = self.key("once");
        self.bucket.delete(&key)?;
        let found = self.bucket.stat(&key)?;
        expected(found.is_none(), "a deleted object to be gone", || "that it is there".to_owned())
    }

    fn clean(&self) -> io::Result<()> {
        self.bucket.list(&self.folder)?.iter().try_for_each(|listed| self.bucket.delete(&self.key(&listed.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Flaw, MemoryBucket};
    use super::*;
    use ukimet_model::ErrorKind;

    #[test]
    fn a_bucket_that_keeps_its_promises_is_fit_and_empty_afterwards() {
        let bucket = MemoryBucket::default();
        check_fitness(&bucket, "s3://b", 7).expect("fit");
        assert_eq!(bucket.keys(), Vec::<String>::new());
    }

    #[test]
    fn each_way_of_being_unfit_is_named_and_nothing_stays() {
        let cases = [
            (Flaw::IgnoresCondition, "replaced the object"),
            (Flaw::AcceptsAndKeeps, "was accepted"),
            (Flaw::LetsRacersWin, "one of six writers"),
            (Flaw::ListsLate, "listed at once"),
        ];
        for (flaw, named) in cases {
            let bucket = MemoryBucket::with(flaw);
            let error = check_fitness(&bucket, "s3://b/p", 7).expect_err("unfit");
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{flaw:?}");
            assert!(error.message().contains("s3://b/p") && error.message().contains(named), "{flaw:?}: {error}");
            if flaw != Flaw::ListsLate {
                assert_eq!(bucket.keys(), Vec::<String>::new(), "{flaw:?}");
            }
        }
    }

    #[test]
    fn a_bucket_that_cannot_be_asked_is_not_called_unfit() {
        let bucket = MemoryBucket::default();
        bucket.cut_after(5);
        let error = check_fitness(&bucket, "s3://b", 7).expect_err("cut off");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}
