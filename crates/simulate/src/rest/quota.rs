//! How many questions a venue allows, and what happens to those who ask more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Reply;
use crate::market::{MINUTE_MS, Protocol};
use crate::settings::Limits;

/// So many questions may follow a 429 before it becomes a ban.
const IGNORED_MAX: u32 = 5;
const CONNECTS_MS: i64 = 300_000;

/// Binance futures: questions that are counted apart, by five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Settled funding.
    Funding,
    /// The past of open interest.
    OpenInterest,
}

impl Pool {
    const fn most(self) -> u32 {
        match self {
            Self::Funding => 500,
            Self::OpenInterest => 1_000,
        }
    }
}

#[derive(Default)]
struct State {
    minute: i64,
    weight: u32,
    /// Binance spot: questions of the running five minutes, whatever they weigh.
    raw_window: i64,
    raw_count: u32,
    /// Binance futures: questions of the pool that funding shares, and of the one for the past of open interest.
    pools: [VecDeque<i64>; 2],
    /// Bybit: questions of the last five seconds.
    recent: VecDeque<i64>,
    connects: VecDeque<i64>,
    refused_until_ms: i64,
    ignored: u32,
    banned_until_ms: i64,
    usage: Usage,
}

/// What was asked since the start, for those who compare it with a budget of their own.
#[derive(Default)]
struct Usage {
    endpoints: BTreeMap<String, Endpoint>,
    /// Refusals by status.
    refused: BTreeMap<u16, u64>,
    /// Most weight in one minute.
    weight_most: u32,
}

#[derive(Default)]
struct Endpoint {
    asked: u64,
    refused: u64,
    weight: u64,
}

/// Endpoints counted apart; paths that nobody knows must not fill the memory.
const ENDPOINTS_MAX: usize = 64;

/// What one IP has used up.
#[derive(Default)]
pub(crate) struct Quota(Mutex<State>);

impl Quota {
    /// Counts a question of some weight, or of a pool of its own; gives the headers to send along, or the
    /// refusal. `real_ms` comes with how long a planned trouble lasts still.
    pub(crate) fn admit(
        &self,
        protocol: Protocol,
        limits: &Limits,
        (weight, pool): (u32, Option<Pool>),
        (now, trouble_ms): (i64, Option<i64>),
    ) -> Result<Vec<(&'static str, String)>, Reply> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.banned_until_ms {
            return Err(refusal(protocol, 418, state.banned_until_ms - now));
        }
        let allowed = |count: u32| (f64::from(count) * limits.allowance) as u32;
        let wait_ms = match protocol {
            Protocol::Bybit | Protocol::BybitLinear => {
                state.recent.retain(|at| now - at < 5_000);
                state.recent.push_back(now);
                // Whoever asks too often rests for ten minutes.
                (state.recent.len() as u32 > allowed(600)).then_some(5 * limits.ban.as_millis() as i64)
            }
            Protocol::Binance | Protocol::BinanceFutures => {
                if state.minute != now / MINUTE_MS {
                    (state.minute, state.weight) = (now / MINUTE_MS, 0);
                }
                state.weight += weight;
                if state.raw_window != now / CONNECTS_MS {
                    (state.raw_window, state.raw_count) = (now / CONNECTS_MS, 0);
                }
                state.raw_count += 1;
                if let Some(pool) = pool {
                    let recent = &mut state.pools[pool as usize];
                    recent.retain(|at| now - at < CONNECTS_MS);
                    recent.push_back(now);
                }
                let is_spot = protocol == Protocol::Binance;
                let is_over = state.weight > allowed(if is_spot { 6_000 } else { 2_400 })
                    || is_spot && state.raw_count > allowed(300_000)
                    || pool
                        .is_some_and(|pool| state.pools[pool as usize].len() as u32 > allowed(pool.most()));
                is_over.then(|| MINUTE_MS - now % MINUTE_MS)
            }
        };
        if let Some(wait_ms) = wait_ms.into_iter().chain(trouble_ms).max() {
            return Err(state.refuse(protocol, limits, now, wait_ms));
        }
        state.ignored = 0;
        // Questions of a pool of their own say nothing of weights.
        if protocol.is_bybit() || pool.is_some() {
            return Ok(Vec::new());
        }
        let used = state.weight.to_string();
        Ok(vec![("x-mbx-used-weight-1m", used.clone()), ("x-mbx-used-weight", used)])
    }

    /// Notes what became of a question.
    pub(crate) fn note(&self, path: &str, weight: u32, refused: Option<u16>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let weight_now = state.weight;
        let usage = &mut state.usage;
        usage.weight_most = usage.weight_most.max(weight_now);
        if let Some(status) = refused {
            *usage.refused.entry(status).or_default() += 1;
        }
        let is_known = usage.endpoints.contains_key(path) || usage.endpoints.len() < ENDPOINTS_MAX;
        let endpoint = usage.endpoints.entry(if is_known { path } else { "others" }.to_owned()).or_default();
        endpoint.asked += 1;
        endpoint.refused += u64::from(refused.is_some());
        endpoint.weight += u64::from(weight);
    }

    /// What was asked since the start, per endpoint, and how it was refused.
    pub(crate) fn usage(&self) -> Value {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints: BTreeMap<&str, Value> = state
            .usage
            .endpoints
            .iter()
            .map(|(path, count)| {
                let told = json!({"asked": count.asked, "refused": count.refused, "weight": count.weight});
                (path.as_str(), told)
            })
            .collect();
        let refused: BTreeMap<String, u64> =
            state.usage.refused.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        json!({
            "endpoints": endpoints,
            "refused": refused,
            "weight_minute": state.minute,
            "weight_now": state.weight,
            "weight_most": state.usage.weight_most,
        })
    }

    /// Counts a new WebSocket connection; false if there were too many.
    pub(crate) fn admit_connection(&self, protocol: Protocol, limits: &Limits, now: i64) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.connects.retain(|at| now - at < CONNECTS_MS);
        let most = if protocol.is_bybit() { 500.0 } else { 300.0 };
        if state.connects.len() as f64 >= most * limits.allowance {
            return false;
        }
        state.connects.push_back(now);
        true
    }
}

