//! `tickhouse backfill`: takes years of history from the venues' public archives into the tables.

mod plan;
mod work;

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use collect::archive::{ArchiveSettings, ArchiveSite};
use model::{Channel, Date, Instrument, Timeframe, VenueId};
use runtime::tasks::Stopper;
use runtime::{Clock, SystemClock};
use venues::archive::{ArchiveAsk, ArchiveData, Period, Span};

use super::{Place, WrongUse, asked_to_end, start_logs};
use crate::Done;
use crate::config::{Config, settings};
use crate::folder::{Folder, Markets, running};
use crate::output::line;
use plan::{Plan, Step};
use work::{Told, Work};

/// Take history from the venues' public archives into the tables.
///
/// Safe to interrupt and to run again: what is in the tables already is not fetched again, and nothing half-written is
/// ever visible. Ends with 3 if files are absent, spoilt or lack rows.
#[derive(Args)]
pub(crate) struct Backfill {
    /// Whose archive
    #[arg(long)]
    venue: String,
    /// Symbols such as BTCUSDT, by comma
    #[arg(long, value_delimiter = ',', required = true)]
    instruments: Vec<String>,
    /// What to take: trades with the 1-minute bars made of them, or the venue's own 1-minute klines
    #[arg(long, value_enum, default_value_t = What::Trades)]
    kind: What,
    /// First day, such as 2024-08-01
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Date,
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
enum What {
    /// The venue's canonical trades.
    Trades,
    /// Its own 1-minute bars.
    Klines,
}

impl What {
    const fn data(self) -> ArchiveData {
        match self {
            Self::Trades => ArchiveData::Trades,
            Self::Klines => ArchiveData::Klines(Timeframe::MINUTE),
        }
    }

    const fn channel(self) -> Channel {
        match self {
            Self::Trades => Channel::Trades,
            Self::Klines => Channel::Klines,
        }
    }
}

fn parse_day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| format!("{text:?} is no day: write it as 2024-08-01"))
}

impl Backfill {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let _guard = start_logs(&config)?;
        let venue = VenueId::known(&self.venue)
            .ok_or_else(|| WrongUse(format!("venue {:?} is not known: {}", self.venue, known_venues())))?;
        let today = SystemClock.time().date();
        let (from, to) = (self.from, self.to.unwrap_or(Date(today.0 - 1)));
        if from > to {
            return Err(WrongUse(format!("--from {from} is after --to {to}: swap them")).into());
        }
        if to >= today {
            let last = Date(today.0 - 1);
            return Err(WrongUse(format!(
                "archives hold whole days that are over: --to {last} at the latest"
            ))
            .into());
        }
        let directory = self.place.data.clone().unwrap_or_else(|| config.directory());
        if let Some(process) = running(&directory) {
            let (pid, shown) = (process.pid, directory.display());
            return Err(WrongUse(format!(
                "process {pid} records into {shown}: stop it first, or name another folder with --data"
            ))
            .into());
        }
        let folder = Folder::open(&directory, Markets::Real)?;
        let site = Arc::new(site(&config, venue, &folder)?);
        let instruments = self.instruments(&config, venue).await?;
        let lake_settings = settings::lake(&config, &folder.path("lake"));
        let lake = lake::Lake::open(lake_settings, SystemClock::shared(), tables::TABLES)
            .await
            .context("open the lake")?;
        let control =
            control::Control::open(folder.path("control.sqlite")).context("open the control state")?;
        let stopper = Stopper::default();
        let mut steps = Vec::new();
        for instrument in instruments {
            let plan =
                Plan { lake: &lake, control: &control, channel: self.kind.channel(), days: (from, to) };
            let files = self.listed(&site, &instrument, &stopper).await?;
            steps.extend(plan.steps(&Arc::new(instrument), files).await?);
        }
        self.tell_plan(&steps);
        if self.dry_run {
            return Ok(Done::Clean);
        }
        let work = Work {
            site,
            lake: lake.clone(),
            control,
            channel: self.kind.channel(),
            keeps_files: self.keep_files,
            parallel: self.parallel.into(),
        };
        let stop = stopper.watch();
        let told = tokio::select! {
            told = work.run(steps, &stop) => told?,
            () = asked_to_end() => {
                stopper.stop();
                line("stopped; run it again to go on");
                return Ok(Done::Findings);
            }
        };
        let _report = lake.compact_now().await.context("merge files")?;
        Ok(tell(&told))
    }

    async fn instruments(&self, config: &Config, venue: VenueId) -> anyhow::Result<Vec<Instrument>> {
        let trusted = settings::collect(config).trusted;
        let rest = settings::endpoints(config, venue).rest;
        let listed =
            collect::ask_listing(venue, &rest, trusted.as_deref()).await.map_err(anyhow::Error::msg)?;
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for words in &self.instruments {
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

    async fn listed(
        &self,
        site: &ArchiveSite,
        instrument: &Instrument,
        stopper: &Stopper,
    ) -> anyhow::Result<Vec<venues::archive::ArchiveFile>> {
        let mut files = Vec::new();
        for span in [Span::Month, Span::Day] {
            let ask = ArchiveAsk {
                data: self.kind.data(),
                symbol: &instrument.symbol,
                span,
                from: Some(Period::holding(span, self.from)),
            };
            let listed = site.list(&ask, &stopper.watch()).await;
            files.extend(listed.with_context(|| format!("list the archive of {}", instrument.symbol))?);
        }
        Ok(files)
    }

    fn tell_plan(&self, steps: &[Step]) {
        let fetched = steps.iter().filter_map(|step| match step {
            Step::Fetch { file, .. } => Some(file),
            Step::Absent { .. } => None,
        });
        if self.dry_run {
            for file in fetched.clone() {
                line(format!(
                    "{:>12}  {}",
                    file.size_bytes.map_or("?".into(), |size| size.to_string()),
                    file.path
                ));
            }
        }
        let bytes: u64 = fetched.clone().filter_map(|file| file.size_bytes).sum();
        let (count, absent) = (fetched.clone().count(), steps.len() - fetched.count());
        let absent = if absent > 0 { format!(", {absent} periods absent") } else { String::new() };
        line(format!("{count} files, {:.1} MB{absent}", bytes as f64 / 1e6));
    }
}

/// The venue's archive, or the one that is configured in its place.
fn site(config: &Config, venue: VenueId, folder: &Folder) -> anyhow::Result<ArchiveSite> {
    let mut archive = ArchiveSettings::new(venue, folder.path("archive"));
    let origin = config.text(&format!("venues.{venue}.archive"));
    if !origin.is_empty() {
        archive.files = Some(origin.to_owned());
        archive.listing = Some(origin.to_owned());
    }
    archive.trusted = settings::collect(config).trusted;
    let site = ArchiveSite::open(archive).context("open the archive")?;
    Ok(site.ok_or_else(|| WrongUse(format!("{venue} publishes no archive that is known here")))?)
}

fn known_venues() -> String {
    format!("known are {}", VenueId::names())
}

fn tell(told: &Told) -> Done {
    line(format!(
        "{} rows added, {} known before, {} twice in their files, {} bars; {} holes of {} ids; {} files imported, {} spoilt, {} absent",
        told.added,
        told.known,
        told.duplicates,
        told.bars,
        told.holes,
        told.missing,
        told.imported,
        told.spoilt,
        told.absent
    ));
    if told.spoilt + told.absent + told.holes > 0 { Done::Findings } else { Done::Clean }
}
