//! `ukimet rollback`.

use crate::cli::operation::{OperationOptions, shown};
use clap::Args;
use std::process::ExitCode;
use ukimet_model::{DatasetId, Result, VersionChoice};
use ukimet_proto::v1;

/// Publish a version that equals an old one. Nothing is copied and nothing is lost: the versions between stay.
#[derive(Args)]
pub struct Rollback {
    /// The dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetId,
    /// The old version: a number, a tag or a time.
    #[arg(long, value_name = "VERSION")]
    to: VersionChoice,
    /// The newest version as you know it; if there is a newer one, nothing is done.
    #[arg(long, value_name = "NUMBER")]
    expected_version: Option<u64>,
    /// Begin a new major: the old version may break what readers of the newest rely on.
    #[arg(long)]
    new_major: bool,
    #[command(flatten)]
    options: OperationOptions,
}

impl Rollback {
    /// Rolls back.
    pub async fn run(self) -> Result<ExitCode> {
        let request = v1::RollBackRequest {
            operation: self.options.operation(),
            dataset: self.dataset.to_string(),
            to: self.to.to_string(),
            expected_version: self.expected_version,
            new_major: self.new_major,
        };
        let answered = self.options.client().await?.roll_back(request).await;
        let (id, to) = (&self.dataset, &self.to);
        self.options.answer(answered, |version, _| format!("{id}@{} equals {to}", shown(version)))
    }
}
