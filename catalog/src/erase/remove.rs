//! What goes after the commit of an erasure: files, whoever still reads them, and what other programs read beside them.
//!
//! When all is gone, a file beside the segments says so. Where it is missing, whoever opens the catalog does the rest.

use super::copies::meanwhile;
use crate::catalog::Shared;
use crate::collect::each_stored;
use crate::erasure::Erasure;
use crate::layout::Superseded;
use crate::needs::{KeySet, Needs};
use crate::objects::Objects;
use crate::paths;
use crate::state::{Damage, Read, Record, StateSlot, View, each_record};
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use ukimet_model::{Dataset, DatasetId, DatasetUuid, Error, Result};

/// How long pushes that hold a file have to end.
const HELD_MAX: Duration = Duration::from_secs(10);
const TRIED_EVERY: Duration = Duration::from_millis(50);
/// How often a folder beside the segments is emptied again into which others write.
const BESIDE_TRIES_MAX: usize = 20;
/// The folder beside the segments that says which erasures are finished.
pub(super) const FINISHED: &str = "_erasures";

/// Takes away what held erased rows, although somebody may still read it.
///
/// `claimed` is how many claims had been made when the commit was not there yet: whoever made them and builds on the
/// dataset is refused.
pub(super) fn remove_erased(shared: &Shared, id: &DatasetId, erasure: &Erasure, claimed: u64) -> Result<()> {
    let (dataset, _) = shared.snapshot().dataset(id)?;
    let refusal = meanwhile(id, erasure);
    // From here on nobody begins to read what goes, and who reads it stops.
    shared.segments.end_readers(&dataset.uuid);
    clean_beside(&shared.objects, &dataset.uuid)?;
    note_cleaned(shared, id);
    let begun = Instant::now();
    loop {
        let left = remove_unneeded(shared, &dataset, erasure, claimed, &refusal)?;
        if left == 0 {
            return finish(&shared.objects, &dataset.uuid, erasure);
        }
        if begun.elapsed() > HELD_MAX {
            let snapshot = erasure.snapshot;
            return Err(Error::unavailable(format!(
                "the rows are erased (snapshot {snapshot}), but pushes under way hold {left} files: collect garbage when they end"
            )));
        }
        std::thread::sleep(TRIED_EVERY);
    }
}

/// Removes once what nobody needs but readers; how many objects are left.
fn remove_unneeded(shared: &Shared, dataset: &Dataset, erasure: &Erasure, claimed: u64, refusal: &str) -> Result<u64> {
    let _only = shared.collecting.lock().unwrap_or_else(PoisonError::into_inner);
    let collection = shared.claims.begin_collection();
    let unneeded = unneeded(&shared.objects, &shared.state.read_pairs(needed_unread)?, &dataset.uuid, erasure)?;
    let folder = folder(&dataset.uuid);
    let mut left = 0;
    for key in unneeded {
        shared.segments.refuse(&key, refusal);
        // Pushes into other datasets may rely on bytes and receipts.
        let is_own = key.starts_with(&folder);
        let is_gone = if is_own { collection.delete_from_first(&key, claimed)? } else { collection.delete(&key)? };
        left += u64::from(!is_gone);
    }
    Ok(left)
}

pub(super) fn folder(dataset: &DatasetUuid) -> String {
    format!("{}/{dataset}/", paths::DATA)
}

/// The objects of the dataset, and others that an erasure names, that are there and not needed.
fn unneeded(objects: &Objects, needed: &KeySet, dataset: &DatasetUuid, erasure: &Erasure) -> Result<Vec<String>> {
    let (own, named) = (folder(dataset), erasure.old_objects().collect::<HashSet<String>>());
    let mut unneeded = Vec::new();
    each_stored(objects, &mut |key| {
        if (key.starts_with(&own) || named.contains(key)) && !needed.contains(key) {
            unneeded.push(key.to_owned());
        }
        Ok(())
    })?;
    Ok(unneeded)
}

/// What is needed if nobody reads what was removed or erased.
pub(crate) fn needed_unread(pairs: &dyn Read) -> Result<KeySet, Damage> {
    // What was superseded since is none of an erasure's: a collection removes it.
    let mut needs = Needs::new(u64::MAX, Superseded::ALL);
    each_record(pairs, &mut |_, record| {
        needs.add(&record);
        Ok(())
    })?;
    Ok(needs.finish())
}

/// Removes what other programs read beside the segments of a dataset: it is built anew from what is left.
pub(super) fn clean_beside(objects: &Objects, dataset: &DatasetUuid) -> Result<()> {
    let folder = format!("{}/{dataset}", paths::DATA);
    for name in objects.list(&folder)?.into_iter().filter(|name| paths::is_beside(name) && name != FINISHED) {
        let path = format!("{folder}/{name}");
        if objects.is_shared() {
            // There are no folders, hence no file in the place of one.
            objects.empty_dir(&path).and_then(|()| objects.sync_dir(&path))?;
        } else {
            empty_or_delete(objects, &path)?;
        }
    }
    Ok(())
}

