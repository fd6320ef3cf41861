//! Pairs of rows of both sides, and the rows that they make.

use super::build::BuildSide;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::filter;
use arrow_select::take::take;
use datafusion::common::JoinSide;
use datafusion::error::Result;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use std::sync::Arc;

/// Rows that belong together: of the side that is held, and of the one that goes past.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) build: Vec<u32>,
    pub(super) probe: Vec<u32>,
}

impl Pairs {
    /// The pairs of some rows that go past, from one on, until there are many; and the row to go on with.
    ///
    /// # Errors
    ///
    /// What reading a geometry says.
    pub(super) fn of(build: &BuildSide, geometries: &ArrayRef, from: usize, pairs_max: usize) -> Result<(Self, usize)> {
        let column = geometries.as_binary::<i32>();
        let (mut sure, mut open) = (Self::default(), Self::default());
        let (mut found, mut asked, mut row) = (Vec::new(), Vec::new(), from);
        while row < column.len() && sure.build.len() + open.build.len() < pairs_max {
            if column.is_valid(row) {
                build.find(column.value(row), &mut found, &mut asked)?;
                sure.add(&mut found, row);
                open.add(&mut asked, row);
            }
            row += 1;
        }
        sure.append(open.tested(build, |probe| column.value(probe as usize)));
        Ok((sure.in_order(), row))
    }

    fn add(&mut self, build: &mut Vec<u32>, probe: usize) {
        self.probe.extend(std::iter::repeat_n(probe as u32, build.len()));
        self.build.append(build);
    }

    fn append(&mut self, mut other: Self) {
        self.build.append(&mut other.build);
        self.probe.append(&mut other.probe);
    }

    /// Those whose geometries relate: all of one row that is held at once, since it is prepared for many.
    fn tested<'a>(self, build: &'a BuildSide, geometry: impl Fn(u32) -> &'a [u8]) -> Self {
        let mut pairs: Vec<(u32, u32)> = self.build.into_iter().zip(self.probe).collect();
        pairs.sort_unstable();
        let mut kept = Self::default();
        for same in pairs.chunk_by(|one, next| one.0 == next.0) {
            let row = same[0].0;
            let relates = build.test(row, same.iter().map(|(_, probe)| geometry(*probe)));
            for ((_, probe), _) in same.iter().zip(relates).filter(|(_, relates)| *relates) {
                kept.build.push(row);
                kept.probe.push(*probe);
            }
        }
        kept
    }

    /// In the order of the rows that go past.
    fn in_order(self) -> Self {
        let is_sorted = self.probe.is_sorted();
        if is_sorted {
            return self;
        }
        let mut pairs: Vec<(u32, u32)> = self.probe.into_iter().zip(self.build).collect();
        pairs.sort_unstable();
        let (probe, build) = pairs.into_iter().unzip();
        Self { build, probe }
    }

    /// Those that a further condition takes.
    ///
    /// # Errors
    ///
    /// What the condition says.
    pub(super) fn that(
        self,
        condition: Option<&JoinFilter>,
        build: &RecordBatch,
        probe: &RecordBatch,
    ) -> Result<Matched> {
        let all = Matched { build: UInt32Array::from(self.build), probe: UInt32Array::from(self.probe) };
        let Some(condition) = condition else { return Ok(all) };
        let rows = all.rows(condition.schema(), condition.column_indices(), build, probe)?;
        let takes = condition.expression().evaluate(&rows)?.into_array(rows.num_rows())?;
        let takes: &BooleanArray = takes.as_boolean();
        let kept = |rows: &UInt32Array| -> Result<UInt32Array> { Ok(filter(rows, takes)?.as_primitive().clone()) };
        Ok(Matched { build: kept(&all.build)?, probe: kept(&all.probe)? })
    }
}

/// Pairs that are found.
pub(super) struct Matched {
    build: UInt32Array,
    probe: UInt32Array,
}

impl Matched {
    /// The rows that the pairs make of these columns.
    ///
    /// # Errors
    ///
    /// If a column is none of a side.
    pub(super) fn rows(
        &self,
        schema: &SchemaRef,
        columns: &[ColumnIndex],
        build: &RecordBatch,
        probe: &RecordBatch,
    ) -> Result<RecordBatch> {
        let column = |column: &ColumnIndex| {
            let (side, rows) = if column.side == JoinSide::Left { (build, &self.build) } else { (probe, &self.probe) };
            Ok(take(side.column(column.index), rows, None)?)
        };
        let columns = columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.build.len()));
        let schema: Arc<Schema> = Arc::clone(schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}
