//! Tables in memory that behave like the lake's, and the fixture chain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, RecordBatch};
use control::Control;
use futures::future::BoxFuture;
use model::{InstrumentId, LogPosition};
use runtime::SystemClock;
use tables::{
    RowBatch, Step, StepStore, StoreError, Table, TableName, TableScan, TableStore, TimeRange, table,
};

use crate::{BlockFolder, Doors};

#[derive(Default)]
struct Held {
    rows: BTreeMap<TableName, RecordBatch>,
    steps: BTreeMap<TableName, LogPosition>,
    /// Commits that still succeed; `None` for all.
    left: Option<u32>,
    /// A table that takes nothing.
    broken: Option<TableName>,
    /// A table whose next commit stands though its answer is lost.
    lost: Option<TableName>,
    /// What stands of it, unseen until the next commit to that table.
    unseen: Option<(TableName, RecordBatch, LogPosition)>,
}

/// Tables in memory. After `fail_after` commits, every further one fails, as if the process had been killed.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Held>);

impl Memory {
    pub(crate) fn fail_after(&self, commits: Option<u32>) {
        self.0.lock().unwrap().left = commits;
    }

    /// Lets every commit of a table fail.
    pub(crate) fn break_table(&self, table: TableName) {
        self.0.lock().unwrap().broken = Some(table);
    }

    /// The next commit of a table fails, and stands all the same: seen by who commits to it next, as with the lake.
    pub(crate) fn lose_answer(&self, table: TableName) {
        self.0.lock().unwrap().lost = Some(table);
    }

    fn see(&self, table: TableName) {
        let mut held = self.0.lock().unwrap();
        if let Some((table, rows, step)) = held.unseen.take_if(|unseen| unseen.0 == table) {
            held.rows.insert(table, rows);
            held.steps.insert(table, step);
        }
    }

    pub(crate) fn rows(&self, name: TableName) -> RecordBatch {
        let held = self.0.lock().unwrap();
        held.rows.get(&name).cloned().unwrap_or_else(|| RecordBatch::new_empty(table(name).row_schema()))
    }
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> i64 {
    let column = batch.column_by_name(name).unwrap();
    match column.data_type() {
        arrow_schema::DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
    }
}

fn text<'a>(batch: &'a RecordBatch, name: &str, row: usize) -> &'a str {
    batch.column_by_name(name).unwrap().as_string::<i32>().value(row)
}

fn key(table: &Table, batch: &RecordBatch, row: usize) -> Vec<(String, i64)> {
    let cells = table.key.iter().map(|name| match batch.column_by_name(name).unwrap().data_type() {
        arrow_schema::DataType::Utf8 => (text(batch, name, row).to_owned(), 0),
        _ => (String::new(), cell(batch, name, row)),
    });
    cells.collect()
}

fn filtered(batch: &RecordBatch, keep: impl Fn(usize) -> bool) -> RecordBatch {
    let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(keep(row))).collect();
    arrow_select::filter::filter_record_batch(batch, &mask).unwrap()
}

fn sorted(table: &Table, batch: &RecordBatch) -> RecordBatch {
    let mut order: Vec<i64> = (0..batch.num_rows() as i64).collect();
    order.sort_by_key(|row| key(table, batch, *row as usize));
    arrow_select::take::take_record_batch(batch, &arrow_array::Int64Array::from(order)).unwrap()
}

