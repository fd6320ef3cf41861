//! What a person typed, as words and phrases to look for. Nothing in it is an operator but quotes and names of fields.

use super::analysis::{WORD_BYTES_MAX, words};
use ukimet_model::{Error, Result};

/// Bytes of a query's text at most.
const QUERY_BYTES_MAX: usize = WORD_BYTES_MAX;
/// Words in a query at most.
const QUERY_WORDS_MAX: usize = 16;

/// Words that say nothing about what is looked for, unless nothing else was typed.
const FUNCTION_WORDS: [&str; 44] = [
    "и",
    "в",
    "во",
    "на",
    "по",
    "с",
    "со",
    "о",
    "об",
    "от",
    "до",
    "для",
    "из",
    "за",
    "к",
    "ко",
    "у",
    "не",
    "или",
    "а",
    "же",
    "при",
    "the",
    "of",
    "in",
    "on",
    "at",
    "and",
    "or",
    "for",
    "to",
    "by",
    "a",
    "an",
    "with",
    "мен",
    "және",
    "үшін",
    "туралы",
    "бойынша",
    "бен",
    "пен",
    "men",
    "zhane",
];

/// The parts of a description that may be searched alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Title,
    Description,
    Keywords,
    Agency,
    Columns,
    Source,
}

impl Scope {
    pub(crate) const ALL: [Self; 6] =
        [Self::Title, Self::Description, Self::Keywords, Self::Agency, Self::Columns, Self::Source];

    /// What it is called in a query and in the index.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Description => "description",
            Self::Keywords => "keywords",
            Self::Agency => "agency",
            Self::Columns => "columns",
            Self::Source => "source",
        }
    }
}

/// One thing that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Where; `None` for anywhere.
    pub(crate) scope: Option<Scope>,
    /// Words in this order; more than one is a phrase.
    pub(crate) words: Vec<String>,
    /// Whether it was in quotes: as written, in whatever script.
    pub(crate) is_quoted: bool,
    /// Whether the word may go on: nothing was typed after it.
    pub(crate) is_open: bool,
}

/// Reads what was typed.
///
/// # Errors
///
/// `InvalidRequest` naming the limit if there are too many bytes or words.
pub(crate) fn clauses(text: &str) -> Result<Vec<Clause>> {
    if text.len() > QUERY_BYTES_MAX {
        let found = text.len();
        return Err(Error::invalid_request(format!(
            "a search text has at most {QUERY_BYTES_MAX} bytes, found {found}"
        )));
    }
    let mut clauses = Vec::new();
    let mut rest = text;
    while let Some(next) = read(&mut rest) {
        for clause in next {
            push(&mut clauses, clause);
        }
    }
    let found: usize = clauses.iter().map(|clause| clause.words.len()).sum();
    if found > QUERY_WORDS_MAX {
        return Err(Error::invalid_request(format!(
            "a search text has at most {QUERY_WORDS_MAX} words, found {found}"
        )));
    }
    if clauses.iter().any(says_something) {
        clauses.retain(says_something);
    }
    let is_open = text.ends_with(|sign: char| sign.is_alphanumeric());
    if let Some(last) = clauses.last_mut() {
        last.is_open = is_open && !last.is_quoted;
    }
    Ok(clauses)
}

/// The next thing that was typed, cut off the rest; `None` at the end.
fn read(rest: &mut &str) -> Option<Vec<Clause>> {
    *rest = rest.trim_start();
    let scope = Scope::ALL.into_iter().find(|scope| {
        let after = rest.get(..scope.name().len()).filter(|name| name.eq_ignore_ascii_case(scope.name()));
        after.is_some() && rest[scope.name().len()..].starts_with(':')
    });
    let after = scope.map_or(*rest, |scope| &rest[scope.name().len() + 1..]);
    let quoted = after.strip_prefix(['"', '«', '“']);
    let (typed, left) = match quoted {
        Some(quoted) => quoted.split_once(['"', '»', '”']).unwrap_or((quoted, "")),
        None => after.split_at(after.find(|sign: char| sign.is_whitespace() || sign == '"').unwrap_or(after.len())),
    };
    if rest.is_empty() {
        return None;
    }
    *rest = left;
    let clause = |words| Clause { scope, words, is_quoted: quoted.is_some(), is_open: false };
    let words: Vec<String> = words(typed).map(str::to_owned).collect();
    Some(match quoted {
        Some(_) => vec![clause(words)],
        None => words.into_iter().map(|word| clause(vec![word])).collect(),
    })
}

/// Adds a clause that is not there yet.
fn push(clauses: &mut Vec<Clause>, clause: Clause) {
    let small = |clause: &Clause| clause.words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>();
    let is_same = |other: &Clause| {
        other.scope == clause.scope && other.is_quoted == clause.is_quoted && small(other) == small(&clause)
    };
    if !clause.words.is_empty() && !clauses.iter().any(is_same) {
        clauses.push(clause);
    }
}

fn says_something(clause: &Clause) -> bool {
    clause.is_quoted || clause.scope.is_some() || !FUNCTION_WORDS.contains(&clause.words[0].to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was read: scope, words, quotes as `!`, open as `*`.
    fn read(text: &str) -> Vec<String> {
        let told = |clause: &Clause| {
            let scope = clause.scope.map_or(String::new(), |scope| format!("{}:", scope.name()));
            let quoted = if clause.is_quoted { "!" } else { "" };
            format!("{scope}{quoted}{}{}", clause.words.join("+"), if clause.is_open { "*" } else { "" })
        };
        clauses(text).expect("within limits").iter().map(told).collect()
    }

    #[test]
    fn what_was_typed_is_read() {
        assert_eq!(read("Школы Алматы"), ["Школы", "Алматы*"]);
        assert_eq!(read("Школы школы ШКОЛЫ "), ["Школы"]);
        assert_eq!(read("title:школы agency:\"almaty akimat\""), ["title:школы", "agency:!almaty+akimat"]);
        assert_eq!(read("\"дом культуры\" сад"), ["!дом+культуры", "сад*"]);
        assert_eq!(read("Title:«дом»парк"), ["title:!дом", "парк*"]);
        assert_eq!(read("\"дом культуры"), ["!дом+культуры"]);
        assert_eq!(read("title: школы"), ["школы*"]);
        assert_eq!(read("http://a.kz"), ["http", "kz*"]);
        assert_eq!(read("\"((*:^~\\"), Vec::<String>::new());
    }

    #[test]
    fn function_words_count_only_by_themselves() {
        assert_eq!(read("школы в Алматы"), ["школы", "Алматы*"]);
        assert_eq!(read("\"в разрезе\" по"), ["!в+разрезе"]);
        assert_eq!(read("The"), ["The*"]);
    }

    #[test]
    fn limits_are_named() {
        let many = (0..17).map(|i| i.to_string()).collect::<Vec<_>>().join(" ");
        assert!(clauses(&many).expect_err("too many").message().contains("16 words, found 17"));
        assert!(clauses(&"x".repeat(257)).expect_err("too long").message().contains("256 bytes, found 257"));
    }
}
