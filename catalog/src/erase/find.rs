//! Which rows are meant: every file of every version is looked through, deleted rows included.

use super::ErasureIntent;
use crate::catalog::Shared;
use crate::key::names_rows;
use crate::keys::read_keys;
use crate::layer::schema_of;
use crate::paths;
use crate::rowhash::row_hashes;
use crate::search::{BATCH_ROWS, read_error, reader};
use crate::selecting::select;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use ukimet_model::batch::source_name;
use ukimet_model::error::quoted;
use ukimet_model::{Dataset, DatasetUuid, Error, Result, SegmentRef, Sha256, Version, VersionNumber};

/// What was looked for in a dataset as it was at one moment, and found.
pub(super) struct Found {
    pub(super) dataset: Dataset,
    /// The commit that the moment is of.
    pub(super) sequence: u64,
    /// All versions that are there, the newest first, as they are seen at that moment.
    pub(super) versions: Vec<Version>,
    /// The commit of the dataset's last erasure before; 0 for none.
    pub(super) last_erasure: u64,
    /// The files of these versions, by hash: those without such a row, too.
    pub(super) files: BTreeMap<Sha256, FileRows>,
    /// The columns by which keys were looked for in these files.
    looked: HashSet<(Sha256, Vec<usize>)>,
    /// Numbers of the keys that some row has.
    pub(super) met: BTreeSet<usize>,
    /// Key hashes of the rows, and of the keys that were named if it is by the dataset's own key columns.
    pub(super) key_hashes: BTreeSet<u128>,
    /// These, and the row hashes of the rows.
    pub(super) hashes: HashSet<u128>,
    /// The versions that have not all of the columns, the newest first.
    pub(super) without_columns: Vec<VersionNumber>,
    /// Every name that a column had in some version and its source: in the order of the columns.
    pub(super) names: Vec<BTreeSet<String>>,
}

/// One file and its rows that are meant.
pub(super) struct FileRows {
    pub(super) schema: SchemaRef,
    pub(super) rows: RoaringBitmap,
}

/// The keys that are looked for, as rows of columns of some types: hash to the numbers of those that are this row.
struct Wanted {
    columns: Vec<usize>,
    hashes: HashMap<u128, Vec<usize>>,
}

/// Looks through a dataset.
///
/// # Errors
///
/// `NotFound` for an unknown dataset, `InvalidRequest` for a column that no version has or by whose values rows are not
/// told apart, and for a key that cannot be a value of its columns.
pub(super) fn find(shared: &Shared, intent: &ErasureIntent) -> Result<Found> {
    let sequence = shared.snapshot().id().0;
    let read = shared.state.read(sequence, |view| {
        let found = select(view, &intent.dataset, None)?;
        let versions = view.versions(&intent.dataset, None, usize::MAX)?;
        Ok(found.map(|(dataset, _)| (dataset, versions)))
    });
    let (dataset, versions) = read??;
    let last_erasure = shared.state.read(sequence, |view| view.last_erasure(&intent.dataset))?;
    let mut found = Found {
        dataset,
        sequence,
        versions,
        last_erasure,
        files: BTreeMap::new(),
        looked: HashSet::new(),
        met: BTreeSet::new(),
        key_hashes: BTreeSet::new(),
        hashes: HashSet::new(),
        without_columns: Vec::new(),
        names: intent.columns.iter().map(|name| BTreeSet::from([name.clone()])).collect(),
    };
    found.look_through(shared, intent)?;
    found.gather_hashes(shared)?;
    Ok(found)
}

impl Found {
    /// Numbers of the keys that no row of any version has.
    pub(super) fn unmet(&self, intent: &ErasureIntent) -> Vec<usize> {
        (0..intent.keys.len()).filter(|number| !self.met.contains(number)).collect()
    }

    fn look_through(&mut self, shared: &Shared, intent: &ErasureIntent) -> Result<()> {
        let mut readable = BTreeSet::new();
        for version in std::mem::take(&mut self.versions) {
            let schema = schema_of(&version.fields)?;
            let wanted = wanted(&schema, intent)?;
            match &wanted {
                None => self.without_columns.push(version.number),
                Some(wanted) => {
                    readable.extend(wanted.hashes.values().flatten().copied());
                    for (names, column) in self.names.iter_mut().zip(&wanted.columns) {
                        let field = schema.field(*column);
                        names.extend([field.name().clone(), source_name(field).to_owned()]);
                    }
                    self.keep_hashes(&version, &schema, wanted);
                }
            }
            for segment in &version.segments {
                self.look_at(shared, segment, &schema, wanted.as_ref())?;
            }
            self.versions.push(version);
        }
        if self.without_columns.len() == self.versions.len() {
            return Err(no_such_columns(intent, &self.versions));
        }
        match (0..intent.keys.len()).find(|number| !readable.contains(number)) {
            Some(number) => Err(Error::invalid_request(format!(
                "key {} of {} cannot be a value of {}",
                number + 1,
                intent.keys.len(),
                intent.columns.join(", ")
            ))),
            None => Ok(()),
        }
    }

