//! Which pushes held the rows: their bytes as sent, and the tables that are kept with them.
//!
//! Bytes as sent are of any format and cannot be edited, so all of them go if they held such a row, or may have.

use super::ErasureIntent;
use super::doubt::{Held, refuse_doubt};
use super::find::Found;
use super::tables::Values;
use crate::catalog::Shared;
use crate::changes::ChangeList;
use crate::claims::ObjectClaim;
use crate::erasure::VersionFacts;
use crate::paths;
use crate::push::PushRecord;
use crate::receipt::{read_receipt, write_receipt};
use crate::rows::Place;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use ukimet_model::{
    Error, LayerOutcome, ProcessStep, PushId, PushMode, PushStatus, Result, Sha256, SnapshotId, Version, VersionNumber,
};

/// The pushes that held the rows.
#[derive(Default)]
pub(super) struct Holders {
    pub(super) pushes: Vec<PushId>,
    /// Keys of objects that they named and name no more.
    pub(super) objects: Vec<String>,
    /// Pushes of the agency into other datasets that brought the same bytes: these go for them, too.
    pub(super) bytes_gone_elsewhere: Vec<PushId>,
    pub(super) same_bytes_elsewhere: Vec<String>,
    pub(super) commits_with_examples: Vec<SnapshotId>,
}

/// What is asked of each push.
pub(super) struct Holding<'a> {
    pub(super) shared: &'a Shared,
    pub(super) intent: &'a ErasureIntent,
    pub(super) found: &'a Found,
    /// How many rows each version loses.
    pub(super) lost: &'a HashMap<VersionNumber, u64>,
}

impl Holding<'_> {
    /// Asks every push into the dataset.
    ///
    /// # Errors
    ///
    /// `Undeclared` if some key is in no version, pushes may have held it whose bytes are kept, and the intent does not
    /// say that such bytes go.
    pub(super) fn find(&self) -> Result<Holders> {
        let agency = self.intent.dataset.agency();
        let records = self.shared.state.read(self.found.sequence, |view| view.pushes(agency))?;
        let (own, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| self.is_into_dataset(record));
        let values = Values::of(self.intent, self.found);
        let held = own.iter().map(|record| self.held(record, &values)).collect::<Result<Vec<_>>>()?;
        let certain = raw_of(&own, &held, Held::Yes);
        let unmet = self.found.unmet(self.intent);
        if !unmet.is_empty() && !self.intent.bytes_in_doubt {
            let is_in_doubt =
                |record: &PushRecord, held| held == Held::Perhaps && !certain.contains(&record.asset.sha256);
            let in_doubt = own.iter().zip(&held).filter(|(record, held)| is_in_doubt(record, **held));
            refuse_doubt(self.shared, self.intent, &unmet, in_doubt.map(|(record, _)| record).collect())?;
        }
        let counts_doubt = self.intent.bytes_in_doubt || !self.found.met.is_empty();
        let raw = if counts_doubt { raw_of(&own, &held, Held::Perhaps) } else { certain };
        self.holders(&raw, &own, &others)
    }

    fn is_into_dataset(&self, record: &PushRecord) -> bool {
        record.outcome.layers.iter().any(|layer| layer.dataset == self.intent.dataset)
    }

    fn held(&self, record: &PushRecord, values: &Values) -> Result<Held> {
        let mut held = Held::No;
        for layer in record.outcome.layers.iter().filter(|layer| layer.dataset == self.intent.dataset) {
            held = held.max(self.rows_held(record, layer)?);
            if held < Held::Yes {
                held = held.max(values.are_in_tables_of(self.shared, record, layer)?);
            }
        }
        Ok(held)
    }

    /// Whether the rows that a push brought held one, as far as it can be told.
    fn rows_held(&self, record: &PushRecord, layer: &LayerOutcome) -> Result<Held> {
        let version = |number: u64| self.found.versions.iter().find(|version| version.number.0 == number);
        let lost = |number: u64| self.lost.get(&VersionNumber(number)).is_some_and(|lost| *lost > 0);
        let number = layer.version.0;
        let Some(made) = version(number) else { return Ok(Held::Perhaps) };
        if record.declared.mode == PushMode::Replace {
            return Ok(Held::certain(lost(number)));
        }
        let is_all_new = layer.status == PushStatus::Published
            && record.declared.delete_column.is_none()
            && layer.report.rows_taken == layer.rows_added + layer.rows_changed;
        match version(number - 1) {
            Some(_) if is_all_new => self.brought(made).map(Held::certain),
            None if number > 1 && !lost(number) => Ok(Held::Perhaps),
            _ => Ok(Held::certain(lost(number) || lost(number - 1))),
        }
    }

    /// Whether a push brought such a row, by the change list of the version that it made of all its rows.
    fn brought(&self, version: &Version) -> Result<bool> {
        let Some(changes) = version.changes else {
            // Whatever it brought is in the version.
            return Ok(self.lost.get(&version.number).is_some_and(|lost| *lost > 0));
        };
        let key = paths::changes(&self.found.dataset.uuid, &changes.sha256);
        let (list, _) = ChangeList::read(&self.shared.segments.open(&key, &changes.sha256)?)?;
        let file = |place: Place| self.found.files.get(&list.segments[place.segment as usize]);
        let is_erased = |place: Place, key: u128| match file(place) {
            Some(file) => file.rows.contains(place.position),
            None => self.found.hashes.contains(&key),
        };
        Ok(list.changes.iter().any(|change| change.after.is_some_and(|place| is_erased(place, change.key))))
    }

    /// What goes with bytes that held a row, of all pushes that brought them.
    fn holders(&self, raw: &HashSet<Sha256>, own: &[PushRecord], others: &[PushRecord]) -> Result<Holders> {
        let brought = |record: &&PushRecord| raw.contains(&record.asset.sha256);
        let own: Vec<_> = own.iter().filter(brought).collect();
        let has_examples = |record: &&&PushRecord| record.outcome.layers.iter().any(|l| l.report.has_examples());
        let objects: BTreeSet<String> = own.iter().flat_map(|record| record.objects()).collect();
        let agency = self.intent.dataset.agency();
        Ok(Holders {
            pushes: own.iter().map(|record| record.push_id.clone()).collect(),
            objects: objects.into_iter().collect(),
            bytes_gone_elsewhere: others.iter().filter(brought).map(|record| record.push_id.clone()).collect(),
            same_bytes_elsewhere: self.shared.state.read_pairs(|pairs| elsewhere_of(pairs, agency, raw))?,
            commits_with_examples: own.iter().filter(has_examples).map(|record| record.outcome.snapshot).collect(),
        })
    }
}

