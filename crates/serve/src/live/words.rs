//! What WebSocket clients say, read and checked. Carrying it out is left to the hub.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use model::{InstrumentId, Time, Timeframe};
use serde::Deserialize;
use serde_json::Value;
use tables::BTC;

use super::chain::Topic;
use super::place::Place;
use crate::house::{House, cut};
use crate::refusal::Refusal;
use crate::rest::klines;

/// Candles a new subscription starts with unless told.
const INITIAL_DEFAULT: usize = 20;
/// Most candles a new subscription may start with.
const INITIAL_MAX: usize = 5_000;
/// Most candles all subscriptions of one message may start with.
const INITIAL_SUM_MAX: usize = 100_000;

/// Names of an instrument in messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) id: InstrumentId,
    pub(crate) symbol: Box<str>,
    pub(crate) venue: &'static str,
    pub(crate) listed_time: Option<Time>,
}

/// A stream of single news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stream {
    Trades,
    Quotes,
    Book,
}

impl Stream {
    pub(crate) const ALL: [Self; 3] = [Self::Trades, Self::Quotes, Self::Book];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Book => "book",
        }
    }
}

/// What a client wants of one instrument.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) names: Arc<Names>,
    /// Timeframes with the number of candles to start with.
    pub(crate) candles: Vec<(Timeframe, usize)>,
    pub(crate) streams: Vec<Stream>,
    /// The last place the client has seen.
    pub(crate) resume_from: Option<Place>,
    /// The last numeric trade id the client has seen.
    pub(crate) last_trade_id: Option<i64>,
}

/// What a client wants of all.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) wanted: Vec<Wanted>,
    /// What it wants of the chain, if anything.
    pub(crate) chain: Option<BTreeSet<Topic>>,
}

impl Asked {
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.chain.is_none()
    }
}

/// A checked request.
#[derive(Debug)]
pub(crate) enum Request {
    Subscribe(Asked),
    /// Nothing listed for an instrument means everything of it; no instrument and no chain means everything.
    Unsubscribe(Asked),
    Ping,
}

