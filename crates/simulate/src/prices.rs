//! Candles of Bitcoin at the six venues that its price is composed of, from one path that all of them share. Binance and Bybit
//! answer with the bars of their markets; the others have no market here, only candles made from the path.
//!
//! Whatever goes wrong with candles on command is put on all six in one place, over the rows that they would have shown.

mod bitfinex;
mod bitstamp;
mod coinbase;
mod door;
mod faults;
mod okx;
mod path;
mod quota;
mod spoil;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Candle, Ohlcv, PriceSource, Time, VenueId};
use runtime::Tasks;

use crate::archive::http_date;
use crate::market::{Interval, MINUTE_MS, Protocol};
use crate::rest::{Ask, Reply};
use crate::settings::Error;
use crate::world::{House, Source};

pub use faults::{PriceFault, PriceTrouble, parse_price_faults};
use path::Path;
use quota::Quota;

/// Where a source of the four answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceDoor {
    pub(crate) source: PriceSource,
    pub(crate) address: SocketAddr,
}

/// The sources that have a door of their own, with what they allow.
const DOORS: [Venue; 4] = [bitfinex::VENUE, bitstamp::VENUE, coinbase::VENUE, okx::VENUE];

/// A venue that has candles and nothing else.
struct Venue {
    name: &'static str,
    /// How its candles differ from the shared path.
    manner: path::Manner,
    /// So many questions per so many milliseconds.
    allowed: (usize, i64),
    answer: fn(&Asked<'_>) -> Answer,
    /// What it says to those who ask too often.
    too_often: fn(wait_ms: i64) -> Answer,
}

/// A question, and what is needed for the answer.
struct Asked<'a> {
    ask: &'a Ask,
    path: &'a Path,
    faults: &'a [PriceFault],
}

/// Status and body, with seconds to wait.
struct Answer {
    status: u16,
    body: String,
    retry_after: Option<i64>,
}

impl Answer {
    const fn of(status: u16, body: String) -> Self {
        Self { status, body, retry_after: None }
    }

    fn reply(self) -> Reply {
        let mut reply = Reply::of(self.status, self.body);
        reply.headers.extend(self.retry_after.map(|seconds| ("retry-after", seconds.max(1).to_string())));
        reply
    }
}

/// What goes wrong with candles, and what was asked of the four.
pub(crate) struct Prices {
    paths: Vec<Path>,
    quotas: [Quota; 4],
    faults: Mutex<Vec<PriceFault>>,
}

impl Prices {
    /// Candles from a minute on.
    pub(crate) fn new(seed: u64, first_minute: i64) -> Self {
        let paths = DOORS.iter().map(|venue| Path::new((venue.name, venue.manner), seed, first_minute));
        Self { paths: paths.collect(), quotas: Default::default(), faults: Mutex::default() }
    }

