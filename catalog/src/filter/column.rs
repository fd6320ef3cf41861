//! Conditions on the values of one column, or of two, and which pages of a file may meet them.

use super::decimal::{Place, place};
use crate::pages::{Pages, all_rows};
use crate::search::read_error;
use crate::segments::OpenSegment;
use arrow_arith::boolean;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Scalar, StringArray,
    TimestampMicrosecondArray,
};
use arrow_cast::cast;
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};
use arrow_string::like::like;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use roaring::RoaringBitmap;
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Comparison, Error, Filter, Folding, Result, Term};

/// Numbers of filters have up to 15 digits, all of which count.
const EXACT_MAX: f64 = 1e15;
/// What of a pattern stands for other letters.
const WILDCARDS_MAX: usize = 100;

/// What the values of a column have to be.
pub(super) enum ColumnTest {
    /// Compared with a value of the column's own type.
    Value(Comparison, ArrayRef),
    /// Compared as floating-point numbers. What is no number compares with nothing.
    Float(Comparison, f64),
    /// Compared with a text that is folded already.
    Text(Comparison, String, Folding),
    /// One of some texts that are folded already, sorted.
    OneOf(Vec<String>, Folding),
    /// As a pattern that is folded already.
    Like(String, Folding),
    /// The same for every value that is not missing.
    Known(bool),
}

impl ColumnTest {
    /// A comparison with something that is no column.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming both types if they do not compare.
    pub(super) fn compare(field: &Field, folding: Folding, comparison: Comparison, with: &Term) -> Result<Self> {
        check_folding(field, folding)?;
        match (field.data_type(), with) {
            (DataType::Utf8, Term::Text(text)) => Ok(Self::Text(comparison, text.clone(), folding)),
            (DataType::Boolean, Term::Flag(flag)) => {
                Ok(Self::Value(comparison, Arc::new(BooleanArray::from(vec![*flag]))))
            }
            (DataType::Float32 | DataType::Float64, Term::Number(number)) => Ok(Self::Float(comparison, *number)),
            (DataType::Decimal128(precision, scale), Term::Number(number)) => {
                let typed = |value| {
                    let value = Decimal128Array::from(vec![value]).with_precision_and_scale(*precision, *scale).ok()?;
                    Some(Arc::new(value) as ArrayRef)
                };
                Ok(Self::on_line(comparison, place(exact(*number, *scale)?, *scale), typed))
            }
            (data_type, Term::Number(number)) if data_type.is_integer() => {
                let typed = |value| {
                    let value = Decimal128Array::from(vec![value]).with_precision_and_scale(38, 0).ok()?;
                    cast(&value, data_type).ok().filter(|value| value.is_valid(0))
                };
                Ok(Self::on_line(comparison, place(exact(*number, 0)?, 0), typed))
            }
            (DataType::Date32, Term::Day(day)) => {
                let days = day.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
                Ok(Self::Value(comparison, Arc::new(Date32Array::from(vec![days as i32]))))
            }
            (DataType::Timestamp(TimeUnit::Microsecond, zone), Term::Day(_) | Term::Instant(_)) => {
                let instant = TimestampMicrosecondArray::from(vec![instant(with)?.as_microsecond()]);
                Ok(Self::Value(comparison, Arc::new(instant.with_timezone_opt(zone.clone()))))
            }
            (data_type, with) => Err(unlike(field.name(), data_type, with)),
        }
    }

    /// Equality with one of several texts.
    ///
    /// # Errors
    ///
    /// As [`ColumnTest::compare`] with the first of them.
    pub(super) fn one_of(field: &Field, list: &TextList<'_>) -> Result<Self> {
        let mut texts: Vec<String> = list.texts.iter().map(|text| (*text).to_owned()).collect();
        if let Some(text) = texts.first() {
            Self::compare(field, list.folding, Comparison::Equal, &Term::Text(text.clone()))?;
        }
        texts.sort_unstable();
        Ok(Self::OneOf(texts, list.folding))
    }

    /// # Errors
    ///
    /// `InvalidRequest` if the column holds no text, or the pattern stands for more than may be looked for.
    pub(super) fn like(field: &Field, folding: Folding, pattern: &str) -> Result<Self> {
        let wildcards = pattern.matches(['%', '_']).count();
        if wildcards > WILDCARDS_MAX {
            return Err(Error::invalid_request(format!(
                "a pattern has at most {WILDCARDS_MAX} of % and _, found {wildcards}"
            )));
        }
        if *field.data_type() != DataType::Utf8 {
            let (name, found) = (field.name(), field.data_type());
            return Err(Error::invalid_request(format!("only text has a pattern, column {name} has type {found}")));
        }
        Ok(Self::Like(pattern.to_owned(), folding))
    }

