//! An immutable view of the catalog: every read starts from one.

use crate::assets::AssetBytes;
use crate::beside::Beside;
use crate::catalog::Shared;
use crate::claims::{Claims, ObjectClaim};
use crate::diff::Diff;
use crate::erase::erased_object;
use crate::erasure::Erasure;
use crate::filter::RowFilter;
use crate::index::text::{PastIndexes, TextSnapshot};
use crate::invariants::segments_objects_of;
use crate::layer::schema_of;
use crate::log;
use crate::objects::Objects;
use crate::operation::OperationRecord;
use crate::paths;
use crate::push::PushRecord;
use crate::receipt::read_receipt;
use crate::search::{
    OrderedScan, RowOrder, Scan, check_order, dictionary_columns, needs_index, search_datasets, with_dictionaries,
};
use crate::segments::SegmentCache;
use crate::selecting::{no_dataset, select};
use crate::state::{Damage, StateSlot, View};
use crate::tables::Table;
use crate::valid::ValidFilter;
use arrow_schema::{Schema, SchemaRef};
use sha2::{Digest, Sha256 as Hasher};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use ukimet_model::{
    Asset, Dataset, DatasetId, DatasetQuery, DerivedAsset, Error, FacetCounts, LayerReport, Note, OperationId,
    OrderColumn, PushId, Removal, Result, RetentionRule, RowQuery, SegmentRef, Sha256, SnapshotId, TableRef, Tag,
    Version, VersionNumber, VersionSelector,
};

/// The catalog as of one commit. Cheap to clone.
///
/// As long as it is held, every version that it shows can be read, whatever is removed meanwhile. One that was made with
/// [`Snapshot::as_of`] shows the state as of an earlier commit, but can read no version that was removed since.
#[derive(Clone)]
pub struct Snapshot {
    /// Pins what it shows.
    published: Arc<Published>,
    /// The commit that is looked from: that of `published`, or an earlier one.
    sequence: u64,
    /// The commit as of which rows are looked for in files; `None` for that of `published`.
    laid_out: Option<u64>,
    sources: Sources,
}

/// What snapshots read from.
#[derive(Clone)]
pub(crate) struct Sources {
    state: Arc<StateSlot>,
    segments: Arc<SegmentCache>,
    objects: Objects,
    claims: Claims,
    past_indexes: Arc<PastIndexes>,
}

impl Sources {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            state: Arc::clone(&shared.state),
            segments: Arc::clone(&shared.segments),
            objects: shared.objects.clone(),
            claims: shared.claims.clone(),
            past_indexes: Arc::clone(&shared.past_indexes),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.sequence)
    }
}

/// What one commit made visible, all at once.
pub(crate) struct Published {
    pub(crate) sequence: u64,
    pub(crate) datasets: u64,
    /// The text index of exactly this commit; `None` while there is none.
    pub(crate) text: Option<TextSnapshot>,
}

/// Keeps files for whoever reads them.
pub(crate) struct Pin {
    /// What the state shows.
    _published: Arc<Published>,
    /// Superseded files, which the state does not keep.
    _claims: Vec<ObjectClaim>,
}

/// Datasets that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResult {
    /// How many datasets match, on all pages.
    pub total: u64,
    /// This page's datasets, each with its newest version.
    pub datasets: Vec<(Dataset, Version)>,
    /// The datasets on all pages by facet; empty unless that was asked.
    pub facets: FacetCounts,
}

/// A writer that hashes what goes through it.
struct Checked<'a, W> {
    to: &'a mut W,
    hasher: Hasher,
}

impl<W: Write> Write for Checked<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

impl Snapshot {
    pub(crate) fn new(published: Arc<Published>, sources: Sources) -> Self {
        Self { sequence: published.sequence, laid_out: None, published, sources }
    }

    /// The commit that the snapshot shows; 0 for an empty catalog.
    pub fn id(&self) -> SnapshotId {
        SnapshotId(self.sequence)
    }

