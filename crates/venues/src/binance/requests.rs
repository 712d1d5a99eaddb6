//! Names of Binance streams and the messages that subscribe to them, sharded within the venue's limits.

use std::time::Duration;

use model::time::{DAY, MINUTE};
use model::{Channel, Instrument, InstrumentStatus, Time, Timeframe};

use crate::contract::{ConnectionPlan, Stream};

use super::archive;

/// Names in one SUBSCRIBE message; 200 were measured to be accepted.
pub(crate) const NAMES_MAX: usize = 200;
/// Streams put on one connection: below the venue's 1024, so that new listings find room.
pub(crate) const STREAMS_PLANNED: usize = 960;

/// Statuses that mean stop, and for how long when no `Retry-After` says it: too many requests, banned, firewall.
pub(crate) const BANS: &[(u16, Duration)] =
    &[(429, Duration::from_mins(1)), (418, Duration::from_mins(5)), (403, Duration::from_mins(5))];

/// The part of a stream's name behind the symbol.
pub(crate) fn suffix(channel: Channel) -> Option<&'static str> {
    Some(match channel {
        Channel::Trades => "@aggTrade",
        Channel::RawTrades => "@trade",
        Channel::Quotes => "@bookTicker",
        Channel::Book => "@depth@100ms",
        Channel::Klines => "@kline_1m",
        Channel::MarkPrices => "@markPrice@1s",
        Channel::Funding | Channel::OpenInterest | Channel::Instruments => return None,
    })
}

/// The stream of one instrument, as the venue names it: the symbol in lower case.
pub(crate) fn stream(instrument: &Instrument, channel: Channel, route: &'static str) -> Option<Stream> {
    let key = format!("{}{}", instrument.symbol.to_lowercase(), suffix(channel)?).into();
    Some(Stream { key, channel, instrument: Some(instrument.id.clone()), route })
}

/// Whether streams of the instrument can bring anything, now or when a halt is over.
pub(crate) fn is_listed(instrument: &Instrument) -> bool {
    matches!(instrument.status, InstrumentStatus::Trading | InstrumentStatus::Halted)
}

/// The query for bars that open from `start` on and before `end`; the venue takes both ends as wanted.
pub(crate) fn span(start: Time, end: Time) -> String {
    format!("startTime={}&endTime={}", start.millis(), end.millis() - 1)
}

/// How many bars a span holds, within the venue's page.
pub(crate) fn bar_count((start, end): (Time, Time), timeframe: Timeframe, page: i64) -> i64 {
    let length = match timeframe {
        Timeframe::Minutes(count) => i64::from(count) * MINUTE,
        Timeframe::Week => 7 * DAY,
        // The shortest: room for one more does no harm.
        Timeframe::Month => 28 * DAY,
    };
    let micros = end.0.saturating_sub(start.0);
    (micros / length + i64::from(micros % length != 0)).clamp(1, page)
}

/// How the venue writes the lengths of its bars.
pub(crate) fn interval(timeframe: Timeframe) -> Option<&'static str> {
    if timeframe == Timeframe::Month {
        return Some("1M");
    }
    archive::INTERVALS.iter().find(|(_, known)| *known == timeframe).map(|(name, _)| *name)
}

/// Shards streams of one route over connections to `url`.
pub(crate) fn shard(url: &str, streams: &[Stream], plans: &mut Vec<ConnectionPlan>) {
    if streams.is_empty() {
        return;
    }
    // Even shares, so that the last connection is not the only one with room.
    let count = streams.len().div_ceil(STREAMS_PLANNED);
    let share = streams.len().div_ceil(count);
    plans.extend(
        streams.chunks(share).map(|chunk| ConnectionPlan { url: url.to_owned(), streams: chunk.to_vec() }),
    );
}

/// SUBSCRIBE or UNSUBSCRIBE messages of at most [`NAMES_MAX`] names.
pub(crate) fn subscribe(streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
    let method = if wanted { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
    (first_request..)
        .zip(streams.chunks(NAMES_MAX))
        .map(|(request, chunk)| {
            let names: Vec<&str> = chunk.iter().map(|stream| &*stream.key).collect();
            let names = serde_json::Value::from(names);
            format!(r#"{{"method":"{method}","params":{names},"id":{request}}}"#)
        })
        .collect()
}