/// The bytes as sent of the pushes that held a row, at least so far as that.
fn raw_of(records: &[PushRecord], held: &[Held], least: Held) -> HashSet<Sha256> {
    let holders = records.iter().zip(held).filter(|(_, held)| **held >= least);
    holders.map(|(record, _)| record.asset.sha256).collect()
}

/// Pushes of other agencies that brought some bytes: they keep theirs.
fn elsewhere_of(
    pairs: &dyn crate::state::Read,
    agency: &str,
    raw: &HashSet<Sha256>,
) -> Result<Vec<String>, crate::state::Damage> {
    let mut found = Vec::new();
    if raw.is_empty() {
        return Ok(found);
    }
    crate::state::each_record(pairs, &mut |_, record| {
        if let crate::state::Record::Push(record) = record
            && record.agency != agency
            && raw.contains(&record.asset.sha256)
        {
            found.push(format!("{}/{}", record.agency, record.push_id));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Receipts of versions that such pushes made, written again without examples, which are values of rows, and marked.
pub(super) fn mark_receipts(
    shared: &Shared,
    intent: &ErasureIntent,
    holders: &Holders,
    versions: &[Version],
    facts: &mut BTreeMap<VersionNumber, VersionFacts>,
) -> Result<Vec<ObjectClaim>> {
    let mut claims = Vec::new();
    for version in versions {
        let Some(facts) = facts.get_mut(&version.number) else { continue };
        if facts.erased == 0 && !holders.pushes.contains(&version.push_id) {
            continue;
        }
        let mut report = read_receipt(&shared.objects, &version.receipt)?.without_examples();
        let parameters = [("operation", intent.id.to_string()), ("columns", intent.columns.join(", "))];
        report.steps.push(ProcessStep {
            step: STEP.to_owned(),
            version: "1".to_owned(),
            parameters: parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            count: facts.erased,
            examples: Vec::new(),
        });
        let bytes = write_receipt(&report)?;
        let hash = crate::seal::sha256(&bytes);
        let claim = shared.claims.claim(paths::receipt(&hash))?;
        shared.objects.put_if_absent(&claim.key, &bytes)?;
        claims.push(claim);
        facts.receipt = hash;
    }
    Ok(claims)
}

/// The step of a receipt that says that rows of its version were erased.
const STEP: &str = "erasure";

/// The error for values of another number than there are columns.
pub(super) fn check_keys(intent: &ErasureIntent, keys_max: usize) -> Result<()> {
    let (columns, keys) = (intent.columns.len(), intent.keys.len());
    if columns == 0 || keys == 0 {
        return Err(Error::invalid_request("an erasure names at least one column and one key"));
    }
    if intent.columns.iter().collect::<BTreeSet<_>>().len() < columns {
        let named = intent.columns.join(", ");
        return Err(Error::invalid_request(format!("an erasure names each column once, found {named}")));
    }
    if keys > keys_max {
        return Err(Error::limit_reached(format!("an erasure names at most {keys_max} keys, found {keys}")));
    }
    match intent.keys.iter().position(|key| key.len() != columns) {
        Some(at) => {
            let found = intent.keys[at].len();
            Err(Error::invalid_request(format!("key {} has {found} values, expected {columns}", at + 1)))
        }
        None => Ok(()),
    }
}
