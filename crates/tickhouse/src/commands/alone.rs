//! A data folder taken for one command: tables, control state, and what following the chain works with.

use std::sync::Arc;

use anyhow::{Context, bail};
use control::Control;
use lake::Lake;
use onchain::Doors;
use runtime::SystemClock;

use super::Place;
use crate::config::{Config, settings};
use crate::folder::{Folder, Markets, running};
use crate::wiring::chain;

/// A folder that nobody else works in.
pub(super) struct Alone {
    pub(super) config: Config,
    pub(super) lake: Lake,
    pub(super) control: Control,
    pub(super) doors: Doors,
    /// Lets go of the folder when it is dropped.
    _folder: Folder,
}

impl Alone {
    /// Takes the folder. Refused while a process holds it: `instead` says what to do then.
    pub(super) async fn open(place: &Place, instead: &str) -> anyhow::Result<Self> {
        let config = place.load()?;
        // As the commands that only look find it: beside a demo, that is the demo's.
        let directory = crate::folder::meant(place.data.clone(), config.directory());
        if let Some(process) = running(&directory) {
            bail!("process {} works in {}: {instead}", process.pid, directory.display());
        }
        let folder = Folder::open(&directory, Markets::Real)?;
        let lake =
            Lake::open(settings::lake(&config, &folder.path("lake")), SystemClock::shared(), tables::TABLES);
        let lake = lake.await.context("open the lake")?;
        let control = Control::open(folder.path("control.sqlite")).context("open the control state")?;
        let clock = SystemClock::shared();
        chain::seed(&control, clock.time())?;
        let doors = chain::doors(&config, &folder, (&lake, &control, &Arc::clone(&clock)));
        Ok(Self { config, lake, control, doors, _folder: folder })
    }

    /// Merges what small commits left behind.
    pub(super) async fn tidy(&self) -> anyhow::Result<()> {
        let _report = self.lake.compact_now().await.context("merge files")?;
        Ok(())
    }
}
