//! What is put right when a log is opened.

use std::path::PathBuf;

use model::LogPosition;

/// The end of the newest segment that was not written whole, and was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// Bytes cut.
    pub bytes: u64,
    /// The file that keeps them.
    pub kept: PathBuf,
}

/// What was found and put right when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Oldest record kept.
    pub first: LogPosition,
    /// Newest record.
    pub last: LogPosition,
    /// Segments found.
    pub segment_count: usize,
    /// A torn tail that was cut.
    pub torn: Option<TornTail>,
}
