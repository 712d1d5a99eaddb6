//! REST weight and bans of one venue host, as a value that is told the time. Waiting is left to `rest`.

use std::collections::VecDeque;
use std::time::Duration;

use model::Time;
use model::status::RestStatus;
use venues::RestLimits;

use crate::usage::{EndpointNumber, EndpointState, Usage};

/// What outlives a restart of one host's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetState {
    /// Host: the REST origin.
    pub host: String,
    /// Start of the window the weight was used in.
    pub window_start: Time,
    /// Weight used in that window.
    pub weight_used: u32,
    /// No question before then.
    pub banned_until: Option<Time>,
    /// What each endpoint was asked.
    pub endpoints: Vec<EndpointState>,
}

/// Keeps budgets over restarts. Implemented by the owner of the control state.
pub trait BudgetStore: Send + Sync {
    /// Every budget kept.
    fn load(&self) -> Vec<BudgetState>;

    /// Keeps a budget in place of the older one of that host. Called from a thread that may block.
    fn save(&self, state: &BudgetState);
}

/// Keeps nothing: for tests and tools that ask little.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBudgetStore;

impl BudgetStore for NoBudgetStore {
    fn load(&self) -> Vec<BudgetState> {
        Vec::new()
    }

    fn save(&self, _state: &BudgetState) {}
}

/// The budget of one host.
#[derive(Debug)]
pub(crate) struct Budget {
    host: String,
    limits: RestLimits,
    share: f64,
    /// Venue clock minus ours: clock windows are the venue's.
    skew_micros: i64,
    window_start: Time,
    weight_used: u32,
    /// Weights of a sliding window, oldest first.
    recent: VecDeque<(Time, u32, Option<EndpointNumber>)>,
    /// What the venue's newest answer in this window says was used.
    weight_told: Option<u32>,
    banned_until: Option<Time>,
    usage: Usage,
}

/// Why a question has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When to ask again.
    pub(crate) until: Time,
    /// The pool that is full, if it is not the weight; other questions may go.
    pub(crate) pool: Option<usize>,
}

impl Budget {
    /// A budget of which nothing is used; `share` of what the venue allows may be.
    pub(crate) fn new(host: String, limits: RestLimits, share: f64) -> Self {
        Self {
            host,
            limits,
            share: if limits.is_clock_window { share } else { share * SLIDING_SHARE },
            skew_micros: 0,
            window_start: Time(0),
            weight_used: 0,
            recent: VecDeque::new(),
            weight_told: None,
            banned_until: None,
            usage: Usage::new(limits.pools),
        }
    }

    /// Takes up what an earlier process left.
    pub(crate) fn restore(&mut self, state: &BudgetState) {
        self.window_start = state.window_start;
        self.weight_used = state.weight_used;
        self.banned_until = state.banned_until;
        if !self.limits.is_clock_window && state.weight_used > 0 {
            self.recent.push_back((state.window_start, state.weight_used, None));
        }
        self.usage.restore(&state.endpoints);
    }

    /// What should outlive a restart.
    pub(crate) fn state(&self) -> BudgetState {
        // A sliding window is kept as one lump at its newest moment, the careful reading.
        let newest = self.recent.back().map_or(self.window_start, |(time, ..)| *time);
        BudgetState {
            host: self.host.clone(),
            window_start: if self.limits.is_clock_window { self.window_start } else { newest },
            weight_used: self.weight_used,
            banned_until: self.banned_until,
            endpoints: self.usage.states(),
        }
    }

    /// The pool that counts a question apart.
    pub(crate) fn pool(&self, path: &str) -> Option<usize> {
        self.usage.pool(path)
    }

