//! The ids of data files: as noted in their footers, and as their rows say.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use lake::Lake;
use model::{IdRuns, LogPosition, Time, Trade};
use tables::{FileIds, IdAsk, Outgoing, RowBatch, Rows, TableName, TableScan, TimeRange};
use tempfile::TempDir;

use crate::bulk::{from_archive, write};
use crate::support::*;

fn name(base: &str) -> String {
    format!("binance-futures:{base}-USDT-PERP")
}

fn days(first: &str, end: &str) -> TimeRange {
    TimeRange { start: time(first), end: time(end) }
}

fn all_days() -> TimeRange {
    days("2024-08-01", "2024-09-01")
}

async fn look(lake: &Lake, base: &str, range: TimeRange, is_deep: bool) -> Vec<FileIds> {
    let ask = IdAsk { table: TableName::Trades, instrument: instrument(&name(base)), range, is_deep };
    lake.ids().ids(ask).await.unwrap()
}

/// Rows, duplicates over all files, rows without ids, all ids, first and last time: of some rows.
type Told = (u64, u64, u64, Vec<(i64, i64)>, Option<(Time, Time)>);

fn told(files: &[FileIds]) -> Told {
    let mut ids = IdRuns::new();
    for file in files {
        ids.merge(&file.runs);
    }
    // Those over several files show where runs overlap.
    let apart: u64 = files.iter().map(|file| file.runs.count()).sum();
    (
        files.iter().map(|file| file.rows).sum(),
        files.iter().map(|file| file.duplicates).sum::<u64>() + apart - ids.count(),
        files.iter().map(|file| file.rows_without_id).sum(),
        ids.runs().collect(),
        files.iter().map(|file| file.first_time).min().zip(files.iter().map(|file| file.last_time).max()),
    )
}

async fn scanned(lake: &Lake, base: &str) -> Told {
    let scan = TableScan {
        instrument: Some(instrument(&name(base))),
        columns: vec!["venue_time", "trade_id"],
        ..TableScan::default()
    };
    let (mut ids, mut rows, mut without, mut span) = (IdRuns::new(), 0, 0, None);
    for batch in lake.store().scan(TableName::Trades, scan).await.unwrap() {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        for (time, id) in times.values().iter().zip(batch.column(1).as_primitive::<Int64Type>()) {
            rows += 1;
            match id {
                Some(id) => drop(ids.insert(id)),
                None => without += 1,
            }
            let (first, last) = span.unwrap_or((Time(*time), Time(*time)));
            span = Some((first.min(Time(*time)), last.max(Time(*time))));
        }
    }
    (rows, ids.duplicates(), without, ids.runs().collect(), span)
}

/// What is noted, what the rows of the files say and what a scan finds must agree; of so many files.
async fn agree(lake: &Lake, files: &[(&str, usize)]) {
    for (base, count) in files {
        let noted = look(lake, base, all_days(), false).await;
        assert!(noted.iter().all(|file| !file.is_deep), "{base}");
        let read = look(lake, base, all_days(), true).await;
        assert!(read.iter().all(|file| file.is_deep), "{base}");
        let plain = read.into_iter().map(|file| FileIds { is_deep: false, ..file }).collect::<Vec<_>>();
        assert_eq!(noted, plain, "{base}");
        assert_eq!(noted.len(), *count, "{base}");
        assert_eq!(told(&noted), scanned(lake, base).await, "{base}");
    }
}

