//! Coverage span by span and day by day: the recording, the past before it, and the holes of both on top.

use std::collections::BTreeMap;

use model::time::DAY;
use model::{Date, Gap, GapCause, GapState, Time};
use tables::{CoverageInterval, CoverageLedger, CoverageState, DayCondition, DayCover, TimeRange};

use crate::behind::PastCover;
use crate::board::Covered;

/// Paints spans over each other; the last one wins.
struct Canvas {
    /// By start; none overlaps another.
    parts: BTreeMap<Time, CoverageInterval>,
}

impl Canvas {
    fn new(range: TimeRange) -> Self {
        let all = CoverageInterval { range, state: CoverageState::Unchecked, ids: None };
        Self { parts: BTreeMap::from([(range.start, all)]) }
    }

    fn paint(&mut self, range: TimeRange, state: CoverageState, ids: Option<(i64, i64)>) {
        let Some((first, last)) = self.parts.first_key_value().zip(self.parts.last_key_value()) else {
            return;
        };
        let whole = TimeRange { start: *first.0, end: last.1.range.end };
        let Some(range) = range.overlap(&whole) else { return };
        let begin = self.parts.range(..=range.start).next_back().map_or(range.start, |(start, _)| *start);
        let touched: Vec<Time> = self.parts.range(begin..range.end).map(|(start, _)| *start).collect();
        for start in touched {
            let Some(part) = self.parts.remove(&start) else { continue };
            for rest in [
                TimeRange { start: part.range.start, end: part.range.end.min(range.start) },
                TimeRange { start: part.range.start.max(range.end), end: part.range.end },
            ] {
                if rest.start < rest.end {
                    self.parts.insert(rest.start, CoverageInterval { range: rest, ..part });
                }
            }
        }
        self.parts.insert(range.start, CoverageInterval { range, state, ids });
    }

    /// The parts, neighbours of which the same is known as one.
    fn finish(self) -> Vec<CoverageInterval> {
        let mut all: Vec<CoverageInterval> = Vec::new();
        for part in self.parts.into_values() {
            match all.last_mut() {
                Some(last) if last.ids.is_none() && part.ids.is_none() && last.state == part.state => {
                    last.range.end = part.range.end;
                }
                _ => all.push(part),
            }
        }
        all
    }
}

/// Everything known of a range that ends at `now` or before. `gaps` are the stored holes of the stream, filled ones too.
pub(crate) fn ledger(
    (live, past): (&Covered, Option<&PastCover>),
    gaps: &[Gap],
    (range, now): (TimeRange, Time),
) -> CoverageLedger {
    let range = TimeRange { start: range.start, end: range.end.min(now) };
    if range.start >= range.end {
        return CoverageLedger::default();
    }
    let mut canvas = Canvas::new(range);
    for (span, source) in past.map(|past| &past.spans[..]).unwrap_or_default() {
        canvas.paint(*span, CoverageState::Backfilled(*source), None);
    }
    for span in live.observed(now) {
        canvas.paint(span, CoverageState::Observed, None);
    }
    for gap in gaps.iter().filter(|gap| gap.cause != GapCause::NoTrade) {
        let state = match (gap.state, gap.source) {
            (GapState::Filled, Some(source)) => CoverageState::Backfilled(source),
            (GapState::Filled, None) => continue,
            (GapState::Open, _) => CoverageState::Repairing(gap.cause),
            (GapState::Missing, _) => CoverageState::Missing(gap.cause),
        };
        // Both neighbours may have the same time.
        let end = gap.last_time.max(gap.first_time.plus_micros(1));
        canvas.paint(TimeRange { start: gap.first_time, end }, state, gap.first_id.zip(gap.last_id));
    }
    let intervals = canvas.finish();
    let days = (range.start.date().0..=range.end.plus_micros(-1).date().0)
        .map(|day| day_of(Date(day), &intervals, past, now))
        .collect();
    CoverageLedger { intervals, days }
}

