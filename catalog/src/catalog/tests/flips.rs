//! Any one changed byte of any true object is found, and by the object that has it.

use super::{Push, open};
use crate::disk::Disk;
use crate::disk::recording::RecordingDisk;
use crate::objects::Objects;
use crate::verify::{VerifyOptions, verify_objects};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

/// A store with an object of every kind that a push of points makes, and the paths of all of them.
static STORE: LazyLock<(RecordingDisk, Vec<String>)> = LazyLock::new(|| {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("a whole disk");
    for (push, rows) in [("p1", 0..3), ("p2", 0..6), ("p3", 2..6)] {
        Push::new(push, "almaty/schools", rows).send(&catalog).expect("a whole disk");
    }
    drop(catalog);
    let (mut files, mut open) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = open.pop() {
        for listed in disk.list(&folder).expect("a folder") {
            let path = if folder.is_empty() { listed.name } else { format!("{folder}/{}", listed.name) };
            if listed.is_dir { open.push(path) } else { files.push(path) }
        }
    }
    (disk, files)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_of_any_true_object_is_found(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let (disk, files) = &*STORE;
        let (disk, file) = (disk.copy(), file.get(files));
        let object = disk.open(file).expect("there");
        let mut bytes = object.read_at(0, object.size() as usize).expect("whole").to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        disk.overwrite(file, bytes);
        let verified = verify_objects(&Objects::new(Arc::new(disk)), &VerifyOptions::default(), &mut |_| ());
        // A flip in the number of the format makes the store one of another format.
        let is_found = match verified {
            Err(_) => file == "ukimet.json",
            Ok(report) => report.findings.iter().any(|finding| finding.object == *file),
        };
        prop_assert!(is_found, "{file} byte {at} bit {bit}");
    }
}

#[test]
fn the_flips_meet_an_object_of_every_kind() {
    let (_, files) = &*STORE;
    for kind in [
        "ukimet.json",
        "log/0",
        "log/checkpoint/",
        "raw/",
        "receipts/",
        ".parquet",
        ".keys",
        ".rtree",
        ".deletes",
        ".changes",
    ] {
        assert!(files.iter().any(|file| file.contains(kind)), "{kind}: {files:?}");
    }
}
