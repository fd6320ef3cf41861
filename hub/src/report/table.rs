//! Which of the tables that are kept with a push.

use std::str::FromStr;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The tables that are kept with a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ReportTable {
    /// What the rules said, place by place.
    #[default]
    Verdicts,
    /// The rows that were refused, as the source has them.
    Quarantine,
}

impl FromStr for ReportTable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "verdicts" | "" => Ok(Self::Verdicts),
            "quarantine" => Ok(Self::Quarantine),
            other => {
                let message = format!("a table of a push is verdicts or quarantine, found {}", quoted(other));
                Err(Error::invalid_request(message))
            }
        }
    }
}
