//! Fills what lacks: young holes over REST, old ones from the archive, and what the archive lacks over REST as far as the venue
//! goes back. What nobody has is told with its cause.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use collect::archive::ArchiveSite;
use collect::history::{HistoryAsk, HistoryDesk, HistoryEnd, HistoryReport, HistoryWish, Taken as Taking};
use control::{ArchiveRecord, FileState};
use model::{Date, Event, Gap, GapCause, GapState, Instrument, Source, Trade};
use refine::import::{
    ImportError, ImportReport, import_trades, reconciled, remake_bars, spans_of, write_gaps,
};
use runtime::Stop;
use tables::TimeRange;

use crate::news::Phase;
use crate::{Check, Doors, Error, Files, Listener, News, Plan, Taken, Verdict};

/// Trades gathered before they are written together.
const BATCH_TRADES: usize = 100_000;
/// Holes whose answers are written together.
const BATCH_HOLES: usize = 200;

/// Fills what lacks of an instrument's trades.
pub struct Repair<'a> {
    /// What it works with.
    pub doors: &'a Doors,
    /// Where files come from, where the venue has an archive.
    pub site: Option<&'a ArchiveSite>,
    /// Where the venue is asked.
    pub desk: &'a HistoryDesk,
    /// Holes younger than this are asked for over REST before the archive is.
    pub rest_age: Duration,
    /// Files fetched at once.
    pub parallel: usize,
    /// Who is told.
    pub listener: &'a dyn Listener,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// From the archive.
    pub files: Taken,
    /// Rows that came over REST.
    pub rest_rows: u64,
    /// Holes that are filled now.
    pub filled: u64,
    /// Holes that the venue was asked for in vain.
    pub hopeless: u64,
    /// How it stands afterwards.
    pub verdict: Verdict,
}

