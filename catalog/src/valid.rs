//! Valid time: which columns say when a row was so in the world, whether they can be true, and rows by them.

use crate::pages::{Pages, all_rows};
use crate::search::{reader, selection};
use crate::segments::OpenSegment;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Schema};
use roaring::RoaringBitmap;
use ukimet_model::batch::source_name;
use ukimet_model::error::quoted;
use ukimet_model::valid::is_valid_time_type;
use ukimet_model::{Dataset, Declarations, Error, Result, ValidQuery, ValidTime, Version};

/// Rows of columns of valid time that are read at once.
const READ_ROWS: usize = 65_536;
/// Rows that an error names at most.
const NAMED_MAX: usize = 5;

fn failed(error: ArrowError) -> Error {
    Error::internal("reading a column of valid time failed").caused_by(error)
}

/// The columns that a publisher declares, by published or source names; `None` if none are.
///
/// # Errors
///
/// `InvalidRequest` naming the columns if one is not there, holds neither days nor times, or both differ in their types.
pub(crate) fn declared_valid_time(declared: &Declarations, schema: &Schema) -> Result<Option<ValidTime>> {
    let Some(from) = &declared.valid_from else {
        return match &declared.valid_to {
            Some(_) => Err(Error::invalid_request("a column of valid time says from when; declare valid_from too")),
            None => Ok(None),
        };
    };
    let from = declared_column(from, schema)?;
    let to = declared.valid_to.as_ref().map(|to| declared_column(to, schema)).transpose()?;
    let time = ValidTime { from, to };
    check_types(&time, schema)?;
    Ok(Some(time))
}

fn declared_column(name: &str, schema: &Schema) -> Result<String> {
    let fields = schema.fields();
    let field = fields.iter().find(|field| field.name() == name);
    let field = field.or_else(|| fields.iter().find(|field| source_name(field) == name));
    field.map(|field| field.name().clone()).ok_or_else(|| {
        let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
        let (name, names) = (quoted(name), names.join(", "));
        Error::invalid_request(format!("the valid time names column {name}, the columns are {names}"))
    })
}

fn check_types(time: &ValidTime, schema: &Schema) -> Result<()> {
    let positions = Positions::of(time, schema)?;
    let data_type = |position: usize| schema.field(position).data_type();
    for (name, position) in [(Some(&time.from), Some(positions.from)), (time.to.as_ref(), positions.to)] {
        let Some((name, position)) = name.zip(position) else { continue };
        if !is_valid_time_type(data_type(position)) {
            return Err(Error::invalid_request(format!(
                "valid time is days or times, column {name} has type {}; a mapping can cast it",
                data_type(position)
            )));
        }
    }
    match positions.to {
        Some(to) if data_type(to) != data_type(positions.from) => Err(Error::invalid_request(format!(
            "both columns of valid time have one type, {} has {}, {} has {}",
            time.from,
            data_type(positions.from),
            time.to.as_deref().unwrap_or_default(),
            data_type(to)
        ))),
        _ => Ok(()),
    }
}

/// The valid time of a dataset so far, if these columns have it too.
pub(crate) fn kept_valid_time(version: &Version, schema: &Schema) -> Option<ValidTime> {
    version.valid_time.clone().filter(|time| check_types(time, schema).is_ok())
}

/// Where the columns of valid time are.
#[derive(Clone, Copy)]
struct Positions {
    from: usize,
    to: Option<usize>,
}

impl Positions {
    fn of(time: &ValidTime, schema: &Schema) -> Result<Self> {
        let position = |name: &String| {
            let missing = |e| Error::internal("a valid time names a column that is not there").caused_by(e);
            schema.index_of(name).map_err(missing)
        };
        Ok(Self { from: position(&time.from)?, to: time.to.as_ref().map(position).transpose()? })
    }
}

/// Looks for rows that end before they begin.
pub(crate) struct ValidCheck {
    time: ValidTime,
    positions: Positions,
    wrong: u64,
    /// The first few of them.
    named: Vec<String>,
}

impl ValidCheck {
    pub(crate) fn new(time: &ValidTime, schema: &Schema) -> Result<Self> {
        let positions = Positions::of(time, schema)?;
        Ok(Self { time: time.clone(), positions, wrong: 0, named: Vec::new() })
    }

    /// Looks at rows, of which the first has this number, from 0.
    pub(crate) fn look_at(&mut self, rows: &RecordBatch, first: u64) -> Result<()> {
        let Some(to) = self.positions.to else { return Ok(()) };
        let sides = (rows.column(self.positions.from), rows.column(to));
        let (begins, ends) = (numbers(sides.0)?, numbers(sides.1)?);
        for row in 0..rows.num_rows() {
            if begins.is_valid(row) && ends.is_valid(row) && begins.value(row) > ends.value(row) {
                self.wrong += 1;
                if self.named.len() < NAMED_MAX {
                    let (begin, end) = (shown(sides.0, row)?, shown(sides.1, row)?);
                    self.named.push(format!("row {} from {begin} to {end}", first + row as u64 + 1));
                }
            }
        }
        Ok(())
    }

    /// # Errors
    ///
    /// `InvalidData` naming the rows that end before they begin.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.wrong == 0 {
            return Ok(());
        }
        let more = self.wrong - self.named.len() as u64;
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        Err(Error::invalid_data(format!(
            "valid time {} begins before it ends, found {}{more}",
            self.time,
            self.named.join(", ")
        )))
    }
}

fn shown(column: &ArrayRef, row: usize) -> Result<String> {
    arrow_cast::display::array_value_to_string(column, row).map_err(failed)
}

