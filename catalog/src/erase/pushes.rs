//! Which pushes held the rows: their bytes as sent, and the tables that are kept with them.
//!
//! Bytes as sent are of any format and cannot be edited, so all of them go if they held such a row, or may have.

use super::copies::erased_object;
use super::find::Found;
use super::{ErasureIntent, Values};
use crate::catalog::Shared;
use crate::changes::ChangeList;
use crate::claims::ObjectClaim;
use crate::erasure::VersionFacts;
use crate::paths;
use crate::push::PushRecord;
use crate::receipt::{read_receipt, write_receipt};
use crate::rows::Place;
use crate::tables::Table;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use ukimet_model::{
    Error, LayerOutcome, ProcessStep, PushId, PushMode, PushStatus, Result, SnapshotId, TableRef, Version,
    VersionNumber,
};

/// The pushes that held the rows.
#[derive(Default)]
pub(super) struct Holders {
    pub(super) pushes: Vec<PushId>,
    /// Keys of objects that they named and name no more.
    pub(super) objects: Vec<String>,
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
    pub(super) fn find(&self) -> Result<Holders> {
        let (id, agency) = (&self.intent.dataset, self.intent.dataset.agency());
        let sequence = self.shared.snapshot().id().0;
        let mut holders = Holders::default();
        let mut objects = BTreeSet::new();
        for record in self.shared.state.read(sequence, |view| view.pushes(agency))? {
            let layers: Vec<_> = record.outcome.layers.iter().filter(|layer| layer.dataset == *id).collect();
            let mut holds = false;
            for layer in layers {
                holds = holds || self.holds(&record, layer)?;
            }
            if holds {
                let has_examples = record.outcome.layers.iter().any(|layer| layer.report.has_examples());
                holders.commits_with_examples.extend(has_examples.then_some(record.outcome.snapshot));
                objects.extend(record.objects());
                holders.pushes.push(record.push_id);
            }
        }
        holders.same_bytes_elsewhere = self.same_bytes_elsewhere(&objects)?;
        holders.objects = objects.into_iter().collect();
        Ok(holders)
    }

    fn holds(&self, record: &PushRecord, layer: &LayerOutcome) -> Result<bool> {
        if self.lost.is_empty() && self.found.files.values().all(|file| file.rows.is_empty()) {
            return self.tables_hold(layer);
        }
        Ok(self.rows_hold(record, layer)? || self.tables_hold(layer)?)
    }

    /// Whether the rows that a push brought held one, as far as it can be told: in doubt it did.
    fn rows_hold(&self, record: &PushRecord, layer: &LayerOutcome) -> Result<bool> {
        let version = |number: u64| self.found.versions.iter().find(|version| version.number.0 == number);
        let lost = |number: u64| self.lost.get(&VersionNumber(number)).is_some_and(|lost| *lost > 0);
        let number = layer.version.0;
        let Some(made) = version(number) else { return Ok(true) };
        if record.declared.mode == PushMode::Replace {
            return Ok(lost(number));
        }
        let is_all_new = layer.status == PushStatus::Published
            && record.declared.delete_column.is_none()
            && layer.report.rows_taken == layer.rows_added + layer.rows_changed;
        match version(number - 1) {
            Some(_) if is_all_new => self.brought(made),
            None if number > 1 => Ok(true),
            _ => Ok(lost(number) || lost(number - 1)),
        }
    }

    /// Whether a push brought such a row, by the change list of the version that it made of all its rows.
    fn brought(&self, version: &Version) -> Result<bool> {
        let Some(changes) = version.changes else { return Ok(true) };
        let key = paths::changes(&self.found.dataset.uuid, &changes.sha256);
        let (list, _) = ChangeList::read(&self.shared.segments.open(&key, &changes.sha256)?)?;
        let file = |place: Place| self.found.files.get(&list.segments[place.segment as usize]);
        let is_erased = |place: Place, key: u128| match file(place) {
            Some(file) => file.rows.contains(place.position),
            None => self.found.hashes.contains(&key),
        };
        Ok(list.changes.iter().any(|change| change.after.is_some_and(|place| is_erased(place, change.key))))
    }

