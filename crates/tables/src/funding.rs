//! The table `funding`: settled funding rates.

use arrow_array::RecordBatch;
use model::Funding;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Funding,
    doc: "One settled funding rate.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("time", ColumnKind::Time, "Settlement time, rounded to the hour."),
        Column::new("rate", ColumnKind::Float64, "Rate of the interval; positive: longs pay shorts."),
        Column::new("interval_hours", ColumnKind::Int32, "Length of the interval.").nullable(),
        Column::new("mark_price", ColumnKind::Float64, "Mark price at settlement.").nullable(),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
        Column::new("source", ColumnKind::Text, "stream or rest."),
    ],
    key: &["instrument", "time"],
    time: "time",
    partition: Partition::None,
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[Funding]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .time(rows.iter().map(|row| row.time))
        .float(rows.iter().map(|row| row.rate))
        .small_or_null(rows.iter().map(|row| row.interval_hours))
        .float_or_null(rows.iter().map(|row| row.mark_price))
        .time(rows.iter().map(|row| row.received_time))
        .text(rows.iter().map(|row| row.source.as_str()))
        .finish()
}
