//! The table `composed_prices_10m`: one price of Bitcoin out of many, by both methods.

use arrow_array::RecordBatch;
use model::{ComposedPrice, PriceMethod, PriceSource, RejectedSource};

use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::ComposedPrices,
    doc: "The composed price of ten minutes, by one method. Without a venue the prices are absent and source_count is 0.",
    columns: &[
        Column::new("method", ColumnKind::Text, "volume_weighted (1) or median (2)."),
        Column::new("bucket", ColumnKind::Time, "Start of the ten minutes."),
        Column::new("open", ColumnKind::Float64, "First price in USD.").nullable(),
        Column::new("high", ColumnKind::Float64, "Highest price in USD.").nullable(),
        Column::new("low", ColumnKind::Float64, "Lowest price in USD.").nullable(),
        Column::new("close", ColumnKind::Float64, "Last price in USD.").nullable(),
        Column::new("volume", ColumnKind::Float64, "Volume in BTC of the venues used.").nullable(),
        Column::new("source_count", ColumnKind::Int32, "Venues used."),
        Column::new("venues_used", ColumnKind::Text, "Their names, sorted, with commas between."),
        Column::new(
            "venues_rejected",
            ColumnKind::Text,
            "Venues with a row that were not used, each with the reason; one per line.",
        ),
        Column::new(
            "basis_usdt_bp",
            ColumnKind::Float64,
            "How far the close in USDT lies above that in USD, in basis points.",
        )
        .nullable(),
    ],
    key: &["method", "bucket"],
    time: "bucket",
    partition: Partition::Month("bucket"),
    is_keyed: true,
};

/// What a method is called in the table.
pub const fn name_of(method: PriceMethod) -> &'static str {
    match method {
        PriceMethod::VolumeWeighted => "volume_weighted",
        PriceMethod::Median => "median",
    }
}

pub(crate) fn to_batch(rows: &[ComposedPrice]) -> RecordBatch {
    let used: Vec<String> = rows.iter().map(|row| names(&row.used)).collect();
    let rejected: Vec<String> = rows.iter().map(|row| reasons(&row.rejected)).collect();
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| name_of(row.method)))
        .time(rows.iter().map(|row| row.bucket))
        .double_or_null(rows.iter().map(|row| row.open))
        .double_or_null(rows.iter().map(|row| row.high))
        .double_or_null(rows.iter().map(|row| row.low))
        .double_or_null(rows.iter().map(|row| row.close))
        .double_or_null(rows.iter().map(|row| row.volume))
        .small(rows.iter().map(|row| row.used.len() as i32))
        .text(used.iter().map(String::as_str))
        .text(rejected.iter().map(String::as_str))
        .double_or_null(rows.iter().map(|row| row.basis_usdt_bp))
        .finish()
}

fn names(sources: &[PriceSource]) -> String {
    sources.iter().map(|source| source.as_str()).collect::<Vec<_>>().join(",")
}

fn reasons(rejected: &[RejectedSource]) -> String {
    let lines = rejected.iter().map(|one| format!("{}: {}", one.source, one.reason));
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads rows back.
pub fn from_batch(batch: &RecordBatch) -> Vec<ComposedPrice> {
    let cells = Cells::of(batch);
    let double = |name: &str, row: usize| cells::double(cells.doubles(name), row);
    let rows = (0..batch.num_rows()).map(|row| ComposedPrice {
        method: if cells.texts("method").value(row) == name_of(PriceMethod::VolumeWeighted) {
            PriceMethod::VolumeWeighted
        } else {
            PriceMethod::Median
        },
        bucket: cells::moment(cells.times("bucket"), row),
        open: double("open", row),
        high: double("high", row),
        low: double("low", row),
        close: double("close", row),
        volume: double("volume", row),
        used: cells.texts("venues_used").value(row).split(',').filter_map(PriceSource::known).collect(),
        rejected: cells.texts("venues_rejected").value(row).lines().filter_map(rejection).collect(),
        basis_usdt_bp: double("basis_usdt_bp", row),
    });
    rows.collect()
}

fn rejection(line: &str) -> Option<RejectedSource> {
    let (name, reason) = line.split_once(": ")?;
    Some(RejectedSource { source: PriceSource::known(name)?, reason: reason.to_owned() })
}

/// Closes by bucket, where there is one.
pub fn closes_of(batch: &RecordBatch) -> Vec<(model::Time, f64)> {
    let cells = Cells::of(batch);
    let (buckets, closes) = (cells.times("bucket"), cells.doubles("close"));
    let rows = (0..batch.num_rows())
        .filter_map(|row| Some((cells::moment(buckets, row), cells::double(closes, row)?)));
    rows.collect()
}
