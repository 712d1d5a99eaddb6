//! One captured table as DataFusion sees it: chosen files and waiting rows as one.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, StringArray, UInt64Array};
use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::pruning::PruningStatistics;
use deltalake::datafusion::common::{Column as ColumnName, DFSchema, JoinType, NullEquality, Result};
use deltalake::datafusion::datasource::memory::MemorySourceConfig;
use deltalake::datafusion::logical_expr::utils::conjunction;
use deltalake::datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::physical_expr::expressions::Column;
use deltalake::datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::empty::EmptyExec;
use deltalake::datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use deltalake::datafusion::physical_plan::projection::ProjectionExec;
use deltalake::datafusion::physical_plan::union::UnionExec;
use deltalake::datafusion::scalar::ScalarValue;
use tables::{ColumnKind, Table};

use crate::file::{Bounds, DataFile};
use crate::reader::{FileAsk, Reader};
use crate::rows::{self, Keys};
use crate::shelf::Captured;

/// A table at one moment.
#[derive(Debug)]
pub(crate) struct LakeTable {
    reader: Arc<Reader>,
    captured: Captured,
}

impl LakeTable {
    pub(crate) fn new(reader: Arc<Reader>, captured: Captured) -> Self {
        Self { reader, captured }
    }

    /// What it is made of.
    pub(crate) fn parts(&self) -> (&Arc<Reader>, &Captured) {
        (&self.reader, &self.captured)
    }

    fn files(&self, predicate: Option<&Arc<dyn PhysicalExpr>>) -> Result<Vec<Arc<DataFile>>> {
        let files = &self.captured.files;
        let Some(predicate) = predicate else { return Ok(files.to_vec()) };
        let known = FileBounds { table: self.captured.table, files };
        let pruning = PruningPredicateBuilder::new()
            .with_file_schema(self.schema())
            .try_build(Arc::clone(predicate))?;
        let kept = pruning.prune(&known)?;
        Ok(files.iter().zip(kept).filter(|(_, is_kept)| *is_kept).map(|(file, _)| Arc::clone(file)).collect())
    }

    /// Whether every row that is in a file which may hold the instrument, or waits, is of it.
    fn holds_alone(&self, instrument: &str) -> bool {
        let is_settled = |file: &Arc<DataFile>| match file.bounds("instrument") {
            Some(Bounds::Text(low, high)) => {
                (low == instrument && high == instrument)
                    || instrument < low.as_str()
                    || instrument > high.as_str()
            }
            _ => false,
        };
        self.captured.buffer.is_empty() && self.captured.files.iter().all(is_settled)
    }

