//! How many coins there are, and how fast they become more.

use crate::chain::metrics::inputs::{Flow, Window, ratio};
use crate::chain::metrics::{ALL_INTERVALS, DAY_BUCKETS, Metric, Value, YEAR_BUCKETS};
use crate::chain::reasons::{NO_ISSUANCE, NO_SUPPLY};

pub(super) static INFLATION: Metric = Metric {
    name: "inflation",
    aliases: &[],
    doc: "Issuance of the 24 hours that end with the bucket × 365 / supply.",
    source: "Coin Metrics IssContPctAnn, as a share of one",
    unit: "share per year",
    intervals: ALL_INTERVALS,
    dependencies: &["issuance", "primitives"],
    lookback_buckets: DAY_BUCKETS,
    value: inflation,
};

pub(super) static ISSUANCE: Metric = Metric {
    name: "issuance",
    aliases: &["issuance_btc"],
    doc: "Nominal subsidy of the blocks of the bucket.",
    source: "Coin Metrics IssTotNtv",
    unit: "BTC",
    intervals: ALL_INTERVALS,
    dependencies: &["primitives"],
    lookback_buckets: 0,
    value: |window| Ok(window.btc(Flow::Issued)),
};

pub(super) static STOCK_TO_FLOW: Metric = Metric {
    name: "stock_to_flow",
    aliases: &["s2f"],
    doc: "Supply / issuance of the 365 days that end with the bucket.",
    source: "PlanB, 2019",
    unit: "years",
    intervals: ALL_INTERVALS,
    dependencies: &["issuance", "primitives"],
    lookback_buckets: YEAR_BUCKETS,
    value: stock_to_flow,
};

fn inflation(window: &Window<'_>) -> Value {
    let issued = window.trailing(DAY_BUCKETS)?.btc(Flow::Issued);
    ratio(issued * 365.0, window.supply()?, NO_SUPPLY)
}

fn stock_to_flow(window: &Window<'_>) -> Value {
    let issued = window.trailing(YEAR_BUCKETS)?.btc(Flow::Issued);
    ratio(window.supply()?, issued, NO_ISSUANCE)
}
