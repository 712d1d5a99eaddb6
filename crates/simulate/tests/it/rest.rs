//! Questions over HTTP: rows, limits and refusals.

use std::time::Duration;

use serde_json::{Value, json};
use simulate::{Limits, SimSettings, World};

use crate::world::{TestWorld, settings};

async fn refused(world: &TestWorld, venue: &str, path: &str) -> (u16, i64) {
    let answer = world.get(venue, path).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, body["code"].as_i64().unwrap())
}

#[tokio::test]
async fn nonsense_is_refused_with_the_true_codes() {
    let world = TestWorld::start(settings()).await;
    for (venue, path, expect) in [
        ("binance", "/api/v3/klines?interval=1m", (400, -1102)),
        ("binance", "/api/v3/klines?symbol=NOSUCH&interval=1m", (400, -1121)),
        ("binance", "/api/v3/klines?symbol=BTCUSDT&interval=10m", (400, -1120)),
        ("binance", "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=x", (400, -1100)),
        ("binance", "/api/v3/aggTrades?symbol=btcusdt", (400, -1100)),
        ("binance-futures", "/fapi/v1/klines?symbol=BTCUSDT&interval=1s", (400, -1120)),
        ("binance-futures", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1501", (400, -1130)),
        ("binance-futures", "/fapi/v1/depth?symbol=BTCUSDT&limit=42", (400, -4021)),
        ("binance-futures", "/fapi/v1/aggTrades?symbol=BTCUSDT&startTime=1577836800000", (400, -4166)),
        ("binance-futures", "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=1", (400, -4166)),
        ("binance-futures", "/fapi/v1/historicalTrades?symbol=BTCUSDT", (401, -2014)),
    ] {
        assert_eq!(refused(&world, venue, path).await, expect, "{path}");
    }
    for path in [
        "/v5/market/kline?symbol=NOSUCH&interval=1",
        "/v5/market/kline?symbol=BTCUSDT&interval=10",
        "/v5/market/recent-trade?symbol=BTCUSDT",
        "/v5/market/tickers?category=stocks",
        "/v5/market/funding/history?category=linear&symbol=BTCUSDT&startTime=1",
    ] {
        let answer = world.json("bybit", path).await;
        assert_eq!(answer["retCode"], 10_001, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn history_reaches_back_and_joins_the_present() {
    let world = TestWorld::start(settings()).await;
    let rows = world.json("binance", "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000").await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 1_000);
    for pair in rows.windows(2) {
        assert_eq!(pair[1][0].as_i64().unwrap(), pair[0][0].as_i64().unwrap() + 60_000);
        let price = |row: &Value, at: usize| row[at].as_str().unwrap().parse::<f64>().unwrap();
        assert!((price(&pair[1], 1) / price(&pair[0], 4) - 1.0).abs() < 0.002, "bars join");
    }
    let start = rows[0][0].as_i64().unwrap();
    let hour = start - start.rem_euclid(3_600_000) + 3_600_000;
    let path = format!("/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime={hour}&limit=1");
    let long = world.json("binance", &path).await;
    let volume = rows
        .iter()
        .filter(|row| (hour..hour + 3_600_000).contains(&row[0].as_i64().unwrap()))
        .map(|row| row[5].as_str().unwrap().parse::<model::Decimal>().unwrap())
        .fold(model::Decimal::ZERO, |sum, volume| sum.checked_add(volume).unwrap());
    assert_eq!(long[0][5].as_str().unwrap().parse::<model::Decimal>().unwrap(), volume);
    world.end().await;
    let history = std::time::Duration::from_hours(50);
    let world = TestWorld::start(SimSettings { history, ..settings() }).await;
    let bybit =
        world.json("bybit", "/v5/market/kline?category=linear&symbol=BNBUSDT&interval=D&limit=1000").await;
    let days = bybit["result"]["list"].as_array().unwrap();
    assert!((3..=4).contains(&days.len()), "{}", days.len());
    assert!(days[0][0].as_str() > days[1][0].as_str(), "newest first");
    world.end().await;
}

#[tokio::test]
async fn pages_of_trades_follow_one_another() {
    let world = TestWorld::start(settings()).await;
    let last = world.json("binance-futures", "/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1").await;
    let mut next = last[0]["a"].as_i64().unwrap() - 2_500;
    for _ in 0..2 {
        let path = format!("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={next}&limit=1000");
        let rows = world.json("binance-futures", &path).await;
        let ids: Vec<i64> = rows.as_array().unwrap().iter().map(|row| row["a"].as_i64().unwrap()).collect();
        assert_eq!(ids, (next..next + 1_000).collect::<Vec<_>>());
        next += 1_000;
    }
    let raw = world.json("binance", "/api/v3/trades?symbol=BTCUSDT&limit=100").await;
    let first = raw[0]["id"].as_i64().unwrap();
    let again = world
        .json("binance", &format!("/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first}&limit=50"))
        .await;
    assert_eq!(raw.as_array().unwrap()[..50], again.as_array().unwrap()[..]);
    world.end().await;
}

#[tokio::test]
async fn weight_is_counted_and_limited() {
    let world = TestWorld::start(SimSettings {
        limits: Limits { allowance: 0.05, ..Limits::default() },
        ..settings()
    })
    .await;
    let first = world.get("binance-futures", "/fapi/v1/aggTrades?symbol=BTCUSDT").await;
    assert_eq!((first.status, first.header("x-mbx-used-weight-1m")), (200, Some("20")));
    let mut status = 200;
    for _ in 0..8 {
        let answer = world.get("binance-futures", "/fapi/v1/aggTrades?symbol=BTCUSDT").await;
        status = answer.status;
        if status == 429 {
            assert!(answer.header("retry-after").is_some());
            break;
        }
    }
    assert_eq!(status, 429);
    for _ in 0..31 {
        status = world.get("bybit", "/v5/market/time").await.status;
    }
    assert_eq!(status, 403);
    world.end().await;
}

#[tokio::test]
async fn linear_listings_page_and_generated_names_are_unique() {
    let world = TestWorld::start(SimSettings { world: World::generated(700, 900.0), ..settings() }).await;
    let mut symbols = std::collections::BTreeSet::new();
    let (mut cursor, mut pages) = (String::new(), 0);
    loop {
        let path = format!("/v5/market/instruments-info?category=linear&cursor={cursor}");
        let page = world.json("bybit", &path).await;
        for row in page["result"]["list"].as_array().unwrap() {
            assert!(symbols.insert(row["symbol"].as_str().unwrap().to_owned()));
        }
        pages += 1;
        page["result"]["nextPageCursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!((symbols.len(), pages), (700, 2));
    let inverse = world.json("bybit", "/v5/market/instruments-info?category=inverse").await;
    assert_eq!(inverse["result"]["list"], json!([]));
    let spot = world.json("binance", "/api/v3/exchangeInfo").await;
    assert_eq!(spot["symbols"].as_array().unwrap().len(), 701);
    world.end().await;
}

#[tokio::test]
async fn the_same_seed_at_the_same_time_gives_the_same_trades() {
    let (left, right) = (TestWorld::start(settings()).await, TestWorld::start(settings()).await);
    let last =
        left.json("binance", "/api/v3/aggTrades?symbol=ETHUSDT&limit=1").await[0]["a"].as_i64().unwrap();
    let path = format!("/api/v3/aggTrades?symbol=ETHUSDT&fromId={}&limit=200", last - 300);
    assert_eq!(left.json("binance", &path).await, right.json("binance", &path).await);
    left.end().await;
    right.end().await;
}

#[tokio::test]
async fn a_quiet_world_stands_still_and_the_truth_is_whole() {
    let world = TestWorld::start(settings()).await;
    let is_told = || !world.truth("binance", "BTCUSDT").is_empty();
    let told = async {
        while !is_told() {
            runtime::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    runtime::clock::within(crate::world::PATIENCE, told).await.expect("a trade");
    let summary = world.admin("POST", "/quiet", "").await;
    let lines = std::fs::read_to_string(&world.truth).unwrap().lines().count();
    assert_eq!(summary["trades"].as_u64().unwrap() as usize, lines);
    assert!(lines > 0);
    let path = "/api/v3/aggTrades?symbol=BTCUSDT&limit=5";
    let before = world.json("binance", path).await;
    runtime::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.json("binance", path).await, before);
    let truth = world.truth("binance", "BTCUSDT");
    assert_eq!(truth.last().unwrap()["id"], before[4]["a"]);
    assert_eq!(world.admin("GET", "/truth/summary", "").await["trades"], summary["trades"]);
    world.end().await;
}

#[tokio::test]
async fn a_standstill_that_did_not_come_was_waited_for_without_end() {
    let mut asked = settings();
    asked.limits.standstill = Duration::from_millis(30);
    let world = TestWorld::start(asked).await;
    let venue = model::VenueId::known("binance").unwrap();
    world.tasks.stop_house();
    world.tasks.close(Duration::from_secs(3)).await;
    for outcome in [world.sim.list(venue, "NEWUSDT").await, world.sim.quiet().await] {
        let error = outcome.unwrap_err();
        assert!(
            error.starts_with("binance lags behind: after 0.03 s") && error.contains(" ms of its markets"),
            "{error}"
        );
    }
}
