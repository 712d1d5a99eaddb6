//! Work on the past that one process asks of another: a command writes a job, the process that holds the folder carries it out
//! and tells how far it is.

use model::{Date, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Error;
use crate::store::Control;

/// The tables' first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    venue TEXT NOT NULL,
    instruments TEXT NOT NULL,
    data TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    first_day INTEGER,
    last_day INTEGER,
    source TEXT NOT NULL,
    flags TEXT NOT NULL,
    parallel INTEGER NOT NULL,
    state TEXT NOT NULL,
    is_cancelled INTEGER NOT NULL,
    message TEXT NOT NULL,
    phase TEXT NOT NULL,
    files_done INTEGER NOT NULL,
    files INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    bytes_done INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    running TEXT NOT NULL,
    budgets TEXT NOT NULL,
    created_time INTEGER NOT NULL,
    told_time INTEGER NOT NULL
) STRICT;
CREATE TABLE job_lines (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
";

/// Jobs that are over and kept to be looked at.
const KEPT: i64 = 50;

/// What is asked for. Words are those of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobAsk {
    /// `backfill` or `verify`.
    pub kind: String,
    /// Whose past; empty for every venue.
    pub venue: String,
    /// Symbols or instrument ids; none for all that are stored.
    pub instruments: Vec<String>,
    /// What is taken: `trades`, `klines` and so on.
    pub data: String,
    /// Length of bars.
    pub timeframe: String,
    /// First and last day, as far as they were named.
    pub days: (Option<Date>, Option<Date>),
    /// Where it is taken from.
    pub source: String,
    /// What else was said, such as `deep` or `repair`.
    pub flags: Vec<String>,
    /// Files fetched at once.
    pub parallel: u8,
}

impl JobAsk {
    /// Whether a word was said.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Nobody began it, or who did has ended.
    Waiting,
    /// It is being carried out.
    Running,
    /// It is done.
    Clean,
    /// It is done, and something was found.
    Findings,
    /// It makes no sense; the message says why.
    Refused,
    /// It could not be done; the message says why.
    Failed,
    /// It was called off.
    Cancelled,
}

impl JobState {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Waiting, "waiting"),
        (Self::Running, "running"),
        (Self::Clean, "clean"),
        (Self::Findings, "findings"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// Its name in the table.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }

    /// Whether nothing more happens to it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// How far work on the past is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, and about what.
    pub phase: String,
    /// Files done with.
    pub files_done: u64,
    /// Files that there are to do, as far as it is known.
    pub files: u64,
    /// Rows that were taken in.
    pub rows: u64,
    /// Bytes that came.
    pub bytes_done: u64,
    /// Bytes that are to come in all, as far as it is known.
    pub bytes: u64,
    /// Files that are being fetched: name, bytes that came, bytes in all.
    pub running: Vec<(String, u64, u64)>,
    /// Venues that are asked over REST: weight used in this window, weight allowed.
    pub budgets: Vec<(String, u64, u64)>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// What is asked for.
    pub ask: JobAsk,
    /// How it stands.
    pub state: JobState,
    /// Whether it is to be called off.
    pub is_cancelled: bool,
    /// Why it ended as it did, where there is something to say.
    pub message: String,
    /// How far it is.
    pub progress: Progress,
    /// When it was asked for.
    pub created_time: Time,
    /// When it was last heard of.
    pub told_time: Time,
}

