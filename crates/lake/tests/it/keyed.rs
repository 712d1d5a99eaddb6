//! Tables in which a row with a known key replaces the stored one.

use tables::{Rows, TableName, TableScan};
use tempfile::TempDir;

use crate::support::*;

const NEWEST: &str = "SELECT close, revision FROM bars ORDER BY open_time";

#[tokio::test]
async fn the_newest_row_of_a_key_wins_in_the_buffer_over_the_lake_and_in_the_lake() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let rows = Rows::Bars(vec![bar(0, 5, 0), bar(1, 6, 0), bar(2, 7, 0), bar(1, 66, 1)]);
    lake.store().append(batch(&rows, 1)).unwrap();
    assert_eq!(sql(&lake, NEWEST).await, ["5.0 0", "66.0 1", "7.0 0"]);
    commit(&lake, 4).await;
    assert_eq!(sql(&lake, NEWEST).await, ["5.0 0", "66.0 1", "7.0 0"]);

    lake.store().append(batch(&Rows::Bars(vec![bar(2, 77, 1), bar(3, 8, 0)]), 5)).unwrap();
    assert_eq!(sql(&lake, NEWEST).await, ["5.0 0", "66.0 1", "77.0 1", "8.0 0"]);
    assert_eq!(sql(&lake, "SELECT sum(revision), count(*) FROM bars").await, ["2 4"]);
    let ask = TableScan {
        instrument: Some(instrument("binance:BTC-USDT")),
        columns: vec!["revision", "open_time"],
        is_descending: true,
        limit: Some(3),
        ..TableScan::default()
    };
    let found = lake.store().scan(TableName::Bars, ask).await.unwrap();
    assert_eq!(lines(&found), ["0 2024-08-08T00:03:00Z", "1 2024-08-08T00:02:00Z", "1 2024-08-08T00:01:00Z"]);

    commit(&lake, 6).await;
    assert_eq!(sql(&lake, NEWEST).await, ["5.0 0", "66.0 1", "77.0 1", "8.0 0"]);
    let lake = open(folder.path()).await;
    assert_eq!(sql(&lake, NEWEST).await, ["5.0 0", "66.0 1", "77.0 1", "8.0 0"]);
    assert_eq!(count(&lake, TableName::Bars).await, 4);
}

#[tokio::test]
async fn new_keys_do_not_touch_old_files() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for minute in 0..5 {
        let rows = Rows::Bars(vec![bar(minute, 5, 0)]);
        lake.store().append(batch(&rows, 1 + minute as u64)).unwrap();
        commit(&lake, 1 + minute as u64).await;
    }
    assert_eq!(data_files(folder.path(), "bars").len(), 5);
    // A revision of one bar rewrites the one file that holds it.
    lake.store().append(batch(&Rows::Bars(vec![bar(2, 9, 1)]), 10)).unwrap();
    commit(&lake, 10).await;
    assert_eq!(lake.table_infos().iter().find(|info| info.name == TableName::Bars).unwrap().files, 5);
    assert_eq!(sql(&lake, "SELECT sum(close), count(*) FROM bars").await, ["29.0 5"]);
}

#[tokio::test]
async fn keys_with_absent_parts_are_equal() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let gap = |state| model::Gap {
        instrument: instrument("bybit-linear:BTC-USDT-PERP"),
        channel: model::Channel::Trades,
        first_id: None,
        last_id: None,
        first_time: time("2024-08-08"),
        last_time: time("2024-08-08T00:00:09Z"),
        state,
        cause: model::GapCause::Disconnected,
        source: None,
        found_time: time("2024-08-08T00:01:00Z"),
        closed_time: None,
    };
    lake.store().append(batch(&Rows::Gaps(vec![gap(model::GapState::Open)]), 1)).unwrap();
    commit(&lake, 1).await;
    lake.store().append(batch(&Rows::Gaps(vec![gap(model::GapState::Missing)]), 2)).unwrap();
    assert_eq!(sql(&lake, "SELECT state FROM gaps").await, ["missing"]);
    commit(&lake, 2).await;
    assert_eq!(sql(&lake, "SELECT state FROM gaps").await, ["missing"]);
    assert_eq!(sql(&lake, "SELECT gaps_open, gaps_missing, ids_absent FROM coverage").await, ["0 1 0"]);
}
