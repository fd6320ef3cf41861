//! The read path: a question becomes a snapshot's version, its schema, and batches.

use crate::api::body::catch_incident;
use crate::report::{ReportRequest, ReportTable, find, table_of, write_report};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Seek;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use ukimet_catalog::{Catalog, Snapshot};
use ukimet_model::error::quoted;
use ukimet_model::{
    BoundingBox, Dataset, DatasetId, Error, PushId, Result, RowQuery, TableRef, Version, VersionNumber, VersionSelector,
};

/// What is asked of one version, as a Flight command and inside a ticket: JSON.
///
/// `{"dataset": "almaty/schools", "version": 7, "columns": ["name", "geometry"], "bbox": [76.7, 43.1, 77.0, 43.4], "limit": 100}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version; `None` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionNumber>,
    /// Columns in this order; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Rows whose geometry shares a place with this box, OGC:CRS84.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbox: Option<BoundingBox>,
    /// How many rows at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which of the version's segments, `[from, to)`; `None` for all. Only tickets say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<(usize, usize)>,
    /// A table of the push instead of the rows; `None` for the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<ReportTable>,
    /// The push whose table is meant; `None` for the one that made the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_id: Option<PushId>,
}

impl ExportRequest {
    /// Everything of one dataset or version.
    pub fn all(selector: VersionSelector) -> Self {
        Self {
            dataset: selector.dataset,
            version: selector.version,
            columns: None,
            bbox: None,
            limit: None,
            segments: None,
            table: None,
            push_id: None,
        }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is not of the form, or the box or the column list is impossible.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let request: Self = serde_json::from_slice(text).map_err(|e| {
            Error::invalid_request(format!("a command is JSON such as {{\"dataset\": \"almaty/schools\"}}: {e}"))
        })?;
        if let Some(b) = request.bbox {
            BoundingBox::try_new(b.west, b.south, b.east, b.north)?;
        }
        if request.columns.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid_request("columns names at least one column, or is left out for all"));
        }
        request.check_table()?;
        Ok(request)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a request is plain data")
    }

    /// A table of a push: the one that made the version, or a named one.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is asked for columns, a box, a limit or segments: a table of a push is read whole.
    pub fn check_table(&self) -> Result<()> {
        let is_part = self.columns.is_some() || self.bbox.is_some() || self.limit.is_some() || self.segments.is_some();
        match (self.table, &self.push_id) {
            (Some(_), _) if is_part => Err(Error::invalid_request(
                "a table of a push is read whole, without columns, bbox, limit and segments",
            )),
            (None, Some(_)) => Err(Error::invalid_request("push_id goes with table: verdicts or quarantine")),
            _ => Ok(()),
        }
    }

    fn selector(&self) -> VersionSelector {
        VersionSelector { dataset: self.dataset.clone(), version: self.version }
    }

    fn rows(&self) -> RowQuery {
        RowQuery { columns: self.columns.clone(), bbox: self.bbox, limit: self.limit }
    }
}

/// The read path.
#[derive(Clone)]
pub struct Export {
    catalog: Catalog,
    running: Arc<Semaphore>,
}

/// A request bound to the version it means.
pub struct Bound {
    /// The request with its version filled in.
    pub request: ExportRequest,
    /// The dataset.
    pub dataset: Dataset,
    /// The version.
    pub version: Version,
    /// Columns as they will come.
    pub schema: SchemaRef,
    /// How many rows will come, if that is known.
    pub rows: Option<u64>,
    snapshot: Snapshot,
    table: Option<TableRef>,
}

/// Batches of one export, read ahead by at most two.
pub type Batches = mpsc::Receiver<Result<RecordBatch>>;

/// How many batches are read ahead of a slow client.
const BATCHES_AHEAD_MAX: usize = 2;

impl Export {
    /// At most `exports_max` at the same time.
    pub fn new(catalog: Catalog, exports_max: usize) -> Self {
        Self { catalog, running: Arc::new(Semaphore::new(exports_max.max(1))) }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.catalog.snapshot()
    }

    /// Finds the version that a request means, and its schema. Blocks on the catalog's state.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset or version, `InvalidRequest` for an unknown column.
    pub fn bind(&self, request: ExportRequest) -> Result<Bound> {
        let snapshot = self.catalog.snapshot();
        if let Some(table) = request.table {
            return bind_table(snapshot, request, table);
        }
        let (dataset, version) = snapshot.version(&request.selector())?;
        let all = snapshot.schema(&version)?;
        let schema = match &request.columns {
            Some(columns) => project(&all, columns)?,
            None => all,
        };
        let request = ExportRequest { version: Some(version.number), ..request };
        let rows = (request.limit.is_none() && request.bbox.is_none()).then_some(version.rows);
        Ok(Bound { request, dataset, version, schema, rows, snapshot, table: None })
    }

