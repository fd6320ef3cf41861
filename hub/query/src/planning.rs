//! From a text to a plan, on a thread of its own: deep plans need a deep stack, and dear ones are not waited for.

use crate::allowed::{check_plan, check_statement};
use crate::limits::QueryLimits;
use crate::queries::Question;
use crate::refusal::refusal;
use crate::text::check_text;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use std::time::Duration;
use tokio::sync::oneshot;
use ukimet_model::{Error, Result};

/// Stack of a thread that plans, bytes.
const STACK_BYTES: usize = 32 << 20;

/// Works on a thread with a deep stack; whoever asked waits no longer than `time_max`. What `held` keeps is let go when
/// the thread is done, which may be later.
///
/// # Errors
///
/// `TimedOut` if it takes longer, `Internal` if it meets a defect, and what the work says.
pub(crate) async fn on_deep_thread<T: Send + 'static>(
    time_max: Duration,
    held: impl Send + 'static,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("sql-plan".to_owned()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        let done = work();
        // Whoever gets the answer may ask again at once.
        drop(held);
        // Nobody may wait for it any more.
        let _ = sender.send(done);
    });
    spawned.map_err(|e| Error::unavailable("starting a thread that plans").caused_by(e))?;
    match tokio::time::timeout(time_max, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Error::internal("planning met a defect")),
        Err(_) => Err(Error::timed_out(format!(
            "planning the statement took longer than {} s, ask for less at once",
            time_max.as_secs()
        ))),
    }
}

/// A plan of what a question asks, its parameters in place if it has some.
///
/// # Errors
///
/// `InvalidRequest` for a statement that is none or not allowed, `NotFound` for a table that is not there,
/// `LimitReached` for one that is too long or too deep.
pub(crate) async fn plan(state: &SessionState, question: &Question, limits: &QueryLimits) -> Result<LogicalPlan> {
    check_text(&question.sql, limits)?;
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(&question.sql, &dialect).map_err(|error| refusal(&error))?;
    check_statement(&statement, limits)?;
    let plan = state.statement_to_plan(statement).await.map_err(|error| refusal(&error))?;
    check_plan(&plan)?;
    match &question.parameters {
        Some(parameters) => bind(plan, parameters),
        None => Ok(plan),
    }
}

/// Puts one row of values in the place of `$1`, `$2` and so on, in the order of the columns.
fn bind(plan: LogicalPlan, parameters: &RecordBatch) -> Result<LogicalPlan> {
    if parameters.num_rows() != 1 {
        let found = parameters.num_rows();
        return Err(Error::invalid_request(format!("a query takes one row of parameters at a time, found {found}")));
    }
    let expected = parameter_schema(&plan)?.fields().len();
    if parameters.num_columns() != expected {
        let found = parameters.num_columns();
        return Err(Error::invalid_request(format!(
            "the statement has {expected} parameters, found values for {found}"
        )));
    }
    let values = parameters.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| refusal(&error))?;
    plan.with_param_values(ParamValues::from(values)).map_err(|error| refusal(&error))
}

/// The parameters of a plan in the order of their numbers; of type null where nothing says what they are.
///
/// # Errors
///
/// `InvalidRequest` if they are not `$1`, `$2` and so on without a gap.
pub(crate) fn parameter_schema(plan: &LogicalPlan) -> Result<Schema> {
    let mut found: Vec<_> = plan.get_parameter_types().map_err(|error| refusal(&error))?.into_iter().collect();
    let number = |name: &str| name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    found.sort_by_key(|(name, _)| number(name));
    if found.iter().enumerate().any(|(at, (name, _))| number(name) != Some(at + 1)) {
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        let found = names.join(", ");
        return Err(Error::invalid_request(format!("parameters are $1, $2 and so on without a gap, found {found}")));
    }
    let field =
        |(name, data_type): (String, Option<DataType>)| Field::new(name, data_type.unwrap_or(DataType::Null), true);
    Ok(Schema::new(found.into_iter().map(field).collect::<Vec<_>>()))
}
