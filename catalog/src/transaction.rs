//! A push on its way into the catalog: layers are written first, then one log entry makes them true.

use crate::catalog::Shared;
use crate::claims::ObjectClaim;
use crate::commit::{Answer, Proposal, check_expected, check_expected_version, preview, replay, version_of};
use crate::erasure::Erasure;
use crate::key::declared_key;
use crate::layer::{LayerPlan, LayerWriter, check_columns, fields_of, published_schema, schema_of};
use crate::majors::{LayerBreaks, breaks_of, major_after, with_units};
use crate::paths;
use crate::push::PushIntent;
use crate::raw::{self, StoringRaw};
use crate::receipt::write_receipt;
use crate::renewed::RenewingColumn;
use crate::rows::LiveRows;
use crate::snapshot::Snapshot;
use crate::successor::{State, Successor, fits, is_same_key, segment_objects};
use crate::tables::WrittenTables;
use crate::valid::{declared_valid_time, kept_valid_time};
use arrow_schema::{Schema, SchemaRef};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use ukimet_model::batch::check_schema;
use ukimet_model::error::quoted;
use ukimet_model::{
    ChangeCounts, DatasetId, DerivedAsset, Diagnostic, Error, Example, Field, Key, LayerReport, MajorNumber, Promise,
    PushMode, PushOutcome, Result, SchemaBreak, Severity, Sha256, SnapshotId, ValidTime, Verdict, Version,
    VersionNumber,
};

/// A push that is being taken in. Dropped without a commit, it leaves nothing.
#[must_use = "a transaction that is not committed changes nothing"]
pub struct Transaction {
    shared: Arc<Shared>,
    push: PushIntent,
    layers: Vec<PreparedLayer>,
    /// Datasets of the layers that began, each with the commit of its last erasure at that time; 0 for none.
    begun: Vec<(DatasetId, u64)>,
    /// That of the dataset that was looked at last.
    last_erasure: u64,
    /// The bytes as sent, if they are stored meanwhile.
    raw: Option<StoringRaw>,
    /// Pins every version from the beginning on that the push may be compared with or built on.
    _pin: Snapshot,
}

/// A layer whose objects are durable, compared with the newest version of its dataset.
pub(crate) struct PreparedLayer {
    pub(crate) dataset: DatasetId,
    pub(crate) report: LayerReport,
    pub(crate) fields: Vec<Field>,
    pub(crate) tables: WrittenTables,
    successor: Successor,
    /// The version that the commit must find as the newest.
    onto: Option<VersionNumber>,
    /// Files made of the layer's own rows.
    own_assets: Vec<DerivedAsset>,
    claims: Vec<ObjectClaim>,
    /// What the dataset is after the layer.
    pub(crate) state: State,
    /// Number of the version it was compared with; 0 for none.
    pub(crate) base: u64,
    /// How that version was laid out, if its segments are those of the layer.
    pub(crate) base_layout: Option<SnapshotId>,
    /// The commit of the dataset's last erasure when the layer began; 0 for none.
    pub(crate) last_erasure: u64,
    /// Whether there is a new version: the rows are not those of the base.
    pub(crate) is_new: bool,
    pub(crate) receipt: Sha256,
    /// Rows of the version by geometry type.
    pub(crate) geometry_types: BTreeMap<String, u64>,
    /// All files made of the version's rows.
    pub(crate) assets: Vec<DerivedAsset>,
    /// The major that the base is of.
    base_major: MajorNumber,
    /// What of the version breaks what that major promises.
    pub(crate) breaks: Vec<SchemaBreak>,
    /// Whether the publisher begins a new major.
    is_new_major: bool,
}

impl Transaction {
    pub(crate) fn begin(shared: Arc<Shared>, push: PushIntent) -> Result<Self> {
        shared.check_takes_commits()?;
        shared.follow()?;
        let snapshot = shared.snapshot();
        if let Some(record) = snapshot.push(&push.agency, &push.push_id)? {
            replay(&push, record)?;
        }
        Ok(Self { shared, push, layers: Vec::new(), begun: Vec::new(), last_erasure: 0, raw: None, _pin: snapshot })
    }

