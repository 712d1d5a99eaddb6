//! What a venue has to say about itself, and what its decoder does. One driver in `collect` serves them all:
//! nothing in this room opens a socket, reads a clock or starts a task.

mod history;
mod purpose;

use std::fmt;
use std::time::Duration;

use model::{Channel, Event, Instrument, InstrumentId, Listing, Nanos, Time, VenueId};

pub use history::{HistoryAsk, HistoryRefusal, HistoryRules};
pub use purpose::Purpose;

use crate::archive::Archives;

/// A venue, described.
pub trait Venue: Send + Sync {
    /// What never changes at run time.
    fn facts(&self) -> &'static Facts;

    /// Streams for the wanted channels of the wanted instruments, all-market streams included. Channels that are polled
    /// over REST, and those the venue lacks, bring none.
    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream>;

    /// Shards streams over connections within the venue's limits.
    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan>;

    /// Messages that subscribe to (or unsubscribe from) streams on an open connection, within the venue's limits for one
    /// message. `first_request` numbers them.
    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String>;

    /// What the client says to keep the connection alive, where the venue wants that.
    fn ping(&self, request: u64) -> Option<String>;

    /// Tells cheaply what a frame is, without decoding it: for watchdogs and the subscription book-keeping.
    fn peek<'a>(&self, payload: &'a [u8]) -> Peek<'a>;

    /// REST questions to be asked again and again: listing, open interest, funding, server time.
    fn polls(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Poll>;

    /// The first question for the venue's list of instruments; further pages follow from [`Listing::next_page`].
    fn listing(&self, page: Option<&str>) -> RestRequest;

    /// The question that fetches what is asked for, or why the venue cannot be asked.
    fn history(&self, ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal>;

    /// The key of the stream a data frame belongs to, also where it came without the wrapper that names it, so that
    /// [`Venue::peek`] has nothing to borrow (Binance `/ws` connections). Dearer than `peek`.
    fn key_of(&self, payload: &[u8]) -> Option<String> {
        match self.peek(payload) {
            Peek::Data(key) => Some(key.to_owned()),
            _ => None,
        }
    }

    /// Whether the body of a refused question says that the venue no longer gives what was asked for.
    fn says_too_old(&self, _body: &[u8]) -> bool {
        false
    }

    /// What the venue's clock showed in the body of an answer to [`Purpose::ServerTime`].
    fn server_time(&self, body: &[u8]) -> Option<Time>;

    /// Where its past lies as files, if it publishes them.
    fn archives(&self) -> Option<&'static dyn Archives> {
        None
    }

    /// A decoder for frames received from that moment on. Dated decoders stay when a venue changes its protocol.
    fn decoder(&self, received: Nanos) -> Box<dyn Decoder>;
}

/// Turns frames into events. The same frames in the same order give the same events.
pub trait Decoder: Send {
    /// Decodes one frame. On an error, nothing of the frame has been emitted.
    fn decode(&mut self, frame: &Frame<'_>, emit: &mut dyn FnMut(Event)) -> Result<(), DecodeError>;

    /// Tells the decoder the venue's instruments, so that it can name them. Listings it decodes itself do the same.
    fn learn(&mut self, instruments: &[Instrument]);

    /// State that later frames depend on (merged ticker deltas), as bytes; symbol names are not part of it.
    fn save(&self) -> Vec<u8>;

    /// Takes up saved state. Bytes of a foreign form are refused.
    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError>;
}

/// A frame as the decoder sees it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The payload as received.
    pub payload: &'a [u8],
    /// When it was received.
    pub received: Nanos,
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// Where a frame came from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A stream.
    Stream,
    /// The answer to a REST question; the purpose says which.
    Rest(&'a Purpose),
}

/// What never changes about a venue.
#[derive(Debug)]
pub struct Facts {
    /// Venue.
    pub id: VenueId,
    /// Where it answers unless configuration says otherwise.
    pub endpoints: DefaultEndpoints,
    /// Channels it can bring, streams and polls.
    pub channels: &'static [Channel],
    /// Whether trade ids are contiguous per instrument, so that a jump proves a hole.
    pub trade_ids: TradeIds,
    /// How book updates follow one another.
    pub book_rule: BookRule,
    /// Most streams on one connection.
    pub streams_max: usize,
    /// Fewest milliseconds between two messages of ours on one connection.
    pub message_gap_ms_min: u64,
    /// How often the client pings; `None` where the server does and the WebSocket layer answers.
    pub ping_every: Option<Duration>,
    /// Longest life of a connection; make-before-break happens earlier.
    pub lifetime: Option<Duration>,
    /// Connections allowed per span of time.
    pub connects: Allowance,
    /// REST weight allowed per span of time.
    pub rest: RestLimits,
    /// How the past is asked for over REST, and how far it reaches.
    pub history: HistoryRules,
    /// How soon the first message of a stream is due after subscribing, per channel; absent: not due.
    pub first_data: &'static [(Channel, Duration)],
}

/// Endpoints as known when this was written.
#[derive(Clone, Copy, Debug)]
pub struct DefaultEndpoints {
    /// REST origin without path, `https://api.binance.com`.
    pub rest: &'static str,
    /// WebSocket origin without path, `wss://stream.binance.com:9443`.
    pub stream: &'static str,
}

/// Endpoints in use: origins without path or trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// REST origin.
    pub rest: String,
    /// WebSocket origin.
    pub stream: String,
}

