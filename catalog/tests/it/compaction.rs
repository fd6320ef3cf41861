//! Compactions: rows lie elsewhere afterwards, and that is all that anybody can find.

use crate::changes::{DATASET, Push, Rows, beside, diff_of, expected_diff, numbered, replace, rows_of, values};
use crate::fixture::{Place, deep, files, options, sha256, window};
use crate::versions::{SetClock, operate_on, roll_back};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use ukimet_catalog::{
    Catalog, CatalogOptions, Collected, Compacted, CompactionScope, Snapshot, backup, restore, verify,
};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Action, Batch, DatasetId, ErrorKind, LayerReport, PushMode, RetentionRule, RowQuery, SnapshotId, SystemClock,
    Version, VersionNumber, VersionSelector,
};

fn dataset() -> DatasetId {
    DATASET.parse().expect("valid")
}

fn open_with(dir: &Path, clock: &Arc<SetClock>, options: CatalogOptions) -> Catalog {
    Catalog::open(dir, options, Arc::clone(clock) as Arc<_>).expect("the store opens")
}

/// Superseded files go at the next collection.
fn keeping_nothing() -> CatalogOptions {
    CatalogOptions { superseded_keep: Duration::ZERO, ..options() }
}

fn compact(catalog: &Catalog) -> Compacted {
    catalog.compact(&dataset(), CompactionScope::All, "tester").expect("compacted")
}

fn version(snapshot: &Snapshot, number: u64) -> Version {
    snapshot.version(&selector(number)).expect("there").1
}

fn selector(number: u64) -> VersionSelector {
    format!("{DATASET}@v{number}").parse().expect("valid")
}

/// The batches of a version in the order in which they come.
fn batches(snapshot: &Snapshot, number: u64) -> Vec<RecordBatch> {
    let (dataset, version) = snapshot.version(&selector(number)).expect("there");
    let scan = snapshot.scan(&dataset, &version, &RowQuery::default(), 0..usize::MAX).expect("opens");
    scan.collect::<Result<_, _>>().expect("whole")
}

/// Version 1 of a hundred rows; each of the others changes one, adds one and deletes one. Answers the rows of each.
fn publish(catalog: &Catalog, count: i64) -> Vec<Rows> {
    let mut rows = numbered(0..100, 0);
    replace("p1", Some("number"), &rows).send(catalog).expect("taken");
    let mut versions = vec![rows.clone()];
    for number in 2..=count {
        let (changed, added, gone) = (40 + number, 200 + number, number);
        let come = Rows::from([(changed, (number, changed)), (added, (number, added))]);
        beside(&format!("p{number}"), PushMode::Upsert, &come, &[gone]).send(catalog).expect("taken");
        rows.remove(&gone);
        rows.extend(come);
        versions.push(rows.clone());
    }
    versions
}

fn check_clean(dir: &Path) {
    let report = verify(dir, &deep(), &mut |_| ()).expect("a store");
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
}

fn check_versions(catalog: &Catalog, versions: &[Rows]) {
    let here = window([70.0, 42.0, 70.2, 44.0]);
    for (number, rows) in (1..).zip(versions) {
        assert_eq!(rows_of(catalog, number, &RowQuery::default()), values(rows), "v{number}");
        let inside: Rows = rows.iter().filter(|(_, (_, x))| *x <= 20).map(|(n, row)| (*n, *row)).collect();
        assert_eq!(rows_of(catalog, number, &here), values(&inside), "window of v{number}");
        for (other, rows_there) in (1..).zip(versions) {
            let found = diff_of(catalog, number, other, &RowQuery::default());
            assert_eq!(found, expected_diff(rows, rows_there), "v{number} to v{other}");
        }
    }
}

