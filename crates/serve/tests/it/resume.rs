//! Clients that go on where they left off.

use serde_json::{Value, json};
use tables::{News, SeenTrades, TradeKey};

use crate::world::{Client, World, book_view, item, quote, trade};

async fn ids(client: &mut Client, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let heard = client.hear_type("trade").await;
        ids.push(heard["data"]["aggregate_id"].as_i64().unwrap());
    }
    ids
}

// A client that is there before the news proves that the hub has taken them.
async fn world_with_trades(items_max: usize, ids: std::ops::RangeInclusive<i64>) -> World {
    let world = World::with(|settings| settings.resume_items_max = items_max).await;
    let mut witness = world.client().await;
    witness
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["trades"]}]}"#,
            "subscribed",
        )
        .await;
    let last = *ids.end();
    for id in ids {
        world.publish(vec![item(id.cast_unsigned(), 0, News::Trade(trade(id, id)))]);
    }
    while witness.hear_type("trade").await["data"]["aggregate_id"] != last {}
    world
}

fn words(rest: &str) -> String {
    format!(
        r#"{{"action":"subscribe","subscriptions":[{{"symbol":"BTCUSDT","channels":["trades"],{rest}}}]}}"#
    )
}

fn resumed(ack: &Value) -> &str {
    ack["subscriptions"][0]["resumed"].as_str().unwrap()
}

