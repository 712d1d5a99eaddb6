//! First and last rows of tables, of which only one column is read.

use arrow_array::RecordBatch;
use model::Time;
use tables::{BTC, TableName, TableScan, TimeRange};

use crate::Doors;
use crate::error::Error;

/// The highest block of a table.
pub(crate) async fn last_height(doors: &Doors, table: TableName) -> Result<Option<i64>, Error> {
    let batches = end_of(doors, (table, BTC), "height", true).await?;
    Ok(batches.iter().flat_map(tables::heights_of).next())
}

/// The last bucket of a subject.
pub(crate) async fn last_bucket(
    doors: &Doors,
    table: TableName,
    subject: &str,
) -> Result<Option<Time>, Error> {
    let batches = end_of(doors, (table, subject), "bucket", true).await?;
    Ok(batches.iter().flat_map(tables::buckets_of).next())
}

/// First and last bucket of a subject, in a table whose key goes on with the bucket.
pub(crate) async fn buckets(
    doors: &Doors,
    table: TableName,
    subject: &str,
) -> Result<Option<(Time, Time)>, Error> {
    let Some(last) = last_bucket(doors, table, subject).await? else { return Ok(None) };
    let batches = end_of(doors, (table, subject), "bucket", false).await?;
    Ok(batches.iter().flat_map(tables::buckets_of).next().map(|first| (first, last)))
}

/// Whether a subject has rows in a range.
pub(crate) async fn has_rows(
    doors: &Doors,
    (table, subject): (TableName, &str),
    range: TimeRange,
) -> Result<bool, Error> {
    let scan = TableScan {
        subject: Some(subject.to_owned()),
        range: Some(range),
        columns: vec!["bucket"],
        limit: Some(1),
        ..TableScan::default()
    };
    Ok(doors.store.scan(table, scan).await?.iter().any(|batch| batch.num_rows() > 0))
}

async fn end_of(
    doors: &Doors,
    (table, subject): (TableName, &str),
    column: &'static str,
    is_descending: bool,
) -> Result<Vec<RecordBatch>, Error> {
    let scan = TableScan {
        subject: Some(subject.to_owned()),
        columns: vec![column],
        is_descending,
        limit: Some(1),
        ..TableScan::default()
    };
    Ok(doors.store.scan(table, scan).await?)
}
