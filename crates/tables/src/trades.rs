//! The table `trades`: one row per print of the canonical feed.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use model::{Condition, Decimal, InstrumentId, Side, Source, Time, Trade};

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Trades,
    doc: "One print of an instrument's canonical trade feed.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id, such as binance-futures:BTC-USDT-PERP."),
        Column::new("venue_time", ColumnKind::Time, "When the venue matched the trade."),
        Column::new("trade_id", ColumnKind::Int64, "The venue's numeric id (Binance: aggregate id).")
            .nullable(),
        Column::new("venue_trade_id", ColumnKind::Text, "The venue's text id where ids are no numbers.")
            .nullable(),
        Column::new("price", ColumnKind::Float64, "Price in quote asset; prints back the venue's digits."),
        Column::new(
            "quantity",
            ColumnKind::Float64,
            "Quantity in base asset; prints back the venue's digits.",
        ),
        Column::new("taker_side", ColumnKind::Text, "Side of the aggressor: buy or sell."),
        Column::new("first_trade_id", ColumnKind::Int64, "First raw trade of an aggregate.").nullable(),
        Column::new("last_trade_id", ColumnKind::Int64, "Last raw trade of an aggregate.").nullable(),
        Column::new(
            "condition",
            ColumnKind::Text,
            "market, or why the print is no market trade (not in bars).",
        ),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
        Column::new("source", ColumnKind::Text, "How it reached us: stream, rest or archive."),
    ],
    key: &["instrument", "venue_time", "trade_id", "venue_trade_id"],
    time: "venue_time",
    partition: Partition::Day("venue_time"),
    is_keyed: false,
};

pub(crate) fn to_batch(rows: &[Trade]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.venue_time))
        .int_or_null(rows.iter().map(|row| row.trade_id))
        .text_or_null(rows.iter().map(|row| row.venue_trade_id.as_deref()))
        .float(rows.iter().map(|row| row.price))
        .float(rows.iter().map(|row| row.quantity))
        .text(rows.iter().map(|row| row.taker_side.as_str()))
        .int_or_null(rows.iter().map(|row| row.first_trade_id))
        .int_or_null(rows.iter().map(|row| row.last_trade_id))
        .text(rows.iter().map(|row| row.condition.as_str()))
        .time(rows.iter().map(|row| row.received_time))
        .text(rows.iter().map(|row| row.source.as_str()))
        .finish()
}

/// Gathers market trades of one instrument and one source column by column: for millions of them at a time.
#[derive(Debug)]
pub struct TradeColumns {
    same: Same,
    venue_time: Vec<i64>,
    trade_id: Ids,
    venue_trade_id: Texts,
    price: Vec<f64>,
    quantity: Vec<f64>,
    taker_side: Vec<Side>,
    first_trade_id: Ids,
    last_trade_id: Ids,
}

/// What differs from trade to trade.
#[derive(Clone, Copy, Debug)]
pub struct TradeCells<'a> {
    /// When the venue matched it.
    pub venue_time: Time,
    /// Numeric id, if the venue has them.
    pub trade_id: Option<i64>,
    /// Text id otherwise.
    pub venue_trade_id: Option<&'a str>,
    /// Price in quote asset.
    pub price: Decimal,
    /// Quantity in base asset.
    pub quantity: Decimal,
    /// Side of the aggressor.
    pub taker_side: Side,
    /// First raw trade of an aggregate.
    pub first_trade_id: Option<i64>,
    /// Last raw trade of an aggregate.
    pub last_trade_id: Option<i64>,
}

impl TradeColumns {
    /// No trades yet; `received_time` holds for all of them.
    pub fn new(instrument: InstrumentId, source: Source, received_time: Time) -> Self {
        Self {
            same: Same { instrument, source, received_time, made: Vec::new() },
            venue_time: Vec::new(),
            trade_id: Ids::default(),
            venue_trade_id: Texts::default(),
            price: Vec::new(),
            quantity: Vec::new(),
            taker_side: Vec::new(),
            first_trade_id: Ids::default(),
            last_trade_id: Ids::default(),
        }
    }

    /// Adds a trade.
    #[inline]
    pub fn push(&mut self, trade: &TradeCells<'_>) {
        let row = self.venue_time.len();
        self.trade_id.push(trade.trade_id);
        if let Some(text) = trade.venue_trade_id {
            self.venue_trade_id.push(row, text);
        }
        self.venue_time.push(trade.venue_time.0);
        self.price.push(trade.price.to_f64());
        self.quantity.push(trade.quantity.to_f64());
        self.taker_side.push(trade.taker_side);
        self.first_trade_id.push(trade.first_trade_id);
        self.last_trade_id.push(trade.last_trade_id);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.venue_time.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.venue_time.is_empty()
    }

