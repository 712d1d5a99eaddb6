//! How the disk is: enough room, little, or none; and how long it lasts at this pace. Measuring is left to the binary.

use std::collections::VecDeque;
use std::time::Duration;

use model::Time;

use crate::message::{Kind, Message, Severity};

/// Space counts as there again when it is so much above the bound below which it was not.
const BACK: f64 = 1.1;
/// One sample a minute is kept for so long, to see how fast space goes.
const SEEN_MAX: Duration = Duration::from_hours(24);
const SAMPLE_EVERY: Duration = Duration::from_mins(1);
/// Of shorter times nothing can be said.
const SEEN_MIN: Duration = Duration::from_mins(30);
const DAY_SECONDS: f64 = 86_400.0;
/// Further away than this, the end is not told.
const DAYS_MAX: f64 = 3_650.0;
const GIB: f64 = (1_u64 << 30) as f64;

/// How the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskState {
    /// There is room.
    #[default]
    Ok,
    /// There is little.
    Low,
    /// Nothing can be recorded.
    Full,
}

impl DiskState {
    /// `ok`, `low` or `full`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Full => "full",
        }
    }
}

/// Below what there is little room, or none.
#[derive(Clone, Copy, Debug)]
pub struct DiskBounds {
    /// Less free space than this is little.
    pub warn_bytes: u64,
    /// So is a smaller share, per cent.
    pub warn_percent: f64,
    /// Less than this is none: recording stops.
    pub reserve_bytes: u64,
}

/// What was seen of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskReport {
    /// How it is.
    pub state: DiskState,
    /// Free space.
    pub free_bytes: u64,
    /// The same in per cent.
    pub free_percent: f64,
    /// Days until recording stops, at the pace of the last day; if that can be said.
    pub days_left: Option<f64>,
}

/// Watches the disk.
#[derive(Debug)]
pub struct DiskWatch {
    bounds: DiskBounds,
    state: DiskState,
    /// Free space over time, oldest first.
    seen: VecDeque<(Duration, u64)>,
}

impl DiskWatch {
    /// Nothing seen yet.
    pub fn new(bounds: DiskBounds) -> Self {
        Self { bounds, state: DiskState::Ok, seen: VecDeque::new() }
    }

    /// Takes a measurement at `now`, which only goes forward: free and total bytes, and whether recording stands still for
    /// want of space.
    pub fn see(&mut self, now: Duration, (free, total): (u64, u64), is_stopped: bool) -> DiskReport {
        let percent = if total > 0 { free as f64 * 100.0 / total as f64 } else { 100.0 };
        // A worse state begins at its bound, and ends above it.
        let above = |state: DiskState| if self.state >= state { BACK } else { 1.0 };
        let below = |bytes: u64, factor: f64| (free as f64) < bytes as f64 * factor;
        let low = above(DiskState::Low);
        self.state = if is_stopped || below(self.bounds.reserve_bytes, above(DiskState::Full)) {
            DiskState::Full
        } else if below(self.bounds.warn_bytes, low) || percent < self.bounds.warn_percent * low {
            DiskState::Low
        } else {
            DiskState::Ok
        };
        if self.seen.back().is_none_or(|(last, _)| *last + SAMPLE_EVERY <= now) {
            self.seen.push_back((now, free));
        }
        while self.seen.front().is_some_and(|(first, _)| *first + SEEN_MAX < now) {
            self.seen.pop_front();
        }
        DiskReport {
            state: self.state,
            free_bytes: free,
            free_percent: percent,
            days_left: self.days_left(now, free),
        }
    }

    fn days_left(&self, now: Duration, free: u64) -> Option<f64> {
        let (first, before) = *self.seen.front()?;
        let span = now.saturating_sub(first);
        if span < SEEN_MIN || before <= free {
            return None;
        }
        let a_day = (before - free) as f64 / span.as_secs_f64() * DAY_SECONDS;
        let days = free.saturating_sub(self.bounds.reserve_bytes) as f64 / a_day;
        (days <= DAYS_MAX).then_some(days)
    }
}

