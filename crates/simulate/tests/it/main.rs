//! Journeys of clients through simulated venues, on loopback.

mod binance;
mod bybit;
mod decoders;
mod faults;
mod recordings;
mod rest;
mod world;
