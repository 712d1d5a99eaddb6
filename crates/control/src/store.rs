//! Opens the SQLite file, brings it to the newest version, and runs statements on it one at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::Error;

/// How long a statement waits for another process that holds the file.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Each step takes the file from version `index` to `index + 1`. Steps are only ever added.
const MIGRATIONS: &[&str] = &[
    crate::budgets::SCHEMA,
    crate::archives::SCHEMA,
    crate::budgets::ENDPOINTS_SCHEMA,
    crate::frontiers::SCHEMA,
    crate::unfolded::SCHEMA,
    crate::jobs::SCHEMA,
    crate::oldest::SCHEMA,
    crate::checkpoints::SCHEMA,
    crate::registry::SCHEMA,
    crate::dirty::SCHEMA,
    crate::tokens::SCHEMA,
    crate::checkpoints::SINCE_SCHEMA,
];

/// The control state. Cheap to clone; every call blocks for as long as the disk takes.
#[derive(Clone, Debug)]
pub struct Control {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl Control {
    /// Opens the file, creating it when absent, and migrates it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let mut connection = Connection::open(&path).map_err(|error| explain(&path, "open", error))?;
        prepare(&mut connection).map_err(|error| explain(&path, "open", error))?;
        migrate(&mut connection, &path)?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Opens the file for reading alone, also in a folder that may not be written. Tables that an older version did not make yet are
    /// not there.
    pub fn open_to_read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        // Beside the file SQLite wants to write down who reads; where it may not, nobody else writes the file either.
        let place = format!(
            "file:{}",
            path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
        );
        let open = |place: &str| {
            let connection = Connection::open_with_flags(place, flags)?;
            connection.busy_timeout(BUSY_MAX)?;
            read_version(&connection).map(|_| connection)
        };
        let connection = open(&place)
            .or_else(|_| open(&format!("{place}?immutable=1")))
            .map_err(|error| explain(&path, "open", error))?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file's tables.
    pub fn schema_version(&self) -> Result<i64, Error> {
        self.with("read", |connection| read_version(connection))
    }

    /// Runs statements on the only connection; a panic inside leaves no half-done transaction behind.
    pub(crate) fn with<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|error| explain(&self.path, doing, error))
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let known = MIGRATIONS.len() as i64;
    let run = |connection: &mut Connection| -> rusqlite::Result<i64> {
        // The write lock comes first, so that two starters cannot both run a step.
        let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
        transaction
            .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT")?;
        let version = read_version(&transaction)?;
        if version < known {
            for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
                transaction.execute_batch(step)?;
            }
            transaction.execute("DELETE FROM schema_version", [])?;
            transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [known])?;
        }
        transaction.commit()?;
        Ok(version)
    };
    let version = run(connection).map_err(|error| explain(path, "migrate", error))?;
    if version > known {
        return Err(Error::TooNew { path: path.to_path_buf(), version, known });
    }
    Ok(())
}

fn read_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(version), 0) FROM schema_version", [], |row| row.get(0))
}

fn explain(path: &Path, doing: &'static str, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::Corrupt { path: path.to_path_buf(), reason: error.to_string() }
        }
        _ => Error::Failed { path: path.to_path_buf(), doing, source: error },
    }
}
