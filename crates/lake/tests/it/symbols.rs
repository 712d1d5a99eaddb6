//! The venues' symbols in SQL, and the newest id of an instrument.

use tables::Rows;
use tempfile::TempDir;

use crate::support::*;

const NEWEST: &str =
    "SELECT max(aggregate_id), min(aggregate_id), max(timestamp) FROM trades_local WHERE symbol = 'BTCUSDT'";
/// The same, asked in a way that reads every row.
const READ: &str = "SELECT max(trade_id + 0), min(trade_id + 0), max(venue_time + interval '0 seconds') FROM trades \
                    WHERE instrument = 'binance-futures:BTC-USDT-PERP'";

/// By symbol, and the same read row by row.
const GROUPED: [&str; 2] = [
    "SELECT symbol, max(aggregate_id), min(timestamp) FROM trades_local GROUP BY symbol ORDER BY symbol",
    "SELECT symbol, max(aggregate_id + 0), min(timestamp + interval '0 seconds') FROM trades_local GROUP BY symbol ORDER BY symbol",
];

const SYMBOLS: &str = "SELECT symbol, count(*) FROM trades_local GROUP BY symbol ORDER BY symbol";

async fn plan(lake: &lake::Lake, text: &str) -> String {
    sql(lake, &format!("EXPLAIN FORMAT INDENT {text}")).await.join("\n")
}

#[tokio::test]
async fn symbols_are_those_of_the_list_not_made_from_ids() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..4);
    append_trades(&lake, "PEPE", 1..3);
    // Without a list there is nothing better than the id.
    assert_eq!(
        sql(&lake, SYMBOLS).await,
        ["binance-futures:BTC-USDT-PERP 3", "binance-futures:PEPE-USDT-PERP 2"]
    );
    let found =
        sql(&lake, "SELECT count(*) FROM trades_local WHERE symbol = 'binance-futures:BTC-USDT-PERP'").await;
    assert_eq!(found, ["3"]);
    let listed = vec![listing("BTC", "BTCUSDT", "2024-01-01"), listing("PEPE", "1000PEPEUSDT", "2024-01-01")];
    lake.store().append(batch(&Rows::Instruments(listed), 1)).unwrap();
    assert_eq!(sql(&lake, SYMBOLS).await, ["1000PEPEUSDT 2", "BTCUSDT 3"]);
    commit(&lake, 10).await;
    let renamed = vec![listing("PEPE", "PEPEUSDT", "2024-02-01")];
    lake.store().append(batch(&Rows::Instruments(renamed), 11)).unwrap();
    assert_eq!(sql(&lake, SYMBOLS).await, ["BTCUSDT 3", "PEPEUSDT 2"]);
    assert_eq!(
        sql(&lake, "SELECT max(aggregate_id) FROM trades_local WHERE symbol = 'PEPEUSDT'").await,
        ["2"]
    );
    assert_eq!(
        sql(&lake, "SELECT max(aggregate_id) FROM trades_local WHERE symbol = '1000PEPEUSDT'").await,
        ["NULL"]
    );
}

#[tokio::test]
async fn a_symbol_or_venue_leaves_out_the_files_of_others() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let listed = ["BTC", "ETH"].map(|base| listing(base, &format!("{base}USDT"), "2024-01-01"));
    lake.store().append(batch(&Rows::Instruments(listed.into()), 1)).unwrap();
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    append_trades(&lake, "ETH", 11..21);
    commit(&lake, 20).await;
    for (condition, files, rows) in [
        ("symbol = 'BTCUSDT'", 1, 10),
        ("'ETHUSDT' = symbol AND price > 0", 1, 10),
        ("symbol IN ('ETHUSDT', 'SOLUSDT')", 1, 10),
        ("symbol = 'SOLUSDT'", 0, 0),
        ("venue = 'binance-futures'", 2, 20),
        ("venue = 'bybit'", 0, 0),
        ("symbol <> 'BTCUSDT'", 2, 10),
    ] {
        let ask = format!("SELECT sum(quantity), count(*) FROM trades_local WHERE {condition}");
        let plan = plan(&lake, &ask).await;
        assert_eq!(plan.matches(".parquet").count(), files, "{condition}: {plan}");
        let found = sql(&lake, &ask).await;
        assert!(found[0].ends_with(&format!(" {rows}")), "{condition}: {found:?}");
    }
    // In the list of results the words stay as they were written.
    let found = sql(&lake, "SELECT DISTINCT symbol = 'BTCUSDT' AS is_it FROM trades_local ORDER BY 1").await;
    assert_eq!(found, ["false", "true"]);
}

#[tokio::test]
async fn the_newest_id_is_exact_whatever_order_ids_have() {
    for seed in 1..=6 {
        let mut dice = Dice(seed * 7_919);
        let folder = TempDir::new().unwrap();
        let lake = open(folder.path()).await;
        let listed = ["BTC", "ETH"].map(|base| listing(base, &format!("{base}USDT"), "2024-01-01"));
        lake.store().append(batch(&Rows::Instruments(listed.into()), 1)).unwrap();
        for flush in 0..12_u64 {
            let rows = (0..=dice.below(40)).map(|_| {
                let base = ["BTC", "ETH"][dice.below(2) as usize];
                let mut trade = trade(base, 1 + dice.below(200_000) as i64);
                trade.trade_id = (dice.below(10) > 0).then(|| dice.below(1_000_000) as i64);
                trade
            });
            lake.store().append(batch(&Rows::Trades(rows.collect()), 100 + flush * 100)).unwrap();
            match dice.below(4) {
                0 => {}
                1 => {
                    commit(&lake, 199 + flush * 100).await;
                    lake.compact_now().await.unwrap();
                }
                _ => commit(&lake, 199 + flush * 100).await,
            }
            assert_eq!(sql(&lake, NEWEST).await, sql(&lake, READ).await, "seed {seed}, flush {flush}");
            let [known, read] = [sql(&lake, GROUPED[0]).await, sql(&lake, GROUPED[1]).await];
            assert_eq!(known, read, "seed {seed}, flush {flush}");
        }
        lake.vacuum_now().await.unwrap();
        assert_eq!(
            sql(&lake, GROUPED[0]).await,
            sql(&lake, GROUPED[1]).await,
            "seed {seed}, old files deleted"
        );
        let with_venue = format!("{NEWEST} AND venue = 'binance-futures'");
        assert_eq!(sql(&lake, &with_venue).await, sql(&lake, READ).await, "seed {seed}");
        let plan = format!("{}{}", plan(&lake, NEWEST).await, plan(&lake, &with_venue).await);
        let plan = format!("{plan}{}", self::plan(&lake, GROUPED[0]).await);
        assert!(!plan.contains("AggregateExec") && !plan.contains(".parquet"), "answered by reading: {plan}");
    }
}

