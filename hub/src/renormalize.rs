//! Reading stored bytes again with the rules of today, or of another adapter: first the difference, then, if wanted, a new
//! version.

mod difference;
mod subject;
mod telling;

use crate::api::push::Pushes;
use crate::fixes::Corrections;
use crate::ingest::{Along, Comparing, Ingested, push_intent};
use crate::staging::{PushHeader, Upload};
use std::path::Path;
use std::sync::Arc;
use subject::{Subject, copy};
pub(crate) use telling::Answers;
use telling::{Telling, tell};
use ukimet_model::{DatasetId, Error, ErrorKind, Result};
use ukimet_proto::v1;
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Changed values that are told of each column unless it is asked for others, and at most.
const EXAMPLES: u32 = 5;
const EXAMPLES_MAX: u32 = 100;
/// Batches of a difference that wait for a slow client.
const BATCHES_WAITING_MAX: usize = 1;

impl Pushes {
    /// The datasets that a request means.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if no adapter applies the rules that were asked for; `NotFound` for an unknown dataset.
    pub fn renormalizable(&self, request: &v1::RenormalizeRequest) -> Result<Vec<DatasetId>> {
        if !request.rules.is_empty() {
            self.ingest.adapters.check_rules(&request.rules)?;
        }
        let snapshot = self.ingest.catalog.snapshot();
        if !request.dataset.is_empty() {
            let dataset = request.dataset.parse()?;
            snapshot.dataset(&dataset)?;
            return Ok(vec![dataset]);
        }
        let every = ukimet_model::DatasetQuery { limit: usize::MAX, ..Default::default() };
        Ok(snapshot.search(&every)?.datasets.into_iter().map(|(dataset, _)| dataset.id).collect())
    }

    /// Reads one dataset's bytes again and answers what came of it. One that cannot be read is answered too.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the client took nothing for `idle_max`, `Unavailable` if it left: the others are not worth reading.
    pub(crate) async fn read_again(
        &self,
        dataset: DatasetId,
        request: &v1::RenormalizeRequest,
        answers: &Answers,
    ) -> Result<()> {
        let mut telling = Telling::new(&dataset, answers, self.idle_max);
        let answer = Box::pin(self.answer(dataset, request, &mut telling)).await;
        telling.send(answer.unwrap_or_else(|error| Answer::Failure(error.to_string()))).await
    }

    async fn answer(
        &self,
        dataset: DatasetId,
        request: &v1::RenormalizeRequest,
        telling: &mut Telling<'_>,
    ) -> Result<Answer> {
        let snapshot = self.ingest.catalog.snapshot();
        let asked = Some(request.rules.clone()).filter(|rules| !rules.is_empty());
        let subject = blocking(move || Subject::find(snapshot, &dataset)).await?;
        telling.head.version = subject.version.number.0;
        telling.head.rules_before.clone_from(&subject.rules_before);
        let rules = self.ingest.adapters.rules_for(&subject.reading(asked.clone())).await?;
        telling.head.rules_now.clone_from(&rules);
        let header = PushHeader { new_major: request.new_major, rules: asked, ..subject.header(&rules)? };
        if request.dry_run {
            let examples_max = if request.examples == 0 { EXAMPLES } else { request.examples.min(EXAMPLES_MAX) };
            self.difference(subject, header, examples_max as usize, telling).await.map(Answer::Difference)
        } else {
            self.push_again(subject, header).await
        }
    }

    async fn push_again(&self, subject: Subject, header: PushHeader) -> Result<Answer> {
        let (upload, subject) = self.staged(subject, header).await?;
        let ingested = if subject.corrections.is_empty() {
            self.ended(Box::pin(self.ingest_received(upload, std::future::pending()))).await?
        } else {
            let ingested = self.ended(Box::pin(self.ingest_with_corrections(&upload, &subject, None))).await;
            upload.discard();
            ingested?
        };
        let mut outcome = v1::PushOutcome::from(ingested.outcome);
        outcome.replayed = ingested.replayed;
        Ok(Answer::Outcome(outcome))
    }

    /// The stored bytes as a push that has come: claimed as one would be, so that there is room for them.
    async fn staged(&self, subject: Subject, header: PushHeader) -> Result<(Upload, Subject)> {
        let upload = self.staging.claim(header).await?;
        blocking(move || {
            let mut upload = upload;
            upload.restart()?;
            copy(&subject, &mut upload)?;
            Ok((upload, subject))
        })
        .await
    }

    async fn ingest_with_corrections(
        &self,
        upload: &Upload,
        subject: &Subject,
        comparing: Option<Comparing>,
    ) -> Result<Ingested> {
        let corrections = self.corrections_of(subject, &upload.path()).await?;
        let intent = push_intent(upload, upload.sha256());
        self.ingest.ingest_file(upload, intent, Arc::default(), Along { corrections, comparing }).await
    }

    /// The corrections of a version, with scratch files beside the file of its upload.
    async fn corrections_of(&self, subject: &Subject, beside: &Path) -> Result<Option<Corrections>> {
        let folder = beside.parent().ok_or_else(|| Error::internal("a staged push has a folder"))?;
        let (snapshot, dataset) = (&subject.snapshot, &subject.dataset.id);
        self.ingest.corrections_again(snapshot, dataset, subject.corrections.clone(), folder).await
    }

    /// Reads the bytes as the switch would, up to the commit, and tells what it would change; all of it is dropped then.
    async fn difference(
        &self,
        subject: Subject,
        header: PushHeader,
        examples_max: usize,
        telling: &Telling<'_>,
    ) -> Result<v1::Difference> {
        let preview = PushHeader { push_id: format!("{}-preview", header.push_id).parse()?, dry_run: true, ..header };
        let (mut upload, subject) = self.staged(subject, preview).await?;
        let mut difference = self.compare(&upload, &subject, examples_max, telling).await;
        if let Some(refusal) = refusal(&difference).filter(|_| !upload.header.new_major) {
            // What it would change is told all the same: as the new major that it would have to be.
            upload.header.new_major = true;
            let as_major = self.compare(&upload, &subject, examples_max, telling).await;
            difference = as_major.map(|difference| v1::Difference { refusal: Some(refusal.to_string()), ..difference });
        }
        upload.discard();
        difference
    }

    async fn compare(
        &self,
        upload: &Upload,
        subject: &Subject,
        examples_max: usize,
        telling: &Telling<'_>,
    ) -> Result<v1::Difference> {
        let (comparing, told) = Comparing::new(BATCHES_WAITING_MAX);
        let reading = Box::pin(self.ingest_with_corrections(upload, subject, Some(comparing)));
        let (read, difference) = tokio::join!(reading, tell(told, telling, examples_max));
        // Whoever reads hears only that nobody listens.
        let difference = difference?;
        read?;
        difference.ok_or_else(|| Error::internal("a push that was read to its end told no difference"))
    }
}

/// Why what was read is refused as things are, though it could be read.
fn refusal(difference: &Result<v1::Difference>) -> Option<&Error> {
    difference.as_ref().err().filter(|error| error.kind() == ErrorKind::Undeclared)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("reading a version again").caused_by(e))?
}
