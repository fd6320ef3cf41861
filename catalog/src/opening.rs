//! Opening a store: what is true is read, what is a projection is caught up or built anew.

use crate::backup::Marks;
use crate::checkpoint;
use crate::collecting::Condemned;
use crate::commit::Turn;
use crate::erase::{finish_erasures, forget_erased};
use crate::format;
use crate::index::text::{Reached, TextIndex};
use crate::log;
use crate::node::Node;
use crate::objects::Objects;
use crate::options::CatalogOptions;
use crate::paths;
use crate::snapshot::Published;
use crate::state::{KeyValue, MemoryState, Read, StateSlot, Watermark, pairs_of, watermark_pair};
use crate::store::SledState;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ukimet_model::{Error, Result, Sha256, SnapshotId};

/// Where the projections live.
pub(crate) enum Projections {
    /// In a directory of the machine.
    OnDisk(PathBuf),
    /// The state in memory, no text index.
    #[cfg(test)]
    InMemory,
}

/// What was found and done when a catalog was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningReport {
    /// The newest commit.
    pub snapshot: SnapshotId,
    /// How many datasets there are.
    pub datasets: u64,
    /// What became of the state projection.
    pub state: ProjectionOpening,
    /// What became of the text index.
    pub text: ProjectionOpening,
}

/// What became of a projection when the catalog was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectionOpening {
    /// It was at the newest commit.
    Current,
    /// It was behind by this many commits, which were applied.
    CaughtUp(u64),
    /// It was built anew, for this reason.
    Rebuilt(String),
    /// It could not be built, for this reason; reads go on without it.
    Missing(String),
}

/// A store that is ready.
pub(crate) struct Opened {
    pub(crate) state: StateSlot,
    pub(crate) turn: Turn,
    pub(crate) published: Published,
    pub(crate) report: OpeningReport,
    /// Hash of the catalog's identity.
    pub(crate) identity: Sha256,
    /// Who this is among the nodes on a shared store.
    pub(crate) node: Option<Node>,
}

/// Opens a store for the node of a name, if it is a shared one.
pub(crate) fn open_parts(
    objects: &Objects,
    projections: Projections,
    options: &CatalogOptions,
    node: Option<String>,
) -> Result<Opened> {
    let identity = prepare(objects)?;
    // Before anything else is read: whoever erases rows later waits for this node, too.
    let node = node.map(|name| Node::join(objects, name)).transpose()?;
    let truth = Truth::read(objects, identity)?;
    let (state, state_opening) = match &projections {
        Projections::OnDisk(dir) => open_state(&truth, &dir.join("sled"), options)?,
        #[cfg(test)]
        Projections::InMemory => {
            let (state, watermark) = truth.rebuild(&|| Ok(Arc::new(MemoryState::default())))?;
            ((state, watermark), ProjectionOpening::Rebuilt("it is in memory".to_owned()))
        }
    };
    let (state, watermark) = state;
    let rebuilding = objects.clone();
    let rebuild = Box::new(move || {
        let truth = Truth::read(&rebuilding, identity)?;
        truth.rebuild(&|| Ok(Arc::new(MemoryState::default())))
    });
    let state = StateSlot::new(state, watermark.clone(), rebuild);
    finish_erasures(objects, &state)?;
    if let Some(node) = &node {
        node.note_erasure(forget_erased(objects, &state, node.confirmed())?);
    }
    let (text, snapshot, text_opening) = match projections {
        Projections::OnDisk(dir) => {
            let mut text = TextIndex::new(&dir.join("text"), options.text_writer_bytes);
            let (snapshot, opening) = open_text(&mut text, &truth, &state, &watermark);
            (Some(text), snapshot, opening)
        }
        #[cfg(test)]
        Projections::InMemory => (None, None, ProjectionOpening::Missing("it is left out".to_owned())),
    };
    let report = OpeningReport {
        snapshot: SnapshotId(watermark.sequence),
        datasets: watermark.datasets,
        state: state_opening,
        text: text_opening,
    };
    let turn = Turn { text, checkpointed: truth.checkpointed(), is_closed: false, condemned: Condemned::default() };
    let published = Published { sequence: watermark.sequence, datasets: watermark.datasets, text: snapshot };
    Ok(Opened { state, turn, published, report, identity, node })
}

