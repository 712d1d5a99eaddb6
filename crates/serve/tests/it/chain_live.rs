//! The followed chain over `/ws/stream`: how it stands first, then what was committed.

use model::{BlockHash, PriceMethod};
use serde_json::{Value, json};
use tables::{ChainNews, Rows};

use crate::chain_world::{ChainWorld, at, bucket, price};
use crate::world::{Client, NOON, World};

const ALL: &str = r#"{"action":"subscribe","id":7,"subscriptions":[{"chain":"btc"}]}"#;

async fn followed() -> ChainWorld {
    let chain = ChainWorld::new().await;
    chain.set_health(at(1));
    chain.lay(&Rows::BtcBuckets(vec![bucket(0, 3), bucket(1, 5)]));
    chain.lay(&Rows::ComposedPrices(vec![price(PriceMethod::Median, 0, Some(60_000.5))]));
    chain
}

async fn subscribed(chain: &ChainWorld, words: &str) -> (Client, Value) {
    let mut client = chain.world.client().await;
    client.ask(words, "subscribed").await;
    let standing = client.hear().await;
    (client, standing)
}

fn block(height: u32) -> ChainNews {
    ChainNews::RawBlockReady { height, hash: BlockHash::default() }
}

#[tokio::test]
async fn a_listener_hears_how_the_chain_stands_and_then_what_was_committed() {
    let chain = followed().await;
    chain.desk.tell(1, block(334));
    let mut client = chain.world.client().await;
    let ack = client.ask(ALL, "subscribed").await;
    let channels = ["raw_block_ready", "primitive_ready", "price_ready", "metrics_ready", "reorganised"];
    assert_eq!(ack["subscriptions"], json!([{"chain": "btc", "channels": channels}]));
    let standing = client.hear().await;
    assert_eq!((&standing["type"], &standing["sequence"]), (&json!("chain_standing"), &json!(1)));
    let data = &standing["data"];
    assert_eq!((&data["raw_height"], &data["lag_blocks"]), (&json!(334), &json!(1)));
    assert_eq!(data["primitive_bucket"], at(1).millis());
    // The newest bucket has no price yet, which is no zero; the one before has.
    let (before, newest) = (&data["btc_primitive_10m"][0], &data["btc_primitive_10m"][1]);
    assert_eq!(before["price_close_usd"], 60_000.5);
    assert_eq!((&newest["bucket"], &newest["tx_count_10m"]), (&json!(at(1).millis()), &json!(6)));
    assert_eq!((&newest["price_close_usd"], &newest["price_source_count"]), (&Value::Null, &json!(0)));
    assert_eq!(data["mq_btc_price_10m"][0]["close"], 60_000.5);

    chain.desk.tell(2, block(335));
    let told = client.hear().await;
    assert_eq!(
        told,
        json!({
            "type": "raw_block_ready", "chain": "btc", "sequence": 2, "timestamp": NOON.millis(),
            "data": {"height": 335, "hash": "0".repeat(64)}
        })
    );
    chain.lay(&Rows::BtcBuckets(vec![bucket(2, 0)]));
    chain.set_health(at(2));
    chain.desk.tell(3, ChainNews::PrimitiveReady { from: at(1), through: at(2) });
    let told = client.hear_type("primitive_ready").await;
    assert_eq!(told["data"]["from"], at(1).millis());
    let rows = told["data"]["btc_primitive_10m"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "those that were built anew");
    assert_eq!((&rows[1]["bucket"], &rows[1]["fees_sat_10m"]), (&json!(at(2).millis()), &json!(0)));
    chain.lay(&Rows::ComposedPrices(vec![price(PriceMethod::Median, 2, Some(61_000.0))]));
    chain.desk.tell(4, ChainNews::PriceReady { from: at(1), through: at(2) });
    let told = client.hear_type("price_ready").await;
    assert_eq!(told["data"]["mq_btc_price_10m"][0]["close"], 61_000);
    assert_eq!(told["data"]["mq_btc_price_10m"][0]["venues_used"], json!(["bitstamp", "coinbase"]));
    let failed = vec![("nvt".to_owned(), "depends on price".to_owned())];
    chain.desk.tell(5, ChainNews::MetricsReady { from: at(0), through: at(2), failed });
    let told = client.hear_type("metrics_ready").await;
    assert_eq!(told["data"]["failed"], json!({"nvt": "depends on price"}));
    chain.desk.tell(6, ChainNews::Reorganised { fork_height: 331, blocks: 3 });
    let told = client.hear_type("reorganised").await;
    assert_eq!(told["data"], json!({"fork_height": 331, "blocks": 3}));
}

#[tokio::test]
async fn channels_are_chosen_and_left() {
    let chain = followed().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"chain":"btc","channels":["reorganised"]}]}"#;
    let (mut client, standing) = subscribed(&chain, words).await;
    assert_eq!((&standing["type"], &standing["sequence"]), (&json!("chain_standing"), &json!(0)));
    chain.desk.tell(1, block(335));
    chain.desk.tell(2, ChainNews::Reorganised { fork_height: 331, blocks: 3 });
    assert_eq!(client.hear().await["sequence"], 2, "blocks were not asked for");
    client.ask(r#"{"action":"unsubscribe","subscriptions":[{"chain":"btc"}]}"#, "unsubscribed").await;
    chain.desk.tell(3, ChainNews::Reorganised { fork_height: 330, blocks: 1 });
    assert!(client.is_quiet().await, "nobody listens any more");
}

#[tokio::test]
async fn news_that_are_gone_are_counted_and_the_standing_is_told_anew() {
    let chain = followed().await;
    let (mut client, _) = subscribed(&chain, ALL).await;
    chain.desk.tell(9, block(343));
    let skipped = client.hear().await;
    assert_eq!((&skipped["type"], &skipped["chain"]), (&json!("skipped"), &json!("btc")));
    assert_eq!(
        (&skipped["count"], &skipped["from_sequence"], &skipped["to_sequence"]),
        (&json!(8), &json!(1), &json!(8))
    );
    assert_eq!(client.hear().await["type"], "chain_standing");
    assert_eq!(client.hear().await["sequence"], 9);
}

#[tokio::test]
async fn wrong_wishes_of_a_chain_are_refused_with_a_remedy() {
    let chain = followed().await;
    let mut client = chain.world.client().await;
    for (subscription, code) in [
        (r#"{"chain":"doge"}"#, "unknown_chain"),
        (r#"{"chain":"btc","channels":["blocks"]}"#, "unknown_channel"),
        (r#"{"chain":"btc","timeframes":[1]}"#, "bad_request"),
        (r#"{"channels":["trades"]}"#, "bad_request"),
    ] {
        let words = format!(r#"{{"action":"subscribe","subscriptions":[{subscription}]}}"#);
        assert_eq!(client.ask(&words, "error").await["code"], code, "{subscription}");
    }
    let without = World::new().await;
    let mut client = without.client().await;
    assert_eq!(client.ask(ALL, "error").await["code"], "chain_not_followed");
}
