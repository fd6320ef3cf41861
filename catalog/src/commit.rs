//! The commit itself: proposals that arrive together become one log entry, each judged on its own.

use crate::catalog::Shared;
use crate::checkpoint;
use crate::collecting::Condemned;
use crate::compaction::{LayoutProposal, draft_layout};
use crate::erase::{PreparedErasure, draft_erasure, let_go_of_erased};
use crate::follow::follow;
use crate::index::text::TextIndex;
use crate::invariants;
use crate::log::{self, Appended, Change, Entry, Part, Requirement};
use crate::operation::{OperationIntent, draft_operation};
use crate::push::{PushIntent, PushRecord};
use crate::snapshot::{Published, Snapshot};
use crate::state::{Read, Staged, View, Watermark, records_of};
use crate::transaction::PreparedLayer;
use jiff::Timestamp;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use ukimet_model::{
    Dataset, DatasetId, Error, ErrorKind, LayerOutcome, MappingChange, OperationOutcome, PushOutcome, PushStatus,
    Result, Sha256, SnapshotId, Version, VersionNumber,
};

/// How often an entry is drafted again because another node was first.
const ATTEMPTS_MAX: usize = 64;

/// What a transaction asks to become true.
pub(crate) struct Proposal {
    pub(crate) push: PushIntent,
    pub(crate) layers: Vec<Arc<PreparedLayer>>,
}

/// What is asked to become true, by a push or without one.
pub(crate) enum Asked {
    Push(Box<Proposal>),
    Operation(OperationIntent),
    Erasure(Arc<PreparedErasure>),
    Layout(Arc<LayoutProposal>),
}

impl From<Proposal> for Asked {
    fn from(proposal: Proposal) -> Self {
        Self::Push(Box::new(proposal))
    }
}

impl From<Arc<PreparedErasure>> for Asked {
    fn from(prepared: Arc<PreparedErasure>) -> Self {
        Self::Erasure(prepared)
    }
}

impl From<OperationIntent> for Asked {
    fn from(intent: OperationIntent) -> Self {
        Self::Operation(intent)
    }
}

impl From<Arc<LayoutProposal>> for Asked {
    fn from(proposal: Arc<LayoutProposal>) -> Self {
        Self::Layout(proposal)
    }
}

/// What was recorded of a push or of an operation.
#[derive(Clone)]
pub(crate) enum Outcome {
    Push(Box<PushOutcome>),
    Operation(Box<OperationOutcome>),
    /// A layout, by this commit.
    Layout(SnapshotId),
}

impl Outcome {
    pub(crate) fn snapshot(&self) -> SnapshotId {
        match self {
            Self::Push(outcome) => outcome.snapshot,
            Self::Operation(outcome) => outcome.snapshot,
            Self::Layout(snapshot) => *snapshot,
        }
    }

    /// The outcome of a push: `Internal` for an operation's.
    pub(crate) fn of_push(self) -> Result<PushOutcome> {
        match self {
            Self::Push(outcome) => Ok(*outcome),
            Self::Operation(_) | Self::Layout(_) => Err(Error::internal("a push was answered as an operation")),
        }
    }

    /// The outcome of an operation: `Internal` for a push's.
    pub(crate) fn of_operation(self) -> Result<OperationOutcome> {
        match self {
            Self::Operation(outcome) => Ok(*outcome),
            Self::Push(_) | Self::Layout(_) => Err(Error::internal("an operation was answered as a push")),
        }
    }
}

/// How a request ended.
#[derive(Clone)]
pub(crate) enum Answer {
    /// It is committed.
    Recorded(Outcome, Snapshot),
    /// An equal one was committed before, with this outcome.
    Replayed(Outcome, Snapshot),
    /// A dataset has another newest version than the one that was prepared for: prepare again.
    Moved,
}

/// Something asked for that waits for its turn, and its answer.
pub(crate) struct Request {
    asked: Asked,
    answer: Mutex<Option<Result<Answer>>>,
}

impl Request {
    fn answer(&self, answer: Result<Answer>) {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
    }

