//! The functions that a statement may call: none that reads, sleeps or guesses, none that makes rows or long texts of
//! nothing.

use crate::concatenation::bounded;
use crate::spatial;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use std::sync::Arc;

/// Functions on single values that are served.
const SCALAR: &[&str] = &[
    // Missing values and types
    "arrow_cast",
    "arrow_try_cast",
    "arrow_typeof",
    "coalesce",
    "get_field",
    "greatest",
    "least",
    "nullif",
    "nvl",
    "nvl2",
    // Times
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "make_time",
    "now",
    "to_char",
    "to_date",
    "to_local_time",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
    // Texts
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "find_in_set",
    "initcap",
    "left",
    "levenshtein",
    "lower",
    "ltrim",
    "octet_length",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "reverse",
    "right",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_hex",
    "translate",
    "upper",
    // Numbers
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "factorial",
    "floor",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "pi",
    "power",
    "radians",
    "round",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
];

/// Those of them that put texts together.
const JOINS_TEXT: [&str; 2] = ["concat", "concat_ws"];

/// Functions on many values that are served.
const AGGREGATE: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];

pub(crate) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let library = SessionStateDefaults::default_scalar_functions();
    let served = library.into_iter().filter(|function| SCALAR.contains(&function.name()));
    let served =
        served.map(|function| if JOINS_TEXT.contains(&function.name()) { bounded(function) } else { function });
    served.chain(spatial::functions()).collect()
}

pub(crate) fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let library = SessionStateDefaults::default_aggregate_functions();
    library.into_iter().filter(|function| AGGREGATE.contains(&function.name())).chain(spatial::aggregates()).collect()
}

/// Numbers and neighbors of rows; all of the library's.
pub(crate) fn window_functions() -> Vec<Arc<WindowUDF>> {
    SessionStateDefaults::default_window_functions()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_that_is_named_is_there() {
        let scalar: Vec<String> = scalar_functions().iter().map(|function| function.name().to_owned()).collect();
        let aggregate: Vec<String> = aggregate_functions().iter().map(|function| function.name().to_owned()).collect();
        let missing = |names: &[&str], found: &[String]| -> Vec<String> {
            names.iter().filter(|name| !found.iter().any(|found| found == *name)).map(ToString::to_string).collect()
        };
        assert_eq!(missing(SCALAR, &scalar), Vec::<String>::new());
        assert_eq!(missing(AGGREGATE, &aggregate), Vec::<String>::new());
        for dangerous in [
            "repeat",
            "lpad",
            "rpad",
            "replace",
            "regexp_replace",
            "struct",
            "make_array",
            "random",
            "uuid",
            "input_file_name",
        ] {
            assert!(!scalar.iter().any(|name| name == dangerous), "{dangerous}");
        }
    }
}
