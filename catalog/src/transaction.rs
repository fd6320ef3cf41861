//! A push on its way into the catalog: layers are written first, then one log entry makes them true.

use crate::catalog::Shared;
use crate::claims::ObjectClaim;
use crate::commit::{Answer, Proposal, check_expected_version, replay};
use crate::keys::{added_and_removed, root_hash, rows_of};
use crate::layer::{LayerWriter, fields_of, schema_of, union};
use crate::objects::Objects;
use crate::paths;
use crate::push::PushIntent;
use crate::receipt::write_receipt;
use crate::snapshot::Snapshot;
use crate::tables::WrittenTables;
use arrow_schema::{Schema, SchemaRef};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use ukimet_model::{
    BoundingBox, DatasetId, DerivedAsset, Error, Field, LayerReport, PushOutcome, Result, SegmentRef, Sha256, Version,
    VersionNumber,
};

/// Compression of the bytes as sent: they are read again only to be replayed.
const RAW_ZSTD_LEVEL: i32 = 1;

/// A push that is being taken in. Dropped without a commit, it leaves nothing.
#[must_use = "a transaction that is not committed changes nothing"]
pub struct Transaction {
    shared: Arc<Shared>,
    push: PushIntent,
    layers: Vec<PreparedLayer>,
    begun: Vec<DatasetId>,
}

/// A layer whose objects are durable, compared with the newest version of its dataset.
pub(crate) struct PreparedLayer {
    pub(crate) dataset: DatasetId,
    pub(crate) report: LayerReport,
    pub(crate) fields: Vec<Field>,
    pub(crate) root_hash: Sha256,
    /// Sorted row hashes.
    pub(crate) hashes: Vec<u128>,
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) bounds: Option<BoundingBox>,
    /// Number of the version it was compared with; 0 for none.
    pub(crate) base: u64,
    /// The receipt of the new version; `None` if the rows are those of the base.
    pub(crate) receipt: Option<Sha256>,
    pub(crate) rows_added: u64,
    pub(crate) rows_removed: u64,
    /// Rows of the version by geometry type.
    pub(crate) geometry_types: BTreeMap<String, u64>,
    pub(crate) tables: WrittenTables,
    pub(crate) assets: Vec<DerivedAsset>,
    asset_claims: Vec<ObjectClaim>,
    /// The version that the rows were added to; its segments come before the new ones.
    onto: Option<VersionNumber>,
    claims: Vec<ObjectClaim>,
}

impl Transaction {
    pub(crate) fn begin(shared: Arc<Shared>, push: PushIntent) -> Result<Self> {
        shared.check_takes_commits()?;
        if let Some(record) = shared.snapshot().push(&push.agency, &push.push_id)? {
            replay(&push, record)?;
        }
        Ok(Self { shared, push, layers: Vec::new(), begun: Vec::new() })
    }

    /// Begins a layer: the full new state of one dataset.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the schema is not one of normalized rows; `InvalidRequest` if the push already has a layer
    /// for the dataset; `Conflict` if the publisher built on another version.
    // The caller gives the schema away, so that a layer can keep it if it ever needs to.
    #[allow(clippy::needless_pass_by_value)]
    pub fn begin_layer(&mut self, dataset: DatasetId, schema: SchemaRef) -> Result<LayerWriter> {
        if self.begun.contains(&dataset) {
            return Err(Error::invalid_request(format!("the push already has a layer for dataset {dataset}")));
        }
        let newest = self.shared.newest_version(&dataset)?.map_or(0, |version| version.number.0);
        check_expected_version(&self.push, newest)?;
        self.layer_writer(dataset, &schema)
    }

    /// Begins a layer of rows that come beside those of a version, which must be the newest until the commit.
    ///
    /// # Errors
    ///
    /// As [`Transaction::begin_layer`]; `Conflict` if the version is not the newest one.
    pub fn begin_addition(&mut self, dataset: DatasetId, base: VersionNumber) -> Result<LayerWriter> {
        if self.begun.contains(&dataset) {
            return Err(Error::invalid_request(format!("the push already has a layer for dataset {dataset}")));
        }
        let newest = self.shared.newest_version(&dataset)?;
        check_expected_version(&self.push, newest.as_ref().map_or(0, |version| version.number.0))?;
        let base = still_newest(newest, base)?;
        let schema = schema_of(&base.fields)?;
        let mut layer = self.layer_writer(dataset, &schema)?;
        layer.base = Some(base);
        Ok(layer)
    }

