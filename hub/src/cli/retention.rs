//! `ukimet retention`.

use crate::cli::operation::OperationOptions;
use crate::cli::output;
use crate::client::Client;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{DatasetId, Result, RetentionRule};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Say which versions of a dataset are kept, or show what was said. By default every version is kept.
///
/// A version is kept if any part of the rule keeps it, and the newest always. What is not kept is removed by `ukimet gc`
/// and by the hub itself now and then.
#[derive(Args)]
pub struct Retention {
    /// The dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetId,
    /// Keep this many of the newest versions.
    #[arg(long, value_name = "COUNT")]
    keep: Option<u64>,
    /// Keep the versions that were the newest at some time within this many months.
    #[arg(long, value_name = "COUNT")]
    months: Option<u32>,
    /// Remove versions even if they have a tag.
    #[arg(long)]
    drop_tagged: bool,
    /// Keep the bytes as they were sent even when every version that came of them is gone.
    #[arg(long)]
    keep_raw: bool,
    /// Keep every version.
    #[arg(long, conflicts_with_all = ["keep", "months", "drop_tagged", "keep_raw"])]
    keep_all: bool,
    #[command(flatten)]
    options: OperationOptions,
}

impl Retention {
    /// Sets the rule, or shows it.
    pub async fn run(self) -> Result<ExitCode> {
        let is_question =
            !self.keep_all && !self.drop_tagged && !self.keep_raw && self.keep.is_none() && self.months.is_none();
        if is_question {
            return self.show().await;
        }
        let rule = (!self.keep_all).then_some(RetentionRule {
            keep_newest: self.keep,
            keep_months: self.months,
            keep_tagged: !self.drop_tagged,
            keep_raw: self.keep_raw,
        });
        let request = v1::SetRetentionRequest {
            operation: self.options.operation(),
            dataset: self.dataset.to_string(),
            rule: rule.clone().map(Into::into),
        };
        let answered = self.options.client().await?.set_retention(request).await;
        self.options.answer(answered, |_, _| said(&self.dataset, rule.as_ref()))
    }

    async fn show(&self) -> Result<ExitCode> {
        let request = v1::GetDatasetRequest { dataset: self.dataset.to_string(), ..v1::GetDatasetRequest::default() };
        let mut catalog = Client::connect(&self.options.hub).await?.catalog();
        let found = catalog.get_dataset(request).await.map_err(|status| from_status(&status))?.into_inner();
        let rule = found.dataset.and_then(|dataset| dataset.retention).map(RetentionRule::from);
        if self.options.json {
            output::document(&json!({ "snapshot": found.snapshot, "retention": rule }));
        } else {
            output::line(&said(&self.dataset, rule.as_ref()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn said(dataset: &DatasetId, rule: Option<&RetentionRule>) -> String {
    let rule = rule.map_or_else(|| "keep every version".to_owned(), ToString::to_string);
    format!("{dataset}: {rule}")
}
