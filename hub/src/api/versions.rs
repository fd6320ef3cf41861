//! `ukimet.v1.VersionService`: what is done to datasets and their versions without a push.

use crate::api::body::incident;
use crate::kept::KeptStreams;
use crate::staging::Staging;
use crate::usage::Usage;
use tonic::{Request, Response, Status};
use ukimet_catalog::{Catalog, Compacted, CompactionScope, Erasure, ErasureIntent, ErasureLeft, OperationIntent};
use ukimet_model::{Action, Error, ErrorKind, Result, VersionSelector};
use ukimet_proto::convert::wire_time;
use ukimet_proto::status::to_status;
use ukimet_proto::v1;
use ukimet_proto::v1::version_service_server::VersionService;

/// Tags, notes, rollback, retention.
#[derive(Clone)]
pub struct Operations {
    /// What is changed.
    pub catalog: Catalog,
    /// Who reads what, so that it is told whom a rollback breaks.
    pub usage: Usage,
    /// Where unfinished pushes wait.
    pub staging: Staging,
    /// What went out before.
    pub kept: KeptStreams,
}

/// Who does it, until callers say who they are.
const PRINCIPAL: &str = "anonymous";

fn intent(operation: Option<v1::Operation>, dataset: &VersionSelector, action: Action) -> Result<OperationIntent> {
    let operation = operation.ok_or_else(|| Error::invalid_request("operation is missing"))?;
    Ok(OperationIntent {
        id: operation.id.parse()?,
        principal: PRINCIPAL.to_owned(),
        why: operation.why,
        dataset: dataset.dataset.clone(),
        action,
    })
}

/// A dataset that is named without a version.
fn bare(dataset: &str) -> Result<VersionSelector> {
    dataset.parse().map(|dataset: ukimet_model::DatasetId| dataset.into())
}

impl Operations {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Catalog) -> Result<T> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let catalog = self.catalog.clone();
        let ended = tokio::task::spawn_blocking(move || work(&catalog)).await;
        let ended = ended.map_err(|panic| to_status(&incident(panic.into_panic().as_ref())))?;
        ended.map(Response::new).map_err(|error| to_status(&error))
    }

    async fn operate(&self, intent: Result<OperationIntent>) -> Result<Response<v1::OperationResponse>, Status> {
        let intent = intent.map_err(|error| to_status(&error))?;
        let usage = self.usage.clone();
        self.blocking(move |catalog| {
            let dataset = intent.dataset.clone();
            let (outcome, replayed, _) =
                catalog.operate(intent).map_err(|error| with_readers(error, &dataset, &usage))?;
            Ok(v1::OperationResponse { replayed, ..outcome.into() })
        })
        .await
    }
}

/// The only thing that an operation leaves to be declared is a new major: who is concerned is told with it.
fn with_readers(error: Error, dataset: &ukimet_model::DatasetId, usage: &Usage) -> Error {
    if error.kind() != ErrorKind::Undeclared {
        return error;
    }
    let readers: Vec<String> = usage.readers_of(dataset, None);
    Error::undeclared(format!("{error}\n  {}", readers.join("\n  ")))
}

