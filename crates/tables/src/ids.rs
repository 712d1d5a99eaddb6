//! Which ids the data files hold, told without reading their rows. Implemented by `lake`; what is missing or double over
//! several files is for the caller to find.

use futures::future::BoxFuture;
use model::{Date, IdRuns, InstrumentId, Time};

use crate::column::Table;
use crate::coverage::TimeRange;
use crate::rows::TableName;
use crate::store::StoreError;

/// The column of ids that count up, in tables that have one.
const ID_COLUMN: &str = "trade_id";

impl Table {
    /// The column of ids that count up, if the table has one: its runs are noted with each data file.
    pub fn ids(&self) -> Option<&'static str> {
        self.column(ID_COLUMN).map(|column| column.name)
    }
}

/// Whose ids are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdAsk {
    /// Of this table, which must have ids,
    pub table: TableName,
    /// and this instrument,
    pub instrument: InstrumentId,
    /// on the days that this range touches: files are told whole, never in parts.
    pub range: TimeRange,
    /// Reads the rows themselves instead of trusting what was noted when they were written.
    pub is_deep: bool,
}

/// What one data file holds of an instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIds {
    /// Path within the table's folder.
    pub path: String,
    /// Its day.
    pub day: Date,
    /// Rows of the instrument.
    pub rows: u64,
    /// Their numeric ids, each once.
    pub runs: IdRuns,
    /// Rows with an id that a row before them has too.
    pub duplicates: u64,
    /// Rows without a numeric id.
    pub rows_without_id: u64,
    /// Time of the first row.
    pub first_time: Time,
    /// Time of the last row.
    pub last_time: Time,
    /// Whether the rows were read for this answer.
    pub is_deep: bool,
}

/// Tells which ids are stored.
pub trait IdLedger: Send + Sync {
    /// What the committed files hold of an instrument, ordered by day and first time; files without a row of it are left
    /// out. Rows that wait for a commit are not in it. An id may be in two files: their runs overlap then.
    fn ids(&self, ask: IdAsk) -> BoxFuture<'_, Result<Vec<FileIds>, StoreError>>;
}
