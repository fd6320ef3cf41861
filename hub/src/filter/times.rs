//! Temporal functions: every relation of two spans of time is some comparisons of their ends.

use super::reading::term;
use cql2::Expr;
use jiff::Timestamp;
use jiff::civil::Date;
use ukimet_model::error::quoted;
use ukimet_model::{Comparison, Error, Filter, Result, Term};

/// From when until when, both included; a moment from and until itself.
pub(super) struct Span {
    begin: End,
    end: End,
}

/// An end of a span; `None` if it is open.
type End = Option<Term>;

impl Span {
    pub(super) fn of(expression: &Expr) -> Result<Self> {
        let Expr::Interval { interval } = expression else {
            let moment = term(expression)?;
            return Ok(Self { begin: Some(moment.clone()), end: Some(moment) });
        };
        let [begin, end] = interval.as_slice() else {
            return Err(Error::invalid_request(format!("INTERVAL has two ends, found {}", interval.len())));
        };
        Ok(Self { begin: end_of(begin)?, end: end_of(end)? })
    }
}

fn end_of(expression: &Expr) -> Result<End> {
    match expression {
        Expr::Literal(text) if text == ".." => Ok(None),
        Expr::Literal(text) if text.len() == "2026-03-01".len() => day(expression).map(Some),
        Expr::Literal(_) => instant(expression).map(Some),
        other => term(other).map(Some),
    }
}

/// A day as it is written: `2026-03-01`.
pub(super) fn day(written: &Expr) -> Result<Term> {
    read::<Date>(written, "a day such as 2026-03-01").map(Term::Day)
}

/// An instant as it is written: `2026-03-01T10:00:00Z`.
pub(super) fn instant(written: &Expr) -> Result<Term> {
    let instant = read::<Timestamp>(written, "a time such as 2026-03-01T10:00:00Z")?;
    if instant.subsec_nanosecond() % 1000 != 0 {
        return Err(Error::invalid_request(format!("times are exact to the microsecond, found {instant}")));
    }
    Ok(Term::Instant(instant))
}

fn read<T: std::str::FromStr>(written: &Expr, expected: &str) -> Result<T> {
    let Expr::Literal(text) = written else {
        return Err(Error::invalid_request(format!("a filter names {expected}")));
    };
    let unread = |_| Error::invalid_request(format!("a filter names {expected}, found {}", quoted(text)));
    text.parse().map_err(unread)
}

/// Which ends of two spans compare, and how.
#[derive(Clone, Copy)]
enum Ends {
    BeginBegin,
    BeginEnd,
    EndBegin,
    EndEnd,
}

/// The comparisons that a temporal function means.
fn comparisons_of(name: &str) -> Option<&'static [(Ends, Comparison)]> {
    use Comparison::{
        Equal as Is, Greater as After, GreaterOrEqual as NotBefore, Less as Before, LessOrEqual as NotAfter,
    };
    use Ends::{BeginBegin, BeginEnd, EndBegin, EndEnd};
    Some(match name {
        "t_after" => &[(BeginEnd, After)],
        "t_before" => &[(EndBegin, Before)],
        "t_contains" => &[(BeginBegin, Before), (EndEnd, After)],
        "t_during" => &[(BeginBegin, After), (EndEnd, Before)],
        "t_equals" => &[(BeginBegin, Is), (EndEnd, Is)],
        "t_finishedBy" => &[(BeginBegin, Before), (EndEnd, Is)],
        "t_finishes" => &[(BeginBegin, After), (EndEnd, Is)],
        "t_intersects" | "t_disjoint" => &[(BeginEnd, NotAfter), (EndBegin, NotBefore)],
        "t_meets" => &[(EndBegin, Is)],
        "t_metBy" => &[(BeginEnd, Is)],
        "t_overlappedBy" => &[(BeginBegin, After), (BeginEnd, Before), (EndEnd, After)],
        "t_overlaps" => &[(BeginBegin, Before), (EndBegin, After), (EndEnd, Before)],
        "t_startedBy" => &[(BeginBegin, Is), (EndEnd, After)],
        "t_starts" => &[(BeginBegin, Is), (EndEnd, Before)],
        _ => return None,
    })
}

/// What a temporal function asks of two spans.
pub(super) fn compare(name: &str, left: &Span, right: &Span) -> Result<Filter> {
    let unknown = || Error::invalid_request(format!("CQL2 has no temporal function {}", quoted(name)));
    let comparisons = comparisons_of(name).ok_or_else(unknown)?;
    let ends = |ends: Ends| match ends {
        Ends::BeginBegin => (side(&left.begin, false), side(&right.begin, false)),
        Ends::BeginEnd => (side(&left.begin, false), side(&right.end, true)),
        Ends::EndBegin => (side(&left.end, true), side(&right.begin, false)),
        Ends::EndEnd => (side(&left.end, true), side(&right.end, true)),
    };
    let parts = comparisons.iter().map(|(which, comparison)| compared(&ends(*which), *comparison)).collect();
    let all = Filter::All(parts);
    Ok(if name == "t_disjoint" { Filter::Not(Box::new(all)) } else { all })
}

/// An end that is known, or how it is open: for ever, or since ever.
enum Side<'a> {
    At(&'a Term),
    Never,
    Always,
}

fn side(end: &End, is_last: bool) -> Side<'_> {
    match end {
        Some(term) => Side::At(term),
        None if is_last => Side::Never,
        None => Side::Always,
    }
}

fn compared(sides: &(Side<'_>, Side<'_>), comparison: Comparison) -> Filter {
    // What is open lies behind or before everything, and beside what is open the same way.
    let place = |side: &Side<'_>| match side {
        Side::Always => -1,
        Side::At(_) => 0,
        Side::Never => 1,
    };
    if let (Side::At(left), Side::At(right)) = *sides {
        return Filter::Compare { left: left.clone(), comparison, right: right.clone() };
    }
    let is_so = comparison.holds(place(&sides.0).cmp(&place(&sides.1)));
    match sides {
        // Of a time that is missing it is unknown all the same.
        (Side::At(term @ Term::Column(..)), _) | (_, Side::At(term @ Term::Column(..))) => {
            let comparison = if is_so { Comparison::Equal } else { Comparison::NotEqual };
            Filter::Compare { left: (*term).clone(), comparison, right: (*term).clone() }
        }
        _ => Filter::Constant(is_so),
    }
}
