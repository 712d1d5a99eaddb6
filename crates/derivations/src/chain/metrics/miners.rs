//! What miners do and what they get.

use crate::chain::metrics::inputs::{Flow, Window, ratio};
use crate::chain::metrics::{ALL_INTERVALS, DAY_BUCKETS, Metric, Value, YEAR_BUCKETS};
use crate::chain::reasons::{NO_BLOCKS, NO_ISSUANCE};

/// Hashes that a block of difficulty 1 takes on average.
const HASHES: f64 = 4_294_967_296.0;

pub(super) static HASH_PRICE: Metric = Metric {
    name: "hash_price",
    aliases: &[],
    doc: "miner_revenue of the 24 hours that end with the bucket / hash_rate: what one TH/s earned in a day.",
    source: "Luxor hashprice, over 24 hours",
    unit: "USD per TH/s and day",
    intervals: ALL_INTERVALS,
    dependencies: &["hash_rate", "miner_revenue", "price", "primitives"],
    lookback_buckets: 2 * DAY_BUCKETS,
    value: hash_price,
};

pub(super) static HASH_RATE: Metric = Metric {
    name: "hash_rate",
    aliases: &[],
    doc: "Blocks of the 24 hours that end with the bucket / 144 × their mean difficulty × 2^32 / 600 s / 10^12. An estimate: with 144 \
          blocks it scatters by a twelfth. Blocks of a bucket count with the difficulty at its end.",
    source: "Coin Metrics HashRate",
    unit: "TH/s",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: hash_rate,
};

pub(super) static MINER_REVENUE: Metric = Metric {
    name: "miner_revenue",
    aliases: &["miner_revenue_usd"],
    doc: "Outputs of the coinbases of the bucket, each ten minutes at their own close, or at the last of the day before.",
    source: "Coin Metrics RevUSD, by what was taken",
    unit: "USD",
    intervals: ALL_INTERVALS,
    dependencies: &["price", "primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: |window| window.usd(Flow::Revenue),
};

pub(super) static MINER_REVENUE_BTC: Metric = Metric {
    name: "miner_revenue_btc",
    aliases: &[],
    doc: "Outputs of the coinbases of the bucket: what miners took, subsidy and fees.",
    source: "Coin Metrics RevNtv, by what was taken",
    unit: "BTC",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: 0,
    value: |window| Ok(window.btc(Flow::Revenue)),
};

pub(super) static PUELL_MULTIPLE: Metric = Metric {
    name: "puell_multiple",
    aliases: &["puell"],
    doc: "Issuance in USD of the 24 hours that end with the bucket / the mean per day over 365 days.",
    source: "David Puell, 2019",
    unit: "ratio",
    intervals: ALL_INTERVALS,
    dependencies: &["price", "primitives"],
    lookback_buckets: YEAR_BUCKETS + DAY_BUCKETS,
    value: puell_multiple,
};

fn hash_rate(window: &Window<'_>) -> Value {
    let day = window.trailing(DAY_BUCKETS)?;
    let blocks = day.sum(|bucket| bucket.block_count) as f64;
    let difficulty: f64 =
        day.buckets().iter().map(|bucket| bucket.block_count as f64 * bucket.difficulty_last).sum();
    let mean = ratio(difficulty, blocks, NO_BLOCKS)?;
    Ok(blocks / 144.0 * mean * HASHES / 600.0 / 1e12)
}

fn hash_price(window: &Window<'_>) -> Value {
    let revenue = window.trailing(DAY_BUCKETS)?.usd(Flow::Revenue)?;
    ratio(revenue, hash_rate(window)?, NO_BLOCKS)
}

fn puell_multiple(window: &Window<'_>) -> Value {
    let year = window.trailing(YEAR_BUCKETS)?.usd(Flow::Issued)?;
    let day = window.trailing(DAY_BUCKETS)?.usd(Flow::Issued)?;
    ratio(day, year / 365.0, NO_ISSUANCE)
}
