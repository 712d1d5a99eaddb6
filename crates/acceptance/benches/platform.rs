//! Measures the built binary as its users meet it: throughput, memory, latency, candles, start.
//!
//! `cargo bench -p acceptance` against a release binary named by `TICKHOUSE_BIN`. Scenarios can be named:
//! `cargo bench -p acceptance -- ingest latency`. Numbers go to standard output and from there into the docs.
#![expect(clippy::disallowed_methods, reason = "benches measure other processes in real time")]
#![expect(clippy::disallowed_macros, reason = "a bench prints")]
#![expect(dead_code, reason = "the tests' world is shared and not all of it is used here")]

#[path = "platform/candles.rs"]
mod candles;
#[path = "platform/latency.rs"]
mod latency;
#[path = "platform/outage.rs"]
mod outage;
#[path = "platform/start.rs"]
mod start;
#[path = "platform/tip.rs"]
mod tip;
#[path = "../tests/it/world.rs"]
mod world;
#[path = "platform/year.rs"]
mod year;

use std::time::{Duration, Instant};

use serde_json::Value;

use candles::candles;
use latency::latency;
use outage::outage;
use start::start;
use tip::tip;
use world::{World, eventually, get};
use year::year;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let scenarios: [(&str, fn()); 8] = [
        ("ingest", ingest),
        ("many", many),
        ("latency", latency),
        ("candles", candles),
        ("start", start),
        ("outage", outage),
        ("tip", tip),
        ("year", year),
    ];
    for (name, scenario) in scenarios {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            scenario();
        }
    }
}

/// Seconds a scenario runs.
fn seconds() -> u64 {
    std::env::var("TICKHOUSE_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

struct Reading {
    at: Instant,
    trades: u64,
    /// Frames of all venues.
    frames: u64,
    cpu: f64,
    memory: u64,
    refined: u64,
    written: u64,
}

fn read(address: &str) -> Reading {
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    let data = &body;
    Reading {
        at: Instant::now(),
        trades: data["trades_total"].as_u64().unwrap_or_default(),
        frames: data["venues"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|venue| venue["frames_total"].as_u64())
            .sum(),
        cpu: data["cpu_seconds"].as_f64().unwrap_or_default(),
        memory: data["memory_bytes"].as_u64().unwrap_or_default(),
        refined: data["lake"]["refined"].as_u64().unwrap_or_default(),
        written: data["log"]["written"].as_u64().unwrap_or_default(),
    }
}

/// What is sent from a second process.
struct Load {
    rate: &'static str,
    /// On each venue.
    instruments: &'static str,
    venues: &'static str,
    channels: &'static str,
}

/// Prebuilt frames from a second process: events per second, loss, lag, memory and processor time.
fn load(name: &str, what: &Load) {
    let mut world =
        World::start(&["--load", what.rate, "--instruments", what.instruments, "--venues", what.venues]);
    let channels = format!("channels = [{}]", what.channels);
    world.configure(&channels, "[collect]\nklines_history_minutes = 0\n");
    let (mut process, address) = world.run();
    eventually(Duration::from_secs(30), "trades arrive", || (read(&address).trades > 0).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    let first = read(&address);
    let mut memory = 0;
    for _ in 0..seconds() {
        std::thread::sleep(Duration::from_secs(1));
        memory = memory.max(read(&address).memory);
    }
    let last = read(&address);
    let took = (last.at - first.at).as_secs_f64();
    println!(
        "{name}: {:.0} frames/s, {:.0} trades/s recorded over {took:.0} s; {:.1} % of one core; {} MiB peak; {} records behind",
        (last.frames - first.frames) as f64 / took,
        (last.trades - first.trades) as f64 / took,
        (last.cpu - first.cpu) * 100.0 / took,
        memory >> 20,
        last.written.saturating_sub(last.refined),
    );
    let said = world.end_exchanges();
    let sent: Value =
        said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let sent = sent["trades_sent"].as_u64().unwrap_or_default();
    std::thread::sleep(Duration::from_secs(5));
    let recorded = read(&address).trades;
    println!(
        "  sent {sent}, recorded {recorded}, sender used {:.1} s of processor time",
        sender_seconds(&said)
    );
    process.end();
}

fn sender_seconds(said: &str) -> f64 {
    let last: Value =
        said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    last["cpu_seconds"].as_f64().unwrap_or_default()
}

fn ingest() {
    let what = Load { rate: "150000", instruments: "50", venues: "binance-futures", channels: "\"trades\"" };
    load("ingest, 150,000 events/s asked", &what);
}

fn many() {
    let channels = "\"trades\", \"quotes\", \"klines\"";
    let one = Load { rate: "5000", instruments: "700", venues: "binance-futures", channels };
    load("700 instruments of one venue, trades, quotes and bars, 5,000 events/s asked", &one);
    let venues = "binance,binance-futures,bybit,bybit-linear";
    let four = Load { rate: "5000", instruments: "175", venues, channels };
    load("700 instruments of four venues, trades, quotes and bars, 5,000 events/s asked", &four);
}
