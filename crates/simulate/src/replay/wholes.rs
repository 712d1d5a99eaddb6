//! What Bybit's streams amount to so far in a recording: who subscribes later is sent the whole before the changes, as
//! the venue does. Sending is left to `replay`.

use std::collections::{BTreeMap, HashMap};

use model::Decimal;
use serde_json::{Map, Value, json};

/// The whole of every stream that sends changes, by topic.
#[derive(Debug, Default)]
pub(super) struct Wholes(HashMap<Box<str>, Whole>);

#[derive(Debug)]
enum Whole {
    Book {
        bids: BTreeMap<Decimal, Value>,
        asks: BTreeMap<Decimal, Value>,
    },
    /// The newest value of every field.
    Ticker(Map<String, Value>),
}

impl Wholes {
    /// Takes a frame whose turn it is, and gives it back if it is a change. Frames that are whole themselves, and changes
    /// before the first of them, are not.
    pub(super) fn take(&mut self, topic: &str, raw: &str) -> Option<Value> {
        let is_book = topic.starts_with("orderbook.");
        if !is_book && !topic.starts_with("tickers.") {
            return None;
        }
        let frame: Value = serde_json::from_str(raw).ok()?;
        let is_change = frame["type"] != "snapshot";
        if !is_change {
            let whole = if is_book {
                Whole::Book { bids: BTreeMap::new(), asks: BTreeMap::new() }
            } else {
                Whole::Ticker(Map::new())
            };
            self.0.insert(topic.into(), whole);
        }
        self.0.get_mut(topic)?.change(&frame["data"]);
        is_change.then_some(frame)
    }

    /// The snapshot that says all that a change led to.
    pub(super) fn snapshot(&self, topic: &str, mut change: Value) -> Option<Value> {
        self.0.get(topic)?.write(&mut change["data"]);
        change["type"] = "snapshot".into();
        Some(change)
    }
}

impl Whole {
    fn change(&mut self, data: &Value) {
        match self {
            Self::Book { bids, asks } => {
                for (side, name) in [(bids, "b"), (asks, "a")] {
                    for level in data[name].as_array().into_iter().flatten() {
                        let number = |at: usize| level[at].as_str()?.parse::<Decimal>().ok();
                        let (Some(price), Some(quantity)) = (number(0), number(1)) else { continue };
                        if quantity.is_zero() {
                            side.remove(&price);
                        } else {
                            side.insert(price, level.clone());
                        }
                    }
                }
            }
            Self::Ticker(fields) => {
                for (name, value) in data.as_object().into_iter().flatten() {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
    }

    fn write(&self, data: &mut Value) {
        match self {
            Self::Book { bids, asks } => {
                data["b"] = bids.values().rev().cloned().collect();
                data["a"] = asks.values().cloned().collect();
            }
            Self::Ticker(fields) => *data = json!(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for snapshots.
    use super::*;

    fn frame(kind: &str, data: &Value) -> String {
        json!({"topic": "t", "type": kind, "ts": 1, "data": data}).to_string()
    }

    fn whole(wholes: &mut Wholes, topic: &str, raw: &str) -> Option<Value> {
        let change = wholes.take(topic, raw)?;
        wholes.snapshot(topic, change)
    }

    #[test]
    fn changes_add_up_to_the_whole_book() {
        let mut wholes = Wholes::default();
        let topic = "orderbook.50.BTCUSDT";
        let change = json!({"s": "BTCUSDT", "b": [["9.5", "0"], ["9", "3"]], "a": [["10.50", "4"]], "u": 8});
        assert_eq!(whole(&mut wholes, topic, &frame("delta", &change)), None, "nothing to begin with");
        let start =
            json!({"s": "BTCUSDT", "b": [["9.5", "1"], ["8", "2"]], "a": [["10.5", "1"], ["11", "1"]]});
        assert_eq!(whole(&mut wholes, topic, &frame("snapshot", &start)), None, "whole by itself");
        let found = whole(&mut wholes, topic, &frame("delta", &change)).unwrap();
        let expect = json!({"s": "BTCUSDT", "b": [["9", "3"], ["8", "2"]], "a": [["10.50", "4"], ["11", "1"]], "u": 8});
        assert_eq!((&found["type"], &found["data"]), (&json!("snapshot"), &expect));
        let again = json!({"b": [["7", "1"]], "a": []});
        assert_eq!(whole(&mut wholes, topic, &frame("snapshot", &again)), None);
        let found =
            whole(&mut wholes, topic, &frame("delta", &json!({"b": [], "a": [["12", "1"]]}))).unwrap();
        assert_eq!(found["data"], json!({"b": [["7", "1"]], "a": [["12", "1"]]}), "a snapshot begins anew");
    }

    #[test]
    fn tickers_keep_the_newest_of_every_field() {
        let mut wholes = Wholes::default();
        let topic = "tickers.BTCUSDT";
        assert_eq!(
            whole(&mut wholes, topic, &frame("snapshot", &json!({"markPrice": "1", "openInterest": "5"}))),
            None
        );
        let found = whole(&mut wholes, topic, &frame("delta", &json!({"markPrice": "2"}))).unwrap();
        assert_eq!(found["data"], json!({"markPrice": "2", "openInterest": "5"}));
        assert_eq!(whole(&mut wholes, "publicTrade.BTCUSDT", &frame("delta", &json!([]))), None);
    }
}
