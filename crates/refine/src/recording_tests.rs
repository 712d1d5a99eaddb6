//! Real frames through the real decoders: every trade, every book, every minute, against a reading of our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::time::MINUTE;
use model::{Channel, Decimal, InstrumentId, LogPosition, Nanos, Side, Time, Timeframe, VenueId};
use rawlog::{Answer, Record, RecordKind};
use serde_json::Value;
use tables::{CandleAsk, DataQuality, TableName, TimeRange};

use crate::fakes::FakeStore;
use crate::{RefineSettings, Replay};

fn recordings() -> Option<PathBuf> {
    let folder = std::env::var_os("TICKHOUSE_RECORDINGS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
    }
    folder
}

fn lines(path: &Path) -> Vec<Value> {
    let text = zstd::stream::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A recording as the log would have kept it, with ticks in between.
struct Tape {
    records: Vec<Record>,
    venue: VenueId,
    ticked: i64,
}

impl Tape {
    fn push(&mut self, received: i64, kind: RecordKind, payload: impl Into<Bytes>) {
        let is_house = matches!(kind, RecordKind::Session | RecordKind::Tick);
        self.records.push(Record {
            position: LogPosition(self.records.len() as u64 + 1),
            received: Nanos(received),
            venue: (!is_house).then_some(self.venue),
            connection: u32::from(!is_house && kind != RecordKind::Answer),
            kind,
            payload: payload.into(),
        });
    }

    fn tick_until(&mut self, received: i64) {
        while received - self.ticked >= 250_000_000 {
            self.ticked += 250_000_000;
            self.push(self.ticked, RecordKind::Tick, "");
        }
    }

    fn answer(&mut self, received: i64, purpose: &str, body: &str) {
        let body = Bytes::from(body.to_owned());
        let answer = Answer { purpose: purpose.into(), status: 200, path: "/".into(), body };
        self.push(received, RecordKind::Answer, answer.to_payload());
    }

    /// One symbol's trades, quotes and depth on one connection.
    fn of(venue: &str, symbol: &str, lines: &[Value]) -> Self {
        let first = lines[0]["at_ns"].as_i64().unwrap();
        let venue = VenueId::known(venue).unwrap();
        let mut tape = Self { records: Vec::new(), venue, ticked: first };
        tape.push(first, RecordKind::Session, "test");
        let base = symbol.trim_end_matches("USDT");
        let contract = match venue.as_str() {
            "binance" => "",
            _ => r#""contractType":"PERPETUAL","deliveryDate":4133404800000,"#,
        };
        let listing = format!(
            r#"{{"symbols":[{{"symbol":"{symbol}","pair":"{symbol}","status":"TRADING",{contract}
            "baseAsset":"{base}","quoteAsset":"USDT","marginAsset":"USDT","filters":[]}}]}}"#
        );
        tape.answer(first, "listing", &listing);
        tape.push(first, RecordKind::Opened, "wss://recorded");
        let low = symbol.to_lowercase();
        let depth = if venue.as_str() == "binance" { "depth@100ms" } else { "depth@0ms" };
        let keys = format!("{low}@trade\n{low}@bookTicker\n{low}@{depth}\n{low}@depth@100ms");
        tape.push(first, RecordKind::Carries, keys);
        for line in lines {
            let received = line["at_ns"].as_i64().unwrap();
            tape.tick_until(received);
            let data = line["data"].as_str().unwrap_or_default();
            match line["t"].as_str().unwrap() {
                "recv" => tape.push(received, RecordKind::Text, data.to_owned()),
                "http" if data.contains("lastUpdateId") => {
                    tape.answer(received, &format!("book {symbol}"), data);
                }
                _ => {}
            }
        }
        tape.tick_until(tape.ticked + 120_000_000_000);
        tape
    }
}

/// Open, high, low, close, volume, quote volume, bought, count.
type Bar = (Decimal, Decimal, Decimal, Decimal, Decimal, Decimal, Decimal, i64);

/// Market trades of the recording by id, read without the house's decoders.
fn trades(lines: &[Value]) -> BTreeMap<i64, (i64, Decimal, Decimal, Side)> {
    let mut trades = BTreeMap::new();
    for line in lines.iter().filter(|line| line["t"] == "recv") {
        let frame: Value = serde_json::from_str(line["data"].as_str().unwrap()).unwrap();
        let data = &frame["data"];
        if data["e"] != "trade" || data["X"].as_str().is_some_and(|kind| kind != "MARKET") {
            continue;
        }
        let number = |name: &str| data[name].as_str().unwrap().parse::<Decimal>().unwrap();
        let side = if data["m"] == true { Side::Sell } else { Side::Buy };
        trades.insert(
            data["t"].as_i64().unwrap(),
            (data["T"].as_i64().unwrap() * 1_000, number("p"), number("q"), side),
        );
    }
    trades
}

