//! What is to be collected, and every bound of this room. Reading it from a file is left to `tickhouse`.

use std::path::PathBuf;
use std::time::Duration;

use model::{Channel, VenueId};
use venues::Endpoints;

/// What is to be collected.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Venues, each at most once.
    pub venues: Vec<VenueSettings>,
    /// What the session writes about itself.
    pub session: SessionSettings,
    /// How much of past 1-minute klines is fetched for each instrument when it is first chosen; zero for none.
    pub klines_history: Duration,
    /// How often each venue's listing is asked for; the venue's own pace if absent.
    pub listing_every: Option<Duration>,
    /// PEM file of certificates that are trusted beside the usual ones, for proxies that look into TLS.
    pub trusted: Option<PathBuf>,
    /// Connections per stream, 1 or 2. Two are merged by id later.
    pub redundancy: usize,
    /// Makes every jitter repeatable.
    pub seed: u64,
    /// Bounds, with defaults that suit the public endpoints.
    pub bounds: Bounds,
}

impl Default for CollectSettings {
    fn default() -> Self {
        Self {
            venues: Vec::new(),
            session: SessionSettings::default(),
            klines_history: Duration::ZERO,
            listing_every: None,
            trusted: None,
            redundancy: 1,
            seed: 0,
            bounds: Bounds::default(),
        }
    }
}

/// What the session writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Text of the session record, the version of the binary.
    pub version: String,
    /// How often a tick is written.
    pub tick_every: Duration,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            version: format!("collect {}", env!("CARGO_PKG_VERSION")),
            tick_every: Duration::from_millis(250),
        }
    }
}

/// One venue.
#[derive(Clone, Debug)]
pub struct VenueSettings {
    /// Which.
    pub venue: VenueId,
    /// Where it answers.
    pub endpoints: Endpoints,
    /// Instruments wanted.
    pub instruments: Wanted,
    /// Channels wanted; those the venue lacks bring nothing.
    pub channels: Vec<Channel>,
    /// Instruments of those wanted whose books are wanted, if `channels` holds the book.
    pub books: Wanted,
    /// Whether raw trades are the canonical trades here, instead of the venue's aggregates.
    pub raw_trades: bool,
}

/// Which instruments of a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    None,
    /// Every instrument that can be traded.
    All,
    /// Every instrument with one of these quote assets.
    Quotes(Vec<String>),
    /// These, in any spelling: `BTCUSDT`, `btc-usdt`, `BTC/USDT`, or a full instrument id.
    Symbols(Vec<String>),
}

/// Bounds. Each has a rule for being hit, written where it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Most bytes of one WebSocket message; a longer one ends the connection.
    pub message_bytes_max: usize,
    /// Most bytes of one REST answer; a longer one counts as failed.
    pub answer_bytes_max: usize,
    /// Most frames handed to the log at once.
    pub batch_frames_max: usize,
    /// Longest wait for a connection to open.
    pub connect_max: Duration,
    /// Longest wait for a REST answer.
    pub answer_max: Duration,
    /// REST questions of one host on their way at once.
    pub questions_max: usize,
    /// REST questions of one host that may wait; more are refused.
    pub questions_waiting_max: usize,
    /// Share of the venue's REST weight that is used, 0 to 1.
    pub rest_share: f64,
    /// Share of that which may be used before asking for the past, 0 to 1: the rest is left to what is urgent.
    pub history_share: f64,
    /// Share of the venue's connections per span that is used, 0 to 1.
    pub connects_share: f64,
    /// Most connections per venue.
    pub connections_max: usize,
    /// Wishes that may wait per venue; more are dropped and counted, `refine` utters them again.
    pub wishes_max: usize,
    /// How long a predecessor lives on while its successor has no data yet.
    pub handover_max: Duration,
    /// How long a hole may be asked for before the asking is given up until `refine` asks again.
    pub fill_max: Duration,
    /// How often in a row a question for missing trades or for the past may fail or be refused before it is given up.
    pub refusals_max: u32,
    /// The first wait before such a question is asked again; it doubles with each try.
    pub retry_wait: Duration,
    /// A listing that a silent stream puts in doubt is not asked for again sooner than this.
    pub listing_doubt_min: Duration,
    /// First and longest wait between tries to connect.
    pub reconnect: (Duration, Duration),
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 20,
            answer_bytes_max: 64 << 20,
            batch_frames_max: 1_024,
            connect_max: Duration::from_secs(10),
            answer_max: Duration::from_secs(15),
            questions_max: 8,
            questions_waiting_max: 8_192,
            rest_share: 0.92,
            history_share: 0.5,
            connects_share: 0.8,
            connections_max: 64,
            wishes_max: 8_192,
            handover_max: Duration::from_secs(10),
            fill_max: Duration::from_mins(10),
            refusals_max: 8,
            retry_wait: Duration::from_millis(500),
            listing_doubt_min: Duration::from_mins(1),
            reconnect: (Duration::from_millis(200), Duration::from_secs(10)),
        }
    }
}