    /// The catalog as it was after an earlier commit, or this one: data, descriptions, tags and search results.
    ///
    /// # Errors
    ///
    /// `NotFound` for a commit that this snapshot does not have.
    pub fn as_of(&self, id: SnapshotId) -> Result<Self> {
        if id.0 > self.sequence {
            return Err(Error::not_found(format!("there is no snapshot {id} yet, the newest is {}", self.id())));
        }
        Ok(Self { sequence: id.0, ..self.clone() })
    }

    /// The same snapshot, with the rows of every version in the files that they lay in after a commit: 0 for those that the
    /// version was published with. A compaction may have put them elsewhere since; the rows are the same, their order is not.
    #[must_use]
    pub fn laid_out_as_of(&self, id: SnapshotId) -> Self {
        Self { laid_out: Some(id.0), ..self.clone() }
    }

    /// Whether it shows an earlier state than the one that it pins.
    fn is_past(&self) -> bool {
        self.sequence < self.published.sequence
    }

    fn read<T>(&self, read: impl Fn(&View<'_>) -> Result<T, Damage>) -> Result<T> {
        let known = self.published.sequence;
        let laid_out = self.laid_out.unwrap_or(known);
        self.sources
            .state
            .read_pairs(|pairs| read(&View::new(pairs, self.sequence).knowing(known).laid_out_as_of(laid_out)))
    }

    /// How many datasets there are. Cheap for the newest snapshot, a walk over all of them for an earlier one.
    pub fn dataset_count(&self) -> Result<u64> {
        if !self.is_past() {
            return Ok(self.published.datasets);
        }
        self.read(|view| {
            let mut count = 0;
            view.each_dataset(&mut |_| count += 1)?;
            Ok(count)
        })
    }

    /// A dataset and its newest version.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset.
    pub fn dataset(&self, id: &DatasetId) -> Result<(Dataset, Version)> {
        let found = self.read(|view| Ok(view.dataset(id)?.zip(view.newest_version(id)?)))?;
        found.ok_or_else(|| no_dataset(id, self.id()))
    }

    /// A dataset as the commit of one of its versions left it.
    ///
    /// # Errors
    ///
    /// `NotFound` if that commit knows no such dataset.
    pub fn dataset_of(&self, id: &DatasetId, version: &Version) -> Result<Dataset> {
        let found = self.sources.state.read(version.snapshot.0, |view| view.dataset(id))?;
        found.ok_or_else(|| Error::not_found(format!("dataset {id} is not in snapshot {}", version.snapshot)))
    }

    /// The datasets that commits after an earlier snapshot touched; all datasets after snapshot 0. Reads those commits.
    ///
    /// # Errors
    ///
    /// `Internal` naming a commit that is damaged.
    pub fn changed_since(&self, earlier: SnapshotId) -> Result<BTreeSet<DatasetId>> {
        let mut changed = BTreeSet::new();
        if earlier.0 == 0 {
            let ids = self.read(|view| {
                let mut ids = Vec::new();
                view.each_dataset(&mut |dataset| ids.push(dataset.id))?;
                Ok(ids)
            })?;
            changed.extend(ids);
            return Ok(changed);
        }
        for sequence in earlier.0 + 1..=self.sequence {
            changed.extend(log::read(&self.sources.objects, sequence)?.0.datasets().cloned());
        }
        Ok(changed)
    }

    /// A dataset and the named version, the newest one if none is named.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset or the dataset no such version or tag, and what it has is named
    /// then; `NotFound` too, with time and rule, if the version was removed.
    pub fn version(&self, selector: &VersionSelector) -> Result<(Dataset, Version)> {
        self.read(|view| select(view, &selector.dataset, selector.version.as_ref()))?
    }

    /// A dataset's versions from the newest down: those below `before`, at most `limit`. Removed ones are left out.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset.
    pub fn versions(&self, id: &DatasetId, before: Option<VersionNumber>, limit: usize) -> Result<Vec<Version>> {
        self.dataset(id)?;
        self.read(|view| view.versions(id, before, limit))
    }

    /// The versions of a dataset that were removed, the oldest first.
    pub fn removals(&self, id: &DatasetId) -> Result<Vec<Removal>> {
        self.read(|view| view.removals(id))
    }

    /// The tags that versions of a dataset have, by name.
    pub fn tags(&self, id: &DatasetId) -> Result<Vec<Tag>> {
        self.read(|view| view.tags(id))
    }

    /// Everything that the tags of a dataset were set to up to this snapshot: by name, the oldest first.
    pub fn tag_history(&self, id: &DatasetId) -> Result<Vec<Tag>> {
        self.read(|view| view.tag_history(id))
    }

    /// The notes on a version, the oldest first.
    pub fn notes(&self, id: &DatasetId, version: VersionNumber) -> Result<Vec<Note>> {
        self.read(|view| view.notes(id, version))
    }

    /// What became of an operation; `None` if no such operation was committed.
    pub fn operation(&self, agency: &str, id: &OperationId) -> Result<Option<OperationRecord>> {
        self.read(|view| view.operation(agency, id))
    }

    /// What `ask` answers for every dataset that has a retention rule, where it is not empty.
    pub(crate) fn each_with_rule<T>(
        &self,
        ask: impl Fn(&View<'_>, &Dataset, &RetentionRule) -> Result<Vec<T>, Damage>,
    ) -> Result<Vec<(DatasetId, Vec<T>)>> {
        self.read(|view| {
            let mut ruled = Vec::new();
            view.each_dataset(&mut |dataset| ruled.extend(dataset.retention.clone().map(|rule| (dataset, rule))))?;
            let mut answers = Vec::new();
            for (dataset, rule) in ruled {
                let answer = ask(view, &dataset, &rule)?;
                if !answer.is_empty() {
                    answers.push((dataset.id, answer));
                }
            }
            Ok(answers)
        })
    }

    /// The datasets that match, with the exact total.
    ///
    /// All words must occur, each in any of title, description, keywords, agency, columns, the dataset's own name, layer or
    /// file name: in any script, in another form of the word in Kazakh, Russian or English, as the beginning of a word if it
    /// is the last, and with one typing error if no dataset has it otherwise. Words in titles weigh most, rare words more
    /// than frequent ones; of equal hits the fresher come first, then those with more texts, then the order of ids, which a
    /// query without words has alone. A dataset without places is never inside a box.
    ///
    /// An earlier snapshot finds what it found then: its words are looked up in an index of the descriptions as they
    /// were, which is built in memory the first time, at the cost of a look at every dataset.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the limit if the text has more than 256 bytes or 16 words, or if the region is no code;
    /// `Unavailable` if the index that the answer needs could not be built.
    pub fn search(&self, query: &DatasetQuery) -> Result<SearchResult> {
        let (state, needs_index) = (&self.sources.state, needs_index(query)?);
        let text = match self.is_past() {
            false => self.published.text.clone(),
            true if needs_index => Some(self.sources.past_indexes.get(state, self.sequence)?),
            true => None,
        };
        search_datasets(query, text.as_ref(), state, (self.sequence, self.published.sequence))
    }

    /// What became of a push; `None` if no such push was committed.
    pub fn push(&self, agency: &str, push_id: &PushId) -> Result<Option<PushRecord>> {
        let record = self.read(|view| view.push(agency, push_id))?;
        record.map(|record| self.with_reports(record)).transpose()
    }

    /// A push with the whole reports: a commit keeps them without examples. Where a receipt is gone, so are these.
    fn with_reports(&self, mut record: PushRecord) -> Result<PushRecord> {
        let erasures = self.erasures_since(&record)?;
        let mut layers = std::mem::take(&mut record.outcome.layers);
        for layer in &mut layers {
            let is_erased = |receipt: &Sha256| {
                let key = paths::receipt(receipt);
                erasures.iter().any(|erasure| erasure.took(&record, &key))
            };
            let receipt = layer.receipt.filter(|receipt| !is_erased(receipt));
            let whole = receipt.map(|receipt| read_receipt(&self.sources.objects, &receipt));
            if let Some(Ok(report)) = whole {
                layer.report = report;
            }
        }
        record.outcome.layers = layers;
        Ok(record)
    }

    fn erasures_since(&self, record: &PushRecord) -> Result<Vec<Erasure>> {
        self.sources.state.read_pairs(|pairs| View::new(pairs, u64::MAX).erasures_since(record))
    }

    /// What was erased from a dataset, the oldest first, whatever snapshot is looked from.
    ///
    /// # Errors
    ///
    /// `Internal` if the state cannot be read.
    pub fn erasures(&self, id: &DatasetId) -> Result<Vec<Erasure>> {
        self.read(|view| Ok(view.erasures(id)?.to_vec()))
    }

    /// The receipt of a version: what was done to its data.
    pub fn receipt(&self, version: &Version) -> Result<LayerReport> {
        read_receipt(&self.sources.objects, &version.receipt)
    }

    /// Checks that the bytes of a push did not go with rows that were erased.
    ///
    /// # Errors
    ///
    /// `NotFound` saying when and why they went.
    pub fn check_raw(&self, asset: &Asset) -> Result<()> {
        let erasure = erased_object(&self.sources.objects, &self.sources.state, &paths::raw(&asset.sha256))?;
        erasure.map_or(Ok(()), |erasure| Err(erasure.refusal("the bytes as they were sent")))
    }

    /// Writes the bytes of a push as they were sent.
    ///
    /// # Errors
    ///
    /// `NotFound` if they went with rows that were erased, `Internal` if they are damaged or cannot be written.
    pub fn copy_raw(&self, asset: &Asset, to: &mut impl Write) -> Result<()> {
        let key = paths::raw(&asset.sha256);
        let damaged = |e: std::io::Error| Error::internal(format!("copying object {key}")).caused_by(e);
        self.check_raw(asset)?;
        let object = self.sources.objects.open(&key)?;
        let mut bytes = zstd::Decoder::new(object.reader(0)).map_err(damaged)?;
        let mut checked = Checked { to, hasher: Hasher::new() };
        std::io::copy(&mut bytes, &mut checked).map_err(damaged)?;
        if Sha256(checked.hasher.finalize().into()) == asset.sha256 {
            return Ok(());
        }
        Err(Error::internal(format!("object {key} is damaged: what it decompresses to is not what was pushed")))
    }

    /// A file of a version, for reading any part of it. The first time, all of its bytes are read and hashed.
    ///
    /// # Errors
    ///
    /// `Internal` naming the object if it is damaged.
    pub fn asset(&self, dataset: &Dataset, asset: &DerivedAsset) -> Result<AssetBytes> {
        self.sources.segments.open(&paths::asset(&dataset.uuid, &asset.sha256), &asset.sha256).map(AssetBytes::new)
    }

    /// Gives a file of a version, whose bytes are whole, a second name: `to` is a path below the data directory, outside
    /// of the truth. Whoever asked removes it.
    ///
    /// # Errors
    ///
    /// `Internal` naming the object if it is damaged, `Unavailable` if the name cannot be given.
    pub fn link_asset(&self, dataset: &Dataset, asset: &DerivedAsset, to: &str) -> Result<()> {
        self.asset(dataset, asset)?;
        self.sources.objects.link_out(&paths::asset(&dataset.uuid, &asset.sha256), to)
    }

    /// The files beside the segments of a dataset that other programs read.
    pub fn beside(&self, dataset: &Dataset) -> Beside {
        Beside {
            dataset: dataset.uuid.clone(),
            objects: self.sources.objects.clone(),
            segments: Arc::clone(&self.sources.segments),
            _pinned: self.clone(),
        }
    }

    /// The last erasure that took a push's bytes as sent and tables, because it held the rows or may have; `None` if none did.
    ///
    /// # Errors
    ///
    /// `Internal` if the state cannot be read.
    pub fn erasure_of_push(&self, record: &PushRecord) -> Result<Option<Erasure>> {
        let erasures = self.erasures_since(record)?;
        Ok(erasures.into_iter().rfind(|erasure| erasure.pushes.contains(&record.push_id)))
    }

    /// What took a table that was kept with a push; `None` if the push still has it. Another push may have an equal one.
    ///
    /// # Errors
    ///
    /// `Internal` if the state cannot be read.
    pub fn erasure_of_table(&self, record: &PushRecord, table: &TableRef) -> Result<Option<Erasure>> {
        let key = paths::receipt(&table.sha256);
        Ok(self.erasures_since(record)?.into_iter().rfind(|erasure| erasure.took(record, &key)))
    }

    /// A table that is kept with a push.
    ///
    /// # Errors
    ///
    /// `NotFound` if it went with rows that were erased, `Internal` naming the object if it is damaged.
    pub fn table(&self, record: &PushRecord, table: &TableRef) -> Result<Table> {
        if let Some(erasure) = self.erasure_of_table(record, table)? {
            return Err(erasure.refusal("the table of the push"));
        }
        let key = paths::receipt(&table.sha256);
        Table::open(&self.sources.segments.open(&key, &table.sha256)?)
    }

    /// The columns of a version as [`Snapshot::scan`] gives them out when none are named.
    pub fn schema(&self, version: &Version) -> Result<SchemaRef> {
        schema_of(&version.fields)
    }

    /// Reads rows of a version in their stored order, from the segments with these positions.
    ///
    /// As long as the scan is held, what it reads stays. Positions past the last segment are left out; a limit counts over the segments that are read.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if one is named that the version does not have; `NotFound` if its files are
    /// gone, which happens to a snapshot that is laid out as of an earlier commit only. The rows
    /// themselves may fail with `Internal` naming a damaged object; damaged bytes are never given out.
    pub fn scan(&self, dataset: &Dataset, version: &Version, query: &RowQuery, segments: Range<usize>) -> Result<Scan> {
        let read = segments.start.min(version.segments.len())..segments.end.min(version.segments.len());
        let pin = self.pin(dataset, [(version, version.segments.get(read).unwrap_or_default())])?;
        let scan = Scan::try_new(Arc::clone(&self.sources.segments), dataset, version, query, segments)?;
        Ok(scan.pinning(pin))
    }

    /// Reads rows of a version in an order of their values, from the segments with these positions.
    ///
    /// A limit is of the first rows in this order. The same request of the same files gives the same batches.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::scan`] and [`Snapshot::check_order`]. Reading fails with `LimitReached` if the values that the rows
    /// are ordered by take more memory than they may.
    pub fn scan_in_order(
        &self,
        (dataset, version): (&Dataset, &Version),
        query: &RowQuery,
        segments: Range<usize>,
        order: RowOrder<'_>,
    ) -> Result<OrderedScan> {
        let read = segments.start.min(version.segments.len())..segments.end.min(version.segments.len());
        let pin = self.pin(dataset, [(version, version.segments.get(read).unwrap_or_default())])?;
        let scan = OrderedScan::try_new(&self.sources.segments, (dataset, version), query, segments, order)?;
        Ok(scan.pinning(pin))
    }

    /// Whether the rows of a version can be ordered by these columns.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if there is none of the name, or naming one that is there twice or has values
    /// without an order: geometries, lists, structures.
    pub fn check_order(&self, version: &Version, columns: &[OrderColumn]) -> Result<()> {
        let schema = schema_of(&version.fields)?;
        check_order(&schema, columns)
    }

    /// Columns of text whose rows every file of a version keeps as a dictionary, for [`Scan::with_dictionaries`].
    ///
    /// # Errors
    ///
    /// `NotFound` as [`Snapshot::scan`], `Internal` naming a damaged object.
    pub fn dictionary_columns(&self, dataset: &Dataset, version: &Version) -> Result<Vec<String>> {
        let _pin = self.pin(dataset, [(version, version.segments.as_slice())])?;
        dictionary_columns(&self.sources.segments, dataset, version)
    }

    /// The schema with these columns as dictionaries, as [`Scan::with_dictionaries`] gives them out.
    pub fn with_dictionaries(schema: &Schema, names: &[String]) -> SchemaRef {
        with_dictionaries(schema, names)
    }

    /// Whether rows of a version can be asked for by the query's valid time and filter.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the version has no valid time, if days are asked for as times or the other way round, or if
    /// the filter does not fit the columns.
    pub fn check_query(&self, dataset: &Dataset, version: &Version, query: &RowQuery) -> Result<()> {
        let schema = schema_of(&version.fields)?;
        query.valid.as_ref().map(|query| ValidFilter::of(dataset, version, &schema, query)).transpose()?;
        query.filter.as_ref().map(|filter| RowFilter::bind(filter, &schema)).transpose()?;
        Ok(())
    }

    /// The rows that differ between two versions of a dataset, in either direction of time.
    ///
    /// Of the query, columns choose what is compared and given out, and the box keeps rows that lie in it before or
    /// after.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if one is named that neither version has; `NotFound` as [`Snapshot::scan`].
    /// The rows themselves may fail with `Internal` naming a damaged object.
    pub fn diff(&self, dataset: &Dataset, from: &Version, to: &Version, query: &RowQuery) -> Result<Diff> {
        let pin = self.pin(dataset, [from, to].map(|version| (version, version.segments.as_slice())))?;
        let (first, last) = (from.number.min(to.number), from.number.max(to.number));
        let mut between = self.versions(&dataset.id, Some(VersionNumber(last.0 + 1)), (last.0 - first.0) as usize)?;
        // In the place of removed ones come others that were before.
        between.retain(|version| version.number > first);
        let diff = Diff::try_new(Arc::clone(&self.sources.segments), dataset, (from, to), &between, query)?;
        Ok(diff.pinning(pin))
    }

    /// Checks that the rows of a version are looked for where this snapshot was told to.
    ///
    /// # Errors
    ///
    /// `NotFound` if they lay in files that are gone, because others had taken their place when rows were erased.
    pub fn check_laid_out(&self, dataset: &Dataset, version: &Version) -> Result<()> {
        match self.laid_out {
            Some(laid_out) if version.layout.is_some_and(|layout| layout.0 > laid_out) => Err(gone(dataset, version)),
            _ => Ok(()),
        }
    }

    /// Holds files of segments of some versions for as long as the pin is held.
    ///
    /// # Errors
    ///
    /// `NotFound` if this snapshot looks for the rows where they lay, and those files are gone.
    fn pin<const N: usize>(&self, dataset: &Dataset, read: [(&Version, &[SegmentRef]); N]) -> Result<Pin> {
        let mut claims = Vec::new();
        for (version, segments) in read.into_iter().filter(|_| self.laid_out.is_some()) {
            self.check_laid_out(dataset, version)?;
            for key in segments_objects_of(dataset, segments) {
                let claim = self.sources.claims.claim(key)?;
                if !claim.can_be_read()? {
                    return Err(gone(dataset, version));
                }
                claims.push(claim);
            }
        }
        Ok(Pin { _published: Arc::clone(&self.published), _claims: claims })
    }
}

fn gone(dataset: &Dataset, version: &Version) -> Error {
    let (id, number) = (&dataset.id, version.number);
    Error::not_found(format!(
        "the files in which {id}@{number} lay are gone since a compaction put its rows into others: ask anew for the version"
    ))
}
