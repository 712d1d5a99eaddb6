//! What one connection asked for and what the venue agreed to: messages to send, paced; answers, matched in their order;
//! streams carried. Sends nothing itself.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use model::Nanos;
use venues::{Stream, Venue};

use crate::board::{Board, Hold};

/// An unanswered request is asked again after this long.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// So many times, then the connection is given up.
const TRIES_MAX: u32 = 3;

/// A stream of the connection. Never removed, so that indices stay.
struct Entry {
    stream: Stream,
    hold: Hold,
    is_wanted: bool,
    /// Requests about it that are not answered yet.
    open_count: u32,
    /// Data came since it was last asked for.
    has_data: bool,
    tries: u32,
}

enum Outgoing {
    Request { text: String, indices: Vec<usize>, is_wanted: bool },
    Ping(String),
}

struct Open {
    indices: Vec<usize>,
    is_wanted: bool,
    sent: Nanos,
}

/// What became of requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Streams that the venue sends from now on.
    pub(crate) carried: Vec<usize>,
    /// Streams that it refuses.
    pub(crate) refused: Vec<usize>,
    /// The venue does not answer.
    pub(crate) is_hopeless: bool,
}

/// The requests of one connection.
pub(crate) struct Requests {
    venue: &'static dyn Venue,
    entries: Vec<Entry>,
    index: HashMap<Box<str>, usize>,
    outbox: VecDeque<Outgoing>,
    open: VecDeque<Open>,
    next_request: u64,
    sent: Option<Nanos>,
    /// Since when the streams carried differ from what was last written.
    changed: Option<Nanos>,
}

impl Requests {
    /// Nothing asked yet.
    pub(crate) fn new(venue: &'static dyn Venue) -> Self {
        Self {
            venue,
            entries: Vec::new(),
            index: HashMap::new(),
            outbox: VecDeque::new(),
            open: VecDeque::new(),
            next_request: 1,
            sent: None,
            changed: None,
        }
    }

    /// Wants streams. Returns the indices of those it had not met before, in order.
    pub(crate) fn want(&mut self, streams: Vec<Stream>, board: &Board) -> Vec<usize> {
        let (mut indices, mut new) = (Vec::new(), Vec::new());
        for stream in streams {
            let index = if let Some(index) = self.index.get(&stream.key) {
                *index
            } else {
                let index = self.entries.len();
                self.index.insert(stream.key.clone(), index);
                self.entries.push(Entry {
                    hold: Hold::new(board.cell(&stream)),
                    stream,
                    is_wanted: false,
                    open_count: 0,
                    has_data: false,
                    tries: 0,
                });
                new.push(index);
                index
            };
            if !std::mem::replace(&mut self.entries[index].is_wanted, true) {
                indices.push(index);
            }
        }
        self.ask(&indices, true);
        new
    }

    /// Wants streams no more. Returns their indices.
    pub(crate) fn unwant(&mut self, keys: &[Box<str>], now: Nanos) -> Vec<usize> {
        let indices: Vec<usize> = keys.iter().filter_map(|key| self.index.get(key).copied()).collect();
        let indices: Vec<usize> = indices
            .into_iter()
            .filter(|index| std::mem::replace(&mut self.entries[*index].is_wanted, false))
            .collect();
        self.let_go(&indices, now);
        indices
    }

    /// Asks anew for a stream, so that the venue starts it over. Returns its index if the connection wants it.
    pub(crate) fn renew(&mut self, key: &str, now: Nanos) -> Option<usize> {
        let index = self.index.get(key).copied().filter(|index| self.entries[*index].is_wanted)?;
        if self.entries[index].open_count > 0 {
            return None;
        }
        self.let_go(&[index], now);
        self.ask(&[index], true);
        Some(index)
    }

    /// Says what keeps the connection alive, before anything else.
    pub(crate) fn ping(&mut self) {
        if let Some(text) = self.venue.ping(self.next_request) {
            self.next_request += 1;
            self.outbox.push_front(Outgoing::Ping(text));
        }
    }

    /// The next message, if its time has come.
    pub(crate) fn next_message(&mut self, now: Nanos) -> Option<String> {
        let gap = Duration::from_millis(self.venue.facts().message_gap_ms_min);
        if self.sent.is_some_and(|sent| since(sent, now) < gap) {
            return None;
        }
        let outgoing = self.outbox.pop_front()?;
        self.sent = Some(now);
        Some(match outgoing {
            Outgoing::Ping(text) => text,
            Outgoing::Request { text, indices, is_wanted } => {
                self.open.push_back(Open { indices, is_wanted, sent: now });
                text
            }
        })
    }

