//! Binance spot: hosts, limits, REST questions. Forms of frames are left to `binance`.

use std::sync::LazyLock;
use std::time::Duration;

use model::{Channel, Instrument, Nanos, Time, VenueId};

use crate::binance::requests;
use crate::contract::{
    Allowance, BookRule, ConnectionPlan, DecodeError, Decoder, DefaultEndpoints, Endpoints, Facts, Frame,
    HistoryAsk, HistoryRefusal, Peek, Poll, Purpose, RestLimits, RestRequest, Stream, TradeIds, Venue,
};

/// Binance spot.
pub(crate) struct BinanceSpot;
/// The venue.
pub(crate) static VENUE: BinanceSpot = BinanceSpot;

static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts {
    id: VenueId::known("binance").expect("model lists this venue"),
    endpoints: DefaultEndpoints { rest: "https://api.binance.com", stream: "wss://stream.binance.com:9443" },
    channels: &[
        Channel::Trades,
        Channel::RawTrades,
        Channel::Quotes,
        Channel::Book,
        Channel::Klines,
        Channel::Instruments,
    ],
    trade_ids: TradeIds::Contiguous,
    book_rule: BookRule::FirstFollowsLast,
    streams_max: 1024,
    // Five messages a second are allowed, pongs included; more cut the connection, and repeating it bans the address.
    message_gap_ms_min: 300,
    ping_every: None,
    lifetime: Some(Duration::from_secs(24 * 3_600)),
    connects: Allowance { count: 300, per: Duration::from_secs(300) },
    rest: RestLimits {
        weight: Allowance { count: 6_000, per: Duration::from_secs(60) },
        is_clock_window: true,
        used_header: Some("x-mbx-used-weight-1m"),
        bans: requests::BANS,
    },
    // Nothing here is sent unless the market moves.
    first_data: &[],
});

struct Pending;

impl Decoder for Pending {
    fn decode(&mut self, _: &Frame<'_>, _: &mut dyn FnMut(model::Event)) -> Result<(), DecodeError> {
        Err(DecodeError::UnknownKind("not read yet".into()))
    }
    fn learn(&mut self, _: &[Instrument]) {}
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

impl Venue for BinanceSpot {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }
    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let _ = (instruments, channels);
        Vec::new()
    }
    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let mut plans = Vec::new();
        requests::shard(&format!("{}/stream", endpoints.stream), streams, &mut plans);
        plans
    }
    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
        requests::subscribe(streams, wanted, first_request)
    }
    fn ping(&self, _request: u64) -> Option<String> {
        None
    }
    fn peek<'a>(&self, _payload: &'a [u8]) -> Peek<'a> {
        Peek::Unknown
    }
    fn polls(&self, _instruments: &[Instrument], _channels: &[Channel]) -> Vec<Poll> {
        Vec::new()
    }
    fn listing(&self, _page: Option<&str>) -> RestRequest {
        RestRequest { path: "/api/v3/exchangeInfo".into(), weight: 20, purpose: Purpose::Listing }
    }
    fn history(&self, _ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        Err(HistoryRefusal::NotOffered)
    }
    fn server_time(&self, _body: &[u8]) -> Option<Time> {
        None
    }
    fn decoder(&self, _received: Nanos) -> Box<dyn Decoder> {
        Box::new(Pending)
    }
}