fn day_of(day: Date, intervals: &[CoverageInterval], past: Option<&PastCover>, now: Time) -> DayCover {
    let span = TimeRange { start: day.start(), end: day.start().plus_micros(DAY) };
    let counted = past.and_then(|past| {
        let at = past.days.binary_search_by_key(&day, |known| known.day).ok()?;
        Some(past.days[at])
    });
    let first = intervals.partition_point(|part| part.range.end <= span.start);
    let near = || intervals[first..].iter().take_while(|part| part.range.start < span.end);
    let lacks = |part: &CoverageInterval| {
        matches!(part.state, CoverageState::Missing(_) | CoverageState::Repairing(_))
    };
    let missing: u64 = near()
        .filter(|part| lacks(part) && span.start <= part.range.start)
        .filter_map(|part| part.ids)
        .map(|(first, last)| last.abs_diff(first) + 1)
        .sum();
    let is_known = |part: &CoverageInterval| part.state != CoverageState::Unchecked;
    let condition = if span.end > now || !near().any(is_known) {
        DayCondition::Pending
    } else if near().all(|part| lacks(part) || !is_known(part)) {
        DayCondition::Missing
    } else if near().all(|part| is_known(part) && !lacks(part)) {
        DayCondition::Complete
    } else {
        DayCondition::Degraded
    };
    DayCover {
        day,
        condition,
        rows: counted.map_or(0, |day| day.rows),
        missing,
        duplicates: counted.map_or(0, |day| day.duplicates),
    }
}

#[cfg(test)]
mod tests {
    //! Cases for what lies over what.
    use super::*;
    use model::{Channel, Source};

    const HOUR: i64 = 3_600_000_000;

    fn span(start: i64, end: i64) -> TimeRange {
        TimeRange { start: Time(start * HOUR), end: Time(end * HOUR) }
    }

    fn gap(start: i64, end: i64, ids: (i64, i64), state: GapState) -> Gap {
        Gap {
            instrument: "binance:BTC-USDT".parse().unwrap(),
            channel: Channel::Trades,
            first_id: Some(ids.0),
            last_id: Some(ids.1),
            first_time: Time(start * HOUR),
            last_time: Time(end * HOUR),
            state,
            cause: GapCause::NotInArchive,
            source: (state == GapState::Filled).then_some(Source::Rest),
            found_time: Time(0),
            closed_time: None,
        }
    }

    #[test]
    fn every_moment_is_in_one_state() {
        let live = Covered { start: Some(Time(60 * HOUR)), ..Covered::default() };
        let days = vec![DayCover {
            day: Date(0),
            condition: DayCondition::Complete,
            rows: 7,
            missing: 0,
            duplicates: 2,
        }];
        let past = PastCover { spans: vec![(span(0, 60), Source::Archive)], gaps: Vec::new(), days };
        let gaps = [
            gap(30, 31, (5, 9), GapState::Missing),
            gap(50, 50, (11, 11), GapState::Filled),
            gap(61, 62, (20, 21), GapState::Open),
        ];
        let ledger = ledger((&live, Some(&past)), &gaps, (span(-24, 100), Time(80 * HOUR)));
        let told: Vec<String> = ledger
            .intervals
            .iter()
            .map(|part| {
                let TimeRange { start, end } = part.range;
                format!("{}..{} {}", start.0 / HOUR, end.0 / HOUR, part.state.as_str())
            })
            .collect();
        assert_eq!(
            told,
            [
                "-24..0 unchecked",
                "0..30 backfilled",
                "30..31 missing",
                "31..50 backfilled",
                "50..50 backfilled",
                "50..60 backfilled",
                "60..61 observed",
                "61..62 repairing",
                "62..80 observed"
            ]
        );
        let days: Vec<(&str, u64, u64)> =
            ledger.days.iter().map(|day| (day.condition.as_str(), day.missing, day.duplicates)).collect();
        assert_eq!(
            days,
            [
                ("pending", 0, 0),
                ("complete", 0, 2),
                ("degraded", 5, 0),
                ("degraded", 2, 0),
                ("pending", 0, 0)
            ]
        );
        assert_eq!((ledger.missing(), ledger.duplicates()), (7, 2));
    }
}