    fn keep_hashes(&mut self, version: &Version, schema: &Schema, wanted: &Wanted) {
        let named: Vec<&String> = wanted.columns.iter().map(|column| schema.field(*column).name()).collect();
        if version.key.as_ref().is_some_and(|key| key.columns.iter().eq(named)) {
            self.key_hashes.extend(wanted.hashes.keys());
        }
    }

    /// Gathers the hashes of the rows from the key files that have them.
    fn gather_hashes(&mut self, shared: &Shared) -> Result<()> {
        let mut read = HashSet::new();
        for segment in self.versions.iter().flat_map(|version| &version.segments) {
            let file = self.files.get(&segment.parquet).filter(|file| !file.rows.is_empty());
            let Some(file) = file.filter(|_| read.insert(segment.keys)) else { continue };
            let key = paths::keys(&self.dataset.uuid, &segment.keys);
            for record in read_keys(&shared.segments.open(&key, &segment.keys)?)? {
                if file.rows.contains(record.position) {
                    self.key_hashes.insert(record.key);
                    self.hashes.extend([record.key, record.row]);
                }
            }
        }
        self.hashes.extend(&self.key_hashes);
        Ok(())
    }

    /// Looks for the keys in a file: once by each choice of columns, since versions that share it may have other names of the
    /// source.
    fn look_at(
        &mut self,
        shared: &Shared,
        segment: &SegmentRef,
        schema: &SchemaRef,
        wanted: Option<&Wanted>,
    ) -> Result<()> {
        let none = || FileRows { schema: Arc::clone(schema), rows: RoaringBitmap::new() };
        let file = self.files.entry(segment.parquet).or_insert_with(none);
        let Some(wanted) = wanted else { return Ok(()) };
        if self.looked.insert((segment.parquet, wanted.columns.clone())) {
            file.rows |= rows_of(shared, &self.dataset.uuid, segment, wanted, &mut self.met)?;
        }
        Ok(())
    }
}

/// The columns in a version's schema and the keys as its values; `None` if it has not all of the columns.
fn wanted(schema: &Schema, intent: &ErasureIntent) -> Result<Option<Wanted>> {
    let find = |name: &String| {
        let fields = schema.fields();
        let published = fields.iter().position(|field| field.name() == name);
        published.or_else(|| fields.iter().position(|field| source_name(field) == name))
    };
    let Some(columns) = intent.columns.iter().map(find).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut values: Vec<(Field, ArrayRef)> = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        let field = schema.field(*column);
        if !names_rows(field.data_type()) {
            let (name, data_type) = (quoted(field.name()), field.data_type());
            let expected = "rows are named by text, whole numbers, dates or times";
            return Err(Error::invalid_request(format!("{expected}, column {name} has type {data_type}")));
        }
        let texts: StringArray = intent.keys.iter().map(|key| key.get(i)).collect();
        values.push((field.clone(), read_as(&texts, field.data_type())?));
    }
    let are_readable: Vec<bool> =
        (0..intent.keys.len()).map(|key| values.iter().all(|(_, values)| values.is_valid(key))).collect();
    let (fields, arrays): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(read_error)?;
    let mut hashes: HashMap<u128, Vec<usize>> = HashMap::new();
    for (key, hash) in row_hashes(&rows)?.into_iter().enumerate().filter(|(key, _)| are_readable[*key]) {
        hashes.entry(hash).or_default().push(key);
    }
    Ok(Some(Wanted { columns, hashes }))
}

/// Texts as values of a type, null where they are none.
fn read_as(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(texts, data_type, &options).map_err(read_error)
}

/// The rows of a file that have one of the keys.
fn rows_of(
    shared: &Shared,
    dataset: &DatasetUuid,
    segment: &SegmentRef,
    wanted: &Wanted,
    keys_found: &mut BTreeSet<usize>,
) -> Result<RoaringBitmap> {
    let open = shared.segments.segment(dataset, segment)?;
    let mut in_file = wanted.columns.clone();
    in_file.sort_unstable();
    in_file.dedup();
    let order: Vec<usize> =
        wanted.columns.iter().map(|column| in_file.binary_search(column).unwrap_or_default()).collect();
    let (mut rows, mut position) = (RoaringBitmap::new(), 0_u32);
    for batch in reader(&open, &in_file, None, BATCH_ROWS)? {
        let batch = batch.and_then(|batch| batch.project(&order)).map_err(read_error)?;
        for (row, hash) in (position..).zip(row_hashes(&batch)?) {
            if let Some(keys) = wanted.hashes.get(&hash) {
                keys_found.extend(keys);
                rows.insert(row);
            }
        }
        position += batch.num_rows() as u32;
    }
    Ok(rows)
}

fn no_such_columns(intent: &ErasureIntent, versions: &[Version]) -> Error {
    let newest = versions.first().map_or(&[][..], |version| version.fields.as_slice());
    let names: Vec<_> = newest.iter().map(|field| field.name.as_str()).collect();
    Error::invalid_request(format!(
        "no version of {} has the columns {}; the newest has {}",
        intent.dataset,
        intent.columns.join(", "),
        names.join(", ")
    ))
}
