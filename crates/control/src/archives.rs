//! Which files of the venues' archives were taken in, with what checksum, and what was found in them: so that nothing is
//! fetched twice, and a file that was rewritten is noticed.

use model::{Channel, Date, InstrumentId, Time};
use rusqlite::{OptionalExtension, Row, params};

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE archive_files (
    venue TEXT NOT NULL,
    path TEXT NOT NULL,
    instrument TEXT NOT NULL,
    channel TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    checksum TEXT NOT NULL,
    tag TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    rows_added INTEGER NOT NULL,
    rows_known INTEGER NOT NULL,
    rows_twice INTEGER NOT NULL,
    rows_missing INTEGER NOT NULL,
    first_id INTEGER,
    last_id INTEGER,
    versions INTEGER NOT NULL,
    settled_time INTEGER NOT NULL,
    PRIMARY KEY (venue, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_files_by_instrument ON archive_files (instrument, channel, first_day);
";

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Its rows are in the tables.
    Imported,
    /// It is not what it claims: set aside, nothing of it is in the tables.
    Quarantined,
    /// The archive should have it and does not.
    Absent,
    /// No file: the venue was asked for these days over REST, and gave everything it has.
    Asked,
}

impl FileState {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Imported, "imported"),
        (Self::Quarantined, "quarantined"),
        (Self::Absent, "absent"),
        (Self::Asked, "asked"),
    ];

    /// Its name in the table.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// One file of an archive, as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRecord {
    /// Venue.
    pub venue: String,
    /// Path below the archive's origin.
    pub path: String,
    /// What it is about.
    pub instrument: InstrumentId,
    /// What it holds.
    pub channel: Channel,
    /// First and last day that its name claims, both inclusive.
    pub days: (Date, Date),
    /// What became of it.
    pub state: FileState,
    /// Why it was quarantined; empty otherwise.
    pub reason: String,
    /// SHA-256 of its bytes, in hex; empty if it is absent.
    pub checksum: String,
    /// The listing's word for its content; another word, another content. Empty where the listing says nothing.
    pub tag: String,
    /// Its bytes.
    pub size_bytes: u64,
    /// Rows that came with it.
    pub rows_added: u64,
    /// Rows that were stored before, from elsewhere.
    pub rows_known: u64,
    /// Rows that it held twice.
    pub rows_twice: u64,
    /// Ids, or bars, that are neither in it nor stored otherwise.
    pub rows_missing: u64,
    /// First and last numeric id.
    pub ids: Option<(i64, i64)>,
    /// How many different contents were seen under this path.
    pub versions: u32,
    /// When this was found out.
    pub settled_time: Time,
}

impl ArchiveRecord {
    /// A record of days of which there is no file.
    pub fn without_file(
        instrument: &InstrumentId,
        channel: Channel,
        days: (Date, Date),
        state: FileState,
    ) -> Self {
        Self {
            venue: instrument.venue().as_str().to_owned(),
            path: format!("{}/{instrument}/{}/{}..{}", state.as_str(), channel.as_str(), days.0, days.1),
            instrument: instrument.clone(),
            channel,
            days,
            state,
            reason: String::new(),
            checksum: String::new(),
            tag: String::new(),
            size_bytes: 0,
            rows_added: 0,
            rows_known: 0,
            rows_twice: 0,
            rows_missing: 0,
            ids: None,
            versions: 0,
            settled_time: Time(0),
        }
    }
}

