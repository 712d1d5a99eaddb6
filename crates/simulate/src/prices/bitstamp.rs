//! Bitstamp: `GET /api/v2/ohlc/btcusd/`.

use serde_json::{Value, json};

use super::path::Manner;
use super::spoil::{self, Layout};
use super::{Answer, Asked, Venue, openings};
use crate::market::MINUTE_MS;

pub(super) const VENUE: Venue = Venue {
    name: "bitstamp",
    manner: Manner { is_dollar: true, digits: 0, volume: 1.2, quiet: 0.08, is_filled: true },
    allowed: (400, 1_000),
    answer,
    too_often: |_| {
        let words = json!({"response_code": "400.067", "response_explanation": "Rate limit exceeded"});
        Answer::of(400, words.to_string())
    },
};

const ROWS_MAX: i64 = 1_000;
const LAYOUT: Layout = Layout { columns: [0, 1, 2, 3, 4], unit_ms: 1_000 };
const NAMES: [&str; 6] = ["timestamp", "open", "high", "low", "close", "volume"];

fn answer(asked: &Asked<'_>) -> Answer {
    let refuse = |status, code: &str, words: &str| {
        Answer::of(status, json!({"response_code": code, "response_explanation": words}).to_string())
    };
    let ask = asked.ask;
    if !ask.path.starts_with("/api/v2/ohlc/") {
        return refuse(404, "404.001", "Not found.");
    }
    if ask.path != "/api/v2/ohlc/btcusd/" {
        return refuse(404, "404.007", "Market not found.");
    }
    let number = |name: &str| ask.text(name).map(str::parse::<i64>).transpose();
    let (Ok(step), Ok(limit), Ok(start), Ok(end)) =
        (number("step"), number("limit"), number("start"), number("end"))
    else {
        return refuse(400, "400.006", "Invalid parameter");
    };
    let Some(minutes) =
        step.filter(|step| [60, 180, 300, 900, 1_800, 3_600].contains(step)).map(|step| step / 60)
    else {
        return refuse(400, "400.006", "Invalid step");
    };
    let Some(limit) = limit.filter(|limit| (1..=ROWS_MAX).contains(limit)) else {
        return refuse(400, "400.006", "Invalid limit");
    };
    let length = minutes * MINUTE_MS;
    let is_open_shown = ask.text("exclude_current_candle") != Some("true");
    let newest = ask.now_ms.div_euclid(length) * length - if is_open_shown { 0 } else { length };
    let aligned = |seconds: i64| (seconds * 1_000).div_euclid(length) * length;
    // The end wins: the window ends there, however long it is.
    let last = match (start, end) {
        (_, Some(end)) => aligned(end).min(newest),
        (Some(start), None) => (aligned(start) + (limit - 1) * length).min(newest),
        (None, None) => newest,
    };
    let first = (last - (limit - 1) * length).max(asked.path.first_ms());
    let opens = openings((first, last), minutes);
    let rows = opens.filter_map(|open_ms| asked.path.candle(open_ms, minutes)).map(|candle| {
        let price = &candle.price;
        let mut row: Vec<Value> = vec![(candle.open_time.millis() / 1_000).to_string().into()];
        let numbers = [price.open, price.high, price.low, price.close, price.volume];
        row.extend(numbers.map(|number| Value::from(number.to_string())));
        row
    });
    let rows = spoil::rows(rows.collect(), LAYOUT, asked.faults).into_iter().map(|row| {
        let cells = NAMES.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), cell));
        Value::Object(cells.collect())
    });
    let rows: Vec<Value> = rows.collect();
    Answer::of(200, json!({"data": {"pair": "BTC/USD", "market": "BTC/USD", "ohlc": rows}}).to_string())
}