impl Repair<'_> {
    /// Looks, fills, and looks again. Safe to interrupt and to run again.
    pub async fn run(
        &self,
        instrument: &Arc<Instrument>,
        days: (Date, Date),
        stop: &Stop,
    ) -> Result<Repaired, Error> {
        let check = Check { days, is_deep: false };
        let mut done = Repaired::default();
        self.phase(instrument, Phase::IntegrityCheck);
        self.fold_what_was_left(instrument).await?;
        let mut verdict = self.doors.verify(instrument, check).await?;
        let now = self.doors.clock.time();
        let young_from = now.plus_micros(-(self.rest_age.as_micros() as i64));
        let young: Vec<Gap> = verdict
            .holes
            .iter()
            .filter(|gap| gap.last_time >= young_from && is_askable(gap))
            .cloned()
            .collect();
        if !young.is_empty() {
            self.phase(instrument, Phase::HistoricalLoad);
            self.ask_for(instrument, young, (&mut done, stop)).await?;
            if self.site.is_none() {
                verdict = self.doors.verify(instrument, check).await?;
            }
        }
        if let Some(site) = self.site {
            self.phase(instrument, Phase::ArchiveRecovery);
            let data = self.doors.feed_files(instrument.id.venue());
            let plan = Plan { site, data, days };
            let steps = plan.steps(self.doors, instrument, stop).await?;
            if !steps.is_empty() {
                let Self { doors, parallel, listener, .. } = *self;
                let files = Files { doors, site, data, keeps_files: false, parallel, listener };
                done.files = files.run(steps, stop).await?;
            }
            verdict = self.doors.verify(instrument, check).await?;
        }
        let left: Vec<Gap> = verdict.holes.iter().filter(|gap| is_askable(gap)).cloned().collect();
        let edges = [verdict.head, verdict.tail].into_iter().flatten();
        let edges: Vec<TimeRange> = edges.filter(|edge| edge.start >= young_from).collect();
        if !left.is_empty() || !edges.is_empty() {
            self.phase(instrument, Phase::HistoricalLoad);
            self.ask_for(instrument, left, (&mut done, stop)).await?;
            for edge in edges {
                self.ask_for_edge(instrument, edge, (&mut done, stop)).await?;
            }
            verdict = self.doors.verify(instrument, check).await?;
        }
        done.verdict = verdict;
        Ok(done)
    }

    /// Makes the bars that an earlier process did not come to.
    async fn fold_what_was_left(&self, instrument: &Arc<Instrument>) -> Result<(), Error> {
        let spans = self.doors.control.unfolded(&instrument.id)?;
        if spans.is_empty() {
            return Ok(());
        }
        let (import, id, now) = (self.doors.import(), instrument.id.clone(), self.doors.clock.time());
        let left = spans.clone();
        let done = runtime::tasks::blocking(move || remake_bars(&import, &id, &left, now)).await;
        let _count = done.map_err(Error::Store)??;
        Ok(self.doors.control.forget_unfolded(&instrument.id, &spans)?)
    }

    fn phase(&self, instrument: &Arc<Instrument>, phase: Phase) {
        self.listener.hear(&News::Phase { instrument: Arc::clone(instrument), phase });
    }

    /// Asks the venue for holes, one after the other; answers are written together.
    async fn ask_for(
        &self,
        instrument: &Arc<Instrument>,
        holes: Vec<Gap>,
        (done, stop): (&mut Repaired, &Stop),
    ) -> Result<(), Error> {
        for holes in holes.chunks(BATCH_HOLES) {
            let purse = Purse::new(self.doors, instrument);
            let mut lacking = Vec::new();
            let mut ended = Ok(());
            let mut asked = Vec::new();
            for hole in holes {
                let wish = match (hole.first_id, hole.last_id) {
                    (Some(first), Some(last)) => HistoryWish::TradeIds { first, last },
                    _ => HistoryWish::TradesByTime { range: hole.first_time..hole.last_time },
                };
                match self.fetch(instrument, wish, (&purse, stop)).await {
                    Ok(report) => {
                        lacking.extend(lacks(hole, &report));
                        asked.push((hole.clone(), report.is_whole()));
                    }
                    // What was fetched so far is written before that is told.
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                }
            }
            let rows = purse.empty().await?;
            done.rest_rows += rows;
            self.listener.hear(&News::Rows(rows));
            let (numbered, spans): (Vec<_>, Vec<_>) =
                asked.into_iter().partition(|(gap, _)| gap.first_id.is_some());
            for (gap, _) in spans.iter().filter(|(_, is_whole)| *is_whole) {
                self.settle_asked(instrument, TimeRange { start: gap.first_time, end: gap.last_time })?;
            }
            let numbered: Vec<Gap> = numbered.into_iter().map(|(gap, _)| gap).collect();
            let rows = reconciled(&numbered, &lacking, (self.doors.clock.time(), Source::Rest));
            for gap in &rows {
                match gap.state {
                    GapState::Filled => done.filled += 1,
                    _ => done.hopeless += 1,
                }
                self.listener.hear(&News::Hole { instrument: Arc::clone(instrument), gap: gap.clone() });
            }
            let doors = self.doors.import();
            let written = runtime::tasks::blocking(move || write_gaps(&doors, rows)).await;
            written.map_err(Error::Store)??;
            ended?;
        }
        Ok(())
    }

    /// Asks for what happened before the first trade that is stored, or after the last.
    pub(crate) async fn ask_for_edge(
        &self,
        instrument: &Arc<Instrument>,
        edge: TimeRange,
        (done, stop): (&mut Repaired, &Stop),
    ) -> Result<(), Error> {
        let purse = Purse::new(self.doors, instrument);
        let wish = HistoryWish::TradesByTime { range: edge.start..edge.end };
        let fetched = self.fetch(instrument, wish, (&purse, stop)).await;
        let rows = purse.empty().await?;
        done.rest_rows += rows;
        self.listener.hear(&News::Rows(rows));
        if fetched?.is_whole() {
            self.settle_asked(instrument, edge)?;
        }
        Ok(())
    }

    /// Remembers of the days of a span that the venue gave what it has of them.
    fn settle_asked(&self, instrument: &Instrument, span: TimeRange) -> Result<(), Error> {
        let (first, last) = (span.start.date(), span.end.plus_micros(-1).date());
        let record = ArchiveRecord::without_file(
            &instrument.id,
            self.doors.feed(instrument.id.venue()),
            (first, last),
            FileState::Asked,
        );
        let record = ArchiveRecord { settled_time: self.doors.clock.time(), ..record };
        self.doors.control.settle_archive_file(&record)?;
        Ok(())
    }

    async fn fetch(
        &self,
        instrument: &Arc<Instrument>,
        wish: HistoryWish,
        (purse, stop): (&Purse, &Stop),
    ) -> Result<HistoryReport, Error> {
        let ask = HistoryAsk { instrument: Instrument::clone(instrument), wish };
        let mut take = |events: Vec<Event>| purse.take(events);
        match self.desk.fetch(ask, &mut take, stop).await {
            Ok(report) => Ok(report),
            Err(error) => match error.why {
                HistoryEnd::Stopped => Err(Error::Stopped),
                HistoryEnd::NotTaken(what) => Err(Error::Store(what)),
                // For good: the hole stays, with that cause.
                HistoryEnd::Refused(_) => Ok(HistoryReport { rest: None, ..error.report }),
                HistoryEnd::UnknownVenue | HistoryEnd::GaveUp(_) => {
                    Err(Error::Venue(format!("{}: {error}", instrument.id)))
                }
            },
        }
    }
}

