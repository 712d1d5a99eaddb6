//! Clients that read too slowly: bounded, told, and never harming others.

use std::time::Duration;

use model::BarState;
use serde_json::{Value, json};
use tables::News;

use crate::world::{NOON, World, candle, item, trade};

// A client that reads nothing while much more is published than its queue and its socket hold.
const FLOOD: u64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_told_exactly_what_it_missed() {
    let world = World::with(|settings| settings.reader_queue = 100).await;
    let mut slow = world.client().await;
    let mut quick = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["trades"]}]}"#;
    slow.ask(words, "subscribed").await;
    quick.ask(words, "subscribed").await;
    let mut position = 0;
    while position < FLOOD {
        let batch = (0..50)
            .map(|index| item(position + index, 0, News::Trade(trade((position + index).cast_signed(), 1))));
        world.publish(batch.collect());
        position += 50;
        // The quick client reads along, so that the flood is paced by it.
        while quick.hear_type("trade").await["position"] != json!(format!("{}.0", position - 1)) {}
    }
    let (mut next, mut skipped) = (0_u64, 0_u64);
    while next < FLOOD {
        let message: Value = slow.hear().await;
        if message["type"] == "skipped" {
            assert_eq!(
                message["from_position"],
                json!(format!("{next}.0")),
                "the hole begins where reading stopped"
            );
            let count = message["count"].as_u64().unwrap();
            assert_eq!(message["to_position"], json!(format!("{}.0", next + count - 1)));
            skipped += count;
            next += count;
        } else {
            assert_eq!(message["position"], json!(format!("{next}.0")), "nothing is missing in silence");
            next += 1;
        }
    }
    assert!(skipped > 0, "the flood was too small to make anything be skipped");
    let stats = world.get("/api/v1/monitoring/system-stats").await.json();
    assert_eq!(stats["data"]["messages_skipped_total"], skipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candles_of_a_slow_client_keep_their_newest_state() {
    let world = World::new().await;
    let timeframes: Vec<String> = (1..=400).map(|minutes| minutes.to_string()).collect();
    for minutes in &timeframes {
        world.set_candles(
            &format!("{minutes}m"),
            vec![candle(&format!("{minutes}m"), NOON, BarState::Forming)],
        );
    }
    let mut slow = world.client().await;
    let words = format!(
        r#"{{"action":"subscribe","subscriptions":[{{"symbol":"BTCUSDT","timeframes":[{}]}}]}}"#,
        timeframes.join(",")
    );
    slow.ask(&words, "subscribed").await;
    // Some rounds of changes while the client reads nothing.
    for round in 1..=8_u64 {
        for minutes in &timeframes {
            let mut changed = candle(&format!("{minutes}m"), NOON, BarState::Forming);
            changed.bar.trade_count = Some(1_000 + round.cast_signed());
            world.set_candles(&format!("{minutes}m"), vec![changed]);
        }
        world.publish(vec![item(round, 0, News::Bar(candle("1m", NOON, BarState::Forming).bar))]);
        runtime::sleep(Duration::from_millis(260)).await;
    }
    let mut newest = std::collections::BTreeMap::new();
    while newest.len() < 400 || newest.values().any(|count| *count != 1_008) {
        let update = slow.hear_type("ohlcv_update").await;
        let timeframe = update["timeframe"].as_str().unwrap().to_owned();
        newest.insert(timeframe, update["data"]["trades_count"].as_i64().unwrap());
    }
}
