//! Journeys of the built binary: demo, recordings, kills, faults, closing, bad input.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests wait for other processes in real time, within bounds"
)]

mod backfill;
mod bad_input;
mod bitcoin;
mod chain_guide;
mod chain_kills;
mod chain_tip;
mod chain_trouble;
mod chain_ways;
mod chain_world;
mod closing;
mod demo;
mod folds;
mod history;
mod kills;
mod listings;
mod mutes;
mod notifications;
mod past_jobs;
mod past_names;
mod past_raw;
mod past_sources;
mod recorded_archives;
mod recordings;
mod resuming;
mod world;
