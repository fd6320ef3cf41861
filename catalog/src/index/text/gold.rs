//! Recall over real titles and names: what people look for in three languages and four scripts.

use super::document::Described;
use super::tests::{built, described};
use super::{TextSnapshot, clauses};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use ukimet_model::DatasetQuery;

const TITLES: &str = include_str!("../../../tests/data/search/titles.tsv");
const KATO: &str = include_str!("../../../tests/data/search/kato.tsv");
const GOLD: &str = include_str!("../../../tests/data/search/gold.tsv");

/// The first hits that count.
const FIRST: usize = 10;
/// Mean share of the records looked for, or of as many as fit, that are among the first hits.
const RECALL_MIN: f64 = 0.95;

fn records() -> Vec<Described> {
    let lines = TITLES.lines().chain(KATO.lines());
    let record = |line: &str| {
        let mut parts = line.split('\t');
        let id = format!("kz/{}", parts.next().expect("an id"));
        let titles: Vec<_> = ["ru", "kk"].into_iter().zip(parts).collect();
        // The list does not say the language of a title, and some are Kazakh.
        let titles = if let [(_, title)] = titles[..] { vec![("und", title)] } else { titles };
        described(&id, &titles)
    };
    lines.map(record).collect()
}

fn recall(index: &TextSnapshot, query: &str, expected: &HashSet<&str>) -> f64 {
    let asked = DatasetQuery { limit: FIRST, ..DatasetQuery::default() };
    let found = index.search(&clauses(query).expect("a query"), &asked).expect("an answer").ids;
    let right = found.iter().filter(|id| expected.contains(id.name())).count();
    right as f64 / expected.len().min(FIRST) as f64
}

#[test]
fn people_find_what_they_look_for_in_three_languages_and_four_scripts() {
    let index = built(&records());
    let (mut by_kind, mut misses) = (BTreeMap::<&str, Vec<f64>>::new(), String::new());
    for line in GOLD.lines() {
        let [kind, query, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let recall = recall(&index, query, &expected.split(' ').collect());
        by_kind.entry(kind).or_default().push(recall);
        if recall < 1.0 {
            writeln!(misses, "{recall:.2} {kind}: {query}").expect("a string");
        }
    }
    let mean = |recalls: &[f64]| recalls.iter().sum::<f64>() / recalls.len() as f64;
    let all: Vec<f64> = by_kind.values().flatten().copied().collect();
    for (kind, recalls) in &by_kind {
        println!("{:.3} of {:3} {kind}", mean(recalls), recalls.len());
        assert!(mean(recalls) >= 0.9, "{kind}: {}\n{misses}", mean(recalls));
    }
    println!("{:.3} of {:3} in all\n{misses}", mean(&all), all.len());
    assert!(all.len() >= 150 && mean(&all) >= RECALL_MIN, "{} of {} queries\n{misses}", mean(&all), all.len());
}
