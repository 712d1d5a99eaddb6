//! Where the past of each instrument ends: its first trade that was recorded live. Found once, since looking for it reads the table.

use model::{InstrumentId, Time};
use rusqlite::{OptionalExtension, params};

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE frontiers (
    instrument TEXT PRIMARY KEY,
    first_id INTEGER,
    first_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

impl Control {
    /// Number (where there is one) and venue time of the first trade that was recorded live, if it was kept.
    pub fn frontier(&self, instrument: &InstrumentId) -> Result<Option<(Option<i64>, Time)>, Error> {
        self.with("read", |connection| {
            connection
                .prepare_cached("SELECT first_id, first_time FROM frontiers WHERE instrument = ?1")?
                .query_row(params![instrument.as_str()], |row| Ok((row.get(0)?, Time(row.get(1)?))))
                .optional()
        })
    }

    /// Keeps it; the one that was kept first stays.
    pub fn keep_frontier(
        &self,
        instrument: &InstrumentId,
        (id, time): (Option<i64>, Time),
    ) -> Result<(), Error> {
        self.with("write", |connection| {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO frontiers (instrument, first_id, first_time) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![instrument.as_str(), id, time.0])
                .map(|_rows| ())
        })
    }

    /// Forgets it: the trade it names is not there any more.
    pub fn forget_frontier(&self, instrument: &InstrumentId) -> Result<(), Error> {
        self.with("write", |connection| {
            connection
                .prepare_cached("DELETE FROM frontiers WHERE instrument = ?1")?
                .execute(params![instrument.as_str()])
                .map(|_rows| ())
        })
    }
}
