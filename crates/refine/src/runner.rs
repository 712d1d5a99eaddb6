//! The one thread: reads the log, lets the house take it, hands rows and news on, and decides when to flush.

mod minutes;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{LogPosition, Nanos, Wish};
use rawlog::{Log, LogReader, Record};
use runtime::clock::Stopwatch;
use runtime::{Clock, Sender, Stop};
use tables::{RowBatch, StoreError, TableName, TableStore};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::board::Board;
use crate::checkpoint::Checkpoint;
use crate::clock::nanos;
use crate::feed::NewsFeed;
use crate::flush::Job;
use crate::house::House;
use crate::output::Output;
use crate::settings::RefineSettings;
use crate::shower::Shower;
use crate::state;

/// Records read at a time: news go out after each reading.
const READ_MAX: usize = 512;
/// Rows that are handed to the store at once, if its buffer is not small.
// While a group is handed in, only rows before it can be committed to make room: it must fit an emptied buffer.
const ROWS_MAX: usize = 8_192;
/// Longest time that rows wait before they are handed to the store.
const APPEND_EVERY: Duration = Duration::from_millis(100);
/// How long the log is followed after the end was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Those who wait for a flush; `None` once nobody flushes any more.
#[derive(Clone)]
pub(crate) struct Requests(Arc<Mutex<Option<Vec<oneshot::Sender<()>>>>>);

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }
}

impl Requests {
    /// Asks for a flush; what comes back resolves when it is done or never will be.
    pub(crate) fn ask(&self) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        if let Some(waiting) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            waiting.push(done);
        }
        wait
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(Vec::is_empty)
    }

    fn take(&self) -> Vec<oneshot::Sender<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The thread's belongings.
pub(crate) struct Runner {
    pub(crate) settings: RefineSettings,
    pub(crate) log: Log,
    pub(crate) store: Arc<dyn TableStore>,
    pub(crate) wishes: Sender<Wish>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) house: House,
    pub(crate) feed: NewsFeed,
    pub(crate) board: Arc<Board>,
    pub(crate) shower: Shower,
    pub(crate) jobs: Sender<Job>,
    pub(crate) is_busy: Arc<AtomicBool>,
    pub(crate) requests: Requests,
    pub(crate) handle: Handle,
    pub(crate) pace: Pace,
}

/// Where the thread stands.
pub(crate) struct Pace {
    /// What was written before the start. Wishes of it may long be granted, and are made anew behind it.
    pub(crate) caught_up_at: LogPosition,
    is_caught_up: bool,
    /// Every row up to here is with the store.
    appended: LogPosition,
    append_watch: Stopwatch,
    flushed_at: Nanos,
    flushed: LogPosition,
    rows_since_flush: usize,
    tables_since_flush: BTreeSet<TableName>,
    out: Output,
}

impl Pace {
    pub(crate) fn new(position: LogPosition, caught_up_at: LogPosition, now: Nanos) -> Self {
        Self {
            caught_up_at,
            is_caught_up: false,
            appended: position,
            append_watch: Stopwatch::start(),
            flushed_at: now,
            flushed: position,
            rows_since_flush: 0,
            tables_since_flush: BTreeSet::new(),
            out: Output::default(),
        }
    }
}

