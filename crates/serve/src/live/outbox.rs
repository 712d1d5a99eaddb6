//! What waits for one client. Bounded: streams are dropped and told, candles keep their newest state.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use model::{InstrumentId, Time, Timeframe};
use tokio::sync::Notify;

use super::LiveCounts;
use super::chain::{ChainSkip, Topic};
use super::messages::{self, Skipped};
use super::place::Place;
use super::words::{Names, Stream};

/// Why a client did not get what it was to get.
const TOO_SLOW: &str = "the client reads too slowly";

/// A candle series.
pub(crate) type CandleKey = (InstrumentId, Timeframe);

/// Messages on their way to one client.
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    messages_max: usize,
    bytes_max: usize,
    counts: Arc<LiveCounts>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Entry>,
    /// Newest state of a forming candle, by series.
    slots: HashMap<CandleKey, (Time, Utf8Bytes)>,
    /// What had to be dropped and is not told yet.
    skips: HashMap<(InstrumentId, Stream), Skip>,
    /// The same of the chain.
    chain_skips: BTreeMap<Topic, ChainSkip>,
    stream_count: usize,
    bytes: usize,
    is_closed: bool,
}

enum Entry {
    /// Never dropped: answers, closed candles, replays, notices.
    Kept(Utf8Bytes),
    /// Live news of a stream.
    News(Utf8Bytes),
    /// A forming candle stands in its slot.
    Slot(CandleKey),
}

struct Skip {
    names: Arc<Names>,
    count: u64,
    first: Place,
    last: Place,
}

