//! Bybit v5, spot and linear contracts: hosts, limits, REST questions. Forms of frames are left to the files below it.

use std::sync::LazyLock;
use std::time::Duration;

use model::{Channel, Instrument, InstrumentKind, InstrumentStatus, Nanos, Time, Timeframe, VenueId};

use crate::archive::Archives;
use crate::contract::{
    Allowance, BookRule, ConnectionPlan, Decoder, DefaultEndpoints, Endpoints, Facts, HistoryAsk,
    HistoryRefusal, HistoryRules, Peek, Poll, Purpose, RestLimits, RestRequest, Stream, TradeIds, Venue,
};
use crate::path::encoded;

mod answers;
mod archive;
mod decoder;
mod listing;
mod peek;
mod stream;
mod tickers;

use decoder::BybitDecoder;

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
    history: HistoryRules { klines_page: 1_000, funding_page: 200, interest_page: 200, ..HistoryRules::NONE },
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
const BANS: &[(u16, Duration)] = &[(403, Duration::from_mins(10)), (429, Duration::from_mins(1))];

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
        connects: Allowance { count: 500, per: Duration::from_mins(5) },
        rest: RestLimits {
            weight: Allowance { count: 600, per: Duration::from_secs(5) },
            is_clock_window: false,
            used_header: None,
            bans: BANS,
            pools: &[],
        },
        history: HistoryRules { klines_page: 1_000, ..HistoryRules::NONE },
        first_data: &[],
    }
}

const LISTING_EVERY: Duration = Duration::from_mins(5);
const CLOCK_EVERY: Duration = Duration::from_mins(1);
const FUNDING_EVERY: Duration = Duration::from_mins(30);

/// Characters of topics on one connection: below the venue's 21,000, so that new listings find room.
const TOPIC_CHARACTERS_PLANNED: usize = 20_000;
/// Topics in one request on spot, where more are refused.
const SPOT_TOPICS_MAX: usize = 10;
/// Topics in one request on linear contracts, which the venue does not count; one bad topic fails its whole request.
const LINEAR_TOPICS_MAX: usize = 50;

/// What a topic costs of the characters: its name, quotes and comma.
fn characters(stream: &Stream) -> usize {
    stream.key.len() + 3
}

/// The topic's name in front of the symbol. Mark prices and open interest share one.
fn prefix(channel: Channel) -> Option<&'static str> {
    Some(match channel {
        Channel::Trades => "publicTrade",
        Channel::Quotes => "orderbook.1",
        Channel::Book => "orderbook.50",
        Channel::Klines => "kline.1",
        Channel::MarkPrices | Channel::OpenInterest => "tickers",
        Channel::RawTrades | Channel::Funding | Channel::Instruments => return None,
    })
}

/// How the venue writes the lengths of its bars.
fn interval(timeframe: Timeframe) -> Option<&'static str> {
    Some(match timeframe {
        Timeframe::Minutes(1) => "1",
        Timeframe::Minutes(3) => "3",
        Timeframe::Minutes(5) => "5",
        Timeframe::Minutes(15) => "15",
        Timeframe::Minutes(30) => "30",
        Timeframe::Minutes(60) => "60",
        Timeframe::Minutes(120) => "120",
        Timeframe::Minutes(240) => "240",
        Timeframe::Minutes(360) => "360",
        Timeframe::Minutes(720) => "720",
        Timeframe::Minutes(1_440) => "D",
        Timeframe::Week => "W",
        Timeframe::Month => "M",
        Timeframe::Minutes(_) => return None,
    })
}

/// How it writes the periods in which it keeps open interest.
fn interest_period(period: Timeframe) -> Option<&'static str> {
    Some(match period {
        Timeframe::Minutes(5) => "5min",
        Timeframe::Minutes(15) => "15min",
        Timeframe::Minutes(30) => "30min",
        Timeframe::Minutes(60) => "1h",
        Timeframe::Minutes(240) => "4h",
        Timeframe::Minutes(1_440) => "1d",
        _ => return None,
    })
}

/// The query for rows from `start` on and before `end`; the venue takes both ends as wanted, and refuses a start alone.
fn span(start: Time, end: Time) -> String {
    format!("startTime={}&endTime={}", start.millis(), end.millis() - 1)
}

fn is_listed(instrument: &Instrument) -> bool {
    matches!(instrument.status, InstrumentStatus::Trading | InstrumentStatus::Halted)
}

impl Bybit {
    fn is_linear(&self) -> bool {
        self.category == "linear"
    }

    fn question(&self, name: &str, query: &str, purpose: Purpose) -> RestRequest {
        let path = format!("/v5/market/{name}?category={}{query}", self.category);
        RestRequest { path, weight: 1, purpose }
    }
}

