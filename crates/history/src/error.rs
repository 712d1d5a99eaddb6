//! Why the past cannot be filled at all. What concerns one file or one hole is no error: it is told, and kept.

use std::fmt;

/// Why the work ended early. What was done until then stays done; run it again to go on.
#[derive(Debug)]
pub enum Error {
    /// The tables could not be read or written.
    Store(String),
    /// What was done cannot be remembered.
    Control(control::Error),
    /// The venue did not give what was asked for, and goes on refusing.
    Venue(String),
    /// What is asked for makes no sense; says what to do instead.
    Wrong(String),
    /// We were told to stop.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(what) => write!(f, "the tables: {what}{}", remedy(what)),
            Self::Control(error) => write!(f, "{error}{}", remedy(&error.to_string())),
            Self::Venue(what) => write!(f, "{what}{}", remedy(what)),
            Self::Wrong(what) => f.write_str(what),
            Self::Stopped => f.write_str("stopped; run it again to go on"),
        }
    }
}

/// What helps where the disk is the trouble: the rooms below hand its errors on as texts.
fn remedy(what: &str) -> &'static str {
    let is_full =
        ["No space left on device", "database or disk is full"].iter().any(|word| what.contains(word));
    if is_full { "; make room and run it again: what was taken in before stays" } else { "" }
}

impl std::error::Error for Error {}

impl From<control::Error> for Error {
    fn from(error: control::Error) -> Self {
        Self::Control(error)
    }
}

impl From<tables::StoreError> for Error {
    fn from(error: tables::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<tables::QueryError> for Error {
    fn from(error: tables::QueryError) -> Self {
        Self::Store(error.to_string())
    }
}
