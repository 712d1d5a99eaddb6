//! Small files are decoded once: what is asked again is right, and asks no file.

use model::InstrumentId;
use tables::{TableName, TableScan, TimeRange};
use tempfile::TempDir;

use crate::support::*;

const BTC: &str = "binance-futures:BTC-USDT-PERP";
const ETH: &str = "binance-futures:ETH-USDT-PERP";

fn of(name: &str) -> TableScan {
    TableScan { instrument: Some(instrument(name)), ..TableScan::default() }
}

fn remove_files(folder: &std::path::Path) {
    for file in data_files(folder, "trades") {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn the_same_columns_are_not_read_twice() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for start in [1, 101, 201] {
        append_trades(&lake, "BTC", start..start + 100);
        append_trades(&lake, "ETH", start..start + 50);
        commit(&lake, start as u64 + 99).await;
    }
    let store = lake.store();
    let few = |name: &str| TableScan { columns: vec!["price", "trade_id"], ..of(name) };
    let first = store.scan(TableName::Trades, few(BTC)).await.unwrap();
    assert_eq!(ids(&first), (1..301).collect::<Vec<_>>());
    remove_files(folder.path());
    assert_eq!(store.scan(TableName::Trades, few(BTC)).await.unwrap(), first);
    // What was decoded serves whoever asks for the same columns: another instrument, range, direction, limit.
    let others = store.scan(TableName::Trades, few(ETH)).await.unwrap();
    let expect: Vec<i64> = (1..51).chain(101..151).chain(201..251).collect();
    assert_eq!(ids(&others), expect);
    let range = TimeRange { start: trade("BTC", 90).venue_time, end: trade("BTC", 111).venue_time };
    let part = TableScan { range: Some(range), is_descending: true, limit: Some(15), ..few(BTC) };
    let part = store.scan(TableName::Trades, part).await.unwrap();
    assert_eq!(ids(&part), (96..111).rev().collect::<Vec<_>>());
    let at_least = TableScan { at_least: Some(("trade_id", 290)), ..few(BTC) };
    let at_least = store.scan(TableName::Trades, at_least).await.unwrap();
    assert_eq!(ids(&at_least), (290..301).collect::<Vec<_>>());
    // Rows that came since are not hidden by it.
    append_trades(&lake, "BTC", 301..303);
    let found = store.scan(TableName::Trades, few(BTC)).await.unwrap();
    assert_eq!(ids(&found), (1..303).collect::<Vec<_>>());
    // Other columns are in the files, which are gone.
    let error = store.scan(TableName::Trades, of(BTC)).await.unwrap_err();
    assert!(error.to_string().contains("trades"), "{error}");
}

#[tokio::test]
async fn what_is_replaced_is_not_answered_from_memory() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    commit(&lake, 100).await;
    let store = lake.store();
    assert_eq!(ids(&store.scan(TableName::Trades, of(BTC)).await.unwrap()).len(), 100);
    let range = TimeRange { start: trade("BTC", 1).venue_time, end: trade("BTC", 51).venue_time };
    let none = trades("BTC", 0..0).to_batch();
    let name: InstrumentId = instrument(BTC);
    store.replace(TableName::Trades, name, range, none).await.unwrap();
    let left = ids(&store.scan(TableName::Trades, of(BTC)).await.unwrap());
    assert_eq!(left, (51..101).collect::<Vec<_>>());
}
