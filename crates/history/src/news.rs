//! What is told while the past is filled.

use std::sync::Arc;

use model::{Date, Gap, GapState, Instrument};
use refine::import::ImportReport;
use venues::archive::ArchiveFile;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum News {
    /// So many files more are to be fetched, of so many bytes.
    Planned {
        /// Files.
        files: u64,
        /// Bytes, as far as they are listed.
        bytes: u64,
    },
    /// A file begins to come.
    Fetching {
        /// Its name.
        file: Arc<str>,
        /// Its bytes, if they are listed.
        bytes: Option<u64>,
    },
    /// Some bytes of a file came.
    Bytes {
        /// Its name.
        file: Arc<str>,
        /// How many more.
        bytes: u64,
    },
    /// So many rows that came over REST are stored.
    Rows(u64),
    /// Something for a person to read.
    Said(String),
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

/// A piece of news in words, where a person would want to read it.
pub(crate) fn told(news: &News) -> Option<String> {
    match news {
        News::Said(text) => Some(text.clone()),
        News::Hole { instrument, gap } => Some(told_hole(instrument, gap)),
        News::File { instrument, file, end, seconds } => Some(told_file(instrument, file, end, *seconds)),
        News::Absent { instrument, days } => {
            Some(format!("{} {}..{}: the archive has no file", instrument.id, days.0, days.1))
        }
        News::Planned { .. }
        | News::Fetching { .. }
        | News::Bytes { .. }
        | News::Rows(_)
        | News::Phase { .. } => None,
    }
}

fn told_hole(instrument: &Instrument, gap: &Gap) -> String {
    let span = match (gap.first_id, gap.last_id) {
        (Some(first), Some(last)) => format!("ids {first} to {last}"),
        _ => format!("{} to {}", gap.first_time, gap.last_time),
    };
    let end = match gap.state {
        GapState::Filled => "filled over REST".to_owned(),
        _ => format!("stays missing: {}", gap.cause),
    };
    format!("{} {span}: {end}", instrument.id)
}

fn told_file(instrument: &Instrument, file: &ArchiveFile, end: &FileEnd, seconds: f64) -> String {
    let what = match end {
        FileEnd::Imported(report) => {
            let rate = report.summary.row_count as f64 / seconds.max(1e-6) / 1e6;
            let mut words = format!("{} rows in {seconds:.1} s ({rate:.2} M/s)", report.summary.row_count);
            for (count, what) in [
                (report.known, "known before"),
                (report.duplicates, "twice"),
                (report.beyond, "left to the recording"),
                (report.holes.len() as u64, "holes"),
                (report.missing_bars, "bars missing"),
            ] {
                if count > 0 {
                    words = format!("{words}, {count} {what}");
                }
            }
            words
        }
        FileEnd::Spoilt(why) => format!("not taken in: {why}"),
        FileEnd::Absent => "the archive has no such file".to_owned(),
    };
    format!("{} {}: {what}", instrument.id, file.period)
}
