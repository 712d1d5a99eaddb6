//! Recordings of real venues: one JSON object per line, compressed by zstd or plain. Sending them is left to `replay`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use model::{Side, VenueId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::rest::parameters;
use crate::settings::Error;

/// What one venue said in the recordings, in the order of the files.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) frames: Vec<RecordedFrame>,
    pub(crate) answers: Vec<RecordedAnswer>,
    pub(crate) trades: Vec<RecordedTrade>,
    /// Symbols seen, sorted.
    pub(crate) symbols: Vec<String>,
    /// How many frames had their turn.
    pub(crate) position: AtomicUsize,
    pub(crate) is_started: AtomicBool,
    pub(crate) time_ms: AtomicI64,
}

/// A data frame.
#[derive(Debug)]
pub(crate) struct RecordedFrame {
    /// Stream, without its speed.
    pub(crate) key: Box<str>,
    /// The venue's symbol, upper case.
    pub(crate) symbol: Box<str>,
    /// Payload without the wrapper that names the stream.
    pub(crate) raw: Box<str>,
    pub(crate) at_ns: i64,
    /// How many trades came before this frame.
    pub(crate) trades_before: usize,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct RecordedAnswer {
    /// How many frames came before it.
    pub(crate) place: usize,
    /// Last part of the path.
    pub(crate) name: String,
    pub(crate) parameters: HashMap<String, String>,
    pub(crate) body: Box<str>,
}

/// A trade among the frames.
#[derive(Clone, Debug)]
pub(crate) struct RecordedTrade {
    pub(crate) symbol: Box<str>,
    /// Binance: a raw trade, not an aggregate.
    pub(crate) is_raw: bool,
    pub(crate) id: Option<i64>,
    pub(crate) text_id: Option<Box<str>>,
    pub(crate) price: Box<str>,
    pub(crate) quantity: Box<str>,
    pub(crate) time_ms: i64,
    pub(crate) side: Side,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    pub(crate) sequence: i64,
    /// Whether it belongs to the feed that the truth is about.
    pub(crate) is_canonical: bool,
}

impl Recorded {
    /// The venue's time: that of the frame whose turn it is.
    pub(crate) fn now_ms(&self) -> i64 {
        self.time_ms.load(Ordering::Acquire)
    }
}

/// A stream's name without its speed, by which recordings and wishes meet.
pub(crate) fn canonical(name: &str) -> String {
    name.split('@').take(2).collect::<Vec<_>>().join("@")
}

/// Base and quote asset, guessed from the symbol: recordings without a listing say no more.
pub(crate) fn assets(symbol: &str) -> (&str, &str) {
    const QUOTES: &[&str] = &["USDT", "USDC", "FDUSD", "BUSD", "TUSD", "EUR", "BTC", "ETH", "BNB", "TRY"];
    let quote = QUOTES.iter().find(|quote| symbol.len() > quote.len() && symbol.ends_with(**quote));
    let quote = quote.copied().unwrap_or_default();
    (symbol.strip_suffix(quote).unwrap_or(symbol), quote)
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(borrow, default)]
    conn: Cow<'a, str>,
    #[serde(default)]
    at_ns: i64,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads recordings, told apart by venue.
pub(crate) fn load(files: &[PathBuf]) -> Result<Vec<(VenueId, Recorded)>, Error> {
    let mut venues: BTreeMap<VenueId, Recorded> = BTreeMap::new();
    for path in files {
        read(path, &mut venues)?;
    }
    if venues.is_empty() {
        return Err(Error::Setting("no recording given: name at least one file".into()));
    }
    for recorded in venues.values_mut() {
        finish(recorded);
    }
    Ok(venues.into_iter().collect())
}

fn finish(recorded: &mut Recorded) {
    // Where aggregates were recorded they are the canonical feed, as for live markets.
    let aggregated: Vec<Box<str>> = recorded
        .trades
        .iter()
        .filter(|trade| !trade.is_raw)
        .map(|trade| trade.symbol.clone())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    for trade in &mut recorded.trades {
        trade.is_canonical = !trade.is_raw || aggregated.binary_search(&trade.symbol).is_err();
    }
    let mut symbols: Vec<String> = recorded.frames.iter().map(|frame| frame.symbol.to_string()).collect();
    symbols.sort_unstable();
    symbols.dedup();
    recorded.symbols = symbols;
    let first = recorded.frames.first().map_or(0, |frame| frame.at_ns / 1_000_000);
    recorded.time_ms.store(first, Ordering::Release);
}

fn read(path: &Path, venues: &mut BTreeMap<VenueId, Recorded>) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let nonsense = |reason| Error::Recording { path: path.to_owned(), reason };
    let lines = lines(File::open(path).map_err(failed)?).map_err(failed)?;
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let mut addresses: HashMap<String, String> = HashMap::new();
    for (number, line) in lines.lines().enumerate() {
        let wrong = |what: &str, remedy: &str| nonsense(format!("line {}: {what}; {remedy}", number + 1));
        let line = line.map_err(|error| wrong(&error.to_string(), CUT))?;
        if line.is_empty() {
            continue;
        }
        let parsed: Line<'_> =
            serde_json::from_str(&line).map_err(|error| wrong(&error.to_string(), FORM))?;
        if &*parsed.t == "recv" && parsed.data.is_none() {
            return Err(wrong("a frame without `data`", FORM));
        }
        if let (Some(url), true) = (&parsed.url, parsed.t != "http") {
            addresses.insert(parsed.conn.to_string(), url.to_string());
        }
        let Some(data) = &parsed.data else { continue };
        let address = parsed.url.as_deref().or_else(|| addresses.get(&*parsed.conn).map(String::as_str));
        let venue = venue_of(folder, address.unwrap_or(&parsed.conn))
            .ok_or_else(|| wrong("no simulated venue speaks like this", PLACE))?;
        let recorded = venues.entry(venue).or_default();
        match &*parsed.t {
            "http" => recorded.answers.extend(http(recorded.frames.len(), address.unwrap_or_default(), data)),
            "recv" => receive(recorded, venue, parsed.at_ns, data),
            _ => {}
        }
    }
    Ok(())
}