    /// The venue answered the oldest open request. Both venues of this kind answer in order, and their refusals name no
    /// stream, so a refused request is asked again in halves until the culprit stands alone.
    pub(crate) fn answered(&mut self, refusal: Option<&str>, now: Nanos) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(open) = self.open.pop_front() else { return outcome };
        let is_fine = refusal.is_none_or(|words| words.contains("already"));
        for index in &open.indices {
            self.entries[*index].open_count -= 1;
        }
        if !open.is_wanted {
            return outcome;
        }
        let indices: Vec<usize> =
            open.indices.into_iter().filter(|index| self.entries[*index].is_wanted).collect();
        if is_fine {
            for index in indices {
                self.carry(index, now, &mut outcome);
            }
        } else if let [index] = indices[..] {
            outcome.refused.push(index);
        } else {
            let (front, back) = indices.split_at(indices.len() / 2);
            self.ask(front, true);
            self.ask(back, true);
        }
        outcome
    }

    /// Looks after requests that the venue left unanswered.
    pub(crate) fn overdue(&mut self, now: Nanos) -> Outcome {
        let mut outcome = Outcome::default();
        while self.open.front().is_some_and(|open| since(open.sent, now) > ANSWER_MAX) {
            let Some(open) = self.open.pop_front() else { break };
            let mut again = Vec::new();
            for index in open.indices {
                let entry = &mut self.entries[index];
                entry.open_count -= 1;
                if !open.is_wanted || !entry.is_wanted {
                    continue;
                }
                if entry.has_data {
                    self.carry(index, now, &mut outcome);
                } else {
                    entry.tries += 1;
                    outcome.is_hopeless |= entry.tries >= TRIES_MAX;
                    again.push(index);
                }
            }
            self.ask(&again, true);
        }
        outcome
    }

    /// The stream with that key.
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// A message of a stream came.
    pub(crate) fn saw(&mut self, index: usize, now: Nanos) {
        let entry = &mut self.entries[index];
        entry.has_data = true;
        entry.hold.cell().saw(now);
    }

    /// The stream itself.
    pub(crate) fn stream(&self, index: usize) -> &Stream {
        &self.entries[index].stream
    }

    /// The connection's hold on the stream.
    pub(crate) fn hold(&mut self, index: usize) -> &mut Hold {
        &mut self.entries[index].hold
    }

    /// How many streams there are or were.
    pub(crate) fn stream_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether every request is sent and answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty()
            && !self.outbox.iter().any(|outgoing| matches!(outgoing, Outgoing::Request { .. }))
    }

    /// The list of streams carried, one key per line, when it is time to write it: once all is answered, or a second
    /// after it changed.
    pub(crate) fn take_carries(&mut self, now: Nanos) -> Option<String> {
        let changed = self.changed?;
        if !self.is_settled() && since(changed, now) < Duration::from_secs(1) {
            return None;
        }
        self.changed = None;
        let mut keys: Vec<&str> = self
            .entries
            .iter()
            .filter(|entry| entry.hold.is_carried())
            .map(|entry| &*entry.stream.key)
            .collect();
        keys.sort_unstable();
        Some(keys.join("\n"))
    }

    fn carry(&mut self, index: usize, now: Nanos, outcome: &mut Outcome) {
        let entry = &mut self.entries[index];
        entry.tries = 0;
        if entry.open_count == 0 && entry.hold.set_carried(true) {
            self.changed.get_or_insert(now);
            outcome.carried.push(index);
        }
    }

    fn let_go(&mut self, indices: &[usize], now: Nanos) {
        for index in indices {
            if self.entries[*index].hold.set_carried(false) {
                self.changed.get_or_insert(now);
            }
        }
        self.ask(indices, false);
    }

    fn ask(&mut self, indices: &[usize], is_wanted: bool) {
        if indices.is_empty() {
            return;
        }
        let streams: Vec<Stream> = indices.iter().map(|index| self.entries[*index].stream.clone()).collect();
        let texts = self.venue.subscribe(&streams, is_wanted, self.next_request);
        self.next_request += texts.len() as u64;
        let text_count = texts.len();
        let mut rest = indices;
        for (number, text) in texts.into_iter().enumerate() {
            let is_last = number + 1 == text_count;
            let named = |index: &usize| text.contains(&format!("\"{}\"", self.entries[*index].stream.key));
            // Messages name their streams in the order given.
            let count =
                if is_last { rest.len() } else { rest.iter().take_while(|index| named(index)).count() };
            let (mine, others) = rest.split_at(count);
            rest = others;
            for index in mine {
                self.entries[*index].open_count += 1;
                self.entries[*index].has_data = false;
            }
            self.outbox.push_back(Outgoing::Request { text, indices: mine.to_vec(), is_wanted });
        }
    }
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
