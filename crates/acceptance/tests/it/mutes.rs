//! A mute stream among two hundred is named in seconds, and a quiet market names none. In real time, for `make soak`;
//! on the virtual clock the same is tested where silence is judged, in `collect`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Process, World, eventually, get, get_text, post, until};

/// How long a mute stream that brings a message a second may stay unnamed.
const NAMED_MAX: Duration = Duration::from_secs(5);
const SECTIONS: &str = "[collect]\nklines_history_minutes = 0\n";
const CHANNELS: &str = "channels = [\"trades\", \"quotes\", \"klines\"]";

/// Whether the long journeys were asked for, or a visible word that they were not.
fn is_soak() -> bool {
    let is_soak = std::env::var_os("TICKHOUSE_SOAK").is_some();
    if !is_soak {
        eprintln!(
            "skipped: a journey of many minutes in real time; run `make soak`, or set TICKHOUSE_SOAK=1"
        );
    }
    is_soak
}

/// One stream as the status shows it.
#[derive(Clone, Debug)]
struct Stream {
    venue: String,
    key: String,
    symbol: String,
    channel: String,
    health: String,
    message_count: u64,
}

fn streams(address: &str) -> Vec<Stream> {
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for venue in body["venues"].as_array().into_iter().flatten() {
        for stream in venue["streams"].as_array().into_iter().flatten() {
            let instrument = text(&stream["instrument"]);
            let pair = instrument.split(':').nth(1).unwrap_or_default();
            found.push(Stream {
                venue: text(&venue["venue"]),
                key: text(&stream["key"]),
                symbol: pair.split('-').take(2).collect(),
                channel: text(&stream["channel"]),
                health: text(&stream["health"]),
                message_count: stream["message_count"].as_u64().unwrap_or_default(),
            });
        }
    }
    found
}

/// The lines of the metrics that say 1 for a mute stream.
fn mute_metrics(address: &str) -> Vec<String> {
    let text = get_text(&format!("http://{address}/metrics"));
    let is_mute = |line: &&str| line.starts_with("tickhouse_stream_mute{") && line.ends_with(" 1");
    text.lines().filter(is_mute).map(str::to_owned).collect()
}

/// The lines of the log that call a stream mute.
fn mute_lines(place: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(place.join("run.log")).expect("the log is there");
    text.lines().filter(|line| line.contains("mute stream")).map(str::to_owned).collect()
}

/// Where a stream is not yet called mute.
fn lacking(stream: &Stream, (world, address): (&World, &str), seen: usize) -> Vec<&'static str> {
    let mut lacking = Vec::new();
    let is_it = |other: &Stream| other.venue == stream.venue && other.key == stream.key;
    if !streams(address).iter().any(|other| is_it(other) && other.health == "mute") {
        lacking.push("status");
    }
    let (venue, key) = (format!("\"{}\"", stream.venue), format!("\"{}\"", stream.key));
    if !mute_metrics(address).iter().any(|line| line.contains(&venue) && line.contains(&key)) {
        lacking.push("metrics");
    }
    let lines = mute_lines(world.place.path());
    if !lines[seen.min(lines.len())..].iter().any(|line| line.contains(&venue) && line.contains(&key)) {
        lacking.push("log");
    }
    lacking
}

fn start(instruments: &str, rate: &str) -> (World, Process, String) {
    let world = World::start(&["--seed", "5", "--instruments", instruments, "--rate", rate]);
    world.configure(CHANNELS, SECTIONS);
    let (process, address) = world.run();
    (world, process, address)
}

/// Streams of trades and quotes that brought at least a message a second, the slowest first, with what they brought.
fn busy(address: &str) -> Vec<(f64, Stream)> {
    let before = streams(address);
    let span = Duration::from_secs(90);
    std::thread::sleep(span);
    let mut busy: Vec<(f64, Stream)> = streams(address)
        .into_iter()
        .filter_map(|stream| {
            let earlier =
                before.iter().find(|other| other.venue == stream.venue && other.key == stream.key)?;
            let rate = (stream.message_count - earlier.message_count) as f64 / span.as_secs_f64();
            (rate >= 1.0 && matches!(&*stream.channel, "trades" | "quotes")).then_some((rate, stream))
        })
        .collect();
    busy.sort_by(|left, right| left.0.total_cmp(&right.0));
    busy
}

/// Waits until the stream counts as mute everywhere; how long that took.
fn named_after(stream: &Stream, place: (&World, &str), seen: usize) -> Duration {
    let started = Instant::now();
    until(Duration::from_secs(30), "a mute stream is named", || {
        let lacking = lacking(stream, place, seen);
        if lacking.is_empty() { Ok(()) } else { Err(format!("{stream:?} is not in {lacking:?}")) }
    });
    started.elapsed()
}

#[test]
fn one_mute_stream_of_two_hundred_is_named_within_five_seconds() {
    if !is_soak() {
        return;
    }
    let (world, mut process, address) = start("17", "1200");
    eventually(Duration::from_mins(1), "two hundred streams are live", || {
        let streams = streams(&address);
        (streams.len() >= 200 && streams.iter().filter(|stream| stream.health == "live").count() >= 180)
            .then_some(())
    });
    let busy = busy(&address);
    assert!(mute_lines(world.place.path()).is_empty(), "no alarm before the fault");
    // From the slowest to the fastest.
    let picked: Vec<_> = (0..8).map(|part| busy[part * (busy.len() - 1) / 7].clone()).collect();
    let mut late = Vec::new();
    for (rate, stream) in picked {
        let seen = mute_lines(world.place.path()).len();
        let fault = format!("{}:mute={}@0s+40s", stream.venue, stream.symbol);
        let answer = post(&format!("{}/faults", world.admin), &fault);
        assert_eq!(answer.0, 200, "{fault}: {}", answer.1);
        let named = named_after(&stream, (&world, &address), seen);
        eprintln!("{} {} at {rate:.2} messages/s was named after {named:.2?}", stream.venue, stream.key);
        if named > NAMED_MAX {
            late.push((stream.key.clone(), rate, named));
        }
        assert_eq!(post(&format!("{}/faults", world.admin), "none").0, 200);
        eventually(Duration::from_mins(1), "the streams speak again", || {
            let symbol = &stream.symbol;
            let is_mute = |other: &Stream| other.symbol == *symbol && other.health == "mute";
            (!streams(&address).iter().any(is_mute) && mute_metrics(&address).is_empty()).then_some(())
        });
        std::thread::sleep(Duration::from_secs(20));
    }
    assert!(late.is_empty(), "named too late: {late:?}");
    process.end();
}

#[test]
fn ten_minutes_of_a_quiet_market_raise_no_alarm() {
    if !is_soak() {
        return;
    }
    let (world, mut process, address) = start("17", "16");
    let started = Instant::now();
    while started.elapsed() < Duration::from_mins(10) {
        let mutes: Vec<Stream> =
            streams(&address).into_iter().filter(|stream| stream.health == "mute").collect();
        assert!(mutes.is_empty(), "after {:.0?}: {mutes:?}", started.elapsed());
        assert_eq!(mute_metrics(&address), Vec::<String>::new(), "after {:.0?}", started.elapsed());
        assert_eq!(mute_lines(world.place.path()), Vec::<String>::new());
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(streams(&address).len() >= 200);
    process.end();
}
