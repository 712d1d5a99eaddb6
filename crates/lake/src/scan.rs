//! Reads rows of one table by instrument, time or id: files and buffer as one, in the order of the key.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::{DataType, Schema};
use deltalake::arrow::compute::{self, filter_record_batch};
use deltalake::arrow::row::OwnedRow;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::logical_expr::Operator;
use deltalake::datafusion::physical_expr::expressions::{binary, col, lit};
use deltalake::datafusion::physical_expr::{PhysicalExpr, conjunction};
use deltalake::datafusion::scalar::ScalarValue;
use model::Time;
use model::time::MINUTE;
use tables::{Partition, Table, TableName, TableScan, TimeRange};

use crate::error::{Error, failed};
use crate::file::{Bounds, DataFile};
use crate::reader::{FileAsk, Reader};
use crate::rows::{self, Keys};
use crate::shelf::{Captured, House};

/// The first window of a search with a limit; each further one is four times as long. Tables of events have many rows
/// a minute, the others a few an hour.
fn window_first(table: &Table) -> i64 {
    match table.partition {
        Partition::Day(_) => MINUTE,
        Partition::Month(_) | Partition::None => 120 * MINUTE,
    }
}

/// Where so many times the limit are all the rows there are, they are read at once: each window reads again what the one before
/// decoded of a row group.
const FEW: u64 = 8;

/// Answers a scan.
pub(crate) async fn scan(house: &House, name: TableName, ask: TableScan) -> Result<Vec<RecordBatch>, Error> {
    let shelf = house.capture(house.shelf(name)?);
    captured(&house.reader, shelf, ask, house.settings.threads).await
}

/// Answers a scan of a table as it was at a moment.
pub(crate) async fn captured(
    reader: &Reader,
    captured: Captured,
    ask: TableScan,
    threads: usize,
) -> Result<Vec<RecordBatch>, Error> {
    let scan = Scan::prepare(reader, captured, ask, threads)?;
    let found = match (scan.ask.limit, scan.subject()) {
        (Some(limit), Some(_)) => scan.in_windows(limit).await?,
        _ => scan.between(scan.ask.range).await?.into_iter().collect(),
    };
    scan.finish(&found)
}

struct Scan<'a> {
    reader: &'a Reader,
    table: &'static Table,
    captured: Captured,
    ask: TableScan,
    /// Columns read: those asked for and those of the key.
    columns: Vec<usize>,
    /// Keys of a keyed table that the buffer replaces.
    replaced: Option<(Keys, HashSet<OwnedRow>)>,
    threads: usize,
}

impl<'a> Scan<'a> {
    fn prepare(
        reader: &'a Reader,
        mut captured: Captured,
        ask: TableScan,
        threads: usize,
    ) -> Result<Self, Error> {
        let table = captured.table;
        let schema = table.stored_schema();
        let names: Vec<&str> = if ask.columns.is_empty() {
            table.columns.iter().map(|column| column.name).collect()
        } else {
            ask.columns.clone()
        };
        let mut columns = Vec::new();
        for name in names.iter().chain(table.key) {
            let index = schema
                .index_of(name)
                .map_err(|_| Error::Unusable(format!("table {} has no column {name}", table.name)))?;
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
        let mut replaced = None;
        if table.is_keyed && !captured.buffer.is_empty() {
            let keys = Keys::of(table)?;
            let newest = keys.newest(&rows::concat(&schema, &captured.buffer)?)?;
            let set = keys.set(&newest)?;
            captured.buffer = vec![newest];
            replaced = Some((keys, set));
        }
        Ok(Self { reader, table, captured, ask, columns, replaced, threads })
    }

    /// Reads from one end of the range, window by window, until there are enough rows.
    async fn in_windows(&self, limit: usize) -> Result<Vec<RecordBatch>, Error> {
        let Some(mut left) = self.extent()? else { return Ok(Vec::new()) };
        let is_all_at_once = self.rows_at_most() <= (limit as u64).saturating_mul(FEW);
        let mut window = if is_all_at_once { i64::MAX } else { window_first(self.table) };
        let (mut found, mut count) = (Vec::new(), 0);
        while left.start < left.end && count < limit {
            let part = if self.ask.is_descending {
                let start = Time(left.end.0.saturating_sub(window)).max(left.start);
                TimeRange { start, end: left.end }
            } else {
                let end = Time(left.start.0.saturating_add(window)).min(left.end);
                TimeRange { start: left.start, end }
            };
            if let Some(rows) = self.between(Some(part)).await? {
                count += rows.num_rows();
                found.push(rows);
            }
            if self.ask.is_descending {
                left.end = part.start;
            } else {
                left.start = part.end;
            }
            window = window.saturating_mul(4);
        }
        if self.ask.is_descending {
            found.reverse();
        }
        Ok(found)
    }

    /// The part of the range asked for in which there can be rows.
    fn extent(&self) -> Result<Option<TimeRange>, Error> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for file in self.files(self.ask.range) {
            let (first, last) = file.times(self.table);
            (low, high) = (low.min(first), high.max(last));
        }
        for batch in &self.captured.buffer {
            let times = rows::column_of(batch, self.table.time)?.as_primitive::<TimestampMicrosecondType>();
            low = low.min(compute::min(times).unwrap_or(i64::MAX));
            high = high.max(compute::max(times).unwrap_or(i64::MIN));
        }
        if low > high {
            return Ok(None);
        }
        let all = TimeRange { start: Time(low), end: Time(high.saturating_add(1)) };
        Ok(self.ask.range.map_or(Some(all), |range| range.overlap(&all)))
    }