    fn layer_writer(&mut self, dataset: DatasetId, schema: &Schema) -> Result<LayerWriter> {
        let uuid = self.shared.uuid_of(&dataset);
        self.begun.push(dataset.clone());
        LayerWriter::try_new(dataset, uuid, schema, &self.shared.objects, &self.shared.options)
    }

    /// Ends a layer: compares it with the newest version, and unless it is the same, writes it durably.
    ///
    /// # Errors
    ///
    /// `Internal` if the report counts other rows than were appended; `LimitReached` if the disk is full.
    pub fn end_layer(&mut self, layer: LayerWriter, report: LayerReport) -> Result<()> {
        if report.rows_taken != layer.rows() {
            let (told, found) = (report.rows_taken, layer.rows());
            return Err(Error::internal(format!("the report tells {told} rows taken, {found} were appended")));
        }
        self.shared.check_takes_commits()?;
        let (dataset, schema) = (layer.dataset.clone(), Arc::clone(&layer.schema));
        let (uuid, base) = (layer.uuid.clone(), layer.base.clone());
        let (mut hashes, unwritten, tables, written_assets) = layer.into_parts();
        let (mut assets, asset_claims) = written_assets.publish(&self.shared.claims, &uuid)?;
        if let Some(base) = &base {
            assets.splice(0..0, base.assets.clone());
        }
        let mut geometry_types = report.geometry_types.clone();
        if let Some(base) = &base {
            hashes.extend(rows_of(&self.shared.objects, &uuid, &base.segments)?);
            hashes.sort_unstable();
            base.geometry_types
                .iter()
                .for_each(|(kind, rows)| *geometry_types.entry(kind.clone()).or_default() += rows);
        }
        let mut prepared = PreparedLayer {
            dataset,
            report,
            geometry_types,
            tables: tables.finish(&self.shared.claims)?,
            assets,
            asset_claims,
            onto: base.as_ref().map(|base| base.number),
            fields: fields_of(&schema),
            root_hash: root_hash(&schema, &hashes),
            hashes,
            segments: Vec::new(),
            bounds: None,
            base: 0,
            receipt: None,
            rows_added: 0,
            rows_removed: 0,
            claims: Vec::new(),
        };
        let newest = self.shared.newest_version(&prepared.dataset)?;
        if let Some(same) = newest.filter(|newest| newest.root_hash == prepared.root_hash) {
            // Its rows lie there already, whatever becomes the newest version until the commit.
            (prepared.segments, prepared.bounds) = (same.segments, same.bbox);
        } else {
            let written = unwritten.write(&self.shared.objects, &self.shared.claims, &self.shared.options)?;
            (prepared.segments, prepared.bounds) = (written.segments, written.bounds);
            prepared.claims = written.claims;
            if let Some(base) = base {
                prepared.segments.splice(0..0, base.segments);
                prepared.bounds = union(base.bbox, prepared.bounds);
            }
        }
        prepared.compare(&self.shared)?;
        self.layers.push(prepared);
        Ok(())
    }

    /// Makes the push true. Blocks until it is durable and visible.
    ///
    /// A push with the same id and digest that was committed before is answered with its outcome again.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the id was used for other content, `Conflict` if the publisher built on another version,
    /// `InvalidRequest` without a layer, `LimitReached` if the disk is full, `Unavailable` if the disk failed: nobody
    /// knows then whether the push is committed, and pushing again with the same id tells.
    pub fn commit(mut self) -> Result<(PushOutcome, Snapshot)> {
        let snapshot = self.shared.snapshot();
        if let Some(record) = snapshot.push(&self.push.agency, &self.push.push_id)? {
            return Ok((replay(&self.push, record)?, snapshot));
        }
        if self.layers.is_empty() || self.layers.len() < self.begun.len() {
            let (begun, ended) = (self.begun.len(), self.layers.len());
            return Err(Error::invalid_request(format!("a push has at least one layer, {begun} began, {ended} ended")));
        }
        self.shared.check_takes_commits()?;
        let raw = self.store_raw()?;
        let mut layers: Vec<_> = std::mem::take(&mut self.layers).into_iter().map(Arc::new).collect();
        loop {
            let proposal = Proposal { push: self.push.clone(), layers: layers.clone() };
            match self.shared.committer.commit(&self.shared, proposal)? {
                Answer::Replayed(outcome, snapshot) => return Ok((*outcome, snapshot)),
                Answer::Recorded(outcome, snapshot) => {
                    // An unchanged layer names no object of its own; what it wrote goes with its claims.
                    let named = layers.iter().filter(|layer| layer.receipt.is_some());
                    let tables = layers.iter().flat_map(|layer| &layer.tables.claims);
                    let of_version = named.flat_map(|layer| layer.claims.iter().chain(&layer.asset_claims));
                    of_version.chain(tables).chain([&raw]).for_each(ObjectClaim::commit);
                    return Ok((*outcome, snapshot));
                }
                Answer::Moved => {
                    for layer in &mut layers {
                        let layer = Arc::get_mut(layer);
                        layer
                            .expect("the proposal that shared the layer was answered and dropped")
                            .compare(&self.shared)?;
                    }
                }
            }
        }
    }