/// Whether it makes sense to ask the venue.
fn is_askable(gap: &Gap) -> bool {
    !matches!(gap.cause, GapCause::NotAtVenue | GapCause::BeyondHistory | GapCause::Refused)
}

/// What the venue does not have of a hole, as holes.
fn lacks(hole: &Gap, report: &HistoryReport) -> Vec<Gap> {
    let (Some(first), Some(last)) = (hole.first_id, hole.last_id) else { return Vec::new() };
    let of = |lacking: &collect::history::Lacking| {
        let ids = lacking.ids.unwrap_or((first, last));
        let ids = (ids.0.max(first), ids.1.min(last));
        let before = if ids.0 == first { None } else { lacking.times.0 };
        (ids.0 <= ids.1).then(|| Gap {
            first_id: Some(ids.0),
            last_id: Some(ids.1),
            first_time: before.unwrap_or(hole.first_time),
            last_time: lacking.times.1.filter(|_| ids.1 < last).unwrap_or(hole.last_time),
            state: GapState::Missing,
            cause: lacking.cause,
            ..hole.clone()
        })
    };
    report.lacking.iter().filter_map(of).collect()
}

/// Gathers trades until they are worth writing.
struct Purse {
    inner: Arc<Mutex<Gathered>>,
    doors: Doors,
    instrument: Arc<Instrument>,
}

#[derive(Default)]
struct Gathered {
    trades: Vec<Trade>,
    rows: u64,
}

impl Purse {
    fn new(doors: &Doors, instrument: &Arc<Instrument>) -> Self {
        Self { inner: Arc::default(), doors: doors.clone(), instrument: Arc::clone(instrument) }
    }

    fn take(&self, events: Vec<Event>) -> Taking {
        let is_full = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.trades.extend(events.into_iter().filter_map(|event| match event {
                Event::Trade(trade) => Some(trade),
                _ => None,
            }));
            inner.trades.len() >= BATCH_TRADES
        };
        if !is_full {
            return Box::pin(async { Ok(()) });
        }
        let (inner, doors, instrument) =
            (Arc::clone(&self.inner), self.doors.clone(), Arc::clone(&self.instrument));
        Box::pin(async move { write(&inner, &doors, &instrument).await.map_err(|error| error.to_string()) })
    }

    /// Writes what is left; how many rows were new in all.
    async fn empty(self) -> Result<u64, Error> {
        write(&self.inner, &self.doors, &self.instrument).await?;
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).rows)
    }
}

async fn write(
    inner: &Arc<Mutex<Gathered>>,
    doors: &Doors,
    instrument: &Arc<Instrument>,
) -> Result<(), Error> {
    let trades = std::mem::take(&mut inner.lock().unwrap_or_else(PoisonError::into_inner).trades);
    if trades.is_empty() {
        return Ok(());
    }
    let mut trades = trades;
    trades.sort_by_key(|trade| (trade.venue_time, trade.trade_id));
    let spans = spans_of(&trades);
    // Who is killed between the trades and their bars finds the spans noted.
    doors.control.note_unfolded(&instrument.id, &spans)?;
    let (import, id, now) = (doors.import(), instrument.id.clone(), doors.clock.time());
    let done =
        runtime::tasks::blocking(move || import_trades(&import, &id, trades, (Source::Rest, now))).await;
    let report: ImportReport = done.map_err(Error::Store)?.map_err(|error| match error {
        ImportError::Store(error) => error.into(),
        other => Error::Store(other.to_string()),
    })?;
    doors.control.forget_unfolded(&instrument.id, &spans)?;
    inner.lock().unwrap_or_else(PoisonError::into_inner).rows += report.added;
    Ok(())
}
