//! Instruments that are listed and delisted while the venues run.

use std::time::Duration;

use model::VenueId;
use serde_json::{Value, json};

use crate::world::{TestWorld, settings};

/// A symbol's row in the venue's listing.
async fn row(world: &TestWorld, venue: &str, path: &str, symbol: &str) -> Option<Value> {
    let listing = world.json(venue, path).await;
    let rows = listing.pointer("/symbols").or(listing.pointer("/result/list")).unwrap();
    rows.as_array().unwrap().iter().find(|row| row["symbol"] == symbol).cloned()
}

struct Case {
    venue: &'static str,
    listing: &'static str,
    trading: &'static str,
    /// What a delisted symbol shows there; nothing where it is not named.
    over: Option<&'static str>,
    socket: &'static str,
    stream: &'static str,
    subscribe: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        venue: "binance",
        listing: "/api/v3/exchangeInfo",
        trading: "TRADING",
        over: Some("BREAK"),
        socket: "/ws",
        stream: "newusdt@aggTrade",
        subscribe: r#"{"method":"SUBSCRIBE","params":["NAME"],"id":1}"#,
    },
    Case {
        venue: "binance-futures",
        listing: "/fapi/v1/exchangeInfo",
        trading: "TRADING",
        over: Some("SETTLING"),
        socket: "/market/ws",
        stream: "newusdt@aggTrade",
        subscribe: r#"{"method":"SUBSCRIBE","params":["NAME"],"id":1}"#,
    },
    Case {
        venue: "bybit",
        listing: "/v5/market/instruments-info?category=spot",
        trading: "Trading",
        over: None,
        socket: "/v5/public/spot",
        stream: "publicTrade.NEWUSDT",
        subscribe: r#"{"op":"subscribe","args":["NAME"]}"#,
    },
    Case {
        venue: "bybit-linear",
        listing: "/v5/market/instruments-info?category=linear",
        trading: "Trading",
        over: None,
        socket: "/v5/public/linear",
        stream: "publicTrade.NEWUSDT",
        subscribe: r#"{"op":"subscribe","args":["NAME"]}"#,
    },
];

#[tokio::test]
async fn what_is_listed_while_running_trades_and_what_is_delisted_falls_silent() {
    let world = TestWorld::start(settings()).await;
    for case in CASES {
        let id = VenueId::known(case.venue).unwrap();
        assert_eq!(row(&world, case.venue, case.listing, "NEWUSDT").await, None);
        let body = json!({"venue": case.venue, "symbol": "NEWUSDT"}).to_string();
        assert_eq!(world.admin("POST", "/list", &body).await, json!({"done": true}));
        let listed = row(&world, case.venue, case.listing, "NEWUSDT").await.expect("a row");
        assert_eq!(listed["status"], case.trading);

        let mut client = world.client(case.venue, case.socket).await;
        client.say(&case.subscribe.replace("NAME", case.stream)).await;
        let is_trade = |frame: &Value| frame["e"] == "aggTrade" || frame["topic"] == case.stream;
        client.json(is_trade).await;
        let first = world.truth(case.venue, "NEWUSDT")[0].clone();

        assert_eq!(world.admin("POST", "/delist", &body).await, json!({"done": true}));
        let count = world.truth(case.venue, "NEWUSDT").len();
        let after = row(&world, case.venue, case.listing, "NEWUSDT").await;
        assert_eq!(after.as_ref().and_then(|row| row["status"].as_str()), case.over, "{}", case.venue);
        assert!(!world.sim.instruments().iter().any(|known| known.venue == id && known.symbol == "NEWUSDT"));
        if let (Some(status), "binance") = (case.over, case.venue) {
            let path = format!("{}?symbolStatus={status}", case.listing);
            assert!(row(&world, case.venue, &path, "NEWUSDT").await.is_some());
            assert_eq!(row(&world, case.venue, &path, "BTCUSDT").await, None);
        }
        // What was sent before may still be on its way.
        while runtime::clock::within(Duration::from_millis(400), client.text()).await.is_some() {}
        assert!(client.is_mute(Duration::from_millis(400)).await);
        assert_eq!(world.truth(case.venue, "NEWUSDT").len(), count);
        assert!(first["time_us"].as_i64() > Some(0));
    }
    world.end().await;
}

