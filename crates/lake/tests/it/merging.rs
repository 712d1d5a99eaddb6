//! Random tables, merged at random moments: the same rows, in the order of the key.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use lake::Lake;
use model::{LogPosition, Trade};
use runtime::SystemClock;
use tables::{RowBatch, Rows, TABLES, TableName, TableScan};
use tempfile::TempDir;

use crate::support::*;

/// Instrument, time, ids: the key of a trade; and a number of its own.
type Row = (String, i64, Option<i64>, Option<String>, i64);

fn row(trade: &Trade) -> Row {
    let id = trade.venue_trade_id.as_deref().map(str::to_owned);
    (trade.instrument.as_str().to_owned(), trade.venue_time.0, trade.trade_id, id, trade.received_time.0)
}

fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let time = |name: &str| {
            batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>().clone()
        };
        let (names, texts) = (text("instrument"), text("venue_trade_id"));
        let (times, received) = (time("venue_time"), time("received_time"));
        let numbers = batch.column_by_name("trade_id").unwrap().as_primitive::<Int64Type>();
        for (index, id) in numbers.iter().enumerate() {
            let own = texts.iter().nth(index).flatten().map(str::to_owned);
            rows.push((names.value(index).to_owned(), times.value(index), id, own, received.value(index)));
        }
    }
    rows
}

fn read(file: &Path) -> Vec<Row> {
    let opened = std::fs::File::open(file).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap().build().unwrap();
    rows(&batches.map(Result::unwrap).collect::<Vec<_>>())
}

/// Few instruments, few moments, ids that repeat and ids that are not there: many rows share parts of the key.
fn random_trade(dice: &mut Dice, number: i64) -> Trade {
    let base = ["AAVE", "BTC", "ETH"][dice.below(3) as usize];
    let mut trade = trade(base, dice.below(50) as i64 + 86_370);
    trade.trade_id = (dice.below(3) > 0).then(|| dice.below(20) as i64);
    trade.venue_trade_id = (dice.below(3) == 0).then(|| dice.below(9).to_string().into());
    trade.received_time.0 = number;
    trade
}

#[tokio::test]
async fn merging_keeps_every_row_and_the_order_of_the_key() {
    for seed in 1..=6 {
        let mut dice = Dice(seed * 104_729);
        let folder = TempDir::new().unwrap();
        let mut small = settings(folder.path());
        small.fan_in_max = 2 + dice.below(4) as usize;
        small.compact_files_min = 2;
        let lake = Lake::open(small, SystemClock::shared(), TABLES).await.unwrap();
        let mut expected = Vec::new();
        for flush in 1..=14 {
            let trades: Vec<Trade> = (0..=dice.below(60))
                .map(|number| random_trade(&mut dice, (flush * 100 + number) as i64))
                .collect();
            expected.extend(trades.iter().map(row));
            let rows = Rows::Trades(trades);
            let positions = vec![LogPosition(flush); rows.len()];
            lake.store().append(RowBatch { table: rows.table(), batch: rows.to_batch(), positions }).unwrap();
            commit(&lake, flush).await;
            if dice.below(3) == 0 {
                lake.compact_now().await.unwrap();
            }
        }
        lake.compact_now().await.unwrap();
        expected.sort();
        let scanned = rows(&lake.store().scan(TableName::Trades, TableScan::default()).await.unwrap());
        let key = |row: &Row| (row.0.clone(), row.1, row.2, row.3.clone());
        assert!(scanned.is_sorted_by_key(key), "seed {seed}: scans are in the order of the key");
        let mut found = scanned;
        found.sort();
        assert_eq!(found, expected, "seed {seed}: the same rows");
        // On disk: two days with one file each, besides those that are no longer part of the table.
        let info = lake.table_infos().into_iter().find(|info| info.name == TableName::Trades).unwrap();
        assert_eq!((info.files, info.rows as usize), (2, expected.len()), "seed {seed}");
        for file in data_files(folder.path(), "trades") {
            assert!(read(&file).is_sorted_by_key(key), "seed {seed}: {} is not in order", file.display());
        }
    }
}

#[tokio::test]
async fn merging_keeps_the_newest_row_of_every_key() {
    for seed in 1..=4 {
        let mut dice = Dice(seed * 1_299_709);
        let folder = TempDir::new().unwrap();
        let mut small = settings(folder.path());
        small.compact_files_min = 2;
        small.fan_in_max = 3;
        let lake = Lake::open(small, SystemClock::shared(), TABLES).await.unwrap();
        let mut expected = BTreeMap::new();
        for flush in 1..=12 {
            let bars: Vec<_> = (0..=dice.below(12))
                .map(|_| bar(dice.below(30) as i64, i128::from(dice.below(900)), flush as i32))
                .collect();
            expected.extend(bars.iter().map(|bar| (bar.open_time.0, (bar.close.to_f64(), bar.revision))));
            lake.store().append(batch(&Rows::Bars(bars), flush * 100)).unwrap();
            if dice.below(2) == 0 {
                commit(&lake, flush * 100 + 99).await;
            }
            if dice.below(3) == 0 {
                lake.compact_now().await.unwrap();
            }
            let found = sql(&lake, "SELECT close, revision FROM bars ORDER BY open_time").await;
            let wanted: Vec<_> =
                expected.values().map(|(close, revision)| format!("{close:.1} {revision}")).collect();
            assert_eq!(found, wanted, "seed {seed}, flush {flush}");
        }
    }
}
