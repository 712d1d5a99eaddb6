//! The state of the house as readers see it.

use model::status::{EndpointStatus, StreamStatus, VenueStatus};
use serde::Serialize;
use tables::{HouseStatus, InstrumentStatusLine, LogStatus};
use utoipa::ToSchema;

/// The whole state of the house.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusForm {
    /// Version of the binary.
    version: String,
    /// When the process started, milliseconds.
    started_time: i64,
    /// Now, milliseconds.
    now: i64,
    /// Seconds since the start.
    uptime_seconds: i64,
    /// Whether the markets are simulated.
    is_simulated: bool,
    /// Data folder.
    directory: String,
    /// Per venue.
    venues: Vec<VenueForm>,
    /// Per instrument with a trade stream.
    instruments: Vec<TickerForm>,
    /// Raw log.
    log: LogForm,
    /// Tables.
    lake: LakeForm,
    /// Trades recorded since the raw log began.
    trades_total: u64,
    /// Frames that could not be decoded since the raw log began.
    undecodable_total: u64,
    /// Resident memory, bytes.
    memory_bytes: u64,
    /// Processor seconds used since the start.
    cpu_seconds: f64,
    /// Free disk space, per cent.
    disk_free_percent: f64,
    /// Free disk space, bytes.
    disk_free_bytes: u64,
    /// `ok`, `low` below the bound of a warning, `full` when nothing can be recorded.
    #[schema(value_type = String)]
    disk_state: &'static str,
    /// Days until nothing can be recorded, at the pace of the last day; null while that cannot be said.
    disk_days_left: Option<f64>,
    /// Why rows cannot be committed, while they cannot.
    commit_trouble: Option<String>,
}

/// The raw log.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Log)]
pub(crate) struct LogForm {
    /// `ok`, or what is wrong.
    state: String,
    /// Newest record written.
    written: u64,
    /// Newest record that survives a power cut.
    durable: u64,
    /// Bytes on disk.
    bytes: u64,
}

/// The tables, as far as the log is in them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Lake)]
pub(crate) struct LakeForm {
    /// Log position that rows readers see have reached.
    refined: u64,
    /// Log position that is committed.
    committed: u64,
    /// Rows not yet committed.
    rows_buffered: usize,
    /// Rows that may wait.
    rows_buffered_max: usize,
}

/// One venue.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Venue)]
pub(crate) struct VenueForm {
    /// Venue.
    #[schema(value_type = String)]
    venue: &'static str,
    /// Open connections.
    connection_count: usize,
    /// Connections opened since the start.
    connects_total: u64,
    /// Frames received since the start.
    frames_total: u64,
    /// Bytes received since the start.
    bytes_total: u64,
    /// Venue clock minus ours, microseconds.
    clock_skew_micros: Option<i64>,
    /// Request weight used in the current window.
    rest_weight_used: u32,
    /// Request weight allowed per window.
    rest_weight_max: u32,
    /// Request weight used in the current window as the venue counts it; null where it does not say.
    rest_weight_told: Option<u32>,
    /// What was asked over REST, the dearest first.
    rest_endpoints: Vec<EndpointForm>,
    /// REST stands still until then, milliseconds.
    banned_until: Option<i64>,
    /// The newest trouble, in words.
    trouble: Option<String>,
    /// Every subscribed stream.
    streams: Vec<StreamForm>,
}

/// One endpoint of a venue's REST host.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(crate) struct EndpointForm {
    /// Its path, without the query.
    path: String,
    /// Request weight used in the current window.
    weight_used: u32,
    /// Request weight since counting began; restarts do not end it.
    weight_total: u64,
    /// Questions since counting began.
    questions_total: u64,
    /// Answers that told us to stop.
    bans_total: u64,
}

/// One subscribed stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub(crate) struct StreamForm {
    /// Instrument; null for a stream over all instruments.
    instrument: Option<String>,
    /// Channel.
    #[schema(value_type = String)]
    channel: &'static str,
    /// The venue's name of the stream.
    key: String,
    /// `waiting`, `live`, `mute` or `down`.
    #[schema(value_type = String)]
    health: &'static str,
    /// When the last message came, milliseconds.
    last_received: Option<i64>,
    /// Messages so far.
    message_count: u64,
}

