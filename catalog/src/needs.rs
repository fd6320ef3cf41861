//! Which objects are needed: by versions that are kept, by pushes, by whoever still reads.

use crate::erasure::Erasures;
use crate::layout::{Layout, Superseded};
use crate::paths;
use crate::push::PushRecord;
use crate::state::Record;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use ukimet_model::{Dataset, DatasetId, PushId, Removal, SegmentRef, Sha256, Version, VersionNumber};
use xxhash_rust::xxh3::xxh3_64;

/// An agency and one of its pushes.
type Pushed = (String, PushId);

/// Versions of a dataset that are to be removed.
pub(crate) type RemovedVersions = (DatasetId, Vec<VersionNumber>);

/// Keys of objects, eight bytes each, so that those of a million versions are no burden.
///
/// Two keys may have the same hash: then an object stays that nobody needs. One that is needed is never missing.
#[derive(Clone, Default)]
pub(crate) struct KeySet(HashSet<u64>);

impl KeySet {
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains(&xxh3_64(key.as_bytes()))
    }

    fn insert(&mut self, key: &str) {
        self.0.insert(xxh3_64(key.as_bytes()));
    }

    fn extend(&mut self, keys: impl IntoIterator<Item = String>) {
        keys.into_iter().for_each(|key| self.insert(&key));
    }
}

/// Gathers what is needed, record by record: datasets, erasures, removals, layouts, pushes and versions, in this order.
#[derive(Clone)]
pub(crate) struct Needs {
    /// A version that was removed after this commit may still be read.
    oldest_reader: u64,
    /// So may one that was removed at or after this time, on another node.
    read_elsewhere_since: Option<Timestamp>,
    superseded: Superseded,
    datasets: HashMap<DatasetId, Dataset>,
    removed: HashSet<(DatasetId, VersionNumber)>,
    erasures: Erasures,
    /// The layouts of versions that are not met yet, the oldest first.
    layouts: HashMap<(DatasetId, VersionNumber), Vec<Layout>>,
    named: KeySet,
    /// Pushes all of whose versions are removed.
    doubtful: Vec<Doubtful>,
    /// The versions of datasets that lost some.
    histories: HashMap<DatasetId, BTreeMap<u64, Known>>,
    kept: HashSet<Pushed>,
}

/// What is remembered of a version.
#[derive(Clone)]
struct Known {
    push: Pushed,
    /// Those that it was published with, then those of each layout.
    segments: Vec<HashSet<Sha256>>,
    is_removed: bool,
    rolled_back_to: Option<VersionNumber>,
}

impl Known {
    /// Of segments that live on, those that the version has in any layout, and those whose rows they took over.
    fn origins_of(&self, mut living: HashSet<Sha256>) -> HashSet<Sha256> {
        for pair in self.segments.windows(2).rev() {
            let [before, after] = pair else { continue };
            if after.difference(before).any(|written| living.contains(written)) {
                living.extend(before.difference(after));
            }
        }
        living.retain(|segment| self.segments.iter().any(|segments| segments.contains(segment)));
        living
    }
}

#[derive(Clone)]
struct Doubtful {
    push: Pushed,
    raw: String,
    objects: Vec<String>,
    keeps_raw: bool,
}

impl Needs {
    pub(crate) fn new(oldest_reader: u64, superseded: Superseded) -> Self {
        Self {
            oldest_reader,
            read_elsewhere_since: None,
            superseded,
            datasets: HashMap::new(),
            removed: HashSet::new(),
            erasures: Erasures::default(),
            layouts: HashMap::new(),
            named: KeySet::default(),
            doubtful: Vec::new(),
            histories: HashMap::new(),
            kept: HashSet::new(),
        }
    }

    /// Counts versions that were removed at or after a time as read by other nodes.
    pub(crate) fn read_elsewhere_since(self, time: Timestamp) -> Self {
        Self { read_elsewhere_since: Some(time), ..self }
    }

    /// Counts some versions as removed and read by nobody.
    pub(crate) fn without(mut self, removed: &[RemovedVersions]) -> Self {
        for (dataset, versions) in removed {
            for version in versions {
                self.add_removed(dataset, *version);
            }
        }
        self
    }

