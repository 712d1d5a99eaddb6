//! `tickhouse run`: the platform against the exchanges of the configuration.

use std::path::Path;

use clap::Args;
use runtime::SystemClock;

use super::{Place, WrongUse, asked_to_end, start_logs};
use crate::Done;
use crate::config::{FILE_NAME, btc, settings};
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
        let mut names: Vec<String> =
            settings::enabled_venues(&config).iter().map(ToString::to_string).collect();
        names.extend(btc::beside_venues(&config));
        if names.is_empty() {
            let file = self.place.config.as_deref().unwrap_or(Path::new(FILE_NAME));
            let step = if file.exists() {
                format!(
                    "set enabled = true under a [venues.…] heading, [btc] or [price] of {}",
                    file.display()
                )
            } else {
                "write a configuration with `tickhouse init` and enable one in it".into()
            };
            return Err(WrongUse(format!("no venue is enabled: {step}, or try `tickhouse demo`")).into());
        }
        let _guard = start_logs(&config)?;
        let house = House::start(&config, &directory, Markets::Real, SystemClock::shared()).await?;
        line(format!("recording {} into {}", names.join(", "), house.directory().display()));
        line(format!("serving http://{}/  (Ctrl-C to close)", house.address()));
        let has_failed = wait(&house, asked_to_end()).await;
        close(house, has_failed).await
    }
}
