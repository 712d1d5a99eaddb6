//! Rows come back as they went in: from the buffer, from the lake, from both.

use model::{LogPosition, Time};
use tables::{StoreError, TableName, TableScan, TimeRange};
use tempfile::TempDir;

use crate::support::*;

const BTC: &str = "binance-futures:BTC-USDT-PERP";

fn ask() -> TableScan {
    TableScan { instrument: Some(instrument(BTC)), ..TableScan::default() }
}

#[tokio::test]
async fn rows_are_seen_at_once_and_once_whatever_is_committed() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    assert_eq!(count(&lake, TableName::Trades).await, 100);
    commit(&lake, 60).await;
    assert_eq!(lake.store().buffered().0, 40);
    assert_eq!(count(&lake, TableName::Trades).await, 100);
    assert_eq!(lake.store().positions()[&TableName::Trades], LogPosition(60));
    let found = ids(&lake.store().scan(TableName::Trades, ask()).await.unwrap());
    assert_eq!(found, (1..101).collect::<Vec<_>>());
    commit(&lake, 100).await;
    assert_eq!((lake.store().buffered().0, count(&lake, TableName::Trades).await), (0, 100));
    drop(lake);
    let lake = open(folder.path()).await;
    assert_eq!(lake.store().positions()[&TableName::Trades], LogPosition(100));
    assert_eq!(count(&lake, TableName::Trades).await, 100);
}

#[tokio::test]
async fn rows_that_are_stored_already_are_dropped_one_by_one() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..51);
    commit(&lake, 50).await;
    append_trades(&lake, "BTC", 41..61);
    assert_eq!(lake.store().buffered().0, 10);
    commit(&lake, 60).await;
    assert_eq!(count(&lake, TableName::Trades).await, 60);
}

#[tokio::test]
async fn scans_answer_by_instrument_range_id_order_and_limit() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for start in [1, 5_001, 90_001] {
        append_trades(&lake, "BTC", start..start + 2_000);
        append_trades(&lake, "ETH", start..start + 2_000);
        commit(&lake, start as u64 + 2_000).await;
    }
    let late = trades("BTC", 7_001..7_101);
    lake.store().append(batch(&late, 100_000_000_000)).unwrap();
    let store = lake.store();
    let scan = |scan: TableScan| {
        let store = store.clone();
        async move { ids(&store.scan(TableName::Trades, scan).await.unwrap()) }
    };

    let range = TimeRange { start: trade("BTC", 1_990).venue_time, end: trade("BTC", 5_011).venue_time };
    let expect: Vec<i64> = (1_990..2_001).chain(5_001..5_011).collect();
    assert_eq!(scan(TableScan { range: Some(range), ..ask() }).await, expect);

    let newest = TableScan { is_descending: true, limit: Some(5), ..ask() };
    assert_eq!(scan(newest).await, [92_000, 91_999, 91_998, 91_997, 91_996]);
    let before = TimeRange { start: Time(i64::MIN), end: trade("BTC", 7_003).venue_time };
    let newest = TableScan { is_descending: true, limit: Some(4), range: Some(before), ..ask() };
    assert_eq!(scan(newest).await, [7_002, 7_001, 7_000, 6_999]);

    let from = TableScan { at_least: Some(("trade_id", 6_999)), limit: Some(4), ..ask() };
    assert_eq!(scan(from).await, [6_999, 7_000, 7_001, 7_002]);
    let from = TableScan { at_least: Some(("trade_id", 92_001)), limit: Some(4), ..ask() };
    assert_eq!(scan(from).await, [0_i64; 0]);

    let received = trade("BTC", 6_999).received_time.0;
    let from = TableScan { at_least: Some(("received_time", received)), limit: Some(2), ..ask() };
    assert_eq!(scan(from).await, [6_999, 7_000], "times can be bounded as well");

    let columns = vec!["trade_id", "price"];
    let few = TableScan { columns, limit: Some(2), ..ask() };
    let found = store.scan(TableName::Trades, few).await.unwrap();
    assert_eq!(lines(&found), ["1 60000.01", "2 60000.02"]);
    let all = store.scan(TableName::Trades, TableScan::default()).await.unwrap();
    assert_eq!(ids(&all).len(), 12_100);
    let unknown = TableScan { columns: vec!["nothing"], ..ask() };
    assert!(
        store.scan(TableName::Trades, unknown).await.unwrap_err().to_string().contains("no column nothing")
    );
}

#[tokio::test]
async fn days_become_partitions_with_files_in_the_order_of_the_key() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "ETH", 86_000..86_800);
    append_trades(&lake, "BTC", 86_000..86_800);
    commit(&lake, 90_000).await;
    let files = data_files(folder.path(), "trades");
    let days: Vec<_> =
        files.iter().map(|file| file.parent().unwrap().file_name().unwrap().to_owned()).collect();
    assert_eq!(days, ["date=2024-08-08", "date=2024-08-09"]);
    let found =
        sql(&lake, "SELECT date, count(*), min(venue_time) FROM trades GROUP BY date ORDER BY date").await;
    assert_eq!(found, ["2024-08-08 800 2024-08-08T23:53:20Z", "2024-08-09 800 2024-08-09T00:00:00.000400Z"]);
}

#[tokio::test]
async fn a_full_buffer_refuses_and_takes_again_after_a_commit() {
    let folder = TempDir::new().unwrap();
    let mut few = settings(folder.path());
    few.buffer_rows_max = 100;
    let lake = lake::Lake::open(few, runtime::SystemClock::shared(), tables::TABLES).await.unwrap();
    append_trades(&lake, "BTC", 1..91);
    let more = batch(&trades("BTC", 91..111), 91);
    assert!(matches!(lake.store().append(more.clone()), Err(StoreError::BufferFull)));
    commit(&lake, 90).await;
    lake.store().append(more).unwrap();
    assert_eq!(lake.store().buffered(), (20, 100));
}

#[tokio::test]
async fn a_range_is_replaced_in_one_commit() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    append_trades(&lake, "ETH", 1..101);
    commit(&lake, 200).await;
    let range = TimeRange { start: trade("BTC", 40).venue_time, end: trade("BTC", 61).venue_time };
    let rows = trades("BTC", 45..50).to_batch();
    for _twice in 0..2 {
        lake.store().replace(TableName::Trades, instrument(BTC), range, rows.clone()).await.unwrap();
        let found = ids(&lake.store().scan(TableName::Trades, ask()).await.unwrap());
        assert_eq!(found, (1..40).chain(45..50).chain(61..101).collect::<Vec<_>>());
    }
    assert_eq!(count(&lake, TableName::Trades).await, 184);
    let outside = trades("BTC", 39..50).to_batch();
    let refused = lake.store().replace(TableName::Trades, instrument(BTC), range, outside).await.unwrap_err();
    assert!(refused.to_string().contains("outside of that range"), "{refused}");
}
