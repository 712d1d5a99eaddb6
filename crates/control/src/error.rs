//! Why the control state cannot be used.

use std::fmt;
use std::path::PathBuf;

/// Why the control state cannot be opened, read or written.
#[derive(Debug)]
pub enum Error {
    /// The file is there but is no control state, or is damaged.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A newer version of the house wrote the file.
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Reading or writing failed for another reason: rights, a full disk, a file system without locks.
    Failed {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { path, reason } => write!(
                f,
                "control state {} is damaged ({reason}); move it away together with its -wal and -shm files and start \
                 again: it holds no market data and is written anew",
                path.display()
            ),
            Self::TooNew { path, version, known } => write!(
                f,
                "control state {} has version {version}, this program knows {known}; use a newer tickhouse",
                path.display()
            ),
            Self::Failed { path, doing, source } => {
                write!(f, "{doing} control state {}: {source}; check its rights and the disk", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(source),
            Self::Corrupt { .. } | Self::TooNew { .. } => None,
        }
    }
}
