//! What a difference reads, and how long it takes.
//!
//! `UKIMET_DIFF_ROWS=1000000 cargo test --release -p ukimet-catalog --lib ten_thousand_rows_that_differ -- --ignored --nocapture`
//! makes a dataset of so many parcels and prints the processor time of differences of 10,000 rows in it.

#![allow(clippy::print_stderr, reason = "a measurement tells its figures")]

use super::sha256;
use crate::catalog::Catalog;
use crate::disk::RealDisk;
use crate::disk::counting::CountingDisk;
use crate::objects::Objects;
use crate::opening::Projections;
use crate::options::{CatalogOptions, DescribedChanges};
use crate::push::PushIntent;
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema, TimeUnit};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ukimet_model::batch::{attribute_field, geometry_field};
use ukimet_model::{
    Asset, Batch, ChangeCounts, DatasetMetadata, Declarations, LayerReport, PushMode, RowQuery, SystemClock,
    VersionSelector,
};

const DATASET: &str = "almaty/parcels";
/// Parcels side by side; their numbers run along rows of so many.
const WIDTH: u64 = 1000;
/// Corners of a parcel.
const CORNERS: u64 = 12;

/// A parcel: its number, what was added to its price, by how many metres it moved, about.
#[derive(Clone, Copy)]
pub(super) struct Parcel {
    number: u64,
    raise: i64,
    moved_m: u64,
}

pub(super) fn parcel(number: u64) -> Parcel {
    Parcel { number, raise: 0, moved_m: 0 }
}

