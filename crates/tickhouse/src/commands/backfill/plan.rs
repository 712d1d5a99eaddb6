//! Which files bring which days: whole months where they are over, days elsewhere, nothing that is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use control::{ArchiveRecord, Control, FileState};
use futures::TryStreamExt;
use lake::Lake;
use model::{Channel, Date, Instrument, Time};
use tables::QueryLimits;
use venues::archive::{ArchiveFile, Span};

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Fetch a file and take it in.
    Fetch { instrument: Arc<Instrument>, file: Box<ArchiveFile> },
    /// The archive has nothing for these days though it should.
    Absent { instrument: Arc<Instrument>, days: (Date, Date) },
}

/// What a plan is made from.
pub(super) struct Plan<'a> {
    pub(super) lake: &'a Lake,
    pub(super) control: &'a Control,
    pub(super) channel: Channel,
    pub(super) days: (Date, Date),
}

impl Plan<'_> {
    /// What to do for an instrument, given what the archive lists, by day.
    pub(super) async fn steps(
        &self,
        instrument: &Arc<Instrument>,
        files: Vec<ArchiveFile>,
    ) -> anyhow::Result<Vec<Step>> {
        let known = self.control.archive_files(&instrument.id, self.channel, self.days)?;
        let mut days = self.days;
        if let Some(listed) = instrument.listed_time {
            days.0 = days.0.max(listed.date());
        }
        if self.channel == Channel::Trades
            && let Some(first) = self.first_streamed(instrument).await?
        {
            // From then on the recording itself knows what it lacks, and asks for it while it runs.
            days.1 = days.1.min(Date(first.date().0 - 1));
        }
        Ok(steps(instrument, files, &known, days))
    }

    /// The first trade that was recorded live.
    async fn first_streamed(&self, instrument: &Instrument) -> anyhow::Result<Option<Time>> {
        let question = format!(
            "SELECT min(venue_time) FROM trades WHERE instrument = '{}' AND source = 'stream'",
            instrument.id
        );
        let answer = self.lake.query().query(&question, QueryLimits::default()).await;
        let answer = answer.context("look for live trades")?;
        let batches: Vec<_> = answer.batches.try_collect().await.context("look for live trades")?;
        let first = batches.first().and_then(|batch| {
            let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
            times.iter().next().flatten()
        });
        Ok(first.map(Time))
    }
}

fn steps(
    instrument: &Arc<Instrument>,
    files: Vec<ArchiveFile>,
    known: &[ArchiveRecord],
    (first, last): (Date, Date),
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
    let fetch = |file: ArchiveFile| Step::Fetch { instrument: Arc::clone(instrument), file: Box::new(file) };
    let mut steps: Vec<Step> = chosen.into_values().filter(|file| !is_done(known, file)).map(fetch).collect();
    let left: Vec<Date> = left.into_iter().collect();
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
    use model::{InstrumentId, InstrumentKind, VenueId};
    use venues::archive::{ArchiveData, Period};

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
        let steps = steps(&instrument(), files, known, (day(days.0), day(days.1)));
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
}