#[test]
fn a_compaction_changes_where_rows_lie_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = crate::fixture::open(dir.path());
    let mut versions = publish(&catalog, 9);
    let (held, before) = (catalog.snapshot(), version(&catalog.snapshot(), 9));
    let (there, planned) = (batches(&held, 9), catalog.would_compact(&dataset(), CompactionScope::All).expect("asked"));
    assert_eq!(catalog.snapshot().id(), held.id(), "asking changes nothing");
    let done = compact(&catalog);
    let expected = Compacted {
        version: VersionNumber(9),
        segments_before: 9,
        segments_after: 1,
        segments_rewritten: 9,
        rows_rewritten: 100,
        rows_dropped: 16,
        bytes_before: before.segments.iter().map(|segment| segment.size_bytes).sum(),
        bytes_after: None,
        snapshot: None,
    };
    assert_eq!(planned, expected);
    let snapshot = catalog.snapshot();
    let after = version(&snapshot, 9);
    assert_eq!(
        done,
        Compacted { bytes_after: Some(after.segments[0].size_bytes), snapshot: Some(snapshot.id()), ..expected }
    );
    assert_eq!((after.segments.len(), after.segments[0].deletes, after.layout), (1, None, done.snapshot));
    let as_before = Version { segments: before.segments.clone(), layout: None, ..after.clone() };
    assert_eq!(as_before, before, "the same version");
    assert_eq!(batches(&held, 9), there, "whoever holds a snapshot reads on as before");
    assert_eq!(batches(&snapshot.laid_out_as_of(held.id()), 9), there, "and whoever names it");
    assert_ne!(batches(&snapshot, 9), there, "the order is another one");
    check_versions(&catalog, &versions);
    assert_eq!(compact(&catalog).snapshot, None, "nothing is left to do");
    // The next push builds on what was written.
    let more = Rows::from([(300, (9, 300))]);
    beside("p10", PushMode::Upsert, &more, &[50]).send(&catalog).expect("taken");
    versions.push(versions[8].clone().into_iter().filter(|(n, _)| *n != 50).chain(more).collect());
    let next = version(&catalog.snapshot(), 10);
    assert_eq!((next.segments.len(), next.segments[0].parquet), (2, after.segments[0].parquet));
    drop((catalog, held, snapshot));
    let catalog = crate::fixture::open(dir.path());
    assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default());
    assert_eq!(version(&catalog.snapshot(), 9).layout, done.snapshot);
    check_versions(&catalog, &versions);
    check_clean(dir.path());
}

#[test]
fn limits_say_when_a_compaction_is_due() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = CatalogOptions { compact_deleted_share: 0.1, compact_segments_max: 4, ..options() };
    let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), limits.clone());
    let due = |catalog: &Catalog| catalog.would_compact(&dataset(), CompactionScope::PastLimits).expect("asked");
    publish(&catalog, 4);
    assert_eq!(due(&catalog).segments_rewritten, 0, "four segments are borne, and 6 rows of 106");
    beside("p5", PushMode::Upsert, &numbered(500..501, 5), &[]).send(&catalog).expect("taken");
    assert_eq!((due(&catalog).segments_rewritten, due(&catalog).segments_after), (4, 2), "the smallest of five");
    let done = catalog.compact(&dataset(), CompactionScope::PastLimits, "hub").expect("compacted");
    assert_eq!((done.rows_rewritten, done.segments_after, due(&catalog).segments_rewritten), (7, 2, 0));
    let gone: Vec<i64> = (60..66).collect();
    beside("p6", PushMode::Upsert, &Rows::new(), &gone).send(&catalog).expect("taken");
    assert_eq!((due(&catalog).segments_rewritten, due(&catalog).rows_dropped), (1, 12), "12 rows of 107");
    drop(catalog);
    let never = CatalogOptions { compact_deleted_share: 1.0, compact_segments_max: 0, ..limits };
    let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), never);
    assert_eq!(due(&catalog).segments_rewritten, 0);
    let unknown = catalog.compact(&"almaty/none".parse().expect("valid"), CompactionScope::All, "tester");
    assert_eq!(unknown.expect_err("no such dataset").kind(), ErrorKind::NotFound);
}

