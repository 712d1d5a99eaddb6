//! What follows from a chain: buckets of ten minutes and longer, what coins are worth, and metrics.

pub mod buckets;
mod flows;
mod median;
mod rollup;
mod stream;

#[cfg(test)]
#[path = "chain/buckets_tests.rs"]
mod buckets_tests;
#[cfg(test)]
mod testing;

pub use buckets::{BlockInput, Carry, Span, bucket_start, build};
pub use rollup::rollup;
pub use stream::BucketStream;
