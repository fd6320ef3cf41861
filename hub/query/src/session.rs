//! What one query is planned and run with: its tables, its functions, its memory and its disk.

use crate::concatenation::ConcatenationPlanner;
use crate::functions::{aggregate_functions, scalar_functions, window_functions};
use crate::interrupt::{InterruptRule, Stop};
use crate::join::SpatialJoinRule;
use crate::limits::QueryLimits;
use crate::pool::{QueryPool, SharedMemory};
use crate::tables::{CATALOG, SCHEMA, SnapshotTables};
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use std::path::Path;
use std::sync::Arc;
use ukimet_catalog::Snapshot;

/// Rows that are worked on at once.
pub(crate) const BATCH_ROWS: usize = 16_384;
/// What a sort keeps free for merging what it wrote to the disk: a share of its memory, and at most so many bytes.
const MERGE_SHARE: usize = 16;
const MERGE_BYTES_MAX: usize = 10 << 20;

/// Everything that a query of this snapshot may see and use, until it is told to stop. Makes a folder for what does not fit in memory.
pub(crate) fn session(
    snapshot: Snapshot,
    limits: &QueryLimits,
    memory: &Arc<SharedMemory>,
    spill_dir: &Path,
    stop: &Stop,
) -> Result<SessionState> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill_dir.to_owned()]))
        .with_max_temp_directory_size(limits.spill_bytes_max);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(QueryPool::new(limits.memory_bytes_max, Arc::clone(memory))))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(ConcatenationPlanner));
    let config = SessionConfig::new()
        .with_target_partitions(limits.threads)
        .with_batch_size(BATCH_ROWS)
        .with_sort_spill_reservation_bytes((limits.memory_bytes_max / MERGE_SHARE).min(MERGE_BYTES_MAX))
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_information_schema(false);
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(SnapshotTables(snapshot)))
        .with_expr_planners(planners)
        .with_scalar_functions(scalar_functions())
        .with_aggregate_functions(aggregate_functions())
        .with_window_functions(window_functions())
        .with_physical_optimizer_rule(Arc::new(SpatialJoinRule))
        .with_physical_optimizer_rule(Arc::new(InterruptRule(stop.clone())))
        .build())
}
