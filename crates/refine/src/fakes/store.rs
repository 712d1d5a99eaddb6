//! A store in memory that can lose what is not committed, and stop in the middle of a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{InstrumentId, LogPosition};
use tables::store::commit_order;
use tables::{
    BulkReport, BulkStore, BulkWriter, Outgoing, RowBatch, StoreError, TableName, TableScan, TableStore,
    TimeRange,
};

#[derive(Clone, Debug)]
struct Row {
    position: LogPosition,
    batch: RecordBatch,
    is_committed: bool,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<TableName, Vec<Row>>,
    positions: BTreeMap<TableName, LogPosition>,
    commits: usize,
    scans: usize,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    inner: Mutex<Inner>,
    /// Most rows not committed; 0 for no limit.
    buffer_max: usize,
    /// Commits fail, as on a full disk.
    is_stuck: AtomicBool,
}

impl FakeStore {
    /// A store that buffers only so many rows.
    pub(crate) fn with_room(buffer_max: usize) -> Self {
        Self { buffer_max, ..Self::default() }
    }

    /// Commits only the first tables, as a process that dies in the middle.
    pub(crate) fn commit_some(&self, through: LogPosition, tables: usize) {
        let mut inner = self.inner.lock().unwrap();
        inner.commits += 1;
        let mut left = tables;
        for table in commit_order() {
            let rows = inner.rows.entry(*table).or_default();
            let mut has_any = false;
            for row in rows.iter_mut().filter(|row| !row.is_committed && row.position <= through) {
                if left == 0 {
                    return;
                }
                row.is_committed = true;
                has_any = true;
            }
            if has_any {
                inner.positions.insert(*table, through);
                left -= 1;
            }
        }
    }

    /// Lets commits fail from now on, or succeed again.
    pub(crate) fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// The process dies: what is not committed is gone.
    pub(crate) fn crash(&self) {
        let mut inner = self.inner.lock().unwrap();
        for rows in inner.rows.values_mut() {
            rows.retain(|row| row.is_committed);
        }
    }

    /// Puts committed rows in, in place of outgoing ones.
    fn put(&self, table: TableName, batches: &[RecordBatch], outgoing: Option<&Outgoing>) {
        let mut inner = self.inner.lock().unwrap();
        inner.commits += 1;
        let time = tables::table(table).time;
        let rows = inner.rows.entry(table).or_default();
        rows.retain(|row| {
            !outgoing.is_some_and(|outgoing| {
                let at = model::Time(value(&row.batch, time).parse().unwrap());
                let is_from_there = |source: model::Source| value(&row.batch, "source") == source.as_str();
                value(&row.batch, "instrument") == outgoing.instrument.as_str()
                    && outgoing.range.contains(at)
                    && outgoing.source.is_none_or(is_from_there)
            })
        });
        for batch in batches {
            let single = |index| batch.slice(index, 1);
            let row = |index| Row { position: LogPosition(0), batch: single(index), is_committed: true };
            rows.extend((0..batch.num_rows()).map(row));
        }
    }

    /// Takes over what another store shows of a table.
    pub(crate) fn adopt(&self, table: TableName, other: &Self) {
        let rows = visible(&other.inner.lock().unwrap(), table);
        self.inner.lock().unwrap().rows.entry(table).or_default().extend(rows);
    }

    /// Every row ever appended, as text, by table.
    pub(crate) fn rows(&self, table: TableName) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let rows = inner.rows.get(&table).map(Vec::as_slice).unwrap_or_default();
        rows.iter().map(|row| format!("{} {}", row.position, text(&row.batch))).collect()
    }

    /// The rows as readers see them: of a keyed table, the newest of each key; without positions, sorted.
    pub(crate) fn seen(&self, table: TableName) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let mut rows: Vec<String> = visible(&inner, table).iter().map(|row| text(&row.batch)).collect();
        rows.sort();
        rows
    }

    pub(crate) fn all_rows(&self) -> BTreeMap<TableName, Vec<String>> {
        commit_order().iter().map(|table| (*table, self.rows(*table))).collect()
    }

    /// How often rows were read back.
    pub(crate) fn scans(&self) -> usize {
        self.inner.lock().unwrap().scans
    }

    pub(crate) fn commits(&self) -> usize {
        self.inner.lock().unwrap().commits
    }
}

fn visible(inner: &Inner, table: TableName) -> Vec<Row> {
    let rows = inner.rows.get(&table).map(Vec::as_slice).unwrap_or_default();
    let declared = tables::table(table);
    if !declared.is_keyed {
        return rows.to_vec();
    }
    let mut newest = BTreeMap::new();
    for row in rows {
        let key: Vec<String> = declared.key.iter().map(|name| value(&row.batch, name)).collect();
        newest.insert(key, row.clone());
    }
    newest.into_values().collect()
}

