//! Reads rows of one table by instrument, time or id: files and buffer as one, in the order of the key.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
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
use tables::{ColumnKind, Partition, Table, TableName, TableScan, TimeRange};

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

/// Along what a search with a limit goes: what orders the rows of one subject.
#[derive(Clone, Copy)]
enum Axis {
    /// The table's time.
    Time,
    /// A number with a row or two for each: the times of blocks go back and forth, their heights do not.
    Number(&'static str),
}

impl Axis {
    // Where a word comes next in the key (the timeframe of bars), the rows nearest in time are found.
    fn of(table: &Table) -> Self {
        let next = table.key.get(1).and_then(|name| table.columns.iter().find(|column| column.name == *name));
        match next {
            Some(column) if column.kind == ColumnKind::Int64 => Self::Number(column.name),
            _ => Self::Time,
        }
    }

    fn window_first(self, table: &Table, limit: usize) -> i64 {
        match self {
            Self::Time => window_first(table),
            Self::Number(_) => i64::try_from(limit).unwrap_or(i64::MAX).max(1),
        }
    }
}

/// A piece of what is asked for.
#[derive(Clone, Copy)]
struct Part {
    range: Option<TimeRange>,
    /// Only rows with a number from the first to before the second in this column.
    numbers: Option<(&'static str, i64, i64)>,
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
        _ => scan.between(scan.whole()).await?.into_iter().collect(),
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

    fn whole(&self) -> Part {
        Part { range: self.ask.range, numbers: None }
    }

    /// Reads from one end of the rows, window by window, until there are enough.
    async fn in_windows(&self, limit: usize) -> Result<Vec<RecordBatch>, Error> {
        let axis = Axis::of(self.table);
        let (mut low, mut high) = self.extent(axis)?;
        let is_all_at_once = self.rows_at_most() <= (limit as u64).saturating_mul(FEW);
        let mut window = if is_all_at_once { i64::MAX } else { axis.window_first(self.table, limit) };
        let (mut found, mut count) = (Vec::new(), 0);
        while low < high && count < limit {
            let (from, until) = if self.ask.is_descending {
                (high.saturating_sub(window).max(low), high)
            } else {
                (low, low.saturating_add(window).min(high))
            };
            let part = match axis {
                Axis::Time => {
                    Part { range: Some(TimeRange { start: Time(from), end: Time(until) }), numbers: None }
                }
                Axis::Number(column) => Part { range: self.ask.range, numbers: Some((column, from, until)) },
            };
            if let Some(rows) = self.between(part).await? {
                count += rows.num_rows();
                found.push(rows);
            }
            if self.ask.is_descending {
                high = from;
            } else {
                low = until;
            }
            window = window.saturating_mul(4);
        }
        if self.ask.is_descending {
            found.reverse();
        }
        Ok(found)
    }

    /// From where to before where on the axis there can be rows.
    fn extent(&self, axis: Axis) -> Result<(i64, i64), Error> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for file in self.files(self.whole()) {
            let (first, last) = match axis {
                Axis::Time => file.times(self.table),
                Axis::Number(column) => match file.bounds(column) {
                    Some(Bounds::Int(first, last)) => (*first, *last),
                    _ => (i64::MIN, i64::MAX),
                },
            };
            (low, high) = (low.min(first), high.max(last));
        }
        for batch in &self.captured.buffer {
            let (first, last) = match axis {
                Axis::Time => {
                    let times =
                        rows::column_of(batch, self.table.time)?.as_primitive::<TimestampMicrosecondType>();
                    (compute::min(times), compute::max(times))
                }
                Axis::Number(column) => {
                    let numbers = rows::column_of(batch, column)?.as_primitive::<Int64Type>();
                    (compute::min(numbers), compute::max(numbers))
                }
            };
            low = low.min(first.unwrap_or(i64::MAX));
            high = high.max(last.unwrap_or(i64::MIN));
        }
        if low > high {
            return Ok((0, 0));
        }
        let (mut start, mut end) = (low, high.saturating_add(1));
        match axis {
            Axis::Time => {
                if let Some(range) = self.ask.range {
                    (start, end) = (start.max(range.start.0), end.min(range.end.0));
                }
            }
            Axis::Number(name) => {
                let own = |(column, bound): (&str, i64)| (column == name).then_some(bound);
                start = start.max(self.ask.at_least.and_then(own).unwrap_or(i64::MIN));
                end = end.min(self.ask.at_most.and_then(own).map_or(i64::MAX, |most| most.saturating_add(1)));
            }
        }
        Ok((start, end))
    }

    /// No more rows than these can be in the range.
    fn rows_at_most(&self) -> u64 {
        let stored: u64 = self.files(self.whole()).iter().map(|file| file.rows).sum();
        stored + self.captured.buffer.iter().map(|batch| batch.num_rows() as u64).sum::<u64>()
    }

    /// What the rows asked for are about.
    fn subject(&self) -> Option<&str> {
        self.ask.instrument.as_ref().map(model::InstrumentId::as_str).or(self.ask.subject.as_deref())
    }

    /// What whole numbers may be in which columns, ends included.
    fn limits(&self, part: Part) -> impl Iterator<Item = (&'static str, i64, i64)> {
        let least = self.ask.at_least.map(|(column, least)| (column, least, i64::MAX));
        let most = self.ask.at_most.map(|(column, most)| (column, i64::MIN, most));
        let piece = part.numbers.map(|(column, from, until)| (column, from, until - 1));
        [least, most, piece].into_iter().flatten()
    }

    fn files(&self, part: Part) -> Vec<Arc<DataFile>> {
        let subject = self.subject();
        let may_reach = |file: &DataFile| {
            self.limits(part).all(|(column, least, most)| match file.bounds(column) {
                Some(Bounds::Int(low, high)) => *low <= most && least <= *high,
                _ => true,
            })
        };
        let files = self.captured.files.iter();
        files
            .filter(|file| file.may_hold(self.table, subject, part.range) && may_reach(file))
            .cloned()
            .collect()
    }

    /// Rows of a part of the range, sorted.
    async fn between(&self, part: Part) -> Result<Option<RecordBatch>, Error> {
        let predicate = self.predicate(part).map_err(failed(format!("scan table {}", self.table.name)))?;
        let files = self.files(part);
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

    fn predicate(&self, part: Part) -> Result<Option<Arc<dyn PhysicalExpr>>, DataFusionError> {
        let schema: Arc<Schema> = self.table.stored_schema();
        let compare =
            |name: &str, operator, value| binary(col(name, &schema)?, operator, lit(value), &schema);
        let moment = |time: Time| ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into()));
        let mut terms = Vec::new();
        if let Some(subject) = self.subject() {
            terms.push(of_subject(&schema, self.table.subject(), subject)?);
        }
        if let Some(range) = part.range {
            terms.push(compare(self.table.time, Operator::GtEq, moment(range.start))?);
            terms.push(compare(self.table.time, Operator::Lt, moment(range.end))?);
        }
        for (column, least, most) in self.limits(part) {
            let is_time = matches!(schema.field_with_name(column)?.data_type(), DataType::Timestamp(..));
            let value =
                |number| if is_time { moment(Time(number)) } else { ScalarValue::Int64(Some(number)) };
            if least > i64::MIN {
                terms.push(compare(column, Operator::GtEq, value(least))?);
            }
            if most < i64::MAX {
                terms.push(compare(column, Operator::LtEq, value(most))?);
            }
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
