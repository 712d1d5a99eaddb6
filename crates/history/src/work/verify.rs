//! Looking whether the past is whole, month by month, day by day, down to the exact hole; and filling what lacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::JobAsk;
use model::digits::group;
use model::{Date, Gap, GapState, Instrument, InstrumentId, Timeframe, VenueId};
use runtime::Stop;
use tables::{DayCondition, DayCover};

use super::backfill::{Kind, timeframe};
use super::{Work, check_order, known_venue};
use crate::{Check, Error, Repair, Verdict};

/// Holes listed one by one for each instrument.
const HOLES_SHOWN: usize = 50;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Verify {
    venue: Option<VenueId>,
    names: Vec<String>,
    pub(super) kind: Kind,
    pub(super) timeframe: Timeframe,
    pub(super) days: (Option<Date>, Option<Date>),
    is_deep: bool,
    repairs: bool,
    parallel: usize,
}

impl Verify {
    pub(super) fn read(ask: &JobAsk) -> Result<Self, Error> {
        check_order(ask.days.0, ask.days.1)?;
        let kind = Kind::named(&ask.data)?;
        let repairs = ask.has("repair");
        if repairs && kind != Kind::Trades {
            let kind = kind.as_str();
            return Err(Error::Wrong(format!(
                "verify repairs trades: fill {kind} with `tickhouse backfill --kind {kind}`"
            )));
        }
        if kind == Kind::OpenInterest {
            return Err(Error::Wrong(
                "open interest is sampled when the venue likes: nobody can say whether it is whole; verify trades, klines or funding".into(),
            ));
        }
        Ok(Self {
            venue: if ask.venue.is_empty() { None } else { Some(known_venue(&ask.venue)?) },
            names: ask.instruments.clone(),
            kind,
            timeframe: timeframe(kind, &ask.timeframe)?,
            days: ask.days,
            is_deep: ask.has("deep"),
            repairs,
            parallel: usize::from(ask.parallel.max(1)),
        })
    }

    pub(super) async fn run(&self, work: &Work<'_>, stop: &Stop) -> Result<bool, Error> {
        let stored = self.stored(work)?;
        if stored.is_empty() {
            work.say("nothing is stored that could be looked at");
            return Ok(false);
        }
        let mut total = Total::default();
        for (venue, ids) in stored {
            let wanted = self.wanted(work, (venue, &ids), stop).await?;
            if self.repairs && !work.outside.is_recording() {
                work.doors.enter_listed(&wanted).await?;
            }
            for instrument in wanted {
                if stop.is_requested() {
                    return Err(Error::Stopped);
                }
                let instrument = Arc::new(instrument);
                let _turn = tokio::select! {
                    turn = work.outside.turn(&instrument.id) => turn,
                    () = stop.requested() => return Err(Error::Stopped),
                };
                match self.kind {
                    Kind::Trades => {
                        work.doors.check_frontier(&instrument.id).await?;
                        let verdict = self.trades(work, &instrument, stop).await?;
                        total.add(&verdict);
                        tell(work, &instrument, &verdict);
                    }
                    _ => total.add_days(&self.series(work, &instrument).await?),
                }
            }
        }
        if total.instruments == 0 {
            let names = self.names.join(", ");
            return Err(Error::Wrong(format!("nothing is stored of {names}: check the spelling")));
        }
        work.say(total.to_string());
        Ok(!total.is_clean)
    }

    async fn trades(
        &self,
        work: &Work<'_>,
        instrument: &Arc<Instrument>,
        stop: &Stop,
    ) -> Result<Verdict, Error> {
        let doors = work.doors;
        let today = doors.clock.time().date();
        let known = doors.control.archive_first_day(&instrument.id, doors.feed(instrument.id.venue()))?;
        let days = (self.days.0.or(known).unwrap_or(today), self.days.1.unwrap_or(today));
        let check = Check { days, is_deep: self.is_deep };
        if !self.repairs {
            return doors.verify(instrument, check).await;
        }
        let (site, desk) =
            (work.outside.site(instrument.id.venue())?, work.outside.desk(instrument.id.venue())?);
        let repair = Repair {
            doors,
            site: site.as_deref(),
            desk: &desk,
            rest_age: work.rest_age,
            parallel: self.parallel,
            listener: work.listener,
        };
        let repaired = repair.run(instrument, days, stop).await?;
        work.say(format!(
            "{}: {} rows from {} files, {} rows over REST; {} holes filled, {} stay",
            instrument.id,
            group(repaired.files.added),
            repaired.files.imported,
            group(repaired.rest_rows),
            repaired.filled,
            repaired.hopeless
        ));
        if self.is_deep { doors.verify(instrument, check).await } else { Ok(repaired.verdict) }
    }

    /// What is looked at. To look needs nobody; to repair needs what the venue says of its instruments.
    async fn wanted(
        &self,
        work: &Work<'_>,
        (venue, ids): (VenueId, &[InstrumentId]),
        stop: &Stop,
    ) -> Result<Vec<Instrument>, Error> {
        let known = ids.iter().map(|id| Instrument::named(id.clone(), &id.pair().replace('-', "")));
        let is_meant = |instrument: &Instrument| {
            let names = [instrument.id.as_str(), &*instrument.symbol];
            self.names.is_empty() || self.names.iter().any(|name| names.contains(&name.as_str()))
        };
        let stored: Vec<Instrument> = known.filter(is_meant).collect();
        if !self.repairs {
            return Ok(stored);
        }
        // A name of one venue says nothing of another, unless that one is meant.
        let names: Vec<String> = match &self.names[..] {
            names if stored.is_empty() && self.venue.is_some() => names.to_vec(),
            _ => stored.iter().map(|instrument| instrument.id.as_str().to_owned()).collect(),
        };
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let site = work.outside.site(venue)?;
        let known_by = (site.as_deref(), work.doors.feed_files(venue));
        let meant = work.meant((venue, &names), known_by, stop).await?;
        Ok(meant.into_iter().map(|meant| Instrument::clone(&meant.instrument)).collect())
    }

