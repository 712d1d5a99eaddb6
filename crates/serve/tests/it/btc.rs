//! What readers ask of the chain system.

use arrow_ipc::reader::StreamReader;
use model::{Decimal, Ohlcv, PriceMethod, PriceSource, VenuePrice};
use serde_json::{Value, json};
use tables::Rows;

use crate::chain_world::{ChainWorld, at, block, bucket, price, value};
use crate::world::{NOON, World, column};

/// Fourteen buckets, the seventh of them empty, with prices but for the last two.
async fn followed() -> ChainWorld {
    let chain = ChainWorld::new().await;
    let buckets = (0..14).map(|place| bucket(place, if place == 6 { 0 } else { 100 + place }));
    chain.lay(&Rows::BtcBuckets(buckets.collect()));
    let mut prices = Vec::new();
    for method in [PriceMethod::Median, PriceMethod::VolumeWeighted] {
        let base = if method == PriceMethod::Median { 60_000.5 } else { 50_000.5 };
        let close = |place: i64| (place < 12).then_some(base + place as f64);
        prices.extend((0..13).map(|place| price(method, place, close(place))));
    }
    chain.lay(&Rows::ComposedPrices(prices));
    chain.set_health(at(13));
    chain
}

fn ids(body: &Value, key: &str) -> Vec<i64> {
    body["data"].as_array().unwrap().iter().map(|row| row[key].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn primitives_stand_beside_the_canonical_price() {
    let chain = followed().await;
    let body = chain.world.get("/api/v1/btc/primitive?interval=10m").await.json();
    let rows = body["data"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &body["message"], &body["next"]),
        (14, &json!("Retrieved 14 rows"), &Value::Null)
    );
    assert_eq!(rows[1]["bucket"], at(1).millis());
    assert_eq!((&rows[1]["tx_count_10m"], &rows[1]["price_close_usd"]), (&json!(102), &json!(60_001.5)));
    assert_eq!((&rows[1]["price_source_count"], &rows[1]["supply_total_sat"]), (&json!(2), &Value::Null));
    // A flow of an empty bucket is zero, a mean of it is not defined.
    assert_eq!((&rows[6]["tx_count_10m"], &rows[6]["avg_fee_sat_10m"]), (&json!(0), &Value::Null));
    // Neither a row without a price nor an absent row is a price of zero.
    for place in [12, 13] {
        assert_eq!(
            (&rows[place]["price_close_usd"], &rows[place]["price_source_count"]),
            (&Value::Null, &json!(0))
        );
    }
    chain.control.choose_canonical_method(1).unwrap();
    let body = chain
        .world
        .get("/api/v1/btc/primitive?fields=price_close_usd&limit=1&start=2024-08-08T12:00:00Z")
        .await
        .json();
    assert_eq!(body["data"], json!([{"bucket": NOON.millis(), "price_close_usd": 50_000.5}]));
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let chain = followed().await;
    let places = |places: &[i64]| places.iter().map(|place| at(*place).millis()).collect::<Vec<_>>();
    for (query, expect, next) in [
        ("limit=2", places(&[12, 13]), Some(format!("end={}", at(12).millis() - 1))),
        ("limit=2&order=desc", places(&[13, 12]), Some(format!("end={}", at(12).millis() - 1))),
        ("limit=2&start=2024-08-08T12:10:00Z", places(&[1, 2]), Some(format!("start={}", at(3).millis()))),
        ("limit=2&start_time=2024-08-08T14:00:00Z", places(&[12, 13]), None),
        ("start=2024-08-08T12:00:00Z&end=2024-08-08T12:20:00Z", places(&[0, 1, 2]), None),
        ("start=2024-08-08T12:00:00Z&end=2024-08-08T12:20:00Z&order=desc", places(&[2, 1, 0]), None),
        ("end=2024-08-08T12:05:00Z", places(&[0]), None),
        ("start=2030-01-01", vec![], None),
        // Hours begin at the full hour, and the running one goes as far as its parts.
        ("interval=1h", places(&[0, 6, 12]), None),
        ("interval=1h&limit=1", places(&[12]), Some(format!("end={}", at(12).millis() - 1))),
        ("interval=1h&start=2024-08-08T12:10:00Z", places(&[6, 12]), None),
        (
            "interval=1h&start=2024-08-08T12:00:00Z&limit=2",
            places(&[0, 6]),
            Some(format!("start={}", at(12).millis())),
        ),
    ] {
        let body = chain.world.get(&format!("/api/v1/btc/primitive?{query}")).await.json();
        assert_eq!((ids(&body, "bucket"), body["next"].as_str()), (expect, next.as_deref()), "{query}");
    }
}

#[tokio::test]
async fn hours_sum_their_parts_and_have_their_own_names() {
    let chain = followed().await;
    let path =
        "/api/v1/btc/primitive?interval=1h&fields=tx_count_10m,block_count,price_open_usd,price_close_usd";
    let body = chain.world.get(path).await.json();
    assert_eq!(
        body["data"][1],
        json!({"bucket": at(6).millis(), "tx_count_1h": 107 + 108 + 109 + 110 + 111 + 5, "block_count": 5,
            "price_open_usd": 60_005.5, "price_close_usd": 60_011.5})
    );
}

#[tokio::test]
async fn csv_and_arrow_tell_the_same() {
    let chain = followed().await;
    let path = "/api/v1/btc/primitive?limit=2&fields=tx_count_10m,fees_sat_10m,median_fee_sat_10m,price_close_usd,chainwork_last";
    let csv = chain.world.get(&format!("{path}&start=2024-08-08T13:50:00Z&format=csv")).await;
    assert!(csv.head.contains("text/csv"), "{}", csv.head);
    assert!(csv.head.contains(&format!("x-tickhouse-next: start={}", at(13).millis())), "{}", csv.head);
    let work = "0".repeat(64);
    let lines = [
        "bucket,tx_count_10m,fees_sat_10m,median_fee_sat_10m,price_close_usd,chainwork_last".to_owned(),
        format!("{},112,1110,10.5,60011.5,{work}", at(11).millis()),
        format!("{},113,1120,10.5,,{work}", at(12).millis()),
    ];
    assert_eq!(csv.text(), lines.join("\n") + "\n");
    let heads = ["Accept: application/vnd.apache.arrow.stream"];
    let arrow = chain.world.request("GET", path, &heads, &[]).await;
    let batches: Vec<_> = StreamReader::try_new(&arrow.body[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(column(&batches[0], "tx_count_10m"), ["113", "114"]);
    assert_eq!(column(&batches[0], "price_close_usd"), ["", ""]);
}

#[tokio::test]
async fn blocks_are_paged_by_height() {
    let chain = followed().await;
    let csv = chain
        .world
        .get("/api/v1/btc/primitive?interval=block&format=csv&fields=fees_sat&from_height=5")
        .await;
    assert_eq!(csv.text(), "height,fees_sat\n");
    // Headers of neighbours lie back and forth, so that time could not page them.
    chain.lay(&Rows::BtcPrimitiveBlock(
        (0..6).map(|height| block(height, if height % 2 == 0 { 900 } else { 0 })).collect(),
    ));
    for (query, expect, next) in [
        ("", vec![0, 1, 2, 3, 4, 5], None),
        ("limit=2", vec![4, 5], Some("to_height=3")),
        ("limit=2&order=desc", vec![5, 4], Some("to_height=3")),
        ("limit=2&to_height=3", vec![2, 3], Some("to_height=1")),
        ("limit=2&to_height=1&order=desc", vec![1, 0], None),
        ("limit=2&from_height=1&to_height=2", vec![1, 2], None),
        ("limit=2&from_height=1&to_height=3&order=desc", vec![3, 2], Some("to_height=1")),
        ("limit=2&from_height=1", vec![1, 2], Some("from_height=3")),
        ("limit=2&from_height=4", vec![4, 5], None),
        ("start=2024-08-08T12:20:00Z", vec![2, 4, 5], None),
    ] {
        let body = chain.world.get(&format!("/api/v1/btc/primitive?interval=block&{query}")).await.json();
        assert_eq!((ids(&body, "height"), body["next"].as_str()), (expect, next), "{query}");
        assert!(body["data"][0].get("fees_by_tx_sat").is_none(), "long lists are given when they are named");
    }
    let path =
        "/api/v1/btc/primitive?interval=block&fields=fees_by_tx_sat,spent_heights&from_height=2&limit=1";
    let body = chain.world.get(path).await.json();
    assert_eq!(body["data"], json!([{"height": 2, "fees_by_tx_sat": [7, 9], "spent_heights": null}]));
    let csv = chain.world.get(&format!("{path}&format=csv")).await;
    assert_eq!(csv.text(), "height,fees_by_tx_sat,spent_heights\n2,7 9,\n");
}

#[tokio::test]
async fn the_canonical_price_names_venues_and_reasons() {
    let chain = followed().await;
    let body = chain
        .world
        .get("/api/v1/btc/price/canonical?interval=10m&limit=2&start=2024-08-08T13:50:00Z")
        .await
        .json();
    assert_eq!(
        body["data"],
        json!([
            {"method": "median", "bucket": at(11).millis(), "open": 60_010.5, "high": 60_013.5, "low": 60_009.5,
             "close": 60_011.5, "volume": 1.25, "source_count": 2, "venues_used": ["bitstamp", "coinbase"],
             "venues_rejected": [{"source": "okx", "reason": "close 2.1 % off, over 1 %"}], "basis_usdt_bp": 3.5},
            {"method": "median", "bucket": at(12).millis(), "open": null, "high": null, "low": null, "close": null,
             "volume": null, "source_count": 0, "venues_used": [], "venues_rejected": [], "basis_usdt_bp": null}
        ])
    );
    for (query, expect) in
        [("method=1&limit=1&start=2024-08-08T12:00:00Z", 50_000.5), ("method=2&interval=24h", 60_011.5)]
    {
        let body = chain.world.get(&format!("/api/v1/btc/price/canonical?{query}")).await.json();
        assert_eq!(body["data"][0]["close"], expect, "{query}");
    }
}

#[tokio::test]
async fn rows_of_a_venue_are_given_as_it_says() {
    let chain = followed().await;
    let decimal = |text: &str| text.parse::<Decimal>().unwrap();
    let row = |place: i64| VenuePrice {
        source: PriceSource::known("binance").unwrap(),
        bucket: at(place),
        price: Ohlcv {
            open: decimal("61837.63"),
            high: decimal("61840"),
            low: decimal("61830"),
            close: decimal("61839.1"),
            volume: decimal("12.5"),
        },
        quality_status: "complete".to_owned(),
        data_source_mode: "stream".to_owned(),
        child_minutes: 1,
        child_count: 10,
        child_count_expected: 10,
        first_received_time: NOON,
        received_time: at(place + 1),
    };
    // Rows exist where the venue said something, and nowhere else.
    chain.lay(&Rows::VenuePrices(vec![row(0), row(5)]));
    let body = chain.world.get("/api/v1/btc/price/sources/binance").await.json();
    assert_eq!(ids(&body, "bucket"), [at(0).millis(), at(5).millis()]);
    assert_eq!((&body["data"][0]["open"], &body["data"][0]["quote"]), (&json!(61_837.63), &json!("USDT")));
    let body = chain.world.get("/api/v1/btc/price/sources/okx").await.json();
    assert_eq!(body["data"], json!([]));
}

#[tokio::test]
async fn metrics_are_asked_for_by_name_alias_and_interval() {
    let chain = followed().await;
    let tens = (0..14).map(|place| value(10, place, (place < 12).then_some(place as f64)));
    let hours = [0, 6, 12].map(|place| value(60, place, Some(1_000.5)));
    chain.lay(&Rows::Metrics(tens.chain(hours).collect()));
    for name in ["nvt", "nvt_raw"] {
        let body = chain.world.get(&format!("/api/v1/btc/metrics/{name}?interval=10m&limit=3")).await.json();
        assert_eq!(
            body["data"],
            json!([
                {"bucket": at(11).millis(), "value": 11, "reason": null},
                {"bucket": at(12).millis(), "value": null, "reason": "price_missing"},
                {"bucket": at(13).millis(), "value": null, "reason": "price_missing"}
            ])
        );
        assert_eq!(body["next"], format!("end={}", at(11).millis() - 1));
    }
    for (query, expect) in [
        ("interval=1h", vec![0, 6, 12]),
        ("interval=1h&start=2024-08-08T12:10:00Z&limit=1", vec![6]),
        ("start=2024-08-08T12:10:00Z&limit=2", vec![1, 2]),
        ("end=2024-08-08T12:10:00Z&order=desc", vec![1, 0]),
        // Long before the first value, and behind the last.
        ("start=0&limit=2", vec![0, 1]),
        ("start=2024-01-01&end=2026-01-01&limit=3", vec![0, 1, 2]),
        ("interval=1h&start=2024-08-01&limit=2", vec![0, 6]),
        ("start=2025-01-01", vec![]),
    ] {
        let body = chain.world.get(&format!("/api/v1/btc/metrics/nvt?{query}")).await.json();
        let expect: Vec<i64> = expect.into_iter().map(|place| at(place).millis()).collect();
        assert_eq!(ids(&body, "bucket"), expect, "{query}");
    }
    let body = chain.world.get("/api/v1/btc/metrics").await.json();
    assert_eq!(body["data"][1]["aliases"], json!(["nvt_raw"]));
    assert_eq!(body["data"][1]["intervals"][1], json!({"interval": "1h", "is_enabled": true}));
}

#[tokio::test]
async fn health_tells_heights_lags_errors_and_stale_workers() {
    let chain = followed().await;
    chain.checkpoint("worker_btc_primitive", "heartbeat", NOON);
    let key = chain.checkpoint("btc_raw_block_ingestion", "block", NOON).key;
    chain.control.checkpoint_failed(&key, "node gone", NOON).unwrap();
    let body = chain.world.get("/api/v1/btc/health").await.json();
    assert_eq!(
        (&body["status"], &body["node_tip_height"], &body["lag_blocks"]),
        (&json!("degraded"), &json!(335), &json!(1))
    );
    assert_eq!((&body["last_raw_height"], &body["last_primitive_height"]), (&json!(334), &json!(334)));
    assert_eq!(body["last_primitive_bucket_time"], at(13).millis());
    assert_eq!(body["checkpoint_errors"][0]["error_message"], "node gone");
    assert_eq!(body["stale_workers"], json!(["worker_btc_primitive"]));
    assert_eq!(body["stages"][0]["depth"], 1);
    let whole = chain.world.get("/health").await;
    assert_eq!((whole.status, &whole.json()["status"]), (200, &json!("degraded")));
    assert_eq!(whole.json()["btc"]["last_raw_height"], 334);
    let body = chain.world.get("/api/v1/btc/checkpoints").await.json();
    assert_eq!(body["message"], "2 checkpoints, 1 with an error");
    assert_eq!((&body["data"][0]["height"], &body["data"][0]["status"]), (&json!(334), &json!("error")));
    let without = World::new().await.get("/health").await.json();
    assert!(without.get("btc").is_none(), "{without}");
}

#[tokio::test]
async fn bad_questions_are_refused_with_a_remedy() {
    let chain = followed().await;
    for (path, status, code) in [
        ("/primitive?interval=5m", 400, "bad_interval"),
        ("/primitive?limit=105409", 400, "bad_limit"),
        ("/primitive?interval=1h&limit=17569", 400, "limit_over_interval"),
        ("/primitive?order=up", 400, "bad_order"),
        ("/primitive?fields=tx_cout", 400, "unknown_field"),
        ("/primitive?interval=block&fields=tx_cout", 400, "unknown_field"),
        ("/primitive?from_height=3", 400, "bad_parameter"),
        ("/primitive?interval=1h&to_height=3", 400, "bad_parameter"),
        ("/primitive?interval=block&from_height=3&to_height=2", 400, "reversed_range"),
        ("/primitive?interval=block&from_height=-3", 400, "bad_id"),
        ("/primitive?start=soon", 400, "bad_time"),
        ("/primitive?start=2024-01-02&end=2024-01-01", 400, "reversed_range"),
        ("/primitive?start=2024-01-02&start_time=2024-01-02", 400, "bad_parameter"),
        ("/primitive?format=xml", 400, "bad_format"),
        ("/metrics/nvvt", 404, "unknown_metric"),
        ("/metrics/nvt?interval=24h", 400, "bad_interval"),
        ("/metrics/market_cap?interval=1h", 409, "metric_disabled"),
        ("/price/canonical?method=3", 400, "unknown_method"),
        ("/price/sources/kraken", 404, "unknown_source"),
        ("/price/sources/okx?interval=1h", 400, "bad_interval"),
    ] {
        let answer = chain.world.get(&format!("/api/v1/btc{path}")).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{path}");
    }
    let body = chain.world.get("/api/v1/btc/metrics/nvvt").await.json();
    assert_eq!(body["error"]["remedy"], "choose market_cap, nvt");
    let without = World::new().await;
    for path in
        ["health", "primitive", "metrics", "metrics/nvt", "price/canonical", "registry/prices", "checkpoints"]
    {
        let answer = without.get(&format!("/api/v1/btc/{path}")).await;
        assert_eq!(answer.refusal(), (404, "chain_not_followed".to_owned()), "{path}");
    }
}
