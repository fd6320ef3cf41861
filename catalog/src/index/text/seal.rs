//! The hashes of the index's files, beside the index, and the rules by which its words were found.

use super::analysis::RULES;
use crate::seal::sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tantivy::Index;
use ukimet_model::Sha256;

const META: &str = "meta.json";

/// Which files the index consists of.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    /// 0 for an index from before rules were counted.
    #[serde(default)]
    rules: u32,
    meta: Option<Sha256>,
    /// Files of segments: written once, so each is hashed once.
    files: BTreeMap<String, Sha256>,
}

fn path_of(index: &Path) -> PathBuf {
    index.with_extension("seal")
}

pub(super) fn remove(index: &Path) {
    std::fs::remove_file(path_of(index)).ok();
}

fn hash(path: &Path) -> Result<Sha256, String> {
    Ok(sha256(&std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?))
}

impl Seal {
    /// Reads the seal and compares every file with it.
    pub(super) fn read_and_check(index: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path_of(index)).map_err(|e| format!("its seal cannot be read: {e}"))?;
        let seal: Self = serde_json::from_slice(&bytes).map_err(|e| format!("its seal does not parse: {e}"))?;
        if seal.rules != RULES {
            return Err(format!("its words were found by rules {}, those of today are {RULES}", seal.rules));
        }
        if seal.meta != Some(hash(&index.join(META))?) {
            return Err("its list of segments is not the sealed one".to_owned());
        }
        for (name, sealed) in &seal.files {
            if hash(&index.join(name))? != *sealed {
                return Err(format!("its file {name} is not the sealed one"));
            }
        }
        Ok(seal)
    }

    /// Seals the files as they are now; those that were sealed before are not read again.
    pub(super) fn renew(&mut self, dir: &Path, index: &Index) -> Result<(), String> {
        let mut files = BTreeMap::new();
        let named = index.load_metas().map_err(|e| e.to_string())?.list_segment_files();
        // Files that a segment may have but does not need are named too.
        for path in named.iter().filter(|path| dir.join(path).exists()) {
            let name = path.to_string_lossy().into_owned();
            let sealed = self.files.get(&name).copied().map_or_else(|| hash(&dir.join(path)), Ok)?;
            files.insert(name, sealed);
        }
        *self = Self { rules: RULES, meta: Some(hash(&dir.join(META))?), files };
        let json = serde_json::to_vec(self).map_err(|e| e.to_string())?;
        let (path, new) = (path_of(dir), dir.with_extension("seal.new"));
        std::fs::write(&new, json).and_then(|()| std::fs::rename(new, path)).map_err(|e| e.to_string())
    }
}
