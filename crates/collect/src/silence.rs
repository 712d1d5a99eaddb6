//! Tells a mute stream from a quiet one, by what the stream did before. Pure: it is told the time, and acting on its
//! verdicts is left to `connection`.
//!
//! A stream is *busy* when it brings at least a message a second. A busy stream is mute once it is silent for much
//! longer than it ever was in the recent minutes; for a steady one that is never more than 4.5 seconds. A slower
//! stream is mute only after a silence vastly beyond its own history, and never within the first quarter of an hour.
//!
//! Long before that a silence is *doubted*: the venue is asked whether it had anything to say (see `doubts`), and its
//! answer makes the stream mute at once, or quiet.

mod pace;

use std::time::Duration;

use model::Nanos;

use pace::Pace;

/// History is kept in two windows of this length, the running one and the one before.
const WINDOW: Duration = Duration::from_secs(150);
/// No opinion before the stream was watched that long and brought that many messages.
const WATCHED_MIN: Duration = Duration::from_secs(10);
const MESSAGES_MIN: u64 = 8;
/// A silence of a busy stream is doubted once it is as long as the longest of late, between these bounds; that of a
/// slow one likewise, without the upper bound.
const DOUBT_MIN: Duration = Duration::from_millis(2_500);
const DOUBT_BUSY_MAX: Duration = Duration::from_millis(3_500);
/// What counts as busy here: a stream of one message a second may have shown fewer of late.
const DOUBT_BUSY_MEAN: Duration = Duration::from_millis(1_300);
/// Up to this a busy stream's is soon doubted again, later ever more rarely.
const DOUBT_HASTE_MAX: Duration = Duration::from_secs(8);
/// Longest pause between two doubts of one silence.
const DOUBT_PAUSE_MAX: Duration = Duration::from_mins(5);
/// How long a cure is given before the next, stronger one; doubled each time.
const CURE_FIRST: Duration = Duration::from_secs(5);
const CURE_LAST: Duration = Duration::from_mins(10);

#[derive(Clone, Copy, Debug)]
struct Window {
    started: Nanos,
    message_count: u64,
    gap_max: Duration,
}

/// What a stream did in the recent minutes; outlives the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    before: Option<Window>,
    running: Option<Window>,
    last: Option<Nanos>,
    alarm: Option<Alarm>,
    /// When the newest alarm ended; a second one soon after teaches the history that such silences happen.
    alarm_ended: Option<Nanos>,
}

#[derive(Clone, Copy, Debug)]
struct Alarm {
    cures: u32,
    next: Nanos,
}

/// Why a stream counts as mute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing came since it was subscribed, though the venue sends something at once.
    NoFirstData,
    /// It fell silent.
    Fell,
}

/// A mute stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mute {
    /// Which, as numbered by the caller.
    pub(crate) index: usize,
    /// Why.
    pub(crate) cause: Cause,
    /// For how long.
    pub(crate) silent: Duration,
    /// How many cures were tried before; 0 when it is new.
    pub(crate) cures: u32,
}

/// What is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Single streams are mute while others speak.
    Mutes(Vec<Mute>),
    /// The connection's busy streams fell silent together: the connection itself is mute.
    Hush(Vec<Mute>),
}

/// A silence that the venue should be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// Which stream.
    pub(crate) index: usize,
    /// Whether it is a busy one, to be asked about before others.
    pub(crate) is_busy: bool,
    /// For how long it is silent.
    pub(crate) silent: Duration,
}

#[derive(Debug)]
struct Watched {
    first_due: Option<Duration>,
    /// When the venue agreed to send it on this connection; not watched before.
    armed: Option<Nanos>,
    has_data: bool,
    history: History,
    /// How long the silence was when it was last doubted.
    doubted: Option<Duration>,
    /// Whether the venue itself said that there was nothing to say since. Its pace tells nothing then; it is doubted on.
    is_quiet: bool,
}

/// Watches the streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    streams: Vec<Watched>,
}

impl Silence {
    /// Adds a stream; indices count from 0. `first_due` is how soon its first message is due.
    pub(crate) fn add(&mut self, first_due: Option<Duration>, history: History) -> usize {
        let (armed, doubted) = (None, None);
        self.streams.push(Watched { first_due, armed, has_data: false, history, doubted, is_quiet: false });
        self.streams.len() - 1
    }

    /// The venue sends the stream from now on.
    pub(crate) fn arm(&mut self, index: usize, now: Nanos) {
        let stream = &mut self.streams[index];
        if stream.armed.is_none() {
            stream.armed = Some(now);
        }
    }

