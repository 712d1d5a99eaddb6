//! The past over REST: every page of it, as far back as the venues go, against the truth.

use std::sync::Arc;

use model::{Date, Decimal, Nanos, VenueId};
use serde_json::Value;
use simulate::past::PastTrade;
use simulate::{SimSettings, World};

use crate::world::TestWorld;

/// 2026-11-09 12:00.
const NOW: i64 = 1_794_225_600_000_000_000;
const NOW_MS: i64 = NOW / 1_000_000;
const VENUES: [&str; 4] = ["binance", "binance-futures", "bybit", "bybit-linear"];
const HOUR_MS: i64 = 3_600_000;

fn id(venue: &str) -> VenueId {
    VenueId::known(venue).unwrap()
}

async fn start() -> TestWorld {
    start_with(1.0).await
}

async fn start_with(speed: f64) -> TestWorld {
    let settings = SimSettings {
        seed: 23,
        world: World::with_past(VENUES.map(id).to_vec(), 2, 4_000.0),
        history: std::time::Duration::from_hours(24 * 40),
        speed,
        ..SimSettings::default()
    };
    TestWorld::start_by(settings, Arc::new(runtime::clock::TokioClock::starting_at(Nanos(NOW)))).await
}

fn day(world: &TestWorld, venue: &str, text: &str) -> Vec<PastTrade> {
    let mut trades = Vec::new();
    let day = Date::parse(text).unwrap();
    assert!(world.sim.trades_of_day(id(venue), "BTCUSDT", day, &mut |trade| trades.push(trade)));
    trades
}

fn integer(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| row[name].as_str().unwrap().parse().unwrap())
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

fn sum(values: impl Iterator<Item = Decimal>) -> Decimal {
    values.fold(Decimal::ZERO, |sum, value| sum.checked_add(value).unwrap())
}

#[tokio::test]
async fn spot_gives_every_trade_of_a_day_long_ago_by_id() {
    let world = start().await;
    let happened = [day(&world, "binance", "2026-10-03"), day(&world, "binance", "2026-10-04")].concat();
    let mut next = happened[0].id.unwrap();
    for chunk in happened.chunks(1_000) {
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={next}&limit=1000");
        let rows = world.json("binance", &path).await;
        for (row, trade) in rows.as_array().unwrap().iter().zip(chunk) {
            let told = (integer(row, "a"), integer(row, "T"), decimal(&row["p"]), decimal(&row["q"]));
            assert_eq!(told, (trade.id.unwrap(), trade.time.millis(), trade.price, trade.quantity));
            assert_eq!((integer(row, "f"), integer(row, "l")), trade.raw.unwrap());
        }
        next += 1_000;
    }
    assert!(happened.len() > 2_000, "{}", happened.len());
    let (first, last) = happened[5].raw.unwrap();
    let path = format!("/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first}&limit=1000");
    let rows = world.json("binance", &path).await;
    let rows = rows.as_array().unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| integer(row, "id")).collect();
    assert_eq!(ids, (first..first + 1_000).collect::<Vec<_>>());
    let parts = rows.iter().filter(|row| integer(row, "id") <= last).map(|row| decimal(&row["qty"]));
    assert_eq!(sum(parts), happened[5].quantity);
    world.end().await;
}

#[tokio::test]
async fn spans_of_time_hold_both_ends_and_a_page() {
    let world = start().await;
    let happened = day(&world, "binance", "2026-10-10");
    let (from, to) = (happened[10].time.millis(), happened[400].time.millis());
    let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&startTime={from}&endTime={to}&limit=1000");
    let rows = world.json("binance", &path).await;
    let within = happened.iter().filter(|trade| (from..=to).contains(&trade.time.millis()));
    let expect: Vec<i64> = within.filter_map(|trade| trade.id).collect();
    let ids: Vec<i64> = rows.as_array().unwrap().iter().map(|row| integer(row, "a")).collect();
    assert_eq!(ids, expect);
    // Futures: an hour at most, two days back at most.
    let ask = |from: i64, to: i64| {
        let path = format!("/fapi/v1/aggTrades?symbol=BTCUSDT&startTime={from}&endTime={to}&limit=1000");
        let world = &world;
        async move { world.get("binance-futures", &path).await }
    };
    let recent = NOW_MS - 47 * HOUR_MS;
    assert_eq!(ask(recent, recent + HOUR_MS).await.status, 200);
    for (from, to, code) in
        [(recent, recent + HOUR_MS + 1, "-1127"), (recent - 2 * HOUR_MS, recent - HOUR_MS, "-4166")]
    {
        let refused = ask(from, to).await;
        assert!(refused.status == 400 && refused.body.contains(code), "{}", refused.body);
    }
    world.end().await;
}

