//! What one target is to be sent, and when: chosen, gathered, not repeated, at most so many a minute. A value that is told
//! the time; sending is left to `sender`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::fold::Folds;
use crate::letter::Letter;
use crate::message::{Alarm, Kind, Message, Severity};

/// Things that go on at once; of more, the oldest is forgotten, and told anew.
const ALARMS_MAX: usize = 1_000;
/// What `per_minute` is about.
const MINUTE: Duration = Duration::from_mins(1);
/// While closing, more letters than this go as one.
const CLOSING_MAX: usize = 3;

/// What is told, and how much of it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Kinds that are told.
    pub kinds: BTreeSet<Kind>,
    /// The mildest that is told.
    pub severity_min: Severity,
    /// Messages a minute.
    pub per_minute: usize,
    /// How long messages of one sort are gathered.
    pub window: Duration,
    /// Something that goes on is told again after so long.
    pub repeat_after: Duration,
    /// Messages that may wait; of more, the oldest of the mildest are lost, and counted.
    pub waiting_max: usize,
    /// A message that could not be sent for so long is given up, and counted.
    pub keep: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            kinds: Kind::ALL.into_iter().filter(|kind| *kind != Kind::Recovery).collect(),
            severity_min: Severity::Info,
            per_minute: 15,
            window: Duration::from_secs(30),
            repeat_after: Duration::from_hours(1),
            waiting_max: 1_000,
            keep: Duration::from_hours(6),
        }
    }
}

/// Something that goes on.
#[derive(Debug)]
struct Going {
    told: Duration,
    /// How often it was raised since.
    again: u64,
}

/// What is to be done now.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send this.
    Send(Box<Letter>),
    /// Look again after so long, or when something comes.
    Wait(Duration),
    /// Nothing until something comes.
    Idle,
}

/// One target's desk.
#[derive(Debug)]
pub(crate) struct Desk {
    rules: Rules,
    waiting: VecDeque<Letter>,
    folds: Folds,
    alarms: BTreeMap<String, Going>,
    /// When something was sent within the last minute.
    sent: VecDeque<Duration>,
    paused_until: Duration,
    /// Lost, and not yet told of.
    lost: u64,
    lost_total: u64,
    next_number: u64,
    is_closing: bool,
}

impl Desk {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            folds: Folds::new(rules.window),
            rules,
            waiting: VecDeque::new(),
            alarms: BTreeMap::new(),
            sent: VecDeque::new(),
            paused_until: Duration::ZERO,
            lost: 0,
            lost_total: 0,
            next_number: 1,
            is_closing: false,
        }
    }

    /// Takes a message, if it is to be told.
    pub(crate) fn take(&mut self, mut message: Message, now: Duration) {
        match std::mem::take(&mut message.alarm) {
            // Whoever heard of the beginning hears of the end.
            Alarm::Over(key) if self.alarms.remove(&key).is_some() => {}
            Alarm::Over(_) => return,
            _ if !self.wants(&message) => return,
            Alarm::Raised(key) => match self.raise(key, now) {
                None => return,
                Some(0) => {}
                Some(again) => message = message.with("raised_again", again),
            },
            Alarm::None => {}
        }
        if let Some(message) = self.folds.take(message, now) {
            self.wait((message, 1), now);
        }
    }

    fn wants(&self, message: &Message) -> bool {
        message.severity >= self.rules.severity_min && self.rules.kinds.contains(&message.kind)
    }

    /// Whether something that goes on is to be told, and how often it was not since.
    fn raise(&mut self, key: String, now: Duration) -> Option<u64> {
        if let Some(going) = self.alarms.get_mut(&key) {
            if now < going.told + self.rules.repeat_after {
                going.again += 1;
                return None;
            }
            going.told = now;
            return Some(std::mem::take(&mut going.again));
        }
        if self.alarms.len() >= ALARMS_MAX {
            let oldest = self.alarms.iter().min_by_key(|(_, going)| going.told);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.alarms.remove(&oldest);
            }
        }
        self.alarms.insert(key, Going { told: now, again: 0 });
        Some(0)
    }

    fn wait(&mut self, (message, count): (Message, u64), now: Duration) {
        let number = self.number();
        self.waiting.push_back(Letter { number, message, count, lost: 0, since: now, parts: Vec::new() });
        if self.waiting.len() > self.rules.waiting_max.max(1) {
            let mildest = self.waiting.iter().map(|letter| letter.message.severity).min();
            let at = self.waiting.iter().position(|letter| Some(letter.message.severity) == mildest);
            if let Some(letter) = at.and_then(|at| self.waiting.remove(at)) {
                self.give_up(&letter);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// What is to be done now. A letter that is given out is either sent, or comes back by [`Desk::put_back`], or is lost by
    /// [`Desk::give_up`].
    pub(crate) fn next(&mut self, now: Duration) -> Next {
        for ripe in self.folds.ripe(now, self.is_closing) {
            self.wait(ripe, now);
        }
        let keep = self.rules.keep;
        while let Some(old) = self.waiting.front().filter(|letter| letter.since + keep < now) {
            self.lost += old.count + old.lost;
            self.lost_total += old.count;
            self.waiting.pop_front();
        }
        let until = |then: Duration| Next::Wait(then.saturating_sub(now));
        if self.waiting.is_empty() {
            return self.folds.due().map_or(Next::Idle, until);
        }
        if now < self.paused_until {
            return until(self.paused_until);
        }
        while self.sent.front().is_some_and(|sent| *sent + MINUTE <= now) {
            self.sent.pop_front();
        }
        let free = self.rules.per_minute.max(1).saturating_sub(self.sent.len());
        if free == 0 && !self.is_closing {
            return self.sent.front().map_or(Next::Idle, |oldest| until(*oldest + MINUTE));
        }
        self.sent.push_back(now);
        // The last place of a minute takes everything that waits.
        let apart_max = if self.is_closing {
            CLOSING_MAX
        } else if free == 1 {
            1
        } else {
            usize::MAX
        };
        let mut letter = if self.waiting.len() > apart_max {
            let number = self.number();
            Letter::digest(number, self.waiting.drain(..).collect())
        } else {
            let critical = |letter: &Letter| letter.message.severity == Severity::Critical;
            let at = self.waiting.iter().position(critical).unwrap_or_default();
            let Some(letter) = self.waiting.remove(at) else { return Next::Idle };
            letter
        };
        letter.lost += std::mem::take(&mut self.lost);
        Next::Send(Box::new(letter))
    }

    /// A letter could not be sent now: it goes first after so long.
    pub(crate) fn put_back(&mut self, letter: Letter, wait: Duration, now: Duration) {
        self.paused_until = now + wait;
        self.waiting.push_front(letter);
    }

    /// A letter will not be sent.
    pub(crate) fn give_up(&mut self, letter: &Letter) {
        self.lost += letter.count + letter.lost;
        self.lost_total += letter.count;
    }

    /// From now on everything goes as soon as it can.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.folds.due().is_none()
    }

    /// Letters that wait.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Messages that were lost so far.
    pub(crate) fn lost_total(&self) -> u64 {
        self.lost_total
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