    /// The stream is not wanted on this connection any more.
    pub(crate) fn disarm(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        (stream.armed, stream.has_data, stream.doubted, stream.is_quiet) = (None, false, None, false);
    }

    /// A message came. True if the stream counted as mute until now.
    pub(crate) fn saw(&mut self, index: usize, now: Nanos) -> bool {
        let stream = &mut self.streams[index];
        let is_first = !std::mem::replace(&mut stream.has_data, true);
        (stream.doubted, stream.is_quiet) = (None, false);
        stream.history.saw(now, is_first)
    }

    /// We did not listen for so long (full disk): nobody is to blame for that silence.
    pub(crate) fn forgive(&mut self, paused: Duration) {
        let nanos = paused.as_nanos() as i64;
        for stream in &mut self.streams {
            for time in [&mut stream.armed, &mut stream.history.last].into_iter().flatten() {
                time.0 = time.0.saturating_add(nanos);
            }
        }
    }

    /// Silences that the venue should be asked about, those of busy streams first.
    pub(crate) fn doubts(&self, now: Nanos) -> Vec<Doubt> {
        let due = |(index, stream): (usize, &Watched)| {
            let silent = since(stream.heard()?, now);
            let is_busy = stream.history.pace().is_some_and(|pace| pace.mean <= DOUBT_BUSY_MEAN);
            (silent >= stream.doubt_due(is_busy)).then_some(Doubt { index, is_busy, silent })
        };
        let mut doubts: Vec<Doubt> = self.streams.iter().enumerate().filter_map(due).collect();
        doubts.sort_by_key(|doubt| (!doubt.is_busy, doubt.silent));
        doubts
    }

    /// The venue is being asked about a silence.
    pub(crate) fn asked(&mut self, doubt: Doubt) {
        self.streams[doubt.index].doubted = Some(doubt.silent);
    }

    /// Since when the stream is silent, if that is being doubted.
    pub(crate) fn doubted_since(&self, index: usize) -> Option<Nanos> {
        let stream = &self.streams[index];
        stream.doubted.and_then(|_| stream.heard())
    }

    /// The venue had something to say and the stream did not: it is mute.
    pub(crate) fn missed(&mut self, index: usize, now: Nanos) -> Option<Mute> {
        let stream = &mut self.streams[index];
        let silent = since(stream.heard()?, now);
        stream.history.raise(now);
        let cause = if stream.has_data { Cause::Fell } else { Cause::NoFirstData };
        Some(Mute { index, cause, silent, cures: 0 })
    }

    /// The market stood still meanwhile. Of a stream that moves without trades too and never paused, that explains
    /// nothing.
    pub(crate) fn was_quiet(&mut self, index: usize, is_told_by_trades: bool) {
        let stream = &mut self.streams[index];
        stream.is_quiet = is_told_by_trades || !stream.history.pace().is_some_and(Pace::is_steady);
    }

    /// Whether all streams spoke here that are busy and not known to be mute.
    pub(crate) fn is_every_busy_one_heard(&self) -> bool {
        let is_due = |stream: &&Watched| {
            stream.history.alarm.is_none() && stream.history.pace().is_some_and(Pace::is_busy)
        };
        self.streams.iter().filter(is_due).all(|stream| stream.has_data)
    }

    /// Whether the stream counts as mute.
    pub(crate) fn is_mute(&self, index: usize) -> bool {
        self.streams[index].history.alarm.is_some()
    }

    /// What is known of a stream, for the next connection that carries it.
    pub(crate) fn history(&self, index: usize) -> &History {
        &self.streams[index].history
    }

    /// Looks for mute streams. Each is told once, and again whenever a stronger cure is due.
    pub(crate) fn look(&mut self, now: Nanos) -> Option<Verdict> {
        let mut mutes = Vec::new();
        let mut busy_count = 0_usize;
        let mut hushed_count = 0_usize;
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let Some(armed) = stream.armed else { continue };
            let silent = stream.silent(armed, now);
            if let Some(pace) = stream.history.pace()
                && pace.is_busy()
            {
                busy_count += 1;
                hushed_count += usize::from(silent > pace.unusual());
            }
            if let Some((cause, cures)) = stream.judge(armed, silent, now) {
                mutes.push(Mute { index, cause, silent, cures });
            }
        }
        if mutes.is_empty() {
            return None;
        }
        let is_new = mutes.iter().any(|mute| mute.cures == 0 && mute.cause == Cause::Fell);
        if is_new && busy_count >= 3 && hushed_count * 10 >= busy_count * 8 {
            return Some(Verdict::Hush(self.hush(mutes, now)));
        }
        Some(Verdict::Mutes(mutes))
    }

    /// All busy streams that are silent belong to the hush, also those whose own limit is not reached yet.
    fn hush(&mut self, mut mutes: Vec<Mute>, now: Nanos) -> Vec<Mute> {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let Some(armed) = stream.armed else { continue };
            let silent = stream.silent(armed, now);
            let is_hushed =
                stream.history.pace().is_some_and(|pace| pace.is_busy() && silent > pace.unusual());
            if is_hushed && stream.history.alarm.is_none() {
                stream.history.raise(now);
                mutes.push(Mute { index, cause: Cause::Fell, silent, cures: 0 });
            }
        }
        mutes.sort_by_key(|mute| mute.index);
        mutes
    }
}

