//! The table `gaps`: holes, with what is known of them.

use arrow_array::RecordBatch;
use model::Gap;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Gaps,
    doc: "One hole in one stream of one instrument. A row with a known key replaces the stored one.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("channel", ColumnKind::Text, "Stream."),
        Column::new("first_time", ColumnKind::Time, "Venue time of the last event before the hole."),
        Column::new("first_id", ColumnKind::Int64, "First id that is not there.").nullable(),
        Column::new("last_id", ColumnKind::Int64, "Last id that is not there.").nullable(),
        Column::new("last_time", ColumnKind::Time, "Venue time of the first event after the hole."),
        Column::new("state", ColumnKind::Text, "open, filled or missing."),
        Column::new("cause", ColumnKind::Text, "Why the rows are not there."),
        Column::new("source", ColumnKind::Text, "Where the filling came from.").nullable(),
        Column::new("found_time", ColumnKind::Time, "When it was found."),
        Column::new("closed_time", ColumnKind::Time, "When it was filled or given up.").nullable(),
    ],
    key: &["instrument", "channel", "first_time", "first_id"],
    time: "first_time",
    partition: Partition::None,
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[Gap]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.as_str()))
        .text(rows.iter().map(|row| row.channel.as_str()))
        .time(rows.iter().map(|row| row.first_time))
        .int_or_null(rows.iter().map(|row| row.first_id))
        .int_or_null(rows.iter().map(|row| row.last_id))
        .time(rows.iter().map(|row| row.last_time))
        .text(rows.iter().map(|row| row.state.as_str()))
        .text(rows.iter().map(|row| row.cause.as_str()))
        .text_or_null(rows.iter().map(|row| row.source.map(model::Source::as_str)))
        .time(rows.iter().map(|row| row.found_time))
        .time_or_null(rows.iter().map(|row| row.closed_time))
        .finish()
}
