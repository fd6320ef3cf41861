//! Texts put together: the one thing in SQL that makes much of little, so it is bounded.
//!
//! What functions give is in no memory that is counted, and `x || x || x` in ten queries inside each other would be all of
//! the machine's.

use crate::refusal::passed_on;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use arrow_string::concat_elements::concat_elements_utf8;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;
use ukimet_model::Error;

/// Most text that is put together at once, for all rows of a batch, bytes.
const TEXT_BYTES_MAX: usize = 128 << 20;

/// # Errors
///
/// `LimitReached` if values are more text than is put together at once.
fn check_size(values: &[ColumnarValue], rows: usize) -> Result<()> {
    let bytes: usize = values
        .iter()
        .map(|value| match value {
            ColumnarValue::Array(column) => column.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
            ColumnarValue::Scalar(value) => value.size().saturating_mul(rows),
        })
        .fold(0, usize::saturating_add);
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(passed_on(Error::limit_reached(format!(
        "at most {TEXT_BYTES_MAX} bytes of text are put together at once, found {bytes}"
    ))))
}

/// A function of the library whose arguments are bounded.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded(Arc<ScalarUDF>);

/// The same function with bounded arguments.
pub(crate) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Bounded(function)))
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check_size(&args.args, args.number_rows)?;
        self.0.invoke_with_args(args)
    }
}

/// Plans `a || b`.
#[derive(Debug)]
pub(crate) struct ConcatenationPlanner;

impl ExprPlanner for ConcatenationPlanner {
    fn plan_binary_op(&self, asked: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if asked.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(asked));
        }
        let function = Arc::new(ScalarUDF::from(Concatenation::new()));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(
            function,
            vec![asked.left, asked.right],
        ))))
    }
}

/// `a || b`: missing if one of both is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concatenation {
    signature: Signature,
}

impl Concatenation {
    fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &'static str {
        "concatenation"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names = args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>();
        Ok(names.join(" || "))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8; types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        check_size(&args.args, rows)?;
        let columns = args.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let joined = concat_elements_utf8(columns[0].as_string::<i32>(), columns[1].as_string::<i32>())?;
        let joined: ArrayRef = Arc::new(joined);
        if is_one {
            return ScalarValue::try_from_array(&joined, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(joined))
    }
}
