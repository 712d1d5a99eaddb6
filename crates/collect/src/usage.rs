//! What each endpoint of a host was asked since the start, and questions that are counted apart. When a question may be asked
//! is decided by `budget`.

use std::collections::VecDeque;
use std::time::Duration;

use model::Time;
use model::status::EndpointStatus;
use venues::Pool;

/// Endpoints counted apart; more share one line, so that metrics stay bounded.
const ENDPOINTS_MAX: usize = 64;
/// The name of that line.
const OTHERS: &str = "others";

/// What outlives a restart of one endpoint's counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointState {
    /// Path without its query.
    pub path: Box<str>,
    /// Questions since counting began.
    pub questions: u64,
    /// Their weight.
    pub weight: u64,
    /// Answers that told us to stop.
    pub bans: u64,
    /// Questions of the running window, where they are counted apart.
    pub recent: u32,
    /// The newest of them.
    pub recent_time: Time,
}

/// One endpoint's counts.
#[derive(Clone, Debug, Default)]
struct Endpoint {
    path: Box<str>,
    /// Of the running window.
    window_weight: u32,
    questions: u64,
    weight: u64,
    bans: u64,
}

/// Which endpoint a question goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndpointNumber(usize);

/// The counts of one host.
#[derive(Debug)]
pub(crate) struct Usage {
    endpoints: Vec<Endpoint>,
    pools: &'static [Pool],
    /// Questions of each pool's window, oldest first.
    pooled: Vec<VecDeque<(Time, usize)>>,
}

