//! Each trap of the storage crates, stepped on.

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
