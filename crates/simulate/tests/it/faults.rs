//! Venues that misbehave on command.

use std::time::Duration;

use serde_json::Value;
use simulate::{Limits, SimSettings, parse_faults};

use crate::world::{Client, TestWorld, settings};

async fn with(faults: &str) -> TestWorld {
    TestWorld::start(SimSettings { faults: parse_faults(faults).unwrap(), ..settings() }).await
}

async fn ids(client: &mut Client, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let text = client.text().await;
        if let Some(id) = serde_json::from_str::<Value>(&text).ok().and_then(|frame| frame["a"].as_i64()) {
            ids.push(id);
        }
    }
    ids
}

const TRADES: &str = "/market/ws/btcusdt@aggTrade";

#[tokio::test]
async fn dropped_trades_stay_in_truth_and_history() {
    let world = with("drop=0.3").await;
    let mut client = world.client("binance-futures", TRADES).await;
    let seen = ids(&mut client, 60).await;
    let missing: Vec<i64> = (seen[0]..*seen.last().unwrap()).filter(|id| !seen.contains(id)).collect();
    assert!(!missing.is_empty());
    let truth: Vec<i64> =
        world.truth("binance-futures", "BTCUSDT").iter().map(|line| line["id"].as_i64().unwrap()).collect();
    for id in missing {
        assert!(truth.contains(&id));
        let path = format!("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={id}&limit=1");
        assert_eq!(world.json("binance-futures", &path).await[0]["a"], id);
        if id % 3 == 0 {
            break;
        }
    }
    world.end().await;
}

#[tokio::test]
async fn frames_are_repeated_reordered_delayed_and_spoiled() {
    let world = with("repeat=0.2,reorder=0.2,delay=0.1:120ms,malformed=0.1,truncated=0.1,micros=0.1").await;
    let mut client = world.client("binance-futures", TRADES).await;
    let (mut ids, mut broken, mut micros) = (Vec::new(), 0, 0);
    for _ in 0..200 {
        match serde_json::from_str::<Value>(&client.text().await) {
            Ok(frame) => {
                ids.push(frame["a"].as_i64().unwrap());
                micros += u64::from(frame["T"].as_i64().unwrap() > 1_000_000_000_000_000);
            }
            Err(_) => broken += 1,
        }
    }
    assert!(broken > 5 && micros > 3, "{broken} {micros}");
    assert!(ids.windows(2).any(|pair| pair[0] == pair[1]), "repeated");
    assert!(ids.windows(2).any(|pair| pair[1] < pair[0]), "reordered");
    world.end().await;
}

#[tokio::test]
async fn a_muted_symbol_is_silent_and_others_are_not() {
    let world = TestWorld::start(settings()).await;
    let path = "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade";
    let mut client = world.client("binance-futures", path).await;
    world.admin("POST", "/faults", "mute=BTCUSDT@0s+60s").await;
    // What was on its way still arrives.
    let waiting = async { while client.next().await.is_some() {} };
    assert!(runtime::clock::within(Duration::from_millis(300), waiting).await.is_none());
    for _ in 0..8 {
        assert_eq!(client.json(|_| true).await["stream"], "ethusdt@aggTrade");
    }
    world.admin("POST", "/faults", "none").await;
    client.json(|frame| frame["stream"] == "btcusdt@aggTrade").await;
    world.end().await;
}

#[tokio::test]
async fn connections_are_cut_without_a_word() {
    let world = with("cut=300ms").await;
    let mut client = world.client("bybit", "/v5/public/spot").await;
    assert_eq!(client.end().await, None);
    world.end().await;
}

#[tokio::test]
async fn connections_are_refused_and_streams_misrouted_live() {
    let world = TestWorld::start(settings()).await;
    let answer = world.admin("POST", "/faults", "wrong_route=1,binance:refuse=200ms+150ms").await;
    assert_eq!(answer["plans"], 2);
    let mut client = world.client("binance-futures", "/market/ws").await;
    client.ask(r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}"#).await;
    assert!(client.is_mute(Duration::from_millis(500)).await);
    let refused = async {
        while Client::open(&world.address("binance"), "/ws").await.is_ok() {
            runtime::sleep(Duration::from_millis(10)).await;
        }
    };
    runtime::clock::within(Duration::from_secs(5), Box::pin(refused)).await.expect("a refusal");
    let error = world.admin("POST", "/faults", "explode").await;
    assert!(error["error"].as_str().unwrap().contains("unknown"));
    world.admin("POST", "/faults", "none").await;
    world.client("binance", "/ws").await;
    world.end().await;
}

#[tokio::test]
async fn bans_are_announced_and_insisting_makes_them_worse() {
    let limits = Limits { ban: Duration::from_secs(1), ..Limits::default() };
    let faults = parse_faults("ban=100ms+90ms").unwrap();
    let world = TestWorld::start(SimSettings { faults, limits, ..settings() }).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&418) {
        let answer = world.get("binance", "/api/v3/time").await;
        if answer.status != 200 {
            assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
            assert!(answer.body.contains("-1003"));
        }
        statuses.push(answer.status);
        assert!(statuses.len() < 2_000, "{statuses:?}");
    }
    assert!(statuses.contains(&429));
    world.end().await;
}

#[tokio::test]
async fn shutdowns_are_announced() {
    let limits = Limits { shutdown_notice: Duration::from_millis(200), ..Limits::default() };
    let faults = parse_faults("shutdown=300ms").unwrap();
    let world = TestWorld::start(SimSettings { faults, limits, ..settings() }).await;
    let mut client = world.client("binance", "/ws").await;
    assert_eq!(client.json(|_| true).await["e"], "serverShutdown");
    assert_eq!(client.end().await, Some(1001));
    world.end().await;
}
