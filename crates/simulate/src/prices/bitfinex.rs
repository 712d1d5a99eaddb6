//! Bitfinex: `GET /v2/candles/trade:5m:tBTCUSD/hist`.

use serde_json::{Value, json};

use super::path::Manner;
use super::spoil::{self, Layout};
use super::{Answer, Asked, Venue, openings};

pub(super) const VENUE: Venue = Venue {
    name: "bitfinex",
    manner: Manner { is_dollar: true, digits: 1, volume: 0.9, quiet: 0.12, is_filled: false },
    allowed: (30, 60_000),
    answer,
    too_often: |wait_ms| Answer {
        status: 429,
        body: r#"{"error":"ERR_RATE_LIMIT"}"#.into(),
        retry_after: Some((wait_ms + 999) / 1_000),
    },
};

const ROWS_MAX: i64 = 10_000;
const LAYOUT: Layout = Layout { columns: [0, 1, 3, 4, 2], unit_ms: 1 };

fn answer(asked: &Asked<'_>) -> Answer {
    let refuse = |code: i64, words: &str| Answer::of(500, json!(["error", code, words]).to_string());
    let ask = asked.ask;
    let Some(key) = ask.path.strip_prefix("/v2/candles/") else { return refuse(10_020, "path: invalid") };
    let parts: Vec<&str> = key.split([':', '/']).collect();
    let ["trade", interval, symbol, section @ ("hist" | "last")] = parts[..] else {
        return refuse(10_020, "key: invalid");
    };
    if symbol != "tBTCUSD" {
        return refuse(10_020, "symbol: invalid");
    }
    let minutes = match interval {
        "1m" => 1,
        "5m" => 5,
        "15m" => 15,
        "30m" => 30,
        "1h" => 60,
        _ => return refuse(10_020, "time_interval: invalid"),
    };
    let number = |name: &str| ask.text(name).map(str::parse::<i64>).transpose();
    let (Ok(start), Ok(end), Ok(limit)) = (number("start"), number("end"), number("limit")) else {
        return refuse(10_020, "start, end, limit: invalid");
    };
    let limit = limit.unwrap_or(100);
    if !(1..=ROWS_MAX).contains(&limit) {
        return refuse(10_020, "limit: invalid");
    }
    let first = start.unwrap_or(0).max(asked.path.first_ms());
    let opens = openings((first, end.unwrap_or(ask.now_ms).min(ask.now_ms)), minutes);
    let limit = if section == "last" { 1 } else { limit as usize };
    let candle = |open_ms| asked.path.candle(open_ms, minutes);
    // Newest first unless asked otherwise.
    let candles: Vec<_> = if ask.text("sort") == Some("1") && section == "hist" {
        opens.filter_map(candle).take(limit).collect()
    } else {
        opens.rev().filter_map(candle).take(limit).collect()
    };
    let rows = candles.iter().map(|candle| {
        let price = &candle.price;
        let numbers = [price.open, price.close, price.high, price.low, price.volume];
        let mut row = vec![Value::from(candle.open_time.millis())];
        row.extend(numbers.map(|number| Value::from(number.to_f64())));
        row
    });
    let rows = spoil::rows(rows.collect(), LAYOUT, asked.faults).into_iter().map(Value::from);
    let mut rows: Vec<Value> = rows.collect();
    if section == "last" {
        return Answer::of(200, rows.pop().unwrap_or_else(|| json!([])).to_string());
    }
    Answer::of(200, Value::from(rows).to_string())
}
