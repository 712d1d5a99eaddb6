//! Every address of the REST interface, asked well and badly.

use std::sync::atomic::Ordering;

use arrow_ipc::reader::StreamReader;
use model::status::StreamHealth;
use model::{BarState, Channel, Funding, Gap, GapCause, GapState, MarkPrice, OpenInterest, Source};
use serde_json::json;
use tables::{DataQuality, Rows, TableName};

use crate::world::{NOON, World, book_view, btc, candle, column, decimal, quote};

#[tokio::test]
async fn trades_come_in_the_published_form() {
    let world = World::new().await;
    let answer = world.get("/api/v1/data/trades/BTCUSDT?start_time=1723118401000&limit=2").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["success"], &body["message"]), (&json!(true), &json!("Retrieved 2 trades")));
    assert_eq!(
        body["data"][0],
        json!({
            "aggregate_id": 1, "price": 61837.6, "quantity": 0.002, "timestamp": 1_723_118_401_000_i64,
            "is_buyer_maker": false, "first_trade_id": 2, "last_trade_id": 3, "condition": "market",
            "received_time": 1_723_118_401_005_i64, "source": "stream"
        })
    );
    assert!(
        answer.text().contains(r#""price":61837.6,"quantity":0.002,"#),
        "digits are the venue's: {}",
        answer.text()
    );
    let coverage = &body["coverage"];
    assert_eq!(coverage["quality"], "complete");
    assert_eq!(
        (&coverage["start_time"], &coverage["end_time"]),
        (&json!(1_723_118_401_000_i64), &json!(1_723_118_402_001_i64)),
        "the range ends where the limit cut it"
    );
}