    fn is_read(&self, removal: &Removal) -> bool {
        removal.snapshot.0 > self.oldest_reader
            || self.read_elsewhere_since.is_some_and(|since| removal.removed >= since)
    }

    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Dataset { dataset, .. } => {
                self.datasets.insert(dataset.id.clone(), dataset.clone());
            }
            Record::Removal { dataset, removal } if !self.is_read(removal) => {
                self.add_removed(dataset, removal.version);
            }
            Record::Erasure { dataset, erasure } => self.erasures.add(dataset, erasure),
            Record::Layout { dataset, layout } => {
                let mut layout = (**layout).clone();
                self.erasures.apply_to_layout(dataset, &mut layout);
                self.layouts.entry((dataset.clone(), layout.version)).or_default().push(layout);
            }
            Record::Push(record) => self.add_push(record),
            Record::Version { dataset, version } => self.add_version(dataset, version),
            Record::Removal { .. } | Record::Tag { .. } | Record::Note { .. } | Record::Operation(_) => (),
        }
    }

    /// A version that nobody may read any more.
    fn add_removed(&mut self, dataset: &DatasetId, version: VersionNumber) {
        self.removed.insert((dataset.clone(), version));
        self.histories.entry(dataset.clone()).or_default();
    }

    fn add_push(&mut self, record: &PushRecord) {
        let layers = &record.outcome.layers;
        if layers.iter().any(|layer| !self.removed.contains(&(layer.dataset.clone(), layer.version))) {
            self.named.extend(self.erasures.objects_of(record));
            return;
        }
        let keeps_raw = |id: &DatasetId| {
            let rule = self.datasets.get(id).and_then(|dataset| dataset.retention.as_ref());
            rule.is_none_or(|rule| rule.keep_raw)
        };
        let (raw, objects) = (paths::raw(&record.asset.sha256), self.erasures.objects_of(record));
        self.doubtful.push(Doubtful {
            push: (record.agency.clone(), record.push_id.clone()),
            keeps_raw: layers.iter().any(|layer| keeps_raw(&layer.dataset)) && objects.contains(&raw),
            raw,
            objects,
        });
    }

    fn add_version(&mut self, id: &DatasetId, version: &Version) {
        let Some(dataset) = self.datasets.get(id) else { return };
        let version = &*self.erasures.seen(id, version);
        let push = (id.agency().to_owned(), version.push_id.clone());
        let is_removed = self.removed.contains(&(id.clone(), version.number));
        let layouts = self.layouts.remove(&(id.clone(), version.number)).unwrap_or_default();
        if let Some(history) = self.histories.get_mut(id) {
            let published = [(version.snapshot, &version.segments)].into_iter();
            let all = published.chain(layouts.iter().map(|layout| (layout.snapshot, &layout.segments)));
            let file = |committed, segment: &SegmentRef| self.erasures.file_of(id, committed, segment.parquet);
            let files =
                |(committed, segments): (_, &Vec<SegmentRef>)| segments.iter().map(|s| file(committed, s)).collect();
            let segments = all.map(files).collect();
            let rolled_back_to = version.rolled_back_to;
            history.insert(version.number.0, Known { push: push.clone(), segments, is_removed, rolled_back_to });
        }
        if !is_removed {
            self.named.extend(self.superseded.objects_of(dataset, version, &layouts, self.erasures.last(id)));
            self.kept.insert(push);
        }
    }

    /// The keys of the objects that are needed.
    pub(crate) fn finish(self) -> KeySet {
        let (mut named, mut kept) = (self.named, self.kept);
        kept.extend(self.histories.values().flat_map(pushes_of_living_rows));
        for push in self.doubtful {
            if kept.contains(&push.push) {
                named.extend(push.objects);
            } else if push.keeps_raw {
                named.insert(&push.raw);
            }
        }
        named
    }
}

/// The pushes of removed versions whose rows live on, because later versions were made by adding to them.
///
/// A segment lives on from version to version as long as each has it, and in what was rolled back to one of them. Equal
/// rows that come again in a later push are that push's: what was once not needed is never needed again. Where a layout
/// took the place of segments, rows of any of them may live on in the ones that it wrote.
fn pushes_of_living_rows(history: &BTreeMap<u64, Known>) -> Vec<Pushed> {
    let mut living: HashMap<u64, HashSet<Sha256>> = HashMap::new();
    let mut pushes = Vec::new();
    for (number, version) in history.iter().rev() {
        let mut segments: HashSet<Sha256> = version.segments.iter().flatten().copied().collect();
        if version.is_removed {
            segments = living.remove(number).map_or_else(HashSet::new, |living| version.origins_of(living));
            if !segments.is_empty() {
                pushes.push(version.push.clone());
            }
        }
        let before = [Some(number - 1), version.rolled_back_to.map(|before| before.0)];
        for before in before.into_iter().flatten() {
            living.entry(before).or_default().extend(&segments);
        }
    }
    pushes
}
