//! Values, separators and times as a sentence shows them.

use super::texts::Language;
use jiff::Timestamp;

/// A text as it is shown in a sentence: on one line, not too long.
pub(crate) fn shown(text: &str, characters_max: usize) -> String {
    shown_from(text, 0, characters_max)
}

/// A part of a text from a character on, with a little before it if the text is too long to be shown whole.
pub(super) fn shown_from(text: &str, from: usize, characters_max: usize) -> String {
    const BEFORE: usize = 20;
    let is_long = text.chars().nth(characters_max).is_some();
    let start = if is_long { from.saturating_sub(BEFORE) } else { 0 };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = if start > 0 { "…" } else { "" }.to_owned();
    shown.extend(text.chars().skip(start).take(characters_max).map(clean));
    if text.chars().nth(start + characters_max).is_some() {
        shown.push('…');
    }
    shown
}

/// The first character in which two texts differ.
pub(super) fn difference(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// A separator as it can be seen.
pub(super) fn visible(separator: &str) -> String {
    match separator {
        "\t" | "tab" => "⇥ (Tab)".to_owned(),
        " " => "␣".to_owned(),
        other => other.to_owned(),
    }
}

/// A time, UTC, as the language writes it.
pub(crate) fn clock(time: Timestamp, language: Language) -> String {
    let form = match language {
        Language::En => "%-d %B %Y, %H:%M UTC",
        Language::Kk | Language::Ru => "%d.%m.%Y, %H:%M UTC",
    };
    time.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_shown_around_the_first_difference() {
        let (found, taken) = (format!("{}a{}", "x".repeat(90), "y".repeat(90)), format!("{}b", "x".repeat(90)));
        let from = difference(&found, &taken);
        assert_eq!(from, 90);
        assert_eq!(shown_from(&found, from, 80), format!("…{}a{}…", "x".repeat(20), "y".repeat(59)));
        assert_eq!(shown_from("short\nvalue", 7, 80), "short value");
        assert_eq!(shown(&"я".repeat(81), 80), format!("{}…", "я".repeat(80)));
    }
}
