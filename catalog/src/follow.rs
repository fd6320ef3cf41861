//! What other nodes on the same store commit: read from the log and applied here.

use crate::catalog::{Catalog, Shared};
use crate::commit::{Turn, publish};
use crate::log::{self, Entry};
use std::sync::Arc;
use ukimet_model::{Result, Sha256};

/// Entries that are applied at once.
const ENTRIES_MAX: usize = 256;

impl Catalog {
    /// Whether other nodes may write to the same store.
    pub fn is_shared(&self) -> bool {
        self.shared.objects.is_shared()
    }

    /// Applies what other nodes have committed since, and tells how many commits that were. Blocks on the store.
    ///
    /// A catalog follows by itself before each commit and each push; between them, whoever serves reads calls this now
    /// and then. Over a directory it does nothing.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the store does not answer, `Internal` naming the object if a commit is damaged.
    pub fn follow(&self) -> Result<u64> {
        if !self.is_shared() {
            return Ok(0);
        }
        follow(&self.shared, &mut *self.shared.committer.turn(&self.shared)?)
    }
}

/// As [`Catalog::follow`], for whose turn it is.
pub(crate) fn follow(shared: &Arc<Shared>, turn: &mut Turn) -> Result<u64> {
    let mut followed = 0;
    while shared.objects.is_shared() {
        let entries = next_entries(shared)?;
        if entries.is_empty() {
            break;
        }
        publish(shared, turn, &entries)?;
        followed += entries.len() as u64;
    }
    Ok(followed)
}

/// The entries after what readers see, as many as are applied at once.
fn next_entries(shared: &Shared) -> Result<Vec<(Entry, Sha256)>> {
    // A state that was rebuilt meanwhile may be ahead of what readers see.
    let (watermark, shown) = (shared.state.watermark(), shared.readers.newest().sequence);
    let (mut entries, mut previous) = (Vec::new(), None);
    while entries.len() < ENTRIES_MAX {
        let sequence = shown + 1 + entries.len() as u64;
        let Some((entry, hash)) = log::read_if_there(&shared.objects, sequence)? else { break };
        if sequence == watermark.sequence + 1 {
            previous = Some(watermark.hash);
        }
        previous.map_or(Ok(()), |previous| log::check_builds_on(&entry, &previous))?;
        previous = Some(hash);
        entries.push((entry, hash));
    }
    Ok(entries)
}
