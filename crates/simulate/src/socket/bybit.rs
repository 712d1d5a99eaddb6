//! The words of Bybit's public streams: topics, requests, answers.

use serde_json::Value;

use super::{Reply, Session};
use crate::hash;
use crate::hub::{Key, Kind};
use crate::market::{Interval, Protocol};
use crate::wire::quoted;
use crate::world::{Generated, Source};

/// Most characters of all topics of a connection.
const ARGS_MAX: usize = 21_000;
const SPOT_ARGS_MAX: usize = 10;

/// Answers a message.
pub(super) fn hear(session: &mut Session, text: &str) -> Vec<Reply> {
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        return vec![answer(session, &Value::Null, "", Err("error:invalid JSON".into()))];
    };
    let id = request.get("req_id").cloned().unwrap_or(Value::Null);
    let op = request.get("op").and_then(Value::as_str).unwrap_or_default();
    let topics: Option<Vec<String>> = request
        .get("args")
        .and_then(Value::as_array)
        .and_then(|args| args.iter().map(|topic| topic.as_str().map(str::to_owned)).collect());
    let outcome = match (op, topics) {
        ("ping", _) => Ok("pong"),
        ("subscribe", Some(topics)) if !topics.is_empty() => subscribe(session, &topics),
        ("unsubscribe", Some(topics)) if !topics.is_empty() => {
            for topic in &topics {
                session.unsubscribe(topic);
            }
            Ok("")
        }
        ("subscribe" | "unsubscribe", _) => Err("error:args is empty".into()),
        _ => Err(format!("error:unknown op:{op}")),
    };
    vec![answer(session, &id, op, outcome)]
}

fn answer(session: &Session, id: &Value, op: &str, outcome: Result<&'static str, String>) -> Reply {
    let is_spot = session.venue.protocol == Protocol::Bybit;
    let (is_done, words) = match outcome {
        // Spot repeats the word, linear is silent.
        Ok("") => (true, if is_spot { op.to_owned() } else { String::new() }),
        Ok(words) => (true, words.to_owned()),
        Err(words) => (false, words),
    };
    let connection = hash::at(0xB1B1, session.client.number as i64);
    let (words, op) = (quoted(&words), quoted(op));
    let id = match id {
        Value::Null if is_spot => String::new(),
        Value::Null => r#""req_id":"","#.to_owned(),
        id => format!(r#""req_id":{id},"#),
    };
    Reply::Text(format!(
        r#"{{"success":{is_done},"ret_msg":{words},"conn_id":"{connection:016x}-sim",{id}"op":{op}}}"#
    ))
}

/// One bad topic refuses the whole request.
fn subscribe(session: &mut Session, topics: &[String]) -> Result<&'static str, String> {
    if session.venue.protocol == Protocol::Bybit && topics.len() > SPOT_ARGS_MAX {
        return Err("error:args size >10".into());
    }
    let length = session.streams.iter().map(|(name, _)| name.len()).sum::<usize>()
        + topics.iter().map(String::len).sum::<usize>();
    if length > ARGS_MAX {
        return Err("error:args length >21000".into());
    }
    let mut keys = Vec::with_capacity(topics.len());
    for topic in topics {
        if session.streams.iter().any(|(known, _)| known == topic) {
            return Err(format!("error:already subscribed,topic:{topic}"));
        }
        let key = match &session.venue.source {
            Source::Recorded(_) => Key::Named(topic.as_str().into()),
            Source::Generated(listed) => generated_key(session, &listed.now(), topic)
                .ok_or_else(|| format!("error:handler not found,topic:{topic}"))?,
        };
        keys.push((topic, key));
    }
    for (topic, key) in keys {
        session.subscribe(topic, Some(key));
    }
    Ok("")
}

fn generated_key(session: &Session, world: &Generated, topic: &str) -> Option<Key> {
    let (channel, symbol) = topic.rsplit_once('.')?;
    let place = *world.by_symbol.get(symbol)?;
    if world.markets[place].is_over(session.house.time.market_ms()) {
        return None;
    }
    let (index, protocol) = (place as u32, session.venue.protocol);
    let kind = match channel.split_once('.') {
        None if channel == "publicTrade" => Kind::PublicTrade,
        None if channel == "tickers" => Kind::Tickers,
        // Liquidations are rare enough to never happen here.
        None if channel == "allLiquidation" => return Some(Key::Named(topic.into())),
        Some(("orderbook", levels @ ("1" | "50" | "200" | "1000"))) => {
            Kind::Orderbook { levels: levels.parse().ok()? }
        }
        Some(("kline", word)) => Kind::Kline { interval: Interval::named(protocol, word)?.0 },
        _ => return None,
    };
    Some(Key::Market(index, kind))
}
