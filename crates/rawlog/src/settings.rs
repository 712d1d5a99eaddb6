//! How a log is kept: folder, sizes, pace and retention. Where the values come from is left to the binary.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::LogPosition;

/// Says how much room a folder's disk has left, and writes to it. A border, so that tests can fill a disk without one.
pub trait DiskSpace: fmt::Debug + Send + Sync {
    /// Bytes free for this user on the disk that holds `folder`.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;

    /// Writes all bytes at an offset. A disk may turn out to be full only here, in the middle of them.
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }
}

/// Asks the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl DiskSpace for SystemDisk {
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        fs4::available_space(folder)
    }
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Folder of the segments; made if absent.
    pub directory: PathBuf,
    /// A segment is sealed when it reaches this size.
    pub segment_bytes: u64,
    /// A written record is synced to disk at most so much later.
    pub commit_every: Duration,
    /// Places in the queue before the writer; a record takes one for every started 4 KiB.
    pub queue_records: usize,
    /// Capture stops while less is free on the disk.
    pub disk_reserve_bytes: u64,
    /// Whether sealed segments become MCAP files.
    pub archive: bool,
    /// Segments whose records are all older may go once the tables hold them.
    pub keep_age: Option<Duration>,
    /// Oldest segments may go while the log is larger, once the tables hold them.
    pub keep_bytes: Option<u64>,
    /// What the tables hold already: positions go on after it even when the folder is empty.
    pub not_before: LogPosition,
    /// Who tells the room left on the disk.
    pub disk: Arc<dyn DiskSpace>,
}

impl LogSettings {
    /// The usual settings for a log in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 256 << 20,
            commit_every: Duration::from_millis(10),
            queue_records: 65_536,
            disk_reserve_bytes: 512 << 20,
            archive: true,
            keep_age: None,
            keep_bytes: None,
            not_before: LogPosition(0),
            disk: Arc::new(SystemDisk),
        }
    }
}
