//! Lakes far larger than a disk here: small files whose footers or log entries claim the ids and rows of large ones. What is
//! measured reads no more than those.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use deltalake::parquet::file::metadata::KeyValue;
use futures::TryStreamExt;
use lake::{Lake, LakeSettings};
use model::time::DAY;
use model::{IdRuns, InstrumentId, LogPosition, Time, Trade};
use runtime::SystemClock;
use runtime::clock::Stopwatch;
use serde_json::Value;
use tables::{IdAsk, QueryLimits, RowBatch, Rows, TABLES, TableName, TimeRange};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// 2024-01-01 in microseconds.
const START: i64 = 1_704_067_200_000_000;
const DAYS: i64 = 365;
const IDS_A_DAY: i64 = 822_000;
/// Files and rows of the lake of which only the log is large.
const FILES: i64 = 3_100;
const ROWS_A_FILE: u64 = 11_612_904;
const ROUNDS: usize = 3;

fn open(runtime: &Runtime, folder: &TempDir) -> Lake {
    let settings = LakeSettings::at(folder.path().to_string_lossy());
    runtime.block_on(Lake::open(settings, SystemClock::shared(), TABLES)).expect("a lake")
}

fn btc() -> InstrumentId {
    "binance-futures:BTC-USDT-PERP".parse().expect("an id")
}

/// A lake with two trades of each of some days.
fn small(runtime: &Runtime, days: i64) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let lake = open(runtime, &folder);
    let template = crate::trade(0);
    let two = (0..days).flat_map(|day| {
        [START + day * DAY, START + (day + 1) * DAY - 1_000].map(|time| Trade {
            instrument: btc(),
            venue_time: Time(time),
            ..template.clone()
        })
    });
    let rows = Rows::Trades(two.collect());
    let positions = vec![LogPosition(1); rows.len()];
    lake.store()
        .append(RowBatch { table: rows.table(), batch: rows.to_batch(), positions })
        .expect("room in the buffer");
    runtime.block_on(lake.store().commit(LogPosition(1))).expect("a commit");
    folder
}

/// The entry that added the files, as lines.
fn entry(folder: &TempDir) -> (PathBuf, Vec<Value>) {
    let path = folder.path().join("trades/_delta_log/00000000000000000001.json");
    let text = std::fs::read_to_string(&path).expect("an entry");
    (path, text.lines().map(|line| serde_json::from_str(line).expect("an action")).collect())
}

fn write_entry(path: &Path, actions: &[Value]) {
    let mut text = String::new();
    for action in actions {
        writeln!(text, "{action}").expect("a string takes everything");
    }
    std::fs::write(path, text).expect("room on the disk");
}

/// Prints how long it takes to learn the ids of a year from 365 footers.
pub(crate) fn year() {
    let runtime = Runtime::new().expect("a runtime");
    let folder = small(&runtime, DAYS);
    let (path, mut actions) = entry(&folder);
    for action in &mut actions {
        let Some(file) = action["add"]["path"].as_str() else { continue };
        let file = folder.path().join("trades").join(file);
        let day = claim(&file);
        assert!((0..DAYS).contains(&day));
        action["add"]["size"] = std::fs::metadata(&file).expect("it is there").len().into();
    }
    write_entry(&path, &actions);
    let range = TimeRange { start: Time(START), end: Time(START + DAYS * DAY) };
    for round in 0..ROUNDS {
        let lake = open(&runtime, &folder);
        for known in ["", ", again"] {
            let ask = IdAsk { table: TableName::Trades, instrument: btc(), range, is_deep: false };
            let watch = Stopwatch::start();
            let files = runtime.block_on(lake.ids().ids(ask)).expect("an answer");
            let mut all = IdRuns::new();
            for file in &files {
                all.merge(&file.runs);
            }
            let holes = all.holes().count();
            println!(
                "ids of a year{known}: {} files, {} ids, {holes} holes in {:.1} ms (round {round})",
                files.len(),
                all.count(),
                watch.elapsed().as_secs_f64() * 1e3
            );
            assert_eq!((files.len() as i64, holes as i64), (DAYS, DAYS));
        }
    }
}

