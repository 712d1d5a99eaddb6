//! What WebSocket clients are told. Serialised once per message and shared by all clients that get it.

use std::collections::BTreeSet;

use axum::extract::ws::Utf8Bytes;
use model::{BookUpdate, Quote, Timeframe, Trade};
use serde::Serialize;
use serde_json::Value;
use tables::{BTC, BookView, Candle};

use super::chain::Topic;
use super::place::Place;
use super::words::{Names, Wanted};
use crate::dto::candle::DataStatus;
use crate::dto::market::{QuoteForm, levels};
use crate::dto::{CandleForm, Number, TradeForm};
use crate::refusal::Refusal;

pub(super) fn text<T: Serialize>(message: &T) -> Utf8Bytes {
    serde_json::to_string(message)
        .expect("messages are plain data with text keys, which always serialise")
        .into()
}

#[derive(Serialize)]
struct News<'a, T> {
    r#type: &'static str,
    symbol: &'a str,
    venue: &'static str,
    instrument: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Place>,
    data: T,
}

fn news<T: Serialize>(kind: &'static str, names: &Names, position: Option<Place>, data: T) -> Utf8Bytes {
    let Names { id, symbol, venue, .. } = names;
    text(&News { r#type: kind, symbol, venue, instrument: id.as_str(), position, data })
}

/// A live trade.
pub(crate) fn trade(names: &Names, place: Place, trade: &Trade) -> Utf8Bytes {
    news("trade", names, Some(place), TradeForm::from(trade))
}

/// A recorded trade, sent again; its place in the log is not kept with it.
pub(crate) fn stored_trade(names: &Names, trade: &TradeForm) -> Utf8Bytes {
    news("trade", names, None, trade)
}

/// A live quote.
pub(crate) fn quote(names: &Names, place: Place, quote: &Quote) -> Utf8Bytes {
    news("quote", names, Some(place), QuoteForm::from(quote))
}

#[derive(Serialize)]
struct BookWords {
    /// The levels are the whole book; otherwise each replaces its level, and a quantity of 0 removes it.
    is_snapshot: bool,
    first_sequence: i64,
    last_sequence: i64,
    timestamp: i64,
    is_stale: bool,
    bids: Vec<[Number; 2]>,
    asks: Vec<[Number; 2]>,
}

/// A live book update.
pub(crate) fn book(names: &Names, place: Place, update: &BookUpdate) -> Utf8Bytes {
    let data = BookWords {
        is_snapshot: update.is_snapshot,
        first_sequence: update.first_sequence,
        last_sequence: update.last_sequence,
        timestamp: update.venue_time.millis(),
        is_stale: false,
        bids: levels(&update.bids),
        asks: levels(&update.asks),
    };
    news("book", names, Some(place), data)
}

/// The whole book from memory, for a client that starts or missed updates.
pub(crate) fn book_snapshot(names: &Names, view: &BookView) -> Utf8Bytes {
    let data = BookWords {
        is_snapshot: true,
        first_sequence: view.sequence,
        last_sequence: view.sequence,
        timestamp: view.venue_time.millis(),
        is_stale: view.is_stale,
        bids: levels(&view.bids),
        asks: levels(&view.asks),
    };
    news("book", names, None, data)
}

/// The book broke its chain and stays as it was until the next snapshot.
pub(crate) fn book_stale(names: &Names, place: Place) -> Utf8Bytes {
    news("book_stale", names, Some(place), serde_json::json!({ "is_stale": true }))
}

#[derive(Serialize)]
struct CandleWords<'a, T> {
    r#type: &'static str,
    symbol: &'a str,
    venue: &'static str,
    instrument: &'a str,
    timeframe: String,
    data: T,
    data_status: DataStatus,
}

fn candle_words<T: Serialize>(
    kind: &'static str,
    names: &Names,
    timeframe: Timeframe,
    (data, data_status): (T, DataStatus),
) -> Utf8Bytes {
    let Names { id, symbol, venue, .. } = names;
    let timeframe = timeframe.to_string();
    text(&CandleWords { r#type: kind, symbol, venue, instrument: id.as_str(), timeframe, data, data_status })
}

/// The newest state of a candle.
pub(crate) fn candle(names: &Names, candle: &Candle, status: DataStatus) -> Utf8Bytes {
    candle_words("ohlcv_update", names, candle.bar.timeframe, (CandleForm::from(candle), status))
}

/// The candles a subscription starts with, ascending.
pub(crate) fn initial(
    names: &Names,
    timeframe: Timeframe,
    candles: &[Candle],
    status: DataStatus,
) -> Utf8Bytes {
    let forms: Vec<CandleForm> = candles.iter().map(CandleForm::from).collect();
    candle_words("initial_candles", names, timeframe, (forms, status))
}

/// What a client did not get.
#[derive(Clone, Copy)]
pub(crate) struct Skipped<'a> {
    pub(crate) channel: &'static str,
    pub(crate) names: &'a Names,
    /// How many; `None` where it cannot be known.
    pub(crate) count: Option<u64>,
    /// False where the count is only a bound from above.
    pub(crate) is_count_exact: bool,
    pub(crate) from_position: Option<Place>,
    pub(crate) to_position: Option<Place>,
    pub(crate) reason: &'static str,
}

#[derive(Serialize)]
struct SkippedWords<'a> {
    r#type: &'static str,
    channel: &'static str,
    symbol: &'a str,
    venue: &'static str,
    instrument: &'a str,
    count: Option<u64>,
    is_count_exact: bool,
    from_position: Option<Place>,
    to_position: Option<Place>,
    reason: &'static str,
}

/// Tells what a client did not get.
pub(crate) fn skipped(skipped: &Skipped<'_>) -> Utf8Bytes {
    let Names { id, symbol, venue, .. } = skipped.names;
    text(&SkippedWords {
        r#type: "skipped",
        channel: skipped.channel,
        symbol,
        venue,
        instrument: id.as_str(),
        count: skipped.count,
        is_count_exact: skipped.is_count_exact && skipped.count.is_some(),
        from_position: skipped.from_position,
        to_position: skipped.to_position,
        reason: skipped.reason,
    })
}

/// One line of an acknowledgement.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum AckLine {
    Instrument {
        symbol: String,
        venue: &'static str,
        instrument: String,
        timeframes: Vec<String>,
        channels: Vec<&'static str>,
        /// How the streams go on: `live`, `replayed` (without a hole), `stored` (older trades from the tables) or `skipped`.
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<&'static str>,
    },
    Chain {
        chain: &'static str,
        channels: Vec<&'static str>,
    },
}

