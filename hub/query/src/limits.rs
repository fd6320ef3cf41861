//! How much a query may cost.

use std::time::Duration;
use ukimet_model::{Error, Result};

/// How much a query may cost; a query that needs more is refused or ended, and says which limit it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Bytes of the text.
    pub text_bytes_max: usize,
    /// Parentheses, brackets and `CASE` inside each other.
    pub nesting_max: usize,
    /// Signs and words that join or negate expressions, together; planning costs the square of it.
    pub operators_max: usize,
    /// Tables that are named, each time counted.
    pub tables_max: usize,
    /// Wall-clock time until a plan is there.
    pub planning_max: Duration,
    /// Wall-clock time that a query may work; waiting for a client that does not read is as long at most, each time.
    pub time_max: Duration,
    /// Rows of an answer.
    pub rows_max: u64,
    /// Memory of one query, bytes.
    pub memory_bytes_max: usize,
    /// Memory of all queries together, bytes.
    pub memory_total_bytes_max: usize,
    /// What one query may write to the disk when its memory is full, bytes.
    pub spill_bytes_max: u64,
    /// Queries that are planned or answered at the same time.
    pub running_max: usize,
    /// Threads that work for one query.
    pub threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            text_bytes_max: 8 << 10,
            nesting_max: 32,
            operators_max: 200,
            tables_max: 32,
            planning_max: Duration::from_secs(10),
            time_max: Duration::from_mins(1),
            rows_max: 100_000_000,
            memory_bytes_max: 256 << 20,
            memory_total_bytes_max: 512 << 20,
            spill_bytes_max: 2 << 30,
            running_max: 4,
            threads: 2,
        }
    }
}

/// Deepest nesting that the parser and the planner take on their stack.
const NESTING_SAFE: usize = 45;
/// As many joined expressions as plan in a few seconds.
const OPERATORS_SAFE: usize = 1000;

impl QueryLimits {
    /// # Errors
    ///
    /// `InvalidRequest` naming a limit that is nothing, or beyond what is safe.
    pub fn check(&self) -> Result<()> {
        let counts = [("threads", self.threads), ("running queries", self.running_max), ("tables", self.tables_max)];
        if let Some((what, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::invalid_request(format!("a hub that answers SQL needs {what}: at least 1, found 0")));
        }
        if self.nesting_max > NESTING_SAFE || self.operators_max > OPERATORS_SAFE {
            return Err(Error::invalid_request(format!(
                "SQL nests {NESTING_SAFE} deep and joins {OPERATORS_SAFE} expressions at most, found {} and {}",
                self.nesting_max, self.operators_max
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_could_not_hold_are_refused() {
        let limits = QueryLimits::default();
        limits.check().expect("the defaults hold");
        for wrong in [
            QueryLimits { threads: 0, ..limits },
            QueryLimits { nesting_max: 1000, ..limits },
            QueryLimits { operators_max: 100_000, ..limits },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