impl Control {
    /// Asks for a job; its number.
    pub fn add_job(&self, ask: &JobAsk, now: Time) -> Result<i64, Error> {
        self.with("write", |connection| {
            let transaction = connection.transaction()?;
            let oldest = "SELECT coalesce(max(id), 0) - ?1 FROM jobs";
            let over = format!(
                "DELETE FROM jobs WHERE id <= ({oldest}) AND state NOT IN ('waiting', 'running')"
            );
            transaction.execute(&over, [KEPT])?;
            transaction.execute("DELETE FROM job_lines WHERE job NOT IN (SELECT id FROM jobs)", [])?;
            transaction.execute(
                "INSERT INTO jobs (kind, venue, instruments, data, timeframe, first_day, last_day, source, flags,
                 parallel, state, is_cancelled, message, phase, files_done, files, rows, bytes_done, bytes, running,
                 budgets, created_time, told_time)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'waiting', 0, '', '', 0, 0, 0, 0, 0, '', '', ?11, ?11)",
                params![
                    ask.kind,
                    ask.venue,
                    ask.instruments.join(","),
                    ask.data,
                    ask.timeframe,
                    ask.days.0.map(|day| day.0),
                    ask.days.1.map(|day| day.0),
                    ask.source,
                    ask.flags.join(","),
                    ask.parallel,
                    now.0,
                ],
            )?;
            let id = transaction.last_insert_rowid();
            transaction.commit()?;
            Ok(id)
        })
    }

    /// A job; `None` if it is not known any more.
    pub fn job(&self, id: i64) -> Result<Option<Job>, Error> {
        self.with("read", |connection| {
            let asked = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
            connection.prepare_cached(&asked)?.query_row([id], read).optional()
        })
    }

    /// Jobs that are not over, by number.
    pub fn open_jobs(&self) -> Result<Vec<Job>, Error> {
        self.with("read", |connection| {
            let asked =
                format!("SELECT {COLUMNS} FROM jobs WHERE state IN ('waiting', 'running') ORDER BY id");
            let mut statement = connection.prepare_cached(&asked)?;
            statement.query_map([], read)?.collect()
        })
    }

    /// Takes up the oldest job that waits.
    pub fn take_job(&self, now: Time) -> Result<Option<Job>, Error> {
        self.with("write", |connection| {
            // Asked for every second: without a job nothing is written.
            let oldest: Option<i64> = connection
                .prepare_cached("SELECT min(id) FROM jobs WHERE state = 'waiting'")?
                .query_row([], |row| row.get(0))?;
            let Some(id) = oldest else { return Ok(None) };
            set_state(connection, id, (JobState::Running, ""), now)?;
            let asked = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
            connection.query_row(&asked, [id], read).optional()
        })
    }

    /// Lets jobs wait again that a process left behind which has ended. Only the process that holds the folder may say so.
    pub fn revive_jobs(&self) -> Result<usize, Error> {
        self.with("write", |connection| {
            connection.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'", [])
        })
    }

    /// Tells how far a job is, and what there is to say; whether it is to be called off.
    pub fn tell_job(
        &self,
        id: i64,
        (progress, lines): (&Progress, &[String]),
        now: Time,
    ) -> Result<bool, Error> {
        self.with("write", |connection| {
            let transaction = connection.transaction()?;
            let mut number: i64 = transaction.query_row(
                "SELECT coalesce(max(number), 0) FROM job_lines WHERE job = ?1",
                [id],
                |row| row.get(0),
            )?;
            for line in lines {
                number += 1;
                transaction
                    .prepare_cached("INSERT INTO job_lines (job, number, text) VALUES (?1, ?2, ?3)")?
                    .execute(params![id, number, line])?;
            }
            transaction
                .prepare_cached(
                    "UPDATE jobs SET phase = ?2, files_done = ?3, files = ?4, rows = ?5, bytes_done = ?6, bytes = ?7,
                     running = ?8, budgets = ?9, told_time = ?10 WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    progress.phase,
                    progress.files_done.cast_signed(),
                    progress.files.cast_signed(),
                    progress.rows.cast_signed(),
                    progress.bytes_done.cast_signed(),
                    progress.bytes.cast_signed(),
                    to_text(&progress.running),
                    to_text(&progress.budgets),
                    now.0,
                ])?;
            let is_cancelled: Option<bool> = transaction
                .query_row("SELECT is_cancelled FROM jobs WHERE id = ?1", [id], |row| row.get(0))
                .optional()?;
            transaction.commit()?;
            Ok(is_cancelled.unwrap_or(true))
        })
    }

    /// What was said of a job behind a line.
    pub fn job_lines(&self, id: i64, behind: i64) -> Result<Vec<(i64, String)>, Error> {
        self.with("read", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, text FROM job_lines WHERE job = ?1 AND number > ?2 ORDER BY number",
            )?;
            let rows = statement.query_map(params![id, behind], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// A job ended, or waits again.
    pub fn settle_job(&self, id: i64, ended: (JobState, &str), now: Time) -> Result<(), Error> {
        self.with("write", |connection| set_state(connection, id, ended, now))
    }

    /// Calls a job off: at once if it waits, else as soon as its process hears of it.
    pub fn cancel_job(&self, id: i64) -> Result<(), Error> {
        self.with("write", |connection| {
            let sql = "UPDATE jobs SET is_cancelled = 1, state = iif(state = 'waiting', 'cancelled', state) WHERE id = ?1";
            connection.execute(sql, [id]).map(|_rows| ())
        })
    }
}

fn set_state(
    connection: &Connection,
    id: i64,
    (state, message): (JobState, &str),
    now: Time,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE jobs SET state = ?2, message = ?3, told_time = ?4 WHERE id = ?1")?
        .execute(params![id, state.as_str(), message, now.0])
        .map(|_rows| ())
}

/// Names with two numbers, one a line.
fn to_text(parts: &[(String, u64, u64)]) -> String {
    let lines: Vec<String> =
        parts.iter().map(|(name, done, all)| format!("{done} {all} {}", name.replace('\n', " "))).collect();
    lines.join("\n")
}

fn from_text(text: &str) -> Vec<(String, u64, u64)> {
    let part = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (done, all) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((words.next()?.to_owned(), done, all))
    };
    text.lines().filter_map(part).collect()
}

const COLUMNS: &str = "id, kind, venue, instruments, data, timeframe, first_day, last_day, source, flags, parallel, state, \
                       is_cancelled, message, phase, files_done, files, rows, bytes_done, bytes, running, budgets, \
                       created_time, told_time";

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let text = |index: usize| row.get::<_, String>(index);
    let number = |index: usize| row.get::<_, i64>(index).map(i64::cast_unsigned);
    let words = |index: usize| {
        let text: String = row.get(index)?;
        Ok::<_, rusqlite::Error>(text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    };
    let day = |index: usize| row.get::<_, Option<i32>>(index).map(|day| day.map(Date));
    let state = JobState::named(&text(11)?).ok_or_else(|| {
        let what = "no state of a job".to_owned();
        rusqlite::Error::FromSqlConversionFailure(11, rusqlite::types::Type::Text, what.into())
    })?;
    Ok(Job {
        id: row.get(0)?,
        ask: JobAsk {
            kind: text(1)?,
            venue: text(2)?,
            instruments: words(3)?,
            data: text(4)?,
            timeframe: text(5)?,
            days: (day(6)?, day(7)?),
            source: text(8)?,
            flags: words(9)?,
            parallel: row.get(10)?,
        },
        state,
        is_cancelled: row.get(12)?,
        message: text(13)?,
        progress: Progress {
            phase: text(14)?,
            files_done: number(15)?,
            files: number(16)?,
            rows: number(17)?,
            bytes_done: number(18)?,
            bytes: number(19)?,
            running: from_text(&text(20)?),
            budgets: from_text(&text(21)?),
        },
        created_time: Time(row.get(22)?),
        told_time: Time(row.get(23)?),
    })
}
