//! Rows that were read together as they are stored, and are given out in their order.

use super::super::read_error;
use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;
use ukimet_model::Result;

/// Rows that were read together.
pub(super) struct Round {
    /// As they are stored.
    batches: Vec<RecordBatch>,
    /// In their order, which batch each is in, and which row of it.
    slots: Vec<(usize, usize)>,
    /// How many were given out.
    given: usize,
}

impl Round {
    /// For so many rows.
    pub(super) fn of(rows: usize) -> Self {
        Self { batches: Vec::new(), slots: vec![(0, 0); rows], given: 0 }
    }

    /// Takes a batch, whose rows have the next of these ranks.
    pub(super) fn add(&mut self, batch: RecordBatch, ranks: &mut impl Iterator<Item = usize>) {
        let number = self.batches.len();
        for (row, rank) in (0..batch.num_rows()).zip(ranks) {
            self.slots[rank] = (number, row);
        }
        self.batches.push(batch);
    }

    /// The next rows, at most so many; `None` if there are no more.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<Option<RecordBatch>> {
        let left = &self.slots[self.given..];
        if left.is_empty() {
            return Ok(None);
        }
        let slots = &left[..left.len().min(rows_max)];
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let batch = interleave_record_batch(&batches, slots).map_err(read_error)?;
        self.given += slots.len();
        Ok(Some(batch))
    }
}
