//! Where rows rest. Implemented by `lake`, used by `refine` and `serve`.

use std::collections::BTreeMap;
use std::fmt;

use arrow_array::RecordBatch;
use futures::future::BoxFuture;
use model::{InstrumentId, LogPosition};

use crate::coverage::TimeRange;
use crate::rows::{RowBatch, TableName};

/// Which rows to read.
#[derive(Clone, Debug, Default)]
pub struct TableScan {
    /// Only this instrument, in tables about instruments.
    pub instrument: Option<InstrumentId>,
    /// Only rows with this cell in the table's [subject](crate::Table::subject), in tables about something else.
    pub subject: Option<String>,
    /// Only rows whose time column lies in the range (start inclusive, end exclusive).
    pub range: Option<TimeRange>,
    /// Only rows where this column of whole numbers or times (in microseconds) is at least so much.
    pub at_least: Option<(&'static str, i64)>,
    /// Only rows where this column of whole numbers or times (in microseconds) is at most so much.
    pub at_most: Option<(&'static str, i64)>,
    /// Only these columns, in this order; empty for all.
    pub columns: Vec<&'static str>,
    /// Sorted by the table's key, descending if true.
    pub is_descending: bool,
    /// At most so many rows: the first of the order. Where the key goes on with a word behind the subject (timeframe, channel),
    /// those at the end in time.
    pub limit: Option<usize>,
}

/// Why the store could not do it.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// The row buffer is full because commits stall; hand the same rows in again later.
    BufferFull,
    /// Somebody else changed what was to be replaced; plan again.
    Conflict(String),
    /// Reading or writing failed.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferFull => f.write_str("row buffer is full while commits stall"),
            Self::Conflict(what) => write!(f, "conflicting change: {what}"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}

/// Tables with a buffer in front. Buffered rows are readable at once; `commit` makes them last.
pub trait TableStore: Send + Sync {
    /// Takes rows into the buffer. Rows at or below the table's committed position are dropped: they are stored already.
    fn append(&self, rows: RowBatch) -> Result<(), StoreError>;

    /// Commits all buffered rows with positions up to `through`, one commit per table that has any, in the fixed order
    /// of [`commit_order`]; each carries `through` as its application transaction. Rows above `through` stay buffered.
    /// Returns when everything is durable. Calling it again after a crash with the same rows stores nothing twice.
    fn commit(&self, through: LogPosition) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Rows in the buffer, and how many it may hold.
    fn buffered(&self) -> (usize, usize);

    /// How far each table of [`commit_order`] is committed.
    fn positions(&self) -> BTreeMap<TableName, LogPosition>;

    /// Reads committed and buffered rows as one.
    fn scan(&self, table: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>>;

    /// Replaces all committed rows of one instrument in a time range by others, in one commit.
    fn replace(
        &self,
        table: TableName,
        instrument: InstrumentId,
        range: TimeRange,
        rows: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The order in which tables of one flush are committed: raw news first, derived rows after, gaps last.
pub const fn commit_order() -> &'static [TableName] {
    &[
        TableName::Instruments,
        TableName::Trades,
        TableName::Quotes,
        TableName::BookChanges,
        TableName::MarkPrices,
        TableName::Funding,
        TableName::OpenInterest,
        TableName::Bars,
        TableName::Gaps,
    ]
}
