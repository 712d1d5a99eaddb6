//! `/ws/stream`: subscriptions, candles, streams and refusals.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{BarState, BookLevel, BookUpdate, Channel, Gap, GapCause, GapState, Source, Time};
use serde_json::json;
use tables::{DataQuality, News};
use tokio_tungstenite::tungstenite::Message;

use crate::world::{NOON, World, book_view, btc, candle, decimal, item, quote, trade};

const MINUTE: i64 = 60_000_000;

fn at(minutes: i64) -> Time {
    NOON.plus_micros(minutes * MINUTE)
}

#[tokio::test]
async fn a_subscription_starts_with_its_candles_and_goes_on() {
    let world = World::new().await;
    world.set_candles(
        "15m",
        vec![candle("15m", at(-15), BarState::Closed), candle("15m", at(0), BarState::Forming)],
    );
    let mut client = world.client().await;
    let ack = client
        .ask(
            r#"{"action":"subscribe","id":5,"subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":15,"initial_candles":100}]}]}"#,
            "subscribed",
        )
        .await;
    assert_eq!(
        ack,
        json!({
            "type": "subscribed", "id": 5, "position": null,
            "subscriptions": [{
                "symbol": "BTCUSDT", "venue": "binance-futures", "instrument": "binance-futures:BTC-USDT-PERP",
                "timeframes": ["15m"], "channels": []
            }]
        })
    );
    let initial = client.hear().await;
    assert_eq!((&initial["type"], &initial["timeframe"]), (&json!("initial_candles"), &json!("15m")));
    assert_eq!(initial["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        initial["data_status"],
        json!({"historical_loading": false, "gap_recovery": false, "data_quality": "complete"})
    );
    let first = client.hear().await;
    assert_eq!((&first["type"], &first["data"]["status"]), (&json!("ohlcv_update"), &json!("forming")));

    let mut changed = candle("15m", at(0), BarState::Forming);
    changed.bar.close = decimal("61840.1");
    world.set_candles("15m", vec![changed]);
    world.publish(vec![item(1, 0, News::Bar(Box::new(candle("1m", at(3), BarState::Forming).bar)))]);
    let update = client.hear().await;
    assert_eq!((&update["type"], &update["timeframe"]), (&json!("ohlcv_update"), &json!("15m")));
    assert_eq!(update["symbol"], "BTCUSDT");
    for (key, value) in [("open", json!(61800.1)), ("close", json!(61840.1)), ("trades_count", json!(142))] {
        assert_eq!(update["data"][key], value, "{key}");
    }
    assert_eq!(update["data"]["candle_time"], 1_723_118_400_000_i64);
    assert_eq!(
        update["data_status"],
        json!({"historical_loading": false, "gap_recovery": false, "data_quality": "complete"})
    );
}

#[tokio::test]
async fn forming_candles_come_at_most_four_times_a_second_with_the_newest_state() {
    let world = World::new().await;
    world.set_candles("1m", vec![candle("1m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[1]}]}"#,
            "ohlcv_update",
        )
        .await;
    let watch = runtime::clock::Stopwatch::start();
    for step in 0..200_i64 {
        let mut changed = candle("1m", at(0), BarState::Forming);
        changed.bar.trade_count = Some(1_000 + step);
        world.set_candles("1m", vec![changed.clone()]);
        world.publish(vec![item(step.cast_unsigned() + 1, 0, News::Bar(Box::new(changed.bar)))]);
        runtime::sleep(Duration::from_millis(2)).await;
    }
    let (mut updates, mut newest) = (0, 0);
    while newest != 1_199 {
        let update = client.hear().await;
        let count = update["data"]["trades_count"].as_i64().unwrap();
        assert!(count >= newest, "states never go back");
        newest = count;
        updates += 1;
    }
    let most = 2 + watch.elapsed().as_millis() / 250;
    assert!(u128::try_from(updates).unwrap() <= most, "{updates} updates, at most {most}");
    assert!(client.is_quiet().await, "an unchanged candle is not repeated");
}

#[tokio::test]
async fn closed_and_revised_candles_are_always_sent() {
    let world = World::new().await;
    world.set_candles("2m", vec![candle("2m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":["2m"]}]}"#,
            "ohlcv_update",
        )
        .await;
    world.set_candles(
        "2m",
        vec![candle("2m", at(0), BarState::Closed), candle("2m", at(2), BarState::Forming)],
    );
    world.publish(vec![
        item(1, 0, News::Bar(Box::new(candle("1m", at(1), BarState::Closed).bar))),
        item(2, 0, News::Bar(Box::new(candle("1m", at(2), BarState::Forming).bar))),
    ]);
    let closed = client.hear().await;
    assert_eq!(
        (&closed["data"]["status"], &closed["data"]["candle_time"]),
        (&json!("closed"), &json!(at(0).millis())),
        "the closed candle comes before the next one"
    );
    let forming = client.hear().await;
    assert_eq!(
        (&forming["data"]["status"], &forming["data"]["candle_time"]),
        (&json!("forming"), &json!(at(2).millis()))
    );

    let mut revised = candle("2m", at(0), BarState::Revised);
    revised.bar.revision = 1;
    world.set_candles("2m", vec![revised, candle("2m", at(2), BarState::Forming)]);
    world.publish(vec![item(3, 0, News::Bar(Box::new(candle("1m", at(0), BarState::Revised).bar)))]);
    let late = client.hear().await;
    assert_eq!((&late["data"]["status"], &late["data"]["revision"]), (&json!("revised"), &json!(1)));
}

#[tokio::test]
async fn a_candle_whose_last_minute_never_came_is_closed_by_the_next_one() {
    let world = World::new().await;
    world.set_candles("5m", vec![candle("5m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[5]}]}"#,
            "ohlcv_update",
        )
        .await;
    let mut partial = candle("5m", at(0), BarState::Closed);
    (partial.is_complete, partial.quality) = (false, DataQuality::Partial);
    world.set_candles("5m", vec![partial, candle("5m", at(5), BarState::Forming)]);
    world.publish(vec![item(1, 0, News::Bar(Box::new(candle("1m", at(6), BarState::Forming).bar)))]);
    let closed = client.hear().await;
    assert_eq!(
        (&closed["data"]["status"], &closed["data_status"]["data_quality"]),
        (&json!("closed"), &json!("partial"))
    );
    assert_eq!(client.hear().await["data"]["candle_time"], at(5).millis());
}

#[tokio::test]
async fn a_hole_below_the_candle_is_told() {
    let world = World::new().await;
    world.set_candles("1m", vec![candle("1m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[1]}]}"#,
            "ohlcv_update",
        )
        .await;
    let gap = Gap {
        instrument: btc(),
        channel: Channel::Trades,
        first_id: Some(1),
        last_id: Some(2),
        first_time: at(0),
        last_time: at(0).plus_micros(1_000),
        state: GapState::Open,
        cause: GapCause::Dropped,
        source: None,
        found_time: at(0),
        closed_time: None,
    };
    let mut holed = candle("1m", at(0), BarState::Forming);
    (holed.quality, holed.is_repairing) = (DataQuality::Partial, true);
    world.set_candles("1m", vec![holed]);
    world.publish(vec![item(1, 0, News::Gap(gap.clone()))]);
    let update = client.hear().await;
    assert_eq!(
        update["data_status"],
        json!({"historical_loading": false, "gap_recovery": true, "data_quality": "partial"})
    );
    world.set_candles("1m", vec![candle("1m", at(0), BarState::Forming)]);
    world.publish(vec![item(2, 0, News::Gap(Gap { state: GapState::Filled, ..gap }))]);
    let update = client.hear().await;
    assert_eq!(update["data_status"]["data_quality"], "complete");
}

#[tokio::test]
async fn history_that_is_still_loading_is_told_and_sent_when_it_is_there() {
    let world = World::new().await;
    world.fakes.is_fetching.store(true, Ordering::Relaxed);
    world.set_candles("173m", vec![candle("173m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    let initial = client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":173,"initial_candles":3}]}]}"#,
            "initial_candles",
        )
        .await;
    assert_eq!(initial["data_status"]["historical_loading"], true);
    world.set_candles(
        "173m",
        vec![
            candle("173m", at(-346), BarState::Closed),
            candle("173m", at(-173), BarState::Closed),
            candle("173m", at(0), BarState::Forming),
        ],
    );
    let initial = client.hear_type("initial_candles").await;
    assert_eq!(initial["data"].as_array().unwrap().len(), 3);
    assert_eq!(initial["data_status"]["historical_loading"], true, "older bars are still being fetched");
    world.fakes.is_fetching.store(false, Ordering::Relaxed);
    while client.hear_type("ohlcv_update").await["data_status"]["historical_loading"] != false {}
}

#[tokio::test]
async fn history_that_ends_short_is_sent_as_it_is() {
    let world = World::new().await;
    world.fakes.is_fetching.store(true, Ordering::Relaxed);
    world.set_candles("15m", vec![candle("15m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":15,"initial_candles":3}]}]}"#;
    let initial = client.ask(words, "initial_candles").await;
    assert_eq!(initial["data_status"]["historical_loading"], true);
    world.fakes.is_fetching.store(false, Ordering::Relaxed);
    let last = client.hear_type("initial_candles").await;
    assert_eq!(
        (last["data"].as_array().unwrap().len(), &last["data_status"]["historical_loading"]),
        (1, &json!(false))
    );
}

#[tokio::test]
async fn a_young_process_whose_history_is_there_does_not_claim_to_load() {
    let world = World::new().await;
    {
        let mut status = world.fakes.status.lock().unwrap();
        status.now = status.started.plus_micros(MINUTE / 10);
    }
    world.set_candles("1m", vec![candle("1m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[1]}]}"#;
    let initial = client.ask(words, "initial_candles").await;
    assert_eq!(initial["data_status"]["historical_loading"], false);
}

#[tokio::test]
async fn a_verdict_over_a_closed_candle_that_changes_is_told() {
    let world = World::new().await;
    world.set_candles("2m", vec![candle("2m", at(0), BarState::Forming)]);
    let mut client = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":["2m"]}]}"#;
    client.ask(words, "ohlcv_update").await;
    let mut closed = candle("2m", at(0), BarState::Closed);
    (closed.quality, closed.is_repairing) = (DataQuality::Partial, true);
    world.set_candles("2m", vec![closed, candle("2m", at(2), BarState::Forming)]);
    world.publish(vec![item(1, 0, News::Bar(Box::new(candle("1m", at(1), BarState::Closed).bar)))]);
    let told = client.hear_type("ohlcv_update").await;
    assert_eq!(
        (&told["data"]["status"], &told["data_status"]["gap_recovery"]),
        (&json!("closed"), &json!(true))
    );
    world.set_candles(
        "2m",
        vec![candle("2m", at(0), BarState::Closed), candle("2m", at(2), BarState::Forming)],
    );
    let gap = Gap {
        instrument: btc(),
        channel: Channel::Trades,
        first_id: Some(1),
        last_id: Some(2),
        first_time: at(0),
        last_time: at(1),
        state: GapState::Filled,
        cause: GapCause::Dropped,
        source: None,
        found_time: at(0),
        closed_time: None,
    };
    world.publish(vec![item(2, 0, News::Gap(gap))]);
    loop {
        let told = client.hear_type("ohlcv_update").await;
        if told["data"]["candle_time"] == at(0).millis() {
            assert_eq!(told["data_status"]["data_quality"], "complete");
            break;
        }
    }
}

#[tokio::test]
async fn trades_and_quotes_stream_with_their_positions() {
    let world = World::new().await;
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"btc/usdt","venue":"binance-futures","channels":["trades","quotes"]}]}"#,
            "subscribed",
        )
        .await;
    world.publish(vec![item(12, 0, News::Trade(trade(77, 1))), item(12, 1, News::Quote(quote(8)))]);
    let heard = client.hear().await;
    assert_eq!(
        (&heard["type"], &heard["position"], &heard["symbol"]),
        (&json!("trade"), &json!("12.0"), &json!("BTCUSDT"))
    );
    assert_eq!((&heard["data"]["aggregate_id"], &heard["data"]["price"]), (&json!(77), &json!(61837.6)));
    let heard = client.hear().await;
    assert_eq!(
        (&heard["type"], &heard["position"], &heard["data"]["sequence"]),
        (&json!("quote"), &json!("12.1"), &json!(8))
    );
    client
        .ask(
            r#"{"action":"unsubscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["quotes"]}]}"#,
            "unsubscribed",
        )
        .await;
    world.publish(vec![item(13, 0, News::Quote(quote(9))), item(13, 1, News::Trade(trade(78, 1)))]);
    assert_eq!(client.hear().await["type"], "trade");
    client.ask(r#"{"action":"unsubscribe","subscriptions":[]}"#, "unsubscribed").await;
    world.publish(vec![item(14, 0, News::Trade(trade(79, 1)))]);
    assert!(client.is_quiet().await);
}

#[tokio::test]
async fn a_book_starts_with_a_snapshot_that_its_updates_follow() {
    let world = World::new().await;
    *world.fakes.book.lock().unwrap() = Some(book_view(42));
    let mut client = world.client().await;
    client
        .ask(
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["book"]}]}"#,
            "subscribed",
        )
        .await;
    let snapshot = client.hear().await;
    assert_eq!((&snapshot["type"], &snapshot["data"]["is_snapshot"]), (&json!("book"), &json!(true)));
    assert_eq!(snapshot["data"]["bids"], json!([[61837.5, 1.5], [61837.4, 2]]));
    let update = |sequence: i64| BookUpdate {
        instrument: btc(),
        venue_time: NOON,
        is_snapshot: false,
        first_sequence: sequence,
        last_sequence: sequence,
        previous_sequence: None,
        bids: vec![BookLevel { price: decimal("61837.4"), quantity: decimal("0.000") }],
        asks: Vec::new(),
        received_time: NOON,
        source: Source::Stream,
    };
    world.publish(vec![
        item(1, 0, News::Book(update(41))),
        item(1, 1, News::Book(update(42))),
        item(1, 2, News::Book(update(43))),
        item(1, 3, News::BookStale(btc())),
    ]);
    let heard = client.hear().await;
    assert_eq!(heard["data"]["last_sequence"], 43, "what the snapshot holds is not repeated");
    assert_eq!(heard["data"]["bids"], json!([[61837.4, 0]]));
    assert_eq!(client.hear().await["type"], "book_stale");
}

