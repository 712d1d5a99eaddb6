//! Looks after the past while the recording goes on: looks whether it is whole, fills what lacks, tells readers, and begins again
//! some time later. Live comes first: an instrument's turn comes when its recording has begun.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use collect::archive::ArchiveSite;
use collect::history::HistoryDesk;
use model::{Date, Instrument, InstrumentId, VenueId};
use refine::Refine;
use runtime::clock::Stopwatch;
use runtime::{Restart, Stop, Tasks};

use crate::jobs::Jobs;
use crate::{Check, Doors, Error, Listener, News, Phase, Recorded, Repair, Tried, Verdict};

/// How the past is looked after.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// Whether it is looked at all.
    pub checks: bool,
    /// Whether what lacks is filled.
    pub fills: bool,
    /// First day of each venue's past; an instrument's listing where none is given.
    pub from: HashMap<VenueId, Date>,
    /// Time between two looks.
    pub every: Duration,
    /// Holes younger than this are asked for over REST before the archive is.
    pub rest_age: Duration,
    /// Files fetched at once.
    pub parallel: usize,
}

/// What the keeper works with.
pub struct KeeperDoors {
    /// Tables and what was done before.
    pub doors: Doors,
    /// Where files come from, by venue.
    pub sites: HashMap<VenueId, Arc<ArchiveSite>>,
    /// Where venues are asked.
    pub desk: HistoryDesk,
    /// Who knows the recording, and tells readers.
    pub refine: Refine,
    /// Who else is told.
    pub listener: Arc<dyn Listener>,
}

/// The keeper's outside. Cheap to clone.
#[derive(Clone, Default)]
pub struct Keeper(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    phases: HashMap<InstrumentId, Phase>,
    /// Instruments whose past somebody works on.
    claimed: HashSet<InstrumentId>,
    /// Whether everything is to be looked at again soon.
    is_stirred: bool,
}

/// Keeps others away from an instrument's past until it is dropped.
pub(crate) struct Claim {
    keeper: Keeper,
    instrument: InstrumentId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut shared = self.keeper.shared();
        shared.claimed.remove(&self.instrument);
        shared.phases.remove(&self.instrument);
    }
}

/// How soon an instrument is looked at again whose recording has not begun, or whose looking failed.
const AGAIN: Duration = Duration::from_secs(20);

impl Keeper {
    /// What is being done about an instrument's past just now.
    pub fn phase(&self, instrument: &InstrumentId) -> Option<Phase> {
        self.shared().phases.get(instrument).copied()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an instrument for the caller alone, unless somebody has it.
    pub(crate) fn claim(&self, instrument: &InstrumentId) -> Option<Claim> {
        let is_free = self.shared().claimed.insert(instrument.clone());
        is_free.then(|| Claim { keeper: self.clone(), instrument: instrument.clone() })
    }

    /// Everything is looked at again soon: others worked on the past.
    pub(crate) fn stir(&self) {
        self.shared().is_stirred = true;
    }

    /// Whether something is being done about the past of a venue just now.
    pub fn is_busy(&self, venue: VenueId) -> bool {
        self.shared().phases.keys().any(|instrument| instrument.venue() == venue)
    }

    /// Starts looking after the past of everything that is recorded.
    pub fn start(settings: KeeperSettings, doors: KeeperDoors, tasks: &Tasks) -> Self {
        let keeper = Self::default();
        let (settings, doors) = (Arc::new(settings), Arc::new(doors));
        let jobs = (Arc::clone(&settings), Arc::clone(&doors), keeper.clone());
        tasks.start("history.jobs", Restart::WithBackoff { tries_max: 1_000 }, move |stop| {
            let (settings, doors, keeper) = jobs.clone();
            Jobs { settings, doors, keeper }.run(stop)
        });
        if !settings.checks && !settings.fills {
            return keeper;
        }
        let own = keeper.clone();
        tasks.start("history", Restart::WithBackoff { tries_max: 1_000 }, move |stop| {
            let work = Work {
                settings: Arc::clone(&settings),
                doors: Arc::clone(&doors),
                keeper: own.clone(),
                due: HashMap::new(),
                tried: Tried::default(),
            };
            async move { work.run(stop).await }
        });
        keeper
    }

    pub(crate) fn set(&self, instrument: &InstrumentId, phase: Option<Phase>) {
        let phases = &mut self.shared().phases;
        match phase {
            Some(phase) => phases.insert(instrument.clone(), phase),
            None => phases.remove(instrument),
        };
    }
}

struct Work {
    settings: Arc<KeeperSettings>,
    doors: Arc<KeeperDoors>,
    keeper: Keeper,
    /// When each instrument is to be looked at again, by a clock that only goes forward.
    due: HashMap<InstrumentId, Duration>,
    /// Holes of the recording that the archive's files were looked through for.
    tried: Tried,
}

impl Work {
    async fn run(mut self, stop: Stop) -> Result<(), String> {
        let watch = Stopwatch::start();
        loop {
            if std::mem::take(&mut self.keeper.shared().is_stirred) {
                self.due.values_mut().for_each(|due| *due = Duration::ZERO);
            }
            for instrument in self.instruments() {
                if stop.is_requested() {
                    return Ok(());
                }
                if self.due.get(&instrument.id).is_some_and(|due| *due > watch.elapsed()) {
                    continue;
                }
                let Some(claim) = self.keeper.claim(&instrument.id) else { continue };
                let wait = self.look_after(&instrument, &stop).await;
                drop(claim);
                self.due.insert(instrument.id.clone(), watch.elapsed() + wait);
            }
            if !stop.sleep(Duration::from_secs(1)).await {
                return Ok(());
            }
        }
    }