/// The state as of a commit, in memory.
///
/// # Errors
///
/// `Internal` naming the object if the log is damaged.
pub(crate) fn state_at(objects: &Objects, identity: Sha256, sequence: u64) -> Result<Arc<dyn KeyValue>> {
    let mut checkpoints = checkpoint::list(objects)?;
    checkpoints.retain(|(checkpointed, _)| *checkpointed <= sequence);
    let truth = Truth { objects, identity, last: sequence, checkpoints };
    truth.rebuild(&|| Ok(Arc::new(MemoryState::default()))).map(|(state, _)| state)
}

/// Makes the directories and, in a new store, the identity; empties the scratch directory.
fn prepare(objects: &Objects) -> Result<Sha256> {
    if let Some(unfinished) = Marks::read(objects)?.unfinished() {
        return Err(Error::invalid_request(unfinished.to_string()));
    }
    if !objects.exists(paths::FORMAT)? {
        if !objects.list(paths::LOG)?.iter().all(|name| paths::log_sequence(name).is_none()) {
            return Err(Error::internal(format!("object {} is missing, but there are commits", paths::FORMAT)));
        }
        paths::DIRECTORIES.iter().try_for_each(|dir| objects.ensure_dir(dir))?;
        objects.empty_dir(paths::SCRATCH)?;
        return format::write_identity(objects, uuid::Uuid::new_v4().as_u128());
    }
    let identity = format::read_identity(objects)?;
    paths::DIRECTORIES.iter().try_for_each(|dir| objects.ensure_dir(dir))?;
    objects.empty_dir(paths::SCRATCH)?;
    Ok(identity)
}

/// The log, and the checkpoints that shorten it.
struct Truth<'a> {
    objects: &'a Objects,
    identity: Sha256,
    last: u64,
    checkpoints: Vec<(u64, Sha256)>,
}

impl<'a> Truth<'a> {
    fn read(objects: &'a Objects, identity: Sha256) -> Result<Self> {
        // A commit that a crash left visible but not durable becomes durable before anyone sees it.
        objects.sync_dir(paths::LOG)?;
        // Checkpoints first: another node may write one of a commit that is made meanwhile.
        let checkpoints = checkpoint::list(objects)?;
        let last = log::last_sequence(objects)?;
        match checkpoints.last() {
            Some((sequence, _)) if *sequence > last => Err(Error::internal(format!(
                "the log ends at commit {last}, but there is a checkpoint of commit {sequence}: the end of the log is missing"
            ))),
            _ => Ok(Self { objects, identity, last, checkpoints }),
        }
    }

    /// The hash of a commit; of the identity for 0, none past the last.
    fn hash_at(&self, sequence: u64) -> Result<Option<Sha256>> {
        match sequence {
            0 => Ok(Some(self.identity)),
            _ if sequence > self.last => Ok(None),
            _ => log::read(self.objects, sequence).map(|(_, hash)| Some(hash)),
        }
    }

    /// Whether a projection that is at this commit is one of this log.
    fn is_ours(&self, sequence: u64, hash: &Sha256) -> Result<bool> {
        Ok(self.hash_at(sequence)?.as_ref() == Some(hash))
    }

    /// Applies the commits that a state lacks.
    fn catch_up(&self, state: &dyn KeyValue, watermark: Watermark) -> Result<Watermark> {
        let mut reached = watermark;
        let (after, hash) = (reached.sequence, reached.hash);
        log::replay(self.objects, after, hash, self.last, |entry, hash| {
            let (pairs, next) = pairs_of(entry, hash, as_read(state), &reached)?;
            state.write(&pairs)?;
            reached = next;
            Ok(())
        })?;
        Ok(reached)
    }

    /// Builds a state from the newest checkpoint that is whole, or from the first commit.
    fn rebuild(&self, make: &dyn Fn() -> Result<Arc<dyn KeyValue>>) -> Result<(Arc<dyn KeyValue>, Watermark)> {
        for (sequence, hash) in self.checkpoints.iter().rev() {
            let state = make()?;
            let loaded = checkpoint::load(self.objects, *sequence, hash, &*state);
            match loaded {
                Ok(watermark) if self.is_ours(watermark.sequence, &watermark.hash)? => {
                    let watermark = self.catch_up(&*state, watermark)?;
                    return Ok((state, watermark));
                }
                Ok(_) => tracing::warn!(sequence, "a checkpoint is of another log and is skipped"),
                Err(error) => tracing::warn!(%error, "a checkpoint is damaged and is skipped"),
            }
        }
        let (state, empty) = (make()?, Watermark::empty(self.identity));
        state.write(&[watermark_pair(&empty)])?;
        let watermark = self.catch_up(&*state, empty)?;
        Ok((state, watermark))
    }

