//! Binance USD-M futures: hosts, routes, limits, REST questions. Forms of frames are left to `binance`.

use std::sync::LazyLock;
use std::time::Duration;

use model::{Channel, Instrument, InstrumentKind, Nanos, Time, Timeframe, VenueId};

use crate::archive::Archives;
use crate::binance::decoder::BinanceDecoder;
use crate::binance::{answers, archive, peek, requests};
use crate::contract::{
    Allowance, BookRule, ConnectionPlan, Decoder, DefaultEndpoints, Endpoints, Facts, HistoryAsk,
    HistoryRefusal, HistoryRules, Peek, Poll, Pool, Purpose, RestLimits, RestRequest, Stream, TradeIds,
    Venue,
};
use crate::path::encoded;

/// Binance USD-M futures.
pub(crate) struct BinanceFutures;
/// The venue.
pub(crate) static VENUE: BinanceFutures = BinanceFutures;

static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts {
    id: VenueId::known("binance-futures").expect("model lists this venue"),
    endpoints: DefaultEndpoints { rest: "https://fapi.binance.com", stream: "wss://fstream.binance.com" },
    channels: &[
        Channel::Trades,
        Channel::RawTrades,
        Channel::Quotes,
        Channel::Book,
        Channel::Klines,
        Channel::MarkPrices,
        Channel::Funding,
        Channel::OpenInterest,
        Channel::Instruments,
    ],
    trade_ids: TradeIds::Contiguous,
    book_rule: BookRule::PreviousIsLast,
    streams_max: 1024,
    // Ten messages a second are allowed.
    message_gap_ms_min: 150,
    ping_every: None,
    lifetime: Some(Duration::from_hours(24)),
    connects: Allowance { count: 300, per: Duration::from_mins(5) },
    rest: RestLimits {
        weight: Allowance { count: 2_400, per: Duration::from_mins(1) },
        is_clock_window: true,
        used_header: Some("x-mbx-used-weight-1m"),
        bans: requests::BANS,
        pools: POOLS,
    },
    history: HistoryRules {
        trades_page: 1_000,
        // "Less than an hour" when both ends are given.
        trades_span_max: Some(Duration::from_mins(59)),
        trades_age_max: Some(Duration::from_hours(48)),
        klines_page: 1_500,
        funding_page: 1_000,
        interest_page: 500,
        interest_age_max: Some(Duration::from_hours(30 * 24)),
    },
    // Mark prices come every second; everything else only when the market moves.
    first_data: FIRST_DATA,
});

/// Questions that weigh nothing and are counted apart.
const POOLS: &[Pool] = &[
    Pool {
        paths: &["/fapi/v1/fundingRate", "/fapi/v1/fundingInfo"],
        allowed: Allowance { count: 500, per: Duration::from_mins(5) },
    },
    Pool {
        paths: &["/futures/data/openInterestHist"],
        allowed: Allowance { count: 1_000, per: Duration::from_mins(5) },
    },
];

const FIRST_DATA: &[(Channel, Duration)] = &[(Channel::MarkPrices, Duration::from_secs(10))];

const LISTING_EVERY: Duration = Duration::from_mins(5);
const CLOCK_EVERY: Duration = Duration::from_mins(1);
const FUNDING_EVERY: Duration = Duration::from_mins(15);
const INTERVALS_EVERY: Duration = Duration::from_hours(1);
/// From so many instruments on, one stream over all of them brings the mark prices.
const MARK_PRICES_SINGLE_MAX: usize = 20;
/// Up to so many instruments, funding is asked for one by one, which reaches further back.
const FUNDING_SINGLE_MAX: usize = 40;
/// Open interest may cost a quarter of the weight of a minute.
const OPEN_INTEREST_PER_MINUTE: usize = 600;

/// Best bid and ask, depth, raw trades.
const PUBLIC: &str = "public";
/// Everything else. A stream asked for on the wrong route is acknowledged and stays mute.
const MARKET: &str = "market";

fn route(channel: Channel) -> &'static str {
    match channel {
        Channel::Quotes | Channel::Book | Channel::RawTrades => PUBLIC,
        _ => MARKET,
    }
}

