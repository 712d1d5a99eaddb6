//! The thread that makes rows last: log durable first, then the state, then the tables, so that reading goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::LogPosition;
use rawlog::Log;
use runtime::clock::Stopwatch;
use runtime::{Backoff, Receiver, Stop};
use tables::TableStore;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::board::Board;
use crate::checkpoint::{Checkpoint, States};

/// One flush.
pub(crate) struct Job {
    pub(crate) through: LogPosition,
    /// The state at `through`; `None` when only room is needed in the row buffer.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Who waits for it.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

/// What a flush works with.
pub(crate) struct Flusher {
    pub(crate) log: Log,
    pub(crate) store: Arc<dyn TableStore>,
    pub(crate) states: States,
    pub(crate) board: Arc<Board>,
    /// True from handing a job in until it is done.
    pub(crate) is_busy: Arc<AtomicBool>,
    pub(crate) handle: Handle,
}

impl Flusher {
    /// Works until nobody hands jobs in any more.
    pub(crate) fn run(&self, jobs: &mut Receiver<Job>, stop: &Stop) {
        while let Some(job) = jobs.receive_blocking() {
            let watch = Stopwatch::start();
            let through = job.through;
            let is_done = self.flush(&job, stop);
            self.is_busy.store(false, Ordering::Release);
            if is_done {
                metrics::histogram!("tickhouse_flush_seconds").record(watch.elapsed().as_secs_f64());
                tracing::debug!(%through, elapsed = ?watch.elapsed(), "flushed");
                job.waiting.into_iter().for_each(|waiting| {
                    let _nobody_need_wait = waiting.send(());
                });
            }
        }
    }

    fn flush(&self, job: &Job, stop: &Stop) -> bool {
        if self.log.wait_durable_blocking(job.through).is_err() {
            tracing::warn!(through = %job.through, "log closed before it was durable; the next start replays");
            return false;
        }
        if let Some(checkpoint) = &job.checkpoint
            && !self.retry("write state", stop, || {
                self.states.write(checkpoint).map_err(|error| error.to_string())
            })
        {
            return false;
        }
        let commit =
            || self.handle.block_on(self.store.commit(job.through)).map_err(|error| error.to_string());
        if !self.retry("commit tables", stop, commit) {
            return false;
        }
        self.board.set_committed(job.through);
        if job.checkpoint.is_some() {
            if let Err(error) = self.states.delete_below(job.through) {
                tracing::warn!(%error, "old states stay for now");
            }
            self.log.allow_trim(job.through);
        }
        true
    }

    fn tell(&self, trouble: Option<String>) {
        *self.board.commit_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Tries until it works or the end is asked for twice: once to the thread that feeds us, then to us.
    fn retry(&self, what: &str, stop: &Stop, mut attempt: impl FnMut() -> Result<(), String>) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10), 11);
        loop {
            let Err(error) = attempt() else {
                self.tell(None);
                return true;
            };
            metrics::counter!("tickhouse_flush_failures_total").increment(1);
            tracing::error!(what, error, "flush failed, trying again; rows wait in the log");
            // What the next try mends is no trouble.
            if backoff.tries() > 0 {
                self.tell(Some(format!("{what}: {error}")));
            }
            if stop.is_requested() || !self.handle.block_on(stop.sleep(backoff.next_wait())) {
                return false;
            }
        }
    }
}