    /// Takes a question's weight out of the part of the budget that `ceiling` (0 to 1) leaves to the asker, or says when to ask
    /// again. Returns the name of the endpoint it is counted under.
    pub(crate) fn try_take(
        &mut self,
        (path, weight): (&str, u32),
        ceiling: f64,
        now: Time,
    ) -> Result<&str, Wait> {
        if let Some(until) = self.banned(now) {
            return Err(Wait { until, pool: None });
        }
        self.roll(now);
        if let Some(pool) = self.usage.pool(path)
            && let Some(until) = self.usage.pool_ready(pool, self.share * ceiling, now)
        {
            return Err(Wait { until, pool: Some(pool) });
        }
        let most = (f64::from(self.limits.weight.count) * self.share * ceiling).max(1.0) as u32;
        // A single question dearer than the ceiling is let through when nothing else was asked.
        let has_room = self.weight_used.saturating_add(weight) <= most || self.weight_used == 0;
        if weight > 0 && !has_room {
            return Err(Wait { until: self.next_room(weight, most, now), pool: None });
        }
        let endpoint = self.usage.ask(path, weight, now);
        self.weight_used = self.weight_used.saturating_add(weight);
        if !self.limits.is_clock_window && weight > 0 {
            self.recent.push_back((now, weight, Some(endpoint)));
        }
        Ok(self.usage.name(endpoint))
    }

    /// Learns from an answer: the venue's own count, and whether it told us to stop. True if it did.
    pub(crate) fn saw(&mut self, answer: &Told, (path, now): (&str, Time)) -> bool {
        self.roll(now);
        if let Some(used) = answer.weight_used
            && self.limits.is_clock_window
        {
            self.weight_used = self.weight_used.max(used);
            self.weight_told = Some(self.weight_told.map_or(used, |other| other.max(used)));
        }
        let Some((_, rest)) = self.limits.bans.iter().find(|(status, _)| *status == answer.status) else {
            return false;
        };
        self.usage.ban(path);
        let wait = answer.retry_after.unwrap_or(*rest).clamp(Duration::from_secs(1), BAN_MAX);
        let until = now.plus_micros(wait.as_micros() as i64);
        self.banned_until = Some(self.banned_until.map_or(until, |other| other.max(until)));
        true
    }

    /// Until when nothing may be asked.
    pub(crate) fn banned(&mut self, now: Time) -> Option<Time> {
        self.banned_until = self.banned_until.filter(|until| *until > now);
        self.banned_until
    }

    /// Tells the venue's clock against ours. What was used counts on in the window that is running by it.
    pub(crate) fn set_skew(&mut self, micros: i64, now: Time) {
        self.roll(now);
        self.skew_micros = micros;
        if self.limits.is_clock_window {
            self.window_start = self.window_at(now);
        }
    }

    /// How it stands.
    pub(crate) fn status(&mut self, now: Time) -> RestStatus {
        self.roll(now);
        RestStatus {
            weight_used: self.weight_used,
            weight_max: self.limits.weight.count,
            weight_told: self.weight_told,
            banned_until: self.banned(now),
            endpoints: self.usage.status(),
        }
    }

    fn roll(&mut self, now: Time) {
        if self.limits.is_clock_window {
            let start = self.window_at(now);
            if start != self.window_start {
                self.window_start = start;
                self.weight_used = 0;
                self.weight_told = None;
                self.usage.turn();
            }
            return;
        }
        let length = self.limits.weight.per.as_micros() as i64;
        while let Some((_, weight, endpoint)) =
            self.recent.pop_front_if(|(time, ..)| time.plus_micros(length) <= now)
        {
            self.weight_used = self.weight_used.saturating_sub(weight);
            if let Some(endpoint) = endpoint {
                self.usage.leave(endpoint, weight);
            }
        }
    }

    fn window_at(&self, now: Time) -> Time {
        let length = (self.limits.weight.per.as_micros() as i64).max(1);
        let here = now.plus_micros(self.skew_micros).0;
        Time(here - here.rem_euclid(length))
    }

    fn next_room(&self, weight: u32, most: u32, now: Time) -> Time {
        let length = self.limits.weight.per.as_micros() as i64;
        if self.limits.is_clock_window {
            // A little late rather than a little early: the venue's window must have turned as well.
            return self.window_start.plus_micros(length - self.skew_micros + WINDOW_MARGIN_MICROS).max(now);
        }
        let mut used = self.weight_used;
        for (time, taken, _) in &self.recent {
            used = used.saturating_sub(*taken);
            if used.saturating_add(weight) <= most || used == 0 {
                return time.plus_micros(length);
            }
        }
        now.plus_micros(length)
    }
}

