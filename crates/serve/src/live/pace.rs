//! When which candle series is due, and who listens to it. What is sent is left to `candles`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use model::Time;
use runtime::clock::Stopwatch;
use tables::Candle;

use super::outbox::CandleKey;
use super::routes::Reader;
use crate::dto::candle::DataStatus;

/// A forming candle is sent at most once in this time.
const PACE: Duration = Duration::from_millis(250);
/// How often history that is still being fetched is looked for.
pub(super) const HISTORY_PACE: Duration = Duration::from_secs(2);

/// One client's place at a candle series.
pub(super) struct CandleListener {
    pub(super) reader: Arc<Reader>,
    /// Candles asked for at the start, and got so far.
    pub(super) asked: usize,
    pub(super) got: usize,
    /// Whether the initial candles have been sent.
    pub(super) is_live: bool,
    /// Whether candles it asked for may still come.
    pub(super) is_loading: bool,
    /// Whether history was being fetched when last looked.
    pub(super) was_fetching: bool,
}

/// One candle series that somebody listens to.
#[derive(Default)]
pub(crate) struct Topic {
    pub(super) listeners: Vec<CandleListener>,
    pub(super) last_sent: Option<Duration>,
    pub(super) is_due: bool,
    /// Start of the newest candle seen.
    pub(super) open_time: Option<Time>,
    /// What was sent last while forming.
    pub(super) forming: Option<(Candle, DataStatus)>,
    /// What was sent last as closed.
    pub(super) closed: Option<Candle>,
    /// Questions for closed candles under way: the next candle waits for them.
    pub(super) closing_count: usize,
}

impl Topic {
    pub(crate) fn has(&self, reader: u64) -> bool {
        self.listeners.iter().any(|listener| listener.reader.id == reader)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Takes a client from the series; true if it was there.
    pub(crate) fn leave(&mut self, reader: u64) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.reader.id != reader);
        self.listeners.len() < before
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &CandleListener> {
        self.listeners.iter().filter(|listener| listener.is_live)
    }
}

/// When which series is to be sent.
pub(crate) struct Pace {
    pub(super) watch: Stopwatch,
    pub(super) due: BinaryHeap<Reverse<(Duration, CandleKey)>>,
    pub(super) history_due: Duration,
    /// Clients whose history is still being fetched.
    pub(super) loading: Vec<(u64, CandleKey)>,
    /// Whether history of anything listened to was being fetched when last looked.
    pub(super) is_fetching: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            watch: Stopwatch::start(),
            due: BinaryHeap::new(),
            history_due: HISTORY_PACE,
            loading: Vec::new(),
            is_fetching: false,
        }
    }

    /// How long nothing is due.
    pub(crate) fn wait(&self) -> Duration {
        let history = if self.watches_history() { self.history_wait() } else { Duration::from_hours(1) };
        let next = self.due.peek().map(|Reverse((due, _))| due.saturating_sub(self.watch.elapsed()));
        next.map_or(history, |next| next.min(history))
    }

    /// Whether history has to be looked after.
    pub(super) fn watches_history(&self) -> bool {
        self.is_fetching || !self.loading.is_empty()
    }

    pub(super) fn history_wait(&self) -> Duration {
        self.history_due.saturating_sub(self.watch.elapsed())
    }

    pub(super) fn touch(&mut self, key: CandleKey, topic: &mut Topic) {
        if !topic.is_due && !topic.is_empty() {
            topic.is_due = true;
            let now = self.watch.elapsed();
            self.due.push(Reverse((topic.last_sent.map_or(now, |sent| (sent + PACE).max(now)), key)));
        }
    }
}
