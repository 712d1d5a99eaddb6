//! Binance's streams, spot and futures.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use simulate::{Limits, SimSettings};

use crate::world::{TestWorld, settings};

#[tokio::test]
async fn requests_are_answered_as_the_venue_answers_them() {
    let world = TestWorld::start(settings()).await;
    let mut spot = world.client("binance", "/ws").await;
    let ack =
        spot.ask(r#"{"method":"SUBSCRIBE","params":["nosuchusdt@aggTrade","BTCUSDT@trade"],"id":1}"#).await;
    assert_eq!(ack, json!({"result": null, "id": 1}));
    let list = spot.ask(r#"{"method":"LIST_SUBSCRIPTIONS","id":"a"}"#).await;
    assert_eq!(list, json!({"result": ["nosuchusdt@aggTrade", "BTCUSDT@trade"], "id": "a"}));
    let refused = spot.ask(r#"{"method":"SING","params":[],"id":2}"#).await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!(2), &json!(2)));
    assert!(refused["msg"].as_str().unwrap().starts_with("Invalid request: unknown variant `SING`"));
    assert!(spot.is_mute(Duration::from_millis(600)).await, "unknown symbols and upper case stay mute");
    let mut futures = world.client("binance-futures", "/market/ws").await;
    let refused = futures.ask("nonsense").await;
    assert_eq!(refused["error"]["code"], 3);
    world.end().await;
}

#[tokio::test]
async fn addresses_carry_streams_raw_and_combined() {
    let world = TestWorld::start(settings()).await;
    let mut raw = world.client("binance", "/ws/btcusdt@aggTrade").await;
    let trade = raw.json(|_| true).await;
    assert_eq!((trade["e"].as_str(), trade["s"].as_str()), (Some("aggTrade"), Some("BTCUSDT")));
    let mut combined = world
        .client("binance", "/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker&timeUnit=MICROSECOND")
        .await;
    let trade = combined.json(|value| value["stream"] == "btcusdt@aggTrade").await;
    assert_eq!(trade["data"]["T"].to_string().len(), 16);
    let quote = combined.json(|value| value["stream"] == "btcusdt@bookTicker").await;
    assert!(quote["data"].get("E").is_none() && quote["data"]["u"].is_i64());
    combined.ask(r#"{"method":"SET_PROPERTY","params":["combined",false],"id":5}"#).await;
    let bare = combined.json(|value| value.get("stream").is_none() && value.get("e").is_some()).await;
    assert_eq!(bare["e"], "aggTrade");
    world.end().await;
}

#[tokio::test]
async fn futures_routes_serve_their_group_only() {
    let world = TestWorld::start(settings()).await;
    let all = "?streams=btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@markPrice@1s/btcusdt@depth@100ms";
    let kinds = |path: String| {
        let world = &world;
        async move {
            let mut client = world.client("binance-futures", &path).await;
            let mut kinds = std::collections::BTreeSet::new();
            for _ in 0..60 {
                kinds.insert(client.json(|_| true).await["data"]["e"].as_str().unwrap().to_owned());
            }
            kinds.into_iter().collect::<Vec<_>>()
        }
    };
    assert_eq!(kinds(format!("/market/stream{all}")).await, ["aggTrade", "markPriceUpdate"]);
    assert_eq!(kinds(format!("/public/stream{all}")).await, ["bookTicker", "depthUpdate"]);
    assert_eq!(kinds(format!("/stream{all}")).await, ["bookTicker", "depthUpdate"]);
    let mut marks = world.client("binance-futures", "/market/ws/!markPrice@arr@1s").await;
    let rows = marks.json(Value::is_array).await;
    let units: Vec<i64> = rows.as_array().unwrap().iter().map(|row| row["st"].as_i64().unwrap()).collect();
    assert_eq!(units, [1, 1, 1, 1, 2]);
    world.end().await;
}

#[tokio::test]
async fn what_is_streamed_is_the_truth_and_rest_knows_it_too() {
    let world = TestWorld::start(settings()).await;
    for (venue, path) in [("binance", "/ws"), ("binance-futures", "/market/ws")] {
        let mut client = world.client(venue, &format!("{path}/btcusdt@aggTrade")).await;
        let mut seen = Vec::new();
        for _ in 0..30 {
            seen.push(client.json(|_| true).await);
        }
        for pair in seen.windows(2) {
            assert_eq!(pair[1]["a"].as_i64().unwrap(), pair[0]["a"].as_i64().unwrap() + 1);
            assert_eq!(pair[1]["f"].as_i64().unwrap(), pair[0]["l"].as_i64().unwrap() + 1);
        }
        let truth = world.truth(venue, "BTCUSDT");
        let first = truth.iter().position(|line| line["id"] == seen[0]["a"]).unwrap();
        for (line, frame) in truth[first..].iter().zip(&seen) {
            assert_eq!((&line["id"], &line["first"], &line["last"]), (&frame["a"], &frame["f"], &frame["l"]));
            assert_eq!(line["time_us"].as_i64().unwrap(), frame["T"].as_i64().unwrap() * 1_000);
            assert_eq!(line["side"] == "sell", frame["m"] == true);
            let number = |value: &Value| value.as_str().unwrap().parse::<model::Decimal>().unwrap();
            assert_eq!(
                (number(&line["price"]), number(&line["quantity"])),
                (number(&frame["p"]), number(&frame["q"]))
            );
        }
        let prefix = if venue == "binance" { "/api/v3" } else { "/fapi/v1" };
        let path = format!("{prefix}/aggTrades?symbol=BTCUSDT&fromId={}&limit=30", seen[0]["a"]);
        for (row, frame) in world.json(venue, &path).await.as_array().unwrap().iter().zip(&seen) {
            for name in ["a", "p", "q", "f", "l", "T", "m"] {
                assert_eq!(row[name], frame[name], "{name}");
            }
        }
    }
    world.end().await;
}

#[tokio::test]
async fn raw_trades_add_up_to_their_aggregates() {
    let world = TestWorld::start(settings()).await;
    let mut client = world.client("binance", "/stream?streams=btcusdt@aggTrade/btcusdt@trade").await;
    let mut open: Option<(Value, model::Decimal, i64)> = None;
    let mut checked = 0;
    while checked < 10 {
        let frame = client.json(|_| true).await["data"].clone();
        let number = |name: &str| frame[name].as_str().unwrap().parse::<model::Decimal>().unwrap();
        if frame["e"] == "aggTrade" {
            open = Some((frame.clone(), number("q"), frame["f"].as_i64().unwrap()));
        } else if let Some((aggregate, left, next)) = &mut open {
            assert_eq!(frame["t"].as_i64().unwrap(), *next);
            assert_eq!(frame["p"], aggregate["p"]);
            *left = left.checked_sub(number("q")).unwrap();
            *next += 1;
            if *next > aggregate["l"].as_i64().unwrap() {
                assert!(left.is_zero());
                checked += 1;
            }
        }
    }
    world.end().await;
}

/// Follows a depth stream from a REST snapshot by the venue's rule; compares with a later snapshot.
async fn follow_depth(venue: &str, prefix: &str, path: &str) {
    let world = TestWorld::start(settings()).await;
    let mut client = world.client(venue, path).await;
    let mut updates = vec![client.json(|_| true).await];
    let snapshot = world.json(venue, &format!("{prefix}/depth?symbol=BTCUSDT&limit=1000")).await;
    let bridged = snapshot["lastUpdateId"].as_i64().unwrap();
    while updates.last().unwrap()["u"].as_i64().unwrap() <= bridged + 100 {
        updates.push(client.json(|_| true).await);
    }
    world.sim.quiet().await.unwrap();
    let later = world.json(venue, &format!("{prefix}/depth?symbol=BTCUSDT&limit=1000")).await;
    let target = later["lastUpdateId"].as_i64().unwrap();
    let is_spot = venue == "binance";
    // The newest update reaches the standstill as far as the stream's pace allows.
    while let Some(update) = runtime::clock::within(Duration::from_millis(500), client.json(|_| true)).await {
        updates.push(update);
    }
    let number = |value: &Value, name: &str| value[name].as_i64().unwrap();
    let mut last = number(&snapshot, "lastUpdateId");
    let mut book = Book::default();
    book.apply(&snapshot["bids"], &snapshot["asks"]);
    let mut is_bridged = false;
    for update in &updates {
        let (first, end) = (number(update, "U"), number(update, "u"));
        if !is_bridged {
            if end < last || (is_spot && end == last) {
                continue;
            }
            let bridges =
                if is_spot { first <= last + 1 } else { first <= last || number(update, "pu") == last };
            assert!(bridges && end >= last, "{first}..{end} does not bridge {last}");
            is_bridged = true;
        } else if is_spot {
            assert_eq!(first, last + 1);
        } else {
            assert_eq!(number(update, "pu"), last);
        }
        book.apply(&update["b"], &update["a"]);
        last = end;
    }
    assert!(is_bridged);
    // The snapshot may lie one step after the last update of a slower stream.
    assert!(target - last < 60, "{last} {target}");
    if target == last {
        let mut wanted = Book::default();
        wanted.apply(&later["bids"], &later["asks"]);
        assert_eq!(book, wanted);
    }
    world.end().await;
}

#[derive(Debug, Default, PartialEq)]
struct Book {
    bids: BTreeMap<model::Decimal, String>,
    asks: BTreeMap<model::Decimal, String>,
}

impl Book {
    fn apply(&mut self, bids: &Value, asks: &Value) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().unwrap() {
                let price = level[0].as_str().unwrap().parse().unwrap();
                let quantity = level[1].as_str().unwrap();
                if quantity.parse::<model::Decimal>().unwrap().is_zero() {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity.to_owned());
                }
            }
        }
    }
}

#[tokio::test]
async fn spot_depth_chains_and_bridges() {
    follow_depth("binance", "/api/v3", "/ws/btcusdt@depth@100ms").await;
}

#[tokio::test]
async fn futures_depth_chains_and_bridges() {
    follow_depth("binance-futures", "/fapi/v1", "/public/ws/btcusdt@depth@0ms").await;
}

#[tokio::test]
async fn closed_bars_equal_those_computed_from_the_truth() {
    // A minute passes in a second.
    let world = TestWorld::start(SimSettings { speed: 60.0, ..settings() }).await;
    let mut client = world.client("binance-futures", "/market/ws/btcusdt@kline_1m").await;
    // The first minute began before the truth did.
    client.json(|frame| frame["k"]["x"] == true).await;
    for _ in 0..2 {
        let frame = client.json(|frame| frame["k"]["x"] == true).await;
        let bar = &frame["k"];
        let (open, end) = (bar["t"].as_i64().unwrap(), bar["T"].as_i64().unwrap());
        let trades: Vec<Value> = world
            .truth("binance-futures", "BTCUSDT")
            .into_iter()
            .filter(|line| (open..=end).contains(&(line["time_us"].as_i64().unwrap() / 1_000)))
            .collect();
        let number = |value: &Value| value.as_str().unwrap().parse::<model::Decimal>().unwrap();
        let prices: Vec<model::Decimal> = trades.iter().map(|trade| number(&trade["price"])).collect();
        let volume = trades
            .iter()
            .fold(model::Decimal::ZERO, |sum, trade| sum.checked_add(number(&trade["quantity"])).unwrap());
        assert_eq!(number(&bar["o"]), prices[0]);
        assert_eq!(number(&bar["c"]), *prices.last().unwrap());
        assert_eq!(number(&bar["h"]), *prices.iter().max().unwrap());
        assert_eq!(number(&bar["l"]), *prices.iter().min().unwrap());
        assert_eq!(number(&bar["v"]), volume);
        assert_eq!((&bar["f"], &bar["L"]), (&trades[0]["first"], &trades.last().unwrap()["last"]));
        let path = format!("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={open}&endTime={end}");
        let rows = world.json("binance-futures", &path).await;
        assert_eq!(rows.as_array().unwrap().len(), 1);
        for (at, name) in
            [(1, "o"), (2, "h"), (3, "l"), (4, "c"), (5, "v"), (7, "q"), (8, "n"), (9, "V"), (10, "Q")]
        {
            assert_eq!(rows[0][at], bar[name], "{name}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn too_many_messages_end_the_connection() {
    let world = TestWorld::start(settings()).await;
    let mut client = world.client("binance", "/ws").await;
    for id in 0..7 {
        client.say(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#)).await;
    }
    assert_eq!(client.end().await, Some(1008));
    world.end().await;
}

#[tokio::test]
async fn connections_are_announced_their_end_and_pings_are_sent() {
    let limits = Limits {
        lifetime: Duration::from_millis(1_500),
        shutdown_notice: Duration::from_millis(700),
        ping_every: Some(Duration::from_millis(200)),
        ..Limits::default()
    };
    let world = TestWorld::start(SimSettings { limits, ..settings() }).await;
    let mut client = world.client("binance", "/stream").await;
    let mut pings = 0;
    loop {
        match client.next().await {
            Some(tokio_tungstenite::tungstenite::Message::Ping(payload)) => {
                assert!(!payload.is_empty());
                pings += 1;
            }
            Some(tokio_tungstenite::tungstenite::Message::Text(text)) => {
                let notice: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(
                    (&notice["stream"], &notice["data"]["e"]),
                    (&json!("!serverShutdown"), &json!("serverShutdown"))
                );
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(pings >= 2);
    assert_eq!(client.end().await, Some(1001));
    world.end().await;
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_hung_up_on() {
    let limits = Limits {
        ping_every: Some(Duration::from_millis(100)),
        pong_within: Some(Duration::from_millis(300)),
        ..Limits::default()
    };
    let world = TestWorld::start(SimSettings { limits, ..settings() }).await;
    // A client that never reads never answers.
    let mut client = world.client("binance-futures", "/market/ws").await;
    runtime::sleep(Duration::from_millis(900)).await;
    // Answering the old pings now may break the pipe before the close frame is read.
    assert!(matches!(client.end().await, None | Some(1008)));
    world.end().await;
}
