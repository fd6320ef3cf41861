//! What a push says about itself before its bytes.

use crate::hashing::Hasher;
use serde::{Deserialize, Serialize};
use ukimet_model::{DatasetId, DatasetMetadata, Declarations, LayerSelection, PushId, PushMode, Sha256};

/// What a push says about itself before its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushHeader {
    /// Chosen by the client.
    pub push_id: PushId,
    /// Where the rows go.
    pub dataset: DatasetId,
    /// How they change it.
    pub mode: PushMode,
    /// The columns that make a row the same row in another version.
    #[serde(default)]
    pub key: Option<Vec<String>>,
    /// The column that says which rows of an upsert are deleted.
    #[serde(default)]
    pub delete_column: Option<String>,
    /// The file's name at the sender.
    pub file_name: String,
    /// The media type if the sender knows it.
    pub media_type: Option<String>,
    /// The CRS that the publisher declares.
    pub crs: Option<String>,
    /// The encoding that the publisher declares.
    pub encoding: Option<String>,
    /// What the columns are to become: a mapping file; empty for nothing, `None` for the dataset's own.
    #[serde(default)]
    pub mapping: Option<String>,
    /// The region that the publisher declares.
    #[serde(default)]
    pub region: Option<String>,
    /// The time zone that the publisher declares for times without one.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Which layers.
    pub layers: LayerSelection,
    /// Titles and so on.
    pub metadata: DatasetMetadata,
    /// The version that the publisher believes to be the newest.
    pub expected_version: Option<u64>,
    /// How many bytes will come, if known.
    pub size_bytes: Option<u64>,
    /// The push whose refused rows come back corrected.
    pub fixes: Option<PushId>,
    /// Whether the version begins a new major.
    #[serde(default)]
    pub new_major: bool,
    /// The column that says from when a row was so in the world.
    #[serde(default)]
    pub valid_from: Option<String>,
    /// The column that says from when it was so no longer.
    #[serde(default)]
    pub valid_to: Option<String>,
    /// Whether it is only told what the push would do.
    #[serde(default)]
    pub dry_run: bool,
    /// The version of the rules that the adapter must apply; `None` for the adapter that serves pushes.
    #[serde(default)]
    pub rules: Option<String>,
}

impl PushHeader {
    /// What the publisher declares; which mapping is in force is told by the dataset as well.
    pub fn declared(&self) -> Declarations {
        Declarations {
            media_type: self.media_type.clone(),
            crs: self.crs.clone(),
            encoding: self.encoding.clone(),
            region: self.region.clone(),
            time_zone: self.time_zone.clone(),
            layers: self.layers.clone(),
            mode: self.mode,
            key: self.key.clone(),
            delete_column: self.delete_column.clone(),
            new_major: self.new_major,
            valid_from: self.valid_from.clone(),
            valid_to: self.valid_to.clone(),
            ..Declarations::default()
        }
    }

    /// Hash over everything here that decides what a push does (a file's name may decide its format); with the hash of
    /// the bytes it is the push's content.
    pub fn digest(&self, bytes: Option<&Sha256>) -> Sha256 {
        let declared = (&self.file_name, &self.media_type, &self.crs, &self.encoding);
        let deciding = (&self.dataset, self.mode, declared, &self.layers, &self.metadata, bytes);
        let text = serde_json::to_vec(&deciding).expect("a header is plain data");
        let mut hasher = Hasher::default();
        hasher.update(&text);
        // Only what is there: a push without it keeps the digest that it had before it could be said.
        let key = self.key.as_ref().map(|key| key.join("\0"));
        let later = [
            ("key", key.as_deref()),
            ("delete_column", self.delete_column.as_deref()),
            ("region", self.region.as_deref()),
            ("time_zone", self.time_zone.as_deref()),
            ("mapping", self.mapping.as_deref()),
            ("fixes", self.fixes.as_ref().map(PushId::as_str)),
            ("new_major", self.new_major.then_some("")),
            ("valid_from", self.valid_from.as_deref()),
            ("valid_to", self.valid_to.as_deref()),
            ("dry_run", self.dry_run.then_some("")),
            ("rules", self.rules.as_deref()),
        ];
        for (what, text) in later.into_iter().filter_map(|(what, text)| Some((what, text?))) {
            for part in [what, text] {
                hasher.update(b"\0");
                hasher.update(part.as_bytes());
            }
        }
        hasher.finish()
    }
}
