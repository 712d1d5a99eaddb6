//! Judges a silence by what the venue shows over REST: whether the market moved while a stream said nothing. Pure; asking
//! is left to `connection`.
//!
//! Streams whose messages come at random cannot be told mute by their pace alone: at one message a second, a silence of
//! five seconds happens every few minutes. A trade that the venue knows of and the stream never brought is proof.

use std::time::Duration;

use model::{Channel, Nanos, Time};
use venues::RestLimits;

/// How far our reckoning of the venue's clock may be off.
const MARGIN: Duration = Duration::from_millis(250);
/// A venue whose trades are that far ahead of its clock cannot be judged by it.
const NONSENSE: i64 = 2_000_000;
/// Share of the venue's weight that doubts may cost.
const SHARE: f64 = 0.25;

/// What an answer says of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The venue had something to say and the stream did not.
    Missed,
    /// The market stood still.
    Quiet,
    /// Neither is sure.
    Unclear,
}

impl Finding {
    /// As counted in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Quiet => "quiet",
            Self::Unclear => "unclear",
        }
    }
}

/// How soon after a trade a stream of that kind has something to say; `None` where trades say nothing about it.
pub(crate) fn due(channel: Channel) -> Option<Duration> {
    Some(match channel {
        Channel::Trades | Channel::RawTrades => Duration::from_millis(500),
        // Every trade takes from the best price.
        Channel::Quotes => Duration::from_secs(1),
        Channel::Book => Duration::from_millis(1_500),
        // The slowest venue sends them every two seconds.
        Channel::Klines => Duration::from_secs(3),
        Channel::MarkPrices | Channel::Funding | Channel::OpenInterest | Channel::Instruments => return None,
    })
}

/// Whether the stream has nothing to say without trades; best prices and books also move without.
pub(crate) fn is_told_by_trades(channel: Channel) -> bool {
    matches!(channel, Channel::Trades | Channel::RawTrades | Channel::Klines)
}

/// Judges a stream that was silent from `since` until `asked`, both by the venue's clock, by the venue's newest trades.
pub(crate) fn finding(channel: Channel, (since, asked): (Time, Time), trades: &[Time]) -> Finding {
    let Some(due) = due(channel) else { return Finding::Unclear };
    let (since, latest) = (since.plus_micros(micros(MARGIN)), asked.plus_micros(-micros(due)));
    if trades.iter().any(|time| time.0 > asked.0 + NONSENSE) {
        return Finding::Unclear;
    }
    if trades.iter().any(|time| since < *time && *time <= latest) {
        return Finding::Missed;
    }
    let is_still = !trades.is_empty() && trades.iter().all(|time| *time <= since);
    if is_still { Finding::Quiet } else { Finding::Unclear }
}

/// Moves a moment of ours to the venue's clock.
pub(crate) fn by_venue(moment: Nanos, skew_micros: i64) -> Time {
    moment.to_time().plus_micros(skew_micros)
}

fn micros(span: Duration) -> i64 {
    span.as_micros() as i64
}

/// What doubts may cost: a share of the venue's weight, so that a market full of slow streams cannot use up what repairs
/// need.
#[derive(Debug)]
pub(crate) struct Purse {
    weight: f64,
    weight_max: f64,
    per_second: f64,
    filled: Nanos,
}

impl Purse {
    /// A full purse.
    pub(crate) fn new(limits: RestLimits, now: Nanos) -> Self {
        let weight_max = f64::from(limits.weight.count) * SHARE;
        Self {
            weight: weight_max,
            weight_max,
            per_second: weight_max / limits.weight.per.as_secs_f64(),
            filled: now,
        }
    }

    /// Takes the weight of a question out, if it is there.
    pub(crate) fn take(&mut self, weight: u32, now: Nanos) -> bool {
        let seconds = (now.0 - self.filled.0).max(0) as f64 / 1e9;
        self.filled = now;
        self.weight = (self.weight + seconds * self.per_second).min(self.weight_max);
        let is_there = self.weight >= f64::from(weight);
        if is_there {
            self.weight -= f64::from(weight);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    //! Cases for findings.
    use super::*;

    #[test]
    fn a_trade_that_a_stream_never_brought_is_proof() {
        let at = |ms: i64| Time(1_700_000_000_000_000 + ms * 1_000);
        let check = |channel, trades: &[i64], expect: Finding| {
            let trades: Vec<Time> = trades.iter().map(|ms| at(*ms)).collect();
            assert_eq!(finding(channel, (at(0), at(4_000)), &trades), expect, "{channel:?} {trades:?}");
        };
        check(Channel::Trades, &[-3_000, -10, 1_000], Finding::Missed);
        check(Channel::Trades, &[-3_000, -10], Finding::Quiet);
        check(Channel::Trades, &[], Finding::Unclear);
        // It may be on its way; or our reckoning of the venue's clock is off.
        check(Channel::Trades, &[-10, 3_900], Finding::Unclear);
        check(Channel::Trades, &[-10, 200], Finding::Quiet);
        check(Channel::Quotes, &[-10, 2_900], Finding::Missed);
        check(Channel::Quotes, &[-10], Finding::Quiet);
        check(Channel::Klines, &[-10, 2_900], Finding::Unclear);
        check(Channel::Klines, &[-10, 900], Finding::Missed);
        check(Channel::MarkPrices, &[1_000], Finding::Unclear);
        // A recording played back fast: its trades run ahead of its clock.
        check(Channel::Trades, &[1_000, 60_000], Finding::Unclear);
    }

    #[test]
    fn doubts_cost_a_quarter_of_the_weight() {
        let weight = venues::contract::Allowance { count: 2_400, per: Duration::from_mins(1) };
        let limits = RestLimits { weight, is_clock_window: true, used_header: None, bans: &[], pools: &[] };
        let mut purse = Purse::new(limits, Nanos(0));
        let mut taken = |from: i64, until: i64| {
            (from * 1_000..until * 1_000).filter(|now| purse.take(5, Nanos(now * 1_000_000))).count()
        };
        assert_eq!(taken(0, 1), 121, "what there is, and what comes in a second");
        let minute = taken(1, 61);
        assert!((119..=121).contains(&minute), "{minute}");
    }
}
