//! Segments: files of records named by their first position.

use std::path::PathBuf;

use model::{LogPosition, Nanos};

/// How a segment rests on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentForm {
    /// Records as they were appended.
    Raw,
    /// An MCAP file, compressed.
    Archive,
}

/// One segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub path: PathBuf,
    /// Position of its first record.
    pub first: LogPosition,
    /// Position of its last record; one before `first` while it is empty.
    pub last: LogPosition,
    /// Bytes on disk.
    pub bytes: u64,
    /// How it rests on disk.
    pub form: SegmentForm,
    /// When it was begun, by our clock.
    pub created: Nanos,
}

/// Records that can not be read: their bytes are damaged or absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Bytes passed over.
    pub bytes: u64,
    /// First position lost.
    pub first: LogPosition,
    /// Last position lost.
    pub last: LogPosition,
    /// What is wrong.
    pub reason: &'static str,
}
