//! `tickhouse verify`: whether the past is whole, month by month, day by day, down to the exact hole; and filling what lacks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use collect::history::HistoryDesk;
use history::{Check, Doors, Repair, Verdict};
use model::{Channel, Date, Gap, GapState, Instrument, InstrumentId, VenueId};
use runtime::tasks::Stopper;
use runtime::{Clock, Stop, SystemClock, Tasks};
use tables::{DayCondition, DayCover};

use super::backfill::Lines;
use super::past::{Past, instruments, known_venues, parse_day};
use super::status::group;
use super::{Place, WrongUse, asked_to_end, start_logs};
use crate::Done;
use crate::config::{Config, settings};
use crate::output::line;

/// Holes listed one by one for each instrument.
const HOLES_SHOWN: usize = 50;

/// Look whether the trades are all there: month by month, day by day, down to the exact hole; duplicates are counted apart.
///
/// Ends with 3 if something lacks or comes twice.
#[derive(Args)]
pub(crate) struct Verify {
    /// Only this venue
    #[arg(long)]
    venue: Option<String>,
    /// Only these symbols or instrument ids, by comma; all that are stored if absent
    #[arg(long, value_delimiter = ',')]
    instruments: Vec<String>,
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
        let venue = match &self.venue {
            None => None,
            Some(name) => Some(
                VenueId::known(name)
                    .ok_or_else(|| WrongUse(format!("venue {name:?} is not known: {}", known_venues())))?,
            ),
        };
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(WrongUse(format!("--from {from} is after --to {to}: swap them")).into());
        }
        let past = Past::open(&self.place, &config).await?;
        let stored = stored(&past.doors, venue)?;
        if stored.is_empty() {
            line("nothing is stored that could be looked at");
            return Ok(Done::Clean);
        }
        let (stopper, tasks) = (Stopper::default(), Tasks::new());
        let mut ledger = Total::default();
        for (venue, ids) in stored {
            let work = self.venue(&config, &past, (venue, &ids), (&stopper, &tasks, &mut ledger));
            tokio::select! {
                done = work => done?,
                () = asked_to_end() => {
                    stopper.stop();
                    line("stopped; run it again to go on");
                    return Ok(Done::Findings);
                }
            }
        }
        let _late = tasks.close_together(Duration::from_secs(2)).await;
        if self.repair {
            let _report = past.lake.compact_now().await?;
        }
        if ledger.instruments == 0 {
            let names = self.instruments.join(", ");
            return Err(WrongUse(format!("nothing is stored of {names}: check the spelling")).into());
        }
        line(format!(
            "{} instruments: {} rows, {} missing in {} holes, {} twice; {} came twice in their files and were left out",
            ledger.instruments,
            group(ledger.rows),
            group(ledger.missing),
            group(ledger.holes),
            group(ledger.duplicates),
            group(ledger.left_out)
        ));
        Ok(if ledger.is_clean { Done::Clean } else { Done::Findings })
    }

    async fn venue(
        &self,
        config: &Config,
        past: &Past,
        (venue, ids): (VenueId, &[InstrumentId]),
        (stopper, tasks, total): (&Stopper, &Tasks, &mut Total),
    ) -> anyhow::Result<()> {
        let stop = stopper.watch();
        let site = past.site(config, venue).ok();
        let desk = if self.repair { Some(past.desk(config, venue, tasks)?) } else { None };
        let wanted = self.wanted(desk.as_ref(), (venue, ids), &stop).await?;
        if self.repair {
            past.doors.enter_listed(&wanted).await?;
        }
        for instrument in wanted {
            let instrument = Arc::new(instrument);
            let today = SystemClock.time().date();
            let known = past.doors.control.archive_first_day(&instrument.id, Channel::Trades)?;
            let days = (self.from.or(known).unwrap_or(today), self.to.unwrap_or(today));
            let verdict = match &desk {
                None => past.doors.verify(&instrument, Check { days, is_deep: self.deep }).await?,
                Some(desk) => {
                    let repair = Repair {
                        doors: &past.doors,
                        site: site.as_deref(),
                        desk,
                        rest_age: settings::rest_age(config),
                        parallel: 4,
                        listener: &Lines,
                    };
                    let repaired = repair.run(&instrument, days, &stop).await?;
                    line(format!(
                        "{}: {} rows from {} files, {} rows over REST; {} holes filled, {} stay",
                        instrument.id,
                        group(repaired.files.added),
                        repaired.files.imported,
                        group(repaired.rest_rows),
                        repaired.filled,
                        repaired.hopeless
                    ));
                    if self.deep {
                        past.doors.verify(&instrument, Check { days, is_deep: true }).await?
                    } else {
                        repaired.verdict
                    }
                }
            };
            total.add(&verdict);
            tell(&instrument, &verdict);
        }
        Ok(())
    }

    /// What is looked at. To look needs nobody; to repair needs what the venue says of its instruments.
    async fn wanted(
        &self,
        desk: Option<&HistoryDesk>,
        (venue, ids): (VenueId, &[InstrumentId]),
        stop: &Stop,
    ) -> anyhow::Result<Vec<Instrument>> {
        let known = ids.iter().map(|id| Instrument::named(id.clone(), &id.pair().replace('-', "")));
        let is_meant = |instrument: &Instrument| {
            let names = [instrument.id.as_str(), &*instrument.symbol];
            self.instruments.is_empty() || self.instruments.iter().any(|name| names.contains(&name.as_str()))
        };
        let stored: Vec<Instrument> = known.filter(is_meant).collect();
        let Some(desk) = desk else { return Ok(stored) };
        let names: Vec<String> = match &self.instruments[..] {
            [] => stored.iter().map(|instrument| instrument.id.as_str().to_owned()).collect(),
            names => names.to_vec(),
        };
        instruments(desk, venue, (&names, stop)).await
    }
}

