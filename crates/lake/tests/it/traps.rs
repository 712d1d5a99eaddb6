//! Each trap of the storage crates, stepped on.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use lake::{Error, Lake};
use model::LogPosition;
use runtime::SystemClock;
use tables::{Rows, TABLES, TableName};
use tempfile::TempDir;

use crate::support::*;

#[tokio::test]
async fn an_empty_newest_commit_entry_is_taken_away_and_its_rows_come_again() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    drop(lake);
    let next = folder.path().join("trades/_delta_log/00000000000000000002.json");
    std::fs::write(&next, b"").unwrap();
    let lake = open(folder.path()).await;
    assert!(!next.exists());
    append_trades(&lake, "BTC", 1..21);
    commit(&lake, 20).await;
    assert_eq!(count(&lake, TableName::Trades).await, 20);
}

#[tokio::test]
async fn an_empty_commit_entry_in_the_middle_is_refused_loudly() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    for through in [10, 20] {
        append_trades(&lake, "BTC", through - 9..through + 1);
        commit(&lake, through as u64).await;
    }
    drop(lake);
    std::fs::write(folder.path().join("trades/_delta_log/00000000000000000001.json"), b"").unwrap();
    let refused = Lake::open(settings(folder.path()), SystemClock::shared(), TABLES).await.err().unwrap();
    assert!(
        matches!(&refused, Error::Corrupt(what) if what.contains("00000000000000000001.json")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_torn_commit_entry_is_refused_loudly() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    drop(lake);
    let entry = folder.path().join("trades/_delta_log/00000000000000000001.json");
    let text = std::fs::read(&entry).unwrap();
    std::fs::write(&entry, &text[..text.len() / 2]).unwrap();
    let refused = Lake::open(settings(folder.path()), SystemClock::shared(), TABLES).await.err().unwrap();
    assert!(matches!(&refused, Error::Corrupt(what) if what.contains("table trades")), "{refused}");
}

#[tokio::test]
async fn a_cut_data_file_is_named_and_other_tables_answer() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..1_001);
    lake.store().append(batch(&Rows::Bars(vec![bar(0, 5, 0)]), 1)).unwrap();
    commit(&lake, 1_000).await;
    let file = data_files(folder.path(), "trades").remove(0);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let error = try_sql(&lake, "SELECT sum(price) FROM trades").await.unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("damaged"), "{error}");
    let error =
        lake.store().scan(TableName::Trades, tables::TableScan::default()).await.unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
    assert_eq!(sql(&lake, "SELECT close FROM bars").await, ["5.0"]);
    let damaged = lake.verify().await.unwrap();
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0].path.ends_with(&name) && damaged[0].reason.contains("bytes"), "{damaged:?}");
}

#[tokio::test]
async fn nanoseconds_and_unsigned_numbers_are_refused_not_cut() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    let good = batch(&trades("BTC", 1..2), 1);
    let mut bad = good.clone();
    let schema = good.batch.schema();
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] =
        Field::new("venue_time", DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false);
    let mut columns = good.batch.columns().to_vec();
    columns[1] = Arc::new(TimestampNanosecondArray::from(vec![1]).with_timezone("UTC"));
    bad.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let refused = lake.store().append(bad).unwrap_err().to_string();
    assert!(refused.contains("venue_time") && refused.contains("wanted"), "{refused}");

    let mut bad = good.clone();
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[2] = Field::new("trade_id", DataType::UInt64, true);
    let mut columns = good.batch.columns().to_vec();
    columns[2] = Arc::new(arrow_array::UInt64Array::from(vec![u64::MAX]));
    bad.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert!(lake.store().append(bad).unwrap_err().to_string().contains("trade_id"));
}

