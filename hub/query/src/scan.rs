//! Reads a version inside of a plan: its files in runs, one a partition, on threads that may block.

use crate::queries::Read;
use crate::refusal::passed_on;
use crate::session::BATCH_ROWS;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use ukimet_catalog::{Scan, ScanCounts, Snapshot};
use ukimet_model::{Dataset, Filter, RowQuery, SegmentRef, Term, Version};

/// Batches that are read ahead of whoever works on them.
const BATCHES_AHEAD_MAX: usize = 2;
/// Rows of a segment below which it is not worth reading in parts.
const PIECE_ROWS_MIN: u64 = 65_536;
/// Characters of a condition that a plan shows.
const FILTER_SHOWN_MAX: usize = 400;

/// Rows of a version that a condition takes, some of its columns.
#[derive(Debug)]
pub(crate) struct ScanExec {
    snapshot: Snapshot,
    dataset: Dataset,
    version: Version,
    query: RowQuery,
    /// What is read, a run a partition.
    runs: Vec<Run>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    pub(crate) fn new(
        snapshot: Snapshot,
        (dataset, version): (Dataset, Version),
        query: RowQuery,
        schema: SchemaRef,
        partitions: usize,
    ) -> Self {
        let runs = runs(&version.segments, partitions);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(runs.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { snapshot, dataset, version, query, runs, properties: Arc::new(properties), metrics }
    }
}

impl ScanExec {
    /// What is read, as a publisher learns of it.
    pub(crate) fn read(&self) -> Read {
        let mut columns = self.query.columns.clone();
        if let Some((columns, filter)) = columns.as_mut().zip(self.query.filter.as_ref()) {
            add_columns(filter, columns);
            columns.sort_unstable();
            columns.dedup();
        }
        (self.dataset.id.clone(), columns)
    }
}

/// A condition as a plan shows it.
fn shown(filter: &Filter) -> String {
    let of_term = |term: &Term| match term {
        Term::Column(name, _) => name.clone(),
        Term::Number(number) => number.to_string(),
        Term::Text(text) => format!("'{text}'"),
        Term::Flag(flag) => flag.to_string(),
        Term::Day(day) => day.to_string(),
        Term::Instant(instant) => instant.to_string(),
    };
    let of_each =
        |parts: &[Filter], word: &str| format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(word));
    match filter {
        Filter::All(parts) => of_each(parts, " AND "),
        Filter::Any(parts) => of_each(parts, " OR "),
        Filter::Not(part) => format!("NOT {}", shown(part)),
        Filter::Constant(is_true) => is_true.to_string(),
        Filter::IsNull(column) => format!("{column} IS NULL"),
        Filter::Compare { left, comparison, right } => format!("{} {comparison:?} {}", of_term(left), of_term(right)),
        Filter::Like { term, pattern } => format!("{} LIKE '{pattern}'", of_term(term)),
        Filter::Spatial { column, relation, geometry } => {
            format!("{column} {relation:?} a geometry of {} bytes", geometry.len())
        }
    }
}

/// The columns that a condition is about.
fn add_columns(filter: &Filter, columns: &mut Vec<String>) {
    let of_term = |term: &Term| if let Term::Column(name, _) = term { Some(name.clone()) } else { None };
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().for_each(|part| add_columns(part, columns)),
        Filter::Not(part) => add_columns(part, columns),
        Filter::Constant(_) => (),
        Filter::IsNull(column) | Filter::Spatial { column, .. } => columns.push(column.clone()),
        Filter::Compare { left, right, .. } => columns.extend([left, right].into_iter().filter_map(of_term)),
        Filter::Like { term, .. } => columns.extend(of_term(term)),
    }
}

/// Segments in a row, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    segments: Range<usize>,
    /// Rows at these places, if it is a part of one segment.
    places: Option<Range<u32>>,
}

impl Run {
    fn of(segments: Range<usize>) -> Self {
        Self { segments, places: None }
    }