#[tokio::test]
async fn mistakes_are_answered_and_the_connection_stays() {
    let world = World::new().await;
    let mut client = world.client().await;
    for (words, code) in [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        (r#"{"action":5}"#, "bad_json"),
        (r#"{"action":"subscribe","subscriptions":[{"symbl":"BTCUSDT"}]}"#, "bad_json"),
        (r#"{"action":"dance"}"#, "unknown_action"),
        (r#"{"action":"subscribe"}"#, "bad_request"),
        (r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT"}]}"#, "bad_request"),
        (r#"{"action":"subscribe","subscriptions":[{"symbol":"NOPE","timeframes":[1]}]}"#, "unknown_symbol"),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","venue":"nyse","timeframes":[1]}]}"#,
            "unknown_venue",
        ),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":0}]}]}"#,
            "bad_timeframe",
        ),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[43201]}]}"#,
            "bad_timeframe",
        ),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[1.5]}]}"#,
            "bad_timeframe",
        ),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["tape"]}]}"#,
            "unknown_channel",
        ),
        (
            r#"{"action":"subscribe","resume_from":"x","subscriptions":[{"symbol":"BTCUSDT","channels":["trades"]}]}"#,
            "bad_position",
        ),
        (
            r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":1,"initial_candles":5001}]}]}"#,
            "too_many_candles",
        ),
    ] {
        client.say(words).await;
        let error = client.hear().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{words}: {error}");
        assert!(error["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{error}");
    }
    client.say_binary(b"x").await;
    assert_eq!(client.hear().await["code"], "bad_message");
    assert_eq!(client.ask(r#"{"action":"ping","id":"a"}"#, "pong").await["id"], "a");
}

#[tokio::test]
async fn a_wrong_subscription_does_not_spoil_the_others() {
    let world = World::new().await;
    let mut client = world.client().await;
    client
        .say(r#"{"action":"subscribe","subscriptions":[{"symbol":"NOPE","channels":["trades"]},{"symbol":"BTCUSDT","channels":["trades"]}]}"#)
        .await;
    assert_eq!(client.hear().await["code"], "unknown_symbol");
    assert_eq!(client.hear().await["subscriptions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_oversized_message_is_told_and_closes_the_connection() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.say(&format!(r#"{{"action":"{}"}}"#, "x".repeat(65 << 10))).await;
    assert_eq!(client.hear().await["code"], "message_too_large");
    match client.message().await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn too_many_clients_and_subscriptions_are_refused() {
    let world = World::with(|settings| {
        settings.readers_max = 1;
        settings.reader_subscriptions_max = 2;
    })
    .await;
    let mut client = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[1,2,3]}]}"#;
    assert_eq!(client.ask(words, "error").await["code"], "too_many_subscriptions");
    let error = tokio_tungstenite::connect_async(format!("ws://{}/ws/stream", world.server.address))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("429"), "{error}");
    assert_eq!(world.get("/health").await.json()["websocket_connections"], 1);
    drop(client);
    while world.get("/health").await.json()["websocket_connections"] != 0 {
        runtime::sleep(Duration::from_millis(5)).await;
    }
    world.client().await;
}

#[tokio::test]
async fn closing_says_goodbye_in_time() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.ask(r#"{"action":"ping"}"#, "pong").await;
    let watch = runtime::clock::Stopwatch::start();
    let (late, goodbye) = tokio::join!(world.tasks.close(Duration::from_secs(5)), client.message());
    assert!(late.is_empty(), "{late:?}");
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    assert!(matches!(goodbye, Message::Close(Some(frame)) if u16::from(frame.code) == 1001));
}
