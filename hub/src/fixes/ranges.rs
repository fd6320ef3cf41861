//! Numbers of rows in few words.

use std::collections::BTreeSet;

/// Row numbers as text: `0-4,9`.
pub(super) fn ranges(rows: &BTreeSet<u64>) -> String {
    let rows: Vec<u64> = rows.iter().copied().collect();
    let runs = rows.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [only] => only.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The numbers of such a text; what is none is passed over.
pub(super) fn parse_ranges(text: &str) -> BTreeSet<u64> {
    let run = |part: &str| -> Option<std::ops::RangeInclusive<u64>> {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    text.split(',').filter_map(run).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_numbers_are_written_as_runs_and_read_back() {
        let rows: BTreeSet<u64> = [0, 1, 2, 7, 9, 10].into();
        assert_eq!(ranges(&rows), "0-2,7,9-10");
        assert_eq!(parse_ranges(&ranges(&rows)), rows);
        assert_eq!(parse_ranges(""), BTreeSet::new());
    }
}
