//! How fast frames become rows, and minutes in memory become candles.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::time::{DAY, MINUTE};
use model::{InstrumentId, LogPosition, Nanos, Time, Timeframe, VenueId};
use rawlog::{Answer, Record, RecordKind};
use refine::{RefineSettings, Replay};
use tables::{CandleAsk, RowBatch, StoreError, TableName, TableScan, TableStore, TimeRange};

/// 2026-08-01.
const START: i64 = 1_785_542_400_000_000;
const FRAMES: usize = 100_000;
const MONTH_MINUTES: i64 = 31 * 1_440;

fn main() {
    divan::main();
}

/// Records of one Binance USD-M connection that carries BTC and ETH.
struct Tape {
    records: Vec<Record>,
    venue: VenueId,
}

impl Tape {
    fn new() -> Self {
        let venue = VenueId::known("binance-futures").expect("the venue is known");
        let mut tape = Self { records: Vec::new(), venue };
        let listed = ["BTC", "ETH"].map(|base| {
            format!(
                r#"{{"symbol":"{base}USDT","pair":"{base}USDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"status":"TRADING","baseAsset":"{base}","quoteAsset":"USDT","marginAsset":"USDT","filters":[]}}"#
            )
        });
        let body = Bytes::from(format!(r#"{{"symbols":[{}]}}"#, listed.join(",")));
        let listing = Answer { purpose: "listing".into(), status: 200, path: "/".into(), body };
        tape.push(START, RecordKind::Session, "bench");
        tape.push(START, RecordKind::Answer, listing.to_payload());
        tape.push(START, RecordKind::Opened, "wss://bench");
        tape.push(START, RecordKind::Carries, "btcusdt@aggTrade\nethusdt@aggTrade");
        tape
    }

    fn push(&mut self, micros: i64, kind: RecordKind, payload: impl Into<Bytes>) {
        let has_venue = !matches!(kind, RecordKind::Session | RecordKind::Tick);
        self.records.push(Record {
            position: LogPosition(self.records.len() as u64 + 1),
            received: Nanos(micros * 1_000),
            venue: has_venue.then_some(self.venue),
            connection: u32::from(has_venue && kind != RecordKind::Answer),
            kind,
            payload: payload.into(),
        });
    }

    fn trade(&mut self, symbol: &str, id: i64, micros: i64) {
        let millis = micros / 1_000;
        let (price, quantity) = (61_000 + id % 977, 1 + id % 4_099);
        let text = format!(
            r#"{{"stream":"{}@aggTrade","data":{{"e":"aggTrade","E":{millis},"a":{id},"s":"{symbol}","p":"{price}.{:02}","q":"0.{quantity:04}","f":{},"l":{},"T":{millis},"m":{}}}}}"#,
            symbol.to_lowercase(),
            id % 100,
            id * 3,
            id * 3 + 2,
            id % 2 == 0
        );
        self.push(micros, RecordKind::Text, text);
    }
}

/// Trades of two instruments, a millisecond apart, with a tick every quarter of a second.
fn busy() -> Vec<Record> {
    let mut tape = Tape::new();
    for step in 0..FRAMES as i64 {
        let micros = START + step * 1_000;
        if step % 250 == 0 {
            tape.push(micros, RecordKind::Tick, "");
        }
        tape.trade(if step % 2 == 0 { "BTCUSDT" } else { "ETHUSDT" }, 1 + step / 2, micros);
    }
    tape.records
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn trades_from_frames(bencher: Bencher) {
    let records = busy();
    bencher
        .counter(ItemsCount::new(FRAMES))
        .with_inputs(|| Replay::new(&RefineSettings::new("unused")))
        .bench_values(|mut replay| {
            for part in records.chunks(512) {
                for record in part {
                    replay.take(record);
                }
                divan::black_box_drop(replay.drain());
            }
            assert_eq!(replay.counts().trades_total, FRAMES as u64, "every trade became a row");
            replay
        });
}

/// A store that holds nothing.
struct Nothing;

impl TableStore for Nothing {
    fn append(&self, _: RowBatch) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&self, _: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }

    fn buffered(&self) -> (usize, usize) {
        (0, 0)
    }

    fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        BTreeMap::new()
    }

    fn scan(&self, _: TableName, _: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn replace(
        &self,
        _: TableName,
        _: InstrumentId,
        _: TimeRange,
        _: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }
}

/// A month of minutes with a trade each.
fn month() -> Replay {
    let mut replay = Replay::new(&RefineSettings { cache_days: 62, ..RefineSettings::new("unused") });
    let mut tape = Tape::new();
    for minute in 0..MONTH_MINUTES {
        tape.trade("BTCUSDT", 1 + minute, START + minute * MINUTE);
    }
    for record in &tape.records {
        replay.take(record);
    }
    drop(replay.drain());
    replay
}

fn instrument() -> InstrumentId {
    "binance-futures:BTC-USDT-PERP".parse().expect("the id is well formed")
}

#[divan::bench(args = [15, 173], sample_count = 100, sample_size = 1)]
fn month_of_candles(bencher: Bencher, minutes: i64) {
    let replay = month();
    let candles = replay.candles(Arc::new(Nothing));
    let timeframe = Timeframe::minutes(minutes).expect("the timeframe is in bounds");
    let ask = CandleAsk {
        instrument: instrument(),
        timeframe,
        range: Some(TimeRange { start: Time(START), end: Time(START + 31 * DAY) }),
        limit: 10_000,
    };
    bencher.bench(|| {
        let answer = candles.candles(ask.clone()).now_or_never().expect("memory does not wait");
        let count = answer.expect("memory does not fail").candles.len() as i64;
        assert!(
            count >= MONTH_MINUTES / minutes - 1,
            "the month is whole: {count} of {}",
            MONTH_MINUTES / minutes
        );
        count
    });
}

#[divan::bench(args = [173, 43_200])]
fn newest_candle(bencher: Bencher, minutes: i64) {
    let replay = month();
    let candles = replay.candles(Arc::new(Nothing));
    let (instrument, timeframe) =
        (instrument(), Timeframe::minutes(minutes).expect("the timeframe is in bounds"));
    bencher.bench(|| candles.newest(&instrument, timeframe).expect("there is one"));
}
