//! What `ukimet diff` asks a hub: the two versions and the numbers over gRPC, the rows over Flight.

use super::DiffCommand;
use crate::client::Client;
use crate::diff::{ColumnChange, DiffFile, DiffFormat, DiffHeading, PageOptions, count_rows};
use crate::export::{DiffFrom, ExportRequest};
use crate::filter::WrittenFilter;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use jiff::Timestamp;
use std::cell::RefCell;
use std::fs::File;
use std::io::Seek;
use ukimet_model::{ChangeCounts, Error, Result, RowQuery, SnapshotId, VersionNumber, VersionSelector};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

impl DiffCommand {
    /// The two versions that are meant, by number, and if that is wanted how many rows differ.
    pub(super) async fn ask(&self, client: &Client, count: bool) -> Result<(DiffHeading, Option<ChangeCounts>)> {
        let (from, to) = match &self.to {
            None => (DiffFrom::Previous.to_string(), &self.from),
            Some(to) if to.dataset == self.from.dataset => (self.named(client).await?, to),
            Some(to) => {
                let message =
                    format!("versions of one dataset are compared, found {} and {}", self.from.dataset, to.dataset);
                return Err(Error::invalid_request(message));
            }
        };
        let request = v1::GetDiffRequest {
            dataset: to.to_string(),
            from,
            columns: self.columns.clone().unwrap_or_default(),
            bbox: self.bbox.map(Into::into),
            count,
            snapshot: self.snapshot,
            valid_at: self.valid.valid_at.clone().unwrap_or_default(),
            valid_during: self.valid.valid_during.clone().unwrap_or_default(),
            filter: self.filter.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let answer = client.catalog().get_diff(request).await.map_err(|status| from_status(&status))?.into_inner();
        let counts = answer.counts.map(Into::into);
        Ok((heading(to, answer, (self.asked()?, self.filter.clone()))?, counts))
    }

    /// The version that is compared with; the newest is asked for by its number.
    async fn named(&self, client: &Client) -> Result<String> {
        if let Some(version) = &self.from.version {
            return Ok(version.to_string());
        }
        let request = v1::GetDatasetRequest { dataset: self.from.to_string(), version: None, snapshot: self.snapshot };
        let found = client.catalog().get_dataset(request).await.map_err(|status| from_status(&status))?.into_inner();
        let version = found.dataset.and_then(|dataset| dataset.version);
        version.map(|version| version.number.to_string()).ok_or_else(|| Error::internal("the hub named no version"))
    }
}

fn heading(
    selector: &VersionSelector,
    answer: v1::GetDiffResponse,
    (asked, filter): (RowQuery, Option<WrittenFilter>),
) -> Result<DiffHeading> {
    let time = |time: Option<prost_types::Timestamp>| {
        let time = time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
        time.ok_or_else(|| Error::invalid_data("the hub sent a version without a time"))
    };
    let columns = answer.columns.into_iter();
    Ok(DiffHeading {
        dataset: selector.dataset.clone(),
        snapshot: SnapshotId(answer.snapshot),
        from: (VersionNumber(answer.from), time(answer.from_committed)?),
        to: (VersionNumber(answer.to), time(answer.to_committed)?),
        key: answer.key,
        columns: columns
            .map(|column| ColumnChange { name: column.name, before: column.type_before, after: column.type_after })
            .collect(),
        asked,
        reread: None,
        filter,
    })
}

/// Pulls the rows of a difference.
pub(super) async fn pull(
    client: &Client,
    heading: &DiffHeading,
    asked: &RowQuery,
    begin: impl FnOnce(SchemaRef) -> Result<()>,
    take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let request = ExportRequest {
        version: Some(heading.to.0.into()),
        diff_from: Some(DiffFrom::Version(heading.from.0.into())),
        columns: asked.columns.clone(),
        bbox: asked.bbox,
        filter: heading.filter.clone(),
        limit: asked.limit,
        ..ExportRequest::all(heading.dataset.clone().into())
    };
    client.pull(request.valid(asked.valid).to_json(), |schema, _| begin(schema), take).await
}

/// A difference that was written.
pub(super) struct Written {
    pub(super) counts: ChangeCounts,
    /// From its beginning.
    pub(super) file: File,
}

/// Writes a difference into a file, one without a name unless another is given.
pub(super) async fn write(
    client: &Client,
    heading: DiffHeading,
    format: DiffFormat,
    options: PageOptions,
    file: Option<File>,
) -> Result<Written> {
    let failed = |e| Error::unavailable("making a file for a difference").caused_by(e);
    let mut file = file.map_or_else(tempfile::tempfile, Ok).map_err(failed)?;
    let handle = file.try_clone().map_err(failed)?;
    let mut counts = ChangeCounts::default();
    // Both closures need it, one after the other.
    let target: RefCell<Option<DiffFile>> = RefCell::new(None);
    let asked = heading.asked.clone();
    pull(
        client,
        &heading.clone(),
        &asked,
        |schema| {
            *target.borrow_mut() = Some(DiffFile::create(format, handle, &schema, heading, options)?);
            Ok(())
        },
        |batch| {
            count_rows(&mut counts, &batch)?;
            target.borrow_mut().as_mut().expect("the schema comes before the rows").write(&batch)
        },
    )
    .await?;
    target.into_inner().expect("a pull that ended well has begun").finish()?;
    file.rewind().map_err(failed)?;
    Ok(Written { counts, file })
}