#[tonic::async_trait]
impl VersionService for Operations {
    async fn set_tag(&self, request: Request<v1::SetTagRequest>) -> Result<Response<v1::OperationResponse>, Status> {
        let request = request.into_inner();
        let intent = || {
            let named: VersionSelector = request.dataset.parse()?;
            let (tag, version) = (request.tag.parse()?, named.version.clone());
            intent(request.operation, &named, Action::SetTag { tag, version, is_move: request.r#move })
        };
        self.operate(intent()).await
    }

    async fn delete_tag(
        &self,
        request: Request<v1::DeleteTagRequest>,
    ) -> Result<Response<v1::OperationResponse>, Status> {
        let request = request.into_inner();
        let intent =
            || intent(request.operation, &bare(&request.dataset)?, Action::DeleteTag { tag: request.tag.parse()? });
        self.operate(intent()).await
    }

    async fn add_note(&self, request: Request<v1::AddNoteRequest>) -> Result<Response<v1::OperationResponse>, Status> {
        let request = request.into_inner();
        let intent = || {
            let named: VersionSelector = request.dataset.parse()?;
            let version = named.version.clone();
            intent(request.operation, &named, Action::AddNote { version, text: request.text })
        };
        self.operate(intent()).await
    }

    async fn roll_back(
        &self,
        request: Request<v1::RollBackRequest>,
    ) -> Result<Response<v1::OperationResponse>, Status> {
        let request = request.into_inner();
        let intent = || {
            let (to, expected_version) = (request.to.parse()?, request.expected_version);
            let action = Action::RollBack { to, expected_version, new_major: request.new_major };
            intent(request.operation, &bare(&request.dataset)?, action)
        };
        self.operate(intent()).await
    }

    async fn set_retention(
        &self,
        request: Request<v1::SetRetentionRequest>,
    ) -> Result<Response<v1::OperationResponse>, Status> {
        let request = request.into_inner();
        let intent = || {
            let action = Action::SetRetention { rule: request.rule.map(Into::into) };
            intent(request.operation, &bare(&request.dataset)?, action)
        };
        self.operate(intent()).await
    }

    async fn erase_rows(
        &self,
        request: Request<v1::EraseRowsRequest>,
    ) -> Result<Response<v1::EraseRowsResponse>, Status> {
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let intent = erasure_intent(request).map_err(|error| to_status(&error))?;
        let (staging, kept) = (self.staging.clone(), self.kept.clone());
        self.blocking(move |catalog| {
            if dry_run {
                let erasure = wire_erasure(&catalog.would_erase(&intent)?);
                return Ok(v1::EraseRowsResponse { erasure: Some(erasure), replayed: false, left: None });
            }
            let erased = catalog.erase(&intent);
            // Also if something of it is left to do.
            kept.forget(&intent.dataset);
            let (erasure, replayed, _) = erased?;
            // Bytes of pushes that were cut may hold such rows, and nobody has looked into them.
            staging.drop_unfinished(&intent.dataset)?;
            let left = wire_left(catalog.left_of_erasure(&intent.dataset, &erasure)?);
            Ok(v1::EraseRowsResponse { erasure: Some(wire_erasure(&erasure)), replayed, left: Some(left) })
        })
        .await
    }

    async fn collect_garbage(
        &self,
        request: Request<v1::CollectGarbageRequest>,
    ) -> Result<Response<v1::CollectGarbageResponse>, Status> {
        let dry_run = request.into_inner().dry_run;
        self.blocking(move |catalog| if dry_run { would_collect(catalog) } else { collect(catalog, PRINCIPAL) }).await
    }

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Result<Response<v1::CompactResponse>, Status> {
        let v1::CompactRequest { dataset, dry_run } = request.into_inner();
        self.blocking(move |catalog| {
            let dataset = dataset.parse()?;
            let done = if dry_run {
                catalog.would_compact(&dataset, CompactionScope::All)
            } else {
                catalog.compact(&dataset, CompactionScope::All, PRINCIPAL)
            };
            done.map(compacted)
        })
        .await
    }
}

fn compacted(done: Compacted) -> v1::CompactResponse {
    v1::CompactResponse {
        version: done.version.0,
        segments_before: done.segments_before,
        segments_after: done.segments_after,
        segments_rewritten: done.segments_rewritten,
        rows_rewritten: done.rows_rewritten,
        rows_dropped: done.rows_dropped,
        bytes_before: done.bytes_before,
        bytes_after: done.bytes_after,
        snapshot: done.snapshot.map(|snapshot| snapshot.0),
    }
}

fn erasure_intent(request: v1::EraseRowsRequest) -> Result<ErasureIntent> {
    let operation = request.operation.ok_or_else(|| Error::invalid_request("operation is missing"))?;
    Ok(ErasureIntent {
        id: operation.id.parse()?,
        principal: PRINCIPAL.to_owned(),
        who: request.who,
        why: operation.why,
        dataset: bare(&request.dataset)?.dataset,
        columns: request.columns,
        keys: request.keys.into_iter().map(|key| key.values).collect(),
        bytes_in_doubt: request.bytes_in_doubt,
    })
}

fn wire_left(left: ErasureLeft) -> v1::ErasureLeft {
    let ErasureLeft { is_finished, objects, nodes, keeps_deleted } = left;
    v1::ErasureLeft { finished: is_finished, objects, nodes, keeps_deleted }
}

/// What stays of an erasure, for the wire.
pub fn wire_erasure(erasure: &Erasure) -> v1::Erasure {
    let numbers = |versions: &[ukimet_model::VersionNumber]| versions.iter().map(|version| version.0).collect();
    let losses = erasure.versions.iter().map(|(version, rows)| v1::VersionLoss { version: version.0, rows: *rows });
    let is_committed = erasure.snapshot.0 > 0;
    v1::Erasure {
        operation_id: erasure.operation.to_string(),
        snapshot: erasure.snapshot.0,
        erased: is_committed.then(|| wire_time(erasure.erased)),
        principal: erasure.principal.clone(),
        who: erasure.who.clone(),
        why: erasure.why.clone(),
        columns: erasure.columns.clone(),
        keys: erasure.keys,
        keys_found: erasure.keys_found,
        rows: erasure.rows,
        versions: losses.collect(),
        versions_without_columns: numbers(&erasure.versions_without_columns),
        pushes: erasure.pushes.iter().map(ToString::to_string).collect(),
        bytes_gone_elsewhere: erasure.bytes_gone_elsewhere.iter().flatten().map(ToString::to_string).collect(),
        same_bytes_elsewhere: erasure.same_bytes_elsewhere.clone(),
        commits_with_examples: erasure.commits_with_examples.iter().map(|snapshot| snapshot.0).collect(),
    }
}

/// Removes the versions that are not kept, then what nobody needs any more. Blocks on the disk.
///
/// # Errors
///
/// `Unavailable` after a disk failure, or while another collection runs.
pub fn collect(catalog: &Catalog, principal: &str) -> Result<v1::CollectGarbageResponse> {
    let removed = catalog.apply_retention(principal)?;
    let collected = catalog.collect_garbage()?;
    Ok(answer(removed, collected))
}

fn would_collect(catalog: &Catalog) -> Result<v1::CollectGarbageResponse> {
    let due = catalog.due_for_removal()?;
    let garbage = catalog.garbage_without(&due)?;
    Ok(answer(due, garbage))
}

fn answer(
    removed: Vec<(ukimet_model::DatasetId, Vec<ukimet_model::VersionNumber>)>,
    collected: ukimet_catalog::Collected,
) -> v1::CollectGarbageResponse {
    let removed = removed.into_iter().map(|(dataset, versions)| v1::RemovedVersions {
        dataset: dataset.into(),
        versions: versions.into_iter().map(|version| version.0).collect(),
    });
    v1::CollectGarbageResponse { removed: removed.collect(), objects: collected.objects, bytes: collected.bytes }
}