    /// The commit of the newest checkpoint.
    fn checkpointed(&self) -> u64 {
        self.checkpoints.last().map_or(0, |(sequence, _)| *sequence)
    }
}

pub(crate) fn as_read(state: &dyn KeyValue) -> &dyn Read {
    state
}

type StateAndWatermark = (Arc<dyn KeyValue>, Watermark);

/// Opens the state on disk; whatever is wrong with it, it is built anew.
fn open_state(
    truth: &Truth<'_>,
    dir: &Path,
    options: &CatalogOptions,
) -> Result<(StateAndWatermark, ProjectionOpening)> {
    let reason =
        match SledState::open(dir, options.state_cache_bytes).and_then(|state| Ok((state.check_or_trust()?, state))) {
            Ok((Some(watermark), state)) => {
                if truth.is_ours(watermark.sequence, &watermark.hash)? {
                    let behind = truth.last - watermark.sequence;
                    let watermark = truth.catch_up(&state, watermark)?;
                    let opening =
                        if behind == 0 { ProjectionOpening::Current } else { ProjectionOpening::CaughtUp(behind) };
                    return Ok(((Arc::new(state), watermark), opening));
                }
                format!("it is at commit {}, which is not one of the log", watermark.sequence)
            }
            Ok((None, _)) => "it is empty".to_owned(),
            Err(damage) => damage.to_string(),
        };
    let make = || -> Result<Arc<dyn KeyValue>> {
        remove_dir(dir)?;
        let state = SledState::open(dir, options.state_cache_bytes)?;
        state.check()?;
        Ok(Arc::new(state))
    };
    let rebuilt = truth.rebuild(&make).or_else(|error| {
        // A disk that cannot hold the projection must not keep the truth from being read.
        tracing::error!(%error, "the state projection could not be built on disk and is held in memory");
        truth.rebuild(&|| Ok(Arc::new(MemoryState::default())))
    })?;
    Ok((rebuilt, ProjectionOpening::Rebuilt(reason)))
}

fn remove_dir(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::unavailable("removing a damaged projection failed").caused_by(e))
        }
        _ => Ok(()),
    }
}

fn open_text(
    text: &mut TextIndex,
    truth: &Truth<'_>,
    state: &StateSlot,
    watermark: &Watermark,
) -> (Option<crate::index::text::TextSnapshot>, ProjectionOpening) {
    let caught_up = text.open().and_then(|reached| {
        let changed = changed_since(truth, &reached)?;
        let behind = watermark.sequence - reached.sequence;
        if behind == 0 {
            return Ok((text.snapshot(), ProjectionOpening::Current));
        }
        let snapshot = text.update(state, watermark, &changed)?;
        Ok((Some(snapshot), ProjectionOpening::CaughtUp(behind)))
    });
    caught_up.unwrap_or_else(|reason| match text.rebuild(state, watermark) {
        Ok(snapshot) => (Some(snapshot), ProjectionOpening::Rebuilt(reason)),
        Err(reason) => (None, ProjectionOpening::Missing(reason)),
    })
}

/// The datasets that changed after the commit that an index shows.
fn changed_since(truth: &Truth<'_>, reached: &Reached) -> Result<BTreeSet<ukimet_model::DatasetId>, String> {
    if !truth.is_ours(reached.sequence, &reached.hash).map_err(|e| e.to_string())? {
        return Err(format!("it is at commit {}, which is not one of the log", reached.sequence));
    }
    let mut changed = BTreeSet::new();
    let walked = log::replay(truth.objects, reached.sequence, reached.hash, truth.last, |entry, _| {
        changed.extend(entry.datasets().cloned());
        Ok(())
    });
    walked.map(|_| changed).map_err(|e| e.to_string())
}
