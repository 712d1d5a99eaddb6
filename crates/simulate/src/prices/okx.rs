//! OKX: `GET /api/v5/market/candles` for the latest 1440 bars, `…/history-candles` for all.

use serde_json::{Value, json};

use super::path::Manner;
use super::spoil::{self, PLAIN};
use super::{Answer, Asked, Venue};
use crate::market::MINUTE_MS;

pub(super) const VENUE: Venue = Venue {
    name: "okx",
    manner: Manner { is_dollar: false, digits: 1, volume: 10.0, quiet: 0.0, is_filled: false },
    allowed: (20, 2_000),
    answer,
    too_often: |wait_ms| Answer {
        status: 429,
        body: r#"{"code":"50011","msg":"Requests too frequent.","data":[]}"#.into(),
        retry_after: Some((wait_ms + 999) / 1_000),
    },
};

const LATEST_BARS: i64 = 1_440;
const ROWS_MAX: i64 = 300;

fn answer(asked: &Asked<'_>) -> Answer {
    let refuse = |code: &str, words: &str| {
        Answer::of(200, json!({"code": code, "msg": words, "data": []}).to_string())
    };
    let ask = asked.ask;
    let is_latest = match ask.path.as_str() {
        "/api/v5/market/candles" => true,
        "/api/v5/market/history-candles" => false,
        _ => return Answer::of(404, r#"{"code":"404","msg":"Not Found","data":[]}"#.into()),
    };
    if ask.text("instId") != Some("BTC-USDT") {
        return refuse("51001", "Instrument ID does not exist");
    }
    let minutes = match ask.text("bar") {
        None | Some("1m") => 1,
        Some("3m") => 3,
        Some("5m") => 5,
        Some("15m") => 15,
        Some("30m") => 30,
        Some("1H") => 60,
        Some(_) => return refuse("51000", "Parameter bar error"),
    };
    let number = |name: &str| ask.text(name).map(str::parse::<i64>).transpose();
    let (Ok(after), Ok(before), Ok(limit)) = (number("after"), number("before"), number("limit")) else {
        return refuse("51000", "Parameter error");
    };
    let length = minutes * MINUTE_MS;
    let newest = ask.now_ms.div_euclid(length) * length;
    let first = asked.path.first_ms().max(if is_latest { newest - (LATEST_BARS - 1) * length } else { 0 });
    // Older than `after`, newer than `before`, neither included; newest first.
    let last = after.map_or(newest, |after| ((after - 1).div_euclid(length) * length).min(newest));
    let first = before.map_or(first, |before| first.max(before + 1));
    let count = limit.unwrap_or(100).clamp(1, ROWS_MAX);
    let mut rows = Vec::new();
    let mut open_ms = last;
    while open_ms >= first && (rows.len() as i64) < count {
        rows.extend(asked.path.candle(open_ms, minutes).map(|candle| {
            let price = &candle.price;
            let value = price.volume.checked_mul(price.close).unwrap_or_default().rounded(8).to_string();
            let is_over = open_ms + length <= ask.now_ms;
            let mut row: Vec<Value> = vec![open_ms.to_string().into()];
            let numbers = [price.open, price.high, price.low, price.close, price.volume];
            row.extend(numbers.map(|number| Value::from(number.to_string())));
            row.extend([Value::from(value.clone()), value.into(), if is_over { "1" } else { "0" }.into()]);
            row
        }));
        open_ms -= length;
    }
    let rows: Vec<Value> = spoil::rows(rows, PLAIN, asked.faults).into_iter().map(Value::from).collect();
    Answer::of(200, json!({"code": "0", "msg": "", "data": rows}).to_string())
}
