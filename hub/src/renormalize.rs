//! Reading stored bytes again with the rules of today: first the difference, then, if wanted, a new version.

mod difference;

use crate::api::push::Pushes;
use crate::ingest::reading;
use crate::staging::{PushHeader, Upload};
use difference::Comparison;
use std::io::Write;
use std::path::Path;
use ukimet_catalog::{PushRecord, Snapshot};
use ukimet_model::error::quoted;
use ukimet_model::{
    Dataset, DatasetId, DatasetMetadata, Declarations, Error, LayerReport, LayerSelection, PushMode, Result, RowQuery,
    Version, VersionSelector,
};
use ukimet_proto::ipc;
use ukimet_proto::v1;
use ukimet_proto::v1::read_response::Message;
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Bytes that are taken out of the store at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One newest version and the push that brought its bytes.
struct Subject {
    snapshot: Snapshot,
    dataset: Dataset,
    version: Version,
    push: PushRecord,
    rules_before: String,
}

impl Subject {
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset; `Conflict` if the version is not made of one file alone.
    fn find(snapshot: Snapshot, dataset: &DatasetId) -> Result<Self> {
        let selector = VersionSelector { dataset: dataset.clone(), version: None };
        let (dataset, version) = snapshot.version(&selector)?;
        let push = snapshot.push(dataset.id.agency(), &version.push_id)?;
        let push = push.ok_or_else(|| Error::internal(format!("push {} is not recorded", version.push_id)))?;
        let receipt = snapshot.receipt(&version)?;
        if receipt.rows_taken != version.rows {
            return Err(Error::conflict(format!(
                "{} was made of rows of several pushes (this one brought {} of {}); push the whole file again",
                version.number, receipt.rows_taken, version.rows
            )));
        }
        if let Some(what) = declared_and_not_kept(&push.declared, &receipt) {
            return Err(Error::conflict(format!(
                "{} was read with {what} that its publisher declared, which was not kept then; push the file again",
                version.number
            )));
        }
        Ok(Self { rules_before: rules_of(&receipt), snapshot, dataset, version, push })
    }

    /// The push again, under a name of its own: what it makes depends on the rules and on looked-up datasets too.
    fn header(&self, rules: &str) -> Result<PushHeader> {
        let push_id = format!(
            "renormalize-{}-{}-rules-{rules}-at-{}",
            self.dataset.id.name(),
            self.version.number,
            self.snapshot.id()
        );
        let declared = &self.push.declared;
        let layers = match declared.layers {
            LayerSelection::All => LayerSelection::Named(self.version.layer.clone()),
            LayerSelection::Only | LayerSelection::Named(_) => declared.layers.clone(),
        };
        Ok(PushHeader {
            push_id: push_id.parse()?,
            dataset: self.dataset.id.clone(),
            mode: PushMode::Replace,
            file_name: self.version.asset.file_name.clone(),
            media_type: declared.media_type.clone(),
            crs: declared.crs.clone(),
            encoding: declared.encoding.clone(),
            region: declared.region.clone(),
            mapping: Some(declared.mapping.clone().unwrap_or_default())
                .filter(|_| declared.layers != LayerSelection::All),
            layers,
            metadata: DatasetMetadata::default(),
            expected_version: Some(self.version.number.0),
            fixes: None,
            size_bytes: Some(self.version.asset.size_bytes),
        })
    }
}

/// What a publisher declared according to the receipt, though the push says nothing of it: pushes from before declarations
/// were kept.
fn declared_and_not_kept(declared: &Declarations, receipt: &LayerReport) -> Option<&'static str> {
    let is_declared = |step: &str, by: &str| {
        let parameters = receipt.steps.iter().find(|found| found.step == step).map(|found| &found.parameters);
        parameters.and_then(|parameters| parameters.get(by)).is_some_and(|by| by == "the publisher")
    };
    // A mapping may have declared it.
    if declared.mapping.is_some() {
        return None;
    }
    if declared.crs.is_none() && is_declared("crs", "source_crs_by") {
        return Some("a crs");
    }
    (declared.encoding.is_none() && is_declared("text", "known_by")).then_some("an encoding")
}