    fn is_answered(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<Result<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Commits one group at a time.
pub(crate) struct Committer {
    waiting: Mutex<VecDeque<Arc<Request>>>,
    turn: Mutex<Turn>,
}

/// What only the thread whose turn it is touches.
pub(crate) struct Turn {
    pub(crate) text: Option<TextIndex>,
    pub(crate) checkpointed: u64,
    pub(crate) is_closed: bool,
    /// What other nodes are about to remove.
    pub(crate) condemned: Condemned,
}

/// A drafted part of an entry.
struct Draft {
    request: Arc<Request>,
    outcome: Outcome,
    is_replay: bool,
}

impl Committer {
    pub(crate) fn new(turn: Turn) -> Self {
        Self { waiting: Mutex::default(), turn: Mutex::new(turn) }
    }

    /// Commits what is asked for, together with others that wait. Blocks until it is durable and visible.
    pub(crate) fn commit(&self, shared: &Arc<Shared>, asked: impl Into<Asked>) -> Result<Answer> {
        let request = Arc::new(Request { asked: asked.into(), answer: Mutex::default() });
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(Arc::clone(&request));
        loop {
            let mut turn = self.turn(shared)?;
            if let Some(answer) = request.take() {
                return answer;
            }
            let group = self.next_group(shared.options.group_commits_max);
            if let Err(error) = commit_group(shared, &mut turn, &group) {
                for request in &group {
                    request.answer(Err(Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }

    /// The turn. A thread that panicked in its turn may have left a commit half applied, so nothing follows it.
    pub(crate) fn turn(&self, shared: &Shared) -> Result<std::sync::MutexGuard<'_, Turn>> {
        self.turn.lock().map_err(|_| {
            shared.objects.stop("a commit failed halfway".to_owned());
            Error::unavailable(
                "the catalog takes no more commits until it is opened again, because a commit failed halfway",
            )
        })
    }

    fn next_group(&self, commits_max: usize) -> Vec<Arc<Request>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(commits_max.max(1));
        waiting.drain(..count).collect()
    }
}

fn commit_group(shared: &Arc<Shared>, turn: &mut Turn, group: &[Arc<Request>]) -> Result<()> {
    shared.objects.check_writable()?;
    if turn.is_closed {
        return Err(Error::unavailable("the catalog is closed"));
    }
    for _ in 0..ATTEMPTS_MAX {
        follow(shared, turn)?;
        turn.condemned.look(&shared.objects)?;
        read_ahead(shared, group)?;
        let before = shared.state.watermark();
        let condemned = &turn.condemned;
        let drafted = shared.state.read_pairs(|pairs| Ok(draft_entry(shared, group, pairs, &before, condemned)))?;
        let (entry, drafts, answers) = drafted?;
        if !drafts.is_empty() {
            // Whoever collects waits only for commits that looked in time.
            if shared.objects.is_shared() && !turn.condemned.is_recent(shared.options.sharing.settling / 3) {
                continue;
            }
            match log::append(&shared.objects, &entry)? {
                Appended::Committed(hash) => {
                    publish(shared, turn, &[(entry, hash)])?;
                    checkpoint_if_due(shared, turn);
                }
                Appended::Overtaken => continue,
            }
        }
        let snapshot = shared.snapshot();
        for draft in drafts {
            let answer = if draft.is_replay { Answer::Replayed } else { Answer::Recorded };
            draft.request.answer(Ok(answer(draft.outcome, snapshot.clone())));
        }
        for (request, answer) in answers {
            request.answer(answer);
        }
        return Ok(());
    }
    Err(Error::unavailable(format!("other nodes committed first {ATTEMPTS_MAX} times in a row: try again")))
}

/// Reads what drafting will read, so that a damaged state is rebuilt before a commit builds on it.
fn read_ahead(shared: &Shared, group: &[Arc<Request>]) -> Result<()> {
    let sequence = shared.state.watermark().sequence;
    for request in group {
        shared.state.read(sequence, |view| match &request.asked {
            Asked::Push(proposal) => {
                let Proposal { push, layers } = &**proposal;
                view.push(&push.agency, &push.push_id)?;
                for layer in layers {
                    view.dataset(&layer.dataset)?;
                    view.newest_version(&layer.dataset)?;
                }
                Ok(())
            }
            Asked::Erasure(prepared) => {
                let OperationIntent { id, dataset, .. } = prepared.operation();
                view.operation(dataset.agency(), id)?;
                view.dataset(dataset)?;
                view.versions(dataset, None, usize::MAX)?;
                Ok(())
            }
            Asked::Operation(OperationIntent { id, dataset, .. }) => {
                view.operation(dataset.agency(), id)?;
                view.dataset(dataset)?;
                view.versions(dataset, None, 1)?;
                view.tags(dataset)?;
                Ok(())
            }
            Asked::Layout(proposal) => {
                view.dataset(&proposal.dataset)?;
                view.newest_version(&proposal.dataset)?;
                Ok(())
            }
        })?;
    }
    Ok(())
}

/// Applies entries to every projection, then shows the last to readers. They are in the log: nothing here undoes them.
pub(crate) fn publish(shared: &Arc<Shared>, turn: &mut Turn, entries: &[(Entry, Sha256)]) -> Result<()> {
    let mut datasets: BTreeSet<DatasetId> = BTreeSet::new();
    for (entry, hash) in entries {
        if let Err(error) = shared.state.apply(entry, hash) {
            shared.objects.stop(format!("commit {} is durable but was not applied: {error}", entry.sequence));
            return Err(error);
        }
        datasets.extend(entry.datasets().cloned());
    }
    let watermark = shared.state.watermark();
    let text = turn.text.as_mut().and_then(|text| text.advance(&shared.state, &watermark, &datasets));
    shared.readers.publish(Published { sequence: watermark.sequence, datasets: watermark.datasets, text });
    let_go_of_erased(shared, entries.iter().map(|(entry, _)| entry));
    Ok(())
}

/// Writes a checkpoint when enough commits came since the last, whichever node wrote it.
fn checkpoint_if_due(shared: &Arc<Shared>, turn: &mut Turn) {
    let sequence = shared.state.watermark().sequence;
    let is_due = |turn: &Turn| sequence.saturating_sub(turn.checkpointed) >= shared.options.checkpoint_every;
    if is_due(turn) && shared.objects.is_shared() {
        let written = checkpoint::list(&shared.objects).unwrap_or_default();
        turn.checkpointed = written.last().map_or(0, |(sequence, _)| *sequence).max(turn.checkpointed);
    }
    if is_due(turn) {
        turn.checkpointed = sequence;
        shared.write_checkpoint();
    }
}

/// Answers that are given once the entry is durable.
type Answers = Vec<(Arc<Request>, Result<Answer>)>;

/// Drafts an entry of the proposals that can be committed, and answers for the others.
fn draft_entry(
    shared: &Shared,
    group: &[Arc<Request>],
    pairs: &dyn Read,
    before: &Watermark,
    condemned: &Condemned,
) -> Result<(Entry, Vec<Draft>, Answers)> {
    let sequence = before.sequence + 1;
    let now = shared.clock.now();
    // Whatever the clock says: a version is found by its time because commits never go back in time.
    let time = before.time.map_or(now, |before| before.max(now));
    let mut entry = Entry { sequence, previous: before.hash, time, parts: Vec::new() };
    let (mut staged, mut drafts, mut answers) = (Staged::new(pairs), Vec::new(), Vec::new());
    for request in group.iter().filter(|request| !request.is_answered()) {
        let view = View::new(&staged, sequence);
        let drafted = draft(shared, &request.asked, &view, SnapshotId(sequence), time).and_then(|drafted| {
            if let Drafted::Commit(part, _) = &drafted {
                invariants::check(part, &view, sequence, &shared.objects)?;
                condemned.check(&invariants::referenced(part, &view)?)?;
            }
            Ok(drafted)
        });
        match drafted {
            Ok(Drafted::Commit(part, outcome)) => {
                let records = records_of(&part.changes, sequence, |id| view.dataset(id))?;
                staged.stage(&records);
                entry.parts.push(part);
                drafts.push(Draft { request: Arc::clone(request), outcome, is_replay: false });
            }
            // A replay of a request in this very group is answered once that one is durable.
            Ok(Drafted::Replay(outcome)) if outcome.snapshot().0 == sequence => {
                drafts.push(Draft { request: Arc::clone(request), outcome, is_replay: true });
            }
            Ok(Drafted::Replay(outcome)) => request.answer(Ok(Answer::Replayed(outcome, shared.snapshot()))),
            // What an entry of this group did to these is true once that is durable.
            Ok(Drafted::Moved) => answers.push((Arc::clone(request), Ok(Answer::Moved))),
            Err(error) => answers.push((Arc::clone(request), Err(error))),
        }
    }
    Ok((entry, drafts, answers))
}

/// What a request comes to.
pub(crate) enum Drafted {
    Commit(Part, Outcome),
    Replay(Outcome),
    Moved,
}

fn draft(shared: &Shared, asked: &Asked, view: &View<'_>, snapshot: SnapshotId, time: Timestamp) -> Result<Drafted> {
    match asked {
        Asked::Push(proposal) => draft_push(shared, proposal, view, snapshot, time),
        Asked::Operation(intent) => draft_operation(&shared.options, intent, view, snapshot, time),
        Asked::Erasure(prepared) => draft_erasure(prepared, view, snapshot, time),
        Asked::Layout(proposal) => draft_layout(proposal, view, snapshot, time),
    }
}

fn draft_push(
    shared: &Shared,
    proposal: &Proposal,
    view: &View<'_>,
    snapshot: SnapshotId,
    time: Timestamp,
) -> Result<Drafted> {
    let push = &proposal.push;
    if let Some(record) = view.push(&push.agency, &push.push_id)? {
        return replay(push, record).map(|outcome| Drafted::Replay(Outcome::Push(Box::new(outcome))));
    }
    let mut commit = Part {
        principal: push.principal.clone(),
        requirements: vec![Requirement::PushIdUnused { agency: push.agency.clone(), push_id: push.push_id.clone() }],
        changes: Vec::new(),
    };
    let mut layers = Vec::with_capacity(proposal.layers.len());
    for layer in &proposal.layers {
        let version = view.newest_version(&layer.dataset)?;
        let newest = version.as_ref().map_or(0, |version| version.number.0);
        check_expected_version(push, newest)?;
        if view.last_erasure(&layer.dataset)? != layer.last_erasure {
            return Err(erased_meanwhile(&layer.dataset));
        }
        if !layer.is_onto(version.as_ref()) {
            return Ok(Drafted::Moved);
        }
        commit.requirements.push(Requirement::NewestVersion { dataset: layer.dataset.clone(), number: newest });
        layers.push(draft_layer(shared, push, layer, view, snapshot, time, &mut commit.changes)?);
    }
    let outcome = outcome_of(layers, snapshot);
    commit.changes.push(Change::PushRecorded(Box::new(PushRecord {
        push_id: push.push_id.clone(),
        agency: push.agency.clone(),
        digest: push.digest,
        asset: push.asset.clone(),
        outcome: without_examples(&outcome),
        declared: push.declared.clone(),
    })));
    Ok(Drafted::Commit(commit, Outcome::Push(Box::new(outcome))))
}

/// An outcome as a commit keeps it: commits are for ever, and examples are values of rows.
fn without_examples(outcome: &PushOutcome) -> PushOutcome {
    let layers = outcome.layers.iter().cloned();
    let layers = layers.map(|layer| LayerOutcome { report: layer.report.without_examples(), ..layer });
    PushOutcome { layers: layers.collect(), ..outcome.clone() }
}

/// The error for a push that was compared with rows that are erased by now.
pub(crate) fn erased_meanwhile(dataset: &DatasetId) -> Error {
    Error::conflict(format!("rows of dataset {dataset} were erased while the push was read, push again"))
}

/// The answer to a push whose id was used before.
pub(crate) fn replay(push: &PushIntent, record: PushRecord) -> Result<PushOutcome> {
    if record.digest == push.digest {
        return Ok(record.outcome);
    }
    Err(Error::already_used(format!(
        "push id {} was used by agency {} for other content (digest {}, this push has {}), committed in snapshot {}",
        push.push_id,
        push.agency,
        record.digest.short(),
        push.digest.short(),
        record.outcome.snapshot
    )))
}

/// `Conflict` if the publisher built on another version than the newest one.
pub(crate) fn check_expected_version(push: &PushIntent, newest: u64) -> Result<()> {
    check_expected(push.expected_version, newest)
}

/// `Conflict` if a caller built on another version than the newest one; `None` if it did not matter.
pub(crate) fn check_expected(expected: Option<u64>, newest: u64) -> Result<()> {
    match expected {
        Some(expected) if expected != newest => {
            Err(Error::new(ErrorKind::Conflict, format!("expected v{expected}, current v{newest}")))
        }
        _ => Ok(()),
    }
}

fn draft_layer(
    shared: &Shared,
    push: &PushIntent,
    layer: &PreparedLayer,
    view: &View<'_>,
    snapshot: SnapshotId,
    time: Timestamp,
    changes: &mut Vec<Change>,
) -> Result<LayerOutcome> {
    match view.dataset(&layer.dataset)? {
        None => changes.push(Change::DatasetCreated(Dataset {
            id: layer.dataset.clone(),
            uuid: shared.uuid_of(&layer.dataset),
            created: time,
            metadata: push.metadata.clone(),
            mapping: push.declared.mapping.clone(),
            retention: None,
        })),
        Some(dataset) => {
            let metadata = push.metadata.clone().or(&dataset.metadata);
            if metadata != dataset.metadata {
                changes.push(Change::MetadataChanged { dataset: layer.dataset.clone(), metadata });
            }
            if push.mapping == MappingChange::Set && push.declared.mapping != dataset.mapping {
                let mapping = push.declared.mapping.clone();
                changes.push(Change::MappingChanged { dataset: layer.dataset.clone(), mapping });
            }
        }
    }
    let outcome = layer_outcome(layer)?;
    if layer.is_new {
        let version = Box::new(version_of(push, layer, snapshot, time)?);
        changes.push(Change::VersionPublished { dataset: layer.dataset.clone(), version });
    }
    Ok(outcome)
}

/// The version that a layer with new rows makes.
///
/// # Errors
///
/// `Undeclared` listing what it breaks, unless it begins a new major.
pub(crate) fn version_of(
    push: &PushIntent,
    layer: &PreparedLayer,
    snapshot: SnapshotId,
    time: Timestamp,
) -> Result<Version> {
    let outcome = layer_outcome(layer)?;
    Ok(Version {
        number: outcome.version,
        snapshot,
        committed: time,
        rolled_back_to: None,
        push_id: push.push_id.clone(),
        asset: push.asset.clone(),
        layer: layer.report.layer.clone(),
        receipt: layer.receipt,
        fields: layer.fields.clone(),
        root_hash: layer.state.root_hash,
        rows: layer.state.rows,
        bbox: layer.state.extent.bounds,
        geometry_types: layer.geometry_types.clone(),
        segments: layer.state.segments.clone(),
        assets: layer.assets.clone(),
        key: layer.key().cloned(),
        changes: layer.state.changes,
        major: outcome.major,
        valid_time: layer.valid_time().cloned(),
        erased: None,
        layout: None,
    })
}

/// What a layer does to its dataset if it is committed onto the version that it was compared with.
fn layer_outcome(layer: &PreparedLayer) -> Result<LayerOutcome> {
    let is_published = layer.is_new;
    Ok(LayerOutcome {
        dataset: layer.dataset.clone(),
        version: VersionNumber(layer.base + u64::from(is_published)),
        major: if is_published { layer.major()? } else { layer.base_major() },
        status: if is_published { PushStatus::Published } else { PushStatus::Unchanged },
        rows_added: layer.state.counts.added,
        rows_removed: layer.state.counts.removed,
        rows_changed: layer.state.counts.changed,
        marks_without_row: layer.state.marks_without_row,
        key: layer.key().cloned(),
        report: layer.report.clone(),
        receipt: Some(layer.receipt),
        verdicts: layer.tables.verdicts,
        quarantine: layer.tables.quarantine,
    })
}

fn outcome_of(layers: Vec<LayerOutcome>, snapshot: SnapshotId) -> PushOutcome {
    let is_published = layers.iter().any(|layer| layer.status == PushStatus::Published);
    let status = if is_published { PushStatus::Published } else { PushStatus::Unchanged };
    PushOutcome { status, layers, snapshot }
}

/// What layers would do if they were committed; the snapshot is the one that they were compared with.
pub(crate) fn preview<'a>(
    layers: impl Iterator<Item = &'a PreparedLayer>,
    snapshot: SnapshotId,
) -> Result<PushOutcome> {
    Ok(outcome_of(layers.map(layer_outcome).collect::<Result<_>>()?, snapshot))
}
