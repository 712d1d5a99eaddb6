//! Reads the log while it is written.

use std::time::Duration;

use model::LogPosition;

use crate::error::Error;
use crate::record::Record;
use crate::segment::Damage;

/// Follows the log from a position on. Payloads are slices of what was read at once, so holding one keeps up to 1 MiB.
#[derive(Debug)]
pub struct LogReader(LogPosition);

impl LogReader {
    /// Position of the newest record handed out.
    pub fn position(&self) -> LogPosition {
        self.0
    }

    /// Appends up to `count_max` records to `records`, waiting at most `wait_max` for the first. False when the log is
    /// closed and everything was handed out.
    pub fn next_blocking(
        &mut self,
        records: &mut Vec<Record>,
        count_max: usize,
        wait_max: Duration,
    ) -> Result<bool, Error> {
        let _ = (records, count_max, wait_max);
        todo!()
    }

    /// As [`LogReader::next_blocking`], for tasks.
    pub async fn next(
        &mut self,
        records: &mut Vec<Record>,
        count_max: usize,
        wait_max: Duration,
    ) -> Result<bool, Error> {
        let _ = (records, count_max, wait_max);
        todo!()
    }

    /// Damage passed over since last asked.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        todo!()
    }
}
