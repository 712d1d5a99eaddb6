//! The handle to an open log.

use std::sync::Arc;

use model::LogPosition;
use runtime::{Clock, Tasks};
use tokio::sync::watch;

use crate::error::{Error, LogClosed};
use crate::reader::LogReader;
use crate::record::NewRecord;
use crate::recovery::RecoveryReport;
use crate::segment::SegmentInfo;
use crate::settings::LogSettings;

/// Whether the log takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Open,
    /// It waits for room on the disk and goes on by itself.
    DiskFull {
        /// Bytes free when last looked.
        free_bytes: u64,
    },
    /// It ended.
    Closed,
}

/// An open log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Log;

impl Log {
    /// Opens the log of a folder, repairs a torn tail and starts its threads. To be called within a tokio runtime.
    pub fn open(
        settings: LogSettings,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<(Self, RecoveryReport), Error> {
        let _ = (settings, clock, tasks);
        todo!()
    }

    /// Adds a record. Waits while the queue or the disk is full.
    pub async fn append(&self, record: NewRecord) -> Result<(), LogClosed> {
        let _ = record;
        todo!()
    }

    /// Adds records that get contiguous positions.
    pub async fn append_many(&self, records: Vec<NewRecord>) -> Result<(), LogClosed> {
        let _ = records;
        todo!()
    }

    /// Newest record that readers can see.
    pub fn written(&self) -> LogPosition {
        todo!()
    }

    /// Newest record that survives a power cut.
    pub fn durable(&self) -> LogPosition {
        todo!()
    }

    /// Waits until a position is durable.
    pub async fn wait_durable(&self, position: LogPosition) -> Result<(), LogClosed> {
        let _ = position;
        todo!()
    }

    /// As [`Log::wait_durable`], blocking the thread.
    pub fn wait_durable_blocking(&self, position: LogPosition) -> Result<(), LogClosed> {
        let _ = position;
        todo!()
    }

    /// Whether the log takes records.
    pub fn state(&self) -> LogState {
        todo!()
    }

    /// Follows [`Log::state`].
    pub fn watch_state(&self) -> watch::Receiver<LogState> {
        todo!()
    }

    /// Reads the records after a position and follows the log from there.
    pub fn reader(&self, after: LogPosition) -> Result<LogReader, Error> {
        let _ = after;
        todo!()
    }

    /// Oldest record still kept.
    pub fn first_position(&self) -> LogPosition {
        todo!()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }

    /// The tables hold everything up to here: retention may delete segments that end at or before it.
    pub fn allow_trim(&self, through: LogPosition) {
        let _ = through;
        todo!()
    }
}
