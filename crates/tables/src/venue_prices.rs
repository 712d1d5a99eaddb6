//! The table `venue_prices_10m`: what each price source says of ten minutes.

use arrow_array::RecordBatch;
use model::{Decimal, Ohlcv, PriceSource, VenuePrice};

use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::VenuePrices,
    doc: "Ten minutes of Bitcoin at one venue, as the venue says. No row stands for ten minutes of which nothing is known.",
    columns: &[
        Column::new(
            "source",
            ColumnKind::Text,
            "The venue: binance, bitfinex, bitstamp, bybit, coinbase or okx.",
        ),
        Column::new("bucket", ColumnKind::Time, "Start of the ten minutes."),
        Column::new("quote", ColumnKind::Text, "USD or USDT: what the prices are in."),
        Column::new("open", ColumnKind::Float64, "First price."),
        Column::new("high", ColumnKind::Float64, "Highest price."),
        Column::new("low", ColumnKind::Float64, "Lowest price."),
        Column::new("close", ColumnKind::Float64, "Last price."),
        Column::new("volume", ColumnKind::Float64, "Volume in BTC."),
        Column::new(
            "quality_status",
            ColumnKind::Text,
            "complete: every child candle was there; partial: some were not; unknown: whoever posted it did not say.",
        ),
        Column::new("data_source_mode", ColumnKind::Text, "rest, stream or remote: how it reached us."),
        Column::new("child_minutes", ColumnKind::Int32, "Length of the candles it is made of."),
        Column::new(
            "child_count",
            ColumnKind::Int32,
            "Candles that went in; 0 where whoever posted it did not say.",
        ),
        Column::new("child_count_expected", ColumnKind::Int32, "Candles that ten minutes can have."),
        Column::new("first_received_time", ColumnKind::Time, "When the first of them was received."),
        Column::new("received_time", ColumnKind::Time, "When the last of them was received."),
    ],
    key: &["source", "bucket"],
    time: "bucket",
    partition: Partition::Month("bucket"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[VenuePrice]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.source.as_str()))
        .time(rows.iter().map(|row| row.bucket))
        .text(rows.iter().map(|row| row.source.quote()))
        .float(rows.iter().map(|row| row.price.open))
        .float(rows.iter().map(|row| row.price.high))
        .float(rows.iter().map(|row| row.price.low))
        .float(rows.iter().map(|row| row.price.close))
        .float(rows.iter().map(|row| row.price.volume))
        .text(rows.iter().map(|row| row.quality_status.as_str()))
        .text(rows.iter().map(|row| row.data_source_mode.as_str()))
        .small(rows.iter().map(|row| i32::from(row.child_minutes)))
        .small(rows.iter().map(|row| i32::from(row.child_count)))
        .small(rows.iter().map(|row| i32::from(row.child_count_expected)))
        .time(rows.iter().map(|row| row.first_received_time))
        .time(rows.iter().map(|row| row.received_time))
        .finish()
}

/// Reads rows back. Rows of sources that the house no longer knows are left out.
pub fn from_batch(batch: &RecordBatch) -> Vec<VenuePrice> {
    let cells = Cells::of(batch);
    let price = |name: &str, row: usize| -> Decimal {
        Decimal::from_f64(cells.doubles(name).value(row)).unwrap_or_default()
    };
    let small = |name: &str, row: usize| cells.smalls(name).value(row) as u16;
    let rows = (0..batch.num_rows()).filter_map(|row| {
        Some(VenuePrice {
            source: PriceSource::known(cells.texts("source").value(row))?,
            bucket: cells::moment(cells.times("bucket"), row),
            price: Ohlcv {
                open: price("open", row),
                high: price("high", row),
                low: price("low", row),
                close: price("close", row),
                volume: price("volume", row),
            },
            quality_status: cells.texts("quality_status").value(row).to_owned(),
            data_source_mode: cells.texts("data_source_mode").value(row).to_owned(),
            child_minutes: small("child_minutes", row),
            child_count: small("child_count", row),
            child_count_expected: small("child_count_expected", row),
            first_received_time: cells::moment(cells.times("first_received_time"), row),
            received_time: cells::moment(cells.times("received_time"), row),
        })
    });
    rows.collect()
}
