//! Real recordings played back by the simulator through the whole platform: trade for trade, bar for bar.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::Decimal;
use serde_json::Value;

use crate::chain_world::ask;
use crate::folds::{Book, Trades, bars};
use crate::world::{World, eventually, get, get_text, until};

/// What a file holds, read without the platform's decoders.
#[derive(Default)]
struct Expected {
    /// Venue and symbol to id to (price, quantity, time in microseconds).
    trades: BTreeMap<(String, String), Trades>,
    /// Venue and symbol to the book as the file tells it.
    books: BTreeMap<(String, String), Book>,
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
            if let (Some(_), Some((_, query))) = (data["lastUpdateId"].as_i64(), url.split_once("symbol=")) {
                let symbol = query.split('&').next().unwrap_or_default().to_owned();
                expected.books.entry((venue, symbol)).or_default().snapshot(&data, "lastUpdateId");
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
                expected.books.entry((venue.clone(), symbol)).or_default().difference(payload);
            }
            _ => {}
        }
        // The recordings hold Bybit's books at a depth of 200 only, which the platform does not ask for.
        if data["topic"].as_str().is_some_and(|topic| topic.starts_with("orderbook.50.")) {
            let key = (venue.clone(), data["data"]["s"].as_str().expect("a symbol").to_owned());
            let book = expected.books.entry(key).or_default();
            if data["type"] == "snapshot" {
                book.snapshot(&data["data"], "u");
            } else {
                book.difference(&data["data"]);
            }
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

/// Plays the file back; `look` is called once everything is in the tables, with the platform still running.
/// How long nothing new has to come until nothing more is awaited.
const STILL: Duration = Duration::from_secs(6);

fn replay(file: &Path, extra: &str, look: impl FnOnce(&str)) -> World {
    let world = World::start(&["--replay", file.to_str().expect("a plain path"), "--speed", "0"]);
    let sections = "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 0\n";
    world.configure(extra, sections);
    let (mut process, address) = world.run();
    let replay = format!("{}/replay/status", world.admin);
    eventually(Duration::from_mins(2), "the recording was sent", || {
        (get(&replay).1["done"] == true).then_some(())
    });
    let state = format!("http://{address}/api/v1/status");
    // A connection that took over brings what was sent twice, and a stream tells of one: then nothing new for a while will
    // do, since whatever is lacking is found lost below.
    let mut newest = (0, Instant::now());
    let written = until(Duration::from_mins(1), "everything sent is received", || {
        let (sent, now) = (get(&replay).1, get(&state).1);
        let mut lacking = None;
        let mut total = 0;
        for venue in sent["venues"].as_array().into_iter().flatten() {
            let same = |other: &&Value| other["venue"] == venue["venue"];
            let here = now["venues"].as_array().and_then(|all| all.iter().find(same));
            let streams = here.and_then(|here| here["streams"].as_array()).ok_or("no such venue")?;
            let received: u64 = streams.iter().filter_map(|stream| stream["message_count"].as_u64()).sum();
            total += received;
            if received < venue["sent"].as_u64().unwrap_or(u64::MAX) {
                lacking = Some(format!("{received} of {venue}"));
            }
        }
        if total != newest.0 {
            newest = (total, Instant::now());
        }
        match lacking {
            Some(lacking) if newest.1.elapsed() < STILL => Err(lacking),
            _ => now["log"]["written"].as_u64().ok_or_else(|| "no position".into()),
        }
    });
    // A frame that was counted may wait a moment for the log's writer; a tick is written behind it.
    let ticks = 8;
    until(Duration::from_mins(1), "everything received is in the tables", || {
        let refined = get(&state).1["lake"]["refined"].as_u64().unwrap_or_default();
        if refined >= written + ticks { Ok(()) } else { Err(format!("{refined} of {written}")) }
    });
    look(&address);
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
        // The last minute of the file is still forming when the playback ends: see `check_last`.
        let last = *wanted.keys().next_back().expect("a minute");
        for (minute, bar) in wanted.range(..last) {
            assert_eq!(got.get(minute), Some(bar), "{key:?} minute {minute}");
        }
        for (minute, bar) in &got {
            assert_eq!(wanted.get(minute), Some(bar), "{key:?} minute {minute} was never traded");
        }
    }
}

