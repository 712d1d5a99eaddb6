//! `tickhouse run`: the platform against the exchanges of the configuration.

use anyhow::bail;
use clap::Args;
use runtime::SystemClock;

use super::{Place, asked_to_end};
use crate::Done;
use crate::config::settings;
use crate::folder::Markets;
use crate::output::line;
use crate::wiring::{House, close, wait};

/// The platform against the exchanges of tickhouse.toml.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    place: Place,
}

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let directory = self.place.data.clone().unwrap_or_else(|| config.directory());
        let venues = settings::enabled_venues(&config);
        if venues.is_empty() {
            bail!(
                "no venue is enabled: write a configuration with `tickhouse init` and set enabled = true under [venues.…], or try `tickhouse demo`"
            );
        }
        let _guard =
            runtime::telemetry::start_logs(&settings::telemetry(&config)).map_err(anyhow::Error::msg)?;
        let house = House::start(&config, &directory, Markets::Real, SystemClock::shared()).await?;
        let names: Vec<&str> = venues.iter().map(|venue| venue.as_str()).collect();
        line(format!("recording {} into {}", names.join(", "), house.directory().display()));
        line(format!("serving http://{}/  (Ctrl-C to close)", house.address()));
        let has_failed = wait(&house, asked_to_end()).await;
        close(house, has_failed).await?;
        Ok(Done::Clean)
    }
}