    /// A comparison with a number somewhere among those of the column, which `typed` makes values of.
    fn on_line(comparison: Comparison, place: Place, typed: impl Fn(i128) -> Option<ArrayRef>) -> Self {
        use Comparison as C;
        let (comparison, number) = match (place, comparison) {
            (Place::At(number), comparison) => (comparison, number),
            (Place::Above(below), C::Less | C::LessOrEqual) => (C::LessOrEqual, below),
            (Place::Above(below), C::Greater | C::GreaterOrEqual) => (C::Greater, below),
            (Place::Above(_), _) => return Self::Known(comparison == C::NotEqual),
            (Place::Beyond, _) => (comparison, i128::MAX),
            (Place::Before, _) => (comparison, i128::MIN),
        };
        let is_beyond = place == Place::Beyond;
        match typed(number).filter(|_| !is_beyond && place != Place::Before) {
            Some(value) => Self::Value(comparison, value),
            // No value of the column is as large, or as small.
            None if number > 0 => Self::Known(matches!(comparison, C::Less | C::LessOrEqual | C::NotEqual)),
            None => Self::Known(matches!(comparison, C::Greater | C::GreaterOrEqual | C::NotEqual)),
        }
    }

    /// For each value whether it is so; null where it is missing.
    pub(super) fn of(&self, column: &ArrayRef) -> Result<BooleanArray> {
        match self {
            Self::Value(comparison, value) => compared(column, *comparison, value),
            Self::Float(comparison, number) => {
                let (comparison, number) = (*comparison, *number);
                let floats = floats(column)?;
                Ok(floats.iter().map(|value| float_compares(value?, comparison, number)).collect())
            }
            Self::Text(comparison, text, folding) => compared(
                &folded(column, *folding),
                *comparison,
                &(Arc::new(StringArray::from(vec![text.as_str()])) as _),
            ),
            Self::OneOf(texts, folding) => {
                let is_one = |text: &str| texts.binary_search_by(|one| one.as_str().cmp(text)).is_ok();
                let column = folded(column, *folding);
                Ok(column.as_string::<i32>().iter().map(|text| text.map(is_one)).collect())
            }
            Self::Like(pattern, folding) => {
                let pattern = Scalar::new(StringArray::from(vec![pattern.as_str()]));
                like(&folded(column, *folding).as_string::<i32>(), &pattern).map_err(read_error)
            }
            Self::Known(is_so) => Ok((0..column.len()).map(|row| column.is_valid(row).then_some(*is_so)).collect()),
        }
    }

    /// The rows of the pages that may have a value that is so.
    pub(super) fn candidates(&self, open: &OpenSegment, column: usize) -> Result<RoaringBitmap> {
        let Some(pages) = Pages::of(open, column)? else { return Ok(all_rows(open)) };
        let is_worth = self.worth(&pages)?;
        let is_open = |page: usize| is_worth.as_ref().is_none_or(|worth| worth.is_null(page) || worth.value(page));
        Ok(pages.rows_of(|page| pages.may_have_value(page) && is_open(page)))
    }

    /// For each page whether a value may be so by its bounds, null where they are not known; `None` if bounds say nothing.
    fn worth(&self, pages: &Pages) -> Result<Option<BooleanArray>> {
        use Comparison as C;
        let comparison = match self {
            Self::Value(comparison, _) | Self::Float(comparison, _) => *comparison,
            Self::Text(comparison, _, folding) if folding.is_none() => *comparison,
            Self::Known(is_so) => return Ok(Some(BooleanArray::from(vec![*is_so; pages.count()]))),
            Self::OneOf(texts, folding) if folding.is_none() => return Ok(Some(one_between(texts, pages))),
            Self::Text(..) | Self::OneOf(..) | Self::Like(..) => return Ok(None),
        };
        let least = |comparison| self.with(comparison).of(&pages.least);
        let greatest = |comparison| self.with(comparison).of(&pages.greatest);
        match comparison {
            C::Less | C::LessOrEqual => least(comparison).map(Some),
            C::Greater | C::GreaterOrEqual => greatest(comparison).map(Some),
            C::Equal => {
                boolean::and(&least(C::LessOrEqual)?, &greatest(C::GreaterOrEqual)?).map(Some).map_err(read_error)
            }
            // Bounds of texts are cut, so equal ones do not mean equal values.
            C::NotEqual => Ok(None),
        }
    }