    /// Stores the bytes as sent, compressed, unless a committed push brought them before.
    fn store_raw(&self) -> Result<ObjectClaim> {
        let claim = self.shared.claims.claim(paths::raw(&self.push.asset.sha256))?;
        if !claim.is_committed() {
            compress(&self.shared.objects, &self.push, &claim.key)?;
        }
        Ok(claim)
    }
}

impl PreparedLayer {
    /// Compares with the newest version of the dataset, which another push may just have published.
    fn compare(&mut self, shared: &Shared) -> Result<()> {
        let mut base = shared.newest_version(&self.dataset)?;
        if let Some(onto) = self.onto {
            base = Some(still_newest(base, onto)?);
        }
        self.base = base.as_ref().map_or(0, |base| base.number.0);
        if base.as_ref().is_some_and(|base| base.root_hash == self.root_hash) {
            (self.receipt, self.rows_added, self.rows_removed) = (None, 0, 0);
            return Ok(());
        }
        let before = base.map_or_else(|| Ok(Vec::new()), |base| self.rows_before(shared, &base))?;
        (self.rows_added, self.rows_removed) = added_and_removed(&before, &self.hashes);
        if self.receipt.is_none() {
            let bytes = write_receipt(&self.report)?;
            let hash = crate::seal::sha256(&bytes);
            let claim = shared.claims.claim(paths::receipt(&hash))?;
            shared.objects.put_if_absent(&claim.key, &bytes)?;
            self.claims.push(claim);
            self.receipt = Some(hash);
        }
        Ok(())
    }

    fn rows_before(&self, shared: &Shared, base: &Version) -> Result<Vec<u128>> {
        rows_of(&shared.objects, &shared.uuid_of(&self.dataset), &base.segments)
    }
}

/// The newest version, if it is the one that rows were to be added to.
fn still_newest(newest: Option<Version>, wanted: VersionNumber) -> Result<Version> {
    let found = newest.as_ref().map_or_else(|| "none".to_owned(), |version| version.number.to_string());
    newest.filter(|version| version.number == wanted).ok_or_else(|| {
        let message = format!("rows were to be added to {wanted}, but the newest version is {found}");
        Error::conflict(message)
    })
}

/// Marks the end of a stored raw file: a zstd frame that decoders skip, with the hash of everything before it, so
/// that a changed byte shows even where zstd does not look.
pub(crate) const RAW_SEAL: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];

fn compress(objects: &Objects, push: &PushIntent, key: &str) -> Result<()> {
    let read_failed = |e| Error::internal("reading the received file failed").caused_by(e);
    let write_failed = |e| objects.write_error("writing", key, e);
    let mut file = File::open(&push.raw).map_err(read_failed)?;
    let mut encoder = zstd::Encoder::new(objects.writer()?, RAW_ZSTD_LEVEL).map_err(write_failed)?;
    let (mut hasher, mut size_bytes) = (<sha2::Sha256 as sha2::Digest>::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(read_failed)?;
        if count == 0 {
            break;
        }
        sha2::Digest::update(&mut hasher, &buffer[..count]);
        encoder.write_all(&buffer[..count]).map_err(write_failed)?;
        size_bytes += count as u64;
    }
    let found = Sha256(sha2::Digest::finalize(hasher).into());
    if (found, size_bytes) != (push.asset.sha256, push.asset.size_bytes) {
        return Err(Error::data_loss(format!(
            "the push declares {} bytes with sha256 {}, the received file has {size_bytes} with {}",
            push.asset.size_bytes,
            push.asset.sha256.short(),
            found.short()
        )));
    }
    let mut writer = encoder.finish().map_err(write_failed)?;
    let seal = writer.sha256_so_far();
    writer.write_all(&RAW_SEAL).and_then(|()| writer.write_all(&seal.0)).map_err(write_failed)?;
    writer.finish()?.publish(key).map(|_| ())
}
