//! What can go wrong in refine, for the binary to show.

use std::fmt;
use std::path::PathBuf;

/// Why refine could not start or go on.
#[derive(Debug)]
pub enum Error {
    /// The folder of saved states cannot be used.
    States {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The raw log cannot be read.
    Log(String),
    /// A thread could not be started.
    Thread(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::States { path, source } => {
                write!(
                    f,
                    "saved state {}: {source}; check that the folder exists and can be written",
                    path.display()
                )
            }
            Self::Log(what) => write!(f, "read raw log: {what}"),
            Self::Thread(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::States { source, .. } => Some(source),
            Self::Log(_) | Self::Thread(_) => None,
        }
    }
}
