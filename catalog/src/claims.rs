//! Which objects a transaction under way relies on, so that a failed one removes only what nobody else needs.

use crate::objects::Objects;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ukimet_model::Result;

/// All claims of the process.
#[derive(Clone)]
pub(crate) struct Claims {
    objects: Objects,
    held: Arc<Mutex<HashMap<String, Claim>>>,
}

struct Claim {
    holders: usize,
    is_committed: bool,
}

impl Claims {
    pub(crate) fn new(objects: Objects) -> Self {
        Self { objects, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Claim>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a key before the object is put. An object that nobody claims and that exists is a committed one.
    pub(crate) fn claim(&self, key: String) -> Result<ObjectClaim> {
        let mut held = self.held();
        if let Some(claim) = held.get_mut(&key) {
            claim.holders += 1;
        } else {
            let is_committed = self.objects.exists(&key)?;
            held.insert(key.clone(), Claim { holders: 1, is_committed });
        }
        drop(held);
        Ok(ObjectClaim { claims: self.clone(), key })
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
        self.claims.held().get(&self.key).is_some_and(|claim| claim.is_committed)
    }

    /// A commit names the object now, so it stays.
    pub(crate) fn commit(&self) {
        if let Some(claim) = self.claims.held().get_mut(&self.key) {
            claim.is_committed = true;
        }
    }
}

impl Drop for ObjectClaim {
    fn drop(&mut self) {
        let mut held = self.claims.held();
        let Some(claim) = held.get_mut(&self.key) else { return };
        claim.holders -= 1;
        if claim.holders > 0 {
            return;
        }
        let is_committed = claim.is_committed;
        held.remove(&self.key);
        // After an unknown write error the commit may exist on the disk: then the collector decides at the next open.
        if !is_committed && self.claims.objects.check_writable().is_ok() {
            self.claims.objects.delete(&self.key).ok();
        }
    }
}
