//! Which part of a plan asks for nothing but extremes by instrument, in words of the table's own columns. Answering is
//! left to the room above.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{DataFusionError, Result};
use deltalake::datafusion::datasource::source_as_provider;
use deltalake::datafusion::logical_expr::expr::InList;
use deltalake::datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, Operator, Projection};

use super::Extreme;
use crate::symbols::{self, Naming, text};

/// An aggregate over one filtered table.
pub(super) struct Plain {
    pub(super) table: Arc<dyn TableProvider>,
    pub(super) wanted: Vec<(Extreme, String)>,
    pub(super) groups: Vec<Naming>,
    pub(super) filters: Vec<Expr>,
}

impl Plain {
    pub(super) fn of(aggregate: &Aggregate) -> Option<Self> {
        let mut wanted = aggregate.aggr_expr.iter().map(extreme).collect::<Option<Vec<_>>>()?;
        if wanted.is_empty() {
            return None;
        }
        let mut groups = aggregate.group_expr.clone();
        let mut filters = Vec::new();
        let mut input = aggregate.input.as_ref();
        loop {
            match input {
                LogicalPlan::Filter(filter) => {
                    filters.push(filter.predicate.clone());
                    input = &filter.input;
                }
                LogicalPlan::SubqueryAlias(alias) => input = &alias.input,
                LogicalPlan::Projection(projection) => {
                    // What stands above speaks of its names, which need not be the table's.
                    for expression in groups.iter_mut().chain(&mut filters) {
                        *expression = below(projection, expression.clone()).ok()?;
                    }
                    for (_, name) in &mut wanted {
                        *name = original(projection, name)?;
                    }
                    input = &projection.input;
                }
                LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                    // Most of what the table was handed down stands above it again; what its files settle does not.
                    filters.extend(scan.filters.iter().cloned());
                    let table = source_as_provider(&scan.source).ok()?;
                    let groups = groups.iter().map(symbols::naming).collect::<Option<Vec<_>>>()?;
                    let filters = filters.into_iter().map(symbols::of_instruments);
                    return Some(Self {
                        table,
                        wanted,
                        groups,
                        filters: filters.collect::<Result<_>>().ok()?,
                    });
                }
                _ => return None,
            }
        }
    }
}

/// `max(column)` or `min(column)` without any condition.
fn extreme(expression: &Expr) -> Option<(Extreme, String)> {
    let expression = match expression {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::AggregateFunction(function) = expression else { return None };
    let extreme = match function.func.name() {
        "max" => Extreme::Most,
        "min" => Extreme::Least,
        _ => return None,
    };
    let params = &function.params;
    match &params.args[..] {
        [Expr::Column(column)] if params.filter.is_none() => Some((extreme, column.name.clone())),
        _ => None,
    }
}

/// What a projection makes of a name, if just one of its results is called so.
fn meaning<'a>(projection: &'a Projection, name: &str) -> Option<&'a Expr> {
    let fields = projection.schema.fields().iter().zip(&projection.expr);
    let mut called = fields.filter(|(field, _)| field.name() == name).map(|(_, expression)| expression);
    match (called.next()?, called.next()) {
        (Expr::Alias(alias), None) => Some(&alias.expr),
        (expression, None) => Some(expression),
        _ => None,
    }
}

/// The name below a projection of what is called so above it, if it is a plain column.
fn original(projection: &Projection, name: &str) -> Option<String> {
    match meaning(projection, name)? {
        Expr::Column(column) => Some(column.name.clone()),
        _ => None,
    }
}

/// An expression over the results of a projection, in words of its input.
fn below(projection: &Projection, expression: Expr) -> Result<Expr> {
    let told = expression.transform_up(|part| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        let meant = meaning(projection, &column.name);
        meant
            .cloned()
            .map(Transformed::yes)
            .ok_or_else(|| DataFusionError::Internal(format!("{} means more than one thing", column.name)))
    });
    told.map(|told| told.data)
}

fn is_instrument(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if column.name == "instrument")
}

/// Instruments that a condition names: no other can fulfil it.
pub(super) fn named(condition: &Expr) -> Option<BTreeSet<String>> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_instrument(left) => {
            Some([text(right)?.to_owned()].into())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(named(left)?.union(&named(right)?).cloned().collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            named(left).or_else(|| named(right))
        }
        Expr::InList(InList { expr, list, negated: false }) if is_instrument(expr) => {
            list.iter().map(|value| text(value).map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// Whether an instrument fulfils a condition; `None` if the condition asks for anything else.
pub(super) fn holds(condition: &Expr, instrument: &str) -> Option<bool> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(holds(left, instrument)? & holds(right, instrument)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(holds(left, instrument)? | holds(right, instrument)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_instrument(left) => {
            let value = text(right)?;
            match op {
                Operator::Eq => Some(instrument == value),
                Operator::NotEq => Some(instrument != value),
                Operator::Lt => Some(instrument < value),
                Operator::LtEq => Some(instrument <= value),
                Operator::Gt => Some(instrument > value),
                Operator::GtEq => Some(instrument >= value),
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated }) if is_instrument(expr) => {
            let values = list.iter().map(text).collect::<Option<Vec<_>>>()?;
            Some(values.contains(&instrument) != *negated)
        }
        _ => None,
    }
}
