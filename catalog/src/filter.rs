//! Rows of a segment by a condition: pages that cannot have one are passed over, geometries are decoded last.

mod column;
mod decimal;
mod near;
mod place;
mod way;

use crate::pages::all_rows;
use crate::rtree::Tree;
use crate::search::{read_error, reader, selection};
use crate::segments::OpenSegment;
use arrow_arith::boolean::{and_kleene, not, or_kleene};
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::Schema;
use column::{ColumnTest, TextList, compared_columns, literals_compare};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use ukimet_model::error::quoted;
use ukimet_model::{Comparison, Error, Filter, Folding, Result, Term};

pub use place::PlaceTest;
pub use way::way_m;

/// Rows of the columns of a condition that are read at once.
const READ_ROWS: usize = 65_536;
/// The same where few rows are wanted, or geometries are read, which may be large.
const READ_ROWS_FEW: usize = 4096;

/// A condition bound to the columns of a version.
pub(crate) struct RowFilter {
    /// Asked one after the other, each of the rows that the one before left.
    stages: Vec<Stage>,
}

/// A part of a condition that all rows have to meet.
struct Stage {
    test: Test,
    /// Positions of the columns that are read for it, sorted.
    columns: Vec<usize>,
}

/// A condition on the columns at some positions.
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Constant(bool),
    IsNull(usize),
    Column(usize, ColumnTest),
    Columns { left: (usize, Folding), comparison: Comparison, right: (usize, Folding) },
    Place(usize, PlaceTest),
}

impl RowFilter {
    /// # Errors
    ///
    /// `InvalidRequest` naming the column if it is not there, or holds nothing that compares with what is asked.
    pub(crate) fn bind(filter: &Filter, schema: &Schema) -> Result<Self> {
        let parts = match filter.clone().pushed_down() {
            Filter::All(parts) if TextList::of(&parts, Comparison::NotEqual).is_none() => parts,
            one => vec![one],
        };
        let tests = parts.iter().map(|part| Test::bind(part, schema)).collect::<Result<Vec<_>>>()?;
        let (places, plain): (Vec<_>, Vec<_>) = tests.into_iter().partition(Test::asks_place);
        let stages = [plain, places].into_iter().filter(|tests| !tests.is_empty());
        Ok(Self { stages: stages.map(|tests| Stage::of(Test::All(tests))).collect() })
    }

    /// Positions of all columns that are read.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.stages.iter().flat_map(|stage| stage.columns.iter().copied())
    }

    /// The rows that may be wanted, by the statistics of the file and the boxes of the tree.
    pub(crate) fn candidates(&self, open: &OpenSegment, tree: Option<&Tree>) -> Result<RoaringBitmap> {
        let mut rows = all_rows(open);
        for stage in &self.stages {
            rows &= stage.test.candidates(open, tree)?;
        }
        Ok(rows)
    }

    /// The wanted ones of some sorted rows of a segment that has `of` rows, at most `limit`. It stops when nobody waits for
    /// them any more.
    pub(crate) fn among(
        &self,
        (open, of): (&OpenSegment, u64),
        rows: &[u32],
        limit: u64,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<u32>> {
        let reads_places = self.stages.iter().any(|stage| stage.test.asks_place());
        let is_few = reads_places || limit <= READ_ROWS_FEW as u64;
        let mut wanted = Vec::new();
        for rows in rows.chunks(if is_few { READ_ROWS_FEW } else { READ_ROWS }) {
            let mut left = rows.to_vec();
            for stage in &self.stages {
                left = stage.among(open, &left, of)?;
            }
            wanted.extend(left);
            if wanted.len() as u64 >= limit || !is_wanted() {
                break;
            }
        }
        wanted.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(wanted)
    }

    /// For each of some rows whether it is wanted, from its columns by their positions.
    pub(crate) fn takes<'a>(&self, rows: usize, column: &impl Fn(usize) -> Result<&'a ArrayRef>) -> Result<Vec<bool>> {
        let mut takes = vec![true; rows];
        for stage in &self.stages {
            let is_so = stage.test.of(rows, column)?;
            takes.iter_mut().zip(is_so.iter()).for_each(|(takes, is_so)| *takes &= is_so == Some(true));
        }
        Ok(takes)
    }
}

