//! Prices of Bitcoin: ten minutes of a venue from its candles, one price of many venues. Reading candles is left to `venues`.

pub mod aggregate;
mod composer;
mod judge;
mod rollup;
mod rows;
mod weighted;

#[cfg(test)]
#[path = "price/compose_tests.rs"]
mod compose_tests;

pub use aggregate::{DataSourceMode, TenMinutes};
pub use composer::{BASIS_AGE_MAX, MedianComposer, PriceBucket};
pub use judge::{BASIS_STEP_MAX, CALM_BUCKETS, DEVIATION_BACK, DEVIATION_OUT};
pub use rollup::rollup;
pub use weighted::volume_weighted;
