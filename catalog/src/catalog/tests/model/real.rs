//! The same actions on a catalog over a disk in memory, and what it then shows.

use super::expected::{Answer, Model, Operation, Rows, differing, tag_name};
use super::{Action, Moment, Pick};
use crate::catalog::Catalog;
use crate::compaction::CompactionScope;
use crate::disk::recording::RecordingDisk;
use crate::erase::ErasureIntent;
use crate::operation::OperationIntent;
use crate::push::PushIntent;
use crate::seal::sha256;
use crate::verify::{VerifyOptions, verify_objects};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Schema};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Action as Asked, Asset, Batch, DatasetMetadata, Declarations, Error, LayerReport, OperationStatus, PushMode,
    Result, RetentionRule, RowQuery, SnapshotId, Version, VersionChoice, VersionNumber, VersionSelector,
};

const DATASET: &str = "almaty/parcels";

/// One dataset of an open catalog.
pub(super) struct Dataset {
    catalog: Catalog,
    disk: RecordingDisk,
}

fn batch(rows: &Rows) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("number", "№", DataType::Int64),
        attribute_field("value", "Мәні", DataType::Int64),
        Arc::new(geometry_field()),
    ]);
    let point = |x: i64| {
        let mut wkb = vec![1, 1, 0, 0, 0];
        wkb.extend_from_slice(&(70.0 + x as f64 / 100.0).to_le_bytes());
        wkb.extend_from_slice(&43.0_f64.to_le_bytes());
        wkb
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.keys().map(|number| Some(*number)).collect::<Int64Array>()),
        Arc::new(rows.values().map(|(value, _)| Some(*value)).collect::<Int64Array>()),
        Arc::new(rows.values().map(|(_, x)| Some(point(*x))).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

/// Rows of a batch or a structure, where they are there.
fn rows_in(columns: &StructArray) -> impl Iterator<Item = Option<(i64, (i64, i64))>> {
    let whole = |name: &str| columns.column_by_name(name).expect(name).as_primitive::<Int64Type>().values().to_vec();
    let (numbers, values) = (whole("number"), whole("value"));
    let places = columns.column_by_name("geometry").expect("places").as_binary::<i32>().clone();
    let nulls = columns.nulls().cloned();
    (0..columns.len()).map(move |i| {
        let is_there = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i));
        is_there.then(|| {
            let east = f64::from_le_bytes(places.value(i)[5..13].try_into().expect("a point"));
            (numbers[i], (values[i], ((east - 70.0) * 100.0).round() as i64))
        })
    })
}

fn intent(id: &str, bytes: &[u8], mode: PushMode, raw: &std::path::Path) -> PushIntent {
    // The first push says what the key is, the others take it over.
    let key = (id == "p0").then(|| vec!["number".to_owned()]);
    PushIntent {
        push_id: id.parse().expect("valid"),
        agency: "almaty".to_owned(),
        principal: "tester".to_owned(),
        digest: sha256(bytes),
        asset: Asset {
            sha256: sha256(bytes),
            size_bytes: bytes.len() as u64,
            file_name: "layer.csv".to_owned(),
            media_type: "text/csv".to_owned(),
        },
        raw: raw.to_owned(),
        metadata: DatasetMetadata::default(),
        expected_version: None,
        declared: Declarations { mode, key, ..Declarations::default() },
        mapping: ukimet_model::MappingChange::Keep,
    }
}

impl Dataset {
    pub(super) fn open(disk: &RecordingDisk) -> Self {
        Self { catalog: super::super::open(Arc::new(disk.clone())).expect("a whole disk"), disk: disk.clone() }
    }

    pub(super) fn close(&self) {
        self.catalog.close().expect("a whole disk");
    }

    pub(super) fn snapshot(&self) -> SnapshotId {
        self.catalog.snapshot().id()
    }

