//! The formulas of the house: bars from trades and longer bars from shorter ones, what follows from a chain, one price of many.
//!
//! Pure: nothing here reads a clock, a log or a table. Feeding the folds in order is left to `refine`.

pub mod bars;
pub mod chain;
pub mod fold;
pub mod price;

pub use bars::{BarSum, MinuteBars, MinuteInput, MinuteNews, Rollup, Taken};
pub use fold::{Error, Fold};
