//! Bybit v5, spot and linear contracts: hosts, limits, REST questions. Forms of frames are left to `bybit::…`.

use std::sync::LazyLock;
use std::time::Duration;

use model::{Channel, Instrument, Nanos, Time, VenueId};

use crate::contract::{
    Allowance, BookRule, ConnectionPlan, DecodeError, Decoder, DefaultEndpoints, Endpoints, Facts, Frame,
    HistoryAsk, HistoryRefusal, Peek, Poll, Purpose, RestLimits, RestRequest, Stream, TradeIds, Venue,
};

/// One category of Bybit.
pub(crate) struct Bybit {
    category: &'static str,
    facts: &'static LazyLock<Facts>,
}

/// Spot.
pub(crate) static SPOT: Bybit = Bybit { category: "spot", facts: &SPOT_FACTS };
/// Linear contracts.
pub(crate) static LINEAR: Bybit = Bybit { category: "linear", facts: &LINEAR_FACTS };

static SPOT_FACTS: LazyLock<Facts> = LazyLock::new(|| Facts {
    id: VenueId::known("bybit").expect("model lists this venue"),
    channels: &[Channel::Trades, Channel::Quotes, Channel::Book, Channel::Klines, Channel::Instruments],
    first_data: &SPOT_FIRST_DATA,
    ..both()
});

static LINEAR_FACTS: LazyLock<Facts> = LazyLock::new(|| Facts {
    id: VenueId::known("bybit-linear").expect("model lists this venue"),
    channels: &[
        Channel::Trades,
        Channel::Quotes,
        Channel::Book,
        Channel::Klines,
        Channel::MarkPrices,
        Channel::Funding,
        Channel::OpenInterest,
        Channel::Instruments,
    ],
    first_data: &LINEAR_FIRST_DATA,
    ..both()
});

// These topics open with a snapshot.
const FIRST_DATA: Duration = Duration::from_secs(10);
const SPOT_FIRST_DATA: [(Channel, Duration); 2] =
    [(Channel::Quotes, FIRST_DATA), (Channel::Book, FIRST_DATA)];
const LINEAR_FIRST_DATA: [(Channel, Duration); 4] = [
    (Channel::Quotes, FIRST_DATA),
    (Channel::Book, FIRST_DATA),
    (Channel::MarkPrices, FIRST_DATA),
    (Channel::OpenInterest, FIRST_DATA),
];
// 403 says "access too frequent" here: all of REST must rest for ten minutes.
const BANS: &[(u16, Duration)] = &[(403, Duration::from_secs(600)), (429, Duration::from_secs(60))];

fn both() -> Facts {
    Facts {
        id: VenueId::known("bybit").expect("model lists this venue"),
        endpoints: DefaultEndpoints { rest: "https://api.bybit.com", stream: "wss://stream.bybit.com" },
        channels: &[],
        trade_ids: TradeIds::Distinct,
        book_rule: BookRule::StreamSnapshots,
        // The venue counts characters (see `connections`); shorter topics than these are rare.
        streams_max: 1_000,
        message_gap_ms_min: 100,
        ping_every: Some(Duration::from_secs(20)),
        lifetime: None,
        connects: Allowance { count: 500, per: Duration::from_secs(300) },
        rest: RestLimits {
            weight: Allowance { count: 600, per: Duration::from_secs(5) },
            is_clock_window: false,
            used_header: None,
            bans: BANS,
        },
        first_data: &[],
    }
}

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

impl Venue for Bybit {
    fn facts(&self) -> &'static Facts {
        self.facts
    }
    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let _ = (instruments, channels);
        Vec::new()
    }
    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let mut plans = Vec::new();
        plans.push(ConnectionPlan {
            url: format!("{}/v5/public/{}", endpoints.stream, self.category),
            streams,
        });
        plans
    }
    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
        let _ = (streams, wanted, first_request);
        Vec::new()
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
        RestRequest {
            path: format!("/v5/market/instruments-info?category={}", self.category),
            weight: 1,
            purpose: Purpose::Listing,
        }
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
