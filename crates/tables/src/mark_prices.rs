//! The table `mark_prices`: mark and index prices with the running funding rate.

use arrow_array::RecordBatch;
use model::MarkPrice;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::MarkPrices,
    doc: "One mark price.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("time", ColumnKind::Time, "Venue's clock."),
        Column::new("mark_price", ColumnKind::Float64, "Mark price."),
        Column::new("index_price", ColumnKind::Float64, "Index price.").nullable(),
        Column::new("funding_rate", ColumnKind::Float64, "Predicted rate of the running interval.")
            .nullable(),
        Column::new("next_funding_time", ColumnKind::Time, "When it will be settled.").nullable(),
        Column::new("interval_hours", ColumnKind::Int32, "Length of the funding interval.").nullable(),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
    ],
    key: &["instrument", "time"],
    time: "time",
    partition: Partition::Day("time"),
    is_keyed: false,
};

pub(crate) fn to_batch(rows: &[MarkPrice]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.time))
        .float(rows.iter().map(|row| row.mark_price))
        .float_or_null(rows.iter().map(|row| row.index_price))
        .float_or_null(rows.iter().map(|row| row.funding_rate))
        .time_or_null(rows.iter().map(|row| row.next_funding_time))
        .small_or_null(rows.iter().map(|row| row.interval_hours))
        .time(rows.iter().map(|row| row.received_time))
        .finish()
}
