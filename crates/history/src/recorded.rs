//! Fills holes of the recording that stayed, from the archive: what a venue no longer gives over REST when a connection is back
//! stands in its files a day later. The recording is told through the raw log, so that a replay knows it too.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use collect::archive::{ArchiveSite, FetchError, unpack};
use collect::history::HistoryDesk;
use model::{Date, Gap, GapCause, GapState, IdRuns, Instrument, InstrumentId, Source, Time, Trade};
use refine::import::{ImportError, ImportReport, import_trades};
use runtime::Stop;
use venues::archive::{ArchiveFile, ArchiveRow, Period};

use crate::{Doors, Error, Listener, News};

/// A hole over more days than this was no outage: the recording was not meant to run.
const DAYS_MAX: i32 = 31;
/// Trades written together.
const BATCH_TRADES: usize = 200_000;

/// Holes whose files were looked at in vain: each process looks once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tried(Arc<Mutex<HashSet<Key>>>);

/// The hole of an instrument: when it began, and with which id.
type Key = (InstrumentId, Time, Option<i64>);

impl Tried {
    fn key(gap: &Gap) -> Key {
        (gap.instrument.clone(), gap.first_time, gap.first_id)
    }

    fn holds(&self, gap: &Gap) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&Self::key(gap))
    }

    fn insert(&self, gap: &Gap) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Self::key(gap));
    }
}

/// Fills holes of the recording.
pub struct Recorded<'a> {
    /// What it works with.
    pub doors: &'a Doors,
    /// Where files come from.
    pub site: &'a ArchiveSite,
    /// Knows the recording.
    pub desk: &'a HistoryDesk,
    /// What was looked at before.
    pub tried: &'a Tried,
    /// Who is told.
    pub listener: &'a dyn Listener,
}

impl Recorded<'_> {
    /// Fills what the files of days that are over hold of these holes; how many holes came out whole. Where this process records
    /// nothing, nothing is done: nobody could be told.
    pub async fn run(&self, instrument: &Arc<Instrument>, holes: &[Gap], stop: &Stop) -> Result<u64, Error> {
        if !self.desk.records(instrument.id.venue()) {
            return Ok(0);
        }
        let today = self.doors.clock.time().date();
        let mut filled = 0;
        for hole in holes.iter().filter(|hole| is_fillable(hole, today) && !self.tried.holds(hole)) {
            if stop.is_requested() {
                return Err(Error::Stopped);
            }
            match self.fill(instrument, hole, stop).await? {
                // The file is not there yet.
                None => {}
                Some(is_whole) => {
                    self.tried.insert(hole);
                    filled += u64::from(is_whole);
                }
            }
        }
        Ok(filled)
    }

    /// Whether the hole is whole now; `None` if a file of it is not there.
    async fn fill(
        &self,
        instrument: &Arc<Instrument>,
        hole: &Gap,
        stop: &Stop,
    ) -> Result<Option<bool>, Error> {
        let mut ids = IdRuns::new();
        for day in hole.first_time.date().0..=hole.last_time.date().0 {
            let archives = self.site.archives();
            let data = self.doors.feed_files(instrument.id.venue());
            let file = archives.file(data, &instrument.symbol, Period::day(Date(day)));
            let Some(file) = file else { return Ok(None) };
            let silent = |_bytes: u64| {};
            let fetched = match self.site.fetch(&file, &silent, stop).await {
                Ok(fetched) => fetched,
                Err(FetchError::Stopped) => return Err(Error::Stopped),
                Err(FetchError::Absent) => return Ok(None),
                Err(error) => {
                    tracing::warn!(file = file.name, %error, "a hole of the recording stays for now");
                    return Ok(None);
                }
            };
            let report = self.take_in(instrument, (hole, file), fetched.path.clone()).await?;
            let discarded = self.site.discard(&fetched.path).await;
            discarded.map_err(|error| Error::Venue(error.to_string()))?;
            for (first, last) in report.ids {
                ids.insert_run(first, last);
            }
        }
        let (filled, is_whole) = brought(hole, &ids);
        for gap in filled {
            self.desk.tell_brought(&gap).await.map_err(Error::Store)?;
            self.listener.hear(&News::Hole { instrument: Arc::clone(instrument), gap });
        }
        Ok(Some(is_whole))
    }

    /// Writes the trades of a file that lie within the hole.
    async fn take_in(
        &self,
        instrument: &Arc<Instrument>,
        (hole, file): (&Gap, ArchiveFile),
        path: std::path::PathBuf,
    ) -> Result<ImportReport, Error> {
        let (doors, archives, now) = (self.doors.import(), self.site.archives(), self.doors.clock.time());
        let (instrument, hole) = (Arc::clone(instrument), hole.clone());
        let work = move || {
            let mut sieve = Sieve { hole: &hole, instrument: &instrument, now, trades: Vec::new() };
            let mut all = ImportReport::default();
            let taken = unpack(&path, archives.facts().packing, |bytes| {
                let mut decoder = archives.decoder(&file, &instrument, now).ok_or(ImportError::Unknown)?;
                let mut chunk = vec![0; 1 << 18];
                loop {
                    let count = bytes.read(&mut chunk).map_err(ImportError::Bytes)?;
                    if count == 0 {
                        break;
                    }
                    decoder.feed(&chunk[..count], &mut |row| sieve.take(&row)).map_err(ImportError::Rows)?;
                    if sieve.trades.len() >= BATCH_TRADES {
                        add(&mut all, sieve.write(&doors)?);
                    }
                }
                decoder.finish(&mut |row| sieve.take(&row)).map_err(ImportError::Rows)?;
                add(&mut all, sieve.write(&doors)?);
                Ok(all)
            });
            match taken {
                Ok(taken) => taken.map_err(|error: ImportError| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        runtime::tasks::blocking(work).await.map_err(Error::Store)?.map_err(Error::Store)
    }
}

/// Keeps the trades within a hole.
struct Sieve<'a> {
    hole: &'a Gap,
    instrument: &'a Instrument,
    now: Time,
    trades: Vec<Trade>,
}

impl Sieve<'_> {
    fn take(&mut self, row: &ArchiveRow<'_>) {
        let ArchiveRow::Trade(row) = row else { return };
        let is_inside = match (self.hole.first_id, self.hole.last_id, row.trade_id) {
            (Some(first), Some(last), Some(id)) => (first..=last).contains(&id),
            (None, None, _) => {
                self.hole.first_time <= row.venue_time && row.venue_time <= self.hole.last_time
            }
            _ => false,
        };
        if is_inside {
            self.trades.push(row.to_trade(&self.instrument.id, self.now));
        }
    }

    fn write(&mut self, doors: &refine::import::ImportDoors) -> Result<ImportReport, ImportError> {
        import_trades(
            doors,
            &self.instrument.id,
            std::mem::take(&mut self.trades),
            (Source::Archive, self.now),
        )
    }
}