/// "Search window is restricted to recent 48 hours."
const SEARCH_WINDOW_OVER: i64 = -4166;

/// What bars cost: by their count, not by what comes.
fn klines_weight(count: i64) -> u32 {
    match count {
        ..=100 => 1,
        101..=500 => 2,
        501..=1_000 => 5,
        _ => 10,
    }
}

impl Venue for BinanceFutures {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let listed: Vec<&Instrument> =
            instruments.iter().filter(|instrument| requests::is_listed(instrument)).collect();
        let is_marked_at_once = listed.len() > MARK_PRICES_SINGLE_MAX;
        let mut streams = Vec::new();
        if is_marked_at_once && channels.contains(&Channel::MarkPrices) {
            streams.push(Stream {
                key: "!markPrice@arr@1s".into(),
                channel: Channel::MarkPrices,
                instrument: None,
                route: MARKET,
            });
        }
        for instrument in listed {
            for &channel in channels.iter().filter(|channel| FACTS.channels.contains(channel)) {
                if channel != Channel::MarkPrices || !is_marked_at_once {
                    streams.extend(requests::stream(instrument, channel, route(channel)));
                }
            }
        }
        streams
    }

    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let (public, market): (Vec<Stream>, Vec<Stream>) =
            streams.into_iter().partition(|stream| stream.route == PUBLIC);
        let mut plans = Vec::new();
        for (route, streams) in [(PUBLIC, public), (MARKET, market)] {
            requests::shard(&format!("{}/{route}/stream", endpoints.stream), &streams, &mut plans);
        }
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

    fn polls(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Poll> {
        let poll = |path: String, purpose, every| {
            // Funding is counted apart.
            let weight = u32::from(!path.starts_with("/fapi/v1/funding"));
            Poll { request: RestRequest { path, weight, purpose }, every }
        };
        let mut polls = vec![
            Poll { request: self.listing(None), every: LISTING_EVERY },
            poll("/fapi/v1/time".into(), Purpose::ServerTime, CLOCK_EVERY),
        ];
        let listed: Vec<&Instrument> =
            instruments.iter().filter(|instrument| requests::is_listed(instrument)).collect();
        if channels.contains(&Channel::OpenInterest) {
            let minutes = listed.len().div_ceil(OPEN_INTEREST_PER_MINUTE).max(1);
            let every = Duration::from_mins(minutes as u64);
            polls.extend(listed.iter().map(|instrument| {
                let symbol = instrument.symbol.clone();
                let path = format!("/fapi/v1/openInterest?symbol={}", encoded(&symbol));
                poll(path, Purpose::OpenInterest { symbol }, every)
            }));
        }
        if channels.contains(&Channel::Funding) {
            polls.push(poll("/fapi/v1/fundingInfo".into(), Purpose::FundingIntervals, INTERVALS_EVERY));
            if listed.len() > FUNDING_SINGLE_MAX {
                let all = Purpose::Funding { symbol: "".into() };
                polls.push(poll("/fapi/v1/fundingRate?limit=1000".into(), all, FUNDING_EVERY));
            } else {
                polls.extend(listed.iter().filter(|one| one.kind == InstrumentKind::Perpetual).map(
                    |instrument| {
                        let symbol = instrument.symbol.clone();
                        let path = format!("/fapi/v1/fundingRate?symbol={}&limit=100", encoded(&symbol));
                        poll(path, Purpose::Funding { symbol }, FUNDING_EVERY)
                    },
                ));
            }
        }
        polls
    }

    fn listing(&self, _page: Option<&str>) -> RestRequest {
        RestRequest { path: "/fapi/v1/exchangeInfo".into(), weight: 1, purpose: Purpose::Listing }
    }

    fn history(&self, ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        Ok(match ask {
            // Raw trades by id need a key and cost 200.
            HistoryAsk::TradesFromId { channel: Channel::RawTrades, .. }
            | HistoryAsk::TradesWithin { channel: Channel::RawTrades, .. } => {
                return Err(HistoryRefusal::NotOffered);
            }
            HistoryAsk::TradesFromId { instrument, first_id, count, .. } => {
                let limit = (*count).clamp(1, 1_000);
                let path = format!(
                    "/fapi/v1/aggTrades?symbol={}&fromId={first_id}&limit={limit}",
                    encoded(&instrument.symbol)
                );
                trades(path, 20, instrument)
            }
            HistoryAsk::TradesWithin { instrument, start, end, .. } => {
                let path = format!(
                    "/fapi/v1/aggTrades?symbol={}&{}&limit=1000",
                    encoded(&instrument.symbol),
                    requests::span(*start, *end)
                );
                trades(path, 20, instrument)
            }
            HistoryAsk::RecentTrades { instrument, channel } => {
                let (name, weight) = match channel {
                    Channel::RawTrades => ("trades", 5),
                    _ => ("aggTrades", 20),
                };
                let path = format!("/fapi/v1/{name}?symbol={}&limit=1000", encoded(&instrument.symbol));
                trades(path, weight, instrument)
            }
            // Aggregates cost four times as much.
            HistoryAsk::NewestTrades { instrument } => RestRequest {
                path: format!("/fapi/v1/trades?symbol={}&limit=60", encoded(&instrument.symbol)),
                weight: 5,
                purpose: Purpose::Newest { symbol: instrument.symbol.clone() },
            },
            HistoryAsk::Book { instrument } => RestRequest {
                path: format!("/fapi/v1/depth?symbol={}&limit=1000", encoded(&instrument.symbol)),
                weight: 20,
                purpose: Purpose::Book { symbol: instrument.symbol.clone() },
            },
            HistoryAsk::Klines { instrument, timeframe, start, end } => {
                let count = requests::bar_count((*start, *end), *timeframe, 1_500);
                let path = format!(
                    "/fapi/v1/klines?symbol={}&interval={}&{}&limit={count}",
                    encoded(&instrument.symbol),
                    requests::interval(*timeframe).ok_or(HistoryRefusal::NotOffered)?,
                    requests::span(*start, *end)
                );
                let purpose = Purpose::Klines { symbol: instrument.symbol.clone(), timeframe: *timeframe };
                RestRequest { path, weight: klines_weight(count), purpose }
            }
            HistoryAsk::Funding { instrument, start, end } => RestRequest {
                path: format!(
                    "/fapi/v1/fundingRate?symbol={}&{}&limit=1000",
                    encoded(&instrument.symbol),
                    requests::span(*start, *end)
                ),
                weight: 0,
                purpose: Purpose::Funding { symbol: instrument.symbol.clone() },
            },
            HistoryAsk::OpenInterest { instrument, period, start, end } => RestRequest {
                path: format!(
                    "/futures/data/openInterestHist?symbol={}&period={}&{}&limit=500",
                    encoded(&instrument.symbol),
                    interest_period(*period).ok_or(HistoryRefusal::NotOffered)?,
                    requests::span(*start, *end)
                ),
                weight: 0,
                purpose: Purpose::OpenInterest { symbol: instrument.symbol.clone() },
            },
        })
    }

    fn says_too_old(&self, body: &[u8]) -> bool {
        answers::error_code(body) == Some(SEARCH_WINDOW_OVER)
    }

    fn server_time(&self, body: &[u8]) -> Option<Time> {
        answers::server_time(body).ok()
    }

    fn archives(&self) -> Option<&'static dyn Archives> {
        Some(&archive::FUTURES)
    }

    fn decoder(&self, _received: Nanos) -> Box<dyn Decoder> {
        Box::new(BinanceDecoder::new(FACTS.id))
    }
}

/// How the venue writes the periods in which it keeps open interest.
fn interest_period(period: Timeframe) -> Option<&'static str> {
    let is_kept = matches!(period, Timeframe::Minutes(5 | 15 | 30 | 60 | 120 | 240 | 360 | 720 | 1_440));
    requests::interval(period).filter(|_| is_kept)
}

fn trades(path: String, weight: u32, instrument: &Instrument) -> RestRequest {
    RestRequest { path, weight, purpose: Purpose::Trades { symbol: instrument.symbol.clone() } }
}
