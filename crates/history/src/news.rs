//! What is told while the past is filled.

use std::sync::Arc;

use model::{Date, Instrument};
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
    /// The archive has nothing for these days though it should.
    Absent {
        /// Whose.
        instrument: Arc<Instrument>,
        /// First and last day.
        days: (Date, Date),
    },
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
