//! Takes a venue's archive files into the tables: rows are read, told apart from what is stored, sorted, folded into
//! bars and made visible in one commit per table. Fetching and unpacking files is left to others.
//!
//! Importing a file again changes nothing: rows that came from the archive leave in the commit that brings the new ones,
//! and rows that came otherwise stay as they are.

mod bars;
mod gaps;
mod klines;
mod pages;
mod stored;
mod trades;

use std::io::Read;
use std::sync::Arc;

use model::{Channel, Instrument, InstrumentId, Source, Time};
use runtime::queue;
use runtime::tasks::beside;
use tables::{BulkStore, Outgoing, StoreError, TableStore, TimeRange};
use venues::archive::{ArchiveData, ArchiveFile, ArchiveSummary, Archives, FileError};

pub use gaps::{days, gaps, reconciled, write_days, write_gaps};
pub use pages::{import_trades, remake_bars, spans_of};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 18;
/// Chunks under way.
const CHUNKS: usize = 4;

/// Where imported rows go.
#[derive(Clone)]
pub struct ImportDoors {
    /// Where stored rows are read.
    pub store: Arc<dyn TableStore>,
    /// Where new ones are written.
    pub bulk: Arc<dyn BulkStore>,
    /// Runs what has to wait; importing itself blocks its thread.
    pub runtime: tokio::runtime::Handle,
}

/// One file to take in.
pub struct ImportAsk<'a> {
    /// The venue's archives.
    pub archives: &'a dyn Archives,
    /// Which file.
    pub file: &'a ArchiveFile,
    /// What it is about, as the venue lists it.
    pub instrument: &'a Instrument,
    /// Goes into the rows as their receipt time: when the file was fetched.
    pub received: Time,
    /// Where the past ends, if the file reaches so far: later trades are left to the recording.
    pub frontier: Option<Frontier>,
}

/// The first trade that was recorded live. What came before is past; from it on the recording knows what it lacks, and asks
/// for it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// Its number, where the venue numbers its trades.
    pub id: Option<i64>,
    /// Its venue time.
    pub time: Time,
}

impl Frontier {
    /// Whether a trade is past.
    pub fn is_behind(&self, id: Option<i64>, time: Time) -> bool {
        match (self.id, id) {
            (Some(first), Some(id)) => id < first,
            _ => time < self.time,
        }
    }

    /// The past part of a span; `None` if all of it is later.
    pub fn cut(&self, span: TimeRange) -> Option<TimeRange> {
        // The frontier's own microsecond may hold earlier trades too.
        let end = span.end.min(self.time.plus_micros(1));
        (span.start < end).then_some(TimeRange { start: span.start, end })
    }
}

/// Why a file was not taken in. Nothing of it is visible then.
#[derive(Debug)]
pub enum ImportError {
    /// The venue makes no such files.
    Unknown,
    /// Its bytes could not be read to their end, for instance since they are packed wrongly.
    Bytes(std::io::Error),
    /// Its rows are not what its name says.
    Rows(FileError),
    /// It holds nothing.
    Empty,
    /// Everything in it is from after the recording began.
    Beyond,
    /// The tables could not take it.
    Store(StoreError),
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("the venue makes no such files"),
            Self::Bytes(error) => write!(f, "its bytes cannot be read: {error}"),
            Self::Rows(error) => write!(f, "{error}"),
            Self::Empty => f.write_str("it holds no rows"),
            Self::Beyond => f.write_str("all of it is from after the recording began"),
            Self::Store(error) => write!(f, "the tables do not take it: {error}"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What importing a file did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// What its reader counted.
    pub summary: ArchiveSummary,
    /// Rows that are new in the table.
    pub added: u64,
    /// Rows that were stored already, from the stream or over REST.
    pub known: u64,
    /// Rows whose id came in the file before.
    pub duplicates: u64,
    /// Rows from beyond the frontier, left to the recording.
    pub beyond: u64,
    /// Ids of the file, as runs; empty where ids are no numbers.
    pub ids: Vec<(i64, i64)>,
    /// Ids between the first and the last that are neither in the file nor stored otherwise, with the times of their
    /// neighbours.
    pub holes: Vec<ImportHole>,
    /// 1-minute bars written: new ones, and those that say something else than before.
    pub bars: u64,
    /// Minutes in which no bar is, of klines alone.
    pub missing_bars: u64,
    /// Bytes of the new rows on disk.
    pub bytes: u64,
}

/// A run of ids that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportHole {
    /// First id.
    pub first_id: i64,
    /// Last id.
    pub last_id: i64,
    /// Time of the trade before.
    pub first_time: Time,
    /// Time of the trade behind.
    pub last_time: Time,
}

/// Takes a file in; `bytes` are its unpacked rows. Blocks until everything is durable.
///
/// Memory does not depend on the length of the file, but for files whose ids are no numbers: those of one file are kept.
pub fn import(
    doors: &ImportDoors,
    ask: &ImportAsk<'_>,
    bytes: &mut dyn Read,
) -> Result<ImportReport, ImportError> {
    match ask.file.data {
        ArchiveData::Trades | ArchiveData::RawTrades => trades::import(doors, ask, bytes),
        ArchiveData::Klines(_) => klines::import(doors, ask, bytes),
        ArchiveData::Funding => Err(ImportError::Unknown),
    }
}

/// The channel whose rows a file of trades holds.
fn feed(file: &ArchiveFile) -> Channel {
    if file.data == ArchiveData::RawTrades { Channel::RawTrades } else { Channel::Trades }
}

/// The span that a file claims.
fn span(file: &ArchiveFile) -> TimeRange {
    TimeRange { start: file.period.start_time(), end: file.period.end_time() }
}

fn outgoing(instrument: &InstrumentId, range: TimeRange) -> Outgoing {
    Outgoing { instrument: instrument.clone(), range, source: Some(Source::Archive) }
}

/// Hands the file over piece by piece, to a thread of its own: unpacking takes as long as understanding.
fn pump(
    bytes: &mut dyn Read,
    mut take: impl FnMut(&[u8]) -> Result<(), ImportError> + Send,
) -> Result<(), ImportError> {
    let (full, mut full_out) = queue::<Vec<u8>>("import.full", CHUNKS);
    let (empty, mut empty_out) = queue::<Vec<u8>>("import.empty", CHUNKS);
    for _ in 0..CHUNKS {
        empty.offer(vec![0; CHUNK_BYTES]);
    }
    let take_all = move || {
        while let Some(chunk) = full_out.receive_blocking() {
            take(&chunk)?;
            empty.offer(chunk);
        }
        Ok(())
    };
    let read_all = move || {
        // Nobody gives chunks back once taking them has failed.
        while let Some(mut chunk) = empty_out.receive_blocking() {
            fill(bytes, &mut chunk)?;
            let is_last = chunk.is_empty();
            if full.send_blocking(chunk).is_err() || is_last {
                break;
            }
        }
        Ok(())
    };
    let (taken, read) = beside("import", take_all, read_all).map_err(ImportError::Bytes)?;
    taken.and(read)
}

/// Reads until the chunk is full; it is shorter at the end of the file, and empty behind it.
fn fill(bytes: &mut dyn Read, chunk: &mut Vec<u8>) -> Result<(), ImportError> {
    chunk.resize(CHUNK_BYTES, 0);
    let mut length = 0;
    while length < CHUNK_BYTES {
        match bytes.read(&mut chunk[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::Bytes(error)),
        }
    }
    chunk.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests;
