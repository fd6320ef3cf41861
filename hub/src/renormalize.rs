//! Reading stored bytes again with the rules of today: first the difference, then, if wanted, a new version.

mod difference;
mod subject;

use crate::api::push::Pushes;
use crate::fixes::Corrections;
use crate::ingest::{Ingested, push_intent, reading};
use crate::staging::{PushHeader, Upload};
use difference::Comparison;
use std::path::Path;
use std::sync::Arc;
use subject::{Subject, copy};
use ukimet_catalog::Snapshot;
use ukimet_model::error::quoted;
use ukimet_model::{Dataset, DatasetId, Error, Result, RowQuery, Version};
use ukimet_proto::ipc;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;
use ukimet_proto::v1::renormalize_response::Result as Answer;

impl Pushes {
    /// The datasets that a request means, and the rules that the adapter applies.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the adapter applies other rules than were asked for; `NotFound` for an unknown dataset.
    pub async fn renormalizable(&self, request: &v1::RenormalizeRequest) -> Result<(Vec<DatasetId>, String)> {
        let rules = self.ingest.adapters.describe().await?.rules_version;
        if !request.rules.is_empty() && request.rules != rules {
            return Err(Error::invalid_request(format!(
                "rules {} were asked for, the adapter applies rules {}",
                quoted(&request.rules),
                quoted(&rules)
            )));
        }
        let snapshot = self.ingest.catalog.snapshot();
        if !request.dataset.is_empty() {
            let dataset = request.dataset.parse()?;
            snapshot.dataset(&dataset)?;
            return Ok((vec![dataset], rules));
        }
        let every = ukimet_model::DatasetQuery { limit: usize::MAX, ..Default::default() };
        Ok((snapshot.search(&every)?.datasets.into_iter().map(|(dataset, _)| dataset.id).collect(), rules))
    }

    /// Reads one dataset's bytes again.
    pub async fn read_again(
        &self,
        dataset: DatasetId,
        rules: &str,
        request: &v1::RenormalizeRequest,
    ) -> v1::RenormalizeResponse {
        let mut response = v1::RenormalizeResponse {
            dataset: dataset.to_string(),
            rules_now: rules.to_owned(),
            ..v1::RenormalizeResponse::default()
        };
        let snapshot = self.ingest.catalog.snapshot();
        let found = blocking(move || Subject::find(snapshot, &dataset)).await;
        let result = match found {
            Err(error) => Err(error),
            Ok(subject) => {
                response.version = subject.version.number.0;
                response.rules_before.clone_from(&subject.rules_before);
                if request.dry_run {
                    let examples_max = if request.examples == 0 { 5 } else { request.examples.min(100) };
                    self.difference(subject, rules, examples_max as usize).await.map(Answer::Difference)
                } else {
                    Box::pin(self.push_again(subject, rules, request.new_major)).await
                }
            }
        };
        response.result = Some(result.unwrap_or_else(|error| Answer::Failure(error.to_string())));
        response
    }

    async fn push_again(&self, subject: Subject, rules: &str, new_major: bool) -> Result<Answer> {
        let header = PushHeader { new_major, ..subject.header(rules)? };
        let upload = self.staging.claim(header).await?;
        let (upload, subject) = blocking(move || {
            let mut upload = upload;
            upload.restart()?;
            copy(&subject, &mut upload)?;
            Ok((upload, subject))
        })
        .await?;
        let ingested = if subject.corrections.is_empty() {
            self.ended(Box::pin(self.ingest_received(upload, std::future::pending()))).await?
        } else {
            let ingested = self.ended(Box::pin(self.ingest_with_corrections(&upload, subject))).await;
            upload.discard();
            ingested?
        };
        let mut outcome = v1::PushOutcome::from(ingested.outcome);
        outcome.replayed = ingested.replayed;
        Ok(Answer::Outcome(outcome))
    }

    async fn ingest_with_corrections(&self, upload: &Upload, subject: Subject) -> Result<Ingested> {
        let corrections = self.corrections_of(&subject, &upload.path()).await?;
        let intent = push_intent(upload, upload.sha256());
        self.ingest.ingest_file(upload, intent, Arc::default(), corrections).await
    }