#[test]
fn superseded_files_stay_for_readers_and_tickets_and_go_afterwards() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-01-01T00:00Z");
    let catalog = open_with(dir.path(), &clock, options());
    let versions = publish(&catalog, 5);
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    operate_on(&catalog, DATASET, "k", Action::SetRetention { rule: Some(rule) }).expect("set");
    let nothing = Collected::default();
    let collect = || catalog.collect_garbage().expect("collected");
    let held = catalog.snapshot();
    let there = batches(&held, 5);
    compact(&catalog);
    catalog.apply_retention("tester").expect("removed");
    clock.set("2026-01-03T00:00Z");
    assert_eq!(collect(), nothing, "somebody holds the state from before");
    drop(held);
    clock.set("2026-01-01T12:00Z");
    let collected = collect();
    let ticket = || catalog.snapshot().laid_out_as_of(SnapshotId(0));
    assert_eq!(batches(&ticket(), 5), there, "tickets of a day, beside {collected:?}");
    clock.set("2026-01-02T00:01Z");
    let (dataset, laid_out) = ticket().version(&selector(5)).expect("there");
    let scan = ticket().scan(&dataset, &laid_out, &RowQuery::default(), 0..99).expect("opens");
    assert_eq!(catalog.garbage().expect("asked"), nothing, "a reader of them is under way");
    assert_eq!(collect(), nothing);
    assert_eq!(scan.collect::<Result<Vec<_>, _>>().expect("whole"), there);
    assert!(collect().objects >= 5 * 3, "five segments");
    let gone = ticket().scan(&dataset, &laid_out, &RowQuery::default(), 0..99).err().expect("gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(gone.message().contains("almaty/parcels@v5 lay are gone since a compaction"), "{gone}");
    assert_eq!(rows_of(&catalog, 5, &RowQuery::default()), values(&versions[4]));
    let past = catalog.snapshot().as_of(SnapshotId(5)).expect("there");
    assert_eq!(version(&past, 5).layout, Some(SnapshotId(7)), "what is gone is gone, whenever one looks from");
    check_clean(dir.path());
}

#[test]
fn files_that_others_read_stay_as_long_as_their_version() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = SetClock::at("2026-01-01T00:00Z");
    let limits = CatalogOptions { keeps_published_files: true, ..keeping_nothing() };
    let catalog = open_with(dir.path(), &clock, limits.clone());
    publish(&catalog, 3);
    let there = batches(&catalog.snapshot(), 3);
    compact(&catalog);
    assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default());
    drop(catalog);
    let catalog = open_with(dir.path(), &clock, limits);
    assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default());
    assert_eq!(batches(&catalog.snapshot().laid_out_as_of(SnapshotId(0)), 3), there);
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    operate_on(&catalog, DATASET, "k", Action::SetRetention { rule: Some(rule) }).expect("set");
    replace("p4", None, &numbered(0..1, 7)).send(&catalog).expect("taken");
    catalog.apply_retention("tester").expect("removed");
    catalog.collect_garbage().expect("collected");
    assert_eq!(files(&dir.path().join("data")).iter().filter(|(name, _)| name.ends_with(".parquet")).count(), 1);
    check_clean(dir.path());
}

#[test]
fn bytes_as_sent_stay_as_long_as_rows_of_them_whatever_file_they_lie_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), keeping_nothing());
    let rule = RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: true, keep_raw: false };
    publish(&catalog, 4);
    operate_on(&catalog, DATASET, "k", Action::SetRetention { rule: Some(rule) }).expect("set");
    let clean = || {
        catalog.apply_retention("tester").expect("removed");
        catalog.collect_garbage().expect("collected");
        files(&dir.path().join("raw")).len()
    };
    compact(&catalog);
    assert_eq!(clean(), 4);
    beside("p5", PushMode::Append, &numbered(500..502, 5), &[]).send(&catalog).expect("taken");
    assert_eq!(clean(), 5, "version 4 is gone, its rows and those of the pushes before it are not");
    compact(&catalog);
    operate_on(
        &catalog,
        DATASET,
        "t",
        Action::SetTag { tag: "all".parse().expect("a tag"), version: None, is_move: false },
    )
    .expect("set");
    replace("p6", None, &numbered(900..901, 5)).send(&catalog).expect("taken");
    assert_eq!(clean(), 6);
    operate_on(&catalog, DATASET, "r", roll_back("all", None)).expect("rolled back");
    operate_on(&catalog, DATASET, "d", Action::DeleteTag { tag: "all".parse().expect("a tag") }).expect("deleted");
    assert_eq!(clean(), 5, "no row of the sixth is left");
    replace("p8", None, &numbered(900..902, 6)).send(&catalog).expect("taken");
    assert_eq!(clean(), 1, "nor of any other");
    check_clean(dir.path());
}

