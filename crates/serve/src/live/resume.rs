//! How a client goes on where it left off: from the ring, then the tables, and a word on what is in neither.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use model::{InstrumentId, LogPosition, Time};
use tables::{FeedItem, News, Past, StoreError, TableName, TableScan, TableStore, TradeKey};

use super::hub::{Done, State};
use super::messages::{self, Skipped};
use super::place::Place;
use super::ring::Reach;
use super::routes::{Held, Listener, Reader, key_of};
use super::words::{Names, Stream, Wanted};
use crate::dto::TradeForm;
use crate::rest::rows;

/// Most trades read from the tables for one subscription.
const STORED_MAX: usize = 50_000;
/// Most bytes that all clients together may have waiting when a replay starts.
const REPLAY_BYTES_MAX: usize = 256 << 20;
/// What is known of the trades a client has.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastSeen {
    place: Place,
    /// The last numeric trade id, if the client says it.
    trade_id: Option<i64>,
}

/// How the streams of a subscription go on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// From now.
    Live,
    /// From the place, without a hole.
    Replay(Place),
    /// What lies between the places cannot be sent, for the reason.
    Skip(Place, Option<Place>, &'static str),
    /// The ring begins later, at the second place; trades come from the tables, as far as it can be told which.
    Late(Place, Option<Place>),
}

impl Way {
    /// The word for it in the acknowledgement.
    pub(super) fn word(self, wanted: &Wanted) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replay(_) => "replayed",
            Self::Late(..) if wanted.streams == [Stream::Trades] => "stored",
            Self::Skip(..) | Self::Late(..) => "skipped",
        }
    }
}

impl State {
    /// How the streams of a subscription will go on.
    pub(super) fn way(&self, wanted: &Wanted) -> Option<Way> {
        if wanted.streams.is_empty() {
            return None;
        }
        let Some(place) = wanted.resume_from else { return Some(Way::Live) };
        let (newest, names) = (self.ring.newest(), &wanted.names);
        let is_crowded =
            self.readers.values().map(|reader| reader.outbox.bytes()).sum::<usize>() > REPLAY_BYTES_MAX;
        Some(match self.ring.reach(place) {
            _ if is_crowded => Way::Skip(place, newest, "too many replays wait to be read"),
            Reach::Whole => Way::Replay(place),
            Reach::Ahead => {
                tracing::warn!(instrument = %names.id, %place, "a client has seen more than the log holds");
                let reason =
                    "the position lies ahead of the log, whose newest records did not survive a crash";
                Way::Skip(place, newest, reason)
            }
            Reach::Short { oldest } => Way::Late(place, oldest),
        })
    }

    /// A client joins streams in the way found for it.
    pub(super) fn join_streams(&mut self, reader: &Arc<Reader>, wanted: &Wanted, way: Option<Way>) {
        for stream in &wanted.streams {
            self.route(&wanted.names).leave(*stream, reader.id);
        }
        match way {
            None => {}
            Some(Way::Live) => {
                for stream in &wanted.streams {
                    self.join_live(reader, &wanted.names, *stream);
                }
            }
            Some(Way::Replay(place)) => self.replay(reader, wanted, place),
            Some(Way::Skip(place, newest, reason)) => self.skip(reader, wanted, (place, newest), reason),
            Some(Way::Late(place, oldest)) => self.join_late(reader, wanted, (place, oldest)),
        }
    }

    fn join_live(&mut self, reader: &Arc<Reader>, names: &Arc<Names>, stream: Stream) {
        let market = Arc::clone(&self.house.doors.market);
        let mut listener = Listener::new(reader, stream == Stream::Book);
        if stream == Stream::Book {
            listener.catch_up(names, &*market);
        }
        self.route(names).listeners(stream).push(listener);
    }

    // Everything after the place is in the ring: it is sent, and live news follow without a hole.
    fn replay(&mut self, reader: &Arc<Reader>, wanted: &Wanted, place: Place) {
        for item in self.ring.after(place) {
            if let Some((stream, text)) = told(&wanted.names, item)
                && wanted.streams.contains(&stream)
            {
                reader.outbox.say(text);
            }
        }
        for stream in &wanted.streams {
            self.route(&wanted.names).listeners(*stream).push(Listener::new(reader, false));
        }
    }

