//! Latin letters back to Russian ones, well enough to find a stem: `biblioteki` as `библиотеки`.

/// Latin letters and the Russian ones they are written for, longer ones first.
const LETTERS: [(&str, &str); 44] = [
    ("shch", "щ"),
    ("sch", "щ"),
    ("iya", "ия"),
    ("iye", "ие"),
    ("dzh", "дж"),
    ("zh", "ж"),
    ("kh", "х"),
    ("ts", "ц"),
    ("ch", "ч"),
    ("sh", "ш"),
    ("ya", "я"),
    ("ja", "я"),
    ("yu", "ю"),
    ("ju", "ю"),
    ("yo", "е"),
    ("ye", "е"),
    ("je", "е"),
    ("š", "ш"),
    ("č", "ч"),
    ("ž", "ж"),
    ("ŝ", "щ"),
    ("â", "я"),
    ("û", "ю"),
    ("a", "а"),
    ("b", "б"),
    ("v", "в"),
    ("w", "в"),
    ("g", "г"),
    ("d", "д"),
    ("e", "е"),
    ("z", "з"),
    ("i", "и"),
    ("k", "к"),
    ("l", "л"),
    ("m", "м"),
    ("n", "н"),
    ("o", "о"),
    ("p", "п"),
    ("r", "р"),
    ("s", "с"),
    ("t", "т"),
    ("u", "у"),
    ("f", "ф"),
    ("h", "х"),
];

/// A small Latin word in Russian letters; `None` if a letter of it stands for none.
pub(super) fn to_russian(word: &str) -> Option<String> {
    let mut russian = String::with_capacity(word.len() * 2);
    let mut rest = word;
    while let Some(letter) = rest.chars().next() {
        if let Some((latin, cyrillic)) = LETTERS.iter().find(|(latin, _)| rest.starts_with(latin)) {
            russian.push_str(cyrillic);
            rest = &rest[latin.len()..];
            continue;
        }
        let is_after_vowel = russian.ends_with(['а', 'е', 'и', 'о', 'у', 'ы', 'ю', 'я']);
        russian.push_str(match letter {
            'y' | 'j' if is_after_vowel => "й",
            'y' => "ы",
            'j' => "ж",
            'c' => "ц",
            'q' => "к",
            'x' => "кс",
            '\'' => "ь",
            _ => return None,
        });
        rest = &rest[letter.len_utf8()..];
    }
    Some(russian)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn romanized_words_are_russian_again() {
        for (latin, russian) in [
            ("shkoly", "школы"),
            ("biblioteki", "библиотеки"),
            ("gorodskoy", "городской"),
            ("gorodskoj", "городской"),
            ("novyy", "новый"),
            ("naseleniye", "население"),
            ("territoriya", "территория"),
            ("oblast'", "область"),
            ("khozyaystvo", "хозяйство"),
            ("ploshchad", "площад"),
        ] {
            assert_eq!(to_russian(latin).as_deref(), Some(russian), "{latin}");
        }
        assert_eq!(to_russian("ğylym"), None);
    }
}
