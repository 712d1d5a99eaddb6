//! Answers `max` and `min` over whole instruments from what is known of each file, without reading its rows again.
//!
//! Ids need not grow with time: every file counts, except those whose bounds show that they cannot change the answer.

mod findings;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, StringArray};
use deltalake::arrow::compute::filter;
use deltalake::arrow::compute::kernels::cmp;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DFSchema, ScalarValue};
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::logical_expr::{
    Aggregate, EmptyRelation, Expr, LogicalPlan, Projection, Values, lit,
};
use tables::{Column, ColumnKind};

pub(crate) use findings::Extremes;

use crate::error::Error;
use crate::file::{Bounds, DataFile, bounds_of};
use crate::provider::LakeTable;
use crate::reader::Reader;
use crate::shelf::Captured;
use findings::ByInstrument;
use shape::{Plain, holds, named};

/// One aggregate over a table.
struct Asked<'a> {
    captured: &'a Captured,
    reader: &'a Arc<Reader>,
    plain: &'a Plain,
    /// What is wanted of which column.
    wanted: Vec<(Extreme, &'static Column)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extreme {
    Least,
    Most,
}

/// The plan, with the answers in place of those aggregates that ask for nothing but extremes, of named instruments or by
/// instrument.
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
        let Some(rows) = asked.rows().await.map_err(|error| DataFusionError::External(Box::new(error)))?
        else {
            continue;
        };
        let known = rows_instead(&aggregate, rows)?;
        answers.push((aggregate, known));
    }
    if answers.is_empty() {
        return Ok(plan);
    }
    let replaced = plan.transform_down(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        let known = answers.iter().find(|(known, _)| known == aggregate).map(|(_, rows)| rows.clone());
        Ok(known.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(replaced.data)
}

/// A plan that gives these rows as the aggregate would.
fn rows_instead(aggregate: &Aggregate, rows: Vec<Vec<ScalarValue>>) -> Result<LogicalPlan, DataFusionError> {
    let schema = Arc::clone(&aggregate.schema);
    if !aggregate.group_expr.is_empty() {
        if rows.is_empty() {
            return Ok(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema }));
        }
        let values = rows.into_iter().map(|row| row.into_iter().map(lit).collect()).collect();
        return Ok(LogicalPlan::Values(Values { schema, values }));
    }
    let one_row = LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: true,
        schema: Arc::new(DFSchema::empty()),
    });
    let fields = aggregate.schema.fields().iter();
    let values: Vec<Expr> =
        rows.into_iter().flatten().zip(fields).map(|(value, field)| lit(value).alias(field.name())).collect();
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(values, Arc::new(one_row), schema)?))
}

impl<'a> Asked<'a> {
    fn of(plain: &'a Plain, reader: &'a Arc<Reader>, captured: &'a Captured) -> Option<Self> {
        // Rows of keyed tables may be replaced by waiting ones.
        if captured.table.is_keyed || captured.table.column("instrument").is_none() {
            return None;
        }
        let wanted = plain.wanted.iter().map(|(extreme, name)| {
            let column = captured.table.column(name)?;
            let is_known = matches!(column.kind, ColumnKind::Int64 | ColumnKind::Int32 | ColumnKind::Time);
            is_known.then_some((*extreme, column))
        });
        let wanted = wanted.collect::<Option<Vec<_>>>()?;
        Some(Self { captured, reader, plain, wanted })
    }

    /// Whether all conditions hold for an instrument; `None` if they ask for anything else.
    fn is_chosen(&self, instrument: &str) -> Option<bool> {
        let mut all = self.plain.filters.iter().map(|filter| holds(filter, instrument));
        all.try_fold(true, |is_chosen, holds| Some(is_chosen & holds?))
    }

    /// The rows of the answer; `None` if it must be found by reading.
    async fn rows(&self) -> Result<Option<Vec<Vec<ScalarValue>>>, Error> {
        if !self.plain.groups.is_empty() {
            return self.grouped().await;
        }
        let Some(names) = self.plain.filters.iter().find_map(named) else { return Ok(None) };
        let mut instruments = BTreeSet::new();
        for instrument in names {
            match self.is_chosen(&instrument) {
                Some(true) => drop(instruments.insert(instrument)),
                Some(false) => {}
                None => return Ok(None),
            }
        }
        let mut values = Vec::with_capacity(self.wanted.len());
        for (extreme, column) in &self.wanted {
            let mut best = None;
            for instrument in &instruments {
                best = extreme.better(best, self.of_instrument(*extreme, column, instrument).await?);
            }
            values.push(scalar(column.kind, best));
        }
        Ok(Some(vec![values]))
    }

    /// One row for every group of instruments that have rows.
    async fn grouped(&self) -> Result<Option<Vec<Vec<ScalarValue>>>, Error> {
        // Conditions that cannot be told by the instrument cannot be told by any.
        if self.is_chosen("").is_none() {
            return Ok(None);
        }
        let mut rows: BTreeMap<Vec<String>, Vec<Option<i64>>> = BTreeMap::new();
        for (place, (extreme, column)) in self.wanted.iter().enumerate() {
            for (instrument, bounds) in self.of_all(column).await? {
                match self.is_chosen(&instrument) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Ok(None),
                }
                let key = self.plain.groups.iter().map(|naming| naming.of(&instrument)).collect();
                let row = rows.entry(key).or_insert_with(|| vec![None; self.wanted.len()]);
                let value = bounds.map(|(least, most)| if *extreme == Extreme::Least { least } else { most });
                row[place] = extreme.better(row[place], value);
            }
        }
        let row = |(key, values): (Vec<String>, Vec<Option<i64>>)| {
            let values = values.into_iter().zip(&self.wanted);
            let values = values.map(|(value, (_, column))| scalar(column.kind, value));
            key.into_iter().map(ScalarValue::from).chain(values).collect()
        };
        Ok(Some(rows.into_iter().map(row).collect()))
    }

    /// Bounds of a column for every instrument, in files and waiting rows.
    async fn of_all(&self, column: &Column) -> Result<ByInstrument, Error> {
        let mut all = ByInstrument::new();
        for batch in &self.captured.buffer {
            findings::widen(&mut all, batch, column)?;
        }
        for file in self.captured.files.iter() {
            let found = self.reader.extremes.of_all(self.reader, (self.captured, file), column).await?;
            for (instrument, bounds) in found.iter() {
                let known = all.entry(instrument.clone()).or_default();
                *known = match (*known, *bounds) {
                    (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                    (one, other) => one.or(other),
                };
            }
        }
        Ok(all)
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
