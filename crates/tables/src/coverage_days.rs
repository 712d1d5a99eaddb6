//! The table `coverage_days`: what is known of each day, as it was last looked at.

use arrow_array::RecordBatch;
use model::{Channel, InstrumentId, Time};

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::coverage::DayCover;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::CoverageDays,
    doc: "What was found of one day of one stream when it was last looked at. A row with a known key replaces the stored one.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("channel", ColumnKind::Text, "Stream."),
        Column::new("day", ColumnKind::Time, "Start of the day, UTC."),
        Column::new("condition", ColumnKind::Text, "complete, degraded, pending or missing."),
        Column::new("row_count", ColumnKind::Int64, "Rows of the day."),
        Column::new(
            "missing",
            ColumnKind::Int64,
            "Ids that lack; those of a hole count on the day it begins.",
        ),
        Column::new("duplicates", ColumnKind::Int64, "Rows that come again."),
        Column::new("checked_time", ColumnKind::Time, "When it was looked at."),
    ],
    key: &["instrument", "channel", "day"],
    time: "day",
    partition: Partition::None,
    is_keyed: true,
};

/// A day of a stream, and when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageDay {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Stream.
    pub channel: Channel,
    /// What was found.
    pub cover: DayCover,
    /// When.
    pub checked_time: Time,
}

pub(crate) fn to_batch(rows: &[CoverageDay]) -> RecordBatch {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .text(rows.iter().map(|row| row.channel.as_str()))
        .time(rows.iter().map(|row| row.cover.day.start()))
        .text(rows.iter().map(|row| row.cover.condition.as_str()))
        .int(rows.iter().map(|row| count(row.cover.rows)))
        .int(rows.iter().map(|row| count(row.cover.missing)))
        .int(rows.iter().map(|row| count(row.cover.duplicates)))
        .time(rows.iter().map(|row| row.checked_time))
        .finish()
}
