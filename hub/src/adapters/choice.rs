//! Which of several adapters reads a file: the first in the order of the configuration that fits.
//!
//! Pushes are served by the first `--adapter` that describes the file's format, else by the bundled one, and never by one
//! that stands beside. Whoever asks for rules by their version gets the first of all of them that applies these.

use super::remote::Remote;
use super::{Adapters, Reading};
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_proto::v1;

/// The adapter that reads a file.
pub(super) enum Chosen<'a> {
    /// The bundled one.
    Bundled,
    /// One at an address.
    Remote(&'a Remote),
}

impl Adapters {
    /// The version of the rules that a file is read with: those asked for, else those of the adapter that serves pushes.
    /// An adapter at an address is asked whether it still applies them.
    ///
    /// # Errors
    ///
    /// `Conflict` if no adapter applies those asked for to such a file, naming the rules that there are, or if the one that
    /// would read it applies others than when the hub started; what an adapter says that does not answer.
    pub async fn rules_for(&self, reading: &Reading) -> Result<String> {
        Ok(match self.choose(reading)? {
            Chosen::Bundled => self.bundled_said.rules.clone(),
            Chosen::Remote(remote) => {
                self.check_remote(remote, true).await?;
                remote.said.rules.clone()
            }
        })
    }

    /// Checks that some adapter applies rules of this version, whatever it reads.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the rules that there are.
    pub fn check_rules(&self, rules: &str) -> Result<()> {
        if self.all().any(|(said, _)| said.rules == rules) {
            return Ok(());
        }
        let known = listed(self.all());
        let message = format!("rules {} were asked for, the adapters of this hub apply {known}", quoted(rules));
        Err(Error::invalid_request(message))
    }

    pub(super) fn choose(&self, reading: &Reading) -> Result<Chosen<'_>> {
        let serving = self.remote.iter().find(|remote| remote.said.reads(reading));
        let Some(rules) = &reading.rules else {
            return Ok(serving.map_or(Chosen::Bundled, Chosen::Remote));
        };
        // The bundled one reads what no other claims, too.
        let reads =
            |said: &Said, remote: Option<&Remote>| said.reads(reading) || (remote.is_none() && serving.is_none());
        let chosen = self.all().find(|(said, remote)| said.rules == *rules && reads(said, *remote));
        chosen.map(|(_, remote)| remote.map_or(Chosen::Bundled, Chosen::Remote)).ok_or_else(|| {
            Error::conflict(format!(
                "no adapter of this hub applies rules {} to {}; those that read it apply {}",
                quoted(rules),
                quoted(&reading.file_name),
                listed(self.all().filter(|(said, remote)| reads(said, *remote)))
            ))
        })
    }

    /// What every adapter said, in the order in which they are asked; `None` for the bundled one.
    fn all(&self) -> impl Iterator<Item = (&Said, Option<&Remote>)> {
        let (before, after) = (self.remote.iter().map(Some), self.beside.iter().map(Some));
        let all = before.chain([None]).chain(after);
        all.map(|remote| (remote.map_or(&self.bundled_said, |remote| &remote.said), remote))
    }
}

/// What an adapter said of itself when the hub started.
#[derive(Clone, Default)]
pub(super) struct Said {
    /// The version of its rules.
    pub(super) rules: String,
    media_types: Vec<String>,
    extensions: Vec<String>,
}

impl Said {
    pub(super) fn of(described: &v1::DescribeResponse) -> Self {
        Self {
            rules: described.rules_version.clone(),
            media_types: described.formats.iter().flat_map(|format| format.media_types.clone()).collect(),
            extensions: described.formats.iter().flat_map(|format| format.extensions.clone()).collect(),
        }
    }

    /// Whether it named the media type that is declared for a file, or without one the ending of its name.
    fn reads(&self, reading: &Reading) -> bool {
        let extension = Path::new(&reading.file_name).extension().map(|e| e.to_string_lossy().to_lowercase());
        match &reading.declared.media_type {
            Some(media_type) => self.media_types.contains(media_type),
            None => extension.is_some_and(|extension| self.extensions.contains(&extension)),
        }
    }
}

fn listed<'a>(adapters: impl Iterator<Item = (&'a Said, Option<&'a Remote>)>) -> String {
    let named = adapters.map(|(said, remote)| {
        let who = remote.map_or("the bundled one", |remote| remote.url.as_str());
        format!("{} ({who})", quoted(&said.rules))
    });
    named.collect::<Vec<_>>().join(", ")
}