    /// Writes the report on a push into a file without a name, read from its beginning. Blocks on the catalog.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset, version or push; `LimitReached` if too many exports are running.
    pub fn report(&self, request: &ReportRequest) -> Result<File> {
        let failed = |e| Error::unavailable("making a file for a report").caused_by(e);
        let _permit = self.permit()?;
        let scratch = self.catalog.scratch_dir();
        let mut file = tempfile::tempfile_in(scratch).map_err(failed)?;
        write_report(&self.catalog.snapshot(), request, scratch, &file)?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.running)
            .try_acquire_owned()
            .map_err(|_| Error::limit_reached("as many exports are running as exports-max allows, try again shortly"))
    }

    /// Reads a bound request on a thread of its own.
    ///
    /// # Errors
    ///
    /// `LimitReached` if too many exports are running.
    pub fn read(&self, bound: Bound) -> Result<Batches> {
        let permit = self.permit()?;
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = catch_incident(|| send_batches(&bound, &sender, permit)) {
                // A client that left does not hear it.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(batches)
    }
}

fn send_batches(
    bound: &Bound,
    sender: &mpsc::Sender<Result<RecordBatch>>,
    _permit: OwnedSemaphorePermit,
) -> Result<()> {
    if bound.request.table.is_some() {
        return bound.table.as_ref().map_or(Ok(()), |table| send_table(bound, table, sender));
    }
    let segments = segments(bound)?;
    for batch in bound.snapshot.scan(&bound.dataset, &bound.version, &bound.request.rows(), segments)? {
        if sender.blocking_send(Ok(batch?)).is_err() {
            break;
        }
    }
    Ok(())
}

/// The table of a push that a request means. It is found with the push, so it is there as long as the version.
fn bind_table(snapshot: Snapshot, request: ExportRequest, table: ReportTable) -> Result<Bound> {
    let subject = find(&snapshot, &request.selector(), request.push_id.as_ref())?;
    let (table, empty) = table_of(&subject.layer, table);
    let schema = table.map(|table| snapshot.table(&table)).transpose()?.map_or(empty, |table| table.schema());
    let (version, push_id) = (Some(subject.version.number), Some(subject.record.push_id));
    let request = ExportRequest { version, push_id, ..request };
    let rows = Some(table.map_or(0, |table| table.rows));
    Ok(Bound { request, dataset: subject.dataset, version: subject.version, schema, rows, snapshot, table })
}

fn send_table(bound: &Bound, table: &TableRef, sender: &mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
    for batch in bound.snapshot.table(table)? {
        if sender.blocking_send(Ok(batch?)).is_err() {
            break;
        }
    }
    Ok(())
}

fn segments(bound: &Bound) -> Result<Range<usize>> {
    let count = bound.version.segments.len();
    match bound.request.segments {
        None => Ok(0..count),
        Some((from, to)) if from <= to && to <= count => Ok(from..to),
        Some((from, to)) => {
            Err(Error::invalid_request(format!("the version has {count} segments, asked for {from} to {to}")))
        }
    }
}

fn project(schema: &Schema, columns: &[String]) -> Result<SchemaRef> {
    let fields = columns.iter().map(|name| {
        schema.field_with_name(name).cloned().map_err(|_| {
            let known: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            Error::invalid_request(format!("there is no column {}; columns are {}", quoted(name), known.join(", ")))
        })
    });
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_json_that_means_one_thing() {
        let request = ExportRequest::from_json(br#"{"dataset":"a/b","version":2,"bbox":[1,2,3,4]}"#).expect("valid");
        assert_eq!(request.version, Some(VersionNumber(2)));
        assert_eq!(ExportRequest::from_json(&request.to_json()).expect("own text"), request);
        for invalid in [
            r#"{"dataset":"a"}"#,
            r#"{"dataset":"a/b","colums":["x"]}"#,
            r#"{"dataset":"a/b","columns":[]}"#,
            r#"{"dataset":"a/b","bbox":[1,2,3]}"#,
            r#"{"dataset":"a/b","bbox":[1,99,3,100]}"#,
            r#"{"dataset":"a/b","table":"rows"}"#,
            r#"{"dataset":"a/b","table":"verdicts","limit":1}"#,
            r#"{"dataset":"a/b","push_id":"p"}"#,
            "",
        ] {
            assert!(ExportRequest::from_json(invalid.as_bytes()).is_err(), "{invalid}");
        }
    }
}
