//! Candles of the six venues: rows, orders, limits and refusals as the real ones have them, one path under all of them, and
//! what goes wrong on command.

use std::sync::Arc;
use std::time::Duration;

use model::time::MINUTE;
use model::{Candle, Decimal, PriceSource, Time, VenueId};
use runtime::Clock;
use serde_json::Value;
use simulate::{Limits, PriceFault, PriceTrouble, SimSettings, World};

use crate::world::{HandClock, TestWorld, request, settings};

/// A little past midnight of 8 August 2024, and it stays that.
const NOW_MS: i64 = 1_723_075_290_000;

async fn start(settings: SimSettings) -> TestWorld {
    let clock = HandClock::default();
    clock.forward(NOW_MS - clock.time().millis());
    TestWorld::start_by(settings, Arc::new(clock)).await
}

/// Few trades, two days of past.
fn quiet() -> SimSettings {
    let venues = ["binance", "bybit"].into_iter().filter_map(VenueId::known).collect();
    SimSettings {
        world: World::with_past(venues, 1, 20_000.0),
        history: Duration::from_hours(48),
        ..settings()
    }
}

fn source(name: &str) -> PriceSource {
    PriceSource::known(name).unwrap()
}

async fn ask(world: &TestWorld, name: &str, path: &str) -> (u16, Value) {
    let endpoints = world.sim.price_endpoints();
    let (_, origin) = endpoints.iter().find(|(known, _)| *known == source(name)).unwrap();
    let answer = request("GET", origin.strip_prefix("http://").unwrap(), path, "").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
}

/// A full hour, some hours ago.
const HOUR: Time = Time(1_723_075_200_000_000 - 180 * MINUTE);

/// The question of each source for the candles of five minutes within an hour, and where its rows are and what stands in
/// them: time (and in what unit), open, high, low, close, volume.
fn hour_of(name: &str) -> (String, &'static str, [usize; 6], i64) {
    let (from, to) = (HOUR.millis(), HOUR.millis() + 3_600_000);
    let (last, plain) = (to - 300_000, [0, 1, 2, 3, 4, 5]);
    match name {
        "binance" => (
            format!("/api/v3/klines?symbol=BTCUSDT&interval=5m&startTime={from}&endTime={last}"),
            "",
            plain,
            1,
        ),
        "bybit" => (
            format!("/v5/market/kline?category=spot&symbol=BTCUSDT&interval=5&start={from}&end={last}"),
            "/result/list",
            plain,
            1,
        ),
        "okx" => (
            format!("/api/v5/market/candles?instId=BTC-USDT&bar=5m&after={to}&before={}", from - 1),
            "/data",
            plain,
            1,
        ),
        "coinbase" => (
            format!("/products/BTC-USD/candles?granularity=300&start={}&end={}", from / 1_000, last / 1_000),
            "",
            [0, 3, 2, 1, 4, 5],
            1_000,
        ),
        "bitstamp" => (
            format!("/api/v2/ohlc/btcusd/?step=300&limit=12&start=1&end={}", last / 1_000),
            "/data/ohlc",
            plain,
            1_000,
        ),
        _ => {
            (format!("/v2/candles/trade:5m:tBTCUSD/hist?start={from}&end={last}"), "", [0, 1, 3, 4, 2, 5], 1)
        }
    }
}

fn number(cell: &Value) -> f64 {
    cell.as_f64().or_else(|| cell.as_str().and_then(|text| text.parse().ok())).unwrap_or(f64::NAN)
}

fn cells(row: &Value) -> Vec<Value> {
    match row {
        Value::Array(cells) => cells.clone(),
        row => ["timestamp", "open", "high", "low", "close", "volume"].map(|name| row[name].clone()).into(),
    }
}

fn rows(name: &str, answer: &Value) -> Vec<[f64; 6]> {
    let (_, pointer, columns, unit) = hour_of(name);
    let list =
        answer.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{name}: {answer}"));
    list.iter()
        .map(|row| {
            let cells = cells(row);
            let mut numbers = columns.map(|column| number(&cells[column]));
            numbers[0] *= unit as f64;
            numbers
        })
        .collect()
}

fn shown(candle: &Candle) -> [f64; 6] {
    let price = &candle.price;
    let numbers = [price.open, price.high, price.low, price.close, price.volume].map(Decimal::to_f64);
    [candle.open_time.millis() as f64, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]]
}

