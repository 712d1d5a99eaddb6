//! The order book of a market at any moment: which prices hold how much.

use std::collections::BTreeSet;

use super::{Market, ORIGIN_MS};
use crate::hash;

/// The book changes at multiples of this.
pub(crate) const STEP_MS: i64 = 10;
const STEP_IDS: i64 = 4;
/// How long the best quantities stay at least.
const BEST_STAYS_MS: i64 = 100;
const DEPTH: i64 = 500;

/// A whole book: price in ticks and lots, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) bids: Vec<(i64, i64)>,
    pub(crate) asks: Vec<(i64, i64)>,
}

impl Book {
    /// What must be set so that `before` becomes this book; zero lots remove a level.
    pub(crate) fn changes_since(&self, before: &Self) -> Self {
        Self {
            bids: side_changes(&before.bids, &self.bids, |left, right| right.cmp(&left)),
            asks: side_changes(&before.asks, &self.asks, |left, right| left.cmp(&right)),
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }
}

fn side_changes(
    before: &[(i64, i64)],
    after: &[(i64, i64)],
    order: impl Fn(i64, i64) -> std::cmp::Ordering,
) -> Vec<(i64, i64)> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(&&(price, _)), None) => {
                changes.push((price, 0));
                old.next();
            }
            (None, Some(&&level)) => {
                changes.push(level);
                new.next();
            }
            (Some(&&(left, had)), Some(&&(right, has))) => match order(left, right) {
                std::cmp::Ordering::Less => {
                    changes.push((left, 0));
                    old.next();
                }
                std::cmp::Ordering::Greater => {
                    changes.push((right, has));
                    new.next();
                }
                std::cmp::Ordering::Equal => {
                    if had != has {
                        changes.push((right, has));
                    }
                    old.next();
                    new.next();
                }
            },
        }
    }
}

/// Adds every level between the outermost best prices as it is now.
fn touch(changes: &mut Vec<(i64, i64)>, now: &[(i64, i64)], best: &BTreeSet<i64>) {
    let (Some(lowest), Some(highest)) = (best.first(), best.last()) else { return };
    let told: BTreeSet<i64> = changes.iter().map(|(price, _)| *price).collect();
    for price in (*lowest..=*highest).filter(|price| !told.contains(price)) {
        let lots = now.iter().find(|(known, _)| *known == price).map_or(0, |(_, lots)| *lots);
        changes.push((price, lots));
    }
}

impl Market {
    /// Best bid and ask at a moment: price in ticks and lots.
    pub(crate) fn quote(&self, at_ms: i64) -> ((i64, i64), (i64, i64)) {
        let bid = self.bid_of(self.middle(at_ms));
        let ask = bid + self.spread;
        ((bid, self.best_lots(bid, at_ms)), (ask, self.best_lots(ask, at_ms)))
    }

    /// The book after a step, at most so many levels a side.
    pub(crate) fn book(&self, step: i64, levels: usize) -> Book {
        let at_ms = step * STEP_MS;
        let (bid, ask) = self.quote(at_ms);
        let reach = DEPTH.min(bid.0 / 2);
        let side = |best: (i64, i64), direction: i64| {
            std::iter::once(best)
                .chain((1..reach).filter_map(|away| {
                    let price = best.0 + direction * away;
                    let lots = self.resting(price, at_ms);
                    (lots > 0).then_some((price, lots))
                }))
                .take(levels)
                .collect()
        };
        Book { bids: side(bid, -1), asks: side(ask, 1) }
    }

    /// What a stream tells of the time between two steps. Levels that came and went in between are told as well: who has a
    /// snapshot from in between would keep them for ever otherwise.
    pub(crate) fn book_changes(&self, (from, before): (i64, &Book), (to, after): (i64, &Book)) -> Book {
        let mut changes = after.changes_since(before);
        let (mut bids, mut asks) = (BTreeSet::new(), BTreeSet::new());
        for step in from..=to {
            let (bid, ask) = self.quote(step * STEP_MS);
            bids.insert(bid.0);
            asks.insert(ask.0);
        }
        touch(&mut changes.bids, &after.bids, &bids);
        touch(&mut changes.asks, &after.asks, &asks);
        changes.bids.sort_unstable_by_key(|(price, _)| -price);
        changes.asks.sort_unstable_by_key(|(price, _)| *price);
        changes
    }

    /// Id of the last update up to a step.
    pub(crate) fn update_id(&self, step: i64) -> i64 {
        let steps = step - ORIGIN_MS / STEP_MS;
        self.first_update_id + steps * STEP_IDS + (hash::at(self.seed ^ 0xE0, step) % 3) as i64
    }

    /// Id of the last update up to a moment, between two steps too.
    pub(crate) fn update_id_at(&self, at_ms: i64) -> i64 {
        let step = at_ms.div_euclid(STEP_MS);
        let (from, to) = (self.update_id(step), self.update_id(step + 1));
        from + (to - from) * at_ms.rem_euclid(STEP_MS) / STEP_MS
    }

    fn resting(&self, price: i64, at_ms: i64) -> i64 {
        let place = hash::at(self.seed ^ 0xE1, price);
        let life = 2_000 + (place % 40_000) as i64;
        let epoch = (at_ms + ((place >> 20) % 40_000) as i64) / life;
        let bits = hash::at(place, epoch);
        if bits % 10 < 3 {
            return 0;
        }
        1 + (self.lots_typical * 8.0 * hash::unit(bits)) as i64
    }

    fn best_lots(&self, price: i64, at_ms: i64) -> i64 {
        let bits = hash::at(hash::at(self.seed ^ 0xE2, price), at_ms / BEST_STAYS_MS);
        1 + (self.lots_typical * 12.0 * hash::unit(bits)) as i64
    }
}