#[tokio::test]
async fn the_history_of_a_new_symbol_begins_with_its_listing_and_ends_with_its_delisting() {
    let world = TestWorld::start(settings()).await;
    let venue = VenueId::known("binance").unwrap();
    world.sim.list(venue, "NEWUSDT").await.unwrap();
    let told = async {
        while world.truth("binance", "NEWUSDT").len() < 20 {
            runtime::sleep(Duration::from_millis(20)).await;
        }
    };
    runtime::clock::within(crate::world::PATIENCE, told).await.expect("trades");
    world.sim.delist(venue, "NEWUSDT", false).await.unwrap();
    let truth = world.truth("binance", "NEWUSDT");
    let ids = |rows: &[Value], name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let path = format!(
        "/api/v3/aggTrades?symbol=NEWUSDT&fromId={}&limit=1000",
        truth[0]["id"].as_i64().unwrap() - 50
    );
    let rows = world.json("binance", &path).await;
    assert_eq!(ids(rows.as_array().unwrap(), "a"), ids(&truth, "id"));
    let newest = world.json("binance", "/api/v3/aggTrades?symbol=NEWUSDT&limit=1").await;
    assert_eq!(newest[0]["a"], truth.last().unwrap()["id"]);
    let bars = world.json("binance", "/api/v3/klines?symbol=NEWUSDT&interval=1m").await;
    assert!(bars.as_array().unwrap().len() <= 3, "{bars}");
    world.end().await;
}

#[tokio::test]
async fn bybit_knows_closed_contracts_on_request_only() {
    let world = TestWorld::start(settings()).await;
    let linear = VenueId::known("bybit-linear").unwrap();
    world.sim.delist(linear, "ETHUSDT", false).await.unwrap();
    let closed = "/v5/market/instruments-info?category=linear&status=Closed";
    let found = row(&world, "bybit", closed, "ETHUSDT").await.expect("a row");
    assert_eq!(found["status"], "Closed");
    let trades = world.json("bybit", "/v5/market/recent-trade?category=linear&symbol=ETHUSDT").await;
    assert_eq!(trades["retCode"], 10_001);
    let mut client = world.client("bybit", "/v5/public/linear").await;
    let refused = client.ask(r#"{"op":"subscribe","args":["publicTrade.ETHUSDT"]}"#).await;
    assert_eq!(refused["ret_msg"], "error:handler not found,topic:publicTrade.ETHUSDT");
    // Spot has a market of the same name, and goes on.
    assert!(row(&world, "bybit", "/v5/market/instruments-info?category=spot", "ETHUSDT").await.is_some());
    world.end().await;
}

#[tokio::test]
async fn a_delisted_symbol_may_vanish_altogether() {
    let world = TestWorld::start(settings()).await;
    let body = json!({"venue": "binance", "symbol": "ETHUSDT", "gone": true}).to_string();
    assert_eq!(world.admin("POST", "/delist", &body).await, json!({"done": true}));
    assert_eq!(row(&world, "binance", "/api/v3/exchangeInfo", "ETHUSDT").await, None);
    let answer = world.get("binance", "/api/v3/aggTrades?symbol=ETHUSDT").await;
    assert_eq!((answer.status, answer.body.contains("-1121")), (400, true));
    world.end().await;
}

#[tokio::test]
async fn senseless_changes_are_refused_with_a_remedy() {
    let world = TestWorld::start(settings()).await;
    let cases = [
        ("/list", r#"{"venue":"binance","symbol":"BTCUSDT"}"#, "is or was listed"),
        ("/list", r#"{"venue":"binance","symbol":"btc-usdt"}"#, "write it like NEWUSDT"),
        ("/list", r#"{"venue":"nasdaq","symbol":"NEWUSDT"}"#, "use one of"),
        ("/delist", r#"{"venue":"binance","symbol":"NOSUCHUSDT"}"#, "is not listed"),
        ("/delist", r#"{"symbol":"BTCUSDT"}"#, "missing field `venue`"),
        ("/delist", "nonsense", "write {\"venue\""),
    ];
    for (path, body, words) in cases {
        let answer = world.admin("POST", path, body).await;
        assert!(answer["error"].as_str().unwrap().contains(words), "{body}: {answer}");
    }
    world.end().await;
}