/// Waits until the minute before the file's last one is closed: the venue's clock passes it some time behind the last
/// trade, which may be the first of its minute.
fn wait_for_close(address: &str, key: &(String, String), trades: &Trades) {
    let Some((minute, _)) = bars(trades).into_iter().rev().nth(1) else { return };
    let query = format!(
        "select count(*) as n from bars b join (select distinct instrument, venue_symbol from instruments) i on \
         b.instrument = i.instrument where b.source = 'trades' and b.timeframe = '1m' and i.venue_symbol = '{}' and \
         b.instrument like '{}:%' and arrow_cast(b.open_time, 'Int64') = {minute}",
        key.1, key.0
    );
    until(Duration::from_mins(1), "the last full minute is closed", || {
        let rows = ask(address, &query)?;
        if rows[0]["n"] == 0 { Err(format!("{key:?} minute {minute}")) } else { Ok(()) }
    });
}

/// The file's last minute, which forms as long as no later trade comes.
fn check_last(address: &str, key: &(String, String), trades: &Trades) {
    let (minute, bar) = bars(trades).pop_last().expect("a minute");
    let (venue, symbol, time) = (&key.0, &key.1, minute / 1_000);
    let url = format!(
        "http://{address}/api/v1/data/klines/{symbol}?venue={venue}&timeframe=1&start_time={time}&end_time={time}&format=csv"
    );
    let text = get_text(&url);
    let line = text.lines().nth(1).unwrap_or_else(|| panic!("{key:?}: no candle at {minute}"));
    let cells: Vec<&str> = line.split(',').collect();
    assert_eq!(cells[0], time.to_string(), "{key:?}");
    let numbers: Vec<Decimal> = cells[1..6].iter().map(|cell| cell.parse().expect("a decimal")).collect();
    assert_eq!(numbers, bar, "{key:?} minute {minute}");
}

/// The book as served at the end is the one that the test folds from the file.
fn check_levels(address: &str, key: &(String, String), book: &Book) {
    let (venue, symbol) = key;
    let url = format!("http://{address}/api/v1/data/books/{symbol}?venue={venue}&depth=5000");
    let (status, answer) = get(&url);
    assert_eq!(status, 200, "{key:?}: {answer}");
    let served = &answer["data"];
    assert_eq!(
        (&served["is_stale"], served["sequence"].as_i64()),
        (&Value::Bool(false), Some(book.last())),
        "{key:?}"
    );
    // Numbers of this size keep all their digits through a double.
    let decimal =
        |value: &Value| value.as_f64().expect("a number").to_string().parse::<Decimal>().expect("a decimal");
    for (side, wanted) in [("bids", book.bids()), ("asks", book.asks())] {
        let levels = served[side].as_array().expect("levels").iter();
        let got: Vec<(Decimal, Decimal)> =
            levels.map(|level| (decimal(&level[0]), decimal(&level[1]))).collect();
        let wanted: Vec<_> = wanted.take(5_000).collect();
        let other = got.iter().zip(&wanted).find(|(got, wanted)| got != wanted);
        assert!(
            got.len() == wanted.len() && other.is_none(),
            "{key:?} {side}: {} and {} levels, {other:?}",
            got.len(),
            wanted.len()
        );
    }
}

/// One snapshot, then each difference of the file behind it and no other: a break of the chain anywhere would have cost
/// some, and asked for another snapshot.
fn check_chain(world: &World, key: &(String, String), book: &Book) {
    let query = format!(
        "select distinct sequence, is_snapshot from book_changes b join (select distinct instrument, venue_symbol from \
         instruments) i on b.instrument = i.instrument where i.venue_symbol = '{}' and b.instrument like '{}:%' order by 1",
        key.1, key.0
    );
    let (mut snapshots, mut differences) = (Vec::new(), Vec::new());
    for row in world.sql(&query) {
        let sequence: i64 = row[0].parse().expect("a number");
        if row[1] == "true" { snapshots.push(sequence) } else { differences.push(sequence) }
    }
    assert_eq!(snapshots, [book.origin()], "{key:?}: snapshots");
    let wanted = book.sequences();
    let lost: Vec<_> = wanted.iter().filter(|sequence| !differences.contains(sequence)).take(5).collect();
    assert!(lost.is_empty(), "{key:?}: differences that are not in the table: {lost:?}");
    assert_eq!(differences.len(), wanted.len(), "{key:?}: differences of no file");
}

fn check(file: &str, venue_of: impl Fn(&Value) -> String, extra: &str, counts: &[(&str, &str, usize)]) {
    let Some(folder) = recordings() else { return };
    let file = folder.join(file);
    let expected = expected(venue_of, &file);
    let world = replay(&file, extra, |address| {
        for (key, trades) in &expected.trades {
            wait_for_close(address, key, trades);
            check_last(address, key, trades);
        }
        for (key, book) in &expected.books {
            check_levels(address, key, book);
        }
    });
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
    for (key, book) in &expected.books {
        check_chain(&world, key, book);
    }
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
