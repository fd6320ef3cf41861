//! The names rule: unique ASCII snake case, the source's name kept beside.

use crate::findings::{example, show, step};
use std::collections::HashSet;
use ukimet_model::ProcessStep;
use ukimet_model::id::ascii_words;

/// Names that the hub gives itself.
const RESERVED: [&str; 2] = [ukimet_model::GEOMETRY_COLUMN, "bbox"];

/// The published name of every column, in order, and the receipt.
///
/// Cyrillic is transliterated, anything else becomes `_`; a name of which nothing is left is `field_<n>`, counted
/// from 1; one that begins with a digit gets `f_`; a name that is taken or reserved gets `_2`, `_3` …
pub(crate) fn decide(sources: &[String]) -> (Vec<String>, ProcessStep) {
    let mut taken: HashSet<String> = RESERVED.into_iter().map(str::to_owned).collect();
    let mut step = step("names", []);
    // A name that is already right keeps itself, wherever it stands.
    let words: Vec<String> = sources.iter().enumerate().map(|(i, source)| base(source, i)).collect();
    let mut names = vec![String::new(); sources.len()];
    for right in [true, false] {
        for (i, word) in words.iter().enumerate() {
            if (*word == sources[i]) == right && names[i].is_empty() {
                names[i] = unique(word, &mut taken);
            }
        }
    }
    for (name, source) in names.iter().zip(sources).filter(|(name, source)| name != source) {
        step.count += 1;
        show(&mut step, || example(None, Some(source), source, Some(name)));
    }
    (names, step)
}

fn base(source: &str, index: usize) -> String {
    let words = ascii_words(&split_camel(source), '_');
    match words.as_bytes().first() {
        None => format!("field_{}", index + 1),
        Some(first) if first.is_ascii_digit() => format!("f_{words}"),
        Some(_) => words,
    }
}

/// Puts a space before each capital that follows a small letter: `nameRu` is two words.
fn split_camel(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut before = ' ';
    for letter in source.chars() {
        if before.is_lowercase() && letter.is_uppercase() {
            text.push(' ');
        }
        text.push(letter);
        before = letter;
    }
    text
}

fn unique(word: &str, taken: &mut HashSet<String>) -> String {
    let candidates = (1_u64..).map(|n| if n == 1 { word.to_owned() } else { format!("{word}_{n}") });
    let mut free = candidates.skip_while(|name| taken.contains(name));
    let name = free.next().expect("there are more numbers than columns");
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascii_snake_case_and_unique() {
        let check = |sources: &[&str], expected: &[&str]| {
            let sources: Vec<String> = sources.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(decide(&sources).0, expected, "{sources:?}");
        };
        check(&["Широта", "Қала атауы", "name_ru", "NameRU"], &["shirota", "kala_atauy", "name_ru", "name_ru_2"]);
        check(&["", "№", "서울", "2010"], &["field_1", "field_2", "field_3", "f_2010"]);
        check(&["Name", "name", "NAME"], &["name_2", "name", "name_3"]);
        check(&["geometry", "bbox", "a__b", " x "], &["geometry_2", "bbox_2", "a_b", "x"]);
    }

    #[test]
    fn only_changed_names_stand_in_the_receipt() {
        let (_, step) = decide(&["id".to_owned(), "Имя".to_owned()]);
        assert_eq!(step.count, 1);
        assert_eq!((step.examples[0].found.as_str(), step.examples[0].taken.as_deref()), ("Имя", Some("imya")));
    }
}