#[tokio::test]
async fn notes_say_what_a_scan_says_however_the_file_was_written() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let day = 86_400;
    append_trades(&lake, "ETH", 5..9);
    append_trades(&lake, "BTC", 10..40);
    append_trades(&lake, "BTC", 45..60);
    append_trades(&lake, "BTC", day..day + 7);
    commit(&lake, 2 * day as u64).await;
    agree(&lake, &[("BTC", 2), ("ETH", 1), ("XRP", 0)]).await;
    write(&lake, vec![from_archive(100..900), from_archive(950..960)], None).await.unwrap();
    agree(&lake, &[("BTC", 3), ("ETH", 1)]).await;
    // A file is written again without some of its rows.
    let range = TimeRange { start: trade("BTC", 120).venue_time, end: trade("BTC", 130).venue_time };
    let outgoing = Outgoing { instrument: instrument(&name("BTC")), range, source: None };
    write(&lake, vec![from_archive(125..127)], Some(outgoing)).await.unwrap();
    agree(&lake, &[("BTC", 4)]).await;
    let range = TimeRange { start: trade("BTC", 20).venue_time, end: trade("BTC", 30).venue_time };
    let rows = trades("BTC", (20..30).filter(|id| id % 2 == 0)).to_batch();
    lake.store().replace(TableName::Trades, instrument(&name("BTC")), range, rows).await.unwrap();
    agree(&lake, &[("BTC", 5), ("ETH", 1)]).await;
    let before = told(&look(&lake, "BTC", all_days(), false).await);
    assert_eq!(before.3[..5], [(10, 20), (22, 22), (24, 24), (26, 26), (28, 28)]);
    lake.compact_now().await.unwrap();
    agree(&lake, &[("BTC", 2), ("ETH", 1)]).await;
    assert_eq!(told(&look(&lake, "BTC", all_days(), false).await), before);
    agree(&open(folder.path()).await, &[("BTC", 2), ("ETH", 1)]).await;
}

#[tokio::test]
async fn only_files_of_the_asked_days_are_told() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let day = 86_400;
    write(&lake, vec![from_archive((0..4).flat_map(|number| number * day..number * day + 3))], None)
        .await
        .unwrap();
    let of = async |first, end| {
        let files = look(&lake, "BTC", days(first, end), false).await;
        files.iter().map(|file| file.day.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("2024-08-01", "2024-09-01").await.len(), 4);
    assert_eq!(of("2024-08-09", "2024-08-11").await, ["2024-08-09", "2024-08-10"]);
    // A day that is touched is told whole.
    assert_eq!(of("2024-08-09T23:00:00Z", "2024-08-09T23:00:01Z").await, ["2024-08-09"]);
    assert_eq!(of("2024-08-10", "2024-08-10").await, Vec::<String>::new());
    assert_eq!(of("2024-08-12", "2024-08-20").await, Vec::<String>::new());
}

#[tokio::test]
async fn doubles_within_a_file_are_counted_and_those_over_files_overlap() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    write(&lake, vec![from_archive((1..10).chain(4..6))], None).await.unwrap();
    write(&lake, vec![from_archive(8..12)], None).await.unwrap();
    let files = look(&lake, "BTC", all_days(), false).await;
    let told: Vec<_> = files.iter().map(|file| (file.rows, file.duplicates, file.runs.bounds())).collect();
    assert_eq!(told, [(11, 2, Some((1, 9))), (4, 0, Some((8, 11)))]);
    agree_after_merging(&lake, (15, 4)).await;
}

async fn agree_after_merging(lake: &Lake, told: (u64, u64)) {
    lake.compact_now().await.unwrap();
    agree(lake, &[("BTC", 1)]).await;
    let files = look(lake, "BTC", all_days(), false).await;
    assert_eq!((files[0].rows, files[0].duplicates), told);
}

#[tokio::test]
async fn rows_without_a_number_are_counted_apart() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let rows = (1..20).map(|id| Trade {
        trade_id: (id % 3 == 0).then_some(id),
        venue_trade_id: (id % 3 != 0).then(|| "x".into()),
        ..trade("BTC", id)
    });
    let texts =
        (1..5).map(|id| Trade { trade_id: None, venue_trade_id: Some("x".into()), ..trade("ETH", id) });
    let rows = Rows::Trades(rows.chain(texts).collect());
    lake.store().append(batch(&rows, 1)).unwrap();
    commit(&lake, 100).await;
    agree(&lake, &[("BTC", 1), ("ETH", 1)]).await;
    let files = look(&lake, "ETH", all_days(), false).await;
    assert_eq!((files[0].rows, files[0].rows_without_id, files[0].runs.is_empty()), (4, 4, true));
}