#[tokio::test]
async fn every_venue_shows_the_truth_in_its_own_order() {
    let world = start(quiet()).await;
    let span = HOUR..HOUR.plus_micros(60 * MINUTE);
    for (name, is_newest_first) in [
        ("binance", false),
        ("bitfinex", true),
        ("bitstamp", false),
        ("bybit", true),
        ("coinbase", true),
        ("okx", true),
    ] {
        let (path, ..) = hour_of(name);
        let (status, answer) = ask(&world, name, &path).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let mut got = rows(name, &answer);
        if is_newest_first {
            got.reverse();
        }
        let truth: Vec<[f64; 6]> =
            world.sim.price_candles(source(name), 5, &span).iter().map(shown).collect();
        assert!((10..=12).contains(&truth.len()), "{name}: {} candles", truth.len());
        assert_eq!(got, truth, "{name}");
        for [_, open, high, low, close, volume] in got {
            assert!(low <= open.min(close) && open.max(close) <= high && volume >= 0.0, "{name}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn all_venues_share_one_path_and_tether_moves_a_little() {
    let world = start(quiet()).await;
    let span = HOUR..HOUR.plus_micros(60 * MINUTE);
    let closes = |name: &str| -> Vec<f64> {
        world.sim.price_candles(source(name), 5, &span).iter().map(|one| shown(one)[4]).collect()
    };
    let mean = |closes: Vec<f64>| closes.iter().sum::<f64>() / closes.len() as f64;
    let tether = mean(closes("okx"));
    for name in ["binance", "bybit"] {
        assert!((mean(closes(name)) / tether - 1.0).abs() < 0.000_5, "{name}");
    }
    let dollar = mean(closes("coinbase"));
    for name in ["bitstamp", "bitfinex"] {
        assert!((mean(closes(name)) / dollar - 1.0).abs() < 0.000_5, "{name}");
    }
    let basis = tether / dollar - 1.0;
    assert!((0.000_1..0.002).contains(&basis), "basis {basis}");
    world.end().await;
}

#[tokio::test]
async fn page_limits_bounds_and_refusals_are_the_real_ones() {
    let world = start(quiet()).await;
    let now = NOW_MS;
    let day = now - 86_400_000;
    let count =
        |answer: &Value, pointer: &str| answer.pointer(pointer).and_then(Value::as_array).map(Vec::len);
    let five = |ms: i64| ms / 300_000 * 300_000;
    for (name, path, status, words) in [
        ("coinbase", "/products/NO-USD/candles".to_owned(), 404, "NotFound"),
        ("coinbase", "/products/BTC-USD/candles?granularity=7".to_owned(), 400, "Unsupported granularity"),
        (
            "coinbase",
            format!("/products/BTC-USD/candles?granularity=60&start={}&end={}", day / 1_000, now / 1_000),
            400,
            "exceeds 300",
        ),
        ("okx", "/api/v5/market/candles?instId=NO-USDT".to_owned(), 200, "51001"),
        ("bitstamp", "/api/v2/ohlc/nousd/?step=60&limit=1".to_owned(), 404, "404.007"),
        ("bitstamp", "/api/v2/ohlc/btcusd/?step=60&limit=1001".to_owned(), 400, "Invalid limit"),
        ("bitfinex", "/v2/candles/trade:5m:tNOUSD/hist".to_owned(), 500, "symbol: invalid"),
        ("bitfinex", "/v2/candles/trade:10m:tBTCUSD/hist".to_owned(), 500, "time_interval: invalid"),
    ] {
        let (got, answer) = ask(&world, name, &path).await;
        assert_eq!(got, status, "{path}");
        assert!(answer.to_string().contains(words), "{path}: {answer}");
    }
    let (_, answer) =
        ask(&world, "okx", "/api/v5/market/history-candles?instId=BTC-USDT&bar=1m&limit=999").await;
    assert_eq!(count(&answer, "/data"), Some(300));
    assert_eq!(answer["data"][0][8], "0", "the newest goes on");
    assert_eq!(answer["data"][1][8], "1");
    // `before` alone brings the newest page, as it does at the venue.
    let path = format!("/api/v5/market/candles?instId=BTC-USDT&bar=1m&limit=5&before={day}");
    let (_, answer) = ask(&world, "okx", &path).await;
    assert!(answer["data"][0][0].as_str().unwrap().parse::<i64>().unwrap() > now - 120_000);
    // Here the end wins over the start.
    let path = format!("/api/v2/ohlc/btcusd/?step=300&limit=3&start={}&end={}", day / 1_000, now / 1_000);
    let (_, answer) = ask(&world, "bitstamp", &path).await;
    assert_eq!(count(&answer, "/data/ohlc"), Some(3));
    assert_eq!(answer["data"]["ohlc"][2]["timestamp"], (five(now) / 1_000).to_string());
    let (_, answer) = ask(&world, "bitstamp", &format!("{path}&exclude_current_candle=true")).await;
    assert_eq!(answer["data"]["ohlc"][2]["timestamp"], (five(now) / 1_000 - 300).to_string());
    let (_, answer) = ask(&world, "bitfinex", "/v2/candles/trade:1m:tBTCUSD/hist?limit=10000&sort=1").await;
    let quiet_minutes = 48 * 60 - count(&answer, "").unwrap();
    assert!((100..700).contains(&quiet_minutes), "{quiet_minutes} minutes without trades");
    world.end().await;
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_to_wait() {
    let limits = Limits { allowance: 0.1, ..Limits::default() };
    let world = start(SimSettings { limits, ..quiet() }).await;
    for (name, status, words) in
        [("bitfinex", 429, "ERR_RATE_LIMIT"), ("okx", 429, "50011"), ("coinbase", 429, "rate limit")]
    {
        let (path, ..) = hour_of(name);
        let mut last = (0, Value::Null);
        for _ in 0..5 {
            last = ask(&world, name, &path).await;
        }
        assert_eq!(last.0, status, "{name}");
        assert!(last.1.to_string().contains(words), "{name}: {}", last.1);
    }
    world.end().await;
}

#[tokio::test]
async fn one_venue_prints_a_fifth_less_and_the_others_do_not() {
    let world = start(quiet()).await;
    let half = HOUR.plus_micros(30 * MINUTE);
    let span = HOUR..HOUR.plus_micros(60 * MINUTE);
    for name in ["binance", "bitfinex", "bitstamp", "bybit", "coinbase", "okx"] {
        let (path, ..) = hour_of(name);
        let sorted = |answer: &Value| {
            let mut rows = rows(name, answer);
            rows.sort_by(|left, right| left[0].total_cmp(&right[0]));
            rows
        };
        let before = sorted(&ask(&world, name, &path).await.1);
        let plan = |trouble| PriceFault { source: source(name), trouble, span: half..span.end };
        world.sim.price_fault(plan(PriceTrouble::Skew(-0.2)));
        let after = sorted(&ask(&world, name, &path).await.1);
        assert_eq!(before.len(), after.len(), "{name}");
        for (good, bad) in before.iter().zip(&after) {
            let share = if good[0] >= half.millis() as f64 { 0.8 } else { 1.0 };
            for column in 1..5 {
                assert!((bad[column] / good[column] - share).abs() < 1e-4, "{name}: {bad:?}");
            }
            assert!((bad[5] - good[5]).abs() < 1e-9, "volumes stay");
        }
        world.sim.no_price_faults();
        world.sim.price_fault(plan(PriceTrouble::Silent));
        let left = sorted(&ask(&world, name, &path).await.1);
        assert!(left.len() < before.len() && left.iter().all(|row| row[0] < half.millis() as f64), "{name}");
        world.sim.no_price_faults();
        world.sim.price_fault(plan(PriceTrouble::Crossed));
        let crossed = sorted(&ask(&world, name, &path).await.1);
        let is_crossed = |row: &[f64; 6]| row[2] < row[3];
        let late = crossed.iter().filter(|row| row[0] >= half.millis() as f64);
        assert!(late.clone().count() > 3 && late.clone().all(is_crossed), "{name}");
        world.sim.no_price_faults();
    }
    assert!(world.sim.price_candles(source("okx"), 5, &span).len() == 12, "the truth stays");
    world.end().await;
}

#[tokio::test]
async fn answers_are_nonsense_on_command_over_the_admin_address() {
    let world = start(quiet()).await;
    let admin = world.sim.admin_address();
    let order = |text: &'static str| {
        let admin = admin.strip_prefix("http://").unwrap();
        async move { request("POST", admin, "/prices/faults", text).await.status }
    };
    let path_of = |name: &str| hour_of(name).0;
    assert_eq!(order("bybit:garbage@now+1h,okx:down@now+1h,coinbase:ban=7s@now+1h").await, 200);
    assert_eq!(ask(&world, "bybit", &path_of("bybit")).await, (200, Value::Null));
    assert_eq!(ask(&world, "okx", &path_of("okx")).await.0, 503);
    assert_eq!(ask(&world, "coinbase", &path_of("coinbase")).await.0, 429);
    assert_eq!(ask(&world, "binance", &path_of("binance")).await.0, 200);
    assert_eq!(order("none").await, 200);
    assert_eq!(ask(&world, "okx", &path_of("okx")).await.0, 200);
    assert_eq!(order("okx:explode@now+1h").await, 400);
    world.end().await;
}
