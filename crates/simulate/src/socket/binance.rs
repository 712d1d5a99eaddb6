//! The words of Binance's streams: names, requests, answers.

use serde_json::Value;

use super::{Reply, Session};
use crate::hub::{Key, Kind};
use crate::market::{Interval, Protocol};
use crate::recording;
use crate::wire::quoted;
use crate::world::{Generated, Source};

/// Most streams of a connection.
pub(super) const STREAMS_MAX: usize = 1_024;

/// Groups of streams on Binance futures; spot has one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Everything.
    Whole,
    /// Quotes, books and raw trades; the old addresses without a group are this one too.
    Public,
    /// Aggregated trades, bars, marks.
    Market,
}

impl Route {
    /// Whether this address serves a stream. On the wrong one it is accepted and stays mute.
    fn serves(self, name: &str) -> bool {
        let channel = name.split_once('@').map_or(name, |(_, channel)| channel);
        let is_public =
            ["bookTicker", "depth", "rpiDepth", "trade"].iter().any(|public| channel.starts_with(public))
                || name.starts_with("!bookTicker");
        match self {
            Self::Whole => true,
            Self::Public => is_public,
            Self::Market => !is_public,
        }
    }
}

/// The stream of a name, if anything will ever come on it.
pub(crate) fn key(session: &Session, name: &str) -> Option<Key> {
    if !session.route.serves(name) {
        return None;
    }
    match &session.venue.source {
        Source::Recorded(_) => Some(Key::Named(recording::canonical(name).into())),
        Source::Generated(listed) => generated_key(&listed.now(), session.venue.protocol, name),
    }
}

fn generated_key(world: &Generated, protocol: Protocol, name: &str) -> Option<Key> {
    let is_futures = protocol == Protocol::BinanceFutures;
    if is_futures && (name == "!markPrice@arr" || name == "!markPrice@arr@1s") {
        let every_ms = if name.ends_with("@1s") { 1_000 } else { 3_000 };
        return Some(Key::All(Kind::MarkPrice { every_ms }));
    }
    let (symbol, channel) = name.split_once('@')?;
    let index = *world.by_symbol.get(&symbol.to_uppercase())?;
    // Names are lower case; others are accepted and stay mute.
    if world.markets[index].stream_symbol != symbol {
        return None;
    }
    let kind = match channel {
        "aggTrade" => Kind::AggTrade,
        "trade" => Kind::Trade,
        "bookTicker" => Kind::BookTicker,
        "miniTicker" => Kind::MiniTicker,
        "markPrice" if is_futures => Kind::MarkPrice { every_ms: 3_000 },
        "markPrice@1s" if is_futures => Kind::MarkPrice { every_ms: 1_000 },
        _ => match channel.strip_prefix("kline_") {
            Some(word) => Kind::Kline { interval: Interval::named(protocol, word)?.0 },
            None => depth_kind(channel.strip_prefix("depth")?, is_futures)?,
        },
    };
    Some(Key::Market(index as u32, kind))
}

fn depth_kind(rest: &str, is_futures: bool) -> Option<Kind> {
    let (levels, speed) = rest.split_once('@').unwrap_or((rest, ""));
    let every_ms = match (speed, is_futures) {
        ("", false) => 1_000,
        ("", true) => 250,
        ("100ms", _) => 100,
        ("0ms", true) => 50,
        ("500ms", true) => 500,
        _ => return None,
    };
    match levels {
        "" => Some(Kind::Depth { every_ms }),
        "5" | "10" | "20" => Some(Kind::PartialDepth { levels: levels.parse().ok()?, every_ms }),
        _ => None,
    }
}

/// Counts a message against the limit; says if it was broken.
pub(super) fn count(session: &mut Session) -> Option<Reply> {
    let most = match session.venue.protocol {
        Protocol::Binance => 5,
        Protocol::BinanceFutures => 10,
        _ => return None,
    };
    let now = session.house.time.real_ms();
    session.recent_ms.retain(|at| now - at < 1_000);
    session.recent_ms.push(now);
    (session.recent_ms.len() > most).then_some(Reply::Close(1008, "Too many requests"))
}

