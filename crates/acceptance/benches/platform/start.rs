//! How soon the platform serves its first candle when its lake is large.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use lake::{Lake, LakeSettings};
use model::{
    Bar, BarSource, BarState, Condition, Decimal, InstrumentId, LogPosition, Quote, Side, Source, Time, Trade,
};
use runtime::SystemClock;
use tables::{BookChange, ColumnKind, RowBatch, Rows, TABLES, TableName};

use crate::world::{World, block_on, eventually, get};

/// Days of history at most.
const DAYS: i64 = 120;
const FLUSHES_A_DAY: i64 = 8;
const FLUSH_ROWS: usize = 250_000;
const INSTRUMENTS: usize = 50;
const DAY: i64 = 86_400_000_000;
/// Bytes at which the history ends, whatever the days.
const BYTES: u64 = 10 << 30;

/// Starts the platform over ten gigabytes of history and waits for the first candle.
///
/// The history is made once and kept in the target folder; `TICKHOUSE_BENCH_START` names another one.
pub(crate) fn start() {
    let kept = std::env::var_os("TICKHOUSE_BENCH_START")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("start"), PathBuf::from);
    let world = World::start(&["--instruments", "20", "--rate", "200", "--venues", "binance-futures"]);
    if !kept.join("complete").exists() {
        let began = Instant::now();
        fill(&kept.join("lake"));
        std::fs::write(kept.join("complete"), b"").expect("the folder is writable");
        println!("history made in {:.0?}, kept in {}", began.elapsed(), kept.display());
    }
    std::os::unix::fs::symlink(&kept, world.place.path().join("data")).expect("a link to the history");
    world.configure("channels = [\"trades\"]", "[collect]\nklines_history_minutes = 1440\n");
    // The first run makes the state and the raw log that a restart takes up.
    let (mut process, address) = world.run();
    first_candle(&address);
    std::thread::sleep(Duration::from_secs(10));
    process.end();
    let (files, bytes) = size(&kept.join("lake"));
    println!("start: a lake of {:.1} GB in {files} files", bytes as f64 / 1e9);
    for run in 1..=3 {
        let began = Instant::now();
        let (mut process, address) = world.run();
        let serving = began.elapsed();
        first_candle(&address);
        println!("start, run {run}: serving after {serving:.2?}, first candle after {:.2?}", began.elapsed());
        let old = format!(
            "http://{address}/api/v1/data/klines/BTCUSDT?timeframe=173&limit=20&end_time={}",
            (first_day() + 20 * DAY) / 1_000
        );
        let began = Instant::now();
        let (status, body) = get(&old);
        println!(
            "  {} candles of 173 minutes from the history: {:.2?} (status {status})",
            body["data"].as_array().map_or(0, Vec::len),
            began.elapsed()
        );
        process.end();
    }
}

fn first_candle(address: &str) {
    let url = format!("http://{address}/api/v1/data/klines/BTCUSDT?timeframe=1&limit=1");
    eventually(Duration::from_mins(2), "the first candle", || {
        get(&url).1["data"].as_array().is_some_and(|data| !data.is_empty()).then_some(())
    });
}

/// 2024-08-08.
const fn first_day() -> i64 {
    1_723_075_200_000_000
}

/// Fills a lake day by day, as a platform would that ran all the time: every flush a commit, checkpoints among them.
fn fill(folder: &Path) {
    std::fs::create_dir_all(folder).expect("the target folder is writable");
    let mut settings = LakeSettings::at(folder.to_string_lossy());
    settings.threads = 2;
    block_on(async {
        let lake = Lake::open(settings, SystemClock::shared(), TABLES).await.expect("a lake");
        let store = lake.store();
        let events = [trades(), quotes(), book_changes()].map(|rows| (rows.table(), rows.to_batch()));
        let bars = bars();
        let bars = (bars.table(), bars.to_batch());
        let mut position = store.positions().into_values().max().unwrap_or_default();
        for number in 0..DAYS {
            for flush in 0..FLUSHES_A_DAY {
                position = LogPosition(position.0 + 1);
                let by = number * DAY + flush * (DAY / FLUSHES_A_DAY);
                for rows in &events {
                    store.append(later(rows, by, position)).expect("room in the buffer");
                }
                if flush == 0 {
                    store.append(later(&bars, number * DAY, position)).expect("room in the buffer");
                }
                store.commit(position).await.expect("a commit");
            }
            let bytes: u64 = lake.table_infos().iter().map(|info| info.bytes).sum();
            if number % 10 == 9 {
                lake.vacuum_now().await.expect("checkpoints");
                println!("  {} days, {:.1} GB", number + 1, bytes as f64 / 1e9);
            }
            if bytes >= BYTES {
                break;
            }
        }
        lake.vacuum_now().await.expect("checkpoints");
    });
}

