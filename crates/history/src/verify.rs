//! Whether the past is whole: month, day, exact hole. Ids tell where the venue numbers its trades, the rows of each file
//! elsewhere; what comes twice is counted apart.

use std::collections::BTreeMap;

use control::{ArchiveRecord, FileState};
use model::time::DAY;
use model::{Channel, Date, Gap, GapCause, GapState, IdRuns, Instrument, InstrumentId, Source, Time};
use refine::import::{Frontier, days as known_days, gaps, reconciled, write_days, write_gaps};
use tables::{CoverageDay, DayCondition, DayCover, FileIds, IdAsk, TableName, TimeRange};

use crate::neighbours::times_of;
use crate::{Doors, Error};

/// What is known of an instrument's trades.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Every day asked for, ascending.
    pub days: Vec<DayCover>,
    /// Holes before the recording began, ascending. They are in the table `gaps` too.
    pub holes: Vec<Gap>,
    /// What lies before the first row that is stored, if nobody was asked for it.
    pub head: Option<TimeRange>,
    /// What lies behind the last row that is stored, up to the day that goes on, where nothing is recorded.
    pub tail: Option<TimeRange>,
    /// Holes of the recording that are open or stay.
    pub live_holes: Vec<Gap>,
    /// Runs of ids that lack within the recording though no gap row tells of them.
    pub untold: Vec<(i64, i64)>,
    /// Data files that were looked at, and how many of them row by row.
    pub files: (usize, usize),
    /// Rows that came twice in files of the archive, and were left out.
    pub left_out: u64,
    /// Where the past ends.
    pub frontier: Option<Frontier>,
    /// Days that files of the archive brought.
    pub archived: Vec<(Date, Date)>,
}

impl Verdict {
    /// The sum of one figure over all days.
    pub fn sum(&self, figure: impl Fn(&DayCover) -> u64) -> u64 {
        self.days.iter().map(figure).sum()
    }

    /// Whether nothing lacks, nothing is double and no day is unknown.
    pub fn is_clean(&self) -> bool {
        let is_good = |day: &DayCover| day.condition == DayCondition::Complete && day.duplicates == 0;
        self.days.iter().all(is_good) && self.holes.is_empty() && self.untold.is_empty()
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// First and last day.
    pub days: (Date, Date),
    /// Reads every row instead of trusting what was noted when files were written.
    pub is_deep: bool,
}

impl Doors {
    /// Looks whether the trades of an instrument are all there, and tells the table `gaps` what it did not know.
    pub async fn verify(&self, instrument: &Instrument, check: Check) -> Result<Verdict, Error> {
        let id = &instrument.id;
        let (first, last) = check.days;
        let range = TimeRange { start: first.start(), end: last.start().plus_micros(DAY) };
        let ask = IdAsk { table: TableName::Trades, instrument: id.clone(), range, is_deep: check.is_deep };
        let files = self.ids.ids(ask).await?;
        let frontier = self.frontier(id).await?;
        let channel = self.feed(id.venue());
        let known = gaps(self.store.as_ref(), id, channel, None).await?;
        let records = self.control.archive_files(id, channel, check.days)?;
        let (past_known, live_known): (Vec<Gap>, Vec<Gap>) =
            known.into_iter().partition(|gap| is_past(frontier, gap.first_id, gap.first_time));
        let stored = Stored::of(&files);
        let blank = |first: i64, last: i64| {
            let covers = |gap: &Gap| gap.first_id <= Some(first) && Some(last) <= gap.last_id;
            past_known.iter().any(|gap| gap.cause == GapCause::NoTrade && covers(gap))
        };
        let (past, live): (Vec<_>, Vec<_>) = stored
            .runs
            .holes()
            .filter(|(first, last)| !blank(*first, *last))
            .partition(|(first, _)| frontier.is_none_or(|end| end.id.is_none_or(|end| *first < end)));
        let mut holes = self.past_holes(id, &past, (&past_known, &records)).await?;
        self.tell_gaps((&past_known, &holes), range).await?;
        holes.extend(absent_spans((instrument, channel), (first, last), &files, &records, frontier));
        holes.sort_by_key(|gap| (gap.first_time, gap.first_id));
        let is_told = |(first, last): &(i64, i64)| {
            live_known.iter().any(|gap| gap.first_id <= Some(*first) && Some(*last) <= gap.last_id)
        };
        let live_holes: Vec<Gap> =
            live_known.iter().filter(|gap| gap.state != GapState::Filled).cloned().collect();
        let days = Days { stored: &stored, holes: &holes, live: &live_holes, records: &records, frontier };
        let today = self.clock.time().date();
        let days: Vec<DayCover> =
            (first.0..=last.0).map(|day| days.verdict(Date(day), today, instrument)).collect();
        self.tell_days(id, &days).await?;
        Ok(Verdict {
            days,
            untold: live.into_iter().filter(|run| !is_told(run)).collect(),
            files: (files.len(), files.iter().filter(|file| file.is_deep).count()),
            frontier,
            archived: imported(&records),
            left_out: records.iter().map(|record| record.rows_twice).sum(),
            head: head(instrument, range, &files, &records),
            tail: if frontier.is_some() { None } else { tail((range, today), &files, &records) },
            holes,
            live_holes,
        })
    }

