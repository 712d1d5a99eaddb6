//! What is changed in the chain system over HTTP: registries by the operator, prices by those who may post them.

use model::{PriceSource, Time};
use serde_json::{Value, json};
use tables::RegistryChange;

use crate::chain_world::ChainWorld;
use crate::world::{Answer, NOON};

const TOKEN: &str = "Authorization: Bearer secret-of-ours";

async fn post(chain: &ChainWorld, path: &str, heads: &[&str], body: &str) -> Answer {
    chain.world.request("POST", path, heads, body.as_bytes()).await
}

#[tokio::test]
async fn metrics_are_switched_and_the_house_is_told() {
    let chain = ChainWorld::new().await;
    let answer = post(&chain, "/api/v1/btc/registry/metrics/nvt_raw/disable?interval=1h", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let switches = |body: &Value| -> Vec<bool> {
        body["data"].as_array().unwrap().iter().map(|row| row["is_enabled"].as_bool().unwrap()).collect()
    };
    assert_eq!(switches(&answer.json()), [true, false]);
    assert_eq!(chain.world.get("/api/v1/btc/metrics/nvt?interval=1h").await.refusal().1, "metric_disabled");
    let answer = post(&chain, "/api/v1/btc/registry/metrics/nvt/enable", &[], "").await;
    assert_eq!(switches(&answer.json()), [true, true]);
    assert_eq!(
        *chain.desk.changes.lock().unwrap(),
        [RegistryChange::Metric("nvt".into()), RegistryChange::Metric("nvt".into())]
    );
    let body = chain.world.get("/api/v1/btc/registry/metrics").await.json();
    assert_eq!(body["data"][0]["dependencies"], json!(["price", "primitives"]));
}

#[tokio::test]
async fn price_sources_are_switched_and_configured() {
    let chain = ChainWorld::new().await;
    let answer = post(&chain, "/api/v1/btc/registry/prices/okx/disable", &[], "").await;
    assert_eq!(answer.json()["data"]["is_enabled"], false, "{answer:?}");
    let config =
        r#"{"mode":"local","api_base":"https://www.okx.com","historical_start_utc":"2018-01-01T00:00:00Z"}"#;
    let path = "/api/v1/btc/registry/prices/okx/config";
    let answer = chain.world.request("PUT", path, &[], config.as_bytes()).await;
    assert_eq!(answer.json()["data"]["config"]["mode"], "local", "{answer:?}");
    let changes = [
        RegistryChange::PriceSource(PriceSource::known("okx").unwrap()),
        RegistryChange::PriceSource(PriceSource::known("okx").unwrap()),
    ];
    assert_eq!(*chain.desk.changes.lock().unwrap(), changes);
    for (body, part) in [
        (r#"{"modus":"local"}"#, "`modus`"),
        (r#"{"endpoint":"x"}"#, "endpoint"),
        ("[]", "object"),
        ("", "object"),
    ] {
        let answer = chain.world.request("PUT", path, &[], body.as_bytes()).await;
        assert_eq!(answer.refusal(), (400, "bad_config".to_owned()), "{body}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    let kept = chain.world.get("/api/v1/btc/registry/prices").await.json();
    assert_eq!(
        kept["data"][1]["config"]["api_base"], "https://www.okx.com",
        "a refused change changes nothing"
    );
}

#[tokio::test]
async fn another_method_becomes_canonical() {
    let chain = ChainWorld::new().await;
    let path = "/api/v1/btc/registry/canonical";
    assert_eq!(chain.world.get(path).await.json()["data"], json!({"method": 2}));
    let answer = chain.world.request("PUT", path, &[], br#"{"method":1}"#).await;
    assert_eq!(answer.json()["data"], json!({"method": 1}), "{answer:?}");
    assert_eq!(chain.control.canonical_method().unwrap(), Some(1));
    assert_eq!(*chain.desk.changes.lock().unwrap(), [RegistryChange::CanonicalMethod]);
    for (body, code) in
        [(r#"{"method":3}"#, "unknown_method"), (r#"{"methode":1}"#, "bad_json"), ("2", "bad_json")]
    {
        assert_eq!(
            chain.world.request("PUT", path, &[], body.as_bytes()).await.refusal(),
            (400, code.to_owned()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn changes_for_somebody_else_are_refused() {
    let chain = ChainWorld::new().await;
    for head in ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"] {
        let answer = post(&chain, "/api/v1/btc/registry/prices/okx/disable", &[head], "").await;
        assert_eq!(answer.refusal(), (403, "not_local".to_owned()), "{head}");
    }
    let answer =
        post(&chain, "/api/v1/btc/registry/prices/okx/disable", &["Origin: https://example.com"], "").await;
    assert_eq!(answer.refusal(), (403, "foreign_origin".to_owned()));
    assert!(chain.control.price_sources().unwrap().iter().all(|row| row.is_enabled));
}

fn row(bucket: &str) -> Value {
    json!({
        "source": "binance", "bucket_start_utc": bucket, "open": "61837.63000000", "high": "61840", "low": "61830.5",
        "close": "61839.1", "volume": "12.50000001", "quality_status": "complete", "data_source_mode": "stream",
        "child_interval": "1m", "child_count": 10, "child_count_expected": 10,
        "first_received_utc": "2024-08-08T12:01:00.5Z", "received_utc": "2024-08-08T12:10:00.25Z"
    })
}

const PATH: &str = "/api/v1/internal/price/source/binance/10m";

async fn with_token() -> ChainWorld {
    let chain = ChainWorld::new().await;
    chain.control.keep_token("price_ingest", "secret-of-ours", NOON).unwrap();
    chain
}

#[tokio::test]
async fn posted_rows_are_taken_whole_and_exact() {
    let chain = with_token().await;
    let answer = post(&chain, PATH, &[TOKEN], &row("2024-08-08T12:00:00Z").to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json()["data"],
        json!({"source": "binance", "accepted": 1, "duplicates": 0, "first_bucket": NOON.millis(), "last_bucket": NOON.millis()})
    );
    let taken = chain.desk.taken.lock().unwrap().pop().unwrap();
    assert_eq!((taken.bucket, taken.child_minutes, taken.child_count), (NOON, 1, 10));
    assert_eq!(taken.price.volume.to_string(), "12.50000001");
    assert_eq!(taken.received_time, Time::parse("2024-08-08T12:10:00.25Z").unwrap());
    // A list, in which one bucket stands twice and another has only what must be there.
    let short = json!({"bucket_start_utc": "2024-08-08T12:20:00Z", "open": 1.10, "high": 2, "low": 1, "close": 1, "volume": 0});
    let twice = row("2024-08-08T12:10:00Z");
    let body = json!([twice, short, twice]).to_string();
    let answer = post(&chain, PATH, &["authorization: bearer secret-of-ours"], &body).await;
    assert_eq!(
        (&answer.json()["data"]["accepted"], &answer.json()["data"]["duplicates"]),
        (&json!(2), &json!(1))
    );
    let taken = chain.desk.taken.lock().unwrap().pop().unwrap();
    assert_eq!((taken.data_source_mode.as_str(), taken.quality_status.as_str()), ("remote", "unknown"));
    assert_eq!(
        (taken.child_count, taken.child_count_expected),
        (0, 10),
        "nothing is claimed that nobody said"
    );
    assert_eq!(post(&chain, PATH, &[TOKEN], "[]").await.json()["data"]["accepted"], 0);
}

#[tokio::test]
async fn only_who_shows_the_token_may_post() {
    let chain = with_token().await;
    let body = row("2024-08-08T12:00:00Z").to_string();
    for (head, status, code) in [
        ("X-Nothing: 1", 401, "token_missing"),
        ("Authorization: Basic c2VjcmV0", 401, "token_missing"),
        ("Authorization: Bearer ", 401, "token_missing"),
        ("Authorization: Bearer secret-of-our", 403, "bad_token"),
        ("Authorization: Bearer secret-of-ours2", 403, "bad_token"),
    ] {
        let answer = post(&chain, PATH, &[head], &body).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{head}");
        assert_eq!(answer.head.contains("www-authenticate: Bearer"), status == 401, "{}", answer.head);
    }
    let without = ChainWorld::new().await;
    assert_eq!(post(&without, PATH, &[TOKEN], &body).await.refusal(), (403, "no_token_set".to_owned()));
    assert!(chain.desk.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_row_is_refused_by_its_field_and_takes_the_others_with_it() {
    let chain = with_token().await;
    for (key, bad, part) in [
        ("source", json!("okx"), "source is"),
        ("bucket_start_utc", json!("2024-08-08T12:05:00Z"), "not on the grid"),
        ("bucket_start_utc", json!("2150-08-08T12:00:00Z"), "in the future"),
        ("bucket_start_utc", json!("1999-08-08T12:00:00Z"), "before 2009"),
        ("bucket_start_utc", json!("soon"), "bucket_start_utc is no time"),
        ("bucket_start_utc", Value::Null, "bucket_start_utc is missing"),
        ("high", json!("61830.4"), "high 61830.4 is below"),
        ("low", json!("61838"), "low 61838 is above open"),
        ("close", json!(null), "close is missing"),
        ("open", json!("NaN"), "open is no decimal"),
        ("open", json!("0"), "open 0 is not above 0"),
        ("volume", json!("-0.1"), "volume -0.1 is negative"),
        ("volume", json!([1]), "volume is no decimal"),
        ("quality_status", json!("fine"), "no such quality_status"),
        ("data_source_mode", json!("a b"), "data_source_mode is no word"),
        ("child_interval", json!("7m"), "child_interval"),
        ("child_count", json!(11), "child_count 11 is above"),
        ("child_count", json!(-1), "child_count is no count"),
        ("received_utc", json!(true), "received_utc is no time"),
        ("hihg", json!("1"), "unknown field"),
    ] {
        let mut one = row("2024-08-08T12:00:00Z");
        one[key] = bad.clone();
        let answer = post(&chain, PATH, &[TOKEN], &one.to_string()).await;
        assert_eq!(answer.refusal(), (422, "bad_row".to_owned()), "{key} {bad}");
        assert!(answer.text().contains(part), "{key} {bad}: {}", answer.text());
        let list = json!([row("2024-08-08T12:10:00Z"), one]).to_string();
        let answer = post(&chain, PATH, &[TOKEN], &list).await;
        assert!(answer.status == 422 && answer.text().contains("row 1: "), "{key}: {}", answer.text());
    }
    for body in ["", "7", "{", "[1]", "\"row\""] {
        assert_eq!(post(&chain, PATH, &[TOKEN], body).await.refusal(), (422, "bad_row".to_owned()), "{body}");
    }
    let unknown = post(&chain, "/api/v1/internal/price/source/kraken/10m", &[TOKEN], "[]").await;
    assert_eq!(unknown.refusal(), (404, "unknown_source".to_owned()));
    assert!(chain.desk.taken.lock().unwrap().is_empty(), "nothing of a refused post is stored");
}

#[tokio::test]
async fn ten_megabytes_are_refused_with_an_answer() {
    let chain = with_token().await;
    let long = " ".repeat(10 << 20);
    for head in [TOKEN, "X-Nothing: 1"] {
        let status = post(&chain, PATH, &[head], &long).await.status;
        assert_eq!(status, if head == TOKEN { 413 } else { 401 });
    }
}

#[tokio::test]
async fn what_this_machine_asks_itself_is_not_replaced_by_others() {
    let chain = with_token().await;
    let set = |config: &str| chain.control.configure_price_source("binance", config, NOON).unwrap();
    let body = row("2024-08-08T12:00:00Z").to_string();
    let source = PriceSource::known("binance").unwrap();
    chain.desk.health.lock().unwrap().price_sources.push((source, "btc_price_source_binance".to_owned()));
    // A simulator is asked even of a source that others feed.
    assert_eq!(post(&chain, PATH, &[TOKEN], &body).await.status, 200);
    set(r#"{"mode": "local"}"#);
    let answer = post(&chain, PATH, &[TOKEN], &body).await;
    assert_eq!(answer.refusal(), (409, "source_is_local".to_owned()));
    assert!(answer.text().contains("tickhouse registry set binance mode=remote"), "{}", answer.text());
    chain.control.enable_price_source("binance", false, NOON).unwrap();
    chain.desk.health.lock().unwrap().price_sources.clear();
    let answer = post(&chain, PATH, &[TOKEN], &body).await;
    assert!(answer.status == 200 && answer.text().contains("it is disabled"), "{}", answer.text());
}