#[tokio::test]
async fn bars_of_a_day_long_ago_sum_up_to_its_trades() {
    let world = start().await;
    let start = Date::parse("2026-10-05").unwrap().start().millis();
    for (venue, prefix, page) in [("binance", "/api/v3", 1_000_i64), ("binance-futures", "/fapi/v1", 1_500)] {
        let (mut volume, mut bars, mut next) = (Decimal::ZERO, 0, start);
        while next < start + 24 * HOUR_MS {
            let end = start + 24 * HOUR_MS - 1;
            let query = format!("symbol=BTCUSDT&interval=1m&startTime={next}&endTime={end}&limit={page}");
            let rows = world.json(venue, &format!("{prefix}/klines?{query}")).await;
            let rows = rows.as_array().unwrap();
            volume = volume.checked_add(sum(rows.iter().map(|row| decimal(&row[5])))).unwrap();
            bars += rows.len();
            next = rows.last().unwrap()[0].as_i64().unwrap() + 60_000;
        }
        let happened = sum(day(&world, venue, "2026-10-05").iter().map(|trade| trade.quantity));
        assert_eq!((bars, volume), (1_440, happened), "{venue}");
    }
    for category in ["spot", "linear"] {
        let (mut volume, mut bars, mut end) = (Decimal::ZERO, 0, start + 24 * HOUR_MS - 1);
        while bars < 1_440 {
            let query =
                format!("category={category}&symbol=BTCUSDT&interval=1&start={start}&end={end}&limit=1000");
            let answer = world.json("bybit", &format!("/v5/market/kline?{query}")).await;
            let rows = answer["result"]["list"].as_array().unwrap();
            volume = volume.checked_add(sum(rows.iter().map(|row| decimal(&row[5])))).unwrap();
            bars += rows.len();
            // Newest first: the next page ends before the oldest row.
            end = rows.last().unwrap()[0].as_str().unwrap().parse::<i64>().unwrap() - 1;
        }
        let venue = if category == "spot" { "bybit" } else { "bybit-linear" };
        let happened = sum(day(&world, venue, "2026-10-05").iter().map(|trade| trade.quantity));
        assert_eq!((bars, volume), (1_440, happened), "{category}");
    }
    world.end().await;
}

#[tokio::test]
async fn funding_and_open_interest_go_back_as_far_as_the_venues_do() {
    let world = start().await;
    let launch = NOW_MS - 40 * 24 * HOUR_MS;
    let path = format!("/fapi/v1/fundingRate?symbol=BTCUSDT&startTime={launch}&endTime={NOW_MS}&limit=1000");
    let rates = world.json("binance-futures", &path).await;
    assert_eq!(rates.as_array().unwrap().len(), 40 * 3);
    let path = format!(
        "/v5/market/funding/history?category=linear&symbol=BTCUSDT&startTime={launch}&endTime={NOW_MS}&limit=200"
    );
    let answer = world.json("bybit", &path).await;
    let list = answer["result"]["list"].as_array().unwrap();
    assert_eq!(list.len(), 40 * 3);
    assert!(integer(&list[0], "fundingRateTimestamp") > integer(&list[1], "fundingRateTimestamp"));
    // Thirty days of open interest, and not more.
    let path =
        format!("/futures/data/openInterestHist?symbol=BTCUSDT&period=1d&startTime={launch}&limit=500");
    assert_eq!(world.json("binance-futures", &path).await.as_array().unwrap().len(), 30);
    let (mut cursor, mut times) = (String::new(), Vec::new());
    loop {
        let path = format!(
            "/v5/market/open-interest?category=linear&symbol=BTCUSDT&intervalTime=1h&limit=200&cursor={cursor}"
        );
        let answer = world.json("bybit", &path).await;
        times
            .extend(answer["result"]["list"].as_array().unwrap().iter().map(|row| integer(row, "timestamp")));
        answer["result"]["nextPageCursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(times.len(), 40 * 24 + 1);
    assert!(times.windows(2).all(|pair| pair[0] - pair[1] == HOUR_MS));
    world.end().await;
}

#[tokio::test]
async fn the_past_and_the_present_join_without_a_seam() {
    let world = start_with(100.0).await;
    // The market moves on; what was live a moment ago is history now.
    let told = async {
        while world.truth("binance", "BTCUSDT").len() < 3 {
            runtime::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    runtime::clock::within(crate::world::PATIENCE, told).await.expect("trades");
    world.admin("POST", "/quiet", "").await;
    let live = world.truth("binance", "BTCUSDT");
    let past = day(&world, "binance", "2026-11-09");
    let first = live[0]["id"].as_i64().unwrap();
    let at = past.iter().position(|trade| trade.id == Some(first)).expect("what was live is in the past");
    assert!(at > 0 && past.len() - at == live.len());
    for (trade, line) in past[at..].iter().zip(&live) {
        assert_eq!((trade.id, trade.time.0), (line["id"].as_i64(), line["time_us"].as_i64().unwrap()));
        assert_eq!(trade.price, decimal(&line["price"]));
    }
    for pair in past.windows(2) {
        assert_eq!(pair[1].id.unwrap(), pair[0].id.unwrap() + 1);
        assert!(pair[1].time >= pair[0].time);
    }
    world.end().await;
}