impl Venue for Bybit {
    fn facts(&self) -> &'static Facts {
        self.facts
    }

    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let is_marked = channels.contains(&Channel::MarkPrices);
        let mut streams = Vec::new();
        for instrument in instruments.iter().filter(|instrument| is_listed(instrument)) {
            for &channel in channels.iter().filter(|channel| self.facts.channels.contains(channel)) {
                // One topic brings both; it is subscribed to once.
                if channel == Channel::OpenInterest && is_marked {
                    continue;
                }
                streams.extend(prefix(channel).map(|prefix| Stream {
                    key: format!("{prefix}.{}", instrument.symbol).into(),
                    channel,
                    instrument: Some(instrument.id.clone()),
                    route: "",
                }));
            }
        }
        streams
    }

    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let url = format!("{}/v5/public/{}", endpoints.stream, self.category);
        let mut plans: Vec<ConnectionPlan> = Vec::new();
        let mut taken = 0;
        for stream in streams {
            let cost = characters(&stream);
            match plans.last_mut() {
                Some(plan)
                    if taken + cost <= TOPIC_CHARACTERS_PLANNED
                        && plan.streams.len() < self.facts.streams_max =>
                {
                    taken += cost;
                    plan.streams.push(stream);
                }
                _ => {
                    taken = cost;
                    plans.push(ConnectionPlan { url: url.clone(), streams: vec![stream] });
                }
            }
        }
        plans
    }

    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
        let operation = if wanted { "subscribe" } else { "unsubscribe" };
        let topics_max = if self.is_linear() { LINEAR_TOPICS_MAX } else { SPOT_TOPICS_MAX };
        (first_request..)
            .zip(streams.chunks(topics_max))
            .map(|(request, chunk)| {
                let topics: Vec<&str> = chunk.iter().map(|stream| &*stream.key).collect();
                let topics = serde_json::Value::from(topics);
                format!(r#"{{"req_id":"{request}","op":"{operation}","args":{topics}}}"#)
            })
            .collect()
    }

    fn ping(&self, request: u64) -> Option<String> {
        Some(format!(r#"{{"req_id":"{request}","op":"ping"}}"#))
    }

    fn peek<'a>(&self, payload: &'a [u8]) -> Peek<'a> {
        peek::peek(payload)
    }

    fn polls(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Poll> {
        let clock = RestRequest { path: "/v5/market/time".into(), weight: 1, purpose: Purpose::ServerTime };
        let mut polls = vec![
            Poll { request: self.listing(None), every: LISTING_EVERY },
            Poll { request: clock, every: CLOCK_EVERY },
        ];
        if self.is_linear() && channels.contains(&Channel::Funding) {
            let perpetuals = instruments
                .iter()
                .filter(|instrument| is_listed(instrument) && instrument.kind == InstrumentKind::Perpetual);
            polls.extend(perpetuals.map(|instrument| {
                let symbol = instrument.symbol.clone();
                let query = format!("&symbol={}&limit=200", encoded(&symbol));
                let request = self.question("funding/history", &query, Purpose::Funding { symbol });
                Poll { request, every: FUNDING_EVERY }
            }));
        }
        polls
    }

    fn listing(&self, page: Option<&str>) -> RestRequest {
        let query = match page {
            // The venue's cursors are percent-encoded already and go back as they came.
            Some(cursor) => format!("&limit=1000&cursor={}", encoded(cursor).replace("%25", "%")),
            None => "&limit=1000".to_owned(),
        };
        self.question("instruments-info", if self.is_linear() { &query } else { "" }, Purpose::Listing)
    }

    fn history(&self, ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        match ask {
            HistoryAsk::RecentTrades { instrument, .. } => {
                let limit = if self.is_linear() { 1_000 } else { 60 };
                let query = format!("&symbol={}&limit={limit}", encoded(&instrument.symbol));
                let purpose = Purpose::Trades { symbol: instrument.symbol.clone() };
                Ok(self.question("recent-trade", &query, purpose))
            }
            HistoryAsk::NewestTrades { instrument } => {
                let query = format!("&symbol={}&limit=60", encoded(&instrument.symbol));
                let purpose = Purpose::Newest { symbol: instrument.symbol.clone() };
                Ok(self.question("recent-trade", &query, purpose))
            }
            HistoryAsk::Klines { instrument, timeframe, start, end } => {
                let query = format!(
                    "&symbol={}&interval={}&start={}&end={}&limit=1000",
                    encoded(&instrument.symbol),
                    interval(*timeframe).ok_or(HistoryRefusal::NotOffered)?,
                    start.millis(),
                    end.millis() - 1
                );
                let purpose = Purpose::Klines { symbol: instrument.symbol.clone(), timeframe: *timeframe };
                Ok(self.question("kline", &query, purpose))
            }
            HistoryAsk::Funding { instrument, start, end } if self.is_linear() => {
                let query =
                    format!("&symbol={}&{}&limit=200", encoded(&instrument.symbol), span(*start, *end));
                let purpose = Purpose::Funding { symbol: instrument.symbol.clone() };
                Ok(self.question("funding/history", &query, purpose))
            }
            HistoryAsk::OpenInterest { instrument, period, start, end } if self.is_linear() => {
                let query = format!(
                    "&symbol={}&intervalTime={}&{}&limit=200",
                    encoded(&instrument.symbol),
                    interest_period(*period).ok_or(HistoryRefusal::NotOffered)?,
                    span(*start, *end)
                );
                let purpose = Purpose::OpenInterest { symbol: instrument.symbol.clone() };
                Ok(self.question("open-interest", &query, purpose))
            }
            // Trades cannot be asked for by id or time, books come in the stream only, and spot funds nothing.
            HistoryAsk::TradesFromId { .. }
            | HistoryAsk::TradesWithin { .. }
            | HistoryAsk::Book { .. }
            | HistoryAsk::Funding { .. }
            | HistoryAsk::OpenInterest { .. } => Err(HistoryRefusal::NotOffered),
        }
    }

    fn server_time(&self, body: &[u8]) -> Option<Time> {
        answers::server_time(body).ok()
    }

    fn archives(&self) -> Option<&'static dyn Archives> {
        Some(if self.is_linear() { &archive::LINEAR } else { &archive::SPOT })
    }

    fn decoder(&self, _received: Nanos) -> Box<dyn Decoder> {
        Box::new(BybitDecoder::new(self.facts.id, self.is_linear()))
    }
}