impl Runner {
    /// Follows the log until the end is asked for or the log is closed, then flushes what is left.
    pub(crate) fn run(mut self, mut reader: LogReader, stop: &Stop) -> Result<(), String> {
        self.take_up_listed()?;
        let mut records = Vec::with_capacity(READ_MAX);
        let mut ending: Option<(Stopwatch, LogPosition)> = None;
        loop {
            if stop.is_requested() && ending.is_none() {
                ending = Some((Stopwatch::start(), self.log.written()));
            }
            let wait = if ending.is_some() { Duration::from_millis(5) } else { self.wait() };
            let is_open = reader
                .next_blocking(&mut records, READ_MAX, wait)
                .map_err(|error| format!("read raw log after {}: {error}", self.house.position))?;
            for damage in reader.take_damage() {
                let lost = (damage.last.0 + 1).saturating_sub(damage.first.0);
                metrics::counter!("tickhouse_log_records_lost_total").increment(lost);
            }
            self.take(&mut records, stop)?;
            self.publish();
            if self.pace.append_watch.elapsed() >= APPEND_EVERY {
                self.append(stop)?;
            }
            self.flush_if_due(stop)?;
            let is_drained = ending.as_ref().is_some_and(|(watch, through)| {
                // The other half is for the last commit.
                let drain_max = DRAIN_MAX.min(self.settings.closing_max / 2);
                self.house.position >= *through || watch.elapsed() >= drain_max
            });
            if !is_open || is_drained {
                break;
            }
        }
        self.append(stop)?;
        let since_end = ending.map_or_else(Stopwatch::start, |(watch, _)| watch);
        self.flush(stop, &since_end);
        Ok(())
    }

    fn wait(&self) -> Duration {
        if self.pace.out.row_count() > 0 {
            APPEND_EVERY.saturating_sub(self.pace.append_watch.elapsed()).max(Duration::from_millis(1))
        } else {
            APPEND_EVERY
        }
    }

    fn take(&mut self, records: &mut Vec<Record>, stop: &Stop) -> Result<(), String> {
        let has_readers = self.feed.has_readers();
        let rows_max = match self.store.buffered() {
            (_, 0) => ROWS_MAX,
            (_, room) => (room / 4).clamp(1, ROWS_MAX),
        };
        for record in records.drain(..) {
            // What happened before this process is no news: who missed it is sent it from the tables.
            self.pace.out.wants_news = has_readers && record.position > self.pace.caught_up_at;
            self.house.take(&record, &mut self.pace.out);
            if !self.pace.out.recompute.is_empty() {
                self.append_rows(stop)?;
                for ask in std::mem::take(&mut self.pace.out.recompute) {
                    self.recompute(&ask);
                }
            }
            for (instrument, span) in std::mem::take(&mut self.pace.out.reload) {
                self.reload(&instrument, span);
            }
            if self.pace.out.row_count() >= rows_max {
                self.append(stop)?;
            }
        }
        Ok(())
    }

    /// Shows and tells what the batch brought: who hears of something finds it shown.
    fn publish(&mut self) {
        let Self { pace, shower, house, .. } = self;
        shower.show(house, &mut pace.out);
        self.feed.publish(std::mem::take(&mut pace.out.news));
        let wishes = std::mem::take(&mut pace.out.wishes);
        if !pace.is_caught_up && house.position >= pace.caught_up_at {
            pace.is_caught_up = true;
            // Wishes of the log so far were made to another process, or are granted further on in the log.
            for wish in house.open_wishes() {
                offer(&self.wishes, wish);
            }
        } else if pace.is_caught_up {
            for wish in wishes {
                offer(&self.wishes, wish);
            }
        }
        for desk in &mut house.desks {
            let venue = desk.id().as_str();
            // One trade of a batch is enough to see how far away a venue is; what is replayed was late long ago.
            if let Some(micros) = desk.latency.take().filter(|_| pace.is_caught_up) {
                let seconds = micros.max(0) as f64 / 1e6;
                metrics::histogram!("tickhouse_trade_latency_seconds", "venue" => venue).record(seconds);
            }
            metrics::counter!("tickhouse_undecodable_total", "venue" => venue)
                .absolute(desk.undecodable_total);
        }
        let counts = house.counts;
        metrics::counter!("tickhouse_trades_total").absolute(counts.trades_total);
        metrics::counter!("tickhouse_duplicates_total").absolute(counts.duplicates_total);
        metrics::counter!("tickhouse_inexact_total").absolute(counts.inexact_total);
        let behind = self.log.written().0.saturating_sub(house.position.0);
        metrics::gauge!("tickhouse_refine_behind_records").set(behind as f64);
    }

    /// Hands everything taken so far to the store; from then on its rows are readable.
    fn append(&mut self, stop: &Stop) -> Result<(), String> {
        self.append_rows(stop)?;
        self.pace.appended = self.house.position;
        self.pace.append_watch = Stopwatch::start();
        self.board.set_refined(self.house.position);
        Ok(())
    }

