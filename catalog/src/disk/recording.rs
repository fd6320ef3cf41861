//! A disk in memory that remembers every operation, so that the power can be cut after any of them.

use super::{Disk, DiskFile, Listed, ReadAt};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// One operation that changes the disk, or promises something about it.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateDir(String),
    Create(String, u64),
    Write(u64, Vec<u8>),
    SyncFile(u64),
    SyncDir(String),
    Link(u64, String),
    Unlink(String),
    RemoveDir(String),
    /// A promise of the catalog to its caller: what the test says here must survive every later crash.
    Promise(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    File(u64),
    Dir,
}

/// Names and bytes. A directory is known by its path, a file by its number.
#[derive(Clone, Default)]
struct Tree {
    names: BTreeMap<String, Node>,
    files: BTreeMap<u64, Vec<u8>>,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct RecordingDisk(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    /// What it held, durably, before the first operation.
    beginning: Tree,
    tree: Tree,
    operations: Vec<Operation>,
    next_file: u64,
}

/// How much of what was not synced survives a crash.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// Each name and each file decides for itself, in a way that the seed settles; files may be torn.
    Some(u64),
}

impl Survival {
    fn pick(&mut self, choices: u64) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Everything => choices - 1,
            Self::Some(seed) => {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (*seed >> 33) % choices
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl RecordingDisk {
    /// A disk that has a scratch directory already.
    pub(crate) fn with_scratch() -> Self {
        let disk = Self::default();
        disk.create_dir(crate::paths::SCRATCH).expect("an empty disk");
        disk
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().expect("no test panics while it holds the disk")
    }

    pub(crate) fn promise(&self, number: usize) {
        self.recorded().operations.push(Operation::Promise(number));
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.recorded().operations.clone()
    }

    /// The names in a directory.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        self.list(dir).expect("a directory").into_iter().map(|listed| listed.name).collect()
    }

    /// Changes a file's bytes behind the back of everyone.
    pub(crate) fn overwrite(&self, path: &str, bytes: Vec<u8>) {
        let file = self.file(path).expect("a file");
        self.recorded().tree.files.insert(file, bytes);
    }

    /// The same files on a disk of its own, nothing pending.
    pub(crate) fn copy(&self) -> Self {
        let recorded = self.recorded();
        let (tree, next_file) = (recorded.tree.clone(), recorded.next_file);
        Self(Arc::new(Mutex::new(Recorded { beginning: tree.clone(), tree, operations: Vec::new(), next_file })))
    }

    /// The disk as it durably was before its operations.
    pub(crate) fn beginning(&self) -> Self {
        let recorded = self.recorded();
        let (beginning, next_file) = (recorded.beginning.clone(), recorded.next_file);
        let tree = beginning.clone();
        Self(Arc::new(Mutex::new(Recorded { beginning, tree, operations: Vec::new(), next_file })))
    }

    /// What the disk holds if the power fails after the first `count` operations.
    pub(crate) fn crash(operations: &[Operation], count: usize, survival: Survival) -> Self {
        Self::crash_over(&Self::default(), operations, count, survival)
    }

    /// As [`RecordingDisk::crash`], for a disk that durably held `before`.
    pub(crate) fn crash_over(before: &Self, operations: &[Operation], count: usize, mut survival: Survival) -> Self {
        let mut now = before.recorded().tree.clone();
        let mut durable = now.clone();
        // Changes of names that no sync of their directory followed, in order.
        let mut pending: Vec<(String, Option<Node>)> = Vec::new();
        for operation in &operations[..count] {
            now.apply(operation);
            match operation {
                Operation::CreateDir(path) | Operation::Create(path, _) | Operation::Link(_, path) => {
                    pending.push((path.clone(), now.names.get(path).copied()));
                }
                Operation::Unlink(path) | Operation::RemoveDir(path) => pending.push((path.clone(), None)),
                Operation::SyncDir(dir) => {
                    let (synced, rest) = pending.into_iter().partition(|(path, _)| parent(path) == dir);
                    pending = rest;
                    durable.rename(synced);
                }
                Operation::SyncFile(file) => {
                    let bytes = now.files.get(file).cloned().unwrap_or_default();
                    durable.files.insert(*file, bytes);
                }
                Operation::Write(..) | Operation::Promise(_) => (),
            }
        }
        durable.rename(pending.into_iter().filter(|_| survival.pick(2) == 1).collect());
        for (file, bytes) in &now.files {
            let synced = durable.files.entry(*file).or_default();
            let lost = bytes.len() - synced.len();
            let kept = match survival.pick(3) {
                0 => 0,
                1 => lost / 2 / 512 * 512,
                _ => lost,
            };
            let from = synced.len();
            synced.extend_from_slice(&bytes[from..from + kept]);
        }
        durable.drop_unreachable();
        let next_file = now.files.last_key_value().map_or(0, |(file, _)| file + 1);
        Self(Arc::new(Mutex::new(Recorded {
            beginning: durable.clone(),
            tree: durable,
            operations: Vec::new(),
            next_file,
        })))
    }
}

impl Tree {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateDir(path) => {
                self.names.insert(path.clone(), Node::Dir);
            }
            Operation::Create(path, file) => {
                self.names.insert(path.clone(), Node::File(*file));
                self.files.insert(*file, Vec::new());
            }
            Operation::Write(file, bytes) => self.files.entry(*file).or_default().extend_from_slice(bytes),
            Operation::Link(file, path) => {
                self.names.insert(path.clone(), Node::File(*file));
            }
            Operation::Unlink(path) | Operation::RemoveDir(path) => {
                self.names.remove(path);
            }
            Operation::SyncFile(_) | Operation::SyncDir(_) | Operation::Promise(_) => (),
        }
    }

    fn rename(&mut self, changes: Vec<(String, Option<Node>)>) {
        for (path, node) in changes {
            match node {
                Some(node) => self.names.insert(path, node),
                None => self.names.remove(&path),
            };
        }
    }

    /// A name whose directory did not survive is gone.
    fn drop_unreachable(&mut self) {
        let names = self.names.clone();
        let has_home = |path: &str| {
            let mut dir = parent(path);
            while !dir.is_empty() {
                if names.get(dir) != Some(&Node::Dir) {
                    return false;
                }
                dir = parent(dir);
            }
            true
        };
        self.names.retain(|path, _| has_home(path));
    }
}

