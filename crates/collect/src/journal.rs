//! Writes records into the raw log, stamped. What they mean is said in `rawlog::record`.

use std::sync::Arc;

use bytes::Bytes;
use model::{Nanos, VenueId};
use rawlog::{Log, LogClosed, LogState, NewRecord, RecordKind};
use runtime::Clock;
use tokio::sync::watch;

/// The way into the raw log; cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    target: Target,
    state: watch::Receiver<LogState>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
enum Target {
    Log(Log),
    Nowhere,
    #[cfg(test)]
    Memory(Arc<std::sync::Mutex<Vec<NewRecord>>>),
}

impl Journal {
    /// Writes into a log.
    pub(crate) fn new(log: Log, clock: Arc<dyn Clock>) -> Self {
        Self { state: log.watch_state(), target: Target::Log(log), clock }
    }

    /// Writes nowhere: for commands that ask without collecting.
    pub(crate) fn nowhere(clock: Arc<dyn Clock>) -> Self {
        Self { state: watch::channel(LogState::Open).1, target: Target::Nowhere, clock }
    }

    /// Keeps records in memory, to be looked at.
    #[cfg(test)]
    pub(crate) fn in_memory(
        clock: Arc<dyn Clock>,
    ) -> (Self, Arc<std::sync::Mutex<Vec<NewRecord>>>, watch::Sender<LogState>) {
        let records = Arc::default();
        let (sender, state) = watch::channel(LogState::Open);
        (Self { target: Target::Memory(Arc::clone(&records)), state, clock }, records, sender)
    }

    /// Whether records are kept.
    pub(crate) fn records(&self) -> bool {
        !matches!(self.target, Target::Nowhere)
    }

    /// The clock that stamps the records.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Now.
    pub(crate) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// A record of what happens now.
    pub(crate) fn record(
        &self,
        venue: Option<VenueId>,
        connection: u32,
        kind: RecordKind,
        payload: impl Into<Bytes>,
    ) -> NewRecord {
        NewRecord { received: self.clock.now(), venue, connection, kind, payload: payload.into() }
    }

    /// Writes one record; waits while the log cannot take it.
    pub(crate) async fn write(&self, record: NewRecord) -> Result<(), LogClosed> {
        match &self.target {
            Target::Log(log) => log.append(record).await,
            Target::Nowhere => Ok(()),
            #[cfg(test)]
            Target::Memory(_) => self.write_many(vec![record]).await,
        }
    }

    /// Writes records in their order; waits while the log cannot take them.
    pub(crate) async fn write_many(&self, records: Vec<NewRecord>) -> Result<(), LogClosed> {
        if records.is_empty() {
            return Ok(());
        }
        match &self.target {
            Target::Log(log) => log.append_many(records).await,
            Target::Nowhere => Ok(()),
            #[cfg(test)]
            Target::Memory(kept) => {
                self.open().await;
                kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(records);
                Ok(())
            }
        }
    }

    /// Whether the disk is full and capture stands still.
    pub(crate) fn stands_still(&self) -> bool {
        matches!(*self.state.borrow(), LogState::DiskFull { .. })
    }

    /// Resolves once capture does not stand still.
    pub(crate) async fn open(&self) {
        let mut state = self.state.clone();
        let _closed_log_shows_at_the_next_write =
            state.wait_for(|state| !matches!(state, LogState::DiskFull { .. })).await;
    }
}
