//! Rows are hashed, as every push does with all of its rows to know which are new.

use crate::kernel::Work;
use crate::scanning::stored_rows;
use std::hint::black_box;
use ukimet_catalog::row_hashes;
use ukimet_model::Result;

pub(crate) const ROWS: u64 = 50_000;

/// All columns of every row.
pub(crate) fn hash_rows(rows: u64) -> Result<Work> {
    let batch = stored_rows(rows)?.into_rows();
    Ok(Work::new(rows, move || Ok(black_box(row_hashes(&batch)?).len() as u64)))
}
