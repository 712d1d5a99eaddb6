//! Gathers messages of one sort: an outage of seven hundred symbols is one message, not seven hundred.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use model::VenueId;

use crate::message::{Fact, Kind, Message, Severity};

/// Single messages that are quoted in the one that stands for all.
const QUOTED_MAX: usize = 10;
/// Values counted for each field; others are counted together.
const VALUES_MAX: usize = 8;
/// Sorts gathered at once; of more, messages go as they come.
const SORTS_MAX: usize = 128;
/// While more and more of a sort comes, it is gathered for so many windows at most.
const GROWTH_MAX: u32 = 8;

/// What is gathered together.
type Sort = (Kind, Severity, Option<VenueId>, &'static str);

#[derive(Debug)]
struct Heap {
    sort: Sort,
    /// When the first came.
    since: Duration,
    /// For how many windows it is gathered.
    windows: u32,
    count: u64,
    first: Option<Message>,
    quoted: Vec<String>,
    values: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

/// What is being gathered.
#[derive(Debug)]
pub(crate) struct Folds {
    window: Duration,
    heaps: Vec<Heap>,
}

impl Folds {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, heaps: Vec::new() }
    }

    /// Takes a message that is to be gathered; gives back one that is not.
    pub(crate) fn take(&mut self, message: Message, now: Duration) -> Option<Message> {
        let Some(many) = message.many.filter(|_| !self.window.is_zero()) else { return Some(message) };
        let sort = (message.kind, message.severity, message.venue, many);
        if let Some(heap) = self.heaps.iter_mut().find(|heap| heap.sort == sort) {
            heap.add(message, now);
            return None;
        }
        if self.heaps.len() >= SORTS_MAX {
            return Some(message);
        }
        let mut heap = Heap {
            sort,
            since: now,
            windows: 1,
            count: 0,
            first: None,
            quoted: Vec::new(),
            values: BTreeMap::new(),
        };
        heap.add(message, now);
        self.heaps.push(heap);
        None
    }

    /// What was gathered long enough, each with how many messages it stands for; with `all`, everything.
    pub(crate) fn ripe(&mut self, now: Duration, all: bool) -> Vec<(Message, u64)> {
        let window = self.window;
        let mut ripe = Vec::new();
        self.heaps.retain_mut(|heap| {
            if now < heap.due(window) && !all {
                return true;
            }
            // What went on is gathered for longer; a sort of which nothing came meanwhile is forgotten.
            let Some(told) = heap.tell() else { return false };
            ripe.push(told);
            heap.since = now;
            heap.windows = (heap.windows * 2).min(GROWTH_MAX);
            true
        });
        ripe
    }

    /// When something will have been gathered long enough.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.heaps.iter().filter(|heap| heap.count > 0).map(|heap| heap.due(self.window)).min()
    }
}

impl Heap {
    fn due(&self, window: Duration) -> Duration {
        self.since + window * self.windows
    }

    fn add(&mut self, message: Message, now: Duration) {
        if self.count == 0 {
            // The wait of what comes after a lull is its own.
            self.since = now.max(self.since);
        }
        self.count += 1;
        if self.quoted.len() < QUOTED_MAX {
            self.quoted.push(message.title.clone());
        }
        for (name, fact) in &message.fields {
            let Fact::Word(value) = fact else { continue };
            let values = self.values.entry(name).or_default();
            let is_new = !values.contains_key(value);
            let known = if is_new && values.len() >= VALUES_MAX { "others" } else { value };
            *values.entry(known.to_owned()).or_default() += 1;
        }
        self.first.get_or_insert(message);
    }

    /// The one message that stands for all.
    fn tell(&mut self) -> Option<(Message, u64)> {
        let mut message = self.first.take()?;
        let count = std::mem::take(&mut self.count);
        let (quoted, values) = (std::mem::take(&mut self.quoted), std::mem::take(&mut self.values));
        if count == 1 {
            return Some((message, 1));
        }
        let (_, _, venue, many) = self.sort;
        message.title = format!("{count} {many}");
        if let Some(venue) = venue {
            let _infallible = write!(message.title, " on {venue}");
        }
        let more = count - quoted.len() as u64;
        message.text = quoted.join("\n");
        if more > 0 {
            let _infallible = write!(message.text, "\n… and {more} more");
        }
        message.instrument = None;
        message.fields = values.into_iter().map(|(name, values)| (name, in_words(values).into())).collect();
        Some((message, count))
    }
}

/// `disconnected 20, dropped 3`, the most frequent first.
fn in_words(values: BTreeMap<String, u64>) -> String {
    let mut values: Vec<(String, u64)> = values.into_iter().collect();
    values.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let words: Vec<String> = values.into_iter().map(|(value, count)| format!("{value} {count}")).collect();
    words.join(", ")
}