    /// Takes an action; `None` if it is refused. `before` is what picks are picked from.
    pub(super) fn take(&self, number: usize, action: &Action, before: &Model) -> Option<Answer> {
        let version = |pick: &Pick| VersionChoice::Number(VersionNumber(before.picked(*pick)));
        let tag = |name: u8| tag_name(name).parse().expect("a tag");
        let operate = |asked| self.operate(number, asked);
        let taken = match action {
            Action::Replace(rows) => self.push(number, PushMode::Replace, rows, &Rows::new()),
            Action::Upsert(rows, deletes) => {
                let deletes = deletes.iter().map(|number| (*number, (0, 0))).collect();
                self.push(number, PushMode::Upsert, rows, &deletes)
            }
            Action::Append(rows) => self.push(number, PushMode::Append, rows, &Rows::new()),
            Action::RollBack(pick) => {
                operate(Asked::RollBack { to: version(pick), expected_version: None, new_major: false })
            }
            Action::SetTag(name, pick, is_move) => {
                operate(Asked::SetTag { tag: tag(*name), version: Some(version(pick)), is_move: *is_move })
            }
            Action::DeleteTag(name) => operate(Asked::DeleteTag { tag: tag(*name) }),
            Action::AddNote(pick) => {
                operate(Asked::AddNote { version: Some(version(pick)), text: "checked".to_owned() })
            }
            Action::Keep(rule) => operate(Asked::SetRetention { rule: rule.map(rule_of) }),
            Action::Compact => {
                let id = DATASET.parse().expect("valid");
                self.catalog.compact(&id, CompactionScope::All, "tester").map(|_| Answer::Done)
            }
            Action::Erase(row) => self.catalog.erase(&erasure(number, *row)).map(|_| Answer::Done),
            Action::Clean => {
                let removed = self.catalog.apply_retention("tester");
                removed.and_then(|_| self.catalog.collect_garbage()).map(|_| Answer::Done)
            }
        };
        taken.ok()
    }

    fn push(&self, number: usize, mode: PushMode, rows: &Rows, deletes: &Rows) -> Result<Answer> {
        let bytes = format!("{number} {rows:?} {deletes:?}").into_bytes();
        let mut raw = tempfile::NamedTempFile::new().expect("a temporary file");
        raw.write_all(&bytes).expect("room");
        let mut transaction = self.catalog.begin(intent(&format!("p{number}"), &bytes, mode, raw.path()))?;
        let rows = batch(rows);
        let mut layer = transaction.begin_layer(DATASET.parse()?, rows.rows().schema())?;
        layer.append(rows)?;
        if !deletes.is_empty() {
            layer.delete(batch(deletes))?;
        }
        let count = layer.rows();
        let report = LayerReport { rows_read: count, rows_taken: count, ..LayerReport::default() };
        transaction.end_layer(layer, report)?;
        let outcome = transaction.commit()?.0.layers.remove(0);
        Ok(Answer::Rows(outcome.rows_added, outcome.rows_removed, outcome.rows_changed))
    }

    fn operate(&self, number: usize, action: Asked) -> Result<Answer> {
        let intent = OperationIntent {
            id: format!("o{number}").parse()?,
            principal: "tester".to_owned(),
            why: String::new(),
            dataset: DATASET.parse()?,
            action,
        };
        let (outcome, _, _) = self.catalog.operate(intent)?;
        Ok(if outcome.status == OperationStatus::Done { Answer::Done } else { Answer::Unchanged })
    }

    fn versions(&self) -> Vec<Version> {
        let id = DATASET.parse().expect("valid");
        let mut versions = self.catalog.snapshot().versions(&id, None, usize::MAX).unwrap_or_default();
        versions.reverse();
        versions
    }

    fn rows(&self, version: &Version) -> Result<Rows, Error> {
        let snapshot = self.catalog.snapshot();
        let (dataset, _) = snapshot.dataset(&DATASET.parse()?)?;
        let mut rows = Rows::new();
        for batch in snapshot.scan(&dataset, version, &RowQuery::default(), 0..usize::MAX)? {
            rows.extend(rows_in(&batch?.into()).flatten());
        }
        assert_eq!(rows.len() as u64, version.rows, "no number comes twice");
        Ok(rows)
    }

    /// What the catalog shows, every row of every version.
    pub(super) fn observe(&self) -> Model {
        let (snapshot, id) = (self.catalog.snapshot(), DATASET.parse().expect("valid"));
        let versions = self.versions();
        let newest = versions.last().map_or(0, |version| version.number.0);
        let notes =
            (1..=newest).map(|number| (number, snapshot.notes(&id, VersionNumber(number)).expect("read").len()));
        let tags = snapshot.tags(&id).expect("read").into_iter();
        let rule = snapshot.dataset(&id).ok().and_then(|(dataset, _)| dataset.retention);
        let rows = |version: &Version| (version.number.0, self.rows(version).expect("whole"));
        Model {
            newest,
            notes: notes.filter(|(_, count)| *count > 0).collect(),
            tags: tags.filter_map(|tag| Some((tag.name.to_string(), tag.version?.0))).collect(),
            rule: rule.and_then(|rule| Some((rule.keep_newest?, rule.keep_tagged))),
            versions: versions.iter().map(rows).collect(),
        }
    }

