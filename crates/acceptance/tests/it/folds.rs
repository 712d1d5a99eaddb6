//! What a recording holds, folded by the test itself: bars and books, without any code of the platform.

use std::collections::BTreeMap;

use model::Decimal;
use serde_json::Value;

/// Id to (price, quantity, time in microseconds).
pub(crate) type Trades = BTreeMap<String, (Decimal, Decimal, i64)>;

/// Open, high, low, close, volume by minute.
pub(crate) fn bars(trades: &Trades) -> BTreeMap<i64, [Decimal; 5]> {
    let mut sorted: Vec<_> =
        trades.iter().map(|(id, trade)| (trade.2, id.parse::<i64>().ok(), id, trade)).collect();
    sorted.sort();
    let mut bars: BTreeMap<i64, [Decimal; 5]> = BTreeMap::new();
    for (time, _, _, (price, quantity, _)) in sorted {
        let bar =
            bars.entry(time - time % 60_000_000).or_insert([*price, *price, *price, *price, Decimal::ZERO]);
        bar[1] = bar[1].max(*price);
        bar[2] = bar[2].min(*price);
        bar[3] = *price;
        bar[4] = bar[4].checked_add(*quantity).expect("fits");
    }
    bars
}

/// One change of a book: the sequence number before it, its own, bids and asks.
#[derive(Clone, Debug)]
struct Change {
    before: Option<i64>,
    first: i64,
    last: i64,
    levels: [Vec<(Decimal, Decimal)>; 2],
}

/// A book as a file tells it: one snapshot, and differences before and behind it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    snapshot: Option<Change>,
    differences: Vec<Change>,
}

impl Book {
    /// The snapshot, whose sequence number has that name; the first counts.
    pub(crate) fn snapshot(&mut self, body: &Value, sequence: &str) {
        let last = body[sequence].as_i64().expect("a sequence number");
        let change = Change { before: None, first: last, last, levels: levels(body) };
        self.snapshot.get_or_insert(change);
    }

    /// A difference, which must follow the one before by the venue's rule.
    pub(crate) fn difference(&mut self, body: &Value) {
        let last = body["u"].as_i64().expect("a sequence number");
        let (before, first) = (body["pu"].as_i64(), body["U"].as_i64().unwrap_or(last));
        if let Some(earlier) = self.differences.last() {
            let follows = before.map_or(first == earlier.last + 1, |before| before == earlier.last);
            assert!(follows, "the recording itself breaks the chain at {last}");
        }
        self.differences.push(Change { before, first, last, levels: levels(body) });
    }

    fn start(&self) -> &Change {
        self.snapshot.as_ref().expect("the recording has a snapshot")
    }

    /// Differences that belong behind the snapshot; the first must bridge it.
    fn behind(&self) -> &[Change] {
        let start = self.start().last;
        // Binance futures: a difference that ends at the snapshot may still bridge it.
        let is_old =
            |change: &Change| change.last < start || (change.last == start && change.before.is_none());
        let behind = &self.differences[self.differences.partition_point(is_old)..];
        if let Some(first) = behind.first() {
            let bridges = first.first <= start + 1 || first.before == Some(start);
            assert!(bridges, "the recording's snapshot {start} is not bridged by {}", first.last);
        }
        behind
    }

    /// The snapshot's sequence number.
    pub(crate) fn origin(&self) -> i64 {
        self.start().last
    }

    /// The last sequence number.
    pub(crate) fn last(&self) -> i64 {
        self.behind().last().map_or(self.origin(), |change| change.last)
    }

    /// Sequence numbers of the differences behind the snapshot that hold levels.
    pub(crate) fn sequences(&self) -> Vec<i64> {
        let is_empty = |change: &Change| change.levels.iter().all(Vec::is_empty);
        self.behind().iter().filter(|change| !is_empty(change)).map(|change| change.last).collect()
    }

    fn side(&self, side: usize) -> BTreeMap<Decimal, Decimal> {
        let mut levels = BTreeMap::new();
        for change in std::iter::once(self.start()).chain(self.behind()) {
            for (price, quantity) in &change.levels[side] {
                if quantity.is_zero() {
                    levels.remove(price);
                } else {
                    levels.insert(*price, *quantity);
                }
            }
        }
        levels
    }

    /// Bids at the end, best first.
    pub(crate) fn bids(&self) -> Box<dyn Iterator<Item = (Decimal, Decimal)>> {
        Box::new(self.side(0).into_iter().rev())
    }

    /// Asks at the end, best first.
    pub(crate) fn asks(&self) -> Box<dyn Iterator<Item = (Decimal, Decimal)>> {
        Box::new(self.side(1).into_iter())
    }
}

/// Bids and asks, whichever of the venues' names they go by.
fn levels(body: &Value) -> [Vec<(Decimal, Decimal)>; 2] {
    [["b", "bids"], ["a", "asks"]].map(|names| {
        let list = names.iter().find_map(|name| body[*name].as_array()).cloned().unwrap_or_default();
        let decimal = |value: &Value| value.as_str().expect("a text").parse::<Decimal>().expect("a decimal");
        list.iter().map(|level| (decimal(&level[0]), decimal(&level[1]))).collect()
    })
}