    /// Begins a layer: rows of one dataset, which are to those that are there what the push declared.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the schema is not one of normalized rows, or has other columns than the rows that these come
    /// beside; `InvalidRequest` if the push already has a layer for the dataset, or the declared key fits no columns;
    /// `Conflict` if the publisher built on another version, or declared another key than the dataset has.
    // The caller gives the schema away, so that a layer can keep it if it ever needs to.
    #[allow(clippy::needless_pass_by_value)]
    pub fn begin_layer(&mut self, dataset: DatasetId, schema: SchemaRef) -> Result<LayerWriter> {
        let newest = self.newest(&dataset)?;
        check_schema(&schema)?;
        if schema.fields().is_empty() {
            return Err(Error::invalid_data("a layer has at least one column, found none"));
        }
        let schema = published_schema(&schema);
        let declared = self.push.declared.key.as_ref();
        let declared = declared.map(|names| declared_key(names, &schema)).transpose()?;
        let valid_time = declared_valid_time(&self.push.declared, &schema)?;
        match (self.push.declared.mode, newest) {
            (PushMode::Replace, newest) => self.begin_state(dataset, schema, (declared, valid_time), newest),
            (mode, None) => {
                if mode == PushMode::Upsert && declared.is_none() {
                    return Err(Error::invalid_request(
                        "an upsert needs a key, and the dataset has none yet: declare the columns of the key",
                    ));
                }
                let plan = LayerPlan::new(mode, declared, None, &schema)?;
                self.layer_writer(dataset, schema, LayerPlan { valid_time, ..plan })
            }
            (mode, Some(base)) => self.begin_beside(dataset, &schema, mode, (declared.as_ref(), valid_time), base),
        }
    }

    /// A full new state: rows that the newest version has are not written again if it has the same columns and key.
    fn begin_state(
        &mut self,
        dataset: DatasetId,
        schema: SchemaRef,
        (declared, valid_time): (Option<Key>, Option<ValidTime>),
        newest: Option<Version>,
    ) -> Result<LayerWriter> {
        let valid_time = valid_time.or_else(|| newest.as_ref().and_then(|newest| kept_valid_time(newest, &schema)));
        let kept = newest.as_ref().and_then(|newest| newest.key.clone());
        let kept = kept.filter(|key| key.columns.iter().all(|name| schema.index_of(name).is_ok()));
        let key = declared.or(kept);
        let base = newest.filter(|newest| fits(newest, &schema, key.as_ref()));
        let plan = LayerPlan::new(PushMode::Replace, key, base, &schema)?;
        self.layer_writer(dataset, schema, LayerPlan { valid_time, ..plan })
    }

    /// Rows that come beside those of the newest version.
    fn begin_beside(
        &mut self,
        dataset: DatasetId,
        found: &Schema,
        mode: PushMode,
        (declared, valid_time): (Option<&Key>, Option<ValidTime>),
        base: Version,
    ) -> Result<LayerWriter> {
        let schema = schema_of(&base.fields)?;
        check_columns(&schema, found)?;
        let named = |key: Option<&Key>| key.map_or_else(|| "no key".to_owned(), |key| key.columns.join(", "));
        if declared.is_some() && !is_same_key(declared, base.key.as_ref()) {
            return Err(Error::conflict(format!(
                "the push declares key {}, the dataset has {}: only a full new state changes the key",
                named(declared),
                named(base.key.as_ref())
            )));
        }
        if valid_time.is_some() && valid_time != base.valid_time {
            return Err(Error::conflict("the dataset has another valid time: only a full new state changes it"));
        }
        if mode == PushMode::Upsert && base.key.is_none() {
            return Err(Error::invalid_request(
                "an upsert needs a key, and the dataset has none: push a full new state that declares one",
            ));
        }
        let plan = LayerPlan::new(mode, base.key.clone(), Some(base), &schema)?;
        self.layer_writer(dataset, schema, plan)
    }

