//! Real recordings played back by the simulator through the whole platform: trade for trade, bar for bar.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Decimal;
use serde_json::Value;

use crate::world::{World, eventually, get};

/// Id to (price, quantity, time in microseconds).
type Trades = BTreeMap<String, (Decimal, Decimal, i64)>;

/// What a file holds, read without the platform's decoders.
#[derive(Default)]
struct Expected {
    /// Venue and symbol to id to (price, quantity, time in microseconds).
    trades: BTreeMap<(String, String), Trades>,
    /// Venue and symbol to the last sequence numbers of depth differences.
    depth: BTreeMap<(String, String), BTreeSet<i64>>,
    /// Venue and symbol to the sequence number of the first depth snapshot.
    snapshots: BTreeMap<(String, String), i64>,
}

fn lines(file: &Path) -> Vec<Value> {
    let bytes = zstd::decode_all(std::fs::File::open(file).expect("the recording opens")).expect("zstd");
    let text = String::from_utf8(bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object per line")).collect()
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().expect("a decimal in quotes").parse().expect("a decimal")
}

fn expected(venue_of: impl Fn(&Value) -> String, file: &Path) -> Expected {
    let mut expected = Expected::default();
    for line in lines(file) {
        let venue = venue_of(&line);
        let Some(data) = line["data"].as_str().and_then(|data| serde_json::from_str::<Value>(data).ok())
        else {
            continue;
        };
        if line["t"] == "http" {
            let url = line["url"].as_str().unwrap_or_default();
            if let (Some(last), Some((_, query))) = (data["lastUpdateId"].as_i64(), url.split_once("symbol="))
            {
                let symbol = query.split('&').next().unwrap_or_default().to_owned();
                expected.snapshots.entry((venue, symbol)).or_insert(last);
            }
            continue;
        }
        let payload = if data["data"].is_object() { &data["data"] } else { &data };
        let symbol = payload["s"].as_str().unwrap_or_default().to_owned();
        match payload["e"].as_str() {
            Some(kind @ ("trade" | "aggTrade")) => {
                let is_market = payload["X"].as_str().is_none_or(|kind| kind == "MARKET");
                let id = &payload[if kind == "trade" { "t" } else { "a" }];
                if is_market {
                    let time = payload["T"].as_i64().expect("a time") * 1_000;
                    let trade = (decimal(&payload["p"]), decimal(&payload["q"]), time);
                    expected.trades.entry((venue.clone(), symbol)).or_default().insert(id.to_string(), trade);
                }
            }
            Some("depthUpdate") => {
                let last = payload["u"].as_i64().expect("a sequence number");
                expected.depth.entry((venue.clone(), symbol)).or_default().insert(last);
            }
            _ => {}
        }
        if data["topic"].as_str().is_some_and(|topic| topic.starts_with("publicTrade.")) {
            for trade in data["data"].as_array().expect("a list of trades") {
                let key = (venue.clone(), trade["s"].as_str().expect("a symbol").to_owned());
                let id = trade["i"].as_str().expect("an id").to_owned();
                let time = trade["T"].as_i64().expect("a time") * 1_000;
                expected
                    .trades
                    .entry(key)
                    .or_default()
                    .insert(id, (decimal(&trade["p"]), decimal(&trade["v"]), time));
            }
        }
    }
    expected
}

/// The recordings' folder, or a visible word that the test was skipped.
fn recordings() -> Option<PathBuf> {
    let named = std::env::var_os("TICKHOUSE_RECORDINGS").filter(|named| !named.is_empty());
    if named.is_none() {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
    }
    named.map(PathBuf::from)
}

fn replay(file: &Path, extra: &str) -> World {
    let world = World::start(&["--replay", file.to_str().expect("a plain path"), "--speed", "0"]);
    let sections = "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 0\n";
    world.configure(extra, sections);
    let (mut process, address) = world.run();
    let status = format!("{}/replay/status", world.admin);
    eventually(Duration::from_mins(2), "the recording was sent", || {
        (get(&status).1["done"] == true).then_some(())
    });
    // Everything is in once no log record but ticks comes any more and the lake has caught up.
    let mut before = (u64::MAX, 0);
    eventually(Duration::from_mins(1), "the lake has everything", || {
        std::thread::sleep(Duration::from_millis(1_500));
        let (_, body) = get(&format!("http://{address}/api/v1/status"));
        let data = &body;
        let now =
            (data["trades_total"].as_u64()?, data["lake"]["rows_buffered"].as_u64().unwrap_or_default());
        let is_settled = now == before;
        before = now;
        is_settled.then_some(())
    });
    process.end();
    world
}

/// Rows of `trades` by venue and symbol.
type Stored = BTreeMap<(String, String), Trades>;

fn stored(world: &World) -> Stored {
    let query = "select t.instrument, i.venue_symbol, coalesce(t.venue_trade_id, cast(t.trade_id as varchar)), \
                 t.price, t.quantity, arrow_cast(t.venue_time, 'Int64') from trades t join \
                 (select distinct instrument, venue_symbol from instruments) i on t.instrument = i.instrument \
                 where t.condition = 'market'";
    let mut stored = Stored::new();
    for row in world.sql(query) {
        let key = (row[0].split(':').next().expect("a venue").to_owned(), row[1].clone());
        let trade = (
            row[3].parse().expect("a price"),
            row[4].parse().expect("a quantity"),
            row[5].parse().expect("a time"),
        );
        let before = stored.entry(key).or_default().insert(row[2].clone(), trade);
        assert!(before.is_none(), "{} {} is stored twice", row[0], row[2]);
    }
    stored
}

/// Open, high, low, close, volume by minute, computed from the file alone.
fn bars(trades: &Trades) -> BTreeMap<i64, [Decimal; 5]> {
    let mut sorted: Vec<_> =
        trades.iter().map(|(id, trade)| (trade.2, id.parse::<i64>().ok(), id, trade)).collect();
    sorted.sort();
    let mut bars: BTreeMap<i64, [Decimal; 5]> = BTreeMap::new();
    for (time, _, _, (price, quantity, _)) in sorted {
        let bar =
            bars.entry(time - time % 60_000_000).or_insert([*price, *price, *price, *price, Decimal::ZERO]);
        bar[1] = bar[1].max(*price);
        bar[2] = bar[2].min(*price);
        bar[3] = *price;
        bar[4] = bar[4].checked_add(*quantity).expect("fits");
    }
    bars
}

fn check_bars(world: &World, expected: &Expected) {
    let query = "select b.instrument, i.venue_symbol, arrow_cast(b.open_time, 'Int64'), b.open, b.high, b.low, b.close, \
                 cast(b.volume as varchar) from bars b join (select distinct instrument, venue_symbol from instruments) i \
                 on b.instrument = i.instrument where b.source = 'trades' and b.timeframe = '1m'";
    let mut found: BTreeMap<(String, String), BTreeMap<i64, [Decimal; 5]>> = BTreeMap::new();
    for row in world.sql(query) {
        let key = (row[0].split(':').next().expect("a venue").to_owned(), row[1].clone());
        let number = |index: usize| row[index].parse::<Decimal>().expect("a decimal");
        let bar = [number(3), number(4), number(5), number(6), number(7)];
        found.entry(key).or_default().insert(row[2].parse().expect("a time"), bar);
    }
    for (key, trades) in &expected.trades {
        let wanted = bars(trades);
        let got = found.get(key).cloned().unwrap_or_default();
        // The last minute of the file is still forming when the playback ends.
        let last = *wanted.keys().next_back().expect("a minute");
        for (minute, bar) in wanted.range(..last) {
            assert_eq!(got.get(minute), Some(bar), "{key:?} minute {minute}");
        }
        for (minute, bar) in &got {
            assert_eq!(wanted.get(minute), Some(bar), "{key:?} minute {minute} was never traded");
        }
    }
}

fn check_books(world: &World, expected: &Expected) {
    for (key, wanted) in &expected.depth {
        let Some(snapshot) = expected.snapshots.get(key) else { continue };
        let query = format!(
            "select distinct sequence from book_changes b join (select distinct instrument, venue_symbol from instruments) i \
             on b.instrument = i.instrument where i.venue_symbol = '{}' and not is_snapshot",
            key.1
        );
        let got: BTreeSet<i64> =
            world.sql(&query).iter().map(|row| row[0].parse().expect("a number")).collect();
        let follows: BTreeSet<i64> = wanted.iter().copied().filter(|last| last > snapshot).collect();
        let lost: Vec<_> = follows.difference(&got).take(5).collect();
        assert!(
            lost.is_empty(),
            "{key:?}: differences behind the snapshot {snapshot} are not in the table: {lost:?}"
        );
    }
}

fn check(file: &str, venue_of: impl Fn(&Value) -> String, extra: &str, counts: &[(&str, &str, usize)]) {
    let Some(folder) = recordings() else { return };
    let file = folder.join(file);
    let expected = expected(venue_of, &file);
    let world = replay(&file, extra);
    let stored = stored(&world);
    for (key, trades) in &expected.trades {
        let rows =
            stored.get(key).unwrap_or_else(|| panic!("{key:?} has no rows; stored: {:?}", stored.keys()));
        let lost: Vec<_> = trades.keys().filter(|id| !rows.contains_key(*id)).take(5).collect();
        assert!(lost.is_empty(), "{key:?}: lost {lost:?} of {}", trades.len());
        assert_eq!(rows.len(), trades.len(), "{key:?}");
        assert_eq!(rows, trades, "{key:?}");
    }
    for (venue, symbol, count) in counts {
        let rows = stored.get(&((*venue).to_owned(), (*symbol).to_owned())).map_or(0, BTreeMap::len);
        assert_eq!(rows, *count, "{venue} {symbol}");
    }
    check_bars(&world, &expected);
    check_books(&world, &expected);
}

const RAW: &str = "trades = \"raw\"\nchannels = [\"trades\", \"quotes\", \"book\"]\nbooks = [\"all\"]";
const AGGREGATED: &str = "channels = [\"trades\", \"quotes\", \"book\", \"klines\"]\nbooks = [\"all\"]";

fn binance(_: &Value) -> String {
    "binance".into()
}

fn futures(_: &Value) -> String {
    "binance-futures".into()
}

#[test]
fn spot_bitcoin_over_midnight() {
    check(
        "binance/spot-btcusdt-2024-08-08-midnight.jsonl.zst",
        binance,
        RAW,
        &[("binance", "BTCUSDT", 19_904)],
    );
}

#[test]
fn spot_ether_over_midnight() {
    check(
        "binance/spot-ethusdt-2024-08-08-midnight.jsonl.zst",
        binance,
        RAW,
        &[("binance", "ETHUSDT", 14_515)],
    );
}

#[test]
fn spot_aggregated_trades_of_2021() {
    check("binance/spot-aggtrade-kline-depth-2021-04-04.jsonl.zst", binance, AGGREGATED, &[]);
}

#[test]
fn spot_with_its_listing() {
    check("binance/spot-exchangeinfo-2021-10-12.jsonl.zst", binance, AGGREGATED, &[]);
}

#[test]
fn futures_bitcoin() {
    check("binance-futures/btcusdt-2024-08-08.jsonl.zst", futures, RAW, &[]);
}

#[test]
fn futures_ether() {
    check("binance-futures/ethusdt-2024-08-08.jsonl.zst", futures, RAW, &[]);
}

#[test]
fn futures_with_mark_prices_over_midnight() {
    check("binance-futures/btcusdt-markprice-2023-04-04-midnight.jsonl.zst", futures, RAW, &[]);
}

#[test]
fn futures_with_their_listing() {
    check("binance-futures/aggtrade-kline-exchangeinfo-2021-07-22.jsonl.zst", futures, AGGREGATED, &[]);
}

#[test]
fn bybit_spot_and_linear_use_the_same_topics() {
    let venue = |line: &Value| {
        // The first socket of the recording is the linear one, the second the spot one.
        if line["conn"] == "BYBIT.ws.2" { "bybit-linear".into() } else { "bybit".into() }
    };
    check("bybit/spot-linear-2026-08-09.jsonl.zst", venue, AGGREGATED, &[]);
}
