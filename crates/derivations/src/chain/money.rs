//! Dollars that add up exactly, whatever the order and wherever a sum begins.

/// A price in hundred-millionths of a dollar.
pub(super) type Price = i64;

/// Units of an amount in a dollar: satoshi × hundred-millionths of a dollar.
const UNITS: f64 = 1e16;

/// The nearest price; `None` of what is no price.
pub(super) fn price(value: f64) -> Option<Price> {
    let scaled = (value * 1e8).round();
    (scaled >= 1.0 && scaled < i64::MAX as f64).then_some(scaled as i64)
}

/// What satoshi are worth.
pub(super) fn worth(sat: i64, price: Price) -> i128 {
    i128::from(sat) * i128::from(price)
}

/// As dollars.
pub(super) fn usd(amount: i128) -> f64 {
    amount as f64 / UNITS
}

/// Satoshi as bitcoin.
pub(super) fn btc(sat: i128) -> f64 {
    sat as f64 / 1e8
}
