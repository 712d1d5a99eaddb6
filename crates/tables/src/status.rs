//! The state of the house, for `serve` and the commands. Put together by the binary.

use std::path::PathBuf;

use model::{LogPosition, Time, status::VenueStatus};

/// How the raw log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStatus {
    /// Newest record written.
    pub written: LogPosition,
    /// Newest record that survives a power cut.
    pub durable: LogPosition,
    /// Bytes on disk.
    pub bytes: u64,
    /// `ok`, or what is wrong: `disk_full …`.
    pub state: String,
}

/// Where an instrument can be in its life: `waiting` for its first trade, `historical_load` while past bars are fetched,
/// `streaming`, `gap_recovery` while a hole is being filled, `mute` though data is due, `down` without a connection.
pub const PHASES: [&str; 8] = [
    "waiting",
    "integrity_check",
    "archive_recovery",
    "historical_load",
    "streaming",
    "gap_recovery",
    "mute",
    "down",
];

/// How the disk can be: `ok`, `low` below the bound of a warning, `full` when nothing can be recorded.
pub const DISK_STATES: [&str; 3] = ["ok", "low", "full"];

/// Where an instrument is in its life, and what it brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentStatusLine {
    /// Instrument.
    pub instrument: model::InstrumentId,
    /// The venue's symbol.
    pub symbol: Box<str>,
    /// One of [`PHASES`].
    pub phase: &'static str,
    /// Trades recorded since the start.
    pub trades_total: u64,
    /// Newest trade.
    pub last_trade_time: Option<Time>,
    /// Newest trade id.
    pub last_trade_id: Option<i64>,
    /// Holes that are open.
    pub gaps_open: usize,
    /// Holes that stay.
    pub gaps_missing: usize,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct HouseStatus {
    /// Version of the binary.
    pub version: &'static str,
    /// When the process started.
    pub started: Time,
    /// Now.
    pub now: Time,
    /// Whether the markets are simulated.
    pub is_simulated: bool,
    /// Data folder.
    pub directory: PathBuf,
    /// Per venue.
    pub venues: Vec<VenueStatus>,
    /// Per instrument with a trade stream.
    pub instruments: Vec<InstrumentStatusLine>,
    /// Raw log.
    pub log: LogStatus,
    /// Log position that rows readers see have reached.
    pub refined: LogPosition,
    /// Log position that the lake has committed.
    pub committed: LogPosition,
    /// Rows not yet committed, and how many may wait.
    pub rows_buffered: (usize, usize),
    /// Trades recorded since the start.
    pub trades_total: u64,
    /// Frames that could not be decoded since the start.
    pub undecodable_total: u64,
    /// Resident memory, bytes.
    pub memory_bytes: u64,
    /// Processor seconds used since the start.
    pub cpu_seconds: f64,
    /// Free disk space, per cent.
    pub disk_free_percent: f64,
    /// Free disk space, bytes.
    pub disk_free_bytes: u64,
    /// One of [`DISK_STATES`].
    pub disk_state: &'static str,
    /// Days until nothing can be recorded, at the pace of the last day; `None` while that cannot be said.
    pub disk_days_left: Option<f64>,
    /// Why rows cannot be committed, while they cannot.
    pub commit_trouble: Option<String>,
}

/// Tells the state of the house.
pub trait StatusSource: Send + Sync {
    /// Now.
    fn status(&self) -> HouseStatus;

    /// Whether past bars of an instrument are being fetched from its venue.
    fn is_fetching_history(&self, instrument: &model::InstrumentId) -> bool;
}
