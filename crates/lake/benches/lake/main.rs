//! How fast the lake writes, merges and answers: one flush of 250,000 trades, a merge of 16 such files, a point scan,
//! and candles by SQL over all of it. Before that, what recorded trades take on disk, and merging in memory.
//!
//! `sizes`, `memory`, `year` (ids of a year from footers) and `many` (a log of 36 billion rows) after the name of the bench
//! choose these alone.
#![expect(clippy::disallowed_macros, reason = "a bench prints")]

mod claims;
mod sizes;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::TryStreamExt;
use lake::{Lake, LakeSettings};
use model::{Condition, Decimal, Instrument, InstrumentId, LogPosition, Side, Source, Time, Trade};
use runtime::SystemClock;
use tables::{InstrumentRow, QueryLimits, RowBatch, Rows, TABLES, TableName, TableScan, TimeRange};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const FLUSH_ROWS: usize = 250_000;
const INSTRUMENTS: usize = 700;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);
    if is_wanted("sizes") {
        sizes::report();
    }
    if is_wanted("memory") {
        let runtime = Runtime::new().expect("a runtime");
        let (_folder, lake) = filled(&runtime);
        sizes::memory(&lake, &runtime);
    }
    if is_wanted("year") {
        claims::year();
    }
    if is_wanted("many") {
        claims::many();
    }
    if !named.iter().any(|word| ["sizes", "memory", "year", "many"].contains(&word.as_str())) {
        divan::main();
    }
}

/// A plausible minute of a market: bursts, prices that walk in ticks, round quantities.
fn batch(flush: usize) -> RowBatch {
    let mut seed = 88_172_645_463_325_252_u64 + flush as u64;
    let mut next = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let names: Vec<InstrumentId> = (0..INSTRUMENTS)
        .map(|index| format!("binance-futures:C{index}-USDT-PERP").parse().expect("a valid id"))
        .collect();
    let start = 1_723_075_200_000_000 + flush as i64 * 60_000_000;
    let trades = (0..FLUSH_ROWS).map(|row| {
        let which = (next(INSTRUMENTS as u64) * next(INSTRUMENTS as u64) / INSTRUMENTS as u64) as usize;
        let id = (flush * FLUSH_ROWS + row) as i64;
        let time = start + row as i64 * 240;
        Trade {
            instrument: names[which].clone(),
            venue_time: Time(time - time % 1_000),
            trade_id: Some(id),
            venue_trade_id: None,
            price: Decimal::new(6_000_000 + i128::from(next(2_000)), 2),
            quantity: Decimal::new(1 + i128::from(next(50) * next(50)), 3),
            taker_side: if next(2) == 0 { Side::Buy } else { Side::Sell },
            first_trade_id: Some(id * 2),
            last_trade_id: Some(id * 2 + next(2) as i64),
            condition: Condition::Market,
            received_time: Time(time + 3_000 + next(4_000) as i64),
            source: Source::Stream,
        }
    });
    let rows = Rows::Trades(trades.collect());
    // Below stand the listings.
    let position = LogPosition(2 + flush as u64);
    RowBatch { table: rows.table(), batch: rows.to_batch(), positions: vec![position; FLUSH_ROWS] }
}

/// A trade to make others of.
fn trade(id: i64) -> Trade {
    Trade {
        instrument: "binance-futures:C0-USDT-PERP".parse().expect("a valid id"),
        venue_time: Time(1_723_075_200_000_000),
        trade_id: Some(id),
        venue_trade_id: None,
        price: Decimal::new(6_000_000, 2),
        quantity: Decimal::ONE,
        taker_side: Side::Buy,
        first_trade_id: None,
        last_trade_id: None,
        condition: Condition::Market,
        received_time: Time(1_723_075_200_000_000),
        source: Source::Stream,
    }
}

fn listing(index: usize) -> InstrumentRow {
    let id = format!("binance-futures:C{index}-USDT-PERP").parse().expect("a valid id");
    let instrument = Instrument::named(id, &format!("C{index}USDT"));
    InstrumentRow { instrument, valid_from: Time(0), valid_to: None }
}

fn open(runtime: &Runtime, folder: &TempDir) -> Lake {
    let settings = LakeSettings::at(folder.path().to_string_lossy());
    runtime.block_on(Lake::open(settings, SystemClock::shared(), TABLES)).expect("a lake")
}

fn flush(runtime: &Runtime, lake: &Lake, rows: RowBatch) {
    let through = *rows.positions.last().expect("rows");
    let store = lake.store();
    store.append(rows).expect("room in the buffer");
    runtime.block_on(store.commit(through)).expect("a commit");
}

