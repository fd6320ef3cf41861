//! A filter as it came: how it is parsed, and how much of it is parsed at all.

use super::reading::Reading;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use ukimet_model::{Error, Filter, Result};

/// A filter in OGC CQL2: in JSON the text form as a string, or the JSON form as an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WrittenFilter {
    /// CQL2 text: `floors >= 5 AND CASEI(name) LIKE CASEI('%мектеп%')`.
    Text(String),
    /// CQL2 JSON: `{"op": ">=", "args": [{"property": "floors"}, 5]}`.
    Json(Map<String, Value>),
}

/// How much a filter may be.
#[derive(Clone, Copy, Debug)]
pub struct FilterLimits {
    /// Length as it is written, bytes.
    pub bytes_max: usize,
    /// Conditions within conditions, and parentheses within parentheses.
    pub depth_max: usize,
    /// Comparisons and patterns together; each value of a list counts, and a relation to a geometry as fifty.
    pub terms_max: usize,
    /// Positions of one geometry.
    pub positions_max: usize,
}

impl FilterLimits {
    /// The longest and the deepest filters that the parser's stack is large enough for.
    pub const BYTES_MAX: usize = 256 << 10;
    /// See [`FilterLimits::BYTES_MAX`].
    pub const DEPTH_MAX: usize = 100;

    /// # Errors
    ///
    /// `InvalidRequest` if a filter may be more than can be parsed.
    pub fn check(&self) -> Result<()> {
        let of = |name: &str, found: usize, max: usize| {
            let told = || Error::invalid_request(format!("{name} is at most {max}, found {found}"));
            if found <= max { Ok(()) } else { Err(told()) }
        };
        of("filter-bytes-max", self.bytes_max, Self::BYTES_MAX)?;
        of("filter-depth-max", self.depth_max, Self::DEPTH_MAX)
    }
}

/// What the parser may do for one filter: a grammar that tries again costs time, and no more of it than this.
const PARSER_CALLS_MAX: usize = 5_000_000;
/// Signs in a row: each costs the parser another call within itself.
const SIGNS_MAX: usize = 64;
/// Stack of the thread that parses, bytes: several times what the deepest text needs, by length, parentheses and signs.
const PARSER_STACK_BYTES: usize = 256 << 20;

impl FromStr for WrittenFilter {
    type Err = Error;

    /// Takes what begins with a brace for JSON, and all else for text.
    fn from_str(written: &str) -> Result<Self> {
        if !written.trim_start().starts_with('{') {
            return Ok(Self::Text(written.to_owned()));
        }
        let no_json = |e: serde_json::Error| Error::invalid_request(format!("the filter does not read as JSON: {e}"));
        serde_json::from_str(written).map(Self::Json).map_err(no_json)
    }
}

impl fmt::Display for WrittenFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Json(members) => Value::Object(members.clone()).fmt(f),
        }
    }
}

impl WrittenFilter {
    /// What it asks of rows.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` saying where it does not read as CQL2, or what of CQL2 is not served; `LimitReached` if it is
    /// longer, deeper or larger than it may be.
    pub fn read(&self, limits: FilterLimits) -> Result<Filter> {
        let written = self.to_string();
        if written.len() > limits.bytes_max {
            let (found, max) = (written.len(), limits.bytes_max);
            return Err(Error::limit_reached(format!("the filter has {found} bytes, filter-bytes-max is {max}")));
        }
        let is_text = matches!(self, Self::Text(_));
        if is_text {
            check_parentheses(&written, limits.depth_max)?;
            check_signs(&written)?;
        }
        // What the parser makes is as deep as the text is long, so it comes and goes on a stack that is deep enough.
        let read = move || {
            let expression = if is_text { parse_text(&written) } else { parse_json(&written) };
            Reading::new(limits).filter(&expression?, 0)
        };
        let failed = |e| Error::unavailable("starting a thread for a filter").caused_by(e);
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn(read).map_err(failed)?;
        thread.join().unwrap_or_else(|_| Err(Error::invalid_request("the parser of filters failed on this filter")))
    }
}

fn parse_text(text: &str) -> Result<cql2::Expr> {
    pest::set_call_limit(NonZeroUsize::new(PARSER_CALLS_MAX));
    cql2::parse_text(text).map_err(|e| {
        let why = match &e {
            cql2::Error::Pest(e) => located(&e.to_string()),
            other => format!(": {other}"),
        };
        Error::invalid_request(format!("the filter does not read as CQL2 text{why}"))
    })
}

fn parse_json(text: &str) -> Result<cql2::Expr> {
    cql2::parse_json(text).map_err(|_| {
        Error::invalid_request(
            "the filter does not read as CQL2 JSON, such as {\"op\": \"=\", \"args\": [{\"property\": \"floors\"}, 5]}",
        )
    })
}

/// What a drawn message of the parser says, in one line: where, and what was expected there.
fn located(drawn: &str) -> String {
    let line_after = |mark: &str| drawn.lines().find_map(|line| line.trim_start().strip_prefix(mark));
    let place = line_after("--> ").and_then(|place| place.split_once(':'));
    let place = place.map_or(String::new(), |(line, column)| match line {
        "1" => format!(" at character {column}"),
        line => format!(" in line {line} at character {column}"),
    });
    if drawn.contains("call limit") {
        return format!("{place}: it takes too long to parse, write it with fewer parentheses");
    }
    let near = drawn.lines().find_map(|line| line.split_once(" | ")).map(|(_, text)| text.trim());
    near.map_or(place.clone(), |text| format!("{place}: {}", ukimet_model::error::quoted(text)))
}

/// Looks for signs one behind the other, which the parser takes for as many expressions within each other. Parentheses, commas and
/// words that join conditions begin anew.
fn check_signs(text: &str) -> Result<()> {
    let (mut signs, mut quote, mut word) = (0_usize, None, String::new());
    for c in text.chars().chain([' ']) {
        if quote.is_none() && c.is_alphanumeric() {
            word.push(c.to_ascii_uppercase());
            continue;
        }
        match word.as_str() {
            "AND" | "OR" => signs = 0,
            "NOT" => signs += 1,
            _ => (),
        }
        word.clear();
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | ')' | ',') => signs = 0,
            (None, '-' | '+' | '*' | '/' | '%' | '^' | '=' | '<' | '>' | '!') => signs += 1,
            _ => (),
        }
        if signs > SIGNS_MAX {
            return Err(Error::invalid_request(format!(
                "the filter has more than {SIGNS_MAX} signs (- + = NOT …) without AND, OR or a parenthesis between"
            )));
        }
    }
    Ok(())
}

/// Looks for parentheses that are too deep or do not match, outside of quotes.
fn check_parentheses(text: &str, depth_max: usize) -> Result<()> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.chars().enumerate() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                let more = || {
                    Error::invalid_request(format!("the filter closes a parenthesis too many at character {}", at + 1))
                };
                depth = depth.checked_sub(1).ok_or_else(more)?;
            }
            _ => (),
        }
        if depth > depth_max {
            return Err(Error::limit_reached(format!(
                "the filter has parentheses deeper than {depth_max} (filter-depth-max)"
            )));
        }
    }
    match (depth, quote) {
        (_, Some(quote)) => {
            Err(Error::invalid_request(format!("the filter opens a quote, {quote}, and does not close it")))
        }
        (0, None) => Ok(()),
        _ => Err(Error::invalid_request("the filter opens a parenthesis and does not close it")),
    }
}