/// So many per span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many.
    pub count: u32,
    /// Per how long.
    pub per: Duration,
}

/// How REST is rationed.
#[derive(Clone, Copy, Debug)]
pub struct RestLimits {
    /// Weight per window.
    pub weight: Allowance,
    /// Whether the window is the venue's clock minute (Binance) or slides.
    pub is_clock_window: bool,
    /// Response header that tells the weight used in the window.
    pub used_header: Option<&'static str>,
    /// Statuses that mean stop, with how long to stand still when no `Retry-After` is given.
    pub bans: &'static [(u16, Duration)],
    /// Questions that are counted apart, whatever they weigh.
    pub pools: &'static [Pool],
}

/// Questions that share an allowance of their own, in a sliding window.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Their paths, without query.
    pub paths: &'static [&'static str],
    /// How many.
    pub allowed: Allowance,
}

/// What trade ids tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeIds {
    /// One more for each trade of the instrument.
    Contiguous,
    /// Different, nothing more.
    Distinct,
}

/// How one book update follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookRule {
    /// `first == last before + 1`; snapshot over REST bridges when `first <= snapshot + 1 <= last` (Binance spot).
    FirstFollowsLast,
    /// `previous == last before`; snapshot over REST bridges when `first <= snapshot <= last` or `previous == snapshot`
    /// (Binance USD-M).
    PreviousIsLast,
    /// `last == last before + 1`; snapshots come in the stream, after subscribing anew (Bybit).
    StreamSnapshots,
}

/// One subscribable stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The venue's name of it, as [`Peek::Data`] shows it: `btcusdt@aggTrade`, `publicTrade.BTCUSDT`.
    pub key: Box<str>,
    /// Channel.
    pub channel: Channel,
    /// Instrument; `None` for a stream over all instruments.
    pub instrument: Option<InstrumentId>,
    /// Which of the venue's routes serves it; empty where there is one.
    pub route: &'static str,
}

/// One connection to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPlan {
    /// Where.
    pub url: String,
    /// What it carries; subscribed to after opening through [`Venue::subscribe`].
    pub streams: Vec<Stream>,
}

/// What a frame is, at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'a> {
    /// Data of the stream with this key.
    Data(&'a str),
    /// Requests were accepted.
    Accepted,
    /// A request was refused; the venue's words.
    Refused(&'a str),
    /// The venue will close the connection soon.
    ClosingSoon,
    /// Answer to our ping.
    Pong,
    /// None of these.
    Unknown,
}

/// A REST question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    /// Path and query, beginning with a slash, percent-encoded.
    pub path: String,
    /// What it costs.
    pub weight: u32,
    /// What it is for; kept in the raw log with the answer.
    pub purpose: Purpose,
}

/// A question to be asked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The question.
    pub request: RestRequest,
    /// How often.
    pub every: Duration,
}

/// Why a frame could not be decoded. The frame stays in the raw log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not the form this venue's frames have; where and why.
    Malformed(String),
    /// A known form that names an instrument the listing does not hold.
    UnknownSymbol(Box<str>),
    /// A form we have never seen.
    UnknownKind(Box<str>),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed frame: {what}"),
            Self::UnknownSymbol(symbol) => write!(f, "symbol {symbol:?} is not in the venue's listing"),
            Self::UnknownKind(kind) => write!(f, "unknown kind of frame: {kind}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The instruments of a complete listing, for those who hold pages.
pub fn gather(pages: Vec<Listing>) -> Option<Listing> {
    let mut pages = pages.into_iter();
    let mut whole = pages.next()?;
    for page in pages {
        whole.instruments.extend(page.instruments);
        whole.received_time = page.received_time;
    }
    whole.is_complete = true;
    whole.next_page = None;
    Some(whole)
}

#[cfg(test)]
mod tests {
    //! Cases for purposes.
    use super::*;
    use model::Timeframe;

    #[test]
    fn purposes_are_kept_as_text() {
        let symbol: Box<str> = "币安人生USDT".into();
        for purpose in [
            Purpose::Listing,
            Purpose::Trades { symbol: symbol.clone() },
            Purpose::Newest { symbol: symbol.clone() },
            Purpose::Book { symbol: symbol.clone() },
            Purpose::Klines { symbol: symbol.clone(), timeframe: Timeframe::MINUTE },
            Purpose::Klines { symbol: symbol.clone(), timeframe: Timeframe::Month },
            Purpose::History(Box::new(Purpose::Trades { symbol: symbol.clone() })),
            Purpose::OpenInterest { symbol: "".into() },
            Purpose::Funding { symbol },
            Purpose::FundingIntervals,
            Purpose::ServerTime,
        ] {
            assert_eq!(Purpose::from_text(&purpose.to_text()), Some(purpose));
        }
        assert_eq!(Purpose::from_text("weather"), None);
        assert_eq!(Purpose::from_text("history history trades A"), None);
        let klines = Purpose::Klines { symbol: "A".into(), timeframe: Timeframe::MINUTE };
        assert_eq!(klines.to_text(), "klines A", "as in logs of earlier versions");
    }
}