/// The path of a question without its query: its endpoint.
pub(crate) fn endpoint(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

impl Usage {
    pub(crate) fn new(pools: &'static [Pool]) -> Self {
        Self { endpoints: Vec::new(), pools, pooled: vec![VecDeque::new(); pools.len()] }
    }

    /// Takes up what an earlier process left; questions of a pool all count as asked with the newest, the careful reading.
    pub(crate) fn restore(&mut self, states: &[EndpointState]) {
        for state in states {
            let EndpointNumber(number) = self.number(&state.path);
            let known = &mut self.endpoints[number];
            known.questions += state.questions;
            known.weight += state.weight;
            known.bans += state.bans;
            if let Some(pool) = self.pool(&state.path) {
                let most = self.pools[pool].allowed.count;
                self.pooled[pool].extend((0..state.recent.min(most)).map(|_| (state.recent_time, number)));
                self.pooled[pool].make_contiguous().sort_unstable();
            }
        }
    }

    /// What should outlive a restart.
    pub(crate) fn states(&self) -> Vec<EndpointState> {
        let state = |(number, known): (usize, &Endpoint)| {
            let own = self.pooled.iter().flatten().filter(|(_, other)| *other == number);
            EndpointState {
                path: known.path.clone(),
                questions: known.questions,
                weight: known.weight,
                bans: known.bans,
                recent: own.clone().count() as u32,
                recent_time: own.map(|(time, _)| *time).max().unwrap_or(Time(0)),
            }
        };
        self.endpoints.iter().enumerate().map(state).collect()
    }

    /// The pool that counts questions of an endpoint.
    pub(crate) fn pool(&self, path: &str) -> Option<usize> {
        self.pools.iter().position(|pool| pool.paths.contains(&endpoint(path)))
    }

    /// When a pool has room within its share, if not now.
    pub(crate) fn pool_ready(&mut self, pool: usize, share: f64, now: Time) -> Option<Time> {
        let allowed = self.pools[pool].allowed;
        let length = micros(allowed.per);
        let recent = &mut self.pooled[pool];
        while recent.front().is_some_and(|(time, _)| time.plus_micros(length) <= now) {
            recent.pop_front();
        }
        let most = (f64::from(allowed.count) * share).max(1.0) as usize;
        // So many have to leave first.
        let surplus = (recent.len() + 1).checked_sub(most).filter(|surplus| *surplus > 0)?;
        recent.get(surplus - 1).map(|(time, _)| time.plus_micros(length))
    }

    /// Counts a question.
    pub(crate) fn ask(&mut self, path: &str, weight: u32, now: Time) -> EndpointNumber {
        let EndpointNumber(number) = self.number(endpoint(path));
        let known = &mut self.endpoints[number];
        known.questions += 1;
        known.weight += u64::from(weight);
        known.window_weight = known.window_weight.saturating_add(weight);
        if let Some(pool) = self.pool(path) {
            self.pooled[pool].push_back((now, number));
        }
        EndpointNumber(number)
    }

    /// Counts an answer that told us to stop.
    pub(crate) fn ban(&mut self, path: &str) {
        let EndpointNumber(number) = self.number(endpoint(path));
        self.endpoints[number].bans += 1;
    }

    /// Weight leaves the running window.
    pub(crate) fn leave(&mut self, EndpointNumber(number): EndpointNumber, weight: u32) {
        let left = &mut self.endpoints[number].window_weight;
        *left = left.saturating_sub(weight);
    }

    /// A new window begins.
    pub(crate) fn turn(&mut self) {
        self.endpoints.iter_mut().for_each(|known| known.window_weight = 0);
    }

    /// Every endpoint, the dearest first.
    pub(crate) fn status(&self) -> Vec<EndpointStatus> {
        let status = |known: &Endpoint| EndpointStatus {
            path: known.path.clone(),
            weight_used: known.window_weight,
            weight_total: known.weight,
            questions_total: known.questions,
            bans_total: known.bans,
        };
        let mut all: Vec<EndpointStatus> = self.endpoints.iter().map(status).collect();
        all.sort_by(|one, two| (two.weight_total, &one.path).cmp(&(one.weight_total, &two.path)));
        all
    }

    /// The name under which an endpoint is counted.
    pub(crate) fn name(&self, EndpointNumber(number): EndpointNumber) -> &str {
        &self.endpoints[number].path
    }

    fn number(&mut self, path: &str) -> EndpointNumber {
        let find = |path: &str, known: &[Endpoint]| known.iter().position(|known| &*known.path == path);
        if let Some(number) = find(path, &self.endpoints) {
            return EndpointNumber(number);
        }
        let path = if self.endpoints.len() < ENDPOINTS_MAX { path } else { OTHERS };
        EndpointNumber(find(path, &self.endpoints).unwrap_or_else(|| {
            self.endpoints.push(Endpoint { path: path.into(), ..Endpoint::default() });
            self.endpoints.len() - 1
        }))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    //! Cases for counts.
    use super::*;
    use venues::Allowance;

    const POOLS: &[Pool] = &[Pool {
        paths: &["/funding", "/intervals"],
        allowed: Allowance { count: 10, per: Duration::from_mins(5) },
    }];

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn paths_that_nobody_knows_do_not_fill_the_memory() {
        let mut usage = Usage::new(&[]);
        for number in 0..200 {
            usage.ask(&format!("/{number}?a=1"), 2, at(0));
        }
        let others = usage.status().into_iter().find(|known| &*known.path == OTHERS).unwrap();
        assert_eq!((usage.endpoints.len(), others.questions_total), (ENDPOINTS_MAX + 1, 200 - 64));
    }

    #[test]
    fn questions_of_a_pool_wait_for_those_before_them() {
        let mut usage = Usage::new(POOLS);
        assert_eq!((usage.pool("/funding?symbol=A"), usage.pool("/other")), (Some(0), None));
        for second in 0..5 {
            assert_eq!(usage.pool_ready(0, 0.5, at(second)), None);
            usage.ask(["/funding?symbol=A", "/intervals"][second as usize % 2], 0, at(second));
        }
        assert_eq!(usage.pool_ready(0, 0.5, at(5)), Some(at(300)));
        assert_eq!(usage.pool_ready(0, 0.8, at(5)), None, "who is more urgent may");
        let mut later = Usage::new(POOLS);
        later.restore(&usage.states());
        assert_eq!(later.pool_ready(0, 0.5, at(10)), Some(at(303)), "counted at the newest of each endpoint");
        assert_eq!(later.pool_ready(0, 0.5, at(304)), None);
        assert_eq!(later.status()[0].questions_total, 3);
    }
}
