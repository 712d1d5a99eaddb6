//! Every unspent output of a chain with the height that made it, kept on disk: what tells how old the coins are that a block spends.
//!
//! The store knows which block it stands at, changes by whole blocks in one durable commit, and keeps what is needed to take the last
//! blocks back. It reads no blocks and asks no node; what ages are good for is left to `onchain`.

mod error;
mod form;
mod store;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use store::{CoinBounds, CoinStore, CoinTip, NextBlock, Prepared};