const FORM: &str = "write one object per line, {\"t\": \"recv\", \"conn\": …, \"at_ns\": …, \"data\": …}, or remove the line";
const CUT: &str = "the file is damaged or cut short: fetch or record it again";
const PLACE: &str = "put the file into a folder named after its venue, such as binance-futures";
/// First bytes of a compressed file.
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// The text of a file, whether it is compressed or not.
fn lines(mut file: File) -> std::io::Result<Box<dyn BufRead>> {
    let mut first = Vec::new();
    file.by_ref().take(4).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(if first == ZSTD {
        Box::new(BufReader::new(zstd::Decoder::new(file)?))
    } else {
        Box::new(BufReader::new(file))
    })
}

fn venue_of(folder: &str, address: &str) -> Option<VenueId> {
    let name = match folder {
        "bybit" | "bybit-linear" if address.contains("linear") => "bybit-linear",
        "bybit" if address.contains("spot") => "bybit",
        "binance" | "binance-futures" | "bybit" | "bybit-linear" => folder,
        _ if address.contains("fstream") || address.contains("fapi") => "binance-futures",
        _ if address.contains("binance") => "binance",
        _ if address.contains("bybit") && address.contains("linear") => "bybit-linear",
        _ if address.contains("bybit") => "bybit",
        _ => return None,
    };
    VenueId::known(name)
}

fn http(place: usize, url: &str, body: &str) -> Option<RecordedAnswer> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let name = path.rsplit('/').next()?.to_owned();
    Some(RecordedAnswer { place, name, parameters: parameters(query), body: body.into() })
}