/// A number that looks like chance and is always the same.
fn chance(number: u64, kind: u64) -> u64 {
    let mut mixed = (number ^ (kind << 56)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

pub(super) fn outline(Parcel { number, moved_m, .. }: Parcel) -> Vec<u8> {
    let (x, y) = (70.0 + (number % WIDTH) as f64 / 1000.0, 43.0 + (number / WIDTH) as f64 / 1000.0);
    let mut wkb = vec![1];
    for count in [3, 1, CORNERS as u32 + 1] {
        wkb.extend_from_slice(&count.to_le_bytes());
    }
    for corner in (0..CORNERS).chain([0]) {
        let angle = corner as f64 / CORNERS as f64 * std::f64::consts::TAU;
        let radius = 2e-4 + chance(number, corner) as f64 / 2_f64.powi(31) * 2e-4;
        let places = [x + radius * angle.cos() + moved_m as f64 * 1e-5, y + radius * angle.sin()];
        for place in places {
            wkb.extend_from_slice(&place.to_le_bytes());
        }
    }
    wkb
}

fn batch(parcels: &[Parcel]) -> Batch {
    let schema = Schema::new(vec![
        attribute_field("parcel_id", "id", DataType::Int64),
        attribute_field("kad_no", "№", DataType::Utf8),
        attribute_field("address_ru", "адрес", DataType::Utf8),
        attribute_field("address_kk", "мекенжай", DataType::Utf8),
        attribute_field("category", "категория", DataType::Utf8),
        attribute_field("ownership", "собственность", DataType::Utf8),
        attribute_field("area_m2", "площадь", DataType::Float64),
        attribute_field("price_kzt", "цена", DataType::Int64),
        attribute_field("reg_date", "дата", DataType::Date32),
        attribute_field("updated_at", "обновлено", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Arc::new(geometry_field()),
    ]);
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(parcels.iter().map(|parcel| Some(text(parcel.number))).collect::<StringArray>())
    };
    let price = |parcel: &Parcel| chance(parcel.number, 20) as i64 + parcel.raise;
    let times = parcels.iter().map(|parcel| chance(parcel.number, 22) as i64 * 1_000_000);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(parcels.iter().map(|parcel| Some(parcel.number as i64)).collect::<Int64Array>()),
        texts(&|n| format!("{:02}:{:03}:{:03}:{n:07}", 10 + n % 17, n % 300, n % 900)),
        texts(&|n| format!("ул. Алматы Абая {}, д. {}", chance(n, 14) % 200, chance(n, 15) % 250)),
        texts(&|n| format!("Алматы Достық көшесі {}, {}", chance(n, 16) % 150, chance(n, 15) % 250)),
        texts(&|n| format!("Земли населенных пунктов {}", chance(n, 17) % 6)),
        texts(&|n| format!("Частная собственность {}", chance(n, 18) % 3)),
        Arc::new(parcels.iter().map(|parcel| Some(chance(parcel.number, 19) as f64 / 10.0)).collect::<Float64Array>()),
        Arc::new(parcels.iter().map(|parcel| Some(price(parcel))).collect::<Int64Array>()),
        Arc::new(parcels.iter().map(|p| Some((chance(p.number, 21) % 12_500 + 8000) as i32)).collect::<Date32Array>()),
        Arc::new(times.map(Some).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(parcels.iter().map(|parcel| Some(outline(*parcel))).collect::<BinaryArray>()),
    ];
    Batch::try_new(RecordBatch::try_new(Arc::new(schema), columns).expect("rows fit")).expect("normalized")
}

fn intent(id: &str, raw: &Path, mode: PushMode) -> PushIntent {
    let key = (mode == PushMode::Replace).then(|| vec!["parcel_id".to_owned()]);
    PushIntent {
        push_id: id.parse().expect("valid"),
        agency: "almaty".to_owned(),
        principal: "tester".to_owned(),
        digest: sha256(id.as_bytes()),
        asset: Asset {
            sha256: sha256(id.as_bytes()),
            size_bytes: id.len() as u64,
            file_name: "parcels.gpkg".to_owned(),
            media_type: "application/geopackage+sqlite3".to_owned(),
        },
        raw: raw.to_owned(),
        metadata: DatasetMetadata::default(),
        expected_version: None,
        declared: Declarations { mode, key, ..Declarations::default() },
        mapping: ukimet_model::MappingChange::Keep,
    }
}

/// Publishes parcels as the first version or a new state, or changes and deletes some of those that are there. Answers
/// the processor time beyond that of making the rows.
pub(super) fn publish(catalog: &Catalog, id: &str, mode: PushMode, parcels: &[Parcel], deleted: &[Parcel]) -> Duration {
    let (begin, mut rows_made) = (processor_time(), Duration::ZERO);
    let raw = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(raw.path(), id).expect("room");
    let mut transaction = catalog.begin(intent(id, raw.path(), mode)).expect("begun");
    let schema = batch(&[]).rows().schema();
    let mut layer = transaction.begin_layer(DATASET.parse().expect("valid"), schema).expect("begun");
    // Large parts, as the clock of processor time ticks a hundred times a second.
    for part in parcels.chunks(100_000) {
        let before = processor_time();
        let rows = batch(part);
        rows_made += processor_time().saturating_sub(before);
        layer.append(rows).expect("taken");
    }
    if !deleted.is_empty() {
        layer.delete(batch(deleted)).expect("taken");
    }
    let rows = layer.rows();
    let report = LayerReport { rows_read: rows, rows_taken: rows, ..LayerReport::default() };
    transaction.end_layer(layer, report).expect("written");
    transaction.commit().expect("taken");
    processor_time().saturating_sub(begin + rows_made)
}

/// Bytes of the files of all datasets.
fn stored_bytes(dir: &Path) -> u64 {
    let folders = std::fs::read_dir(dir.join("data")).expect("there").flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).expect("a folder").flatten());
    files.map(|file| file.metadata().expect("there").len()).sum()
}

/// Rows in a page.
const PAGE_ROWS: usize = 128;

pub(super) fn small_pages() -> CatalogOptions {
    CatalogOptions { page_rows: PAGE_ROWS, ..CatalogOptions::default() }
}

pub(super) fn open(dir: &Path, options: &CatalogOptions) -> (Catalog, CountingDisk) {
    let disk = CountingDisk::new(Arc::new(RealDisk::new(dir)));
    let options = CatalogOptions { disk_reserve_bytes: 0, ..options.clone() };
    let (objects, scratch) = (Objects::new(Arc::new(disk.clone())), dir.join("scratch"));
    let clock = Arc::new(SystemClock);
    let opened = Catalog::open_with(objects, Projections::InMemory, options, clock, scratch, None);
    (opened.expect("a store"), disk)
}

/// Reads a difference to its end and tells what it is.
fn diff(catalog: &Catalog, from: u64, to: u64) -> ChangeCounts {
    use arrow_array::cast::AsArray;
    let snapshot = catalog.snapshot();
    let version = |number: u64| -> VersionSelector { format!("{DATASET}@v{number}").parse().expect("valid") };
    let [(dataset, from), (_, to)] = [from, to].map(|number| snapshot.version(&version(number)).expect("there"));
    let mut counts = ChangeCounts::default();
    for batch in snapshot.diff(&dataset, &from, &to, &RowQuery::default()).expect("opens") {
        for operation in batch.expect("whole").column(0).as_string::<i32>().iter().flatten() {
            match operation {
                "added" => counts.added += 1,
                "removed" => counts.removed += 1,
                _ => counts.changed += 1,
            }
        }
    }
    counts
}

