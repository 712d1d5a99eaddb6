//! Which files bring which days: whole months where they are over, days elsewhere, nothing that is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use collect::archive::ArchiveSite;
use control::{ArchiveRecord, FileState};
use model::{Channel, Date, Instrument};
use refine::import::Frontier;
use runtime::Stop;
use venues::archive::{ArchiveAsk, ArchiveData, ArchiveFile, Period, Span};

use crate::{Doors, Error};

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Fetch a file and take it in.
    Fetch {
        /// What it is about.
        instrument: Arc<Instrument>,
        /// Which file.
        file: Box<ArchiveFile>,
        /// Where the instrument's past ends.
        frontier: Option<Frontier>,
    },
    /// The archive has nothing for these days though it should.
    Absent {
        /// Whose.
        instrument: Arc<Instrument>,
        /// First and last day.
        days: (Date, Date),
    },
}

/// What should be there.
pub struct Plan<'a> {
    /// Where files come from.
    pub site: &'a ArchiveSite,
    /// What they hold.
    pub data: ArchiveData,
    /// First and last day.
    pub days: (Date, Date),
}

/// The channel that files of a kind belong to.
pub(crate) fn channel(data: ArchiveData) -> Channel {
    match data {
        ArchiveData::Trades => Channel::Trades,
        ArchiveData::RawTrades => Channel::RawTrades,
        ArchiveData::Klines(_) => Channel::Klines,
        ArchiveData::Funding => Channel::Funding,
    }
}

impl Plan<'_> {
    /// What is to be done for an instrument, by day: what the archive has and the tables have not.
    pub async fn steps(
        &self,
        doors: &Doors,
        instrument: &Arc<Instrument>,
        stop: &Stop,
    ) -> Result<Vec<Step>, Error> {
        let channel = channel(self.data);
        let frontier = match channel {
            Channel::Trades | Channel::RawTrades => doors.frontier(&instrument.id).await?,
            _ => None,
        };
        let mut days = self.days;
        if let Some(listed) = instrument.listed_time {
            days.0 = days.0.max(listed.date());
        }
        if let Some(frontier) = frontier {
            // From then on the recording itself knows what it lacks, and asks for it while it runs.
            days.1 = days.1.min(frontier.time.date());
        }
        if days.0 > days.1 {
            return Ok(Vec::new());
        }
        let files = self.listed(instrument, days, stop).await?;
        let known = doors.control.archive_files(&instrument.id, channel, days)?;
        let now = doors.clock.time();
        let is_due = |day: Date| self.site.archives().due(Period::day(day)) <= now;
        Ok(steps((instrument, frontier), files, &known, (days, &is_due)))
    }

    async fn listed(
        &self,
        instrument: &Instrument,
        days: (Date, Date),
        stop: &Stop,
    ) -> Result<Vec<ArchiveFile>, Error> {
        let mut files = Vec::new();
        for span in [Span::Month, Span::Day] {
            let from = Some(Period::holding(span, days.0));
            let ask = ArchiveAsk { data: self.data, symbol: &instrument.symbol, span, from };
            let listed = self.site.list(&ask, stop).await;
            files.extend(listed.map_err(|error| {
                Error::Venue(format!("list the archive of {}: {error}", instrument.symbol))
            })?);
        }
        Ok(files)
    }
}

fn steps(
    (instrument, frontier): (&Arc<Instrument>, Option<Frontier>),
    files: Vec<ArchiveFile>,
    known: &[ArchiveRecord],
    ((first, last), is_due): ((Date, Date), &dyn Fn(Date) -> bool),
) -> Vec<Step> {
    if first > last {
        return Vec::new();
    }
    let wanted: BTreeSet<Date> = (first.0..=last.0).map(Date).collect();
    let mut left = wanted.clone();
    let mut chosen: BTreeMap<Date, ArchiveFile> = BTreeMap::new();
    let (months, days): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.period.span() == Span::Month);
    // A month that was begun day by day goes on so; else one file does the work of thirty.
    for file in months {
        if file.period.days().all(|day| wanted.contains(&day)) && !has_days(known, &file) {
            file.period.days().for_each(|day| {
                left.remove(&day);
            });
            chosen.insert(file.period.first(), file);
        }
    }
    for file in days {
        if left.remove(&file.period.first()) {
            chosen.insert(file.period.first(), file);
        }
    }
    let fetch = |file: ArchiveFile| Step::Fetch {
        instrument: Arc::clone(instrument),
        file: Box::new(file),
        frontier,
    };
    let mut steps: Vec<Step> = chosen.into_values().filter(|file| !is_done(known, file)).map(fetch).collect();
    let left: Vec<Date> = left.into_iter().filter(|day| is_due(*day)).collect();
    for run in left.chunk_by(|one, next| one.0 + 1 == next.0) {
        steps.push(Step::Absent { instrument: Arc::clone(instrument), days: (run[0], run[run.len() - 1]) });
    }
    steps
}

