//! Bybit's streams, spot and linear.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{TestWorld, settings};

#[tokio::test]
async fn requests_are_answered_as_the_venue_answers_them() {
    let world = TestWorld::start(settings()).await;
    let mut spot = world.client("bybit", "/v5/public/spot").await;
    let ack = spot.ask(r#"{"req_id":"a1","op":"subscribe","args":["publicTrade.BTCUSDT"]}"#).await;
    assert_eq!(
        (&ack["success"], &ack["ret_msg"], &ack["req_id"], &ack["op"]),
        (&json!(true), &json!("subscribe"), &json!("a1"), &json!("subscribe"))
    );
    let pong = spot.ask(r#"{"req_id":"7","op":"ping"}"#).await;
    assert_eq!(
        (&pong["ret_msg"], &pong["op"], &pong["success"]),
        (&json!("pong"), &json!("ping"), &json!(true))
    );
    let refused = spot.ask(r#"{"op":"subscribe","args":["publicTrade.ETHUSDT","publicTrade.NOSUCH"]}"#).await;
    assert_eq!(refused["success"], false);
    assert!(refused["ret_msg"].as_str().unwrap().contains("publicTrade.NOSUCH"));
    let many: Vec<String> = (0..11).map(|at| format!("\"kline.{at}.BTCUSDT\"")).collect();
    let refused = spot.ask(&format!(r#"{{"op":"subscribe","args":[{}]}}"#, many.join(","))).await;
    assert_eq!((&refused["success"], &refused["ret_msg"]), (&json!(false), &json!("error:args size >10")));
    let mut linear = world.client("bybit", "/v5/public/linear").await;
    let ack = linear.ask(r#"{"op":"subscribe","args":["kline.1.BTCUSDT"]}"#).await;
    assert_eq!((&ack["ret_msg"], &ack["req_id"]), (&json!(""), &json!("")));
    world.end().await;
}

#[tokio::test]
async fn trades_are_the_truth_and_recent_over_rest() {
    let world = TestWorld::start(settings()).await;
    for (venue, category) in [("bybit", "spot"), ("bybit-linear", "linear")] {
        let mut client = world.client(venue, &format!("/v5/public/{category}")).await;
        client.ask(r#"{"op":"subscribe","args":["publicTrade.BTCUSDT"]}"#).await;
        let mut seen: Vec<Value> = Vec::new();
        while seen.len() < 20 {
            let frame = client.json(|value| value["topic"] == "publicTrade.BTCUSDT").await;
            assert_eq!(frame["type"], "snapshot");
            seen.extend(frame["data"].as_array().unwrap().iter().cloned());
        }
        let name = if category == "spot" { "id" } else { "text_id" };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let truth: Vec<String> = world.truth(venue, "BTCUSDT").iter().map(|line| text(&line[name])).collect();
        let first = truth.iter().position(|id| seen[0]["i"] == **id).unwrap();
        for (id, row) in truth[first..].iter().zip(&seen) {
            assert_eq!(row["i"], **id);
        }
        let path = format!("/v5/market/recent-trade?category={category}&symbol=BTCUSDT&limit=60");
        let recent = world.json("bybit", &path).await;
        let rows = recent["result"]["list"].as_array().unwrap();
        assert_eq!(rows.len(), 60);
        let last = seen.last().unwrap();
        let same = rows.iter().find(|row| row["execId"] == last["i"]).expect("the last trade is recent");
        assert_eq!((&same["price"], &same["size"], &same["side"]), (&last["p"], &last["v"], &last["S"]));
    }
    world.end().await;
}

#[tokio::test]
async fn books_come_as_snapshot_and_count_on() {
    let world = TestWorld::start(settings()).await;
    let mut client = world.client("bybit-linear", "/v5/public/linear").await;
    client.ask(r#"{"op":"subscribe","args":["orderbook.50.BTCUSDT","orderbook.1.ETHUSDT"]}"#).await;
    let is_deep = |value: &Value| value["topic"] == "orderbook.50.BTCUSDT";
    let first = client.json(is_deep).await;
    assert_eq!(first["type"], "snapshot");
    let mut bids: BTreeMap<model::Decimal, String> = BTreeMap::new();
    let mut apply = |frame: &Value| {
        for level in frame["data"]["b"].as_array().unwrap() {
            let (price, size) = (level[0].as_str().unwrap().parse().unwrap(), level[1].as_str().unwrap());
            if size == "0" {
                assert!(bids.remove(&price).is_some());
            } else {
                bids.insert(price, size.to_owned());
            }
        }
        bids.len()
    };
    assert_eq!(apply(&first), 50);
    let mut update = first["data"]["u"].as_i64().unwrap();
    for _ in 0..30 {
        let next = client.json(is_deep).await;
        assert_eq!((next["type"].as_str(), next["data"]["u"].as_i64()), (Some("delta"), Some(update + 1)));
        assert_eq!(apply(&next), 50);
        update += 1;
    }
    let mut best = client.json(|value| value["topic"] == "orderbook.1.ETHUSDT").await;
    for _ in 0..3 {
        let next = client.json(|value| value["topic"] == "orderbook.1.ETHUSDT").await;
        let (before, after) = (best["data"]["u"].as_i64().unwrap(), next["data"]["u"].as_i64().unwrap());
        assert!(next["type"] == "snapshot" && (before..=before + 1).contains(&after));
        best = next;
    }
    // Subscribing anew brings a new snapshot.
    client.ask(r#"{"op":"unsubscribe","args":["orderbook.50.BTCUSDT"]}"#).await;
    client.ask(r#"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#).await;
    let again = client.json(|value| is_deep(value) && value["type"] == "snapshot").await;
    assert!(again["data"]["u"].as_i64().unwrap() > update);
    world.end().await;
}

#[tokio::test]
async fn linear_tickers_are_deltas_and_spot_tickers_are_whole() {
    let world = TestWorld::start(settings()).await;
    let mut linear = world.client("bybit-linear", "/v5/public/linear").await;
    linear.ask(r#"{"op":"subscribe","args":["tickers.BTCUSDT"]}"#).await;
    let whole = linear.json(|value| value["topic"] == "tickers.BTCUSDT").await;
    assert_eq!(whole["type"], "snapshot");
    for name in
        ["markPrice", "indexPrice", "openInterest", "fundingRate", "nextFundingTime", "fundingIntervalHour"]
    {
        assert!(whole["data"][name].is_string(), "{name}");
    }
    let delta = linear.json(|value| value["type"] == "delta").await;
    assert!(delta["data"].as_object().unwrap().len() < whole["data"].as_object().unwrap().len());
    let mut spot = world.client("bybit", "/v5/public/spot").await;
    spot.ask(r#"{"op":"subscribe","args":["tickers.BTCUSDT"]}"#).await;
    for _ in 0..2 {
        let ticker = spot.json(|value| value["topic"] == "tickers.BTCUSDT").await;
        assert!(ticker["type"] == "snapshot" && ticker["data"].get("bid1Price").is_none());
    }
    world.end().await;
}

#[tokio::test]
async fn books_keep_the_pace_of_their_depth() {
    let world = TestWorld::start(settings()).await;
    for (topic, pace) in [("orderbook.1", 10), ("orderbook.50", 20), ("orderbook.200", 100), ("tickers", 50)]
    {
        let mut client = world.client("bybit", "/v5/public/spot").await;
        client.ask(&format!(r#"{{"op":"subscribe","args":["{topic}.BTCUSDT"]}}"#)).await;
        let mut times = Vec::new();
        while times.len() < 12 {
            let frame = client.json(|value| value["topic"].is_string()).await;
            times.push(frame.get("cts").unwrap_or(&frame["ts"]).as_i64().unwrap());
        }
        // The best may have changed between two steps; the others are as of one.
        let steps: Vec<i64> = times.iter().map(|at| (at + pace - 1).div_euclid(pace)).collect();
        assert!(steps.windows(2).all(|pair| pair[1] > pair[0]), "{topic}: {times:?}");
        assert!(topic == "orderbook.1" || times.iter().all(|at| at % pace == 0), "{topic}: {times:?}");
        assert!(times.iter().any(|at| at % (2 * pace) != 0), "{topic}: {times:?}");
    }
    world.end().await;
}
