//! Keys that no version has, and pushes that may have held them all the same: what becomes of those is asked.

use super::ErasureIntent;
use super::remove::needed_unread;
use crate::catalog::Shared;
use crate::erasure::Erasures;
use crate::paths;
use crate::push::PushRecord;
use crate::state::{Record, each_record};
use std::collections::BTreeMap;
use ukimet_model::error::quoted;
use ukimet_model::{Asset, Error, PushId, Result};

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

/// How many keys a message names, and with how many characters: messages are cut on their way, and all lines are to arrive.
const KEYS_NAMED: (usize, usize) = (3, 200);
/// The same of pushes.
const PUSHES_NAMED: (usize, usize) = (5, 300);
/// How many characters a message has of one key.
const KEY_CHARACTERS_MAX: usize = 80;

/// A push of which bytes as sent or tables are kept.
struct Kept<'a> {
    push_id: &'a PushId,
    /// `None` if only tables are.
    raw: Option<&'a Asset>,
}

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
    Err(Error::undeclared(message(intent, unmet, &kept)))
}

/// What to do comes first, what it is about after it.
fn message(intent: &ErasureIntent, unmet: &[usize], kept: &[Kept<'_>]) -> String {
    let keys = unmet.iter().map(|number| key_text(intent, *number));
    let pushes = kept.iter().map(|kept| match kept.raw {
        Some(asset) => format!("{} ({} bytes)", kept.push_id, asset.size_bytes),
        None => format!("{} (tables only)", kept.push_id),
    });
    let raw: BTreeMap<_, _> =
        kept.iter().filter_map(|kept| kept.raw).map(|asset| (asset.sha256, asset.size_bytes)).collect();
    format!(
        "no version of {} has {} of {} keys: nothing was erased; correct these keys or leave them out, or let what may hold \
         them go with --bytes-in-doubt (bytes_in_doubt)\n  not found: {}\n  what is kept of {} pushes, {} bytes as sent, may \
         hold them and would go for good: {}",
        intent.dataset,
        unmet.len(),
        intent.keys.len(),
        named(keys, KEYS_NAMED),
        kept.len(),
        raw.values().sum::<u64>(),
        named(pushes, PUSHES_NAMED),
    )
}

/// Those of which bytes as sent or tables are kept.
fn kept<'a>(shared: &Shared, records: Vec<&'a PushRecord>) -> Result<Vec<Kept<'a>>> {
    if records.is_empty() {
        return Ok(Vec::new());
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
    let kept = records.into_iter().filter_map(|record| {
        let left = erasures.objects_of(record);
        let is_left = |key: String| left.contains(&key) && needed.contains(&key);
        let raw = is_left(paths::raw(&record.asset.sha256)).then_some(&record.asset);
        let is_kept = raw.is_some() || record.tables().any(|table| is_left(paths::receipt(&table.sha256)));
        is_kept.then_some(Kept { push_id: &record.push_id, raw })
    });
    Ok(kept.collect())
}

fn key_text(intent: &ErasureIntent, number: usize) -> String {
    let pairs = intent.columns.iter().zip(&intent.keys[number]);
    let pairs: Vec<String> = pairs.map(|(column, value)| format!("{column}={}", quoted(value))).collect();
    let mut text = pairs.join(" ");
    if let Some((end, _)) = text.char_indices().nth(KEY_CHARACTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The first of a list, up to a number of them and of characters, and how many more there are.
fn named(all: impl ExactSizeIterator<Item = String>, (names_max, characters_max): (usize, usize)) -> String {
    let (count, mut characters) = (all.len(), 0);
    let mut named: Vec<String> = all
        .take(names_max)
        .take_while(|name| {
            characters += name.chars().count() + ", ".len();
            characters <= characters_max
        })
        .collect();
    let more = count - named.len();
    named.extend((more > 0).then(|| format!("and {more} more")));
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::Sha256;

    #[test]
    fn a_message_with_names_as_long_as_they_may_be_arrives_whole_and_begins_with_what_to_do() {
        let long = |letter: &str| letter.repeat(64);
        let intent = ErasureIntent {
            id: "e".parse().expect("valid"),
            principal: "tester".to_owned(),
            who: String::new(),
            why: "a test".to_owned(),
            dataset: format!("{}/{}", long("a"), long("d")).parse().expect("valid"),
            columns: vec!["ң".repeat(300)],
            keys: vec![vec!["\u{7}".repeat(100)]; 10_000],
            bytes_in_doubt: false,
        };
        let ids: Vec<PushId> = (0..100_000).map(|n| format!("{n:p>128}").parse().expect("valid")).collect();
        let asset = |n: usize| Asset {
            sha256: Sha256([u8::try_from(n % 256).expect("a byte"); 32]),
            size_bytes: u64::MAX >> 8,
            file_name: "people.csv".to_owned(),
            media_type: "text/csv".to_owned(),
        };
        let assets: Vec<Asset> = (0..ids.len()).map(asset).collect();
        let kept: Vec<_> = ids.iter().zip(&assets).map(|(push_id, asset)| Kept { push_id, raw: Some(asset) }).collect();
        let message = message(&intent, &(0..10_000).collect::<Vec<_>>(), &kept);
        let characters = message.chars().count();
        assert!((700..1_000).contains(&characters), "{characters}: {message}");
        assert!(message.lines().next().expect("one").ends_with("--bytes-in-doubt (bytes_in_doubt)"), "{message}");
    }

    #[test]
    fn a_list_names_few_and_tells_how_many_more_there_are() {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().into_iter();
        assert_eq!(named(names(3), (3, 9)), "0, 1, 2");
        assert_eq!(named(names(4), (3, 9)), "0, 1, 2, and 1 more");
        assert_eq!(named(names(3), (3, 8)), "0, 1, and 1 more");
    }
}