/// One instrument with a trade stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Ticker)]
pub(crate) struct TickerForm {
    /// The venue's symbol.
    symbol: String,
    /// Venue.
    #[schema(value_type = String)]
    venue: &'static str,
    /// Our id.
    instrument: String,
    /// Where it is in its life: `waiting` for its first trade, `integrity_check` while its past is looked at,
    /// `archive_recovery` while files of it are taken in, `historical_load` while past bars or trades are fetched, `streaming`,
    /// `gap_recovery` while a hole is being filled, `mute` though data is due, `down` without a connection.
    #[schema(value_type = String)]
    status: &'static str,
    /// Trades recorded since the raw log began.
    trades_total: u64,
    /// Newest trade, milliseconds.
    last_trade_time: Option<i64>,
    /// Newest trade id.
    last_aggregate_id: Option<i64>,
    /// Holes that are open.
    gaps_open: usize,
    /// Holes that stay.
    gaps_missing: usize,
}

impl From<&InstrumentStatusLine> for TickerForm {
    fn from(line: &InstrumentStatusLine) -> Self {
        Self {
            symbol: line.symbol.to_string(),
            venue: line.instrument.venue().as_str(),
            instrument: line.instrument.as_str().to_owned(),
            status: line.phase,
            trades_total: line.trades_total,
            last_trade_time: line.last_trade_time.map(model::Time::millis),
            last_aggregate_id: line.last_trade_id,
            gaps_open: line.gaps_open,
            gaps_missing: line.gaps_missing,
        }
    }
}

impl From<&EndpointStatus> for EndpointForm {
    fn from(endpoint: &EndpointStatus) -> Self {
        Self {
            path: endpoint.path.to_string(),
            weight_used: endpoint.weight_used,
            weight_total: endpoint.weight_total,
            questions_total: endpoint.questions_total,
            bans_total: endpoint.bans_total,
        }
    }
}

impl From<&StreamStatus> for StreamForm {
    fn from(stream: &StreamStatus) -> Self {
        Self {
            instrument: stream.instrument.as_ref().map(|id| id.as_str().to_owned()),
            channel: stream.channel.as_str(),
            key: stream.key.to_string(),
            health: stream.health.as_str(),
            last_received: stream.last_received.map(model::Time::millis),
            message_count: stream.message_count,
        }
    }
}

impl From<&VenueStatus> for VenueForm {
    fn from(venue: &VenueStatus) -> Self {
        Self {
            venue: venue.venue.as_str(),
            connection_count: venue.connection_count,
            connects_total: venue.connects_total,
            frames_total: venue.frames_total,
            bytes_total: venue.bytes_total,
            clock_skew_micros: venue.clock_skew_micros,
            rest_weight_used: venue.rest.weight_used,
            rest_weight_max: venue.rest.weight_max,
            rest_weight_told: venue.rest.weight_told,
            rest_endpoints: venue.rest.endpoints.iter().map(EndpointForm::from).collect(),
            banned_until: venue.rest.banned_until.map(model::Time::millis),
            trouble: venue.trouble.clone(),
            streams: venue.streams.iter().map(StreamForm::from).collect(),
        }
    }
}

impl From<&LogStatus> for LogForm {
    fn from(log: &LogStatus) -> Self {
        Self { state: log.state.clone(), written: log.written.0, durable: log.durable.0, bytes: log.bytes }
    }
}

impl From<&HouseStatus> for LakeForm {
    fn from(status: &HouseStatus) -> Self {
        Self {
            refined: status.refined.0,
            committed: status.committed.0,
            rows_buffered: status.rows_buffered.0,
            rows_buffered_max: status.rows_buffered.1,
        }
    }
}

/// Whole seconds since the start.
pub(crate) fn uptime_seconds(status: &HouseStatus) -> i64 {
    (status.now.0 - status.started.0).max(0) / model::time::SECOND
}

impl From<&HouseStatus> for StatusForm {
    fn from(status: &HouseStatus) -> Self {
        Self {
            version: status.version.to_owned(),
            started_time: status.started.millis(),
            now: status.now.millis(),
            uptime_seconds: uptime_seconds(status),
            is_simulated: status.is_simulated,
            directory: status.directory.display().to_string(),
            venues: status.venues.iter().map(VenueForm::from).collect(),
            instruments: status.instruments.iter().map(TickerForm::from).collect(),
            log: LogForm::from(&status.log),
            lake: LakeForm::from(status),
            trades_total: status.trades_total,
            undecodable_total: status.undecodable_total,
            memory_bytes: status.memory_bytes,
            cpu_seconds: status.cpu_seconds,
            disk_free_percent: status.disk_free_percent,
            disk_free_bytes: status.disk_free_bytes,
            disk_state: status.disk_state,
            disk_days_left: status.disk_days_left,
            commit_trouble: status.commit_trouble.clone(),
        }
    }
}
