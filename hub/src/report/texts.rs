//! The sentences of the report in Kazakh, Russian and English.
//!
//! They stand in two tables beside this file, so that whoever adds a rule adds its texts without a line of code.

mod said;

pub use said::said;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;
use std::sync::LazyLock;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// A language of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Kazakh.
    Kk,
    /// Russian.
    Ru,
    /// English.
    #[default]
    En,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::Kk, Self::Ru, Self::En];

    /// Its code, as in BCP 47.
    pub fn code(self) -> &'static str {
        match self {
            Self::Kk => "kk",
            Self::Ru => "ru",
            Self::En => "en",
        }
    }

    /// Which of the forms of a phrase fits a number.
    fn form(self, n: u64) -> usize {
        match self {
            // A Kazakh noun after a number keeps its form.
            Self::Kk => 0,
            Self::En => usize::from(n != 1),
            Self::Ru => match (n % 10, n % 100) {
                (1, last) if last != 11 => 0,
                (2..=4, last) if !(12..=14).contains(&last) => 1,
                _ => 2,
            },
        }
    }
}

impl FromStr for Language {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|language| language.code() == text).ok_or_else(|| {
            Error::invalid_request(format!("a language of the report is kk, ru or en, found {}", quoted(text)))
        })
    }
}

/// Texts by language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByLanguage<T> {
    kk: T,
    ru: T,
    en: T,
}

impl<T> ByLanguage<T> {
    fn get(&self, language: Language) -> &T {
        match language {
            Language::Kk => &self.kk,
            Language::Ru => &self.ru,
            Language::En => &self.en,
        }
    }
}

static PHRASES: LazyLock<BTreeMap<String, ByLanguage<String>>> = LazyLock::new(|| {
    toml::from_str(include_str!("texts/phrases.toml")).expect("the table of phrases is well formed, as a test shows")
});

static RULES: LazyLock<BTreeMap<String, ByLanguage<Vec<String>>>> = LazyLock::new(|| {
    toml::from_str(include_str!("texts/rules.toml")).expect("the table of rules is well formed, as a test shows")
});

/// What a rule means to an officer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// One sentence about what happened.
    pub what: &'static str,
    /// One about what to do next; `None` if nothing is to be done.
    pub next: Option<&'static str>,
}

/// The text of a rule; `None` for a rule that this hub does not know, such as one of a foreign adapter.
pub fn rule(language: Language, name: &str) -> Option<RuleText> {
    let texts = RULES.get(name)?.get(language);
    Some(RuleText { what: texts.first()?, next: texts.get(1).map(String::as_str) })
}

/// What a phrase is filled with.
#[derive(Clone, Copy, Debug)]
pub enum Filling<'a> {
    /// A text as it is.
    Text(&'a str),
    /// A number, with the form that fits it where the phrase has several.
    Number(u64),
}

/// A phrase without anything to fill in.
pub fn plain(language: Language, name: &str) -> String {
    phrase(language, name, &[])
}

/// A phrase, filled in. A name that is not in the table, or not filled, shows as itself: a test looks for both.
pub fn phrase(language: Language, name: &str, fillings: &[(&str, Filling<'_>)]) -> String {
    PHRASES.get(name).map_or_else(|| format!("{{{name}}}"), |texts| fill(texts.get(language), language, fillings))
}

fn fill(template: &str, language: Language, fillings: &[(&str, Filling<'_>)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (slot, after) = after.split_once('}').unwrap_or((after, ""));
        let mut parts = slot.split('|');
        let name = parts.next().unwrap_or_default();
        let forms: Vec<&str> = parts.collect();
        match fillings.iter().find(|(known, _)| *known == name).map(|(_, filling)| filling) {
            Some(Filling::Text(text)) => filled.push_str(text),
            Some(Filling::Number(n)) => {
                filled.push_str(&number(*n));
                if let Some(form) = forms.get(language.form(*n)).or_else(|| forms.last()) {
                    // A line does not break between a number and its noun.
                    write!(filled, "\u{a0}{form}").expect("text takes everything");
                }
            }
            None => write!(filled, "{{{name}}}").expect("text takes everything"),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A number with narrow spaces between thousands, at which no line breaks.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests;
