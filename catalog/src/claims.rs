//! Which objects a transaction under way relies on, so that a failed one removes only what nobody else needs, and a
//! collection removes nothing that a transaction found there.

use crate::objects::Objects;
use crate::segments::SegmentCache;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ukimet_model::Result;

/// All claims of the process.
#[derive(Clone)]
pub(crate) struct Claims {
    objects: Objects,
    /// Is told what goes.
    cache: Option<Arc<SegmentCache>>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    claims: HashMap<String, Claim>,
    /// How many claims were made so far.
    made: u64,
    /// On a shared store, the objects that transactions gave up since they were last asked for: they stay there.
    given_up: BTreeSet<String>,
    /// Every key that was claimed since the collection that runs began; `None` if none runs.
    since_collection: Option<HashSet<String>>,
}

struct Claim {
    holders: usize,
    is_committed: bool,
    /// Which of all claims the last on this object was.
    last: u64,
}

impl Claims {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, cache: None, held: Arc::default() }
    }

    /// The same claims, which tell a cache what is deleted.
    pub(crate) fn telling(self, cache: Arc<SegmentCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.objects.delete(key)?;
        self.cache.iter().for_each(|cache| cache.forget(key));
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a key before the object is put. An object that nobody claims and that exists is a committed one, or was:
    /// it stays either way.
    pub(crate) fn claim(&self, key: String) -> Result<ObjectClaim> {
        let mut held = self.held();
        held.made += 1;
        let last = held.made;
        if let Some(claim) = held.claims.get_mut(&key) {
            claim.holders += 1;
            claim.last = last;
        } else {
            // On a shared store it is others as well that may need the object: whoever writes it finds out.
            let is_committed = !self.objects.is_shared() && self.objects.exists(&key)?;
            held.given_up.remove(&key);
            held.claims.insert(key.clone(), Claim { holders: 1, is_committed, last });
        }
        if let Some(claimed) = &mut held.since_collection {
            claimed.insert(key.clone());
        }
        drop(held);
        Ok(ObjectClaim { claims: self.clone(), key })
    }

    /// Whether a transaction relies on the object now.
    pub(crate) fn is_claimed(&self, key: &str) -> bool {
        self.held().claims.contains_key(key)
    }

    /// The objects that transactions gave up and that may still be there.
    pub(crate) fn given_up(&self) -> BTreeSet<String> {
        self.held().given_up.clone()
    }

    /// Forgets objects that were given up: somebody else sees to them.
    pub(crate) fn forget_given_up(&self, keys: &BTreeSet<String>) {
        self.held().given_up.retain(|key| !keys.contains(key));
    }

    /// How many claims were made so far.
    pub(crate) fn made(&self) -> u64 {
        self.held().made
    }

    /// Begins a collection; at most one runs at a time.
    pub(crate) fn begin_collection(&self) -> Collection<'_> {
        let mut held = self.held();
        let claimed = held.claims.keys().cloned().collect();
        held.since_collection = Some(claimed);
        drop(held);
        Collection { claims: self }
    }
}

/// A collection that runs: what is claimed while it runs stays, even if the claim ends before the object's turn comes.
pub(crate) struct Collection<'a> {
    claims: &'a Claims,
}

impl Collection<'_> {
    /// Deletes an object, unless somebody claimed it since the collection began; whether it is gone.
    ///
    /// # Errors
    ///
    /// `Unavailable` after an unknown write error: a commit that names the object may then exist on the disk.
    pub(crate) fn delete(&self, key: &str) -> Result<bool> {
        let held = self.claims.held();
        if held.since_collection.as_ref().is_some_and(|claimed| claimed.contains(key)) {
            return Ok(false);
        }
        self.claims.objects.check_writable()?;
        self.claims.delete(key)?;
        drop(held);
        Ok(true)
    }
}

impl Collection<'_> {
    /// Deletes an object that transactions rely on, if all their claims were among the first `made`: whoever made them
    /// cannot commit any more. Whether it is gone.
    ///
    /// # Errors
    ///
    /// As [`Collection::delete`].
    pub(crate) fn delete_from_first(&self, key: &str, made: u64) -> Result<bool> {
        let mut held = self.claims.held();
        let was_claimed = held.since_collection.as_ref().is_some_and(|claimed| claimed.contains(key));
        match held.claims.get_mut(key) {
            Some(claim) if claim.last > made => return Ok(false),
            // Whoever lets go of it last finds it gone.
            Some(claim) => claim.is_committed = false,
            None if was_claimed => return Ok(false),
            None => (),
        }
        self.claims.objects.check_writable()?;
        self.claims.delete(key)?;
        drop(held);
        Ok(true)
    }
}

impl Drop for Collection<'_> {
    fn drop(&mut self) {
        self.claims.held().since_collection = None;
    }
}

/// One transaction's claim on one object: dropped uncommitted and last, it takes the object away.
pub(crate) struct ObjectClaim {
    claims: Claims,
    pub(crate) key: String,
}