    /// How many rows it has at most.
    fn rows(&self, segments: &[SegmentRef]) -> u64 {
        let rows = segments.get(self.segments.clone()).unwrap_or_default().iter().map(SegmentRef::live_rows).sum();
        self.places.as_ref().map_or(rows, |places| rows.min(places.len() as u64))
    }
}

/// Parts segments, in their order, into runs of about as many rows each, at most so many; one without segments.
fn runs(segments: &[SegmentRef], runs_max: usize) -> Vec<Run> {
    if let [segment] = segments
        && segment.rows >= PIECE_ROWS_MIN * 2
    {
        return pieces(segment.rows, (segment.rows / PIECE_ROWS_MIN).min(runs_max.max(1) as u64));
    }
    let rows: u64 = segments.iter().map(SegmentRef::live_rows).sum();
    let (share, mut runs, mut from, mut taken) = (rows.div_ceil(runs_max.max(1) as u64), Vec::new(), 0, 0);
    for (at, segment) in segments.iter().enumerate() {
        taken += segment.live_rows();
        if at + 1 == segments.len() || taken >= share * (runs.len() as u64 + 1) {
            runs.push(Run::of(from..at + 1));
            from = at + 1;
        }
    }
    if runs.is_empty() { vec![Run::of(0..0)] } else { runs }
}

/// About equally long parts of the first segment.
fn pieces(rows: u64, count: u64) -> Vec<Run> {
    let length = rows.div_ceil(count);
    let starts = (0..rows).step_by(length as usize);
    let piece = |start: u64| start as u32..(start + length).min(rows) as u32;
    starts.map(|start| Run { segments: 0..1, places: Some(piece(start)) }).collect()
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionScan: {}@{}, files={}", self.dataset.id, self.version.number, self.version.segments.len())?;
        if let Some(columns) = &self.query.columns {
            write!(f, ", columns=[{}]", columns.join(", "))?;
        }
        if let Some(filter) = &self.query.filter {
            let shown: String = shown(filter).chars().take(FILTER_SHOWN_MAX).collect();
            write!(f, ", filter={shown}")?;
        }
        self.query.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "VersionScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(run) = self.runs.get(partition).cloned() else {
            return internal_err!("a scan has {} partitions, asked for {partition}", self.runs.len());
        };
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), BATCHES_AHEAD_MAX);
        let (sender, listener) = (builder.tx(), builder.tx());
        let counters = Counters::new(&self.metrics, partition);
        let (snapshot, query) = (self.snapshot.clone(), self.query.clone());
        let (dataset, version) = (self.dataset.clone(), self.version.clone());
        builder.spawn_blocking(move || {
            let scan = snapshot.scan(&dataset, &version, &query, run.segments).map_err(passed_on)?;
            let scan = run.places.into_iter().fold(scan, Scan::at_places);
            let mut scan = scan.while_wanted(move || !listener.is_closed()).in_batches_of(BATCH_ROWS).counting();
            loop {
                let batch = scan.next();
                counters.show(
                    scan.counts(),
                    batch.as_ref().map_or(0, |batch| batch.as_ref().map_or(0, RecordBatch::num_rows)),
                );
                let Some(batch) = batch else { return Ok(()) };
                if sender.blocking_send(Ok(batch.map_err(passed_on)?)).is_err() {
                    return Ok(());
                }
            }
        });
        Ok(builder.build())
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let segments = &self.version.segments;
        let rows: u64 = match args.partition().and_then(|partition| self.runs.get(partition)) {
            Some(run) => run.rows(segments),
            None => segments.iter().map(SegmentRef::live_rows).sum(),
        };
        let rows = rows.min(self.query.limit.unwrap_or(u64::MAX)) as usize;
        let is_all = self.query.filter.is_none() && self.query.limit.is_none();
        // Of a part of a segment it is not known how many of its rows were removed.
        let is_whole = is_all && (args.partition().is_none() || self.runs.iter().all(|run| run.places.is_none()));
        let rows = if is_whole { Precision::Exact(rows) } else { Precision::Inexact(rows) };
        Ok(Arc::new(Statistics::new_unknown(&self.schema()).with_num_rows(rows)))
    }
}

