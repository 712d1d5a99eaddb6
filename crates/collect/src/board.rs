//! What is going on, kept for the status: counters that the connections turn and the handle reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::status::{RestStatus, StreamHealth, StreamStatus, VenueStatus};
use model::{Channel, InstrumentId, Nanos, VenueId};
use venues::Stream;

use crate::klines::KlineProgress;
use crate::silence::History;

/// One stream, over all connections that carry it.
#[derive(Debug)]
pub(crate) struct StreamCell {
    instrument: Option<InstrumentId>,
    channel: Channel,
    key: Box<str>,
    message_count: AtomicU64,
    last_received: AtomicI64,
    carriers: AtomicU32,
    /// How often it was carried after nobody had.
    spells: AtomicU64,
    mutes: AtomicU32,
    history: Mutex<History>,
}

/// Who carries a stream of trades, for those who look after its silences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carriage {
    pub(crate) key: Box<str>,
    pub(crate) channel: Channel,
    pub(crate) instrument: InstrumentId,
    pub(crate) is_carried: bool,
    /// How often it was carried after nobody had.
    pub(crate) spells: u64,
    /// When the newest message came, over whichever connection.
    pub(crate) last_received: Nanos,
}

impl StreamCell {
    /// Counts a message.
    pub(crate) fn saw(&self, now: Nanos) {
        self.message_count.fetch_add(1, Ordering::Relaxed);
        self.last_received.store(now.0, Ordering::Relaxed);
    }

    /// What earlier connections learnt of the stream.
    pub(crate) fn history(&self) -> History {
        lock(&self.history).clone()
    }

    /// Keeps what was learnt.
    pub(crate) fn keep_history(&self, history: &History) {
        lock(&self.history).clone_from(history);
    }

    fn health(&self) -> StreamHealth {
        let (carriers, mutes) = (self.carriers.load(Ordering::Relaxed), self.mutes.load(Ordering::Relaxed));
        // A mute stream that is being asked for anew is carried by nobody for a moment, and still mute.
        if mutes > 0 && mutes >= carriers {
            StreamHealth::Mute
        } else if carriers == 0 {
            StreamHealth::Down
        } else if self.message_count.load(Ordering::Relaxed) == 0 {
            StreamHealth::Waiting
        } else {
            StreamHealth::Live
        }
    }

    fn status(&self) -> StreamStatus {
        let last = self.last_received.load(Ordering::Relaxed);
        StreamStatus {
            instrument: self.instrument.clone(),
            channel: self.channel,
            key: self.key.clone(),
            health: self.health(),
            last_received: (last != 0).then(|| Nanos(last).to_time()),
            message_count: self.message_count.load(Ordering::Relaxed),
        }
    }
}

/// One connection's hold on a stream; given back when dropped, however the connection ends.
#[derive(Debug)]
pub(crate) struct Hold {
    cell: Arc<StreamCell>,
    is_carried: bool,
    is_mute: bool,
}

impl Hold {
    /// Not carried yet.
    pub(crate) fn new(cell: Arc<StreamCell>) -> Self {
        Self { cell, is_carried: false, is_mute: false }
    }

    /// The stream.
    pub(crate) fn cell(&self) -> &StreamCell {
        &self.cell
    }

    /// Whether the venue agreed to send the stream on this connection.
    pub(crate) fn is_carried(&self) -> bool {
        self.is_carried
    }

    /// Says whether the connection carries the stream. True if that is news.
    pub(crate) fn set_carried(&mut self, is_carried: bool) -> bool {
        let is_news = std::mem::replace(&mut self.is_carried, is_carried) != is_carried;
        if is_news && is_carried {
            if self.cell.carriers.fetch_add(1, Ordering::Relaxed) == 0 {
                self.cell.spells.fetch_add(1, Ordering::Relaxed);
            }
        } else if is_news {
            self.cell.carriers.fetch_sub(1, Ordering::Relaxed);
        }
        is_news
    }

    /// Says whether the stream is mute on this connection. True if that is news.
    pub(crate) fn set_mute(&mut self, is_mute: bool) -> bool {
        let is_news = std::mem::replace(&mut self.is_mute, is_mute) != is_mute;
        if is_news && is_mute {
            self.cell.mutes.fetch_add(1, Ordering::Relaxed);
        } else if is_news {
            self.cell.mutes.fetch_sub(1, Ordering::Relaxed);
        }
        is_news
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set_carried(false);
        self.set_mute(false);
    }
}

/// One venue.
#[derive(Debug)]
pub(crate) struct Board {
    venue: VenueId,
    streams: Mutex<BTreeMap<Box<str>, Arc<StreamCell>>>,
    connection_count: AtomicUsize,
    connects_total: AtomicU64,
    frames_total: AtomicU64,
    bytes_total: AtomicU64,
    unknown_total: AtomicU64,
    clock_skew_micros: AtomicI64,
    trouble: Mutex<Option<String>>,
    unknown_symbols: Mutex<Vec<String>>,
    /// Whose past klines are on their way.
    pub(crate) klines: KlineProgress,
}

/// No skew was measured yet.
const NO_SKEW: i64 = i64::MIN;

impl Board {
    /// Nothing happened yet.
    pub(crate) fn new(venue: VenueId) -> Self {
        Self {
            venue,
            streams: Mutex::default(),
            connection_count: AtomicUsize::new(0),
            connects_total: AtomicU64::new(0),
            frames_total: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            unknown_total: AtomicU64::new(0),
            clock_skew_micros: AtomicI64::new(NO_SKEW),
            trouble: Mutex::default(),
            unknown_symbols: Mutex::default(),
            klines: KlineProgress::default(),
        }
    }

