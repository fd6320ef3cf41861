//! Which files a state consisted of when it was closed well: if they are the same when it is opened again, its pairs
//! need not all be read to know that it is whole.
//!
//! The files are synced before the seal is made, and the seal is gone, durably, before they change again.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is seen of a file without reading it. The time of change cannot be set back by writing.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    inode: u64,
    size_bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

type Looks = BTreeMap<PathBuf, Look>;

fn path_of(dir: &Path) -> PathBuf {
    dir.with_extension("seal")
}

fn look(dir: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<Looks> {
    let (mut looks, mut open) = (Looks::new(), vec![dir.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            if metadata.is_dir() {
                open.push(path);
                continue;
            }
            visit(&path)?;
            let metadata = path.metadata()?;
            let (inode, size_bytes) = (metadata.ino(), metadata.size());
            let look = Look { inode, size_bytes, changed_s: metadata.ctime(), changed_ns: metadata.ctime_nsec() };
            looks.insert(path.strip_prefix(dir).unwrap_or(&path).to_owned(), look);
        }
        visit(&folder)?;
    }
    Ok(looks)
}

/// Seals a state that is closed.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    let looks = look(dir, &mut |path| File::open(path)?.sync_all())?;
    let (path, new) = (path_of(dir), dir.with_extension("seal.new"));
    std::fs::write(&new, serde_json::to_vec(&looks)?)?;
    File::open(&new)?.sync_all()?;
    std::fs::rename(new, &path)?;
    sync_parent(&path)
}

/// Breaks the seal, and tells whether there was one and the files are still those that were sealed.
pub(super) fn take(dir: &Path) -> bool {
    let path = path_of(dir);
    let Ok(bytes) = std::fs::read(&path) else { return false };
    let is_broken = std::fs::remove_file(&path).and_then(|()| sync_parent(&path)).is_ok();
    let sealed: Option<Looks> = serde_json::from_slice(&bytes).ok();
    is_broken && sealed.is_some() && sealed == look(dir, &mut |_| Ok(())).ok()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_once_and_breaks_when_a_file_is_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        std::fs::create_dir_all(state.join("blobs")).expect("room");
        let file = state.join("blobs").join("db");
        std::fs::write(&file, b"pairs").expect("room");
        assert!(!take(&state), "there is none");
        make(&state).expect("sealed");
        assert!(take(&state));
        assert!(!take(&state), "it is broken");
        let touches: [&dyn Fn(); 3] = [
            &|| std::fs::write(&file, b"pears").expect("room"),
            &|| std::fs::write(state.join("other"), b"").expect("room"),
            &|| std::fs::remove_file(&file).expect("there"),
        ];
        for touch in touches {
            make(&state).expect("sealed");
            std::thread::sleep(std::time::Duration::from_millis(20));
            touch();
            assert!(!take(&state));
        }
    }
}
