//! What a node is told to do, in words, and the trouble it is in. Doing it is left to the node.

use std::time::Duration;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Mine so many blocks, the first with this header time.
    Mine(u32, Option<u32>),
    /// Replace so many blocks by so many.
    Reorganise(u32, u32),
    /// Let so many recorded blocks come.
    Feed(usize),
    /// Forget blocks below a height.
    Prune(u32),
    /// Another cookie.
    Rotate,
    /// Mine so often; never if absent.
    Every(Option<Duration>),
    /// Trouble.
    Trouble(Change),
}

/// What changes in a node's trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Answers that it is warming up, so many times or until it is told to be ready.
    Warm(Option<u32>),
    /// Answers that too many requests wait, so many times.
    Busy(u32),
    /// Breaks off in the middle of so many answers.
    Cut(u32),
    /// Says that it still fetches old blocks.
    Syncing,
    /// Closes connections that say nothing for so long.
    Idle(Duration),
    /// Takes requests and does not answer.
    Hang,
    /// Does not listen.
    Gone,
    /// Says that it is of another network.
    Network(String),
    /// Answers `/rest/spenttxouts` or does not.
    SpentOutputs(bool),
    /// Ready, listening, answering, of the right network.
    Nothing,
}

/// Whether anybody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Requests are answered.
    Answers,
    /// Requests are taken and not answered.
    Hangs,
    /// Nobody listens.
    Gone,
}

/// The trouble a node is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Requests that are still answered with a warm-up; `None` without end.
    pub(super) warm: Option<u32>,
    pub(super) busy: u32,
    pub(super) cut: u32,
    pub(super) is_syncing: bool,
    pub(super) idle: Duration,
    pub(super) presence: Presence,
    pub(super) network: Option<String>,
    pub(super) has_spent_outputs: bool,
}

/// How long the real node keeps a silent connection.
const IDLE: Duration = Duration::from_secs(30);

impl Trouble {
    /// None.
    pub(super) fn none(has_spent_outputs: bool) -> Self {
        Self {
            warm: Some(0),
            busy: 0,
            cut: 0,
            is_syncing: false,
            idle: IDLE,
            presence: Presence::Answers,
            network: None,
            has_spent_outputs,
        }
    }

    /// Takes a change.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Warm(count) => self.warm = count,
            Change::Busy(count) => self.busy = count,
            Change::Cut(count) => self.cut = count,
            Change::Syncing => self.is_syncing = true,
            Change::Idle(time) => self.idle = time,
            Change::Hang => self.presence = Presence::Hangs,
            Change::Gone => self.presence = Presence::Gone,
            Change::Network(name) => self.network = Some(name),
            Change::SpentOutputs(has) => self.has_spent_outputs = has,
            Change::Nothing => *self = Self::none(self.has_spent_outputs),
        }
    }
}

const WORDS: &str = "mine=3, mine=3@1700000000, reorg=3:4, replace, feed=5, feed, prune=100, rotate, every=10s, every=never, \
                     warm=5, warm, busy=5, cut=2, syncing, idle=5s, hang, gone, network=main, spent=off, spent=on or none";

/// Reads a list.
pub(super) fn parse(text: &str) -> Result<Vec<Order>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| parse_one(word).ok_or_else(|| format!("{word:?} is no order for a node: write {WORDS}")))
        .collect()
}

fn parse_one(word: &str) -> Option<Order> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    Some(match (name, value) {
        ("mine", Some(value)) => match value.split_once('@') {
            Some((count, time)) => Order::Mine(count.parse().ok()?, Some(time.parse().ok()?)),
            None => Order::Mine(value.parse().ok()?, None),
        },
        ("reorg", Some(value)) => {
            if let Some((depth, blocks)) = value.split_once(':') {
                Order::Reorganise(depth.parse().ok()?, blocks.parse().ok()?)
            } else {
                let depth: u32 = value.parse().ok()?;
                Order::Reorganise(depth, depth.checked_add(1)?)
            }
        }
        ("replace", None) => Order::Reorganise(1, 1),
        ("feed", None) => Order::Feed(usize::MAX),
        ("feed", Some(value)) => Order::Feed(value.parse().ok()?),
        ("prune", Some(value)) => Order::Prune(value.parse().ok()?),
        ("rotate", None) => Order::Rotate,
        ("every", Some("never")) => Order::Every(None),
        ("every", Some(value)) => Order::Every(Some(seconds(value)?)),
        _ => Order::Trouble(change(name, value)?),
    })
}

fn change(name: &str, value: Option<&str>) -> Option<Change> {
    Some(match (name, value) {
        ("warm", None) => Change::Warm(None),
        ("warm", Some(value)) => Change::Warm(Some(value.parse().ok()?)),
        ("busy", Some(value)) => Change::Busy(value.parse().ok()?),
        ("cut", Some(value)) => Change::Cut(value.parse().ok()?),
        ("syncing", None) => Change::Syncing,
        ("idle", Some(value)) => Change::Idle(seconds(value)?),
        ("hang", None) => Change::Hang,
        ("gone", None) => Change::Gone,
        ("network", Some(name)) => Change::Network(name.to_owned()),
        ("spent", Some("on")) => Change::SpentOutputs(true),
        ("spent", Some("off")) => Change::SpentOutputs(false),
        ("none", None) => Change::Nothing,
        _ => return None,
    })
}

/// `2s` or `300ms`, above nothing.
fn seconds(text: &str) -> Option<Duration> {
    let time = match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s')?.parse().ok()?),
    };
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    //! Cases for words.
    use super::*;

    #[test]
    fn orders_are_read_in_order() {
        let found = parse("mine=2@1700000000, reorg=3,replace,feed,idle=300ms,warm,none");
        let expect = vec![
            Order::Mine(2, Some(1_700_000_000)),
            Order::Reorganise(3, 4),
            Order::Reorganise(1, 1),
            Order::Feed(usize::MAX),
            Order::Trouble(Change::Idle(Duration::from_millis(300))),
            Order::Trouble(Change::Warm(None)),
            Order::Trouble(Change::Nothing),
        ];
        assert_eq!(found, Ok(expect));
        for wrong in ["mine", "mine=x", "reorg=1:", "idle=0s", "every=5", "gone=1", "spent=maybe", "explode"]
        {
            assert!(parse(wrong).unwrap_err().contains("is no order"), "{wrong}");
        }
    }
}
