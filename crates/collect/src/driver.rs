//! Keeps a venue's streams on connections: opens them, replaces them before they end, and follows what is chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{Channel, InstrumentId, Nanos};
use runtime::{Receiver, Restart, Stop, Tasks};
use tokio::sync::{Notify, watch};
use venues::{Endpoints, Stream};

use crate::connection::{self, Asker, Surroundings};
use crate::link::{Command, link};
use crate::listing::Selection;
use crate::slot::{Deed, Running, Slot, SlotRules};

/// How often the driver looks after its connections when nobody wakes it.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A stream is asked for anew at most so often.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// What a driver needs besides its surroundings.
pub(crate) struct DriverParts {
    pub(crate) endpoints: Endpoints,
    pub(crate) redundancy: usize,
    pub(crate) seed: u64,
    pub(crate) tasks: Tasks,
    pub(crate) numbers: Arc<AtomicU32>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
    pub(crate) renewals: Receiver<(InstrumentId, Channel)>,
    pub(crate) asker: Arc<Asker>,
}

/// The driver of one venue.
pub(crate) struct Driver {
    around: Arc<Surroundings>,
    parts: DriverParts,
    rules: SlotRules,
    slots: Vec<Slot>,
    renewed: BTreeMap<Box<str>, Nanos>,
    news: Arc<Notify>,
}

impl Driver {
    /// A driver without connections.
    pub(crate) fn new(around: Arc<Surroundings>, parts: DriverParts) -> Self {
        let rules = SlotRules {
            lifetime: around.venue.facts().lifetime,
            handover_max: around.bounds.handover_max,
            reconnect: around.bounds.reconnect,
        };
        Self { around, parts, rules, slots: Vec::new(), renewed: BTreeMap::new(), news: Arc::default() }
    }

    /// Drives until told to stop.
    pub(crate) async fn run(&mut self, stop: Stop) -> Result<(), String> {
        let news = Arc::clone(&self.news);
        let mut selection = self.parts.selection.clone();
        let mut is_listing_alive = true;
        // What an earlier start of this task left unseen is applied at once.
        selection.mark_changed();
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                changed = selection.changed(), if is_listing_alive => {
                    is_listing_alive = changed.is_ok();
                    let chosen = selection.borrow_and_update().clone();
                    if let Some(chosen) = chosen {
                        self.follow(&chosen.streams);
                    }
                }
                renewal = self.parts.renewals.receive() => match renewal {
                    Some((instrument, channel)) => self.renew(&instrument, channel),
                    None => return Ok(()),
                },
                () = news.notified() => {}
                () = runtime::sleep(LOOK_EVERY) => {}
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.around.journal.now();
        for index in 0..self.slots.len() {
            match self.slots[index].turn(&self.rules, now) {
                Deed::Nothing => {}
                Deed::Open => {
                    let running = self.open(index);
                    self.slots[index].opened(running);
                }
            }
            for line in self.slots[index].take_news() {
                tracing::info!(venue = self.around.id().as_str(), url = self.slots[index].url, "{line}");
            }
            if let Some(trouble) = self.slots[index].take_trouble() {
                self.around.board.trouble(trouble);
            }
        }
        self.slots.retain(|slot| !slot.is_over());
        if !self.slots.is_empty() && self.slots.iter().all(Slot::is_well) {
            self.around.board.calm(|trouble| trouble.starts_with(crate::slot::TROUBLE));
        }
    }

    fn open(&self, index: usize) -> Running {
        let number = self.parts.numbers.fetch_add(1, Ordering::Relaxed);
        let (link, end) = link(number, &self.news);
        let slot = &self.slots[index];
        let plan = (slot.url.clone(), slot.streams.clone());
        let around = (Arc::clone(&self.around), Arc::clone(&self.parts.asker));
        let mut once = Some((around, end, plan));
        let name = format!("collect.{}.connection.{number}", self.around.id());
        self.parts.tasks.start(name, Restart::Never, move |stop| {
            let parts = once.take();
            async move {
                if let Some((around, end, plan)) = parts {
                    Box::pin(connection::run(around, end, plan, stop)).await;
                }
                Ok(())
            }
        });
        Running::new(link)
    }

