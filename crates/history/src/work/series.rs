//! Rows that come one per span of time: the venue's bars, funding, open interest. What is stored of them, and what lacks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use collect::history::{HistoryAsk, HistoryDesk, HistoryEnd, HistoryReport};
use model::time::{DAY, MINUTE};
use model::{BarSource, BarState, Channel, Event, Instrument, Time, Timeframe};
use runtime::Stop;
use tables::{Rows, TableName, TableScan, TimeRange};

use crate::{Doors, Error, Listener, News};

/// Rows written at once.
const BATCH_ROWS: usize = 20_000;
/// Stored rows are looked at so much at a time.
const LOOK: i64 = 31 * DAY;

/// Which rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// The venue's bars of one length.
    Klines(Timeframe),
    /// Settled funding rates.
    Funding,
    /// Open interest, sampled so often.
    OpenInterest(Timeframe),
}

impl Series {
    pub(super) const fn channel(self) -> Channel {
        match self {
            Self::Klines(_) => Channel::Klines,
            Self::Funding => Channel::Funding,
            Self::OpenInterest(_) => Channel::OpenInterest,
        }
    }

    const fn table(self) -> TableName {
        match self {
            Self::Klines(_) => TableName::Bars,
            Self::Funding => TableName::Funding,
            Self::OpenInterest(_) => TableName::OpenInterest,
        }
    }

    /// Times of the stored rows.
    fn times(self, batch: &RecordBatch, times: &mut BTreeSet<Time>) {
        let Self::Klines(timeframe) = self else { return times.extend(column_times(batch, "time")) };
        let name = timeframe.to_string();
        let of_length = equal(batch.column_by_name("timeframe"), &name);
        let of_venue = equal(batch.column_by_name("source"), BarSource::Venue.as_str());
        let rows = column_times(batch, "open_time").zip(of_length.into_iter().zip(of_venue));
        times.extend(rows.filter(|(_, (is_length, is_venue))| *is_length && *is_venue).map(|(time, _)| time));
    }
}

fn column_times<'a>(batch: &'a RecordBatch, name: &str) -> impl Iterator<Item = Time> + 'a {
    let column =
        batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    column.into_iter().flat_map(|column| column.values().iter().map(|micros| Time(*micros)))
}

/// Which rows hold the word, in whichever form readers give texts back.
fn equal(column: Option<&ArrayRef>, word: &str) -> Vec<bool> {
    let Some(column) = column else { return Vec::new() };
    if let Some(array) = column.as_string_opt::<i32>() {
        return array.iter().map(|text| text == Some(word)).collect();
    }
    if let Some(array) = column.as_string_opt::<i64>() {
        return array.iter().map(|text| text == Some(word)).collect();
    }
    let views = column.as_string_view_opt();
    views.map(|array| array.iter().map(|text| text == Some(word)).collect()).unwrap_or_default()
}

/// One series of one instrument.
pub(super) struct Shelf<'a> {
    pub(super) doors: &'a Doors,
    pub(super) instrument: &'a Arc<Instrument>,
    pub(super) series: Series,
    pub(super) listener: &'a dyn Listener,
}

