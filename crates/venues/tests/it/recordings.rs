//! Real frames, where a folder with recordings is named: every one decodes, and nothing is missing in between.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use model::{Condition, Event, Instrument, InstrumentId, InstrumentKind, Nanos};
use serde::Deserialize;
use serde_json::value::RawValue;
use venues::{DecodeError, Decoder, Frame, Origin, Peek, Purpose, Venue};

/// One line of a recording.
#[derive(Deserialize)]
struct Line {
    t: String,
    conn: String,
    at_ns: i64,
    url: Option<String>,
    data: Option<String>,
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("TICKHOUSE_RECORDINGS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
    }
    folder
}

fn lines(path: PathBuf) -> Vec<Line> {
    let file = std::fs::File::open(path).unwrap();
    let text = zstd::stream::decode_all(file).unwrap();
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn venue(name: &str) -> &'static dyn Venue {
    venues::venue(model::VenueId::known(name).unwrap()).unwrap()
}

fn instrument(venue: &dyn Venue, symbol: &str) -> Instrument {
    let quote = ["USDT", "USDC", "BUSD", "EUR", "ETH", "BTC"]
        .iter()
        .find(|quote| symbol.trim_end_matches(|c: char| c == '_' || c.is_ascii_digit()).ends_with(**quote))
        .unwrap_or(&"X");
    let base = symbol.trim_end_matches(quote);
    let kind = match venue.facts().id.as_str() {
        "binance" | "bybit" => InstrumentKind::Spot,
        _ => InstrumentKind::Perpetual,
    };
    Instrument::named(InstrumentId::new(venue.facts().id, base, quote, kind), symbol)
}

fn purpose(url: &str) -> Purpose {
    let symbol = url.split("symbol=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
    let symbol: Box<str> = symbol.into();
    match url.split('?').next().and_then(|path| path.rsplit('/').next()) {
        Some("exchangeInfo" | "instruments-info") => Purpose::Listing,
        Some("depth") => Purpose::Book { symbol },
        other => panic!("no purpose for {other:?}"),
    }
}

/// Whether it is a whole book; first, last and previous sequence.
type Change = (bool, i64, i64, Option<i64>);

/// What a recording held, as far as it can be counted.
#[derive(Default)]
struct Tally {
    frames: usize,
    trades: BTreeMap<InstrumentId, Vec<i64>>,
    conditions: HashMap<Condition, usize>,
    quotes: usize,
    books: BTreeMap<InstrumentId, Vec<Change>>,
    bars: usize,
    marks: usize,
    interests: usize,
    listed: usize,
}

impl Tally {
    fn take(&mut self, event: Event) {
        match event {
            Event::Trade(trade) => {
                *self.conditions.entry(trade.condition).or_default() += 1;
                self.trades.entry(trade.instrument).or_default().extend(trade.trade_id);
            }
            Event::Quote(_) => self.quotes += 1,
            Event::Book(book) => self.books.entry(book.instrument).or_default().push((
                book.is_snapshot,
                book.first_sequence,
                book.last_sequence,
                book.previous_sequence,
            )),
            Event::Bar(_) => self.bars += 1,
            Event::MarkPrice(_) => self.marks += 1,
            Event::OpenInterest(_) => self.interests += 1,
            Event::Listing(listing) => self.listed += listing.instruments.len(),
            Event::Funding(_) | Event::Notice(_) => {}
        }
    }

    /// Counts of trades; their ids must have no hole.
    fn unbroken_trades(&self) -> Vec<(&str, usize)> {
        for ids in self.trades.values() {
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "ids jump");
        }
        self.trades.iter().map(|(id, ids)| (id.pair(), ids.len())).collect()
    }

    fn chains(&self, follows: impl Fn((i64, i64, Option<i64>), i64) -> bool) -> usize {
        let mut count = 0;
        for changes in self.books.values() {
            let changes: Vec<_> = changes.iter().filter(|change| !change.0).collect();
            for pair in changes.windows(2) {
                assert!(follows((pair[1].1, pair[1].2, pair[1].3), pair[0].2), "{pair:?}");
            }
            count += changes.len();
        }
        count
    }
}

