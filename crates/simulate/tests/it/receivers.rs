//! The simulated Telegram and webhook as a sender sees them.

use std::sync::Arc;

use runtime::Tasks;
use serde_json::{Value, json};
use simulate::receivers::{self, Receivers, TELEGRAM_CHAT_ID, TELEGRAM_TOKEN, WEBHOOK_TOKEN};

use crate::world::{Bytes, post_bytes};

async fn start() -> (Receivers, Tasks) {
    let tasks = Tasks::new();
    let clock = Arc::new(runtime::clock::TokioClock::starting_at(model::Nanos(1_794_225_600_000_000_000)));
    (receivers::start(0, clock, &tasks).await.unwrap(), tasks)
}

async fn send(receivers: &Receivers, token: &str, body: &Value) -> (u16, Value) {
    let api = receivers.telegram_api();
    let address = api.strip_prefix("http://").unwrap();
    let headers = [("content-type", "application/json")];
    let Bytes { status, body, .. } =
        post_bytes(address, &format!("/bot{token}/sendMessage"), &headers, &body.to_string()).await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_bot_api_takes_what_is_right_and_says_what_is_wrong() {
    let (receivers, _tasks) = start().await;
    let message = |chat: Value, text: &str| json!({"chat_id": chat, "text": text});
    let chat = || json!(TELEGRAM_CHAT_ID.parse::<i64>().unwrap());
    let long = "𝄞".repeat(2_049);
    for (token, body, status, words) in [
        ("1:other", message(chat(), "x"), 401, "Unauthorized"),
        ("other", message(chat(), "x"), 404, "Not Found"),
        (TELEGRAM_TOKEN, message(json!(5), "x"), 400, "chat not found"),
        (TELEGRAM_TOKEN, message(chat(), " "), 400, "text is empty"),
        (TELEGRAM_TOKEN, message(chat(), &long), 400, "too long"),
        (TELEGRAM_TOKEN, json!({"text": "x"}), 400, "chat_id is empty"),
    ] {
        let (found, answer) = send(&receivers, token, &body).await;
        assert_eq!((found, answer["ok"].clone()), (status, json!(false)), "{answer}");
        assert!(answer["description"].as_str().unwrap().contains(words), "{answer}");
    }
    assert!(receivers.received().is_empty());
    let (status, answer) = send(&receivers, TELEGRAM_TOKEN, &message(json!(TELEGRAM_CHAT_ID), "hello")).await;
    assert_eq!((status, answer["result"]["text"].as_str()), (200, Some("hello")));
    assert_eq!(receivers.received()[0].body["text"], "hello");
}

#[tokio::test]
async fn a_group_takes_twenty_messages_a_minute() {
    let (receivers, _tasks) = start().await;
    let message = json!({"chat_id": TELEGRAM_CHAT_ID, "text": "x"});
    for _ in 0..20 {
        assert_eq!(send(&receivers, TELEGRAM_TOKEN, &message).await.0, 200);
    }
    let (status, answer) = send(&receivers, TELEGRAM_TOKEN, &message).await;
    let seconds = answer["parameters"]["retry_after"].as_u64().unwrap();
    assert!(status == 429 && (1..=60).contains(&seconds), "{answer}");
}

#[tokio::test]
async fn orders_hold_for_one_message_each_and_who_does_not_wait_is_counted() {
    let (receivers, _tasks) = start().await;
    let message = json!({"chat_id": TELEGRAM_CHAT_ID, "text": "x"});
    receivers.order("telegram:fail,telegram:retry=60s").unwrap();
    assert_eq!(send(&receivers, TELEGRAM_TOKEN, &message).await.0, 500);
    let (status, answer) = send(&receivers, TELEGRAM_TOKEN, &message).await;
    assert_eq!((status, &answer["parameters"]["retry_after"]), (429, &json!(60)));
    assert_eq!(receivers.too_early_count(), 0);
    assert_eq!(send(&receivers, TELEGRAM_TOKEN, &message).await.0, 429);
    assert_eq!(receivers.too_early_count(), 1);
}

#[tokio::test]
async fn the_webhook_wants_its_token_and_hangs_until_it_is_let_go() {
    let (receivers, _tasks) = start().await;
    let url = receivers.webhook_url();
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let path = format!("/{path}");
    let bearer = format!("Bearer {WEBHOOK_TOKEN}");
    let right = [("authorization", bearer.as_str())];
    assert_eq!(post_bytes(address, &path, &[], "{}").await.status, 401);
    assert_eq!(post_bytes(address, &path, &right, "no JSON").await.status, 400);
    receivers.order("webhook:hang").unwrap();
    let hanging = post_bytes(address, &path, &right, "{\"kind\": \"test\"}");
    tokio::pin!(hanging);
    assert!(runtime::clock::within(std::time::Duration::from_millis(50), &mut hanging).await.is_none());
    receivers.order("none").unwrap();
    assert_eq!(hanging.await.status, 200);
    assert_eq!(receivers.received()[0].body, json!({"kind": "test"}));
}
