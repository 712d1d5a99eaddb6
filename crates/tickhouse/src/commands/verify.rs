//! `tickhouse verify`: whether the past is whole, month by month, day by day, down to the exact hole; and filling what lacks.

use clap::Args;
use control::JobAsk;
use model::{Date, Timeframe};

use super::backfill::What;
use super::past::{carry_out, parse_day};
use super::{Place, start_logs};
use crate::Done;

/// Look whether the past is all there: month by month, day by day, down to the exact hole; duplicates are counted apart.
///
/// While a process records into the folder, that process looks, and this one shows what it finds. Ends with 3 if
/// something lacks or comes twice.
#[derive(Args)]
pub(crate) struct Verify {
    /// Only this venue
    #[arg(long)]
    venue: Option<String>,
    /// Only these symbols or instrument ids, by comma; all that are stored if absent
    #[arg(long, value_delimiter = ',')]
    instruments: Vec<String>,
    /// What to look at: trades, or the venue's klines or funding by how many a day must have
    #[arg(long, value_enum, default_value_t = What::Trades)]
    kind: What,
    /// Length of the klines
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// First day, such as 2024-08-01; the first one known if absent
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// Last day; today if absent
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// Read every row instead of trusting what was noted when files were written
    #[arg(long)]
    deep: bool,
    /// Fill what lacks: young holes over REST, older ones from the archive
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let _guard = start_logs(&config)?;
        let flags = [("deep", self.deep), ("repair", self.repair)];
        let ask = JobAsk {
            kind: "verify".into(),
            venue: self.venue.unwrap_or_default(),
            instruments: self.instruments,
            data: self.kind.as_str().into(),
            timeframe: self.timeframe.map(|timeframe| timeframe.to_string()).unwrap_or_default(),
            days: (self.from, self.to),
            source: String::new(),
            flags: flags.iter().filter(|(_, is_said)| *is_said).map(|(flag, _)| (*flag).into()).collect(),
            parallel: 4,
        };
        carry_out(&self.place, &config, ask).await
    }
}
