//! The table `trades`: one row per print of the canonical feed.

use arrow_array::RecordBatch;
use model::Trade;

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
