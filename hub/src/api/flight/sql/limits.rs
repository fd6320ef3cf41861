//! How much a query may cost, as an operator sets it.

use crate::config::{parse_bytes, parse_time};
use clap::Args;
use std::time::Duration;
use ukimet_query::QueryLimits;

/// How much a query in SQL may cost.
#[derive(Args, Clone, Copy, Debug)]
pub struct SqlLimits {
    /// Longest statement in SQL.
    #[arg(long, value_name = "SIZE", default_value = "8KiB", value_parser = parse_bytes)]
    pub sql_bytes_max: u64,

    /// Parentheses inside each other in a statement.
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub sql_nesting_max: usize,

    /// Operators of a statement, such as AND, NOT, + and =; planning takes the square of it.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub sql_operators_max: usize,

    /// Tables that a statement names, each time counted.
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub sql_tables_max: usize,

    /// Wall-clock time until a statement is planned.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub sql_planning_max: Duration,

    /// Wall-clock time that a query may work; a client that takes nothing for so long is given up too.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub sql_time_max: Duration,

    /// Rows of one answer.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000_000)]
    pub sql_rows_max: u64,

    /// Memory of one query for sorting, grouping and joining; a query that may write to the disk does so beyond it.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_bytes)]
    pub sql_memory_max: u64,

    /// Memory of all queries together.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_bytes)]
    pub sql_memory_total_max: u64,

    /// What one query may write to the disk when its memory is full.
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_bytes)]
    pub sql_spill_max: u64,

    /// Queries that are planned or answered at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub sql_running_max: usize,

    /// Threads that work for one query.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub sql_threads: usize,
}

impl SqlLimits {
    /// The same in the words of the engine.
    pub fn queries(&self) -> QueryLimits {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        QueryLimits {
            text_bytes_max: bytes(self.sql_bytes_max),
            nesting_max: self.sql_nesting_max,
            operators_max: self.sql_operators_max,
            tables_max: self.sql_tables_max,
            planning_max: self.sql_planning_max,
            time_max: self.sql_time_max,
            rows_max: self.sql_rows_max,
            memory_bytes_max: bytes(self.sql_memory_max),
            memory_total_bytes_max: bytes(self.sql_memory_total_max),
            spill_bytes_max: self.sql_spill_max,
            running_max: self.sql_running_max,
            threads: self.sql_threads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: SqlLimits,
    }

    #[test]
    fn the_defaults_are_those_of_the_engine() {
        assert_eq!(Line::parse_from(["ukimet"]).limits.queries(), QueryLimits::default());
    }
}