#[test]
fn a_push_that_a_compaction_overtakes_is_right_and_builds_on_it_if_it_can() {
    for mode in [PushMode::Upsert, PushMode::Append, PushMode::Replace] {
        let dir = tempfile::tempdir().expect("a directory");
        let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), keeping_nothing());
        let mut versions = publish(&catalog, 4);
        let come = Rows::from([(600, (6, 600))]);
        let mut after = versions[3].clone();
        let push = if mode == PushMode::Replace {
            after.retain(|n, _| n % 2 == 0);
            after.extend(come);
            replace("p5", None, &after)
        } else {
            after.extend(come.clone());
            beside("p5", mode, &come, &[])
        };
        let overtaken = push.send_between(&catalog, || {
            assert!(compact(&catalog).snapshot.is_some());
            assert_eq!(catalog.collect_garbage().expect("collected"), Collected::default(), "the push may need them");
        });
        assert_eq!(overtaken.expect("taken").version, VersionNumber(5));
        versions.push(after);
        let (four, five) = (version(&catalog.snapshot(), 4), version(&catalog.snapshot(), 5));
        let is_shared = five.segments.iter().any(|segment| segment.parquet == four.segments[0].parquet);
        assert_eq!(is_shared, mode != PushMode::Replace, "{mode:?}");
        check_versions(&catalog, &versions);
        compact(&catalog);
        catalog.collect_garbage().expect("collected");
        check_versions(&catalog, &versions);
        check_clean(dir.path());
    }
}

#[test]
fn pushes_readers_and_collections_go_on_beside_compactions() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), keeping_nothing());
    replace("p0", Some("number"), &numbered(0..400, 0)).send(&catalog).expect("taken");
    let (is_over, compacted, read) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (catalog, is_over, compacted, read) = (&catalog, &is_over, &compacted, &read);
        let pushers = [0, 1].map(|writer| {
            scope.spawn(move || {
                for round in 0..12_i64 {
                    let from = writer * 100 + round * 4;
                    let gone = [200 + writer * 100 + round];
                    let rows = numbered(from..from + 4, writer + 1);
                    beside(&format!("w{writer}-{round}"), PushMode::Upsert, &rows, &gone).send(catalog).expect("taken");
                }
            })
        });
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                match catalog.compact(&dataset(), CompactionScope::All, "tester") {
                    Ok(done) => compacted.fetch_add(u64::from(done.snapshot.is_some()), Ordering::SeqCst),
                    Err(error) => panic!("{error}"),
                };
                catalog.collect_garbage().expect("collected");
            }
        });
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                let snapshot = catalog.snapshot();
                let newest = snapshot.dataset(&dataset()).expect("there").1.number.0;
                let first = batches(&snapshot, newest);
                std::thread::sleep(Duration::from_millis(3));
                assert_eq!(batches(&snapshot, newest), first);
                read.fetch_add(1, Ordering::SeqCst);
            }
        });
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(compacted.load(Ordering::SeqCst) > 3 && read.load(Ordering::SeqCst) > 3, "{compacted:?} {read:?}");
    let value = |n: i64| i64::from(n < 48) + 2 * i64::from((100..148).contains(&n));
    let gone = |n: i64| (200..212).contains(&n) || (300..312).contains(&n);
    let expected: Vec<_> = (0..400).filter(|n| !gone(*n)).map(|n| (n, value(n))).collect();
    assert_eq!(rows_of(&catalog, 25, &RowQuery::default()), expected);
    assert_eq!(diff_of(&catalog, 1, 25, &RowQuery::default()).len(), 48 + 48 + 24);
    compact(&catalog);
    catalog.collect_garbage().expect("collected");
    check_clean(dir.path());
}

#[test]
fn a_backup_has_what_was_compacted_and_what_was_before_as_long_as_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, copy) = (dir.path().join("store"), dir.path().join("copy"));
    let catalog = open_with(&store, &SetClock::at("2026-01-01T00:00Z"), keeping_nothing());
    let versions = publish(&catalog, 4);
    let there = batches(&catalog.snapshot(), 4);
    compact(&catalog);
    let back_up = || backup(&store, &copy, true, &SystemClock, &mut |_| ()).expect("copied");
    back_up();
    replace("p5", None, &numbered(0..1, 1)).send(&catalog).expect("taken");
    compact(&catalog);
    assert!(catalog.collect_garbage().expect("collected").objects > 0, "the bitmaps of version 4");
    back_up();
    for (snapshot, laid_out) in [(4, None), (5, Some(SnapshotId(5)))] {
        let target = dir.path().join(format!("restored-{snapshot}"));
        let (_, report) = restore(&copy, &target, Some(snapshot), &SystemClock, &mut |_| ()).expect("restored");
        assert_eq!(report.findings, vec![]);
        let restored = crate::fixture::open(&target);
        assert_eq!(version(&restored.snapshot(), 4).layout, laid_out);
        check_versions(&restored, &versions);
        if laid_out.is_none() {
            assert_eq!(batches(&restored.snapshot(), 4), there);
        }
    }
    check_clean(&copy);
}