impl State {
    fn refuse(&mut self, protocol: Protocol, limits: &Limits, now: i64, wait_ms: i64) -> Reply {
        if protocol.is_bybit() {
            self.banned_until_ms = now + wait_ms;
            return refusal(protocol, 403, wait_ms);
        }
        // Whoever asks on while told to wait is banned.
        self.ignored = if now < self.refused_until_ms { self.ignored + 1 } else { 0 };
        self.refused_until_ms = now + wait_ms;
        if self.ignored >= IGNORED_MAX {
            let ban = limits.ban.as_millis() as i64;
            (self.banned_until_ms, self.ignored) = (now + ban, 0);
            return refusal(protocol, 418, ban);
        }
        refusal(protocol, 429, wait_ms)
    }
}

fn refusal(protocol: Protocol, status: u16, wait_ms: i64) -> Reply {
    if protocol.is_bybit() {
        return Reply::of(403, "access too frequent".into());
    }
    let words = if status == 418 { "Way too many requests; IP banned." } else { "Too many requests." };
    let mut reply = Reply::of(status, format!(r#"{{"code":-1003,"msg":"{words}"}}"#));
    // The header counts whole seconds; rounding down would invite the client too early.
    reply.headers.push(("retry-after", ((wait_ms + 999) / 1_000).max(1).to_string()));
    reply
}

#[cfg(test)]
mod tests {
    //! Cases for limits.
    use super::*;

    #[test]
    fn too_much_weight_is_refused_and_insisting_is_banned() {
        let (quota, limits) = (Quota::default(), Limits::default());
        let ask = |weight, now| quota.admit(Protocol::BinanceFutures, &limits, (weight, None), (now, None));
        let headers = ask(2_400, 120_000).unwrap();
        assert_eq!(headers[0], ("x-mbx-used-weight-1m", "2400".into()));
        let refused = ask(1, 130_000).unwrap_err();
        assert_eq!((refused.status, refused.headers[0].1.as_str()), (429, "50"));
        for _ in 0..4 {
            assert_eq!(ask(1, 131_000).unwrap_err().status, 429);
        }
        let banned = ask(1, 131_000).unwrap_err();
        assert_eq!((banned.status, banned.headers[0].1.as_str()), (418, "120"));
        assert_eq!(ask(1, 190_000).unwrap_err().status, 418);
        assert!(ask(1, 252_000).is_ok());
    }

    #[test]
    fn funding_and_the_past_of_open_interest_have_pools_of_their_own() {
        let (quota, limits) = (Quota::default(), Limits::default());
        let ask = |pool| quota.admit(Protocol::BinanceFutures, &limits, (0, Some(pool)), (121_000, None));
        for (pool, most) in [(Pool::OpenInterest, 1_000), (Pool::Funding, 500)] {
            assert!((0..most).all(|_| ask(pool).is_ok_and(|headers| headers.is_empty())));
            assert_eq!(ask(pool).unwrap_err().status, 429);
        }
    }

    #[test]
    fn spot_counts_questions_whatever_they_weigh() {
        let (quota, limits) = (Quota::default(), Limits { allowance: 0.001, ..Limits::default() });
        let ask = |now| quota.admit(Protocol::Binance, &limits, (0, None), (now, None));
        assert!((0..300).all(|at| ask(300_000 + at).is_ok()));
        assert_eq!(ask(301_000).unwrap_err().status, 429);
        assert!(ask(600_000).is_ok());
    }

    #[test]
    fn what_was_asked_is_told_per_endpoint() {
        let quota = Quota::default();
        for place in 0..200 {
            quota.note(&format!("/nonsense/{place}"), 1, None);
            quota.note("/fapi/v1/aggTrades", 20, (place >= 198).then_some(429));
        }
        let usage = quota.usage();
        assert_eq!(usage["endpoints"].as_object().unwrap().len(), ENDPOINTS_MAX + 1);
        let expect = json!({"asked": 200, "refused": 2, "weight": 4_000});
        assert_eq!(usage["endpoints"]["/fapi/v1/aggTrades"], expect);
        assert_eq!(usage["refused"], json!({"429": 2}));
    }

    #[test]
    fn bybit_shuts_out_whoever_asks_too_often() {
        let (quota, limits) = (Quota::default(), Limits::default());
        let ask = |now| quota.admit(Protocol::Bybit, &limits, (0, None), (now, None));
        assert!((0..600).all(|at| ask(1_000 + at).is_ok()));
        assert_eq!(ask(2_000).unwrap_err().status, 403);
        assert_eq!(ask(590_000).unwrap_err().status, 403);
        assert!(ask(603_000).is_ok());
    }
}