/// How often the venue pings and how long it waits, in milliseconds.
pub(super) fn ping_times(session: &Session) -> (i64, i64) {
    let (every, within) = match session.venue.protocol {
        Protocol::Binance => (20_000, 60_000),
        _ => (180_000, 600_000),
    };
    let limits = &session.house.limits;
    (
        limits.ping_every.map_or(every, |every| every.as_millis() as i64),
        limits.pong_within.map_or(within, |within| within.as_millis() as i64),
    )
}

/// What the venue says before it closes a connection; futures say nothing.
pub(super) fn shutdown_notice(session: &Session) -> Option<String> {
    if session.venue.protocol != Protocol::Binance {
        return None;
    }
    let notice = format!(r#"{{"e":"serverShutdown","E":{}}}"#, session.house.time.now_ms());
    let is_combined = session.client.shared.is_combined.load(std::sync::atomic::Ordering::Relaxed);
    Some(if is_combined { format!(r#"{{"stream":"!serverShutdown","data":{notice}}}"#) } else { notice })
}

/// Answers a message.
pub(super) fn hear(session: &mut Session, text: &str) -> Vec<Reply> {
    if let Some(end) = count(session) {
        return vec![end];
    }
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        return vec![refusal(session, &Value::Null, 3, "Invalid JSON: expected value at line 1 column 1")];
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let is_id =
        id.is_null() || id.is_i64() || id.is_u64() || id.as_str().is_some_and(|text| text.len() <= 36);
    if !is_id {
        return vec![refusal(
            session,
            &Value::Null,
            2,
            "Invalid request: request ID must be an unsigned integer",
        )];
    }
    let names: Option<Vec<String>> = request
        .get("params")
        .and_then(Value::as_array)
        .and_then(|params| params.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    let done = |result: &str| Reply::Text(format!(r#"{{"result":{result},"id":{id}}}"#));
    match (request.get("method").and_then(Value::as_str), names) {
        (Some("SUBSCRIBE"), Some(names)) if !names.is_empty() => {
            for name in names {
                if session.streams.len() >= STREAMS_MAX {
                    let words = "Invalid request: too many streams, at most 1024";
                    return vec![refusal(session, &id, 2, words), Reply::Close(1008, "too many streams")];
                }
                let key = key(session, &name);
                session.subscribe(&name, key);
            }
            vec![done("null")]
        }
        (Some("UNSUBSCRIBE"), Some(names)) if !names.is_empty() => {
            for name in &names {
                session.unsubscribe(name);
            }
            vec![done("null")]
        }
        (Some("LIST_SUBSCRIPTIONS"), _) => {
            let names: Vec<String> = session.streams.iter().map(|(name, _)| quoted(name)).collect();
            vec![done(&format!("[{}]", names.join(",")))]
        }
        (Some("SET_PROPERTY"), _) => property(session, &request, &id),
        (Some("GET_PROPERTY"), _) => {
            let is_combined = session.client.shared.is_combined.load(std::sync::atomic::Ordering::Relaxed);
            vec![done(&is_combined.to_string())]
        }
        (Some("SUBSCRIBE" | "UNSUBSCRIBE"), _) => {
            vec![refusal(session, &id, 2, "Invalid request: `params` must be a list of stream names")]
        }
        (Some(other), _) => {
            let words = format!(
                "Invalid request: unknown variant `{other}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, \
                 `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
            );
            vec![refusal(session, &id, 2, &words)]
        }
        (None, _) => vec![refusal(session, &id, 2, "Invalid request: missing field `method`")],
    }
}

fn property(session: &Session, request: &Value, id: &Value) -> Vec<Reply> {
    let params = request.get("params").and_then(Value::as_array);
    let pair = params.and_then(|params| Some((params.first()?.as_str()?, params.get(1)?.as_bool()?)));
    let Some(("combined", is_combined)) = pair else {
        return vec![refusal(session, id, 0, "Unknown property")];
    };
    session.client.shared.is_combined.store(is_combined, std::sync::atomic::Ordering::Relaxed);
    vec![Reply::Text(format!(r#"{{"result":null,"id":{id}}}"#))]
}

fn refusal(session: &Session, id: &Value, code: u8, words: &str) -> Reply {
    let words = quoted(words);
    Reply::Text(if session.venue.protocol == Protocol::Binance {
        format!(r#"{{"code":{code},"msg":{words},"id":{id}}}"#)
    } else {
        format!(r#"{{"error":{{"code":{code},"msg":{words}}},"id":{id}}}"#)
    })
}
