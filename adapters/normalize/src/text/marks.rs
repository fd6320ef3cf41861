//! Characters that do not belong into values: what is taken out, what is composed and what is only said.

use super::lookalikes::{Word, is_cyrillic, is_letter, judge};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Without control characters and without a byte order mark at the beginning; `None` if there is none of them.
///
/// Tabs and line ends stay; a vertical tab or form feed becomes a line end, so that words stay apart. The controls
/// from U+0080 on stay: they are what is left of letters that were decoded wrongly.
pub(crate) fn without_controls(text: &str) -> Option<String> {
    let is_dropped = |letter: char| letter.is_ascii_control() && !matches!(letter, '\t' | '\n' | '\r');
    if !text.contains(is_dropped) && !text.starts_with('\u{feff}') {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').chars();
    let turned = text.map(|letter| if matches!(letter, '\u{b}' | '\u{c}') { '\n' } else { letter });
    Some(turned.filter(|letter| !is_dropped(*letter)).collect())
}

/// Composed (NFC); `None` if it is already, or has no mark that could be composed with a letter.
///
/// Compatibility ideographs alone are left: they stand for themselves in Korean registers.
pub(super) fn composed(text: &str) -> Option<String> {
    let is_mark = |letter: char| matches!(letter, '\u{300}'..='\u{36f}' | '\u{1100}'..='\u{11ff}');
    if is_nfc_quick(text.chars()) == IsNormalized::Yes || !text.contains(is_mark) {
        return None;
    }
    let composed: String = text.nfc().collect();
    (composed != text).then_some(composed)
}

/// The look-alikes of a value.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// The value with Cyrillic words made wholly Cyrillic, if it has one that was not.
    pub(super) folded: Option<String>,
    /// Whether a word mixes scripts in a way that cannot be undone without a guess.
    pub(super) is_mixed: bool,
}

/// Looks at every word of a value. Words that touch digits, underscores, slashes or `@` are codes and addresses.
pub(super) fn scripts(text: &str) -> Scripts {
    let mut scripts = Scripts::default();
    let mut folded = Cow::Borrowed("");
    let mut at = 0;
    for (begin, word) in words(text) {
        let is_code = |letter: Option<char>| letter.is_some_and(|l| l.is_ascii_digit() || "_/\\@".contains(l));
        if is_code(text[..begin].chars().next_back()) || is_code(text[begin + word.len()..].chars().next()) {
            continue;
        }
        match judge(word) {
            Word::Plain => {}
            Word::Mixed => scripts.is_mixed = true,
            Word::Folded(word_folded) => {
                folded.to_mut().push_str(&text[at..begin]);
                folded.to_mut().push_str(&word_folded);
                at = begin + word.len();
            }
        }
    }
    if at > 0 {
        folded.to_mut().push_str(&text[at..]);
        scripts.folded = Some(folded.into_owned());
    }
    scripts
}

/// The runs of letters of a text with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|letter: char| !is_letter(letter))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// What is only said about a value: a stable rule, and nothing is changed.
pub(super) fn flags(text: &str) -> Vec<&'static str> {
    let mut flags = Vec::new();
    let mut say = |is_so: bool, rule| {
        if is_so {
            flags.push(rule);
        }
    };
    say(text.contains(char::REPLACEMENT_CHARACTER) || has_lost_letters(text), "text.lossy");
    say(text.contains(is_noncharacter), "text.noncharacter");
    say(has_invisible(text), "text.invisible");
    say(text.starts_with('\u{a0}') || text.ends_with('\u{a0}'), "text.nonbreaking");
    say(has_digit_inside(text), "text.digit_in_word");
    flags
}

/// Whether question marks stand where letters were: before a Cyrillic letter, or instead of all letters.
fn has_lost_letters(text: &str) -> bool {
    const ALL_MIN: usize = 4;
    if !text.contains('?') {
        return false;
    }
    let is_inside = text.match_indices('?').any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + 1..].chars().next();
        after.is_some_and(is_cyrillic)
            && before.is_none_or(|l| is_cyrillic(l) || l.is_whitespace() || "?\"«(-.".contains(l))
    });
    is_inside || (!text.contains(char::is_alphabetic) && text.matches('?').count() >= ALL_MIN)
}

