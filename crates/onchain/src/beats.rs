//! Signs of life, each written when that part of the work was done: a part that hangs or fails gives none, whatever the others do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use control::{CheckpointKey, Control, Reached};
use runtime::Clock;
use runtime::clock::Stopwatch;

use crate::error::Error;
use crate::{Doors, components};

/// A part that does its work all the time says so this often.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// Writes signs of life.
pub(crate) struct Beats {
    control: Control,
    clock: std::sync::Arc<dyn Clock>,
    written: Mutex<BTreeMap<&'static str, Stopwatch>>,
}

impl Beats {
    pub(crate) fn new(doors: &Doors) -> Self {
        let (control, clock) = (doors.control.clone(), std::sync::Arc::clone(&doors.clock));
        Self { control, clock, written: Mutex::default() }
    }

    /// Whoever has just started is not silent yet.
    pub(crate) fn begin(&self) {
        for worker in components::WORKERS {
            if let Err(error) = self.alive(worker) {
                tracing::warn!(%error, "a sign of life could not be noted");
            }
        }
    }

    /// This worker has just done its work.
    pub(crate) fn alive(&self, worker: &'static str) -> Result<(), Error> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(worker).is_some_and(|watch| watch.elapsed() < BEAT_EVERY) {
            return Ok(());
        }
        let key = CheckpointKey::btc(worker, "heartbeat");
        self.control.checkpoint_reached(&key, &Reached::default(), self.clock.time())?;
        written.insert(worker, Stopwatch::start());
        Ok(())
    }
}