    /// Differences from the first version to the last and back, and from each to the next.
    pub(super) fn check_diffs(&self, model: &Model) {
        let versions = self.versions();
        let (first, last) = (&versions[0], &versions[versions.len() - 1]);
        let steps = versions.windows(2).map(|pair| (&pair[0], &pair[1]));
        for (from, to) in steps.chain([(first, last), (last, first)]) {
            let expected = differing(&model.versions[&from.number.0], &model.versions[&to.number.0]);
            let found = self.diff(from, to, model);
            assert_eq!(found, expected, "from {} to {}", from.number, to.number);
        }
    }

    fn diff(&self, from: &Version, to: &Version, model: &Model) -> BTreeMap<i64, Operation> {
        let snapshot = self.catalog.snapshot();
        let (dataset, _) = snapshot.dataset(&DATASET.parse().expect("valid")).expect("there");
        let [old, new] = [from, to].map(|version| &model.versions[&version.number.0]);
        let mut found = BTreeMap::new();
        for batch in snapshot.diff(&dataset, from, to, &RowQuery::default()).expect("opens") {
            let batch = batch.expect("whole");
            let side = |name: &str| rows_in(batch.column_by_name(name).expect(name).as_struct());
            for ((before, after), operation) in
                side("before").zip(side("after")).zip(batch.column(0).as_string::<i32>())
            {
                let (operation, number) = match operation.expect("one") {
                    "added" => (Operation::Added, after.expect("the new row").0),
                    "removed" => (Operation::Removed, before.expect("the old row").0),
                    _ => (Operation::Changed, after.expect("the new row").0),
                };
                let row = |rows: &Rows| rows.get(&number).map(|row| (number, *row));
                assert_eq!(
                    (before, after),
                    (row(old), row(new)),
                    "{operation:?} from {} to {}",
                    from.number,
                    to.number
                );
                assert_eq!(found.insert(number, operation), None, "{number} comes twice");
            }
        }
        found
    }

    /// What the past shows: what it was, without the versions that were removed since.
    pub(super) fn check_past(&self, past: &[Moment], now: &Model) {
        for (id, then) in past {
            let snapshot = self.catalog.snapshot().as_of(*id).expect("it was");
            let dataset = DATASET.parse().expect("valid");
            let versions = snapshot.versions(&dataset, None, usize::MAX).expect("there");
            let mut numbers: Vec<u64> = versions.iter().map(|version| version.number.0).collect();
            numbers.reverse();
            let listed = then.versions.keys().filter(|number| now.versions.contains_key(number));
            assert_eq!(numbers, listed.copied().collect::<Vec<_>>(), "as of {id}");
            for (name, version) in &then.tags {
                let selector: VersionSelector = format!("{DATASET}@{name}").parse().expect("valid");
                let found = snapshot.version(&selector).ok().map(|(_, version)| version.number.0);
                assert_eq!(found, now.versions.contains_key(version).then_some(*version), "{name} as of {id}");
            }
        }
    }

    /// Everything in the store is whole, down to the rows, and nothing is left over once it was collected.
    pub(super) fn check_store(&self) {
        self.catalog.collect_garbage().expect("a whole disk");
        let options = VerifyOptions { is_deep: true, journal: None };
        let report = verify_objects(&self.catalog.shared().objects, &options, &mut |_| ()).expect("a store");
        assert_eq!((report.findings, report.unreferenced), (vec![], 0));
        let left: Vec<_> = self.disk.names("scratch");
        assert!(left.is_empty(), "{left:?}");
    }
}

/// An erasure of the rows that have a number.
fn erasure(number: usize, row: i64) -> ErasureIntent {
    ErasureIntent {
        id: format!("e{number}").parse().expect("valid"),
        principal: "tester".to_owned(),
        who: String::new(),
        why: "a test".to_owned(),
        dataset: DATASET.parse().expect("valid"),
        columns: vec!["number".to_owned()],
        keys: vec![vec![row.to_string()]],
        bytes_in_doubt: true,
    }
}

fn rule_of((keep_newest, keep_tagged): (u64, bool)) -> RetentionRule {
    RetentionRule { keep_newest: Some(keep_newest), keep_months: None, keep_tagged, keep_raw: keep_newest == 3 }
}
