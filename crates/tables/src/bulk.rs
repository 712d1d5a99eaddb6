//! Whole days of the past, written past the row buffer and made visible at once. Implemented by `lake`, used by `refine`.

use arrow_array::RecordBatch;
use model::{InstrumentId, Source};

use crate::coverage::TimeRange;
use crate::rows::TableName;
use crate::store::StoreError;

/// Stored rows that leave when new ones come. Rows that wait in the buffer stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Rows of this instrument,
    pub instrument: InstrumentId,
    /// whose time column lies in this range,
    pub range: TimeRange,
    /// and that came from there; whatever the source if absent. Only tables with a column `source` can tell.
    pub source: Option<Source>,
}

/// What one commit of past rows did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkReport {
    /// Rows that came.
    pub rows: u64,
    /// Files that hold them.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A table that takes past rows.
pub trait BulkStore: Send + Sync {
    /// Begins to write. What is written is seen by nobody until it is committed; a writer that is dropped leaves nothing.
    fn begin(&self, table: TableName) -> Result<Box<dyn BulkWriter>, StoreError>;
}

/// Writes past rows. To be called from a thread that may block: each call waits while the disk is behind.
pub trait BulkWriter: Send {
    /// Takes rows in the table's row schema. They are sorted here if need be; batches may come in any order, though
    /// those in the order of the table's key make fewer files.
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError>;

    /// Makes everything written visible in one commit, in which the outgoing rows leave. Durable when it returns.
    fn commit(self: Box<Self>, outgoing: Option<Outgoing>) -> Result<BulkReport, StoreError>;
}
