//! The step of a plan that joins by geometries: the left side is held, the right one goes past.

use super::build::BuildSide;
use super::pairs::Pairs;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use futures::{Stream, StreamExt, TryStreamExt};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;
use ukimet_model::SpatialRelation;

/// Pairs that are made at once.
const PAIRS_MAX: usize = 65_536;

/// What is joined by.
#[derive(Clone, Debug)]
pub(super) struct On {
    /// The geometry of the left side, over its columns.
    pub(super) left: Arc<dyn PhysicalExpr>,
    /// The geometry of the right side, over its columns.
    pub(super) right: Arc<dyn PhysicalExpr>,
    /// How that of the right side relates to that of the left one.
    pub(super) relation: SpatialRelation,
    /// What else is asked of a pair.
    pub(super) condition: Option<JoinFilter>,
    /// Where the columns of the answer come from.
    pub(super) columns: Vec<ColumnIndex>,
}

/// The join.
#[derive(Debug)]
pub(super) struct SpatialJoinExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    on: Arc<On>,
    /// Those of the join whose place it takes: the same rows in the same parts.
    properties: Arc<PlanProperties>,
    build: Arc<OnceCell<Arc<BuildSide>>>,
    metrics: ExecutionPlanMetricsSet,
}

impl SpatialJoinExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        on: Arc<On>,
        properties: Arc<PlanProperties>,
    ) -> Self {
        Self { left, right, on, properties, build: Arc::default(), metrics: ExecutionPlanMetricsSet::new() }
    }

    fn with(&self, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [left, right] = <[_; 2]>::try_from(children)
            .map_err(|found| DataFusionError::Internal(format!("a join has two sides, found {}", found.len())))?;
        Ok(Arc::new(Self::new(left, right, Arc::clone(&self.on), Arc::clone(&self.properties))))
    }
}

impl DisplayAs for SpatialJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let On { left, right, relation, condition, .. } = self.on.as_ref();
        write!(f, "SpatialJoin: {right} {relation:?} {left}")?;
        condition.as_ref().map_or(Ok(()), |condition| write!(f, ", and {}", condition.expression()))
    }
}

impl ExecutionPlan for SpatialJoinExec {
    fn name(&self) -> &'static str {
        "SpatialJoin"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition, Distribution::UnspecifiedDistribution])
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.with(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.with(children)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.on.left)?.visit_sibling(|| f(&self.on.right))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let right = self.right.execute(partition, Arc::clone(&context))?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let held = MetricBuilder::new(&self.metrics).counter("rows_held", partition);
        let asked = MetricBuilder::new(&self.metrics).counter("rows_asked", partition);
        let (left, on, build) = (Arc::clone(&self.left), Arc::clone(&self.on), Arc::clone(&self.build));
        let schema = self.schema();
        let probe = Probe { on: Arc::clone(&on), schema: Arc::clone(&schema), metrics, asked };
        let batches = futures::stream::once(async move {
            let build = build.get_or_try_init(|| hold(left, on, context, held)).await?;
            Ok::<_, DataFusionError>(probe.joined(Arc::clone(build), right))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Reads the side that is held, its memory counted.
async fn hold(
    left: Arc<dyn ExecutionPlan>,
    on: Arc<On>,
    context: Arc<TaskContext>,
    held: Count,
) -> Result<Arc<BuildSide>> {
    let memory = MemoryConsumer::new("the smaller side of a join by geometries").register(context.memory_pool());
    let partitions = left.properties().partitioning.partition_count();
    if partitions != 1 {
        return internal_err!("the side of a join that is held comes in one part, found {partitions}");
    }
    let mut batches = left.execute(0, context)?;
    let mut all = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        // Once as it comes, once more when all are put together.
        memory.try_grow(batch.get_array_memory_size() * 2)?;
        all.push(batch);
    }
    let rows = concat_batches(&left.schema(), &all)?;
    drop(all);
    held.add(rows.num_rows());
    let geometries = geometries_of(&on.left, &rows)?;
    Ok(Arc::new(BuildSide::new(rows, &geometries, on.relation, memory)?))
}

fn geometries_of(expression: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    let geometries = expression.evaluate(rows)?.into_array(rows.num_rows())?;
    if *geometries.data_type() != DataType::Binary {
        return internal_err!("a geometry is binary, found {}", geometries.data_type());
    }
    Ok(geometries)
}

/// The side that goes past.
struct Probe {
    on: Arc<On>,
    schema: SchemaRef,
    metrics: BaselineMetrics,
    asked: Count,
}

impl Probe {
    /// The rows that are found, batch after batch.
    fn joined(
        self,
        build: Arc<BuildSide>,
        right: SendableRecordBatchStream,
    ) -> impl Stream<Item = Result<RecordBatch>> + Send {
        let state = (self, build, right, None::<(RecordBatch, ArrayRef, usize)>);
        futures::stream::try_unfold(state, |(probe, build, mut right, mut open)| async move {
            loop {
                let Some((rows, geometries, from)) = open.take() else {
                    let Some(rows) = right.next().await.transpose()? else { return Ok(None) };
                    probe.asked.add(rows.num_rows());
                    let geometries = geometries_of(&probe.on.right, &rows)?;
                    open = Some((rows, geometries, 0));
                    continue;
                };
                let (found, next) = probe.find(&build, &rows, &geometries, from)?;
                if next < rows.num_rows() {
                    open = Some((rows, geometries, next));
                }
                // Pairs that nothing comes of take time as well.
                tokio::task::yield_now().await;
                if found.num_rows() > 0 {
                    return Ok(Some((found, (probe, build, right, open))));
                }
            }
        })
    }

    fn find(
        &self,
        build: &BuildSide,
        rows: &RecordBatch,
        geometries: &ArrayRef,
        from: usize,
    ) -> Result<(RecordBatch, usize)> {
        let _timer = self.metrics.elapsed_compute().timer();
        let (pairs, next) = Pairs::of(build, geometries, from, PAIRS_MAX)?;
        let matched = pairs.that(self.on.condition.as_ref(), &build.rows, rows)?;
        let found = matched.rows(&self.schema, &self.on.columns, &build.rows, rows)?;
        self.metrics.record_output(found.num_rows());
        Ok((found, next))
    }
}