/// Instruments that are looked at, by venue.
fn stored(doors: &Doors, venue: Option<VenueId>) -> anyhow::Result<BTreeMap<VenueId, Vec<InstrumentId>>> {
    let mut by_venue: BTreeMap<VenueId, Vec<InstrumentId>> = BTreeMap::new();
    for id in doors.control.archive_instruments()? {
        if venue.is_none_or(|venue| id.venue() == venue) {
            by_venue.entry(id.venue()).or_default().push(id);
        }
    }
    Ok(by_venue)
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
        self.instruments += 1;
        self.rows += verdict.sum(|day| day.rows);
        self.missing += verdict.sum(|day| day.missing);
        self.holes += (verdict.holes.len() + verdict.live_holes.len() + verdict.untold.len()) as u64;
        self.duplicates += verdict.sum(|day| day.duplicates);
        self.left_out += verdict.left_out;
        let is_bad = |day: &DayCover| {
            day.duplicates > 0 || matches!(day.condition, DayCondition::Degraded | DayCondition::Missing)
        };
        self.is_clean &= !verdict.days.iter().any(is_bad) && verdict.untold.is_empty();
    }
}

/// Months, the days of those that are not whole, and the exact holes.
fn tell(instrument: &Instrument, verdict: &Verdict) {
    for days in verdict.days.chunk_by(|one, next| one.day.month_start() == next.day.month_start()) {
        let condition = of_month(days);
        let sum = |figure: fn(&DayCover) -> u64| days.iter().map(figure).sum::<u64>();
        let (missing, twice) = (sum(|day| day.missing), sum(|day| day.duplicates));
        let month = days[0].day.to_string();
        line(format!(
            "{} {}: {}, {} rows, {} missing, {} twice",
            instrument.id,
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
            line(format!(
                "  {}: {}, {} rows, {} missing, {} twice",
                day.day,
                day.condition.as_str(),
                group(day.rows),
                group(day.missing),
                group(day.duplicates)
            ));
        }
    }
    let holes: Vec<&Gap> = verdict.holes.iter().chain(&verdict.live_holes).collect();
    for gap in holes.iter().take(HOLES_SHOWN) {
        let state = if gap.state == GapState::Open { "open" } else { "missing" };
        line(format!("  {} {state}: {}", span(gap), gap.cause));
    }
    if holes.len() > HOLES_SHOWN {
        line(format!("  and {} more: see the table gaps", holes.len() - HOLES_SHOWN));
    }
    for (first, last) in &verdict.untold {
        line(format!("  ids {first} to {last} lack though nothing was told of it: please report this"));
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
