//! Cells that a spreadsheet shows as percent: its number is kept as a share, 0.5, and people see 50 %.

use std::collections::HashSet;

/// The cells of a sheet that are shown as percent, by row and column from 0.
pub(super) type PercentCells = HashSet<(u32, u32)>;

/// Whether a format of numbers shows a share as percent: it has a `%` that is no quoted or escaped text.
///
/// Of several formats in one, for positive and negative numbers, the first says it.
pub(super) fn is_percent_format(code: &str) -> bool {
    let (mut is_quoted, mut is_bracketed) = (false, false);
    let mut letters = code.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            // The next letter is shown as it is, repeated, or only as wide.
            '\\' | '*' | '_' => drop(letters.next()),
            '[' => is_bracketed = true,
            ']' => is_bracketed = false,
            ';' => return false,
            '%' if !is_bracketed => return true,
            _ => {}
        }
    }
    false
}

/// A share as the percentage that people see, with every digit that a 64-bit float keeps: `50.0%` for 0.5.
///
/// Always with a fraction, so that the type of a column does not hang on which shares are round.
pub(super) fn percent_text(share: f64) -> String {
    let plain = share.abs().to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let point = fraction.len().min(2);
    let hundredfold = format!("{whole}{:0<2}.{}", &fraction[..point], &fraction[point..]);
    let hundredfold = hundredfold.parse().unwrap_or(f64::INFINITY);
    let sign = if share < 0.0 { "-" } else { "" };
    let text = hundredfold.to_string();
    if text.contains('.') { format!("{sign}{text}%") } else { format!("{sign}{text}.0%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_percent_sign_that_is_no_text_makes_a_percentage() {
        for code in ["0%", "0.00%", "0.0 %", "[Red]0%;0%", "#,##0.0\\ %", "0%;-0%", "\"около \"0%"] {
            assert!(is_percent_format(code), "{code}");
        }
        for code in ["General", "0.00", "0.0\"%\"", "0\\%", "[$%-409]0", "0;-0%", "0_%", ""] {
            assert!(!is_percent_format(code), "{code}");
        }
    }

    #[test]
    fn a_share_is_its_percentage_to_the_last_digit() {
        for (share, text) in [
            (0.5, "50.0%"),
            (1.0, "100.0%"),
            (0.07, "7.0%"),
            (0.29, "29.0%"),
            (-0.125, "-12.5%"),
            (0.0, "0.0%"),
            (12.0, "1200.0%"),
            (1.0 / 3.0, "33.33333333333333%"),
            (0.000_001, "0.0001%"),
        ] {
            assert_eq!(percent_text(share), text);
        }
    }
}
