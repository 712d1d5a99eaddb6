//! Measures the disk of the data folder for whoever asks, and now and then for those who do not.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Nanos;
use notify::disk::{DiskBounds, DiskReport, DiskState, DiskWatch};
use runtime::{Clock, TokioClock};

/// The disk of a folder.
pub(crate) struct Disk {
    place: PathBuf,
    watch: Mutex<DiskWatch>,
    /// Goes only forward.
    clock: TokioClock,
}

impl Disk {
    pub(crate) fn new(place: &Path, bounds: DiskBounds) -> Self {
        Self {
            place: place.to_path_buf(),
            watch: Mutex::new(DiskWatch::new(bounds)),
            clock: TokioClock::starting_at(Nanos(0)),
        }
    }

    /// How it is now; `is_stopped` says that recording stands still for want of space.
    pub(crate) fn look(&self, is_stopped: bool) -> DiskReport {
        let (Ok(free), Ok(total)) = (fs4::available_space(&self.place), fs4::total_space(&self.place)) else {
            // Where the system does not tell, only the log can.
            let state = if is_stopped { DiskState::Full } else { DiskState::Ok };
            return DiskReport { state, free_percent: 100.0, ..DiskReport::default() };
        };
        let now = Duration::from_nanos(self.clock.now().0.unsigned_abs());
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).see(now, (free, total), is_stopped)
    }

    /// The folder.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }
}
