//! Filling the past of named instruments: from the archive, over REST, or from one and what it lacks from the other.

use std::sync::Arc;

use collect::archive::ArchiveSite;
use control::JobAsk;
use model::{Date, Instrument, InstrumentStatus, Timeframe, VenueId};
use runtime::Stop;
use venues::archive::ArchiveData;

use super::names::Meant;
use super::rest::Brought;
use super::{Turn, Work, check_order, known_venue};
use crate::{Doors, Error, Files, Plan, Step, Taken};

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The venue's canonical trades, with the bars made of them.
    Trades,
    /// Its own bars.
    Klines,
    /// Settled funding rates.
    Funding,
    /// Open interest.
    OpenInterest,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Trades, Self::Klines, Self::Funding, Self::OpenInterest];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Klines => "klines",
            Self::Funding => "funding",
            Self::OpenInterest => "open-interest",
        }
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| {
            Error::Wrong(format!("{name:?} is not taken in: use trades, klines, funding or open-interest"))
        })
    }
}

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// The archive, and over REST what it lacks.
    Auto,
    /// The archive alone.
    Archive,
    /// REST alone.
    Rest,
}

impl Supply {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Archive, Self::Rest];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Archive => "archive",
            Self::Rest => "rest",
        }
    }
}

/// Which past is wanted.
#[derive(Clone, Debug)]
pub struct Backfill {
    pub(super) venue: VenueId,
    names: Vec<String>,
    pub(super) kind: Kind,
    pub(super) timeframe: Timeframe,
    days: (Option<Date>, Date),
    supply: Supply,
    is_dry: bool,
    keeps_files: bool,
    pub(super) parallel: usize,
}

/// One instrument's part.
struct Part {
    instrument: Arc<Instrument>,
    days: (Date, Date),
}

impl Backfill {
    pub(super) fn read(ask: &JobAsk, today: Date) -> Result<Self, Error> {
        let venue = known_venue(&ask.venue)?;
        let kind = Kind::named(&ask.data)?;
        let supply = Supply::ALL.into_iter().find(|supply| supply.as_str() == ask.source);
        let supply = supply
            .ok_or_else(|| Error::Wrong(format!("source {:?}: use auto, archive or rest", ask.source)))?;
        if matches!(kind, Kind::Funding | Kind::OpenInterest) && supply == Supply::Archive {
            let kind = kind.as_str();
            return Err(Error::Wrong(format!("{kind} is not taken from archives: use --source rest")));
        }
        let last = Date(today.0 - 1);
        let to = ask.days.1.unwrap_or(last);
        check_order(ask.days.0, Some(to))?;
        if to > last {
            return Err(Error::Wrong(format!(
                "only whole days that are over are taken: --to {last} at the latest"
            )));
        }
        Ok(Self {
            venue,
            names: ask.instruments.clone(),
            kind,
            timeframe: timeframe(kind, &ask.timeframe)?,
            days: (ask.days.0, to),
            supply,
            is_dry: ask.has("dry"),
            keeps_files: ask.has("keep"),
            parallel: usize::from(ask.parallel.max(1)),
        })
    }

    /// What its files hold, if there may be any.
    fn data(&self, doors: &Doors) -> Option<ArchiveData> {
        match self.kind {
            Kind::Trades => Some(doors.feed_files(self.venue)),
            Kind::Klines => Some(ArchiveData::Klines(self.timeframe)),
            Kind::Funding | Kind::OpenInterest => None,
        }
    }

    pub(super) async fn run(&self, work: &Work<'_>, stop: &Stop) -> Result<bool, Error> {
        let site = work.outside.site(self.venue)?;
        let data = self.data(work.doors);
        let files = data.zip(site.clone()).filter(|_| self.supply != Supply::Rest);
        if self.supply == Supply::Archive && files.is_none() {
            let venue = self.venue;
            let what = format!("{venue} publishes no archive that is known here: use --source rest");
            return Err(Error::Wrong(what));
        }
        let known_by = (site.as_deref(), data.unwrap_or(ArchiveData::Trades));
        let meant = work.meant((self.venue, &self.names), known_by, stop).await?;
        let parts = self.parts(work, (&meant, known_by), stop).await?;
        let mut turns: Vec<Turn> = Vec::new();
        if !self.is_dry {
            // A recording enters what is listed; what is not, nobody else does.
            let entered = meant.iter().filter(|meant| meant.days.is_some() || !work.outside.is_recording());
            let entered: Vec<Instrument> =
                entered.map(|meant| Instrument::clone(&meant.instrument)).collect();
            work.doors.enter_listed(&entered).await?;
            for part in &parts {
                turns.push(tokio::select! {
                    turn = work.outside.turn(&part.instrument.id) => turn,
                    () = stop.requested() => return Err(Error::Stopped),
                });
                work.doors.check_frontier(&part.instrument.id).await?;
            }
        }
        let mut has_findings = false;
        if let Some((data, site)) = &files {
            has_findings |= self.take_files(work, (&parts, *data, site), stop).await?;
        }
        if self.supply == Supply::Archive {
            return Ok(has_findings);
        }
        if self.is_dry {
            for Part { instrument, days } in &parts {
                work.say(format!("{} {}..{}: over REST what is not stored", instrument.id, days.0, days.1));
            }
            return Ok(false);
        }
        let mut all = Brought::default();
        for Part { instrument, days } in &parts {
            if instrument.status == InstrumentStatus::Delisted {
                // The venue answers nothing about it any more.
                continue;
            }
            let brought = self.over_rest(work, (instrument, *days), stop).await?;
            has_findings |= brought.has_findings;
            all.add(&brought);
        }
        work.say(format!("{} rows over REST, {} known before", all.rows, all.known));
        Ok(has_findings)
    }

