//! What the lake is told at its start. Reading a configuration file is left to the binary.

use std::time::Duration;

/// Settings of the lake.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    /// A folder, or the URL of an object store such as `s3://bucket/lake`.
    pub location: String,
    /// Most rows that wait for a commit, over all tables.
    pub buffer_rows_max: usize,
    /// How often files are looked over for merging.
    pub compact_every: Duration,
    /// So many small files of one partition are merged into one.
    pub compact_files_min: usize,
    /// Most files merged at once.
    pub fan_in_max: usize,
    /// A partition that got no new file for so long counts as finished and is merged into its last form.
    pub settle_after: Duration,
    /// How long a file that is no longer part of a table stays on disk, for readers that opened the table before.
    pub vacuum_retention: Duration,
    /// How long the commit entries before the last checkpoint stay readable.
    pub log_keep: Duration,
    /// A checkpoint is written after so many commits.
    pub checkpoint_every: u64,
    /// Most memory for one query, bytes; a query may ask for less.
    pub query_memory_bytes: usize,
    /// Most queries running at once; further ones wait within their time.
    pub queries_max: usize,
    /// Memory for the footers of data files, bytes.
    pub footer_memory_bytes: usize,
    /// Threads for writing, merging and scans; each SQL query gets so many of its own.
    pub threads: usize,
}

impl LakeSettings {
    /// The usual settings for a location.
    pub fn at(location: impl Into<String>) -> Self {
        Self {
            location: location.into(),
            buffer_rows_max: 2_000_000,
            compact_every: Duration::from_secs(20),
            compact_files_min: 8,
            fan_in_max: 16,
            settle_after: Duration::from_hours(2),
            vacuum_retention: Duration::from_hours(24),
            log_keep: Duration::from_hours(72),
            checkpoint_every: 100,
            query_memory_bytes: 256 << 20,
            queries_max: 8,
            footer_memory_bytes: 32 << 20,
            threads: 2,
        }
    }
}
