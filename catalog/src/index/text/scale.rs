//! How long queries take among many made-up descriptions, without wire and state.
//!
//! `UKIMET_RECORDS=100000 cargo test --profile kernels -p ukimet-catalog --lib queries_among_many_records -- --ignored --nocapture`
//! makes them as the benchmark kit does (titles in three languages, descriptions in two, keywords, boxes, agencies), indexes them
//! and prints the times of each kind of query.

#![allow(clippy::print_stdout, reason = "a measurement tells its figures")]

use super::document::{Described, Schema};
use super::tests::described;
use super::{TextSnapshot, clauses};
use std::time::Instant;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument};
use ukimet_model::{BoundingBox, DatasetQuery};

/// Queries of each kind.
const QUERIES: usize = 120;

const SYLLABLES: [&str; 16] =
    ["ба", "ко", "ди", "фе", "гу", "ла", "ми", "но", "пе", "ру", "са", "ти", "во", "шы", "қа", "өр"];
const ENDINGS: [&str; 8] = ["", "ы", "ов", "ами", "лар", "тың", "ный", "ского"];

/// Numbers that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    /// A rank below a bound, the lower the likelier, as words are in texts.
    fn rank(&mut self, end: usize) -> usize {
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((end as f64 + 3.0).powf(share) * 3.0_f64.powf(1.0 - share)) as usize - 3
    }
}

/// A word by its rank: the same stem with several endings, as words of one text have.
fn word(rank: usize) -> String {
    let mut numbers = Numbers(rank as u64 / 4 * 7 + 1);
    let syllables = 2 + numbers.below(3);
    let stem: String = (0..syllables).map(|_| SYLLABLES[numbers.below(SYLLABLES.len())]).collect();
    format!("{stem}{}", ENDINGS[rank % ENDINGS.len()])
}

const WORDS: usize = 12_000;

fn text(numbers: &mut Numbers, words: std::ops::Range<usize>) -> String {
    let count = words.start + numbers.below(words.len());
    (0..count).map(|_| word(numbers.rank(WORDS))).collect::<Vec<_>>().join(" ")
}

fn record(numbers: &mut Numbers, place: usize) -> Described {
    let titles: Vec<_> = ["kk", "ru", "en"].map(|language| (language, text(numbers, 4..9))).into();
    let titles: Vec<_> = titles.iter().map(|(language, title)| (*language, title.as_str())).collect();
    let mut record = described(&format!("org{}/d{place}", numbers.rank(80)), &titles);
    let metadata = &mut record.dataset.metadata;
    metadata.description.insert("ru".to_owned(), text(numbers, 25..60));
    metadata.description.insert("kk".to_owned(), text(numbers, 8..20));
    metadata.keywords.insert("ru".to_owned(), text(numbers, 3..7).split(' ').map(str::to_owned).collect());
    let (west, south) = (47.0 + numbers.below(390) as f64 / 10.0, 41.0 + numbers.below(140) as f64 / 10.0);
    let (width, height) = (numbers.below(20) as f64 / 20.0, numbers.below(20) as f64 / 20.0);
    record.version.bbox = Some(BoundingBox { west, south, east: west + width, north: south + height });
    record.version.geometry_types = [(["Point", "Polygon", "LineString"][place % 3].to_owned(), 1)].into();
    record
}

/// An index in one or a few segments, as one is that was built anew.
fn indexed(documents: &[Described]) -> TextSnapshot {
    let (schema, fields) = Schema::build();
    let index = Index::create_in_ram(fields);
    let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 200_000_000).expect("room");
    for described in documents {
        writer.add_document(schema.document(described)).expect("taken");
    }
    writer.commit().expect("room");
    writer.wait_merging_threads().expect("merged");
    let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().expect("a reader");
    let (searcher, bytes) = (reader.searcher(), reader.searcher().space_usage().expect("known").total());
    println!("{} segments, {} MB", searcher.segment_readers().len(), bytes.get_bytes() / 1_000_000);
    TextSnapshot { searcher, schema }
}

/// Milliseconds that this thread has had of a processor, to a few: what else a machine does is not in them.
fn processor_ms() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds") / 1e6
}

fn measure(index: &TextSnapshot, kind: &str, mut query: impl FnMut(usize) -> DatasetQuery) {
    let (mut times_ms, mut hits) = (Vec::new(), 0);
    let before_ms = processor_ms();
    for i in 0..QUERIES {
        let query = DatasetQuery { limit: 20, ..query(i) };
        let begun = Instant::now();
        let found = index.search(&clauses(&query.text).expect("a query"), &query).expect("an answer");
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        hits += found.total;
    }
    times_ms.sort_by(f64::total_cmp);
    let at = |share: f64| times_ms[(share * (QUERIES - 1) as f64) as usize];
    let mean_ms = (processor_ms() - before_ms) / QUERIES as f64;
    println!("| {kind} | {} | {mean_ms:.2} | {:.2} | {:.2} |", hits / QUERIES as u64, at(0.5), at(0.95));
}

#[test]
#[ignore = "a measurement of minutes"]
fn queries_among_many_records() {
    let records: usize = std::env::var("UKIMET_RECORDS").map_or(10_000, |count| count.parse().expect("a number"));
    let mut numbers = Numbers(7);
    let begun = Instant::now();
    let documents: Vec<_> = (0..records).map(|place| record(&mut numbers, place)).collect();
    println!("{records} records made in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let index = indexed(&documents);
    println!("indexed in {:.1} s", begun.elapsed().as_secs_f64());
    drop(documents);
    // Words of middling rank: neither in every text nor in one.
    let some = |i: usize| word(200 + i * 37 % 3_000);
    let words = |i: usize| (0..=i % 3).map(|n| some(i + n * 11)).collect::<Vec<_>>().join(" ");
    let closed = |text: String| DatasetQuery { text: format!("{text} "), ..DatasetQuery::default() };
    let window = |i: usize| {
        let (west, south) = (48.0 + (i * 7 % 34) as f64, 41.5 + (i * 5 % 11) as f64);
        Some(BoundingBox { west, south, east: west + 3.0, north: south + 2.0 })
    };
    println!("| kind | hits a query | CPU-ms | p50 ms | p95 ms |\n|---|---|---|---|---|");
    measure(&index, "1–3 words", |i| closed(words(i)));
    measure(&index, "words and box", |i| DatasetQuery { bbox: window(i), ..closed(words(i)) });
    measure(&index, "words and facets", |i| DatasetQuery { with_facets: true, ..closed(words(i)) });
    let beginning = |i: usize| some(i).chars().take(4).collect::<String>();
    measure(&index, "beginning of four letters", |i| DatasetQuery { text: beginning(i), ..DatasetQuery::default() });
    let typo = |i: usize| {
        let mut letters: Vec<char> = word(4 * (i * 37 % 3_000) + 7).chars().collect();
        letters[3] = 'ж';
        letters.into_iter().collect::<String>()
    };
    measure(&index, "one typing error", |i| closed(typo(i)));
    measure(&index, "phrase of two words", |i| closed(format!("\"{} {}\"", word(i % 40), word(i % 7))));
    measure(&index, "every dataset, facets", |_| DatasetQuery { with_facets: true, ..DatasetQuery::default() });
    measure(&index, "box alone", |i| DatasetQuery { bbox: window(i), ..DatasetQuery::default() });
}
