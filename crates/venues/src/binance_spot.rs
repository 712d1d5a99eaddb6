//! Binance spot: hosts, limits, REST questions. Forms of frames are left to `binance`.

use std::sync::LazyLock;
use std::time::Duration;

use model::{Channel, Instrument, Nanos, Time, VenueId};

use crate::archive::Archives;
use crate::binance::decoder::BinanceDecoder;
use crate::binance::{answers, archive, peek, requests};
use crate::contract::{
    Allowance, BookRule, ConnectionPlan, Decoder, DefaultEndpoints, Endpoints, Facts, HistoryAsk,
    HistoryRefusal, HistoryRules, Peek, Poll, Purpose, RestLimits, RestRequest, Stream, TradeIds, Venue,
};
use crate::path::encoded;

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
    lifetime: Some(Duration::from_hours(24)),
    connects: Allowance { count: 300, per: Duration::from_mins(5) },
    rest: RestLimits {
        weight: Allowance { count: 6_000, per: Duration::from_mins(1) },
        is_clock_window: true,
        used_header: Some("x-mbx-used-weight-1m"),
        bans: requests::BANS,
        pools: &[],
    },
    history: HistoryRules { trades_page: 1_000, klines_page: 1_000, ..HistoryRules::NONE },
    // Nothing here is sent unless the market moves.
    first_data: &[],
});

const LISTING_EVERY: Duration = Duration::from_mins(5);
const CLOCK_EVERY: Duration = Duration::from_mins(1);

impl Venue for BinanceSpot {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let mut streams = Vec::new();
        for instrument in instruments.iter().filter(|instrument| requests::is_listed(instrument)) {
            for &channel in channels.iter().filter(|channel| FACTS.channels.contains(channel)) {
                streams.extend(requests::stream(instrument, channel, ""));
            }
        }
        streams
    }

    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let mut plans = Vec::new();
        requests::shard(&format!("{}/stream", endpoints.stream), &streams, &mut plans);
        plans
    }

    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
        requests::subscribe(streams, wanted, first_request)
    }

    fn ping(&self, _request: u64) -> Option<String> {
        None
    }

    fn peek<'a>(&self, payload: &'a [u8]) -> Peek<'a> {
        peek::peek(payload)
    }

    fn key_of(&self, payload: &[u8]) -> Option<String> {
        peek::key_of(payload)
    }

    fn polls(&self, _instruments: &[Instrument], _channels: &[Channel]) -> Vec<Poll> {
        let clock = RestRequest { path: "/api/v3/time".into(), weight: 1, purpose: Purpose::ServerTime };
        vec![
            Poll { request: self.listing(None), every: LISTING_EVERY },
            Poll { request: clock, every: CLOCK_EVERY },
        ]
    }

    fn listing(&self, _page: Option<&str>) -> RestRequest {
        RestRequest { path: "/api/v3/exchangeInfo".into(), weight: 20, purpose: Purpose::Listing }
    }

    fn history(&self, ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        Ok(match ask {
            HistoryAsk::TradesFromId { instrument, channel, first_id, count } => {
                let (name, weight) = match channel {
                    Channel::RawTrades => ("historicalTrades", 25),
                    _ => ("aggTrades", 4),
                };
                let limit = (*count).clamp(1, 1_000);
                let path = format!(
                    "/api/v3/{name}?symbol={}&fromId={first_id}&limit={limit}",
                    encoded(&instrument.symbol)
                );
                RestRequest { path, weight, purpose: Purpose::Trades { symbol: instrument.symbol.clone() } }
            }
            // Raw trades can be asked for by id only.
            HistoryAsk::TradesWithin { channel: Channel::RawTrades, .. }
            | HistoryAsk::Funding { .. }
            | HistoryAsk::OpenInterest { .. } => return Err(HistoryRefusal::NotOffered),
            HistoryAsk::TradesWithin { instrument, start, end, .. } => RestRequest {
                path: format!(
                    "/api/v3/aggTrades?symbol={}&{}&limit=1000",
                    encoded(&instrument.symbol),
                    requests::span(*start, *end)
                ),
                weight: 4,
                purpose: Purpose::Trades { symbol: instrument.symbol.clone() },
            },
            HistoryAsk::RecentTrades { instrument, channel } => {
                let (name, weight) = match channel {
                    Channel::RawTrades => ("trades", 25),
                    _ => ("aggTrades", 4),
                };
                let path = format!("/api/v3/{name}?symbol={}&limit=1000", encoded(&instrument.symbol));
                RestRequest { path, weight, purpose: Purpose::Trades { symbol: instrument.symbol.clone() } }
            }
            HistoryAsk::NewestTrades { instrument } => RestRequest {
                path: format!("/api/v3/aggTrades?symbol={}&limit=60", encoded(&instrument.symbol)),
                weight: 4,
                purpose: Purpose::Newest { symbol: instrument.symbol.clone() },
            },
            // Five thousand levels would cost five times as much; what lies deeper comes with the differences.
            HistoryAsk::Book { instrument } => RestRequest {
                path: format!("/api/v3/depth?symbol={}&limit=1000", encoded(&instrument.symbol)),
                weight: 50,
                purpose: Purpose::Book { symbol: instrument.symbol.clone() },
            },
            HistoryAsk::Klines { instrument, timeframe, start, end } => RestRequest {
                path: format!(
                    "/api/v3/klines?symbol={}&interval={}&{}&limit={}",
                    encoded(&instrument.symbol),
                    requests::interval(*timeframe).ok_or(HistoryRefusal::NotOffered)?,
                    requests::span(*start, *end),
                    requests::bar_count((*start, *end), *timeframe, 1_000)
                ),
                weight: 2,
                purpose: Purpose::Klines { symbol: instrument.symbol.clone(), timeframe: *timeframe },
            },
        })
    }

    fn server_time(&self, body: &[u8]) -> Option<Time> {
        answers::server_time(body).ok()
    }

    fn archives(&self) -> Option<&'static dyn Archives> {
        Some(&archive::SPOT)
    }

    fn decoder(&self, _received: Nanos) -> Box<dyn Decoder> {
        Box::new(BinanceDecoder::new(FACTS.id))
    }
}
