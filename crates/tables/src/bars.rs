//! The table `bars`: bars of all instruments, ours and the venues'.

use arrow_array::RecordBatch;
use model::Bar;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Bars,
    doc: "One bar. A row with a known key replaces the stored one; older values by lake version.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new(
            "timeframe",
            ColumnKind::Text,
            "1m for stored bars of ours; what the venue publishes otherwise.",
        ),
        Column::new("open_time", ColumnKind::Time, "Start of the bucket."),
        Column::new("source", ColumnKind::Text, "trades: folded from our trades; venue: as published."),
        Column::new("open", ColumnKind::Float64, "First price by (venue_time, id)."),
        Column::new("high", ColumnKind::Float64, "Highest price."),
        Column::new("low", ColumnKind::Float64, "Lowest price."),
        Column::new("close", ColumnKind::Float64, "Last price by (venue_time, id)."),
        Column::new("volume", ColumnKind::Decimal, "Sum of quantities, base asset, exact."),
        Column::new("quote_volume", ColumnKind::Decimal, "Sum of price times quantity, quote asset, exact."),
        Column::new("trade_count", ColumnKind::Int64, "Events of the trade feed in the bar.").nullable(),
        Column::new("taker_buy_volume", ColumnKind::Decimal, "Quantity bought by aggressors.").nullable(),
        Column::new("vwap", ColumnKind::Float64, "quote_volume / volume; absent without volume.").nullable(),
        Column::new("revision", ColumnKind::Int32, "0 when first closed, one more at each change."),
        Column::new("available_time", ColumnKind::Time, "When this revision became known here."),
    ],
    key: &["instrument", "timeframe", "open_time", "source"],
    time: "open_time",
    partition: Partition::Month("open_time"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[Bar]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .text(rows.iter().map(|row| row.timeframe.to_string()).collect::<Vec<_>>().iter().map(String::as_str))
        .time(rows.iter().map(|row| row.open_time))
        .text(rows.iter().map(|row| row.source.as_str()))
        .float(rows.iter().map(|row| row.open))
        .float(rows.iter().map(|row| row.high))
        .float(rows.iter().map(|row| row.low))
        .float(rows.iter().map(|row| row.close))
        .exact(rows.iter().map(|row| row.volume))
        .exact(rows.iter().map(|row| row.quote_volume))
        .int_or_null(rows.iter().map(|row| row.trade_count))
        .exact_or_null(rows.iter().map(|row| row.taker_buy_volume))
        .double_or_null(rows.iter().map(model::Bar::vwap))
        .small(rows.iter().map(|row| row.revision))
        .time(rows.iter().map(|row| row.available_time))
        .finish()
}
