//! The projections compared with what the commits add up to.
//!
//! They are looked at in a copy: opening one changes its files, and a hub may be at work on them.

use super::VerifyReport;
use super::truth::Truth;
use crate::index::text::TextIndex;
use crate::log;
use crate::objects::Objects;
use crate::paths;
use crate::state::{KeyValue, Read, View, Watermark};
use crate::store::SledState;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use ukimet_model::{DatasetId, DatasetQuery, Result, Sha256};

/// Memory for reading a copied state, in bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// The least that a text index takes to be opened, in bytes.
const WRITER_BYTES: usize = 15_000_000;

/// What a projection says, compared with the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectionCheck {
    /// Its folder, as a path in the data directory.
    pub folder: String,
    /// How it compares.
    pub state: ProjectionState,
}

/// How a projection compares with the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectionState {
    /// It is what the commits add up to, all but the last so many. What is missing is caught up when it is opened.
    Behind(u64),
    /// It cannot be used, for this reason, as the hub will see, too; or there is none. It is built anew when opened.
    Unusable(String),
    /// It was not compared, for this reason.
    Unknown(String),
    /// It takes itself for whole and is not what the commits add up to. This is a finding.
    Differs(String),
}

/// How a folder's files looked: where, how large, how old.
type Look = Vec<(PathBuf, u64, SystemTime)>;

pub(super) fn check_projections(dir: &Path, objects: &Objects, truth: &Truth, report: &mut VerifyReport) -> Result<()> {
    for (name, compare) in [("sled", compare_state as Compare), ("text", compare_text)] {
        let folder = format!("{}/{name}", paths::PROJECTION);
        let mut state = check(&dir.join(paths::PROJECTION), name, truth, compare);
        if matches!(state, ProjectionState::Differs(_)) && log::last_sequence(objects)? > truth.last {
            state = ProjectionState::Unknown("a hub made commits meanwhile".to_owned());
        }
        if let ProjectionState::Differs(reason) = &state {
            report.find(folder.clone(), reason.clone());
        }
        report.projections.push(ProjectionCheck { folder, state });
    }
    Ok(())
}

type Compare = fn(&Path, &Truth) -> Result<ProjectionState, String>;

fn check(projections: &Path, name: &str, truth: &Truth, compare: Compare) -> ProjectionState {
    let failed = |e: io::Error| ProjectionState::Unknown(format!("it could not be copied: {e}"));
    let copied = look(projections, name).and_then(|before| {
        let copy = tempfile::tempdir()?;
        for (file, ..) in &before {
            let to = copy.path().join(file);
            to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::copy(projections.join(file), to)?;
        }
        Ok((copy, look(projections, name)? == before))
    });
    match copied {
        Err(e) if e.kind() == io::ErrorKind::NotFound => ProjectionState::Unusable("there is none".to_owned()),
        Err(e) => failed(e),
        Ok((_, false)) => ProjectionState::Unknown("a hub changed it meanwhile".to_owned()),
        Ok((copy, true)) => compare(&copy.path().join(name), truth).unwrap_or_else(ProjectionState::Unusable),
    }
}

/// The files of a projection: those in its folder, and those beside it that bear its name.
fn look(projections: &Path, name: &str) -> io::Result<Look> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(name)];
    let beside = std::fs::read_dir(projections)?.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())));
    open.extend(beside.filter(|file| file.as_path() != Path::new(name) && file.file_stem() == Some(name.as_ref())));
    while let Some(path) = open.pop() {
        let metadata = std::fs::metadata(projections.join(&path))?;
        if !metadata.is_dir() {
            found.push((path, metadata.len(), metadata.modified()?));
            continue;
        }
        for entry in std::fs::read_dir(projections.join(&path))? {
            open.push(path.join(entry?.file_name()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// How far a projection is behind, or how its commit is not one of the log.
fn compare_commit(truth: &Truth, sequence: u64, hash: &Sha256) -> ProjectionState {
    match truth.reached.get(&sequence) {
        Some((expected, _)) if expected == hash => ProjectionState::Behind(truth.last - sequence),
        Some(_) => ProjectionState::Unusable(format!("it is at commit {sequence}, which is not the one of the log")),
        None if sequence > truth.last => {
            ProjectionState::Differs(format!("it is at commit {sequence}, the log ends at {}", truth.last))
        }
        None => ProjectionState::Unknown("the log is damaged before its commit".to_owned()),
    }
}

fn compare_state(copy: &Path, truth: &Truth) -> Result<ProjectionState, String> {
    let checked = SledState::open(copy, CACHE_BYTES).and_then(|state| {
        // The copy is thrown away, so nothing is made of it.
        state.check().inspect(|_| state.distrust())
    });
    let watermark = checked.map_err(|e| e.to_string())?;
    let Some(Watermark { sequence, hash, digest, .. }) = watermark else {
        return Err("it is empty".to_owned());
    };
    let compared = compare_commit(truth, sequence, &hash);
    let expected = truth.reached.get(&sequence).map(|(_, digest)| *digest);
    Ok(match compared {
        ProjectionState::Behind(_) if expected != Some(digest) => {
            ProjectionState::Differs(format!("it is not the state that the commits up to {sequence} add up to"))
        }
        compared => compared,
    })
}

fn compare_text(copy: &Path, truth: &Truth) -> Result<ProjectionState, String> {
    let mut index = TextIndex::new(copy, WRITER_BYTES);
    let reached = index.open()?;
    let compared = compare_commit(truth, reached.sequence, &reached.hash);
    let (ProjectionState::Behind(_), Some(snapshot)) = (&compared, index.snapshot()) else { return Ok(compared) };
    let expected = datasets_at(&truth.state, reached.sequence).map_err(|damage| damage.to_string())?;
    let every = DatasetQuery { limit: expected.len() + 1, ..DatasetQuery::default() };
    let found = snapshot.search(&[], &every).map_err(|e| e.to_string())?.ids;
    if found.iter().eq(&expected) {
        return Ok(compared);
    }
    let differing = expected.symmetric_difference(&found.into_iter().collect()).next().cloned();
    let example = differing.map(|id| format!(", for one {id}")).unwrap_or_default();
    Ok(ProjectionState::Differs(format!(
        "its documents are not the datasets as of commit {}{example}",
        reached.sequence
    )))
}

/// The datasets that have a version as of a commit.
fn datasets_at(state: &dyn Read, sequence: u64) -> Result<BTreeSet<DatasetId>, crate::state::Damage> {
    let view = View::new(state, sequence);
    let mut ids = BTreeSet::new();
    view.each_dataset(&mut |dataset| {
        ids.insert(dataset.id);
    })?;
    let mut found = BTreeSet::new();
    for id in ids {
        if view.newest_version(&id)?.is_some() {
            found.insert(id);
        }
    }
    Ok(found)
}
