//! Answers `max` and `min` over whole instruments from what is known of each file, without reading its rows again.
//!
//! Files never change, so what was found once in a file holds for as long as it is there. Ids need not grow with
//! time: every file counts, except those whose bounds show that they cannot change the answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, StringArray};
use deltalake::arrow::compute::filter;
use deltalake::arrow::compute::kernels::cmp;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DFSchema, Result, ScalarValue};
use deltalake::datafusion::datasource::source_as_provider;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::logical_expr::expr::InList;
use deltalake::datafusion::logical_expr::{
    Aggregate, BinaryExpr, EmptyRelation, Expr, LogicalPlan, Operator, Projection, lit,
};
use tables::{Column, ColumnKind};

use crate::error::Error;
use crate::file::{Bounds, DataFile, bounds_of};
use crate::provider::LakeTable;
use crate::reader::{FileAsk, Reader};
use crate::shelf::Captured;
use crate::symbols::text;

/// Most findings kept; some hundred bytes each. When it is full they are all found anew.
const KEPT_MAX: usize = 100_000;

/// Findings by file, instrument and column.
#[derive(Debug, Default)]
pub(crate) struct Extremes(Mutex<HashMap<String, Option<Bounds>>>);

impl Extremes {
    /// Smallest and largest value of a column among the rows of an instrument in a file; `None` without such rows.
    async fn of(
        &self,
        reader: &Reader,
        (captured, file): (&Captured, &Arc<DataFile>),
        (instrument, column): (&str, &Column),
    ) -> Result<Option<Bounds>, Error> {
        let name = format!("{}\n{instrument}\n{}", file.path, column.name);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = read(reader, captured, file, (instrument, column)).await?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, found.clone());
        Ok(found)
    }
}

async fn read(
    reader: &Reader,
    captured: &Captured,
    file: &Arc<DataFile>,
    (instrument, column): (&str, &Column),
) -> Result<Option<Bounds>, Error> {
    let table = captured.table;
    let schema = table.stored_schema();
    let failed = |error: DataFusionError| Error::Failed(format!("scan table {}: {error}", table.name));
    let ask = FileAsk {
        table,
        files: std::slice::from_ref(file),
        predicate: Some(crate::scan::of_instrument(&schema, instrument).map_err(failed)?),
        projection: Some(vec![schema.index_of(column.name).map_err(|error| failed(error.into()))?]),
        streams: 1,
    };
    let batches = reader.read(&ask).await?;
    let bounds = batches.iter().filter_map(|batch| bounds_of(column.kind, batch.column(0)));
    Ok(bounds.reduce(Bounds::wider))
}

/// One aggregate over a table of which the instruments are named.
struct Asked<'a> {
    captured: &'a Captured,
    reader: &'a Arc<Reader>,
    instruments: BTreeSet<String>,
    /// What is wanted of which column.
    wanted: Vec<(Extreme, &'static Column)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extreme {
    Least,
    Most,
}

/// The plan, with the answers in place of those aggregates that ask for nothing but extremes of named instruments.
pub(crate) async fn answer(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let mut found = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node
            && let Some(plain) = Plain::of(aggregate)
        {
            found.push((aggregate.clone(), plain));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut answers = Vec::with_capacity(found.len());
    for (aggregate, plain) in found {
        let Some(table) = plain.table.downcast_ref::<LakeTable>() else { continue };
        let (reader, captured) = table.parts();
        let Some(asked) = Asked::of(&plain, reader, captured) else { continue };
        let values = asked.values().await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        answers.push((aggregate, values));
    }
    if answers.is_empty() {
        return Ok(plan);
    }
    let replaced = plan.transform_down(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        let Some((_, values)) = answers.iter().find(|(known, _)| known == aggregate) else {
            return Ok(Transformed::no(node));
        };
        let fields = aggregate.schema.fields().iter();
        let values = values.iter().zip(fields).map(|(value, field)| lit(value.clone()).alias(field.name()));
        let one_row = LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: true,
            schema: Arc::new(DFSchema::empty()),
        });
        let schema = Arc::clone(&aggregate.schema);
        let projection = Projection::try_new_with_schema(values.collect(), Arc::new(one_row), schema)?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    })?;
    Ok(replaced.data)
}

/// An aggregate without groups over one filtered table, in words of the table's own columns.
struct Plain {
    table: Arc<dyn deltalake::datafusion::catalog::TableProvider>,
    wanted: Vec<(Extreme, String)>,
    filters: Vec<Expr>,
}