impl AckLine {
    /// What is wanted, and how its streams go on.
    pub(crate) fn of(wanted: &Wanted, resumed: Option<&'static str>) -> Self {
        Self::Instrument {
            symbol: wanted.names.symbol.to_string(),
            venue: wanted.names.venue,
            instrument: wanted.names.id.as_str().to_owned(),
            timeframes: wanted.candles.iter().map(|(timeframe, _)| timeframe.to_string()).collect(),
            channels: wanted.streams.iter().map(|stream| stream.as_str()).collect(),
            resumed,
        }
    }

    /// What is wanted of the chain.
    pub(crate) fn of_chain(topics: &BTreeSet<Topic>) -> Self {
        Self::Chain { chain: BTC, channels: topics.iter().map(|topic| topic.as_str()).collect() }
    }
}

#[derive(Serialize)]
struct Ack<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    subscriptions: &'a [AckLine],
    /// The newest place in the feed.
    position: Option<Place>,
}

/// A request was carried out.
pub(crate) fn ack(
    kind: &'static str,
    id: Option<&Value>,
    lines: &[AckLine],
    position: Option<Place>,
) -> Utf8Bytes {
    text(&Ack { r#type: kind, id, subscriptions: lines, position })
}

#[derive(Serialize)]
struct ErrorMessage<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    code: &'a str,
    message: &'a str,
    remedy: &'a str,
}

/// Something was not understood or cannot be done.
pub(crate) fn error(id: Option<&Value>, refusal: &Refusal) -> Utf8Bytes {
    let Refusal { code, message, remedy, .. } = refusal;
    text(&ErrorMessage { r#type: "error", id, code, message, remedy })
}

/// The answer to a ping in words.
pub(crate) fn pong(id: Option<&Value>) -> Utf8Bytes {
    match id {
        Some(id) => text(&serde_json::json!({ "type": "pong", "id": id })),
        None => Utf8Bytes::from_static(r#"{"type":"pong"}"#),
    }
}