#[tokio::test]
async fn rows_that_wait_are_left_out() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..10);
    commit(&lake, 4).await;
    let files = look(&lake, "BTC", all_days(), false).await;
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [4]);
}

/// Lets every data file look as if it came from before such notes.
fn age(folder: &Path) {
    for file in data_files(folder, "trades") {
        let mut bytes = std::fs::read(&file).unwrap();
        let places: Vec<usize> =
            (0..bytes.len() - 13).filter(|place| bytes[*place..].starts_with(b"tickhouse.ids")).collect();
        assert_eq!(places.len(), 1, "one entry of its own in {}", file.display());
        bytes[places[0]..][..13].copy_from_slice(b"somebody.else");
        std::fs::write(&file, bytes).unwrap();
    }
}

#[tokio::test]
async fn files_from_before_are_read() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 10..40);
    append_trades(&lake, "ETH", 5..9);
    commit(&lake, 100).await;
    write(&lake, vec![from_archive((50..60).chain(70..80).chain(70..71))], None).await.unwrap();
    let noted = look(&lake, "BTC", all_days(), false).await;
    age(folder.path());
    let lake = open(folder.path()).await;
    for _twice in 0..2 {
        let read = look(&lake, "BTC", all_days(), false).await;
        assert!(read.len() == 2 && read.iter().all(|file| file.is_deep));
        assert_eq!(told(&read), told(&noted));
        assert_eq!(look(&lake, "XRP", all_days(), false).await, []);
    }
    lake.compact_now().await.unwrap();
    agree(&lake, &[("BTC", 1), ("ETH", 1)]).await;
}

#[tokio::test]
async fn a_damaged_file_is_named_and_other_tables_are_refused() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 10..40);
    commit(&lake, 100).await;
    let file = data_files(folder.path(), "trades").remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 9);
    std::fs::write(&file, bytes).unwrap();
    for is_deep in [false, true] {
        let ask = IdAsk {
            table: TableName::Trades,
            instrument: instrument(&name("BTC")),
            range: all_days(),
            is_deep,
        };
        let error = lake.ids().ids(ask).await.unwrap_err().to_string();
        assert!(error.contains("is damaged: it has"), "{error}");
    }
    let ask = IdAsk {
        table: TableName::Bars,
        instrument: instrument(&name("BTC")),
        range: all_days(),
        is_deep: false,
    };
    let error = lake.ids().ids(ask).await.unwrap_err().to_string();
    assert_eq!(error, "table bars has no ids");
}

#[tokio::test]
async fn many_instruments_in_random_pieces_agree_with_their_rows() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let mut dice = Dice(88_172_645_463_325_252);
    let mut next: BTreeMap<String, i64> = BTreeMap::new();
    for flush in 1..6_u64 {
        let mut rows = Vec::new();
        for _ in 0..2_000 {
            let base = format!("C{}", dice.below(40));
            let id = next.entry(base.clone()).or_insert(1);
            // Jumps ahead, and back by some.
            *id += [1, 1, 1, 1, 1, 5, 0, -3][dice.below(8) as usize];
            rows.push(trade(&base, (*id).max(1)));
        }
        let rows = Rows::Trades(rows);
        let positions = vec![LogPosition(flush); rows.len()];
        lake.store().append(RowBatch { table: rows.table(), batch: rows.to_batch(), positions }).unwrap();
        commit(&lake, flush).await;
    }
    let names: Vec<String> = next.into_keys().collect();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 5)).collect();
    agree(&lake, &files).await;
    lake.compact_now().await.unwrap();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    agree(&lake, &files).await;
}
