//! Columns declared later: older rows have none there, newer ones do.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use lake::Lake;
use runtime::SystemClock;
use tables::{QueryLimits, RowBatch, TABLES, Table, TableName, TableScan};
use tempfile::TempDir;

use crate::support::*;

const LATER: [&str; 2] = ["first_trade_id", "last_trade_id"];

/// Every table, `trades` as it would have been before two columns were added.
fn earlier() -> &'static [&'static Table] {
    let tables: Vec<&'static Table> = TABLES
        .iter()
        .map(|table| match table.name {
            TableName::Trades => {
                let columns: Vec<_> =
                    table.columns.iter().filter(|column| !LATER.contains(&column.name)).copied().collect();
                let Table { name, doc, key, time, partition, is_keyed, .. } = **table;
                &*Box::leak(Box::new(Table {
                    name,
                    doc,
                    columns: columns.leak(),
                    key,
                    time,
                    partition,
                    is_keyed,
                }))
            }
            _ => *table,
        })
        .collect();
    tables.leak()
}

fn without_later(rows: RowBatch) -> RowBatch {
    let schema = rows.batch.schema();
    let (fields, columns): (Vec<_>, Vec<_>) = schema
        .fields()
        .iter()
        .zip(rows.batch.columns())
        .filter(|(field, _)| !LATER.contains(&field.name().as_str()))
        .map(|(field, column)| (Arc::clone(field), Arc::clone(column)))
        .unzip();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    RowBatch { batch, ..rows }
}

async fn open_earlier(folder: &TempDir) -> Result<Lake, lake::Error> {
    Lake::open(settings(folder.path()), SystemClock::shared(), earlier()).await
}

#[tokio::test]
async fn rows_from_before_a_column_have_none_and_merge_with_later_ones() {
    let folder = TempDir::new().unwrap();
    let lake = open_earlier(&folder).await.unwrap();
    for start in [1, 11] {
        lake.store().append(without_later(batch(&trades("BTC", start..start + 10), start as u64))).unwrap();
        commit(&lake, start as u64 + 9).await;
    }
    drop(lake);
    let ask = "SELECT count(*), count(first_trade_id), sum(last_trade_id) FROM trades";
    let engine = lake::open_read_only(&folder.path().to_string_lossy(), Default::default()).await.unwrap();
    let stream = engine.query(ask, QueryLimits::default()).await.unwrap();
    let found: Vec<_> = futures::TryStreamExt::try_collect(stream.batches).await.unwrap();
    assert_eq!(lines(&found), ["20 0 NULL"]);
    assert_eq!(log_entries(folder.path(), "trades").len(), 3, "reading changes nothing");

    let lake = open(folder.path()).await;
    assert_eq!(log_entries(folder.path(), "trades").len(), 4, "one commit adds the columns");
    append_trades(&lake, "BTC", 21..31);
    let check = async |lake: &Lake| {
        assert_eq!(sql(lake, ask).await, ["30 10 520"]);
        assert_eq!(sql(lake, "SELECT count(*) FROM trades WHERE first_trade_id >= 50").await, ["6"]);
        assert_eq!(sql(lake, "SELECT count(*) FROM trades WHERE last_trade_id IS NULL").await, ["20"]);
        let from = TableScan { at_least: Some(("first_trade_id", 58)), ..TableScan::default() };
        assert_eq!(ids(&lake.store().scan(TableName::Trades, from).await.unwrap()), [29, 30]);
    };
    check(&lake).await;
    commit(&lake, 30).await;
    check(&lake).await;
    assert_eq!(lake.compact_now().await.unwrap().merges, 1);
    assert_eq!(data_files(folder.path(), "trades").len(), 4);
    check(&lake).await;
    drop(lake);
    let lake = open(folder.path()).await;
    check(&lake).await;
    assert_eq!(log_entries(folder.path(), "trades").len(), 6, "nothing is added twice");
    assert!(lake.verify().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_older_version_does_not_write_a_table_whose_columns_it_would_lose() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    drop(lake);
    let refused = open_earlier(&folder).await.err().unwrap().to_string();
    assert!(refused.contains("column first_trade_id is not known to this version"), "{refused}");
}
