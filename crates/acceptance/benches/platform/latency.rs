//! How long a trade takes from our socket to WebSocket clients, at 20,000 events per second.
//!
//! From the receipt time in the table `trades` (microseconds, stamped when the frame was read from the socket) to the moment the
//! client has the message, on the same machine's clock. Messages are only kept while they come, and read afterwards.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{read, seconds};
use crate::world::{World, block_on, eventually, get};

const ROUNDS: u64 = 3;
const INSTRUMENTS: &str = "20";

/// What one client heard, and when, in microseconds since the epoch.
type Heard = Vec<(u64, Utf8Bytes)>;

/// Several rounds, each in a world of its own.
pub(super) fn latency() {
    let took = Duration::from_secs((seconds() / (ROUNDS * 2)).max(2));
    for round in 1..=ROUNDS {
        let world =
            World::start(&["--load", "20000", "--instruments", INSTRUMENTS, "--venues", "binance-futures"]);
        world.configure("channels = [\"trades\"]", "[collect]\nklines_history_minutes = 0\n");
        let (mut process, address) = world.run();
        eventually(Duration::from_secs(30), "trades arrive", || (read(&address).trades > 0).then_some(()));
        std::thread::sleep(Duration::from_secs(2));
        let symbols = symbols(&address);
        let singles: Vec<Vec<String>> = symbols.iter().take(4).map(|symbol| vec![symbol.clone()]).collect();
        measure(
            &world,
            &address,
            &format!("round {round}, 4 clients with an instrument each"),
            (&singles, took),
        );
        let name = format!("round {round}, 1 client with all {} instruments", symbols.len());
        measure(&world, &address, &name, (&[symbols], took));
        process.end();
    }
}

fn symbols(address: &str) -> Vec<String> {
    let (_, body) = get(&format!("http://{address}/api/v1/data/instruments"));
    let all = body["data"].as_array().expect("a list of instruments").iter();
    all.filter_map(|one| Some(one["symbol"].as_str()?.to_owned())).collect()
}

fn measure(world: &World, address: &str, name: &str, (clients, took): (&[Vec<String>], Duration)) {
    let before = read(address);
    let clients: Vec<_> = clients
        .iter()
        .map(|symbols| {
            let (address, symbols) = (address.to_owned(), symbols.clone());
            std::thread::spawn(move || block_on(listen(&address, &symbols, took)))
        })
        .collect();
    let heard: Vec<Heard> = clients.into_iter().map(|client| client.join().expect("a client ends")).collect();
    let after = read(address);
    let arrivals: Vec<(String, i64, u64)> =
        heard.iter().flatten().filter_map(|(at, text)| trade(*at, text)).collect();
    // Rows are readable a tenth of a second after their news.
    std::thread::sleep(Duration::from_secs(1));
    let received = receipts(world, arrivals.iter().map(|(_, _, at)| *at).min().unwrap_or_default());
    let mut waits: Vec<u64> = arrivals
        .iter()
        .filter_map(|(instrument, id, at)| {
            Some(at.saturating_sub(*received.get(instrument.as_str())?.get(id)?))
        })
        .collect();
    assert!(waits.len() * 100 >= arrivals.len() * 99, "{} of {} trades found", waits.len(), arrivals.len());
    waits.sort_unstable();
    let at = |share: f64| waits.get((waits.len() as f64 * share) as usize).copied().unwrap_or_default();
    let span = (after.at - before.at).as_secs_f64();
    println!(
        "latency, socket in to client out, {name}: {} trades, p50 {} µs, p90 {} µs, p99 {} µs, most {} µs; \
         {:.0} events/s in, {:.0} % of one core",
        waits.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        waits.last().copied().unwrap_or_default(),
        (after.trades - before.trades) as f64 / span,
        (after.cpu - before.cpu) * 100.0 / span,
    );
}

async fn listen(address: &str, symbols: &[String], took: Duration) -> Heard {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws/stream"))
        .await
        .expect("the stream opens");
    let wanted: Vec<Value> =
        symbols.iter().map(|symbol| json!({"symbol": symbol, "channels": ["trades"]})).collect();
    let ask = json!({"action": "subscribe", "subscriptions": wanted});
    socket.send(Message::text(ask.to_string())).await.expect("the stream takes a message");
    let (mut heard, started) = (Heard::new(), Instant::now());
    while started.elapsed() < took {
        let Some(Ok(Message::Text(text))) = socket.next().await else { continue };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
        heard.push((now as u64, text));
    }
    heard
}

/// Instrument, id and arrival of a trade; nothing of another message.
fn trade(at: u64, text: &str) -> Option<(String, i64, u64)> {
    let value: Value = serde_json::from_str(text).ok()?;
    assert_ne!(value["type"], "skipped", "the client was too slow to measure anything: {value}");
    (value["type"] == "trade").then_some(())?;
    Some((value["instrument"].as_str()?.to_owned(), value["data"]["aggregate_id"].as_i64()?, at))
}

/// When trades were received, from a little before a moment on, by instrument and id.
fn receipts(world: &World, from: u64) -> HashMap<String, HashMap<i64, u64>> {
    let from = from.saturating_sub(1_000_000);
    let query = format!(
        "select instrument, trade_id, arrow_cast(received_time, 'Int64') from trades \
         where arrow_cast(received_time, 'Int64') >= {from}"
    );
    let mut times: HashMap<String, HashMap<i64, u64>> = HashMap::new();
    for row in world.sql(&query) {
        let (id, time) = (row[1].parse().expect("an id"), row[2].parse().expect("a time"));
        times.entry(row[0].clone()).or_default().insert(id, time);
    }
    times
}
