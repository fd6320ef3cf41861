//! What `ukimet tag`, `note`, `rollback` and `retention` have in common: an operation with an id, and its answer.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use tonic::{Response, Status};
use ukimet_model::{Result, VersionNumber};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::version_service_client::VersionServiceClient;

/// How an operation is named, explained and sent.
#[derive(Args)]
pub struct OperationOptions {
    /// Why; kept with the commit.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// A name for the operation: repeating it under the same name changes nothing. By default a new one.
    #[arg(long, value_name = "ID")]
    operation_id: Option<String>,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    pub hub: String,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

impl OperationOptions {
    /// Why, as it was said.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The operation as it is sent.
    pub fn operation(&self) -> Option<v1::Operation> {
        let id = self.operation_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Some(v1::Operation { id, why: self.why.clone() })
    }

    /// A client of the service that takes operations.
    pub async fn client(&self) -> Result<VersionServiceClient<tonic::transport::Channel>> {
        Ok(Client::connect(&self.hub).await?.versions())
    }

    /// Prints the answer: `say` tells people what the versions are about.
    pub fn answer(
        &self,
        answered: Result<Response<v1::OperationResponse>, Status>,
        say: impl FnOnce(Option<VersionNumber>, Option<VersionNumber>) -> String,
    ) -> Result<ExitCode> {
        let answer = answered.map_err(|status| from_status(&status))?.into_inner();
        if self.json {
            output::document(&json!({
                "changed": answer.changed,
                "version": answer.version,
                "before": answer.before,
                "snapshot": answer.snapshot,
                "replayed": answer.replayed,
            }));
        } else {
            let said = say(answer.version.map(VersionNumber), answer.before.map(VersionNumber));
            let unchanged = if answer.changed { "" } else { "nothing changed: " };
            output::line(&format!("{unchanged}{said} (snapshot {})", answer.snapshot));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A version for people; nothing if there is none.
pub fn shown(version: Option<VersionNumber>) -> String {
    version.map_or_else(String::new, |version| version.to_string())
}