    /// The runs of ids that lack, as gaps: with the times beside them, and the cause as far as it is known.
    async fn past_holes(
        &self,
        id: &InstrumentId,
        runs: &[(i64, i64)],
        (known, records): (&[Gap], &[ArchiveRecord]),
    ) -> Result<Vec<Gap>, Error> {
        let told = |first: i64, last: i64| {
            let same = |gap: &&Gap| (gap.first_id, gap.last_id) == (Some(first), Some(last));
            known.iter().find(|gap| same(gap) && gap.state != GapState::Filled).cloned()
        };
        let mut holes = Vec::new();
        let mut unknown = Vec::new();
        for (first, last) in runs {
            match told(*first, *last) {
                Some(gap) => holes.push(gap),
                None => unknown.push((*first, *last)),
            }
        }
        let now = self.clock.time();
        for ((first, last), (before, after)) in times_of(self, id, &unknown).await? {
            holes.push(Gap {
                instrument: id.clone(),
                channel: self.feed(id.venue()),
                first_id: Some(first),
                last_id: Some(last),
                first_time: before,
                last_time: after,
                state: GapState::Missing,
                cause: cause_between(records, before.date(), after.date()),
                source: None,
                found_time: now,
                closed_time: Some(now),
            });
        }
        Ok(holes)
    }

    /// Tells the table `coverage_days` what is new.
    async fn tell_days(&self, id: &InstrumentId, days: &[DayCover]) -> Result<(), Error> {
        let channel = self.feed(id.venue());
        let known = known_days(self.store.as_ref(), id, channel).await?;
        let is_new = |day: &&DayCover| {
            known.binary_search_by_key(&day.day, |known| known.day).map(|at| known[at]) != Ok(**day)
        };
        let checked_time = self.clock.time();
        let row =
            |cover: &DayCover| CoverageDay { instrument: id.clone(), channel, cover: *cover, checked_time };
        let rows: Vec<CoverageDay> = days.iter().filter(is_new).map(row).collect();
        let doors = self.import();
        let done = runtime::tasks::blocking(move || write_days(&doors, rows)).await;
        Ok(done.map_err(Error::Store)??)
    }

