//! Valid time on the command line.

use clap::Args;
use ukimet_model::{Result, ValidQuery};

/// Rows by the time in which they were so in the world.
#[derive(Args, Clone, Debug)]
pub struct ValidOptions {
    /// Only rows that were so in the world then: a day (2026-03-01) or a time, as the dataset's valid time has them.
    #[arg(long, value_name = "TIME")]
    pub valid_at: Option<String>,
    /// Only rows that were so at some moment of this interval, of which TO is no part.
    #[arg(long, value_name = "FROM/TO", conflicts_with = "valid_at")]
    pub valid_during: Option<String>,
}

impl ValidOptions {
    /// The question.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it does not read as one.
    pub fn query(&self) -> Result<Option<ValidQuery>> {
        ValidQuery::of(self.valid_at.as_deref(), self.valid_during.as_deref())
    }
}
