//! Text to words, and words to what is looked up for them: readings that all scripts share, and stems.

use super::folding::{is_apostrophe, is_cyrillic, is_mark, pressed, readings, settled};
use super::kazakh;
use super::romanized::to_russian;
use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer};

/// Raised whenever the same text gives other words than before: an index of other rules is built anew.
pub(super) const RULES: u32 = 2;

/// Bytes of a word at most; longer ones are left out. No query has a longer one.
pub(super) const WORD_BYTES_MAX: usize = 256;

/// Letters that Russian does not have: a word with one has no Russian stem.
const KAZAKH_LETTERS: &str = "әғқңөұүһіѕјћќўїґє";

/// What a word is looked up by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its readings, without doubled letters; small letters and digits.
    pub(super) forms: Vec<String>,
    /// Its stems: a capital for the language (`R`, `E`, `K`), then the stem's reading.
    pub(super) stems: Vec<String>,
}

/// What the characters of a word are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Letters,
    Digits,
    Between,
}

/// The words of a text, in order, as they are written. Letters and digits that touch are two words.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut last = Kind::Between;
    let mut kinds = text.char_indices().map(move |(at, sign)| {
        last = match sign {
            _ if sign.is_alphabetic() => Kind::Letters,
            _ if sign.is_numeric() => Kind::Digits,
            _ if last == Kind::Letters && (is_apostrophe(sign) || is_mark(sign)) => Kind::Letters,
            _ => Kind::Between,
        };
        (at, last)
    });
    let mut next = kinds.next();
    std::iter::from_fn(move || {
        while let Some((start, kind)) = next {
            next = kinds.find(|(_, other)| *other != kind);
            let end = next.map_or(text.len(), |(at, _)| at);
            if kind != Kind::Between && end - start <= WORD_BYTES_MAX {
                return Some(&text[start..end]);
            }
        }
        None
    })
}

/// Finds what words are looked up by.
#[derive(Clone)]
pub(super) struct Analyzer {
    russian: TextAnalyzer,
    english: TextAnalyzer,
}

impl Analyzer {
    pub(super) fn new() -> Self {
        let stemmer = |language| TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(language)).build();
        Self { russian: stemmer(Language::Russian), english: stemmer(Language::English) }
    }

    /// A word of a text in a language (`kk`, `ru`, `en`), or in any of them.
    pub(super) fn word(&mut self, word: &str, language: &str) -> Word {
        let readings = readings(word);
        let may_be = |code| !matches!(language, "kk" | "ru" | "en") || language == code;
        let mut found = Word::default();
        let small = settled(word).to_lowercase().replace('ё', "е");
        if word.starts_with(char::is_numeric) {
            found.forms = readings;
            return found;
        }
        for reading in &readings {
            push(&mut found.forms, pressed(reading));
            if may_be("kk") {
                for stem in kazakh::stems(reading) {
                    push(&mut found.stems, format!("K{}", pressed(&stem)));
                }
            }
        }
        let russian = if may_be("ru") { russian_letters(&small) } else { None };
        if let Some(stem) = russian.map(|word| stem(&mut self.russian, &word)) {
            add_readings(&mut found.stems, 'R', &stem);
        }
        if may_be("en") && small.bytes().all(|byte| byte.is_ascii_lowercase()) {
            add_readings(&mut found.stems, 'E', &stem(&mut self.english, &small));
        }
        found
    }
}

/// A small word in Russian letters, if it may be Russian.
fn russian_letters(small: &str) -> Option<String> {
    if small.chars().any(is_cyrillic) {
        return (!small.contains(|letter| KAZAKH_LETTERS.contains(letter))).then(|| small.to_owned());
    }
    to_russian(small)
}

fn stem(stemmer: &mut TextAnalyzer, word: &str) -> String {
    let mut tokens = stemmer.token_stream(word);
    if tokens.advance() { tokens.token().text.clone() } else { word.to_owned() }
}

fn add_readings(stems: &mut Vec<String>, language: char, stem: &str) {
    // The first reading is enough: both sides of a comparison go this way.
    if let Some(reading) = readings(stem).first() {
        push(stems, format!("{language}{}", pressed(reading)));
    }
}

fn push(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<&str> {
        words(text).collect()
    }

    fn share(one: &str, other: &str, language: &str) -> bool {
        let mut analyzer = Analyzer::new();
        let (one, other) = (analyzer.word(one, "und"), analyzer.word(other, language));
        one.stems.iter().any(|stem| other.stems.contains(stem))
    }

    #[test]
    fn text_is_cut_into_words() {
        assert_eq!(words_of("Школы, ЁЛКИ-2024; Әдебиет!"), ["Школы", "ЁЛКИ", "2024", "Әдебиет"]);
        assert_eq!(words_of("№307Перечень"), ["307", "Перечень"]);
        assert_eq!(words_of("Respy'bli'kasy \"x'"), ["Respy'bli'kasy", "x'"]);
        assert_eq!(words_of("\"(* "), Vec::<&str>::new());
        assert_eq!(words_of(&format!("a {} b", "x".repeat(257))), ["a", "b"]);
    }

    #[test]
    fn forms_of_a_word_have_one_stem_in_any_script() {
        for (one, other) in [
            ("школы", "школами"),
            ("берёзовый", "березовые"),
            ("shkoly", "школа"),
            ("шкoлa", "школы"),
            ("biblioteka", "библиотеки"),
        ] {
            assert!(share(one, other, "ru"), "{one} {other}");
        }
        assert!(share("schools", "school", "en"));
        assert!(share("мектептерінің", "mektepter", "kk"));
        assert!(!share("школы", "schools", "und"));
    }

    #[test]
    fn a_text_in_a_named_language_has_stems_of_that_language_alone() {
        let mut analyzer = Analyzer::new();
        let languages = |stems: Vec<String>| stems.iter().map(|stem| stem[..1].to_owned()).collect::<Vec<_>>();
        assert_eq!(languages(analyzer.word("школами", "ru").stems), ["R"]);
        assert_eq!(languages(analyzer.word("schools", "en").stems), ["E"]);
        assert_eq!(languages(analyzer.word("мектептер", "kk").stems), ["K"]);
        assert_eq!(analyzer.word("2024", "und"), Word { forms: vec!["2024".to_owned()], stems: Vec::new() });
    }
}
