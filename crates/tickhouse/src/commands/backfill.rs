//! `tickhouse backfill`: takes years of history from the venues' public archives into the tables.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use history::{FileEnd, Files, Listener, News, Plan, Step, Taken};
use model::{Date, Gap, GapState, Instrument, Timeframe, VenueId};
use runtime::tasks::Stopper;
use runtime::{Clock, SystemClock, Tasks};
use venues::archive::{ArchiveData, ArchiveFile};

use super::past::{Past, instruments, known_venues, parse_day};
use super::{Place, WrongUse, asked_to_end, start_logs};
use crate::Done;
use crate::output::line;

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
    /// What to take: trades with the 1-minute bars made of them, or the venue's own klines
    #[arg(long, value_enum, default_value_t = What::Trades)]
    kind: What,
    /// Length of the venue's klines, such as 1m or 1h
    #[arg(long, default_value = "1m")]
    timeframe: Timeframe,
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
    /// Its own bars.
    Klines,
}

impl What {
    const fn data(self, timeframe: Timeframe) -> ArchiveData {
        match self {
            Self::Trades => ArchiveData::Trades,
            Self::Klines => ArchiveData::Klines(timeframe),
        }
    }
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
        let past = Past::open(&self.place, &config).await?;
        let site = past.site(&config, venue)?;
        let (stopper, tasks) = (Stopper::default(), Tasks::new());
        let stop = stopper.watch();
        let desk = past.desk(&config, venue, &tasks)?;
        let plan = Plan { site: &site, data: self.kind.data(self.timeframe), days: (from, to) };
        let mut steps = Vec::new();
        let instruments = instruments(&desk, venue, (&self.instruments, &stop)).await?;
        if !self.dry_run {
            past.doors.enter_listed(&instruments).await?;
        }
        for instrument in instruments {
            steps.extend(plan.steps(&past.doors, &Arc::new(instrument), &stop).await?);
        }
        self.tell_plan(&steps);
        if self.dry_run {
            return Ok(Done::Clean);
        }
        let files = Files {
            doors: &past.doors,
            site: &site,
            data: self.kind.data(self.timeframe),
            keeps_files: self.keep_files,
            parallel: self.parallel.into(),
            listener: &Lines,
        };
        let taken = tokio::select! {
            taken = files.run(steps, &stop) => taken?,
            () = asked_to_end() => {
                stopper.stop();
                line("stopped; run it again to go on");
                return Ok(Done::Findings);
            }
        };
        let _late = tasks.close_together(Duration::from_secs(2)).await;
        let _report = past.lake.compact_now().await.context("merge files")?;
        Ok(tell(&taken))
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

/// Says in a line how each file ended.
pub(super) struct Lines;

impl Listener for Lines {
    fn hear(&self, news: &News) {
        match news {
            News::Bytes(_) | News::Phase { .. } => {}
            News::Hole { instrument, gap } => tell_hole(instrument, gap),
            News::File { instrument, file, end, seconds } => tell_file(instrument, file, end, *seconds),
            News::Absent { instrument, days } => {
                line(format!("{} {}..{}: the archive has no file", instrument.id, days.0, days.1));
            }
        }
    }
}

fn tell_hole(instrument: &Instrument, gap: &Gap) {
    let span = match (gap.first_id, gap.last_id) {
        (Some(first), Some(last)) => format!("ids {first} to {last}"),
        _ => format!("{} to {}", gap.first_time, gap.last_time),
    };
    let end = match gap.state {
        GapState::Filled => "filled over REST".to_owned(),
        _ => format!("stays missing: {}", gap.cause),
    };
    line(format!("{} {span}: {end}", instrument.id));
}

fn tell_file(instrument: &Instrument, file: &ArchiveFile, end: &FileEnd, seconds: f64) {
    let what = match end {
        FileEnd::Imported(report) => {
            let rate = report.summary.row_count as f64 / seconds.max(1e-6) / 1e6;
            let mut words = format!("{} rows in {seconds:.1} s ({rate:.2} M/s)", report.summary.row_count);
            for (count, what) in [
                (report.known, "known before"),
                (report.duplicates, "twice"),
                (report.beyond, "left to the recording"),
                (report.holes.len() as u64, "holes"),
                (report.missing_bars, "bars missing"),
            ] {
                if count > 0 {
                    words = format!("{words}, {count} {what}");
                }
            }
            words
        }
        FileEnd::Spoilt(why) => format!("not taken in: {why}"),
        FileEnd::Absent => "the archive has no such file".to_owned(),
    };
    line(format!("{} {}: {what}", instrument.id, file.period));
}

fn tell(taken: &Taken) -> Done {
    line(format!(
        "{} rows added, {} known before, {} twice in their files, {} bars; {} holes of {} ids; {} files imported, {} spoilt, {} absent",
        taken.added,
        taken.known,
        taken.duplicates,
        taken.bars,
        taken.holes,
        taken.missing,
        taken.imported,
        taken.spoilt,
        taken.absent
    ));
    if taken.spoilt + taken.absent + taken.holes + taken.missing_bars > 0 {
        Done::Findings
    } else {
        Done::Clean
    }
}
