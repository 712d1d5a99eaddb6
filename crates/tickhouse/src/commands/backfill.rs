//! `tickhouse backfill`: takes years of history from the venues' public archives, and over REST, into the tables.

use clap::{Args, ValueEnum};
use control::JobAsk;
use history::{Kind, Supply};
use model::{Date, Timeframe};

use super::past::{carry_out, parse_day};
use super::{Place, start_logs};
use crate::Done;

/// Take history from the venues' public archives, and over REST, into the tables.
///
/// Safe to interrupt and to run again: what is in the tables already is not fetched again, and nothing half-written is
/// ever visible. While a process records into the folder, that process does it, and this one shows how far it is.
/// Ends with 3 if something is absent, spoilt or lacks rows.
#[derive(Args)]
pub(crate) struct Backfill {
    /// Whose past
    #[arg(long)]
    venue: String,
    /// Symbols such as BTCUSDT, by comma; those that are not listed any more too
    #[arg(long, value_delimiter = ',', required = true)]
    instruments: Vec<String>,
    /// What to take: trades with the 1-minute bars made of them, the venue's own klines, funding, or open interest
    #[arg(long, value_enum, default_value_t = What::Trades)]
    kind: What,
    /// Where to take it from: the archive, over REST, or from the archive and over REST what it lacks
    #[arg(long, value_enum, default_value_t = Origin::Auto)]
    source: Origin,
    /// Length of the venue's klines, such as 1m or 1h; how far apart samples of open interest are, 5m unless told
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// First day, such as 2024-08-01; the first there is if absent
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// Last day; yesterday if absent
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// Say which files would be fetched, and fetch none
    #[arg(long)]
    dry_run: bool,
    /// Keep fetched files
    #[arg(long)]
    keep_files: bool,
    /// Files fetched at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    #[command(flatten)]
    place: Place,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    /// The venue's canonical trades.
    Trades,
    /// Its own bars.
    Klines,
    /// Settled funding rates.
    Funding,
    /// Open interest.
    OpenInterest,
}

impl What {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Trades => Kind::Trades,
            Self::Klines => Kind::Klines,
            Self::Funding => Kind::Funding,
            Self::OpenInterest => Kind::OpenInterest,
        }
        .as_str()
    }
}

/// Where it is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// The archive, and over REST what it lacks.
    Auto,
    /// The archive alone.
    Archive,
    /// REST alone.
    Rest,
}

impl Backfill {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let _guard = start_logs(&config)?;
        let source = match self.source {
            Origin::Auto => Supply::Auto,
            Origin::Archive => Supply::Archive,
            Origin::Rest => Supply::Rest,
        };
        let flags = [("dry", self.dry_run), ("keep", self.keep_files)];
        let ask = JobAsk {
            kind: "backfill".into(),
            venue: self.venue,
            instruments: self.instruments,
            data: self.kind.as_str().into(),
            timeframe: self.timeframe.map(|timeframe| timeframe.to_string()).unwrap_or_default(),
            days: (self.from, self.to),
            source: source.as_str().into(),
            flags: flags.iter().filter(|(_, is_said)| *is_said).map(|(flag, _)| (*flag).into()).collect(),
            parallel: self.parallel,
        };
        carry_out(&self.place, &config, ask).await
    }
}
