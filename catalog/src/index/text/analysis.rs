//! Text to words: lower case, ё as е, and for Russian the stem as well.

use tantivy::tokenizer::{Language, RawTokenizer, Stemmer, TextAnalyzer};
use ukimet_model::{Error, Result};

/// Bytes of a query's text at most.
const QUERY_BYTES_MAX: usize = 256;
/// Words in a query at most.
const QUERY_WORDS_MAX: usize = 16;

/// The words of a text, as they are written but for case and ё. A longer word than a query can hold is left out.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    let fold = |word: &str| word.to_lowercase().replace('ё', "е");
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && word.len() <= QUERY_BYTES_MAX)
        .map(fold)
}

/// The different words of a query.
///
/// # Errors
///
/// `InvalidRequest` naming the limit if there are too many bytes or words.
pub(crate) fn query_words(text: &str) -> Result<Vec<String>> {
    if text.len() > QUERY_BYTES_MAX {
        let found = text.len();
        return Err(Error::invalid_request(format!(
            "a search text has at most {QUERY_BYTES_MAX} bytes, found {found}"
        )));
    }
    let mut different: Vec<String> = Vec::new();
    for word in words(text) {
        if !different.contains(&word) {
            different.push(word);
        }
    }
    if different.len() > QUERY_WORDS_MAX {
        let found = different.len();
        return Err(Error::invalid_request(format!(
            "a search text has at most {QUERY_WORDS_MAX} words, found {found}"
        )));
    }
    Ok(different)
}

/// Finds the stem of Russian words; other words stay as they are.
#[derive(Clone)]
pub(crate) struct RussianStems(TextAnalyzer);

impl RussianStems {
    pub(crate) fn new() -> Self {
        Self(TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(Language::Russian)).build())
    }

    pub(crate) fn stem(&mut self, word: &str) -> String {
        let mut tokens = self.0.token_stream(word);
        if tokens.advance() { tokens.token().text.clone() } else { word.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_counted() {
        assert_eq!(words("Школы, ЁЛКИ-2024; Әдебиет!").collect::<Vec<_>>(), ["школы", "елки", "2024", "әдебиет"]);
        assert_eq!(query_words("Школы школы ШКОЛЫ").expect("short"), ["школы"]);
        let many = (0..17).map(|i| i.to_string()).collect::<Vec<_>>().join(" ");
        assert!(query_words(&many).expect_err("too many").message().contains("16 words, found 17"));
        assert!(query_words(&"x".repeat(257)).expect_err("too long").message().contains("256 bytes, found 257"));
        assert_eq!(query_words("\"(* ").expect("no words"), Vec::<String>::new());
    }

    #[test]
    fn forms_of_a_russian_word_have_one_stem() {
        let mut stems = RussianStems::new();
        assert_eq!(stems.stem("школы"), stems.stem("школами"));
        assert_eq!(stems.stem("schools"), "schools");
    }
}