    /// The corrections of a version, with scratch files beside the file of its upload.
    async fn corrections_of(&self, subject: &Subject, beside: &Path) -> Result<Option<Corrections>> {
        let folder = beside.parent().ok_or_else(|| Error::internal("a staged push has a folder"))?;
        let (snapshot, dataset) = (&subject.snapshot, &subject.dataset.id);
        self.ingest.corrections_again(snapshot, dataset, subject.corrections.clone(), folder).await
    }

    /// Reads the bytes without writing anything but a scratch file, and compares.
    async fn difference(&self, subject: Subject, rules: &str, examples_max: usize) -> Result<v1::Difference> {
        // Claimed as a push would be, so that there is room for the bytes; dropped, whatever happens.
        let header = subject.header(rules)?;
        let preview = PushHeader { push_id: format!("{}-preview", header.push_id).parse()?, ..header };
        let upload = self.staging.claim(preview).await?;
        let (upload, subject) = blocking(move || {
            let mut upload = upload;
            upload.restart()?;
            copy(&subject, &mut upload)?;
            Ok((upload, subject))
        })
        .await?;
        let compared = Box::pin(self.compare(&upload.header, &upload.path(), subject, examples_max)).await;
        upload.discard();
        compared
    }

    async fn compare(
        &self,
        header: &PushHeader,
        path: &Path,
        subject: Subject,
        examples_max: usize,
    ) -> Result<v1::Difference> {
        let mapping = self.ingest.mapping_in_force(header, subject.snapshot.clone()).await?;
        let like = reading(header, path.to_owned(), &mapping);
        let mut corrections = self.corrections_of(&subject, path).await?;
        let mut messages = self.ingest.adapters.read(&like).await?;
        let mut comparison = None;
        while let Some(message) = messages.next().await? {
            let is_last = matches!(message, Message::Summary(_));
            let taken = match &mut corrections {
                Some(corrections) => Box::pin(corrections.take(&self.ingest, &like, &messages.job(), message)).await?,
                None => vec![message],
            };
            for message in taken {
                self.observe(&subject, message, &mut comparison).await?;
            }
            if is_last {
                break;
            }
        }
        let comparison = comparison.ok_or_else(|| Error::data_loss("the adapter's answer has no layer"))?;
        blocking(move || comparison.finish(examples_max)).await
    }
}

impl Pushes {
    /// Takes a message of the new reading into the comparison.
    async fn observe(&self, subject: &Subject, message: Message, comparison: &mut Option<Comparison>) -> Result<()> {
        let limits = self.ingest.ipc_limits;
        match message {
            Message::LayerBegin(begin) => {
                let schema = ipc::decode_schema(&begin.schema, &limits)?;
                let (snapshot, dataset, version) =
                    (subject.snapshot.clone(), subject.dataset.clone(), subject.version.clone());
                let opened = blocking(move || Comparison::begin(snapshot, dataset, version, schema)).await?;
                if comparison.replace(opened).is_some() {
                    return Err(Error::internal("one layer was asked for, the adapter gave several"));
                }
            }
            Message::Batch(batch) => {
                let open = comparison.as_mut().ok_or_else(|| Error::internal("rows came before their layer"))?;
                open.observe(&ipc::decode_batch(&batch, &open.schema(), &limits)?)?;
            }
            Message::Summary(_)
            | Message::AssetBegin(_)
            | Message::AssetData(_)
            | Message::AssetEnd(_)
            | Message::Verdicts(_)
            | Message::Quarantined(_)
            | Message::LayerEnd(_) => (),
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("reading a version again").caused_by(e))?
}

/// A scan of some columns of a whole version.
fn columns_of(
    snapshot: &Snapshot,
    dataset: &Dataset,
    version: &Version,
    columns: &[String],
) -> Result<ukimet_catalog::Scan> {
    let query = RowQuery { columns: Some(columns.to_vec()), ..RowQuery::default() };
    snapshot.scan(dataset, version, &query, 0..version.segments.len())
}
