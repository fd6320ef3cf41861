//! Latin letters that look like Cyrillic ones, inside Cyrillic words.

/// Latin letters and the Cyrillic ones that look the same.
const PAIRS: [(char, char); 30] = [
    ('A', 'А'),
    ('B', 'В'),
    ('C', 'С'),
    ('E', 'Е'),
    ('H', 'Н'),
    ('I', 'І'),
    ('K', 'К'),
    ('M', 'М'),
    ('O', 'О'),
    ('P', 'Р'),
    ('T', 'Т'),
    ('X', 'Х'),
    ('Y', 'У'),
    ('Ë', 'Ё'),
    ('Ï', 'Ї'),
    ('Ə', 'Ә'),
    ('Ɵ', 'Ө'),
    ('a', 'а'),
    ('c', 'с'),
    ('e', 'е'),
    ('i', 'і'),
    ('o', 'о'),
    ('p', 'р'),
    ('x', 'х'),
    ('y', 'у'),
    ('ë', 'ё'),
    ('ï', 'ї'),
    ('ə', 'ә'),
    ('ɵ', 'ө'),
    ('h', 'һ'),
];

/// Endings that make an ordinal of a Roman numeral before them.
const ORDINAL_ENDINGS: [&str; 20] = [
    "й", "я", "е", "го", "му", "м", "х", "ый", "ий", "ой", "ая", "ое", "ые", "ого", "ому", "ым", "ых", "ші", "шы", "в",
];

/// What a word is, by its letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Of one script, or not ours to judge.
    Plain,
    /// A Cyrillic word, with its Latin look-alikes replaced.
    Folded(String),
    /// Latin and Cyrillic letters that cannot be made one script without a guess.
    Mixed,
}

/// Whether a character is a Latin letter.
pub(super) fn is_latin(letter: char) -> bool {
    letter.is_ascii_alphabetic()
        || (matches!(letter, '\u{c0}'..='\u{24f}' | '\u{259}' | '\u{275}') && letter.is_alphabetic())
}

/// Whether a character is a Cyrillic letter.
pub(super) fn is_cyrillic(letter: char) -> bool {
    matches!(letter, '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}')
}

/// Whether a character is a letter of any script. Cyrillic and ASCII are told without the table of all of them.
pub(super) fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphabetic() || is_cyrillic(letter) || (!letter.is_ascii() && letter.is_alphabetic())
}

/// Judges one word: a run of letters.
///
/// It is folded only if a letter of it is Cyrillic beyond doubt, none is Latin beyond doubt, and more are Cyrillic
/// than Latin. A Roman numeral with an ending stays as it is.
pub(super) fn judge(word: &str) -> Word {
    let latin = word.chars().filter(|letter| is_latin(*letter)).count();
    let cyrillic = word.chars().filter(|letter| is_cyrillic(*letter)).count();
    if latin == 0 || cyrillic == 0 || is_numbered(word) {
        return Word::Plain;
    }
    let folded: String = word.chars().map(|letter| folded(letter).unwrap_or(letter)).collect();
    let is_sure = word.chars().any(|letter| is_cyrillic(letter) && !PAIRS.iter().any(|(_, other)| *other == letter));
    if is_sure && cyrillic > latin && !folded.chars().any(is_latin) {
        return Word::Folded(folded);
    }
    Word::Mixed
}

fn folded(letter: char) -> Option<char> {
    PAIRS.iter().find(|(latin, _)| *latin == letter).map(|(_, cyrillic)| *cyrillic)
}

/// Whether a word is a Roman numeral with a Cyrillic ending or letter: `IIа`, `XIXв`, `Iй`.
fn is_numbered(word: &str) -> bool {
    let ending = word.trim_start_matches(|letter| "IVXLCDM".contains(letter));
    let is_ending = ending.chars().count() == 1 || ORDINAL_ENDINGS.contains(&ending);
    ending.len() < word.len() && is_ending && ending.chars().all(is_cyrillic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_folded_only_where_the_word_is_cyrillic_without_them() {
        let check = |word: &str, expected: Word| assert_eq!(judge(word), expected, "{word}");
        let folded = |word: &str| Word::Folded(word.to_owned());
        check("КӨШЕCI", folded("КӨШЕСІ"));
        check("Aлматы", folded("Алматы"));
        check("Қaзaқcтaн", folded("Қазақстан"));
        check("ҚАЛАCЫ", folded("ҚАЛАСЫ"));
        check("əкімдік", folded("әкімдік"));
        check("Mектеп", folded("Мектеп"));
        for plain in ["IT", "Astana", "Астана", "XIXв", "IIа", "Iй", "Vая", "ТОО", "x", "Үй"] {
            check(plain, Word::Plain);
        }
        for mixed in ["iPhoneы", "TОО", "Аstаnа", "МТСonline", "Wодоканал", "Iван"] {
            if mixed == "Iван" {
                check(mixed, folded("Іван"));
            } else {
                check(mixed, Word::Mixed);
            }
        }
    }
}
