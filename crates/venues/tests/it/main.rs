//! Tests of the venues at their border: frames in, events out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;
mod garbage;
mod golden;
mod klines;
mod promises;
mod recordings;
