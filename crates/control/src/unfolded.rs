//! Spans whose trades are being written and whose bars are not made yet: what a process leaves behind that ends in between.

use model::{InstrumentId, Time};
use rusqlite::params;

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE unfolded (
    instrument TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    end_time INTEGER NOT NULL,
    PRIMARY KEY (instrument, start_time, end_time)
) STRICT, WITHOUT ROWID;
";

impl Control {
    /// Notes spans before their trades are written; it survives a power cut once this returns.
    pub fn note_unfolded(&self, instrument: &InstrumentId, spans: &[(Time, Time)]) -> Result<(), Error> {
        self.each_span(
            "INSERT OR IGNORE INTO unfolded (instrument, start_time, end_time) VALUES (?1, ?2, ?3)",
            (instrument, spans),
        )
    }

    /// Their bars are made.
    pub fn forget_unfolded(&self, instrument: &InstrumentId, spans: &[(Time, Time)]) -> Result<(), Error> {
        self.each_span(
            "DELETE FROM unfolded WHERE instrument = ?1 AND start_time = ?2 AND end_time = ?3",
            (instrument, spans),
        )
    }

    /// Spans that were noted and not forgotten, ascending.
    pub fn unfolded(&self, instrument: &InstrumentId) -> Result<Vec<(Time, Time)>, Error> {
        self.with("read", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT start_time, end_time FROM unfolded WHERE instrument = ?1 ORDER BY start_time, end_time",
            )?;
            let rows = statement
                .query_map(params![instrument.as_str()], |row| Ok((Time(row.get(0)?), Time(row.get(1)?))))?;
            rows.collect()
        })
    }

    fn each_span(
        &self,
        sql: &str,
        (instrument, spans): (&InstrumentId, &[(Time, Time)]),
    ) -> Result<(), Error> {
        self.with("write", |connection| {
            let transaction = connection.transaction()?;
            for (start, end) in spans {
                transaction.prepare_cached(sql)?.execute(params![instrument.as_str(), start.0, end.0])?;
            }
            transaction.commit()
        })
    }
}
