//! What a cell looks like to a reader: a label, a number, a period.

use super::grid::Value;
use super::percent::percent_text;

/// Whether a cell is a number, a date or a truth value, also one that is written as text.
pub(super) fn is_value(value: &Value) -> bool {
    match value {
        Value::Text(text) => is_value_text(text.trim()),
        Value::Error(_) | Value::Uncomputed => false,
        _ => true,
    }
}

/// Whether a cell is text that is neither a number nor a sign for nothing.
pub(super) fn is_label(value: &Value) -> bool {
    value.text().is_some_and(|text| {
        let text = text.trim();
        !text.is_empty() && !is_value_text(text) && !is_placeholder(text)
    })
}

/// Whether a cell keeps a row from being a header: a number that is no year, as [`is_number`] says it of text.
pub(super) fn is_no_header(value: &Value) -> bool {
    match value {
        Value::Text(text) => is_number(text),
        Value::Number(number) => year_of(*number).is_none(),
        Value::Percent(_) | Value::Digits(_) | Value::Boolean(_) | Value::Moment(_) | Value::Duration(_) => true,
        Value::Error(_) | Value::Uncomputed => false,
    }
}

/// Whether a text is a number and no year: tables by year have years for column names.
pub(crate) fn is_number(cell: &str) -> bool {
    let cell = cell.trim().replace(',', ".");
    let is_year = cell.len() == 4 && cell.parse().is_ok_and(|year: u16| (1800..=2199).contains(&year));
    !is_year && cell.parse::<f64>().is_ok_and(f64::is_finite)
}

/// The number that a cell holds, also as text with spaces and a comma.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) | Value::Percent(number) => Some(*number),
        Value::Digits(digits) => digits.parse().ok(),
        Value::Text(text) => {
            let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let plain = plain.replacen(',', ".", 1);
            plain.parse().ok().filter(|number: &f64| number.is_finite() && plain.bytes().any(|b| b.is_ascii_digit()))
        }
        _ => None,
    }
}

/// A whole number between 1800 and 2199.
pub(super) fn year_of(number: f64) -> Option<u16> {
    let is_year = number.fract() == 0.0 && (1800.0..=2199.0).contains(&number);
    is_year.then_some(number as u16)
}

/// The text of a cell as a name: white space made one space.
pub(super) fn label(value: &Value) -> String {
    match value {
        Value::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Number(number) => number.to_string(),
        Value::Percent(share) => percent_text(*share),
        Value::Digits(digits) => digits.to_string(),
        Value::Error(error) => error.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Moment(days) | Value::Duration(days) => days.to_string(),
        Value::Uncomputed => String::new(),
    }
}

/// Digits with signs of numbers, dates and times around them.
fn is_value_text(text: &str) -> bool {
    let is_sign = |c: char| c.is_whitespace() || "+-−.,:/%'’()".contains(c);
    text.chars().any(|c| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || is_sign(c))
}

/// Dashes, dots and crosses that stand for a missing number.
fn is_placeholder(text: &str) -> bool {
    matches!(text, "x" | "X" | "х" | "Х") || text.chars().all(|c| "-–—−.…*/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_numbers_and_signs_for_nothing_are_told_apart() {
        let text = |text: &str| Value::Text(text.into());
        for label in ["Абай", "2020 г.", "ул. 5", "№", "1-я школа"] {
            assert!(is_label(&text(label)) && !is_value(&text(label)), "{label}");
        }
        for value in ["1029", "1 234,5", "01.02.2024", "12:30", "-5", "10%", "(3)"] {
            assert!(is_value(&text(value)) && !is_label(&text(value)), "{value}");
        }
        for sign in ["-", "…", "x", "Х", "–", ""] {
            assert!(!is_value(&text(sign)) && !is_label(&text(sign)), "{sign}");
        }
        assert!(is_no_header(&text("1,5")) && is_no_header(&Value::Number(3.0)));
        assert!(!is_no_header(&text("2020")) && !is_no_header(&Value::Number(2020.0)));
        assert_eq!(number(&text("73\u{a0}132,5")), Some(73_132.5));
    }
}
