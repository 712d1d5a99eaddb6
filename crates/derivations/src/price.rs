//! Prices of Bitcoin: ten minutes of a venue from its candles. Reading candles is left to `venues`.

pub mod aggregate;

pub use aggregate::{DataSourceMode, TenMinutes};
