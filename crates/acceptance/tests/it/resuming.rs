//! A WebSocket client that comes back after the platform was killed, or after it was away: each trade once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{World, block_on, eventually, get};

const VENUES: [&str; 2] = ["binance-futures", "bybit-linear"];
/// Live trades heard each time.
const HEARD: usize = 150;
/// Order by receipt and order in the log differ by less than this, in microseconds.
const SEAM: i64 = 2_000_000;

/// What the client remembers.
#[derive(Default)]
struct Client {
    position: Option<String>,
    trades: BTreeMap<String, BTreeSet<String>>,
}

impl Client {
    /// Subscribes where it left off and hears so many live trades; how its streams went on.
    async fn listen(&mut self, address: &str) -> String {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws/stream"))
            .await
            .expect("the stream opens");
        let wanted = VENUES.map(|venue| json!({"symbol": "BTCUSDT", "venue": venue, "channels": ["trades"]}));
        let mut ask = json!({"action": "subscribe", "subscriptions": wanted});
        if let Some(position) = &self.position {
            ask["resume_from"] = json!(position);
        }
        socket.send(Message::text(ask.to_string())).await.expect("the stream takes a message");
        let (mut live, mut word) = (0, String::new());
        while live < HEARD {
            let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await;
            let message = message.expect("trades go on").expect("the stream stands").expect("a message");
            let Message::Text(text) = message else { continue };
            let heard: Value = serde_json::from_str(&text).expect("JSON");
            match heard["type"].as_str() {
                Some("trade") => live += usize::from(self.take(&heard)),
                Some("subscribed") => {
                    heard["subscriptions"][0]["resumed"].as_str().unwrap_or_default().clone_into(&mut word);
                }
                _ => panic!("nothing else is due: {heard}"),
            }
        }
        word
    }

    /// Takes a trade; whether it was live.
    fn take(&mut self, heard: &Value) -> bool {
        let (instrument, data) = (heard["instrument"].as_str().expect("an instrument"), &heard["data"]);
        let number = data["aggregate_id"].as_i64().map(|id| id.to_string());
        let id = number.unwrap_or_else(|| data["trade_id"].as_str().expect("an id").to_owned());
        let is_new = self.trades.entry(instrument.to_owned()).or_default().insert(id);
        assert!(is_new, "this came before: {heard}");
        if let Some(position) = heard["position"].as_str() {
            self.position = Some(position.to_owned());
        }
        heard["position"].is_string()
    }
}

/// Receipt times by id of what is stored.
fn stored(world: &World, instrument: &str) -> BTreeMap<String, i64> {
    let query = format!(
        "select coalesce(venue_trade_id, cast(trade_id as varchar)), arrow_cast(received_time, 'Int64') \
         from trades where instrument = '{instrument}'"
    );
    let rows = world.sql(&query);
    rows.into_iter().map(|row| (row[0].clone(), row[1].parse().expect("a time"))).collect()
}

#[test]
fn a_client_that_comes_back_gets_each_trade_once() {
    let world = World::start(&["--instruments", "4", "--rate", "800", "--venues", &VENUES.join(",")]);
    world.configure("", "[collect]\nklines_history_minutes = 0\n");
    let (mut process, mut address) = world.run();
    eventually(Duration::from_secs(30), "trades arrive", || {
        let lines = get(&format!("http://{address}/api/v1/status")).1;
        let tickers = lines["instruments"].as_array()?;
        let has_trades = |venue: &&str| {
            tickers.iter().any(|one| {
                one["symbol"] == "BTCUSDT"
                    && one["venue"] == **venue
                    && one["trades_total"].as_u64() > Some(0)
            })
        };
        VENUES.iter().all(has_trades).then_some(())
    });
    let mut client = Client::default();
    assert_eq!(block_on(client.listen(&address)), "live");
    for _ in 0..2 {
        process.kill();
        (process, address) = world.run();
        assert_eq!(block_on(client.listen(&address)), "stored", "memory of the process before is gone");
        assert_eq!(block_on(client.listen(&address)), "replayed");
    }
    for (instrument, heard) in &client.trades {
        eventually(Duration::from_secs(10), "what was heard is stored", || {
            let stored = stored(&world, instrument);
            heard.iter().all(|id| stored.contains_key(id)).then_some(())
        });
        let stored = stored(&world, instrument);
        let times = || heard.iter().map(|id| stored[id]);
        let (first, last) = (times().min().expect("trades"), times().max().expect("trades"));
        let missed: Vec<&String> = stored
            .iter()
            .filter(|(id, received)| (first + SEAM..last - SEAM).contains(*received) && !heard.contains(*id))
            .map(|(id, _)| id)
            .collect();
        assert!(missed.is_empty(), "{instrument}: never heard {missed:?}");
    }
    process.end();
}