    /// Carries exactly these streams from now on.
    fn follow(&mut self, target: &[Stream]) {
        let wanted: BTreeSet<&str> = target.iter().map(|stream| &*stream.key).collect();
        for slot in &mut self.slots {
            let gone: Vec<Box<str>> = slot
                .streams
                .iter()
                .filter(|stream| !wanted.contains(&*stream.key))
                .map(|stream| stream.key.clone())
                .collect();
            if gone.is_empty() {
                continue;
            }
            tracing::info!(
                venue = self.around.id().as_str(),
                count = gone.len(),
                first = &*gone[0],
                "streams are not wanted any more"
            );
            slot.streams.retain(|stream| wanted.contains(&*stream.key));
            for key in &gone {
                self.around.board.forget(key);
            }
            slot.tell(|| Command::Unwant(gone.clone()));
        }
        for copy in 0..self.parts.redundancy {
            let carried: BTreeSet<&str> = self
                .slots
                .iter()
                .filter(|slot| slot.copy == copy)
                .flat_map(|slot| slot.streams.iter().map(|stream| &*stream.key))
                .collect();
            let new: Vec<Stream> =
                target.iter().filter(|stream| !carried.contains(&*stream.key)).cloned().collect();
            if !new.is_empty() {
                self.place(new, copy);
            }
        }
    }

    /// Puts streams on a connection with room, or plans new ones.
    fn place(&mut self, new: Vec<Stream>, copy: usize) {
        for stream in &new {
            self.around.board.cell(stream);
        }
        for plan in self.around.venue.connections(&self.parts.endpoints, new) {
            let room = self.slots.iter().position(|slot| {
                slot.copy == copy && slot.url == plan.url && !slot.streams.is_empty() && {
                    let all = slot.streams.iter().chain(&plan.streams).cloned().collect();
                    self.around.venue.connections(&self.parts.endpoints, all).len() == 1
                }
            });
            if let Some(index) = room {
                let slot = &mut self.slots[index];
                slot.streams.extend(plan.streams.iter().cloned());
                slot.tell(|| Command::Want(plan.streams.clone()));
            } else if self.slots.len() < self.around.bounds.connections_max {
                let seed = self.parts.seed.wrapping_add(self.slots.len() as u64 * 7_919 + copy as u64);
                self.slots.push(Slot::new(plan.url, plan.streams, copy, (seed, &self.rules)));
            } else {
                self.around.board.trouble(format!(
                    "{} streams are not carried: all {} connections are in use; choose fewer instruments or channels",
                    plan.streams.len(),
                    self.around.bounds.connections_max
                ));
            }
        }
    }

    fn renew(&mut self, instrument: &InstrumentId, channel: Channel) {
        let now = self.around.journal.now();
        let is_it =
            |stream: &&Stream| stream.channel == channel && stream.instrument.as_ref() == Some(instrument);
        let keys: BTreeSet<Box<str>> = self
            .slots
            .iter()
            .flat_map(|slot| slot.streams.iter().filter(is_it))
            .map(|s| s.key.clone())
            .collect();
        for key in keys {
            let last = self.renewed.get(&key).copied();
            if last.is_some_and(|last| now.0 - last.0 < RENEW_EVERY.as_nanos() as i64) {
                continue;
            }
            for slot in &mut self.slots {
                if slot.streams.iter().any(|stream| stream.key == key) {
                    slot.tell(|| Command::Renew(key.clone()));
                }
            }
            self.renewed.insert(key, now);
        }
        let horizon = now.0 - 10 * RENEW_EVERY.as_nanos() as i64;
        self.renewed.retain(|_, time| time.0 > horizon);
    }
}