/// Whether days of the file's month were taken in one by one.
fn has_days(known: &[ArchiveRecord], file: &ArchiveFile) -> bool {
    known.iter().any(|record| {
        let is_day = record.days.0 == record.days.1;
        is_day && record.state == FileState::Imported && file.period.days().any(|day| day == record.days.0)
    })
}

/// Whether this very content was taken in.
fn is_done(known: &[ArchiveRecord], file: &ArchiveFile) -> bool {
    known.iter().any(|record| {
        let is_same = file.tag.as_deref().is_none_or(|tag| record.tag == tag);
        record.path == file.path && record.state == FileState::Imported && is_same
    })
}

#[cfg(test)]
mod tests {
    //! Cases for plans.
    use super::*;
    use model::{InstrumentId, InstrumentKind, Time, VenueId};

    fn instrument() -> Arc<Instrument> {
        let venue = VenueId::known("binance").expect("a venue");
        Arc::new(Instrument::named(InstrumentId::new(venue, "BTC", "USDT", InstrumentKind::Spot), "BTCUSDT"))
    }

    fn file(period: &str) -> ArchiveFile {
        let archives =
            venues::venue(VenueId::known("binance").expect("a venue")).and_then(venues::Venue::archives);
        let period = Period::parse(period).expect("a period");
        let file = archives.expect("archives").file(ArchiveData::Trades, "BTCUSDT", period).expect("a file");
        ArchiveFile { tag: Some("1".into()), ..file }
    }

    fn day(text: &str) -> Date {
        Date::parse(text).expect("a day")
    }

    fn last_due() -> Date {
        Date::parse("2024-10-01").expect("a day")
    }

    fn record(file: &ArchiveFile, tag: &str) -> ArchiveRecord {
        ArchiveRecord {
            venue: "binance".into(),
            path: file.path.clone(),
            instrument: instrument().id.clone(),
            channel: Channel::Trades,
            days: (file.period.first(), Date(file.period.end().0 - 1)),
            state: FileState::Imported,
            reason: String::new(),
            checksum: String::new(),
            tag: tag.into(),
            size_bytes: 0,
            rows_added: 0,
            rows_known: 0,
            rows_twice: 0,
            rows_missing: 0,
            ids: None,
            versions: 1,
            settled_time: Time(0),
        }
    }

    fn told(files: &[&str], known: &[ArchiveRecord], days: (&str, &str)) -> Vec<String> {
        let files = files.iter().map(|period| file(period)).collect();
        let span = (day(days.0), day(days.1));
        let steps = steps((&instrument(), None), files, known, (span, &|day| day < last_due()));
        steps
            .iter()
            .map(|step| match step {
                Step::Fetch { file, .. } => file.period.to_string(),
                Step::Absent { days, .. } => format!("no {}..{}", days.0, days.1),
            })
            .collect()
    }

    #[test]
    fn whole_months_are_one_file_and_the_rest_days() {
        let files = ["2024-07", "2024-08", "2024-08-01", "2024-09-01", "2024-09-02", "2024-07-31"];
        assert_eq!(
            told(&files, &[], ("2024-07-31", "2024-09-03")),
            ["2024-07-31", "2024-08", "2024-09-01", "2024-09-02", "no 2024-09-03..2024-09-03"]
        );
        assert_eq!(told(&files, &[], ("2024-09-02", "2024-09-01")), Vec::<String>::new());
    }

    #[test]
    fn what_was_taken_in_is_left_out_unless_it_was_rewritten() {
        let files = ["2024-09-01", "2024-09-02"];
        let known = [record(&file(files[0]), "1"), record(&file(files[1]), "0")];
        assert_eq!(told(&files, &known, ("2024-09-01", "2024-09-02")), ["2024-09-02"]);
    }

    #[test]
    fn a_month_that_was_begun_by_days_goes_on_by_days() {
        let files = ["2024-09", "2024-09-01", "2024-09-02"];
        let known = [record(&file(files[1]), "1")];
        let steps = told(&files, &known, ("2024-09-01", "2024-09-30"));
        assert_eq!(steps, ["2024-09-02", "no 2024-09-03..2024-09-30"]);
    }

    #[test]
    fn a_file_that_is_not_due_yet_is_not_absent() {
        let files = ["2024-09-29"];
        assert_eq!(
            told(&files, &[], ("2024-09-29", "2024-10-02")),
            ["2024-09-29", "no 2024-09-30..2024-09-30"]
        );
    }
}