    /// Begins a layer of rows that come beside those of a version, which must be the newest until the commit.
    ///
    /// # Errors
    ///
    /// As [`Transaction::begin_layer`]; `Conflict` if the version is not the newest one.
    pub fn begin_addition(&mut self, dataset: DatasetId, base: VersionNumber) -> Result<LayerWriter> {
        let base = still_newest(self.newest(&dataset)?, base)?;
        let schema = schema_of(&base.fields)?;
        let plan = LayerPlan::new(PushMode::Append, base.key.clone(), Some(base), &schema)?;
        self.layer_writer(dataset, schema, LayerPlan { is_onto_base_only: true, ..plan })
    }

    /// The newest version of a dataset that the push has no layer for yet.
    fn newest(&mut self, dataset: &DatasetId) -> Result<Option<Version>> {
        if self.begun.iter().any(|(begun, _)| begun == dataset) {
            return Err(Error::invalid_request(format!("the push already has a layer for dataset {dataset}")));
        }
        // Before the version: one that comes between is found at the commit.
        self.last_erasure = self.shared.last_erasure(dataset)?;
        let newest = self.shared.newest_version(dataset)?;
        check_expected_version(&self.push, newest.as_ref().map_or(0, |version| version.number.0))?;
        Ok(newest)
    }

    fn layer_writer(&mut self, dataset: DatasetId, schema: SchemaRef, plan: LayerPlan) -> Result<LayerWriter> {
        let (shared, uuid) = (&self.shared, self.shared.uuid_of(&dataset));
        let is_compared = plan.mode == PushMode::Replace || plan.key.is_some();
        let base = plan.base.as_ref().filter(|_| is_compared);
        let live = base.map(|base| LiveRows::load(&shared.segments, &uuid, &base.segments)).transpose()?;
        self.begun.push((dataset.clone(), self.last_erasure));
        LayerWriter::new(dataset, uuid, schema, plan, live, (&shared.objects, &shared.options))
    }

    /// Ends a layer: compares it with the newest version, and unless it is the same, writes it durably.
    ///
    /// # Errors
    ///
    /// `Internal` if the report counts other rows than were appended; `InvalidData` if a key names two rows;
    /// `LimitReached` if the disk is full.
    pub fn end_layer(&mut self, layer: LayerWriter, report: LayerReport) -> Result<()> {
        if report.rows_taken != layer.rows() {
            let (told, found) = (report.rows_taken, layer.rows());
            return Err(Error::internal(format!("the report tells {told} rows taken, {found} were appended")));
        }
        layer.check_valid_time()?;
        let shared = &self.shared;
        shared.check_takes_commits()?;
        let (dataset, uuid) = (layer.dataset.clone(), layer.uuid.clone());
        let (rows, mut tables, assets) = layer.into_parts();
        let onto = rows.plan.base.as_ref().filter(|_| rows.plan.is_onto_base_only).map(|base| base.number);
        let (own_assets, asset_claims) = assets.publish(&shared.claims, &uuid)?;
        let push = format!("push {}/{}", self.push.agency, self.push.push_id);
        let (successor, mut claims) = Successor::write(shared, rows, &push)?;
        let begun = self.begun.iter().find(|(begun, _)| *begun == dataset);
        let last_erasure = begun.map_or(0, |(_, last_erasure)| *last_erasure);
        claims.extend(asset_claims);
        let newest = newest_for(shared, &dataset, onto)?;
        let erasures = erasures(shared, &dataset)?;
        let state = successor.state(shared, newest.as_ref(), &erasures)?;
        let mut report = with_notes(report, (&state, successor.lost_key.as_ref()), erasures.last());
        if let Some(column) = &state.renewing {
            let found = renewed(column, &state.counts);
            tables.add_verdict(&Verdict::new(
                &found.rule,
                found.severity,
                &found.message,
                found.examples[0].clone(),
            ))?;
            report.diagnostics.push(found);
        }
        let (receipt, receipt_claim) = store_receipt(shared, &report)?;
        claims.push(receipt_claim);
        let mut prepared = PreparedLayer {
            dataset,
            geometry_types: report.geometry_types.clone(),
            report,
            fields: fields_of(&successor.schema),
            tables: tables.finish(&shared.claims)?,
            state,
            successor,
            onto,
            assets: own_assets.clone(),
            own_assets,
            claims,
            base: 0,
            base_layout: None,
            base_major: MajorNumber::FIRST,
            breaks: Vec::new(),
            is_new_major: self.push.declared.new_major,
            last_erasure,
            is_new: false,
            receipt,
        };
        prepared.settle(shared, newest)?;
        self.layers.push(prepared);
        Ok(())
    }

