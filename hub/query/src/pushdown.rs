//! Conditions of SQL as conditions of the catalog, which reads only the pages that can have such a row.
//!
//! A condition is pushed only if every row that SQL takes is among those that the catalog takes. Numbers with a floating
//! point compare differently in both: for SQL as `DataFusion` has it what is no number is the greatest and minus zero lies
//! below zero, so such conditions are widened and asked again.

use crate::spatial::relation_of;
use arrow_schema::{DataType, Field, Schema};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use ukimet_model::batch::is_geometry;
use ukimet_model::{Comparison, Filter, Folding, Term};

/// A condition of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pushed {
    /// What it takes.
    pub(crate) filter: Filter,
    /// Whether it takes the very rows that were asked for, and is unknown for the same; otherwise it takes more.
    pub(crate) is_exact: bool,
}

impl Pushed {
    fn exact(filter: Filter) -> Self {
        Self { filter, is_exact: true }
    }

    fn negated(self) -> Option<Self> {
        self.is_exact.then(|| Self { filter: Filter::Not(Box::new(self.filter)), is_exact: true })
    }
}

/// Whole numbers up to here are the same as numbers with a floating point.
const WHOLE_MAX: i128 = 1_000_000_000_000_000;

/// What the catalog can take of a condition on columns with this schema; `None` for nothing.
pub(crate) fn pushed(expression: &Expr, schema: &Schema) -> Option<Pushed> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => both(left, right, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (pushed(left, schema)?, pushed(right, schema)?);
            let is_exact = left.is_exact && right.is_exact;
            Some(Pushed { filter: Filter::Any(vec![left.filter, right.filter]), is_exact })
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => compared(left, comparison(*op)?, right, schema),
        Expr::Not(inner) => pushed(inner, schema)?.negated(),
        Expr::IsNull(inner) => Some(Pushed::exact(Filter::IsNull(name_of(inner)?.to_owned()))),
        Expr::IsNotNull(inner) => Pushed::exact(Filter::IsNull(name_of(inner)?.to_owned())).negated(),
        Expr::Between(Between { expr, negated, low, high }) => {
            let low = compared(expr, Comparison::GreaterOrEqual, low, schema)?;
            let high = compared(expr, Comparison::LessOrEqual, high, schema)?;
            let is_exact = low.is_exact && high.is_exact;
            let between = Pushed { filter: Filter::All(vec![low.filter, high.filter]), is_exact };
            if *negated { between.negated() } else { Some(between) }
        }
        Expr::InList(list) => one_of(list, schema),
        Expr::Like(like) => patterned(like, schema),
        Expr::Column(column) => {
            let field = field_of(column, schema).filter(|field| *field.data_type() == DataType::Boolean)?;
            Some(Pushed::exact(is(field.name(), Comparison::Equal, Term::Flag(true))))
        }
        Expr::ScalarFunction(function) => {
            let (relation, column, geometry) = relation_of(function)?;
            let column = field_of(column, schema).filter(|field| is_geometry(field))?.name().clone();
            Some(Pushed::exact(Filter::Spatial { column, relation, geometry }))
        }
        _ => None,
    }
}

/// Two conditions, or the one that can be pushed.
fn both(left: &Expr, right: &Expr, schema: &Schema) -> Option<Pushed> {
    match (pushed(left, schema), pushed(right, schema)) {
        (Some(left), Some(right)) => {
            let is_exact = left.is_exact && right.is_exact;
            Some(Pushed { filter: Filter::All(vec![left.filter, right.filter]), is_exact })
        }
        (Some(one), None) | (None, Some(one)) => Some(Pushed { is_exact: false, ..one }),
        (None, None) => None,
    }
}

