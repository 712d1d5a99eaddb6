//! What is told while the past is filled.

use std::sync::Arc;

use model::{Date, Gap, Instrument};
use refine::import::ImportReport;
use venues::archive::ArchiveFile;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum News {
    /// So many bytes of a file came.
    Bytes(u64),
    /// A file is done with.
    File {
        /// What it is about.
        instrument: Arc<Instrument>,
        /// Which file.
        file: Box<ArchiveFile>,
        /// How it ended.
        end: FileEnd,
        /// How long taking it in took, seconds.
        seconds: f64,
    },
    /// A stage of an instrument's life begins.
    Phase {
        /// Whose.
        instrument: Arc<Instrument>,
        /// Which.
        phase: Phase,
    },
    /// The venue was asked for a hole: it is filled, or stays with that cause.
    Hole {
        /// Whose.
        instrument: Arc<Instrument>,
        /// The hole.
        gap: Gap,
    },
    /// The archive has nothing for these days though it should.
    Absent {
        /// Whose.
        instrument: Arc<Instrument>,
        /// First and last day.
        days: (Date, Date),
    },
}

/// What is being done about an instrument's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is looked whether everything is there.
    IntegrityCheck,
    /// Files of the archive are taken in.
    ArchiveRecovery,
    /// The venue is asked over REST.
    HistoricalLoad,
}

impl Phase {
    /// `integrity_check`, `archive_recovery` or `historical_load`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntegrityCheck => "integrity_check",
            Self::ArchiveRecovery => "archive_recovery",
            Self::HistoricalLoad => "historical_load",
        }
    }
}

/// How a file ended.
#[derive(Clone, Debug)]
pub enum FileEnd {
    /// Its rows are in the tables.
    Imported(Box<ImportReport>),
    /// It is not what it claims: set aside.
    Spoilt(String),
    /// It was listed, and is not there.
    Absent,
}

/// Hears what happens. Must not block.
pub trait Listener: Send + Sync {
    /// Takes a piece of news.
    fn hear(&self, news: &News);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Listener for Silent {
    fn hear(&self, _news: &News) {}
}
