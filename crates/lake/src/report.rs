//! What the lake says of itself.

use model::LogPosition;
use tables::TableName;

use crate::shelf::Captured;

/// What one round of merging did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Merges committed.
    pub merges: usize,
    /// Files that went into them.
    pub files_before: usize,
    /// Files that came out.
    pub files_after: usize,
    /// Rows merged.
    pub rows: u64,
}

/// What one round of cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VacuumReport {
    /// Data files deleted.
    pub files_deleted: usize,
    /// Commit entries and checkpoints deleted.
    pub log_files_deleted: usize,
}

/// A table as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Name.
    pub name: TableName,
    /// Version of the table in the lake.
    pub version: u64,
    /// Data files.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Committed rows.
    pub rows: u64,
    /// Rows that wait for a commit.
    pub rows_buffered: usize,
    /// Log position that is committed.
    pub committed: LogPosition,
}

impl TableInfo {
    pub(crate) fn of(captured: &Captured) -> Self {
        Self {
            name: captured.table.name,
            version: captured.version,
            files: captured.files.len(),
            bytes: captured.files.iter().map(|file| file.size).sum(),
            rows: captured.files.iter().map(|file| file.rows).sum(),
            rows_buffered: captured.buffer.iter().map(arrow_array::RecordBatch::num_rows).sum(),
            committed: captured.committed,
        }
    }
}

/// A data file that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// Table.
    pub table: TableName,
    /// Path within the table's folder.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}
