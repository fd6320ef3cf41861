//! Commits whose parts are each whole and do not belong together: only a look in depth finds them.

use super::{Push, open};
use crate::disk::recording::RecordingDisk;
use crate::log::{self, Change, Entry, Part};
use crate::objects::Objects;
use crate::verify::{VerifyOptions, VerifyReport, verify_objects};
use std::sync::Arc;
use ukimet_model::{Sha256, SnapshotId, Version, VersionNumber};

/// A store with two versions, and a third commit that publishes one made of them.
fn verify_with(forge: impl FnOnce(&[Version; 2], &mut Version)) -> [VerifyReport; 2] {
    let disk = RecordingDisk::default();
    let catalog = open(Arc::new(disk.clone())).expect("a whole disk");
    for (push, rows) in [("p1", 0..3), ("p2", 5..8)] {
        Push::new(push, "almaty/schools", rows).send(&catalog).expect("a whole disk");
    }
    let snapshot = catalog.snapshot();
    let version = |selector: &str| snapshot.version(&selector.parse().expect("valid")).expect("there").1;
    let versions = ["almaty/schools@v1", "almaty/schools@v2"].map(version);
    drop(catalog);
    let mut forged = Version { changes: None, ..versions[1].clone() };
    forge(&versions, &mut forged);
    (forged.number, forged.snapshot) = (VersionNumber(3), SnapshotId(3));
    let objects = Objects::new(Arc::new(disk));
    let previous: Sha256 = log::read(&objects, 2).expect("whole").1;
    let dataset = "almaty/schools".parse().expect("valid");
    let changes = vec![Change::VersionPublished { dataset, version: Box::new(forged) }];
    let parts = vec![Part { principal: "nobody".to_owned(), requirements: Vec::new(), changes }];
    let entry = Entry { sequence: 3, previous, time: jiff::Timestamp::UNIX_EPOCH, parts };
    log::append(&objects, &entry).expect("room");
    [false, true].map(|is_deep| {
        verify_objects(&objects, &VerifyOptions { is_deep, journal: None }, &mut |_| ()).expect("a store")
    })
}

#[test]
fn parts_that_do_not_belong_together_are_found_in_depth_and_named() {
    type Forge = fn(&[Version; 2], &mut Version);
    let cases: [(&str, &str, Forge); 6] = [
        (".rtree", "boxes", |[first, _], forged| forged.segments[0].rtree = first.segments[0].rtree),
        (".keys", "key file", |[first, _], forged| forged.segments[0].keys = first.segments[0].keys),
        (".parquet", "root hash", |[first, _], forged| forged.root_hash = first.root_hash),
        (".parquet", "expected 4 rows in a segment, found 3", |_, forged| forged.segments[0].rows += 1),
        (".rtree", "expected 2 rows with a place, found 3", |_, forged| forged.segments[0].rows_with_place = 2),
        (".changes", "tells of 6 rows that differ, 0 do", |[_, second], forged| forged.changes = second.changes),
    ];
    for (object, reason, forge) in cases {
        let [shallow, deep] = verify_with(forge);
        assert!(shallow.is_clean(), "{reason}: {:?}", shallow.findings);
        assert_eq!(deep.findings.len(), 1, "{reason}: {:?}", deep.findings);
        let finding = &deep.findings[0];
        assert!(finding.object.ends_with(object) && finding.reason.contains(reason), "{reason}: {finding:?}");
        assert!(finding.dependents.contains(&"almaty/schools@v3".to_owned()), "{reason}: {finding:?}");
    }
    assert!(verify_with(|_, _| ()).iter().all(VerifyReport::is_clean));
}
