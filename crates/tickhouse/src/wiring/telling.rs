//! Hands what the rooms publish to `notify`: gaps from the live feed, streams, bans and the disk from what is looked at now
//! and then, recovery from those who look after the past. Whether it is worth telling is decided there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use history::{FileEnd, Listener, News, Phase};
use model::GapState;
use notify::disk::DiskState;
use notify::{Kind, Message, Notifier, RecoveryWatch, Severity, VenueWatch, words};
use rawlog::LogState;
use runtime::clock::Stopwatch;
use runtime::{Clock, Restart, Stop, Tasks};

use super::state::State;
use crate::config::{Config, settings};

/// Longest wait for the last messages.
pub(crate) const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How often it is looked how things are, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How often the disk is looked at.
const DISK_EVERY: Duration = Duration::from_secs(10);

/// Who tells.
#[derive(Clone)]
pub(crate) struct Telling {
    notifier: Notifier,
    recovery: Arc<Mutex<RecoveryWatch>>,
    clock: Arc<dyn Clock>,
}

impl Telling {
    /// Begins to tell, before there is anything to tell of.
    pub(crate) fn start(config: &Config, clock: &Arc<dyn Clock>, tasks: &Tasks) -> anyhow::Result<Self> {
        let notifier = notify::start(&settings::notify(config), clock.time(), tasks);
        let (_, every) = settings::watches(config);
        Ok(Self {
            notifier: notifier.map_err(anyhow::Error::msg)?,
            recovery: Arc::new(Mutex::new(RecoveryWatch::new(every))),
            clock: Arc::clone(clock),
        })
    }

    /// Tells.
    pub(crate) fn tell(&self, message: &Message) {
        self.notifier.tell(message);
    }

    /// Tells that the house could not be opened, and waits until that is gone.
    pub(crate) async fn tell_failed_start(&self, error: &anyhow::Error) {
        let title = "could not start";
        let message = Message::new(Kind::Error, Severity::Critical, title, self.clock.time());
        self.tell(&message.with_text(crate::in_words(error)));
        self.farewell().await;
    }

    /// Tells that the house closes: as asked, or because of what failed.
    pub(crate) fn tell_stop(&self, state: &State, failure: Option<&str>) {
        let now = self.clock.time();
        let up_seconds = (now.0 - state.started.0) / model::time::SECOND;
        self.tell(&words::stopped(up_seconds, state.refine.counts().trades_total, failure, now));
    }

    /// Waits until everything is told, but not for long.
    pub(crate) async fn farewell(&self) {
        if !self.notifier.finish(FAREWELL_MAX).await {
            tracing::warn!("the last messages could not be told in time");
        }
    }

    /// Who hears of recovery.
    pub(crate) fn ear(&self) -> Arc<dyn Listener> {
        Arc::new(Ear(Arc::clone(&self.recovery)))
    }

    /// Follows what the rooms publish. The disk is looked at even if nobody is told: the log tells of it.
    pub(crate) fn follow(&self, config: &Config, state: &Arc<State>, tasks: &Tasks) {
        let (patience, _) = settings::watches(config);
        let (telling, watched) = (self.clone(), Arc::clone(state));
        tasks.start("watch.state", Restart::WithBackoff { tries_max: 8 }, move |stop| {
            telling.clone().watch(Arc::clone(&watched), patience, stop)
        });
        if !self.notifier.is_heard() {
            return;
        }
        let (telling, feed) = (self.clone(), state.refine.feed());
        tasks.start("watch.gaps", Restart::WithBackoff { tries_max: 8 }, move |stop| {
            let (telling, mut reader) = (telling.clone(), feed.subscribe());
            async move {
                loop {
                    let batch = tokio::select! {
                        batch = reader.next() => batch,
                        () = stop.requested() => return Ok(()),
                    };
                    match batch {
                        Some(Ok(items)) => items.iter().for_each(|item| telling.tell_news(&item.news)),
                        Some(Err(slip)) => {
                            tracing::warn!(
                                missed = slip.missed_count,
                                "live news came too fast: gaps among them are not told"
                            );
                        }
                        None => return Ok(()),
                    }
                }
            }
        });
    }

    fn tell_news(&self, news: &tables::News) {
        if let tables::News::Gap(gap) = news {
            self.tell(&words::gap(gap, self.clock.time()));
        }
    }

    async fn watch(self, state: Arc<State>, patience: Duration, stop: Stop) -> Result<(), String> {
        let watch = Stopwatch::start();
        let mut venues = VenueWatch::new(patience);
        let (mut disk, mut disk_due) = (DiskState::Ok, Duration::ZERO);
        let every = (patience / 4).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        loop {
            let now = watch.elapsed();
            if now >= disk_due {
                disk_due = now + DISK_EVERY;
                disk = self.look_at_disk(&state, disk);
            }
            if self.notifier.is_heard() {
                let messages = venues.see(now, self.clock.time(), &state.collector.status());
                for message in &messages {
                    self.tell(message);
                }
                self.tell_commits(&state);
                let due = self.recovery().due(now, self.clock.time(), |venue| state.keeper.is_busy(venue));
                for message in &due {
                    self.tell(message);
                }
            }
            if !stop.sleep(every).await {
                return Ok(());
            }
        }
    }

    fn look_at_disk(&self, state: &State, before: DiskState) -> DiskState {
        let report = state.disk.look(matches!(state.log.state(), LogState::DiskFull { .. }));
        let free_mib = report.free_bytes >> 20;
        let place = state.disk.place().display();
        match report.state {
            now if now == before => {}
            DiskState::Ok => tracing::info!(%place, free_mib, "the disk has room again"),
            now => {
                tracing::warn!(%place, free_mib, days_left = report.days_left, state = now.as_str(), "the disk runs full");
            }
        }
        for message in notify::disk::messages(&report, &place.to_string(), self.clock.time()) {
            self.tell(&message);
        }
        report.state
    }

    fn tell_commits(&self, state: &State) {
        const COMMITS: &str = "commits";
        let message = |severity, title| Message::new(Kind::Error, severity, title, self.clock.time());
        self.tell(&match state.refine.commit_trouble() {
            Some(trouble) => message(Severity::Critical, "rows cannot be committed and wait in the raw log")
                .with_text(trouble)
                .raised(COMMITS),
            None => message(Severity::Info, "rows are committed again").over(COMMITS),
        });
    }

    fn recovery(&self) -> MutexGuard<'_, RecoveryWatch> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what is done about the past.
struct Ear(Arc<Mutex<RecoveryWatch>>);

impl Listener for Ear {
    fn hear(&self, news: &News) {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            // That all is looked at comes again and again, and is no news.
            News::Phase { phase: Phase::IntegrityCheck, .. }
            | News::Planned { .. }
            | News::Fetching { .. }
            | News::Bytes { .. }
            | News::Rows(_)
            | News::Said(_)
            | News::Absent { .. } => {}
            News::Phase { instrument, .. } => watch.begin(&instrument.id),
            News::File { instrument, end, .. } => match end {
                FileEnd::Imported(report) => watch.file(instrument.id.venue(), report.added),
                FileEnd::Spoilt(_) => watch.spoilt(instrument.id.venue()),
                FileEnd::Absent => {}
            },
            News::Hole { instrument, gap } => {
                watch.hole(instrument.id.venue(), gap.state == GapState::Filled);
            }
        }
    }
}