#[tokio::test]
async fn two_writers_lose_nothing_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (open(folder.path()).await, open(folder.path()).await);
    // The second writer carries lower positions for another instrument: it must look again, not overwrite.
    append_trades(&one, "BTC", 1..11);
    commit(&one, 10).await;
    append_trades(&two, "ETH", 11..21);
    commit(&two, 20).await;
    assert_eq!(count(&two, TableName::Trades).await, 20);
    // The first one's next flush finds that somebody committed a later position: those rows are stored already.
    append_trades(&one, "ETH", 11..21);
    commit(&one, 20).await;
    assert_eq!(count(&one, TableName::Trades).await, 20);
    append_trades(&one, "BTC", 21..31);
    commit(&one, 30).await;
    let fresh = open(folder.path()).await;
    assert_eq!(count(&fresh, TableName::Trades).await, 30);
    assert_eq!(fresh.store().positions()[&TableName::Trades], LogPosition(30));
}

#[tokio::test]
async fn two_mergers_of_the_same_files_double_nothing() {
    let folder = TempDir::new().unwrap();
    let writer = open(folder.path()).await;
    for start in 0..8_i64 {
        append_trades(&writer, "BTC", start * 10 + 1..start * 10 + 11);
        commit(&writer, start as u64 * 10 + 10).await;
    }
    let (one, two) = (open(folder.path()).await, open(folder.path()).await);
    let (first, second) = tokio::join!(one.compact_now(), two.compact_now());
    let merged = first.unwrap().merges + second.unwrap().merges;
    assert!(merged >= 1);
    let fresh = open(folder.path()).await;
    assert_eq!(count(&fresh, TableName::Trades).await, 80);
    // The handle that has not heard of the merge still answers, and commits on top of it.
    append_trades(&writer, "BTC", 81..91);
    commit(&writer, 90).await;
    assert_eq!(count(&writer, TableName::Trades).await, 90);
    assert_eq!(count(&open(folder.path()).await, TableName::Trades).await, 90);
}

fn url(folder: &TempDir, table: &str) -> url::Url {
    url::Url::from_directory_path(folder.path().join(table)).unwrap()
}

#[tokio::test]
async fn the_row_at_the_last_microsecond_of_a_file_is_found() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..778);
    commit(&lake, 777).await;
    let last = trade("BTC", 777).venue_time;
    assert_ne!(last.0 % 1_000, 0, "statistics know milliseconds only");
    let lake = open(folder.path()).await;
    assert_eq!(
        sql(&lake, &format!("SELECT trade_id FROM trades WHERE venue_time >= '{last}'")).await,
        ["777"]
    );
    assert_eq!(sql(&lake, &format!("SELECT count(*) FROM trades WHERE venue_time > '{last}'")).await, ["0"]);
    let range = tables::TimeRange { start: last, end: last.plus_micros(1) };
    let ask = tables::TableScan { range: Some(range), ..tables::TableScan::default() };
    assert_eq!(ids(&lake.store().scan(TableName::Trades, ask).await.unwrap()), [777]);
}

#[tokio::test]
async fn a_staged_file_that_a_crash_left_is_no_part_of_the_table() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    drop(lake);
    let log = folder.path().join("trades/_delta_log");
    std::fs::write(log.join("00000000000000000002.json#4711000001"), b"{\"half").unwrap();
    std::fs::write(folder.path().join("trades/date=2024-08-08/sorted-x.parquet#4711000002"), b"PAR1")
        .unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 11..21);
    commit(&lake, 20).await;
    assert_eq!(count(&open(folder.path()).await, TableName::Trades).await, 20);
}

#[tokio::test]
async fn files_of_other_writers_are_read_but_never_taken_for_sorted() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    append_trades(&lake, "BTC", 1..11);
    commit(&lake, 10).await;
    // Another program appends rows in the wrong order, with statistics and names of its own.
    let backwards = trades("BTC", (11..21).rev()).to_batch();
    let mut columns = backwards.columns().to_vec();
    let day = trade("BTC", 1).venue_time.date().0;
    columns.push(Arc::new(arrow_array::Date32Array::from(vec![day; 10])));
    let stored = tables::table(TableName::Trades).stored_schema();
    let rows = RecordBatch::try_new(stored, columns).unwrap();
    deltalake::open_table(url(&folder, "trades")).await.unwrap().write(vec![rows]).await.unwrap();
    let lake_again = open(folder.path()).await;
    for start in (21..101).step_by(10) {
        append_trades(&lake_again, "BTC", start..start + 10);
        commit(&lake_again, start as u64 + 9).await;
    }
    assert_eq!(lake_again.compact_now().await.unwrap().merges, 1);
    let infos = lake_again.table_infos();
    let info = infos.iter().find(|info| info.name == TableName::Trades).unwrap();
    assert_eq!((info.files, info.rows), (2, 100), "ours in one, theirs as it was");
    let found = lake_again.store().scan(TableName::Trades, tables::TableScan::default()).await.unwrap();
    assert_eq!(ids(&found), (1..101).collect::<Vec<_>>());
    // The handle from before the other writer came looks again when it commits.
    append_trades(&lake, "ETH", 201..211);
    commit(&lake, 210).await;
    assert_eq!(count(&lake, TableName::Trades).await, 110);
}

