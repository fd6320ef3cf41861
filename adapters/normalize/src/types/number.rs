//! A number without what is only notation around it: signs, brackets, apostrophes, percent, currency, known units.

use super::units;
use std::borrow::Cow;

/// Longest text that is tried as a number, in bytes.
const NUMBER_BYTES_MAX: usize = 96;

/// What is said of numbers in brackets.
pub(crate) const BRACKETS: &str = "numbers in brackets are negative, as in accounts";

/// A number as digits, separators and a plain minus, and what stood around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bare<'a> {
    /// Perhaps `-`, then digits with spaces, points and commas, perhaps an exponent.
    pub(crate) text: Cow<'a, str>,
    /// The unit beside the number, as written.
    pub(crate) unit: Option<&'a str>,
    /// Whether brackets stood for a minus.
    pub(crate) is_bracketed: bool,
    /// Whether a plus stood before it.
    pub(crate) has_plus: bool,
    /// Whether it is written with a power of ten.
    pub(crate) has_exponent: bool,
}

/// Takes a number out of its notation; `None` if the text is no number in any.
///
/// Only a known unit is taken off, so that `12а` or `5 кв` stay what they are.
pub(crate) fn bare(text: &str) -> Option<Bare<'_>> {
    let trimmed = text.trim();
    let first = trimmed.chars().next().filter(|_| trimmed.len() <= NUMBER_BYTES_MAX)?;
    if !(first.is_ascii_digit() || first == '(' || first == '+' || is_minus(first) || units::is_currency(first)) {
        return None;
    }
    let (inner, is_bracketed) = match trimmed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => (inner.trim(), true),
        None => (trimmed, false),
    };
    let (before, inner) = leading_currency(inner);
    let (is_negative, has_plus, digits) = signed(inner);
    let end = body_end(digits)?;
    let (body, rest) = (digits[..end].trim_end(), &digits[end..]);
    let has_space = rest.starts_with(char::is_whitespace) || body.len() < end;
    let after = (!rest.trim().is_empty()).then(|| rest.trim());
    let is_known = after.is_none_or(|unit| units::is_known(unit, has_space));
    let is_twice = (before.is_some() && after.is_some()) || (is_bracketed && (is_negative || has_plus));
    if !is_known || is_twice {
        return None;
    }
    let has_exponent = body.contains(['e', 'E']);
    let text = plain(text, body, is_negative || is_bracketed);
    Some(Bare { text, unit: before.or(after), is_bracketed, has_plus, has_exponent })
}

fn leading_currency(text: &str) -> (Option<&str>, &str) {
    let end = text.chars().next().filter(|c| units::is_currency(*c)).map_or(0, char::len_utf8);
    ((end > 0).then(|| &text[..end]), text[end..].trim_start())
}

fn signed(text: &str) -> (bool, bool, &str) {
    match text.chars().next() {
        Some('+') => (false, true, &text[1..]),
        Some(sign) if is_minus(sign) => (true, false, text[sign.len_utf8()..].trim_start()),
        _ => (false, false, text),
    }
}

/// The minus and the dashes that are typed for it.
fn is_minus(c: char) -> bool {
    matches!(c, '-' | '\u{2212}' | '\u{2013}' | '\u{2010}' | '\u{2011}' | '\u{fe63}' | '\u{ff0d}')
}

/// Where digits, separators and a power of ten end; `None` if there is no digit first.
fn body_end(text: &str) -> Option<usize> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let is_body = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',') || is_group_mark(c);
    let end = text.find(|c: char| !is_body(c)).unwrap_or(text.len());
    let power = text[end..].strip_prefix(['e', 'E']).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    match power {
        Some(power) if !power.is_empty() && power.bytes().all(|b| b.is_ascii_digit()) => Some(text.len()),
        _ => Some(end),
    }
}

fn is_group_mark(c: char) -> bool {
    super::value::is_space(c) || matches!(c, '\'' | '\u{2019}' | '\u{2bc}')
}

fn plain<'a>(whole: &'a str, body: &'a str, is_negative: bool) -> Cow<'a, str> {
    let has_apostrophe = body.contains(['\'', '\u{2019}', '\u{2bc}']);
    if !is_negative && !has_apostrophe {
        return body.into();
    }
    if !has_apostrophe && whole.strip_prefix('-') == Some(body) {
        return whole.into();
    }
    let sign = if is_negative { "-" } else { "" };
    format!("{sign}{}", body.replace(['\'', '\u{2019}', '\u{2bc}'], " ")).into()
}

/// What a mark in a statistics table says about the value that is not there; `None` for any other text.
pub(crate) fn missing_mark(text: &str) -> Option<&'static str> {
    const MARKS: [(&str, &[&str]); 4] = [
        ("no such case", &["-", "–", "—", "−", "--", "---", "жоқ", "нет"]),
        ("no data", &["…", "...", "..", "н/д", "н.д.", "н/д.", "нд", "нет данных", "нет сведений", "мәлімет жоқ"]),
        ("no data", &["деректер жоқ", "д/ж", "м/ж", "n/a", "na", "#n/a", "#н/д", "null", "nan", "no data"]),
        ("confidential", &["x", "х", "конф.", "құпия", "confidential"]),
    ];
    const MARK_BYTES_MAX: usize = 24;
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > MARK_BYTES_MAX || trimmed.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    // Most cells are words: their first letter says that they are no mark.
    let is_mark = |mark: &&str| mark.chars().eq(trimmed.chars().flat_map(char::to_lowercase));
    MARKS.iter().find(|(_, marks)| marks.iter().any(is_mark)).map(|(meaning, _)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_is_taken_off_a_number_and_nothing_else_is() {
        for (text, plain, unit) in [
            ("12", "12", None),
            (" 12 ", "12", None),
            ("-5", "-5", None),
            ("\u{2212}5,5", "-5,5", None),
            ("– 5", "-5", None),
            ("+5", "5", None),
            ("(1 200)", "-1 200", None),
            ("1'234'567", "1 234 567", None),
            ("1’000", "1 000", None),
            ("12,5 %", "12,5", Some("%")),
            ("12,5%", "12,5", Some("%")),
            ("500 ₸", "500", Some("₸")),
            ("₸500", "500", Some("₸")),
            ("$1.5", "1.5", Some("$")),
            ("5 000 тг.", "5 000", Some("тг.")),
            ("12 км", "12", Some("км")),
            ("12 тыс. чел.", "12", Some("тыс. чел.")),
            ("12 м2", "12", Some("м2")),
            ("1.5E+05", "1.5E+05", None),
            ("1e5", "1e5", None),
        ] {
            let bare = bare(text).expect(text);
            assert_eq!((bare.text.as_ref(), bare.unit), (plain, unit), "{text}");
        }
        for text in ["12а", "5г", "12 а", "5м", "№ 5", "(-5)", "$5 тг", "1e", "1e5x", "-", "", "5 кв", "7-я", "$"]
        {
            assert_eq!(bare(text), None, "{text}");
        }
    }

    #[test]
    fn marks_say_what_is_missing() {
        for (text, meaning) in [
            ("—", Some("no such case")),
            (" - ", Some("no such case")),
            ("Н/Д", Some("no data")),
            ("…", Some("no data")),
            ("Х", Some("confidential")),
            ("x", Some("confidential")),
            ("0", None),
            ("", None),
            ("иное", None),
            ("∞", None),
        ] {
            assert_eq!(missing_mark(text), meaning, "{text}");
        }
    }
}
