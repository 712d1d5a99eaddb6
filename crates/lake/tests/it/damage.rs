//! Damaged data files: named once and clearly, while everything else goes on.

use std::path::Path;

use tables::{Rows, TableName, TableScan};
use tempfile::TempDir;

use crate::support::*;

fn cut(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    file.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_cut_file_hides_no_other_row_of_its_table() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    commit(&lake, 100).await;
    append_trades(&lake, "BTC", 100_001..100_101);
    append_trades(&lake, "ETH", 100_001..100_101);
    commit(&lake, 100_100).await;
    let files = data_files(folder.path(), "trades");
    assert_eq!(files.len(), 2, "one a day");
    let name = cut(&files[0]);
    for ask in [
        "SELECT sum(quantity) FROM trades",
        "SELECT min(trade_id) FROM trades WHERE instrument = 'binance-futures:BTC-USDT-PERP'",
        "SELECT * FROM trades WHERE date = '2024-08-08'",
    ] {
        let error = try_sql(&lake, ask).await.unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains("restore it"), "{ask}: {error}");
    }
    let good = "SELECT count(*), sum(trade_id) FROM trades WHERE date = '2024-08-09'";
    assert_eq!(sql(&lake, good).await, ["200 20010100"]);
    assert_eq!(
        sql(&lake, "SELECT max(trade_id) FROM trades WHERE instrument = 'binance-futures:ETH-USDT-PERP'")
            .await,
        ["100100"]
    );
    let newest = TableScan {
        instrument: Some(instrument("binance-futures:BTC-USDT-PERP")),
        is_descending: true,
        limit: Some(3),
        ..TableScan::default()
    };
    let found = lake.store().scan(TableName::Trades, newest).await.unwrap();
    assert_eq!(ids(&found), [100_100, 100_099, 100_098]);
    // New rows are taken and kept as if nothing had happened.
    append_trades(&lake, "BTC", 100_101..100_111);
    commit(&lake, 100_110).await;
    assert_eq!(sql(&lake, good).await, ["210 21011155"]);
}

#[tokio::test]
async fn a_damaged_file_keeps_nothing_else_from_being_merged() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for part in 0..10_i64 {
        append_trades(&lake, "BTC", part * 10 + 1..part * 10 + 11);
        lake.store().append(batch(&Rows::Bars(vec![bar(part, 5, 0)]), part as u64 * 10 + 1)).unwrap();
        commit(&lake, part as u64 * 10 + 10).await;
    }
    let files = data_files(folder.path(), "trades");
    let name = cut(&files[3]);
    let report = lake.compact_now().await.unwrap();
    assert_eq!(report.merges, 2, "bars, and the nine whole files of trades: {report:?}");
    let files = |table| lake.table_infos().iter().find(|info| info.name == table).unwrap().files;
    assert_eq!((files(TableName::Trades), files(TableName::Bars)), (2, 1));
    assert_eq!(lake.compact_now().await.unwrap().merges, 0);
    let error = try_sql(&lake, "SELECT sum(price) FROM trades").await.unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
}

#[tokio::test]
async fn a_page_with_wrong_bytes_is_named() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..5_001);
    commit(&lake, 5_000).await;
    let file = data_files(folder.path(), "trades").remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    // The first pages hold the first columns; size and footer stay as they were.
    for byte in &mut bytes[4..2_000] {
        *byte = 0xA5;
    }
    std::fs::write(&file, &bytes).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let error = try_sql(&lake, "SELECT min(instrument), max(venue_time + interval '1 second') FROM trades")
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(lake.verify().await.unwrap().len(), 1);
}
