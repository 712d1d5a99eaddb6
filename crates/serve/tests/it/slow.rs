//! Clients that read too slowly: bounded, told, and never harming others.

use std::time::Duration;

use model::{BarState, BookLevel, BookUpdate, Source};
use serde_json::{Value, json};
use tables::News;

use crate::world::{NOON, World, book_view, btc, candle, decimal, item, quote, trade};

// A client that reads nothing while much more is published than its queue and its socket hold.
const FLOOD: u64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_is_told_exactly_what_it_missed() {
    let world = World::with(|settings| settings.reader_queue = 100).await;
    let mut slow = world.client().await;
    let mut quick = world.client().await;
    let words = r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["trades"]}]}"#;
    slow.ask(words, "subscribed").await;
    quick.ask(words, "subscribed").await;
    let mut position = 0;
    while position < FLOOD {
        let batch = (0..50)
            .map(|index| item(position + index, 0, News::Trade(trade((position + index).cast_signed(), 1))));
        world.publish(batch.collect());
        position += 50;
        // The quick client reads along, so that the flood is paced by it.
        while quick.hear_type("trade").await["position"] != json!(format!("{}.0", position - 1)) {}
    }
    let (mut next, mut skipped) = (0_u64, 0_u64);
    while next < FLOOD {
        let message: Value = slow.hear().await;
        if message["type"] == "skipped" {
            assert_eq!(
                message["from_position"],
                json!(format!("{next}.0")),
                "the hole begins where reading stopped"
            );
            let count = message["count"].as_u64().unwrap();
            assert_eq!(message["to_position"], json!(format!("{}.0", next + count - 1)));
            skipped += count;
            next += count;
        } else {
            assert_eq!(message["position"], json!(format!("{next}.0")), "nothing is missing in silence");
            next += 1;
        }
    }
    assert!(skipped > 0, "the flood was too small to make anything be skipped");
    let stats = world.get("/api/v1/monitoring/system-stats").await.json();
    assert_eq!(stats["data"]["messages_skipped_total"], skipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candles_of_a_slow_client_keep_their_newest_state() {
    let world = World::new().await;
    let timeframes: Vec<String> = (1..=400).map(|minutes| minutes.to_string()).collect();
    for minutes in &timeframes {
        world.set_candles(
            &format!("{minutes}m"),
            vec![candle(&format!("{minutes}m"), NOON, BarState::Forming)],
        );
    }
    let mut slow = world.client().await;
    let words = format!(
        r#"{{"action":"subscribe","subscriptions":[{{"symbol":"BTCUSDT","timeframes":[{}]}}]}}"#,
        timeframes.join(",")
    );
    slow.ask(&words, "subscribed").await;
    // Some rounds of changes while the client reads nothing.
    for round in 1..=8_u64 {
        for minutes in &timeframes {
            let mut changed = candle(&format!("{minutes}m"), NOON, BarState::Forming);
            changed.bar.trade_count = Some(1_000 + round.cast_signed());
            world.set_candles(&format!("{minutes}m"), vec![changed]);
        }
        world.publish(vec![item(round, 0, News::Bar(Box::new(candle("1m", NOON, BarState::Forming).bar)))]);
        runtime::sleep(Duration::from_millis(260)).await;
    }
    let mut newest = std::collections::BTreeMap::new();
    while newest.len() < 400 || newest.values().any(|count| *count != 1_008) {
        let update = slow.hear_type("ohlcv_update").await;
        let timeframe = update["timeframe"].as_str().unwrap().to_owned();
        newest.insert(timeframe, update["data"]["trades_count"].as_i64().unwrap());
    }
}

fn book(sequence: i64) -> News {
    News::Book(BookUpdate {
        instrument: btc(),
        venue_time: NOON,
        is_snapshot: false,
        first_sequence: sequence,
        last_sequence: sequence,
        previous_sequence: None,
        bids: vec![BookLevel { price: decimal("61837.4"), quantity: decimal("1.25") }],
        asks: Vec::new(),
        received_time: NOON,
        source: Source::Stream,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_of_books_and_quotes_gets_a_snapshot_where_it_missed_updates() {
    let world = World::with(|settings| settings.reader_queue = 100).await;
    let words =
        r#"{"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","channels":["book","quotes"]}]}"#;
    *world.fakes.book.lock().unwrap() = Some(book_view(0));
    let (mut slow, mut quick) = (world.client().await, world.client().await);
    slow.ask(words, "subscribed").await;
    quick.ask(words, "subscribed").await;
    let mut next = 1_u64;
    while next < FLOOD {
        *world.fakes.book.lock().unwrap() = Some(book_view(next.cast_signed() + 24));
        let news = (next..next + 25).flat_map(|at| {
            [item(at, 0, book(at.cast_signed())), item(at, 1, News::Quote(quote(at.cast_signed())))]
        });
        world.publish(news.collect());
        next += 25;
        // The quick client reads along, so that the flood is paced by it.
        while quick.hear_type("quote").await["position"] != json!(format!("{}.1", next - 1)) {}
    }
    let (mut sequence, mut has_skipped, mut skips) = (-1_i64, false, 0);
    let (mut quotes, mut quotes_missed) = (0_u64, 0_u64);
    // Once everything of the flood is accounted for, one more update brings the book back.
    while sequence < next.cast_signed() {
        let message: Value = slow.hear().await;
        let data = &message["data"];
        match message["type"].as_str().unwrap() {
            "book" if data["is_snapshot"] == true => {
                assert!(
                    sequence < 0 || has_skipped,
                    "a snapshot stands for what was missed, and that is told"
                );
                (sequence, has_skipped) = (data["last_sequence"].as_i64().unwrap(), false);
            }
            "book" => {
                assert!(!has_skipped, "no update follows a hole");
                assert_eq!(data["first_sequence"].as_i64().unwrap(), sequence + 1);
                sequence += 1;
            }
            "quote" => quotes += 1,
            "skipped" if message["channel"] == "book" => (has_skipped, skips) = (true, skips + 1),
            "skipped" => {
                assert_eq!(message["is_count_exact"], true);
                quotes_missed += message["count"].as_u64().unwrap();
            }
            other => panic!("{other}"),
        }
        if quotes + quotes_missed == next - 1 {
            *world.fakes.book.lock().unwrap() = Some(book_view(next.cast_signed()));
            world.publish(vec![item(next, 0, book(next.cast_signed()))]);
            quotes += 1;
        }
    }
    assert_eq!(quotes + quotes_missed, next, "every quote was sent or told as missed");
    assert!(
        skips > 0 && quotes_missed > 0,
        "the flood was too small: {skips} holes in the book, {quotes_missed} quotes missed"
    );
}
