//! The engine: a question becomes a plan and an answer, within the limits of one query and of all together.

use crate::interrupt::Stop;
use crate::limits::QueryLimits;
use crate::planning::{on_deep_thread, parameter_schema, plan};
use crate::pool::SharedMemory;
use crate::refusal::refusal;
use crate::scan::ScanExec;
use crate::session::session;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::executor::block_on;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use ukimet_catalog::{Catalog, Snapshot};
use ukimet_model::{DatasetId, Error, Result, SnapshotId};

/// Batches that are there before the client takes them.
const BATCHES_AHEAD_MAX: usize = 2;
/// Folder of what queries write when their memory is full, in the one that is given.
const SPILLED: &str = "sql";

/// A statement, what it is asked of, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The text.
    pub sql: String,
    /// The snapshot that its tables are versions of; `None` for the newest.
    pub snapshot: Option<SnapshotId>,
    /// One row with a value for each of `$1`, `$2` and so on.
    pub parameters: Option<RecordBatch>,
}

/// What a question will be answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Columns of the answer.
    pub schema: SchemaRef,
    /// Parameters of the statement, by number; of type null where nothing says what they are.
    pub parameters: Schema,
    /// The snapshot that was looked at.
    pub snapshot: SnapshotId,
}

/// Rows as they are found; when it is dropped, the query ends.
#[derive(Debug)]
pub struct Answer {
    /// Columns of every batch.
    pub schema: SchemaRef,
    /// The batches; an error is the last thing that comes.
    pub batches: mpsc::Receiver<Result<RecordBatch>>,
    /// What of which datasets is read for it.
    pub reads: Vec<Read>,
}

/// A dataset and those of its columns that are read, for conditions too; `None` for all.
pub type Read = (DatasetId, Option<Vec<String>>);

/// Answers SQL, each query on threads of its own. Cheap to clone.
#[derive(Clone)]
pub struct Queries(Arc<Engine>);

struct Engine {
    catalog: Catalog,
    limits: QueryLimits,
    memory: Arc<SharedMemory>,
    running: Arc<Semaphore>,
    spill_dir: PathBuf,
}

/// The threads of one query: a query that keeps them busy takes nobody else's. Dropping them ends the query, as soon as
/// each thread looks up from what it does.
struct Threads {
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
    stop: Stop,
}

impl Threads {
    fn new(count: usize, stop: Stop) -> Result<Self> {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = threads.worker_threads(count).thread_name("sql").enable_time().build();
        let runtime = runtime.map_err(|e| Error::unavailable("starting the threads of a query").caused_by(e))?;
        Ok(Self { runtime: Some(runtime), stop })
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its threads is not allowed where futures run.
            runtime.shutdown_background();
        }
    }
}

/// What runs.
struct Prepared {
    physical: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    stop: Stop,
}

impl Queries {
    /// Removes what a killed process left in the folder `sql` of `scratch_dir`, where queries write
    /// what their memory does not hold.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for limits that could not hold, `Unavailable` if the folder cannot be made.
    pub fn open(catalog: Catalog, scratch_dir: &Path, limits: QueryLimits) -> Result<Self> {
        limits.check()?;
        let spill_dir = scratch_dir.join(SPILLED);
        let failed = |e| Error::unavailable("making the folder of what queries write").caused_by(e);
        if spill_dir.exists() {
            std::fs::remove_dir_all(&spill_dir).map_err(failed)?;
        }
        std::fs::create_dir_all(&spill_dir).map_err(failed)?;
        let memory = Arc::new(SharedMemory::new(limits.memory_total_bytes_max));
        let running = Arc::new(Semaphore::new(limits.running_max));
        Ok(Self(Arc::new(Engine { catalog, limits, memory, running, spill_dir })))
    }

    /// How much a query may cost.
    pub fn limits(&self) -> &QueryLimits {
        &self.0.limits
    }

    /// What a question will be answered with; nothing is read but descriptions. Its parameters need no values.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for a statement that is none or not allowed, `NotFound` for a table or snapshot that is not there,
    /// `LimitReached` for one that is too long, too deep or too much at once, `TimedOut` if it cannot be planned in time.
    pub async fn describe(&self, question: Question) -> Result<Described> {
        let permit = self.permit()?;
        let queries = self.clone();
        let work = move || block_on(queries.described(&question));
        on_deep_thread(self.0.limits.planning_max, permit, work).await
    }

    async fn described(&self, question: &Question) -> Result<Described> {
        let snapshot = self.snapshot(question)?;
        let id = snapshot.id();
        let (limits, memory, dir) = (&self.0.limits, &self.0.memory, &self.0.spill_dir);
        let state = session(snapshot, limits, memory, dir, &Stop::default()).map_err(|error| refusal(&error))?;
        let plan = plan(&state, question, limits).await?;
        let parameters = parameter_schema(&plan)?;
        let schema = if parameters.fields().is_empty() {
            state.create_physical_plan(&plan).await.map_err(|error| refusal(&error))?.schema()
        } else {
            Arc::new(plan.schema().as_arrow().clone())
        };
        Ok(Described { schema, parameters, snapshot: id })
    }

