//! The first day of which an archive has a file of an instrument. Found once, since it never becomes another.

use model::{Channel, Date, InstrumentId};
use rusqlite::{OptionalExtension, params};

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE oldest_files (
    instrument TEXT NOT NULL,
    channel TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    PRIMARY KEY (instrument, channel)
) STRICT, WITHOUT ROWID;
";

impl Control {
    /// The first day of which the archive has a file, if it was asked before.
    pub fn oldest_file(&self, instrument: &InstrumentId, channel: Channel) -> Result<Option<Date>, Error> {
        self.with("read", |connection| {
            connection
                .prepare_cached("SELECT first_day FROM oldest_files WHERE instrument = ?1 AND channel = ?2")?
                .query_row(params![instrument.as_str(), channel.as_str()], |row| row.get(0).map(Date))
                .optional()
        })
    }

    /// Keeps it.
    pub fn keep_oldest_file(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        day: Date,
    ) -> Result<(), Error> {
        self.with("write", |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO oldest_files (instrument, channel, first_day) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![instrument.as_str(), channel.as_str(), day.0])
                .map(|_rows| ())
        })
    }
}
