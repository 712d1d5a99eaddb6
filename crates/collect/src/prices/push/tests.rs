//! The pushing side against a scripted stream, simulated candles for what it lacks, and a receiver that does as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use model::time::{MINUTE, SECOND};
use model::{BUCKET, Candle, Ohlcv, PriceSource, Time, VenuePrice};
use runtime::Restart;
use serde_json::Value;
use tokio::sync::broadcast;

use super::{PushSettings, PushStatus, Token, body_of, start};
use crate::prices::tests::{NOW, Prices, source};
use crate::testing::lock;

const TOKEN: &str = "a-token-nobody-may-see";
const START: Time = Time(NOW.0 - 30 * SECOND);

/// Status, and `Retry-After`.
type Refusal = (u16, Option<&'static str>);

/// Both other sides: the stream, and the house that takes rows.
#[derive(Clone)]
struct Others {
    frames: broadcast::Sender<Option<String>>,
    listeners: Arc<Mutex<usize>>,
    /// How the next rows are answered; then they are taken.
    answers: Arc<Mutex<VecDeque<Refusal>>>,
    /// Bodies in the order they came, with the status they got.
    came: Arc<Mutex<Vec<(u16, Value)>>>,
}

async fn stream(
    State(others): State<Others>,
    Path(name): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    assert_eq!(name, "btcusdt@kline_1m");
    upgrade.on_upgrade(move |mut socket| async move {
        let mut frames = others.frames.subscribe();
        *lock(&others.listeners) += 1;
        while let Ok(Some(text)) = frames.recv().await {
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    })
}

async fn ingest(State(others): State<Others>, headers: HeaderMap, body: String) -> Response {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let is_known = bearer == Some(&*format!("Bearer {TOKEN}"));
    let (status, wait) = match lock(&others.answers).pop_front() {
        Some(answer) => answer,
        None if is_known => (204, None),
        None => (401, None),
    };
    lock(&others.came).push((status, serde_json::from_str(&body).unwrap()));
    let mut headers = HeaderMap::new();
    if let Some(wait) = wait {
        headers.insert("retry-after", wait.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers).into_response()
}

/// A pushing side at work.
struct World {
    prices: Prices,
    others: Others,
    status: PushStatus,
}

impl World {
    async fn start(change: impl FnOnce(&mut PushSettings)) -> Self {
        let prices = Prices::start().await;
        let others = Others {
            frames: broadcast::channel(1_024).0,
            listeners: Arc::default(),
            answers: Arc::default(),
            came: Arc::default(),
        };
        let router = Router::new()
            .route("/ws/{name}", get(stream))
            .route("/api/v1/internal/price/source/binance/10m", post(ingest))
            .with_state(others.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut door = Some((listener, router));
        prices.tasks.start("others", Restart::Never, move |_| {
            let door = door.take();
            async move {
                let Some((listener, router)) = door else { return Ok(()) };
                axum::serve(listener, router).await.map_err(|error| error.to_string())
            }
        });
        let url = format!("http://{address}/api/v1/internal/price/source/binance/10m");
        let mut settings = PushSettings {
            stream_base: format!("ws://{address}"),
            api_base: prices.origin("binance"),
            retry: (Duration::from_millis(2), Duration::from_millis(20)),
            look_every: Duration::from_millis(5),
            look_back: Duration::ZERO,
            // The clock jumps.
            silence_max: Duration::from_hours(20),
            ..PushSettings::usual(&url, Token::new(TOKEN))
        };
        change(&mut settings);
        let status = start(settings, &prices.desk, &prices.tasks).unwrap();
        let world = Self { prices, others, status };
        world.wait("a listener", |world| *lock(&world.others.listeners) == 1).await;
        world
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..4_000 {
            if is_so(self) {
                return;
            }
            runtime::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} does not come; {:?}, {:?}", self.status, lock(&self.others.came));
    }

    /// The stream says a minute as it truly was; the time is the end of that minute then.
    fn say(&self, minute: Time, is_closed: bool) {
        let span = minute..minute.plus_micros(MINUTE);
        let truth = self.prices.sim.price_candles(source("binance"), 1, &span);
        self.others.frames.send(Some(frame(&truth[0], is_closed))).unwrap();
    }

    fn truth(&self, bucket: Time) -> Ohlcv {
        self.prices.sim.price_candles(source("binance"), 10, &(bucket..bucket.plus_micros(BUCKET)))[0].price
    }

    /// Rows that were taken: start, mode, quality.
    fn taken(&self) -> Vec<(String, String, String)> {
        let came = lock(&self.others.came);
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let taken = came.iter().filter(|(status, _)| *status == 204);
        taken
            .map(|(_, row)| {
                (text(row, "bucket_start_utc"), text(row, "data_source_mode"), text(row, "quality_status"))
            })
            .collect()
    }
}

fn frame(candle: &Candle, is_closed: bool) -> String {
    let (open, price) = (candle.open_time.millis(), &candle.price);
    format!(
        r#"{{"e":"kline","E":{open},"s":"BTCUSDT","k":{{"t":{open},"T":{},"s":"BTCUSDT","i":"1m","f":1,"L":2,"o":"{}","c":"{}","h":"{}","l":"{}","v":"{}","n":2,"x":{is_closed},"q":"1","V":"1","Q":"1","B":"0"}}}}"#,
        open + 59_999,
        price.open,
        price.close,
        price.high,
        price.low,
        price.volume,
    )
}

fn row(bucket: Time, mode: &str) -> (String, String, String) {
    (bucket.to_string(), mode.to_owned(), "complete".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_confirmed_minutes_are_posted_as_one_row() {
    let world = World::start(|_| {}).await;
    world.prices.clock.forward(9 * MINUTE + 31 * SECOND);
    for minute in 0..10 {
        let open = START.plus_micros(minute * MINUTE);
        world.say(open, false);
        world.say(open, true);
        // Said again, as after a reconnect.
        world.say(open, true);
    }
    world.wait("a row", |world| world.status.posted() == 1).await;
    assert_eq!(world.taken(), [row(START, "stream")]);
    assert_eq!(world.status.repaired(), 0, "nothing had to be asked for");
    assert_eq!(world.status.through(), Some(START.plus_micros(BUCKET)));
    let came = lock(&world.others.came)[0].1.clone();
    let truth = world.truth(START);
    for (name, value) in [
        ("open", truth.open),
        ("high", truth.high),
        ("low", truth.low),
        ("close", truth.close),
        ("volume", truth.volume),
    ] {
        assert_eq!(came[name].as_str().unwrap().parse(), Ok(value), "{name}");
    }
    assert_eq!((came["child_count"].as_i64(), came["child_count_expected"].as_i64()), (Some(10), Some(10)));
    assert_eq!((came["source"].as_str(), came["child_interval"].as_str()), (Some("binance"), Some("1m")));
    let received = Time::parse(came["received_utc"].as_str().unwrap()).unwrap();
    assert!(received >= START.plus_micros(BUCKET), "{received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_that_the_stream_did_not_bring_are_asked_for() {
    let world = World::start(|_| {}).await;
    for minute in [0, 1, 2, 3, 6, 7, 8] {
        world.say(START.plus_micros(minute * MINUTE), true);
    }
    world.prices.clock.forward(BUCKET - 30 * SECOND + 4 * SECOND);
    runtime::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.status.posted(), 0, "the stream's last minutes are waited for");
    world.prices.clock.forward(2 * SECOND);
    world.wait("a row", |world| world.status.posted() == 1).await;
    assert_eq!(world.taken(), [row(START, "rest")]);
    let came = lock(&world.others.came)[0].1.clone();
    assert_eq!(came["volume"].as_str().unwrap().parse(), Ok(world.truth(START).volume));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_ahead_of_the_venue_posted_an_open_minute_as_closed() {
    let world = World::start(|_| {}).await;
    for minute in 0..9 {
        world.say(START.plus_micros(minute * MINUTE), true);
    }
    // For the venue the last minute lasts five seconds more; ours says that it is long over.
    world.prices.own.set_ahead(12 * SECOND);
    world.prices.clock.forward(BUCKET - 30 * SECOND - 5 * SECOND);
    world.wait("a question", |world| world.status.repaired() == 1).await;
    runtime::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.status.posted(), 0, "the last minute is open");
    world.prices.clock.forward(15 * SECOND);
    world.wait("a row", |world| world.status.posted() == 1).await;
    assert_eq!(world.taken(), [row(START, "rest")]);
    let came = lock(&world.others.came)[0].1.clone();
    assert_eq!(came["volume"].as_str().unwrap().parse(), Ok(world.truth(START).volume));
    // A clock that is ahead by more than ten minutes leaves none of them out.
    world.prices.own.set_ahead(25 * MINUTE);
    world.wait("another question", |world| world.status.repaired() > 2).await;
    world.prices.clock.forward(BUCKET);
    world.wait("the next row", |world| world.status.posted() == 2).await;
    assert_eq!(world.taken()[1], row(START.plus_micros(BUCKET), "rest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_silence_is_made_up_for_in_order() {
    let world = World::start(|_| {}).await;
    world.others.frames.send(None).unwrap();
    world.prices.clock.forward(3 * BUCKET);
    world.wait("three rows", |world| world.status.posted() == 3).await;
    let expect: Vec<_> = (0..3).map(|at| row(START.plus_micros(at * BUCKET), "rest")).collect();
    assert_eq!(world.taken(), expect);
    assert!(world.status.reconnects() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_before_a_start_is_posted_first() {
    let world = World::start(|settings| settings.look_back = Duration::from_mins(40)).await;
    world.wait("four rows", |world| world.status.posted() == 4).await;
    let expect: Vec<_> = (-4..0).map(|at| row(START.plus_micros(at * BUCKET), "rest")).collect();
    assert_eq!(world.taken(), expect);
    world.prices.clock.forward(BUCKET);
    world.wait("the running ten minutes", |world| world.status.posted() == 5).await;
    assert_eq!(world.taken()[4], row(START, "rest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_nothing_is_opened_anew() {
    let world = World::start(|settings| settings.silence_max = Duration::from_secs(30)).await;
    world.prices.clock.forward(29 * SECOND);
    runtime::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.status.reconnects(), 0);
    // Whenever it was opened by this clock, half a minute has passed since.
    world.prices.clock.forward(31 * SECOND);
    world.wait("another listener", |world| *lock(&world.others.listeners) == 2).await;
    assert_eq!(world.status.reconnects(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_posted_again_until_taken_and_their_order_is_kept() {
    let world = World::start(|settings| settings.rows_waiting_max = 1).await;
    *lock(&world.others.answers) = [(503, None), (429, Some("0")), (401, None), (425, None)].into();
    world.prices.clock.forward(4 * BUCKET);
    world.wait("four rows", |world| world.status.posted() == 4).await;
    let expect: Vec<_> = (0..4).map(|at| row(START.plus_micros(at * BUCKET), "rest")).collect();
    assert_eq!(world.taken(), expect);
    assert_eq!((world.status.failures(), world.status.refused()), (4, 0));
    let first: Vec<u16> = lock(&world.others.came).iter().map(|(status, _)| *status).take(5).collect();
    assert_eq!(first, [503, 429, 401, 425, 204]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_for_good_does_not_hold_up_the_next() {
    let world = World::start(|_| {}).await;
    lock(&world.others.answers).push_back((422, None));
    world.prices.clock.forward(2 * BUCKET);
    world.wait("a row", |world| world.status.posted() == 1).await;
    assert_eq!(world.taken(), [row(START.plus_micros(BUCKET), "rest")]);
    assert_eq!((world.status.refused(), world.status.failures()), (1, 0));
}

#[test]
fn a_row_is_one_flat_object() {
    let read = |text: &str| text.parse().unwrap();
    let row = VenuePrice {
        source: source("binance"),
        bucket: START,
        price: Ohlcv {
            open: read("1"),
            high: read("2.50"),
            low: read("0.5"),
            close: read("2"),
            volume: read("1e-8"),
        },
        quality_status: "partial".into(),
        data_source_mode: "stream".into(),
        child_minutes: 1,
        child_count: 9,
        child_count_expected: 10,
        first_received_time: START.plus_micros(MINUTE + 1),
        received_time: START.plus_micros(BUCKET),
    };
    let expect = concat!(
        r#"{"source":"binance","bucket_start_utc":"2024-08-08T00:00:00.000000Z","open":"1","high":"2.50","low":"0.5","#,
        r#""close":"2","volume":"0.00000001","quality_status":"partial","data_source_mode":"stream","#,
        r#""child_interval":"1m","child_count":9,"child_count_expected":10,"#,
        r#""first_received_utc":"2024-08-08T00:01:00.000001Z","received_utc":"2024-08-08T00:10:00.000000Z"}"#
    );
    assert_eq!(body_of(&row), expect);
    assert!(serde_json::from_str::<Value>(expect).is_ok());
}

#[test]
fn variables_are_read_and_all_mistakes_are_told_but_never_the_token() {
    let variables = |given: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        PushSettings::from_variables(given.iter().map(own).collect::<Vec<_>>().into_iter())
    };
    let good = [
        ("PATH", "/bin"),
        ("PRICE_WS_SOURCE", "binance"),
        ("PRICE_WS_SYMBOL", "BTCUSDT"),
        ("PRICE_WS_CHILD_INTERVAL", "1m"),
        ("PRICE_WS_OUTPUT_MODE", "remote_push"),
        ("PRICE_WS_REMOTE_INGEST_URL", "https://a.example/api/v1/internal/price/source/binance/10m"),
        ("PRICE_WS_REMOTE_INGEST_TOKEN", TOKEN),
    ];
    let settings = variables(&good).unwrap().unwrap();
    assert_eq!(settings.source, PriceSource::known("binance").unwrap());
    assert_eq!(settings.stream_base, "wss://stream.binance.com:9443");
    let shown = format!("{settings:?} {:?}", settings.token.header());
    assert!(!shown.contains(TOKEN), "{shown}");
    assert!(variables(&good[..4]).unwrap().is_none());
    let bad = [
        ("PRICE_WS_SOURCE", "kraken"),
        ("PRICE_WS_CHILD_INTERVAL", "5m"),
        ("PRICE_WS_OUTPUT_MODE", "print"),
        ("PRICE_WS_INGEST_URL", "https://a.example"),
        ("PRICE_WS_REMOTE_INGEST_TOKEN", &format!("{TOKEN}\n{TOKEN}")),
    ];
    let error = variables(&bad).unwrap_err().to_string();
    for part in [
        "kraken",
        "\"5m\"",
        "\"print\"",
        "INGEST_URL is no address",
        "INGEST_TOKEN is missing",
        "PRICE_WS_INGEST_URL means nothing",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains(TOKEN), "{error}");
}