fn add(all: &mut ImportReport, part: ImportReport) {
    all.added += part.added;
    all.known += part.known;
    all.ids.extend(part.ids);
}

/// Whether a file can help: the hole stays, its days are over, and there was something to be recorded.
fn is_fillable(hole: &Gap, today: Date) -> bool {
    hole.state == GapState::Missing
        && hole.cause != GapCause::NoTrade
        && hole.last_time.date() < today
        && hole.last_time.date().0 - hole.first_time.date().0 <= DAYS_MAX
}

/// What of a hole is filled by these ids, as gaps; and whether that is all of it. Without numbers the days' files are all there
/// is.
fn brought(hole: &Gap, ids: &IdRuns) -> (Vec<Gap>, bool) {
    let filled = Gap { state: GapState::Filled, source: Some(Source::Archive), ..hole.clone() };
    let (Some(first), Some(last)) = (hole.first_id, hole.last_id) else { return (vec![filled], true) };
    let part = |(from, to): (i64, i64)| Gap { first_id: Some(from), last_id: Some(to), ..filled.clone() };
    (ids.runs().map(part).collect(), ids.count() == last.abs_diff(first) + 1)
}

#[cfg(test)]
mod tests {
    //! Cases for what files can fill.
    use super::*;
    use model::Channel;

    fn hole(ids: Option<(i64, i64)>) -> Gap {
        Gap {
            instrument: "bybit-linear:BTC-USDT-PERP".parse().unwrap(),
            channel: Channel::Trades,
            first_id: ids.map(|ids| ids.0),
            last_id: ids.map(|ids| ids.1),
            first_time: Time::parse("2026-11-19T23:59:00Z").unwrap(),
            last_time: Time::parse("2026-11-20T00:01:00Z").unwrap(),
            state: GapState::Missing,
            cause: GapCause::BeyondHistory,
            source: None,
            found_time: Time(0),
            closed_time: None,
        }
    }

    #[test]
    fn only_days_that_are_over_have_files() {
        let day = |text: &str| Date::parse(text).unwrap();
        assert!(!is_fillable(&hole(None), day("2026-11-20")));
        assert!(is_fillable(&hole(None), day("2026-11-21")));
        let open = Gap { state: GapState::Open, ..hole(None) };
        assert!(!is_fillable(&open, day("2026-11-21")), "it is still asked for");
        let blank = Gap { cause: GapCause::NoTrade, ..hole(Some((4, 4))) };
        assert!(!is_fillable(&blank, day("2026-11-21")));
    }

    #[test]
    fn a_numbered_hole_is_filled_as_far_as_ids_came() {
        let (filled, is_whole) = brought(&hole(None), &IdRuns::new());
        assert!(filled.len() == 1 && is_whole);
        let mut ids = IdRuns::new();
        ids.insert_run(10, 12);
        ids.insert_run(15, 19);
        let (filled, is_whole) = brought(&hole(Some((10, 19))), &ids);
        let runs: Vec<_> = filled.iter().map(|gap| (gap.first_id, gap.last_id)).collect();
        assert_eq!((runs, is_whole), (vec![(Some(10), Some(12)), (Some(15), Some(19))], false));
        ids.insert_run(13, 14);
        assert!(brought(&hole(Some((10, 19))), &ids).1);
    }
}
