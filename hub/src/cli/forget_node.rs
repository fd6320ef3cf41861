//! `ukimet forget-node`.

use crate::cli::output;
use crate::config::parse_time;
use crate::store::StoreOptions;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;
use ukimet_model::Result;

/// Forget a hub on a shared bucket whose directory is gone for good, so that no erasure waits for it any more.
///
/// `ukimet verify` and `ukimet erase` name those that are waited for; a hub's name is in the file `node` of its directory.
#[derive(Args)]
pub struct ForgetNode {
    /// The hub's name, 32 digits.
    #[arg(value_name = "NAME")]
    name: String,
    /// The bucket as `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "URL")]
    data: String,
    #[command(flatten)]
    store: StoreOptions,
    /// How long nobody must have seen it; `0s` forgets it although it may be at work.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    away_min: Duration,
    /// Print what was forgotten as JSON.
    #[arg(long)]
    json: bool,
}

impl ForgetNode {
    /// Forgets it and prints when it was last seen.
    pub fn run(self) -> Result<ExitCode> {
        let forgotten = ukimet_catalog::forget_node(&self.store.place(&self.data)?, &self.name, self.away_min)?;
        if self.json {
            output::document(&json!({ "node": forgotten.name, "last_seen": forgotten.last_seen.to_string() }));
        } else {
            let (name, last_seen) = (&forgotten.name, forgotten.last_seen);
            output::line(&format!("node {name} is forgotten, last seen on {last_seen}"));
            output::line("  erasures that waited for it alone finish with the next ukimet gc");
        }
        Ok(ExitCode::SUCCESS)
    }
}