fn decode(decoder: &mut dyn Decoder, line: &Line, tally: &mut Tally) {
    let data = line.data.as_ref().unwrap();
    let purpose = line.url.as_deref().filter(|_| line.t == "http").map(purpose);
    let origin = purpose.as_ref().map_or(Origin::Stream, Origin::Rest);
    let frame = Frame { payload: data.as_bytes(), received: Nanos(line.at_ns), origin };
    let result = decoder.decode(&frame, &mut |event| tally.take(event));
    assert_eq!(result, Ok(()), "{}", data.chars().take(300).collect::<String>());
    tally.frames += 1;
}

fn read(name: &str, file: &str, symbols: &[&str]) -> Option<Tally> {
    let path = folder()?.join(name).join(format!("{file}.jsonl.zst"));
    let venue = venue(name);
    let mut decoder = venue.decoder(Nanos(0));
    decoder.learn(&symbols.iter().map(|symbol| instrument(venue, symbol)).collect::<Vec<_>>());
    let mut tally = Tally::default();
    for line in lines(path).iter().filter(|line| line.t == "recv" || line.t == "http") {
        if line.t == "recv" {
            let payload = line.data.as_ref().unwrap().as_bytes();
            assert!(matches!(venue.peek(payload), Peek::Data(_) | Peek::Accepted));
        }
        decode(&mut *decoder, line, &mut tally);
    }
    Some(tally)
}

fn follows_spot((first, _, _): (i64, i64, Option<i64>), before: i64) -> bool {
    first == before + 1
}

fn follows_futures((_, _, previous): (i64, i64, Option<i64>), before: i64) -> bool {
    previous == Some(before)
}

#[test]
fn spot_over_midnight_is_whole() {
    for (file, symbol, pair, trades) in [
        ("spot-btcusdt-2024-08-08-midnight", "BTCUSDT", "BTC-USDT", 19_904),
        ("spot-ethusdt-2024-08-08-midnight", "ETHUSDT", "ETH-USDT", 14_515),
    ] {
        let Some(tally) = read("binance", file, &[symbol]) else { return };
        assert_eq!(tally.unbroken_trades(), [(pair, trades)]);
        assert!(tally.quotes > 50_000 && tally.chains(follows_spot) > 6_000);
    }
}

#[test]
fn older_spot_is_whole() {
    let symbols = ["BTCUSDT", "ETHUSDT", "DOTUSDT"];
    let Some(tally) = read("binance", "spot-aggtrade-kline-depth-2021-04-04", &symbols) else { return };
    assert_eq!(tally.unbroken_trades(), [("BTC-USDT", 1_227), ("DOT-USDT", 177), ("ETH-USDT", 506)]);
    assert_eq!((tally.bars, tally.chains(follows_spot), tally.frames), (118, 2_688, 4_719));
    let Some(tally) = read("binance", "spot-exchangeinfo-2021-10-12", &[]) else { return };
    assert_eq!((tally.listed, tally.quotes, tally.bars, tally.chains(follows_spot)), (1_695, 84, 2, 177));
}

#[test]
fn futures_are_whole() {
    for (file, symbol, pair, trades) in [
        ("btcusdt-2024-08-08", "BTCUSDT", "BTC-USDT-PERP", 21_313),
        ("ethusdt-2024-08-08", "ETHUSDT", "ETH-USDT-PERP", 14_076),
        ("btcusdt-markprice-2023-04-04-midnight", "BTCUSDT", "BTC-USDT-PERP", 12_935),
    ] {
        let Some(tally) = read("binance-futures", file, &[symbol]) else { return };
        assert_eq!(tally.unbroken_trades(), [(pair, trades)]);
        assert!(tally.quotes > 40_000 && tally.chains(follows_futures) > 6_000);
        if file.contains("markprice") {
            assert_eq!((tally.marks, tally.conditions.get(&Condition::InsuranceFund)), (514, Some(&1)));
        }
    }
}

#[test]
fn older_futures_are_whole() {
    let Some(tally) = read("binance-futures", "aggtrade-kline-exchangeinfo-2021-07-22", &[]) else { return };
    assert_eq!(tally.listed, 122);
    let counts: Vec<usize> = tally.unbroken_trades().into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [8, 38, 5, 40]);
    assert_eq!((tally.quotes, tally.bars, tally.chains(follows_futures)), (613, 67, 764));
}

