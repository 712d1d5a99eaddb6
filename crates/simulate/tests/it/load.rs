//! The source of frames for benches.

use model::VenueId;
use runtime::{SystemClock, Tasks};
use serde_json::json;
use simulate::load::{self, LoadSettings};

use crate::world::{Client, request};

#[tokio::test]
async fn frames_flow_with_contiguous_ids() {
    let tasks = Tasks::new();
    let settings = LoadSettings {
        venue: VenueId::known("binance-futures").unwrap(),
        port: 0,
        events_per_second: 5_000,
        instruments: 20,
    };
    let load = load::start(settings, SystemClock::shared(), &tasks).await.unwrap();
    let address = load.address().to_string();
    let listing = request("GET", &address, "/fapi/v1/exchangeInfo", "").await;
    assert!(listing.body.contains("BTCUSDT"));
    let mut client = Client::open(&address, "/market/stream").await.unwrap();
    let names = json!(["btcusdt@aggTrade", "ethusdt@aggTrade", "ethusdt@bookTicker"]);
    client.say(&json!({"method": "SUBSCRIBE", "params": names, "id": 1}).to_string()).await;
    let mut last = None;
    for _ in 0..500 {
        let frame = client.json(|frame| frame["stream"] == "btcusdt@aggTrade").await;
        let data = &frame["data"];
        let id = data["a"].as_i64().unwrap();
        assert!(data["E"].is_i64() && data["f"].as_i64() <= data["l"].as_i64());
        assert!(last.is_none_or(|last| id == last + 1));
        last = Some(id);
    }
    load.flow(false);
    assert!(load.trades_sent() >= 1_000 && load.quotes_sent() >= 400);
    drop(client);
    assert!(tasks.close(std::time::Duration::from_secs(3)).await.is_empty());
}