#[tokio::test]
async fn conditions_beside_the_instrument_are_not_forgotten() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..101);
    commit(&lake, 50).await;
    let named = "instrument = 'binance-futures:BTC-USDT-PERP'";
    for (what, rest, expect) in [
        ("max(trade_id)", "AND trade_id < 60", "59"),
        ("max(trade_id)", "AND venue_time < '2024-08-08T00:00:30Z'", "29"),
        ("max(trade_id) FILTER (WHERE trade_id < 20)", "", "19"),
        ("max(trade_id), count(*)", "", "100 100"),
        ("max(trade_id + 1)", "", "101"),
        ("max(price)", "", "60001.0"),
        ("max(trade_id)", "AND instrument = 'binance-futures:ETH-USDT-PERP'", "NULL"),
        ("min(trade_id), max(trade_id)", "OR instrument = 'binance-futures:ETH-USDT-PERP'", "1 100"),
        ("max(trade_id)", "AND instrument >= 'binance-futures:' AND instrument < 'binance-futures;'", "100"),
        ("max(trade_id)", "AND instrument > 'bybit'", "NULL"),
        ("max(trade_id)", "AND instrument LIKE '%ETH%'", "NULL"),
        ("max(trade_id)", "AND instrument NOT IN ('binance-futures:BTC-USDT-PERP', 'x')", "NULL"),
    ] {
        assert_eq!(
            sql(&lake, &format!("SELECT {what} FROM trades WHERE {named} {rest}")).await,
            [expect],
            "{what} {rest}"
        );
    }
    let limited = format!(
        "SELECT max(trade_id) FROM (SELECT trade_id FROM trades WHERE {named} ORDER BY trade_id LIMIT 3)"
    );
    assert_eq!(sql(&lake, &limited).await, ["3"]);
    let renamed = "SELECT max(instrument) FROM (SELECT trade_id AS instrument, instrument AS x FROM trades) WHERE x = 'binance-futures:BTC-USDT-PERP'";
    assert_eq!(sql(&lake, renamed).await, ["100"]);
}

#[tokio::test]
async fn groups_of_instruments_are_answered_as_if_their_rows_were_read() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let listed = ["BTC", "ETH"].map(|base| listing(base, &format!("{base}USDT"), "2024-01-01"));
    lake.store().append(batch(&Rows::Instruments(listed.into()), 1)).unwrap();
    append_trades(&lake, "ETH", 1..51);
    commit(&lake, 50).await;
    append_trades(&lake, "BTC", 51..101);
    // Late rows of another instrument, not committed yet; one without an id.
    let mut late = vec![trade("ETH", 7), trade("SOL", 8)];
    late[1].trade_id = None;
    lake.store().append(batch(&Rows::Trades(late), 101)).unwrap();
    let sol = "binance-futures:SOL-USDT-PERP";
    for (ask, expect) in [
        (
            "SELECT symbol, max(aggregate_id) FROM trades_local GROUP BY symbol",
            vec!["BTCUSDT 100".to_owned(), "ETHUSDT 50".to_owned(), format!("{sol} NULL")],
        ),
        (
            "SELECT max(trade_id) AS newest, instrument FROM trades GROUP BY instrument HAVING max(trade_id) > 60",
            vec!["100 binance-futures:BTC-USDT-PERP".to_owned()],
        ),
        (
            "SELECT venue, min(aggregate_id) FROM trades_local GROUP BY venue",
            vec!["binance-futures 1".to_owned()],
        ),
        (
            "SELECT symbol, venue, max(aggregate_id) FROM trades_local WHERE symbol = 'ETHUSDT' GROUP BY venue, symbol",
            vec!["ETHUSDT binance-futures 50".to_owned()],
        ),
        (
            "SELECT symbol, max(aggregate_id) FROM trades_local WHERE symbol = 'NO' GROUP BY symbol",
            Vec::new(),
        ),
        // These are read.
        (
            "SELECT symbol, max(aggregate_id) FROM trades_local WHERE aggregate_id < 60 GROUP BY symbol",
            vec!["BTCUSDT 59".to_owned(), "ETHUSDT 50".to_owned()],
        ),
        (
            "SELECT upper(venue), max(aggregate_id) FROM trades_local GROUP BY upper(venue)",
            vec!["BINANCE-FUTURES 100".to_owned()],
        ),
        (
            "SELECT symbol, max(aggregate_id), count(*) FROM trades_local WHERE symbol IN ('ETHUSDT') GROUP BY symbol",
            vec!["ETHUSDT 50 51".to_owned()],
        ),
    ] {
        let mut found = sql(&lake, ask).await;
        found.sort();
        assert_eq!(found, expect, "{ask}");
    }
}