#[test]
fn bybit_is_told_apart_by_connection() {
    let Some(folder) = folder() else { return };
    let all = lines(folder.join("bybit/spot-linear-2026-08-09.jsonl.zst"));
    for (name, connection, category) in
        [("bybit-linear", "BYBIT.ws.2", "category=linear"), ("bybit", "BYBIT.ws.3", "category=spot")]
    {
        let venue = venue(name);
        let mut decoder = venue.decoder(Nanos(0));
        let mut tally = Tally::default();
        for line in &all {
            let is_ours = match line.t.as_str() {
                "recv" => line.conn == connection,
                "http" => line.url.as_ref().unwrap().contains(category),
                _ => false,
            };
            if is_ours {
                decode(&mut *decoder, line, &mut tally);
            }
        }
        let chained = tally.chains(|(_, last, _), before| last == before + 1);
        let trades: usize = tally.conditions.values().sum();
        if name == "bybit" {
            assert_eq!((tally.listed, chained, tally.bars, tally.marks), (557, 299, 15, 0));
            assert!(tally.trades.values().all(|ids| !ids.is_empty()) && trades >= 11);
        } else {
            assert_eq!((tally.listed, chained, tally.bars), (800, 1_174, 62));
            assert!(trades >= 90 && tally.trades.values().all(Vec::is_empty));
            assert!(tally.marks > 80 && tally.interests > 10, "{} {}", tally.marks, tally.interests);
        }
    }
}

/// A message somebody mapped or parsed, in either file's form.
#[derive(Deserialize)]
struct Message {
    market_type: Option<String>,
    module: Option<String>,
    raw: Box<RawValue>,
}

fn symbols_in(venue: &dyn Venue, text: &str) -> Vec<Instrument> {
    let mut found = Vec::new();
    for part in text.split('"') {
        let symbol =
            part.rsplit('.').next().unwrap_or_default().split('@').next().unwrap_or_default().to_uppercase();
        let is_symbol =
            symbol.len() >= 6 && symbol.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_symbol && !symbol.replace("BUSD_", "").contains("USD_") {
            found.push(instrument(venue, &symbol));
        }
    }
    found
}

#[test]
fn single_messages_decode_or_are_named() {
    let Some(folder) = folder() else { return };
    let received = Nanos(1_795_000_000_000_000_000);
    let mut decoded = 0;
    for (file, spot, contracts) in [
        ("mapped-binance", "binance", "binance"),
        ("mapped-binance-futures", "binance-futures", "binance-futures"),
        ("parsed-binance", "binance", "binance-futures"),
        ("mapped-bybit-spot", "bybit", "bybit"),
        ("mapped-bybit", "bybit-linear", "bybit-linear"),
        ("parsed-bybit", "bybit", "bybit-linear"),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("messages/{file}.jsonl"))).unwrap();
        for line in text.lines() {
            let message: Message = serde_json::from_str(line).unwrap();
            let raw = serde_json::from_str::<String>(message.raw.get())
                .unwrap_or_else(|_| message.raw.get().to_owned());
            let market = message.market_type.as_deref().unwrap_or_default();
            let venue = venue(if market.starts_with("Linear") { contracts } else { spot });
            let module = message.module.as_deref().unwrap_or_default();
            let symbol: Box<str> = "BTCUSDT".into();
            let purpose = match module {
                "l2_snapshot" => Some(Purpose::Book { symbol }),
                "open_interest" => Some(Purpose::OpenInterest { symbol }),
                _ => None,
            };
            let mut decoder = venue.decoder(received);
            decoder.learn(&symbols_in(venue, &raw));
            decoder.learn(&[instrument(venue, "BTCUSDT")]);
            let origin = purpose.as_ref().map_or(Origin::Stream, Origin::Rest);
            let result = decoder.decode(&Frame { payload: raw.as_bytes(), received, origin }, &mut |_| {});
            let is_old_bybit = file.contains("bybit") && !raw.contains("\"ts\":");
            match result {
                Ok(()) => decoded += 1,
                // Contracts margined in coins, and Bybit before its version 5, are not ours; they are named as such.
                Err(DecodeError::UnknownSymbol(symbol)) => {
                    assert!(market.starts_with("Inverse") || raw.contains("USD\""), "{symbol}: {raw}");
                }
                Err(DecodeError::UnknownKind(_)) => {
                    {
                        // One message is of an option.
                        assert!(is_old_bybit || raw.contains("ticker_all"), "{raw}");
                    }
                }
                Err(DecodeError::Malformed(why)) => assert!(is_old_bybit, "{why}: {raw}"),
            }
        }
    }
    assert!(decoded > 60, "{decoded}");
}
