//! An immutable view of the catalog: every read starts from one.

use crate::assets::AssetBytes;
use crate::diff::Diff;
use crate::index::text::TextSnapshot;
use crate::layer::schema_of;
use crate::objects::Objects;
use crate::paths;
use crate::push::PushRecord;
use crate::receipt::read_receipt;
use crate::search::{Scan, search_datasets};
use crate::segments::SegmentCache;
use crate::state::StateSlot;
use crate::tables::Table;
use arrow_schema::SchemaRef;
use sha2::{Digest, Sha256 as Hasher};
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use ukimet_model::{
    Asset, Dataset, DatasetId, DatasetQuery, DerivedAsset, Error, LayerReport, PushId, Result, RowQuery, Sha256,
    SnapshotId, TableRef, Version, VersionNumber, VersionSelector,
};

/// The catalog as of one commit, for as long as it is held. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    published: Arc<Published>,
    state: Arc<StateSlot>,
    segments: Arc<SegmentCache>,
    objects: Objects,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.published.sequence)
    }
}

/// What one commit made visible, all at once.
pub(crate) struct Published {
    pub(crate) sequence: u64,
    pub(crate) datasets: u64,
    /// The text index of exactly this commit; `None` while there is none.
    pub(crate) text: Option<TextSnapshot>,
}

/// Datasets that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResult {
    /// How many datasets match, on all pages.
    pub total: u64,
    /// This page's datasets, each with its newest version.
    pub datasets: Vec<(Dataset, Version)>,
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
    pub(crate) fn new(
        published: Arc<Published>,
        state: Arc<StateSlot>,
        segments: Arc<SegmentCache>,
        objects: Objects,
    ) -> Self {
        Self { published, state, segments, objects }
    }

    /// The commit that the snapshot shows; 0 for an empty catalog.
    pub fn id(&self) -> SnapshotId {
        SnapshotId(self.published.sequence)
    }

    /// How many datasets there are.
    pub fn dataset_count(&self) -> u64 {
        self.published.datasets
    }

    /// A dataset and its newest version.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset.
    pub fn dataset(&self, id: &DatasetId) -> Result<(Dataset, Version)> {
        let found =
            self.state.read(self.published.sequence, |view| Ok(view.dataset(id)?.zip(view.newest_version(id)?)))?;
        found.ok_or_else(|| Error::not_found(format!("dataset {id} is not in snapshot {}", self.id())))
    }

    /// A dataset and the named version, the newest one if none is named.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset or the dataset no such version; the newest one is named then.
    pub fn version(&self, selector: &VersionSelector) -> Result<(Dataset, Version)> {
        let (dataset, newest) = self.dataset(&selector.dataset)?;
        let Some(number) = selector.version.filter(|number| *number != newest.number) else {
            return Ok((dataset, newest));
        };
        let found = self.state.read(self.published.sequence, |view| view.version(&selector.dataset, number))?;
        let missing = || {
            Error::not_found(format!("dataset {} has no version {number}, the newest is {}", dataset.id, newest.number))
        };
        found.ok_or_else(missing).map(|version| (dataset.clone(), version))
    }

    /// A dataset's versions from the newest down: those below `before`, at most `limit`.
    ///
    /// # Errors
    ///
    /// `NotFound` if the snapshot has no such dataset.
    pub fn versions(&self, id: &DatasetId, before: Option<VersionNumber>, limit: usize) -> Result<Vec<Version>> {
        self.dataset(id)?;
        self.state.read(self.published.sequence, |view| view.versions(id, before, limit))
    }

    /// The datasets that match, with the exact total.
    ///
    /// All words must occur, each in any of title, description, keywords, column names, layer or file name, as
    /// written or, for Russian, in another form. Words in titles weigh most; equal weights, and a query without
    /// words, are in the order of ids. A dataset without places is never inside a box.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the limit if the text has more than 256 bytes or 16 words.
    pub fn search(&self, query: &DatasetQuery) -> Result<SearchResult> {
        search_datasets(query, self.published.text.as_ref(), &self.state, self.published.sequence)
    }

    /// What became of a push; `None` if no such push was committed.
    pub fn push(&self, agency: &str, push_id: &PushId) -> Result<Option<PushRecord>> {
        self.state.read(self.published.sequence, |view| view.push(agency, push_id))
    }

    /// The receipt of a version: what was done to its data.
    pub fn receipt(&self, version: &Version) -> Result<LayerReport> {
        read_receipt(&self.objects, &version.receipt)
    }

    /// Writes the bytes of a push as they were sent.
    ///
    /// # Errors
    ///
    /// `Internal` if they are damaged or cannot be written.
    pub fn copy_raw(&self, asset: &Asset, to: &mut impl Write) -> Result<()> {
        let key = paths::raw(&asset.sha256);
        let damaged = |e: std::io::Error| Error::internal(format!("copying object {key}")).caused_by(e);
        let object = self.objects.open(&key)?;
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
        self.segments.open(&paths::asset(&dataset.uuid, &asset.sha256), &asset.sha256).map(AssetBytes::new)
    }

    /// Gives a file of a version, whose bytes are whole, a second name: `to` is a path below the data directory, outside
    /// of the truth. Whoever asked removes it.
    ///
    /// # Errors
    ///
    /// `Internal` naming the object if it is damaged, `Unavailable` if the name cannot be given.
    pub fn link_asset(&self, dataset: &Dataset, asset: &DerivedAsset, to: &str) -> Result<()> {
        self.asset(dataset, asset)?;
        self.objects.link_out(&paths::asset(&dataset.uuid, &asset.sha256), to)
    }

    /// A table that is kept with a push.
    ///
    /// # Errors
    ///
    /// `Internal` naming the object if it is damaged.
    pub fn table(&self, table: &TableRef) -> Result<Table> {
        Table::open(&self.segments.open(&paths::receipt(&table.sha256), &table.sha256)?)
    }

    /// The columns of a version as [`Snapshot::scan`] gives them out when none are named.
    pub fn schema(&self, version: &Version) -> Result<SchemaRef> {
        schema_of(&version.fields)
    }

    /// Reads rows of a version in their stored order, from the segments with these positions.
    ///
    /// Positions past the last segment are left out; a limit counts over the segments that are read.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if one is named that the version does not have. The rows themselves may
    /// fail with `Internal` naming a damaged object; damaged bytes are never given out.
    pub fn scan(&self, dataset: &Dataset, version: &Version, query: &RowQuery, segments: Range<usize>) -> Result<Scan> {
        Scan::try_new(Arc::clone(&self.segments), dataset, version, query, segments)
    }

    /// The rows that differ between two versions of a dataset, in either direction of time.
    ///
    /// Of the query, columns choose what is compared and given out, and the box keeps rows that lie in it before or
    /// after.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if one is named that neither version has. The rows themselves may fail with
    /// `Internal` naming a damaged object.
    pub fn diff(&self, dataset: &Dataset, from: &Version, to: &Version, query: &RowQuery) -> Result<Diff> {
        let (first, last) = (from.number.min(to.number), from.number.max(to.number));
        let between = self.versions(&dataset.id, Some(VersionNumber(last.0 + 1)), (last.0 - first.0) as usize)?;
        Diff::try_new(Arc::clone(&self.segments), dataset, (from, to), &between, query)
    }
}