impl Shelf<'_> {
    /// Times of the rows that are stored.
    pub(super) async fn stored(&self, range: TimeRange) -> Result<BTreeSet<Time>, Error> {
        let mut times = BTreeSet::new();
        let mut start = range.start;
        while start < range.end {
            let end = start.plus_micros(LOOK).min(range.end);
            let columns = match self.series {
                Series::Klines(_) => vec!["open_time", "timeframe", "source"],
                Series::Funding | Series::OpenInterest(_) => vec!["time"],
            };
            let scan = TableScan {
                instrument: Some(self.instrument.id.clone()),
                range: Some(TimeRange { start, end }),
                columns,
                ..TableScan::default()
            };
            for batch in self.doors.store.scan(self.series.table(), scan).await? {
                self.series.times(&batch, &mut times);
            }
            start = end;
        }
        Ok(times)
    }

    /// What is to be asked for: bars that are not stored; of the others, which come when the venue likes, everything.
    pub(super) async fn wanted(&self, range: TimeRange) -> Result<Vec<TimeRange>, Error> {
        match self.series {
            Series::Klines(timeframe) => {
                Ok(missing(timeframe, self.since_listing(range), &self.stored(range).await?))
            }
            Series::Funding | Series::OpenInterest(_) => Ok(vec![self.since_listing(range)]),
        }
    }

    /// How many bars lack between the first that is stored and the end.
    pub(super) async fn missing(&self, range: TimeRange) -> Result<u64, Error> {
        let Series::Klines(timeframe) = self.series else { return Ok(0) };
        let stored = self.stored(range).await?;
        let Some(first) = stored.first() else { return Ok(0) };
        let range = TimeRange { start: *first, end: range.end };
        Ok(missing(timeframe, range, &stored).iter().map(|run| count(timeframe, *run)).sum())
    }

    fn since_listing(&self, range: TimeRange) -> TimeRange {
        let listed = self.instrument.listed_time;
        TimeRange {
            start: listed.map_or(range.start, |listed| listed.max(range.start).min(range.end)),
            ..range
        }
    }

    /// Asks and stores what is new; also how many rows are new, and how many were known.
    pub(super) async fn fetch(
        &self,
        desk: &HistoryDesk,
        ask: HistoryAsk,
        stop: &Stop,
    ) -> Result<(HistoryReport, u64, u64), Error> {
        let span = match &ask.wish {
            collect::history::HistoryWish::Klines { range, .. }
            | collect::history::HistoryWish::Funding { range }
            | collect::history::HistoryWish::OpenInterest { range, .. }
            | collect::history::HistoryWish::TradesByTime { range } => {
                TimeRange { start: range.start, end: range.end }
            }
            collect::history::HistoryWish::TradeIds { .. } => {
                return Err(Error::Store("no rows by time".into()));
            }
        };
        let stored = Arc::new(self.stored(span).await?);
        let basket = Arc::new(Mutex::new(Basket::default()));
        let (own, doors, series) = (Arc::clone(&basket), self.doors.clone(), self.series);
        let mut take = move |events: Vec<Event>| -> collect::history::Taken {
            let is_full = own.lock().unwrap_or_else(PoisonError::into_inner).put(events, series, &stored);
            let (own, doors) = (Arc::clone(&own), doors.clone());
            Box::pin(async move {
                if is_full {
                    write(&doors, series, &own).await.map_err(|error| error.to_string())
                } else {
                    Ok(())
                }
            })
        };
        let fetched = desk.fetch(ask, &mut take, stop).await;
        // What came is written before an end is told.
        write(self.doors, series, &basket).await?;
        let (rows, known) = {
            let basket = basket.lock().unwrap_or_else(PoisonError::into_inner);
            (basket.written, basket.known)
        };
        self.listener.hear(&News::Rows(rows));
        match fetched {
            Ok(report) => Ok((report, rows, known)),
            Err(error) => match error.why {
                HistoryEnd::Stopped => Err(Error::Stopped),
                HistoryEnd::NotTaken(what) => Err(Error::Store(what)),
                HistoryEnd::Refused(_) => Ok((HistoryReport { rest: None, ..error.report }, rows, known)),
                HistoryEnd::UnknownVenue | HistoryEnd::GaveUp(_) => {
                    Err(Error::Venue(format!("{}: {error}", self.instrument.id)))
                }
            },
        }
    }
}

/// Rows on their way.
#[derive(Default)]
struct Basket {
    events: Vec<Event>,
    known: u64,
    written: u64,
}