    /// The stream's cell, made when it is new.
    pub(crate) fn cell(&self, stream: &Stream) -> Arc<StreamCell> {
        let mut streams = lock(&self.streams);
        let cell = streams.entry(stream.key.clone()).or_insert_with(|| {
            Arc::new(StreamCell {
                instrument: stream.instrument.clone(),
                channel: stream.channel,
                key: stream.key.clone(),
                message_count: AtomicU64::new(0),
                last_received: AtomicI64::new(0),
                carriers: AtomicU32::new(0),
                spells: AtomicU64::new(0),
                mutes: AtomicU32::new(0),
                history: Mutex::default(),
            })
        });
        Arc::clone(cell)
    }

    /// Every stream of trades.
    pub(crate) fn carriages(&self) -> Vec<Carriage> {
        let streams = lock(&self.streams);
        let carriage = |cell: &Arc<StreamCell>| {
            let instrument = cell.instrument.clone()?;
            matches!(cell.channel, Channel::Trades | Channel::RawTrades).then(|| Carriage {
                key: cell.key.clone(),
                channel: cell.channel,
                instrument,
                is_carried: cell.carriers.load(Ordering::Relaxed) > 0,
                spells: cell.spells.load(Ordering::Relaxed),
                last_received: Nanos(cell.last_received.load(Ordering::Relaxed)),
            })
        };
        streams.values().filter_map(carriage).collect()
    }

    /// When the newest message of a stream came.
    pub(crate) fn last_received(&self, key: &str) -> Option<Nanos> {
        let streams = lock(&self.streams);
        streams.get(key).map(|cell| Nanos(cell.last_received.load(Ordering::Relaxed)))
    }

    /// The stream is not wanted any more.
    pub(crate) fn forget(&self, key: &str) {
        lock(&self.streams).remove(key);
    }

    /// A connection stands until the returned guard is dropped.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connects_total.fetch_add(1, Ordering::Relaxed);
        let count = self.connection_count.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::counter!("tickhouse_connects_total", "venue" => self.venue.as_str()).increment(1);
        metrics::gauge!("tickhouse_connections", "venue" => self.venue.as_str()).set(count as f64);
        Connected(Arc::clone(self))
    }

    /// Counts frames of a batch.
    pub(crate) fn count(&self, frames: u64, bytes: u64, unknown: u64) {
        self.frames_total.fetch_add(frames, Ordering::Relaxed);
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
        self.unknown_total.fetch_add(unknown, Ordering::Relaxed);
    }

    /// Keeps the newest measurement of the venue's clock against ours.
    pub(crate) fn set_skew(&self, micros: i64) {
        self.clock_skew_micros.store(micros, Ordering::Relaxed);
        metrics::gauge!("tickhouse_clock_skew_seconds", "venue" => self.venue.as_str())
            .set(micros as f64 / 1e6);
    }

    /// Venue clock minus ours, once measured.
    pub(crate) fn skew(&self) -> Option<i64> {
        Some(self.clock_skew_micros.load(Ordering::Relaxed)).filter(|skew| *skew != NO_SKEW)
    }

    /// Keeps the newest trouble, and logs it unless it is the same again.
    pub(crate) fn trouble(&self, what: String) {
        let mut trouble = lock(&self.trouble);
        if trouble.as_ref() != Some(&what) {
            tracing::warn!(venue = self.venue.as_str(), "{what}");
            *trouble = Some(what);
        }
    }

    /// The trouble named so is over.
    pub(crate) fn calm(&self, is_over: impl Fn(&str) -> bool) {
        let mut trouble = lock(&self.trouble);
        if trouble.as_deref().is_some_and(is_over) {
            *trouble = None;
        }
    }

    /// Wanted symbols that the venue does not list.
    pub(crate) fn set_unknown_symbols(&self, symbols: Vec<String>) {
        *lock(&self.unknown_symbols) = symbols;
    }

    /// As last set.
    pub(crate) fn unknown_symbols(&self) -> Vec<String> {
        lock(&self.unknown_symbols).clone()
    }

    /// Everything but REST, which the desk knows.
    pub(crate) fn status(&self) -> VenueStatus {
        let streams = lock(&self.streams).values().map(|cell| cell.status()).collect();
        let unknown_total = self.unknown_total.load(Ordering::Relaxed);
        let unknown = (unknown_total > 0).then(|| match unknown_total {
            1 => "1 frame of an unknown form was kept in the raw log".to_owned(),
            many => format!("{many} frames of an unknown form were kept in the raw log"),
        });
        VenueStatus {
            venue: self.venue,
            connection_count: self.connection_count.load(Ordering::Relaxed),
            connects_total: self.connects_total.load(Ordering::Relaxed),
            frames_total: self.frames_total.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            streams,
            clock_skew_micros: self.skew(),
            rest: RestStatus::default(),
            trouble: lock(&self.trouble).clone().or(unknown),
        }
    }
}

/// A standing connection.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Board>);

impl Drop for Connected {
    fn drop(&mut self) {
        let count = self.0.connection_count.fetch_sub(1, Ordering::Relaxed) - 1;
        metrics::gauge!("tickhouse_connections", "venue" => self.0.venue.as_str()).set(count as f64);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