impl Outbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize, counts: Arc<LiveCounts>) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), messages_max, bytes_max, counts }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that must arrive.
    pub(crate) fn say(&self, text: Utf8Bytes) {
        self.lock().keep(text);
        self.wake.notify_one();
    }

    /// A live message of a stream. False if there was no room: it is dropped, counted, and will be told.
    pub(crate) fn offer(&self, names: &Arc<Names>, stream: Stream, place: Place, text: &Utf8Bytes) -> bool {
        let mut waiting = self.lock();
        let is_full =
            waiting.stream_count >= self.messages_max || waiting.bytes + text.len() > self.bytes_max;
        if waiting.is_closed {
            return true;
        }
        if is_full {
            waiting.miss(names, stream, place);
            self.counts.skipped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if !waiting.skips.is_empty()
            && let Some(skip) = waiting.skips.remove(&(names.id.clone(), stream))
        {
            waiting.keep(skip.told(stream));
        }
        waiting.bytes += text.len();
        waiting.stream_count += 1;
        waiting.queue.push_back(Entry::News(text.clone()));
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// News of the chain; what finds no room is dropped, counted, and will be told.
    pub(crate) fn offer_chain(&self, topic: Topic, sequence: u64, text: &Utf8Bytes) {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return;
        }
        let is_full =
            waiting.stream_count >= self.messages_max || waiting.bytes + text.len() > self.bytes_max;
        if is_full {
            let new = ChainSkip { count: 0, first: sequence, last: sequence };
            let skip = waiting.chain_skips.entry(topic).or_insert(new);
            (skip.count, skip.last) = (skip.count + 1, sequence);
            self.counts.skipped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("tickhouse_serve_messages_skipped_total").increment(1);
            return;
        }
        if let Some(skip) = waiting.chain_skips.remove(&topic) {
            waiting.keep(skip.told(Some(topic), TOO_SLOW));
        }
        waiting.bytes += text.len();
        waiting.stream_count += 1;
        waiting.queue.push_back(Entry::News(text.clone()));
        drop(waiting);
        self.wake.notify_one();
    }

    /// A message of a stream that the client cannot get: it is counted, and will be told.
    pub(crate) fn miss(&self, names: &Arc<Names>, stream: Stream, place: Place) {
        self.lock().miss(names, stream, place);
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a stream message would find room.
    pub(crate) fn has_room(&self) -> bool {
        let waiting = self.lock();
        waiting.stream_count < self.messages_max && waiting.bytes < self.bytes_max
    }

    /// Tells at once what was dropped of a stream, if anything.
    pub(crate) fn tell_skips(&self, id: &InstrumentId, stream: Stream) {
        let mut waiting = self.lock();
        if let Some(skip) = waiting.skips.remove(&(id.clone(), stream)) {
            waiting.keep(skip.told(stream));
        }
    }

    /// The newest state of a forming candle; an older one that still waits is replaced.
    pub(crate) fn put_forming(&self, key: &CandleKey, open_time: Time, text: &Utf8Bytes) {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return;
        }
        if waiting.slots.insert(key.clone(), (open_time, text.clone())).is_none() {
            waiting.queue.push_back(Entry::Slot(key.clone()));
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// A closed or revised candle: always sent; a forming state of the same candle that still waits is obsolete.
    pub(crate) fn put_final(&self, key: &CandleKey, open_time: Time, text: &Utf8Bytes) {
        let mut waiting = self.lock();
        if waiting.slots.get(key).is_some_and(|(forming, _)| *forming <= open_time) {
            waiting.slots.remove(key);
            waiting.queue.retain(|entry| !matches!(entry, Entry::Slot(known) if known == key));
        }
        waiting.keep(text.clone());
        drop(waiting);
        self.wake.notify_one();
    }

    /// Forgets a forming candle that still waits.
    pub(crate) fn forget(&self, key: &CandleKey) {
        let mut waiting = self.lock();
        if waiting.slots.remove(key).is_some() {
            waiting.queue.retain(|entry| !matches!(entry, Entry::Slot(known) if known == key));
        }
    }

    /// Moves up to `count_max` messages to `texts`.
    pub(crate) fn take(&self, texts: &mut Vec<Utf8Bytes>, count_max: usize) {
        let mut waiting = self.lock();
        while texts.len() < count_max
            && let Some(entry) = waiting.queue.pop_front()
        {
            match entry {
                Entry::Kept(text) => {
                    waiting.bytes -= text.len();
                    texts.push(text);
                }
                Entry::News(text) => {
                    waiting.bytes -= text.len();
                    waiting.stream_count -= 1;
                    texts.push(text);
                }
                Entry::Slot(key) => texts.extend(waiting.slots.remove(&key).map(|(_, text)| text)),
            }
        }
        if waiting.queue.is_empty() {
            let skips = std::mem::take(&mut waiting.skips);
            texts.extend(skips.into_iter().map(|((_, stream), skip)| skip.told(stream)));
            let skips = std::mem::take(&mut waiting.chain_skips);
            texts.extend(skips.into_iter().map(|(topic, skip)| skip.told(Some(topic), TOO_SLOW)));
        }
    }

    /// Bytes waiting.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Resolves when something may wait.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// Nothing more will be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }
}

impl Waiting {
    fn miss(&mut self, names: &Arc<Names>, stream: Stream, place: Place) {
        let skip = Skip { names: Arc::clone(names), count: 0, first: place, last: place };
        let skip = self.skips.entry((names.id.clone(), stream)).or_insert(skip);
        skip.count += 1;
        skip.last = place;
        metrics::counter!("tickhouse_serve_messages_skipped_total").increment(1);
    }

    fn keep(&mut self, text: Utf8Bytes) {
        if !self.is_closed {
            self.bytes += text.len();
            self.queue.push_back(Entry::Kept(text));
        }
    }
}

impl Skip {
    fn told(&self, stream: Stream) -> Utf8Bytes {
        messages::skipped(&Skipped {
            channel: stream.as_str(),
            names: &self.names,
            count: Some(self.count),
            is_count_exact: true,
            from_position: Some(self.first),
            to_position: Some(self.last),
            reason: TOO_SLOW,
        })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for news of the chain that find no room.
    use super::*;

    #[test]
    fn news_of_the_chain_without_room_are_counted_and_told_before_the_next() {
        let outbox = Outbox::new(2, 1_000, Arc::default());
        let text = |number: u64| Utf8Bytes::from(number.to_string());
        for number in 1..=4 {
            outbox.offer_chain(Topic::PrimitiveReady, number, &text(number));
        }
        outbox.offer_chain(Topic::Reorganised, 5, &text(5));
        let mut texts = Vec::new();
        outbox.take(&mut texts, 1);
        outbox.offer_chain(Topic::PrimitiveReady, 6, &text(6));
        outbox.take(&mut texts, 10);
        let told: Vec<&str> = texts.iter().map(Utf8Bytes::as_str).collect();
        assert_eq!((told[0], told[1], told[3], told.len()), ("1", "2", "6", 5));
        for (place, channel, count, first) in [(2, "primitive_ready", 2, 3), (4, "reorganised", 1, 5)] {
            let skip: serde_json::Value = serde_json::from_str(told[place]).unwrap();
            assert_eq!((&skip["type"], &skip["channel"]), (&"skipped".into(), &channel.into()));
            assert_eq!((&skip["count"], &skip["from_sequence"]), (&count.into(), &first.into()));
        }
    }
}
