//! What can go wrong on the lake's border.

use std::fmt;

use tables::StoreError;

/// Why the lake could not do it.
#[derive(Clone, Debug)]
pub enum Error {
    /// The location or a setting cannot be used; the text names the remedy.
    Unusable(String),
    /// A file of the lake is not what the log says; the text names the file and the remedy.
    Corrupt(String),
    /// The same of one data file; everything but its rows can be read.
    Damaged {
        /// Path within the table's folder.
        path: String,
        /// Names the table, the file, the reason and the remedy.
        what: String,
    },
    /// Somebody else changed the same files; plan again.
    Conflict(String),
    /// Reading or writing failed.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(what)
            | Self::Corrupt(what)
            | Self::Damaged { what, .. }
            | Self::Conflict(what)
            | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(what) => Self::Conflict(what),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Wraps any error with what we were doing.
pub(crate) fn failed<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Error {
    move |error| Error::Failed(format!("{doing}: {error}"))
}
