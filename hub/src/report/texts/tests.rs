//! Every phrase and every rule has a text in every language, and numbers take the right forms.

use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(below: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the hub is a folder of the repository");
    let (mut found, mut open) = (Vec::new(), vec![root.join(below)]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let is_test = entry.ends_with("tests") || entry.ends_with("tests.rs") || entry.ends_with("target");
            match entry.extension() {
                _ if is_test => {}
                _ if entry.is_dir() => open.push(entry),
                Some(ending) if ending == "rs" => found.push(entry),
                _ => {}
            }
        }
    }
    found
}

/// The text literals of a file's code, each with what stands right before it; tests at its end left out.
fn literals(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("a source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| line.chars().chain(['\n'])).collect();
    let parts: Vec<&str> = code.split('"').collect();
    let pairs = parts.windows(2).map(|pair| (pair[0].trim_end().to_owned(), pair[1].to_owned()));
    pairs.collect()
}

fn is_rule_name(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.split_once('.').is_some_and(|(group, name)| is_word(group) && is_word(name))
}

/// The rules that code reports: names handed to a function that reports, and names of the same groups anywhere.
fn rules_in_code() -> BTreeSet<String> {
    let all = ["adapters", "hub/src"].into_iter().flat_map(sources).flat_map(|file| literals(&file));
    let all: Vec<_> = all.filter(|(before, _)| !before.ends_with("include_str!(")).collect();
    let reports = [".add(", "finding(", "rule:", "Verdict::new(", "findings,", "report((", "rule =", "RULE: &str ="];
    let named: BTreeSet<String> = all
        .iter()
        .filter(|(before, text)| reports.iter().any(|call| before.ends_with(call)) && is_rule_name(text))
        .map(|(_, text)| text.clone())
        .collect();
    let groups: BTreeSet<&str> = named.iter().filter_map(|rule| Some(rule.split_once('.')?.0)).collect();
    let is_of_group = |text: &str| text.split_once('.').is_some_and(|(group, _)| groups.contains(group));
    let others = all.iter().map(|(_, text)| text).filter(|text| is_rule_name(text) && is_of_group(text)).cloned();
    others.chain(named.iter().cloned()).collect()
}

#[test]
fn every_rule_has_a_text_in_every_language() {
    let rules = rules_in_code();
    assert!(rules.len() > 30 && rules.contains("geometry.malformed") && rules.contains("csv.short_row"), "{rules:?}");
    assert!(rules.contains("numbers.units") && rules.contains("kml.overlay"), "{rules:?}");
    let has_text = |name: &String| Language::ALL.iter().all(|language| rule(*language, name).is_some());
    let missing: Vec<_> = rules.iter().filter(|name| !has_text(name)).collect();
    assert!(missing.is_empty(), "add these to hub/src/report/texts/rules.toml in kk, ru and en: {missing:#?}");
}

#[test]
fn texts_say_the_same_things_in_every_language() {
    for (name, texts) in RULES.iter() {
        for texts in [&texts.kk, &texts.ru, &texts.en] {
            assert!((1..=2).contains(&texts.len()) && texts.len() == RULES[name].en.len(), "{name}: {texts:?}");
            assert!(texts.iter().all(|text| text.ends_with('.')), "{name}: {texts:?}");
        }
    }
    let slots = |text: &str| -> BTreeSet<String> {
        let names = text.split('{').skip(1).map(|slot| slot.split(['|', '}']).next().expect("a name").to_owned());
        names.collect()
    };
    for (name, texts) in PHRASES.iter() {
        assert_eq!(slots(&texts.kk), slots(&texts.en), "{name}");
        assert_eq!(slots(&texts.ru), slots(&texts.en), "{name}");
        for (text, forms) in [(&texts.kk, 1), (&texts.ru, 3), (&texts.en, 2)] {
            for slot in text.split('{').skip(1).filter_map(|slot| slot.split('}').next()) {
                let found = slot.matches('|').count();
                assert!(found == 0 || found == forms, "{name}: {slot}");
            }
        }
    }
}

#[test]
fn every_phrase_that_code_names_is_in_the_table() {
    let calls =
        ["plain(language,", "phrase(language,", "plain(self.language,", "phrase(self.language,", "say(", "tell("];
    let files = ["hub/src/report", "hub/src/diff"].into_iter().flat_map(sources).collect::<Vec<_>>();
    let named = files.iter().flat_map(|file| literals(file));
    let named: Vec<_> = named.filter(|(before, _)| calls.iter().any(|call| before.ends_with(call))).collect();
    assert!(named.len() > 20, "{} phrases are named", named.len());
    for (_, name) in named {
        assert!(PHRASES.contains_key(&name), "{name}");
    }
}

#[test]
fn russian_numbers_have_three_forms_english_two_kazakh_one() {
    let template = "{n|строка|строки|строк}";
    for (n, expected) in [
        (1, "строка"),
        (2, "строки"),
        (5, "строк"),
        (11, "строк"),
        (12, "строк"),
        (21, "строка"),
        (22, "строки"),
        (111, "строк"),
        (0, "строк"),
    ] {
        let filled = fill(template, Language::Ru, &[("n", Filling::Number(n))]);
        assert_eq!(filled, format!("{n}\u{a0}{expected}"));
    }
    let rows = |n| fill("{n|row|rows}", Language::En, &[("n", Filling::Number(n))]);
    assert_eq!((rows(1), rows(0), rows(11)), ("1\u{a0}row".into(), "0\u{a0}rows".into(), "11\u{a0}rows".into()));
    assert_eq!(fill("{n|жол}", Language::Kk, &[("n", Filling::Number(12))]), "12\u{a0}жол");
    assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
}

#[test]
fn what_is_not_filled_shows() {
    assert_eq!(fill("a {b} c", Language::En, &[]), "a {b} c");
    assert_eq!(plain(Language::En, "no_such_phrase"), "{no_such_phrase}");
}