    /// Tells the table `gaps` of holes that are new, and of those that are none any more.
    async fn tell_gaps(&self, (known, holes): (&[Gap], &[Gap]), range: TimeRange) -> Result<(), Error> {
        let is_inside = |gap: &&Gap| range.start <= gap.first_time && gap.last_time < range.end;
        let known: Vec<Gap> = known.iter().filter(is_inside).cloned().collect();
        let rows = reconciled(&known, holes, (self.clock.time(), Source::Archive));
        if rows.is_empty() {
            return Ok(());
        }
        let doors = self.import();
        let done = runtime::tasks::blocking(move || write_gaps(&doors, rows)).await;
        Ok(done.map_err(Error::Store)??)
    }
}

fn is_past(frontier: Option<Frontier>, id: Option<i64>, time: Time) -> bool {
    frontier.is_none_or(|end| end.is_behind(id, time))
}

/// Whether everything that there is of the record's days was brought.
fn is_brought(record: &ArchiveRecord) -> bool {
    matches!(record.state, FileState::Imported | FileState::Asked)
}

/// Why everything between two days lacks, as far as the archive's files tell.
fn cause_between(records: &[ArchiveRecord], first: Date, last: Date) -> GapCause {
    let near = || records.iter().filter(|record| record.days.0 <= last && first <= record.days.1);
    let has = |state: FileState| near().any(|record| record.state == state);
    if has(FileState::Quarantined) {
        GapCause::ArchiveSpoilt
    } else if has(FileState::Absent) {
        GapCause::ArchiveAbsent
    } else if has(FileState::Imported) {
        GapCause::NotInArchive
    } else {
        GapCause::Unexplained
    }
}

/// Days that ids cannot tell of: where there are none, or nothing beside them. One gap per run of days whose file is not
/// there or was set aside.
fn absent_spans(
    (instrument, channel): (&Instrument, Channel),
    (first, last): (Date, Date),
    files: &[FileIds],
    records: &[ArchiveRecord],
    frontier: Option<Frontier>,
) -> Vec<Gap> {
    let is_numbered = files.iter().any(|file| !file.runs.is_empty());
    let ends = files.iter().map(|file| file.day).min().zip(files.iter().map(|file| file.day).max());
    let is_empty = |day: Date| !files.iter().any(|file| file.day == day);
    let is_dark = |day: Date| {
        let within = |record: &&ArchiveRecord| record.days.0 <= day && day <= record.days.1;
        let mut near = records.iter().filter(within).peekable();
        let between = ends.is_some_and(|(first, last)| first < day && day < last);
        near.peek().is_some()
            && near.all(|record| !is_brought(record))
            && is_empty(day)
            && !(is_numbered && between)
            && is_past(frontier, None, day.start())
    };
    let dark: Vec<Date> = (first.0..=last.0).map(Date).filter(|day| is_dark(*day)).collect();
    let gap = |run: &[Date]| {
        let (first, last) = (run.first()?, run.last()?);
        Some(Gap {
            instrument: instrument.id.clone(),
            channel,
            first_id: None,
            last_id: None,
            first_time: first.start(),
            last_time: last.start().plus_micros(DAY),
            state: GapState::Missing,
            cause: cause_between(records, *first, *last),
            source: None,
            found_time: first.start(),
            closed_time: None,
        })
    };
    dark.chunk_by(|one, next| one.0 + 1 == next.0).filter_map(gap).collect()
}

fn imported(records: &[ArchiveRecord]) -> Vec<(Date, Date)> {
    let done = records.iter().filter(|record| record.state == FileState::Imported);
    done.map(|record| record.days).collect()
}

/// The time before the first stored row, unless a file of the archive says that there is nothing.
fn head(
    instrument: &Instrument,
    range: TimeRange,
    files: &[FileIds],
    records: &[ArchiveRecord],
) -> Option<TimeRange> {
    let start = instrument.listed_time.map_or(range.start, |listed| listed.max(range.start));
    let end = files.iter().map(|file| file.first_time).min()?;
    let is_covered = records
        .iter()
        .any(|record| is_brought(record) && record.days.0 <= end.date() && end.date() <= record.days.1);
    (start < end && !is_covered).then_some(TimeRange { start, end })
}

/// The time behind the last stored row that is over, unless a file of the archive says that there is nothing.
fn tail(
    (range, today): (TimeRange, Date),
    files: &[FileIds],
    records: &[ArchiveRecord],
) -> Option<TimeRange> {
    let stored = files.iter().map(|file| file.last_time).max()?;
    let archived = imported(records).into_iter().map(|(_, last)| last.start().plus_micros(DAY)).max();
    let start = archived.map_or(stored, |end| end.max(stored));
    let end = range.end.min(today.start());
    (start < end).then_some(TimeRange { start, end })
}

/// What the data files hold.
struct Stored {
    runs: IdRuns,
    /// Rows, and those of them that come again, by day.
    rows: BTreeMap<Date, (u64, u64)>,
}

impl Stored {
    fn of(files: &[FileIds]) -> Self {
        let (mut runs, mut rows) = (IdRuns::new(), BTreeMap::<Date, (u64, u64)>::new());
        for file in files {
            let before = runs.count();
            runs.merge(&file.runs);
            let again = file.runs.count() - (runs.count() - before);
            let day = rows.entry(file.day).or_default();
            day.0 += file.rows;
            day.1 += file.duplicates + again;
        }
        Self { runs, rows }
    }
}

/// Everything a day's verdict follows from.
struct Days<'a> {
    stored: &'a Stored,
    holes: &'a [Gap],
    live: &'a [Gap],
    records: &'a [ArchiveRecord],
    frontier: Option<Frontier>,
}

impl Days<'_> {
    fn verdict(&self, day: Date, today: Date, instrument: &Instrument) -> DayCover {
        let (start, end) = (day.start(), day.start().plus_micros(DAY));
        let (rows, duplicates) = self.stored.rows.get(&day).copied().unwrap_or_default();
        // A hole is counted on the day it began; on the others it is only noticed.
        let near =
            || self.holes.iter().chain(self.live).filter(|gap| gap.first_time < end && start < gap.last_time);
        let count = |gap: &Gap| match (gap.first_id, gap.last_id) {
            (Some(first), Some(last)) if start <= gap.first_time => last.abs_diff(first) + 1,
            _ => 0,
        };
        let missing = near().map(count).sum();
        let is_imported = self
            .records
            .iter()
            .any(|record| is_brought(record) && record.days.0 <= day && day <= record.days.1);
        let is_live = self.frontier.is_some_and(|begin| begin.time < start);
        let is_before = instrument.listed_time.is_some_and(|listed| end <= listed);
        let condition = if day >= today {
            DayCondition::Pending
        } else if near().next().is_some() {
            if rows == 0 { DayCondition::Missing } else { DayCondition::Degraded }
        } else if rows > 0 || is_live || is_imported || is_before || self.is_bridged(day) {
            DayCondition::Complete
        } else {
            DayCondition::Pending
        };
        DayCover { day, condition, rows, missing, duplicates }
    }

    /// Whether ids go on from before the day to behind it, so that nothing was traded on it.
    fn is_bridged(&self, day: Date) -> bool {
        let days = || self.stored.rows.keys();
        !self.stored.runs.is_empty() && days().any(|other| *other < day) && days().any(|other| *other > day)
    }
}
