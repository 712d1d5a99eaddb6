//! The first minute of a newcomer: one command, live candles over REST, WebSocket and SQL.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Process, block_on, eventually, get, sql, tickhouse};

#[test]
fn a_newcomer_sees_live_candles_in_the_first_minute() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut demo =
        Process::start("demo", &["demo", "--port", "0", "--seed", "7", "--data", "d"], place.path());
    let line = demo.line(|line| line.contains("page"));
    let address =
        line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();

    let minute = Duration::from_mins(1);
    let candles = eventually(minute, "1-minute candles", || {
        let (status, body) =
            get(&format!("http://{address}/api/v1/data/klines/BTCUSDT?timeframe=1&limit=10"));
        (status == 200 && body["data"].as_array().is_some_and(|data| data.len() >= 5)).then_some(body)
    });
    assert_eq!(candles["success"], json!(true));
    assert!(candles["coverage"].is_object(), "{candles}");

    let (initial, update) = block_on(candles_of_173_minutes(&address));
    assert_eq!(initial, 20);
    assert_eq!(update["timeframe"], "173m");
    assert_eq!(update["data"]["candle_time"].as_i64().expect("a time") % (173 * 60_000), 0);
    assert!(update["data_status"]["data_quality"].is_string(), "{update}");

    let count =
        || sql(place.path(), "d", "select count(*) from trades")[0][0].parse::<u64>().expect("a number");
    let before = count();
    eventually(minute, "the number of trades grows", || (count() > before).then_some(()));

    let status = tickhouse(place.path(), &["status", "--data", "d"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("binance-futures"), "{status:?}");
    let refused = tickhouse(place.path(), &["run", "--data", "d"]);
    assert!(!refused.status.success());

    let closing = Instant::now();
    let rest = demo.end();
    assert!(closing.elapsed() < Duration::from_secs(10), "closing took {:?}", closing.elapsed());
    assert!(rest.contains("closed:"), "{rest}");
    assert!(count() > before, "what was recorded is there after closing");
}

/// Subscribes as the documentation of the interface says; the number of initial candles and the first update.
async fn candles_of_173_minutes(address: &str) -> (usize, Value) {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws/stream"))
        .await
        .expect("the stream opens");
    // History arrives in the background; ask until there is enough of it.
    for _ in 0..60 {
        let ask = json!({"action": "subscribe", "subscriptions": [
            {"symbol": "BTCUSDT", "timeframes": [{"timeframe": 173, "initial_candles": 20}]}]});
        socket.send(Message::text(ask.to_string())).await.expect("the stream takes a message");
        let mut initial = 0;
        while let Some(Ok(message)) = socket.next().await {
            let Ok(text) = message.to_text() else { continue };
            let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
            match value["type"].as_str() {
                Some("initial_candles") => {
                    initial = value["data"].as_array().map_or(0, Vec::len);
                    if initial < 20 {
                        break;
                    }
                }
                Some("ohlcv_update") if initial == 20 => return (initial, value),
                _ => {}
            }
        }
        let drop_ask = json!({"action": "unsubscribe", "subscriptions": [
            {"symbol": "BTCUSDT", "timeframes": [{"timeframe": 173}]}]});
        socket.send(Message::text(drop_ask.to_string())).await.expect("the stream takes a message");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("no 20 candles of 173 minutes within a minute");
}
