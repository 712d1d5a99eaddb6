//! The newest feed items, kept for clients that resume.

use std::collections::VecDeque;
use std::sync::Arc;

use tables::FeedItem;

use super::place::Place;

/// What the ring knows of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everything after it is here.
    Whole,
    /// What came between it and the oldest item here is not.
    Short {
        /// The oldest item here.
        oldest: Option<Place>,
    },
    /// It lies ahead of everything seen: the log was cut after the client saw it.
    Ahead,
}

/// Bounded memory of the feed.
pub(crate) struct Ring {
    batches: VecDeque<Arc<[FeedItem]>>,
    items: usize,
    items_max: usize,
    /// Everything after this place is here.
    floor: Option<Place>,
    newest: Option<Place>,
}

impl Ring {
    pub(crate) fn new(items_max: usize) -> Self {
        Self { batches: VecDeque::new(), items: 0, items_max, floor: None, newest: None }
    }

    /// Keeps a batch; the oldest ones make room.
    pub(crate) fn push(&mut self, batch: &Arc<[FeedItem]>) {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        self.floor.get_or_insert(Place::of(first));
        self.newest = Some(Place::of(last));
        self.items += batch.len();
        self.batches.push_back(Arc::clone(batch));
        while self.items > self.items_max
            && let Some(oldest) = self.batches.pop_front()
        {
            self.items -= oldest.len();
            self.floor = oldest.last().map(Place::of).or(self.floor);
        }
    }

    /// Items were missed: what is kept no longer joins what comes.
    pub(crate) fn break_off(&mut self) {
        self.batches.clear();
        self.items = 0;
        self.floor = None;
    }

    /// The newest place seen.
    pub(crate) fn newest(&self) -> Option<Place> {
        self.newest
    }

    /// What is known of a place.
    pub(crate) fn reach(&self, place: Place) -> Reach {
        if self.newest.is_some_and(|newest| place > newest) {
            return Reach::Ahead;
        }
        if self.floor.is_some_and(|floor| place >= floor) {
            return Reach::Whole;
        }
        let oldest = self.batches.front().and_then(|batch| batch.first()).map(Place::of);
        Reach::Short { oldest }
    }

    /// Items after a place, in order; all of them if the place is older.
    pub(crate) fn after(&self, place: Place) -> impl Iterator<Item = &FeedItem> {
        let start =
            self.batches.partition_point(|batch| batch.last().is_none_or(|last| Place::of(last) <= place));
        self.batches.range(start..).flat_map(|batch| batch.iter()).filter(move |item| Place::of(item) > place)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for what is still there.
    use super::*;
    use model::{InstrumentId, LogPosition, Nanos};
    use tables::News;

    fn batch(position: u64, count: u32) -> Arc<[FeedItem]> {
        let id: InstrumentId = "binance:BTC-USDT".parse().unwrap();
        (0..count)
            .map(|index| FeedItem {
                position: LogPosition(position),
                index,
                received: Nanos(0),
                news: News::BookStale(id.clone()),
            })
            .collect()
    }

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_here_is_given_and_what_is_not_is_said() {
        let mut ring = Ring::new(5);
        assert!(matches!(ring.reach(place("1.0")), Reach::Short { oldest: None }));
        ring.push(&batch(10, 2));
        ring.push(&batch(11, 2));
        assert_eq!(ring.reach(place("10.0")), Reach::Whole);
        assert_eq!(ring.after(place("10.0")).count(), 3);
        assert_eq!(ring.reach(place("11.1")), Reach::Whole);
        assert_eq!(ring.after(place("11.1")).count(), 0);
        assert_eq!(ring.reach(place("12.0")), Reach::Ahead);
        ring.push(&batch(12, 2));
        assert_eq!(ring.reach(place("10.1")), Reach::Whole);
        assert_eq!(ring.reach(place("10.0")), Reach::Short { oldest: Some(place("11.0")) });
        ring.break_off();
        assert!(matches!(ring.reach(place("12.0")), Reach::Short { .. }));
    }
}