fn filled(runtime: &Runtime) -> (TempDir, Lake) {
    let folder = TempDir::new().expect("a folder");
    let lake = open(runtime, &folder);
    let listed = (0..INSTRUMENTS).map(listing).collect();
    let rows = Rows::Instruments(listed);
    let positions = vec![LogPosition(1); INSTRUMENTS];
    let listed = RowBatch { table: rows.table(), batch: rows.to_batch(), positions };
    lake.store().append(listed).expect("room in the buffer");
    for number in 0..16 {
        flush(runtime, &lake, batch(number));
    }
    (folder, lake)
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn flush_250k_rows(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let lake = open(&runtime, &folder);
    let mut number = 0;
    bencher
        .counter(ItemsCount::new(FLUSH_ROWS))
        .with_inputs(|| {
            number += 1;
            batch(number)
        })
        .bench_local_values(|rows| flush(&runtime, &lake, rows));
}

#[divan::bench(sample_count = 2, sample_size = 1)]
fn merge_16_files(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    bencher.counter(ItemsCount::new(16 * FLUSH_ROWS)).with_inputs(|| filled(&runtime)).bench_local_values(
        |(folder, lake)| {
            runtime.block_on(lake.compact_now()).expect("a merge");
            let infos = lake.table_infos();
            let trades = infos.iter().find(|info| info.name == TableName::Trades).expect("trades");
            assert_eq!(trades.files, 1);
            tracing::info!(bytes_per_row = trades.bytes as f64 / trades.rows as f64, "merged");
            drop(folder);
        },
    );
}

#[divan::bench(args = ["flushed", "merged"])]
fn ten_seconds_of_one_instrument(bencher: Bencher<'_, '_>, state: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let (_folder, lake) = filled(&runtime);
    if state == "merged" {
        runtime.block_on(lake.compact_now()).expect("a merge");
    }
    let start = Time(1_723_075_200_000_000 + 5 * 60_000_000);
    let ask = TableScan {
        instrument: Some("binance-futures:C3-USDT-PERP".parse().expect("a valid id")),
        range: Some(TimeRange { start, end: start.plus_micros(10_000_000) }),
        ..TableScan::default()
    };
    let store = lake.store();
    bencher.bench_local(|| runtime.block_on(store.scan(TableName::Trades, ask.clone())).expect("rows"));
}

#[divan::bench(args = ["flushed", "merged"])]
fn newest_hundred_of_one_instrument(bencher: Bencher<'_, '_>, state: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let (_folder, lake) = filled(&runtime);
    if state == "merged" {
        runtime.block_on(lake.compact_now()).expect("a merge");
    }
    let ask = TableScan {
        instrument: Some("binance-futures:C3-USDT-PERP".parse().expect("a valid id")),
        is_descending: true,
        limit: Some(100),
        ..TableScan::default()
    };
    let store = lake.store();
    bencher.bench_local(|| runtime.block_on(store.scan(TableName::Trades, ask.clone())).expect("rows"));
}

/// Four million trades, half of a flush on top in the buffer.
#[divan::bench(args = ["flushed", "merged"])]
fn newest_id_by_sql(bencher: Bencher<'_, '_>, state: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let (_folder, lake) = filled(&runtime);
    if state == "merged" {
        runtime.block_on(lake.compact_now()).expect("a merge");
    }
    let mut fresh = batch(16);
    fresh.batch = fresh.batch.slice(0, FLUSH_ROWS / 2);
    fresh.positions.truncate(FLUSH_ROWS / 2);
    lake.store().append(fresh).expect("room in the buffer");
    sql(bencher, &runtime, &lake, "SELECT max(aggregate_id) FROM trades_local WHERE symbol = 'C3USDT'");
}

#[divan::bench]
fn candles_by_sql(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("a runtime");
    let (_folder, lake) = filled(&runtime);
    runtime.block_on(lake.compact_now()).expect("a merge");
    let text = "SELECT date_bin(interval '1 minute', venue_time, timestamp '1970-01-01T00:00:00Z') AS minute, \
                max(price), min(price), sum(quantity), first_value(price ORDER BY venue_time, trade_id) FROM trades \
                WHERE instrument = 'binance-futures:C3-USDT-PERP' GROUP BY 1";
    sql(bencher, &runtime, &lake, text);
}

fn sql(bencher: Bencher<'_, '_>, runtime: &Runtime, lake: &Lake, text: &str) {
    let engine: Arc<_> = lake.query();
    bencher.bench_local(|| {
        runtime.block_on(async {
            let stream = engine.query(text, QueryLimits::default()).await.expect("a plan");
            stream.batches.try_collect::<Vec<_>>().await.expect("rows").len()
        })
    });
}