fn minutes(trades: &BTreeMap<i64, (i64, Decimal, Decimal, Side)>) -> BTreeMap<i64, Bar> {
    let mut minutes: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for (id, trade) in trades {
        minutes.entry(trade.0 / MINUTE * MINUTE).or_default().push((trade.0, *id));
    }
    let bar = |mut keys: Vec<(i64, i64)>| {
        keys.sort_unstable();
        let of = |key: &(i64, i64)| trades[&key.1];
        let sum = |value: &dyn Fn(&(i64, i64)) -> Decimal| {
            keys.iter().fold(Decimal::ZERO, |sum, key| sum.checked_add(value(key)).unwrap())
        };
        let prices = keys.iter().map(|key| of(key).1);
        (
            of(&keys[0]).1,
            prices.clone().max().unwrap(),
            prices.min().unwrap(),
            of(&keys[keys.len() - 1]).1,
            sum(&|key| of(key).2),
            sum(&|key| of(key).1.checked_mul(of(key).2).unwrap()),
            sum(&|key| if of(key).3 == Side::Buy { of(key).2 } else { Decimal::ZERO }),
            keys.len() as i64,
        )
    };
    minutes.into_iter().map(|(minute, keys)| (minute, bar(keys))).collect()
}

async fn check(venue: &str, symbol: &str, file: &str, count: usize) {
    let Some(folder) = recordings() else { return };
    let lines = lines(&folder.join(file));
    let tape = Tape::of(venue, symbol, &lines);
    let settings =
        RefineSettings { venues: vec![(tape.venue, Channel::RawTrades)], ..RefineSettings::new("unused") };
    let mut replay = Replay::new(&settings);
    let market = replay.market();
    let instrument: InstrumentId = match venue {
        "binance" => format!("binance:{}-USDT", symbol.trim_end_matches("USDT")),
        venue => format!("{venue}:{}-USDT-PERP", symbol.trim_end_matches("USDT")),
    }
    .parse()
    .unwrap();
    let (mut rows, mut gaps, mut was_live) = (0, 0, false);
    for record in &tape.records {
        replay.take(record);
        for batch in replay.drain() {
            match batch.table {
                TableName::Trades => rows += batch.positions.len(),
                TableName::Gaps => gaps += batch.positions.len(),
                _ => {}
            }
        }
        // After the snapshot the chain never breaks.
        if let Some(book) = market.book(&instrument, 1) {
            assert!(
                !(was_live && book.is_stale && record.position.0 < tape.records.len() as u64 - 400),
                "{}",
                record.position
            );
            was_live |= !book.is_stale;
        }
    }
    let truth = trades(&lines);
    assert_eq!(
        (rows, truth.len(), gaps, replay.counts().undecodable_total),
        (count, count, 0, 0),
        "{symbol}"
    );
    assert!(was_live, "the book came to life");

    let store = Arc::new(FakeStore::default());
    let wanted = minutes(&truth);
    let range = TimeRange { start: Time(1), end: Time(i64::MAX) };
    let first = wanted.keys().next().copied().unwrap();
    let ask = CandleAsk {
        instrument: instrument.clone(),
        timeframe: Timeframe::MINUTE,
        range: Some(TimeRange { start: Time(first), ..range }),
        limit: wanted.len(),
    };
    let answer = replay.candles(store).candles(ask).await.unwrap();
    for (candle, (minute, bar)) in answer.candles.iter().zip(&wanted) {
        let made = &candle.bar;
        assert_eq!(made.open_time.0, *minute);
        let made = (
            made.open,
            made.high,
            made.low,
            made.close,
            made.volume,
            made.quote_volume,
            made.taker_buy_volume.unwrap(),
            made.trade_count.unwrap(),
        );
        assert_eq!(made, *bar, "minute {minute}");
    }
    assert_eq!(answer.candles.len(), wanted.len());
    // The first minute began before the recording.
    assert!(answer.candles[1..].iter().all(|candle| candle.is_complete) && !answer.candles[0].is_complete);
    assert_ne!(answer.coverage.quality, DataQuality::Unknown);
}

#[tokio::test]
async fn a_recorded_night_of_spot_is_whole() {
    check("binance", "BTCUSDT", "binance/spot-btcusdt-2024-08-08-midnight.jsonl.zst", 19_904).await;
    check("binance", "ETHUSDT", "binance/spot-ethusdt-2024-08-08-midnight.jsonl.zst", 14_515).await;
}

#[tokio::test]
async fn a_recorded_morning_of_futures_is_whole() {
    check("binance-futures", "BTCUSDT", "binance-futures/btcusdt-2024-08-08.jsonl.zst", 21_313).await;
}