fn receive(recorded: &mut Recorded, venue: VenueId, at_ns: i64, data: &str) {
    let (key, symbol, raw) = if venue.as_str().starts_with("bybit") {
        let Some(topic) = topic(data) else { return };
        let symbol = topic.rsplit('.').next().unwrap_or_default().to_owned();
        (topic, symbol, data)
    } else {
        let Some((name, raw)) = stream(data) else { return };
        let symbol = name.split('@').next().unwrap_or_default().to_uppercase();
        (canonical(&name), symbol, raw)
    };
    let trades_before = recorded.trades.len();
    collect_trades(&mut recorded.trades, &key, raw);
    recorded.frames.push(RecordedFrame {
        key: key.into(),
        symbol: symbol.into(),
        raw: raw.into(),
        at_ns,
        trades_before,
    });
}

/// A Bybit data frame's topic; answers to requests have none.
fn topic(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Topic {
        topic: String,
    }
    serde_json::from_str::<Topic>(data).ok().map(|frame| frame.topic)
}

/// A Binance data frame's stream and payload.
fn stream(data: &str) -> Option<(String, &str)> {
    if let Ok(combined) = serde_json::from_str::<Combined<'_>>(data) {
        return Some((combined.stream.into_owned(), combined.data.get()));
    }
    let frame: Value = serde_json::from_str(data).ok()?;
    let symbol = frame.get("s")?.as_str()?.to_lowercase();
    let channel = match frame.get("e").and_then(Value::as_str) {
        None => "bookTicker".to_owned(),
        Some("depthUpdate") => "depth".into(),
        Some("markPriceUpdate") => "markPrice".into(),
        Some("kline") => format!("kline_{}", frame.pointer("/k/i")?.as_str()?),
        Some(event) => event.to_owned(),
    };
    Some((format!("{symbol}@{channel}"), data))
}

fn collect_trades(trades: &mut Vec<RecordedTrade>, key: &str, raw: &str) {
    let is_bybit = key.starts_with("publicTrade.");
    if !is_bybit && !key.ends_with("@trade") && !key.ends_with("@aggTrade") {
        return;
    }
    let Ok(frame) = serde_json::from_str::<Value>(raw) else { return };
    if is_bybit {
        let rows = frame.get("data").and_then(Value::as_array);
        trades.extend(rows.into_iter().flatten().filter_map(bybit_trade));
    } else {
        trades.extend(binance_trade(&frame));
    }
}

fn text(value: &Value, name: &str) -> Option<Box<str>> {
    value.get(name)?.as_str().map(Into::into)
}

fn binance_trade(frame: &Value) -> Option<RecordedTrade> {
    let number = |name: &str| frame.get(name).and_then(Value::as_i64);
    let is_raw = frame.get("e")?.as_str()? == "trade";
    Some(RecordedTrade {
        symbol: text(frame, "s")?,
        is_raw,
        id: Some(number(if is_raw { "t" } else { "a" })?),
        text_id: None,
        price: text(frame, "p")?,
        quantity: text(frame, "q")?,
        time_ms: number("T")?,
        side: if frame.get("m")?.as_bool()? { Side::Sell } else { Side::Buy },
        first: number("f"),
        last: number("l"),
        sequence: 0,
        is_canonical: true,
    })
}

fn bybit_trade(row: &Value) -> Option<RecordedTrade> {
    let id = row.get("i")?.as_str()?;
    let number = id.parse().ok();
    Some(RecordedTrade {
        symbol: text(row, "s")?,
        is_raw: false,
        id: number,
        text_id: number.is_none().then(|| id.into()),
        price: text(row, "p")?,
        quantity: text(row, "v")?,
        time_ms: row.get("T")?.as_i64()?,
        side: if row.get("S")?.as_str()? == "Sell" { Side::Sell } else { Side::Buy },
        first: None,
        last: None,
        sequence: row.get("seq").and_then(Value::as_i64).unwrap_or(0),
        is_canonical: true,
    })
}