    /// What is wanted of each instrument.
    async fn parts(
        &self,
        work: &Work<'_>,
        (meant, (site, data)): (&[Meant], (Option<&ArchiveSite>, ArchiveData)),
        stop: &Stop,
    ) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        for Meant { instrument, days } in meant {
            let listed = instrument.listed_time.map(model::Time::date);
            let mut first = self.days.0.or(days.map(|days| days.0)).or(listed);
            if let (None, Some(site)) = (first, site) {
                first = work.doors.oldest_file(site, (instrument, data), stop).await?;
            }
            let Some(first) = first else {
                let id = &instrument.id;
                let what =
                    format!("nobody says when the past of {id} begins: name the first day with --from");
                return Err(Error::Wrong(what));
            };
            let (mut from, mut to) = (first, self.days.1);
            if let Some((first, last)) = days {
                (from, to) = (from.max(*first), to.min(*last));
            }
            if from <= to {
                parts.push(Part { instrument: Arc::clone(instrument), days: (from, to) });
            } else {
                work.say(format!("{}: nothing of it is from these days", instrument.id));
            }
        }
        Ok(parts)
    }

    /// Takes what the archive has; whether something of it lacks for good.
    async fn take_files(
        &self,
        work: &Work<'_>,
        (parts, data, site): (&[Part], ArchiveData, &Arc<ArchiveSite>),
        stop: &Stop,
    ) -> Result<bool, Error> {
        let mut steps = Vec::new();
        for Part { instrument, days } in parts {
            let plan = Plan { site, data, days: *days };
            steps.extend(plan.steps(work.doors, instrument, stop).await?);
        }
        self.tell_plan(work, &steps);
        if self.is_dry {
            return Ok(false);
        }
        let files = Files {
            doors: work.doors,
            site,
            data,
            keeps_files: self.keeps_files,
            parallel: self.parallel,
            listener: work.listener,
        };
        let taken = files.run(steps, stop).await?;
        work.say(summary(&taken));
        // What else lacks is asked for over REST, if it may be.
        let lacks = taken.absent + taken.holes + taken.missing_bars;
        let is_all = |part: &Part| {
            self.supply == Supply::Archive || part.instrument.status == InstrumentStatus::Delisted
        };
        Ok(taken.spoilt > 0 || (parts.iter().any(is_all) && lacks > 0))
    }

    fn tell_plan(&self, work: &Work<'_>, steps: &[Step]) {
        let fetched = steps.iter().filter_map(|step| match step {
            Step::Fetch { file, .. } => Some(file),
            Step::Absent { .. } => None,
        });
        if self.is_dry {
            for file in fetched.clone() {
                let size = file.size_bytes.map_or("?".into(), |size| size.to_string());
                work.say(format!("{size:>12}  {}", file.path));
            }
        }
        let bytes: u64 = fetched.clone().filter_map(|file| file.size_bytes).sum();
        let (count, absent) = (fetched.clone().count(), steps.len() - fetched.count());
        let absent = if absent > 0 { format!(", {absent} periods absent") } else { String::new() };
        work.say(format!("{count} files, {:.1} MB{absent}", bytes as f64 / 1e6));
    }
}

/// The length of bars, or how far samples are apart.
pub(super) fn timeframe(kind: Kind, text: &str) -> Result<Timeframe, Error> {
    let usual = if kind == Kind::OpenInterest { "5m" } else { "1m" };
    let text = if text.is_empty() { usual } else { text };
    text.parse().map_err(|error| Error::Wrong(format!("timeframe {text:?}: {error}")))
}

fn summary(taken: &Taken) -> String {
    format!(
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
    )
}