/// No venue bans for longer; more is taken for a mistake of units.
const BAN_MAX: Duration = Duration::from_hours(7 * 24);
/// How far into a fresh clock window the first question waits.
const WINDOW_MARGIN_MICROS: i64 = 100_000;

/// Of a sliding window less is used: on their way questions move closer together than they were asked.
const SLIDING_SHARE: f64 = 0.85;

/// What an answer says about the budget.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// HTTP status.
    pub(crate) status: u16,
    /// Weight used in the window, by the venue's count.
    pub(crate) weight_used: Option<u32>,
    /// `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    //! Cases for budgets, at given times.
    use super::*;
    use venues::Allowance;

    const BANS: &[(u16, Duration)] = &[(418, Duration::from_mins(2)), (429, Duration::from_mins(1))];

    fn limits(count: u32, seconds: u64, is_clock_window: bool) -> RestLimits {
        RestLimits {
            weight: Allowance { count, per: Duration::from_secs(seconds) },
            is_clock_window,
            used_header: None,
            bans: BANS,
            pools: &[],
        }
    }

    fn take(budget: &mut Budget, weight: u32, ceiling: f64, now: Time) -> Result<(), Time> {
        budget.try_take(("/a?b=c", weight), ceiling, now).map(|_| ()).map_err(|wait| wait.until)
    }

    fn at(seconds: i64) -> Time {
        Time(1_723_161_240_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_clock_window_turns_with_the_venues_minute() {
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 1.0);
        assert_eq!(take(&mut budget, 100, 1.0, at(59)), Ok(()));
        let ready = take(&mut budget, 1, 1.0, at(59)).unwrap_err();
        assert_eq!(ready, at(60).plus_micros(WINDOW_MARGIN_MICROS));
        assert_eq!(take(&mut budget, 100, 1.0, at(60)), Ok(()));
        // The venue's clock is 10 s ahead: its minute turns at our second 50.
        budget.set_skew(10_000_000, at(60));
        assert!(take(&mut budget, 1, 1.0, at(109)).is_err());
        assert_eq!(take(&mut budget, 100, 1.0, at(110)), Ok(()));
        assert!(take(&mut budget, 100, 1.0, at(120)).is_err());
    }

    #[test]
    fn a_sliding_window_frees_what_is_old() {
        let mut budget = Budget::new("h".into(), limits(12, 5, false), 1.0);
        // Ten of twelve are used.
        for second in 0..5 {
            assert_eq!(take(&mut budget, 2, 1.0, at(second)), Ok(()));
        }
        assert_eq!(take(&mut budget, 3, 1.0, at(4)), Err(at(6)));
        assert_eq!(take(&mut budget, 3, 1.0, at(6)), Ok(()));
    }

    #[test]
    fn lesser_askers_leave_room_for_repairs() {
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 0.8);
        assert_eq!(take(&mut budget, 40, 0.5, at(0)), Ok(()));
        assert!(take(&mut budget, 1, 0.5, at(0)).is_err());
        assert_eq!(take(&mut budget, 40, 1.0, at(0)), Ok(()));
        assert!(take(&mut budget, 1, 1.0, at(0)).is_err());
    }

    #[test]
    fn the_venues_own_count_wins_when_it_is_higher() {
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 1.0);
        assert_eq!(take(&mut budget, 1, 1.0, at(0)), Ok(()));
        assert!(
            !budget.saw(&Told { status: 200, weight_used: Some(99), retry_after: None }, ("/a?b", at(1)))
        );
        assert!(take(&mut budget, 2, 1.0, at(1)).is_err());
        assert!(!budget.saw(&Told { status: 200, weight_used: Some(3), retry_after: None }, ("/a?b", at(2))));
        let status = budget.status(at(2));
        assert_eq!((status.weight_used, status.weight_max, status.weight_told), (99, 100, Some(99)));
        assert_eq!(budget.status(at(60)).weight_told, None, "another window");
    }

    #[test]
    fn a_ban_stands_until_its_end_and_outlives_a_restart() {
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 1.0);
        let told = Told { status: 429, weight_used: None, retry_after: Some(Duration::from_secs(30)) };
        assert!(budget.saw(&told, ("/a?b", at(0))));
        assert!(budget.saw(&Told { status: 418, ..Told::default() }, ("/a?b", at(1))));
        let state = budget.state();
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 1.0);
        budget.restore(&state);
        assert_eq!(take(&mut budget, 1, 1.0, at(120)), Err(at(121)));
        assert_eq!(take(&mut budget, 1, 1.0, at(121)), Ok(()));
    }

    #[test]
    fn used_weight_outlives_a_restart_within_its_window() {
        for is_clock_window in [true, false] {
            let mut budget = Budget::new("h".into(), limits(100, 60, is_clock_window), 1.0);
            assert_eq!(take(&mut budget, 90, 1.0, at(0)), Ok(()));
            let state = budget.state();
            let mut budget = Budget::new("h".into(), limits(100, 60, is_clock_window), 1.0);
            budget.restore(&state);
            assert!(take(&mut budget, 20, 1.0, at(1)).is_err());
            assert_eq!(take(&mut budget, 20, 1.0, at(61)), Ok(()));
        }
    }

    #[test]
    fn a_question_dearer_than_its_ceiling_is_asked_alone() {
        let mut budget = Budget::new("h".into(), limits(100, 60, true), 1.0);
        assert_eq!(take(&mut budget, 80, 0.5, at(0)), Ok(()));
        assert!(take(&mut budget, 80, 0.5, at(0)).is_err());
    }

    #[test]
    fn each_endpoint_is_counted_in_the_window_and_in_all() {
        for is_clock_window in [true, false] {
            let mut budget = Budget::new("h".into(), limits(100, 60, is_clock_window), 1.0);
            for (path, weight) in [("/a?x=1", 20), ("/b", 5), ("/a?x=2", 20)] {
                assert!(budget.try_take((path, weight), 1.0, at(0)).is_ok());
            }
            let mut restarted = Budget::new("h".into(), limits(100, 60, is_clock_window), 1.0);
            restarted.restore(&budget.state());
            assert!(restarted.try_take(("/a", 1), 1.0, at(60)).is_ok());
            assert!(restarted.saw(&Told { status: 429, ..Told::default() }, ("/a?x=3", at(61))));
            let counts = |budget: &mut Budget, now| -> Vec<(String, u32, u64, u64, u64)> {
                let status = budget.status(now).endpoints.into_iter();
                let line = |of: model::status::EndpointStatus| {
                    (of.path.into(), of.weight_used, of.weight_total, of.questions_total, of.bans_total)
                };
                status.map(line).collect()
            };
            assert_eq!(
                counts(&mut budget, at(1)),
                [("/a".to_owned(), 40, 40, 2, 0), ("/b".to_owned(), 5, 5, 1, 0)]
            );
            assert_eq!(
                counts(&mut restarted, at(62)),
                [("/a".to_owned(), 1, 41, 3, 1), ("/b".to_owned(), 0, 5, 1, 0)]
            );
        }
    }

    #[test]
    fn a_full_pool_holds_up_its_own_questions_only() {
        const POOLS: &[venues::Pool] =
            &[venues::Pool { paths: &["/p"], allowed: Allowance { count: 4, per: Duration::from_mins(5) } }];
        let mut budget = Budget::new("h".into(), RestLimits { pools: POOLS, ..limits(100, 60, true) }, 1.0);
        assert!(budget.try_take(("/p?a", 0), 0.5, at(0)).is_ok());
        assert!(budget.try_take(("/p?b", 0), 0.5, at(1)).is_ok());
        let wait = budget.try_take(("/p?c", 0), 0.5, at(2)).unwrap_err();
        assert_eq!(wait, Wait { until: at(300), pool: Some(0) });
        assert!(budget.try_take(("/q", 1), 0.5, at(2)).is_ok());
        assert!(budget.try_take(("/p?c", 0), 1.0, at(2)).is_ok(), "who is more urgent may");
        assert_eq!(budget.status(at(2)).weight_used, 1);
    }
}