    /// Lets something go wrong.
    pub(crate) fn plan(&self, fault: PriceFault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Everything so far is forgotten.
    pub(crate) fn forget(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What goes wrong with a source.
    pub(crate) fn faults_of(&self, name: &str) -> Vec<PriceFault> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().filter(|fault| fault.source.as_str() == name).cloned().collect()
    }

    /// How often each of the four was asked since the start.
    pub(crate) fn asked(&self) -> Vec<(&'static str, u64)> {
        DOORS.iter().zip(&self.quotas).map(|(venue, quota)| (venue.name, quota.count())).collect()
    }

    /// Answers a question to one of the four.
    fn answer(&self, at: usize, ask: &Ask, (now_ms, allowance): (i64, f64)) -> Reply {
        let venue = &DOORS[at];
        let faults = self.faults_of(venue.name);
        if let Some(answer) = spoil::instead(&faults, ask.now_ms, venue.too_often) {
            return answer.reply();
        }
        if let Some(wait_ms) = self.quotas[at].admit(venue.allowed, allowance, now_ms) {
            return (venue.too_often)(wait_ms).reply();
        }
        let mut reply = (venue.answer)(&Asked { ask, path: &self.paths[at], faults: &faults }).reply();
        reply.headers.push(("date", http_date(ask.now_ms)));
        reply
    }
}

/// Opens the doors of the four and serves them.
pub(crate) async fn start(
    house: &Arc<House>,
    port: impl Fn(usize) -> Result<u16, Error>,
    tasks: &Tasks,
) -> Result<Vec<PriceDoor>, Error> {
    let mut doors = Vec::new();
    for (at, venue) in DOORS.iter().enumerate() {
        let (listener, address) = crate::open(port(at)?).await?;
        door::serve(house, at, listener, tasks);
        doors.extend(PriceSource::known(venue.name).map(|source| PriceDoor { source, address }));
    }
    Ok(doors)
}

/// Puts what goes wrong on an answer of Binance or Bybit, where bars of Bitcoin are asked for.
pub(crate) fn spoiled(house: &House, protocol: Protocol, ask: &Ask, reply: Reply) -> Reply {
    let name = match protocol {
        Protocol::Binance if ask.path.ends_with("/klines") => "binance",
        Protocol::Bybit if ask.path.ends_with("/kline") => "bybit",
        _ => return reply,
    };
    if ask.text("symbol") != Some("BTCUSDT") {
        return reply;
    }
    let faults = house.prices.faults_of(name);
    if faults.is_empty() {
        return reply;
    }
    let too_often = |wait_ms: i64| Answer {
        status: 429,
        body: r#"{"code":-1003,"retCode":10006,"msg":"Too many requests."}"#.into(),
        retry_after: Some((wait_ms + 999) / 1_000),
    };
    match spoil::instead(&faults, ask.now_ms, too_often) {
        Some(answer) => answer.reply(),
        None if reply.status == 200 => Reply { body: spoil::body(&reply.body, &faults), ..reply },
        None => reply,
    }
}

/// Openings of bars within two moments, both included, in milliseconds.
fn openings((from_ms, to_ms): (i64, i64), minutes: i64) -> impl DoubleEndedIterator<Item = i64> {
    let length = minutes * MINUTE_MS;
    let first = from_ms.div_euclid(length) + i64::from(from_ms.rem_euclid(length) != 0);
    (first..=to_ms.div_euclid(length)).map(move |number| number * length)
}

/// The true candles of a source that open in a span, whatever goes wrong; nothing where it does not run.
pub(crate) fn truth(house: &House, source: PriceSource, minutes: i64, span: &Range<Time>) -> Vec<Candle> {
    let opens = openings((span.start.millis(), span.end.millis() - 1), minutes);
    if let Some(at) = DOORS.iter().position(|venue| venue.name == source.as_str()) {
        let path = &house.prices.paths[at];
        return opens.filter_map(|open_ms| path.candle(open_ms, minutes)).collect();
    }
    let market = VenueId::known(source.as_str())
        .and_then(|id| house.venues.iter().find(|venue| venue.id == id))
        .and_then(|venue| match &venue.source {
            Source::Generated(listed) => Some(listed.now()),
            Source::Recorded(_) => None,
        });
    let Some(market) = market.as_ref().and_then(|world| world.market("BTCUSDT")) else { return Vec::new() };
    let interval = Interval::Minutes(minutes);
    let price = |ticks| market.spec.tick.times(ticks);
    opens
        .filter(|open_ms| *open_ms >= market.first_minute * MINUTE_MS)
        .map(|open_ms| {
            let bar = market.bar(interval, open_ms, i64::MAX - 1);
            Candle {
                open_time: Time(open_ms * 1_000),
                price: Ohlcv {
                    open: price(bar.open),
                    high: price(bar.high),
                    low: price(bar.low),
                    close: price(bar.close),
                    volume: market.volume_text(bar.lots).parse().unwrap_or_default(),
                },
                is_closed: true,
            }
        })
        .collect()
}