impl Watched {
    /// When it last said something, or could have begun to; `None` if it is not watched or known to be mute. Time
    /// without this connection is not the stream's silence.
    fn heard(&self) -> Option<Nanos> {
        let armed = self.armed.filter(|_| self.history.alarm.is_none())?;
        Some(self.history.last.map_or(armed, |last| last.max(armed)))
    }

    /// The silence that nobody accounts for.
    fn silent(&self, armed: Nanos, now: Nanos) -> Duration {
        if self.is_quiet {
            return Duration::ZERO;
        }
        since(self.history.last.map_or(armed, |last| last.max(armed)), now)
    }

    /// How long a silence has to be for its next doubt.
    fn doubt_due(&self, is_busy: bool) -> Duration {
        match self.doubted {
            None if is_busy => self.history.gap_max().clamp(DOUBT_MIN, DOUBT_BUSY_MAX),
            None => self.history.gap_max().max(DOUBT_BUSY_MAX),
            Some(doubted) if is_busy && doubted < DOUBT_HASTE_MAX => doubted.mul_f64(1.25),
            Some(doubted) => doubted + doubted.min(DOUBT_PAUSE_MAX),
        }
    }

    fn judge(&mut self, armed: Nanos, silent: Duration, now: Nanos) -> Option<(Cause, u32)> {
        let cause = if self.has_data { Cause::Fell } else { Cause::NoFirstData };
        if let Some(alarm) = self.history.alarm {
            if now < alarm.next {
                return None;
            }
            self.history.raise(now);
            return Some((cause, alarm.cures));
        }
        let limit = self.history.pace().map(Pace::limit);
        let is_late = !self.has_data && self.first_due.is_some_and(|due| since(armed, now) > due);
        if is_late || limit.is_some_and(|limit| silent > limit) {
            self.history.raise(now);
            return Some((cause, 0));
        }
        None
    }
}

impl History {
    fn saw(&mut self, now: Nanos, is_first: bool) -> bool {
        let gap = self.last.filter(|_| !is_first).map_or(Duration::ZERO, |last| since(last, now));
        self.last = Some(now);
        let was_mute = self.alarm.take().is_some();
        let is_repeated =
            was_mute && self.alarm_ended.replace(now).is_some_and(|ended| since(ended, now) < 2 * WINDOW);
        let running =
            self.running.get_or_insert(Window { started: now, message_count: 0, gap_max: Duration::ZERO });
        running.message_count += 1;
        // The silence of a fault says nothing of the stream; one that comes again and again does.
        if !was_mute || is_repeated {
            running.gap_max = running.gap_max.max(gap);
        }
        if since(running.started, now) >= WINDOW {
            self.before = self.running.take();
            self.running = Some(Window { started: now, message_count: 0, gap_max: Duration::ZERO });
        }
        was_mute
    }

    fn raise(&mut self, now: Nanos) {
        let cures = self.alarm.map_or(0, |alarm| alarm.cures);
        let wait = CURE_FIRST.saturating_mul(1 << cures.min(16)).min(CURE_LAST);
        self.alarm =
            Some(Alarm { cures: cures + 1, next: Nanos(now.0.saturating_add(wait.as_nanos() as i64)) });
    }

    /// The longest silence of late.
    fn gap_max(&self) -> Duration {
        [self.before, self.running]
            .into_iter()
            .flatten()
            .map(|window| window.gap_max)
            .max()
            .unwrap_or_default()
    }

    fn pace(&self) -> Option<Pace> {
        let (running, last) = (self.running?, self.last);
        let started = self.before.map_or(running.started, |before| before.started);
        let message_count = running.message_count + self.before.map_or(0, |before| before.message_count);
        let watched = since(started, last.unwrap_or(started));
        if watched < WATCHED_MIN || message_count < MESSAGES_MIN {
            return None;
        }
        let gap_max = self.gap_max();
        Some(Pace { mean: watched.div_f64(message_count as f64), gap_max, watched, message_count })
    }
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