    /// The trades so far as rows of the table; none are left behind.
    pub fn take(&mut self) -> RecordBatch {
        let count = self.len();
        let [instrument, condition, received, source] = self.same.columns(count);
        let sides = std::mem::take(&mut self.taker_side);
        let columns: Vec<ArrayRef> = vec![
            instrument,
            Arc::new(TimestampMicrosecondArray::from(emptied(&mut self.venue_time)).with_timezone("UTC")),
            self.trade_id.take(),
            self.venue_trade_id.take(count),
            Arc::new(Float64Array::from(emptied(&mut self.price))),
            Arc::new(Float64Array::from(emptied(&mut self.quantity))),
            Arc::new(StringArray::from_iter_values(sides.iter().map(|side| side.as_str()))),
            self.first_trade_id.take(),
            self.last_trade_id.take(),
            condition,
            received,
            source,
        ];
        self.taker_side = sides;
        self.taker_side.clear();
        RecordBatch::try_new(TABLE.row_schema(), columns).expect("one array per declared column, in order")
    }
}

/// The values; room for as many more is left behind.
fn emptied<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

/// What all rows have in common. Columns of it are made once and cut to length.
#[derive(Debug)]
struct Same {
    instrument: InstrumentId,
    source: Source,
    received_time: Time,
    made: Vec<ArrayRef>,
}

impl Same {
    fn columns(&mut self, count: usize) -> [ArrayRef; 4] {
        if self.made.first().is_none_or(|column| column.len() < count) {
            let text = |text: &str| {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))) as ArrayRef
            };
            let received = TimestampMicrosecondArray::from_value(self.received_time.0, count);
            self.made = vec![
                text(self.instrument.as_str()),
                text(Condition::Market.as_str()),
                Arc::new(received.with_timezone("UTC")),
                text(self.source.as_str()),
            ];
        }
        std::array::from_fn(|index| self.made[index].slice(0, count))
    }
}

/// Ids that are mostly all there, or all absent.
#[derive(Debug, Default)]
struct Ids {
    values: Vec<i64>,
    /// Rows without one.
    absent: Vec<usize>,
}

impl Ids {
    #[inline]
    fn push(&mut self, id: Option<i64>) {
        if id.is_none() {
            self.absent.push(self.values.len());
        }
        self.values.push(id.unwrap_or_default());
    }

    fn take(&mut self) -> ArrayRef {
        let values = emptied(&mut self.values);
        let absent = std::mem::take(&mut self.absent);
        if absent.is_empty() {
            return Arc::new(Int64Array::from(values));
        }
        let mut cells: Vec<Option<i64>> = values.into_iter().map(Some).collect();
        for row in absent {
            cells[row] = None;
        }
        Arc::new(Int64Array::from(cells))
    }
}

/// Texts that are mostly all there, or all absent.
#[derive(Debug, Default)]
struct Texts {
    builder: StringBuilder,
    rows: usize,
}

impl Texts {
    fn push(&mut self, row: usize, text: &str) {
        self.builder.append_nulls(row - self.rows);
        self.builder.append_value(text);
        self.rows = row + 1;
    }

    fn take(&mut self, count: usize) -> ArrayRef {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Arc::new(StringArray::new_null(count));
        }
        self.builder.append_nulls(count - rows);
        Arc::new(self.builder.finish())
    }
}

#[cfg(test)]
mod tests {
    //! Cases for rows gathered by columns.
    use super::*;

    #[test]
    fn columns_hold_what_rows_hold() {
        let instrument: InstrumentId = "binance:BTC-USDT".parse().expect("an id");
        let trade = |id: i64, text: Option<&str>| Trade {
            instrument: instrument.clone(),
            venue_time: Time(1_000 + id),
            trade_id: text.is_none().then_some(id),
            venue_trade_id: text.map(Into::into),
            price: Decimal::new(6_000_000 + i128::from(id), 2),
            quantity: Decimal::new(1 + i128::from(id), 5),
            taker_side: if id % 2 == 0 { Side::Buy } else { Side::Sell },
            first_trade_id: (id % 3 != 0).then_some(10 * id),
            last_trade_id: (id % 3 != 0).then_some(10 * id + 3),
            condition: Condition::Market,
            received_time: Time(77),
            source: Source::Archive,
        };
        let rows: Vec<Trade> = (0..50).map(|id| trade(id, (id % 5 == 0).then_some("x"))).collect();
        let mut columns = TradeColumns::new(instrument.clone(), Source::Archive, Time(77));
        for _twice in 0..2 {
            for row in &rows {
                columns.push(&TradeCells {
                    venue_time: row.venue_time,
                    trade_id: row.trade_id,
                    venue_trade_id: row.venue_trade_id.as_deref(),
                    price: row.price,
                    quantity: row.quantity,
                    taker_side: row.taker_side,
                    first_trade_id: row.first_trade_id,
                    last_trade_id: row.last_trade_id,
                });
            }
            assert_eq!(columns.len(), 50);
            assert_eq!(columns.take(), to_batch(&rows));
            assert!(columns.is_empty());
        }
    }
}