    fn skip(
        &mut self,
        reader: &Arc<Reader>,
        wanted: &Wanted,
        (from, to): (Place, Option<Place>),
        reason: &'static str,
    ) {
        for stream in &wanted.streams {
            reader.outbox.say(messages::skipped(&Skipped {
                channel: stream.as_str(),
                names: &wanted.names,
                count: None,
                is_count_exact: false,
                from_position: Some(from),
                to_position: to,
                reason,
            }));
            self.join_live(reader, &wanted.names, *stream);
        }
    }

    // The ring begins too late: trades come from the tables as far as they can be found, the rest is told.
    fn join_late(&mut self, reader: &Arc<Reader>, wanted: &Wanted, (place, oldest): (Place, Option<Place>)) {
        let names = &wanted.names;
        for stream in &wanted.streams {
            match stream {
                Stream::Trades => {
                    let mut held = Held::default();
                    for item in self.ring.after(place) {
                        if let News::Trade(trade) = &item.news
                            && trade.instrument == names.id
                        {
                            let at = Place::of(item);
                            held.push(TradeKey::of(trade), at, messages::trade(names, at, trade));
                        }
                    }
                    self.route(names).listeners(*stream).push(Listener::holding(reader, held));
                    let seen = LastSeen { place, trade_id: wanted.last_trade_id };
                    self.ask_stored(reader.id, names, (seen, oldest));
                }
                Stream::Quotes | Stream::Book => {
                    reader.outbox.say(messages::skipped(&Skipped {
                        channel: stream.as_str(),
                        names,
                        count: None,
                        is_count_exact: false,
                        from_position: Some(place),
                        to_position: oldest,
                        reason: "the position is older than what is kept in memory",
                    }));
                    if *stream != Stream::Book {
                        self.replay_kept(reader, names, *stream);
                    }
                    self.join_live(reader, names, *stream);
                }
            }
        }
    }

    fn replay_kept(&self, reader: &Arc<Reader>, names: &Arc<Names>, wanted: Stream) {
        for item in self.ring.after(Place { position: 0, index: 0 }) {
            if let Some((stream, text)) = told(names, item)
                && stream == wanted
            {
                reader.outbox.say(text);
            }
        }
    }

    fn ask_stored(&mut self, reader: u64, names: &Arc<Names>, (seen, oldest): (LastSeen, Option<Place>)) {
        let (past, store) = (Arc::clone(&self.house.doors.past), Arc::clone(&self.house.doors.store));
        let id = names.id.clone();
        let asked = id.clone();
        let read = async move { stored(&*past, &*store, &asked, seen).await };
        let span = (seen.place, oldest);
        self.ask(read, move |answer| Done::Stored { reader, id, span, answer });
    }

    /// Stored trades are here: they go first, then what was held back meanwhile.
    pub(super) fn stored_here(
        &mut self,
        reader: u64,
        (id, (from, oldest)): (&InstrumentId, (Place, Option<Place>)),
        answer: Result<Option<Stored>, StoreError>,
    ) {
        let Some(route) = self.routes.get_mut(id) else { return };
        let names = Arc::clone(&route.names);
        let listeners = route.listeners(Stream::Trades);
        let Some(listener) = listeners.iter_mut().find(|one| one.reader.id == reader) else { return };
        let outbox = &listener.reader.outbox;
        let held = listener.held().map(|held| &held.trades[..]).unwrap_or_default();
        let known: BTreeSet<&TradeKey> = held.iter().filter_map(|(key, _)| key.as_ref()).collect();
        let lost = |reason, count, to_position| {
            outbox.say(messages::skipped(&Skipped {
                channel: Stream::Trades.as_str(),
                names: &names,
                count,
                is_count_exact: true,
                from_position: Some(from),
                to_position,
                reason,
            }));
        };
        match answer {
            Ok(Some(stored)) => {
                for trade in &stored.trades {
                    if !key_of(trade).is_some_and(|key| known.contains(&key)) {
                        outbox.say(messages::stored_trade(&names, trade));
                    }
                }
                if stored.is_cut {
                    let reason = "more trades are stored than one resume sends; read the rest from \
                                  /api/v1/data/trades with from_id";
                    lost(reason, None, oldest);
                }
            }
            Ok(None) => {
                let reason = "the raw log no longer tells which trades came before the position; say last_trade_id \
                              to get those with a later id from the tables";
                lost(reason, None, oldest);
            }
            Err(error) => {
                tracing::warn!(instrument = %id, %error, "stored trades could not be read for a client");
                lost("the stored trades could not be read", None, oldest);
            }
        }
        if let Some(held) = listener.take_held() {
            held.release(&names, &listener.reader.outbox);
        }
    }