fn comparison(operator: Operator) -> Option<Comparison> {
    Some(match operator {
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn field_of<'a>(column: &Column, schema: &'a Schema) -> Option<&'a Field> {
    schema.field_with_name(&column.name).ok()
}

fn name_of(expression: &Expr) -> Option<&str> {
    if let Expr::Column(column) = expression { Some(&column.name) } else { None }
}

fn is(column: &str, comparison: Comparison, right: Term) -> Filter {
    Filter::Compare { left: Term::Column(column.to_owned(), Folding::default()), comparison, right }
}

fn compared(left: &Expr, comparison: Comparison, right: &Expr, schema: &Schema) -> Option<Pushed> {
    match (left, right) {
        (Expr::Column(column), Expr::Literal(value, _)) => compared_with(column, comparison, value, schema),
        (Expr::Literal(value, _), Expr::Column(column)) => compared_with(column, comparison.reversed(), value, schema),
        (Expr::Column(left), Expr::Column(right)) => columns_compared(left, comparison, right, schema),
        _ => None,
    }
}

fn compared_with(column: &Column, comparison: Comparison, value: &ScalarValue, schema: &Schema) -> Option<Pushed> {
    let field = field_of(column, schema)?;
    let term = term_of(field.data_type(), value)?;
    let (name, data_type) = (field.name(), field.data_type());
    if data_type.is_floating() {
        return float_compared(name, comparison, &term);
    }
    // A number with digits behind the point is the nearest one here.
    let is_exact = !matches!(data_type, DataType::Decimal128(..));
    Some(Pushed { filter: is(name, comparison, term), is_exact })
}

/// Numbers with a floating point: of those that are no number the catalog knows nothing, so only what leaves them out is
/// asked of it, or what is true of them is added.
fn float_compared(name: &str, comparison: Comparison, term: &Term) -> Option<Pushed> {
    let wide = match comparison {
        Comparison::Less | Comparison::LessOrEqual => is(name, Comparison::LessOrEqual, term.clone()),
        Comparison::Equal => is(name, Comparison::Equal, term.clone()),
        // Published numbers are finite only as far as their source's were.
        Comparison::Greater | Comparison::GreaterOrEqual | Comparison::NotEqual => return None,
    };
    Some(Pushed { filter: wide, is_exact: false })
}

fn columns_compared(left: &Column, comparison: Comparison, right: &Column, schema: &Schema) -> Option<Pushed> {
    let (left, right) = (field_of(left, schema)?, field_of(right, schema)?);
    if left.data_type() != right.data_type() || left.data_type().is_floating() {
        return None;
    }
    let right = Term::Column(right.name().clone(), Folding::default());
    Some(Pushed::exact(is(left.name(), comparison, right)))
}

/// A constant as the catalog compares it with a column of this type; `None` if it does not, or not exactly.
fn term_of(data_type: &DataType, value: &ScalarValue) -> Option<Term> {
    match (data_type, value) {
        (DataType::Utf8, value) => value.try_as_str().flatten().map(|text| Term::Text(text.to_owned())),
        (DataType::Boolean, ScalarValue::Boolean(flag)) => flag.map(Term::Flag),
        (DataType::Date32, ScalarValue::Date32(days)) => {
            let epoch = Date::constant(1970, 1, 1);
            epoch.checked_add(Span::new().try_days((*days)?).ok()?).ok().map(Term::Day)
        }
        (DataType::Timestamp(_, zone), ScalarValue::TimestampMicrosecond(micros, written)) => {
            let is_alike = zone.is_some() == written.is_some();
            Timestamp::from_microsecond((*micros)?).ok().filter(|_| is_alike).map(Term::Instant)
        }
        (data_type, value) if data_type.is_numeric() => number_of(value).map(Term::Number),
        _ => None,
    }
}

/// A number that is the same with a floating point.
fn number_of(value: &ScalarValue) -> Option<f64> {
    let whole = match value {
        ScalarValue::Float64(number) => return number.filter(|number| number.is_finite()),
        ScalarValue::Float32(number) => return number.map(f64::from).filter(|number| number.is_finite()),
        ScalarValue::Decimal128(number, _, scale) => {
            let number = (*number)?;
            let is_short = number.unsigned_abs() < WHOLE_MAX.unsigned_abs() && (0..=15).contains(scale);
            return is_short.then(|| number as f64 / 10_f64.powi(i32::from(*scale)));
        }
        ScalarValue::Int8(number) => i128::from((*number)?),
        ScalarValue::Int16(number) => i128::from((*number)?),
        ScalarValue::Int32(number) => i128::from((*number)?),
        ScalarValue::Int64(number) => i128::from((*number)?),
        ScalarValue::UInt8(number) => i128::from((*number)?),
        ScalarValue::UInt16(number) => i128::from((*number)?),
        ScalarValue::UInt32(number) => i128::from((*number)?),
        ScalarValue::UInt64(number) => i128::from((*number)?),
        _ => return None,
    };
    (whole.abs() < WHOLE_MAX).then_some(whole as f64)
}

fn one_of(list: &InList, schema: &Schema) -> Option<Pushed> {
    let each = |value| compared(&list.expr, Comparison::Equal, value, schema);
    let parts = list.list.iter().map(each).collect::<Option<Vec<_>>>()?;
    let is_exact = parts.iter().all(|part| part.is_exact);
    let any = Pushed { filter: Filter::Any(parts.into_iter().map(|part| part.filter).collect()), is_exact };
    if list.negated { any.negated() } else { Some(any) }
}

fn patterned(like: &Like, schema: &Schema) -> Option<Pushed> {
    let (Expr::Column(column), Expr::Literal(pattern, _)) = (like.expr.as_ref(), like.pattern.as_ref()) else {
        return None;
    };
    let is_plain = !like.case_insensitive && matches!(like.escape_char, None | Some('\\'));
    let field = field_of(column, schema).filter(|field| is_plain && *field.data_type() == DataType::Utf8)?;
    let pattern = pattern.try_as_str().flatten()?.to_owned();
    let term = Term::Column(field.name().clone(), Folding::default());
    let alike = Pushed::exact(Filter::Like { term, pattern });
    if like.negated { alike.negated() } else { Some(alike) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{Expr, col, lit};
    use ukimet_model::batch::geometry_field;

    fn schema() -> Schema {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        Schema::new(vec![
            field("floors", DataType::Int32),
            field("area", DataType::Float64),
            field("name", DataType::Utf8),
            field("built", DataType::Date32),
            geometry_field(),
        ])
    }

    /// Whether a condition is pushed, and whether it is exact.
    fn exactness(expression: &Expr) -> Option<bool> {
        pushed(expression, &schema()).map(|pushed| pushed.is_exact)
    }

    #[test]
    fn what_compares_alike_is_exact_and_numbers_with_a_floating_point_are_not() {
        for (expression, expected) in [
            (col("floors").gt(lit(5_i32)), Some(true)),
            (lit(5_i32).lt(col("floors")), Some(true)),
            (col("floors").gt(lit(i64::MAX)), None),
            (col("area").lt(lit(5.0)), Some(false)),
            (col("area").gt(lit(5.0)), None),
            (col("area").not_eq(lit(5.0)), None),
            (col("area").eq(lit(f64::NAN)), None),
            (col("name").eq(lit("a")), Some(true)),
            (col("name").like(lit("a%")), Some(true)),
            (col("name").ilike(lit("a%")), None),
            (col("name").is_null(), Some(true)),
            (col("built").eq(lit(ScalarValue::Date32(Some(20_000)))), Some(true)),
            (col("floors").in_list(vec![lit(1_i32), lit(ScalarValue::Int32(None))], true), None),
            (col("floors").between(lit(1_i32), lit(5_i32)), Some(true)),
            (col("floors") + lit(1_i32), None),
        ] {
            assert_eq!(exactness(&expression), expected, "{expression}");
        }
    }

    #[test]
    fn only_what_is_exact_is_negated_and_both_sides_of_an_or_are_needed() {
        let (exact, wide, none) = (col("floors").gt(lit(5_i32)), col("area").lt(lit(5.0)), col("area").gt(lit(5.0)));
        assert_eq!(exactness(&Expr::Not(Box::new(exact.clone()))), Some(true));
        assert_eq!(exactness(&Expr::Not(Box::new(wide.clone()))), None);
        assert_eq!(exactness(&exact.clone().and(none.clone())), Some(false), "one of both is asked");
        assert_eq!(exactness(&Expr::Not(Box::new(exact.clone().and(none.clone())))), None);
        assert_eq!(exactness(&exact.clone().or(none)), None);
        assert_eq!(exactness(&exact.or(wide)), Some(false));
    }

    #[test]
    fn a_number_below_zero_takes_minus_zero_too() {
        let below = pushed(&col("area").lt(lit(0.0)), &schema()).expect("pushed").filter;
        assert_eq!(below, is("area", Comparison::LessOrEqual, Term::Number(0.0)));
    }
}
