//! Crashes between the steps of a flush.

use model::LogPosition;
use tables::{Rows, TableName};
use tempfile::TempDir;

use crate::support::*;

#[tokio::test]
async fn a_crash_between_file_and_commit_leaves_an_orphan_that_is_cleaned() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    append_trades(&lake, "BTC", 11..21);
    commit(&lake, 20).await;
    drop(lake);
    // The second commit never happened, its file is there.
    std::fs::remove_file(log_entries(folder.path(), "trades").pop().unwrap()).unwrap();
    let mut now = settings(folder.path());
    now.vacuum_retention = std::time::Duration::ZERO;
    let lake = lake::Lake::open(now, runtime::SystemClock::shared(), tables::TABLES).await.unwrap();
    assert_eq!(lake.store().positions()[&TableName::Trades], LogPosition(10));
    append_trades(&lake, "BTC", 1..21);
    commit(&lake, 20).await;
    assert_eq!((count(&lake, TableName::Trades).await, data_files(folder.path(), "trades").len()), (20, 3));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(lake.vacuum_now().await.unwrap().files_deleted, 1);
    assert_eq!((count(&lake, TableName::Trades).await, data_files(folder.path(), "trades").len()), (20, 2));
}

#[tokio::test]
async fn a_crash_between_two_tables_of_a_flush_stores_each_row_once() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let bars = Rows::Bars(vec![bar(0, 5, 0), bar(1, 6, 0)]);
    append_trades(&lake, "BTC", 1..11);
    lake.store().append(batch(&bars, 1)).unwrap();
    commit(&lake, 10).await;
    drop(lake);
    // Trades are committed before bars: the crash came in between.
    std::fs::remove_file(log_entries(folder.path(), "bars").pop().unwrap()).unwrap();
    let lake = open(folder.path()).await;
    let positions = lake.store().positions();
    assert_eq!(
        (positions[&TableName::Trades], positions[&TableName::Bars]),
        (LogPosition(10), LogPosition(0))
    );
    append_trades(&lake, "BTC", 1..11);
    lake.store().append(batch(&bars, 1)).unwrap();
    commit(&lake, 10).await;
    assert_eq!((count(&lake, TableName::Trades).await, count(&lake, TableName::Bars).await), (10, 2));
}