    /// Everything that has a trade stream, as its venue lists it.
    fn instruments(&self) -> Vec<Arc<Instrument>> {
        let market = self.doors.refine.market();
        let lines = self.doors.refine.lines();
        lines.iter().filter_map(|line| market.instrument(&line.instrument)).map(Arc::new).collect()
    }

    /// Looks after one instrument; how long until it is to be looked at again.
    async fn look_after(&self, instrument: &Arc<Instrument>, stop: &Stop) -> Duration {
        match self.try_look_after(instrument, stop).await {
            Ok(Some(verdict)) => {
                let _not_recorded_any_more = self.doors.refine.set_past(&instrument.id, verdict.cover());
                self.settings.every
            }
            Ok(None) | Err(Error::Stopped) => AGAIN,
            Err(error) => {
                tracing::warn!(instrument = %instrument.id, %error, "the past is looked after again soon");
                AGAIN
            }
        }
    }

    async fn try_look_after(
        &self,
        instrument: &Arc<Instrument>,
        stop: &Stop,
    ) -> Result<Option<Verdict>, Error> {
        let doors = &self.doors.doors;
        if !self.due.contains_key(&instrument.id) {
            self.doors.refine.flush_now().await;
            doors.check_frontier(&instrument.id).await?;
        }
        // Until then its first trade may not be the first one.
        let Some(frontier) = doors.frontier(&instrument.id).await? else { return Ok(None) };
        if !doors.is_settled(frontier) {
            return Ok(None);
        }
        let known = doors.control.archive_first_day(&instrument.id, doors.feed(instrument.id.venue()))?;
        let recorded = frontier.time.date();
        let known = known.map_or(recorded, |known| known.min(recorded));
        let days = self.days(instrument, known, stop).await?;
        self.doors.refine.flush_now().await;
        let ear = Ear { keeper: &self.keeper, listener: self.doors.listener.as_ref() };
        if !self.settings.fills {
            ear.hear(&News::Phase { instrument: Arc::clone(instrument), phase: Phase::IntegrityCheck });
            return Ok(Some(doors.verify(instrument, Check { days, is_deep: false }).await?));
        }
        let repair = Repair {
            doors,
            site: self.doors.sites.get(&instrument.id.venue()).map(Arc::as_ref),
            desk: &self.doors.desk,
            rest_age: self.settings.rest_age,
            parallel: self.settings.parallel,
            listener: &ear,
        };
        let verdict = repair.run(instrument, days, stop).await?.verdict;
        if let Some(site) = repair.site {
            let recorded =
                Recorded { doors, site, desk: &self.doors.desk, tried: &self.tried, listener: &ear };
            let filled = recorded.run(instrument, &verdict.live_holes, stop).await?;
            if filled > 0 {
                tracing::info!(instrument = %instrument.id, filled, "holes of the recording filled from the archive");
            }
        }
        Ok(Some(verdict))
    }

    /// From the first day wanted until today; at least what there is, from `known` on.
    async fn days(&self, instrument: &Instrument, known: Date, stop: &Stop) -> Result<(Date, Date), Error> {
        let today = self.doors.doors.clock.time().date();
        let from = self.settings.from.get(&instrument.id.venue()).copied();
        let listed = instrument.listed_time.map(model::Time::date);
        let first = match from {
            Some(from) => listed.map_or(from, |listed| listed.max(from)),
            None if self.settings.fills && listed.is_some() => listed.unwrap_or(known),
            // Binance spot does not say when it listed anything: its oldest file does.
            None if self.settings.fills => match self.doors.sites.get(&instrument.id.venue()) {
                Some(site) => {
                    let ask = (instrument, self.doors.doors.feed_files(instrument.id.venue()));
                    self.doors.doors.oldest_file(site, ask, stop).await?.unwrap_or(known)
                }
                None => known,
            },
            None => known,
        };
        Ok((first.min(known), today))
    }
}

struct Ear<'a> {
    keeper: &'a Keeper,
    listener: &'a dyn Listener,
}

impl Listener for Ear<'_> {
    fn hear(&self, news: &News) {
        if let News::Phase { instrument, phase } = news {
            self.keeper.set(&instrument.id, Some(*phase));
        }
        self.listener.hear(news);
    }
}

impl Default for KeeperSettings {
    fn default() -> Self {
        Self {
            checks: true,
            fills: false,
            from: HashMap::new(),
            every: Duration::from_hours(1),
            rest_age: Duration::from_hours(7 * 24),
            parallel: 2,
        }
    }
}
