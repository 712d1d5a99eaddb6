//! Reads typed values out of the columns of table rows, and asks the store for rows.

use std::ops::Range;

use arrow_array::TimestampMicrosecondArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use model::{InstrumentId, Time};
use tables::{ColumnKind, TableName, TableScan, TimeRange};

use crate::dto::trade::id_text;
use crate::dto::{Number, TradeForm};
use crate::house::House;
use crate::refusal::Refusal;
use crate::rest::ask::Bounds;

/// How far back the newest rows are looked for before everything is searched.
const LOOK_BACK: [i64; 3] = [model::time::MINUTE * 60, model::time::DAY, model::time::DAY * 30];

/// One batch of a table.
pub(crate) struct Columns<'a> {
    table: TableName,
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(table: TableName, batch: &'a RecordBatch) -> Self {
        Self { table, batch }
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        0..self.batch.num_rows()
    }

    // The engine may hand text as views or dictionaries; the declared type is what is read.
    fn column(&self, name: &str, kind: ColumnKind) -> Result<ArrayRef, Refusal> {
        let broken = |why: String| {
            Refusal::from(tables::StoreError::Failed(format!("read {}.{name}: {why}", self.table)))
        };
        let array = self.batch.column_by_name(name).ok_or_else(|| broken("no such column".to_owned()))?;
        let wanted: DataType = kind.data_type();
        if *array.data_type() == wanted {
            return Ok(array.clone());
        }
        arrow_cast::cast(array, &wanted).map_err(|error| broken(error.to_string()))
    }

    pub(crate) fn text(&self, name: &str) -> Result<StringArray, Refusal> {
        Ok(self.column(name, ColumnKind::Text)?.as_string::<i32>().clone())
    }

    pub(crate) fn time(&self, name: &str) -> Result<TimestampMicrosecondArray, Refusal> {
        Ok(self.column(name, ColumnKind::Time)?.as_primitive::<TimestampMicrosecondType>().clone())
    }

    pub(crate) fn int(&self, name: &str) -> Result<Int64Array, Refusal> {
        Ok(self.column(name, ColumnKind::Int64)?.as_primitive::<Int64Type>().clone())
    }

    pub(crate) fn small(&self, name: &str) -> Result<Int32Array, Refusal> {
        Ok(self.column(name, ColumnKind::Int32)?.as_primitive::<Int32Type>().clone())
    }

    pub(crate) fn float(&self, name: &str) -> Result<Float64Array, Refusal> {
        Ok(self.column(name, ColumnKind::Float64)?.as_primitive::<Float64Type>().clone())
    }
}

/// The number in a row.
pub(crate) fn number(array: &Float64Array, row: usize) -> Number {
    Number::Stored(array.value(row))
}

/// The number in a row, if there is one.
pub(crate) fn number_or_null(array: &Float64Array, row: usize) -> Option<Number> {
    array.is_valid(row).then(|| number(array, row))
}

/// Milliseconds of the moment in a row.
pub(crate) fn millis(array: &TimestampMicrosecondArray, row: usize) -> i64 {
    Time(array.value(row)).millis()
}

/// Rows of one instrument: the oldest within the bounds if they have a start, else the newest; ascending either way.
pub(crate) async fn read(
    house: &House,
    table: TableName,
    instrument: &InstrumentId,
    bounds: Bounds,
    limit: usize,
) -> Result<Vec<RecordBatch>, Refusal> {
    let scan = |range: Option<TimeRange>, is_descending: bool| TableScan {
        instrument: Some(instrument.clone()),
        range,
        is_descending,
        limit: Some(limit),
        ..TableScan::default()
    };
    if bounds.start.is_some() {
        return Ok(house.doors.store.scan(table, scan(bounds.range(), false)).await?);
    }
    let mut rows = Vec::new();
    for start in look_back(house, table, instrument, bounds) {
        let range =
            start.map_or_else(|| bounds.range(), |start| Bounds { start: Some(start), ..bounds }.range());
        rows = house.doors.store.scan(table, scan(range, true)).await?;
        if rows.iter().map(RecordBatch::num_rows).sum::<usize>() >= limit {
            break;
        }
    }
    Ok(turned(&rows))
}

// A day-partitioned table of years is not searched for its last thousand rows when the last hour holds them.
fn look_back(
    house: &House,
    table: TableName,
    instrument: &InstrumentId,
    bounds: Bounds,
) -> Vec<Option<Time>> {
    if tables::table(table).partition == tables::Partition::None {
        return vec![None];
    }
    let newest = house.doors.coverage.newest_trade(instrument).map(|(_, time)| time);
    let anchor = bounds.end.or(newest).unwrap_or_else(|| house.clock.time());
    let near = LOOK_BACK.iter().map(|span| Some(Time(anchor.plus_micros(-span).0.max(0))));
    near.chain([None]).collect()
}

/// Descending rows turned into ascending ones.
pub(crate) fn turned(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let turn = |batch: &RecordBatch| {
        let rows = i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let order = Int64Array::from_iter_values((0..rows).rev());
        arrow_select::take::take_record_batch(batch, &order)
    };
    batches.iter().rev().filter_map(|batch| turn(batch).ok()).collect()
}

/// Trades of the batches, in their order.
pub(crate) fn trades(batches: &[RecordBatch]) -> Result<Vec<TradeForm>, Refusal> {
    let mut forms = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let columns = Columns::of(TableName::Trades, batch);
        let (ids, texts) = (columns.int("trade_id")?, columns.text("venue_trade_id")?);
        let (times, received) = (columns.time("venue_time")?, columns.time("received_time")?);
        let (prices, quantities) = (columns.float("price")?, columns.float("quantity")?);
        let (first, last) = (columns.int("first_trade_id")?, columns.int("last_trade_id")?);
        let (sides, conditions, sources) =
            (columns.text("taker_side")?, columns.text("condition")?, columns.text("source")?);
        let int = |array: &Int64Array, row| array.is_valid(row).then(|| array.value(row));
        forms.extend(columns.rows().map(|row| TradeForm {
            aggregate_id: int(&ids, row),
            trade_id: id_text(int(&ids, row), texts.is_valid(row).then(|| texts.value(row))),
            price: number(&prices, row),
            quantity: number(&quantities, row),
            timestamp: millis(&times, row),
            is_buyer_maker: sides.value(row) == "sell",
            first_trade_id: int(&first, row),
            last_trade_id: int(&last, row),
            condition: conditions.value(row).to_owned(),
            received_time: millis(&received, row),
            source: sources.value(row).to_owned(),
        }));
    }
    Ok(forms)
}
