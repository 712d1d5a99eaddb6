//! What comes over REST: what no file brought, of trades, of the venue's bars, of funding and of open interest.

use std::sync::Arc;
use std::time::Duration;

use collect::history::{HistoryAsk, HistoryWish};
use control::{ArchiveRecord, FileState};
use model::digits::group;
use model::time::DAY;
use model::{Date, Instrument, InstrumentKind};
use runtime::Stop;
use tables::{DayCondition, TimeRange};

use super::Work;
use super::backfill::{Backfill, Kind};
use super::series::{Series, Shelf};
use crate::{Error, Repair, Repaired};

/// Older than everything: no hole is too old to be asked for.
const ANY_AGE: Duration = Duration::from_hours(24 * 365 * 100);

/// What came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brought {
    pub(super) rows: u64,
    pub(super) known: u64,
    pub(super) has_findings: bool,
}

impl Brought {
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.known += other.known;
    }
}

impl Backfill {
    /// Asks the venue for what is not stored.
    pub(super) async fn over_rest(
        &self,
        work: &Work<'_>,
        (instrument, days): (&Arc<Instrument>, (Date, Date)),
        stop: &Stop,
    ) -> Result<Brought, Error> {
        let range = TimeRange { start: days.0.start(), end: days.1.start().plus_micros(DAY) };
        let series = match self.kind {
            Kind::Trades => return self.trades(work, (instrument, days), stop).await,
            Kind::Klines => Series::Klines(self.timeframe),
            Kind::Funding => Series::Funding,
            Kind::OpenInterest => Series::OpenInterest(self.timeframe),
        };
        if instrument.kind == InstrumentKind::Spot && !matches!(series, Series::Klines(_)) {
            let what = format!("{} is spot: it has no {}", instrument.id, self.kind.as_str());
            return Err(Error::Wrong(what));
        }
        let desk = work.outside.desk(self.venue)?;
        let shelf = Shelf { doors: work.doors, instrument, series, listener: work.listener };
        let mut brought = Brought::default();
        let mut lacking = 0;
        for range in shelf.wanted(range).await? {
            let wish = series.wish(range);
            let ask = HistoryAsk { instrument: Instrument::clone(instrument), wish };
            let (report, rows, known) = shelf.fetch(&desk, ask, stop).await?;
            brought.rows += rows;
            brought.known += known;
            lacking += report.lacking.len();
        }
        let still = shelf.missing(range).await?;
        brought.has_findings = still > 0 || (lacking > 0 && brought.rows + brought.known == 0);
        let record = ArchiveRecord::without_file(&instrument.id, series.channel(), days, FileState::Asked);
        let settled_time = work.doors.clock.time();
        work.doors.control.settle_archive_file(&ArchiveRecord { settled_time, ..record })?;
        let missing = if still > 0 { format!(", {} bars missing", group(still)) } else { String::new() };
        let id = &instrument.id;
        work.say(format!("{id} {}..{}: {} rows over REST{missing}", days.0, days.1, group(brought.rows)));
        Ok(brought)
    }

    async fn trades(
        &self,
        work: &Work<'_>,
        (instrument, days): (&Arc<Instrument>, (Date, Date)),
        stop: &Stop,
    ) -> Result<Brought, Error> {
        let desk = work.outside.desk(self.venue)?;
        let repair = Repair {
            doors: work.doors,
            site: None,
            desk: &desk,
            rest_age: ANY_AGE,
            parallel: self.parallel,
            listener: work.listener,
        };
        let records =
            work.doors.control.archive_files(&instrument.id, work.doors.feed(instrument.id.venue()), days)?;
        let frontier = work.doors.frontier(&instrument.id).await?;
        let mut edges = Repaired::default();
        for (first, last) in unbrought(&records, days) {
            let mut range = TimeRange { start: first.start(), end: last.start().plus_micros(DAY) };
            range.end = frontier.map_or(range.end, |frontier| range.end.min(frontier.time));
            if range.start < range.end {
                repair.ask_for_edge(instrument, range, (&mut edges, stop)).await?;
            }
        }
        let repaired = repair.run(instrument, days, stop).await?;
        let (id, rows) = (&instrument.id, edges.rest_rows + repaired.rest_rows);
        let holes = repaired.verdict.holes.len();
        work.say(format!(
            "{id} {}..{}: {} rows over REST; {} holes filled, {holes} stay",
            days.0,
            days.1,
            group(rows),
            repaired.filled
        ));
        let is_bad = |condition| matches!(condition, DayCondition::Degraded | DayCondition::Missing);
        let has_findings = holes > 0 || repaired.verdict.days.iter().any(|day| is_bad(day.condition));
        Ok(Brought { rows, known: 0, has_findings })
    }
}

/// Runs of days of which neither a file nor an answer brought everything.
fn unbrought(records: &[ArchiveRecord], (first, last): (Date, Date)) -> Vec<(Date, Date)> {
    let is_brought = |day: &Date| {
        records.iter().any(|record| {
            matches!(record.state, FileState::Imported | FileState::Asked)
                && record.days.0 <= *day
                && *day <= record.days.1
        })
    };
    let left: Vec<Date> = (first.0..=last.0).map(Date).filter(|day| !is_brought(day)).collect();
    left.chunk_by(|one, next| one.0 + 1 == next.0)
        .filter_map(|run| Some((*run.first()?, *run.last()?)))
        .collect()
}

impl Series {
    fn wish(self, range: TimeRange) -> HistoryWish {
        let range = range.start..range.end;
        match self {
            Self::Klines(timeframe) => HistoryWish::Klines { timeframe, range },
            Self::Funding => HistoryWish::Funding { range },
            Self::OpenInterest(period) => HistoryWish::OpenInterest { period, range },
        }
    }
}
