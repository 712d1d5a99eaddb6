//! `tickhouse config`: shows or checks the effective configuration.

use clap::{Args, Subcommand};

use super::{Place, WrongUse};
use crate::Done;
use crate::output::line;

/// Show or check the configuration.
#[derive(Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print every setting, its value and where it comes from
    Show(Place),
    /// Say whether the configuration is good
    Check(Place),
}

impl ConfigCommand {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        match self.what {
            What::Show(place) => line(place.load()?.show().trim_end()),
            What::Check(place) => {
                let config = place.load()?;
                crate::config::btc::check(&config).map_err(|error| WrongUse(error.to_string()))?;
                let venues = crate::config::settings::enabled_venues(&config);
                let mut names: Vec<String> = venues.iter().map(ToString::to_string).collect();
                names.extend(crate::config::btc::beside_venues(&config));
                line(if names.is_empty() {
                    "the configuration is good, but no venue is enabled: set enabled = true under [venues.…], [btc] or [price]"
                        .into()
                } else {
                    format!("the configuration is good; it records {}", names.join(", "))
                });
            }
        }
        Ok(Done::Clean)
    }
}
