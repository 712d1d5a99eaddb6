//! What transactions pay.

use crate::chain::metrics::inputs::{Flow, Window, ratio};
use crate::chain::metrics::{ALL_INTERVALS, DAY_BUCKETS, Metric, Value};
use crate::chain::reasons::{NO_ISSUANCE, NO_TRANSACTIONS};

pub(super) static FEES_USD: Metric = Metric {
    name: "fees_usd",
    aliases: &[],
    doc: "Fees of the bucket, each ten minutes at their own close, or at the last of the day before. Zero where no fee was paid.",
    source: "Coin Metrics FeeTotUSD",
    unit: "USD",
    intervals: ALL_INTERVALS,
    dependencies: &["price", "primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: |window| window.usd(Flow::Fees),
};

pub(super) static FEE_PER_TX_SAT: Metric = Metric {
    name: "fee_per_tx_sat",
    aliases: &["avg_fee"],
    doc: "Fees / transactions, without coinbases.",
    source: "Coin Metrics FeeMeanNtv",
    unit: "sat",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: 0,
    value: |window| ratio(fees_sat(window), transactions(window), NO_TRANSACTIONS),
};

pub(super) static FEE_PER_TX_USD: Metric = Metric {
    name: "fee_per_tx_usd",
    aliases: &[],
    doc: "fees_usd / transactions, without coinbases.",
    source: "Coin Metrics FeeMeanUSD",
    unit: "USD",
    intervals: ALL_INTERVALS,
    dependencies: &["fees_usd", "price", "primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: fee_per_tx_usd,
};

pub(super) static FEE_RATE: Metric = Metric {
    name: "fee_rate",
    aliases: &["avg_feerate"],
    doc: "4 × fees / weight, without coinbases, not truncated.",
    source: "getblockstats.avgfeerate, over the bucket and as a decimal",
    unit: "sat/vB",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: 0,
    value: fee_rate,
};

pub(super) static FEE_SHARE: Metric = Metric {
    name: "fee_share",
    aliases: &[],
    doc: "Fees / (fees + nominal subsidy): the part of what miners may take that users pay. Whether they took it does not matter.",
    source: "Coin Metrics FeeRevPct, as a share of one",
    unit: "share",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: 0,
    value: fee_share,
};

fn fees_sat(window: &Window<'_>) -> f64 {
    window.sum(|bucket| bucket.fees_sat) as f64
}

fn transactions(window: &Window<'_>) -> f64 {
    window.sum(|bucket| bucket.tx_count_ex_coinbase) as f64
}

fn fee_per_tx_usd(window: &Window<'_>) -> Value {
    ratio(window.usd(Flow::Fees)?, transactions(window), NO_TRANSACTIONS)
}

fn fee_rate(window: &Window<'_>) -> Value {
    let weight = window.sum(|bucket| bucket.tx_weight_total_wu) as f64;
    ratio(4.0 * fees_sat(window), weight, NO_TRANSACTIONS)
}

fn fee_share(window: &Window<'_>) -> Value {
    let issued = window.sum(|bucket| bucket.issued_sat) as f64;
    ratio(fees_sat(window), fees_sat(window) + issued, NO_ISSUANCE)
}
