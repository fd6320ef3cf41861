//! What a node on a shared store lets go of when rows are erased, by whichever node: what it reads, what it holds in
//! memory, and its copies of objects.

use super::remove::{erasures, folder};
use crate::catalog::{Catalog, Shared};
use crate::erasure::{Erasure, Erasures};
use crate::log::{Change, Entry};
use crate::objects::Objects;
use crate::state::{Damage, Read, Record, StateSlot, View, each_record};
use crate::successor::segment_objects;
use std::collections::HashSet;
use ukimet_model::{Dataset, DatasetId, Result};

/// Ends who reads the datasets of whose rows some entries erase, and drops what is held of these.
///
/// The entries are applied: who begins to read now sees what took the place of the rows. Whoever began before may bring
/// copies back until it notices, so that nothing is confirmed before all of them have ended.
pub(crate) fn let_go_of_erased<'a>(shared: &Shared, entries: impl Iterator<Item = &'a Entry>) {
    let Some(node) = &shared.node else { return };
    for change in entries.flat_map(|entry| &entry.parts).flat_map(|part| &part.changes) {
        let Change::RowsErased { dataset: id, erasure } = change else { continue };
        node.note_erasure(erasure.snapshot.0);
        let dataset = shared.state.read(erasure.snapshot.0, |view| view.dataset(id));
        let dropped = dataset.and_then(|dataset| dataset.map_or(Ok(()), |dataset| let_go(shared, &dataset, erasure)));
        if let Err(error) = dropped {
            tracing::warn!(dataset = %id, %error, "copies of erased rows were not removed; they are tried again");
        }
    }
}

/// Ends who reads a dataset, and drops what is held of its objects and of others that an erasure names.
fn let_go(shared: &Shared, dataset: &Dataset, erasure: &Erasure) -> Result<()> {
    shared.segments.end_readers(&dataset.uuid);
    shared.segments.forget_dataset(&dataset.uuid);
    let replaced = erasure.replaced_segments().flat_map(|segment| segment_objects(&dataset.uuid, segment));
    let refusal = meanwhile(&dataset.id, erasure);
    replaced.chain(erasure.old_objects()).for_each(|key| shared.segments.refuse(&key, &refusal));
    forget_copies(&shared.objects, dataset, erasure)
}

/// What whoever reads rows is told that were erased while it did.
pub(super) fn meanwhile(id: &DatasetId, erasure: &Erasure) -> String {
    format!(
        "{} rows of dataset {id} were erased on {} (snapshot {}) meanwhile: ask again",
        erasure.rows, erasure.erased, erasure.snapshot
    )
}

/// All copies of a dataset's objects go: those that are still needed are fetched again.
fn forget_copies(objects: &Objects, dataset: &Dataset, erasure: &Erasure) -> Result<()> {
    let (own, named) = (folder(&dataset.uuid), erasure.old_objects().collect::<HashSet<String>>());
    objects.forget_copies(&|key| key.starts_with(&own) || named.contains(key))
}

/// Drops, before anything is read, the copies of what was erased while the node was away, and of all else that it has
/// not confirmed; answers the commit of the last erasure.
pub(crate) fn forget_erased(objects: &Objects, state: &StateSlot, confirmed: u64) -> Result<u64> {
    let erasures = state.read_pairs(erasures)?;
    for (dataset, erasure) in erasures.iter().filter(|(_, erasure)| erasure.snapshot.0 > confirmed) {
        forget_copies(objects, dataset, erasure)?;
    }
    Ok(erasures.iter().map(|(_, erasure)| erasure.snapshot.0).max().unwrap_or(0))
}

impl Catalog {
    /// Tells the other nodes on a shared store that this one is at work, and that it keeps nothing of rows that were erased,
    /// once nobody here reads or pushes any more who began before.
    ///
    /// `drop_others` is called with each dataset of an erasure that was not confirmed yet: it removes what the caller keeps
    /// beside the catalog, such as unfinished pushes. Whoever serves calls this now and then. It is cheap if there is
    /// nothing to confirm; over a directory it does nothing.
    ///
    /// # Errors
    ///
    /// What `drop_others` says, `Unavailable` if the store does not answer, `Internal` if copies cannot be removed: nothing
    /// is confirmed then.
    pub fn confirm_erasures(&self, drop_others: &dyn Fn(&DatasetId) -> Result<()>) -> Result<()> {
        let shared = self.shared();
        let Some(node) = &shared.node else { return Ok(()) };
        node.say_seen(&shared.objects, uuid::Uuid::new_v4().as_u128())?;
        let Some(confirmed) = node.unconfirmed_after() else { return Ok(()) };
        // Nobody holds an earlier state, and nobody can begin to.
        let reached = shared.readers.oldest();
        let erasures = shared.state.read_pairs(erasures)?;
        let is_due = |erasure: &Erasure| (confirmed + 1..=reached).contains(&erasure.snapshot.0);
        let mut last = None;
        for (dataset, erasure) in erasures.iter().filter(|(_, erasure)| is_due(erasure)) {
            drop_others(&dataset.id)?;
            let_go(shared, dataset, erasure)?;
            last = last.max(Some(erasure.snapshot.0));
        }
        let Some(last) = last else { return Ok(()) };
        let given_up = shared.claims.given_up();
        node.confirm(&shared.objects, last, &given_up)?;
        shared.claims.forget_given_up(&given_up);
        Ok(())
    }
}

/// The erasure that took an object from all pushes that named it, as bytes as sent; `None` if it is there, or went otherwise.
/// What went with a push is there for another that has the same: [`View::erasures_since`] tells of one push.
///
/// In a directory it is gone with the commit. In a shared store it goes later, and must not be read until then: only a
/// push that brought the same again, or one of another agency, still has it.
pub(crate) fn erased_object(objects: &Objects, state: &StateSlot, key: &str) -> Result<Option<Erasure>> {
    if !objects.is_shared() && objects.exists(key)? {
        return Ok(None);
    }
    let erasure = state.read_pairs(|pairs| View::new(pairs, u64::MAX).erasure_of(key))?;
    if erasure.is_some() && objects.is_shared() && state.read_pairs(|pairs| is_named(pairs, key))? {
        return Ok(None);
    }
    Ok(erasure)
}

/// Whether some push names an object, as erasures left it.
fn is_named(pairs: &dyn Read, key: &str) -> Result<bool, Damage> {
    let (mut erasures, mut is_named) = (Erasures::default(), false);
    each_record(pairs, &mut |_, record| {
        match record {
            Record::Erasure { dataset, erasure } => erasures.add(&dataset, &erasure),
            Record::Push(record) => {
                is_named = is_named || erasures.objects_of(&record).iter().any(|named| named == key);
            }
            _ => (),
        }
        Ok(())
    })?;
    Ok(is_named)
}
