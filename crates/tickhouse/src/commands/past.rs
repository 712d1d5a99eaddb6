//! What `backfill` and `verify` share: the work is done here, in a folder that is taken for it, or handed to the process that
//! holds the folder.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use collect::archive::ArchiveSite;
use collect::history::HistoryDesk;
use control::{Control, JobAsk};
use futures::future::BoxFuture;
use history::{Error, Meter, Outside, Silent, Task, Turn, Work, beside};
use lake::Lake;
use model::status::RestStatus;
use model::{Date, Instrument, InstrumentId, VenueId};
use runtime::tasks::Stopper;
use runtime::{Clock, Stop, SystemClock, Tasks};

use super::bars::Bars;
use super::follow::follow;
use super::{Place, WrongUse, asked_to_end};
use crate::Done;
use crate::config::{Config, settings};
use crate::folder::{Folder, Markets, running};
use crate::output::line;
use crate::wiring::Budgets;

/// How often it is shown how far the work is.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Does what is asked, here or in the process that holds the folder.
pub(super) async fn carry_out(place: &Place, config: &Config, ask: JobAsk) -> anyhow::Result<Done> {
    // Nonsense is refused before anything is opened.
    let task = Task::read(&ask, SystemClock.time().date()).map_err(explain)?;
    let directory = place.data.clone().unwrap_or_else(|| config.directory());
    match running(&directory) {
        Some(process) => follow(&directory, &process, &ask).await,
        None => alone(config, &directory, (&task, &ask)).await,
    }
}

/// Does it in this process.
async fn alone(config: &Config, directory: &Path, (task, ask): (&Task, &JobAsk)) -> anyhow::Result<Done> {
    let folder = Folder::open(directory, Markets::Real)?;
    let lake_settings = settings::lake(config, &folder.path("lake"));
    let lake =
        Lake::open(lake_settings, SystemClock::shared(), tables::TABLES).await.context("open the lake")?;
    let control = Control::open(folder.path("control.sqlite")).context("open the control state")?;
    let doors = history::Doors {
        store: lake.store(),
        bulk: lake.bulk(),
        query: lake.query(),
        ids: lake.ids(),
        control,
        clock: SystemClock::shared(),
        raw_trades: Arc::new(settings::raw_trades(config)),
    };
    let (stopper, tasks) = (Stopper::default(), Tasks::new());
    let stop = stopper.watch();
    let own = Own {
        config,
        folder: &folder,
        control: &doors.control,
        tasks: &tasks,
        stop: &stop,
        desks: Mutex::default(),
    };
    let meter = Meter::new(Arc::new(Silent));
    let work = Work { doors: &doors, outside: &own, rest_age: settings::rest_age(config), listener: &meter };
    let mut bars = Bars::new();
    let mut show = || {
        let (progress, lines) = meter.read(&own.budgets());
        bars.show(&progress, &lines);
    };
    let done = tokio::select! {
        done = beside(Box::pin(task.run(&work, &stop)), SHOW_EVERY, &mut show) => done,
        () = asked_to_end() => Err(Error::Stopped),
    };
    stopper.stop();
    show();
    drop(bars);
    let _late = tasks.close_together(Duration::from_secs(2)).await;
    match done {
        Err(Error::Stopped) => {
            line("stopped; run it again to go on");
            Ok(Done::Findings)
        }
        Err(error) => Err(explain(error)),
        Ok(has_findings) => {
            if ask.kind == "backfill" && !ask.has("dry") || ask.has("repair") {
                let _report = lake.compact_now().await.context("merge files")?;
            }
            Ok(if has_findings { Done::Findings } else { Done::Clean })
        }
    }
}

/// What the work needs of a process that does nothing else.
struct Own<'a> {
    config: &'a Config,
    folder: &'a Folder,
    control: &'a Control,
    tasks: &'a Tasks,
    stop: &'a Stop,
    desks: Mutex<HashMap<VenueId, HistoryDesk>>,
}

impl Outside for Own<'_> {
    fn site(&self, venue: VenueId) -> Result<Option<Arc<ArchiveSite>>, Error> {
        let archive = settings::archive(self.config, venue, self.folder);
        let site = ArchiveSite::open(archive);
        Ok(site.map_err(|error| Error::Venue(format!("open the archive of {venue}: {error}")))?.map(Arc::new))
    }

    /// Budgets and bans are those that earlier processes left.
    fn desk(&self, venue: VenueId) -> Result<HistoryDesk, Error> {
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(desk) = desks.get(&venue) {
            return Ok(desk.clone());
        }
        let mut collect = settings::collect(self.config);
        collect.venues = vec![settings::venue(self.config, venue)];
        let budgets = Arc::new(Budgets(self.control.clone()));
        let desk = HistoryDesk::open(&collect, budgets, SystemClock::shared(), self.tasks)
            .map_err(|error| Error::Venue(format!("ask {venue} over REST: {error}")))?;
        desks.insert(venue, desk.clone());
        Ok(desk)
    }

    fn listed(&self, venue: VenueId) -> BoxFuture<'_, Result<Vec<Instrument>, Error>> {
        Box::pin(async move { self.desk(venue)?.listing(venue, self.stop).await.map_err(Error::Venue) })
    }

    fn turn<'b>(&'b self, _instrument: &'b InstrumentId) -> BoxFuture<'b, Turn> {
        Box::pin(std::future::ready(Box::new(()) as Turn))
    }

    fn is_recording(&self) -> bool {
        false
    }

    fn budgets(&self) -> Vec<(VenueId, RestStatus)> {
        let desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        desks.values().flat_map(HistoryDesk::budgets).collect()
    }
}

fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Wrong(what) => WrongUse(what).into(),
        other => other.into(),
    }
}

pub(super) fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("{text:?} is no day: write it as 2024-08-01"))
}