    /// The same with another sign.
    fn with(&self, comparison: Comparison) -> Self {
        match self {
            Self::Value(_, value) => Self::Value(comparison, Arc::clone(value)),
            Self::Float(_, number) => Self::Float(comparison, *number),
            Self::Text(_, text, folding) => Self::Text(comparison, text.clone(), *folding),
            Self::OneOf(texts, folding) => Self::OneOf(texts.clone(), *folding),
            Self::Like(pattern, folding) => Self::Like(pattern.clone(), *folding),
            Self::Known(is_so) => Self::Known(*is_so),
        }
    }
}

/// For each page whether one of some sorted texts lies between its bounds; null where they are not known.
fn one_between(texts: &[String], pages: &Pages) -> BooleanArray {
    let (least, greatest) = (pages.least.as_string::<i32>(), pages.greatest.as_string::<i32>());
    let bounds = least.iter().zip(greatest);
    bounds
        .map(|bounds| {
            let (least, greatest) = (bounds.0?, bounds.1?);
            let first = texts.partition_point(|text| text.as_str() < least);
            Some(texts.get(first).is_some_and(|text| text.as_str() <= greatest))
        })
        .collect()
}

/// Texts of which a column, folded alike each time, is to be one.
pub(super) struct TextList<'a> {
    pub(super) column: &'a str,
    folding: Folding,
    texts: Vec<&'a str>,
}

impl<'a> TextList<'a> {
    /// What several conditions mean together, if each of them compares one column with a text by this sign.
    pub(super) fn of(filters: &'a [Filter], sign: Comparison) -> Option<Self> {
        let mut list: Option<Self> = None;
        for filter in filters {
            let Filter::Compare { left: Term::Column(column, folding), comparison, right: Term::Text(text) } = filter
            else {
                return None;
            };
            let list = list.get_or_insert(Self { column, folding: *folding, texts: Vec::new() });
            if (list.column, list.folding, sign) != (column, *folding, *comparison) {
                return None;
            }
            list.texts.push(text);
        }
        list
    }
}

/// # Errors
///
/// `InvalidRequest` if a column that holds no text is to be folded.
pub(super) fn check_folding(field: &Field, folding: Folding) -> Result<()> {
    if folding.is_none() || *field.data_type() == DataType::Utf8 {
        return Ok(());
    }
    let (name, found) = (field.name(), field.data_type());
    Err(Error::invalid_request(format!("only text is folded (CASEI, ACCENTI), column {name} has type {found}")))
}

/// A number that a filter means exactly, counted with `scale` digits behind the point.
fn exact(number: f64, scale: i8) -> Result<f64> {
    if number.abs() * 10_f64.powi(i32::from(scale.max(0))) >= EXACT_MAX && number.is_finite() {
        return Err(Error::invalid_request(format!(
            "numbers of filters have at most 15 digits, those of the column behind the point included, found {number}"
        )));
    }
    Ok(number)
}

fn instant(term: &Term) -> Result<Timestamp> {
    match term {
        Term::Instant(instant) => Ok(*instant),
        Term::Day(day) => {
            let begin = day.to_zoned(TimeZone::UTC).map(|begin| begin.timestamp());
            begin.map_err(|e| Error::invalid_request("a filter names a day of another era").caused_by(e))
        }
        _ => Err(Error::internal("a time was expected")),
    }
}

fn unlike(name: &str, data_type: &DataType, with: &Term) -> Error {
    let (found, hint) = match with {
        Term::Number(number) if *data_type == DataType::Utf8 => {
            (format!("the number {number}"), format!("; write it as text: '{number}'"))
        }
        Term::Text(text) if *data_type == DataType::Date32 => {
            (format!("the text {}", quoted(text)), "; write a day as DATE('2026-03-01')".to_owned())
        }
        Term::Text(text) if matches!(data_type, DataType::Timestamp(..)) => {
            let hint = "; write a time as TIMESTAMP('2026-03-01T10:00:00Z')";
            (format!("the text {}", quoted(text)), hint.to_owned())
        }
        Term::Text(text) => (format!("the text {}", quoted(text)), String::new()),
        Term::Number(number) => (format!("the number {number}"), String::new()),
        Term::Flag(flag) => (flag.to_string(), String::new()),
        Term::Day(day) => (format!("the day {day}"), String::new()),
        Term::Instant(instant) => (format!("the time {instant}"), "; write a day as DATE('2026-03-01')".to_owned()),
        Term::Column(other, _) => (format!("column {other}"), String::new()),
    };
    Error::invalid_request(format!("the filter compares column {name}, which has type {data_type}, with {found}{hint}"))
}

