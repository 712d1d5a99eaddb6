//! Faults at work: which are on right now, and what they do to the frames of one connection.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use model::VenueId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::faults::{Fault, FaultPlan};
use crate::hash;
use crate::hub::to_micros;

struct Active {
    fault: Fault,
    since_ms: i64,
}

/// The faults of one venue.
pub(crate) struct Trouble {
    venue: VenueId,
    seed: u64,
    active: Mutex<(u64, Vec<Active>)>,
}

/// What may happen to the frames of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    /// Grows with every change of plans.
    pub(crate) edition: u64,
    drop: f64,
    repeat: f64,
    reorder: f64,
    delay: f64,
    late: Duration,
    malformed: f64,
    truncated: f64,
    micros: f64,
    pub(crate) wrong_route: f64,
    pub(crate) cut: Option<Duration>,
    pub(crate) shutdown: Option<Duration>,
}

impl Trouble {
    /// No trouble yet.
    pub(crate) fn new(venue: VenueId, seed: u64) -> Self {
        Self { venue, seed: hash::named(seed, venue.as_str()), active: Mutex::default() }
    }

    /// Takes a plan, if it concerns this venue.
    pub(crate) fn plan(&self, plan: &FaultPlan, real_ms: i64) {
        if plan.venue.is_some_and(|venue| venue != self.venue) {
            return;
        }
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.0 += 1;
        if plan.fault == Fault::Nothing {
            active.1.clear();
        } else {
            active.1.push(Active { fault: plan.fault.clone(), since_ms: real_ms });
        }
    }

    fn any<T>(&self, mut look: impl FnMut(&Active) -> Option<T>) -> Option<T> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).1.iter().find_map(&mut look)
    }

    /// Symbols that say nothing now.
    pub(crate) fn muted(&self, real_ms: i64) -> Vec<String> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let muted = active.1.iter().filter_map(|active| match &active.fault {
            Fault::Mute { symbol, after, lasting } => {
                let from = active.since_ms + millis(*after);
                (from..from + millis(*lasting)).contains(&real_ms).then(|| symbol.clone())
            }
            _ => None,
        });
        muted.collect()
    }

    /// Whether new connections are refused now.
    pub(crate) fn is_refusing(&self, real_ms: i64) -> bool {
        self.any(|active| match active.fault {
            Fault::Refuse { every, lasting } => phase(active.since_ms, every, lasting, real_ms),
            _ => None,
        })
        .is_some()
    }

    /// How long REST answers 429 still.
    pub(crate) fn banned_ms(&self, real_ms: i64) -> Option<i64> {
        self.any(|active| match active.fault {
            Fault::Ban { every, lasting } => phase(active.since_ms, every, lasting, real_ms),
            _ => None,
        })
    }

    /// What may happen to frames now.
    pub(crate) fn shares(&self) -> Shares {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shares = Shares { edition: active.0, ..Shares::default() };
        for active in &active.1 {
            match active.fault {
                Fault::Drop(share) => shares.drop = share,
                Fault::Repeat(share) => shares.repeat = share,
                Fault::Reorder(share) => shares.reorder = share,
                Fault::Delay(share, late) => (shares.delay, shares.late) = (share, late),
                Fault::Malformed(share) => shares.malformed = share,
                Fault::Truncated(share) => shares.truncated = share,
                Fault::Micros(share) => shares.micros = share,
                Fault::WrongRoute(share) => shares.wrong_route = share,
                Fault::Cut(every) => shares.cut = Some(every),
                Fault::Shutdown(every) => shares.shutdown = Some(every),
                Fault::Mute { .. } | Fault::Refuse { .. } | Fault::Ban { .. } | Fault::Nothing => {}
            }
        }
        shares
    }

    /// The troubles of one connection.
    pub(crate) fn of_connection(&self, number: u64) -> ConnectionTrouble {
        ConnectionTrouble {
            random: StdRng::seed_from_u64(hash::at(self.seed, number as i64)),
            shares: Shares::default(),
            held: None,
            late: VecDeque::new(),
            cut_ms: None,
            shutdown_ms: None,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

/// Milliseconds left of a trouble that comes every so often and lasts so long.
fn phase(since_ms: i64, every: Duration, lasting: Duration, real_ms: i64) -> Option<i64> {
    let (passed, every, lasting) = (real_ms - since_ms, millis(every).max(1), millis(lasting));
    let within = passed % every;
    (passed >= every && within < lasting).then_some(lasting - within)
}

/// What one connection suffers.
pub(crate) struct ConnectionTrouble {
    random: StdRng,
    shares: Shares,
    held: Option<Utf8Bytes>,
    late: VecDeque<(i64, Utf8Bytes)>,
    /// When it will be cut.
    pub(crate) cut_ms: Option<i64>,
    /// When it will be closed, with an announcement before.
    pub(crate) shutdown_ms: Option<i64>,
}

impl ConnectionTrouble {
    /// Takes up the plans of now.
    pub(crate) fn renew(&mut self, shares: Shares, real_ms: i64) {
        if shares.edition == self.shares.edition {
            return;
        }
        let mut next = |every: Option<Duration>| {
            every.map(|every| real_ms + (millis(every) as f64 * self.random.random_range(0.5..1.5)) as i64)
        };
        self.cut_ms = next(shares.cut);
        self.shutdown_ms = next(shares.shutdown);
        self.shares = shares;
    }

    /// Whether a stream subscribed to now stays mute.
    pub(crate) fn is_misrouted(&mut self) -> bool {
        self.hits(self.shares.wrong_route)
    }

    fn hits(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.random_bool(share)
    }

    /// What becomes of a frame: what to send now, in order.
    pub(crate) fn suffer(&mut self, text: Utf8Bytes, real_ms: i64, send: &mut Vec<Utf8Bytes>) {
        if self.shares.edition == 0 {
            send.push(text);
            return;
        }
        let shares = self.shares;
        if self.hits(shares.drop) {
            return;
        }
        let text = self.spoil(text, &shares);
        if self.hits(shares.delay) {
            self.late.push_back((real_ms + millis(shares.late), text));
            return;
        }
        if self.held.is_none() && self.hits(shares.reorder) {
            self.held = Some(text);
            return;
        }
        if self.hits(shares.repeat) {
            send.push(text.clone());
        }
        send.push(text);
        send.extend(self.held.take());
    }

    fn spoil(&mut self, text: Utf8Bytes, shares: &Shares) -> Utf8Bytes {
        if self.hits(shares.malformed) {
            return format!("{{]{}", text.as_str()).into();
        }
        if self.hits(shares.truncated) {
            let mut end = self.random.random_range(0..text.len().max(1));
            while !text.as_str().is_char_boundary(end) {
                end -= 1;
            }
            return text.as_str()[..end].to_owned().into();
        }
        if self.hits(shares.micros) {
            return to_micros(text.as_str()).into();
        }
        text
    }

    /// Frames whose delay is over, and one that waited for a successor that never came.
    pub(crate) fn due(&mut self, real_ms: i64, send: &mut Vec<Utf8Bytes>) {
        while self.late.front().is_some_and(|(at, _)| *at <= real_ms) {
            send.extend(self.late.pop_front().map(|(_, text)| text));
        }
    }

    /// When something is due next.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        let late = self.late.front().map(|(at, _)| *at);
        [late, self.cut_ms, self.shutdown_ms].into_iter().flatten().min()
    }
}