/// What there is to tell of a report. `place` is the folder whose disk it is.
pub fn messages(report: &DiskReport, place: &str, time: Time) -> Vec<Message> {
    const LOW: &str = "disk.low";
    const FULL: &str = "disk.full";
    let message = |severity, title: &str| {
        let mut message = Message::new(Kind::Disk, severity, title, time)
            .with_text(format!("{} free of the disk of {place}", in_words(report)))
            .with("free_gib", report.free_bytes as f64 / GIB)
            .with("free_percent", report.free_percent);
        if let Some(days) = report.days_left {
            message = message.with("days_left", days);
        }
        message
    };
    let not_full = || message(Severity::Info, "recording can go on: the disk has room").over(FULL);
    match report.state {
        DiskState::Full => {
            vec![message(Severity::Critical, "the disk is full: nothing can be recorded").raised(FULL)]
        }
        DiskState::Low => vec![not_full(), message(Severity::Warning, "the disk runs full").raised(LOW)],
        DiskState::Ok => vec![not_full(), message(Severity::Info, "the disk has room again").over(LOW)],
    }
}

/// `4.2 GiB (3 %), enough for 2.5 days at the pace of late`.
fn in_words(report: &DiskReport) -> String {
    let mut words = format!("{:.1} GiB ({:.0} %)", report.free_bytes as f64 / GIB, report.free_percent);
    if let Some(days) = report.days_left {
        words = format!("{words}, enough for {days:.1} days at the pace of the last day,");
    }
    words
}

#[cfg(test)]
mod tests {
    //! Cases for space that goes and comes.
    use super::*;

    const GIB: u64 = 1 << 30;

    fn watch() -> DiskWatch {
        DiskWatch::new(DiskBounds { warn_bytes: 10 * GIB, warn_percent: 5.0, reserve_bytes: GIB })
    }

    #[test]
    fn space_has_to_come_back_by_a_tenth_before_all_is_well() {
        let mut watch = watch();
        let mib = |mib: u64| mib << 20;
        for (free_mib, is_stopped, expect) in [
            (20_480, false, DiskState::Ok),
            (10_241, false, DiskState::Ok),
            (10_239, false, DiskState::Low),
            (10_400, false, DiskState::Low),
            (11_263, false, DiskState::Low),
            (11_265, false, DiskState::Ok),
            (10_400, false, DiskState::Ok),
            (1_023, false, DiskState::Full),
            (1_100, false, DiskState::Full),
            (1_127, false, DiskState::Low),
            (1_100, true, DiskState::Full),
            (20_480, false, DiskState::Ok),
        ] {
            let report = watch.see(Duration::ZERO, (mib(free_mib), 100 * GIB), is_stopped);
            assert_eq!(report.state, expect, "{free_mib} MiB");
        }
        let report = watch.see(Duration::ZERO, (40 * GIB, 1_000 * GIB), false);
        assert_eq!((report.state, report.free_percent), (DiskState::Low, 4.0), "by its share");
        assert_eq!(watch.see(Duration::ZERO, (0, 0), false).state, DiskState::Full);
    }

    #[test]
    fn how_long_it_lasts_is_told_when_it_can_be_said() {
        let mut watch = watch();
        let mut days = Vec::new();
        // One GiB an hour.
        for minute in 0..=1_500_u64 {
            let free = 101 * GIB - minute * GIB / 60;
            days.push(watch.see(Duration::from_mins(minute), (free, 1_000 * GIB), false).days_left);
        }
        assert_eq!(days[29], None, "too early to say");
        let told = |minute: usize| (days[minute].expect("is said") * 24.0).round();
        assert_eq!((told(30), told(1_500)), (100.0, 75.0), "hours");
        assert!(watch.seen.len() <= 1_441, "{}", watch.seen.len());
        let report = watch.see(Duration::from_mins(1_501), (500 * GIB, 1_000 * GIB), false);
        assert_eq!(report.days_left, None, "it does not shrink");
    }

    #[test]
    fn each_state_says_what_began_and_what_is_over() {
        let mut report = DiskReport {
            state: DiskState::Low,
            free_bytes: 4 * GIB,
            free_percent: 3.0,
            days_left: Some(2.0),
        };
        let told = messages(&report, "data", Time(0));
        assert_eq!(told[1].title, "the disk runs full");
        assert_eq!(
            told[1].text,
            "4.0 GiB (3 %), enough for 2.0 days at the pace of the last day, free of the disk of data"
        );
        report.state = DiskState::Full;
        assert_eq!(messages(&report, "data", Time(0))[0].severity, Severity::Critical);
    }
}
