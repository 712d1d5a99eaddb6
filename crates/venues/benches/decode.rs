//! Speed of decoding Binance USD-M frames: ours, typed serde and `serde_json::Value` over the same frames.
//!
//! `TICKHOUSE_RECORDINGS=… cargo bench -p venues` takes recorded frames, else those of the fixture.

use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use model::{Decimal, Event, Nanos, Side, Time, VenueId};
use serde::Deserialize;
use serde_json::value::RawValue;
use venues::{Decoder, Frame, Origin, Purpose};

/// Few enough that a sample fits between two interruptions of a busy machine.
const FRAMES: usize = 2_000;
const RECEIVED: Nanos = Nanos(1_795_000_000_000_000_000);

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum Mix {
    /// Trades, quotes and depth as they came.
    All,
    Trades,
    Quotes,
    Depth,
}

const MIXES: [Mix; 4] = [Mix::All, Mix::Trades, Mix::Quotes, Mix::Depth];

fn frames(mix: Mix) -> Vec<Vec<u8>> {
    let is_wanted = |frame: &str| {
        let [trade, quote, depth] = ["\"e\":\"trade\"", "\"e\":\"bookTicker\"", "\"e\":\"depthUpdate\""]
            .map(|kind| frame.contains(kind));
        match mix {
            Mix::All => trade || quote || depth,
            Mix::Trades => trade,
            Mix::Quotes => quote,
            Mix::Depth => depth,
        }
    };
    let wanted = |frame: &&String| frame.starts_with("{\"stream\":\"btcusdt@") && is_wanted(frame);
    let all = recorded().unwrap_or_else(written);
    let chosen: Vec<&String> = all.iter().filter(wanted).collect();
    // Spread over the whole recording: quiet and busy minutes, small and large books.
    let stride = (chosen.len() / FRAMES).max(1);
    chosen.iter().step_by(stride).cycle().take(FRAMES).map(|frame| frame.as_bytes().to_vec()).collect()
}

fn recorded() -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Line {
        data: Option<String>,
    }
    let folder = std::env::var_os("TICKHOUSE_RECORDINGS")?;
    let path = Path::new(&folder).join("binance-futures/btcusdt-2024-08-08.jsonl.zst");
    let text = zstd::stream::decode_all(std::fs::File::open(path).expect("the recording is there"))
        .expect("the recording unpacks");
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(lines.filter_map(|line| serde_json::from_slice::<Line>(line).expect("a line").data).collect())
}

fn fixture(name: &str) -> String {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"))
        .join("fixtures/binance-futures");
    std::fs::read_to_string(folder.join(name)).expect("the fixture is there")
}

fn written() -> Vec<String> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        frame: &'a RawValue,
    }
    let mut decoder = decoder();
    let text = fixture("stream.jsonl");
    let frames = text.lines().map(|line| {
        let line: Line<'_> = serde_json::from_str(line).expect("a line");
        line.frame.get().to_owned()
    });
    frames
        .filter(|frame| {
            let frame = Frame { payload: frame.as_bytes(), received: RECEIVED, origin: Origin::Stream };
            decoder.decode(&frame, &mut |_| {}).is_ok()
        })
        .collect()
}

fn decoder() -> Box<dyn Decoder> {
    let venue = venues::venue(VenueId::known("binance-futures").expect("known")).expect("listed");
    let mut decoder = venue.decoder(RECEIVED);
    let listing = fixture("listing.json");
    let frame =
        Frame { payload: listing.as_bytes(), received: RECEIVED, origin: Origin::Rest(&Purpose::Listing) };
    decoder.decode(&frame, &mut |_| {}).expect("the listing decodes");
    decoder
}

fn run(bencher: Bencher<'_, '_>, mix: Mix, mut read: impl FnMut(&[u8])) {
    let frames = frames(mix);
    bencher.counter(ItemsCount::new(frames.len())).bench_local(|| {
        for frame in &frames {
            read(frame);
        }
    });
}

#[divan::bench(args = MIXES, sample_count = 100, sample_size = 1)]
fn ours(bencher: Bencher<'_, '_>, mix: Mix) {
    let mut decoder = decoder();
    run(bencher, mix, |payload| {
        let frame = Frame { payload, received: RECEIVED, origin: Origin::Stream };
        decoder.decode(&frame, &mut |event: Event| drop(divan::black_box(event))).expect("decodes");
    });
}

#[divan::bench(args = MIXES, sample_count = 100, sample_size = 1)]
fn peek(bencher: Bencher<'_, '_>, mix: Mix) {
    let venue = venues::venue(VenueId::known("binance-futures").expect("known")).expect("listed");
    run(bencher, mix, |payload| {
        divan::black_box(venue.peek(payload));
    });
}

#[derive(Deserialize)]
struct Wrapper<'a, T> {
    stream: &'a str,
    data: T,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    t: i64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
    #[serde(rename = "X")]
    kind: &'a str,
}

#[derive(Deserialize)]
struct Quote<'a> {
    s: &'a str,
    u: i64,
    b: &'a str,
    #[serde(rename = "B")]
    bid_quantity: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_quantity: &'a str,
    #[serde(rename = "T")]
    time: i64,
}

#[derive(Deserialize)]
struct Depth<'a> {
    s: &'a str,
    #[serde(rename = "U")]
    first: i64,
    u: i64,
    pu: i64,
    #[serde(rename = "T")]
    time: i64,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
}

fn number(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).expect("a number")
}

#[divan::bench(args = MIXES, sample_count = 100, sample_size = 1)]
fn typed_serde(bencher: Bencher<'_, '_>, mix: Mix) {
    run(bencher, mix, |payload| {
        // The stream's name tells the type, as it would for a careful user.
        let name = &payload[..payload.len().min(40)];
        if name.windows(6).any(|part| part == b"@trade") {
            let frame: Wrapper<'_, Trade<'_>> = serde_json::from_slice(payload).expect("a trade");
            let trade = frame.data;
            let side = if trade.m { Side::Sell } else { Side::Buy };
            let kept = (trade.t, number(trade.p), number(trade.q), Time::from_millis(trade.time), side);
            divan::black_box((frame.stream, trade.s, trade.kind, kept));
        } else if name.windows(5).any(|part| part == b"@book") {
            let frame: Wrapper<'_, Quote<'_>> = serde_json::from_slice(payload).expect("a quote");
            let quote = frame.data;
            let bid = (number(quote.b), number(quote.bid_quantity));
            let ask = (number(quote.a), number(quote.ask_quantity));
            divan::black_box((frame.stream, quote.s, quote.u, Time::from_millis(quote.time), bid, ask));
        } else {
            let frame: Wrapper<'_, Depth<'_>> = serde_json::from_slice(payload).expect("depth");
            let depth = frame.data;
            let levels = |side: &[(&str, &str)]| -> Vec<(Decimal, Decimal)> {
                side.iter().map(|(price, quantity)| (number(price), number(quantity))).collect()
            };
            let ids = (depth.first, depth.u, depth.pu, Time::from_millis(depth.time));
            divan::black_box((frame.stream, depth.s, ids, levels(&depth.b), levels(&depth.a)));
        }
    });
}

#[divan::bench(args = MIXES, sample_count = 100, sample_size = 1)]
fn serde_value(bencher: Bencher<'_, '_>, mix: Mix) {
    run(bencher, mix, |payload| {
        divan::black_box(serde_json::from_slice::<serde_json::Value>(payload).expect("JSON"));
    });
}