#[tokio::test]
async fn from_memory_without_a_hole_or_a_repeat() {
    let world = world_with_trades(100, 101..=110).await;
    let mut client = world.client().await;
    let ack = client.ask(&words(r#""resume_from":"104.0""#), "subscribed").await;
    assert_eq!((resumed(&ack), &ack["position"]), ("replayed", &json!("110.0")));
    world.publish(vec![item(111, 0, News::Trade(trade(111, 111)))]);
    assert_eq!(ids(&mut client, 7).await, (105..=111).collect::<Vec<_>>());
}

#[tokio::test]
async fn older_trades_come_from_the_tables() {
    let world = world_with_trades(4, 101..=110).await;
    *world.fakes.trades.lock().unwrap() = (95..=108).map(|id| trade(id, id)).collect();
    let mut client = world.client().await;
    let ack = client.ask(&words(r#""resume_from":"98.0","last_trade_id":98"#), "subscribed").await;
    assert_eq!(resumed(&ack), "stored");
    world.publish(vec![item(111, 0, News::Trade(trade(111, 111)))]);
    assert_eq!(ids(&mut client, 13).await, (99..=111).collect::<Vec<_>>(), "tables, memory and live join");
}

#[tokio::test]
async fn without_an_id_the_log_tells_what_came_before_the_position() {
    let world = world_with_trades(4, 101..=110).await;
    // The third record brought two trades at once; 90 was filled in after it.
    let mut stored: Vec<_> = (95..=108).map(|id| trade(id, id)).collect();
    stored[4].received_time = stored[3].received_time;
    stored.push(model::Trade { received_time: stored[6].received_time, ..trade(90, 90) });
    let since = stored[1].received_time;
    let received = stored[3].received_time;
    *world.fakes.trades.lock().unwrap() = stored;
    let number = TradeKey::Number;
    *world.fakes.seen.lock().unwrap() = Some(SeenTrades {
        since,
        before: vec![number(96), number(97)],
        // 97 came with an earlier record first, so that it has no place in this one.
        within: vec![number(97), number(98), number(99)],
        received,
    });
    let mut client = world.client().await;
    let ack = client.ask(&words(r#""resume_from":"98.0""#), "subscribed").await;
    assert_eq!(resumed(&ack), "stored");
    world.publish(vec![item(111, 0, News::Trade(trade(111, 111)))]);
    let expected: Vec<i64> = [90].into_iter().chain(99..=111).collect();
    assert_eq!(ids(&mut client, 14).await, expected, "nothing twice, and what came late is there");
}

#[tokio::test]
async fn an_id_beyond_2_to_the_53_comes_and_goes_as_text() {
    let first = (1_i64 << 53) + 1;
    let world = world_with_trades(2, 101..=110).await;
    *world.fakes.trades.lock().unwrap() = (first..=first + 4).map(|id| trade(id, id - first)).collect();
    let mut client = world.client().await;
    let last = (first + 1).to_string();
    let resume = words(&format!(r#""resume_from":"1.0","last_trade_id":"{last}""#));
    let ack = client.ask(&resume, "subscribed").await;
    assert_eq!(resumed(&ack), "stored");
    let heard = client.hear_type("trade").await;
    assert_eq!(heard["data"]["trade_id"], json!((first + 2).to_string()), "{heard}");
    for (words_of_id, is_id) in [(r#""26129""#, true), ("26129", true), (r#""x""#, false), ("-1", false)] {
        let kind = if is_id { "subscribed" } else { "error" };
        client.ask(&words(&format!(r#""last_trade_id":{words_of_id}"#)), kind).await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_told() {
    let world = world_with_trades(4, 101..=110).await;
    let mut client = world.client().await;
    client.ask(&words(r#""resume_from":"50.0""#), "subscribed").await;
    let skipped = client.hear().await;
    assert_eq!(
        (&skipped["type"], &skipped["channel"], &skipped["symbol"]),
        (&json!("skipped"), &json!("trades"), &json!("BTCUSDT"))
    );
    assert_eq!((&skipped["from_position"], &skipped["to_position"]), (&json!("50.0"), &json!("107.0")));
    assert_eq!(ids(&mut client, 4).await, [107, 108, 109, 110], "what is in memory is sent all the same");
}

#[tokio::test]
async fn a_position_ahead_of_the_log_is_told() {
    let world = world_with_trades(100, 101..=103).await;
    let mut client = world.client().await;
    client.say(&words(r#""resume_from":"999.0""#)).await;
    let skipped = client.hear_type("skipped").await;
    assert!(skipped["reason"].as_str().unwrap().contains("ahead"), "{skipped}");
    world.publish(vec![item(104, 0, News::Trade(trade(104, 104)))]);
    assert_eq!(ids(&mut client, 1).await, [104]);
}

#[tokio::test]
async fn several_channels_keep_their_order() {
    let world = world_with_trades(100, 101..=102).await;
    let mut witness = world.client().await;
    witness
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["quotes"]}]}"#,
            "subscribed",
        )
        .await;
    world.publish(vec![item(103, 0, News::Quote(quote(5))), item(103, 1, News::Trade(trade(103, 103)))]);
    witness.hear_type("quote").await;
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","resume_from":"101.0","subscriptions":[{"symbol":"BTCUSDT","channels":["quotes","trades"]}]}"#,
            "subscribed",
        )
        .await;
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(client.hear().await["position"].as_str().unwrap().to_owned());
    }
    assert_eq!(places, ["102.0", "103.0", "103.1"]);
}

#[tokio::test]
async fn a_book_that_cannot_be_joined_starts_anew() {
    let world = world_with_trades(2, 101..=110).await;
    *world.fakes.book.lock().unwrap() = Some(book_view(42));
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","resume_from":"50.0","subscriptions":[{"symbol":"BTCUSDT","channels":["book"]}]}"#,
            "subscribed",
        )
        .await;
    assert_eq!(client.hear().await["type"], "skipped");
    let snapshot = client.hear().await;
    assert_eq!((&snapshot["type"], &snapshot["data"]["is_snapshot"]), (&json!("book"), &json!(true)));
}

#[tokio::test]
async fn news_that_the_hub_missed_are_told_to_everyone() {
    let world = world_with_trades(100, 101..=103).await;
    let mut client = world.client().await;
    client.ask(&words(r#""resume_from":"103.0""#), "subscribed").await;
    world.slip(40);
    let skipped = client.hear().await;
    assert_eq!(
        (&skipped["type"], &skipped["count"], &skipped["is_count_exact"]),
        (&json!("skipped"), &json!(40), &json!(false))
    );
    assert_eq!(skipped["from_position"], "103.0");
    world.publish(vec![item(150, 0, News::Trade(trade(150, 150)))]);
    assert_eq!(ids(&mut client, 1).await, [150]);
    assert_eq!(world.get("/bus-stats").await.json()["feed_missed_total"], 40);
    let mut late = world.client().await;
    let ack = late.ask(&words(r#""resume_from":"102.0","last_trade_id":102"#), "subscribed").await;
    assert_eq!(resumed(&ack), "stored", "memory from before the slip does not join what comes");
}