    /// Instruments that are looked at, by venue.
    fn stored(&self, work: &Work<'_>) -> Result<BTreeMap<VenueId, Vec<InstrumentId>>, Error> {
        let mut by_venue: BTreeMap<VenueId, Vec<InstrumentId>> = BTreeMap::new();
        for id in work.doors.control.archive_instruments()? {
            if self.venue.is_none_or(|venue| id.venue() == venue) {
                by_venue.entry(id.venue()).or_default().push(id);
            }
        }
        Ok(by_venue)
    }
}

/// All instruments together.
struct Total {
    instruments: u64,
    rows: u64,
    missing: u64,
    holes: u64,
    duplicates: u64,
    left_out: u64,
    is_clean: bool,
}

impl Default for Total {
    fn default() -> Self {
        Self { instruments: 0, rows: 0, missing: 0, holes: 0, duplicates: 0, left_out: 0, is_clean: true }
    }
}

impl Total {
    fn add(&mut self, verdict: &Verdict) {
        self.add_days(&verdict.days);
        self.holes += (verdict.holes.len() + verdict.live_holes.len() + verdict.untold.len()) as u64;
        self.left_out += verdict.left_out;
        self.is_clean &= verdict.untold.is_empty();
    }

    fn add_days(&mut self, days: &[DayCover]) {
        let sum = |figure: fn(&DayCover) -> u64| days.iter().map(figure).sum::<u64>();
        self.instruments += 1;
        self.rows += sum(|day| day.rows);
        self.missing += sum(|day| day.missing);
        self.duplicates += sum(|day| day.duplicates);
        let is_bad = |day: &DayCover| {
            day.duplicates > 0 || matches!(day.condition, DayCondition::Degraded | DayCondition::Missing)
        };
        self.is_clean &= !days.iter().any(is_bad);
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} instruments: {} rows, {} missing in {} holes, {} twice; {} came twice in their files and were left out",
            self.instruments,
            group(self.rows),
            group(self.missing),
            group(self.holes),
            group(self.duplicates),
            group(self.left_out)
        )
    }
}

/// Months, the days of those that are not whole, and the exact holes.
fn tell(work: &Work<'_>, instrument: &Instrument, verdict: &Verdict) {
    tell_days(work, instrument.id.as_str(), &verdict.days);
    let holes: Vec<&Gap> = verdict.holes.iter().chain(&verdict.live_holes).collect();
    for gap in holes.iter().take(HOLES_SHOWN) {
        let state = if gap.state == GapState::Open { "open" } else { "missing" };
        work.say(format!("  {} {state}: {}", span(gap), gap.cause));
    }
    if holes.len() > HOLES_SHOWN {
        work.say(format!("  and {} more: see the table gaps", holes.len() - HOLES_SHOWN));
    }
    for (first, last) in &verdict.untold {
        work.say(format!("  ids {first} to {last} lack though nothing was told of it: please report this"));
    }
}

/// Months, and the days of those that are not whole.
pub(super) fn tell_days(work: &Work<'_>, name: &str, days: &[DayCover]) {
    for days in days.chunk_by(|one, next| one.day.month_start() == next.day.month_start()) {
        let condition = of_month(days);
        let sum = |figure: fn(&DayCover) -> u64| days.iter().map(figure).sum::<u64>();
        let (missing, twice) = (sum(|day| day.missing), sum(|day| day.duplicates));
        let month = days[0].day.to_string();
        work.say(format!(
            "{name} {}: {}, {} rows, {} missing, {} twice",
            &month[..7],
            condition.as_str(),
            group(sum(|day| day.rows)),
            group(missing),
            group(twice)
        ));
        if condition == DayCondition::Complete && twice == 0 {
            continue;
        }
        for day in days.iter().filter(|day| day.condition != DayCondition::Complete || day.duplicates > 0) {
            work.say(format!(
                "  {}: {}, {} rows, {} missing, {} twice",
                day.day,
                day.condition.as_str(),
                group(day.rows),
                group(day.missing),
                group(day.duplicates)
            ));
        }
    }
}

/// The condition of a month: that of its days if it is the same for all that are over, else degraded.
fn of_month(days: &[DayCover]) -> DayCondition {
    let mut known = days.iter().map(|day| day.condition).filter(|one| *one != DayCondition::Pending);
    let Some(first) = known.next() else { return DayCondition::Pending };
    if known.all(|other| other == first) { first } else { DayCondition::Degraded }
}

fn span(gap: &Gap) -> String {
    match (gap.first_id, gap.last_id) {
        (Some(first), Some(last)) if first == last => format!("id {first} at {}", gap.first_time),
        (Some(first), Some(last)) => format!("ids {first} to {last} from {}", gap.first_time),
        _ => format!("{} to {}", gap.first_time, gap.last_time),
    }
}
