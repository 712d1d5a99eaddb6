//! Merging, cleaning and old commit entries, while readers go on.

use std::time::Duration;

use lake::Lake;
use runtime::SystemClock;
use tables::{Rows, TABLES, TableName, TableScan};
use tempfile::TempDir;

use crate::support::*;

fn files(lake: &Lake, table: TableName) -> usize {
    lake.table_infos().iter().find(|info| info.name == table).unwrap().files
}

#[tokio::test]
async fn many_small_files_become_one_in_the_order_of_the_key() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for part in 0..40_i64 {
        for base in ["ETH", "BTC"] {
            append_trades(&lake, base, part * 50 + 1..part * 50 + 51);
        }
        commit(&lake, part as u64 * 50 + 50).await;
    }
    assert_eq!(files(&lake, TableName::Trades), 40);
    let report = lake.compact_now().await.unwrap();
    assert_eq!(files(&lake, TableName::Trades), 1, "{report:?}");
    assert_eq!(count(&lake, TableName::Trades).await, 4_000);
    let found = lake.store().scan(TableName::Trades, TableScan::default()).await.unwrap();
    assert_eq!(ids(&found), (1..2_001).chain(1..2_001).collect::<Vec<_>>());
    assert_eq!(lake.compact_now().await.unwrap().merges, 0, "a merged day is left alone");

    // A late file for the old day is merged too.
    append_trades(&lake, "BTC", 2_001..2_003);
    commit(&lake, 9_000).await;
    assert_eq!(lake.compact_now().await.unwrap().merges, 1);
    assert_eq!((files(&lake, TableName::Trades), count(&lake, TableName::Trades).await), (1, 4_002));
    assert_eq!(open(folder.path()).await.store().positions()[&TableName::Trades].0, 9_000);
}

#[tokio::test]
async fn merged_keyed_tables_still_replace() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for minute in 0..20 {
        lake.store().append(batch(&Rows::Bars(vec![bar(minute, 5, 0)]), 1 + minute as u64)).unwrap();
        commit(&lake, 1 + minute as u64).await;
    }
    lake.compact_now().await.unwrap();
    assert_eq!(files(&lake, TableName::Bars), 1);
    lake.store().append(batch(&Rows::Bars(vec![bar(7, 9, 1)]), 50)).unwrap();
    commit(&lake, 50).await;
    assert_eq!(sql(&lake, "SELECT sum(close), count(*), max(revision) FROM bars").await, ["104.0 20 1"]);
}

#[tokio::test]
async fn cleaning_keeps_what_is_young_or_pinned() {
    let folder = TempDir::new().unwrap();
    let mut short = settings(folder.path());
    short.vacuum_retention = Duration::ZERO;
    let lake = Lake::open(short, SystemClock::shared(), TABLES).await.unwrap();
    for part in 0..10_i64 {
        append_trades(&lake, "BTC", part * 10 + 1..part * 10 + 11);
        commit(&lake, part as u64 * 10 + 10).await;
    }
    let patient = open(folder.path()).await;
    lake.pin(TableName::Trades, vec![3]).unwrap();
    lake.compact_now().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(patient.vacuum_now().await.unwrap().files_deleted, 0, "a day has not passed");
    assert_eq!(lake.vacuum_now().await.unwrap().files_deleted, 7, "version 3 needs three files");
    assert_eq!(count(&lake, TableName::Trades).await, 100);
    lake.pin(TableName::Trades, Vec::new()).unwrap();
    assert_eq!(lake.vacuum_now().await.unwrap().files_deleted, 3);
    assert_eq!(count(&lake, TableName::Trades).await, 100);
}

#[tokio::test]
async fn a_pruned_log_still_opens_and_keeps_its_position() {
    let folder = TempDir::new().unwrap();
    let mut short = settings(folder.path());
    short.checkpoint_every = 5;
    short.log_keep = Duration::ZERO;
    let lake = Lake::open(short, SystemClock::shared(), TABLES).await.unwrap();
    for part in 0..12_i64 {
        append_trades(&lake, "BTC", part * 10 + 1..part * 10 + 11);
        commit(&lake, part as u64 * 10 + 10).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let report = lake.vacuum_now().await.unwrap();
    assert!(report.log_files_deleted >= 12, "{report:?}");
    append_trades(&lake, "BTC", 121..131);
    commit(&lake, 130).await;
    let lake = open(folder.path()).await;
    assert_eq!(lake.store().positions()[&TableName::Trades].0, 130);
    assert_eq!(count(&lake, TableName::Trades).await, 130);
}

#[tokio::test]
async fn readers_go_on_while_files_are_merged() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for part in 0..20_i64 {
        append_trades(&lake, "BTC", part * 100 + 1..part * 100 + 101);
        commit(&lake, part as u64 * 100 + 100).await;
    }
    let merging = async { lake.compact_now().await.unwrap() };
    let reading = async {
        for _ in 0..20 {
            assert_eq!(count(&lake, TableName::Trades).await, 2_000);
        }
    };
    let (report, ()) = tokio::join!(merging, reading);
    assert!(report.merges > 0);
}