impl RecordingDisk {
    fn change(&self, path: &str, operation: impl FnOnce(u64) -> Operation) -> io::Result<u64> {
        let mut recorded = self.recorded();
        let dir = parent(path);
        if !dir.is_empty() && recorded.tree.names.get(dir) != Some(&Node::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let operation = operation(recorded.next_file);
        let is_new = !matches!(operation, Operation::Unlink(_) | Operation::RemoveDir(_));
        match (is_new, recorded.tree.names.contains_key(path)) {
            (true, true) => return Err(ErrorKind::AlreadyExists.into()),
            (false, false) => return Err(ErrorKind::NotFound.into()),
            _ => (),
        }
        let file = recorded.next_file;
        recorded.next_file += 1;
        recorded.tree.apply(&operation);
        recorded.operations.push(operation);
        Ok(file)
    }

    fn file(&self, path: &str) -> io::Result<u64> {
        match self.recorded().tree.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for RecordingDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.change(path, |_| Operation::CreateDir(path.to_owned())).map(|_| ())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.recorded().operations.push(Operation::SyncDir(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<Listed>> {
        let recorded = self.recorded();
        if !path.is_empty() && recorded.tree.names.get(path) != Some(&Node::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside = recorded.tree.names.iter().filter(|(name, _)| parent(name) == path);
        let listed = |(name, node): (&String, &Node)| {
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            Listed { name, is_dir: *node == Node::Dir }
        };
        Ok(inside.map(listed).collect())
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.change(path, |file| Operation::Create(path.to_owned(), file))?;
        Ok(Box::new(RecordingFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>> {
        let file = self.file(path)?;
        Ok(Arc::new(Bytes::from(self.recorded().tree.files.get(&file).cloned().unwrap_or_default())))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        self.change(to, |_| Operation::Link(file, to.to_owned())).map(|_| ())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.change(path, |_| Operation::Unlink(path.to_owned())).map(|_| ())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.change(path, |_| Operation::RemoveDir(path.to_owned())).map(|_| ())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

struct RecordingFile {
    disk: RecordingDisk,
    file: u64,
}

impl Write for RecordingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let operation = Operation::Write(self.file, bytes.to_vec());
        let mut recorded = self.disk.recorded();
        recorded.tree.apply(&operation);
        recorded.operations.push(operation);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for RecordingFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.recorded().operations.push(Operation::SyncFile(self.file));
        Ok(())
    }
}

impl ReadAt for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let from = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let end = from.checked_add(length).filter(|end| *end <= self.len()).ok_or(ErrorKind::UnexpectedEof)?;
        Ok(self.slice(from..end))
    }
}

impl RecordingDisk {
    /// A disk as it is for whoever comes after a process that was killed: nothing is lost, nothing more is durable.
    pub(crate) fn after_kill(operations: &[Operation]) -> Self {
        let mut tree = Tree::default();
        for operation in operations {
            tree.apply(operation);
        }
        let beginning = Tree::default();
        Self(Arc::new(Mutex::new(Recorded { beginning, tree, operations: operations.to_vec(), next_file: 1 << 32 })))
    }

    /// Does what another disk did.
    pub(crate) fn redo(&self, operation: &Operation) {
        self.recorded().tree.apply(operation);
    }
}
