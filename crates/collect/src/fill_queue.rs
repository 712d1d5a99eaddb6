//! Holes waiting to be asked for: kept once each, merged where one page serves several, those of the busiest streams first.
//! Asking is left to `fills`.

use std::cmp::Reverse;

use model::time::{MINUTE, SECOND};
use model::{Channel, Gap, InstrumentId, Time};

/// Holes so close that one page covers both are asked for together.
const PAGE: i64 = 1_000;

/// Holes with more ids than that are long.
const LONG: i64 = 20 * PAGE;

/// Minutes of klines asked for together: below every venue's page.
const KLINES_PAGE: i64 = 1_000 * MINUTE;

/// Holes of one instrument's stream that are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) instrument: InstrumentId,
    pub(crate) channel: Channel,
    /// Ids to ask for, inclusive; `None` where the venue does not number.
    pub(crate) ids: Option<(i64, i64)>,
    /// The holes, each of which gets its own outcome.
    pub(crate) gaps: Vec<Gap>,
}

impl Job {
    /// What goes first: holes of a few pages before longer ones, which would keep them waiting, and the busiest streams first,
    /// for where weight is scarce their minutes are wrong the most. Klines are evidence for trades, which go before them.
    fn rank(&self) -> (u8, Reverse<i64>) {
        let Some((first, last)) = self.ids.filter(|_| self.channel != Channel::Klines) else {
            return (u8::from(self.channel == Channel::Klines) * 2, Reverse(0));
        };
        let count = last.saturating_sub(first).saturating_add(1);
        let (start, end) = self.span();
        let seconds = (end.0.saturating_sub(start.0) / SECOND).max(1);
        (u8::from(count > LONG), Reverse(count.saturating_mul(1_000) / seconds))
    }

    /// From the first moment lacking to the first no longer lacking, where the venue does not number.
    pub(crate) fn span(&self) -> (Time, Time) {
        let first = self.gaps.iter().map(|gap| gap.first_time).min().unwrap_or_default();
        let last = self.gaps.iter().map(|gap| gap.last_time).max().unwrap_or_default();
        (first, last)
    }
}

/// Holes waiting and on their way.
#[derive(Debug, Default)]
pub(crate) struct FillQueue {
    waiting: Vec<Job>,
    active: Vec<Gap>,
}

impl FillQueue {
    /// Takes a hole; false if there is no room. One that waits or is on its way already is not taken twice.
    pub(crate) fn add(&mut self, gap: Gap, most: usize) -> bool {
        let is_known = |other: &Gap| is_same(other, &gap);
        if self.active.iter().any(is_known) || self.waiting.iter().any(|job| job.gaps.iter().any(is_known)) {
            return true;
        }
        if self.waiting.iter().map(|job| job.gaps.len()).sum::<usize>() >= most {
            return false;
        }
        let ids = gap.first_id.zip(gap.last_id);
        let near = self.waiting.iter_mut().find(|job| {
            job.instrument == gap.instrument
                && job.channel == gap.channel
                && match (job.ids, ids) {
                    (Some((first, last)), Some((gap_first, gap_last))) => {
                        gap_first <= last.saturating_add(PAGE) && first <= gap_last.saturating_add(PAGE)
                    }
                    (None, None) if gap.channel == Channel::Klines => {
                        let (first, last) = job.span();
                        gap.last_time.max(last).0 - gap.first_time.min(first).0 <= KLINES_PAGE
                    }
                    (None, None) => true,
                    _ => false,
                }
        });
        if let Some(job) = near {
            job.ids = job.ids.zip(ids).map(|(one, two)| (one.0.min(two.0), one.1.max(two.1)));
            job.gaps.push(gap);
        } else {
            let (instrument, channel) = (gap.instrument.clone(), gap.channel);
            self.waiting.push(Job { instrument, channel, ids, gaps: vec![gap] });
        }
        true
    }

    /// The most urgent job, now on its way.
    pub(crate) fn take(&mut self) -> Option<Job> {
        let index = (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].rank())?;
        let job = self.waiting.remove(index);
        self.active.extend(job.gaps.iter().cloned());
        Some(job)
    }

    /// A hole is not on its way any more.
    pub(crate) fn settle(&mut self, gap: &Gap) {
        self.active.retain(|other| !is_same(other, gap));
    }

    /// A long job makes way for others and waits again.
    pub(crate) fn put_back(&mut self, job: Job) {
        for gap in &job.gaps {
            self.settle(gap);
        }
        self.waiting.push(job);
    }

    /// Whether anything waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn is_same(one: &Gap, two: &Gap) -> bool {
    one.instrument == two.instrument
        && one.channel == two.channel
        && (one.first_id, one.last_id) == (two.first_id, two.last_id)
        && (one.first_id.is_some() || one.first_time == two.first_time)
}

