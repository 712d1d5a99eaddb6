//! Ids as runs of neighbours: which of a numbered stream are there, which are not, and which came twice.

use std::collections::BTreeMap;

/// Numbers, kept as runs without holes. Made for streams whose ids mostly count up by one: a year of trades is a handful
/// of runs.
#[derive(Clone, Debug, Default)]
pub struct IdRuns {
    /// First to last, both inclusive; runs neither touch nor overlap. The run at hand is not among them.
    settled: BTreeMap<i64, i64>,
    /// The run that grew last, and the first id of the settled run behind it.
    hand: Option<Hand>,
    duplicates: u64,
}

#[derive(Clone, Copy, Debug)]
struct Hand {
    first: i64,
    last: i64,
    next: i64,
}

impl PartialEq for IdRuns {
    fn eq(&self, other: &Self) -> bool {
        self.runs().eq(other.runs())
    }
}

impl Eq for IdRuns {}

impl IdRuns {
    /// No ids.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an id. False if it was there already, which is counted.
    pub fn insert(&mut self, id: i64) -> bool {
        if let Some(hand) = &mut self.hand {
            // Almost always: the next one.
            if hand.last.checked_add(1) == Some(id) && id < hand.next {
                hand.last = id;
                return true;
            }
            if hand.first <= id && id <= hand.last {
                self.duplicates += 1;
                return false;
            }
        }
        let is_new = self.extend(id, id);
        self.duplicates += u64::from(!is_new);
        is_new
    }

    /// Adds ids one after the other, as [`Self::insert`] does.
    pub fn insert_all(&mut self, ids: &[i64]) {
        for id in ids {
            self.insert(*id);
        }
    }

    /// Adds all ids from `first` to `last`, both inclusive; those that are there already are not counted as duplicates.
    pub fn insert_run(&mut self, first: i64, last: i64) {
        if first <= last {
            self.extend(first, last);
        }
    }

    /// Adds the ids of another set.
    pub fn merge(&mut self, other: &Self) {
        for (first, last) in other.runs() {
            self.insert_run(first, last);
        }
        self.duplicates += other.duplicates;
    }

    /// Whether the id is there.
    pub fn contains(&self, id: i64) -> bool {
        self.hand.is_some_and(|hand| hand.first <= id && id <= hand.last)
            || self.settled.range(..=id).next_back().is_some_and(|(_, last)| id <= *last)
    }

    /// First to last, both inclusive, ascending.
    pub fn runs(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        // Runs of the hand may touch a settled one until it is put down.
        let hand = self.hand.map(|hand| (hand.first, hand.last));
        let before = self.settled.iter().map(|(first, last)| (*first, *last));
        let mut all = Merged { hand, settled: before.peekable() };
        let mut waiting: Option<(i64, i64)> = None;
        std::iter::from_fn(move || {
            loop {
                match (waiting, all.next()) {
                    (None, None) => return None,
                    (Some(run), None) => {
                        waiting = None;
                        return Some(run);
                    }
                    (None, Some(run)) => waiting = Some(run),
                    (Some((first, last)), Some(run))
                        if last.checked_add(1).is_none_or(|next| run.0 <= next) =>
                    {
                        waiting = Some((first, last.max(run.1)));
                    }
                    (Some(run), Some(next)) => {
                        waiting = Some(next);
                        return Some(run);
                    }
                }
            }
        })
    }

    /// Ids between the first and the last that are not there, as runs, ascending.
    pub fn holes(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let mut before: Option<i64> = None;
        self.runs()
            .filter_map(move |(first, last)| before.replace(last).map(|before| (before + 1, first - 1)))
    }

    /// How many runs there are; told at once, and one more while the newest run touches its neighbour.
    pub fn run_count(&self) -> usize {
        self.settled.len() + usize::from(self.hand.is_some())
    }

    /// How many ids there are.
    pub fn count(&self) -> u64 {
        self.runs().map(|(first, last)| last.abs_diff(first) + 1).sum()
    }

