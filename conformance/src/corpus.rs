//! A corpus of files with known defects, made from a seed, and a manifest that says for each what must happen.
//!
//! What must happen is a class of outcomes and not the name of a rule, so that any adapter can be held to it: a defect
//! is repaired with a finding, a row or the file is refused. Never may it pass in silence, hang, or end the adapter.

mod archives;
mod places;
mod shapes;
mod tables;
mod texts;

use crate::adapter::{Adapter, asset};
use crate::generate::File;
use crate::random::Seeded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use ukimet_model::{Error, Result};
use ukimet_proto::v1::{AssetOptions, AssetRequest};

/// The manifest's name in the folder of the corpus.
pub const MANIFEST: &str = "corpus.json";

/// How a file may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every row is taken as it is; findings are welcome.
    Taken,
    /// Every row is taken, and at least one finding, which sound files of the ending do not have, says what was seen.
    TakenWithFinding,
    /// At least one row is refused with a verdict and given back, the others are taken.
    RowRefused,
    /// The file is refused: bad bytes, a limit, or a question to the publisher.
    FileRefused,
    /// The publisher is asked to declare something.
    Asked,
}

/// A file with a defect.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name and bytes.
    pub file: File,
    /// What is wrong with it, in words.
    pub defect: &'static str,
    /// What is declared about it.
    pub declared: Declared,
    /// How it may come out: any of these.
    pub outcomes: Vec<Outcome>,
    /// Rows that its source holds, taken and refused together.
    pub rows: u64,
}

/// What a publisher declares.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Declared {
    /// The CRS.
    pub crs: Option<&'static str>,
    /// The encoding.
    pub encoding: Option<&'static str>,
    /// The region.
    pub region: Option<&'static str>,
}

impl Case {
    fn new(name: &str, defect: &'static str, bytes: impl Into<bytes::Bytes>, rows: u64, outcomes: &[Outcome]) -> Self {
        let file = File::new(name, bytes);
        Self { file, defect, declared: Declared::default(), outcomes: outcomes.to_vec(), rows }
    }

    fn with_crs(mut self, crs: &'static str) -> Self {
        self.declared.crs = Some(crs);
        self
    }

    fn with_encoding(mut self, encoding: &'static str) -> Self {
        self.declared.encoding = Some(encoding);
        self
    }

    fn with_region(mut self, region: &'static str) -> Self {
        self.declared.region = Some(region);
        self
    }

    /// Its messages: every layer, with what is declared.
    pub fn requests(&self) -> Vec<AssetRequest> {
        let options = AssetOptions {
            file_name: self.file.name.clone(),
            crs: self.declared.crs.map(str::to_owned),
            encoding: self.declared.encoding.map(str::to_owned),
            region: self.declared.region.map(str::to_owned),
            all_layers: true,
            ..AssetOptions::default()
        };
        asset(options, &self.file.bytes, 64 << 10)
    }
}

/// An adapter and the corpus that it is asked to read.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The adapter.
    pub adapter: Adapter,
    /// The files.
    pub cases: Vec<Case>,
}

/// A maker of files with the defects of one family.
type Family = fn(&mut Seeded) -> Vec<Case>;

const FAMILIES: [(&str, Family); 5] = [
    ("texts", texts::cases),
    ("places", places::cases),
    ("shapes", shapes::cases),
    ("tables", tables::cases),
    ("archives", archives::cases),
];

/// The files of a seed: every defect once, then again with other numbers until there are at least `count`.
pub fn generate(seed: u64, count: usize) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for round in 0.. {
        for (family, make) in FAMILIES {
            for mut case in make(&mut Seeded::new(seed, &format!("{family} {round}"))) {
                case.file.name = format!("{round:03}_{family}_{}", case.file.name);
                cases.push(case);
            }
        }
        if cases.len() >= count {
            break;
        }
    }
    cases
}

/// What the manifest says of a file.
#[derive(Serialize)]
struct Entry<'a> {
    defect: &'a str,
    declared: Declared,
    outcomes: &'a [Outcome],
    rows: u64,
}

#[derive(Serialize)]
struct Manifest<'a> {
    seed: u64,
    count: usize,
    files: BTreeMap<&'a str, Entry<'a>>,
}

#[derive(Deserialize)]
struct Origin {
    seed: u64,
    count: usize,
}

/// Writes the files of a seed and their manifest into a folder, which is made.
///
/// # Errors
///
/// `InvalidRequest` if the folder cannot be written.
pub fn write(folder: &Path, seed: u64, count: usize) -> Result<usize> {
    let unusable = |e| Error::invalid_request(format!("{} cannot be used", folder.display())).caused_by(e);
    let cases = generate(seed, count);
    std::fs::create_dir_all(folder).map_err(unusable)?;
    for case in &cases {
        std::fs::write(folder.join(&case.file.name), &case.file.bytes).map_err(unusable)?;
    }
    let files = cases.iter().map(|case| {
        let Case { defect, declared, outcomes, rows, .. } = case;
        let (declared, rows) = (*declared, *rows);
        (case.file.name.as_str(), Entry { defect, declared, outcomes, rows })
    });
    let manifest = Manifest { seed, count, files: files.collect() };
    let json = serde_json::to_string_pretty(&manifest).expect("a manifest has string keys only");
    std::fs::write(folder.join(MANIFEST), json + "\n").map_err(unusable)?;
    Ok(cases.len())
}

/// The files of a folder that [`write`] made: made again from the seed in its manifest, and compared with what is there.
///
/// # Errors
///
/// `InvalidRequest` if the folder holds no corpus, one of another kit, or a file that was changed.
pub fn load(folder: &Path) -> Result<Vec<Case>> {
    let path = folder.join(MANIFEST);
    let unusable = |e: &dyn std::fmt::Display| Error::invalid_request(format!("{} is no corpus: {e}", path.display()));
    let json = std::fs::read(&path).map_err(|e| unusable(&e))?;
    let origin: Origin = serde_json::from_slice(&json).map_err(|e| unusable(&e))?;
    let cases = generate(origin.seed, origin.count);
    for case in &cases {
        let found = std::fs::read(folder.join(&case.file.name)).map_err(|e| unusable(&e))?;
        if found != case.file.bytes {
            return Err(unusable(&format_args!(
                "{} is not what seed {} gives; make it anew",
                case.file.name, origin.seed
            )));
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_corpus_replays_from_its_seed() {
        let bytes = |seed| generate(seed, 1).into_iter().map(|c| (c.file.name, c.file.bytes)).collect::<Vec<_>>();
        assert_eq!(bytes(3), bytes(3));
        assert_ne!(bytes(3), bytes(4));
    }

    #[test]
    fn every_file_of_a_corpus_has_a_name_of_its_own_and_an_outcome() {
        let cases = generate(3, 200);
        assert!(cases.len() >= 200);
        assert_eq!(cases.iter().map(|c| &c.file.name).collect::<HashSet<_>>().len(), cases.len());
        assert!(cases.iter().all(|case| !case.outcomes.is_empty() && !case.defect.is_empty()));
    }
}
