//! An erasure as a part of a commit, judged by the state that the commit builds on.

use super::PreparedErasure;
use crate::commit::{Drafted, Outcome};
use crate::log::{Change, Part, Requirement};
use crate::operation::{OperationRecord, check_why};
use crate::push::PushRecord;
use crate::selecting::select;
use crate::state::View;
use jiff::Timestamp;
use ukimet_model::{OperationOutcome, OperationStatus, Result, SnapshotId};

/// Drafts what an erasure changes, finds the answer that it was given before, or that the dataset is another by now.
pub(crate) fn draft_erasure(
    prepared: &PreparedErasure,
    view: &View<'_>,
    snapshot: SnapshotId,
    time: Timestamp,
) -> Result<Drafted> {
    let intent = &prepared.operation;
    let (agency, dataset) = (intent.dataset.agency(), &intent.dataset);
    if let Some(record) = view.operation(agency, &intent.id)? {
        return intent.replay(record).map(|outcome| Drafted::Replay(Outcome::Operation(Box::new(outcome))));
    }
    check_why(&intent.why)?;
    check_why(&prepared.erasure.who)?;
    select(view, dataset, None)??;
    if !is_as_prepared(prepared, view)? {
        return Ok(Drafted::Moved);
    }
    let erasure = crate::erasure::Erasure { snapshot, erased: time, ..prepared.erasure.clone() };
    let is_done = erasure.rows > 0 || !erasure.objects.is_empty();
    let status = if is_done { OperationStatus::Done } else { OperationStatus::Unchanged };
    let outcome = OperationOutcome { status, ..OperationOutcome::unchanged(snapshot) };
    let record = OperationRecord {
        id: intent.id.clone(),
        dataset: dataset.clone(),
        why: intent.why.clone(),
        action: intent.action.clone(),
        time,
        principal: intent.principal.clone(),
        digest: intent.digest(),
        outcome: outcome.clone(),
    };
    let requirements = vec![
        Requirement::OperationIdUnused { agency: agency.to_owned(), operation_id: intent.id.clone() },
        Requirement::NewestVersion { dataset: dataset.clone(), number: prepared.newest },
    ];
    let changes = vec![
        Change::RowsErased { dataset: dataset.clone(), erasure: Box::new(erasure) },
        Change::OperationRecorded(Box::new(record)),
    ];
    let part = Part { principal: intent.principal.clone(), requirements, changes };
    Ok(Drafted::Commit(part, Outcome::Operation(Box::new(outcome))))
}

/// Whether every file of every version was looked through, and neither a push, another erasure nor a compaction came
/// between.
fn is_as_prepared(prepared: &PreparedErasure, view: &View<'_>) -> Result<bool> {
    let dataset = &prepared.operation.dataset;
    if view.last_erasure(dataset)? != prepared.last_erasure {
        return Ok(false);
    }
    // Also one that changed nothing: its bytes hold rows.
    let mut pushes = view.pushes(dataset.agency())?.into_iter();
    let is_since = |record: &PushRecord| record.outcome.snapshot.0 > prepared.sequence;
    if pushes.any(|record| is_since(&record) && prepared.erasure.may_concern(dataset, &record)) {
        return Ok(false);
    }
    let versions = view.versions(dataset, None, usize::MAX)?;
    let mut segments = versions.iter().flat_map(|version| &version.segments);
    let newest = versions.first().map(|version| (version.number.0, version.layout));
    let is_newest = newest == Some((prepared.newest, prepared.newest_layout));
    Ok(is_newest && segments.all(|segment| prepared.looked.contains(&segment.parquet)))
}
