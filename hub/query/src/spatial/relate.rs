//! How two geometries relate: the very tests of filters.

use super::arguments::{Arguments, answer};
use super::wkb_of;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use ukimet_catalog::PlaceTest;
use ukimet_model::SpatialRelation;

/// A function that asks how its first geometry relates to its second.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    name: &'static str,
    asks: SpatialRelation,
    signature: Signature,
}

/// Names and what they ask. The distance stands for that of the call.
const RELATIONS: [(&str, SpatialRelation); 11] = [
    ("st_intersects", SpatialRelation::Intersects),
    ("st_disjoint", SpatialRelation::Disjoint),
    ("st_equals", SpatialRelation::Equals),
    ("st_touches", SpatialRelation::Touches),
    ("st_crosses", SpatialRelation::Crosses),
    ("st_overlaps", SpatialRelation::Overlaps),
    ("st_within", SpatialRelation::Within),
    ("st_contains", SpatialRelation::Contains),
    ("st_covers", SpatialRelation::Covers),
    ("st_coveredby", SpatialRelation::CoveredBy),
    ("st_dwithin", SpatialRelation::WithinDistance(0.0)),
];

impl Relation {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        RELATIONS.into_iter().map(|(name, relation)| {
            let mut takes = vec![DataType::Binary; 2];
            if matches!(relation, SpatialRelation::WithinDistance(_)) {
                takes.push(DataType::Float64);
            }
            Self { name, asks: relation, signature: Signature::exact(takes, Volatility::Immutable) }
        })
    }

    /// The relation, of a call with this distance in metres; `None` if it takes one and there is none.
    pub(crate) fn with(&self, distance_m: Option<f64>) -> Option<SpatialRelation> {
        match self.asks {
            SpatialRelation::WithinDistance(_) => distance_m.map(SpatialRelation::WithinDistance),
            other => Some(other),
        }
    }

    /// For each row whether its geometries relate so.
    fn test(&self, arguments: &Arguments) -> ukimet_model::Result<ArrayRef> {
        let distance_is_one = self.signature_takes() == 2 || arguments.is_constant(2);
        let relation = |row: usize| self.with(arguments.number(2, row));
        let is_one = |argument| distance_is_one && arguments.rows > 1 && arguments.is_constant(argument);
        let answers: BooleanArray = match (is_one(0), is_one(1)) {
            (_, true) => one_to_each(relation(0), arguments, 1, 0)?,
            (true, false) => one_to_each(relation(0).map(SpatialRelation::reversed), arguments, 0, 1)?,
            _ => (0..arguments.rows)
                .map(|row| pair(relation(row), arguments, row))
                .collect::<ukimet_model::Result<_>>()?,
        };
        Ok(Arc::new(answers))
    }

    fn signature_takes(&self) -> usize {
        if matches!(self.asks, SpatialRelation::WithinDistance(_)) { 3 } else { 2 }
    }
}

/// The geometries of one argument to the one of the other.
fn one_to_each(
    relation: Option<SpatialRelation>,
    arguments: &Arguments,
    one: usize,
    each: usize,
) -> ukimet_model::Result<BooleanArray> {
    let Some((relation, wkb)) = relation.zip(arguments.bytes(one, 0)) else {
        return Ok(BooleanArray::new_null(arguments.rows));
    };
    let test = PlaceTest::new(relation, wkb)?;
    Ok(test.of_each((0..arguments.rows).map(|row| arguments.bytes(each, row))).collect())
}

/// The two geometries of one row.
fn pair(relation: Option<SpatialRelation>, arguments: &Arguments, row: usize) -> ukimet_model::Result<Option<bool>> {
    let pair = arguments.bytes(0, row).zip(arguments.bytes(1, row));
    let Some((relation, (one, other))) = relation.zip(pair) else { return Ok(None) };
    let test = PlaceTest::trusting(relation, other)?;
    Ok(test.of_each(std::iter::once(Some(one))).next().flatten())
}

impl PartialEq for Relation {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Relation {}

impl Hash for Relation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Relation {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        answer(args, |arguments| self.test(arguments))
    }
}

/// The relation of a column's geometry to a constant one, if a call asks for that.
pub(crate) fn relation_of(call: &ScalarFunction) -> Option<(SpatialRelation, &Column, Vec<u8>)> {
    let asked = call.func.inner().as_ref();
    let asked = (asked as &dyn std::any::Any).downcast_ref::<Relation>()?;
    let distance_m = match call.args.get(2) {
        Some(Expr::Literal(datafusion::common::ScalarValue::Float64(distance_m), _)) => *distance_m,
        _ => None,
    };
    let relation = asked.with(distance_m)?;
    let (column, geometry, relation) = match call.args.get(..2)? {
        [Expr::Column(column), Expr::Literal(value, _)] => (column, wkb_of(value)?, relation),
        [Expr::Literal(value, _), Expr::Column(column)] => (column, wkb_of(value)?, relation.reversed()),
        _ => return None,
    };
    Some((relation, column, geometry.to_vec()))
}
