//! The range an answer speaks for, whose coverage goes along with it.

use model::Time;
use tables::TimeRange;

use super::ask::Bounds;

/// What was asked and what was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) bounds: Bounds,
    /// The oldest rows from a start are given, not the newest before an end.
    pub(crate) is_forward: bool,
    /// The oldest row.
    pub(crate) first: Option<Time>,
    /// The newest row.
    pub(crate) last: Option<Time>,
    /// There may be more rows than were given.
    pub(crate) is_cut: bool,
}

impl Answered {
    /// An answer whose rows, ascending, have these times in milliseconds.
    pub(crate) fn new(bounds: Bounds, limit: usize, times: &mut dyn ExactSizeIterator<Item = i64>) -> Self {
        let is_cut = times.len() >= limit;
        let first = times.next();
        let last = times.last().or(first);
        let time = |millis: Option<i64>| millis.and_then(Time::from_millis);
        Self { bounds, is_forward: bounds.start.is_some(), first: time(first), last: time(last), is_cut }
    }

    /// The range: what was asked, cut where the limit cut the rows. Without rows and bounds it is all of the past.
    pub(crate) fn range(&self, now: Time) -> TimeRange {
        let start = self.bounds.start.or(self.first).unwrap_or(Time(0));
        let open_end = self.bounds.end.unwrap_or(now);
        let end = match self.last {
            // Times are told in milliseconds, and a millisecond names everything inside it.
            Some(last) if self.is_forward && self.is_cut => last.plus_micros(1_000).min(open_end),
            _ => open_end,
        };
        TimeRange { start, end: end.max(start) }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for ranges.
    use super::*;

    const NOW: i64 = 1_723_118_460_000;

    #[test]
    fn a_limit_cuts_the_range_where_it_cuts_the_rows() {
        let start = Some("1723118400000");
        let end = Some("1723118430000");
        for (start, end, limit, rows, expect) in [
            // All rows from a start were given: the answer speaks up to now, or to the end asked for.
            (start, None, 5, &[1_723_118_401_000, 1_723_118_402_000][..], (1_723_118_400_000, NOW)),
            (start, end, 5, &[1_723_118_401_000], (1_723_118_400_000, 1_723_118_430_001)),
            // There were more than were given.
            (start, end, 2, &[1_723_118_401_000, 1_723_118_402_000], (1_723_118_400_000, 1_723_118_402_001)),
            // The newest rows were asked for.
            (None, None, 2, &[1_723_118_401_000, 1_723_118_402_000], (1_723_118_401_000, NOW)),
            (None, end, 2, &[1_723_118_401_000, 1_723_118_402_000], (1_723_118_401_000, 1_723_118_430_001)),
            // Nothing was found though everything was searched.
            (None, None, 2, &[], (0, NOW)),
            (start, end, 2, &[], (1_723_118_400_000, 1_723_118_430_001)),
        ] {
            let bounds = Bounds::read(start, end).unwrap();
            let answered = Answered::new(bounds, limit, &mut rows.iter().copied());
            let range = answered.range(Time::from_millis(NOW).unwrap());
            assert_eq!((range.start.millis(), range.end.millis()), expect, "{answered:?}");
        }
    }
}
