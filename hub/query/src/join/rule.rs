//! Finds joins that ask how geometries of both sides relate, and gives them the step that is made for it.

use super::exec::{On, SpatialJoinExec};
use crate::spatial::Relation;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt, split_conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use std::any::Any;
use std::sync::Arc;
use ukimet_model::SpatialRelation;

/// The rule.
#[derive(Debug)]
pub(crate) struct SpatialJoinRule;

impl PhysicalOptimizerRule for SpatialJoinRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|step| {
            let join = (step.as_ref() as &dyn Any).downcast_ref::<NestedLoopJoinExec>();
            match join.map(by_geometries).transpose()?.flatten() {
                Some(join) => Ok(Transformed::yes(join)),
                None => Ok(Transformed::no(step)),
            }
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "spatial_join"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same join as a step by geometries, if it asks for that.
fn by_geometries(join: &NestedLoopJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = join.filter().filter(|_| *join.join_type() == JoinType::Inner) else { return Ok(None) };
    let parts = split_conjunction(filter.expression());
    let asked = parts.iter().enumerate().find_map(|(at, part)| Some((at, asked_of(part, filter)?)));
    let Some((at, Asked { left, right, relation })) = asked else { return Ok(None) };
    let rest = parts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, part)| Arc::clone(part));
    let condition = conjunction_opt(rest)
        .map(|rest| JoinFilter::new(rest, filter.column_indices().to_vec(), Arc::clone(filter.schema())));
    let columns = columns_of(join);
    let on = On { left: over_side(left, filter)?, right: over_side(right, filter)?, relation, condition, columns };
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    Ok(Some(Arc::new(SpatialJoinExec::new(left, right, Arc::new(on), Arc::clone(join.properties())))))
}

/// The geometries of both sides, and how that of the right one is to relate to that of the left one.
struct Asked {
    left: Arc<dyn PhysicalExpr>,
    right: Arc<dyn PhysicalExpr>,
    relation: SpatialRelation,
}

fn asked_of(part: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Option<Asked> {
    let call = (part.as_ref() as &dyn Any).downcast_ref::<ScalarFunctionExpr>()?;
    let relation = (call.fun().inner().as_ref() as &dyn Any).downcast_ref::<Relation>()?;
    let [one, other, rest @ ..] = call.args() else { return None };
    let relation = relation.with(rest.first().and_then(constant))?;
    if relation == SpatialRelation::Disjoint {
        return None;
    }
    match (side_of(one, filter)?, side_of(other, filter)?) {
        (JoinSide::Right, JoinSide::Left) => Some(Asked { left: Arc::clone(other), right: Arc::clone(one), relation }),
        (JoinSide::Left, JoinSide::Right) => {
            Some(Asked { left: Arc::clone(one), right: Arc::clone(other), relation: relation.reversed() })
        }
        _ => None,
    }
}

fn constant(expression: &Arc<dyn PhysicalExpr>) -> Option<f64> {
    let value = (expression.as_ref() as &dyn Any).downcast_ref::<Literal>()?.value();
    if let ScalarValue::Float64(number) = value { *number } else { None }
}

/// The side that all columns of an expression come from.
fn side_of(expression: &Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Option<JoinSide> {
    let columns = collect_columns(expression);
    let mut sides = columns.iter().map(|column| filter.column_indices().get(column.index()).map(|found| found.side));
    let first = sides.next()??;
    sides.all(|side| side == Some(first)).then_some(first)
}

/// An expression over the columns of its side, in place of those of the filter.
fn over_side(expression: Arc<dyn PhysicalExpr>, filter: &JoinFilter) -> Result<Arc<dyn PhysicalExpr>> {
    expression
        .transform_up(|part| {
            let column = (part.as_ref() as &dyn Any).downcast_ref::<Column>();
            let moved = column.and_then(|column| {
                let place = filter.column_indices().get(column.index())?;
                Some(Arc::new(Column::new(column.name(), place.index)) as Arc<dyn PhysicalExpr>)
            });
            Ok(moved.map_or_else(|| Transformed::no(part), Transformed::yes))
        })
        .data()
}

/// Where the columns of a join's answer come from.
fn columns_of(join: &NestedLoopJoinExec) -> Vec<ColumnIndex> {
    let side = |side: JoinSide, count: usize| (0..count).map(move |index| ColumnIndex { index, side });
    let left = side(JoinSide::Left, join.left().schema().fields().len());
    let all: Vec<ColumnIndex> = left.chain(side(JoinSide::Right, join.right().schema().fields().len())).collect();
    match join.projection() {
        Some(projection) => projection.iter().map(|at| all[*at].clone()).collect(),
        None => all,
    }
}
