//! Makes written records durable, on a thread of its own so that the writer never waits for the disk's cache.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::Stop;
use runtime::clock::Stopwatch;

use crate::error::Error;
use crate::log::Shared;
use crate::segment;

/// Longest sleep without looking whether the end was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A segment with bytes that are not durable yet.
#[derive(Clone, Debug)]
pub(crate) struct Unsynced {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    /// Its folder entry is not durable either.
    pub(crate) is_new: bool,
}

/// Where the writer leaves what is to be synced.
#[derive(Debug, Default)]
pub(crate) struct SyncDesk {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Unsynced>,
    written: u64,
    is_finished: bool,
}

impl SyncDesk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to `written` stands in `file` or in files marked before it.
    pub(crate) fn mark(&self, file: &Unsynced, written: u64) {
        let mut inner = self.lock();
        let was_idle = inner.files.is_empty();
        if !inner.files.last().is_some_and(|last| Arc::ptr_eq(&last.file, &file.file)) {
            inner.files.push(file.clone());
        }
        inner.written = written;
        drop(inner);
        if was_idle {
            self.changed.notify_one();
        }
    }

    /// The writer wrote its last.
    pub(crate) fn finish(&self) {
        self.lock().is_finished = true;
        self.changed.notify_all();
    }

    /// Waits for work. `None` when there will be none.
    fn wait(&self, stop: &Stop) -> Option<(Vec<Unsynced>, u64)> {
        let mut inner = self.lock();
        while inner.files.is_empty() {
            if inner.is_finished || stop.is_requested() {
                return None;
            }
            inner = self.changed.wait_timeout(inner, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some((std::mem::take(&mut inner.files), inner.written))
    }

    /// Waits a while, unless the writer finishes.
    fn rest(&self, wait: Duration) {
        let inner = self.lock();
        drop(self.changed.wait_timeout_while(inner, wait, |inner| !inner.is_finished));
    }
}

/// However the thread ends, nobody is left waiting for it.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // After a failed sync nobody knows what the disk holds: only a new start, which reads it, can tell.
        self.0.close();
        self.0.durable.close();
    }
}

/// The body of the sync thread. It ends after the writer.
pub(crate) fn run(log: &Shared, stop: &Stop) -> Result<(), String> {
    let _ending = Ending(log);
    work(log, stop).map_err(|error| error.to_string())
}

fn work(log: &Shared, stop: &Stop) -> Result<(), Error> {
    let mut since_sync: Option<Stopwatch> = None;
    loop {
        if let Some(watch) = since_sync {
            log.desk.rest(log.settings.commit_every.saturating_sub(watch.elapsed()));
        }
        let Some((files, written)) = log.desk.wait(stop) else { return Ok(()) };
        since_sync = Some(Stopwatch::start());
        for unsynced in &files {
            let doing = Error::io("sync segment", &unsynced.path);
            if unsynced.is_new {
                unsynced.file.sync_all().map_err(doing)?;
                segment::sync_folder(&log.settings.directory)?;
            } else {
                unsynced.file.sync_data().map_err(doing)?;
            }
        }
        log.counters.count_sync();
        log.durable.publish(written);
        if files.len() > 1 {
            log.keeper.wake();
        }
    }
}