fn value(batch: &RecordBatch, name: &str) -> String {
    let column = batch.column_by_name(name).unwrap();
    if column.is_null(0) {
        return "-".into();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(0).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(0).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(0).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(0).to_string(),
        DataType::Boolean => column.as_boolean().value(0).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(0).to_string(),
        DataType::Decimal128(..) => {
            let value = model::Decimal::new(column.as_primitive::<Decimal128Type>().value(0), 18);
            value.normalized().to_string()
        }
        other => panic!("no table has columns of {other}"),
    }
}

fn text(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    schema.fields().iter().map(|field| value(batch, field.name())).collect::<Vec<_>>().join(" ")
}

impl TableStore for FakeStore {
    fn append(&self, rows: RowBatch) -> Result<(), StoreError> {
        assert!(rows.positions.is_sorted(), "positions never fall within a batch");
        let mut inner = self.inner.lock().unwrap();
        let waiting = inner.rows.values().flatten().filter(|row| !row.is_committed).count();
        if self.buffer_max > 0 && waiting > 0 && waiting + rows.positions.len() > self.buffer_max {
            return Err(StoreError::BufferFull);
        }
        let committed = inner.positions.get(&rows.table).copied().unwrap_or_default();
        let table = inner.rows.entry(rows.table).or_default();
        for (index, position) in rows.positions.iter().enumerate() {
            if *position > committed {
                table.push(Row {
                    position: *position,
                    batch: rows.batch.slice(index, 1),
                    is_committed: false,
                });
            }
        }
        Ok(())
    }

    fn commit(&self, through: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if self.is_stuck.load(Ordering::Relaxed) {
                return Err(StoreError::Failed("no space left on device".into()));
            }
            self.commit_some(through, usize::MAX);
            Ok(())
        }
        .boxed()
    }

    fn buffered(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap();
        let waiting = inner.rows.values().flatten().filter(|row| !row.is_committed).count();
        (waiting, self.buffer_max)
    }

    fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        self.inner.lock().unwrap().positions.clone()
    }

    fn scan(&self, table: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
        let mut inner = self.inner.lock().unwrap();
        inner.scans += 1;
        let declared = tables::table(table);
        let time = |row: &Row| value(&row.batch, declared.time).parse::<i64>().unwrap();
        let mut rows = visible(&inner, table);
        rows.retain(|row| {
            let is_meant =
                scan.instrument.as_ref().is_none_or(|id| value(&row.batch, "instrument") == id.as_str());
            is_meant && scan.range.is_none_or(|range| range.contains(model::Time(time(row))))
        });
        rows.sort_by_key(time);
        if scan.is_descending {
            rows.reverse();
        }
        rows.truncate(scan.limit.unwrap_or(usize::MAX));
        let columns: BTreeSet<&str> = scan.columns.iter().copied().collect();
        let chosen = |row: Row| {
            let schema = row.batch.schema();
            let indices: Vec<usize> = schema
                .fields()
                .iter()
                .enumerate()
                .filter(|(_, field)| columns.is_empty() || columns.contains(field.name().as_str()))
                .map(|(index, _)| index)
                .collect();
            row.batch.project(&indices).unwrap()
        };
        let batches = rows.into_iter().map(chosen).collect();
        async move { Ok(batches) }.boxed()
    }

    fn replace(
        &self,
        _: TableName,
        _: InstrumentId,
        _: TimeRange,
        _: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Err(StoreError::Failed("refine replaces nothing".into())) }.boxed()
    }
}

/// Past rows into a store in memory.
pub(crate) struct FakeBulk(pub(crate) Arc<FakeStore>);

struct Writing {
    store: Arc<FakeStore>,
    table: TableName,
    batches: Vec<RecordBatch>,
}

impl BulkStore for FakeBulk {
    fn begin(&self, table: TableName) -> Result<Box<dyn BulkWriter>, StoreError> {
        Ok(Box::new(Writing { store: Arc::clone(&self.0), table, batches: Vec::new() }))
    }
}

impl BulkWriter for Writing {
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        self.batches.push(rows);
        Ok(())
    }

    fn commit(self: Box<Self>, outgoing: Option<Outgoing>) -> Result<BulkReport, StoreError> {
        if self.store.is_stuck.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("no space left on device".into()));
        }
        self.store.put(self.table, &self.batches, outgoing.as_ref());
        let rows = self.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Ok(BulkReport { rows, files: 1, bytes: rows })
    }
}
