//! What is looked for in a text before any parser sees it: a stack that runs over cannot be caught.

use crate::limits::QueryLimits;
use ukimet_model::{Error, Result};

/// Words that join or negate expressions or whole queries.
const OPERATORS: [&str; 14] = [
    "and",
    "or",
    "not",
    "is",
    "like",
    "ilike",
    "between",
    "in",
    "case",
    "when",
    "union",
    "intersect",
    "except",
    "join",
];

/// What a text is made of, as far as it is counted.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    deepest: usize,
    operators: usize,
}

/// Checks the length of a text, how deep it nests and how much it joins.
///
/// # Errors
///
/// `LimitReached` naming the limit and what was found.
pub(crate) fn check_text(sql: &str, limits: &QueryLimits) -> Result<()> {
    let over = |what: &str, max: usize, found: usize| {
        Err(Error::limit_reached(format!("a statement has at most {max} {what}, found {found}")))
    };
    if sql.len() > limits.text_bytes_max {
        return over("bytes", limits.text_bytes_max, sql.len());
    }
    let Counted { deepest, operators } = count(sql);
    if deepest > limits.nesting_max {
        return over("parentheses inside each other", limits.nesting_max, deepest);
    }
    if operators > limits.operators_max {
        return over("operators", limits.operators_max, operators);
    }
    Ok(())
}

/// Counts in one walk; what stands in quotes or comments does not count. A quote without an end reaches to the end of the
/// text, as it does for the parser.
fn count(sql: &str) -> Counted {
    let (mut counted, mut depth, mut rest) = (Counted::default(), 0_usize, sql);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => 1 + past(&rest[1..], &first.to_string()),
            '-' if rest.starts_with("--") => past(rest, "\n"),
            '/' if rest.starts_with("/*") => 2 + past(&rest[2..], "*/"),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = rest[..end].to_lowercase();
                counted.operators += usize::from(OPERATORS.contains(&word.as_str()));
                depth = match word.as_str() {
                    "case" => depth + 1,
                    "end" => depth.saturating_sub(1),
                    _ => depth,
                };
                end
            }
            c => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    '+' | '-' | '*' | '/' | '%' | '|' | '&' | '^' | '<' | '>' | '=' | '!' | '~' | '#' | ':' => {
                        counted.operators += 1;
                    }
                    _ => (),
                }
                c.len_utf8()
            }
        };
        counted.deepest = counted.deepest.max(depth);
        rest = &rest[length..];
    }
    counted
}

/// Bytes up to and with an ending; all of them without it.
fn past(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nests_and_joins_is_counted_outside_of_quotes_and_comments() {
        let sql = "SELECT ((a + 1) * 2), '((((+', \"((b\" -- ((((\n/* (( */ FROM t WHERE NOT x AND [y]";
        assert_eq!(count(sql), Counted { deepest: 2, operators: 4 });
        assert_eq!(count("CASE WHEN CASE WHEN a THEN b END THEN c END").deepest, 2);
        assert_eq!(count("'it''s ((' ((").deepest, 2);
    }

    #[test]
    fn each_limit_is_reached() {
        let limits = QueryLimits { text_bytes_max: 100, nesting_max: 3, operators_max: 5, ..QueryLimits::default() };
        check_text("SELECT (((1)))", &limits).expect("is within all");
        for (sql, what) in [
            ("x".repeat(101), "at most 100 bytes, found 101"),
            ("((((1))))".to_owned(), "at most 3 parentheses inside each other, found 4"),
            ("1+1+1+1+1+1+1".to_owned(), "at most 5 operators, found 6"),
        ] {
            let error = check_text(&sql, &limits).expect_err("is over one");
            assert!(error.message().contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_counted(sql in "[-a-z'\"/*(){}\n\\PC]{0,200}") {
            count(&sql);
        }
    }
}