impl Control {
    /// What is known of a file.
    pub fn archive_file(&self, venue: &str, path: &str) -> Result<Option<ArchiveRecord>, Error> {
        self.with("read", |connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM archive_files WHERE venue = ?1 AND path = ?2"
                ))?
                .query_row(params![venue, path], read)
                .optional()
        })
    }

    /// What is known of an instrument's files of a channel that touch the days, by first day and path.
    pub fn archive_files(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        (first, last): (Date, Date),
    ) -> Result<Vec<ArchiveRecord>, Error> {
        self.with("read", |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM archive_files
                 WHERE instrument = ?1 AND channel = ?2 AND first_day <= ?4 AND last_day >= ?3
                 ORDER BY first_day, path"
            ))?;
            let rows =
                statement.query_map(params![instrument.as_str(), channel.as_str(), first.0, last.0], read)?;
            rows.collect()
        })
    }

    /// The first day that an instrument's files were asked for.
    pub fn archive_first_day(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
    ) -> Result<Option<Date>, Error> {
        self.with("read", |connection| {
            let first: Option<i32> = connection
                .prepare_cached(
                    "SELECT min(first_day) FROM archive_files WHERE instrument = ?1 AND channel = ?2",
                )?
                .query_row(params![instrument.as_str(), channel.as_str()], |row| row.get(0))?;
            Ok(first.map(Date))
        })
    }

    /// Every instrument of which files were asked for, ascending.
    pub fn archive_instruments(&self) -> Result<Vec<InstrumentId>, Error> {
        self.with("read", |connection| {
            let mut statement = connection
                .prepare_cached("SELECT DISTINCT instrument FROM archive_files ORDER BY instrument")?;
            let rows = statement.query_map([], |row| {
                let text: String = row.get(0)?;
                text.parse().map_err(|_| {
                    let what = "no instrument id".to_owned();
                    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, what.into())
                })
            })?;
            rows.collect()
        })
    }

    /// Keeps what is known of a file in place of what was; it survives a power cut once this returns.
    ///
    /// The number of versions is counted here: one more whenever the checksum is another than before.
    pub fn settle_archive_file(&self, record: &ArchiveRecord) -> Result<u32, Error> {
        self.with("write", |connection| {
            let before: Option<(String, u32)> = connection
                .prepare_cached(
                    "SELECT checksum, versions FROM archive_files WHERE venue = ?1 AND path = ?2",
                )?
                .query_row(params![record.venue, record.path], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let versions = match &before {
                None => u32::from(!record.checksum.is_empty()),
                Some((checksum, versions)) => {
                    versions + u32::from(!record.checksum.is_empty() && *checksum != record.checksum)
                }
            };
            connection
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO archive_files ({COLUMNS}) VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
                ))?
                .execute(params![
                    record.venue,
                    record.path,
                    record.instrument.as_str(),
                    record.channel.as_str(),
                    record.days.0.0,
                    record.days.1.0,
                    record.state.as_str(),
                    record.reason,
                    record.checksum,
                    record.tag,
                    record.size_bytes.cast_signed(),
                    record.rows_added.cast_signed(),
                    record.rows_known.cast_signed(),
                    record.rows_twice.cast_signed(),
                    record.rows_missing.cast_signed(),
                    record.ids.map(|ids| ids.0),
                    record.ids.map(|ids| ids.1),
                    versions,
                    record.settled_time.0,
                ])?;
            Ok(versions)
        })
    }
}

const COLUMNS: &str = "venue, path, instrument, channel, first_day, last_day, state, reason, checksum, tag, size_bytes, \
                       rows_added, rows_known, rows_twice, rows_missing, first_id, last_id, versions, settled_time";

fn read(row: &Row<'_>) -> rusqlite::Result<ArchiveRecord> {
    let text = |index: usize| row.get::<_, String>(index);
    let number = |index: usize| row.get::<_, i64>(index).map(i64::cast_unsigned);
    let strange = |index: usize, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, what.to_owned().into())
    };
    let first_id: Option<i64> = row.get(15)?;
    let last_id: Option<i64> = row.get(16)?;
    Ok(ArchiveRecord {
        venue: text(0)?,
        path: text(1)?,
        instrument: text(2)?.parse().map_err(|_| strange(2, "no instrument id"))?,
        channel: Channel::named(&text(3)?).ok_or_else(|| strange(3, "no channel"))?,
        days: (Date(row.get(4)?), Date(row.get(5)?)),
        state: FileState::named(&text(6)?).ok_or_else(|| strange(6, "no state of a file"))?,
        reason: text(7)?,
        checksum: text(8)?,
        tag: text(9)?,
        size_bytes: number(10)?,
        rows_added: number(11)?,
        rows_known: number(12)?,
        rows_twice: number(13)?,
        rows_missing: number(14)?,
        ids: first_id.zip(last_id),
        versions: row.get(17)?,
        settled_time: Time(row.get(18)?),
    })
}