#[tokio::test]
async fn trades_are_the_newest_unless_told_where_to_start() {
    let world = World::new().await;
    for (query, expect) in [
        ("limit=3", vec![7, 8, 9]),
        ("end_time=1723118404000&limit=2", vec![3, 4]),
        ("start_time=1723118408000", vec![8, 9]),
        ("start_time=2024-08-08T12:00:08Z&end_time=1723118408000", vec![8]),
        ("from_id=6&limit=2", vec![6, 7]),
        ("venue=binance", vec![]),
        ("", (1..=9).collect()),
    ] {
        let body = world.get(&format!("/api/v1/data/trades/BTCUSDT?{query}")).await.json();
        let ids: Vec<i64> = body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["aggregate_id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, expect, "{query}");
    }
}

#[tokio::test]
async fn the_newest_trades_are_looked_for_near_the_end_first() {
    let world = World::new().await;
    world.get("/api/v1/data/trades/BTCUSDT?limit=3").await;
    let scans = world.fakes.scans.lock().unwrap().clone();
    assert_eq!(scans.len(), 1, "one look was enough: {scans:?}");
    assert!(
        scans[0].is_descending
            && scans[0].range.is_some_and(|range| range.start > NOON.plus_micros(-7_200_000_000))
    );
}

#[tokio::test]
async fn symbols_are_understood_in_every_usual_form() {
    let world = World::new().await;
    for (symbol, instrument) in [
        ("BTCUSDT", "binance-futures:BTC-USDT-PERP"),
        ("btcusdt", "binance-futures:BTC-USDT-PERP"),
        ("BTC%2FUSDT:USDT", "binance-futures:BTC-USDT-PERP"),
        ("binance:BTC-USDT", "binance:BTC-USDT"),
        ("BTCUSDT?venue=binance", "binance:BTC-USDT"),
    ] {
        let (symbol, query) = symbol.split_once('?').unwrap_or((symbol, ""));
        let body = world.get(&format!("/api/v1/data/trades/{symbol}/newest?{query}")).await.json();
        assert_eq!(body["data"]["instrument"], instrument, "{symbol}");
    }
    let body = world.get("/api/v1/data/trades/BTCUSDT/newest").await.json();
    assert_eq!(body["data"]["aggregate_id"], 9);
    let body = world.get("/api/v1/data/trades/ETHUSDT/newest").await.json();
    assert!(body["data"]["aggregate_id"].is_null(), "{body}");
}

#[tokio::test]
async fn bad_questions_are_refused_with_a_remedy() {
    let world = World::new().await;
    for (path, status, code) in [
        ("/api/v1/data/trades/BTCUSD", 404, "unknown_symbol"),
        ("/api/v1/data/trades/binance:XYZ-USDT", 404, "unknown_symbol"),
        ("/api/v1/data/trades/%20", 400, "bad_symbol"),
        ("/api/v1/data/trades/%ff%fe", 400, "bad_symbol"),
        ("/api/v1/data/trades/binance:BTC-USDT?venue=bybit", 400, "bad_symbol"),
        ("/api/v1/data/trades/BTCUSDT?venue=nyse", 404, "unknown_venue"),
        ("/api/v1/data/trades/BTCUSDT?limit=0", 400, "bad_limit"),
        ("/api/v1/data/trades/BTCUSDT?limit=many", 400, "bad_limit"),
        ("/api/v1/data/trades/BTCUSDT?limit=99999999999999999999", 400, "bad_limit"),
        ("/api/v1/data/trades/BTCUSDT?from_id=-1", 400, "bad_id"),
        ("/api/v1/data/trades/BTCUSDT?start_time=yesterday", 400, "bad_time"),
        ("/api/v1/data/trades/BTCUSDT?start_time=-1", 400, "bad_time"),
        ("/api/v1/data/trades/BTCUSDT?start_time=9223372036854775807", 400, "bad_time"),
        (
            "/api/v1/data/trades/BTCUSDT?start_time=1723118402000&end_time=1723118401000",
            400,
            "reversed_range",
        ),
        ("/api/v1/data/trades/BTCUSDT?strat_time=1", 400, "bad_parameter"),
        ("/api/v1/data/trades/BTCUSDT?limit=1&limit=2", 400, "bad_parameter"),
        ("/api/v1/data/trades/BTCUSDT?venue=%ff", 400, "bad_parameter"),
        ("/api/v1/data/klines/BTCUSDT?timeframe=0", 400, "bad_timeframe"),
        ("/api/v1/data/klines/BTCUSDT?timeframe=43201", 400, "bad_timeframe"),
        ("/api/v1/data/klines/BTCUSDT?timeframe=1y", 400, "bad_timeframe"),
        ("/api/v1/data/klines/BTCUSDT?format=xml", 400, "bad_format"),
        ("/api/v1/data/klines/BTCUSDT?start_time=2024-01-02&end_time=2024-01-01", 400, "reversed_range"),
        ("/api/v1/data/books/BTCUSDT", 404, "no_book"),
        ("/api/v1/data/books/BTCUSDT?depth=0", 400, "bad_limit"),
        ("/api/v1/data/instruments?venue=nyse", 404, "unknown_venue"),
        ("/api/v1/coverage/BTCUSDT?channel=tape", 400, "unknown_channel"),
        ("/latest", 400, "bad_symbol"),
        ("/latest?symbol=NOPE", 404, "unknown_symbol"),
        ("/nothing/here", 404, "unknown_address"),
        ("/ws/stream", 426, "not_a_websocket"),
        ("/api/v1/sql", 405, "wrong_method"),
    ] {
        assert_eq!(world.get(path).await.refusal(), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn near_symbols_and_known_venues_are_named() {
    let world = World::new().await;
    let words = |answer: crate::world::Answer| answer.json()["error"]["remedy"].as_str().unwrap().to_owned();
    let remedy = words(world.get("/api/v1/data/klines/BTCUSD").await);
    assert!(remedy.contains("did you mean BTCUSDT, binance:BTC-USDT?"), "{remedy}");
    let remedy = words(world.get("/api/v1/data/klines/XXXYYYZZZ").await);
    assert!(remedy.contains("/api/v1/data/instruments"), "{remedy}");
    let remedy = words(world.get("/api/v1/data/klines/BTCUSDT?venue=bin").await);
    assert!(remedy.contains("binance-futures") && remedy.contains("bybit-linear"), "{remedy}");
    let refusal = world.get("/api/v1/data/klines/BTCUSDT?timefame=1").await.json();
    assert!(refusal["error"]["message"].as_str().unwrap().contains("timeframe"), "{refusal}");
}

#[tokio::test]
async fn candles_come_in_the_published_form() {
    let world = World::new().await;
    world.set_candles(
        "15m",
        vec![
            candle("15m", NOON, BarState::Closed),
            candle("15m", NOON.plus_micros(900_000_000), BarState::Forming),
        ],
    );
    for timeframe in ["15", "15m"] {
        let body =
            world.get(&format!("/api/v1/data/klines/BTCUSDT?timeframe={timeframe}&limit=100")).await.json();
        assert_eq!(body["message"], "Retrieved 2 candles");
        assert_eq!(
            body["data"][0],
            json!({
                "candle_time": 1_723_118_400_000_i64, "open": 61800.1, "high": 61900, "low": 61700, "close": 61837.6,
                "volume": 12.345, "trades_count": 142, "quote_volume": 763_395.123_456_789_f64, "taker_buy_volume": 6,
                "status": "closed", "revision": 0, "is_empty": false, "is_complete": true,
                "available_time": 1_723_118_460_000_i64, "source": "trades"
            })
        );
        assert_eq!(body["data"][1]["status"], "forming");
        assert_eq!(body["coverage"]["quality"], "complete");
    }
    let answer = world.get("/api/v1/data/klines/BTCUSDT?timeframe=15").await;
    assert!(
        answer.text().contains(r#""quote_volume":763395.1234567890123,"#),
        "sums are exact: {}",
        answer.text()
    );
    let body = world
        .get("/api/v1/data/klines/BTCUSDT?timeframe=15&start_time=1723118400000&end_time=1723118400000")
        .await
        .json();
    assert_eq!(body["data"].as_array().unwrap().len(), 1, "bounds are inclusive");
    let body = world.get("/api/v1/data/klines/BTCUSDT?timeframe=1w").await.json();
    assert_eq!(body["data"], json!([]));
}

#[tokio::test]
async fn candles_come_as_csv_and_arrow() {
    let world = World::new().await;
    world.set_candles("173m", vec![candle("173m", NOON, BarState::Revised)]);
    let csv = world.get("/api/v1/data/klines/BTCUSDT?timeframe=173&format=csv").await;
    assert!(
        csv.head.contains("text/csv") && csv.head.contains("x-tickhouse-coverage: complete"),
        "{}",
        csv.head
    );
    let lines: Vec<&str> = csv.text().lines().collect();
    assert_eq!(
        lines[1],
        "1723118400000,61800.1,61900,61700,61837.6,12.345,142,763395.1234567890123,6,revised,0,false,true,\
         1723118460000,trades"
    );
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    let heads = ["Accept: application/vnd.apache.arrow.stream;q=0.9, */*"];
    let arrow = world.request("GET", "/api/v1/data/klines/BTCUSDT?timeframe=173", &heads, &[]).await;
    let batch = StreamReader::try_new(&arrow.body[..], None).unwrap().next().unwrap().unwrap();
    assert_eq!(column(&batch, "close"), ["61837.6"]);
    assert_eq!(batch.schema().field(0).data_type().to_string(), "Timestamp(ms, \"UTC\")");
}

#[tokio::test]
async fn quotes_books_and_instruments() {
    let world = World::new().await;
    let body = world.get("/api/v1/data/quotes/BTCUSDT").await.json();
    assert_eq!(
        body["data"],
        json!([{
            "bid_price": 61837.5, "bid_quantity": 1.5, "ask_price": 61837.6, "ask_quantity": 0.25,
            "timestamp": 1_723_118_400_000_i64, "sequence": 7, "received_time": 1_723_118_400_001_i64
        }])
    );
    let stored = Rows::Quotes(vec![quote(1), quote(2)]).to_batch();
    world.fakes.others.lock().unwrap().push((TableName::Quotes, stored));
    let body = world.get("/api/v1/data/quotes/BTCUSDT?start_time=1723118400000").await.json();
    assert_eq!((&body["data"][1]["sequence"], &body["data"][1]["bid_price"]), (&json!(2), &json!(61837.5)));
    *world.fakes.book.lock().unwrap() = Some(book_view(42));
    let body = world.get("/api/v1/data/books/BTCUSDT?depth=1").await.json();
    assert_eq!(
        body["data"],
        json!({
            "bids": [[61837.5, 1.5]], "asks": [[61837.6, 0.25]], "sequence": 42,
            "timestamp": 1_723_118_400_000_i64, "is_stale": false
        })
    );
    assert_eq!(body["coverage"]["quality"], "complete");
    let body = world.get("/api/v1/data/instruments?venue=binance-futures").await.json();
    assert_eq!(body["message"], "Retrieved 2 instruments");
    assert_eq!(body["data"][0]["kind"], "perpetual");
    assert_eq!(body["data"][0]["tick_size"], 0.1);
    let body = world.get("/latest?symbol=BTCUSDT").await.json();
    assert_eq!((&body["trade"]["aggregate_id"], &body["quote"]["sequence"]), (&json!(9), &json!(7)));
}

#[tokio::test]
async fn slower_series() {
    let world = World::new().await;
    let funding = Funding {
        instrument: btc(),
        time: NOON,
        rate: decimal("0.0001"),
        interval_hours: Some(8),
        mark_price: None,
        received_time: NOON,
        source: Source::Rest,
    };
    let interest = OpenInterest {
        instrument: btc(),
        time: NOON,
        quantity: decimal("81234.567"),
        value: None,
        received_time: NOON,
    };
    let mark = MarkPrice {
        instrument: btc(),
        time: NOON,
        mark_price: decimal("61837.61"),
        index_price: Some(decimal("61840.1")),
        funding_rate: Some(decimal("0.000012")),
        next_funding_time: Some(NOON),
        interval_hours: None,
        received_time: NOON,
    };
    world.fakes.others.lock().unwrap().extend([
        (TableName::Funding, Rows::Funding(vec![funding]).to_batch()),
        (TableName::OpenInterest, Rows::OpenInterest(vec![interest]).to_batch()),
        (TableName::MarkPrices, Rows::MarkPrices(vec![mark]).to_batch()),
    ]);
    let body = world.get("/api/v1/data/funding/BTCUSDT").await.json();
    assert_eq!((&body["data"][0]["rate"], &body["data"][0]["interval_hours"]), (&json!(0.0001), &json!(8)));
    let body = world.get("/api/v1/data/open_interest/BTCUSDT").await.json();
    assert_eq!((&body["data"][0]["quantity"], &body["data"][0]["value"]), (&json!(81234.567), &json!(null)));
    let answer = world.get("/api/v1/data/mark_prices/BTCUSDT").await;
    assert!(answer.text().contains(r#""funding_rate":0.000012"#), "{}", answer.text());
    assert!(answer.json()["coverage"]["quality"].is_string());
}

#[tokio::test]
async fn coverage_names_its_holes() {
    let world = World::new().await;
    {
        let mut coverage = world.fakes.coverage.lock().unwrap();
        coverage.quality = DataQuality::Partial;
        coverage.gaps.push(Gap {
            instrument: btc(),
            channel: Channel::Trades,
            first_id: Some(10),
            last_id: Some(12),
            first_time: NOON,
            last_time: NOON.plus_micros(1_000_000),
            state: GapState::Missing,
            cause: GapCause::BeyondHistory,
            source: None,
            found_time: NOON,
            closed_time: None,
        });
    }
    let body = world.get("/api/v1/coverage/BTCUSDT?start_time=2024-08-08&end_time=2024-08-09").await.json();
    assert_eq!(
        body["data"]["gaps"],
        json!([{
            "channel": "trades", "first_id": 10, "last_id": 12, "first_time": 1_723_118_400_000_i64,
            "last_time": 1_723_118_401_000_i64, "state": "missing", "cause": "beyond_history"
        }])
    );
    assert_eq!(body["data"]["quality"], "partial");
    let (noon, end) = (1_723_118_400_000_i64, 1_723_161_600_000_i64);
    assert_eq!(
        body["data"]["intervals"],
        json!([
            {"start_time": end - 86_400_000, "end_time": noon, "state": "backfilled", "source": "archive", "cause": null, "first_id": null, "last_id": null},
            {"start_time": noon, "end_time": end + 1, "state": "missing", "source": null, "cause": "not_at_venue", "first_id": 5, "last_id": 9}
        ])
    );
    assert_eq!(
        body["data"]["days"],
        json!([{"day": "2024-08-08", "condition": "degraded", "missing": 5, "duplicates": 2}])
    );
    assert_eq!((&body["data"]["missing"], &body["data"]["duplicates"]), (&json!(5), &json!(2)));
}

#[tokio::test]
async fn quotes_come_from_the_tables_while_none_is_in_memory() {
    let world = World::new().await;
    let body = world.get("/api/v1/data/quotes/ETHUSDT").await.json();
    assert_eq!(body["data"], json!([]));
    assert_eq!(body["coverage"]["start_time"], 0, "everything was searched: {body}");
    let stored = Rows::Quotes(vec![quote(3)]).to_batch();
    world.fakes.others.lock().unwrap().push((TableName::Quotes, stored));
    let body = world.get("/api/v1/data/quotes/ETHUSDT").await.json();
    assert_eq!(body["data"][0]["sequence"], 3);
}

#[tokio::test]
async fn a_series_speaks_only_for_the_range_its_rows_reach() {
    let world = World::new().await;
    let stored = Rows::Quotes(vec![quote(1), quote(2)]).to_batch();
    world.fakes.others.lock().unwrap().push((TableName::Quotes, stored));
    let body = world.get("/api/v1/data/quotes/BTCUSDT?start_time=1723118399000&limit=2").await.json();
    assert_eq!(
        (&body["coverage"]["start_time"], &body["coverage"]["end_time"]),
        (&json!(1_723_118_399_000_i64), &json!(1_723_118_400_001_i64)),
        "the limit cut it there"
    );
}

#[tokio::test]
async fn the_state_of_the_house_is_told() {
    let world = World::new().await;
    for path in ["/health", "/api/v1/monitoring/health"] {
        let body = world.get(path).await.json();
        assert_eq!((&body["status"], &body["reasons"]), (&json!("healthy"), &json!([])), "{body}");
        assert_eq!(body["uptime_seconds"], 86_400);
        assert_eq!(body["active_tickers"], 1);
        assert_eq!(body["trades_processed_total"], 12);
        assert_eq!(body["clickhouse_status"], "not_used");
        assert_eq!(body["websocket_connections"], 0);
        assert_eq!(body["disk_free_percent"], 45.2);
        assert_eq!(body["lake"]["committed"], 10);
    }
    let body = world.get("/api/v1/monitoring/system-stats").await.json();
    assert_eq!(
        (&body["data"]["cpu_percent_mean"], &body["data"]["memory_bytes"]),
        (&json!(1.0), &json!(1 << 20))
    );
    let body = world.get("/api/v1/admin/tickers/status").await.json();
    assert_eq!(
        (&body["data"][0]["symbol"], &body["data"][0]["status"]),
        (&json!("BTCUSDT"), &json!("streaming"))
    );
    let body = world.get("/api/v1/status").await.json();
    assert_eq!((&body["log"]["state"], &body["is_simulated"]), (&json!("ok"), &json!(true)));
    let body = world.get("/bus-stats").await.json();
    assert_eq!((&body["fill_percent"], &body["backpressure"]), (&json!(25.0), &json!(false)));
    assert_eq!(world.get("/metrics").await.text(), "tickhouse_up 1\n");
}

#[tokio::test]
async fn a_full_disk_makes_the_house_unhealthy() {
    let world = World::new().await;
    world.fakes.status.lock().unwrap().log.state = "disk_full: no space left".into();
    for path in ["/health", "/api/v1/monitoring/health"] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 503, "supervisors read the status line only: {answer:?}");
        let body = answer.json();
        assert_eq!(body["status"], "unhealthy");
        assert_eq!(body["reasons"], json!(["nothing can be recorded: raw log disk_full: no space left"]));
        assert_eq!(body["trades_processed_total"], 12, "the body stays whole");
    }
}

#[tokio::test]
async fn a_degraded_house_says_why_and_stays_in_service() {
    let world = World::new().await;
    {
        let mut status = world.fakes.status.lock().unwrap();
        status.rows_buffered = (200, 200);
        (status.disk_state, status.disk_days_left) = ("low", Some(2.04));
        (status.disk_free_bytes, status.disk_free_percent) = (9 << 29, 1.8);
        status.commit_trouble = Some("commit tables: no space".into());
        status.venues[0].rest.banned_until = Some(status.now.plus_micros(1_000_000));
        for (at, stream) in status.venues[1].streams.iter_mut().enumerate() {
            stream.health = if at == 0 { StreamHealth::Down } else { StreamHealth::Mute };
        }
    }
    let answer = world.get("/health").await;
    let body = answer.json();
    assert_eq!((answer.status, &body["status"]), (200, &json!("degraded")));
    assert_eq!(body["streams_in_trouble"], 7);
    assert_eq!(
        body["reasons"],
        json!([
            "the disk runs full: 4.5 GiB free, 1.8 %, enough for 2.0 days at the pace of the last day",
            "rows cannot be committed and wait in the raw log: commit tables: no space",
            "200 rows wait for a commit, the rest waits in the raw log",
            "binance-futures: REST stands still until 2024-08-09T12:00:01.000000Z",
            "bybit-linear: stream-0 is down, stream-1 is mute, stream-2 is mute, stream-3 is mute, stream-4 is mute \
             and 2 more",
        ])
    );
}

#[tokio::test]
async fn damaged_data_is_a_clear_refusal() {
    let world = World::new().await;
    world.fakes.is_disk_broken.store(true, Ordering::Relaxed);
    for path in ["/api/v1/data/trades/BTCUSDT", "/api/v1/data/klines/BTCUSDT", "/api/v1/data/funding/BTCUSDT"]
    {
        let answer = world.get(path).await;
        assert_eq!(answer.refusal(), (424, "data_unreadable".to_owned()), "{path}");
        assert!(answer.text().contains("part-7.parquet"), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_stands() {
    let world = World::new().await;
    assert_eq!(world.get("/api/v1/data/trades/PANIC").await.refusal(), (500, "internal".to_owned()));
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let world = World::new().await;
    let foreign = world.request("GET", "/health", &["Host: evil.example:8080"], &[]).await;
    assert_eq!(foreign.refusal(), (403, "foreign_host".to_owned()));
    let heads = ["Content-Type: text/plain", "Origin: https://evil.example"];
    let foreign = world.request("POST", "/api/v1/sql", &heads, b"SELECT 1").await;
    assert_eq!(foreign.refusal(), (403, "foreign_origin".to_owned()));
    let heads = ["Origin: null", "Upgrade: websocket", "Connection: upgrade"];
    assert_eq!(
        world.request("GET", "/ws/stream", &heads, &[]).await.refusal(),
        (403, "foreign_origin".to_owned())
    );
    let heads = ["Content-Type: text/plain", "Origin: http://127.0.0.1:5173"];
    assert_eq!(world.request("POST", "/api/v1/sql", &heads, b"SELECT 1").await.status, 200);
}

#[tokio::test]
async fn a_busy_port_is_named_with_the_remedy() {
    let world = World::new().await;
    let error = serve::Port::open(world.server.address).await.unwrap_err().to_string();
    let port = world.server.address.port();
    assert!(
        error.contains(&format!("port {port} on 127.0.0.1 is busy")) && error.contains("--port"),
        "{error}"
    );
}

#[tokio::test]
async fn switched_off_interfaces_do_not_answer() {
    let world = World::with(|settings| {
        settings.enable_rest = false;
        settings.enable_websocket = false;
    })
    .await;
    assert_eq!(world.get("/api/v1/data/trades/BTCUSDT").await.refusal().0, 404);
    assert_eq!(world.get("/ws/stream").await.refusal().0, 404);
    assert_eq!(world.get("/api/v1/monitoring/health").await.status, 200, "health is always told");
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody() {
    let world = World::new().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut socket = tokio::net::TcpStream::connect(world.server.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut socket, garbage).await.unwrap();
    }
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    let world = World::new().await;
    for path in ["/", "/docs", "/page/live.js", "/page/live.css", "/docs/docs.js"] {
        let page = world.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.head.contains("content-security-policy: default-src 'self'"), "{path}: {}", page.head);
        assert!(page.body.len() > 100, "{path} is empty");
    }
}

#[tokio::test]
async fn strangers_are_told_that_they_may_not_connect() {
    let world = World::with(|settings| settings.allowed = vec!["10.0.0.0/8".parse().unwrap()]).await;
    for path in ["/health", "/api/v1/data/trades/BTCUSDT", "/ws/stream"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (403, &json!("address_not_allowed")),
            "{path}"
        );
    }
    let world = World::with(|settings| settings.allowed = vec!["127.0.0.0/8".parse().unwrap()]).await;
    assert_eq!(world.get("/health").await.status, 200);
}