/// Rows as wide as those of a register: a number, two texts that do not compress, a triangle.
fn parcels(numbers: impl Iterator<Item = i64>, value: i64) -> Batch {
    let numbers: Vec<i64> = numbers.collect();
    let schema = Schema::new(vec![
        attribute_field("number", "№", DataType::Int64),
        attribute_field("owner", "Иесі", DataType::Utf8),
        attribute_field("address", "Мекенжайы", DataType::Utf8),
        Arc::new(geometry_field()),
    ]);
    let text = |name: &'static str| move |n: &i64| Some(sha256(format!("{name} {n} {value}").as_bytes()).to_string());
    let place = |n: &i64| {
        let (x, y) = (70.0 + (n % 300) as f64 / 300.0, 43.0 + (n / 300) as f64 / 300.0);
        Place::Triangle([(x, y), (x + 0.002, y), (x, y + 0.002)]).to_wkb()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(numbers.iter().copied().map(Some).collect::<Int64Array>()),
        Arc::new(numbers.iter().map(text("owner")).collect::<StringArray>()),
        Arc::new(numbers.iter().map(text("address")).collect::<StringArray>()),
        Arc::new(numbers.iter().map(place).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn push_parcels(catalog: &Catalog, push: &Push<'_>, rows: Batch) {
    let raw = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(raw.path(), &push.id).expect("room");
    let mut transaction = catalog.begin(push.intent(raw.path())).expect("begun");
    let mut layer = transaction.begin_layer(dataset(), rows.rows().schema()).expect("begun");
    layer.append(rows).expect("taken");
    let count = layer.rows();
    let report = LayerReport { rows_read: count, rows_taken: count, ..LayerReport::default() };
    transaction.end_layer(layer, report).expect("written");
    transaction.commit().expect("taken");
}

#[test]
fn a_hundred_versions_of_a_thousandth_each_cost_less_than_half_a_version_more() {
    const ROWS: i64 = 60_000;
    let dir = tempfile::tempdir().expect("a directory");
    // As a hub compacts: by the limits that it has unless told otherwise, after each push.
    let catalog = open_with(dir.path(), &SetClock::at("2026-01-01T00:00Z"), options());
    push_parcels(&catalog, &replace("p1", Some("number"), &Rows::new()), parcels(0..ROWS, 1));
    let stored = || {
        let all = files(dir.path());
        let truth = all.iter().filter(|(name, _)| !name.starts_with("projection") && !name.contains("checkpoint"));
        truth.map(|(_, size)| size).sum::<u64>()
    };
    let (one, mut compacted) = (stored(), 0);
    for version in 2..=100 {
        let changed = (0..ROWS / 1000).map(|i| i * 1000 + version * 7);
        let push = beside(&format!("p{version}"), PushMode::Upsert, &Rows::new(), &[]);
        push_parcels(&catalog, &push, parcels(changed, version));
        let done = catalog.compact(&dataset(), CompactionScope::PastLimits, "hub").expect("compacted");
        compacted += u64::from(done.snapshot.is_some());
    }
    let newest = version(&catalog.snapshot(), 100);
    assert!(
        compacted > 2 && newest.segments.len() <= 16,
        "{compacted} compactions, {} segments",
        newest.segments.len()
    );
    let rows: usize = batches(&catalog.snapshot(), 100).iter().map(RecordBatch::num_rows).sum();
    assert_eq!((newest.number.0, newest.rows, rows), (100, ROWS as u64, ROWS as usize));
    let all = stored();
    assert!(all * 2 < one * 3, "{all} bytes for a hundred versions, {one} for one");
}
