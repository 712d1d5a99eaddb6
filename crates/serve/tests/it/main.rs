//! The server as its readers meet it: real HTTP and WebSocket on loopback, with the rest of the house faked in memory.
#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

mod btc;
mod btc_changes;
mod chain_live;
mod chain_world;
mod document;
mod http;
mod live;
mod resume;
mod slow;
mod sql;
mod world;