/// What a message came to: perhaps a request, and what was wrong with parts of it.
pub(crate) struct Heard {
    /// The client's own mark, repeated in answers.
    pub(crate) id: Option<Value>,
    pub(crate) request: Option<Request>,
    pub(crate) refusals: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageWords {
    action: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    subscriptions: Vec<SubscriptionWords>,
    #[serde(default)]
    resume_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscriptionWords {
    #[serde(default)]
    symbol: Option<String>,
    #[serde(default)]
    chain: Option<String>,
    #[serde(default)]
    venue: Option<String>,
    #[serde(default)]
    timeframes: Vec<TimeframeWords>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    resume_from: Option<String>,
    #[serde(default)]
    last_trade_id: Option<IdWords>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TimeframeWords {
    Full(FullTimeframe),
    Bare(Length),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullTimeframe {
    timeframe: Length,
    #[serde(default = "initial_default")]
    initial_candles: usize,
}

const fn initial_default() -> usize {
    INITIAL_DEFAULT
}

/// `15` or `"15m"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Length {
    Number(serde_json::Number),
    Text(String),
}

impl Length {
    fn read(&self) -> Result<Timeframe, Refusal> {
        match self {
            Self::Number(number) => klines::timeframe(&number.to_string()),
            Self::Text(text) => klines::timeframe(text),
        }
    }
}

/// `26129` or `"26129"`: JavaScript cannot hold every id as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum IdWords {
    Number(i64),
    Text(String),
}

impl IdWords {
    fn read(&self) -> Result<i64, Refusal> {
        let id = match self {
            Self::Number(id) => Some(*id),
            Self::Text(text) => text.parse().ok(),
        };
        id.filter(|id| *id >= 0).ok_or_else(|| {
            Refusal::bad(
                "bad_id",
                "last_trade_id is no id",
                "send the last aggregate_id you have seen, as a number or as text",
            )
        })
    }
}

const EXAMPLE: &str = r#"such as {"action":"subscribe","subscriptions":[{"symbol":"BTCUSDT","timeframes":[{"timeframe":15,"initial_candles":100}],"channels":["trades"]}]}"#;

/// Reads a message.
pub(crate) fn hear(house: &House, text: &str) -> Heard {
    let words: MessageWords = match serde_json::from_str(text) {
        Ok(words) => words,
        Err(error) => {
            let id = serde_json::from_str::<Value>(text).ok().and_then(|value| value.get("id").cloned());
            let refusal =
                Refusal::bad("bad_json", format!("the message is not as expected: {error}"), EXAMPLE);
            return Heard { id, request: None, refusals: vec![refusal] };
        }
    };
    let id = words.id.clone();
    match words.action.as_str() {
        "subscribe" if words.subscriptions.is_empty() => Heard {
            id,
            request: None,
            refusals: vec![Refusal::bad("bad_request", "nothing to subscribe to", EXAMPLE)],
        },
        "subscribe" => {
            let (asked, mut refusals) = all_wanted(house, &words, true);
            let sum: usize =
                asked.wanted.iter().flat_map(|one| &one.candles).map(|(_, initial)| initial).sum();
            if sum > INITIAL_SUM_MAX {
                refusals.push(Refusal::bad(
                    "too_many_candles",
                    format!("the message asks for {sum} initial candles, more than {INITIAL_SUM_MAX}"),
                    "subscribe in several messages, or read history from /api/v1/data/klines",
                ));
                return Heard { id, request: None, refusals };
            }
            Heard { id, request: (!asked.is_empty()).then_some(Request::Subscribe(asked)), refusals }
        }
        "unsubscribe" => {
            let (asked, refusals) = all_wanted(house, &words, false);
            let is_heard = refusals.is_empty() || !asked.is_empty();
            Heard { id, request: is_heard.then_some(Request::Unsubscribe(asked)), refusals }
        }
        "ping" => Heard { id, request: Some(Request::Ping), refusals: Vec::new() },
        other => {
            let refusal = Refusal::bad(
                "unknown_action",
                format!("unknown action {:?}", cut(other)),
                "use subscribe, unsubscribe or ping",
            );
            Heard { id, request: None, refusals: vec![refusal] }
        }
    }
}

// Each subscription stands for itself: a wrong one is refused, the others are carried out.
fn all_wanted(house: &House, words: &MessageWords, is_new: bool) -> (Asked, Vec<Refusal>) {
    let (mut asked, mut refusals) = (Asked::default(), Vec::new());
    for subscription in &words.subscriptions {
        let heard = match &subscription.chain {
            Some(chain) => chain_wanted(house, chain, subscription)
                .map(|topics| asked.chain.get_or_insert_default().extend(topics)),
            None => one_wanted(house, subscription, words.resume_from.as_deref(), is_new)
                .map(|one| asked.wanted.push(one)),
        };
        refusals.extend(heard.err());
    }
    (asked, refusals)
}

const CHAIN_EXAMPLE: &str = r#"such as {"action":"subscribe","subscriptions":[{"chain":"btc","channels":["primitive_ready"]}]}; without channels all of them"#;

/// Channels of the chain; all if none is named.
fn chain_wanted(house: &House, chain: &str, words: &SubscriptionWords) -> Result<BTreeSet<Topic>, Refusal> {
    if chain != BTC {
        let message = format!("unknown chain {:?}", cut(chain));
        return Err(Refusal::unknown("unknown_chain", message, "use btc"));
    }
    if house.doors.chain.is_none() {
        return Err(crate::rest::btc::not_followed());
    }
    let is_for_instruments = words.symbol.is_some()
        || words.venue.is_some()
        || !words.timeframes.is_empty()
        || words.resume_from.is_some()
        || words.last_trade_id.is_some();
    if is_for_instruments {
        return Err(Refusal::bad("bad_request", "a chain has channels and nothing else", CHAIN_EXAMPLE));
    }
    let topic = |name: &String| {
        Topic::ALL.into_iter().find(|topic| topic.as_str() == name).ok_or_else(|| {
            let names = Topic::ALL.map(Topic::as_str).join(", ");
            Refusal::bad(
                "unknown_channel",
                format!("unknown channel {:?} of a chain", cut(name)),
                format!("use {names}"),
            )
        })
    };
    if words.channels.is_empty() {
        return Ok(Topic::ALL.into());
    }
    words.channels.iter().map(topic).collect()
}

fn one_wanted(
    house: &House,
    words: &SubscriptionWords,
    resume_from: Option<&str>,
    is_new: bool,
) -> Result<Wanted, Refusal> {
    let symbol = words.symbol.as_deref().ok_or_else(|| {
        Refusal::bad("bad_request", "a subscription names neither a symbol nor a chain", EXAMPLE)
    })?;
    let instrument = house.instrument(symbol, words.venue.as_deref())?;
    let mut candles = Vec::with_capacity(words.timeframes.len());
    for wanted in &words.timeframes {
        let (length, initial) = match wanted {
            TimeframeWords::Full(full) => (&full.timeframe, full.initial_candles),
            TimeframeWords::Bare(length) => (length, INITIAL_DEFAULT),
        };
        if initial > INITIAL_MAX {
            return Err(Refusal::bad(
                "too_many_candles",
                format!("initial_candles is {initial}, more than {INITIAL_MAX}"),
                "read more history from /api/v1/data/klines",
            ));
        }
        let timeframe = length.read()?;
        if !candles.iter().any(|(known, _)| *known == timeframe) {
            candles.push((timeframe, initial));
        }
    }
    let mut streams = words.channels.iter().map(|name| stream(name)).collect::<Result<Vec<_>, _>>()?;
    streams.sort_unstable();
    streams.dedup();
    if is_new && candles.is_empty() && streams.is_empty() {
        return Err(Refusal::bad(
            "bad_request",
            format!("nothing is wanted of {}", instrument.symbol),
            EXAMPLE,
        ));
    }
    let resume_from = words.resume_from.as_deref().or(resume_from).map(place).transpose()?;
    let last_trade_id = words.last_trade_id.as_ref().map(IdWords::read).transpose()?;
    let names = Names {
        venue: instrument.id.venue().as_str(),
        id: instrument.id,
        symbol: instrument.symbol,
        listed_time: instrument.listed_time,
    };
    Ok(Wanted { names: Arc::new(names), candles, streams, resume_from, last_trade_id })
}

fn stream(name: &str) -> Result<Stream, Refusal> {
    Stream::ALL.into_iter().find(|stream| stream.as_str() == name).ok_or_else(|| {
        Refusal::bad(
            "unknown_channel",
            format!("unknown channel {:?}", cut(name)),
            "use trades, quotes or book",
        )
    })
}

fn place(text: &str) -> Result<Place, Refusal> {
    Place::from_str(text).map_err(|_| {
        Refusal::bad(
            "bad_position",
            format!("resume_from is no position: {:?}", cut(text)),
            "send the position of the last message you have seen, such as 12345.0",
        )
    })
}