/// Writes the file anew with a footer that claims the ids of its day, but for one hole. Which day it is.
fn claim(path: &Path) -> i64 {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("it is there"));
    let reader = reader.expect("a footer").build().expect("rows");
    let rows: Vec<_> = reader.map(|batch| batch.expect("rows")).collect();
    let name = path.parent().and_then(Path::file_name).expect("a partition").to_string_lossy().into_owned();
    let date = model::Date::parse(name.trim_start_matches("date=")).expect("a day");
    let day = (date.start().0 - START) / DAY;
    let mut writer =
        ArrowWriter::try_new(File::create(path).expect("room"), rows[0].schema(), None).expect("a file");
    for batch in &rows {
        writer.write(batch).expect("room");
    }
    let first = 1 + day * IDS_A_DAY;
    let claimed =
        claimed(date.start().0, &[(first, first + 400_000), (first + 400_010, first + IDS_A_DAY - 1)]);
    writer.append_key_value_metadata(KeyValue::new("tickhouse.ids".to_owned(), claimed));
    writer.close().expect("room");
    day
}

/// What the lake would note of one instrument with these ids, all of one day.
fn claimed(start: i64, runs: &[(i64, i64)]) -> String {
    let name = btc();
    let mut bytes = vec![1, 0, name.as_str().len() as u8];
    bytes.extend_from_slice(name.as_str().as_bytes());
    number(&mut bytes, 2 * start as u64);
    number(&mut bytes, DAY as u64 - 1_000);
    bytes.extend_from_slice(&[0, runs.len() as u8]);
    let mut before = 0;
    for (first, last) in runs {
        number(&mut bytes, 2 * (first - before) as u64);
        number(&mut bytes, (last - first) as u64);
        before = *last;
    }
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        text.extend((0..=chunk.len()).map(|at| char::from(digits[(bits >> (18 - 6 * at)) as usize & 63])));
    }
    text
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Prints how long a lake takes to open, and an hour of one instrument to plan, whose log names 36 billion rows.
pub(crate) fn many() {
    let runtime = Runtime::new().expect("a runtime");
    let folder = small(&runtime, 100);
    let (path, actions) = entry(&folder);
    let (adds, mut others): (Vec<Value>, Vec<Value>) =
        actions.into_iter().partition(|action| action["add"].is_object());
    for number in 0..FILES {
        let mut add = adds[(number % 100) as usize].clone();
        let stored = add["add"]["path"].as_str().expect("a path").to_owned();
        let (day, _) = stored.split_once('/').expect("a partition");
        let copy = format!("{day}/sorted-final-{number}.parquet");
        let table = folder.path().join("trades");
        std::fs::copy(table.join(&stored), table.join(&copy)).expect("room on the disk");
        add["add"]["path"] = copy.into();
        let stats = add["add"]["stats"].as_str().expect("statistics");
        let mut stats: Value = serde_json::from_str(stats).expect("statistics");
        stats["numRecords"] = ROWS_A_FILE.into();
        add["add"]["stats"] = stats.to_string().into();
        others.push(add);
    }
    write_entry(&path, &others);
    let text = format!(
        "EXPLAIN SELECT count(*), max(price) FROM trades WHERE instrument = '{}' AND venue_time >= \
         '2024-02-01T10:00:00Z' AND venue_time < '2024-02-01T11:00:00Z'",
        btc()
    );
    for round in 0..ROUNDS {
        let watch = Stopwatch::start();
        let lake = open(&runtime, &folder);
        let opened = watch.elapsed();
        let infos = lake.table_infos();
        let trades = infos.iter().find(|info| info.name == TableName::Trades).expect("trades");
        assert_eq!(trades.files as i64, FILES);
        for known in ["", ", again"] {
            let watch = Stopwatch::start();
            let planned = runtime.block_on(async {
                let stream = lake.query().query(&text, QueryLimits::default()).await.expect("a plan");
                stream.batches.try_collect::<Vec<_>>().await.expect("rows").len()
            });
            assert_eq!(planned, 1);
            println!(
                "{} files and {} rows: opened in {:.1} ms, planned{known} in {:.1} ms (round {round})",
                trades.files,
                trades.rows,
                opened.as_secs_f64() * 1e3,
                watch.elapsed().as_secs_f64() * 1e3
            );
        }
        drop(lake);
        if round == 0 {
            // From here on the log is a checkpoint and an entry.
            let mut settings = LakeSettings::at(folder.path().to_string_lossy());
            settings.checkpoint_every = 1;
            let lake = Lake::open(settings, SystemClock::shared(), TABLES);
            let lake = runtime.block_on(lake).expect("a lake");
            runtime.block_on(lake.vacuum_now()).expect("a checkpoint");
        }
    }
}