impl ObjectClaim {
    /// Whether a commit names the object already.
    pub(crate) fn is_committed(&self) -> bool {
        self.claims.held().claims.get(&self.key).is_some_and(|claim| claim.is_committed)
    }

    /// Whether the object need not be written.
    pub(crate) fn is_there(&self) -> Result<bool> {
        if self.claims.objects.is_shared() { self.claims.objects.exists(&self.key) } else { Ok(self.is_committed()) }
    }

    /// Whether a reader finds the object. Between a commit and the moment when whoever made it learns of it, one that
    /// counts as uncommitted is there for all.
    pub(crate) fn can_be_read(&self) -> Result<bool> {
        if self.is_committed() { Ok(true) } else { self.claims.objects.exists(&self.key) }
    }

    /// A commit names the object now, so it stays.
    pub(crate) fn commit(&self) {
        if let Some(claim) = self.claims.held().claims.get_mut(&self.key) {
            claim.is_committed = true;
        }
    }
}

impl Drop for ObjectClaim {
    fn drop(&mut self) {
        let mut held = self.claims.held();
        let Some(claim) = held.claims.get_mut(&self.key) else { return };
        claim.holders -= 1;
        if claim.holders > 0 {
            return;
        }
        let is_committed = claim.is_committed;
        held.claims.remove(&self.key);
        if !is_committed && self.claims.objects.is_shared() {
            held.given_up.insert(self.key.clone());
        }
        // After an unknown write error the commit may exist on the disk: then the collector decides at the next open. On a
        // shared store another node may rely on the object by now: it always decides there.
        if !is_committed && !self.claims.objects.is_shared() && self.claims.objects.check_writable().is_ok() {
            self.claims.delete(&self.key).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::recording::RecordingDisk;

    fn put(objects: &Objects, key: &str) {
        objects.put_if_absent(key, b"bytes").expect("room");
    }

    #[test]
    fn a_collection_takes_nothing_that_was_claimed_while_it_ran() {
        let objects = Objects::new(Arc::new(RecordingDisk::with_scratch()));
        let claims = Claims::new(objects.clone());
        for key in ["raw/before", "raw/during", "raw/never", "raw/ended"] {
            put(&objects, key);
        }
        drop(claims.claim("raw/ended".to_owned()).expect("claimed"));
        let before = claims.claim("raw/before".to_owned()).expect("claimed");
        let collection = claims.begin_collection();
        drop(claims.claim("raw/during".to_owned()).expect("claimed"));
        drop(before);
        let deleted = |key: &str| collection.delete(key).expect("a whole disk");
        assert!(!deleted("raw/before") && !deleted("raw/during"));
        assert!(deleted("raw/never") && deleted("raw/ended"));
        drop(collection);
        assert!(claims.begin_collection().delete("raw/during").expect("a whole disk"), "the next one may");
    }

    #[test]
    fn an_erasure_takes_what_was_claimed_before_it_and_nothing_that_was_claimed_later() {
        let objects = Objects::new(Arc::new(RecordingDisk::with_scratch()));
        let claims = Claims::new(objects.clone());
        for key in ["data/before", "data/both", "data/later"] {
            put(&objects, key);
        }
        let claim = |key: &str| claims.claim(key.to_owned()).expect("claimed");
        let (_before, _both) = (claim("data/before"), claim("data/both"));
        let made = claims.made();
        let (_again, later) = (claim("data/both"), claim("data/later"));
        let collection = claims.begin_collection();
        let deleted = |key: &str| collection.delete_from_first(key, made).expect("a whole disk");
        assert!(deleted("data/before"));
        assert!(!deleted("data/both") && !deleted("data/later"));
        later.commit();
        drop(later);
        assert!(!deleted("data/later"), "it was claimed and let go since");
    }

    #[test]
    fn a_reader_finds_what_a_commit_named_before_the_writer_learns_of_it() {
        let objects = Objects::new(Arc::new(RecordingDisk::with_scratch()));
        let claims = Claims::new(objects.clone());
        let writer = claims.claim("data/a".to_owned()).expect("claimed");
        put(&objects, "data/a");
        let reader = claims.claim("data/a".to_owned()).expect("claimed");
        assert!(!reader.is_there().expect("asked"), "another writer cannot rely on it yet");
        assert!(reader.can_be_read().expect("asked"));
        writer.commit();
        drop((writer, reader));
        assert!(objects.exists("data/a").expect("asked"));
        let gone = claims.claim("data/b".to_owned()).expect("claimed");
        assert!(!gone.can_be_read().expect("asked"));
    }

    #[test]
    fn a_claim_on_what_a_collection_took_finds_it_gone() {
        let objects = Objects::new(Arc::new(RecordingDisk::with_scratch()));
        let claims = Claims::new(objects.clone());
        put(&objects, "raw/a");
        claims.begin_collection().delete("raw/a").expect("a whole disk");
        assert!(!claims.claim("raw/a".to_owned()).expect("claimed").is_committed(), "it has to be written again");
    }
}
