//! `ukimet tag`.

use crate::cli::operation::{OperationOptions, shown};
use crate::cli::output;
use crate::cli::search::time;
use crate::client::Client;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use ukimet_model::{Error, Result, TagName, VersionSelector};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Give a version a name, take one away, or list them.
///
/// `ukimet tag almaty/schools@v7 budget-2026` names version 7; without a version the newest is named. Without a tag the
/// tags are listed.
#[derive(Args)]
pub struct TagCommand {
    /// The dataset, and perhaps its version: a number, a tag or a time.
    #[arg(value_name = "DATASET[@VERSION]")]
    dataset: VersionSelector,
    /// The tag: a-z, 0-9 and inner . _ -, a letter first.
    #[arg(value_name = "TAG")]
    tag: Option<TagName>,
    /// Move the tag here if another version has it.
    #[arg(long = "move", requires = "tag", conflicts_with = "delete")]
    is_move: bool,
    /// Take the tag away.
    #[arg(long, requires = "tag")]
    delete: bool,
    /// List everything that the tags were set to.
    #[arg(long, conflicts_with = "tag")]
    history: bool,
    /// List them as of this snapshot.
    #[arg(long, value_name = "NUMBER", conflicts_with = "tag")]
    snapshot: Option<u64>,
    #[command(flatten)]
    options: OperationOptions,
}

impl TagCommand {
    /// Sets, deletes or lists.
    pub async fn run(self) -> Result<ExitCode> {
        let Some(tag) = &self.tag else { return self.list().await };
        let (dataset, operation) = (self.dataset.to_string(), self.options.operation());
        let mut client = self.options.client().await?;
        let id = &self.dataset.dataset;
        if self.delete {
            let request = v1::DeleteTagRequest { operation, dataset, tag: tag.to_string() };
            let answered = client.delete_tag(request).await;
            return self.options.answer(answered, |_, before| format!("{id}@{} has no tag {tag}", shown(before)));
        }
        let request = v1::SetTagRequest { operation, dataset, tag: tag.to_string(), r#move: self.is_move };
        let answered = client.set_tag(request).await;
        self.options.answer(answered, |version, before| {
            let before = before.filter(|before| Some(*before) != version);
            let moved = before.map_or_else(String::new, |before| format!(", before it was {before}"));
            format!("{tag} is {id}@{}{moved}", shown(version))
        })
    }

    async fn list(&self) -> Result<ExitCode> {
        if self.dataset.version.is_some() {
            return Err(Error::invalid_request("a tag is missing; without a version all tags are listed"));
        }
        let request = v1::ListTagsRequest {
            dataset: self.dataset.dataset.to_string(),
            history: self.history,
            snapshot: self.snapshot,
        };
        let mut catalog = Client::connect(&self.options.hub).await?.catalog();
        let found = catalog.list_tags(request).await.map_err(|status| from_status(&status))?.into_inner();
        if self.options.json {
            let tags: Vec<_> = found.tags.iter().map(tag_json).collect();
            output::document(&json!({ "snapshot": found.snapshot, "tags": tags }));
        } else {
            let rows: Vec<_> = found.tags.iter().map(row).collect();
            output::table(&["tag", "version", "set", "by", "why"], &rows);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(tag: &v1::Tag) -> Vec<String> {
    let version = tag.version.map_or_else(|| "deleted".to_owned(), |version| format!("v{version}"));
    let set = tag.set.as_ref().map_or_else(String::new, time);
    vec![tag.name.clone(), version, set, tag.principal.clone(), tag.why.clone()]
}

fn tag_json(tag: &v1::Tag) -> Value {
    json!({
        "tag": tag.name,
        "version": tag.version,
        "snapshot": tag.snapshot,
        "set": tag.set.as_ref().map(time),
        "principal": tag.principal,
        "why": tag.why,
    })
}
