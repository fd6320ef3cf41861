//! Keys that no version has, and pushes that may have held them all the same: what becomes of those is asked.

use super::ErasureIntent;
use super::remove::needed_unread;
use crate::catalog::Shared;
use crate::erasure::Erasures;
use crate::paths;
use crate::push::PushRecord;
use crate::state::{Record, each_record};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Whether a push held one of the rows that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Held {
    No,
    /// Nobody can tell any more: its version is gone, or a table says too little.
    Perhaps,
    Yes,
}

impl Held {
    pub(super) fn certain(is_held: bool) -> Self {
        if is_held { Self::Yes } else { Self::No }
    }
}

/// How many keys and pushes a message names.
const NAMED_MAX: usize = 10;

/// The error for keys that no version has if pushes that may have held them would lose what is kept of them.
pub(super) fn refuse_doubt(
    shared: &Shared,
    intent: &ErasureIntent,
    unmet: &[usize],
    in_doubt: Vec<&PushRecord>,
) -> Result<()> {
    let kept = kept(shared, in_doubt)?;
    if kept.is_empty() {
        return Ok(());
    }
    let keys = unmet.iter().map(|number| key_text(intent, *number));
    let pushes = kept.iter().map(|record| format!("{} ({} bytes)", record.push_id, record.asset.size_bytes));
    let (few, all) = (unmet.len(), intent.keys.len());
    let bytes: u64 = kept.iter().map(|record| record.asset.size_bytes).sum();
    Err(Error::undeclared(format!(
        "no version of {} has {few} of {all} keys: {}\n  what was sent with {} pushes, {bytes} bytes, may hold them and would \
         go for good: {}\n  nothing was erased: correct these keys or leave them out, or let such bytes go with \
         --bytes-in-doubt (bytes_in_doubt)",
        intent.dataset,
        named(keys),
        kept.len(),
        named(pushes),
    )))
}

/// Those of which bytes as sent or tables are kept.
fn kept<'a>(shared: &Shared, records: Vec<&'a PushRecord>) -> Result<Vec<&'a PushRecord>> {
    if records.is_empty() {
        return Ok(records);
    }
    let needed = shared.state.read_pairs(needed_unread)?;
    let erasures = shared.state.read_pairs(|pairs| {
        let mut erasures = Erasures::default();
        each_record(pairs, &mut |_, record| {
            if let Record::Erasure { dataset, erasure } = record {
                erasures.add(&dataset, &erasure);
            }
            Ok(())
        })?;
        Ok(erasures)
    })?;
    let is_kept = |record: &&PushRecord| {
        let tables = record.tables().map(|table| paths::receipt(&table.sha256));
        let mut of_push = tables.chain([paths::raw(&record.asset.sha256)]);
        let left = erasures.objects_of(record);
        of_push.any(|key| left.contains(&key) && needed.contains(&key))
    };
    Ok(records.into_iter().filter(is_kept).collect())
}

fn key_text(intent: &ErasureIntent, number: usize) -> String {
    let pairs = intent.columns.iter().zip(&intent.keys[number]);
    let pairs: Vec<String> = pairs.map(|(column, value)| format!("{column}={}", quoted(value))).collect();
    pairs.join(" ")
}

fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED_MAX);
    let mut named: Vec<String> = all.take(NAMED_MAX).collect();
    named.extend((more > 0).then(|| format!("and {more} more")));
    named.join(", ")
}
