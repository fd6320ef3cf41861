//! Which statements and plans are answered: what reads versions of the catalog, and nothing else.

use crate::limits::QueryLimits;
use crate::tables::VersionTable;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Statement, visit_relations};
use std::any::Any;
use std::ops::ControlFlow;
use ukimet_model::{Error, Result};

/// What is said to anything else.
const READ_ONLY: &str = "the hub is read through SQL, not written: a statement is SELECT, WITH, VALUES or EXPLAIN";

/// Checks what a statement is and how many tables it names.
///
/// # Errors
///
/// `InvalidRequest` for anything but a query and its explanation, `LimitReached` for too many tables.
pub(crate) fn check_statement(statement: &Parsed, limits: &QueryLimits) -> Result<()> {
    let query = match statement {
        Parsed::Statement(statement) => statement.as_ref(),
        Parsed::Explain(explained) => match explained.statement.as_ref() {
            Parsed::Statement(statement) => statement.as_ref(),
            _ => return Err(Error::invalid_request(READ_ONLY)),
        },
        _ => return Err(Error::invalid_request(READ_ONLY)),
    };
    if !matches!(query, Statement::Query(_)) {
        return Err(Error::invalid_request(READ_ONLY));
    }
    let mut tables = 0;
    let _ = visit_relations(query, |_| {
        tables += 1;
        ControlFlow::<()>::Continue(())
    });
    if tables > limits.tables_max {
        let max = limits.tables_max;
        return Err(Error::limit_reached(format!("a statement names at most {max} tables, found {tables}")));
    }
    Ok(())
}

/// Checks every step of a plan, those of queries inside of it too.
///
/// # Errors
///
/// `InvalidRequest` naming the first step that is none of a reader.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| Error::invalid_request(READ_ONLY))?;
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|step| {
        refused = refusal_of(step);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| Error::internal("walking a plan").caused_by(error))?;
    refused.map_or(Ok(()), Err)
}

fn refusal_of(step: &LogicalPlan) -> Option<Error> {
    match step {
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok();
            let is_ours = provider.is_some_and(|provider| {
                let provider = provider.as_ref() as &dyn Any;
                provider.is::<VersionTable>() || provider.is::<CteWorkTable>()
            });
            let name = scan.table_name.table();
            (!is_ours).then(|| {
                Error::invalid_request(format!("{name} is no dataset: tables are datasets and their versions"))
            })
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => None,
        _ => Some(Error::invalid_request(READ_ONLY)),
    }
}
