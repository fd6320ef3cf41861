//! Where rows and columns of a sheet that came back belong.

use crate::report::{ROW_COLUMN, WHY_COLUMN};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// The cells of a row as text; `None` where there is none.
pub(super) type Cells = Vec<Option<String>>;

/// Where a reader took the header for a row, that row gives the names; how many rows stand above the first that is left.
///
/// # Errors
///
/// `InvalidData` if there is no column of row numbers.
pub(super) fn find_header(names: &mut Vec<String>, rows: &mut Vec<Cells>) -> Result<u64> {
    let is_row_column = |name: &String| name == ROW_COLUMN;
    if names.iter().any(is_row_column) {
        return Ok(0);
    }
    let at = rows.iter().position(|row| row.iter().flatten().any(is_row_column)).ok_or_else(|| {
        Error::invalid_data(format!("the sheet has no column {ROW_COLUMN}: it is not one of refused rows"))
    })?;
    *names = rows[at].iter().map(|name| name.clone().unwrap_or_default()).collect();
    rows.drain(..=at);
    Ok(at as u64 + 1)
}

/// The number of a row in its push; `None` for a row of empty cells.
pub(super) fn row_number(names: &[String], row: &[Option<String>]) -> Result<Option<u64>> {
    if row.iter().all(|cell| cell.as_ref().is_none_or(|cell| cell.trim().is_empty())) {
        return Ok(None);
    }
    let at = names.iter().position(|name| name == ROW_COLUMN);
    let text = at.and_then(|at| row[at].as_deref()).unwrap_or_default().trim();
    match text.parse::<u64>().ok().and_then(|number| number.checked_sub(1)) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::invalid_data(format!(
            "column {ROW_COLUMN} has the number of a row, as the sheet had it, found {}",
            quoted(text)
        ))),
    }
}

/// Where the columns of the source stand in the sheet.
pub(super) fn column_order(columns: &[String], names: &[String], rows: &[Cells]) -> Result<Vec<usize>> {
    let is_filled = |at: usize| rows.iter().any(|row| row[at].as_ref().is_some_and(|cell| !cell.is_empty()));
    let is_own = |name: &String| columns.contains(name) || name == ROW_COLUMN || name == WHY_COLUMN;
    if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| !is_own(name) && is_filled(*at)) {
        let message = format!("the sheet has a column {} that the refused rows do not have", quoted(name));
        return Err(Error::invalid_data(message));
    }
    let place = |column: &String| {
        let at = names.iter().position(|name| name == column);
        at.ok_or_else(|| Error::invalid_data(format!("the sheet has no column {}, which was in it", quoted(column))))
    };
    columns.iter().map(place).collect()
}
