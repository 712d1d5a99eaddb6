//! Past rows: unseen until one commit brings them all.

use lake::Lake;
use model::{Source, Trade};
use tables::{BulkReport, Outgoing, Rows, StoreError, TableName, TableScan, TimeRange};
use tempfile::TempDir;

use crate::support::{append_trades, commit, count, data_files, ids, instrument, open, sql, trade};

const BTC: &str = "binance-futures:BTC-USDT-PERP";

pub(crate) fn from_archive(ids: impl Iterator<Item = i64>) -> Rows {
    Rows::Trades(ids.map(|id| Trade { source: Source::Archive, ..trade("BTC", id) }).collect())
}

/// Writes batches and commits them, from a thread that may block.
pub(crate) async fn write(
    lake: &Lake,
    batches: Vec<Rows>,
    outgoing: Option<Outgoing>,
) -> Result<BulkReport, StoreError> {
    let bulk = lake.bulk();
    let work = move || {
        let mut writer = bulk.begin(TableName::Trades)?;
        for rows in batches {
            writer.write(rows.to_batch())?;
        }
        writer.commit(outgoing)
    };
    runtime::tasks::blocking(work).await.unwrap()
}

async fn stored(lake: &Lake) -> Vec<i64> {
    let ask = TableScan { instrument: Some(instrument(BTC)), ..TableScan::default() };
    ids(&lake.store().scan(TableName::Trades, ask).await.unwrap())
}

#[tokio::test]
async fn rows_in_order_are_one_file_a_day_and_rows_beside_the_order_more() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let day = 86_400;
    let batches = vec![from_archive(1..500), from_archive(500..900), from_archive(day - 5..day + 5)];
    let report = write(&lake, batches, None).await.unwrap();
    assert_eq!((report.rows, report.files), (909, 2));
    assert_eq!(data_files(folder.path(), "trades").len(), 2);
    let report =
        write(&lake, vec![from_archive(2_000..2_100), from_archive(1_000..1_100)], None).await.unwrap();
    assert_eq!((report.rows, report.files), (200, 2));
    // Within a batch, order does not matter.
    let report = write(&lake, vec![from_archive((3_000..3_100).rev())], None).await.unwrap();
    assert_eq!((report.rows, report.files), (100, 1));
    let all = [1..900, 1_000..1_100, 2_000..2_100, 3_000..3_100, day - 5..day + 5];
    assert_eq!(stored(&lake).await, all.into_iter().flatten().collect::<Vec<_>>());
    let again = open(folder.path()).await;
    assert_eq!(count(&again, TableName::Trades).await, 1_209);
}

#[tokio::test]
async fn what_is_not_committed_is_seen_by_nobody() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    let bulk = lake.bulk();
    let held = runtime::tasks::blocking(move || {
        let mut writer = bulk.begin(TableName::Trades).unwrap();
        writer.write(from_archive(100..90_000).to_batch()).unwrap();
        writer.write(from_archive(90_000..90_010).to_batch()).unwrap();
        writer
    });
    let held = held.await.unwrap();
    assert_eq!(stored(&lake).await, (1..11).collect::<Vec<_>>());
    drop(held);
    assert_eq!(stored(&lake).await, (1..11).collect::<Vec<_>>());
    assert_eq!(stored(&open(folder.path()).await).await, (1..11).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_rows_of_the_named_source_leave() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 50..61);
    append_trades(&lake, "ETH", 1..101);
    commit(&lake, 100).await;
    append_trades(&lake, "BTC", 101..103);
    write(&lake, vec![from_archive((1..50).chain(61..101))], None).await.unwrap();
    let range = TimeRange { start: trade("BTC", 0).venue_time, end: trade("BTC", 86_400).venue_time };
    let outgoing = Outgoing { instrument: instrument(BTC), range, source: Some(Source::Archive) };
    for _twice in 0..2 {
        write(&lake, vec![from_archive(10..20)], Some(outgoing.clone())).await.unwrap();
        assert_eq!(stored(&lake).await, (10..20).chain(50..61).chain(101..103).collect::<Vec<_>>());
    }
    let told = sql(&lake, "SELECT source, count(*) FROM trades GROUP BY 1 ORDER BY 1").await;
    assert_eq!(told, ["archive 10", "stream 113"]);
    write(&lake, Vec::new(), Some(outgoing)).await.unwrap();
    assert_eq!(stored(&lake).await, (50..61).chain(101..103).collect::<Vec<_>>());
}

#[tokio::test]
async fn past_rows_and_flushes_do_not_hinder_each_other() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for round in 0..5_i64 {
        let first = 1_000 * round + 1;
        append_trades(&lake, "BTC", first..first + 100);
        let past = write(&lake, vec![from_archive(first + 100..first + 300)], None);
        let through = first as u64 + 99;
        let (past, ()) = tokio::join!(past, commit(&lake, through));
        assert_eq!(past.unwrap().rows, 200);
    }
    lake.compact_now().await.unwrap();
    let all = (0..5).flat_map(|round| 1_000 * round + 1..1_000 * round + 301);
    assert_eq!(stored(&lake).await, all.collect::<Vec<_>>());
}
