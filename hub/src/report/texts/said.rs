//! What adapters say in words of their own about what was found and taken, in the reader's language.

use super::{Filling, Language, fill};
use serde::Deserialize;
use std::sync::LazyLock;

/// One way to say something: a pattern, and how each language says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wording {
    said: String,
    /// The only rule that says so.
    rule: Option<String>,
    kk: String,
    ru: String,
    en: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    said: Vec<Wording>,
}

static SAID: LazyLock<Vec<Wording>> = LazyLock::new(|| {
    let table: Table = toml::from_str(include_str!("said.toml")).expect("the table is well formed, as a test shows");
    table.said
});

impl Wording {
    fn get(&self, language: Language) -> &str {
        match language {
            Language::Kk => &self.kk,
            Language::Ru => &self.ru,
            Language::En => self.en.as_ref().unwrap_or(&self.said),
        }
    }
}

/// The words of a rule's adapter in a language; `None` if the text is none of the known words, such as a value of the
/// file.
pub fn said(language: Language, rule: &str, text: &str) -> Option<String> {
    let known = SAID.iter().filter(|known| known.rule.as_deref().is_none_or(|only| only == rule));
    known.into_iter().find_map(|known| {
        let parts = matched(&known.said, text)?;
        let texts: Vec<(&str, String)> =
            parts.into_iter().map(|(name, part)| (name, nested(language, rule, text, part))).collect();
        let fillings: Vec<_> = texts.iter().map(|(name, part)| (*name, Filling::Text(part))).collect();
        Some(fill(known.get(language), language, &fillings))
    })
}

/// A part may be words as well; it is always shorter than the whole, so this ends.
fn nested(language: Language, rule: &str, whole: &str, part: &str) -> String {
    let known = if part.len() < whole.len() { said(language, rule, part) } else { None };
    known.unwrap_or_else(|| part.to_owned())
}

/// The parts of a text that stand for the names in a pattern; `None` if the text does not match it.
fn matched<'a>(pattern: &'a str, text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let (before, mut pattern) = pattern.split_once('{').unwrap_or((pattern, ""));
    let mut text = text.strip_prefix(before)?;
    let mut parts = Vec::new();
    while let Some((name, after)) = pattern.split_once('}') {
        let (between, rest) = after.split_once('{').unwrap_or((after, ""));
        let at = if rest.is_empty() { text.strip_suffix(between)?.len() } else { text.find(between)? };
        parts.push((name, &text[..at]));
        text = &text[at + between.len()..];
        pattern = rest;
    }
    (text.is_empty() && parts.iter().all(|(_, part)| !part.is_empty())).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_adapters_are_said_in_the_readers_language() {
        let shown = |text: &str| said(Language::Ru, "geometry.invalid", text);
        assert_eq!(shown("longitude 48.5, latitude 47.2").as_deref(), Some("долгота 48.5, широта 47.2"));
        let expected = "контур пересекает сам себя в точке 76.95 43.25, точек: 5";
        assert_eq!(shown("Self-intersection[76.95 43.25], 5 positions").as_deref(), Some(expected));
        assert_eq!(
            said(Language::Kk, "codes.detected", "iin: 9 of 10 values pass (90.0 %)").as_deref(),
            Some("ЖСН: 10 мәннің 9 дұрыс")
        );
        assert_eq!(
            said(Language::En, "place.x", "one coordinate is empty").as_deref(),
            Some("one coordinate is empty")
        );
    }

    #[test]
    fn values_of_the_file_are_no_words() {
        for text in ["ТОО «Казына»", "", "iin", "#N/A in B5", "longitude 48.5", " cells"] {
            assert_eq!(said(Language::Ru, "types.mixed", text), None, "{text}");
        }
        assert_eq!(said(Language::Kk, "table.error_cell", "#N/A in B5").as_deref(), Some("B5 ұяшығындағы #N/A"));
    }

    #[test]
    fn every_language_fills_in_what_was_matched() {
        for known in SAID.iter() {
            let names = known.said.split('{').skip(1).filter_map(|slot| slot.split('}').next());
            let names: Vec<&str> = names.collect();
            for text in [&known.kk, &known.ru, known.en.as_ref().unwrap_or(&known.said)] {
                for slot in text.split('{').skip(1).filter_map(|slot| slot.split('}').next()) {
                    assert!(names.contains(&slot), "{}: {text}", known.said);
                }
            }
        }
    }
}
