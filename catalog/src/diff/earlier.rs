//! Rows of the earlier of two versions, of which the later ones and the lists of changes tell most: of a changed row only
//! the columns that differ are read, and where a list is stored with their values, those instead of a segment.

use super::Change;
use super::reading::{Files, Found, Rows, Side, failed, gather, read_columns};
use crate::changes::{ColumnSet, ListWriter};
use crate::objects::Object;
use crate::rows::Place;
use crate::search::read_rows;
use crate::segment::parquet_error;
use crate::segments::OpenSegment;
use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::{DataType, Schema};
use arrow_select::interleave::interleave;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// Values before that are stored with a list.
pub(super) struct StoredValues {
    open: OpenSegment,
    rows: u64,
}

impl StoredValues {
    pub(super) fn open(object: Object) -> Result<Self> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let footer = Arc::new(ArrowReaderMetadata::load(&object, options).map_err(parquet_error)?);
        let rows = u64::try_from(footer.metadata().file_metadata().num_rows());
        let rows = rows.map_err(|e| Error::internal("values have a negative number of rows").caused_by(e))?;
        Ok(Self { open: OpenSegment { object, footer }, rows })
    }

    /// Of how many rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Some of the columns of a schema, in order.
    pub(super) fn read(&self, schema: &Schema, columns: &[usize], rows: &RoaringBitmap) -> Result<Vec<ArrayRef>> {
        let own = self.open.footer.schema();
        let find = |column: &usize| own.index_of(schema.field(*column).name()).map_err(failed);
        let positions = columns.iter().map(find).collect::<Result<Vec<_>>>()?;
        if !positions.is_sorted() {
            return Err(Error::internal("values have their columns in another order than their version"));
        }
        read_columns(&self.open, &positions, rows, self.rows)
    }
}

/// Copies some of the rows of values, which are sorted, to another list.
pub(crate) fn copy_values(from: &Object, rows: &[u32], to: &mut ListWriter) -> Result<()> {
    let values = StoredValues::open(from.clone())?;
    let schema = values.open.footer.schema();
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let mut writer = to.values(schema)?;
    for batch in read_rows(&values.open, &columns, &rows.iter().collect(), values.rows)? {
        writer.write(batch?.columns().to_vec())?;
    }
    writer.finish()
}

/// What is known of the rows of the earlier version.
pub(super) struct Lists {
    /// Sets of columns that differ, as the changes number them.
    pub(super) column_sets: Vec<ColumnSet>,
    /// The values that each list is stored with.
    pub(super) values: Vec<Option<StoredValues>>,
}

/// One row that differs, by the ages of its versions.
#[derive(Clone, Copy)]
pub(super) struct Aged {
    pub(super) earlier: Option<Place>,
    pub(super) later: Option<Place>,
    columns: Option<u32>,
    values: Option<Place>,
}

impl Aged {
    pub(super) fn new(change: &Change, is_backward: bool) -> Self {
        let Change { before, after, columns, values, .. } = *change;
        let (earlier, later) = if is_backward { (after, before) } else { (before, after) };
        Self { earlier, later, columns, values }
    }

    /// Whether the earlier value is not the later one; `differs` says of each set whether the column is in it.
    fn needs(&self, differs: &[bool]) -> bool {
        self.earlier.is_some() && (self.later.is_none() || self.columns.is_none_or(|set| differs[set as usize]))
    }
}

/// Columns that differ in the same rows, and what was read of them.
pub(super) struct Group {
    /// Positions in the schema.
    columns: Vec<usize>,
    read: Option<Found>,
    stored: Option<Found>,
}

/// Reads what the later rows do not tell.
pub(super) fn read_earlier(side: &Side, files: &Files<'_>, lists: &Lists, changes: &[Aged]) -> Result<Vec<Group>> {
    let groups = groups(side, &lists.column_sets).into_iter().map(|(differs, columns)| {
        let wanted = |change: &Aged| change.earlier.filter(|_| change.needs(&differs));
        let in_segments = |change: &Aged| wanted(change).filter(|_| change.values.is_none());
        let in_lists = |change: &Aged| wanted(change).and(change.values);
        let in_segments: Vec<_> = changes.iter().map(in_segments).collect();
        let in_lists: Vec<_> = changes.iter().map(in_lists).collect();
        let read = side.gather(files, &columns, &in_segments)?;
        let stored = gather(&in_lists, columns.len(), |list, rows| {
            let missing = || Error::internal("a change has values in a list that has none");
            let values = lists.values.get(list as usize).and_then(Option::as_ref).ok_or_else(missing)?;
            values.read(&side.all, &columns, rows)
        })?;
        Ok(Group { columns, read, stored })
    });
    groups.collect()
}

/// The columns that are read, by the sets that they are in.
fn groups(side: &Side, sets: &[ColumnSet]) -> BTreeMap<Vec<bool>, Vec<usize>> {
    let mut groups: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
    for column in side.read() {
        let differs = sets.iter().map(|set| set.binary_search(&(*column as u32)).is_ok()).collect();
        groups.entry(differs).or_default().push(*column);
    }
    groups
}

/// Puts the rows together with the later ones, of which the same columns were read where lists tell that some do not
/// differ.
pub(super) fn put_together(
    side: &Side,
    (later, later_rows): (&Side, &Rows),
    groups: &[Group],
    changes: &[Aged],
) -> Result<Rows> {
    let mut columns = vec![None; side.read().len()];
    for group in groups {
        let picks: Vec<_> = (0..changes.len()).map(|row| group.pick(row, &changes[row])).collect();
        for (i, column) in group.columns.iter().enumerate() {
            let place = side.read().binary_search(column).expect("groups are of the columns that are read");
            let data_type = side.all.field(*column).data_type();
            // Where columns came or went another one may stand in this place, of which nothing is taken.
            let told = later.column_at(later_rows, *column).filter(|told| told.data_type() == data_type);
            columns[place] = Some(group.column(i, told, &picks, data_type)?);
        }
    }
    let missing = || Error::internal("a column is in no group");
    let columns = columns.into_iter().map(|column| column.ok_or_else(missing)).collect::<Result<_>>()?;
    Ok(Rows { columns, are_there: changes.iter().map(|change| Some(change.earlier.is_some())).collect() })
}

/// Where a value comes from, as [`Group::column`] counts.
const NOWHERE: usize = 0;
const TOLD: usize = 1;
const READ: usize = 2;
const STORED: usize = 3;

impl Group {
    fn pick(&self, row: usize, change: &Aged) -> (usize, usize) {
        let found = |found: &Option<Found>| found.as_ref().and_then(|found| found.picks[row]);
        match (found(&self.read), found(&self.stored)) {
            (Some(i), _) => (READ, i as usize),
            (None, Some(i)) => (STORED, i as usize),
            (None, None) if change.earlier.is_some() => (TOLD, row),
            (None, None) => (NOWHERE, 0),
        }
    }

    fn column(
        &self,
        i: usize,
        told: Option<&ArrayRef>,
        picks: &[(usize, usize)],
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        let null = new_null_array(data_type, 1);
        let of = |found: &'_ Option<Found>| {
            found.as_ref().map_or_else(|| ArrayRef::clone(&null), |found| ArrayRef::clone(&found.columns[i]))
        };
        let (told, read, stored) = (told.unwrap_or(&null), of(&self.read), of(&self.stored));
        let sources: [&dyn Array; 4] = [&null, told, &read, &stored];
        interleave(&sources, picks).map_err(failed)
    }
}