fn is_noncharacter(letter: char) -> bool {
    let code = u32::from(letter);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// Whether there are characters that nobody sees where they change how text compares or reads.
///
/// Joiners belong to emoji and to the scripts of Asia, direction marks to Arabic and Hebrew.
fn has_invisible(text: &str) -> bool {
    let has_right_to_left = || text.contains(|l| matches!(l, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fefc}'));
    let is_ours = |letter: char| letter.is_ascii() || matches!(letter, '\u{c0}'..='\u{52f}');
    text.char_indices().any(|(at, letter)| match letter {
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' => true,
        '\u{200c}' | '\u{200d}' => text[..at].chars().next_back().is_none_or(is_ours),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => !has_right_to_left(),
        _ => false,
    })
}

/// Whether a digit that looks like a letter stands inside a Cyrillic word: `К0ШЕСІ`.
fn has_digit_inside(text: &str) -> bool {
    const LETTERS_MIN: usize = 4;
    if !text.contains(['0', '3', '6']) {
        return false;
    }
    text.split(|letter: char| !(is_letter(letter) || letter.is_alphanumeric())).any(|word| {
        let digits: Vec<usize> = word.char_indices().filter(|(_, l)| l.is_ascii_digit()).map(|(at, _)| at).collect();
        let [at] = digits[..] else { return false };
        let is_inside = word[..at].chars().next_back().is_some_and(is_cyrillic)
            && word[at + 1..].chars().next().is_some_and(is_cyrillic);
        is_inside && "036".contains(&word[at..=at]) && word.chars().filter(|l| is_cyrillic(*l)).count() >= LETTERS_MIN
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_go_and_words_stay_apart() {
        assert_eq!(without_controls("Алматы\0\0").as_deref(), Some("Алматы"));
        assert_eq!(without_controls("\u{feff}a\u{b}b\u{7f}\u{85}").as_deref(), Some("a\nb\u{85}"));
        assert_eq!(without_controls("a\tb\r\nc"), None);
    }

    #[test]
    fn letters_with_marks_are_composed_and_nothing_is_made_compatible() {
        assert_eq!(composed("Бии\u{306}ск, Семе\u{308}новка").as_deref(), Some("Бийск, Семёновка"));
        assert_eq!(composed("\u{1109}\u{1165}\u{110b}\u{116e}\u{11af}").as_deref(), Some("서울"));
        for plain in ["Бийск", "м²", "№ 5", "ﬁ", "\u{f900}", "\u{212b}"] {
            assert_eq!(composed(plain), None, "{plain}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_rule() {
        for (text, rules) in [
            ("Ал?аты", &["text.lossy"][..]),
            ("?ызылорда облысы", &["text.lossy"]),
            ("????? ????", &["text.lossy"]),
            ("Аста\u{fffd}а", &["text.lossy"]),
            ("а\u{fffe}", &["text.noncharacter"]),
            ("Ал\u{200b}маты", &["text.invisible"]),
            ("\u{202e}txt", &["text.invisible"]),
            ("Алматы\u{a0}", &["text.nonbreaking"]),
            ("К0ШЕСІ", &["text.digit_in_word"]),
            ("Кто? Где?", &[]),
            ("https://a.kz/?q=1", &[]),
            ("???", &[]),
            ("73\u{a0}132", &[]),
            ("👨\u{200d}👩", &[]),
            ("می\u{200c}خواهم", &[]),
            ("дом 5б", &[]),
            ("3этажа", &[]),
        ] {
            assert_eq!(flags(text), rules, "{text}");
        }
    }

    #[test]
    fn codes_and_addresses_are_no_words() {
        assert_eq!(scripts("улица Aбая, КӨШЕCI").folded.as_deref(), Some("улица Абая, КӨШЕСІ"));
        for plain in ["Aбв5", "Cклад_1", "info@Cайт", "IT-отдел", "c:\\Cклад"] {
            assert_eq!(scripts(plain).folded, None, "{plain}");
        }
        assert!(scripts("iPhoneы").is_mixed);
    }
}