#[tokio::test]
async fn a_pinned_version_stays_readable_when_the_log_is_pruned() {
    let folder = TempDir::new().unwrap();
    let mut short = settings(folder.path());
    short.checkpoint_every = 5;
    short.log_keep = std::time::Duration::ZERO;
    short.vacuum_retention = std::time::Duration::ZERO;
    let lake = Lake::open(short, SystemClock::shared(), TABLES).await.unwrap();
    let write = async |parts: std::ops::Range<i64>| {
        for part in parts {
            append_trades(&lake, "BTC", part * 10 + 1..part * 10 + 11);
            commit(&lake, part as u64 * 10 + 10).await;
        }
    };
    write(0..5).await;
    lake.vacuum_now().await.unwrap();
    lake.pin(TableName::Trades, vec![7]).unwrap();
    write(5..12).await;
    lake.compact_now().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let report = lake.vacuum_now().await.unwrap();
    assert!(report.files_deleted >= 5, "{report:?}");
    let first = log_entries(folder.path(), "trades").remove(0);
    assert!(
        first.ends_with("00000000000000000005.json"),
        "the pin keeps its checkpoint: {}",
        first.display()
    );
    let pinned = deltalake::open_table_with_version(url(&folder, "trades"), 7).await.unwrap();
    let files: Vec<_> = pinned.get_file_uris().unwrap().collect();
    assert_eq!(files.len(), 7);
    assert!(files.iter().all(|file| Path::new(file.trim_start_matches("file://")).exists()), "{files:?}");
    assert!(deltalake::open_table_with_version(url(&folder, "trades"), 3).await.is_err());
    assert_eq!(count(&lake, TableName::Trades).await, 120);
}

#[tokio::test]
async fn checkpoints_are_counted_across_short_runs() {
    let folder = TempDir::new().unwrap();
    let checkpoints = || {
        let entries = std::fs::read_dir(folder.path().join("trades/_delta_log")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().to_string_lossy().ends_with(".checkpoint.parquet"))
            .count()
    };
    let mut written = Vec::new();
    for run in 0..5_i64 {
        let mut short = settings(folder.path());
        short.checkpoint_every = 5;
        let lake = Lake::open(short, SystemClock::shared(), TABLES).await.unwrap();
        for part in run * 2..run * 2 + 2 {
            append_trades(&lake, "BTC", part * 10 + 1..part * 10 + 11);
            commit(&lake, part as u64 * 10 + 10).await;
        }
        // What upkeep does first when it starts.
        lake.vacuum_now().await.unwrap();
        written.push(checkpoints());
    }
    assert_eq!(written, [0, 0, 1, 1, 1], "every five commits, however short the runs");
}

#[tokio::test]
async fn a_maximum_is_not_lost_to_the_bounds_of_another() {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path()).await;
    // Later rows have lower ids: what cannot raise the first maximum raises the second.
    for (start, ids) in [(0, 1_000..1_100), (500_000, 1..101)] {
        let rows = ids.map(|id| {
            let mut late = trade("BTC", id + start);
            late.trade_id = Some(id);
            late
        });
        let rows = Rows::Trades(rows.collect());
        let first = 1 + start as u64;
        lake.store().append(batch(&rows, first)).unwrap();
        commit(&lake, first + 1_000).await;
    }
    let found = sql(&lake, "SELECT max(trade_id), max(first_trade_id + 0 * trade_id) FROM trades").await;
    assert_eq!(found, ["1099 1000200"]);
}