impl StepStore for Memory {
    fn apply(&self, step: Step) -> BoxFuture<'_, Result<(), StoreError>> {
        self.see(step.table);
        let table = table(step.table);
        let old = self.rows(step.table);
        let mut held = self.0.lock().unwrap();
        if let Some(through) = step.through
            && held.steps.get(&step.table).is_some_and(|own| *own >= through)
        {
            return Box::pin(async { Err(StoreError::Conflict("the step stands".to_owned())) });
        }
        if held.broken == Some(step.table) {
            return Box::pin(async { Err(StoreError::Failed("the table is broken".to_owned())) });
        }
        if let Some(left) = &mut held.left {
            if *left == 0 {
                return Box::pin(async { Err(StoreError::Failed("killed".to_owned())) });
            }
            *left -= 1;
        }
        let new: std::collections::BTreeSet<_> =
            (0..step.rows.num_rows()).map(|row| key(table, &step.rows, row)).collect();
        assert_eq!(new.len(), step.rows.num_rows(), "two rows with the same key in one step");
        let stays = |row: usize| {
            let leaves = step.outgoing.as_ref().is_some_and(|span| {
                text(&old, table.subject(), row) == span.subject
                    && (span.start..span.end).contains(&cell(&old, span.column, row))
            });
            !leaves && !new.contains(&key(table, &old, row))
        };
        let kept = filtered(&old, stays);
        let all = arrow_select::concat::concat_batches(&table.row_schema(), [&kept, &step.rows]).unwrap();
        if let Some(through) = step.through
            && held.lost.take_if(|lost| *lost == step.table).is_some()
        {
            held.unseen = Some((step.table, sorted(table, &all), through));
            return Box::pin(async { Err(StoreError::Failed("the answer was lost".to_owned())) });
        }
        held.rows.insert(step.table, sorted(table, &all));
        if let Some(through) = step.through {
            held.steps.insert(step.table, through);
        }
        Box::pin(async { Ok(()) })
    }

    fn step_of(&self, table: TableName) -> Result<LogPosition, StoreError> {
        Ok(self.0.lock().unwrap().steps.get(&table).copied().unwrap_or_default())
    }
}

impl TableStore for Memory {
    fn append(&self, _rows: RowBatch) -> Result<(), StoreError> {
        Err(StoreError::Failed("not of this store".to_owned()))
    }

    fn commit(&self, _through: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn buffered(&self) -> (usize, usize) {
        (0, 0)
    }

    fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        BTreeMap::new()
    }

    fn scan(&self, name: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
        let (table, all) = (table(name), self.rows(name));
        let is_asked = |row: usize| {
            scan.subject.as_deref().is_none_or(|subject| text(&all, table.subject(), row) == subject)
                && scan
                    .range
                    .is_none_or(|range| (range.start.0..range.end.0).contains(&cell(&all, table.time, row)))
                && scan.at_least.is_none_or(|(column, least)| cell(&all, column, row) >= least)
                && scan.at_most.is_none_or(|(column, most)| cell(&all, column, row) <= most)
        };
        let mut found = filtered(&all, is_asked);
        if scan.is_descending {
            let order: Vec<i64> = (0..found.num_rows() as i64).rev().collect();
            found =
                arrow_select::take::take_record_batch(&found, &arrow_array::Int64Array::from(order)).unwrap();
        }
        let limit = scan.limit.unwrap_or(usize::MAX).min(found.num_rows());
        found = found.slice(0, limit);
        if !scan.columns.is_empty() {
            let schema = found.schema();
            let places: Vec<usize> = scan.columns.iter().map(|name| schema.index_of(name).unwrap()).collect();
            found = found.project(&places).unwrap();
        }
        Box::pin(async move { Ok(if found.num_rows() == 0 { Vec::new() } else { vec![found] }) })
    }

    fn replace(
        &self,
        _table: TableName,
        _instrument: InstrumentId,
        _range: TimeRange,
        _rows: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Err(StoreError::Failed("not of this store".to_owned())) })
    }
}

/// Doors over tables in memory and a folder.
pub(crate) fn doors(memory: &Arc<Memory>, folder: &std::path::Path) -> Doors {
    Doors {
        steps: Arc::clone(memory) as _,
        store: Arc::clone(memory) as _,
        control: Control::open(folder.join("control.sqlite")).unwrap(),
        clock: SystemClock::shared(),
        blocks: BlockFolder { path: folder.join("blocks"), is_kept: true },
        coins: None,
    }
}

/// The lines of a compressed file of the fixture chain.
pub(crate) fn lines(name: &str) -> Vec<String> {
    let path = PathBuf::from(format!(
        "{}/../chain/fixtures/regtest",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ))
    .join(name);
    let bytes = std::fs::read(path).unwrap();
    let text = zstd::decode_all(&bytes[..]).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
