//! What all coins are worth, and how that stands to what is moved.

use crate::chain::metrics::inputs::{Flow, Window, ratio};
use crate::chain::metrics::{ALL_INTERVALS, DAY_BUCKETS, Metric, Value};
use crate::chain::reasons::NO_TRANSFERS;

pub(super) static MARKET_CAP: Metric = Metric {
    name: "market_cap",
    aliases: &[],
    doc: "Supply × price: outputs in the UTXO set at the end of the bucket times the last canonical close within it.",
    source: "Coin Metrics CapMrktCurUSD, with the UTXO set as supply",
    unit: "USD",
    intervals: ALL_INTERVALS,
    dependencies: &["price", "primitives"],
    lookback_buckets: 0,
    value: market_cap,
};

pub(super) static NVT: Metric = Metric {
    name: "nvt",
    aliases: &["nvt_raw"],
    doc: "Network value to transactions: market_cap / transferred USD of the bucket. What was transferred is valued in each ten minutes by \
          their own close, or by the last of the day before.",
    source: "Willy Woo, 2017, without smoothing",
    unit: "ratio",
    intervals: ALL_INTERVALS,
    dependencies: &["market_cap", "price", "primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: nvt,
};

pub(super) static NVT_DAY: Metric = Metric {
    name: "nvt_day",
    aliases: &[],
    doc: "market_cap / transferred USD of the 24 hours that end with the bucket: what is usually quoted as NVT.",
    source: "Willy Woo, 2017; Coin Metrics NVTAdj uses another adjustment for change",
    unit: "ratio",
    intervals: ALL_INTERVALS,
    dependencies: &["market_cap", "price", "primitives"],
    lookback_buckets: 2 * DAY_BUCKETS,
    value: nvt_day,
};

pub(super) fn market_cap(window: &Window<'_>) -> Value {
    Ok(window.supply()? * window.close()?)
}

fn nvt(window: &Window<'_>) -> Value {
    if window.sum(|bucket| bucket.transferred_sat) == 0 {
        return Err(NO_TRANSFERS);
    }
    ratio(market_cap(window)?, window.usd(Flow::Transferred)?, NO_TRANSFERS)
}

fn nvt_day(window: &Window<'_>) -> Value {
    let day = window.trailing(DAY_BUCKETS)?;
    if day.sum(|bucket| bucket.transferred_sat) == 0 {
        return Err(NO_TRANSFERS);
    }
    ratio(market_cap(window)?, day.usd(Flow::Transferred)?, NO_TRANSFERS)
}
