//! What can go wrong before collecting starts. What goes wrong later is retried and shown in the status.

use std::fmt;

/// Why collecting cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The settings contradict themselves or name something unknown.
    Settings(String),
    /// The HTTP client cannot be built.
    Client(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(what) => write!(f, "collect settings: {what}"),
            Self::Client(what) => write!(f, "build the http client: {what}"),
        }
    }
}

impl std::error::Error for Error {}