impl Plain {
    fn of(aggregate: &Aggregate) -> Option<Self> {
        if !aggregate.group_expr.is_empty() {
            return None;
        }
        let mut wanted = aggregate.aggr_expr.iter().map(extreme).collect::<Option<Vec<_>>>()?;
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
                    // Filters above it speak of its names, which need not be the table's.
                    if !filters.is_empty() {
                        return None;
                    }
                    for (_, name) in &mut wanted {
                        *name = original(projection, name)?;
                    }
                    input = &projection.input;
                }
                LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                    // What the table was handed down stands above it again: it only promises to leave out files.
                    let table = source_as_provider(&scan.source).ok()?;
                    return Some(Self { table, wanted, filters });
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

/// The name below a projection of what is called so above it, if it is a plain column.
fn original(projection: &Projection, name: &str) -> Option<String> {
    let place = projection.schema.fields().iter().position(|field| field.name() == name)?;
    match projection.expr.get(place)? {
        Expr::Column(column) => Some(column.name.clone()),
        Expr::Alias(alias) => match alias.expr.as_ref() {
            Expr::Column(column) => Some(column.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn is_instrument(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if column.name == "instrument")
}

/// Instruments that a condition names: no other can fulfil it.
fn named(condition: &Expr) -> Option<BTreeSet<String>> {
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
fn holds(condition: &Expr, instrument: &str) -> Option<bool> {
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

impl<'a> Asked<'a> {
    fn of(plain: &Plain, reader: &'a Arc<Reader>, captured: &'a Captured) -> Option<Self> {
        // Rows of keyed tables may be replaced by waiting ones.
        if captured.table.is_keyed || captured.table.column("instrument").is_none() {
            return None;
        }
        let mut instruments = BTreeSet::new();
        for instrument in plain.filters.iter().find_map(named)? {
            let all =
                plain.filters.iter().map(|filter| holds(filter, &instrument)).collect::<Option<Vec<_>>>()?;
            if all.iter().all(|is_fulfilled| *is_fulfilled) {
                instruments.insert(instrument);
            }
        }
        let wanted = plain.wanted.iter().map(|(extreme, name)| {
            let column = captured.table.column(name)?;
            let is_known = matches!(column.kind, ColumnKind::Int64 | ColumnKind::Int32 | ColumnKind::Time);
            is_known.then_some((*extreme, column))
        });
        let wanted = wanted.collect::<Option<Vec<_>>>()?;
        Some(Self { captured, reader, instruments, wanted })
    }

    async fn values(&self) -> Result<Vec<ScalarValue>, Error> {
        let mut values = Vec::with_capacity(self.wanted.len());
        for (extreme, column) in &self.wanted {
            let mut best = None;
            for instrument in &self.instruments {
                best = extreme.better(best, self.of_instrument(*extreme, column, instrument).await?);
            }
            values.push(scalar(column.kind, best));
        }
        Ok(values)
    }

    async fn of_instrument(
        &self,
        extreme: Extreme,
        column: &Column,
        instrument: &str,
    ) -> Result<Option<i64>, Error> {
        let mut best = self.waiting(extreme, column, instrument)?;
        let may_hold = |file: &&Arc<DataFile>| file.may_hold(self.captured.table, Some(instrument), None);
        let mut files: Vec<_> = self.captured.files.iter().filter(may_hold).collect();
        // The most promising first, so that the others are mostly left out.
        files.sort_by_key(|file| extreme.promise(file.bounds(column.name)));
        for file in files {
            let cannot_win = match (best, file.bounds(column.name)) {
                (Some(best), Some(Bounds::Int(least, most))) => match extreme {
                    Extreme::Least => *least >= best,
                    Extreme::Most => *most <= best,
                },
                _ => false,
            };
            if !cannot_win {
                let known = &self.reader.extremes;
                let found = known.of(self.reader, (self.captured, file), (instrument, column)).await?;
                best = extreme.better(best, extreme.of(found.as_ref()));
            }
        }
        Ok(best)
    }

    /// The same among rows that wait for a commit.
    fn waiting(&self, extreme: Extreme, column: &Column, instrument: &str) -> Result<Option<i64>, Error> {
        let wanted = StringArray::new_scalar(instrument);
        let mut best = None;
        for batch in &self.captured.buffer {
            let names = crate::rows::column_of(batch, "instrument")?;
            let values = crate::rows::column_of(batch, column.name)?;
            let found = cmp::eq(names, &wanted).and_then(|is_wanted| filter(values, &is_wanted));
            let found = found.map_err(crate::error::failed("look through waiting rows"))?;
            if found.len() > found.null_count() {
                best = extreme.better(best, extreme.of(bounds_of(column.kind, &found).as_ref()));
            }
        }
        Ok(best)
    }
}

impl Extreme {
    fn of(self, bounds: Option<&Bounds>) -> Option<i64> {
        match (self, bounds?) {
            (Self::Least, Bounds::Int(least, _)) => Some(*least),
            (Self::Most, Bounds::Int(_, most)) => Some(*most),
            _ => None,
        }
    }

    fn better(self, one: Option<i64>, other: Option<i64>) -> Option<i64> {
        match (one, other) {
            (Some(one), Some(other)) if self == Self::Least => Some(one.min(other)),
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        }
    }

    /// Sorts the bounds that promise most to the front, unknown ones before all.
    fn promise(self, bounds: Option<&Bounds>) -> i64 {
        match (self, bounds) {
            (Self::Least, Some(Bounds::Int(least, _))) => *least,
            (Self::Most, Some(Bounds::Int(_, most))) => most.saturating_neg(),
            _ => i64::MIN,
        }
    }
}

fn scalar(kind: ColumnKind, value: Option<i64>) -> ScalarValue {
    match kind {
        ColumnKind::Time => ScalarValue::TimestampMicrosecond(value, Some("UTC".into())),
        ColumnKind::Int32 => ScalarValue::Int32(value.and_then(|value| i32::try_from(value).ok())),
        _ => ScalarValue::Int64(value),
    }
}
