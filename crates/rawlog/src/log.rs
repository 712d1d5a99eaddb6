//! The handle to an open log: adding records, waiting until they are safe, and finding readers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::LogPosition;
use runtime::{Clock, Tasks};
use tokio::sync::watch;

use crate::counts::{Counters, LogCounts};
use crate::error::{Error, LogClosed};
use crate::index::Index;
use crate::keeper::{self, KeeperDesk};
use crate::progress::Progress;
use crate::reader::LogReader;
use crate::record::NewRecord;
use crate::recovery::{self, RecoveryReport};
use crate::segment::SegmentInfo;
use crate::settings::LogSettings;
use crate::sync::{self, SyncDesk};
use crate::waiting::Waiting;
use crate::writer::Writer;

/// Whether the log takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Open,
    /// It waits for room on the disk and goes on by itself.
    DiskFull {
        /// Bytes free when last looked.
        free_bytes: u64,
    },
    /// It ended.
    Closed,
}

/// What the handles, the readers and the threads of one log share.
pub(crate) struct Shared {
    pub(crate) settings: LogSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Index,
    pub(crate) waiting: Waiting,
    pub(crate) written: Progress,
    pub(crate) durable: Progress,
    pub(crate) state: watch::Sender<LogState>,
    pub(crate) desk: SyncDesk,
    pub(crate) keeper: KeeperDesk,
    pub(crate) trim: AtomicU64,
    pub(crate) spends_reserve: AtomicBool,
    pub(crate) counters: Counters,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("directory", &self.settings.directory)
            .field("written", &self.written.get())
            .field("durable", &self.durable.get())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether the log closes, and may use the last of the disk for what it holds.
    pub(crate) fn spends_reserve(&self) -> bool {
        self.spends_reserve.load(Ordering::Acquire)
    }

    /// Nothing is taken any more; what is written stays readable.
    pub(crate) fn close(&self) {
        self.waiting.close();
        self.state.send_replace(LogState::Closed);
        self.written.close();
        self.keeper.wake();
    }
}

/// An open log; cheap to clone. Closed by [`Tasks::close`], which writes and syncs what is still queued.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    /// Opens the log of a folder, repairs a torn tail and starts its threads. To be called within a tokio runtime.
    pub fn open(
        settings: LogSettings,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<(Self, RecoveryReport), Error> {
        let found = recovery::recover(&settings)?;
        let last = found.report.last.0;
        let shared = Arc::new(Shared {
            clock,
            index: Index::new(&settings.directory, []),
            waiting: Waiting::new(settings.queue_records),
            written: Progress::default(),
            durable: Progress::default(),
            state: watch::Sender::new(LogState::Open),
            desk: SyncDesk::default(),
            keeper: KeeperDesk::default(),
            trim: AtomicU64::new(0),
            spends_reserve: AtomicBool::new(false),
            counters: Counters::default(),
            settings,
        });
        for segment in found.segments {
            shared.index.push(Arc::new(segment));
        }
        shared.written.publish(last);
        shared.durable.publish(last);
        let writer = Writer::new(Arc::clone(&shared), found.goes_on, last + 1)?;
        // Threads are closed last started first: the writer ends, then what it wrote is synced.
        let log = Arc::clone(&shared);
        tasks
            .thread("rawlog.keeper", move |stop| {
                keeper::run(&log, &stop);
                Ok(())
            })
            .map_err(Error::Thread)?;
        let log = Arc::clone(&shared);
        tasks.thread("rawlog.sync", move |stop| sync::run(&log, &stop)).map_err(Error::Thread)?;
        tasks.thread("rawlog.writer", move |stop| writer.run(&stop)).map_err(Error::Thread)?;
        Ok((Self { shared }, found.report))
    }

    /// Adds a record. Waits while the queue or the disk is full; dropped while waiting, it adds nothing.
    pub async fn append(&self, record: NewRecord) -> Result<(), LogClosed> {
        self.shared.waiting.push(record).await
    }

    /// Adds records that get contiguous positions: all of them, or none when dropped while waiting.
    pub async fn append_many(&self, records: Vec<NewRecord>) -> Result<(), LogClosed> {
        self.shared.waiting.push_many(records).await
    }

    /// Newest record that readers can see.
    pub fn written(&self) -> LogPosition {
        LogPosition(self.shared.written.get())
    }

    /// Newest record that survives a power cut.
    pub fn durable(&self) -> LogPosition {
        LogPosition(self.shared.durable.get())
    }

    /// Waits until a position is durable. Fails only if the log closed before it was.
    pub async fn wait_durable(&self, position: LogPosition) -> Result<(), LogClosed> {
        if self.shared.durable.wait(position.0).await { Ok(()) } else { Err(LogClosed) }
    }

    /// As [`Log::wait_durable`], blocking the thread.
    pub fn wait_durable_blocking(&self, position: LogPosition) -> Result<(), LogClosed> {
        if self.shared.durable.wait_blocking(position.0, None) { Ok(()) } else { Err(LogClosed) }
    }

    /// Whether the log takes records.
    pub fn state(&self) -> LogState {
        *self.shared.state.borrow()
    }

    /// Follows [`Log::state`].
    pub fn watch_state(&self) -> watch::Receiver<LogState> {
        self.shared.state.subscribe()
    }

    /// Reads the records after a position and follows the log from there.
    pub fn reader(&self, after: LogPosition) -> Result<LogReader, Error> {
        LogReader::new(Arc::clone(&self.shared), after)
    }

    /// Oldest record still kept; of an empty log, the position its first record will have.
    pub fn first_position(&self) -> LogPosition {
        LogPosition(self.shared.index.first().unwrap_or_else(|| self.shared.written.get() + 1))
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.shared.index.bytes()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.index.all().iter().map(|segment| segment.info()).collect()
    }

    /// The tables hold everything up to here: retention may delete segments that end at or before it. Only grows.
    pub fn allow_trim(&self, through: LogPosition) {
        self.shared.trim.fetch_max(through.0, Ordering::AcqRel);
        self.shared.keeper.wake();
    }

    /// To be called before closing: from now on the log writes into the disk's reserve, which was kept for this, so
    /// that nothing that waits is lost because the disk is full.
    pub fn spend_reserve(&self) {
        self.shared.spends_reserve.store(true, Ordering::Release);
    }

    /// What was counted since the log was opened.
    pub fn counts(&self) -> LogCounts {
        self.shared.counters.get()
    }

    /// Whether everything that was added so far is written.
    pub fn is_idle(&self) -> bool {
        self.shared.waiting.is_idle()
    }

    /// Records waiting to be written.
    pub fn queued_count(&self) -> usize {
        self.shared.waiting.record_count()
    }
}