/// What `EXPLAIN ANALYZE` shows of a scan.
struct Counters {
    output_rows: Count,
    segments: Count,
    segments_pruned: Count,
    rows: Count,
    rows_pruned: Count,
    pages: Count,
    pages_pruned: Count,
    bytes: Count,
    bytes_pruned: Count,
}

impl Counters {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            output_rows: MetricBuilder::new(metrics).output_rows(partition),
            segments: counter("files_read"),
            segments_pruned: counter("files_pruned"),
            rows: counter("rows_looked_at"),
            rows_pruned: counter("rows_pruned"),
            pages: counter("pages_read"),
            pages_pruned: counter("pages_pruned"),
            bytes: counter("bytes_read"),
            bytes_pruned: counter("bytes_pruned"),
        }
    }

    /// Brings the counters to what was counted, and adds the rows of a batch.
    fn show(&self, counts: ScanCounts, rows: usize) {
        self.output_rows.add(rows);
        let pairs = [
            (&self.segments, counts.segments),
            (&self.segments_pruned, counts.segments_pruned),
            (&self.rows, counts.rows),
            (&self.rows_pruned, counts.rows_pruned),
            (&self.pages, counts.pages),
            (&self.pages_pruned, counts.pages_pruned),
            (&self.bytes, counts.bytes),
            (&self.bytes_pruned, counts.bytes_pruned),
        ];
        for (counter, total) in pairs {
            counter.add((total as usize).saturating_sub(counter.value()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::Sha256;

    #[test]
    fn a_condition_is_shown_and_its_columns_are_told() {
        let floors = Term::Column("floors".to_owned(), ukimet_model::Folding::default());
        let tall =
            Filter::Compare { left: floors, comparison: ukimet_model::Comparison::Greater, right: Term::Number(5.0) };
        let named = Filter::Not(Box::new(Filter::IsNull("name".to_owned())));
        let here = Filter::Spatial {
            column: "geometry".to_owned(),
            relation: ukimet_model::SpatialRelation::Intersects,
            geometry: vec![0; 21],
        };
        let filter = Filter::All(vec![tall, Filter::Any(vec![named, here])]);
        let expected = "(floors Greater 5 AND (NOT name IS NULL OR geometry Intersects a geometry of 21 bytes))";
        assert_eq!(shown(&filter), expected);
        let mut columns = Vec::new();
        add_columns(&filter, &mut columns);
        assert_eq!(columns, ["floors", "name", "geometry"]);
    }

    #[test]
    fn segments_are_parted_into_runs_of_about_as_many_rows() {
        let hash = Sha256([0; 32]);
        let segment = |rows| SegmentRef {
            parquet: hash,
            rtree: None,
            keys: hash,
            rows,
            rows_with_place: 0,
            size_bytes: 1,
            deletes: None,
        };
        let runs = |rows: &[u64], max| {
            let runs = runs(&rows.iter().map(|rows| segment(*rows)).collect::<Vec<_>>(), max);
            let shown = runs.iter().map(|Run { segments, places }| match places {
                Some(places) => format!("{segments:?}:{places:?}"),
                None => format!("{segments:?}"),
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(runs(&[10; 4], 2), "0..2 2..4");
        assert_eq!(runs(&[100, 1, 1], 2), "0..1 1..3");
        assert_eq!(runs(&[5], 4), "0..1");
        assert_eq!(runs(&[], 4), "0..0");
        assert_eq!(runs(&[131_073], 2), "0..1:0..65537 0..1:65537..131073", "one large segment");
        assert_eq!(runs(&[200_000], 1), "0..1:0..200000");
        assert_eq!(runs(&[200_000, 1], 2), "0..1 1..2");
    }
}