/// Bytes that were read of files of each kind.
fn by_kind(read: &BTreeMap<String, u64>) -> BTreeMap<&str, u64> {
    let mut kinds = BTreeMap::new();
    for (path, bytes) in read {
        *kinds.entry(path.rsplit('.').next().unwrap_or_default()).or_default() += bytes;
    }
    kinds
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = words.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn measure((catalog, disk): &(Catalog, CountingDisk), what: &str, from: u64, to: u64) {
    const ROUNDS: u32 = 20;
    disk.take();
    let counts = diff(catalog, from, to);
    let first = disk.take();
    diff(catalog, from, to);
    let read = disk.take();
    let (begin, before) = (Instant::now(), processor_time());
    for _ in 0..ROUNDS {
        assert_eq!(diff(catalog, from, to), counts);
    }
    let (wall, used) = (begin.elapsed() / ROUNDS, processor_time().saturating_sub(before) / ROUNDS);
    eprintln!("{what}: {counts:?}: {used:.1?} of processor, {wall:.1?}");
    eprintln!("    bytes read {:?}, the first time {:?}", by_kind(&read), by_kind(&first));
}

#[test]
fn a_difference_over_a_hundred_versions_reads_no_page_without_a_changed_row() {
    let dir = tempfile::tempdir().expect("a directory");
    let (catalog, disk) = open(dir.path(), &small_pages());
    let all: Vec<_> = (0..5000).map(parcel).collect();
    publish(&catalog, "v1", PushMode::Replace, &all, &[]);
    let (dataset, first) = catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there");
    let base = crate::paths::parquet(&dataset.uuid, &first.segments[0].parquet);
    // Every version changes the same five parcels of the first row of parcels, and one more.
    for version in 2..=100 {
        let mut changed: Vec<_> = (0..5).map(|number| Parcel { raise: version, ..parcel(number) }).collect();
        changed.push(Parcel { raise: 1, ..parcel(version as u64 + 10) });
        publish(&catalog, &format!("v{version}"), PushMode::Upsert, &changed, &[]);
    }
    disk.take();
    assert_eq!(diff(&catalog, 1, 100), ChangeCounts { added: 0, removed: 0, changed: 5 + 99 });
    let read = disk.take();
    let kinds = by_kind(&read);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["changes", "parquet"], "no key file, no R-tree");
    let size = std::fs::metadata(dir.path().join(&base)).expect("there").len();
    let (read_of_base, pages) = (read[&base], 5000 / PAGE_ROWS as u64);
    assert!(read_of_base * 3 < size, "{read_of_base} bytes of {size} in {pages} pages of each column");
    // Of the versions between, each has six rows, of which five are changed again: only the last one's are read.
    assert!(kinds["parquet"] - read_of_base < 100 * 16_000, "{kinds:?}");
    disk.take();
    assert_eq!(diff(&catalog, 100, 1).changed, 104);
    let again = disk.take();
    assert_eq!(again[&base], read_of_base, "the other way costs the same");
}

#[test]
fn of_the_earlier_version_only_what_differs_is_read_and_of_strewn_rows_nothing() {
    for pages_min in [1, 1000] {
        let dir = tempfile::tempdir().expect("a directory");
        let limits = DescribedChanges { pages_min, ..CatalogOptions::default().described_changes };
        let (catalog, disk) = open(dir.path(), &CatalogOptions { described_changes: limits, ..small_pages() });
        let mut dump: Vec<_> = (0..5000).map(parcel).collect();
        publish(&catalog, "v1", PushMode::Replace, &dump, &[]);
        let (dataset, first) = catalog.snapshot().dataset(&DATASET.parse().expect("valid")).expect("there");
        let base = crate::paths::parquet(&dataset.uuid, &first.segments[0].parquet);
        dump.iter_mut().step_by(100).for_each(|parcel| parcel.raise = 5);
        publish(&catalog, "v2", PushMode::Upsert, &dump, &[]);
        let size = std::fs::metadata(dir.path().join(&base)).expect("there").len();
        for (from, to) in [(1, 2), (2, 1)] {
            disk.take();
            assert_eq!(diff(&catalog, from, to), ChangeCounts { added: 0, removed: 0, changed: 50 });
            let read = disk.take();
            match (pages_min, read.get(&base)) {
                (1, None) => (),
                (1000, Some(read)) => assert!(read * 10 < size, "one number of each row: {read} bytes of {size}"),
                (_, read) => panic!("{read:?} bytes of {size} read"),
            }
        }
    }
}

