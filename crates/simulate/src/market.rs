//! One simulated market: its trades, prices, book and bars at any moment, all pure functions of seed and time, so that
//! history before the start, live streams and REST answers can never disagree.

mod bars;
mod book;
mod listing;
mod price;
mod trades;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};

use model::VenueId;

pub(crate) use bars::{Bar, Interval};
pub(crate) use book::{Book, STEP_MS};
pub(crate) use listing::{Step, listing, spec_of};
pub(crate) use trades::Tick;

use crate::hash;

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// 2020-01-01, from which ids count.
pub(crate) const ORIGIN_MS: i64 = 1_577_836_800_000;

/// Which of the four protocols a market speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Binance spot.
    Binance,
    /// Binance USD-M futures.
    BinanceFutures,
    /// Bybit spot.
    Bybit,
    /// Bybit linear.
    BybitLinear,
}

impl Protocol {
    /// The protocol of a venue, if it is simulated.
    pub(crate) fn of(venue: VenueId) -> Option<Self> {
        Some(match venue.as_str() {
            "binance" => Self::Binance,
            "binance-futures" => Self::BinanceFutures,
            "bybit" => Self::Bybit,
            "bybit-linear" => Self::BybitLinear,
            _ => return None,
        })
    }

    /// Whether it is one of Bybit's.
    pub(crate) const fn is_bybit(self) -> bool {
        matches!(self, Self::Bybit | Self::BybitLinear)
    }

    /// Whether contracts are traded.
    pub(crate) const fn is_derivative(self) -> bool {
        matches!(self, Self::BinanceFutures | Self::BybitLinear)
    }
}

/// What is listed about a market.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) symbol: String,
    pub(crate) base: String,
    pub(crate) quote: String,
    pub(crate) price: f64,
    pub(crate) tick: Step,
    pub(crate) lot: Step,
    /// Trades per minute in millionths.
    pub(crate) rate_micro: i64,
}

/// A market.
pub(crate) struct Market {
    pub(crate) protocol: Protocol,
    pub(crate) spec: Spec,
    /// Lower case, as in stream names.
    pub(crate) stream_symbol: String,
    /// Nothing happened before this minute (counted from 1970).
    pub(crate) first_minute: i64,
    /// Nor until this moment.
    opened_ms: i64,
    /// The last moment at which anything happens: when it was delisted.
    ended_ms: AtomicI64,
    /// Delisted and not even named any more.
    is_gone: AtomicBool,
    /// Order of magnitude of one trade.
    lots_typical: f64,
    spread: i64,
    seed: u64,
    path_seed: u64,
    first_trade_id: i64,
    first_raw_id: i64,
    first_update_id: i64,
    hours: Mutex<HashMap<i64, Bar>>,
    /// Places of trades that the venue never shows.
    lost: OnceLock<Vec<Range<i64>>>,
}

impl Market {
    /// The market of a listing.
    pub(crate) fn new(protocol: Protocol, spec: Spec, world_seed: u64, first_minute: i64) -> Self {
        let seed = hash::named(world_seed, &format!("{protocol:?}:{}", spec.symbol));
        let path_seed = hash::named(world_seed, &spec.base);
        let lots_typical = (600.0 / spec.price / spec.lot.size()).max(2.0);
        Self {
            protocol,
            stream_symbol: spec.symbol.to_lowercase(),
            first_minute,
            opened_ms: first_minute * MINUTE_MS - 1,
            ended_ms: AtomicI64::new(i64::MAX),
            is_gone: AtomicBool::new(false),
            lots_typical,
            spread: 1 + i64::from(hash::at(seed, 1).is_multiple_of(3)),
            first_trade_id: (hash::at(seed, 2) % 400_000_000) as i64 + 100_000_000,
            first_raw_id: (hash::at(seed, 3) % 900_000_000) as i64 + 1_000_000_000,
            first_update_id: (hash::at(seed, 4) % 9_000_000_000) as i64 + 1_000_000_000,
            seed,
            path_seed,
            hours: Mutex::new(HashMap::new()),
            lost: OnceLock::new(),
            spec,
        }
    }

    /// The same, but nothing happens until a moment.
    pub(crate) fn opening(self, at_ms: i64) -> Self {
        Self { opened_ms: at_ms, ..self }
    }

    /// Nothing happened up to this moment.
    pub(crate) const fn opened_ms(&self) -> i64 {
        self.opened_ms
    }

    /// The last moment at which anything happens.
    pub(crate) fn ended_ms(&self) -> i64 {
        self.ended_ms.load(Ordering::Acquire)
    }

    /// Whether it was delisted before a moment.
    pub(crate) fn is_over(&self, at_ms: i64) -> bool {
        at_ms > self.ended_ms()
    }

    /// Whether it is or will be over.
    pub(crate) fn is_delisted(&self) -> bool {
        self.ended_ms() != i64::MAX
    }

    /// Whether it is delisted and not named any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Nothing happens after this moment.
    pub(crate) fn end(&self, at_ms: i64, is_gone: bool) {
        self.is_gone.store(is_gone, Ordering::Release);
        self.ended_ms.fetch_min(at_ms, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