    /// Items were missed on the way to the hub.
    pub(super) fn slipped(&mut self, missed: u64) {
        let from = self.ring.newest();
        self.ring.break_off();
        for route in self.routes.values_mut() {
            route.tell_slip(missed, from, None);
        }
        self.touch_all();
    }
}

/// Trades from the tables for a client that comes back.
#[derive(Debug)]
pub(super) struct Stored {
    trades: Vec<TradeForm>,
    /// There are more than one resume sends.
    is_cut: bool,
}

/// The stored trades that came after a place; `None` if nobody can tell which those are.
async fn stored(
    past: &dyn Past,
    store: &dyn TableStore,
    id: &InstrumentId,
    last: LastSeen,
) -> Result<Option<Stored>, StoreError> {
    let seen = past.seen(id, LogPosition(last.place.position)).await?;
    let least = match (&seen, last.trade_id) {
        (Some(seen), _) => ("received_time", seen.since.0),
        (None, Some(trade_id)) => ("trade_id", trade_id.saturating_add(1)),
        (None, None) => return Ok(None),
    };
    // What the client has must not count against what it gets.
    let known_max = seen.as_ref().map_or(0, |seen| seen.before.len() + seen.within.len());
    let scan = TableScan {
        instrument: Some(id.clone()),
        at_least: Some(least),
        limit: Some(STORED_MAX + 1 + known_max),
        ..TableScan::default()
    };
    let batches = store.scan(TableName::Trades, scan).await?;
    let mut trades = rows::trades(&batches).map_err(|refusal| StoreError::Failed(refusal.message.into()))?;
    if let Some(seen) = &seen {
        // The table keeps when each trade came first.
        let at = seen.received.millis();
        let new: BTreeSet<TradeKey> =
            trades.iter().filter(|trade| trade.received_time == at).filter_map(key_of).collect();
        let known = seen.through(last.place.index, |key| new.contains(key));
        trades.retain(|trade| !key_of(trade).is_some_and(|key| known.contains(&key)));
    }
    let is_cut = trades.len() > STORED_MAX;
    trades.truncate(STORED_MAX);
    Ok(Some(Stored { trades, is_cut }))
}

/// A feed item as a message of its stream, if it is one of the instrument's.
fn told(names: &Arc<Names>, item: &FeedItem) -> Option<(Stream, Utf8Bytes)> {
    let place = Place::of(item);
    match &item.news {
        News::Trade(trade) if trade.instrument == names.id => {
            Some((Stream::Trades, messages::trade(names, place, trade)))
        }
        News::Quote(quote) if quote.instrument == names.id => {
            Some((Stream::Quotes, messages::quote(names, place, quote)))
        }
        News::Book(update) if update.instrument == names.id => {
            Some((Stream::Book, messages::book(names, place, update)))
        }
        News::BookStale(id) if *id == names.id => Some((Stream::Book, messages::book_stale(names, place))),
        _ => None,
    }
}

/// Candle questions already under way.
pub(super) type FinalsAsked = std::collections::HashSet<(super::outbox::CandleKey, Time)>;

/// Clients by number.
pub(super) type Readers = HashMap<u64, Arc<Reader>>;
