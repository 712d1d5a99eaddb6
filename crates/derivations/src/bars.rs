//! Bars: 1-minute bars from trades, any timeframe from 1-minute bars.

mod accumulator;
mod minutes;
mod rollup;
mod state;

#[cfg(test)]
mod tests;

pub use minutes::{MinuteBars, MinuteInput, MinuteNews, Taken};
pub use rollup::{BarSum, Rollup};

/// Digits behind the point that stored sums keep.
pub const SUM_SCALE: u8 = 18;