    /// Whether a verdict or a refused row has the values.
    fn tables_hold(&self, layer: &LayerOutcome) -> Result<bool> {
        let values = Values::of(self.intent, &self.found.names);
        let has = |table: Option<TableRef>, has: &dyn Fn(&RecordBatch) -> bool| -> Result<bool> {
            let Some(table) = table else { return Ok(false) };
            let key = paths::receipt(&table.sha256);
            let (objects, state) = (&self.shared.objects, &self.shared.state);
            if erased_object(objects, state, &key)?.is_some() || !objects.exists(&key)? {
                // An earlier erasure took it.
                return Ok(false);
            }
            for batch in Table::open(&self.shared.segments.open(&key, &table.sha256)?)? {
                if has(&batch?) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok(has(layer.quarantine, &|rows| values.are_in_refused(rows))?
            || has(layer.verdicts, &|verdicts| values.are_in_verdicts(verdicts))?)
    }

    /// Pushes of other agencies that named one of the objects: they keep theirs.
    fn same_bytes_elsewhere(&self, objects: &BTreeSet<String>) -> Result<Vec<String>> {
        let (agency, mut elsewhere) = (self.intent.dataset.agency(), Vec::new());
        self.shared.state.read_pairs(|pairs| elsewhere_of(pairs, agency, objects)).map(|found| {
            elsewhere.extend(found);
            elsewhere
        })
    }
}

fn elsewhere_of(
    pairs: &dyn crate::state::Read,
    agency: &str,
    objects: &BTreeSet<String>,
) -> Result<Vec<String>, crate::state::Damage> {
    let mut found = Vec::new();
    if objects.is_empty() {
        return Ok(found);
    }
    crate::state::each_record(pairs, &mut |_, record| {
        if let crate::state::Record::Push(record) = record
            && record.agency != agency
            && record.objects().any(|key| objects.contains(&key))
        {
            found.push(format!("{}/{}", record.agency, record.push_id));
        }
        Ok(())
    })?;
    Ok(found)
}

impl Values {
    /// Whether a refused row has one of the keys. A table that has not all of the columns may.
    fn are_in_refused(&self, rows: &RecordBatch) -> bool {
        let columns_of = |names: &BTreeSet<String>| -> Vec<&arrow_array::StringArray> {
            let fields = rows.schema_ref().fields().iter().enumerate().skip(1);
            let named = fields.filter(|(_, field)| names.contains(field.name()));
            named.filter_map(|(i, _)| rows.column(i).as_string_opt::<i32>()).collect()
        };
        let columns: Vec<Vec<_>> = self.names.iter().map(columns_of).collect();
        if columns.iter().any(Vec::is_empty) {
            return rows.num_rows() > 0;
        }
        (0..rows.num_rows()).any(|row| {
            let cell = |column: &arrow_array::StringArray| column.is_valid(row).then(|| plain(column.value(row)));
            self.keys.iter().any(|key| {
                let fits = |(value, columns): (&String, &Vec<&arrow_array::StringArray>)| {
                    columns.iter().filter_map(|column| cell(column)).any(|cell| cell == *value)
                };
                key.iter().zip(&columns).all(fits)
            })
        })
    }

    /// Whether a verdict names one of the values, as found or as taken.
    fn are_in_verdicts(&self, verdicts: &RecordBatch) -> bool {
        let texts = ["found", "taken"].map(|name| verdicts.column_by_name(name).and_then(|c| c.as_string_opt::<i32>()));
        let all: BTreeSet<&String> = self.keys.iter().flatten().collect();
        texts.into_iter().flatten().any(|texts| texts.iter().flatten().any(|text| all.contains(&plain(text))))
    }
}

/// A value as it is compared where nobody knows how it was read: without case, spaces and the zeros that numbers begin
/// with.
pub(super) fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    let rest = text.trim_start_matches('0');
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { text }
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
