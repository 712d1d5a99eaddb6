//! What `backfill` and `verify` share: the folder and its tables, taken for this process alone, and the venues' archives.

use std::sync::Arc;

use anyhow::Context;
use collect::archive::ArchiveSite;
use collect::history::HistoryDesk;
use lake::Lake;
use model::{Date, Instrument, VenueId};
use runtime::{Stop, SystemClock, Tasks};

use super::{Place, WrongUse};
use crate::config::{Config, settings};
use crate::folder::{Folder, Markets, running};
use crate::wiring::Budgets;

/// A folder, open for work on the past.
pub(super) struct Past {
    pub(super) folder: Folder,
    pub(super) lake: Lake,
    pub(super) doors: history::Doors,
}

impl Past {
    /// Opens the folder that is meant; refused while another process holds it.
    pub(super) async fn open(place: &Place, config: &Config) -> anyhow::Result<Self> {
        let directory = place.data.clone().unwrap_or_else(|| config.directory());
        if let Some(process) = running(&directory) {
            let (pid, shown) = (process.pid, directory.display());
            return Err(WrongUse(format!(
                "process {pid} records into {shown}: stop it first, or name another folder with --data"
            ))
            .into());
        }
        let folder = Folder::open(&directory, Markets::Real)?;
        let lake_settings = settings::lake(config, &folder.path("lake"));
        let lake = Lake::open(lake_settings, SystemClock::shared(), tables::TABLES)
            .await
            .context("open the lake")?;
        let control =
            control::Control::open(folder.path("control.sqlite")).context("open the control state")?;
        let doors = history::Doors {
            store: lake.store(),
            bulk: lake.bulk(),
            query: lake.query(),
            ids: lake.ids(),
            control,
            clock: SystemClock::shared(),
        };
        Ok(Self { folder, lake, doors })
    }

    /// The venue's archive, or the one that is configured in its place.
    pub(super) fn site(&self, config: &Config, venue: VenueId) -> anyhow::Result<Arc<ArchiveSite>> {
        let archive = settings::archive(config, venue, &self.folder);
        let site = ArchiveSite::open(archive).context("open the archive")?;
        Ok(Arc::new(
            site.ok_or_else(|| WrongUse(format!("{venue} publishes no archive that is known here")))?,
        ))
    }
}

impl Past {
    /// Where the venue is asked over REST; budgets and bans are those that earlier processes left.
    pub(super) fn desk(&self, config: &Config, venue: VenueId, tasks: &Tasks) -> anyhow::Result<HistoryDesk> {
        let mut collect = settings::collect(config);
        collect.venues = vec![settings::venue(config, venue)];
        let budgets = Arc::new(Budgets(self.doors.control.clone()));
        Ok(HistoryDesk::open(&collect, budgets, SystemClock::shared(), tasks)?)
    }
}

/// The instruments that a venue lists under these names.
pub(super) async fn instruments(
    desk: &HistoryDesk,
    venue: VenueId,
    (names, stop): (&[String], &Stop),
) -> anyhow::Result<Vec<Instrument>> {
    let listed = desk.listing(venue, stop).await.map_err(anyhow::Error::msg)?;
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for words in names {
        match collect::named(&listed, words) {
            Some(instrument) => found.push(instrument.clone()),
            None => unknown.push(words.as_str()),
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    let names = unknown.join(", ");
    Err(WrongUse(format!("{venue} does not list {names}: check the spelling, or leave it out")).into())
}

pub(super) fn known_venues() -> String {
    format!("known are {}", VenueId::names())
}

pub(super) fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("{text:?} is no day: write it as 2024-08-01"))
}
