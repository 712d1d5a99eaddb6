//! Whether bars and funding are whole: by how many rows a day must have.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::time::DAY;
use model::{Channel, Date, Instrument, Time};
use refine::import::{days as known_days, write_days};
use tables::{CoverageDay, DayCondition, DayCover, TimeRange};

use super::Work;
use super::backfill::Kind;
use super::series::{Series, Shelf, count, missing};
use super::verify::{Verify, tell_days};
use crate::Error;

/// Funding is settled at least so often, microseconds; where rows come closer together, their own distance counts.
const FUNDING_EVERY: i64 = DAY / 3;

impl Verify {
    /// Looks at one series of an instrument, tells of it, and notes its days.
    pub(super) async fn series(
        &self,
        work: &Work<'_>,
        instrument: &Arc<Instrument>,
    ) -> Result<Vec<DayCover>, Error> {
        let (series, channel) = match self.kind {
            Kind::Funding => (Series::Funding, Channel::Funding),
            _ => (Series::Klines(self.timeframe), Channel::Klines),
        };
        let doors = work.doors;
        let today = doors.clock.time().date();
        let known = doors.control.archive_first_day(&instrument.id, channel)?;
        let days = (self.days.0.or(known).unwrap_or(today), self.days.1.unwrap_or(today));
        let shelf = Shelf { doors, instrument, series, listener: work.listener };
        let range = TimeRange { start: days.0.start(), end: days.1.start().plus_micros(DAY) };
        let stored = shelf.stored(range).await?;
        let covers: Vec<DayCover> =
            (days.0.0..=days.1.0).map(|day| cover(series, Date(day), today, &stored)).collect();
        let name = match series {
            Series::Klines(timeframe) => format!("{} klines {timeframe}", instrument.id),
            _ => format!("{} funding", instrument.id),
        };
        tell_days(work, &name, &covers);
        // A day is one row for each channel: bars of a minute say most.
        if !matches!(series, Series::Klines(timeframe) if timeframe != model::Timeframe::MINUTE) {
            self.note(work, (instrument, channel), &covers).await?;
        }
        Ok(covers)
    }

    async fn note(
        &self,
        work: &Work<'_>,
        (instrument, channel): (&Instrument, Channel),
        covers: &[DayCover],
    ) -> Result<(), Error> {
        let doors = work.doors;
        let known = known_days(doors.store.as_ref(), &instrument.id, channel).await?;
        let checked_time = doors.clock.time();
        let is_new = |cover: &&DayCover| !known.contains(cover);
        let row = |cover: &DayCover| CoverageDay {
            instrument: instrument.id.clone(),
            channel,
            cover: *cover,
            checked_time,
        };
        let rows: Vec<CoverageDay> = covers.iter().filter(is_new).map(row).collect();
        let import = doors.import();
        let written = runtime::tasks::blocking(move || write_days(&import, rows)).await;
        Ok(written.map_err(Error::Store)??)
    }
}

/// What one day has, and what it lacks.
fn cover(series: Series, day: Date, today: Date, stored: &BTreeSet<Time>) -> DayCover {
    let range = TimeRange { start: day.start(), end: day.start().plus_micros(DAY) };
    let rows = stored.range(range.start..range.end).count() as u64;
    let lacking = if let Series::Klines(timeframe) = series {
        missing(timeframe, range, stored).iter().map(|run| count(timeframe, *run)).sum()
    } else {
        let own: Vec<&Time> = stored.range(range.start..range.end).collect();
        let near = own.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
        let every = near.map_or(FUNDING_EVERY, |near| near.clamp(DAY / 24, FUNDING_EVERY));
        (DAY / every).unsigned_abs().saturating_sub(rows)
    };
    let condition = match (rows, lacking) {
        _ if day >= today => DayCondition::Pending,
        (_, 0) => DayCondition::Complete,
        (0, _) => DayCondition::Missing,
        _ => DayCondition::Degraded,
    };
    // A day that goes on lacks nothing yet.
    let lacking = if condition == DayCondition::Pending { 0 } else { lacking };
    DayCover { day, condition, rows, missing: lacking, duplicates: 0 }
}

#[cfg(test)]
mod tests {
    //! Cases for days by what they must have.
    use model::Timeframe;
    use model::time::MINUTE;

    use super::*;

    #[test]
    fn a_day_must_have_its_bars_and_its_settlements() {
        let day = Date(20_000);
        let at = |minute: i64| day.start().plus_micros(minute * MINUTE);
        let of = |minutes: &[i64]| minutes.iter().map(|minute| at(*minute)).collect::<BTreeSet<Time>>();
        let hours: Vec<i64> = (0..24).map(|hour| hour * 60).collect();
        let bars = Series::Klines(Timeframe::Minutes(60));
        for (series, stored, today, expected) in [
            (bars, of(&hours), 20_001, (DayCondition::Complete, 24, 0)),
            (bars, of(&hours[1..]), 20_001, (DayCondition::Degraded, 23, 1)),
            (bars, of(&[]), 20_001, (DayCondition::Missing, 0, 24)),
            (bars, of(&hours[..3]), 20_000, (DayCondition::Pending, 3, 0)),
            (Series::Funding, of(&[0, 480, 960]), 20_001, (DayCondition::Complete, 3, 0)),
            (Series::Funding, of(&[0, 240, 480, 720, 960]), 20_001, (DayCondition::Degraded, 5, 1)),
            (Series::Funding, of(&[480]), 20_001, (DayCondition::Degraded, 1, 2)),
        ] {
            let cover = cover(series, day, Date(today), &stored);
            assert_eq!((cover.condition, cover.rows, cover.missing), expected, "{series:?} {stored:?}");
        }
    }
}
