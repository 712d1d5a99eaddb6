//! The receivers' doors: `POST /bot<token>/sendMessage` and `getMe` as the Bot API answers them, and `POST /hook/…`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{any, post};
use serde_json::{Map, Value, json};

use super::orders::Order;
use super::{Receiver, Receivers, TELEGRAM_CHAT_ID, TELEGRAM_TOKEN, WEBHOOK_TOKEN};
use crate::rest::parameters;

/// Longest text of a message, in UTF-16 code units.
const TEXT_MAX: usize = 4_096;

type Reply = Response<axum::body::Body>;

pub(super) fn router(receivers: &Receivers) -> Router {
    Router::new()
        .route("/{bot}/{method}", any(telegram))
        .route("/hook/simulated-path", post(webhook))
        .with_state(receivers.clone())
}

fn reply(status: u16, body: &Value, retry_after: Option<u64>) -> Reply {
    let mut response = Response::new(body.to_string().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// As the Bot API refuses.
fn refuse(receivers: &Receivers, status: u16, description: &str, retry_after: Option<u64>) -> Reply {
    receivers.count_refusal(Receiver::Telegram, status);
    let mut body = json!({"ok": false, "error_code": status, "description": description});
    if let Some(seconds) = retry_after {
        body["parameters"] = json!({"retry_after": seconds});
    }
    reply(status, &body, None)
}

async fn telegram(
    State(receivers): State<Receivers>,
    Path((bot, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let refuse = |status, description| refuse(&receivers, status, description, None);
    let Some(token) = bot.strip_prefix("bot") else { return refuse(404, "Not Found") };
    let order = receivers.next_order(Receiver::Telegram);
    match order {
        Some(Order::Hang) => hang(&receivers, Receiver::Telegram).await,
        Some(Order::Slow(wait)) => runtime::sleep(wait).await,
        _ => {}
    }
    if token != TELEGRAM_TOKEN {
        return if token.contains(':') { refuse(401, "Unauthorized") } else { refuse(404, "Not Found") };
    }
    if method.eq_ignore_ascii_case("getMe") {
        let bot =
            json!({"id": 1_000_000_001, "is_bot": true, "first_name": "Nobody", "username": "nobody_bot"});
        return reply(200, &json!({"ok": true, "result": bot}), None);
    }
    if !method.eq_ignore_ascii_case("sendMessage") {
        return refuse(404, "Not Found");
    }
    if order == Some(Order::Fail) {
        return refuse(500, "Internal Server Error");
    }
    send_message(&receivers, &fields(&headers, &body), order)
}

/// JSON, or a form.
fn fields(headers: &HeaderMap, body: &[u8]) -> Map<String, Value> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let form = parameters(&String::from_utf8_lossy(body));
    form.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

fn send_message(receivers: &Receivers, fields: &Map<String, Value>, order: Option<Order>) -> Reply {
    let refuse = |status, description: &str, wait| refuse(receivers, status, description, wait);
    let chat =
        fields.get("chat_id").map(|chat| chat.as_str().map_or_else(|| chat.to_string(), str::to_owned));
    let text = fields.get("text").and_then(Value::as_str).unwrap_or_default();
    let problem = match chat.as_deref() {
        None | Some("") => "Bad Request: chat_id is empty",
        Some(TELEGRAM_CHAT_ID) if text.trim().is_empty() => "Bad Request: message text is empty",
        Some(TELEGRAM_CHAT_ID) if text.encode_utf16().count() > TEXT_MAX => {
            "Bad Request: message is too long"
        }
        Some(TELEGRAM_CHAT_ID) => "",
        Some(_) => "Bad Request: chat not found",
    };
    if !problem.is_empty() {
        return refuse(400, problem, None);
    }
    let closed = receivers.closed_for();
    let wait = if let Some(Order::Retry(seconds)) = order { Some(seconds) } else { closed };
    if let Some(seconds) = wait {
        receivers.close_for(seconds);
        return refuse(429, &format!("Too Many Requests: retry after {seconds}"), Some(seconds));
    }
    receivers.keep(Receiver::Telegram, Value::Object(fields.clone()));
    let number = receivers.lock().received.len();
    let chat = json!({"id": TELEGRAM_CHAT_ID.parse::<i64>().unwrap_or_default(), "type": "supergroup"});
    let result =
        json!({"message_id": number, "date": receivers.now_ms() / 1_000, "chat": chat, "text": text});
    reply(200, &json!({"ok": true, "result": result}), None)
}

async fn webhook(State(receivers): State<Receivers>, headers: HeaderMap, body: Bytes) -> Reply {
    let refuse = |status: u16, wait| {
        receivers.count_refusal(Receiver::Webhook, status);
        reply(status, &json!({"taken": false}), wait)
    };
    let order = receivers.next_order(Receiver::Webhook);
    match order {
        Some(Order::Hang) => hang(&receivers, Receiver::Webhook).await,
        Some(Order::Slow(wait)) => runtime::sleep(wait).await,
        Some(Order::Fail) => return refuse(500, None),
        Some(Order::Retry(seconds)) => return refuse(429, Some(seconds)),
        None => {}
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if bearer.strip_prefix("Bearer ") != Some(WEBHOOK_TOKEN) {
        return refuse(401, None);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return refuse(400, None) };
    receivers.keep(Receiver::Webhook, body);
    reply(200, &json!({"taken": true}), None)
}

/// Stays until nobody hangs any more.
async fn hang(receivers: &Receivers, receiver: Receiver) {
    loop {
        let released = receivers.inner.released.notified();
        let hangs = receivers.lock().orders.get(&receiver).and_then(|orders| orders.front().copied());
        if hangs != Some(Order::Hang) {
            return;
        }
        released.await;
    }
}