/// The same rows, all times moved.
fn later((name, batch): &(TableName, RecordBatch), by: i64, position: LogPosition) -> RowBatch {
    let columns = tables::table(*name).columns.iter().zip(batch.columns()).map(|(column, array)| {
        if column.kind != ColumnKind::Time {
            return Arc::clone(array);
        }
        let times = array.as_primitive::<TimestampMicrosecondType>();
        let moved = times.unary::<_, TimestampMicrosecondType>(|time| time + by);
        Arc::new(moved.with_timezone("UTC")) as ArrayRef
    });
    let moved = RecordBatch::try_new(batch.schema(), columns.collect()).expect("the same columns");
    RowBatch { table: *name, positions: vec![position; moved.num_rows()], batch: moved }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn instruments() -> Vec<InstrumentId> {
    let base = |index: usize| if index == 0 { "BTC".to_owned() } else { format!("C{index}") };
    let id = |index| format!("binance-futures:{}-USDT-PERP", base(index)).parse().expect("a valid id");
    (0..INSTRUMENTS).map(id).collect()
}

/// Moment, receipt and instrument of each row of a flush.
fn moments(seed: u64) -> (Dice, impl Iterator<Item = (i64, Time, Time, InstrumentId)>) {
    let names = instruments();
    let step = DAY / FLUSHES_A_DAY / FLUSH_ROWS as i64;
    let mut own = Dice(seed);
    let rows = (0..FLUSH_ROWS as i64).map(move |row| {
        let time = first_day() + row * step;
        let which = own.below(INSTRUMENTS as u64) * own.below(INSTRUMENTS as u64) / INSTRUMENTS as u64;
        let received = Time(time + 2_000 + own.below(9_000) as i64);
        (row, Time(time - time % 1_000), received, names[which as usize].clone())
    });
    (Dice(seed * 31), rows)
}

fn price(dice: &mut Dice) -> Decimal {
    Decimal::new(6_000_000 + i128::from(dice.below(20_000)), 2)
}

fn quantity(dice: &mut Dice) -> Decimal {
    Decimal::new(1 + i128::from(dice.below(3_000) * dice.below(3_000)), 3)
}

fn trades() -> Rows {
    let (mut dice, rows) = moments(88_172_645_463_325_252);
    let trade = |(row, venue_time, received_time, instrument)| Trade {
        instrument,
        venue_time,
        trade_id: Some(row),
        venue_trade_id: None,
        price: price(&mut dice),
        quantity: quantity(&mut dice),
        taker_side: if dice.below(2) == 0 { Side::Buy } else { Side::Sell },
        first_trade_id: Some(row * 2),
        last_trade_id: Some(row * 2 + 1),
        condition: Condition::Market,
        received_time,
        source: Source::Stream,
    };
    Rows::Trades(rows.map(trade).collect())
}

fn quotes() -> Rows {
    let (mut dice, rows) = moments(362_436_069_362_436_069);
    let quote = |(row, venue_time, received_time, instrument)| Quote {
        instrument,
        venue_time,
        sequence: row * 7,
        bid_price: price(&mut dice),
        bid_quantity: quantity(&mut dice),
        ask_price: price(&mut dice),
        ask_quantity: quantity(&mut dice),
        received_time,
    };
    Rows::Quotes(rows.map(quote).collect())
}

fn book_changes() -> Rows {
    let (mut dice, rows) = moments(521_288_629_521_288_629);
    let change = |(row, venue_time, received_time, instrument)| BookChange {
        instrument,
        venue_time,
        sequence: row * 3,
        side: if dice.below(2) == 0 { Side::Buy } else { Side::Sell },
        price: price(&mut dice),
        quantity: quantity(&mut dice),
        is_snapshot: false,
        received_time,
    };
    Rows::BookChanges(rows.map(change).collect())
}

fn bars() -> Rows {
    let mut dice = Dice(123_456_789);
    let mut rows = Vec::new();
    for instrument in instruments() {
        for minute in 0..1_440 {
            let open_time = Time(first_day() + minute * 60_000_000);
            rows.push(Bar {
                instrument: instrument.clone(),
                timeframe: "1m".parse().expect("a timeframe"),
                open_time,
                open: price(&mut dice),
                high: Decimal::new(6_020_000, 2),
                low: Decimal::new(6_000_000, 2),
                close: price(&mut dice),
                volume: quantity(&mut dice),
                quote_volume: quantity(&mut dice),
                trade_count: Some(dice.below(500) as i64),
                taker_buy_volume: Some(quantity(&mut dice)),
                state: BarState::Closed,
                source: BarSource::Trades,
                revision: 0,
                available_time: open_time.plus_micros(62_000_000),
            });
        }
    }
    Rows::Bars(rows)
}

/// Files and bytes below a folder.
fn size(folder: &Path) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
            let about = entry.metadata().expect("a file");
            if about.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += about.len();
            }
        }
    }
    (files, bytes)
}
