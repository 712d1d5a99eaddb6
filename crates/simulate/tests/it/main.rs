//! Journeys of clients through simulated venues, on loopback.

#![expect(clippy::unwrap_used, reason = "these are tests, their shared parts too")]

mod archive;
mod binance;
mod bybit;
mod decoders;
mod faults;
mod listing;
mod load;
mod node;
mod past;
mod prices;
mod receivers;
mod recordings;
mod rest;
mod world;