/// A column of days or times in its own numbers.
fn numbers(column: &ArrayRef) -> Result<Int64Array> {
    let column = match column.data_type() {
        DataType::Date32 => cast(column, &DataType::Int32).and_then(|days| cast(&days, &DataType::Int64)),
        _ => cast(column, &DataType::Int64),
    };
    Ok(column.map_err(failed)?.as_primitive::<Int64Type>().clone())
}

/// Rows by the time in which they were so, in the numbers of their columns.
#[derive(Clone, Copy)]
pub(crate) struct ValidFilter {
    positions: Positions,
    /// The last number at which a row may begin.
    begin_max: i64,
    /// The number that a row has to end after.
    end_above: i64,
    /// Whether it is an interval that is asked: what ends when it begins was never so in it.
    is_interval: bool,
}

impl ValidFilter {
    /// # Errors
    ///
    /// `InvalidRequest` if the version has no valid time, of another type than is asked, or an interval ends before it
    /// begins.
    pub(crate) fn of(dataset: &Dataset, version: &Version, schema: &Schema, query: &ValidQuery) -> Result<Self> {
        let time = version.valid_time.as_ref().ok_or_else(|| {
            Error::invalid_request(format!(
                "{}@{} has no valid time: its publisher declares the columns with a push (valid_from, valid_to)",
                dataset.id, version.number
            ))
        })?;
        let positions = Positions::of(time, schema)?;
        let data_type = schema.field(positions.from).data_type();
        match query {
            ValidQuery::At(moment) => {
                let at = moment.in_type(data_type)?;
                Ok(Self { positions, begin_max: at, end_above: at, is_interval: false })
            }
            ValidQuery::During(from, to) => {
                let (begin, end) = (from.in_type(data_type)?, to.in_type(data_type)?);
                if begin >= end {
                    return Err(Error::invalid_request(format!(
                        "an interval begins before it ends, asked for {query}"
                    )));
                }
                Ok(Self { positions, begin_max: end - 1, end_above: begin, is_interval: true })
            }
        }
    }

    fn takes(&self, begin: Option<i64>, end: Option<i64>) -> bool {
        let is_never = self.is_interval && begin.zip(end).is_some_and(|(begin, end)| begin >= end);
        begin.is_none_or(|begin| begin <= self.begin_max) && end.is_none_or(|end| self.end_above < end) && !is_never
    }

    /// The position of the column that says from when, and of the one that says until when.
    pub(crate) fn positions(&self) -> (usize, Option<usize>) {
        (self.positions.from, self.positions.to)
    }

    /// Which rows are wanted, from the columns of valid time.
    pub(crate) fn wants(&self, begins: &ArrayRef, ends: Option<&ArrayRef>) -> Result<Vec<bool>> {
        let begins = numbers(begins)?;
        let ends = ends.map(numbers).transpose()?;
        let value = |numbers: &Int64Array, row: usize| numbers.is_valid(row).then(|| numbers.value(row));
        let end = |row: usize| ends.as_ref().and_then(|ends| value(ends, row));
        Ok((0..begins.len()).map(|row| self.takes(value(&begins, row), end(row))).collect())
    }

    /// The wanted ones of some rows of a segment, sorted, at most `limit`.
    pub(crate) fn among(&self, open: &OpenSegment, rows: &[u32], of: u64, limit: u64) -> Result<Vec<u32>> {
        let mut columns = vec![self.positions.from];
        columns.extend(self.positions.to);
        let mut wanted = Vec::new();
        for rows in rows.chunks(READ_ROWS) {
            let selected = selection(rows, of);
            let mut rows = rows.iter();
            for batch in reader(open, &columns, Some(selected), READ_ROWS)? {
                let batch = batch.map_err(failed)?;
                // A reader gives the columns in the file's order.
                let is_swapped = self.positions.to.is_some_and(|to| to < self.positions.from);
                let (begins, ends) = if is_swapped { (1, Some(0)) } else { (0, self.positions.to.map(|_| 1)) };
                let takes = self.wants(batch.column(begins), ends.map(|at| batch.column(at)))?;
                wanted.extend(takes.iter().zip(rows.by_ref()).filter(|(takes, _)| **takes).map(|(_, row)| *row));
            }
            if wanted.len() as u64 >= limit {
                break;
            }
        }
        wanted.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(wanted)
    }

    /// The rows of a segment that lie in pages which may have wanted rows, by the statistics of its file.
    pub(crate) fn candidates(&self, open: &OpenSegment) -> Result<RoaringBitmap> {
        let begins = by_bound(open, self.positions.from, |pages| &pages.least, |least| least <= self.begin_max)?;
        let ends = self
            .positions
            .to
            .map(|to| by_bound(open, to, |pages| &pages.greatest, |greatest| greatest > self.end_above));
        Ok(ends.transpose()?.map_or_else(|| begins.clone(), |ends| &begins & ends))
    }
}

/// The rows of the pages whose bound fits. Null is open, so a page with one may have any row.
fn by_bound(
    open: &OpenSegment,
    column: usize,
    bound: impl Fn(&Pages) -> &ArrayRef,
    fits: impl Fn(i64) -> bool,
) -> Result<RoaringBitmap> {
    let Some(pages) = Pages::of(open, column)? else { return Ok(all_rows(open)) };
    let bounds = numbers(bound(&pages))?;
    Ok(pages.rows_of(|page| pages.may_have_null(page) || bounds.is_null(page) || fits(bounds.value(page))))
}
