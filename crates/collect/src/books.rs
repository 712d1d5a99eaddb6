//! Fetches book snapshots that are wished for, one wish per instrument, staggered within the budget.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::InstrumentId;
use runtime::{Backoff, Stop};
use tokio::sync::{Notify, watch};
use venues::HistoryAsk;

use crate::connection::Surroundings;
use crate::listing::Selection;
use crate::rest::{Desk, Priority};

/// A wish that finds no answer in so many tries is dropped; `refine` utters it again.
const TRIES_MAX: u32 = 5;
/// How long a snapshot may wait for its turn.
const TURN_MAX: Duration = Duration::from_mins(5);
/// Snapshots are heavy, so they leave one after the other with a little air between.
const STAGGER: Duration = Duration::from_millis(50);

/// The snapshots wished for at one venue.
pub(crate) struct Books {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
    pub(crate) wanted: Mutex<Wanted>,
    pub(crate) news: Notify,
}

/// Instruments waiting or on their way.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    waiting: VecDeque<InstrumentId>,
    known: BTreeSet<InstrumentId>,
}

impl Books {
    /// Takes a wish; at most one per instrument is kept, so their number is bounded by the listing.
    pub(crate) fn add(&self, instrument: InstrumentId) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.known.len() < self.around.bounds.wishes_max && wanted.known.insert(instrument.clone()) {
            wanted.waiting.push_back(instrument);
            self.news.notify_one();
        }
    }

    /// Fetches until told to stop.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        let mut selection = self.selection.clone();
        tokio::select! {
            () = stop.requested() => return Ok(()),
            known = selection.wait_for(Option::is_some) => if known.is_err() { return Ok(()) },
        }
        loop {
            let next = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).waiting.pop_front();
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = self.step(next) => {}
            }
        }
    }

    async fn step(&self, next: Option<InstrumentId>) {
        let Some(instrument) = next else { return self.news.notified().await };
        self.fetch(&instrument).await;
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).known.remove(&instrument);
        runtime::sleep(STAGGER).await;
    }

    async fn fetch(&self, id: &InstrumentId) {
        let selection = self.selection.borrow().clone().unwrap_or_default();
        let Some(instrument) = selection.listed.get(id) else { return };
        let Ok(request) = self.around.venue.history(&HistoryAsk::Book { instrument }) else {
            tracing::debug!(instrument = id.as_str(), "the venue offers no book snapshot over rest");
            return;
        };
        let mut backoff =
            Backoff::new(Duration::from_millis(500), Duration::from_secs(10), id.as_str().len() as u64);
        while backoff.tries() < TRIES_MAX {
            let answer = self.desk.ask(self.around.id(), request.clone(), Priority::Book, TURN_MAX).await;
            match answer {
                Ok(reply) if reply.is_ok() => return,
                Ok(reply) => {
                    tracing::info!(instrument = id.as_str(), status = reply.status, "no book snapshot");
                }
                Err(error) => tracing::info!(instrument = id.as_str(), "no book snapshot: {error}"),
            }
            runtime::sleep(backoff.next_wait()).await;
        }
    }
}
