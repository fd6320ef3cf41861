//! The read path: a question becomes a snapshot's version, its schema, and batches.

mod diff;
mod diff_from;
mod digest;
mod receipt;
mod request;

use crate::api::body::catch_incident;
use crate::filter::FilterLimits;
use crate::report::{ReportRequest, ReportTable, find, table_of, write_report};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use std::fs::File;
use std::io::Seek;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use ukimet_catalog::{Catalog, Diff, PushRecord, RowOrder, Snapshot};
use ukimet_model::error::quoted;
use ukimet_model::{Dataset, ErasedRows, Error, Result, RowQuery, SnapshotId, TableRef, Version, VersionNumber};

pub use diff_from::DiffFrom;
pub use digest::RowsDigest;
pub use receipt::Receipts;
pub use request::{ExportRequest, TextForm};

/// The read path.
#[derive(Clone)]
pub struct Export {
    catalog: Catalog,
    running: Arc<Semaphore>,
    filters: FilterLimits,
    order_bytes_max: u64,
}

/// A request bound to the version it means.
pub struct Bound {
    /// The request with its version filled in.
    pub request: ExportRequest,
    /// Which rows it asks for.
    query: RowQuery,
    /// The dataset.
    pub dataset: Dataset,
    /// The version.
    pub version: Version,
    /// Columns as they will come.
    pub schema: SchemaRef,
    /// How many rows will come, if that is known.
    pub rows: Option<u64>,
    /// What was erased last from the version, or from the one that it is compared with.
    pub erased: Option<(VersionNumber, ErasedRows)>,
    /// Memory for putting rows into order, bytes.
    order_bytes_max: u64,
    snapshot: Snapshot,
    /// A table, and the push that it is kept with.
    table: Option<(PushRecord, TableRef)>,
    /// Columns of text that come as dictionaries.
    dictionaries: Vec<String>,
    /// The version that is compared with, and the rows that differ.
    diff: Option<Box<(Version, Diff)>>,
}

/// Batches of one export, read ahead by at most two.
pub type Batches = mpsc::Receiver<Result<RecordBatch>>;

/// How many batches are read ahead of a slow client.
const BATCHES_AHEAD_MAX: usize = 2;