    /// No more rows than these can be in the range.
    fn rows_at_most(&self) -> u64 {
        let stored: u64 = self.files(self.ask.range).iter().map(|file| file.rows).sum();
        stored + self.captured.buffer.iter().map(|batch| batch.num_rows() as u64).sum::<u64>()
    }

    /// What the rows asked for are about.
    fn subject(&self) -> Option<&str> {
        self.ask.instrument.as_ref().map(model::InstrumentId::as_str).or(self.ask.subject.as_deref())
    }

    fn files(&self, range: Option<TimeRange>) -> Vec<Arc<DataFile>> {
        let subject = self.subject();
        let may_reach = |file: &DataFile| match self.ask.at_least {
            Some((column, least)) => {
                !matches!(file.bounds(column), Some(Bounds::Int(_, most)) if *most < least)
            }
            None => true,
        };
        let files = self.captured.files.iter();
        files.filter(|file| file.may_hold(self.table, subject, range) && may_reach(file)).cloned().collect()
    }

    /// Rows of a part of the range, sorted.
    async fn between(&self, range: Option<TimeRange>) -> Result<Option<RecordBatch>, Error> {
        let predicate = self.predicate(range).map_err(failed(format!("scan table {}", self.table.name)))?;
        let files = self.files(range);
        let ask = FileAsk {
            table: self.table,
            files: &files,
            predicate: predicate.clone(),
            projection: Some(self.columns.clone()),
            streams: self.threads,
        };
        let mut found = self.reader.read(&ask).await?;
        if let Some((keys, replaced)) = &self.replaced {
            for batch in &mut found {
                *batch = filter_record_batch(batch, &keys.absent(batch, replaced)?)
                    .map_err(failed("drop replaced rows"))?;
            }
        }
        let is_in_order = files.len() <= 1 && files.iter().all(|file| file.is_sorted());
        let stored_count = found.len();
        for batch in &self.captured.buffer {
            let matching = matching(batch, predicate.as_ref())
                .map_err(failed(format!("scan the buffer of table {}", self.table.name)))?;
            if matching.num_rows() > 0 {
                found.push(matching.project(&self.columns).map_err(failed("choose columns"))?);
            }
        }
        if !is_in_order {
            // Files come in any order, and mostly lie one behind the other: what is sorted then need not be sorted.
            found.sort_by_key(|batch| first_time(batch, self.table));
        }
        let Some(first) = found.first() else { return Ok(None) };
        let joined = rows::concat(&first.schema(), &found)?;
        if is_in_order && found.len() == stored_count {
            return Ok(Some(joined));
        }
        // With one instrument its column cannot decide anything.
        let skip = usize::from(self.ask.instrument.is_some() || self.ask.subject.is_some());
        rows::sort_by(&joined, &self.table.key[skip..]).map(Some)
    }

    fn predicate(&self, range: Option<TimeRange>) -> Result<Option<Arc<dyn PhysicalExpr>>, DataFusionError> {
        let schema: Arc<Schema> = self.table.stored_schema();
        let compare =
            |name: &str, operator, value| binary(col(name, &schema)?, operator, lit(value), &schema);
        let moment = |time: Time| ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into()));
        let mut terms = Vec::new();
        if let Some(subject) = self.subject() {
            terms.push(of_subject(&schema, self.table.subject(), subject)?);
        }
        if let Some(range) = range {
            terms.push(compare(self.table.time, Operator::GtEq, moment(range.start))?);
            terms.push(compare(self.table.time, Operator::Lt, moment(range.end))?);
        }
        if let Some((column, least)) = self.ask.at_least {
            let value = match schema.field_with_name(column)?.data_type() {
                DataType::Timestamp(..) => moment(Time(least)),
                _ => ScalarValue::Int64(Some(least)),
            };
            terms.push(compare(column, Operator::GtEq, value)?);
        }
        Ok((!terms.is_empty()).then(|| conjunction(terms)))
    }

    /// The columns asked for, in the order and number asked for.
    fn finish(&self, found: &[RecordBatch]) -> Result<Vec<RecordBatch>, Error> {
        let Some(first) = found.first() else { return Ok(Vec::new()) };
        let mut rows = rows::concat(&first.schema(), found)?;
        let limit = self.ask.limit.unwrap_or(usize::MAX).min(rows.num_rows());
        if self.ask.is_descending {
            rows = rows::reverse(&rows.slice(rows.num_rows() - limit, limit))?;
        } else {
            rows = rows.slice(0, limit);
        }
        if self.ask.columns.is_empty() {
            rows = rows::without_partition(self.table, &rows)?;
        } else {
            let schema = rows.schema();
            let indices =
                self.ask.columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
            rows = indices.and_then(|indices| rows.project(&indices)).map_err(failed("choose columns"))?;
        }
        Ok(if rows.num_rows() == 0 { Vec::new() } else { vec![rows] })
    }
}

/// Rows of one instrument, or whatever else the table is about.
pub(crate) fn of_subject(
    schema: &Schema,
    column: &str,
    subject: &str,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let value = lit(ScalarValue::Utf8(Some(subject.to_owned())));
    binary(col(column, schema)?, Operator::Eq, value, schema)
}

/// The time of the first row.
fn first_time(batch: &RecordBatch, table: &Table) -> Option<i64> {
    let times = batch.column_by_name(table.time)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.values().first().copied()
}

fn matching(
    batch: &RecordBatch,
    predicate: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<RecordBatch, DataFusionError> {
    let Some(predicate) = predicate else { return Ok(batch.clone()) };
    let mask = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    Ok(filter_record_batch(batch, mask.as_boolean())?)
}