impl Stage {
    fn of(test: Test) -> Self {
        let mut columns = BTreeSet::new();
        test.read(&mut columns);
        Self { test, columns: columns.into_iter().collect() }
    }

    fn among(&self, open: &OpenSegment, rows: &[u32], of: u64) -> Result<Vec<u32>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (mut wanted, mut asked) = (Vec::new(), rows.iter());
        for batch in reader(open, &self.columns, Some(selection(rows, of)), READ_ROWS)? {
            let batch = batch.map_err(read_error)?;
            let column = |position: usize| {
                let place = self.columns.binary_search(&position);
                place.map(|place| batch.column(place)).map_err(|_| Error::internal("a column was not read"))
            };
            let is_so = self.test.of(batch.num_rows(), &column)?;
            wanted.extend(
                is_so.iter().zip(asked.by_ref()).filter(|(is_so, _)| *is_so == Some(true)).map(|(_, row)| *row),
            );
        }
        Ok(wanted)
    }
}

impl Test {
    fn bind(filter: &Filter, schema: &Schema) -> Result<Self> {
        let each = |filters: &[Filter]| filters.iter().map(|filter| Self::bind(filter, schema)).collect::<Result<_>>();
        match filter {
            Filter::All(filters) => match TextList::of(filters, Comparison::NotEqual) {
                Some(list) => Self::bind_list(&list, schema).map(|test| Self::Not(Box::new(test))),
                None => each(filters).map(Self::All),
            },
            Filter::Any(filters) => match TextList::of(filters, Comparison::Equal) {
                Some(list) => Self::bind_list(&list, schema),
                None => each(filters).map(Self::Any),
            },
            Filter::Not(filter) => Self::bind(filter, schema).map(|test| Self::Not(Box::new(test))),
            Filter::Constant(is_true) => Ok(Self::Constant(*is_true)),
            Filter::IsNull(column) => position(schema, column).map(Self::IsNull),
            Filter::Compare { left, comparison, right } => Self::bind_comparison(left, *comparison, right, schema),
            Filter::Like { term: Term::Column(name, folding), pattern } => {
                let column = position(schema, name)?;
                let test = ColumnTest::like(schema.field(column), *folding, pattern)?;
                Ok(Self::Column(column, test))
            }
            Filter::Like { .. } => Err(Error::invalid_request("a pattern is asked of a column")),
            Filter::Spatial { column, relation, geometry } => {
                let position = position(schema, column)?;
                Ok(Self::Place(position, PlaceTest::bind(schema.field(position), *relation, geometry)?))
            }
        }
    }

    fn bind_list(list: &TextList<'_>, schema: &Schema) -> Result<Self> {
        let column = position(schema, list.column)?;
        ColumnTest::one_of(schema.field(column), list).map(|test| Self::Column(column, test))
    }

    fn bind_comparison(left: &Term, comparison: Comparison, right: &Term, schema: &Schema) -> Result<Self> {
        match (left, right) {
            (Term::Column(left, folded_left), Term::Column(right, folded_right)) => {
                let (left, right) = (position(schema, left)?, position(schema, right)?);
                column::check_same_type(schema.field(left), schema.field(right))?;
                column::check_folding(schema.field(left), *folded_left)?;
                column::check_folding(schema.field(right), *folded_right)?;
                Ok(Self::Columns { left: (left, *folded_left), comparison, right: (right, *folded_right) })
            }
            (Term::Column(name, folding), literal) => {
                let column = position(schema, name)?;
                let test = ColumnTest::compare(schema.field(column), *folding, comparison, literal)?;
                Ok(Self::Column(column, test))
            }
            (literal, column @ Term::Column(..)) => {
                Self::bind_comparison(column, comparison.reversed(), literal, schema)
            }
            (left, right) => literals_compare(left, comparison, right).map(Self::Constant),
        }
    }