impl Basket {
    /// Puts rows in that nobody has; true if it is full.
    fn put(&mut self, events: Vec<Event>, series: Series, stored: &BTreeSet<Time>) -> bool {
        for event in events {
            let time = match (&event, series) {
                (Event::Bar(bar), Series::Klines(timeframe))
                    if bar.timeframe == timeframe && bar.state != BarState::Forming =>
                {
                    bar.open_time
                }
                (Event::Funding(funding), Series::Funding) => funding.time,
                (Event::OpenInterest(interest), Series::OpenInterest(_)) => interest.time,
                _ => continue,
            };
            if stored.contains(&time) {
                self.known += 1;
            } else {
                self.events.push(event);
            }
        }
        self.events.len() >= BATCH_ROWS
    }
}

async fn write(doors: &Doors, series: Series, basket: &Mutex<Basket>) -> Result<(), Error> {
    let events = std::mem::take(&mut basket.lock().unwrap_or_else(PoisonError::into_inner).events);
    if events.is_empty() {
        return Ok(());
    }
    let (mut bars, mut rates, mut interests) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Bar(bar) => bars.push(bar),
            Event::Funding(funding) => rates.push(funding),
            Event::OpenInterest(interest) => interests.push(interest),
            _ => {}
        }
    }
    let rows = match series {
        Series::Klines(_) => Rows::Bars(bars),
        Series::Funding => Rows::Funding(rates),
        Series::OpenInterest(_) => Rows::OpenInterest(interests),
    };
    let bulk = Arc::clone(&doors.bulk);
    let work = move || {
        let mut writer = bulk.begin(rows.table())?;
        writer.write(rows.to_batch())?;
        writer.commit(None)
    };
    let written = runtime::tasks::blocking(work).await.map_err(Error::Store)??;
    basket.lock().unwrap_or_else(PoisonError::into_inner).written += written.rows;
    Ok(())
}

/// Runs of bars that are not there.
pub(super) fn missing(timeframe: Timeframe, range: TimeRange, stored: &BTreeSet<Time>) -> Vec<TimeRange> {
    let mut runs: Vec<TimeRange> = Vec::new();
    let mut open = timeframe.bucket_start(range.start);
    if open < range.start {
        open = timeframe.bucket_end(open);
    }
    while open < range.end {
        let end = timeframe.bucket_end(open);
        if !stored.contains(&open) {
            match runs.last_mut() {
                Some(last) if last.end == open => last.end = end,
                _ => runs.push(TimeRange { start: open, end }),
            }
        }
        open = end;
    }
    runs
}

/// How many bars a run has room for.
pub(super) fn count(timeframe: Timeframe, run: TimeRange) -> u64 {
    match timeframe {
        Timeframe::Minutes(minutes) => {
            ((run.end.0 - run.start.0) / (i64::from(minutes) * MINUTE)).unsigned_abs()
        }
        Timeframe::Week | Timeframe::Month => {
            let mut open = run.start;
            let mut count = 0;
            while open < run.end {
                open = timeframe.bucket_end(open);
                count += 1;
            }
            count
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for bars that lack.
    use super::*;

    #[test]
    fn runs_of_bars_that_lack_are_told_and_counted() {
        let range = TimeRange { start: Time(30_000_000), end: Time(6 * MINUTE) };
        let stored = [2, 5].map(|minute| Time(minute * MINUTE)).into();
        let runs = missing(Timeframe::MINUTE, range, &stored);
        let minutes: Vec<(i64, i64)> =
            runs.iter().map(|run| (run.start.0 / MINUTE, run.end.0 / MINUTE)).collect();
        assert_eq!(minutes, [(1, 2), (3, 5)]);
        assert_eq!(runs.iter().map(|run| count(Timeframe::MINUTE, *run)).sum::<u64>(), 3);
        let whole = TimeRange { start: Time(0), end: Time(DAY) };
        let hours = missing(Timeframe::Minutes(60), whole, &BTreeSet::new());
        assert_eq!((hours.len(), count(Timeframe::Minutes(60), hours[0])), (1, 24));
    }
}