    /// How many ids were added though they were there.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The smallest and the largest id.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        let first = self.runs().next()?.0;
        Some((first, self.runs().last()?.1))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hand.is_none() && self.settled.is_empty()
    }

    /// Adds a run and takes it into the hand. True if nothing of it was there.
    fn extend(&mut self, first: i64, last: i64) -> bool {
        self.put_down();
        let (mut from, mut to, mut is_new) = (first, last, true);
        // The neighbour before may reach into the run or touch it.
        if let Some((start, end)) = self.settled.range(..=first).next_back().map(|(a, b)| (*a, *b))
            && end.checked_add(1).is_none_or(|next| first <= next)
        {
            is_new &= end < first;
            (from, to) = (start, to.max(end));
            self.settled.remove(&start);
        }
        while let Some((start, end)) = self.settled.range(from..).next().map(|(a, b)| (*a, *b))
            && to.checked_add(1).is_none_or(|next| start <= next)
        {
            is_new &= last < start;
            to = to.max(end);
            self.settled.remove(&start);
        }
        let next = self.settled.range(from..).next().map_or(i64::MAX, |(start, _)| *start);
        self.hand = Some(Hand { first: from, last: to, next });
        is_new
    }

    fn put_down(&mut self) {
        if let Some(hand) = self.hand.take() {
            // It may have grown up to its neighbour.
            let end = if hand.last.checked_add(1) == Some(hand.next) {
                self.settled.remove(&hand.next)
            } else {
                None
            };
            self.settled.insert(hand.first, end.unwrap_or(hand.last));
        }
    }
}

/// The settled runs with the one at hand in its place.
struct Merged<I: Iterator<Item = (i64, i64)>> {
    hand: Option<(i64, i64)>,
    settled: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = (i64, i64)>> Iterator for Merged<I> {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.hand, self.settled.peek()) {
            (Some(hand), Some(settled)) if settled.0 < hand.0 => self.settled.next(),
            (Some(_), _) => self.hand.take(),
            (None, _) => self.settled.next(),
        }
    }
}

impl FromIterator<(i64, i64)> for IdRuns {
    fn from_iter<T: IntoIterator<Item = (i64, i64)>>(runs: T) -> Self {
        let mut all = Self::new();
        for (first, last) in runs {
            all.insert_run(first, last);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    //! Cases for runs, and the same as a plain set.
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_that_counts_up_is_one_run() {
        let mut ids = IdRuns::new();
        assert!((5..1_000).all(|id| ids.insert(id)));
        assert!(!ids.insert(7));
        assert_eq!(ids.runs().collect::<Vec<_>>(), [(5, 999)]);
        assert_eq!((ids.count(), ids.duplicates(), ids.bounds()), (995, 1, Some((5, 999))));
        assert_eq!(ids.holes().count(), 0);
    }

    #[test]
    fn the_ends_of_the_numbers_are_ids_too() {
        let mut ids = IdRuns::new();
        assert!(ids.insert(i64::MAX) && ids.insert(i64::MIN) && !ids.insert(i64::MAX));
        assert_eq!(ids.runs().collect::<Vec<_>>(), [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX)]);
    }

    fn plain_runs(ids: &BTreeSet<i64>) -> Vec<(i64, i64)> {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for id in ids {
            match runs.last_mut() {
                Some(run) if run.1 + 1 == *id => run.1 = *id,
                _ => runs.push((*id, *id)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn runs_hold_what_a_set_holds(steps in prop::collection::vec((0_i64..60, 0_i64..6), 0..80)) {
            let (mut ids, mut plain, mut twice) = (IdRuns::new(), BTreeSet::new(), 0);
            for (first, length) in steps {
                if length == 0 {
                    ids.insert_run(first, first + 2);
                    plain.extend(first..=first + 2);
                    continue;
                }
                for id in first..first + length {
                    let is_new = plain.insert(id);
                    prop_assert_eq!(ids.insert(id), is_new);
                    twice += u64::from(!is_new);
                }
                prop_assert_eq!(ids.runs().collect::<Vec<_>>(), plain_runs(&plain));
            }
            prop_assert_eq!(ids.count(), plain.len() as u64);
            prop_assert_eq!(ids.duplicates(), twice);
            prop_assert!((-1..70).all(|id| ids.contains(id) == plain.contains(&id)));
            let holes: BTreeSet<i64> = ids.holes().flat_map(|(first, last)| first..=last).collect();
            let between = plain.first().zip(plain.last()).map_or(0..0, |(first, last)| *first..*last);
            prop_assert_eq!(holes, between.filter(|id| !plain.contains(id)).collect::<BTreeSet<_>>());
        }
    }
}