    /// The files without the rows whose keys wait in the buffer with newer values.
    fn without(
        &self,
        waiting: &RecordBatch,
        projection: &[usize],
        ask: impl Fn(Vec<usize>) -> Result<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let mut wider = projection.to_vec();
        let mut keys = Vec::new();
        for name in self.captured.table.key {
            let index = schema.index_of(name)?;
            keys.push(index);
            if !wider.contains(&index) {
                wider.push(index);
            }
        }
        let files = ask(wider)?;
        let waiting = waiting.project(&keys)?;
        let known = MemorySourceConfig::try_new_exec(&[vec![waiting.clone()]], waiting.schema(), None)?;
        let (left, right) = (waiting.schema(), files.schema());
        let column = |name: &str, schema: &SchemaRef| -> Result<Arc<dyn PhysicalExpr>> {
            Ok(Arc::new(Column::new(name, schema.index_of(name)?)))
        };
        let on = self.captured.table.key.iter().map(|name| Ok((column(name, &left)?, column(name, &right)?)));
        let rest = HashJoinExec::try_new(
            known,
            Arc::clone(&files),
            on.collect::<Result<Vec<_>>>()?,
            None,
            &JoinType::RightAnti,
            None,
            PartitionMode::CollectLeft,
            NullEquality::NullEqualsNull,
            false,
        )?;
        let kept = projection.iter().enumerate().map(|(place, index)| {
            let name = schema.field(*index).name();
            (Arc::new(Column::new(name, place)) as Arc<dyn PhysicalExpr>, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(kept.collect::<Vec<_>>(), Arc::new(rest))?))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.captured.table.stored_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match named_instrument(filter) {
            Some(instrument) if self.holds_alone(instrument) => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (table, schema) = (self.captured.table, self.schema());
        let named = DFSchema::try_from(Arc::clone(&schema))?;
        let physical = |filters: Vec<Expr>| {
            conjunction(filters).map(|filter| state.create_physical_expr(filter, &named)).transpose()
        };
        let files = self.files(physical(filters.to_vec())?.as_ref())?;
        // What the bounds of the files settled need not be asked of every row; and but for keyed tables, whose files stand
        // below a join, the rest comes down to the files by itself: given here too, it would be asked twice.
        let open = filters.iter().filter(|filter| {
            table.is_keyed && !named_instrument(filter).is_some_and(|instrument| self.holds_alone(instrument))
        });
        let predicate = physical(open.cloned().collect())?;
        let projection = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let plan = |columns: Vec<usize>| {
            self.reader.plan(&FileAsk {
                table,
                files: &files,
                predicate: predicate.clone(),
                projection: Some(columns),
                streams: state.config().target_partitions(),
            })
        };
        let mut waiting = self.captured.buffer.clone();
        if table.is_keyed && !waiting.is_empty() {
            let newest = rows::concat(&schema, &waiting)
                .and_then(|all| Keys::of(table)?.newest(&all))
                .map_err(|error| deltalake::datafusion::error::DataFusionError::External(Box::new(error)))?;
            waiting = vec![newest];
        }
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        match waiting.first() {
            _ if files.is_empty() => {}
            Some(newest) if table.is_keyed => parts.push(self.without(newest, &projection, plan)?),
            _ => parts.push(plan(projection.clone())?),
        }
        if !waiting.is_empty() {
            let waiting =
                MemorySourceConfig::try_new_exec(&[waiting], schema.clone(), Some(projection.clone()))?;
            parts.push(waiting);
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(&projection)?))));
        }
        UnionExec::try_new(parts)
    }
}

/// The instrument that a condition names and nothing else.
fn named_instrument(filter: &Expr) -> Option<&str> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(ScalarValue::Utf8(Some(text)), _))
        | (Expr::Literal(ScalarValue::Utf8(Some(text)), _), Expr::Column(column))
            if column.name == "instrument" =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// What the log knows of files, for leaving out those that cannot match.
struct FileBounds<'a> {
    table: &'static Table,
    files: &'a [Arc<DataFile>],
}

impl FileBounds<'_> {
    fn values(&self, name: &str, is_low: bool) -> Option<ArrayRef> {
        if Some(name) == self.table.partition.column() {
            let days = self.files.iter().map(|file| file.partition.map(|day| day.0));
            return Some(Arc::new(days.collect::<Date32Array>()));
        }
        let int = |file: &Arc<DataFile>| match file.bounds(name) {
            Some(Bounds::Int(low, high)) => Some(if is_low { *low } else { *high }),
            _ => None,
        };
        let ints = self.files.iter().map(int);
        match self.table.column(name)?.kind {
            ColumnKind::Time => {
                Some(Arc::new(ints.collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
            }
            ColumnKind::Int64 => Some(Arc::new(ints.collect::<Int64Array>())),
            ColumnKind::Int32 => {
                let ints = ints.map(|value| value.and_then(|value| i32::try_from(value).ok()));
                Some(Arc::new(ints.collect::<Int32Array>()))
            }
            ColumnKind::Text => {
                let texts = self.files.iter().map(|file| match file.bounds(name) {
                    Some(Bounds::Text(low, high)) => Some(if is_low { low.as_str() } else { high.as_str() }),
                    _ => None,
                });
                Some(Arc::new(texts.collect::<StringArray>()))
            }
            _ => None,
        }
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.values(&column.name, true)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.values(&column.name, false)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.files.iter().map(|file| (file.rows > 0).then_some(file.rows));
        Some(Arc::new(rows.collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