/// The version of the rules that made a receipt: that of the first rule, which is always there.
fn rules_of(receipt: &LayerReport) -> String {
    receipt.steps.iter().find(|step| step.step == "text").map_or_else(String::new, |step| step.version.clone())
}

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
                    Box::pin(self.push_again(subject, rules)).await
                }
            }
        };
        response.result = Some(result.unwrap_or_else(|error| Answer::Failure(error.to_string())));
        response
    }

    async fn push_again(&self, subject: Subject, rules: &str) -> Result<Answer> {
        let upload = self.staging.claim(subject.header(rules)?).await?;
        let upload = blocking(move || {
            let mut upload = upload;
            upload.restart()?;
            copy(&subject, &mut upload)?;
            Ok(upload)
        })
        .await?;
        let ingested = self.ended(Box::pin(self.ingest_received(upload, std::future::pending()))).await?;
        let mut outcome = v1::PushOutcome::from(ingested.outcome);
        outcome.replayed = ingested.replayed;
        Ok(Answer::Outcome(outcome))
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
        let compared = self.compare(&upload.header, &upload.path(), subject, examples_max).await;
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
        let mut messages = self.ingest.adapters.read(&reading(header, path.to_owned(), &mapping)).await?;
        let limits = self.ingest.ipc_limits;
        let mut comparison = None;
        while let Some(message) = messages.next().await? {
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
                Message::Summary(_) => break,
                Message::AssetBegin(_)
                | Message::AssetData(_)
                | Message::AssetEnd(_)
                | Message::Verdicts(_)
                | Message::Quarantined(_)
                | Message::LayerEnd(_) => (),
            }
        }
        let comparison = comparison.ok_or_else(|| Error::data_loss("the adapter's answer has no layer"))?;
        blocking(move || comparison.finish(examples_max)).await
    }
}

/// Brings the stored bytes of a version into a staged push.
fn copy(subject: &Subject, upload: &mut Upload) -> Result<()> {
    let mut appending = Appending { upload, failed: None };
    let mut buffered = std::io::BufWriter::with_capacity(CHUNK_BYTES, &mut appending);
    let copied = subject.snapshot.copy_raw(&subject.version.asset, &mut buffered);
    let flushed = buffered.flush();
    drop(buffered);
    if let Some(error) = appending.failed {
        return Err(error);
    }
    copied?;
    flushed.map_err(|error| Error::internal("keeping the bytes of a push").caused_by(error))
}

/// Writes to a staged push, keeping the error that says why not.
struct Appending<'a> {
    upload: &'a mut Upload,
    failed: Option<Error>,
}

impl Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.upload.append(self.upload.offset(), bytes) {
            Ok(_) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(std::io::Error::other("the staged push takes no more"))
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_declared_before_declarations_were_kept_is_noticed() {
        let said = |step: &str, by: &str, who: &str| ukimet_model::ProcessStep {
            step: step.to_owned(),
            version: "1".to_owned(),
            parameters: [(by.to_owned(), who.to_owned())].into(),
            count: 0,
            examples: Vec::new(),
        };
        let receipt = |steps| LayerReport { steps, ..LayerReport::default() };
        let nothing = Declarations::default();
        let by_publisher = receipt(vec![said("crs", "source_crs_by", "the publisher")]);
        assert_eq!(declared_and_not_kept(&nothing, &by_publisher), Some("a crs"));
        let kept = Declarations { crs: Some("EPSG:28413".to_owned()), ..Declarations::default() };
        assert_eq!(declared_and_not_kept(&kept, &by_publisher), None);
        let by_source = receipt(vec![said("crs", "source_crs_by", "the source")]);
        assert_eq!(declared_and_not_kept(&nothing, &by_source), None);
        let encoded = receipt(vec![said("text", "known_by", "the publisher")]);
        assert_eq!(declared_and_not_kept(&nothing, &encoded), Some("an encoding"));
    }
}
