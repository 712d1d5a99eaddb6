//! What coins were worth when they were made.

use crate::chain::coins::CoinFlow;
use crate::chain::metrics::inputs::{Window, ratio};
use crate::chain::metrics::market::market_cap;
use crate::chain::metrics::{ALL_INTERVALS, Metric, Value};
use crate::chain::reasons::{COINS_BEHIND, NO_COST};

pub(super) static COIN_DAYS_DESTROYED: Metric = Metric {
    name: "coin_days_destroyed",
    aliases: &["cdd"],
    doc: "Bitcoin spent in the bucket × days since they were made, by header times.",
    source: "ByteCoin, bitcointalk, 2011",
    unit: "BTC × days",
    intervals: ALL_INTERVALS,
    dependencies: &["coins", "primitives"],
    lookback_buckets: 0,
    value: |window| sum(window, |flow| flow.coin_days_destroyed),
};

pub(super) static MVRV: Metric = Metric {
    name: "mvrv",
    aliases: &[],
    doc: "market_cap / realized_cap.",
    source: "Murad Mahmudov and David Puell, 2018; Coin Metrics CapMVRVCur",
    unit: "ratio",
    intervals: ALL_INTERVALS,
    dependencies: &["market_cap", "realized_cap"],
    lookback_buckets: 0,
    value: |window| ratio(market_cap(window)?, realized_cap(window)?, NO_COST),
};

pub(super) static REALIZED_CAP: Metric = Metric {
    name: "realized_cap",
    aliases: &["realised_cap"],
    doc: "All coins in the UTXO set at the end of the bucket, each at the close of the ten minutes in which it was made; at nothing \
          before 2013-04-01, when no source has a price, and not defined while one is unspent whose price is not known.",
    source: "Coin Metrics CapRealUSD, 2018",
    unit: "USD",
    intervals: ALL_INTERVALS,
    dependencies: &["coins", "price", "primitives"],
    lookback_buckets: 0,
    value: realized_cap,
};

pub(super) static SOPR: Metric = Metric {
    name: "sopr",
    aliases: &[],
    doc: "Spent output profit ratio: worth of the coins spent in the bucket when spent / when made.",
    source: "Renato Shirakashi, 2019, unadjusted",
    unit: "ratio",
    intervals: ALL_INTERVALS,
    dependencies: &["coins", "price", "primitives"],
    lookback_buckets: 0,
    value: sopr,
};

fn absent(flow: &CoinFlow) -> &'static str {
    flow.reason.unwrap_or(COINS_BEHIND)
}

fn sum(window: &Window<'_>, field: fn(&CoinFlow) -> Option<f64>) -> Value {
    let add = |sum: f64, flow: &CoinFlow| field(flow).map(|value| sum + value).ok_or(absent(flow));
    window.coins()?.iter().try_fold(0.0, add)
}

fn realized_cap(window: &Window<'_>) -> Value {
    let last = window.coins()?.last().ok_or(COINS_BEHIND)?;
    last.realized_cap_usd.ok_or(absent(last))
}

fn sopr(window: &Window<'_>) -> Value {
    let value = sum(window, |flow| flow.spent_value_usd)?;
    ratio(value, sum(window, |flow| flow.spent_cost_usd)?, NO_COST)
}
