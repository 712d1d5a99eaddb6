//! The table `metrics`: values of chain metrics over buckets.

use arrow_array::RecordBatch;
use model::{MetricValue, interval_name};

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::Metrics,
    doc: "The value of a metric over a bucket. What each metric means stands in metric_registry.",
    columns: &[
        Column::new("metric", ColumnKind::Text, "Name of the metric."),
        Column::new("timeframe", ColumnKind::Text, "10m, 1h or 24h: length of the bucket."),
        Column::new("bucket", ColumnKind::Time, "Start of the bucket."),
        Column::new("value", ColumnKind::Float64, "The value; absent where it is not defined.").nullable(),
        Column::new("reason", ColumnKind::Text, "Why it is not defined.").nullable(),
    ],
    key: &["metric", "timeframe", "bucket"],
    time: "bucket",
    partition: Partition::Month("bucket"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[MetricValue]) -> RecordBatch {
    let intervals: Vec<String> = rows.iter().map(|row| interval_name(row.interval_minutes)).collect();
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.metric))
        .text(intervals.iter().map(String::as_str))
        .time(rows.iter().map(|row| row.bucket))
        .double_or_null(rows.iter().map(|row| row.value))
        .text_or_null(rows.iter().map(|row| row.reason))
        .finish()
}
