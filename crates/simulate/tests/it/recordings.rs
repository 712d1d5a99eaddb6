//! Recordings, sent again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use simulate::{SimSettings, World};

use crate::world::{HandClock, TestWorld, settings};

fn recording(folder: &Path, lines: &[Value]) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("made.jsonl.zst");
    let mut file = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    file.finish().unwrap();
    path
}

fn made_up_futures(folder: &Path) -> PathBuf {
    let url = "wss://fstream.binance.com/stream?streams=x";
    let frame = |at: i64, data: String| json!({"t": "recv", "conn": "ws.1", "at_ns": at, "data": data});
    let trade = |id: i64| {
        let payload = format!(
            r#"{{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":{id},"p":"61800.30","q":"0.00{id}","X":"MARKET","m":false}}"#
        );
        frame(id * 1_000_000, format!(r#"{{"stream":"btcusdt@trade","data":{payload}}}"#))
    };
    let depth = |first: i64, last: i64| {
        let payload = format!(
            r#"{{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":{first},"u":{last},"pu":{},"b":[],"a":[]}}"#,
            first - 1
        );
        frame(last * 1_000_000, format!(r#"{{"stream":"btcusdt@depth@0ms","data":{payload}}}"#))
    };
    let http = |last: i64| {
        json!({"t": "http", "conn": "rest.1", "at_ns": 1, "url": "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
               "data": format!(r#"{{"lastUpdateId":{last},"bids":[],"asks":[]}}"#)})
    };
    let lines = [
        json!({"t": "connect", "conn": "ws.1", "at_ns": 0, "url": url}),
        depth(1, 4),
        http(3),
        trade(5),
        trade(6),
        depth(5, 9),
        http(9),
        trade(7),
    ];
    recording(&folder.join("binance-futures"), &lines)
}

#[tokio::test]
async fn frames_come_in_order_to_those_who_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![made_up_futures(folder.path())];
    let world =
        TestWorld::start(SimSettings { world: World::Recording { files }, speed: 0.0, ..settings() }).await;
    let snapshot = world.json("binance-futures", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000").await;
    assert_eq!(snapshot["lastUpdateId"], 3, "the first snapshot before its place is reached");
    let mut client = world.client("binance-futures", "/public/stream").await;
    let names = r#"["btcusdt@depth@100ms","btcusdt@trade","btcusdt@aggTrade"]"#;
    client.ask(&format!(r#"{{"method":"SUBSCRIBE","params":{names},"id":1}}"#)).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let frame = client.json(|_| true).await;
        let id = frame["data"].get("t").or(frame["data"].get("u")).unwrap().as_i64().unwrap();
        seen.push((frame["stream"].as_str().unwrap().to_owned(), id));
    }
    let (depth, trade) = ("btcusdt@depth@100ms", "btcusdt@trade");
    let expect = [(depth, 4), (trade, 5), (trade, 6), (depth, 9), (trade, 7)];
    assert_eq!(seen, expect.map(|(name, id)| (name.to_owned(), id)));
    assert!(client.is_mute(Duration::from_millis(200)).await);
    let status = world.admin("GET", "/replay/status", "").await;
    assert_eq!((&status["done"], &status["venues"][0]["sent"]), (&json!(true), &json!(5)));
    let snapshot = world.json("binance-futures", "/fapi/v1/depth?symbol=BTCUSDT").await;
    assert_eq!(snapshot["lastUpdateId"], 9);
    let rows = world.json("binance-futures", "/fapi/v1/trades?symbol=BTCUSDT").await;
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!((&rows[0]["id"], &rows[0]["qty"]), (&json!(5), &json!("0.005")));
    let listing = world.json("binance-futures", "/fapi/v1/exchangeInfo").await;
    assert_eq!(listing["symbols"][0]["baseAsset"], "BTC");
    assert_eq!(world.truth("binance-futures", "BTCUSDT").len(), 3);
    world.end().await;
}

#[tokio::test]
async fn unreadable_recordings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(&folder.path().join("binance"), &[json!({"t": "recv", "at_ns": "soon"})]);
    let settings = SimSettings { world: World::Recording { files: vec![path] }, ..settings() };
    let tasks = runtime::Tasks::new();
    let error = simulate::start(settings, runtime::SystemClock::shared(), &tasks).await.err().unwrap();
    assert!(error.to_string().contains("made.jsonl.zst: line 1"), "{error}");
}

fn plain(folder: &Path, text: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("plain.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

async fn refusal(file: PathBuf) -> String {
    let settings = SimSettings { world: World::Recording { files: vec![file] }, ..settings() };
    let tasks = runtime::Tasks::new();
    let refused = simulate::start(settings, runtime::SystemClock::shared(), &tasks).await;
    refused.err().expect("a refusal").to_string()
}

#[tokio::test]
async fn malformed_lines_are_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"{"t":"recv","conn":"ws.1","at_ns":1,"data":"{}"}"#;
    let cases = [
        (format!("{good}\n\n{{\"t\":\"recv\""), "line 3", "write one object per line"),
        (format!("{good}\nnonsense"), "line 2", "write one object per line"),
        (
            r#"{"t":"recv","conn":"ws.1","at_ns":1}"#.to_owned(),
            "line 1: a frame without `data`",
            "remove the line",
        ),
        (r#"{"t":"recv","at_ns":"soon","data":""}"#.to_owned(), "line 1", "remove the line"),
    ];
    for (text, place, remedy) in cases {
        let error = refusal(plain(&folder.path().join("binance"), &text)).await;
        assert!(error.contains(place) && error.contains(remedy) && error.contains("plain.jsonl"), "{error}");
    }
    let error = refusal(plain(&folder.path().join("elsewhere"), good)).await;
    assert!(
        error.contains("line 1: no simulated venue speaks like this; put the file into a folder"),
        "{error}"
    );
}

#[tokio::test]
async fn a_recording_that_is_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Value> = (0..2_000)
        .map(|at| json!({"t": "recv", "conn": "ws.1", "at_ns": at * 7_919, "data": "{}"}))
        .collect();
    let path = recording(&folder.path().join("binance"), &lines);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = refusal(path).await;
    assert!(error.contains("line ") && error.contains("cut short: fetch or record it again"), "{error}");
}

#[tokio::test]
async fn an_hour_of_a_plain_recording_passes_as_fast_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |minute: i64| {
        let trade = json!({"e": "aggTrade", "E": minute, "s": "BTCUSDT", "a": minute, "p": "1.0", "q": "1.0",
            "f": minute, "l": minute, "T": minute * 60_000, "m": true, "M": true});
        json!({"t": "recv", "conn": "ws.1", "at_ns": minute * 60_000_000_000, "data": trade.to_string()})
            .to_string()
    };
    let text: Vec<String> = (0..60).map(frame).collect();
    let files = vec![plain(&folder.path().join("binance"), &text.join("\n"))];
    let clock = Arc::new(HandClock::default());
    let settings = SimSettings { world: World::Recording { files }, speed: 7_200.0, ..settings() };
    let world = TestWorld::start_by(settings, clock.clone()).await;
    let mut client = world.client("binance", "/ws/btcusdt@aggTrade").await;
    world.admin("POST", "/replay/start", "").await;
    let mut next = 0;
    // A minute passes in 8 1/3 ms.
    for (millis, until) in [(0, 1), (8, 1), (1, 2), (41, 7), (200, 31), (1_000, 60)] {
        clock.forward(millis);
        while next < until {
            assert_eq!(client.json(|_| true).await["a"], next);
            next += 1;
        }
        let sent = world.admin("GET", "/replay/status", "").await["venues"][0]["sent"].clone();
        assert_eq!(sent, until, "the clock stands still");
    }
    world.end().await;
}

#[tokio::test]
async fn a_second_connection_to_a_replayed_bybit_got_changes_without_a_book() {
    let folder = tempfile::tempdir().unwrap();
    let topic = "orderbook.50.BTCUSDT";
    let frame = |second: i64, kind: &str, bids: Value| {
        let data = json!({"s": "BTCUSDT", "b": bids, "a": [["11", "1"]], "u": second, "seq": second});
        let text = json!({"topic": topic, "type": kind, "ts": second, "data": data}).to_string();
        json!({"t": "recv", "conn": "ws.spot", "at_ns": second * 1_000_000_000, "data": text})
    };
    let lines = [
        frame(1, "snapshot", json!([["10", "1"], ["9", "2"]])),
        frame(2, "delta", json!([["10", "0"], ["9.5", "3"]])),
        frame(3, "delta", json!([["9.5", "4"]])),
        frame(4, "delta", json!([["8", "1"]])),
    ];
    let files = vec![recording(&folder.path().join("bybit"), &lines)];
    let clock = Arc::new(HandClock::default());
    let settings = SimSettings { world: World::Recording { files }, ..settings() };
    let world = TestWorld::start_by(settings, clock.clone()).await;
    let ask = format!(r#"{{"op":"subscribe","args":["{topic}"]}}"#);
    let mut one = world.client("bybit", "/v5/public/spot").await;
    one.ask(&ask).await;
    world.admin("POST", "/replay/start", "").await;
    let (mut seen, mut other) = (Vec::new(), None);
    for second in 1..=4 {
        let frame = one.json(|frame| frame["topic"] == topic).await;
        seen.push(frame["type"].as_str().unwrap().to_owned());
        assert_eq!(frame["data"]["u"], second);
        if second == 2 {
            let mut client = world.client("bybit", "/v5/public/spot").await;
            client.ask(&ask).await;
            other = Some(client);
        }
        clock.forward(1_000);
    }
    assert_eq!(seen, ["snapshot", "delta", "delta", "delta"]);
    let mut other = other.unwrap();
    let (whole, change) = (other.json(|frame| frame["topic"] == topic).await, other.json(|_| true).await);
    let expect =
        json!({"s": "BTCUSDT", "b": [["9.5", "4"], ["9", "2"]], "a": [["11", "1"]], "u": 3, "seq": 3});
    assert_eq!((&whole["type"], &whole["data"]), (&json!("snapshot"), &expect));
    assert_eq!((&change["type"], &change["data"]["u"]), (&json!("delta"), &json!(4)));
    world.end().await;
}

/// A file, its venue, the address for clients, its streams, and how many frames of trades it holds.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str], usize);

#[tokio::test]
async fn real_recordings_are_sent_whole() {
    let Ok(folder) = std::env::var("TICKHOUSE_RECORDINGS") else {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
        return;
    };
    let cases: [Case; 3] = [
        (
            "binance/spot-btcusdt-2024-08-08-midnight",
            "binance",
            "/stream",
            &["btcusdt@trade", "btcusdt@depth@100ms"],
            19_904,
        ),
        (
            "binance-futures/ethusdt-2024-08-08",
            "binance-futures",
            "/public/stream",
            &["ethusdt@trade"],
            14_076,
        ),
        (
            "binance/spot-aggtrade-kline-depth-2021-04-04",
            "binance",
            "/stream",
            &["btcusdt@aggTrade", "dotusdt@kline_1m"],
            1_227,
        ),
    ];
    for (file, venue, path, streams, count) in cases {
        let files = vec![Path::new(&folder).join(format!("{file}.jsonl.zst"))];
        let world =
            TestWorld::start(SimSettings { world: World::Recording { files }, speed: 0.0, ..settings() })
                .await;
        let mut client = world.client(venue, path).await;
        client.ask(&json!({"method": "SUBSCRIBE", "params": streams, "id": 1}).to_string()).await;
        let mut ids = Vec::new();
        while ids.len() < count {
            let frame =
                client.json(|frame| frame["stream"].as_str().unwrap().to_lowercase().contains("trade")).await;
            ids.push(frame["data"].get("t").or(frame["data"].get("a")).unwrap().as_i64().unwrap());
        }
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{file}");
        world.end().await;
    }
}
