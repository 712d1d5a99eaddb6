//! One place for a connection: which one serves it now, which follows, and when to try again. Pure: it is told the time
//! and says what to do; opening is left to `driver`.

use std::time::Duration;

use model::Nanos;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use runtime::Backoff;
use venues::Stream;

use crate::link::{Command, Link, LinkState};

/// How every trouble told here begins.
pub(crate) const TROUBLE: &str = "connection failed";
/// Both connections run side by side for so long once the successor may take over, so that nothing falls between.
const OVERLAP: Duration = Duration::from_secs(1);
/// A connection that lived so long was no failure; the next try starts from the shortest wait.
const LIVED_WELL: Duration = Duration::from_secs(5);

/// What holds for every slot of a venue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotRules {
    /// Longest life of a connection.
    pub(crate) lifetime: Option<Duration>,
    /// How long a predecessor waits for its successor's data.
    pub(crate) handover_max: Duration,
    /// First and longest wait between tries.
    pub(crate) reconnect: (Duration, Duration),
}

/// What the driver has to do for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing now.
    Nothing,
    /// Open a connection and tell [`Slot::opened`].
    Open,
}

/// A connection that was started.
#[derive(Debug)]
pub(crate) struct Running {
    link: Link,
    retire_time: Option<Nanos>,
    ready_since: Option<Nanos>,
}

impl Running {
    /// Just started.
    pub(crate) fn new(link: Link) -> Self {
        Self { link, retire_time: None, ready_since: None }
    }
}

/// A place for a connection.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Where it connects.
    pub(crate) url: String,
    /// What it carries.
    pub(crate) streams: Vec<Stream>,
    /// Which of the redundant copies it belongs to.
    pub(crate) copy: usize,
    current: Option<Running>,
    successor: Option<Running>,
    /// Why a successor is wanted.
    reason: Option<String>,
    backoff: Backoff,
    next_try: Nanos,
    random: StdRng,
    news: Vec<String>,
    trouble: Option<String>,
}

impl Slot {
    /// A slot that wants its first connection.
    pub(crate) fn new(
        url: String,
        streams: Vec<Stream>,
        copy: usize,
        (seed, rules): (u64, &SlotRules),
    ) -> Self {
        Self {
            url,
            streams,
            copy,
            current: None,
            successor: None,
            reason: None,
            backoff: Backoff::new(rules.reconnect.0, rules.reconnect.1, seed),
            next_try: Nanos(0),
            random: StdRng::seed_from_u64(seed),
            news: Vec::new(),
            trouble: None,
        }
    }

    /// Tells the running connections. One that takes no command any more is to be replaced.
    pub(crate) fn tell(&mut self, command: impl Fn() -> Command) {
        for running in [&self.current, &self.successor].into_iter().flatten() {
            if !running.link.tell(command()) {
                self.reason = Some("the connection takes no commands".into());
            }
        }
    }

    /// Takes over a connection that the driver started.
    pub(crate) fn opened(&mut self, running: Running) {
        if self.current.is_none() {
            self.current = Some(running);
        } else {
            self.successor = Some(running);
        }
    }

    /// Looks after the connections.
    pub(crate) fn turn(&mut self, rules: &SlotRules, now: Nanos) -> Deed {
        if self.streams.is_empty() {
            for running in [self.current.take(), self.successor.take()].into_iter().flatten() {
                running.link.tell(Command::Close("nothing left to carry"));
            }
            return Deed::Nothing;
        }
        self.bury(now);
        self.note_wish(rules, now);
        self.hand_over(rules, now);
        let is_missing = self.current.is_none() || (self.reason.is_some() && self.successor.is_none());
        if is_missing && now >= self.next_try {
            return Deed::Open;
        }
        Deed::Nothing
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.streams.is_empty() && self.current.is_none() && self.successor.is_none()
    }

    /// Whether its connection stands and settled.
    pub(crate) fn is_well(&self) -> bool {
        self.current.as_ref().is_some_and(|running| running.link.state().is_settled)
    }

    /// What to log.
    pub(crate) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// What to show.
    pub(crate) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Removes what ended.
    fn bury(&mut self, now: Nanos) {
        for is_successor in [true, false] {
            let place = if is_successor { &mut self.successor } else { &mut self.current };
            let Some(running) = place else { continue };
            let state = running.link.state();
            let Some(reason) = state.ended.clone() else { continue };
            let number = running.link.number;
            *place = None;
            self.count_end(&state, now);
            if reason != crate::connection::STOPPED {
                self.trouble = Some(format!("{TROUBLE}: {} ({number}): {reason}", self.url));
            }
            self.news.push(format!("connection {number} ended: {reason}"));
        }
        if self.current.is_none() && self.successor.is_some() {
            self.current = self.successor.take();
            self.reason = None;
        }
    }

    fn count_end(&mut self, state: &LinkState, now: Nanos) {
        let lived = state.opened.map_or(0, |opened| now.0 - opened.0);
        if state.has_data && lived >= LIVED_WELL.as_nanos() as i64 {
            self.backoff.reset();
        }
        self.next_try = plus(now, self.backoff.next_wait());
    }

    /// Notes that the current connection should be replaced.
    fn note_wish(&mut self, rules: &SlotRules, now: Nanos) {
        let Some(current) = &mut self.current else { return };
        let state = current.link.state();
        if let (Some(opened), Some(lifetime), None) = (state.opened, rules.lifetime, current.retire_time) {
            // Spread, so that not all connections of a start are replaced at one time.
            let share = self.random.random_range(0.85..0.95);
            current.retire_time = Some(plus(opened, lifetime.mul_f64(share)));
        }
        if self.reason.is_some() {
            return;
        }
        if let Some(reason) = state.wants_successor {
            self.reason = Some(reason);
            // A new trouble deserves a try at once; repeated ones are slowed down by the watchdog itself.
            self.next_try = self.next_try.min(now);
        } else if current.retire_time.is_some_and(|time| time <= now) {
            self.reason = Some("its allowed lifetime ends".into());
        }
        if let Some(reason) = &self.reason {
            self.news.push(format!("connection {} gets a successor: {reason}", current.link.number));
        }
    }

    /// Lets the successor take over once it may, or after a while without.
    fn hand_over(&mut self, rules: &SlotRules, now: Nanos) {
        let Some(successor) = &mut self.successor else { return };
        let state = successor.link.state();
        let Some(opened) = state.opened else { return };
        if state.may_take_over && state.is_settled {
            successor.ready_since.get_or_insert(now);
        }
        let is_ready = successor.ready_since.is_some_and(|since| plus(since, OVERLAP) <= now);
        if !is_ready && now < plus(opened, rules.handover_max) {
            return;
        }
        let successor = self.successor.take();
        if let Some(old) = std::mem::replace(&mut self.current, successor) {
            old.link.tell(Command::Close("replaced"));
            self.news.push(format!("connection {} was replaced", old.link.number));
        }
        self.reason = None;
        self.backoff.reset();
    }
}

fn plus(time: Nanos, wait: Duration) -> Nanos {
    Nanos(time.0.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