/// # Errors
///
/// `InvalidRequest` naming both columns if their types differ.
pub(super) fn check_same_type(left: &Field, right: &Field) -> Result<()> {
    let (one, other) = (left.data_type(), right.data_type());
    if one == other && !one.is_nested() {
        return Ok(());
    }
    let names = (left.name(), right.name());
    Err(Error::invalid_request(format!(
        "the filter compares column {} with column {}: their types are {one} and {other}, only equal ones compare",
        names.0, names.1
    )))
}

/// For each row whether two columns of one type compare so.
pub(super) fn compared_columns(
    (left, folded_left): (&ArrayRef, Folding),
    comparison: Comparison,
    (right, folded_right): (&ArrayRef, Folding),
) -> Result<BooleanArray> {
    if !left.data_type().is_floating() {
        return apply(&folded(left, folded_left), comparison, &folded(right, folded_right));
    }
    let (left, right) = (floats(left)?, floats(right)?);
    let compares = |(left, right): (Option<f64>, Option<f64>)| float_compares(left?, comparison, right?);
    Ok(left.iter().zip(right.iter()).map(compares).collect())
}

/// Whether two things that are no columns compare so.
pub(super) fn literals_compare(left: &Term, comparison: Comparison, right: &Term) -> Result<bool> {
    let order = match (left, right) {
        (Term::Number(left), Term::Number(right)) => left.partial_cmp(right),
        (Term::Text(left), Term::Text(right)) => Some(left.cmp(right)),
        (Term::Flag(left), Term::Flag(right)) => Some(left.cmp(right)),
        (Term::Day(left), Term::Day(right)) => Some(left.cmp(right)),
        (Term::Instant(left), Term::Instant(right)) => Some(left.cmp(right)),
        _ => return Err(Error::invalid_request("the filter compares values of different types")),
    };
    Ok(order.is_some_and(|order| comparison.holds(order)))
}

/// `None` if one of both is no number.
fn float_compares(left: f64, comparison: Comparison, right: f64) -> Option<bool> {
    left.partial_cmp(&right).map(|order| comparison.holds(order))
}

fn floats(column: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(column, &DataType::Float64).map_err(read_error)?.as_primitive::<Float64Type>().clone())
}

fn folded(column: &ArrayRef, folding: Folding) -> ArrayRef {
    if folding.is_none() {
        return Arc::clone(column);
    }
    let texts = column.as_string::<i32>().iter();
    Arc::new(texts.map(|text| text.map(|text| folding.of(text))).collect::<StringArray>())
}

/// Each value of a column with one value of its type.
fn compared(column: &ArrayRef, comparison: Comparison, value: &ArrayRef) -> Result<BooleanArray> {
    apply(column, comparison, &Scalar::new(Arc::clone(value)))
}

fn apply(left: &ArrayRef, comparison: Comparison, right: &dyn arrow_array::Datum) -> Result<BooleanArray> {
    let answer: Result<BooleanArray, ArrowError> = match comparison {
        Comparison::Equal => cmp::eq(left, right),
        Comparison::NotEqual => cmp::neq(left, right),
        Comparison::Less => cmp::lt(left, right),
        Comparison::LessOrEqual => cmp::lt_eq(left, right),
        Comparison::Greater => cmp::gt(left, right),
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right),
    };
    answer.map_err(read_error)
}

/// For each row whether the value is missing.
pub(super) fn is_null(column: &ArrayRef) -> Result<BooleanArray> {
    boolean::is_null(column).map_err(read_error)
}

/// The rows of the pages that may have a missing value, or one that is there.
pub(super) fn null_candidates(open: &OpenSegment, column: usize, is_null: bool) -> Result<RoaringBitmap> {
    if open.footer.schema().field(column).data_type().is_nested() {
        return Ok(all_rows(open));
    }
    let Some(pages) = Pages::of(open, column)? else { return Ok(all_rows(open)) };
    Ok(pages.rows_of(|page| if is_null { pages.may_have_null(page) } else { pages.may_have_value(page) }))
}
