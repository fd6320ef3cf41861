//! Compactions in the background: when files of a version are written anew, and by whom.

use crate::config::{parse_share, parse_time};
use clap::Args;
use std::collections::BTreeSet;
use std::time::Duration;
use ukimet_catalog::{Catalog, CompactionScope};
use ukimet_model::{DatasetId, ErrorKind, Result, SnapshotId};

/// When files of a version are written anew.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompactionLimits {
    /// Share of the rows in the files of a newest version, 0 to 1, that may be deleted ones; above it the files with the most
    /// are written anew without them. It is what reading may cost more. 1 for never.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share)]
    pub compact_deleted_share: f64,

    /// Small files of a newest version, which could hold twice their rows; with more, the smallest are put together. 0 for
    /// any number.
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub compact_segments_max: usize,

    /// How long files stay that others took the place of: tickets from before go on being answered with the same bytes.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_time)]
    pub compact_keep: Duration,
}

/// How often commits are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who the log says it was.
const PRINCIPAL: &str = "hub";

/// Compacts, one after the other, the datasets that pushes took past the limits. Does not end.
pub(crate) async fn compact_now_and_then(catalog: &Catalog) {
    let options = catalog.options();
    if options.compact_deleted_share >= 1.0 && options.compact_segments_max == 0 {
        return std::future::pending().await;
    }
    let mut worker = Worker { catalog: catalog.clone(), seen: SnapshotId(0), waiting: BTreeSet::new() };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let ended = tokio::task::spawn_blocking(move || {
            worker.look();
            worker
        });
        worker = match ended.await {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!(%error, "compactions ended; the next start goes on with them");
                return std::future::pending().await;
            }
        };
    }
}

/// Knows which datasets may be past a limit.
struct Worker {
    catalog: Catalog,
    /// The snapshot whose changes are known.
    seen: SnapshotId,
    waiting: BTreeSet<DatasetId>,
}

impl Worker {
    /// Compacts what changed since the last look.
    fn look(&mut self) {
        let snapshot = self.catalog.snapshot();
        if snapshot.id() != self.seen {
            match snapshot.changed_since(self.seen) {
                Ok(changed) => self.waiting.extend(changed),
                Err(error) => return tracing::warn!(%error, "what changed is not known: nothing is compacted"),
            }
            self.seen = snapshot.id();
        }
        drop(snapshot);
        for dataset in std::mem::take(&mut self.waiting) {
            match self.compact(&dataset) {
                Ok(()) => (),
                // Pushes came first; they are looked at again.
                Err(error) if error.kind() == ErrorKind::Unavailable => drop(self.waiting.insert(dataset)),
                Err(error) => tracing::warn!(%dataset, %error, "the dataset was not compacted"),
            }
        }
    }

    fn compact(&self, dataset: &DatasetId) -> Result<()> {
        let done = self.catalog.compact(dataset, CompactionScope::PastLimits, PRINCIPAL)?;
        if done.snapshot.is_some() {
            let (version, before, after) = (done.version, done.segments_before, done.segments_after);
            let (rows, dropped) = (done.rows_rewritten, done.rows_dropped);
            tracing::info!(%dataset, %version, before, after, rows, dropped, "segments were compacted");
        }
        Ok(())
    }
}