    /// Answers a question.
    ///
    /// # Errors
    ///
    /// As [`Queries::describe`]. What is met on the way comes behind the batches: `TimedOut` after the time that a query
    /// may work, `LimitReached` for more rows, memory or disk than it may have.
    pub async fn answer(&self, question: Question) -> Result<Answer> {
        let permit = self.permit()?;
        let (queries, limits) = (self.clone(), self.0.limits);
        let work = move || {
            let prepared = block_on(queries.prepared(&question))?;
            Ok((prepared, permit))
        };
        let (prepared, permit) = on_deep_thread(limits.planning_max, (), work).await?;
        let (schema, mut reads) = (prepared.physical.schema(), Vec::new());
        add_reads(prepared.physical.as_ref(), &mut reads);
        let (sender, found) = mpsc::channel(1);
        let threads = Threads::new(limits.threads, prepared.stop.clone())?;
        threads.spawn(run(prepared, Arc::clone(&schema), sender, permit));
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        tokio::spawn(relay(threads, found, sender, limits));
        Ok(Answer { schema, batches, reads })
    }

    async fn prepared(&self, question: &Question) -> Result<Prepared> {
        let (snapshot, limits) = (self.snapshot(question)?, &self.0.limits);
        let (dir, stop) = (&self.0.spill_dir, Stop::default());
        let state = session(snapshot, limits, &self.0.memory, dir, &stop).map_err(|error| refusal(&error))?;
        let plan = plan(&state, question, limits).await?;
        let physical = state.create_physical_plan(&plan).await.map_err(|error| refusal(&error))?;
        Ok(Prepared { physical, context: state.task_ctx(), stop })
    }

    fn snapshot(&self, question: &Question) -> Result<Snapshot> {
        let newest = self.0.catalog.snapshot();
        question.snapshot.map_or(Ok(newest.clone()), |id| newest.as_of(id))
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.0.running).try_acquire_owned().map_err(|_| {
            Error::limit_reached("as many queries are running as sql-running-max allows, try again shortly")
        })
    }
}

/// What the steps of a plan read.
fn add_reads(step: &dyn ExecutionPlan, reads: &mut Vec<Read>) {
    reads.extend((step as &dyn Any).downcast_ref::<ScanExec>().map(ScanExec::read));
    for child in step.children() {
        add_reads(child.as_ref(), reads);
    }
}

/// Runs a query until it ends or nobody listens. Holds its permit until it is really over.
async fn run(
    prepared: Prepared,
    schema: SchemaRef,
    found: mpsc::Sender<Result<RecordBatch>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut batches: SendableRecordBatchStream = match execute_stream(prepared.physical, prepared.context) {
        Ok(batches) => batches,
        Err(error) => return drop(found.send(Err(refusal(&error))).await),
    };
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| refusal(&error)).and_then(|batch| as_described(&batch, &schema));
        let is_last = batch.is_err();
        if found.send(batch).await.is_err() || is_last {
            return;
        }
    }
}

/// A batch with the very columns that were described.
fn as_described(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|e| Error::internal("a query gave other columns than its plan").caused_by(e))
}

/// Hands batches on and ends the query at its limits: beside the threads that work, which a query may keep busy.
async fn relay(
    _threads: Threads,
    mut found: mpsc::Receiver<Result<RecordBatch>>,
    sender: mpsc::Sender<Result<RecordBatch>>,
    limits: QueryLimits,
) {
    let (mut time_left, mut rows_left) = (limits.time_max, limits.rows_max);
    loop {
        let begin = Instant::now();
        let next = tokio::select! {
            next = tokio::time::timeout(time_left, found.recv()) => next,
            () = sender.closed() => return,
        };
        time_left = time_left.saturating_sub(begin.elapsed());
        let batch = match next {
            Ok(None) => return,
            Ok(Some(batch)) => batch.and_then(|batch| counted(batch, &mut rows_left, limits.rows_max)),
            Err(_) => Err(too_long(limits.time_max)),
        };
        let is_last = batch.is_err();
        // A client that takes nothing for so long is gone, or as good as that.
        let sent = tokio::time::timeout(limits.time_max, sender.send(batch)).await;
        if !matches!(sent, Ok(Ok(()))) || is_last {
            return;
        }
    }
}

fn counted(batch: RecordBatch, rows_left: &mut u64, rows_max: u64) -> Result<RecordBatch> {
    let left = rows_left.checked_sub(batch.num_rows() as u64);
    *rows_left = left.ok_or_else(|| {
        Error::limit_reached(format!(
            "an answer has at most {rows_max} rows (sql-rows-max): ask for fewer, or export the dataset"
        ))
    })?;
    Ok(batch)
}

fn too_long(time_max: Duration) -> Error {
    Error::timed_out(format!("the query worked longer than {} s (sql-time-max)", time_max.as_secs_f64()))
}
