//! What is written around the cells of a sheet of refused rows: two columns of its own, and marks against formulas.

use std::borrow::Cow;

/// The column of a sheet of refused rows that says which row of the push it is, counted from 1.
pub const ROW_COLUMN: &str = "_row";
/// The column of a sheet of refused rows that says why.
pub const WHY_COLUMN: &str = "_why";

/// Letters with which a spreadsheet takes a cell for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell that no spreadsheet takes for a formula: what could be one gets an apostrophe. Plain numbers stay.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    let is_number = text.parse::<f64>().is_ok() || text.replace(',', ".").parse::<f64>().is_ok();
    if needs_guard(text) && !is_number { format!("'{text}").into() } else { text.into() }
}

fn needs_guard(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA)
}

/// The cell that was guarded.
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| needs_guard(rest)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_of_a_csv_is_a_formula_and_every_cell_comes_back() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+7 701", "'+7 701"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-x", "'-x"),
            ("\t=1", "'\t=1"),
            ("'=1", "''=1"),
            ("-5", "-5"),
            ("-5,25", "-5,25"),
            ("007", "007"),
            ("a=b", "a=b"),
            ("'tis", "'tis"),
        ] {
            assert_eq!(guarded(text), expected);
            assert_eq!(unguarded(expected), text);
        }
    }
}
