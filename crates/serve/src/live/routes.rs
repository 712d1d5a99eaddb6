//! Who listens to what of an instrument, and how a piece of news reaches them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use model::{BookUpdate, Timeframe, Trade};
use tables::{MarketView, TradeKey};

use super::messages::{self, Skipped};
use super::outbox::Outbox;
use super::pace::Topic;
use super::place::Place;
use super::words::{Names, Stream};
use crate::dto::TradeForm;

/// Levels a side in a snapshot sent to a client.
const SNAPSHOT_DEPTH: usize = 5_000;
/// Most live trades held back while older ones are read from the tables.
const HELD_MAX: usize = 50_000;

/// One client.
pub(crate) struct Reader {
    pub(crate) id: u64,
    pub(crate) outbox: Outbox,
}

/// One client's place at a stream.
pub(crate) struct Listener {
    pub(crate) reader: Arc<Reader>,
    /// Book updates up to this sequence are in the snapshot the client has.
    book_after: Option<i64>,
    /// The client has no book that updates could follow.
    needs_snapshot: bool,
    /// Live trades wait here while older ones are read from the tables.
    held: Option<Held>,
}

/// The key of a trade, if it has one.
pub(crate) fn key_of(trade: &TradeForm) -> Option<TradeKey> {
    let text = || trade.trade_id.as_deref().map(|text| TradeKey::Text(text.into()));
    trade.aggregate_id.map(TradeKey::Number).or_else(text)
}

/// Live trades held back.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) trades: Vec<(Option<TradeKey>, Utf8Bytes)>,
    /// What found no room any more: how many, the first and the last.
    missed: Option<(u64, Place, Place)>,
}

impl Held {
    pub(crate) fn push(&mut self, key: Option<TradeKey>, place: Place, text: Utf8Bytes) {
        if self.missed.is_none() && self.trades.len() < HELD_MAX {
            self.trades.push((key, text));
        } else {
            let (count, _, last) = self.missed.get_or_insert((0, place, place));
            *count += 1;
            *last = place;
        }
    }

    /// Sends what was held, and tells what could not be.
    pub(crate) fn release(self, names: &Names, outbox: &Outbox) {
        for (_, text) in self.trades {
            outbox.say(text);
        }
        if let Some((count, first, last)) = self.missed {
            outbox.say(messages::skipped(&Skipped {
                channel: Stream::Trades.as_str(),
                names,
                count: Some(count),
                is_count_exact: true,
                from_position: Some(first),
                to_position: Some(last),
                reason: "more live trades came than can wait while older ones are read",
            }));
        }
    }
}

impl Listener {
    pub(crate) fn new(reader: &Arc<Reader>, needs_snapshot: bool) -> Self {
        Self { reader: Arc::clone(reader), book_after: None, needs_snapshot, held: None }
    }

    pub(crate) fn holding(reader: &Arc<Reader>, held: Held) -> Self {
        Self { reader: Arc::clone(reader), book_after: None, needs_snapshot: false, held: Some(held) }
    }

    pub(crate) fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Sends the whole book if the client lacks it and there is one.
    pub(crate) fn catch_up(&mut self, names: &Names, market: &dyn MarketView) {
        if self.needs_snapshot
            && let Some(view) = market.book(&names.id, SNAPSHOT_DEPTH)
        {
            self.reader.outbox.tell_skips(&names.id, Stream::Book);
            self.reader.outbox.say(messages::book_snapshot(names, &view));
            self.needs_snapshot = false;
            self.book_after = Some(view.sequence);
        }
    }
}

/// Everyone who listens to an instrument.
pub(crate) struct Route {
    pub(crate) names: Arc<Names>,
    streams: [Vec<Listener>; 3],
    pub(crate) candles: BTreeMap<Timeframe, Topic>,
    /// Whether its history was being fetched when last looked.
    pub(crate) was_fetching: bool,
}

impl Route {
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self { names, streams: Default::default(), candles: BTreeMap::new(), was_fetching: false }
    }

    pub(crate) fn listeners(&mut self, stream: Stream) -> &mut Vec<Listener> {
        &mut self.streams[stream as usize]
    }

    pub(crate) fn is_wanted(&self, stream: Stream) -> bool {
        !self.streams[stream as usize].is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.candles.is_empty() && self.streams.iter().all(Vec::is_empty)
    }

    /// Takes a client from a stream; true if it was there.
    pub(crate) fn leave(&mut self, stream: Stream, reader: u64) -> bool {
        let listeners = self.listeners(stream);
        let before = listeners.len();
        listeners.retain(|listener| listener.reader.id != reader);
        listeners.len() < before
    }

    /// How many subscriptions a client has here.
    pub(crate) fn count(&self, reader: u64) -> usize {
        let streams = self.streams.iter().flatten().filter(|listener| listener.reader.id == reader).count();
        streams + self.candles.values().filter(|topic| topic.has(reader)).count()
    }

    /// A trade.
    pub(crate) fn pass_trade(&mut self, place: Place, trade: &Trade) {
        let text = messages::trade(&self.names, place, trade);
        for listener in &mut self.streams[Stream::Trades as usize] {
            match &mut listener.held {
                Some(held) => held.push(TradeKey::of(trade), place, text.clone()),
                None => {
                    listener.reader.outbox.offer(&self.names, Stream::Trades, place, &text);
                }
            }
        }
    }

    /// News without memory: quotes, and the notice that a book is stale.
    pub(crate) fn pass(&mut self, stream: Stream, place: Place, text: &Utf8Bytes) {
        for listener in &self.streams[stream as usize] {
            listener.reader.outbox.offer(&self.names, stream, place, text);
        }
    }

    /// A book update: each client gets only what follows the book it has.
    pub(crate) fn pass_book(&mut self, place: Place, update: &BookUpdate, market: &dyn MarketView) {
        let text = messages::book(&self.names, place, update);
        for listener in &mut self.streams[Stream::Book as usize] {
            if listener.needs_snapshot && !update.is_snapshot {
                if listener.reader.outbox.has_room() {
                    listener.catch_up(&self.names, market);
                } else {
                    listener.reader.outbox.miss(&self.names, Stream::Book, place);
                }
                if listener.needs_snapshot {
                    continue;
                }
            }
            let is_known = listener.book_after.is_some_and(|sequence| update.last_sequence <= sequence);
            if is_known && !update.is_snapshot {
                continue;
            }
            listener.book_after = None;
            listener.needs_snapshot = !listener.reader.outbox.offer(&self.names, Stream::Book, place, &text);
        }
    }

    /// Every client at a stream is told that news were missed on the way to the hub.
    pub(crate) fn tell_slip(&mut self, missed: u64, from: Option<Place>, to: Option<Place>) {
        for stream in Stream::ALL {
            let text = messages::skipped(&Skipped {
                channel: stream.as_str(),
                names: &self.names,
                count: Some(missed),
                is_count_exact: false,
                from_position: from,
                to_position: to,
                reason: "the server itself fell behind the feed; the count is over all instruments",
            });
            for listener in &mut self.streams[stream as usize] {
                listener.reader.outbox.say(text.clone());
                listener.needs_snapshot = stream == Stream::Book;
            }
        }
    }
}