    fn append_rows(&mut self, stop: &Stop) -> Result<(), String> {
        for rows in self.pace.out.take_rows() {
            self.pace.rows_since_flush += rows.positions.len();
            self.pace.tables_since_flush.insert(rows.table);
            self.append_patiently(&rows, stop)?;
        }
        Ok(())
    }

    /// When the row buffer is full, the rest waits in the log.
    fn append_patiently(&mut self, rows: &RowBatch, stop: &Stop) -> Result<(), String> {
        let watch = Stopwatch::start();
        let mut is_told = false;
        loop {
            match self.store.append(rows.clone()) {
                Ok(()) => return Ok(()),
                Err(StoreError::BufferFull) => {}
                Err(error) => return Err(format!("hand rows of {} to the store: {error}", rows.table)),
            }
            if !is_told {
                is_told = true;
                tracing::warn!(table = %rows.table, "row buffer is full; refining waits for commits");
            }
            // Rows of records before the one at hand can be committed without a state: a restart replays more.
            self.send(Job { through: self.pace.appended, checkpoint: None, waiting: Vec::new() });
            self.handle.block_on(runtime::sleep(Duration::from_millis(20)));
            if stop.is_requested() && watch.elapsed() >= DRAIN_MAX {
                return Err(format!("rows of {} stay in the log: the row buffer is full", rows.table));
            }
        }
    }

    /// Hands a job in unless one is being worked on.
    fn send(&self, job: Job) -> bool {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        if self.jobs.send_blocking(job).is_err() {
            self.is_busy.store(false, Ordering::Release);
            return false;
        }
        true
    }

    fn flush_if_due(&mut self, stop: &Stop) -> Result<(), String> {
        let since = self.clock.now().0 - self.pace.flushed_at.0;
        let is_due = since >= nanos(self.settings.flush_every)
            || self.pace.rows_since_flush >= self.settings.flush_rows
            || !self.requests.is_empty();
        if is_due && !self.is_busy.load(Ordering::Acquire) {
            self.append(stop)?;
            self.start_flush();
        }
        Ok(())
    }

    /// Saves the state and hands it in with the rows it covers.
    fn start_flush(&mut self) {
        let through = self.house.position;
        let waiting = self.requests.take();
        self.pace.flushed_at = self.clock.now();
        let is_nothing_new = through == self.pace.flushed;
        let tables = std::mem::take(&mut self.pace.tables_since_flush).into_iter().collect();
        let checkpoint = (!is_nothing_new).then(|| Checkpoint {
            position: through,
            tables,
            state: state::save(&self.house),
        });
        self.pace.rows_since_flush = 0;
        self.pace.flushed = through;
        self.send(Job { through, checkpoint, waiting });
    }

    /// The last flush: waits for the one that runs, then for this one, as long as closing may take.
    fn flush(&mut self, stop: &Stop, since_end: &Stopwatch) {
        let closing_max = self.settings.closing_max;
        let is_patient = || !stop.is_requested() || since_end.elapsed() < closing_max;
        while self.is_busy.load(Ordering::Acquire) && is_patient() {
            self.handle.block_on(runtime::sleep(Duration::from_millis(5)));
        }
        if self.is_busy.load(Ordering::Acquire) {
            tracing::warn!(
                "the commit under way takes longer than closing may: the next start replays the log from the last one"
            );
            return;
        }
        self.start_flush();
        while self.is_busy.load(Ordering::Acquire) && is_patient() {
            self.handle.block_on(runtime::sleep(Duration::from_millis(5)));
        }
    }
}

/// However the thread ends, nobody waits for it in vain.
impl Drop for Runner {
    fn drop(&mut self) {
        self.requests.end();
        self.feed.end();
    }
}

fn offer(wishes: &Sender<Wish>, wish: Wish) {
    // A wish that finds no room is made again: holes by the clock, books with their next updates.
    let _is_taken = wishes.offer(wish);
}
