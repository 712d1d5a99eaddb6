//! The table `book_changes`: level-2 book snapshots and differences, one row per level.

use arrow_array::RecordBatch;
use model::{Decimal, InstrumentId, Side, Time};

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

/// One price level of a book snapshot or difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookChange {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Venue's clock.
    pub venue_time: Time,
    /// Sequence number after the change.
    pub sequence: i64,
    /// Buy for bids, sell for asks.
    pub side: Side,
    /// Price level.
    pub price: Decimal,
    /// Quantity now resting there; zero removes it.
    pub quantity: Decimal,
    /// Whether it belongs to a snapshot.
    pub is_snapshot: bool,
    /// When we received it.
    pub received_time: Time,
}

pub(crate) static TABLE: Table = Table {
    name: TableName::BookChanges,
    doc: "One price level of a book snapshot or difference.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new(
            "venue_time",
            ColumnKind::Time,
            "Venue's clock; the receipt time where the venue gives none.",
        ),
        Column::new("sequence", ColumnKind::Int64, "The venue's sequence number after this change."),
        Column::new("side", ColumnKind::Text, "buy for bids, sell for asks."),
        Column::new("price", ColumnKind::Float64, "Price level."),
        Column::new("quantity", ColumnKind::Float64, "Quantity now resting there; 0 removes the level."),
        Column::new(
            "is_snapshot",
            ColumnKind::Bool,
            "Whether the row is part of a whole book that replaces what was known.",
        ),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
    ],
    key: &["instrument", "venue_time", "sequence", "side", "price"],
    time: "venue_time",
    partition: Partition::Day("venue_time"),
    is_keyed: false,
};

pub(crate) fn to_batch(rows: &[BookChange]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.venue_time))
        .int(rows.iter().map(|row| row.sequence))
        .text(rows.iter().map(|row| row.side.as_str()))
        .float(rows.iter().map(|row| row.price))
        .float(rows.iter().map(|row| row.quantity))
        .truth(rows.iter().map(|row| row.is_snapshot))
        .time(rows.iter().map(|row| row.received_time))
        .finish()
}
