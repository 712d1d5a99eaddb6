//! Coinbase Exchange: `GET /products/BTC-USD/candles`.

use model::{Candle, Time};
use serde_json::{Value, json};

use super::path::Manner;
use super::spoil::{self, Layout};
use super::{Answer, Asked, Venue, openings};
use crate::market::MINUTE_MS;

pub(super) const VENUE: Venue = Venue {
    name: "coinbase",
    manner: Manner { is_dollar: true, digits: 2, volume: 6.0, quiet: 0.02, is_filled: false },
    allowed: (15, 1_000),
    answer,
    too_often: |wait_ms| Answer {
        status: 429,
        body: r#"{"message":"Public rate limit exceeded"}"#.into(),
        retry_after: Some((wait_ms + 999) / 1_000),
    },
};

const ROWS_MAX: i64 = 300;
const LAYOUT: Layout = Layout { columns: [0, 3, 2, 1, 4], unit_ms: 1_000 };

fn answer(asked: &Asked<'_>) -> Answer {
    let refuse = |status, words: &str| Answer::of(status, json!({"message": words}).to_string());
    let ask = asked.ask;
    if ask.path != "/products/BTC-USD/candles" {
        return refuse(404, "NotFound");
    }
    let minutes = match ask.text("granularity") {
        Some("60") => 1,
        None | Some("300") => 5,
        Some("900") => 15,
        Some("3600") => 60,
        Some("21600") => 360,
        Some("86400") => 1_440,
        Some(_) => return refuse(400, "Unsupported granularity"),
    };
    let length = minutes * MINUTE_MS;
    let time = |name: &str| ask.text(name).map(|text| Time::parse(text).map(Time::millis));
    let (start, end) = match (time("start"), time("end")) {
        (Some(None), _) | (_, Some(None)) => return refuse(400, "Invalid start or end"),
        (Some(Some(start)), Some(Some(end))) => (start, end),
        // One bound alone counts for nothing.
        _ => (ask.now_ms - (ROWS_MAX - 1) * length, ask.now_ms),
    };
    // Both bounds count.
    if (end - start) / length + 1 > ROWS_MAX {
        return refuse(400, "Count of aggregations requested exceeds 300");
    }
    let opens = openings((start.max(asked.path.first_ms()), end.min(ask.now_ms)), minutes);
    let rows = opens.rev().filter_map(|open_ms| asked.path.candle(open_ms, minutes)).map(|one| row(&one));
    let rows = spoil::rows(rows.collect(), LAYOUT, asked.faults);
    Answer::of(200, Value::from(rows.into_iter().map(Value::from).collect::<Vec<_>>()).to_string())
}

fn row(candle: &Candle) -> Vec<Value> {
    let price = &candle.price;
    let numbers = [price.low, price.high, price.open, price.close, price.volume];
    let mut row = vec![Value::from(candle.open_time.millis() / 1_000)];
    row.extend(numbers.map(|number| Value::from(number.to_f64())));
    row
}