impl Export {
    /// At most `exports_max` at the same time, each with `order_bytes_max` bytes of memory for putting rows into order.
    pub fn new(catalog: Catalog, exports_max: usize, filters: FilterLimits, order_bytes_max: u64) -> Self {
        Self { catalog, running: Arc::new(Semaphore::new(exports_max.max(1))), filters, order_bytes_max }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Snapshot {
        self.catalog.snapshot()
    }

    /// The snapshot with this number, the newest without one.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not there yet.
    pub fn snapshot_as_of(&self, id: Option<SnapshotId>) -> Result<Snapshot> {
        let newest = self.catalog.snapshot();
        id.map_or(Ok(newest.clone()), |id| newest.as_of(id))
    }

    /// Finds the version that a request means, and its schema. Blocks on the catalog's state.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset or version, `InvalidRequest` for an unknown column.
    pub fn bind(&self, request: ExportRequest) -> Result<Bound> {
        let snapshot = laid_out(self.snapshot_as_of(request.snapshot)?, &request);
        if let Some(table) = request.table {
            return bind_table(snapshot, request, table);
        }
        request.check_order()?;
        let query = request.rows(self.filters)?;
        if let Some(from) = request.diff_from.clone() {
            return diff::bind_diff(snapshot, request, query, &from);
        }
        let (dataset, version) = snapshot.version(&request.selector())?;
        let all = snapshot.schema(&version)?;
        let schema = match &request.columns {
            Some(columns) => project(&all, columns)?,
            None => all,
        };
        let dictionaries = match request.text {
            TextForm::Plain => Vec::new(),
            TextForm::Dictionary => snapshot.dictionary_columns(&dataset, &version)?,
        };
        let schema = Snapshot::with_dictionaries(&schema, &dictionaries);
        let erased = erased_last([&version]);
        // Whatever is laid out anew meanwhile, the bound request means the rows as they are stored now.
        let (number, layout) = (Some(version.number.into()), Some(version.layout.unwrap_or_default()));
        let request = ExportRequest { version: number, layout, snapshot: None, ..request };
        snapshot.check_query(&dataset, &version, &query)?;
        snapshot.check_order(&version, request.order.as_deref().unwrap_or_default())?;
        let is_whole = query == RowQuery { columns: query.columns.clone(), ..RowQuery::default() };
        let rows = is_whole.then_some(version.rows);
        let (table, diff, order_bytes_max) = (None, None, self.order_bytes_max);
        Ok(Bound {
            request,
            query,
            dataset,
            version,
            schema,
            rows,
            erased,
            order_bytes_max,
            snapshot,
            table,
            dictionaries,
            diff,
        })
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
        write_report(&self.snapshot_as_of(request.snapshot)?, request, scratch, &file)?;
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
            if let Err(error) = catch_incident(|| send_batches(bound, &sender, permit)) {
                // A client that left does not hear it.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(batches)
    }
}

/// A snapshot with rows in the files that the request means.
fn laid_out(snapshot: Snapshot, request: &ExportRequest) -> Snapshot {
    match request.layout.or_else(|| request.segments.map(|_| SnapshotId(0))) {
        Some(layout) => snapshot.laid_out_as_of(layout),
        None => snapshot,
    }
}

fn send_batches(bound: Bound, sender: &mpsc::Sender<Result<RecordBatch>>, _permit: OwnedSemaphorePermit) -> Result<()> {
    if let Some(diff) = bound.diff {
        return send_all(diff.1, sender);
    }
    if bound.request.table.is_some() {
        let Some((record, table)) = bound.table else { return Ok(()) };
        return send_all(bound.snapshot.table(&record, &table)?, sender);
    }
    let segments = segments(&bound)?;
    let listener = sender.clone();
    if let Some(columns) = &bound.request.order {
        let order = RowOrder { columns, bytes_max: bound.order_bytes_max };
        let rows = (&bound.dataset, &bound.version);
        let scan = bound.snapshot.scan_in_order(rows, &bound.query, segments, order)?;
        return send_all(scan.while_wanted(move || !listener.is_closed()), sender);
    }
    let scan = bound.snapshot.scan(&bound.dataset, &bound.version, &bound.query, segments)?;
    let scan = scan.with_dictionaries(bound.dictionaries);
    let scan = match bound.request.places {
        Some((from, to)) => scan.at_places(from..to),
        None => scan,
    };
    send_all(scan.while_wanted(move || !listener.is_closed()), sender)
}

/// Sends batches until there are no more, or nobody listens.
fn send_all(
    batches: impl Iterator<Item = Result<RecordBatch>>,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    for batch in batches {
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
    let kept = table.map(|table| snapshot.table(&subject.record, &table)).transpose()?;
    let schema = kept.map_or(empty, |table| table.schema());
    let (version, push_id) = (Some(subject.version.number.into()), Some(subject.record.push_id.clone()));
    let request = ExportRequest { version, push_id, snapshot: None, ..request };
    let rows = Some(table.map_or(0, |table| table.rows));
    let table = table.map(|table| (subject.record, table));
    let (dataset, version) = (subject.dataset, subject.version);
    let erased = erased_last([&version]);
    let query = RowQuery::default();
    let (dictionaries, diff, order_bytes_max) = (Vec::new(), None, 0);
    Ok(Bound {
        request,
        query,
        dataset,
        version,
        schema,
        rows,
        erased,
        order_bytes_max,
        snapshot,
        table,
        dictionaries,
        diff,
    })
}

/// What was erased last from one of some versions.
fn erased_last<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Option<(VersionNumber, ErasedRows)> {
    let erased = versions.into_iter().filter_map(|version| Some((version.number, version.erased.clone()?)));
    erased.max_by_key(|(_, erased)| erased.snapshot)
}

impl Bound {
    /// Whether it is a version, or a part of one, with all of its rows.
    pub fn is_whole(&self) -> bool {
        self.rows.is_some() && self.request.table.is_none() && self.request.limit.is_none() && self.diff.is_none()
    }

    /// What the rows and their order follow from: the files that hold them, and the question.
    pub fn identity(&self) -> serde_json::Value {
        let Self { dataset, version, request, .. } = self;
        serde_json::json!({
            "dataset": dataset.uuid,
            "version": [version.number.0, version.root_hash, version.segments],
            "request": ExportRequest { layout: None, ..request.clone() },
        })
    }

    /// The commit of the last erasure of what is read.
    pub fn erased_in(&self) -> Option<SnapshotId> {
        self.erased.as_ref().map(|(_, erased)| erased.snapshot)
    }

    /// Checks that nothing was erased since the ticket was made that is read: it would not lead to the same bytes.
    ///
    /// # Errors
    ///
    /// `Conflict` with when how many rows were erased; `NotFound` if the files that the ticket means went with rows of others.
    pub fn check_ticket(&self) -> Result<()> {
        match &self.erased {
            Some((version, erased)) if self.request.erased_in != Some(erased.snapshot) => {
                Err(erased.refusal(&format!("{}@{version}", self.dataset.id)))
            }
            _ if self.request.table.is_some() => Ok(()),
            _ => self.snapshot.check_laid_out(&self.dataset, &self.version),
        }
    }
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
