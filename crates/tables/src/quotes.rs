//! The table `quotes`: best bid and ask, one row per change.

use arrow_array::RecordBatch;
use model::Quote;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Quotes,
    doc: "One best bid and ask of an instrument.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new(
            "venue_time",
            ColumnKind::Time,
            "Venue's clock; the receipt time where the venue gives none (Binance spot).",
        ),
        Column::new("sequence", ColumnKind::Int64, "The venue's book sequence number."),
        Column::new("bid_price", ColumnKind::Float64, "Best bid price."),
        Column::new("bid_quantity", ColumnKind::Float64, "Quantity at the best bid."),
        Column::new("ask_price", ColumnKind::Float64, "Best ask price."),
        Column::new("ask_quantity", ColumnKind::Float64, "Quantity at the best ask."),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
    ],
    key: &["instrument", "venue_time", "sequence"],
    time: "venue_time",
    partition: Partition::Day("venue_time"),
    is_keyed: false,
};

pub(crate) fn to_batch(rows: &[Quote]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.venue_time))
        .int(rows.iter().map(|row| row.sequence))
        .float(rows.iter().map(|row| row.bid_price))
        .float(rows.iter().map(|row| row.bid_quantity))
        .float(rows.iter().map(|row| row.ask_price))
        .float(rows.iter().map(|row| row.ask_quantity))
        .time(rows.iter().map(|row| row.received_time))
        .finish()
}
