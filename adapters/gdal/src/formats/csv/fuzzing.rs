//! The door of the fuzz targets to the records of a CSV.

use super::tokens::{Record, Tokens};
use ukimet_model::Result;

/// The cells of every record that is no blank line, and how many cells went on after a closing quote.
///
/// # Errors
///
/// As [`Tokens::next`].
pub(crate) fn records(bytes: &[u8], separator: u8) -> Result<(Vec<Vec<Vec<u8>>>, u64)> {
    // A small buffer, so that records lie across its end.
    let mut tokens = Tokens::new(std::io::BufReader::with_capacity(7, bytes), separator);
    let (mut record, mut records, mut lone_quotes) = (Record::default(), Vec::new(), 0);
    while tokens.next(&mut record)? {
        lone_quotes += record.lone_quotes;
        records.push((0..record.len()).map(|i| record.cell(i).unwrap_or_default().to_vec()).collect());
    }
    Ok((records, lone_quotes))
}
