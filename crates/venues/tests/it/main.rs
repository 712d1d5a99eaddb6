//! Tests of the venues at their border: frames in, events out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod archive_files;
mod archive_rows;
mod candles;
mod fixture;
mod garbage;
mod golden;
mod klines;
mod promises;
mod recordings;
