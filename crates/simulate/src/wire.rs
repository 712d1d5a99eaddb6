//! The venues' JSON, written by hand so that the simulator is a witness of its own against the decoders.

pub(crate) mod binance;
pub(crate) mod bybit;

use crate::market::Step;

/// `["price","quantity"]` pairs, comma-separated.
fn levels(levels: &[(i64, i64)], tick: &Step, lot: &Step, zero: Option<&str>) -> String {
    let mut out = String::with_capacity(levels.len() * 28);
    for (price, lots) in levels {
        if !out.is_empty() {
            out.push(',');
        }
        let quantity = match zero {
            Some(zero) if *lots == 0 => zero.to_owned(),
            _ => lot.text(*lots),
        };
        out.push_str("[\"");
        out.push_str(&tick.text(*price));
        out.push_str("\",\"");
        out.push_str(&quantity);
        out.push_str("\"]");
    }
    out
}

/// A string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
