//! The table `open_interest`: open interest.

use arrow_array::RecordBatch;
use model::OpenInterest;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::OpenInterest,
    doc: "One reading of open interest.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("time", ColumnKind::Time, "Venue's clock."),
        Column::new(
            "quantity",
            ColumnKind::Float64,
            "Open contracts in base asset, as the venue counts (Bybit: both sides).",
        ),
        Column::new("value", ColumnKind::Float64, "Value in quote asset.").nullable(),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
    ],
    key: &["instrument", "time"],
    time: "time",
    partition: Partition::None,
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[OpenInterest]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.time))
        .float(rows.iter().map(|row| row.quantity))
        .float_or_null(rows.iter().map(|row| row.value))
        .time(rows.iter().map(|row| row.received_time))
        .finish()
}
