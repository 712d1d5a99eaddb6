//! Refuses calls whose answer can outgrow every limit in one step: texts and lists of any length made from a number.
//!
//! Memory is counted where rows are sorted, grouped and joined; a single value is made before anybody counts it.

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::logical_expr::expr::ScalarFunction;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan};

/// Longest text or list that may be made from a number.
const LENGTH_MAX: i64 = 10_000;

/// Says which call of a plan may grow beyond bounds, if one may.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| match part {
                Expr::ScalarFunction(call) => bounded(call).map(|()| TreeNodeRecursion::Continue),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

fn bounded(call: &ScalarFunction) -> Result<(), DataFusionError> {
    let name = call.func.name();
    let length = match name {
        "repeat" | "lpad" | "rpad" | "array_repeat" | "array_resize" => call.args.get(1),
        "range" | "gen_series" | "generate_series" => None,
        _ => return Ok(()),
    };
    if length.and_then(number).is_some_and(|length| length <= LENGTH_MAX) {
        return Ok(());
    }
    Err(DataFusionError::Plan(format!(
        "{name} is refused here: its length must be written as a number of at most {LENGTH_MAX}; for rows of numbers \
         use the table function: SELECT value FROM generate_series(1, 10)"
    )))
}

fn number(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Literal(value, _) => match value {
            ScalarValue::Int64(number) => *number,
            ScalarValue::Int32(number) => number.map(i64::from),
            ScalarValue::UInt64(number) => number.and_then(|number| i64::try_from(number).ok()),
            _ => None,
        },
        Expr::Cast(cast) => number(&cast.expr),
        _ => None,
    }
}
