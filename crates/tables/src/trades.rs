//! The table `trades`: one row per print of the canonical feed.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
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
    instrument: InstrumentId,
    source: Source,
    received_time: Time,
    venue_time: TimestampMicrosecondBuilder,
    trade_id: Int64Builder,
    venue_trade_id: StringBuilder,
    price: Float64Builder,
    quantity: Float64Builder,
    taker_side: StringBuilder,
    first_trade_id: Int64Builder,
    last_trade_id: Int64Builder,
    count: usize,
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
            instrument,
            source,
            received_time,
            venue_time: TimestampMicrosecondBuilder::new(),
            trade_id: Int64Builder::new(),
            venue_trade_id: StringBuilder::new(),
            price: Float64Builder::new(),
            quantity: Float64Builder::new(),
            taker_side: StringBuilder::new(),
            first_trade_id: Int64Builder::new(),
            last_trade_id: Int64Builder::new(),
            count: 0,
        }
    }

    /// Adds a trade.
    #[inline]
    pub fn push(&mut self, trade: &TradeCells<'_>) {
        self.venue_time.append_value(trade.venue_time.0);
        self.trade_id.append_option(trade.trade_id);
        self.venue_trade_id.append_option(trade.venue_trade_id);
        self.price.append_value(trade.price.to_f64());
        self.quantity.append_value(trade.quantity.to_f64());
        self.taker_side.append_value(trade.taker_side.as_str());
        self.first_trade_id.append_option(trade.first_trade_id);
        self.last_trade_id.append_option(trade.last_trade_id);
        self.count += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The trades so far as rows of the table; none are left behind.
    pub fn take(&mut self) -> RecordBatch {
        let count = std::mem::take(&mut self.count);
        let same = |text: &str| {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))) as ArrayRef
        };
        let received =
            TimestampMicrosecondArray::from_value(self.received_time.0, count).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![
            same(self.instrument.as_str()),
            Arc::new(self.venue_time.finish().with_timezone("UTC")),
            Arc::new(self.trade_id.finish()),
            Arc::new(self.venue_trade_id.finish()),
            Arc::new(self.price.finish()),
            Arc::new(self.quantity.finish()),
            Arc::new(self.taker_side.finish()),
            Arc::new(self.first_trade_id.finish()),
            Arc::new(self.last_trade_id.finish()),
            same(Condition::Market.as_str()),
            Arc::new(received),
            same(self.source.as_str()),
        ];
        RecordBatch::try_new(TABLE.row_schema(), columns).expect("one array per declared column, in order")
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
