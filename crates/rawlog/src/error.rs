//! What can go wrong at the border of the raw log, with the remedy in each message.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use model::LogPosition;

/// Why the raw log could not do what was asked.
#[derive(Debug)]
pub enum Error {
    /// The operating system refused.
    Io {
        /// What we were doing, with the path.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// The records asked for were already deleted by retention.
    Trimmed {
        /// Position asked for.
        after: LogPosition,
        /// Oldest record still kept.
        first: LogPosition,
    },
    /// The position asked for lies past the end of the log.
    Beyond {
        /// Position asked for.
        after: LogPosition,
        /// Newest record.
        last: LogPosition,
    },
    /// A file of a format this version does not know.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// A file that holds no log segment.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Byte offset.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A thread of the log could not be started.
    Thread(String),
}

impl Error {
    pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "; give this user the right to read and write the log folder",
        io::ErrorKind::ReadOnlyFilesystem => "; the log needs a folder on a writable file system",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on the disk of the log folder"
        }
        io::ErrorKind::NotFound => "; check the path of the log folder",
        io::ErrorKind::AlreadyExists => "; move away what is in its place",
        io::ErrorKind::NotADirectory => "; the log folder must be a directory",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(f, "{doing}: {source}{}", remedy(source.kind())),
            Self::Trimmed { after, first } => write!(
                f,
                "read the log after position {after}: records before {first} were already deleted by retention; \
                 read on from {first} or keep more with a longer retention"
            ),
            Self::Beyond { after, last } => write!(
                f,
                "read the log after position {after}: the log ends at {last}; the log folder may belong to other tables"
            ),
            Self::Version { path, version } => write!(
                f,
                "open segment {}: format version {version} is newer than this program; run a newer tickhouse",
                path.display()
            ),
            Self::Damaged { path, offset, reason } => {
                write!(f, "read segment {}: {reason} at byte {offset}", path.display())
            }
            Self::Thread(reason) => write!(f, "start the log: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The log was closed; nothing can be added or awaited any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogClosed;

impl fmt::Display for LogClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the raw log is closed")
    }
}

impl std::error::Error for LogClosed {}

#[cfg(test)]
mod tests {
    //! Cases for messages.
    use super::*;

    #[test]
    fn messages_name_the_thing_and_the_remedy() {
        for (kind, remedy) in [
            (io::ErrorKind::PermissionDenied, "right to read and write"),
            (io::ErrorKind::ReadOnlyFilesystem, "writable file system"),
            (io::ErrorKind::StorageFull, "free space"),
            (io::ErrorKind::NotFound, "check the path"),
        ] {
            let error = Error::io("open segment", Path::new("log/7.seg"))(kind.into()).to_string();
            assert!(error.starts_with("open segment log/7.seg: ") && error.contains(remedy), "{error}");
        }
    }
}
