//! What follows from a chain: buckets of ten minutes and longer, what coins are worth, and metrics.

pub mod buckets;
pub mod coins;
mod flows;
mod median;
pub mod metrics;
mod money;
pub mod reasons;
mod rollup;
mod stream;

#[cfg(test)]
#[path = "chain/buckets_tests.rs"]
mod buckets_tests;
#[cfg(test)]
#[path = "chain/coins_tests.rs"]
mod coins_tests;
#[cfg(test)]
mod testing;

pub use buckets::{BlockInput, Carry, Span, build};
pub use coins::{CoinError, CoinFlow, CoinHistory, CoinInput, CoinLedger, coin_flows, created_sat};
pub use metrics::{METRICS, Metric, MetricInputs, Prepared};
pub use rollup::rollup;
pub use stream::BucketStream;