#[cfg(test)]
mod tests {
    //! Cases for waiting holes.
    use super::*;
    use model::{GapCause, GapState, Time};

    fn gap(symbol: &str, ids: Option<(i64, i64)>) -> Gap {
        Gap {
            instrument: format!("binance:{symbol}-USDT").parse().unwrap(),
            channel: Channel::Trades,
            first_id: ids.map(|ids| ids.0),
            last_id: ids.map(|ids| ids.1),
            first_time: Time(1),
            last_time: Time(2),
            state: GapState::Open,
            cause: GapCause::Dropped,
            source: None,
            found_time: Time(3),
            closed_time: None,
        }
    }

    #[test]
    fn the_same_hole_is_kept_once_waiting_or_on_its_way() {
        let mut queue = FillQueue::default();
        let hole = gap("BTC", Some((10, 20)));
        assert!(queue.add(hole.clone(), 10) && queue.add(hole.clone(), 10));
        let job = queue.take().unwrap();
        assert_eq!((job.ids, job.gaps.len()), (Some((10, 20)), 1));
        assert!(queue.add(hole.clone(), 10));
        assert_eq!(queue.take(), None);
        queue.settle(&hole);
        assert!(queue.add(hole, 10));
        assert!(queue.take().is_some());
    }

    #[test]
    fn the_busiest_go_first_but_for_long_holes() {
        let mut queue = FillQueue::default();
        let lasting = |symbol, count, seconds| Gap {
            last_time: Time(1 + seconds * SECOND),
            ..gap(symbol, Some((1, count)))
        };
        for hole in [
            lasting("QUIET", 3, 60),
            lasting("LONG", LONG + 1, 60),
            lasting("BUSY", 900, 60),
            lasting("BUSIER", 5_000, 60),
            lasting("JUMP", 1, 0),
        ] {
            assert!(queue.add(hole, 10));
        }
        let order: Vec<_> =
            std::iter::from_fn(|| queue.take()).map(|job| job.instrument.pair().to_owned()).collect();
        assert_eq!(order, ["BUSIER-USDT", "BUSY-USDT", "JUMP-USDT", "QUIET-USDT", "LONG-USDT"]);
    }

    #[test]
    fn near_holes_of_one_stream_are_asked_for_together() {
        let mut queue = FillQueue::default();
        for hole in [
            gap("BTC", Some((10, 20))),
            gap("BTC", Some((900, 950))),
            gap("BTC", Some((5_000, 5_000))),
            gap("ETH", Some((15, 15))),
        ] {
            assert!(queue.add(hole, 10));
        }
        let sizes: Vec<_> =
            std::iter::from_fn(|| queue.take()).map(|job| (job.ids.unwrap(), job.gaps.len())).collect();
        assert_eq!(sizes, [((10, 950), 2), ((5_000, 5_000), 1), ((15, 15), 1)]);
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let mut queue = FillQueue::default();
        assert!(queue.add(gap("BTC", Some((1, 1))), 1));
        assert!(!queue.add(gap("BTC", Some((5, 5))), 1));
    }

    #[test]
    fn klines_are_asked_for_together_within_a_page_and_after_trades() {
        let mut queue = FillQueue::default();
        let klines = |first: i64, last: i64| Gap {
            channel: Channel::Klines,
            first_time: Time(first * MINUTE),
            last_time: Time(last * MINUTE),
            ..gap("BTC", None)
        };
        for hole in [klines(0, 1), klines(900, 901), klines(1_500, 1_501), gap("BTC", Some((1, 5)))] {
            assert!(queue.add(hole, 10));
        }
        let jobs: Vec<_> =
            std::iter::from_fn(|| queue.take()).map(|job| (job.channel, job.span().1)).collect();
        assert_eq!(jobs[0].0, Channel::Trades);
        assert_eq!(jobs[1..], [901, 1_501].map(|minute| (Channel::Klines, Time(minute * MINUTE))));
    }

    #[test]
    fn holes_without_ids_are_told_apart_by_their_time() {
        let mut queue = FillQueue::default();
        let later = Gap { first_time: Time(9), ..gap("BTC", None) };
        assert!(queue.add(gap("BTC", None), 10) && queue.add(gap("BTC", None), 10) && queue.add(later, 10));
        assert_eq!(queue.take().unwrap().gaps.len(), 2);
    }
}