    /// Whether it needs a geometry.
    fn asks_place(&self) -> bool {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().any(Self::asks_place),
            Self::Not(test) => test.asks_place(),
            Self::Place(..) => true,
            _ => false,
        }
    }

    fn read(&self, columns: &mut BTreeSet<usize>) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.read(columns)),
            Self::Not(test) => test.read(columns),
            Self::Constant(_) => (),
            Self::IsNull(column) | Self::Column(column, _) | Self::Place(column, _) => _ = columns.insert(*column),
            Self::Columns { left, right, .. } => columns.extend([left.0, right.0]),
        }
    }

    fn candidates(&self, open: &OpenSegment, tree: Option<&Tree>) -> Result<RoaringBitmap> {
        let all = || Ok(all_rows(open));
        match self {
            Self::All(tests) => {
                let mut rows = all_rows(open);
                for test in tests {
                    rows &= test.candidates(open, tree)?;
                }
                Ok(rows)
            }
            Self::Any(tests) => {
                let mut any = RoaringBitmap::new();
                for test in tests {
                    any |= test.candidates(open, tree)?;
                }
                Ok(any)
            }
            Self::Constant(false) => Ok(RoaringBitmap::new()),
            Self::IsNull(column) => column::null_candidates(open, *column, true),
            Self::Not(test) => match &**test {
                Self::IsNull(column) => column::null_candidates(open, *column, false),
                _ => all(),
            },
            Self::Column(column, test) => test.candidates(open, *column),
            Self::Place(_, test) => match tree.zip(test.window()) {
                Some((tree, window)) => Ok(tree.candidates(&window)?.into_iter().map(|found| found.row).collect()),
                None => all(),
            },
            Self::Constant(true) | Self::Columns { .. } => all(),
        }
    }

    /// For each of some rows whether it is so; null where that is unknown.
    fn of<'a>(&self, rows: usize, column: &impl Fn(usize) -> Result<&'a ArrayRef>) -> Result<BooleanArray> {
        let constant = |is_true: bool| BooleanArray::from(vec![is_true; rows]);
        match self {
            Self::All(tests) => {
                let mut all = constant(true);
                for test in tests {
                    if is_settled(&all, false) {
                        break;
                    }
                    all = and_kleene(&all, &test.of(rows, column)?).map_err(read_error)?;
                }
                Ok(all)
            }
            Self::Any(tests) => {
                let mut any = constant(false);
                for test in tests {
                    if is_settled(&any, true) {
                        break;
                    }
                    any = or_kleene(&any, &test.of(rows, column)?).map_err(read_error)?;
                }
                Ok(any)
            }
            Self::Not(test) => not(&test.of(rows, column)?).map_err(read_error),
            Self::Constant(is_true) => Ok(constant(*is_true)),
            Self::IsNull(position) => column::is_null(column(*position)?),
            Self::Column(position, test) => test.of(column(*position)?),
            Self::Columns { left, comparison, right } => {
                compared_columns((column(left.0)?, left.1), *comparison, (column(right.0)?, right.1))
            }
            Self::Place(position, test) => Ok(test.of(column(*position)?)),
        }
    }
}

/// Whether every answer is this one, so that further conditions change none.
fn is_settled(answers: &BooleanArray, is_true: bool) -> bool {
    let count = if is_true { answers.true_count() } else { answers.false_count() };
    !answers.is_empty() && count == answers.len()
}

fn position(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::invalid_request(format!(
            "the filter names column {}, the columns are {}",
            quoted(name),
            names.join(", ")
        ))
    })
}