#[test]
#[ignore = "a measurement of a large dataset"]
fn a_dump_of_which_a_hundredth_changed_is_committed_fast() {
    let rows: u64 = std::env::var("UKIMET_DIFF_ROWS").map_or(20_000, |rows| rows.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a directory");
    let (catalog, _) = open(dir.path(), &CatalogOptions::default());
    let mut dump: Vec<_> = (0..rows).map(parcel).collect();
    let used = publish(&catalog, "v1", PushMode::Replace, &dump, &[]);
    let base = stored_bytes(dir.path());
    eprintln!("{rows} rows: {used:.1?} of processor, {base} bytes");
    let used = publish(&catalog, "again", PushMode::Replace, &dump, &[]);
    eprintln!("the same again: {used:.1?} of processor, {} bytes more", stored_bytes(dir.path()) - base);
    // Of a thousand rows five have another price, two moved, two are gone, one is new.
    for parcel in &mut dump {
        match chance(parcel.number, 30) % 1000 {
            0..5 => parcel.raise = 1000,
            5..7 => parcel.moved_m = 2,
            _ => (),
        }
    }
    dump.retain(|parcel| !(7..9).contains(&(chance(parcel.number, 30) % 1000)));
    dump.extend((rows..rows + rows / 1000).map(parcel));
    let used = publish(&catalog, "v2", PushMode::Replace, &dump, &[]);
    let added = stored_bytes(dir.path()) - base;
    eprintln!(
        "a hundredth changed: {used:.1?} of processor, {added} bytes more, {:.2} %",
        added as f64 * 100.0 / base as f64
    );
    assert!(added * 50 < base, "{added} bytes beside {base}");
}

#[test]
#[ignore = "a measurement of a large dataset"]
fn ten_thousand_rows_that_differ_are_found_fast() {
    let rows: u64 = std::env::var("UKIMET_DIFF_ROWS").map_or(20_000, |rows| rows.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a directory");
    let opened = open(dir.path(), &CatalogOptions::default());
    let catalog = &opened.0;
    let all: Vec<_> = (0..rows).map(parcel).collect();
    publish(catalog, "v1", PushMode::Replace, &all, &[]);
    let raised = |raise: i64, numbers: &[u64]| -> Vec<Parcel> {
        numbers.iter().map(|number| Parcel { raise, ..parcel(*number) }).collect()
    };
    let scattered: Vec<u64> = (0..10_000).map(|i| i * rows / 10_000).collect();
    // A hundred by a hundred parcels.
    let together: Vec<u64> = (0..10_000).map(|i| (i / 100 * WIDTH + i % 100) % rows).collect();
    publish(catalog, "v2", PushMode::Upsert, &raised(5, &scattered), &[]);
    publish(catalog, "v3", PushMode::Upsert, &raised(7, &together), &[]);
    let moved = |numbers: &[u64]| -> Vec<Parcel> {
        numbers.iter().map(|number| Parcel { moved_m: 2, ..parcel(*number) }).collect()
    };
    publish(catalog, "v4", PushMode::Upsert, &moved(&together), &[]);
    // As in a nightly dump: half of the rows have another price, a fifth moved, a fifth is gone, a tenth new.
    let part = |from: u64, to: u64| -> Vec<u64> { (from..to).map(|i| (i * 104_729 + 1) % rows).collect() };
    let mut mixed = raised(9, &part(0, 5000));
    mixed.extend(moved(&part(5000, 7000)));
    mixed.extend((rows..rows + 1000).map(parcel));
    let deleted: Vec<_> = part(7000, 9000).into_iter().map(parcel).collect();
    publish(catalog, "v5", PushMode::Upsert, &mixed, &deleted);
    for (what, from, to) in [
        ("attributes, scattered", 1, 2),
        ("attributes, side by side", 2, 3),
        ("outlines, side by side", 3, 4),
        ("a nightly dump, scattered", 4, 5),
        ("all four", 1, 5),
    ] {
        measure(&opened, what, from, to);
    }
}
