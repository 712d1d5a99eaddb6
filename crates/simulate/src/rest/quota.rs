//! How many questions a venue allows, and what happens to those who ask more.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::Reply;
use crate::market::{MINUTE_MS, Protocol};
use crate::settings::Limits;

/// So many questions may follow a 429 before it becomes a ban.
const IGNORED_MAX: u32 = 5;
const CONNECTS_MS: i64 = 300_000;

#[derive(Default)]
struct State {
    minute: i64,
    weight: u32,
    /// Binance futures: questions of the pool that funding shares.
    pool: VecDeque<i64>,
    /// Bybit: questions of the last five seconds.
    recent: VecDeque<i64>,
    connects: VecDeque<i64>,
    refused_until_ms: i64,
    ignored: u32,
    banned_until_ms: i64,
}

/// What one IP has used up.
#[derive(Default)]
pub(crate) struct Quota(Mutex<State>);

impl Quota {
    /// Counts a question of some weight and some share of the funding pool; gives the headers to send along, or the
    /// refusal. `real_ms` comes with how long a planned trouble lasts still.
    pub(crate) fn admit(
        &self,
        protocol: Protocol,
        limits: &Limits,
        (weight, pool): (u32, u32),
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
                (state.recent.len() as u32 > allowed(600)).then_some(limits.ban.as_millis() as i64)
            }
            Protocol::Binance | Protocol::BinanceFutures => {
                if state.minute != now / MINUTE_MS {
                    (state.minute, state.weight) = (now / MINUTE_MS, 0);
                }
                state.weight += weight;
                state.pool.retain(|at| now - at < CONNECTS_MS);
                state.pool.extend((0..pool).map(|_| now));
                let most = if protocol == Protocol::Binance { 6_000 } else { 2_400 };
                let is_over = state.weight > allowed(most) || state.pool.len() as u32 > allowed(500);
                is_over.then(|| MINUTE_MS - now % MINUTE_MS)
            }
        };
        if let Some(wait_ms) = wait_ms.into_iter().chain(trouble_ms).max() {
            return Err(state.refuse(protocol, limits, now, wait_ms));
        }
        state.ignored = 0;
        if protocol.is_bybit() {
            return Ok(Vec::new());
        }
        let used = state.weight.to_string();
        Ok(vec![("x-mbx-used-weight-1m", used.clone()), ("x-mbx-used-weight", used)])
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
        let ask = |weight, now| quota.admit(Protocol::BinanceFutures, &limits, (weight, 0), (now, None));
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
    fn bybit_shuts_out_whoever_asks_too_often() {
        let (quota, limits) = (Quota::default(), Limits::default());
        let ask = |now| quota.admit(Protocol::Bybit, &limits, (0, 0), (now, None));
        assert!((0..600).all(|at| ask(1_000 + at).is_ok()));
        assert_eq!(ask(2_000).unwrap_err().status, 403);
        assert_eq!(ask(60_000).unwrap_err().status, 403);
    }
}