/// Notes that whoever writes beside the segments of a dataset is to write all of it anew: it may have followed the commit
/// before its files were taken away.
pub(super) fn note_cleaned(shared: &Shared, id: &DatasetId) {
    shared.cleaned_beside.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
}

/// Empties a folder; a file is none of ours, and may hold anything.
fn empty_or_delete(objects: &Objects, path: &str) -> Result<()> {
    let mut tries_left = BESIDE_TRIES_MAX;
    while objects.empty_dir(path).is_err() {
        match objects.delete(path) {
            Ok(()) => return Ok(()),
            Err(error) if tries_left == 0 => return Err(error),
            // Somebody writes into the folder at this moment, or takes files out of it.
            Err(_) => std::thread::sleep(TRIED_EVERY),
        }
        tries_left -= 1;
    }
    objects.sync_dir(path)
}

/// Makes durable that everything is gone, and says so.
pub(super) fn finish(objects: &Objects, dataset: &DatasetUuid, erasure: &Erasure) -> Result<()> {
    for folder in [format!("{}/{dataset}", paths::DATA), paths::RAW.to_owned(), paths::RECEIPTS.to_owned()] {
        objects.sync_dir(&folder)?;
    }
    if let Err(error) = objects.put_beside(&finished(dataset, erasure), b"") {
        tracing::warn!(%error, "an erasure is finished, and will be looked at again when the catalog is opened");
    }
    Ok(())
}

fn finished(dataset: &DatasetUuid, erasure: &Erasure) -> String {
    format!("{}/{dataset}/{FINISHED}/{:020}", paths::DATA, erasure.snapshot.0)
}

/// Does for every erasure what a crash after its commit left undone, while nobody reads or pushes. On a shared store
/// somebody may: a collection does it there.
pub(crate) fn finish_erasures(objects: &Objects, state: &StateSlot) -> Result<()> {
    if objects.is_shared() {
        return Ok(());
    }
    let erasures = state.read_pairs(erasures)?;
    let unfinished = unfinished(objects, &erasures)?;
    if unfinished.is_empty() {
        return Ok(());
    }
    let needed = state.read_pairs(needed_unread)?;
    for (dataset, erasure) in unfinished {
        clean_beside(objects, &dataset.uuid)?;
        for key in unneeded(objects, &needed, &dataset.uuid, erasure)? {
            objects.delete(&key)?;
        }
        objects.ensure_dir(folder(&dataset.uuid).trim_end_matches('/'))?;
        finish(objects, &dataset.uuid, erasure)?;
    }
    Ok(())
}

/// Those erasures of which nobody has said that they are finished.
pub(crate) fn unfinished<'a>(
    objects: &Objects,
    erasures: &'a [(Dataset, Erasure)],
) -> Result<Vec<(&'a Dataset, &'a Erasure)>> {
    let mut finished = HashMap::new();
    for (dataset, _) in erasures {
        if !finished.contains_key(&dataset.id) {
            let folder = format!("{}{FINISHED}", folder(&dataset.uuid));
            finished.insert(&dataset.id, objects.list(&folder)?);
        }
    }
    let is_unfinished = |(dataset, erasure): &&(Dataset, Erasure)| {
        let name = format!("{:020}", erasure.snapshot.0);
        finished.get(&dataset.id).is_none_or(|names| names.binary_search(&name).is_err())
    };
    Ok(erasures.iter().filter(is_unfinished).map(|(dataset, erasure)| (dataset, erasure)).collect())
}

/// All erasures, each with its dataset.
pub(crate) fn erasures(pairs: &dyn Read) -> Result<Vec<(Dataset, Erasure)>, Damage> {
    let (mut erasures, mut from) = (Vec::new(), b"e/".to_vec());
    while let Some(pair) = pairs.page(&from, b"e0", 1)?.pop() {
        from = [pair.0.as_slice(), &[0]].concat();
        if let Record::Erasure { dataset, erasure } = Record::from_pair(&pair)? {
            let known = View::new(pairs, u64::MAX).dataset(&dataset)?;
            erasures.extend(known.map(|dataset| (dataset, *erasure)));
        }
    }
    Ok(erasures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_folder_into_which_others_write_is_emptied_and_a_file_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        let objects = Objects::new(Arc::new(RealDisk::new(dir.path())));
        let folder = dir.path().join("_log");
        fs::create_dir(&folder).expect("created");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let inner = folder.join("inner");
                    // Either may be taken away at any moment.
                    fs::create_dir_all(&inner).ok();
                    fs::write(inner.join("entry"), b"{}").ok();
                }
            });
            let emptied: Vec<_> = (0..200).map(|_| empty_or_delete(&objects, "_log")).collect();
            is_over.store(true, Ordering::SeqCst);
            for emptied in emptied {
                emptied.expect("emptied");
            }
        });
        empty_or_delete(&objects, "_log").expect("emptied");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
        fs::write(dir.path().join("_file"), b"anything").expect("written");
        empty_or_delete(&objects, "_file").expect("deleted");
        assert!(!dir.path().join("_file").exists());
    }
}
