//! Metrics of a chain: the list of all, one entry each. When they are computed, and where values go, is left to `onchain`.
//!
//! Every metric is computed over ten-minute buckets, whatever interval is asked for: a value depends on the buckets of its interval and
//! of its window alone, and comes out the same bit for bit whichever range is computed.

mod coins;
mod fees;
mod inputs;
mod market;
mod miners;
mod order;
mod supply;

#[cfg(test)]
#[path = "metrics/metrics_tests.rs"]
mod metrics_tests;

use model::time::MINUTE;
use model::{BUCKET, MetricValue, Time, interval_name};

use crate::chain::reasons::NOT_FINITE;

pub use inputs::{Flow, InputError, MetricInputs, Prepared, Window};
pub use order::{Blocked, MetricNode, Plan, order};

/// What metrics are made of beside each other.
pub const INPUTS: &[&str] = &["coins", "price", "primitives"];

/// Ten-minute buckets of a day.
pub const DAY_BUCKETS: usize = 144;
/// Ten-minute buckets of 365 days.
pub const YEAR_BUCKETS: usize = 365 * DAY_BUCKETS;

/// The value of a metric, or why there is none (see [`crate::chain::reasons`]).
pub type Value = Result<f64, &'static str>;

/// A metric: what it means and how it is computed.
#[derive(Debug)]
pub struct Metric {
    /// Its name, part of the names of its tables.
    pub name: &'static str,
    /// Other names it is asked for by.
    pub aliases: &'static [&'static str],
    /// What it is, with its formula.
    pub doc: &'static str,
    /// Who defined it so.
    pub source: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// Minutes of the buckets it is computed for.
    pub intervals: &'static [u16],
    /// What it is made of: some of [`INPUTS`], or other metrics.
    pub dependencies: &'static [&'static str],
    /// Ten-minute buckets before a bucket that its value depends on.
    pub lookback_buckets: usize,
    /// The value over a window.
    pub value: fn(&Window<'_>) -> Value,
}

/// Ten minutes, an hour, a day.
const ALL_INTERVALS: &[u16] = &[10, 60, 1_440];

/// Every metric, sorted by place.
pub static METRICS: &[&Metric] = &[
    &coins::COIN_DAYS_DESTROYED,
    &coins::MVRV,
    &coins::REALIZED_CAP,
    &coins::SOPR,
    &fees::FEES_USD,
    &fees::FEE_PER_TX_SAT,
    &fees::FEE_PER_TX_USD,
    &fees::FEE_RATE,
    &fees::FEE_SHARE,
    &market::MARKET_CAP,
    &market::NVT,
    &market::NVT_DAY,
    &miners::HASH_PRICE,
    &miners::HASH_RATE,
    &miners::MINER_REVENUE,
    &miners::MINER_REVENUE_BTC,
    &miners::PUELL_MULTIPLE,
    &supply::INFLATION,
    &supply::ISSUANCE,
    &supply::STOCK_TO_FLOW,
];

impl Metric {
    /// The metric of that name or alias.
    pub fn known(name: &str) -> Option<&'static Self> {
        METRICS.iter().copied().find(|metric| metric.name == name || metric.aliases.contains(&name))
    }

    /// Name of the table of an interval: `btc_nvt_10m`.
    pub fn table(&self, interval_minutes: u16) -> String {
        format!("btc_{}_{}", self.name, interval_name(interval_minutes))
    }

    /// Values of all buckets of an interval that begin within `from..=through`, as far as ten-minute buckets are there.
    ///
    /// What is prepared must reach back from `from` by [`Metric::lookback_buckets`], or to the chain's first bucket.
    pub fn values(
        &'static self,
        prepared: &Prepared<'_>,
        interval_minutes: u16,
        (from, through): (Time, Time),
    ) -> Vec<MetricValue> {
        let length = (i64::from(interval_minutes) * MINUTE / BUCKET).max(1) as usize;
        let of_window = |(bucket, window): (Time, Window<'_>)| {
            let value = (self.value)(&window).and_then(|value| {
                // A double that is no number would be a mistake of ours, and must not pass for a value.
                if value.is_finite() { Ok(value) } else { Err(NOT_FINITE) }
            });
            MetricValue {
                metric: self.name,
                interval_minutes,
                bucket,
                value: value.ok(),
                reason: value.err(),
            }
        };
        prepared.windows(length, from, through).map(of_window).collect()
    }
}
