//! Carries out jobs that commands wrote down, behind the recording: with the tables, budgets and archives of the process that
//! holds the folder. One after the other; what a process leaves unfinished, the next one begins anew.

use std::sync::Arc;
use std::time::Duration;

use collect::archive::ArchiveSite;
use collect::history::HistoryDesk;
use control::{Job, JobState, Progress};
use futures::future::BoxFuture;
use model::status::RestStatus;
use model::{Instrument, InstrumentId, VenueId};
use runtime::{Stop, Stopper};

use crate::keeper::{Keeper, KeeperDoors, KeeperSettings};
use crate::meter::{Meter, beside};
use crate::work::{Outside, Task, Turn, Work};
use crate::{Error, Listener, News};

/// Jobs are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And told of this often.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether an instrument's turn has come.
const TURN_EVERY: Duration = Duration::from_millis(200);

/// Who does jobs.
pub(crate) struct Jobs {
    pub(crate) settings: Arc<KeeperSettings>,
    pub(crate) doors: Arc<KeeperDoors>,
    pub(crate) keeper: Keeper,
}

impl Jobs {
    pub(crate) async fn run(self, stop: Stop) -> Result<(), String> {
        let doors = &self.doors.doors;
        match doors.control.revive_jobs() {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "jobs on the past that an earlier process left begin anew"),
            Err(error) => tracing::warn!(%error, "jobs that an earlier process left stay where they are"),
        }
        loop {
            match doors.control.take_job(doors.clock.time()) {
                Ok(Some(job)) => self.carry_out(&job, &stop).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "jobs are looked for again soon"),
            }
            if !stop.sleep(LOOK_EVERY).await {
                return Ok(());
            }
        }
    }

    async fn carry_out(&self, job: &Job, stop: &Stop) {
        let doors = &self.doors.doors;
        let ear = Ear { keeper: self.keeper.clone(), next: Arc::clone(&self.doors.listener) };
        let meter = Meter::new(Arc::new(ear));
        let outside = Behind { doors: &self.doors, keeper: &self.keeper };
        let work = Work { doors, outside: &outside, rest_age: self.settings.rest_age, listener: &meter };
        let stopper = Stopper::default();
        let own = stopper.watch();
        let doing = async {
            let task = Task::read(&job.ask, doors.clock.time().date())?;
            task.run(&work, &own).await
        };
        let mut last = Progress::default();
        let telling = || {
            let (progress, lines) = meter.read(&outside.budgets());
            let told = if progress == last && lines.is_empty() {
                doors.control.job(job.id).map(|job| job.is_none_or(|job| job.is_cancelled))
            } else {
                let told = doors.control.tell_job(job.id, (&progress, &lines), doors.clock.time());
                last = progress;
                told
            };
            match told {
                Ok(false) => {}
                Ok(true) => stopper.stop(),
                Err(error) => tracing::warn!(job = job.id, %error, "how far a job is cannot be told"),
            }
        };
        let done = tokio::select! {
            done = beside(doing, TELL_EVERY, telling) => done,
            // The next process finds it, and begins it anew.
            () = stop.requested() => return,
        };
        self.keeper.stir();
        let (state, message) = match done {
            Ok(false) => (JobState::Clean, String::new()),
            Ok(true) => (JobState::Findings, String::new()),
            Err(Error::Stopped) => (JobState::Cancelled, "called off".to_owned()),
            Err(Error::Wrong(what)) => (JobState::Refused, what),
            Err(error) => (JobState::Failed, error.to_string()),
        };
        tracing::info!(
            job = job.id,
            kind = job.ask.kind,
            state = state.as_str(),
            message,
            "a job on the past ended"
        );
        if let Err(error) = doors.control.settle_job(job.id, (state, &message), doors.clock.time()) {
            tracing::warn!(job = job.id, %error, "the end of a job cannot be told");
        }
    }
}

/// The process with a recording.
struct Behind<'a> {
    doors: &'a KeeperDoors,
    keeper: &'a Keeper,
}

impl Behind<'_> {
    fn check(&self, venue: VenueId) -> Result<(), Error> {
        if self.doors.desk.budgets().iter().any(|(known, _)| *known == venue) {
            return Ok(());
        }
        Err(Error::Wrong(format!(
            "the process that records into this folder does not know {venue}: set enabled = true under [venues.{venue}] and start it anew"
        )))
    }
}

impl Outside for Behind<'_> {
    fn site(&self, venue: VenueId) -> Result<Option<Arc<ArchiveSite>>, Error> {
        self.check(venue)?;
        Ok(self.doors.sites.get(&venue).cloned())
    }

    fn desk(&self, venue: VenueId) -> Result<HistoryDesk, Error> {
        self.check(venue)?;
        Ok(self.doors.desk.clone())
    }

    fn listed(&self, venue: VenueId) -> BoxFuture<'_, Result<Vec<Instrument>, Error>> {
        let mut listed = self.doors.refine.market().instruments();
        listed.retain(|instrument| instrument.id.venue() == venue);
        let answer = if listed.is_empty() {
            Err(Error::Venue(format!("{venue} has not said yet what it lists: try again in a moment")))
        } else {
            Ok(listed)
        };
        Box::pin(std::future::ready(answer))
    }

    fn turn<'b>(&'b self, instrument: &'b InstrumentId) -> BoxFuture<'b, Turn> {
        Box::pin(async move {
            let claim = loop {
                if let Some(claim) = self.keeper.claim(instrument) {
                    break claim;
                }
                runtime::sleep(TURN_EVERY).await;
            };
            self.doors.refine.flush_now().await;
            Box::new(claim) as Turn
        })
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn budgets(&self) -> Vec<(VenueId, RestStatus)> {
        self.doors.desk.budgets()
    }
}

/// Tells which phase an instrument is in.
struct Ear {
    keeper: Keeper,
    next: Arc<dyn Listener>,
}

impl Listener for Ear {
    fn hear(&self, news: &News) {
        if let News::Phase { instrument, phase } = news {
            self.keeper.set(&instrument.id, Some(*phase));
        }
        self.next.hear(news);
    }
}
