//! What Binance spot and USD-M futures share: names of streams, control messages, and the forms of their frames.
//! Hosts, weights and what only one of them has are left to `binance_spot` and `binance_futures`.

pub(crate) mod answers;
pub(crate) mod archive;
mod book;
pub(crate) mod decoder;
mod layouts;
mod listing;
pub(crate) mod peek;
mod prices;
pub(crate) mod requests;
mod stream;
mod trades;