    /// Begins to store the bytes as sent, which a commit else does, on a thread of its own: other processors have nothing to
    /// do while a layer ends. Nothing is left of them without a commit.
    pub fn store_raw_beside(&mut self) {
        if self.raw.is_none() {
            self.raw = StoringRaw::begin(&self.shared, &self.push);
        }
    }

    /// What the push breaks that the newest versions of its datasets promise their readers; nothing for a new major.
    pub fn breaks(&self) -> Vec<LayerBreaks> {
        let broken = self.layers.iter().filter(|layer| !layer.breaks.is_empty() && !layer.is_new_major);
        let told = broken.map(|layer| LayerBreaks {
            dataset: layer.dataset.clone(),
            major: layer.base_major,
            breaks: layer.breaks.clone(),
        });
        told.collect()
    }

    /// What the push would do if it were committed now; nothing is, and nothing is kept.
    ///
    /// # Errors
    ///
    /// `Undeclared` listing what it breaks, unless it begins a new major.
    pub fn preview(self) -> Result<PushOutcome> {
        preview(self.layers.iter(), self.shared.snapshot().id())
    }

    /// The newest version of a dataset, and the one that the push would make if it were committed now: the same one if
    /// its rows are the same. Rows of the latter can be read while the transaction is held.
    ///
    /// # Errors
    ///
    /// `Internal` if no layer of the push has ended for the dataset; `NotFound` if the dataset has no version yet;
    /// `Undeclared` listing what the push breaks, unless it begins a new major.
    pub(crate) fn before_and_after(&self, dataset: &DatasetId) -> Result<(Version, Version)> {
        let layer = self.layers.iter().find(|layer| layer.dataset == *dataset);
        let layer = layer.ok_or_else(|| Error::internal(format!("the push has no layer for dataset {dataset}")))?;
        let newest = self.shared.newest_version(dataset)?;
        let newest = newest.ok_or_else(|| Error::not_found(format!("dataset {dataset} has no version yet")))?;
        check_expected(Some(layer.base), newest.number.0)?;
        if !layer.is_new {
            return Ok((newest.clone(), newest));
        }
        let after = version_of(&self.push, layer, newest.snapshot, self.shared.clock.now())?;
        Ok((newest, after))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes the push true. Blocks until it is durable and visible.
    ///
    /// A push with the same id and digest that was committed before is answered with its outcome again.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the id was used for other content, `Conflict` if the publisher built on another version,
    /// `Undeclared` if it breaks what readers rely on and begins no new major, `InvalidRequest` without a layer, `LimitReached` if the disk is full, `Unavailable` if the disk failed: nobody
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
        self.layers.iter().try_for_each(|layer| layer.major().map(|_| ()))?;
        let raw = match self.raw.take() {
            Some(storing) => storing.finish()?,
            None => raw::store(&self.shared, &self.push)?,
        };
        let mut layers: Vec<_> = std::mem::take(&mut self.layers).into_iter().map(Arc::new).collect();
        loop {
            let proposal = Proposal { push: self.push.clone(), layers: layers.clone() };
            match self.shared.committer.commit(&self.shared, proposal)? {
                Answer::Replayed(outcome, snapshot) => {
                    // With the reports, which a commit keeps without examples.
                    let record = snapshot.push(&self.push.agency, &self.push.push_id)?;
                    return Ok((record.map_or_else(|| outcome.of_push(), |record| Ok(record.outcome))?, snapshot));
                }
                Answer::Recorded(outcome, snapshot) => {
                    // An unchanged layer names no object of its own; what it wrote goes with its claims.
                    for layer in &layers {
                        layer.commit_claims();
                    }
                    layers.iter().flat_map(|layer| &layer.tables.claims).chain([&raw]).for_each(ObjectClaim::commit);
                    return Ok((outcome.of_push()?, snapshot));
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
}

impl PreparedLayer {
    /// Compares with the newest version of the dataset, which another push may just have published.
    fn compare(&mut self, shared: &Shared) -> Result<()> {
        let newest = newest_for(shared, &self.dataset, self.onto)?;
        self.state = self.successor.state(shared, newest.as_ref(), &erasures(shared, &self.dataset)?)?;
        self.settle(shared, newest)
    }

    /// Takes over what the comparison with the newest version found.
    fn settle(&mut self, shared: &Shared, newest: Option<Version>) -> Result<()> {
        self.base = newest.as_ref().map_or(0, |newest| newest.number.0);
        self.base_layout = newest.as_ref().and_then(|newest| newest.layout);
        self.judge(shared, newest.as_ref())?;
        let is_same = |newest: &Version| {
            newest.root_hash == self.state.root_hash
                && newest.valid_time == self.successor.valid_time
                && self.breaks.is_empty()
        };
        if newest.as_ref().is_some_and(is_same) {
            (self.is_new, self.state.counts) = (false, ChangeCounts::default());
            return Ok(());
        }
        if self.successor.mode != PushMode::Replace {
            let before = newest.map_or_else(Vec::new, |newest| newest.assets);
            self.assets = before.into_iter().chain(self.own_assets.clone()).collect();
            self.geometry_types = self.state.extent.types.clone();
        }
        self.is_new = true;
        Ok(())
    }

    /// Compares what the version promises with what the newest does.
    fn judge(&mut self, shared: &Shared, newest: Option<&Version>) -> Result<()> {
        self.fields = with_units(fields_of(&self.successor.schema), newest);
        self.base_major = newest.map_or(MajorNumber::FIRST, |newest| newest.major);
        let Some(newest) = newest else {
            self.breaks.clear();
            return Ok(());
        };
        let (key, valid_time) = (self.key(), self.successor.valid_time.as_ref());
        let found = Promise { fields: &self.fields, key, valid_time };
        let earlier = || shared.snapshot().versions(&self.dataset, None, usize::MAX);
        self.breaks = breaks_of(newest, &found, &self.state.extent.types, earlier)?;
        Ok(())
    }

    /// The major of the version.
    ///
    /// # Errors
    ///
    /// `Undeclared` listing what it breaks, unless it begins a new one.
    pub(crate) fn major(&self) -> Result<MajorNumber> {
        major_after(&self.dataset, (self.base > 0).then_some(self.base_major), &self.breaks, self.is_new_major)
    }

    /// The major of the version that the layer was compared with.
    pub(crate) fn base_major(&self) -> MajorNumber {
        self.base_major
    }

    pub(crate) fn valid_time(&self) -> Option<&ValidTime> {
        self.successor.valid_time.as_ref()
    }

    /// A commit names the receipt and, if there is a new version, its objects now, so they stay; what else was written
    /// goes with its claims.
    fn commit_claims(&self) {
        let (uuid, state) = (&self.successor.uuid, &self.state);
        let mut named = HashSet::from([paths::receipt(&self.receipt)]);
        if self.is_new {
            named.extend(state.segments.iter().flat_map(|segment| segment_objects(uuid, segment)));
        }
        let changes = state.changes.filter(|_| self.is_new);
        named.extend(changes.map(|changes| paths::changes(uuid, &changes.sha256)));
        let assets = self.assets.iter().filter(|_| self.is_new);
        named.extend(assets.map(|asset| paths::asset(uuid, &asset.sha256)));
        let claims = self.claims.iter().chain(&state.claims);
        claims.filter(|claim| named.contains(&claim.key)).for_each(ObjectClaim::commit);
    }

    /// Whether the layer goes onto this version as it is: nothing that it is compared with or built on has changed.
    ///
    /// A full new state keeps the segments that it found rows in when they came, wherever those rows lie by now.
    pub(crate) fn is_onto(&self, newest: Option<&Version>) -> bool {
        let is_laid_out_so = newest.and_then(|newest| newest.layout) == self.base_layout;
        newest.map_or(0, |newest| newest.number.0) == self.base
            && (is_laid_out_so || self.successor.mode == PushMode::Replace)
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        self.successor.key.as_ref()
    }
}

/// What was erased from a dataset.
fn erasures(shared: &Shared, dataset: &DatasetId) -> Result<Vec<Erasure>> {
    let sequence = shared.snapshot().id().0;
    shared.state.read(sequence, |view| Ok(view.erasures(dataset)?.to_vec()))
}

/// The report, with a note if rows that were erased perhaps came again.
fn with_notes(
    mut report: LayerReport,
    (state, lost_key): (&State, Option<&Key>),
    last: Option<&Erasure>,
) -> LayerReport {
    if let Some(key) = lost_key {
        let message = format!(
            "the key {} had been found and does not fit any more: a value is missing or stands twice; rows are compared as a whole now",
            key.columns.join(", ")
        );
        let (rule, severity) = ("key.given_up".to_owned(), Severity::Warning);
        report.diagnostics.push(Diagnostic { rule, severity, message, count: 1, examples: Vec::new() });
    }
    if let Some(last) = last.filter(|_| state.perhaps_erased > 0) {
        let (rule, count) = ("erased.again".to_owned(), state.perhaps_erased);
        let message = format!(
            "{count} new rows have a key that was probably erased before, last on {} (snapshot {})",
            last.erased, last.snapshot
        );
        report.diagnostics.push(Diagnostic { rule, severity: Severity::Warning, message, count, examples: Vec::new() });
    }
    report
}

/// What is to be said of a column that alone made very many rows new.
fn renewed(column: &RenewingColumn, counts: &ChangeCounts) -> Diagnostic {
    let RenewingColumn { name, source_name, compared, found } = column;
    let count = counts.added + counts.changed;
    let name = quoted(name);
    let message = format!(
        "column {name} alone made rows new: of {compared} new rows that were compared, {found} were there but for it; if \
         a program numbers the rows, leave it out with drop in a mapping, and declare another key if it is the key"
    );
    let example = Example { row: None, field: Some(source_name.clone()), found: String::new(), taken: None };
    let rule = "rows.renewed_by_column".to_owned();
    Diagnostic { rule, severity: Severity::Note, message, count, examples: vec![example] }
}

/// Stores what was done to a layer.
fn store_receipt(shared: &Shared, report: &LayerReport) -> Result<(Sha256, ObjectClaim)> {
    let bytes = write_receipt(report)?;
    let hash = crate::seal::sha256(&bytes);
    let claim = shared.claims.claim(paths::receipt(&hash))?;
    shared.objects.put_if_absent(&claim.key, &bytes)?;
    Ok((hash, claim))
}

/// The newest version of a dataset, which must be `onto` where that is given.
fn newest_for(shared: &Shared, dataset: &DatasetId, onto: Option<VersionNumber>) -> Result<Option<Version>> {
    let newest = shared.newest_version(dataset)?;
    match onto {
        Some(onto) => still_newest(newest, onto).map(Some),
        None => Ok(newest),
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
