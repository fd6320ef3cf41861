//! `ukimet note`.

use crate::cli::operation::{OperationOptions, shown};
use clap::Args;
use std::process::ExitCode;
use ukimet_model::{Result, VersionSelector};
use ukimet_proto::v1;

/// Write a note on a version; `ukimet versions` shows it.
#[derive(Args)]
pub struct NoteCommand {
    /// The dataset, and perhaps its version: a number, a tag or a time.
    #[arg(value_name = "DATASET[@VERSION]")]
    dataset: VersionSelector,
    /// The words.
    #[arg(value_name = "TEXT")]
    text: String,
    #[command(flatten)]
    options: OperationOptions,
}

impl NoteCommand {
    /// Writes the note.
    pub async fn run(self) -> Result<ExitCode> {
        let request = v1::AddNoteRequest {
            operation: self.options.operation(),
            dataset: self.dataset.to_string(),
            text: self.text.clone(),
        };
        let answered = self.options.client().await?.add_note(request).await;
        let id = &self.dataset.dataset;
        self.options.answer(answered, |version, _| format!("{id}@{} has a note", shown(version)))
    }
}
